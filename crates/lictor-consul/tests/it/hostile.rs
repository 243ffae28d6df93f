//! Answers no Consul should give: each is an error that says so, in time, without a panic.

use std::time::Duration;

use lictor_consul::{
    Answer, Cause, Client, Config, Error, Index, Limits, Operation, Pair, Query, Retry, Watch,
};
use tokio::time::Instant;

use crate::standin::{Act, StandIn};
use crate::{SOON, hasty};

const LIMIT: Duration = Duration::from_millis(300);

const INDEX: &str = "X-Consul-Index: 7\r\n";

/// What a read makes of an answer.
async fn read(act: Act) -> Result<Answer<Option<Pair>>, Error> {
    let server = StandIn::start(vec![act]).await;
    let begun = Instant::now();
    let answer = hasty(&server.url, LIMIT).kv().get("k", &Query::new()).await;
    assert!(begun.elapsed() < SOON);
    answer
}

/// What a write makes of an answer.
async fn write(act: Act) -> Error {
    let server = StandIn::start(vec![act]).await;
    let client = hasty(&server.url, LIMIT);
    client.kv().cas("k", "v", Index(1)).await.unwrap_err()
}

fn malformed(answer: Result<Answer<Option<Pair>>, Error>) -> String {
    match answer {
        Err(error @ Error::Malformed { .. }) => {
            assert_eq!(error.retry(), Retry::Never);
            error.to_string()
        }
        other => panic!("not malformed: {other:?}"),
    }
}

#[tokio::test]
async fn a_body_that_is_not_consuls_makes_no_sense() {
    for body in [
        "",
        "null x",
        "<html>Bad gateway</html>",
        "{}",
        "true",
        "[7]",
        "[{}]",
        r#"[{"Key":null}]"#,
        r#"[{"Key":"k","Value":"not base64!"}]"#,
        r#"[{"Key":"k","Value":"YQ"}]"#,
        r#"[{"Key":"k","Value":17}]"#,
        r#"[{"Key":"k","Flags":-1}]"#,
        r#"[{"Key":"k","ModifyIndex":99999999999999999999}]"#,
        r#"[{"Key":"k""#,
        "[[[[[[",
        "\u{feff}[]",
        "\0\0\0\0",
    ] {
        let text = malformed(read(Act::answer(200, INDEX, body)).await);
        assert!(text.starts_with("GET /v1/kv/k: the answer makes no sense: "), "{text}");
    }
    let deep = "[".repeat(100_000);
    malformed(read(Act::answer(200, INDEX, &deep)).await);
}

#[tokio::test]
async fn a_body_that_is_not_text_makes_no_sense() {
    let mut answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n".to_vec();
    answer.extend([0xff, 0xfe, 0x00, 0x80]);
    malformed(read(Act::Send(answer)).await);
}

#[tokio::test]
async fn missing_and_nonsensical_headers_are_no_headers() {
    let body = r#"[{"Key":"k","Value":null}]"#;
    for headers in ["", "X-Consul-Index: soon\r\nX-Consul-KnownLeader: maybe\r\n"] {
        let answer = read(Act::answer(200, headers, body)).await.unwrap();
        assert_eq!(answer.meta.index, None);
        assert_eq!(answer.meta.known_leader, None);
        assert_eq!(answer.value.unwrap().value, "");
    }
}

#[tokio::test]
async fn a_404_that_is_not_consuls_is_not_an_absent_key() {
    let text = malformed(read(Act::answer(404, "", "404 page not found")).await);
    assert!(text.ends_with("404 without an index: this is not Consul's"), "{text}");
    let absent = read(Act::answer(404, INDEX, "")).await.unwrap();
    assert_eq!((absent.value, absent.meta.index), (None, Some(Index(7))));
}

