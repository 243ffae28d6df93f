//! Rude and broken clients: what they take, and what is left for others.

use std::time::Duration;

use lictor_agent::web::Limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

use crate::web_client::{PATIENCE, Server, serve, serve_world, until};
use crate::web_world::{World, bad_day, many, noon};

async fn serve_limited(limits: Limits) -> Server {
    let (view, past) = bad_day(noon());
    serve_world(World::new(view, past), None, &[], limits).await
}

#[tokio::test]
async fn clients_that_say_nothing_do_not_shut_others_out() {
    let server = serve_limited(Limits { connections: 32, ..Limits::default() }).await;
    let mut silent = Vec::new();
    for number in 0..400 {
        let mut stream = server.connect().await;
        if number % 2 == 0 {
            // Half of them begin and do not go on.
            drop(stream.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: loc").await);
        }
        silent.push(stream);
        if number % 50 == 49 {
            let asked = Instant::now();
            assert_eq!(server.get("/-/healthy").await.status, 200);
            assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
        }
    }
    let page = server.get("/metrics").await.body;
    let value = |name: &str| -> u64 {
        page.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().parse().unwrap()
    };
    assert!(value("lictor_http_connections ") <= 32, "{page}");
    assert!(value("lictor_http_connections_evicted_total ") >= 368, "{page}");
}

#[tokio::test]
async fn a_head_that_drips_in_has_a_time_limit() {
    let server = serve_limited(Limits { head: Duration::from_millis(300), ..Limits::default() }).await;
    let mut stream = server.connect().await;
    let drip = async {
        for byte in b"GET /-/healthy HTTP/1.1\r\nX: ".iter().chain(std::iter::repeat(&b'a')) {
            if stream.write_all(&[*byte]).await.is_err() {
                return;
            }
            // The server answers nothing; a read of 0 bytes or an error is its end.
            let mut end = [0; 1_024];
            let read = tokio::time::timeout(Duration::from_millis(50), stream.read(&mut end)).await;
            if let Ok(Ok(0) | Err(_)) = read {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, drip).await.expect("the connection is kept");
}

#[tokio::test]
async fn requests_under_way_are_not_given_up_for_new_ones() {
    let server = serve_limited(Limits { connections: 2, ..Limits::default() }).await;
    server.world.stuck.store(true, std::sync::atomic::Ordering::Relaxed);
    let ask = b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut first = server.connect().await;
    first.write_all(ask).await.unwrap();
    let mut second = server.connect().await;
    second.write_all(ask).await.unwrap();
    // Wait until both are being answered: then a third is closed at once.
    until(
        || async {
            let mut third = server.connect().await;
            let mut end = Vec::new();
            let closed = tokio::time::timeout(Duration::from_millis(200), third.read_to_end(&mut end)).await;
            closed.is_ok() && end.is_empty()
        },
        |closed| *closed,
    )
    .await;
    for stream in [&mut first, &mut second] {
        let mut answer = String::new();
        tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    }
}

#[tokio::test]
async fn a_body_is_bounded_in_size_and_its_absence_noticed() {
    let server = serve().await;
    let fits = "x".repeat(64 * 1024);
    assert_eq!(server.post("/v1/heartbeat/backup", &fits).await.status, 200);
    let large = server.post("/v1/heartbeat/backup", &"x".repeat(64 * 1024 + 1)).await;
    assert_eq!((large.status, large.error().as_str()), (413, "too_large"));
    // 10 GB announced, none of it wanted.
    let huge = b"POST /v1/runs/r16/retry HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 10000000000\r\n\r\nabc";
    let answer = tokio::time::timeout(PATIENCE, server.raw(huge)).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 413"), "{}", String::from_utf8_lossy(&answer));
    // A chunked body that says of itself that it never ends.
    let chunk = format!("{:x}\r\n{}\r\n", 16_384, "y".repeat(16_384));
    let endless = format!(
        "POST /v1/heartbeat/backup HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        chunk.repeat(5)
    );
    let answer = server.raw(endless.as_bytes()).await;
    assert!(answer.starts_with(b"HTTP/1.1 413"), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(server.world.beats().len(), 1);
    assert!(server.world.commands().is_empty());
}

#[tokio::test]
async fn what_is_not_http_is_refused_and_harms_nobody() {
    let server = serve().await;
    let long_line = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(200_000));
    let large = |size: usize| {
        format!(
            "GET /-/healthy HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX: {}\r\n\r\n",
            "x".repeat(size)
        )
    };
    // The last one comes in reads of which none is too large by itself.
    let (just, over, far_over) = (large(63 * 1024), large(65 * 1024), large(100 * 1024));
    let many_headers = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "X-A: b\r\n".repeat(5_000));
    for (bytes, expected) in [
        (&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], "400"),
        (b"\0\0\0\0\r\n\r\n", "400"),
        (b"GET / HTTP/9.9\r\n\r\n", "400"),
        (b"GET / HTTP/1.1\r\nHost localhost\r\n\r\n", "400"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n", "400"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", ""),
        (long_line.as_bytes(), "4"),
        (many_headers.as_bytes(), "431"),
        (over.as_bytes(), "431"),
        (far_over.as_bytes(), "431"),
        (just.as_bytes(), "200"),
    ] {
        let answer = server.raw(bytes).await;
        let shown = String::from_utf8_lossy(&answer[..answer.len().min(200)]).into_owned();
        let status = shown.strip_prefix("HTTP/1.1 ").unwrap_or(&shown);
        assert!(status.starts_with(expected) && !status.starts_with('5'), "{shown}");
    }
    assert_eq!(server.get("/-/healthy").await.status, 200);
}

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let server = serve().await;
    let mut stream = server.connect().await;
    for _ in 0..5 {
        stream.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut answer = [0; 4_096];
        let count = tokio::time::timeout(PATIENCE, stream.read(&mut answer)).await.unwrap().unwrap();
        assert!(answer[..count].starts_with(b"HTTP/1.1 200"));
    }
}

