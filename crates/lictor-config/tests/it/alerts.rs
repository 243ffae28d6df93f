//! Alerts in whole configurations.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use lictor_config::{Env, Loaded, load, parse};
use lictor_core::Status;
use lictor_core::alert::Subject;
use tempfile::TempDir;

const ALERTS: &str = include_str!("../../../../examples/alerts.hcl");

fn read(files: &[(&str, &str)]) -> Loaded {
    let directory = TempDir::new().unwrap();
    for (name, text) in files {
        fs::write(directory.path().join(name), text).unwrap();
    }
    match load(&[directory.path().to_owned()], &BTreeMap::new()) {
        Ok(loaded) => loaded,
        Err(failure) => panic!("{}", failure.lines().collect::<Vec<_>>().join("\n")),
    }
}

fn route(name: &str) -> String {
    format!("route \"{name}\" {{\n  to       = [\"file\"]\n  continue = true\n}}\n")
}

const NOTIFIER: &str = "notify \"log\" \"file\" {\n  path = \"/var/log/alerts.log\"\n}\n";

#[test]
fn routes_are_asked_file_by_file_in_the_order_of_their_names() {
    let json = r#"{"route": [{"b1": {"to": ["file"], "continue": true}}, {"b2": {"to": ["file"], "continue": true}}]}"#;
    let first = route("a1") + &route("a2");
    let loaded =
        read(&[("30.hcl", &route("c")), ("20.json", json), ("10.hcl", &first), ("90.hcl", NOTIFIER)]);
    let names: Vec<&str> = loaded.config.alerts.plan.routes.iter().map(|route| route.name.as_str()).collect();
    assert_eq!(names, ["a1", "a2", "b1", "b2", "c"]);
}

#[test]
fn alerts_may_be_spread_over_files() {
    let part = |inner: &str| format!("alerts {{\n{inner}\n}}\n");
    let ignore = |node: &str| part(&format!("  ignore {{\n    node = \"{node}\"\n  }}"));
    let loaded = read(&[
        ("1.hcl", &(part("  cluster = \"x\"") + NOTIFIER)),
        ("2.hcl", &ignore("a")),
        ("3.json", r#"{"alerts": {"ignore": [{"node": "b"}, {"node": "c"}]}}"#),
    ]);
    let plan = &loaded.config.alerts.plan;
    let ignored: Vec<String> = plan.ignored.iter().map(ToString::to_string).collect();
    assert_eq!((plan.cluster.as_str(), ignored.join(" ").as_str()), ("x", "node=a node=b node=c"));
}

#[test]
fn the_example_leads_alerts_where_it_says() {
    let loaded = parse("alerts.hcl", ALERTS).unwrap();
    let alerts = &loaded.config.alerts;
    let of = |subject: &Subject| -> Vec<String> {
        alerts.plan.routes_of(subject, Status::Critical).map(|route| route.name.to_string()).collect()
    };
    assert_eq!(of(&Subject::own("watch1", "shop")), ["file", "phone", "chat"]);
    assert_eq!(of(&Subject::own("lab3", "shop")), ["file", "chat"]);
    let mut redis = Subject::own("watch1", "x");
    redis.labels.insert("service".to_owned(), "redis-3".to_owned());
    assert_eq!(of(&redis), ["file", "databases"]);
    assert_eq!(alerts.consul.as_ref().map(|consul| consul.datacenters.len()), Some(2));
    assert_eq!((alerts.heartbeats.len(), alerts.digests.len(), alerts.maintenance.len()), (1, 1, 2));
}

#[test]
fn the_example_cut_off_anywhere_is_survived() {
    for end in (0..ALERTS.len()).filter(|end| end.is_multiple_of(11)) {
        let Some(text) = ALERTS.get(..end) else { continue };
        if let Err(failure) = parse("alerts.hcl", text) {
            assert!(failure.errors.iter().all(|error| error.line >= 1 && !error.message.is_empty()));
        }
    }
}

/// A host somewhere else.
struct Tokyo;

impl Env for Tokyo {
    fn var(&self, _name: &str) -> Option<String> {
        None
    }

    fn time_zone(&self) -> jiff::tz::TimeZone {
        jiff::tz::TimeZone::get("Asia/Tokyo").unwrap()
    }

    fn is_missing(&self, _path: &Path) -> bool {
        false
    }
}

#[test]
fn without_a_time_zone_it_is_that_of_the_host() {
    let text = "maintenance \"m\" {\n  cron = \"0 2 * * *\"\n  for  = \"1h\"\n}\n";
    let loaded = lictor_config::parse_in("x.hcl", text, &Tokyo).unwrap();
    let next = loaded.config.alerts.maintenance[0].next("2026-05-01T00:00:00Z".parse().unwrap());
    assert_eq!(next.map(|(start, _)| start.to_string()).as_deref(), Some("2026-05-01T17:00:00Z"));
}
