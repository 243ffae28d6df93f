//! The checks of the overview under the headings of their groups.

use std::sync::Arc;
use std::time::Duration;

use lictor_agent::View;
use lictor_agent::web::Alerts as _;
use lictor_core::alert::{self, Matcher, Matchers, Pattern, Silence};
use lictor_core::{CheckPlan, Plan, Status};

use crate::web_client::{Server, serve_world};
use crate::web_desk::DeskStandin;
use crate::web_world::{HOSTILE, World, check, empty, name, noon};

/// A node with these checks: name, group and status.
fn node(checks: &[(&str, Option<&str>, Status)]) -> View {
    let (mut view, mut plan) = (empty(noon()), Plan::default());
    for (check_name, group, status) in checks {
        view.checks.insert(name(check_name), check(noon(), *status, 90, "said"));
        let group = group.map(Arc::from);
        plan.checks.insert(name(check_name), CheckPlan { group, ..CheckPlan::observed() });
    }
    view.plan = Arc::new(plan);
    view
}

async fn serve(view: View) -> Server {
    serve_world(World::new(view, Vec::new()), None, &[], Default::default()).await
}

/// Each heading with how its checks stand, `+` where they are unfolded, and their names in order.
fn headings(page: &str) -> Vec<String> {
    let between = |text: &str, from: &str, to: &str| {
        let (_, rest) = text.split_once(from)?;
        Some(rest.split_once(to)?.0.to_owned())
    };
    let mut told = Vec::new();
    for part in page.split("<details class=\"group\"").skip(1) {
        let part = part.split("</details>").next().unwrap();
        let fold = if part.split('>').next().unwrap().ends_with(" open") { '+' } else { '-' };
        let heading = between(part, "<h3>", "</h3>").unwrap();
        let word = between(part, "<span class=\"word ", "\">").unwrap();
        let counts = between(part, "<span class=\"dim\">", "</span>").unwrap();
        let names: Vec<_> =
            part.split("href=\"/checks/").skip(1).map(|link| link.split('"').next().unwrap()).collect();
        told.push(format!("{fold} {heading}: {word} ({counts}): {}", names.join(" ")));
    }
    told
}

#[tokio::test]
async fn checks_stand_under_the_headings_of_their_groups_the_worst_first() {
    use Status::{Critical, Passing, Unknown, Warning};
    let server = serve(node(&[
        ("backup", None, Passing),
        ("cache", Some("Shop"), Passing),
        ("web", Some("Shop"), Critical),
        ("pay", Some("Shop"), Unknown),
        ("disk", Some("Hosts"), Warning),
        ("load", Some("Hosts"), Passing),
        ("mail", Some("Mail"), Passing),
    ]))
    .await;
    let page = server.get("/").await.body;
    assert_eq!(
        headings(&page),
        [
            "+ Shop: critical (1 critical, 1 unknown, 1 passing): web pay cache",
            "+ Hosts: warning (1 warning, 1 passing): disk load",
            "+ Mail: passing (1 passing): mail",
            "+ Other checks: passing (1 passing): backup",
        ]
    );
    let checks = server.get("/v1/checks").await.json();
    let group = |check: &str| server_group(&checks, check);
    assert_eq!((group("web"), group("backup")), (Some("Shop".to_owned()), None));
}

fn server_group(checks: &serde_json::Value, wanted: &str) -> Option<String> {
    let found = checks["checks"].as_array().unwrap().iter().find(|check| check["name"] == wanted).unwrap();
    found.get("group").map(|group| group.as_str().unwrap().to_owned())
}

#[tokio::test]
async fn without_groups_there_are_no_headings() {
    let page =
        serve(node(&[("a", None, Status::Passing), ("b", None, Status::Critical)])).await.get("/").await;
    assert_eq!(headings(&page.body), Vec::<String>::new());
    assert_eq!(page.body.matches("<table>").count(), 1);
}

#[tokio::test]
async fn of_many_checks_the_groups_are_folded_of_which_all_is_well() {
    let names: Vec<String> = (0..150).map(|number| format!("c{number:03}")).collect();
    let mut checks = Vec::new();
    for (number, check_name) in names.iter().enumerate() {
        let status = if number == 77 { Status::Warning } else { Status::Passing };
        checks.push((check_name.as_str(), Some(["A", "B", "C"][number / 50]), status));
    }
    let page = serve(node(&checks)).await.get("/").await.body;
    let short = |heading: &String| heading.split(": c").next().unwrap().to_owned();
    assert_eq!(
        headings(&page).iter().map(short).collect::<Vec<_>>(),
        ["+ B: warning (1 warning, 49 passing)", "- A: passing (50 passing)", "- C: passing (50 passing)"]
    );
}

#[tokio::test]
async fn a_group_says_how_many_of_its_checks_are_not_shown() {
    let names: Vec<String> = (0..300).map(|number| format!("c{number:03}")).collect();
    let group = |number: usize| Some(if number < 250 { "A" } else { "B" });
    let passing = |(number, name): (usize, &String)| (name.clone(), group(number), Status::Passing);
    let checks: Vec<_> = names.iter().enumerate().map(passing).collect();
    let checks: Vec<_> =
        checks.iter().map(|(name, group, status)| (name.as_str(), *group, *status)).collect();
    let server = serve(node(&checks)).await;
    let page = server.get("/").await.body;
    assert!(page.contains("Showing 200 of 300 checks"));
    assert!(page.contains(">and 50 more. <a href=\"/?all\">"), "200 of 250 are shown");
    assert_eq!(headings(&page)[1], "- B: passing (50 passing): ");
    let all = server.get("/?all").await.body;
    assert!(!all.contains("more. <a href"));
    assert_eq!(all.matches("href=\"/checks/").count(), 300);
}

#[tokio::test]
async fn a_group_of_which_only_something_in_maintenance_fails_says_so() {
    let desk = DeskStandin::idle();
    let any = vec![Pattern::Exactly("web".to_owned())];
    let window = alert::Command::Silence {
        id: Some("window web".to_owned()),
        when: Matchers(vec![Matcher { label: "check".to_owned(), any, not: false }]),
        lasting: Duration::from_secs(3_600),
        by: Silence::CONFIGURATION.to_owned(),
        comment: String::new(),
    };
    desk.command(window).await.unwrap().unwrap();
    let view = node(&[("web", Some("Shop"), Status::Critical), ("pay", Some("Shop"), Status::Passing)]);
    let server = serve_world(World::with_desk(view, Vec::new(), desk), None, &[], Default::default()).await;
    let page = server.get("/").await.body;
    assert_eq!(headings(&page), ["+ Shop: maintenance (1 in maintenance, 1 passing): web pay"]);
    assert!(page.contains("<symbol id=\"s-maintenance\"") && page.contains("href=\"#s-maintenance\""));
}

#[tokio::test]
async fn the_name_of_a_group_is_text() {
    let page = serve(node(&[("a", Some(HOSTILE), Status::Passing)])).await.get("/").await.body;
    for raw in ["<script>alert", "<img", "\u{1b}", "\u{202e}", "\0"] {
        assert!(!page.contains(raw), "{raw:?} is not escaped");
    }
    assert!(page.contains("<details class=\"group\" id=\"checks:%3Cscript%3E"));
}