#[tokio::test]
async fn who_does_not_take_its_answer_is_let_go() {
    let limits = Limits { stall: Duration::from_millis(300), ..Limits::default() };
    let server = serve_world(World::new(many(noon(), 10_000), Vec::new()), None, &[], limits).await;
    let mut deaf = server.connect().await;
    // Some 20 MB: more than the buffers of both ends hold.
    let ask = b"GET /v1/checks HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(4);
    deaf.write_all(&ask).await.unwrap();
    until(
        || async { server.get("/metrics").await.body },
        // Only the one that asks is left.
        |page| page.contains("\nlictor_http_connections 1\n"),
    )
    .await;
    drop(deaf);
}

#[tokio::test]
async fn answers_that_nobody_takes_are_bounded() {
    let limits = Limits { answers: 8_000_000, stall: Duration::from_secs(2), ..Limits::default() };
    let server = serve_world(World::new(many(noon(), 10_000), Vec::new()), None, &[], limits).await;
    let mut deaf = Vec::new();
    // Each asks for some 7 MB and takes none of it.
    for _ in 0..4 {
        let mut stream = server.connect().await;
        stream.write_all(b"GET /v1/checks HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        deaf.push(stream);
    }
    let busy = until(|| server.get("/v1/runs"), |answer| answer.status == 503).await;
    assert_eq!(busy.error(), "busy");
    assert_eq!(server.get("/-/healthy").await.status, 200, "probes are answered");
    // They are let go, and there is room again.
    until(|| server.get("/v1/runs"), |answer| answer.status == 200).await;
}

#[tokio::test]
async fn bodies_that_never_arrive_do_not_shut_others_out() {
    let server = serve_limited(Limits { connections: 16, ..Limits::default() }).await;
    let mut slow = Vec::new();
    for _ in 0..100 {
        let mut stream = server.connect().await;
        let head = b"POST /v1/heartbeat/backup HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nx";
        drop(stream.write_all(head).await);
        slow.push(stream);
    }
    let asked = Instant::now();
    assert_eq!(server.get("/-/healthy").await.status, 200);
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    assert!(server.world.beats().is_empty());
}

#[tokio::test]
async fn a_stop_closes_connections_that_wait() {
    let server = serve().await;
    let mut idle = server.connect().await;
    idle.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = [0; 4_096];
    let count = tokio::time::timeout(PATIENCE, idle.read(&mut answer)).await.unwrap().unwrap();
    assert!(answer[..count].starts_with(b"HTTP/1.1 200"));
    assert!(server.tasks.drain(Duration::from_secs(5)).await, "a connection outlives the agent");
    let mut end = Vec::new();
    tokio::time::timeout(PATIENCE, idle.read_to_end(&mut end)).await.unwrap().unwrap();
    assert!(end.is_empty());
}

#[tokio::test]
async fn a_webhook_takes_a_larger_body_but_of_nobody_who_may_not_call() {
    let server = serve().await;
    let fits = "x".repeat(1024 * 1024);
    let taken = server.post("/v1/webhook/backup", &fits).await;
    assert_eq!(
        (taken.status, taken.body.as_str()),
        (200, r#"{"check":"backup","status":"critical","firing":2}"#)
    );
    let large = server.post("/v1/webhook/backup", &format!("{fits}x")).await;
    assert_eq!((large.status, large.error().as_str()), (413, "too_large"));
    let refused = server.post("/v1/webhook/backup", "").await;
    assert_eq!((refused.status, refused.error().as_str()), (400, "bad_request"));
    assert_eq!(server.ask("GET", "/v1/webhook/backup", &[], "").await.status, 405);
    assert_eq!(server.world.said(), [("backup".parse().unwrap(), 1024 * 1024)]);
    // The answer comes though the body never does: none of it is waited for.
    let unknown = b"POST /v1/webhook/jobs/nightly HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 1000000\r\n\r\n";
    let answer = tokio::time::timeout(PATIENCE / 3, server.raw(unknown)).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 401"), "{}", String::from_utf8_lossy(&answer));
}
