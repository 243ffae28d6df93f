//! What is copied between datacenters and the snapshots of Consul, on the page: what is shown, and what its buttons do.

use std::sync::Arc;

use lictor_agent::replicate::{CopyState, Phase, Would};
use lictor_agent::snapshot::{DrillState, SnapshotPhase, SnapshotState};
use lictor_agent::web::Limits;
use lictor_core::Status;
use lictor_core::replicate::Hold;

use crate::web_client::{Answer, Server, serve_world};
use crate::web_copying::{block, copied, copy, held, holding, taken};
use crate::web_world::{HOSTILE, World, before, check, empty, name, noon};

async fn copying(state: CopyState) -> Server {
    let world = World::new(empty(noon()), Vec::new());
    world.copies.set(vec![copy(state)]);
    serve_world(world, None, &[], Limits::default()).await
}

async fn taking(state: SnapshotState) -> Server {
    let world = World::new(empty(noon()), Vec::new());
    world.snapshots.set(vec![block(state)]);
    serve_world(world, None, &[], Limits::default()).await
}

#[track_caller]
fn shows(answer: &Answer, parts: &[&str]) {
    assert_eq!(answer.status, 200, "{answer:?}");
    for part in parts {
        assert!(answer.body.contains(part), "not shown: {part}\n{}", answer.body);
    }
}

/// Sends what a form of the page sends.
async fn press(server: &Server, path: &str, body: &str) -> Answer {
    let host = server.address.to_string();
    let origin = format!("http://{host}");
    let form = [
        ("Host", host.as_str()),
        ("Origin", origin.as_str()),
        ("Accept", "text/html,application/xhtml+xml"),
        ("Content-Type", "application/x-www-form-urlencoded"),
    ];
    server.ask("POST", path, &form, body).await
}

#[tokio::test]
async fn a_copy_says_how_far_it_is_on_the_overview_and_on_its_page() {
    let server = copying(copied()).await;
    for path in ["/", "/fragment", "/replication", "/replication?fragment"] {
        let page = server.get(path).await;
        let said = [
            "<li class=\"passing\">",
            "g/@dc1:copy/</span> to dc2 <span class=\"word passing\">following</span>",
            "Behind: none; all was as it should be",
            ">1m 30s ago</time>. 12,000 of 12,000 keys there; 31 written and 2 deleted",
        ];
        shows(&page, &said);
        assert!(!page.body.contains("/approve"), "nothing waits for a person");
    }
    let behind = CopyState { behind: Some(before(noon(), 4).boot), pending: 7, ..copied() };
    shows(&copying(behind).await.get("/replication").await, &["Behind: 4s, 7 keys to write;"]);
}

#[tokio::test]
async fn what_fails_is_refused_or_is_not_known_is_told_from_what_is_well() {
    let failing = CopyState { behind: Some(before(noon(), 60).boot), ..copied() };
    let failing = CopyState { phase: Phase::Failing("no way".into()), ..failing };
    let page = copying(failing).await.get("/replication").await;
    shows(&page, &["data-tone=\"bad\"", "<li class=\"critical\">", "it is not copied: no way", "Behind: 1m"]);
    let page = copying(CopyState::default()).await.get("/replication").await;
    shows(&page, &["data-tone=\"warn\"", "<li class=\"unknown\">", "Behind: not known yet"]);
    let refused = CopyState { refused: (1, vec![("g/x".into(), "too large".into())]), ..copied() };
    let page = copying(refused).await.get("/replication").await;
    shows(&page, &["<li class=\"warning\">", "<span class=\"key\">g/x</span> <span class=\"dim\">too large"]);
    let standby = CopyState { phase: Phase::Standby("node2 copies".into()), held: None, ..copied() };
    let page = copying(standby).await.get("/replication").await;
    shows(&page, &["node2 copies", "Behind: another node knows"]);
}

/// How the top of the page is coloured, and what it says.
pub(crate) async fn top(server: Server) -> (String, String, String) {
    let page = server.get("/").await.body;
    let (_, rest) = page.split_once("<section class=\"hero ").unwrap();
    let tone = rest.split_once('"').unwrap().0.to_owned();
    let (_, rest) = rest.split_once("<h1 id=\"headline\">").unwrap();
    let (headline, rest) = rest.split_once("</h1>").unwrap();
    let (_, rest) = rest.split_once("<p>").unwrap();
    (tone, headline.to_owned(), rest.split_once("</p>").unwrap().0.to_owned())
}

