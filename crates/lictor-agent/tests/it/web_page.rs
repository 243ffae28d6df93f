//! The page: what it says, and what it does with what programs say.

use std::sync::Arc;
use std::time::Duration;

use lictor_agent::web::Alerts as _;
use lictor_core::alert::{self, Matcher, Matchers, Pattern, Silence};
use lictor_core::{CheckName, Command, Event, Incident, IncidentId, RunId, Status, What};
use lictor_store::{Grain, MirrorState, Slot, Stood};
use serde_json::json;

use crate::web_client::{Answer, Server, serve, serve_world};
use crate::web_desk::DeskStandin;
use crate::web_world::{HOSTILE, World, bad_day, before, check, empty, many, name, noon};

async fn serve_view(view: lictor_agent::View) -> Server {
    serve_world(World::new(view, Vec::new()), None, &[], Default::default()).await
}

#[track_caller]
fn shows(answer: &Answer, parts: &[&str]) {
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    for part in parts {
        assert!(answer.body.contains(part), "not shown: {part}\n{}", answer.body);
    }
}

#[tokio::test]
async fn a_bad_day_is_told_from_the_top() {
    let server = serve().await;
    let page = server.get("/").await;
    shows(
        &page,
        &[
            "<title>3 incidents open · node1</title>",
            "<h1 id=\"headline\">3 incidents open</h1>",
            "db-replica, shop, mail. 9 of 14 checks pass.",
            "needs a person",
            "step restart: failed: exit status 1: Job for shop.service failed",
            "r17: step settle: waiting for 2m 30s",
            "action=\"/v1/runs/r16/retry\"",
            "action=\"/v1/runs/r17/cancel\"",
            "gave up: 3 runs in a row did not help",
            "action=\"/v1/remedies/reconnect-vpn/start\"",
            "<a href=\"/incidents/i5\">i5</a>",
            "1 of 3 bad",
        ],
    );
    let order: Vec<_> = ["critical", "unknown", "warning", "passing"]
        .map(|status| page.body.find(&format!("<tr class=\"{status}\">")).unwrap())
        .into();
    assert!(order.is_sorted(), "the worst come first");
    assert!(!page.body.contains("action=\"/v1/runs/r17/retry\""), "only what is parked can be retried");
}

#[tokio::test]
async fn the_headline_says_how_it_is() {
    let headline = async |view: lictor_agent::View| {
        let page = serve_view(view).await.get("/").await;
        let (_, rest) = page.body.split_once("<h1 id=\"headline\">").unwrap();
        let (headline, rest) = rest.split_once("</h1>").unwrap();
        let (_, rest) = rest.split_once("<p>").unwrap();
        format!("{headline}: {}", rest.split_once("</p>").unwrap().0)
    };
    let with = |checks: &[(&str, Status)]| {
        let mut view = empty(noon());
        for (check_name, status) in checks {
            view.checks.insert(name(check_name), check(noon(), *status, 90, "said"));
        }
        view
    };
    assert_eq!(headline(with(&[])).await, "Nothing is watched: The configuration has no checks.");
    let passing = Status::Passing;
    assert_eq!(
        headline(with(&[("a", passing)])).await,
        "The one check passes: Nothing has changed for 1m 30s."
    );
    assert_eq!(
        headline(with(&[("a", passing), ("b", passing)])).await,
        "All 2 checks pass: Nothing has changed for 1m 30s."
    );
    assert_eq!(
        headline(with(&[("a", passing), ("b", Status::Unknown)])).await,
        "1 of 2 checks pass: 1 has no data yet."
    );
    let mut open = with(&[("a", passing), ("b", Status::Critical)]);
    let incident = Incident {
        id: IncidentId(1),
        check: name("b"),
        opened: before(noon(), 90),
        closed: None,
        status: Status::Critical,
        worst: Status::Critical,
        summary: "said".into(),
        escalated: false,
    };
    open.incidents.insert(incident.id, incident);
    assert_eq!(headline(open).await, "1 incident open: b. 1 of 2 checks pass.");
}

