//! Who asked for what: recorded for every request that would change something.

use std::sync::atomic::Ordering;

use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use crate::web_client::{serve, serve_guarded, until};

const FORM: (&str, &str) = ("Accept", "text/html");
const ANN: (&str, &str) = ("X-Lictor-By", "ann");

#[tokio::test]
async fn what_the_engine_is_asked_for_is_recorded_by_the_engine_and_only_there() {
    let server = serve().await;
    assert_eq!(server.ask("POST", "/v1/runs/r16/retry", &[ANN], "").await.status, 200);
    assert_eq!(server.ask("POST", "/v1/runs/r17/cancel", &[FORM], "").await.status, 303);
    let start = server.ask("POST", "/v1/remedies/none/start", &[("User-Agent", "lictor/0.1.0")], "").await;
    assert_eq!(start.status, 404);
    assert_eq!(
        server.world.acts_of_engine(),
        [
            "ann api 127.0.0.1: POST /v1/runs/r16/retry [] Begun",
            "page page 127.0.0.1: POST /v1/runs/r17/cancel [] Begun",
            "cli cli 127.0.0.1: POST /v1/remedies/none/start [] Begun",
        ]
    );
    assert_eq!(server.world.acts(), [""; 0]);
    // What never comes to it is recorded here.
    assert_eq!(server.ask("POST", "/v1/runs/nonsense/retry", &[ANN], "").await.status, 404);
    assert_eq!(
        server.world.acts(),
        ["ann api 127.0.0.1: POST /v1/runs/nonsense/retry [] Refused no run has the number `nonsense`"]
    );
}

#[tokio::test]
async fn anything_else_is_recorded_before_it_is_done_and_with_what_became_of_it() {
    let server = serve().await;
    let body = json!({"node": "gone", "by": "ann"}).to_string();
    server.post("/v1/alerts/forget", &body).await;
    server.ask("POST", "/v1/alerts/silences", &[FORM], "by=bob&for=never").await;
    server.ask("DELETE", "/v1/state/torrents", &[ANN], "").await;
    let recorded = server.world.acts();
    let [begun, done, begun2, refused2, begun3, refused3] = &recorded[..] else { panic!("{recorded:#?}") };
    let forget = "ann api 127.0.0.1: POST /v1/alerts/forget [{\"by\":\"ann\",\"node\":\"gone\"}]";
    assert_eq!(begun, &format!("{forget} Begun"));
    assert!(done.starts_with(&format!("{forget} Done of 1")), "{done}");
    let silence = "bob page 127.0.0.1: POST /v1/alerts/silences [by=bob&for=never]";
    assert_eq!(begun2, &format!("{silence} Begun"));
    assert!(refused2.starts_with(&format!("{silence} Refused of 3 ")), "{refused2}");
    assert_eq!(begun3, "ann api 127.0.0.1: DELETE /v1/state/torrents [] Begun");
    assert!(refused3.contains("Refused of 5 no state of a monitor `torrents` is kept here"), "{refused3}");
}

#[tokio::test]
async fn who_is_not_let_in_is_recorded_and_their_words_are_not_read() {
    let server = serve_guarded("a-long-token").await;
    let knock = server.ask("POST", "/v1/runs/r16/retry", &[ANN], "by=eve").await;
    assert_eq!(knock.status, 401);
    let foreign = [("Authorization", "Bearer a-long-token"), ("Sec-Fetch-Site", "cross-site")];
    assert_eq!(server.ask("POST", "/v1/runs/r16/retry", &foreign, "").await.status, 403);
    assert_eq!(
        server.world.acts(),
        [
            "ann api 127.0.0.1: POST /v1/runs/r16/retry [] Refused a token is needed",
            "api api 127.0.0.1: POST /v1/runs/r16/retry [] Refused a page of another site must not do this",
        ]
    );
    assert_eq!(server.world.acts_of_engine(), [""; 0]);
    for _ in 0..90 {
        server.post("/v1/runs/r16/retry", "").await;
    }
    assert_eq!(server.world.acts().len(), 60, "who knocks often fills the record");
}

#[tokio::test]
async fn a_wrong_address_that_is_tried_again_and_again_fills_no_record() {
    let server = serve().await;
    for _ in 0..90 {
        assert_eq!(server.post("/v1/alets", "{}").await.status, 404);
        assert_eq!(server.post("/-/healthy", "").await.status, 405);
    }
    let acts = server.world.acts();
    assert_eq!(acts.len(), 60);
    assert!(acts[0].ends_with("POST /v1/alets [{}] Refused there is nothing here"), "{}", acts[0]);
}

#[tokio::test]
async fn reading_and_what_watchers_wait_for_is_no_act() {
    let server = serve().await;
    for path in ["/", "/v1/status", "/v1/audit", "/v1/audit/verify"] {
        assert_eq!(server.get(path).await.status, 200, "{path}");
    }
    assert_eq!(server.post("/v1/heartbeat/backup", "").await.status, 200);
    assert_eq!(server.world.acts(), [""; 0]);
}

