//! TCP watchers at real ports.
#![cfg(test)]

use std::time::Duration;

use lictor_config::{Family, Tcp, Watch, WatchKind};
use lictor_core::Status;
use regex::Regex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::watch_rig::{LONG, Rig, SHORT, hold, number, watch};

fn tcp(port: u16) -> Tcp {
    Tcp {
        host: "127.0.0.1".into(),
        port,
        family: Family::Any,
        send: None,
        expect: None,
        warn_slower: None,
        tls: None,
    }
}

fn expecting(port: u16, send: &str, expect: &str) -> Tcp {
    Tcp { send: Some(send.into()), expect: Some(Regex::new(expect).unwrap()), ..tcp(port) }
}

fn of(tcp: Tcp) -> Watch {
    watch(WatchKind::Tcp(tcp), LONG)
}

fn short(tcp: Tcp) -> Watch {
    watch(WatchKind::Tcp(tcp), SHORT)
}

#[tokio::test]
async fn a_port_that_accepts_passes() {
    let rig = Rig::new();
    let port = rig.serve(|_stream| async {}).await.port();
    let sample = rig.sample(&of(tcp(port))).await;
    assert_eq!(sample.status, Status::Passing);
    assert!(sample.summary.starts_with(&format!("127.0.0.1:{port} accepted in ")), "{}", sample.summary);
    assert!(number(&sample, "connect_seconds").unwrap() <= number(&sample, "total_seconds").unwrap());
}

#[tokio::test]
async fn a_port_that_refuses_is_critical() {
    let rig = Rig::new();
    let port = lictor_testkit::ports::free();
    let found = rig.see(&of(tcp(port))).await;
    assert_eq!(found, format!("critical: cannot connect to 127.0.0.1:{port}: connection refused"));
}

#[tokio::test]
async fn a_port_that_does_not_take_the_connection_is_left_at_the_time_limit() {
    let rig = Rig::new();
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    // Nobody takes connections out of the queue, and it is full after a few.
    let mut queued = Vec::new();
    while let Ok(Ok(stream)) = tokio::time::timeout(SHORT, TcpStream::connect(address)).await {
        queued.push(stream);
    }
    let found = rig.see(&short(tcp(address.port()))).await;
    assert_eq!(found, format!("critical: connect to {address} took longer than 300ms"));
}

#[tokio::test]
async fn the_expected_answer_may_come_in_pieces() {
    let rig = Rig::new();
    let port = rig
        .serve(|mut stream| async move {
            let mut asked = [0; 4];
            stream.read_exact(&mut asked).await.unwrap();
            assert_eq!(&asked, b"PING");
            for piece in ["+PO", "NG", " and more"] {
                stream.write_all(piece.as_bytes()).await.unwrap();
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            tokio::time::sleep(LONG).await;
        })
        .await
        .port();
    let sample = rig.sample(&of(expecting(port, "PING", r"^\+PONG"))).await;
    assert_eq!(sample.status, Status::Passing, "{}", sample.summary);
    assert!(number(&sample, "first_byte_seconds").is_some());
}

#[tokio::test]
async fn another_answer_is_shown() {
    let rig = Rig::new();
    let port = rig
        .serve(|mut stream| async move {
            stream.write_all(b"-NO\xff\r\n").await.unwrap();
            stream.shutdown().await.unwrap();
            stream.read_to_end(&mut Vec::new()).await.ok();
        })
        .await
        .port();
    let found = rig.see(&of(expecting(port, "PING", r"^\+PONG"))).await;
    assert_eq!(found, format!("critical: 127.0.0.1:{port} answered `-NO\u{fffd}`, wanted /^\\+PONG/"));
}

#[tokio::test]
async fn silence_is_not_the_expected_answer() {
    let rig = Rig::new();
    let port = rig.serve(hold).await.port();
    let found = rig.see(&short(expecting(port, "PING", "PONG"))).await;
    assert_eq!(found, format!("critical: the answer of 127.0.0.1:{port} took longer than 300ms"));

    let port = rig
        .serve(|mut stream| async move {
            stream.write_all(b"loading\n").await.unwrap();
            std::future::pending::<()>().await;
        })
        .await
        .port();
    let found = rig.see(&short(expecting(port, "PING", "PONG"))).await;
    assert!(found.starts_with("critical: waiting for /PONG/ after `loading` took longer than "), "{found}");

    let port = rig
        .serve(|mut stream| async move {
            stream.read_exact(&mut [0; 4]).await.unwrap();
        })
        .await
        .port();
    let found = rig.see(&of(expecting(port, "PING", "PONG"))).await;
    assert_eq!(found, format!("critical: 127.0.0.1:{port} closed the connection without an answer"));
}

#[tokio::test]
async fn an_endless_answer_is_read_to_a_limit() {
    let rig = Rig::new();
    let port = rig
        .serve(|mut stream| async move { while stream.write_all(&[b'x'; 4_096]).await.is_ok() {} })
        .await
        .port();
    let found = rig.see(&of(expecting(port, "", "PONG"))).await;
    let wanted = format!("critical: 127.0.0.1:{port} answered `{}`, wanted /PONG/", "x".repeat(80));
    assert_eq!(found, wanted);
}

#[tokio::test]
async fn slower_than_wanted_is_a_warning() {
    let rig = Rig::new();
    let port = rig.serve(|_stream| async {}).await.port();
    let found = rig.see(&of(Tcp { warn_slower: Some(Duration::ZERO), ..tcp(port) })).await;
    assert!(found.starts_with(&format!("warning: 127.0.0.1:{port} took ")), "{found}");
}

#[tokio::test]
async fn the_wanted_family_is_used() {
    let rig = Rig::new();
    let port = rig.serve_on("127.0.0.1:0", |_stream| async {}).await.port();
    let named = |family| of(Tcp { host: "localhost".into(), family, ..tcp(port) });
    let sample = rig.sample(&named(Family::V4)).await;
    assert_eq!(sample.status, Status::Passing, "{}", sample.summary);
    assert!(number(&sample, "dns_seconds").is_some());
    // Nothing listens there over IPv6, if localhost has such an address at all.
    let found = rig.see(&named(Family::V6)).await;
    assert!(found.starts_with("critical: "), "{found}");
    let found = rig.see(&named(Family::Any)).await;
    assert!(found.starts_with("passing: "), "{found}");
}
