//! HTTP actions against real servers on loopback, well-behaved and not.
#![cfg(test)]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use lictor_config::{Action, HttpAction, Secret, Tls};
use lictor_core::{Effect, Outcome};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use crate::act_bench::{Bench, LONG, done, failed, order, unknown};

const SECRET: &str = "correct-horse-battery";

/// What a server was asked.
type Asked = Arc<Mutex<Vec<(Method, HeaderMap, Bytes)>>>;

/// A server that keeps what it is asked.
struct Server {
    address: SocketAddr,
    asked: Asked,
    _running: JoinSet<()>,
}

impl Server {
    async fn start() -> Self {
        let asked = Asked::default();
        let routes = Router::new()
            .route("/ok", any(|| async { "all is well" }))
            .route("/accepted", any(|| async { (StatusCode::ACCEPTED, "queued") }))
            .route("/moved", any(|| async { (StatusCode::FOUND, [("location", "/ok")]) }))
            .route("/missing", any(|| async { (StatusCode::NOT_FOUND, "no such thing") }))
            .route("/broken", any(|| async { (StatusCode::INTERNAL_SERVER_ERROR, "oops") }))
            .route("/never", any(std::future::pending::<()>))
            .route("/soon", any(soon))
            .route("/parrot", any(|| async { format!("your token {SECRET} is\x1b[2J bad") }))
            .route("/huge", any(huge))
            .layer(axum::middleware::from_fn_with_state(Arc::clone(&asked), keep));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut running = JoinSet::new();
        running.spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { address, asked, _running: running }
    }

    fn action(&self, path: &str) -> HttpAction {
        action(&format!("http://{}{path}", self.address))
    }

    fn asked(&self) -> Vec<(Method, HeaderMap, Bytes)> {
        self.asked.lock().unwrap().clone()
    }
}

async fn keep(
    State(asked): State<Asked>,
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> Response {
    let (parts, body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    asked.lock().unwrap().push((parts.method.clone(), parts.headers.clone(), bytes.clone()));
    next.run(axum::extract::Request::from_parts(parts, Body::from(bytes))).await
}

/// An answer that takes a while.
async fn soon() -> &'static str {
    tokio::time::sleep(Duration::from_secs(1)).await;
    "in the end"
}

/// A body without an end.
async fn huge() -> Response {
    let chunk = Bytes::from(vec![b'x'; 64 * 1024]);
    let chunks = futures::stream::repeat_with(move || Ok::<_, Infallible>(chunk.clone()));
    Body::from_stream(chunks).into_response()
}

fn action(url: &str) -> HttpAction {
    HttpAction {
        url: url.parse().unwrap(),
        method: "POST".to_owned(),
        headers: Vec::new(),
        body: None,
        basic_auth: None,
        bearer: None,
        status: vec![(200, 200), (204, 204)],
        tls: Tls::default(),
    }
}

async fn send(action: HttpAction, limit: Duration) -> Outcome {
    Bench::new(Action::Http(Box::new(action))).act(&order(), limit).await
}

#[tokio::test]
async fn an_expected_status_is_done() {
    let server = Server::start().await;
    let outcome = send(server.action("/ok"), LONG).await;
    let detail = done(&outcome);
    assert!(detail.starts_with("status 200 OK after ") && detail.ends_with(" s\nall is well"), "{detail}");
    let also = HttpAction { status: vec![(400, 404)], ..server.action("/missing") };
    done(&send(also, LONG).await);
}

#[tokio::test]
async fn a_refusal_is_failed_and_what_may_have_happened_is_unknown() {
    let server = Server::start().await;
    assert!(failed(&send(server.action("/missing"), LONG).await).contains("404 Not Found"));
    assert!(unknown(&send(server.action("/broken"), LONG).await).contains("500 Internal Server Error"));
    assert!(unknown(&send(server.action("/accepted"), LONG).await).contains("202 Accepted"));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let server = Server::start().await;
    assert!(failed(&send(server.action("/moved"), LONG).await).contains("302 Found"));
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn the_request_carries_its_identity_and_what_was_configured() {
    let server = Server::start().await;
    let action = HttpAction {
        method: "PUT".to_owned(),
        headers: vec![
            ("X-Key".to_owned(), Secret::value("one")),
            ("Idempotency-Key".to_owned(), Secret::value("forged")),
        ],
        body: Some("the body".to_owned()),
        basic_auth: Some(("user".to_owned(), Secret::value("pass"))),
        ..server.action("/ok")
    };
    done(&send(action, LONG).await);
    let bearer = HttpAction { bearer: Some(Secret::value("token")), ..server.action("/ok") };
    done(&send(bearer, LONG).await);

    let asked = server.asked();
    let (method, headers, body) = &asked[0];
    let header =
        |name: &str| headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>();
    assert_eq!((method, &body[..]), (&Method::PUT, &b"the body"[..]));
    assert_eq!(header("idempotency-key"), ["node1.lineage/r1/step/1"]);
    assert_eq!(header("x-lictor-step"), ["node1.lineage/r1/step/1"]);
    assert_eq!(header("x-key"), ["one"]);
    assert_eq!(header("authorization"), ["Basic dXNlcjpwYXNz"]);
    assert_eq!(asked[1].1["authorization"], "Bearer token");
}

#[tokio::test]
async fn no_answer_in_time_is_unknown() {
    let server = Server::start().await;
    let outcome = send(server.action("/never"), Duration::from_millis(300)).await;
    assert_eq!(unknown(&outcome), "no answer within 0.3 s");
    assert_eq!(server.asked().len(), 1, "it was sent");
}

#[tokio::test]
async fn a_connection_that_breaks_after_it_was_made_is_unknown() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 64];
        assert!(stream.read(&mut head).await.unwrap() > 0);
        stream.set_zero_linger().unwrap();
    };
    let (outcome, ()) = tokio::join!(send(action(&url), LONG), server);
    assert!(unknown(&outcome).starts_with("it was sent, then: "), "{outcome:?}");
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_unknown() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 4_096];
        assert!(stream.read(&mut head).await.unwrap() > 0);
        stream.write_all(b"220 mail.example ESMTP\r\n").await.unwrap();
    };
    let (outcome, ()) = tokio::join!(send(action(&url), LONG), server);
    assert!(unknown(&outcome).starts_with("it was sent, then: "), "{outcome:?}");
}

