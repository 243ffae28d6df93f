//! Server-sent events: resumed, caught up, bounded.

use std::time::Duration;

use lictor_agent::web::Limits;
use lictor_core::{Event, RunId, What};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use crate::web_client::{Follower, Server, serve, serve_world, until};
use crate::web_world::{World, bad_day, name, noon};

fn event(run: Option<u64>, command: &str) -> Event {
    Event {
        at: noon(),
        incident: None,
        run: run.map(RunId),
        what: What::Commanded { command: command.into() },
    }
}

#[tokio::test]
async fn a_follower_hears_of_what_happens_next() {
    let server = serve().await;
    let mut follower = Follower::connect(&server, "/v1/events/stream", &[]).await;
    let seq = server.world.append(event(Some(17), "retry r17"));
    let (number, data) = follower.next().await.unwrap();
    assert_eq!(number, seq);
    assert_eq!(
        data,
        json!({
            "seq": 27, "at": "2026-11-21T03:04:05.000Z", "kind": "commanded", "text": "asked for: retry r17",
            "run": "r17", "why": "retry r17",
        })
    );
}

#[tokio::test]
async fn the_list_is_a_stream_for_who_asks_so() {
    let server = serve().await;
    let accept = ("Accept", "text/event-stream");
    let mut follower = Follower::connect(&server, "/v1/events?after=24", &[accept]).await;
    assert_eq!(follower.numbers(2).await, [25, 26]);
    server.world.append(event(None, "x"));
    assert_eq!(follower.numbers(1).await, [27]);
}

#[tokio::test]
async fn a_follower_resumes_where_it_stood() {
    let server = serve().await;
    let mut follower = Follower::connect(&server, "/v1/events/stream?after=20", &[]).await;
    assert_eq!(follower.numbers(3).await, [21, 22, 23]);
    drop(follower);
    // What happens meanwhile is more than the publisher keeps.
    for _ in 0..100 {
        server.world.append(event(None, "meanwhile"));
    }
    // A browser sends the last number it has, and the same address as before.
    let last = [("Last-Event-ID", "23")];
    let mut again = Follower::connect(&server, "/v1/events/stream?after=20", &last).await;
    server.world.append(event(None, "after"));
    assert_eq!(again.numbers(104).await, (24..=127).collect::<Vec<_>>());

    let refused = server.ask("GET", "/v1/events/stream", &[("Last-Event-ID", "x")], "").await;
    assert_eq!(refused.error(), "bad_request");
}

#[tokio::test]
async fn a_follower_that_reads_slowly_misses_nothing() {
    let server = serve().await;
    let mut follower = Follower::connect(&server, "/v1/events/stream", &[]).await;
    // Far more than socket buffers and the publisher hold: it falls behind.
    let long = "x".repeat(4_000);
    let total = 1_000;
    for _ in 0..total {
        server.world.append(event(None, &long));
    }
    assert_eq!(follower.numbers(total).await, (27..27 + total as u64).collect::<Vec<_>>());
    server.world.append(event(None, "and on"));
    assert_eq!(follower.numbers(1).await, [27 + total as u64]);
}

#[tokio::test]
async fn a_follower_gets_only_what_it_asked_for() {
    let server = serve().await;
    let path = "/v1/events/stream?after=0&run=17&kind=intent,step_done";
    let mut follower = Follower::connect(&server, path, &[]).await;
    assert_eq!(follower.numbers(3).await, [18, 21, 23]);
    server.world.append(Event { run: Some(RunId(17)), ..event(None, "not this") });
    let what = What::StepDone { step: name("settle") };
    let wanted = server.world.append(Event { run: Some(RunId(17)), ..Event { what, ..event(None, "") } });
    assert_eq!(follower.numbers(1).await, [wanted]);
}

async fn serve_streams(streams: usize, stall: Duration) -> Server {
    let (view, past) = bad_day(noon());
    let limits = Limits { streams, stall, ..Limits::default() };
    serve_world(World::new(view, past), None, &[], limits).await
}

#[tokio::test]
async fn followers_are_bounded_in_number_and_leave_their_place() {
    let server = serve_streams(2, Duration::from_secs(30)).await;
    let first = Follower::connect(&server, "/v1/events/stream", &[]).await;
    let _second = Follower::connect(&server, "/v1/events/stream", &[]).await;
    let refused = server.get("/v1/events/stream").await;
    assert_eq!((refused.status, refused.error().as_str()), (503, "too_many_streams"));
    assert_eq!(server.get("/v1/events").await.status, 200, "the list is not the stream");
    assert!(server.get("/metrics").await.body.contains("\nlictor_http_streams 2\n"));
    drop(first);
    until(|| async { server.get("/metrics").await.body }, |page| page.contains("\nlictor_http_streams 1\n"))
        .await;
    Follower::connect(&server, "/v1/events/stream", &[]).await;
}

#[tokio::test]
async fn a_follower_that_reads_nothing_is_let_go() {
    let server = serve_streams(1, Duration::from_millis(300)).await;
    let mut deaf = server.connect().await;
    deaf.write_all(b"GET /v1/events/stream HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    // Its place is taken once the stream has begun.
    until(|| server.get("/v1/events/stream"), |answer| answer.status == 503).await;
    let long = "x".repeat(64_000);
    for _ in 0..300 {
        server.world.append(event(None, &long));
    }
    until(|| async { server.get("/metrics").await.body }, |page| page.contains("\nlictor_http_streams 0\n"))
        .await;
    drop(deaf);
}

#[tokio::test]
async fn streams_end_when_the_agent_stops() {
    let server = serve().await;
    let mut follower = Follower::connect(&server, "/v1/events/stream", &[]).await;
    assert!(server.tasks.drain(Duration::from_secs(5)).await, "a connection outlives the agent");
    assert!(follower.next().await.is_none());
}
