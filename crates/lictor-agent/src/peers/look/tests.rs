use std::sync::{Arc, Mutex};

use lictor_config::{Discovery, Secret};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::super::discover::tests::{peers, world};
use super::*;
use crate::{OnEnd, Tasks};

/// How a peer of a test answers.
#[derive(Clone)]
enum Does {
    /// Sends this and closes.
    Says(String),
    /// Sends this, and nothing more for ever.
    Stalls(&'static str),
}

/// A peer of a test: where it is, and what it was asked last.
struct Peer {
    address: SocketAddr,
    asked: Arc<Mutex<String>>,
    _tasks: Tasks,
}

async fn peer(on: &str, does: Does) -> Peer {
    let listener = TcpListener::bind(on).await.unwrap();
    let (address, tasks) = (listener.local_addr().unwrap(), Tasks::new());
    let asked = Arc::new(Mutex::new(String::new()));
    let heard = Arc::clone(&asked);
    tasks.spawn("peer", OnEnd::Fine, async move {
        while let Ok((mut stream, _from)) = listener.accept().await {
            let mut request = vec![0; 4_096];
            let count = stream.read(&mut request).await.unwrap();
            *heard.lock().unwrap() = String::from_utf8_lossy(&request[..count]).into_owned();
            match &does {
                // Whoever has heard enough goes away.
                Does::Says(text) => stream.write_all(text.as_bytes()).await.unwrap_or_default(),
                Does::Stalls(text) => {
                    stream.write_all(text.as_bytes()).await.unwrap();
                    std::future::pending::<()>().await;
                }
            }
        }
    });
    Peer { address, asked, _tasks: tasks }
}

/// An answer as the first probes wrote it, byte by byte.
fn old(body: &str) -> Does {
    Does::Says(format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    ))
}

fn at(addresses: &[SocketAddr]) -> Found {
    let port = addresses.first().map_or(1, SocketAddr::port);
    let host = "node-a.test".to_owned();
    Found { id: format!("{host}:{port}"), host, port, addresses: addresses.to_vec() }
}

fn settings() -> Peers {
    peers(Discovery::Static(Vec::new()))
}

async fn seen(does: Does) -> String {
    let peer = peer("127.0.0.1:0", does).await;
    let text = look(&at(&[peer.address]), &settings(), &world()).await.seen.to_string();
    text.replace(&peer.address.to_string(), "PEER")
}

const GOOD: &str = r#"{"checks":[],"summary":{"total":0,"ok":0}}"#;

#[tokio::test]
async fn an_old_probe_is_understood() {
    assert_eq!(seen(old(GOOD)).await, "it answers");
    let failing =
        r#"{"checks":[{"url":"https://x/","code":000,"time_s":0,"ok":false}],"summary":{"total":1,"ok":0}}"#;
    assert_eq!(seen(old(failing)).await, "0 of 1 checks are good: https://x/ (no answer)");
    let whole = format!("{{\"status\":{GOOD},\"disk\":{{\"volumes\":[]}}}}");
    assert_eq!(seen(old(&whole)).await, "it answers");
}

#[tokio::test]
async fn it_is_asked_by_its_name_and_with_the_token() {
    let peer = peer("127.0.0.1:0", old(GOOD)).await;
    let with_token = Peers { token: Some(Secret::value("dXNlcjpwYXNz")), ..settings() };
    let looked = look(&at(&[peer.address]), &with_token, &world()).await;
    assert_eq!((looked.seen.is_well(), looked.ours), (true, false));
    assert_eq!(looked.address, Some(peer.address.ip()));
    assert!(looked.took < with_token.timeout);
    let asked = peer.asked.lock().unwrap().clone();
    let port = peer.address.port();
    let wanted = format!(
        "GET /status HTTP/1.1\r\nHost: node-a.test:{port}\r\nUser-Agent: {AGENT}\r\nAccept: \
         application/vnd.lictor.mesh+json, application/json\r\nConnection: close\r\nAuthorization: Basic dXNlcjpwYXNz\r\n\r\n"
    );
    assert_eq!(asked, wanted);
}

#[tokio::test]
async fn what_it_sees_of_the_others_comes_with_it() {
    let body = GOOD.replace("}}", "},\"mesh\":{\"version\":1,\"node\":\"a\",\"sees\":[{\"peer\":\"b:1\",\"up\":false,\"since_s\":9,\"age_s\":1,\"told\":true}]}}");
    let peer = peer("127.0.0.1:0", old(&body)).await;
    let looked = look(&at(&[peer.address]), &settings(), &world()).await;
    let mesh = looked.mesh.unwrap();
    assert_eq!((mesh.node.as_str(), mesh.sees.len(), mesh.sees[0].told), ("a", 1, true));
    assert!(looked.seen.is_well());
}

