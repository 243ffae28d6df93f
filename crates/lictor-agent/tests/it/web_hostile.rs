//! What programs, people and servers say is text, wherever it is shown or given out.

use lictor_agent::replicate::{CopyState, Phase};
use lictor_agent::snapshot::SnapshotPhase;
use lictor_agent::web::Limits;
use lictor_core::replicate::Hold;
use lictor_core::{DeliveryId, Event, IncidentId, Outcome, RunId, Status, What};
use serde_json::json;

use crate::web_client::{Server, serve_world};
use crate::web_copying::{block, copied, copy, held, taken};
use crate::web_world::{HOSTILE, World, bad_day, check, name, noon};

/// Every page, with something hostile wherever anybody can say something.
async fn hostile() -> Server {
    let (mut view, mut past) = bad_day(noon());
    for shown in ["shop", "hostile"] {
        view.checks.insert(name(shown), check(noon(), Status::Critical, 9, HOSTILE));
    }
    for incident in view.incidents.values_mut() {
        incident.summary = HOSTILE.into();
    }
    for run in view.runs.values_mut() {
        run.cause = HOSTILE.into();
    }
    view.cannot_record = Some((HOSTILE.into(), noon()));
    let event = |run: Option<RunId>, what| Event { at: noon(), incident: Some(IncidentId(7)), run, what };
    let said = || HOSTILE.to_owned();
    past.extend([
        event(None, What::Matched { source: name("shop"), pattern: name("p"), line: said() }),
        event(None, What::WatcherRestarted { check: name("shop"), why: said() }),
        event(
            Some(RunId(17)),
            What::Outcome {
                step: name("restart"),
                attempt: 1,
                outcome: Outcome::Failed { detail: format!("{HOSTILE}\n{HOSTILE}") },
            },
        ),
        event(Some(RunId(17)), What::Parked { remedy: name("restart-shop"), why: said() }),
        event(None, What::Acknowledged { subject: said(), by: Some(said()), ended_by: said() }),
        event(
            None,
            What::NotTold { notifier: name("ops"), delivery: DeliveryId(1), why: said(), next: said() },
        ),
    ]);
    let world = World::new(view, past);
    world.copies.set(vec![copy(CopyState {
        phase: Phase::Failing(said()),
        held: Some(held(Hold::Canary(said()), HOSTILE)),
        refused: (1, vec![(said(), said())]),
        ..copied()
    })]);
    let mut state = taken();
    state.places[0].trouble = Some(said());
    state.phase = SnapshotPhase::Failing(said());
    world.snapshots.set(vec![block(state)]);
    serve_world(world, None, &[], Limits::default()).await
}

const PAGES: [&str; 12] = [
    "/",
    "/?all",
    "/fragment",
    "/checks/hostile",
    "/checks/shop",
    "/incidents/i7",
    "/remedies",
    "/rules",
    "/replication",
    "/snapshots",
    "/search?q=hostile",
    "/search?q=%3Cscript%3Ealert(1)%3C/script%3E%1B%5B31m%E2%80%AE",
];

#[tokio::test]
async fn every_page_shows_it_as_text() {
    let server = hostile().await;
    for path in PAGES {
        let page = server.get(path).await;
        assert_eq!(
            (page.status, page.header("content-type")),
            (200, Some("text/html; charset=utf-8")),
            "{path}"
        );
        for raw in ["<script>alert", "<img", "\u{1b}", "\u{202e}", "\0", "onclick", "style=\"", "javascript:"]
        {
            assert!(!page.body.contains(raw), "{path}: {raw:?} is not escaped:\n{}", page.body);
        }
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'self'; script-src 'self'"), "{policy}");
    }
    // It is shown, and not only left out.
    for path in ["/", "/checks/hostile", "/incidents/i7", "/remedies", "/replication", "/snapshots"] {
        let page = server.get(path).await.body;
        assert!(page.contains("&#60;script&#62;alert(1)") && page.contains(r"\u{1b}[31m"), "{path}:\n{page}");
    }
    let told = server.get("/incidents/i7.md").await;
    assert_eq!(told.header("content-type"), Some("text/markdown; charset=utf-8"));
    for raw in ["\u{1b}", "\u{202e}", "\0"] {
        assert!(!told.body.contains(raw), "{raw:?} in Markdown");
    }
}

#[tokio::test]
async fn what_somebody_who_asks_says_of_themselves_is_text_in_the_record() {
    let server = hostile().await;
    server.post("/v1/alerts/forget", &json!({"node": HOSTILE, "by": HOSTILE}).to_string()).await;
    let form = [("Accept", "text/html"), ("X-Forwarded-For", "<script>alert(1)</script>")];
    let path = "/v1/runs/%3Cscript%3E%1B%E2%80%AE/retry";
    let answer = server.ask("POST", path, &form, "").await;
    assert!(answer.status == 404 && !answer.body.contains("<script>"), "{answer:?}");
    let record = server.get("/v1/audit").await;
    assert_eq!(record.header("x-content-type-options"), Some("nosniff"));
    let page = server.get("/audit").await.body;
    assert!(page.contains("&#60;script&#62;alert(1)") && page.contains(r"\u{1b}[31mred"), "{page}");
    for raw in ["<script>alert", "<img", "\u{1b}", "\u{202e}", "\0", "style=\""] {
        assert!(!page.contains(raw), "{raw:?} is not escaped: {page}");
    }
    let acts = record.json();
    assert_eq!(acts["acts"].as_array().unwrap().len(), 3);
    let texts = acts["acts"].as_array().unwrap().iter().flat_map(|act| act.as_object().unwrap().values());
    for text in texts.filter_map(serde_json::Value::as_str) {
        for raw in ['\u{1b}', '\u{202e}', '\0'] {
            assert!(!text.contains(raw), "{raw:?} would reach a terminal: {text:?}");
        }
    }
}