#[tokio::test]
async fn what_cannot_be_connected_to_was_certainly_not_done() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let outcome = send(action(&format!("http://{free}/")), LONG).await;
    let detail = failed(&outcome);
    assert!(detail.starts_with("was never sent: ") && detail.contains("refused"), "{detail}");
    // A label has at most 63 characters, so that nobody has to be asked.
    let outcome = send(action(&format!("http://{}.invalid/", "x".repeat(64))), LONG).await;
    assert!(failed(&outcome).starts_with("was never sent: "), "{outcome:?}");
}

#[tokio::test]
async fn a_tls_handshake_that_does_not_end_was_certainly_not_a_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let silent = async {
        let (_open, _) = listener.accept().await.unwrap();
        std::future::pending::<()>().await;
    };
    let outcome = tokio::select! {
        outcome = send(action(&url), Duration::from_secs(4)) => outcome,
        () = silent => unreachable!(),
    };
    assert!(failed(&outcome).starts_with("was never sent: "), "{outcome:?}");
}

#[tokio::test]
async fn a_body_without_end_is_cut() {
    let server = Server::start().await;
    let begun = Instant::now();
    let outcome = send(server.action("/huge"), LONG).await;
    let (_, body) = done(&outcome).split_once('\n').unwrap();
    assert!(body.starts_with("xxx") && (1_000..=1_024).contains(&body.len()), "{}", body.len());
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn a_body_that_shows_a_secret_or_plays_tricks_is_made_harmless() {
    let server = Server::start().await;
    let action = HttpAction { bearer: Some(Secret::value(SECRET)), ..server.action("/parrot") };
    let outcome = send(action, LONG).await;
    assert!(done(&outcome).ends_with("\nyour token *** is\\u{1b}[2J bad"), "{outcome:?}");
}

#[tokio::test]
async fn what_cannot_be_a_request_is_not_sent() {
    let server = Server::start().await;
    let wrong = [
        HttpAction { method: "NOT OK".to_owned(), ..server.action("/ok") },
        HttpAction { headers: vec![("a b".to_owned(), Secret::value("x"))], ..server.action("/ok") },
        HttpAction { headers: vec![("a".to_owned(), Secret::value("x\ny"))], ..server.action("/ok") },
        HttpAction { bearer: Some(Secret::file("/nonexistent/token")), ..server.action("/ok") },
        HttpAction {
            tls: Tls { ca_file: Some("/nonexistent/ca".into()), ..Tls::default() },
            ..server.action("/ok")
        },
    ];
    for action in wrong {
        let outcome = send(action, LONG).await;
        assert!(failed(&outcome).starts_with("was never sent: "), "{outcome:?}");
    }
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn a_request_cannot_be_looked_at_afterwards_and_can_be_given_up() {
    let server = Server::start().await;
    let mut bench = Bench::new(Action::Http(Box::new(server.action("/never"))));
    let outcome = bench.inspect(&order(), LONG).await;
    assert!(unknown(&outcome).starts_with("HTTP cannot be looked at"), "{outcome:?}");
    bench.actors.run(Effect::Act(order()), LONG);
    crate::act_bench::eventually("the request arrives", || !server.asked().is_empty()).await;
    bench.actors.run(Effect::Abort(order()), LONG);
    assert!(unknown(&bench.outcome(&order()).await).starts_with("given up on request"));
}

#[tokio::test]
async fn an_answer_that_comes_soon_after_the_stop_is_reported_and_a_later_one_is_not() {
    let server = Server::start().await;
    let mut bench = Bench::new(Action::Http(Box::new(server.action("/soon"))));
    bench.actors.run(Effect::Act(order()), LONG);
    crate::act_bench::eventually("the request arrives", || !server.asked().is_empty()).await;
    bench.stop().await;
    assert!(done(&bench.outcome(&order()).await).ends_with("\nin the end"));

    let mut bench = Bench::new(Action::Http(Box::new(server.action("/never"))));
    bench.actors.run(Effect::Act(order()), LONG);
    crate::act_bench::eventually("the request arrives", || server.asked().len() == 2).await;
    bench.stop().await;
    assert!(bench.is_quiet());
}

#[tokio::test]
async fn a_server_is_held_to_the_certificate_and_name_that_were_configured() {
    let key = rcgen::generate_simple_self_signed(vec!["shop.example".to_owned()]).unwrap();
    let pem = key.cert.pem();
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, &pem).unwrap();

    let certificate = key.cert.der().clone();
    let private = rustls_pki_types::PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], private)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let heads = Arc::new(Mutex::new(Vec::new()));
    let mut running = JoinSet::new();
    let kept = Arc::clone(&heads);
    running.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            if let Some(head) = serve_once(&acceptor, stream).await {
                kept.lock().unwrap().push(head);
            }
        }
    });

    let with = |tls: Tls| HttpAction { tls, ..action(&format!("https://{address}/")) };
    let ca_file = Some(ca);
    let named = Some("shop.example".to_owned());
    let right = with(Tls { ca_file: ca_file.clone(), server_name: named, ..Tls::default() });
    done(&send(right, LONG).await);
    let any = with(Tls { insecure: true, ..Tls::default() });
    done(&send(any, LONG).await);
    let wrong_name = with(Tls { ca_file, ..Tls::default() });
    assert!(failed(&send(wrong_name, LONG).await).starts_with("was never sent: "));
    let wrong_ca = with(Tls { server_name: Some("shop.example".to_owned()), ..Tls::default() });
    assert!(failed(&send(wrong_ca, LONG).await).starts_with("was never sent: "));

    let heads = heads.lock().unwrap().clone();
    assert_eq!(heads.len(), 2, "{heads:?}");
    assert!(heads[0].to_lowercase().contains(&format!("host: {address}")), "{}", heads[0]);
}

/// Answers one request over TLS and gives its head; `None` when the handshake fails.
async fn serve_once(acceptor: &TlsAcceptor, stream: TcpStream) -> Option<String> {
    let mut stream = acceptor.accept(stream).await.ok()?;
    let mut head = vec![0; 4_096];
    let count = stream.read(&mut head).await.ok()?;
    head.truncate(count);
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.ok()?;
    stream.shutdown().await.ok()?;
    String::from_utf8(head).ok()
}