#[tokio::test]
async fn the_top_says_what_is_wrong_besides_checks_that_all_pass() {
    let of = async |state| {
        let mut view = empty(noon());
        view.checks.insert(name("shop"), check(noon(), Status::Passing, 90, "said"));
        let world = World::new(view, Vec::new());
        world.copies.set(vec![copy(state)]);
        top(serve_world(world, None, &[], Limits::default()).await).await
    };
    let passes = "The one check passes".to_owned();
    let steady = "Nothing has changed for 1m 30s.";
    assert_eq!(of(copied()).await, ("good".to_owned(), passes.clone(), steady.to_owned()));
    assert_eq!(
        of(holding()).await,
        ("warn".to_owned(), passes, format!("{steady} Not all is well with the copies."))
    );
}

#[tokio::test]
async fn a_node_without_checks_says_at_the_top_whether_all_is_well_with_what_it_copies() {
    let headline = async |server: Server| {
        let (tone, headline, _) = top(server).await;
        format!("{tone}: {headline}")
    };
    assert_eq!(headline(copying(copied()).await).await, "good: All is well with the copies");
    assert_eq!(headline(copying(holding()).await).await, "warn: Not all is well with the copies");
    assert_eq!(
        headline(copying(CopyState::default()).await).await,
        "note: Not all is known yet of the copies"
    );
    assert_eq!(headline(taking(taken()).await).await, "good: All is well with the snapshots");
}

#[tokio::test]
async fn a_copy_with_more_than_its_source_says_both_numbers() {
    let state = CopyState { copies: 12_040, ..copied() };
    shows(&copying(state).await.get("/replication").await, &["12,040 keys there, 12,000 at the source; 31"]);
}

#[tokio::test]
async fn a_dry_run_says_what_it_would_do() {
    let mut view = copy(CopyState { would: Would { write: 3, delete: 1 }, ..copied() });
    let mut config = (*view.config).clone();
    config.dry_run = true;
    view.config = Arc::new(config);
    let server = copying(copied()).await;
    server.world.copies.set(vec![view]);
    let page = server.get("/replication").await;
    shows(&page, &["<span class=\"tag\">dry run</span>", "It would write 3 keys and delete 1 key."]);
}

