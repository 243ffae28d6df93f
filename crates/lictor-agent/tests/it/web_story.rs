//! The pages that tell why: an incident as one story, also as Markdown, the remedies, the rules, and search.

use lictor_agent::web::Limits;
use lictor_core::{DeliveryId, Event, IncidentId, Mode, Outcome, RunId, Status, What};

use crate::web_client::{Answer, Server, serve, serve_world};
use crate::web_world::{HOSTILE, World, bad_day, before, empty, many, name, noon};

#[track_caller]
fn shows(answer: &Answer, parts: &[&str]) {
    assert_eq!(answer.status, 200, "{answer:?}");
    for part in parts {
        assert!(answer.body.contains(part), "not shown: {part}\n{}", answer.body);
    }
}

fn at(ago: u64, incident: u64, run: u64, what: What) -> Event {
    let (incident, run) = ((incident > 0).then_some(IncidentId(incident)), (run > 0).then_some(RunId(run)));
    Event { at: before(noon(), ago), incident, run, what }
}

fn told(ago: u64, delivery: u64, what: &str) -> Event {
    at(ago, 0, 0, What::Told { notifier: name("ops"), delivery: DeliveryId(delivery), what: what.to_owned() })
}

/// A bad day of which somebody was told, with one thing more.
async fn with(more: Vec<Event>) -> Server {
    let (view, mut past) = bad_day(noon());
    past.extend(more);
    past.sort_by_key(|event| event.at.boot);
    serve_world(World::new(view, past), None, &[], Limits::default()).await
}

#[track_caller]
fn in_order(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        let found = rest.split_once(part);
        (_, rest) = found.unwrap_or_else(|| panic!("not there, or too early: {part}\n{text}"));
    }
}

#[tokio::test]
async fn an_incident_is_one_story_in_the_order_it_happened() {
    let server = with(vec![told(2_399, 3, "problem db-replica on node1: critical")]).await;
    let page = server.get("/incidents/i6").await;
    let order = [
        "<h2>Observed</h2>",
        "critical: tcp 10.0.0.7:5432: connection refused",
        "<h2>Judged</h2>",
        "db-replica went from passing to critical",
        "<h2>Decided</h2>",
        "resync-replica on db-replica started: check.db-replica == &#34;critical&#34;",
        "<h2>Done</h2>",
        "step fence: doing fence-replica (attempt 1)",
        "<h2>Told</h2>",
        "ops accepted d3: problem db-replica on node1: critical",
        "<h2>Done</h2>",
        "step fence: done: exit status 0",
        "step resync: outcome unknown: no answer within 30s",
        "<h2>Decided</h2>",
        "resync-replica is parked and waits for a person",
        "<h2 id=\"h-why\">Why</h2>",
    ];
    assert_eq!(page.status, 200);
    in_order(&page.body, &order);
    shows(&server.get("/incidents/5").await, &["<h2>Healed</h2>"]);
}

#[tokio::test]
async fn what_was_observed_comes_before_the_incident_that_it_opened() {
    // As the engine records it, in one moment.
    let transition = What::Transition {
        check: name("vpn"),
        from: Status::Passing,
        to: Status::Critical,
        summary: "no handshake".to_owned(),
        evidence: vec![(before(noon(), 1_905), Status::Critical, "no handshake".to_owned())],
    };
    let opened = at(1_900, 5, 0, What::IncidentOpened { check: name("vpn") });
    let page = with(vec![opened, at(1_900, 5, 0, transition)]).await.get("/incidents/i5").await;
    let order = [
        "<h2>Observed</h2>",
        "critical: no handshake",
        "<h2>Judged</h2>",
        "vpn went from",
        "incident opened",
    ];
    in_order(&page.body, &order);
    assert_eq!(page.body.matches("<h2>Judged</h2>").count(), 1, "{}", page.body);
}

#[tokio::test]
async fn what_others_were_told_of_and_what_came_later_is_not_in_it() {
    let refused = What::NotTold {
        notifier: name("ops"),
        delivery: DeliveryId(9),
        why: "HTTP 502".into(),
        next: "again in 5s".into(),
    };
    let server = with(vec![
        told(2_000, 1, "problem shop on node1: critical"),
        told(1_999, 2, "problem db-replica-2 on node1: critical"),
        told(1_998, 9, "problem db-replica on node1: critical"),
        at(1_999, 0, 0, refused),
    ])
    .await;
    let page = server.get("/incidents/i6").await;
    shows(&page, &["ops did not accept d9: HTTP 502", "ops accepted d9"]);
    assert!(!page.body.contains("accepted d1:") && !page.body.contains("accepted d2:"), "{}", page.body);
    // It was closed 700 s ago; what is told within the hour may be of it.
    let vpn = with(vec![told(1, 4, "resolved vpn on node1: passing")]).await.get("/incidents/i5").await;
    shows(&vpn, &["accepted d4"]);
    let cache = with(vec![told(1, 4, "problem cache on node1: critical")]).await.get("/incidents/i4").await;
    assert!(!cache.body.contains("accepted d4"), "{}", cache.body);
}