#[tokio::test]
async fn anything_but_a_report_is_not_taken_for_one() {
    assert_eq!(seen(old("hello")).await, "its answer is no report of a probe: it is no JSON");
    let refused = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 24\r\nConnection: close\r\n\r\n{\"error\":\"unauthorized\"}";
    assert_eq!(seen(Does::Says(refused.to_owned())).await, "it answers with status 401");
    let elsewhere = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(seen(Does::Says(elsewhere.to_owned())).await, "it answers with status 302");
    let other = seen(Does::Says("220 mail ESMTP\r\n".to_owned())).await;
    assert!(other.starts_with("no answer: PEER answered with something that is not HTTP"), "{other}");
    let cut = Does::Says("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}".to_owned());
    assert_eq!(seen(cut).await, "no answer: PEER closed the connection within the body");
    let large = format!("{{\"x\":\"{}\"}}", "x".repeat(2 << 20));
    assert_eq!(seen(old(&large)).await, "its answer is no report of a probe: it has more than 1 MiB");
}

#[tokio::test]
async fn one_that_hangs_costs_no_more_than_the_time_limit() {
    for (sent, wanted) in [
        ("", "no answer: the answer of PEER took longer than 300ms"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 42\r\n\r\n{\"checks\"",
            "no answer: the body of PEER took longer than 300ms",
        ),
    ] {
        let peer = peer("127.0.0.1:0", Does::Stalls(sent)).await;
        let quick = Peers { timeout: Duration::from_millis(300), ..settings() };
        let looked = look(&at(&[peer.address]), &quick, &world()).await;
        let text = looked.seen.to_string().replace(&peer.address.to_string(), "PEER");
        assert_eq!(text, wanted);
        assert!(looked.took >= quick.timeout, "{:?}", looked.took);
    }
}

#[tokio::test]
async fn the_first_address_that_can_be_connected_to_has_all_the_time_that_is_left() {
    let silent = peer("127.0.0.1:0", Does::Stalls("")).await;
    let gone = SocketAddr::from(([127, 0, 0, 1], lictor_testkit::ports::free()));
    let good = peer("127.0.0.1:0", old(GOOD)).await;
    let quick = Peers { timeout: Duration::from_millis(900), ..settings() };
    let looked = look(&at(&[gone, good.address]), &quick, &world()).await;
    assert!(looked.seen.is_well(), "{}", looked.seen);
    let neither = look(&at(&[gone, silent.address]), &quick, &world()).await;
    let text = neither.seen.to_string();
    let refused = format!(
        "no answer: cannot connect to {gone}: connection refused; the answer of {} took",
        silent.address
    );
    assert!(text.starts_with(&refused), "{text}");
    assert_eq!((neither.address, neither.ours), (Some(gone.ip()), false));
}

#[tokio::test]
async fn one_over_ipv6_is_asked_with_brackets() {
    let peer = peer("[::1]:0", old(GOOD)).await;
    let port = peer.address.port();
    let found =
        Found { id: peer.address.to_string(), host: "::1".to_owned(), port, addresses: vec![peer.address] };
    assert!(look(&found, &settings(), &world()).await.seen.is_well());
    assert!(peer.asked.lock().unwrap().contains(&format!("\r\nHost: [::1]:{port}\r\n")));
}

#[tokio::test]
async fn what_keeps_us_from_asking_is_said_to_be_ours() {
    let nowhere = look(&at(&[]), &settings(), &world()).await;
    assert_eq!(nowhere.seen.to_string(), "no answer: it is not known where it is");
    assert!(!nowhere.ours && nowhere.address.is_none());
    let here = at(&["127.0.0.1:1".parse().unwrap()]);
    let missing = Peers { token: Some(Secret::file("/nonexistent/token")), ..settings() };
    let looked = look(&here, &missing, &world()).await;
    assert!(looked.ours && looked.seen.to_string().contains("/nonexistent/token"), "{}", looked.seen);
    let odd = Peers { token: Some(Secret::value("a\r\nX: y")), ..settings() };
    let looked = look(&here, &odd, &world()).await;
    assert_eq!(
        (looked.seen.to_string().as_str(), looked.ours),
        ("no answer: the header Authorization cannot be sent", true)
    );
}

#[tokio::test]
async fn a_peer_may_speak_tls_under_its_name() {
    let made = rcgen::generate_simple_self_signed(["node-a.test".to_owned()]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, made.cert.pem()).unwrap();
    let key = rustls_pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, tasks) = (listener.local_addr().unwrap(), Tasks::new());
    tasks.spawn("peer", OnEnd::Fine, async move {
        while let Ok((stream, _from)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = [0; 4_096];
            let Ok(_count) = stream.read(&mut request).await else { continue };
            let Does::Says(text) = old(GOOD) else { unreachable!() };
            stream.write_all(text.as_bytes()).await.unwrap();
            stream.shutdown().await.ok();
        }
    });
    let mut settings = Peers { https: true, ..settings() };
    settings.tls.ca_file = Some(ca);
    let world = world();
    let looked = look(&at(&[address]), &settings, &world).await;
    assert!(looked.seen.is_well(), "{}", looked.seen);
    let other = Found { host: "node-b.test".to_owned(), ..at(&[address]) };
    let looked = look(&other, &settings, &world).await;
    assert!(!looked.seen.is_there() && !looked.ours, "{}", looked.seen);
}

#[tokio::test]
async fn what_was_missed_while_this_process_stood_still_is_looked_at_again() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // It goes on while this thread stands still, and answers too late for somebody who does not listen.
    let peer = std::thread::spawn(move || {
        let mut asked = 0;
        while let Ok((mut stream, _from)) = listener.accept() {
            asked += 1;
            let Does::Says(text) = old(GOOD) else { unreachable!() };
            let mut request = [0; 4_096];
            let Ok(_count) = std::io::Read::read(&mut stream, &mut request) else { continue };
            if asked == 1 {
                // The answer of this one never comes.
                std::mem::forget(stream);
                continue;
            }
            std::io::Write::write_all(&mut stream, text.as_bytes()).unwrap();
            return asked;
        }
        0
    });
    let quick = Peers { timeout: Duration::from_millis(300), ..settings() };
    let (found, world) = (at(&[address]), world());
    let stops = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        #[expect(clippy::disallowed_methods, reason = "all of this process is to stand still")]
        std::thread::sleep(Duration::from_millis(800));
    };
    let (looked, ()) = tokio::join!(look(&found, &quick, &world), stops);
    assert!(looked.seen.is_well(), "{}", looked.seen);
    assert_eq!(peer.join().unwrap(), 2);
}