#[tokio::test]
async fn people_see_it_on_a_page_of_its_own() {
    let server = serve().await;
    assert!(server.get("/audit").await.body.contains("Nobody has asked for anything."));
    for run in 0..101 {
        server.ask("POST", &format!("/v1/runs/x{run}/retry"), &[ANN], "").await;
    }
    let page = server.get("/audit").await;
    assert_eq!(page.status, 200);
    for part in [
        "<a href=\"/audit\" aria-current=\"page\">Acts</a>",
        "<b>ann</b> <span class=\"dim\">api from 127.0.0.1</span>",
        "<code>POST /v1/runs/x100/retry</code> <span class=\"word warning\">refused</span>",
        "no run has the number `x100`",
        "<a href=\"/audit?before=2\">Older ones</a>",
    ] {
        assert!(page.body.contains(part), "not shown: {part}\n{}", page.body);
    }
    assert!(!page.body.contains("x0/retry"), "more than a hundred are shown");
    let older = server.get("/audit?before=2&fragment").await.body;
    assert!(
        older.contains("x0/retry") && !older.contains("<html") && !older.contains("Older ones"),
        "{older}"
    );
    server.world.unreadable.store(true, Ordering::Relaxed);
    assert_eq!(server.get("/audit").await.status, 503);
}

#[tokio::test]
async fn a_record_that_cannot_be_written_keeps_nobody_from_acting() {
    let server = serve().await;
    server.world.unreadable.store(true, Ordering::Relaxed);
    let body = json!({"node": "gone", "by": "ann"}).to_string();
    assert_eq!(server.post("/v1/alerts/forget", &body).await.status, 200);
    assert_eq!(server.get("/v1/audit").await.error(), "history_unavailable");
}

#[tokio::test]
async fn the_record_can_be_read_from_its_end_and_says_where_it_is_broken() {
    let server = serve().await;
    for run in ["x1", "x2", "x3"] {
        server.ask("POST", &format!("/v1/runs/{run}/retry"), &[ANN], "").await;
    }
    let all = server.get("/v1/audit?limit=2").await.json();
    assert_eq!((all["more"].as_bool(), all["acts"].as_array().unwrap().len()), (Some(true), 2));
    let first = &all["acts"][0];
    assert_eq!(
        (first["number"].as_u64(), first["end"].as_str(), first["by"].as_str()),
        (Some(3), Some("refused"), Some("ann"))
    );
    assert_eq!(server.get("/v1/audit?before=2").await.json()["acts"][0]["what"], "POST /v1/runs/x1/retry");
    assert_eq!(server.get("/v1/audit?from=2").await.error(), "bad_request");
    let broken = server.get("/v1/audit/verify").await.json();
    assert_eq!((broken["whole"].as_bool(), broken["breaks"][0]["number"].as_u64()), (Some(false), Some(3)));
}

#[tokio::test]
async fn a_method_that_nothing_takes_is_recorded_once_and_not_as_begun() {
    let server = serve().await;
    assert_eq!(server.ask("POST", "/v1/status", &[ANN], "{}").await.status, 405);
    assert_eq!(server.ask("DELETE", "/v1/remedies/restart-shop", &[ANN], "").await.status, 405);
    assert_eq!(
        server.world.acts(),
        [
            "ann api 127.0.0.1: POST /v1/status [{}] Refused `/v1/status` does not take POST",
            "ann api 127.0.0.1: DELETE /v1/remedies/restart-shop [] Refused `/v1/remedies/restart-shop` does not take DELETE",
        ]
    );
    assert_eq!(server.ask("PUT", "/v1/state/torrents", &[ANN], "").await.status, 405);
    assert_eq!(server.world.acts().len(), 3);
}

/// An act that is done, and recorded as begun and as done.
const FORGET: &str = r#"{"node":"gone","by":"ann"}"#;

#[tokio::test]
async fn an_act_goes_on_and_is_recorded_when_who_asked_for_it_leaves() {
    let server = serve().await;
    // It is not over when the client leaves.
    server.world.hangs_ms.store(300, Ordering::Relaxed);
    let mut client = server.connect().await;
    let head = "POST /v1/alerts/forget HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json";
    let request = format!("{head}\r\nContent-Length: {}\r\n\r\n{FORGET}", FORGET.len());
    client.write_all(request.as_bytes()).await.unwrap();
    client.flush().await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert_eq!(server.world.acts(), [""; 0], "it has not begun");
    drop(client);
    let acts = until(async || server.world.acts(), |acts| acts.len() == 2).await;
    assert!(acts[0].ends_with(" Begun") && acts[1].contains(" Done of 1"), "{acts:?}");
}

#[tokio::test]
async fn an_entry_that_comes_late_is_missing_only_when_it_cannot_be_recorded_then_either() {
    let server = serve().await;
    let (hangs, broken) = (&server.world.hangs_ms, &server.world.unreadable);
    let forget = async || assert_eq!(server.post("/v1/alerts/forget", FORGET).await.status, 200);
    hangs.store(2_300, Ordering::Relaxed);
    forget().await;
    let late = until(async || server.world.acts(), |acts| acts.len() == 2).await;
    assert!(late[1].contains(" Done"), "{late:?}");
    broken.store(true, Ordering::Relaxed);
    forget().await;
    // The disk gives up on both.
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    hangs.store(0, Ordering::Relaxed);
    broken.store(false, Ordering::Relaxed);
    forget().await;
    let acts = server.world.acts();
    let [.., begun, done] = &acts[..] else { panic!("{acts:?}") };
    assert_eq!(acts.len(), 4, "{acts:?}");
    assert!(begun.ends_with("Begun (2 before it could not be recorded)"), "{begun}");
    assert!(!done.contains("could not"), "{done}");
}