fn outcome(detail: &str) -> Event {
    let outcome = Outcome::Failed { detail: detail.to_owned() };
    at(100, 7, 17, What::Outcome { step: name("restart"), attempt: 1, outcome })
}

#[tokio::test]
async fn an_output_keeps_its_lines() {
    let server = with(vec![outcome("exit status 1:\nfirst\n\tsecond\u{1b}[2J\n")]).await;
    shows(
        &server.get("/incidents/i7").await,
        &["step restart: failed: exit status 1:</span><pre>first\n\tsecond\\u{1b}[2J</pre>"],
    );
    let text = server.get("/incidents/i7.md").await.body;
    assert!(text.contains("\n  ```text\n  first\n  \tsecond\\u{1b}[2J\n  ```\n"), "{text}");
}

#[tokio::test]
async fn where_there_is_one_line_an_output_is_one() {
    let why = "exit status 1:\nfirst\n\n  second\n".to_owned();
    let retrying =
        What::Retrying { step: name("restart"), attempt: 4, after: std::time::Duration::from_secs(5), why };
    let server = with(vec![outcome("exit status 1:\nfirst\n\n  second\n"), at(99, 7, 17, retrying)]).await;
    shows(
        &server.get("/").await,
        &["step restart: failed: exit status 1: / first / second", "attempt 4 in 5s: exit status 1: / first"],
    );
    shows(&server.get("/remedies").await, &["<p class=\"said\">exit status 1: / first / second</p>"]);
    // It stands with the attempt, and not once more with the next one.
    let page = server.get("/incidents/i7").await.body;
    assert_eq!(page.matches("first").count(), 1, "{page}");
}

#[tokio::test]
async fn an_incident_can_be_had_as_markdown_in_two_ways() {
    let server = with(vec![told(2_399, 3, "problem db-replica on node1: critical")]).await;
    let text = server.get("/incidents/i6.md").await;
    assert_eq!(text.header("content-type"), Some("text/markdown; charset=utf-8"));
    assert_eq!(text.body, server.get("/incidents/6?format=md").await.body);
    in_order(
        &text.body,
        &[
            "# Incident i6: db-replica\n\n- Node: node1\n- Status: critical (at worst critical)\n",
            "until still open (open for 41m)",
            "- A person is needed\n",
            "\n## Observed\n\n- 2026-11-21 03:00:45 UTC critical\\: tcp 10.0.0.7\\:5432\\: connection refused\n",
            "\n## Told\n\n",
            "ops accepted d3\\: problem db-replica on node1\\: critical",
            "\n## Why\n\n```text\n",
        ],
    );
    let missing = server.get("/incidents/i99.md").await;
    assert_eq!(missing.status, 404);
    shows(&server.get("/incidents/i6").await, &["href=\"/incidents/i6.md\""]);
}

#[tokio::test]
async fn what_a_program_says_is_text_in_the_story_and_in_its_markdown() {
    let (mut view, mut past) = bad_day(noon());
    let said = format!("{HOSTILE}\n```\n# heading\n[a](javascript:alert(1)) @all");
    view.incidents.get_mut(&IncidentId(7)).unwrap().summary = said.clone();
    past.push(outcome(&said));
    let server = serve_world(World::new(view, past), None, &[], Limits::default()).await;
    for path in ["/incidents/i7", "/incidents/i7.md"] {
        let body = server.get(path).await.body;
        for raw in ["\u{1b}", "\u{202e}", "\0"] {
            assert!(!body.contains(raw), "{path}: {raw:?}");
        }
    }
    let page = server.get("/incidents/i7").await.body;
    assert!(!page.contains("<script>alert") && !page.contains("<img"), "{page}");
    let text = server.get("/incidents/i7.md").await.body;
    assert!(text.contains("- Said: \\<script\\>alert(1)\\</script\\>"), "{text}");
    // What has several lines is in a block with a fence that it does not end.
    let block = text.split("  ````text\n").nth(1).and_then(|rest| rest.split("\n  ````\n").next()).unwrap();
    assert!(block.starts_with("  ```\n  # heading\n  [a](javascript:alert(1)) @all"), "{block}");
    let outside = text.replace(block, "");
    assert!(!outside.contains("<script>") && !outside.contains("@all"), "{outside}");
}