#[tokio::test]
async fn what_a_program_says_is_shown_not_run() {
    let (mut view, mut past) = bad_day(noon());
    view.checks.insert(name("hostile"), check(noon(), Status::Critical, 9, HOSTILE));
    let mut incident = view.incidents[&IncidentId(7)].clone();
    incident.summary = HOSTILE.into();
    view.incidents.insert(incident.id, incident);
    view.cannot_record = Some((HOSTILE.into(), noon()));
    let run = view.runs.get_mut(&RunId(14)).unwrap();
    run.cause = HOSTILE.into();
    let line = What::Matched { source: name("shop"), pattern: name("p"), line: HOSTILE.into() };
    past.push(Event { at: noon(), incident: Some(IncidentId(7)), run: None, what: line });
    let world = World::new(view, past);
    let server = serve_world(world, None, &[], Default::default()).await;
    for path in ["/", "/?all", "/fragment", "/incidents/i7", "/checks/hostile"] {
        let page = server.get(path).await;
        shows(&page, &["&#60;script&#62;alert(1)", r"\u{1b}[31mred\u{202e}txt.exe\u{0}"]);
        for raw in ["<script>alert", "<img", "\u{1b}", "\u{202e}", "\0", " onerror=alert(2)>"] {
            assert!(!page.body.contains(raw), "{path}: {raw:?} is not escaped");
        }
        // Nothing inline: the policy would stop it, and it is a sign of unescaped text.
        for inline in ["onclick", "style=\"", "javascript:"] {
            assert!(!page.body.contains(inline), "{path}: {inline}");
        }
    }
    // The API gives the text as it is, as JSON.
    let json = server.get("/v1/checks/hostile").await;
    assert_eq!(json.json()["last"]["summary"], HOSTILE);
    let text = server.get("/v1/explain/hostile").await.json()["text"].as_str().unwrap().to_owned();
    assert!(!text.contains('\u{1b}') && text.contains(r"\u{1b}"), "words for a terminal are escaped");
    for path in ["/<script>alert(1)</script>", "/v1/checks/<script>", "/incidents/<script>"] {
        let missing = server.get(path).await;
        assert!(matches!(missing.status, 400 | 404), "{path}");
        let html = missing.header("content-type") == Some("text/html; charset=utf-8");
        assert!(!html || !missing.body.contains("<script>"), "{path}");
    }
}

#[tokio::test]
async fn ten_thousand_checks_stay_readable() {
    let server = serve_view(many(noon(), 10_000)).await;
    let rows = |answer: &Answer| answer.body.matches("<tr class=").count();
    let page = server.get("/").await;
    shows(
        &page,
        &[
            "Showing 200 of 10,000 checks, the worst first; 9,800 are hidden.",
            "href=\"/?all\"",
            "<b>9,900</b> passing",
        ],
    );
    assert_eq!(rows(&page), 200);
    assert_eq!(page.body.matches("<tr class=\"critical\">").count(), 100, "none that is bad is hidden");
    assert!(page.body.len() < 300_000, "{}", page.body.len());
    let all = server.get("/?all").await;
    assert_eq!(rows(&all), 10_000);
    shows(&all, &["data-src=\"/fragment?all\"", "Show fewer"]);

    let mut every = many(noon(), 1_000);
    every.checks.values_mut().for_each(|check| Arc::make_mut(check).status = Status::Critical);
    let page = serve_view(every).await.get("/").await;
    assert_eq!(rows(&page), 300);
}

#[tokio::test]
async fn the_part_that_changes_can_be_had_alone() {
    let server = serve().await;
    let fragment = server.get("/fragment").await;
    shows(&fragment, &["data-tone=\"bad\"", "data-title=\"3 incidents open · node1\""]);
    assert!(!fragment.body.contains("<html") && !fragment.body.contains("<script"));
    let page = server.get("/").await;
    let assets = fragment.header("x-lictor-assets").unwrap();
    shows(&page, &[&format!("data-assets=\"{assets}\""), &format!("src=\"{assets}\"")]);
}

#[tokio::test]
async fn a_page_shows_what_changed_since() {
    let server = serve().await;
    assert!(server.get("/").await.body.contains("3 incidents open"));
    let mut view = empty(noon());
    view.checks.insert(name("only"), check(noon(), Status::Passing, 5, "fine"));
    server.world.set(view);
    crate::web_client::until(|| server.get("/"), |page| page.body.contains("The one check passes")).await;
}

#[tokio::test]
async fn assets_are_named_by_their_content_and_kept() {
    let server = serve().await;
    let page = server.get("/").await.body;
    let mut names: Vec<&str> = page.split('"').filter(|part| part.starts_with("/assets/")).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 4, "{names:?}");
    for asset in names {
        let file = server.get(asset).await;
        assert_eq!(file.status, 200, "{asset}");
        assert_eq!(file.header("cache-control"), Some("public, max-age=31536000, immutable"));
        let kind = match asset.rsplit('.').next() {
            Some("css") => "text/css; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            _ => "image/svg+xml",
        };
        assert_eq!(file.header("content-type"), Some(kind));
        assert!(!file.body.contains("http://") || kind == "image/svg+xml", "nothing comes from elsewhere");
    }
}

