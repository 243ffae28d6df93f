//! HTTP watchers at real connections, most of them broken in one way.
#![cfg(test)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use lictor_agent::watch::Memory;
use lictor_config::{Http, JsonExpect, Pattern, Secret, Watch};
use lictor_core::{Match, Status};
use regex::Regex;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::watch_rig::{LONG, Rig, SHORT, header, http, http_watch, number, read_request, told, watch};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

/// Answers every request with the same text, on one connection after the other.
async fn answering(rig: &Rig, answer: impl Into<String>) -> String {
    let answer = answer.into();
    let address = rig
        .serve(move |mut stream| {
            let answer = answer.clone();
            async move {
                while read_request(&mut stream).await.is_some() {
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            }
        })
        .await;
    format!("http://{address}/")
}

/// Answers with `OK` and hands out what was asked.
async fn recording(rig: &Rig, address: &str) -> (String, mpsc::Receiver<String>) {
    let (asked, requests) = mpsc::channel(100);
    let address = rig
        .serve_on(address, move |mut stream| {
            let asked = asked.clone();
            async move {
                while let Some(request) = read_request(&mut stream).await {
                    asked.send(request).await.unwrap();
                    stream.write_all(OK.as_bytes()).await.unwrap();
                }
            }
        })
        .await;
    (format!("http://{address}/"), requests)
}

fn regex(text: &str) -> Regex {
    Regex::new(text).unwrap()
}

fn short(http: Http) -> Watch {
    Watch { timeout: SHORT, ..http_watch(http) }
}

#[tokio::test]
async fn a_good_answer_passes_and_every_phase_is_measured() {
    let rig = Rig::new();
    let url = answering(&rig, OK).await;
    let sample = rig.sample(&http_watch(http(&url))).await;
    assert_eq!(sample.status, Status::Passing);
    assert!(sample.summary.starts_with("200 in "), "{}", sample.summary);
    assert_eq!(number(&sample, "status"), Some(200.0));
    assert_eq!(number(&sample, "body_bytes"), Some(5.0));
    let phase = |name: &str| number(&sample, name).unwrap();
    let (connect, first_byte, total) =
        (phase("connect_seconds"), phase("first_byte_seconds"), phase("total_seconds"));
    assert!(connect > 0.0 && first_byte > 0.0 && connect + first_byte <= total, "{sample:?}");
    assert_eq!(number(&sample, "dns_seconds"), None, "there was no name to look up");
    assert_eq!(number(&sample, "certificate_days"), None);
}

#[tokio::test]
async fn a_name_is_looked_up_and_that_is_timed() {
    let rig = Rig::new();
    let url = answering(&rig, OK).await.replace("127.0.0.1", "localhost");
    let sample = rig.sample(&http_watch(http(&url))).await;
    assert_eq!(sample.status, Status::Passing, "{}", sample.summary);
    assert!(number(&sample, "dns_seconds").unwrap() > 0.0);
}

#[tokio::test]
async fn the_request_says_what_the_configuration_says() {
    let rig = Rig::new();
    let (url, mut requests) = recording(&rig, "127.0.0.1:0").await;
    let port = url.trim_end_matches('/').rsplit(':').next().unwrap().to_owned();
    let wanted = Http {
        method: "POST".into(),
        body: Some("ping".into()),
        headers: vec![("X-Key".into(), Secret::value("k"))],
        basic_auth: Some(("me".into(), Secret::value("p:w"))),
        ..http(&format!("{url}a%20b?q=1"))
    };
    let found = rig.see(&http_watch(wanted)).await;
    assert!(found.starts_with("passing"), "{found}");
    let request = requests.recv().await.unwrap();
    assert!(request.starts_with("POST /a%20b?q=1 HTTP/1.1\r\n"), "{request}");
    assert_eq!(header(&request, "host"), Some(format!("127.0.0.1:{port}").as_str()));
    assert_eq!(header(&request, "authorization"), Some("Basic bWU6cDp3"));
    assert_eq!(header(&request, "x-key"), Some("k"));
    assert_eq!(header(&request, "connection"), Some("close"));
    assert_eq!(header(&request, "accept-encoding"), None);
    assert_eq!(header(&request, "content-length"), Some("4"));
    assert!(request.ends_with("\r\n\r\nping"), "{request}");
}

#[tokio::test]
async fn a_configured_header_comes_in_place_of_ours() {
    let rig = Rig::new();
    let (url, mut requests) = recording(&rig, "127.0.0.1:0").await;
    let headers = [("host", "shop.example"), ("USER-AGENT", "probe")];
    let headers = headers.map(|(name, value)| (name.to_owned(), Secret::value(value))).into();
    rig.look(&http_watch(Http { headers, ..http(&url) })).await;
    let request = requests.recv().await.unwrap();
    let count = |name: &str| request.lines().filter(|line| line.to_lowercase().starts_with(name)).count();
    assert_eq!(header(&request, "Host"), Some("shop.example"));
    assert_eq!((count("host:"), count("user-agent:")), (1, 1), "{request}");
}

#[tokio::test]
async fn an_ipv6_address_stands_in_brackets_in_the_host_header() {
    let rig = Rig::new();
    let (url, mut requests) = recording(&rig, "[::1]:0").await;
    let found = rig.see(&http_watch(http(&url))).await;
    assert!(found.starts_with("passing"), "{found}");
    let request = requests.recv().await.unwrap();
    let host = header(&request, "host").unwrap();
    assert!(host.starts_with("[::1]:"), "{host}");
}

#[tokio::test]
async fn a_bearer_token_from_a_file_is_read_at_every_look() {
    let rig = Rig::new();
    let (url, mut requests) = recording(&rig, "127.0.0.1:0").await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let watch = http_watch(Http { bearer: Some(Secret::file(file.path())), ..http(&url) });
    for token in ["one", "two"] {
        std::fs::write(file.path(), format!("{token}\n")).unwrap();
        rig.look(&watch).await;
        let request = requests.recv().await.unwrap();
        assert_eq!(header(&request, "authorization"), Some(format!("Bearer {token}").as_str()));
    }
    drop(file);
    let found = rig.see(&watch).await;
    assert!(found.starts_with("unknown: cannot read the secret in `"), "{found}");
}

#[tokio::test]
async fn a_status_that_is_not_wanted_is_critical() {
    let rig = Rig::new();
    let url = answering(&rig, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(rig.see(&http_watch(http(&url))).await, "critical: status 503, wanted 200-299");
    let either = Http { status: vec![(200, 200), (500, 599)], ..http(&url) };
    let found = rig.see(&http_watch(either)).await;
    assert!(found.starts_with("passing: 503 in "), "{found}");
}

#[tokio::test]
async fn a_server_that_accepts_and_never_answers_is_left_at_the_time_limit() {
    let rig = Rig::new();
    let address = rig
        .serve(|mut stream| async move {
            read_request(&mut stream).await;
            std::future::pending::<()>().await;
        })
        .await;
    let found = rig.see(&short(http(&format!("http://{address}/")))).await;
    assert_eq!(found, format!("critical: the answer of http://{address}/ took longer than 300ms"));
}

#[tokio::test]
async fn a_port_that_refuses_is_critical() {
    let rig = Rig::new();
    let port = lictor_testkit::ports::free();
    let found = rig.see(&http_watch(http(&format!("http://127.0.0.1:{port}/")))).await;
    assert_eq!(found, format!("critical: cannot connect to 127.0.0.1:{port}: connection refused"));
}

#[tokio::test]
async fn a_connection_that_is_reset_is_told_of() {
    let rig = Rig::new();
    let address = rig
        .serve(|mut stream| async move {
            read_request(&mut stream).await;
            rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
        })
        .await;
    let found = rig.see(&http_watch(http(&format!("http://{address}/")))).await;
    let wanted = format!(
        "critical: http://{address}/ broke the connection before it answered: connection reset by peer"
    );
    assert_eq!(found, wanted);
}

#[tokio::test]
async fn a_connection_that_is_closed_is_told_of_before_and_within_the_answer() {
    let rig = Rig::new();
    let address = rig.serve(|mut stream| async move { drop(read_request(&mut stream).await) }).await;
    let found = rig.see(&http_watch(http(&format!("http://{address}/")))).await;
    assert_eq!(found, format!("critical: http://{address}/ closed the connection before it answered"));

    let address = rig
        .serve(|mut stream| async move {
            read_request(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf").await.unwrap();
        })
        .await;
    let found = rig.see(&http_watch(http(&format!("http://{address}/")))).await;
    assert!(
        found.starts_with(&format!("critical: http://{address}/ closed the connection within the body")),
        "{found}"
    );
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_critical() {
    let rig = Rig::new();
    let url = answering(&rig, "220 mail ready\r\n").await;
    let found = rig.see(&http_watch(http(&url))).await;
    let why = "invalid HTTP version, in `220 mail ready`";
    assert_eq!(found, format!("critical: {url} answered with something that is not HTTP: {why}"));
}

#[tokio::test]
async fn a_head_without_end_is_cut_off() {
    let rig = Rig::new();
    let endless = async |piece: &'static str| {
        let address = rig
            .serve(move |mut stream| async move {
                read_request(&mut stream).await;
                stream.write_all(b"HTTP/1.1 200 OK\r\nX-Long: ").await.unwrap();
                while stream.write_all(piece.as_bytes()).await.is_ok() {}
            })
            .await;
        let url = format!("http://{address}/");
        rig.see(&http_watch(http(&url))).await.replace(&url, "URL")
    };
    let found = endless("0123456789").await;
    assert_eq!(found, "critical: the head of the answer of URL is over 64 KiB");
    let found = endless("y\r\nX: ").await;
    let why = "too many headers, in `HTTP/1.1 200 OK`";
    assert_eq!(found, format!("critical: URL answered with something that is not HTTP: {why}"));
}

#[tokio::test]
async fn informational_answers_are_passed_over_but_not_for_ever() {
    let rig = Rig::new();
    let early = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    let url = answering(&rig, format!("HTTP/1.1 100 Continue\r\n\r\n{early}{OK}")).await;
    let sample = rig.sample(&http_watch(http(&url))).await;
    assert_eq!((sample.status, number(&sample, "status")), (Status::Passing, Some(200.0)));
    let url = answering(&rig, early.repeat(50)).await;
    let found = rig.see(&http_watch(http(&url))).await;
    assert_eq!(found, format!("critical: {url} sends informational answers without end"));
}

#[tokio::test]
async fn a_body_without_length_ends_with_the_connection() {
    let rig = Rig::new();
    let address = rig
        .serve(|mut stream| async move {
            read_request(&mut stream).await;
            stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nhello, ").await.unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
            stream.write_all(b"world").await.unwrap();
        })
        .await;
    let wanted = Http { body_matches: Some(regex("^hello, world$")), ..http(&format!("http://{address}/")) };
    let found = rig.see(&http_watch(wanted)).await;
    assert!(found.starts_with("passing: 200 in "), "{found}");
}

#[tokio::test]
async fn a_chunked_body_is_put_together_and_its_connection_kept() {
    let rig = Rig::new();
    let (url, connections) = counting(&rig, |_, mut stream| async move {
        while read_request(&mut stream).await.is_some() {
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            for piece in [head, "5\r\nhel", "lo\r\n7;x=y\r\n, world\r\n0\r\nT: t\r", "\n\r\n"] {
                stream.write_all(piece.as_bytes()).await.unwrap();
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    })
    .await;
    let mut memory = Memory::default();
    let wanted = Http { body_matches: Some(regex("^hello, world$")), keep_alive: true, ..http(&url) };
    for _ in 0..2 {
        let sample = rig.look_again(&http_watch(wanted.clone()), &mut memory).await.sample.unwrap();
        assert_eq!(sample.status, Status::Passing, "{}", sample.summary);
        assert_eq!(number(&sample, "body_bytes"), Some(12.0));
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_garbled_chunk_is_critical() {
    let rig = Rig::new();
    let url = answering(&rig, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello\r\n").await;
    let found = rig.see(&http_watch(http(&url))).await;
    assert_eq!(found, format!("critical: the body of {url} is garbled: a chunk has no size"));
}

#[tokio::test]
async fn an_answer_that_says_more_than_was_asked_for_ends_the_kept_connection() {
    let rig = Rig::new();
    let (url, connections) = counting(&rig, |_, mut stream| async move {
        while read_request(&mut stream).await.is_some() {
            stream.write_all(format!("{OK}more").as_bytes()).await.unwrap();
        }
    })
    .await;
    let mut memory = Memory::default();
    let watch = http_watch(Http { keep_alive: true, ..http(&url) });
    for _ in 0..2 {
        let sample = rig.look_again(&watch, &mut memory).await.sample.unwrap();
        assert_eq!(sample.status, Status::Passing, "{}", sample.summary);
    }
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_slow_drip_is_cut_by_the_time_limit() {
    let rig = Rig::new();
    let address = rig
        .serve(|mut stream| async move {
            read_request(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n").await.unwrap();
            while stream.write_all(b".").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    let url = format!("http://{address}/");
    let sample = rig.sample(&short(http(&url))).await;
    assert_eq!(sample.status, Status::Critical);
    assert!(sample.summary.starts_with(&format!("the body of {url} took longer than ")), "{sample:?}");
    assert!(number(&sample, "total_seconds").unwrap() < 5.0);
    assert!(number(&sample, "first_byte_seconds").is_some(), "what was measured is lost: {sample:?}");
}

#[tokio::test]
async fn a_body_of_ten_gigabytes_is_not_read_beyond_the_limit() {
    let rig = Rig::new();
    let sent = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&sent);
    let address = rig
        .serve(move |mut stream| {
            let sent = Arc::clone(&counted);
            async move {
                read_request(&mut stream).await;
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n").await.unwrap();
                let piece = vec![b'x'; 64 * 1024];
                while stream.write_all(&piece).await.is_ok() {
                    sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
                }
            }
        })
        .await;
    let url = format!("http://{address}/");
    for body_matches in [None, Some(regex("^x+$"))] {
        sent.store(0, Ordering::Relaxed);
        let wanted = Http { max_body: 100_000, body_matches, ..http(&url) };
        let sample = rig.sample(&http_watch(wanted)).await;
        assert_eq!(sample.status, Status::Passing, "{}", sample.summary);
        assert_eq!(number(&sample, "body_bytes"), Some(100_000.0));
        // The rest is what the kernel's buffers take.
        assert!(sent.load(Ordering::Relaxed) < 50_000_000, "{sent:?}");
    }
}

#[tokio::test]
async fn an_endless_chunked_body_ends_at_the_limit_too() {
    let rig = Rig::new();
    let address = rig
        .serve(|mut stream| async move {
            read_request(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await.unwrap();
            while stream.write_all(b"5\r\nhello\r\n").await.is_ok() {}
        })
        .await;
    let wanted = Http {
        max_body: 12,
        body_matches: Some(regex("^hellohellohe$")),
        ..http(&format!("http://{address}/"))
    };
    let sample = rig.sample(&http_watch(wanted)).await;
    assert_eq!(sample.status, Status::Passing, "{}", sample.summary);
}

#[tokio::test]
async fn what_is_expected_of_headers_and_body_is_looked_for() {
    let rig = Rig::new();
    let url =
        answering(&rig, "HTTP/1.1 200 OK\r\nX-State: ready\r\nContent-Length: 12\r\n\r\nall is well\n").await;
    let see = async |change: &dyn Fn(&mut Http)| {
        let mut http = http(&url);
        change(&mut http);
        let found = rig.see(&http_watch(http)).await;
        if found.starts_with("passing") { "passing".to_owned() } else { found }
    };
    assert_eq!(
        see(&|http| http.expect_headers = vec![("X-State".into(), regex("^ready$"))]).await,
        "passing"
    );
    assert_eq!(
        see(&|http| http.expect_headers = vec![("X-State".into(), regex("^ok$"))]).await,
        "critical: header X-State is `ready`, wanted /^ok$/"
    );
    assert_eq!(
        see(&|http| http.expect_headers = vec![("X-Else".into(), regex(""))]).await,
        "critical: header X-Else is missing"
    );
    assert_eq!(see(&|http| http.body_matches = Some(regex("is well"))).await, "passing");
    assert_eq!(
        see(&|http| http.body_matches = Some(regex("^well"))).await,
        "critical: the body does not match /^well/"
    );
    assert_eq!(see(&|http| http.body_lacks = Some(regex("error"))).await, "passing");
    assert_eq!(
        see(&|http| http.body_lacks = Some(regex("w.ll"))).await,
        "critical: the body has `well`, which matches /w.ll/"
    );
    let both = see(&|http| {
        http.body_matches = Some(regex("^well"));
        http.expect_headers = vec![("X-Else".into(), regex(""))];
    });
    assert_eq!(both.await, "critical: header X-Else is missing; the body does not match /^well/");
    assert_eq!(
        see(&|http| http.json = vec![("/a".into(), JsonExpect::Present)]).await,
        "critical: the body is not JSON: expected value at line 1 column 1"
    );
}

#[tokio::test]
async fn json_pointers_lead_to_what_is_wanted() {
    let rig = Rig::new();
    let body = json!({"status": "green", "shards": {"active": 5, "lost": null}}).to_string();
    let url =
        answering(&rig, format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())).await;
    let see = async |pointer: &str, wanted: JsonExpect| {
        let found = rig.see(&http_watch(Http { json: vec![(pointer.into(), wanted)], ..http(&url) })).await;
        if found.starts_with("passing") { "passing".to_owned() } else { found }
    };
    assert_eq!(see("/status", JsonExpect::Equals(json!("green"))).await, "passing");
    assert_eq!(see("/shards/active", JsonExpect::Equals(json!(5.0))).await, "passing");
    assert_eq!(see("/shards/lost", JsonExpect::Present).await, "passing");
    assert_eq!(
        see("/shards/active", JsonExpect::Equals(json!("5"))).await,
        "critical: /shards/active is 5, wanted \"5\""
    );
    assert_eq!(see("/nodes", JsonExpect::Present).await, "critical: the body has no /nodes");
    let cut = Http { json: vec![("/status".into(), JsonExpect::Present)], max_body: 10, ..http(&url) };
    let found = rig.see(&http_watch(cut)).await;
    assert_eq!(found, "unknown: the body has more than 10 bytes (max_body), so its JSON cannot be read");
}

#[tokio::test]
async fn patterns_are_found_in_the_lines_of_the_body() {
    let rig = Rig::new();
    let url = answering(&rig, "HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\njob a: done\njob b: ok\n").await;
    let pattern = Pattern { name: "done".parse().unwrap(), regex: regex("^job .: done$") };
    let watch = Watch { patterns: vec![pattern], ..http_watch(http(&url)) };
    let look = rig.look(&watch).await;
    assert_eq!(look.matches, [Match::new("done".parse().unwrap(), "job a: done")]);
}

#[tokio::test]
async fn slower_than_wanted_is_a_warning() {
    let rig = Rig::new();
    let url = answering(&rig, OK).await;
    let sample = rig.sample(&http_watch(Http { warn_slower: Some(Duration::ZERO), ..http(&url) })).await;
    assert_eq!(sample.status, Status::Warning);
    assert!(sample.summary.starts_with("it took "), "{}", sample.summary);
}

#[tokio::test]
async fn a_head_request_and_an_answer_without_body_end_at_once() {
    let rig = Rig::new();
    let url = answering(&rig, "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n").await;
    let sample = rig.sample(&http_watch(Http { method: "HEAD".into(), ..http(&url) })).await;
    assert_eq!((sample.status, number(&sample, "body_bytes")), (Status::Passing, Some(0.0)));
    let url = answering(&rig, "HTTP/1.1 204 No Content\r\n\r\n").await;
    let sample = rig.sample(&http_watch(http(&url))).await;
    assert_eq!(sample.status, Status::Passing);
}

fn redirect(to: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n")
}

#[tokio::test]
async fn redirects_are_followed_as_far_as_allowed() {
    let rig = Rig::new();
    let end = answering(&rig, OK).await;
    let middle = answering(&rig, redirect(&end)).await;
    let start = answering(&rig, redirect(&middle)).await;
    let see = async |redirects| rig.see(&http_watch(Http { redirects, ..http(&start) })).await;
    assert_eq!(see(0).await, "critical: status 302, wanted 200-299");
    assert_eq!(see(1).await, format!("critical: status 302, wanted 200-299, from {middle} after 1 redirect"));
    let found = see(2).await;
    assert!(found.starts_with("passing: 200 in "), "{found}");
}

#[tokio::test]
async fn a_redirect_to_itself_ends_at_the_limit() {
    let rig = Rig::new();
    let url = answering(&rig, redirect("/")).await;
    let found = rig.see(&http_watch(Http { redirects: 5, ..http(&url) })).await;
    assert_eq!(found, format!("critical: status 302, wanted 200-299, from {url} after 5 redirects"));
}

#[tokio::test]
async fn a_redirect_elsewhere_takes_no_secrets_along_and_no_body() {
    let rig = Rig::new();
    let (end, mut requests) = recording(&rig, "127.0.0.1:0").await;
    let start = answering(&rig, redirect(&end)).await;
    let wanted = Http {
        redirects: 1,
        method: "POST".into(),
        body: Some("secret".into()),
        bearer: Some(Secret::value("t")),
        headers: vec![("X-Key".into(), Secret::value("k"))],
        ..http(&start)
    };
    let found = rig.see(&http_watch(wanted)).await;
    assert!(found.starts_with("passing"), "{found}");
    let request = requests.recv().await.unwrap();
    assert!(request.starts_with("GET / HTTP/1.1\r\n"), "{request}");
    assert_eq!(header(&request, "authorization"), None);
    assert_eq!(header(&request, "x-key"), None);
    assert!(request.ends_with("\r\n\r\n"), "{request}");
}

#[tokio::test]
async fn a_redirect_on_the_same_server_keeps_what_it_was_given() {
    let rig = Rig::new();
    let (asked, mut requests) = mpsc::channel(10);
    let address = rig
        .serve(move |mut stream| {
            let asked = asked.clone();
            async move {
                let request = read_request(&mut stream).await.unwrap();
                let first = request.starts_with("POST /a ");
                asked.send(request).await.unwrap();
                let answer =
                    if first { redirect("b").replace("302 Found", "307 Temporary") } else { OK.into() };
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        })
        .await;
    let wanted = Http {
        redirects: 1,
        method: "POST".into(),
        body: Some("ping".into()),
        bearer: Some(Secret::value("t")),
        ..http(&format!("http://{address}/a"))
    };
    let found = rig.see(&http_watch(wanted)).await;
    assert!(found.starts_with("passing"), "{found}");
    requests.recv().await.unwrap();
    let second = requests.recv().await.unwrap();
    assert!(second.starts_with("POST /b HTTP/1.1\r\n") && second.ends_with("ping"), "{second}");
    assert_eq!(header(&second, "authorization"), Some("Bearer t"));
}

#[tokio::test]
async fn a_redirect_to_another_scheme_is_not_followed() {
    let rig = Rig::new();
    let url = answering(&rig, redirect("file:///etc/passwd")).await;
    let found = rig.see(&http_watch(Http { redirects: 5, ..http(&url) })).await;
    assert_eq!(found, "critical: file:///etc/passwd is not an HTTP address");
}

/// Counts the connections, each of which is handled by number.
async fn counting<F, Fut>(rig: &Rig, handle: F) -> (String, Arc<AtomicUsize>)
where
    F: Fn(usize, TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let address = rig.serve(move |stream| handle(counted.fetch_add(1, Ordering::SeqCst), stream)).await;
    (format!("http://{address}/"), connections)
}

#[tokio::test]
async fn a_kept_connection_is_used_again() {
    let rig = Rig::new();
    let (url, connections) = counting(&rig, |_, mut stream| async move {
        while read_request(&mut stream).await.is_some() {
            stream.write_all(OK.as_bytes()).await.unwrap();
        }
    })
    .await;
    let mut memory = Memory::default();
    let watch = http_watch(Http { keep_alive: true, ..http(&url) });
    let first = rig.look_again(&watch, &mut memory).await.sample.unwrap();
    assert!(number(&first, "connect_seconds").is_some());
    for _ in 0..3 {
        let sample = rig.look_again(&watch, &mut memory).await.sample.unwrap();
        assert_eq!(sample.status, Status::Passing);
        assert_eq!(number(&sample, "connect_seconds"), None, "nothing was connected");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn without_keep_alive_every_look_has_a_connection_of_its_own() {
    let rig = Rig::new();
    let (url, connections) = counting(&rig, |_, mut stream| async move {
        while read_request(&mut stream).await.is_some() {
            stream.write_all(OK.as_bytes()).await.unwrap();
        }
    })
    .await;
    let mut memory = Memory::default();
    for _ in 0..3 {
        rig.look_again(&http_watch(http(&url)), &mut memory).await;
    }
    assert_eq!(connections.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_is_replaced_without_a_word() {
    let rig = Rig::new();
    // The first closes with the second request in its hands: the closing cannot be seen before.
    let (url, connections) = counting(&rig, |number, mut stream| async move {
        while read_request(&mut stream).await.is_some() {
            stream.write_all(OK.as_bytes()).await.unwrap();
            if number == 0 {
                read_request(&mut stream).await;
                return;
            }
        }
    })
    .await;
    let mut memory = Memory::default();
    let watch = http_watch(Http { keep_alive: true, ..http(&url) });
    for _ in 0..3 {
        let sample = rig.look_again(&watch, &mut memory).await.sample.unwrap();
        assert_eq!(sample.status, Status::Passing, "{}", sample.summary);
    }
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_server_that_only_ever_closes_is_asked_no_more_than_twice() {
    let rig = Rig::new();
    let (url, connections) = counting(&rig, |number, mut stream| async move {
        read_request(&mut stream).await;
        if number == 0 {
            stream.write_all(OK.as_bytes()).await.unwrap();
            read_request(&mut stream).await;
        }
    })
    .await;
    let mut memory = Memory::default();
    let watch = http_watch(Http { keep_alive: true, ..http(&url) });
    rig.look_again(&watch, &mut memory).await;
    let sample = rig.look_again(&watch, &mut memory).await.sample.unwrap();
    assert_eq!(told(&sample), format!("critical: {url} closed the connection before it answered"));
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_connection_the_server_means_to_close_is_not_kept() {
    let rig = Rig::new();
    for answer in [
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    ] {
        let (url, connections) = counting(&rig, move |_, mut stream| async move {
            while read_request(&mut stream).await.is_some() {
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        })
        .await;
        let mut memory = Memory::default();
        let watch = http_watch(Http { keep_alive: true, ..http(&url) });
        for _ in 0..2 {
            let sample = rig.look_again(&watch, &mut memory).await.sample.unwrap();
            assert_eq!(sample.status, Status::Passing, "{}", sample.summary);
        }
        assert_eq!(connections.load(Ordering::SeqCst), 2, "{answer}");
    }
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_critical() {
    let rig = Rig::new();
    // Not a possible name, so no server is asked.
    let found = rig.see(&http_watch(http("http://no..where:80/"))).await;
    assert_eq!(found, "critical: cannot resolve no..where: name or service not known");
}

#[tokio::test]
async fn a_wrong_setting_is_no_verdict_on_the_target() {
    let rig = Rig::new();
    let url = answering(&rig, OK).await;
    let bad = http_watch(Http { method: "GE T".into(), ..http(&url) });
    assert_eq!(rig.see(&bad).await, "unknown: `GE T` is not an HTTP method");
    let bad = Http { headers: vec![("X".into(), Secret::value("a\nb"))], ..http(&url) };
    assert_eq!(rig.see(&http_watch(bad)).await, "unknown: the value of header X cannot be sent");
}

#[tokio::test]
async fn a_password_in_the_address_is_sent_but_never_shown() {
    let rig = Rig::new();
    let (url, mut requests) = recording(&rig, "127.0.0.1:0").await;
    let secret = url.replace("http://", "http://me:p%40ss@");
    rig.look(&http_watch(http(&secret))).await;
    let request = requests.recv().await.unwrap();
    assert_eq!(header(&request, "authorization"), Some("Basic bWU6cEBzcw=="));
    let port = lictor_testkit::ports::free();
    let closed = rig.serve(|mut stream| async move { drop(read_request(&mut stream).await) }).await;
    for address in [format!("127.0.0.1:{port}"), closed.to_string()] {
        let found = rig.see(&watch_of(&format!("http://me:p%40ss@{address}/"))).await;
        assert!(!found.contains("p%40ss") && !found.contains("p@ss"), "{found}");
    }
}

fn watch_of(url: &str) -> Watch {
    watch(lictor_config::WatchKind::Http(Box::new(http(url))), LONG)
}
