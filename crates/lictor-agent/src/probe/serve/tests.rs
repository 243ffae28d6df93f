use std::fs;
use std::path::Path;

use lictor_config::ProbeTls;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;

use super::*;
use crate::probe::{Looking, Manner, Server, Settings, Sources};

const LONG: Duration = Duration::from_secs(30);

const EMPTY: &str = "{\"volumes\":[]}";

fn settings(manner: Manner) -> Settings {
    Settings {
        targets: Vec::new(),
        looking: Looking::OnDemand(Duration::ZERO),
        timeout: Duration::from_secs(5),
        volumes: Some(Vec::new()),
        checks: Vec::new(),
        auth_file: None,
        tls: None,
        manner,
    }
}

/// A probe, and where it is.
fn start(manner: Manner) -> (Server, SocketAddr) {
    let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = listener.local_addr().unwrap();
    (Server::start(listener, settings(manner), Sources::none()).unwrap(), address)
}

/// All that comes after this was sent, until the probe closes the connection.
async fn sent(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    rest(&mut stream).await
}

async fn rest(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    timeout(LONG, stream.read_to_string(&mut text)).await.unwrap().unwrap();
    text
}

async fn answer(stream: &mut TcpStream, request: &str, end: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = Vec::new();
    while !text.ends_with(end.as_bytes()) {
        let read = timeout(LONG, stream.read_buf(&mut text)).await.unwrap().unwrap();
        assert!(read > 0, "it ended after {:?}", String::from_utf8_lossy(&text));
    }
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn several_requests_go_over_one_connection() {
    let (_server, address) = start(Manner::Usual);
    let mut stream = TcpStream::connect(address).await.unwrap();
    let get = "GET /disk?x HTTP/1.1\r\nHost: x\r\n\r\n";
    for _ in 0..3 {
        let text = answer(&mut stream, get, EMPTY).await;
        assert!(text.contains("\r\nContent-Length: 14\r\nConnection: keep-alive\r\n"), "{text}");
    }
    let head = answer(&mut stream, "HEAD /disk HTTP/1.1\r\n\r\n", "\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("Content-Length: 14"), "{head}");
    // Two at once are answered one after the other.
    stream
        .write_all(format!("{get}\r\nGET /x HTTP/1.1\r\nConnection: close\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let text = rest(&mut stream).await;
    assert!(text.contains(EMPTY) && text.ends_with("Connection: close\r\n\r\nNot found\n"), "{text}");
}

#[tokio::test]
async fn in_the_literal_manner_one_request_is_answered() {
    let (_server, address) = start(Manner::Literal);
    let get = b"GET /disk HTTP/1.1\r\n\r\nGET /disk HTTP/1.1\r\n\r\n";
    let text = sent(address, get).await;
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 1);
    assert!(text.ends_with("Content-Length: 14\r\nConnection: close\r\n\r\n{\"volumes\":[]}"), "{text}");
    assert!(sent(address, b"GET /disk?x HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 404 Not Found\r\n"));
    assert!(sent(address, b"HEAD / HTTP/1.1\r\n\r\n").await.ends_with("Connection: close\r\n\r\n"));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /disk HTTP/1.0\n").await.unwrap();
    stream.shutdown().await.unwrap();
    assert!(rest(&mut stream).await.ends_with(EMPTY), "a line and nothing more is a request");
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(rest(&mut stream).await, "", "nothing is answered to nothing");
}

#[tokio::test]
async fn what_is_too_large_or_no_request_is_refused_and_ends_the_connection() {
    let (_server, address) = start(Manner::Usual);
    let large = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(HEAD));
    assert!(sent(address, large.as_bytes()).await.starts_with("HTTP/1.1 431 "));
    assert!(sent(address, &[b'x'; 60_000]).await.starts_with("HTTP/1.1 431 "), "also without an end");
    assert!(sent(address, b"\x16\x03\x01\r\n\r\n").await.starts_with("HTTP/1.1 400 Bad Request\r\n"));
    let post = sent(address, b"POST /status HTTP/1.1\r\nContent-Length: 60000\r\n\r\nwhatever").await;
    assert!(post.starts_with("HTTP/1.1 405 ") && post.contains("Allow: GET, HEAD\r\n"), "{post}");
    let body =
        sent(address, b"GET /disk HTTP/1.1\r\nContent-Length: 30\r\n\r\nGET /status HTTP/1.1\r\n\r\nxxxxxx")
            .await;
    assert!(
        body.ends_with(EMPTY) && body.matches("HTTP/1.1").count() == 1,
        "a body was taken for a request: {body}"
    );
}

#[tokio::test]
async fn who_never_ends_a_head_is_let_go() {
    let (_server, address) = start(Manner::Usual);
    let begun = Instant::now();
    let mut stream = TcpStream::connect(address).await.unwrap();
    // Its time does not begin anew with its first byte.
    tokio::time::sleep(HEAD_PATIENCE * 3 / 4).await;
    stream.write_all(b"GET / HTTP/1.1\r\nX: ").await.unwrap();
    assert_eq!(rest(&mut stream).await, "");
    assert!(
        begun.elapsed() >= HEAD_PATIENCE && begun.elapsed() < HEAD_PATIENCE * 3 / 2,
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn many_who_say_nothing_do_not_shut_others_out() {
    let (_server, address) = start(Manner::Usual);
    let mut slow = Vec::new();
    for _ in 0..CONNECTIONS + 200 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HT").await.unwrap();
        slow.push(stream);
    }
    let begun = Instant::now();
    let text = sent(address, b"GET /disk HTTP/1.0\r\n\r\n").await;
    assert!(
        text.ends_with(EMPTY) && begun.elapsed() < Duration::from_secs(2),
        "{text} {:?}",
        begun.elapsed()
    );
    // The first ones were let go for it, the last one was not.
    assert_eq!(timeout(LONG, slow[0].read(&mut [0; 9])).await.unwrap().unwrap_or(0), 0);
    let last = slow.last_mut().unwrap();
    last.write_all(b"TP/1.0\r\n\r\n").await.unwrap();
    assert!(rest(last).await.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn both_families_are_served_at_once() {
    let Ok(listener) = bind("[::]:0".parse().unwrap()) else {
        eprintln!("this machine has no IPv6");
        return;
    };
    let port = listener.local_addr().unwrap().port();
    let _server = Server::start(listener, settings(Manner::Usual), Sources::none()).unwrap();
    for address in [format!("127.0.0.1:{port}"), format!("[::1]:{port}")] {
        let text = sent(address.parse().unwrap(), b"GET /disk HTTP/1.0\r\n\r\n").await;
        assert!(text.ends_with(EMPTY), "{address}: {text}");
    }
}

#[tokio::test]
async fn a_stop_ends_idle_connections_and_frees_the_port() {
    let (Server(tasks), address) = start(Manner::Usual);
    let mut idle = TcpStream::connect(address).await.unwrap();
    answer(&mut idle, "GET /disk HTTP/1.1\r\n\r\n", EMPTY).await;
    assert!(tasks.drain(Duration::from_secs(2)).await);
    assert_eq!(rest(&mut idle).await, "");
    assert!(bind(address).is_ok());
}

/// An authority, in a file, and a certificate of it with its key.
fn issue(authority: &Path, cert: &Path, key: &Path) {
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let issuer = rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate().unwrap()).unwrap();
    let pair = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    fs::write(authority, issuer.pem()).unwrap();
    fs::write(cert, params.signed_by(&pair, &issuer).unwrap().pem()).unwrap();
    fs::write(key, pair.serialize_pem()).unwrap();
}

/// A client that shows a certificate and trusts this authority.
fn client(authority: &Path, cert: &Path, key: &Path) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
    let chain = vec![CertificateDer::from_pem_file(cert).unwrap()];
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap());
    TlsConnector::from(Arc::new(config.unwrap()))
}

#[tokio::test]
async fn who_was_let_in_by_authorities_of_before_is_answered_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let (cert, key) = (path("client.crt"), path("client.key"));
    let files =
        ProbeTls { cert_file: path("crt"), key_file: path("key"), client_ca_file: Some(path("ca.crt")) };
    issue(&path("server-ca.crt"), &files.cert_file, &files.key_file);
    issue(&path("ca.crt"), &cert, &key);
    let tasks = Tasks::new();
    let settings = Settings { tls: Some(files.clone()), ..settings(Manner::Usual) };
    let site = Arc::new(Site::new(settings, Sources::none(), &tasks).unwrap());
    let listener = Arc::new(bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap());
    let address = listener.local_addr().unwrap();
    let accepting = accept(listener, Arc::clone(&site), tasks.stopping(), tasks.clone());
    drop(tasks.spawn("probe", OnEnd::Fine, accepting));

    let stream = TcpStream::connect(address).await.unwrap();
    let name = IpAddr::from([127, 0, 0, 1]).into();
    let mut stream = client(&path("server-ca.crt"), &cert, &key).connect(name, stream).await.unwrap();
    for _ in 0..2 {
        stream.write_all(b"GET /disk HTTP/1.1\r\n\r\n").await.unwrap();
        let mut text = Vec::new();
        while !text.ends_with(EMPTY.as_bytes()) {
            assert!(timeout(LONG, stream.read_buf(&mut text)).await.unwrap().unwrap() > 0);
        }
    }
    issue(&path("ca.crt"), &path("other.crt"), &path("other.key"));
    crate::probe::tls::tests::due(site.certificate.as_ref().unwrap()).await;
    stream.write_all(b"GET /disk HTTP/1.1\r\n\r\n").await.unwrap();
    let mut text = Vec::new();
    // Whether it is said goodbye is no matter.
    let _cut = timeout(LONG, stream.read_to_end(&mut text)).await.unwrap();
    assert!(text.is_empty(), "{}", String::from_utf8_lossy(&text));
    tasks.drain(Duration::from_secs(5)).await;
}