#[tokio::test]
async fn an_incident_has_a_page_of_its_own() {
    let server = serve().await;
    let page = server.get("/incidents/i7").await;
    shows(
        &page,
        &[
            "<title>Incident i7: shop, opened 2026-11-21 03:00:51 UTC</title>",
            "step restart: attempt 2 in 5s: exit status 1",
            "remedy restart-shop: running",
            "data-src=\"/incidents/i7?fragment\"",
        ],
    );
    let fragment = server.get("/incidents/i7?fragment").await;
    assert!(!fragment.body.contains("<html"));
    shows(&server.get("/incidents/5").await, &["closed 11m 40s ago after 20m"]);
    let missing = server.get("/incidents/i99").await;
    assert_eq!(missing.status, 404);
    assert!(missing.body.contains("no incident has the number `i99`"), "{}", missing.body);
}

#[tokio::test]
async fn a_check_has_a_page_of_its_own() {
    let server = serve().await;
    let page = server.get("/checks/disk./data").await;
    shows(
        &page,
        &[
            "<title>disk./data is warning · node1</title>",
            "<dt>used_percent</dt><dd>88.4</dd>",
            "last looked at 3s ago",
            "remedy prune-logs: waiting",
            "data-src=\"/checks/disk./data?fragment\"",
        ],
    );
    assert_eq!(page.body.matches("<li class=\"warning\">").count(), 5, "its last results");
    shows(&server.get("/checks/db-replica").await, &["db-replica went from passing to critical"]);
    let missing = server.get("/checks/nothing").await;
    assert_eq!(missing.status, 404);
    assert!(missing.body.contains("no check is called `nothing`"), "{}", missing.body);
}

/// Days, of which the last is today: a fault, no data, maintenance, all well.
fn days(check: &str) -> Vec<Slot> {
    let none = Stood::default();
    let today = u32::try_from(noon().wall.as_unix_millis() / 86_400_000).unwrap();
    let stood = [
        Stood { critical: 86_400_000, ..none },
        Stood { unknown: 86_400_000, ..none },
        Stood { maintenance: 86_400_000, ..none },
        Stood { passing: 86_400_000, looks: 9, took: 90, ..none },
    ];
    let slot = |(number, stood)| Slot { grain: Grain::Day, number, checks: [(name(check), stood)].into() };
    (today - 3..).zip(stood).map(slot).collect()
}

#[tokio::test]
async fn a_check_shows_how_it_stood_in_90_days_and_which_share_of_them_it_was_up() {
    let (view, past) = bad_day(noon());
    let world = World::new(view, past);
    let minute = u32::try_from(noon().wall.as_unix_millis() / 60_000).unwrap();
    let took = |(number, took)| {
        let stood = Stood { passing: 60_000, looks: 2, took, ..Stood::default() };
        Slot { grain: Grain::Minute, number, checks: [(name("shop"), stood)].into() }
    };
    let minutes: Vec<_> = (minute - 2..).zip([20, 60]).map(took).collect();
    world.past.take_up(noon().wall, &days("shop"), &[], &minutes);
    let server = serve_world(world, None, &[], Default::default()).await;
    for path in ["/", "/checks/shop"] {
        let page = server.get(path).await;
        shows(
            &page,
            &[
                "the last 90 days: 4 days with data, 1 with a fault, 1 without data of its own, 1 of maintenance, \
                 the last fault on 2026-11-18",
                "<path class=\"critical\" d=\"M344 8h4\"/>",
                "<path class=\"unknown\" d=\"M348 11.5h4\"/>",
                "<path class=\"maintenance\" d=\"M352 13h4\"/>",
                "<path class=\"passing\" d=\"M356 8h4\"/>",
                "a look took 30 ms lately, 10 to 30 ms in the last 2 minutes",
                "50.0 %",
            ],
        );
    }
    let json = server.get("/v1/history/shop").await.json();
    assert_eq!(json["days"][0]["day"], "2026-11-18");
    assert_eq!(json["days"][0]["critical_ms"], 86_400_000);
    assert_eq!(
        (json["windows"][1]["last"].as_str(), &json["windows"][1]["up_share"]),
        (Some("7 d"), &json!(0.5))
    );
    assert_eq!(json["look_ms"], json!([10, 30]));
    assert_eq!(server.get("/v1/history/mail").await.json()["days"], json!([]), "nothing is kept of it yet");
    assert_eq!(server.get("/v1/history/none").await.status, 404);
}