#[tokio::test]
async fn each_remedy_has_its_steps_in_order_and_what_became_of_them() {
    let server = serve().await;
    let page = server.get("/remedies").await;
    let (_, resync) = page.body.split_once("id=\"remedy-resync-replica\"").unwrap();
    let resync = resync.split("</article>").next().unwrap();
    in_order(
        resync,
        &[
            "<li class=\"done\">",
            "<b>fence</b> <span class=\"tag\">done</span> <span class=\"dim\">does fence-replica",
            "<p class=\"said\">exit status 0</p>",
            "<li class=\"stuck\">",
            "<b>resync</b> <span class=\"tag\">parked</span>",
            "nobody knows whether attempt 1 of promote happened",
            "<li class=\"\">",
            "<b>settle</b> <span class=\"dim\">waits until",
            "for 10m (at most 15m, up to 3 times)",
            "action=\"/v1/runs/r16/retry\"",
            "action=\"/v1/runs/r16/cancel\"",
        ],
    );
    let order = ["resync-replica", "reconnect-vpn", "restart-shop", "prune-logs"];
    in_order(
        &page.body,
        &order.map(|remedy| format!("id=\"remedy-{remedy}\"")).each_ref().map(String::as_str),
    );
    shows(
        &page,
        &["aria-current=\"step\"", "action=\"/v1/remedies/reconnect-vpn/start\"", "Remedies · node1"],
    );
    let fragment = server.get("/remedies?fragment").await;
    assert!(!fragment.body.contains("<html") && fragment.body.contains("remedy-restart-shop"));
    let none = serve_world(World::new(empty(noon()), Vec::new()), None, &[], Limits::default()).await;
    shows(&none.get("/remedies").await, &["No remedy is configured"]);
    shows(&none.get("/rules").await, &["No rule is configured"]);
}

#[tokio::test]
async fn each_rule_says_what_it_waits_for_what_holds_it_back_and_what_it_decided() {
    let server = serve().await;
    let page = server.get("/rules").await;
    let rule = |name: &str| {
        let (_, rest) = page.body.split_once(&format!("id=\"rule-{name}\"")).unwrap();
        rest.split("</article>").next().unwrap().to_owned()
    };
    let vpn = rule("reconnect-vpn");
    assert!(vpn.contains("it gave up after 3 runs that did not help"), "{vpn}");
    in_order(
        &rule("prune-logs"),
        &["starts on", "<span class=\"tag\">holds</span>", "only while", "/checks/backup\">backup</a>"],
    );
    let observed = rule("reload-nginx");
    in_order(&observed, &["<span class=\"tag\">dry run</span>", "It has decided nothing lately."]);
    in_order(
        &rule("resync-replica"),
        &["r16: ", "is parked and waits", "r16: ", "started: check.db-replica"],
    );
    let mut view = bad_day(noon()).0;
    std::sync::Arc::make_mut(&mut view.plan).mode = Mode::Observe;
    let server = serve_world(World::new(view, Vec::new()), None, &[], Limits::default()).await;
    shows(&server.get("/rules").await, &["<h2>Observe mode</h2>"]);
}

#[tokio::test]
async fn search_finds_by_name_and_by_what_is_said() {
    let server = serve().await;
    let page = server.get("/search?q=SHOP").await;
    shows(
        &page,
        &[
            "<a href=\"/checks/shop\">shop</a>",
            "<a href=\"/checks/storefront\">storefront</a>",
            "<a href=\"/incidents/i7\">i7 shop</a>",
            "<a href=\"/remedies#remedy-restart-shop\">restart-shop</a>",
            "data-src=\"/search?fragment&#38;q=SHOP\"",
        ],
    );
    let page = server.get("/search?q=refused+5432").await;
    shows(&page, &["/checks/db-replica", "2 things found"]);
    shows(&server.get("/search?q=nowhere").await, &["Nothing was found"]);
    shows(&server.get("/search").await, &["Words that are in a name or in what is said"]);
    shows(&server.get("/").await, &["<form class=\"search\" role=\"search\" action=\"/search\">"]);
}

#[tokio::test]
async fn a_question_is_text_and_what_is_found_is_bounded() {
    let server = serve_world(World::new(many(noon(), 5_000), Vec::new()), None, &[], Limits::default()).await;
    let page = server.get("/search?q=%3Cscript%3Ealert(1)%3C/script%3E%1b%E2%80%AE").await;
    shows(&page, &["Search for &#60;script&#62;alert(1)"]);
    for raw in ["<script>alert", "\u{1b}", "\u{202e}"] {
        assert!(!page.body.contains(raw), "{}", page.body);
    }
    let page = server.get("/search?q=passing").await;
    assert_eq!(page.body.matches("<li class=\"").count(), 50);
    shows(&page, &["more: ask for more words"]);
}