#[tokio::test]
async fn deletes_that_are_held_back_are_let_go_or_kept_by_a_button() {
    let server = copying(holding()).await;
    shows(
        &server.get("/replication").await,
        &[
            "1,812 deletes are held back for 5m: 1812 of 12000 keys are more than 10 %",
            "<li class=\"key\">copy/a</li><li class=\"key\">copy/b</li><li class=\"dim\">and 1,810 more</li>",
            "action=\"/v1/replicate/shop/approve\"><input type=\"hidden\" name=\"id\" value=\"5c0de1f7\">",
            "action=\"/v1/replicate/shop/discard\"",
        ],
    );
    for (verb, approves) in [("approve", true), ("discard", false)] {
        let done = press(&server, &format!("/v1/replicate/shop/{verb}"), "id=5c0de1f7").await;
        assert_eq!((done.status, done.header("location")), (303, Some("/replication")));
        let said = server.world.copies.said.lock().unwrap().pop();
        assert_eq!(said, Some(("shop".to_owned(), "5c0de1f7".to_owned(), approves)));
    }
    let gone = press(&server, "/v1/replicate/shop/approve", "id=other").await;
    assert_eq!(gone.status, 409);
    assert!(
        gone.body.contains("<html") && gone.body.contains("it may have changed meanwhile"),
        "{}",
        gone.body
    );
    let program = server.post("/v1/replicate/shop/approve", r#"{"id": "5c0de1f7"}"#).await;
    assert_eq!(program.status, 200);
    assert!(program.json()["message"].as_str().unwrap().starts_with("what was held back of shop"));
}

#[tokio::test]
async fn a_page_of_another_site_lets_no_deletes_go_and_takes_nothing() {
    let copies = copying(holding()).await;
    let snapshots = taking(taken()).await;
    for headers in [("Origin", "https://evil.example"), ("Sec-Fetch-Site", "cross-site")] {
        let form = [headers, ("Accept", "text/html"), ("Content-Type", "application/x-www-form-urlencoded")];
        let answer = copies.ask("POST", "/v1/replicate/shop/approve", &form, "id=5c0de1f7").await;
        assert_eq!(answer.status, 403);
        assert_eq!(snapshots.ask("POST", "/v1/snapshots/consul/take", &form, "").await.status, 403);
    }
    assert!(copies.world.copies.said.lock().unwrap().is_empty());
    assert!(snapshots.world.snapshots.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn only_the_node_that_copies_has_buttons() {
    let standby = CopyState { phase: Phase::Standby("node2 copies".into()), ..holding() };
    let page = copying(standby).await.get("/replication").await;
    shows(&page, &["1,812 deletes are held back"]);
    assert!(!page.body.contains("method=\"post\""), "{}", page.body);
    let standby = SnapshotState { phase: SnapshotPhase::Standby("node2 takes them".into()), ..taken() };
    let page = taking(standby).await.get("/snapshots").await;
    shows(&page, &["standby</span> <span class=\"dim\">node2 takes them"]);
    assert!(!page.body.contains("method=\"post\""), "{}", page.body);
}

#[tokio::test]
async fn snapshots_say_their_age_their_places_and_their_last_drill() {
    let server = taking(taken()).await;
    for path in ["/", "/snapshots", "/snapshots?fragment"] {
        shows(
            &server.get(path).await,
            &[
                "<b>consul</b> <span class=\"word passing\">waiting</span>",
                ">10m ago</time> <span class=\"dim\">(consul-1.snap, 3.0 MiB, index 4711, taken by node1)",
                ">in 50m</time>",
                "nas <span class=\"key\">/b</span> <span class=\"dim\">24 snapshots, 72.0 MiB, the newest of",
                ">1h ago</time>: the newest snapshot could be restored",
                "action=\"/v1/snapshots/consul/take\"",
                "action=\"/v1/snapshots/consul/drill\"",
            ],
        );
    }
    let drill = DrillState { failed: Some("no leader".into()), ..taken().drill.unwrap() };
    let page = taking(SnapshotState { drill: Some(drill), ..taken() }).await.get("/snapshots").await;
    shows(
        &page,
        &["data-tone=\"bad\"", "<p class=\"critical\">", "consul-0.snap could not be restored: no leader"],
    );
    let page = taking(SnapshotState::default()).await.get("/snapshots").await;
    shows(&page, &["<li class=\"unknown\">", "None is known to have been taken.", "None was tried yet."]);
}

#[tokio::test]
async fn one_is_taken_or_tried_by_a_button() {
    let server = taking(taken()).await;
    for verb in ["take", "drill"] {
        let done = press(&server, &format!("/v1/snapshots/consul/{verb}"), "").await;
        assert_eq!((done.status, done.header("location")), (303, Some("/snapshots")));
    }
    assert_eq!(*server.world.snapshots.asked.lock().unwrap(), ["take consul", "drill consul"]);
    let missing = press(&server, "/v1/snapshots/other/take", "").await;
    assert!(missing.status == 404 && missing.body.contains("<html"), "{missing:?}");
    let program = server.post("/v1/snapshots/consul/take", "").await;
    assert_eq!((program.status, &program.json()["message"]), (200, &"take: done".into()));
}

#[tokio::test]
async fn names_of_keys_and_reasons_are_shown_and_not_run() {
    let copies = copying(CopyState {
        phase: Phase::Failing(HOSTILE.into()),
        behind: Some(before(noon(), 60).boot),
        held: Some(held(Hold::Canary(HOSTILE.into()), HOSTILE)),
        refused: (1, vec![(HOSTILE.into(), HOSTILE.into())]),
        ..copied()
    });
    let mut state = taken();
    state.places[0].trouble = Some(HOSTILE.into());
    state.drill = Some(DrillState { failed: Some(HOSTILE.into()), ..state.drill.unwrap() });
    state.phase = SnapshotPhase::Failing(HOSTILE.into());
    let snapshots = taking(state);
    for (server, path, times) in [(copies.await, "/replication", 5), (snapshots.await, "/snapshots", 4)] {
        for path in ["/", path] {
            let page = server.get(path).await.body;
            assert!(page.matches("&#60;script&#62;alert(1)").count() >= times, "{path}: {page}");
            for raw in ["<script>alert", "<img", "\u{1b}", "\u{202e}", "\0", "style=\""] {
                assert!(!page.contains(raw), "{path}: {raw:?} is not escaped");
            }
        }
    }
}

#[tokio::test]
async fn pages_that_there_is_nothing_for_are_not_offered_and_say_so() {
    let server = serve_world(World::new(empty(noon()), Vec::new()), None, &[], Limits::default()).await;
    let page = server.get("/").await.body;
    assert!(!page.contains("/replication") && !page.contains("/snapshots"), "{page}");
    shows(&server.get("/replication").await, &["Nothing is copied between datacenters."]);
    shows(&server.get("/snapshots").await, &["No snapshots of Consul are taken."]);
    let server = copying(copied()).await;
    shows(
        &server.get("/replication").await,
        &["<a href=\"/replication\" aria-current=\"page\">Replication</a>"],
    );
    shows(&server.get("/").await, &["<a href=\"/\" aria-current=\"page\">Overview</a>"]);
}

#[tokio::test]
async fn a_thousand_copies_are_a_short_list_with_the_worst_first() {
    let server = copying(copied()).await;
    let mut views = vec![copy(copied()); 1_000];
    views[999].state = CopyState { phase: Phase::Refused("it comes back".into()), ..copied() };
    server.world.copies.set(views);
    let page = server.get("/").await;
    shows(
        &page,
        &["and 980 more. <a href=\"/replication\">Show them</a>", "nothing is copied: it comes back"],
    );
    let page = server.get("/replication").await;
    shows(&page, &["and 500 more.", "nothing is copied: it comes back"]);
}
