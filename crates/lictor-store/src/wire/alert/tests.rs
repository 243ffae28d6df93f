use lictor_core::{Boot, DeliveryId, Now, Status as Is};

use super::*;

fn at(boot: u64) -> Now {
    Now { boot: Boot::from_millis(boot), wall: Wall::from_unix_millis(-5) }
}

fn case() -> core::Case {
    let labels = core::text(&[("node", "n1"), ("check", "alive")]);
    let key = core::SubjectKey::consul("dc1", "n1", "", "alive");
    let told = core::Told { status: Is::Critical, firing: true, at: at(4), reminders: 2, news: Some(7) };
    core::Case {
        subject: core::Subject { key, labels, tags: ["blue".to_owned()].into() },
        source: core::Source::new("consul/dc1"),
        settled: Is::Critical,
        since: at(1),
        opened: at(2),
        live: Is::Warning,
        live_since: at(3),
        side_since: at(2),
        judged: false,
        news: Some(7),
        output: "connection refused \u{1F525}".into(),
        notes: String::new(),
        maintenance: true,
        gone: Some(core::Gone::NoInstance),
        acknowledged: Some(core::Acknowledged {
            by: "me".into(),
            comment: "mine".into(),
            at: at(9),
            lasting: Some(Duration::from_secs(60)),
        }),
        told: [(lictor_core::NotifierName::new("ops").unwrap(), told)].into(),
        changes: [at(1), at(2)].into(),
        flapping: true,
        was_critical: Some(at(8)),
    }
}

fn delivery(state: core::Sending) -> core::Delivery {
    let case = case();
    let item = core::Item {
        key: case.subject.key.clone(),
        incident: case.subject.key.to_string(),
        title: "alive on n1".into(),
        labels: case.subject.labels.clone(),
        tags: case.subject.tags,
        tells: core::Tells::Resolved,
        over: Some(core::Over::Gone(core::Gone::Unwatched)),
        status: Is::Unknown,
        before: Some(Is::Warning),
        since: Wall::from_unix_millis(1),
        opened: Wall::from_unix_millis(2),
        lasted: Some(Duration::from_millis(9)),
        output: "x".into(),
        notes: "y".into(),
        reminders: 3,
    };
    let rest = core::Rest { key: case.subject.key, tells: core::Tells::Resolved, status: Is::Passing };
    core::Delivery {
        id: DeliveryId(7),
        notifier: lictor_core::NotifierName::new("ops").unwrap(),
        route: Some(lictor_core::RouteName::new("all").unwrap()),
        occasion: core::Occasion::Reminder,
        items: vec![item],
        rest: vec![rest],
        news: [(core::SubjectKey::own("n1", "shop"), 7)].into(),
        failing: core::Failing { critical: 1, warning: 2, unknown: 3 },
        created: at(1),
        state,
        attempts: 4,
        unclear: true,
        error: Some("no".into()),
    }
}

#[test]
fn every_row_is_read_as_it_was_written() {
    let pattern = |text: &str| core::Pattern::Regex(regex::Regex::new(text).unwrap());
    let any = vec![core::Pattern::Exactly("a".into()), pattern("b+")];
    let matcher = core::Matcher { label: "node".into(), any, not: true };
    let silence = core::Silence {
        id: "s1".into(),
        when: core::Matchers(vec![matcher]),
        from: at(3),
        lasting: Duration::from_millis(1_500),
        by: "me".into(),
        comment: "why".into(),
    };
    let waiting = core::Sending::Waiting { since: at(5), pause: Duration::from_secs(7) };
    let used = [core::Used { at: at(6), times: 1 }, core::Used { at: at(7), times: 3 }].into();
    let used = [(lictor_core::NotifierName::new("ops").unwrap(), used)].into();
    let ended = core::Ended { by: "me".into(), until: Wall::from_unix_millis(8) };
    let rows = [
        core::Row::Case(case()),
        core::Row::Delivery(delivery(waiting)),
        core::Row::Delivery(delivery(core::Sending::Under)),
        core::Row::Silence(silence),
        core::Row::Counters(core::Counters {
            deliveries: 9,
            silences: 1,
            used,
            digests: [("daily".to_owned(), Wall::from_unix_millis(7))].into(),
            ended: [("maintenance x".to_owned(), ended)].into(),
        }),
    ];
    for row in rows {
        let bytes = crate::wire::encode(&AlertRow::from(&row)).unwrap();
        let read: AlertRow = crate::wire::decode(&bytes).unwrap();
        assert_eq!(core::Row::try_from(read).unwrap(), row);
    }
}