#[tokio::test]
async fn what_is_not_http_is_a_broken_connection() {
    for bytes in [
        &b"SSH-2.0-OpenSSH_9.2\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 twohundred OK\r\n\r\n",
        b"",
    ] {
        let error = read(Act::Send(bytes.to_vec())).await.unwrap_err();
        assert!(matches!(error, Error::Broken { .. }), "{error:?}");
        assert_eq!(error.retry(), Retry::Later);
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_off_is_a_broken_connection() {
    let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[{\"Key\":".to_vec();
    let error = read(Act::Send(cut.clone())).await.unwrap_err();
    assert!(matches!(error, Error::Broken { .. }), "{error:?}");
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[{\"Ke".to_vec();
    let error = read(Act::Send(chunked)).await.unwrap_err();
    assert!(matches!(error, Error::Broken { .. }), "{error:?}");

    let error = write(Act::Send(cut)).await;
    assert!(error.may_have_happened());
    assert_eq!(error.retry(), Retry::Reread);
}

#[tokio::test]
async fn a_write_whose_connection_was_reset_may_have_happened() {
    let error = write(Act::Reset).await;
    assert!(matches!(error, Error::Broken { .. }), "{error:?}");
    assert!(error.may_have_happened());
    assert_eq!(error.retry(), Retry::Reread);
}

#[tokio::test]
async fn a_write_with_a_senseless_answer_may_have_happened() {
    let error = write(Act::answer(200, "", "maybe")).await;
    assert!(matches!(error, Error::Malformed { .. }), "{error:?}");
    assert!(error.may_have_happened());
    assert_eq!(error.retry(), Retry::Reread);
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[".to_vec();
    for bytes in [Vec::new(), b"HTTP/1.1 200".to_vec(), head] {
        let error = read(Act::SendAndHang(bytes)).await.unwrap_err();
        assert_eq!(error.to_string(), "GET /v1/kv/k: no whole answer within 300ms");
    }
}

#[tokio::test]
async fn a_time_limit_beyond_all_clocks_is_no_panic() {
    let server = StandIn::start(vec![Act::answer(200, INDEX, "[]")]).await;
    let client = hasty(&server.url, Duration::MAX);
    let query = Query::new().index(Index(1)).wait(Duration::MAX);
    assert_eq!(client.kv().get("k", &query).await.unwrap().value, None);
}

#[tokio::test]
async fn a_snapshot_that_stalls_or_is_cut_off_ends_in_an_error() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n";
    let limits = Limits { stall: LIMIT, ..Limits::default() };
    let collect = async |act: Act| {
        let server = StandIn::start(vec![act]).await;
        let client = Client::new(Config { limits, ..crate::at(&server.url) }).unwrap();
        let mut archive = client.snapshot().save(&Query::new()).await?;
        assert_eq!(archive.chunk().await?.unwrap(), "abcd");
        archive.chunk().await
    };
    let stalled = collect(Act::SendAndHang(head.into())).await.unwrap_err();
    assert_eq!(stalled.to_string(), "GET /v1/snapshot: no whole answer within 300ms");
    let cut = collect(Act::Send(head.into())).await.unwrap_err();
    assert!(matches!(cut, Error::Broken { .. }), "{cut:?}");
    let silent = collect(Act::SendAndHang(Vec::new())).await.unwrap_err();
    assert!(matches!(silent, Error::TimedOut { .. }), "{silent:?}");
}

#[tokio::test]
async fn a_slow_drip_does_not_stretch_the_limit() {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n".to_vec();
    let answer = [answer, vec![b' '; 1000]].concat();
    let error = read(Act::Drip(answer, Duration::from_millis(20))).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
}

#[tokio::test]
async fn a_huge_answer_is_not_read() {
    let announced = b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n".to_vec();
    let unannounced = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_vec();
    for head in [announced, unannounced] {
        let act = Act::Flood(head, 10_000_000_000);
        let server = StandIn::start(vec![act]).await;
        let client = hasty(&server.url, SOON);
        let error = client.kv().get("k", &Query::new()).await.unwrap_err();
        assert!(matches!(error, Error::TooLarge { .. }), "{error:?}");
    }
    // A head without an end is not read either.
    let endless = Act::Flood(b"HTTP/1.1 200 OK\r\nX: ".to_vec(), 10_000_000_000);
    assert!(read(endless).await.is_err());
}

#[tokio::test]
async fn a_huge_error_is_cut_short() {
    let act = Act::Flood(b"HTTP/1.1 500 X\r\nContent-Length: 10000000000\r\n\r\n".to_vec(), 10_000_000_000);
    let error = read(act).await.unwrap_err();
    assert!(matches!(&error, Error::Status { status: 500, message, .. } if message.len() == 500));
}

#[tokio::test]
async fn a_redirect_is_an_error_and_not_another_key() {
    let error = read(Act::answer(301, "Location: /v1/kv/other\r\n", "")).await.unwrap_err();
    assert!(matches!(error, Error::Status { status: 301, .. }), "{error:?}");
    assert_eq!(error.retry(), Retry::Never);
}

#[tokio::test]
async fn a_transactions_senseless_refusal_is_an_error() {
    let refusals = ["", "{}", r#"{"Errors":[{}]}"#, r#"{"Errors":[{"OpIndex":-1}]}"#];
    for body in refusals {
        let server = StandIn::start(vec![Act::answer(409, "", body)]).await;
        let client = hasty(&server.url, LIMIT);
        let operations = [Operation::set("k", "v")];
        let error = client.txn().run(&operations).await.unwrap_err();
        assert!(matches!(error, Error::RolledBack { .. } | Error::Malformed { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn only_what_changed_nothing_is_sent_again() {
    let busy = Act::answer(500, "", "No cluster leader");
    let too_many = Act::answer(429, "", "slow down");
    let read_ok = Act::answer(200, INDEX, "[]");
    let written = Act::answer(200, "", "true");
    let client = |url: &str| hasty(url, SOON).with_attempts(3);

    let server = StandIn::start(vec![busy.clone(), Act::Reset, read_ok]).await;
    let answer = client(&server.url).kv().get("k", &Query::new()).await.unwrap();
    assert_eq!((answer.meta.attempts, server.requests().len()), (3, 3));

    let server = StandIn::start(vec![busy.clone()]).await;
    client(&server.url).kv().get("k", &Query::new()).await.unwrap_err();
    assert_eq!(server.requests().len(), 3, "no more than it may");

    for act in [busy, Act::Reset, Act::answer(503, "", "")] {
        let server = StandIn::start(vec![act]).await;
        client(&server.url).kv().put("k", "v").await.unwrap_err();
        assert_eq!(server.requests(), ["PUT /v1/kv/k HTTP/1.1"]);
    }

    let server = StandIn::start(vec![too_many, written]).await;
    client(&server.url).kv().put("k", "v").await.unwrap();
    assert_eq!(server.requests().len(), 2, "what was refused is sent again");
}

fn watch(client: Client) -> Watch<Vec<Pair>> {
    Watch::list(client, "p/", Query::new().wait(SOON))
}

#[tokio::test]
async fn a_watch_follows_an_index_that_goes_back() {
    let at = |index: u64| Act::answer(200, &format!("X-Consul-Index: {index}\r\n"), "[]");
    let server = StandIn::start(vec![at(900), at(12), at(12), at(13)]).await;
    let mut watch = watch(hasty(&server.url, LIMIT));
    let mut causes = Vec::new();
    for _ in 0..3 {
        causes.push(watch.next().await.unwrap().cause);
    }
    assert_eq!(causes, [Cause::First, Cause::WentBack, Cause::Changed]);
    assert_eq!(
        server.requests(),
        [
            "GET /v1/kv/p/?recurse HTTP/1.1",
            "GET /v1/kv/p/?index=900&wait=20000ms&recurse HTTP/1.1",
            "GET /v1/kv/p/?recurse HTTP/1.1",
            "GET /v1/kv/p/?index=12&wait=20000ms&recurse HTTP/1.1",
        ]
    );
}

#[tokio::test]
async fn a_watch_of_a_server_that_never_holds_does_not_spin() {
    let at_once = Act::answer(200, "X-Consul-Index: 5\r\n", "[]");
    let server = StandIn::start(vec![at_once]).await;
    let mut watch = watch(hasty(&server.url, LIMIT)).at_most_every(Duration::from_millis(100));
    watch.next().await.unwrap();
    assert!(tokio::time::timeout(Duration::from_secs(1), watch.next()).await.is_err());
    assert!(server.requests().len() <= 12, "{}", server.requests().len());
}