#[tokio::test]
async fn a_check_in_a_window_of_maintenance_says_so_and_one_that_a_person_silenced_does_not() {
    let desk = DeskStandin::idle();
    for (check, by) in [("shop", Silence::CONFIGURATION), ("mail", "ann")] {
        let any = vec![Pattern::Exactly(check.to_owned())];
        let command = alert::Command::Silence {
            id: Some(format!("window {check}")),
            when: Matchers(vec![Matcher { label: "check".to_owned(), any, not: false }]),
            lasting: Duration::from_secs(3_600),
            by: by.to_owned(),
            comment: String::new(),
        };
        desk.command(command).await.unwrap().unwrap();
    }
    let (view, past) = bad_day(noon());
    let server = serve_world(World::with_desk(view, past, desk), None, &[], Default::default()).await;
    let tag = "<span class=\"tag\">maintenance</span>";
    assert_eq!(server.get("/").await.body.matches(tag).count(), 1);
    assert!(server.get("/checks/shop").await.body.contains(tag));
    assert!(!server.get("/checks/mail").await.body.contains(tag));
}

#[tokio::test]
async fn a_button_brings_one_back_to_the_page() {
    let server = serve().await;
    let host = server.address.to_string();
    let origin = format!("http://{host}");
    let form = [
        ("Host", host.as_str()),
        ("Origin", origin.as_str()),
        ("Accept", "text/html,application/xhtml+xml"),
        ("Content-Type", "application/x-www-form-urlencoded"),
    ];
    let done = server.ask("POST", "/v1/runs/r16/retry", &form, "").await;
    assert_eq!((done.status, done.header("location")), (303, Some("/")));
    assert_eq!(server.world.commands(), [Command::Retry(RunId(16))]);
    let conflict = server.ask("POST", "/v1/runs/r15/retry", &form, "").await;
    assert_eq!(conflict.status, 409);
    assert!(
        conflict.body.contains("run r15 has ended") && conflict.body.contains("<html"),
        "{}",
        conflict.body
    );
}

#[tokio::test]
async fn a_node_that_cannot_record_says_so_first() {
    let (mut view, _) = bad_day(noon());
    view.cannot_record = Some(("no space left on device".into(), before(noon(), 60)));
    let page = serve_view(view).await.get("/").await;
    shows(&page, &["Nothing can be recorded, so nothing is done", "no space left on device", "since 1m ago"]);
    let banner = page.body.find("Nothing can be recorded").unwrap();
    assert!(banner < page.body.find("<h1").unwrap());
}

#[tokio::test]
async fn a_node_whose_name_another_machine_has_says_so_and_whether_it_acts() {
    let (mut view, _) = bad_day(noon());
    view.copies = Some(MirrorState::Duplicate { why: "another machine called `node1` is alive".into() });
    let server = serve_view(view.clone()).await;
    let page = server.get("/").await;
    shows(&page, &["Another machine has the name of this node", "another machine called `node1` is alive"]);
    assert!(!page.body.contains("Watching, but not acting"));
    let status = server.get("/v1/status").await.json();
    let copies = json!({ "state": "duplicate", "why": "another machine called `node1` is alive" });
    assert_eq!((&status["copies"], &status["withheld"]), (&copies, &serde_json::Value::Null));
    assert!(server.get("/metrics").await.body.contains("\nlictor_name_taken 1\n"));

    view.withheld = true;
    let page = serve_view(view).await.get("/").await;
    shows(&page, &["Watching, but not acting", "another machine called `node1` is alive"]);
    assert!(!page.body.contains("Another machine has the name") && !page.body.contains("--new-node"));
}

#[tokio::test]
async fn every_status_is_a_word_and_a_shape() {
    let page = serve().await.get("/").await;
    for status in Status::ALL {
        shows(
            &page,
            &[&format!("<symbol id=\"s-{status}\""), &format!("<td class=\"status\">{status}</td>")],
        );
    }
    let unnamed: CheckName = name("shop");
    shows(&page, &[&format!("<a href=\"/checks/{unnamed}\">")]);
    shows(
        &page,
        &["lang=\"en\"", "name=\"viewport\"", "scope=\"col\"", "role=\"img\" aria-label=\"last results"],
    );
}