#[test]
fn a_row_of_an_older_version_is_read() {
    let read = |text: &str| crate::wire::decode::<AlertRow>(text.as_bytes()).unwrap().try_into();
    let counters = core::Counters { deliveries: 9, silences: 1, ..core::Counters::default() };
    let row: Result<core::Row, WireError> = read(r#"{"v":1,"kind":"counters","deliveries":9,"silences":1}"#);
    assert_eq!(row.unwrap(), core::Row::Counters(counters));
    let without = core::Row::Case(core::Case { was_critical: None, ..case() });
    let bytes = crate::wire::encode(&AlertRow::from(&without)).unwrap();
    assert!(!String::from_utf8(bytes).unwrap().contains("was_critical"));
}

/// A row as it was before it said of what kind the end is.
fn without(row: &core::Row, members: &[&str]) -> core::Row {
    fn strip(value: &mut serde_json::Value, members: &[&str]) {
        match value {
            serde_json::Value::Object(all) => {
                all.retain(|name, _| !members.contains(&name.as_str()));
                all.values_mut().for_each(|value| strip(value, members));
            }
            serde_json::Value::Array(all) => all.iter_mut().for_each(|value| strip(value, members)),
            _ => {}
        }
    }
    let mut value = serde_json::to_value(AlertRow::from(row)).unwrap();
    strip(&mut value, members);
    serde_json::from_value::<AlertRow>(value).unwrap().try_into().unwrap()
}

#[test]
fn why_something_is_over_is_read_from_the_words_of_an_older_version() {
    for gone in core::Gone::ALL {
        let row = core::Row::Case(core::Case { gone: Some(gone), ..case() });
        assert_eq!(without(&row, &["gone_as"]), row, "{gone:?}");
        let mut old = delivery(core::Sending::Under);
        (old.items[0].over, old.items[0].notes) = (Some(core::Over::Gone(gone)), gone.as_str().into());
        let row = core::Row::Delivery(old);
        assert_eq!(without(&row, &["over"]), row, "{gone:?}");
    }
    for (status, over) in [(Is::Passing, core::Over::Recovered), (Is::Warning, core::Over::Milder)] {
        let mut old = delivery(core::Sending::Under);
        (old.items[0].status, old.items[0].over) = (status, Some(over));
        let row = core::Row::Delivery(old);
        assert_eq!(without(&row, &["over"]), row, "{over:?}");
    }
    let mut firing = delivery(core::Sending::Under);
    (firing.items[0].tells, firing.items[0].over) = (core::Tells::Firing, None);
    let row = core::Row::Delivery(firing);
    assert_eq!(without(&row, &["over"]), row);
}

#[test]
fn an_event_without_who_wanted_it_is_read() {
    let silenced = r#"{"kind":"silenced","id":"s1","when":"node=n1","until_ms":null}"#;
    let what: crate::wire::What = serde_json::from_str(silenced).unwrap();
    let what = lictor_core::What::try_from(what).unwrap();
    assert_eq!(what.to_string(), "silence s1 is over: node=n1");
}

#[test]
fn what_is_no_row_is_refused_with_the_reason() {
    let read = |text: &str| {
        let row = crate::wire::decode::<AlertRow>(text.as_bytes()).and_then(core::Row::try_from);
        row.unwrap_err().to_string()
    };
    assert!(read(r#"{"v":1,"kind":"other"}"#).contains("other"));
    let silence = r#"{"v":1,"kind":"silence","id":"s","when":[{"label":"x","any":[{"regex":"("}]}],
        "from":{"unix_ms":1,"boot_ms":1},"lasting_ms":1,"by":"","comment":""}"#;
    assert!(read(silence).contains("regex"));
    assert!(read(r#"{"v":9,"kind":"counters"}"#).contains("version 9"));
}
