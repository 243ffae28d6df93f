use std::time::Duration;

use lictor_config::{Pattern, Webhook, WebhookFormat};
use lictor_core::{Input, Value};
use regex::Regex;
use serde_json::json;

use super::*;

fn alertmanager(matchers: &[(&str, &str)]) -> Webhook {
    let matcher = |(label, pattern): &(&str, &str)| ((*label).to_owned(), Regex::new(pattern).unwrap());
    Webhook {
        token: None,
        expire: Some(Duration::from_secs(3_600)),
        format: WebhookFormat::Alertmanager {
            matchers: matchers.iter().map(matcher).collect(),
            severity: "severity".to_owned(),
            warning: vec!["warning".to_owned()],
        },
    }
}

fn document(pointer: Option<&str>, lines: &[&str]) -> Webhook {
    let words = |word: &str| vec![word.to_owned()];
    Webhook {
        token: None,
        expire: Some(Duration::from_secs(3_600)),
        format: WebhookFormat::Json {
            pointer: pointer.map(str::to_owned),
            critical: words("down"),
            warning: words("slow"),
            passing: words("up"),
            lines: lines.iter().map(|line| (*line).to_owned()).collect(),
        },
    }
}

/// A call of one group; each alert by its status, name and severity.
fn call(group: &str, alerts: &[(&str, &str, &str)]) -> Vec<u8> {
    let alert = |(status, name, severity): &(&str, &str, &str)| {
        json!({
            "status": status, "fingerprint": format!("id-{name}"),
            "labels": { "alertname": name, "severity": severity, "instance": "h:1" },
            "annotations": { "summary": format!("{name} is bad") },
        })
    };
    let alerts: Vec<_> = alerts.iter().map(alert).collect();
    json!({ "version": "4", "groupKey": group, "receiver": "r", "alerts": alerts }).to_string().into_bytes()
}

fn at(seconds: u64) -> Boot {
    Boot::from_millis(seconds * 1_000)
}

fn told(heard: &Heard, settings: &Webhook, seconds: u64) -> String {
    let sample = heard.sample(settings, at(seconds));
    format!("{}: {}", sample.status, sample.summary)
}

#[test]
fn it_is_as_bad_as_the_worst_alert_and_passes_when_none_fires() {
    let settings = alertmanager(&[]);
    let mut heard = Heard::default();
    heard.take(&settings, &call("a", &[("firing", "Slow", "warning")]), at(1)).unwrap();
    assert_eq!(told(&heard, &settings, 1), "warning: Slow: Slow is bad");
    heard.take(&settings, &call("b", &[("firing", "Down", "page"), ("firing", "Gone", "")]), at(2)).unwrap();
    assert_eq!(told(&heard, &settings, 2), "critical: Down: Down is bad; Gone: Gone is bad; 1 more");
    heard
        .take(&settings, &call("b", &[("resolved", "Down", "page"), ("resolved", "Gone", "")]), at(3))
        .unwrap();
    assert_eq!(told(&heard, &settings, 3), "warning: Slow: Slow is bad");
    heard.take(&settings, &call("a", &[("resolved", "Slow", "warning")]), at(4)).unwrap();
    assert_eq!(told(&heard, &settings, 4), "passing: no alert fires");
}

#[test]
fn alerts_that_do_not_match_are_passed_over() {
    let settings = alertmanager(&[("alertname", "^(?:Disk.*)$"), ("severity", "^(?:page|)$")]);
    let mut heard = Heard::default();
    let body = call("a", &[("firing", "NoDisk", "page"), ("firing", "DiskFull", "warning")]);
    assert_eq!(heard.take(&settings, &body, at(1)).unwrap(), Vec::<String>::new());
    assert_eq!(told(&heard, &settings, 1), "passing: no alert fires");
    heard.take(&settings, &call("a", &[("firing", "DiskFull", "")]), at(1)).unwrap();
    assert!(told(&heard, &settings, 1).starts_with("critical: DiskFull"));
}

#[test]
fn what_is_not_told_of_again_does_not_count_for_ever() {
    let settings = alertmanager(&[]);
    let mut heard = Heard::default();
    heard.take(&settings, &call("a", &[("firing", "Old", "page")]), at(0)).unwrap();
    heard.take(&settings, &call("b", &[("firing", "New", "page")]), at(1_000)).unwrap();
    let expire = settings.expire.unwrap();
    heard.alerts.forget(expire, at(3_600).as_millis());
    assert_eq!(heard.alerts.firing(), 2);
    heard.alerts.forget(expire, at(3_601).as_millis());
    let wanted = "critical: New: New is bad; not told of for too long, and so not counted any more: Old";
    assert_eq!(told(&heard, &settings, 3_601), wanted);
}

#[test]
fn silence_does_not_mean_that_nothing_fires() {
    let settings = alertmanager(&[]);
    let expire = settings.expire.unwrap();
    let mut heard = Heard::default();
    heard.take(&settings, &call("a", &[("firing", "Old", "page")]), at(0)).unwrap();
    heard.alerts.forget(expire, at(3_601).as_millis());
    let wanted = "unknown: nobody says whether an alert fires; not told of for too long, and so not counted any \
                  more: Old";
    assert_eq!(told(&heard, &settings, 3_601), wanted);
    // Later looks say the same.
    heard.alerts.forget(expire, at(9_000).as_millis());
    assert_eq!(told(&heard, &settings, 9_000), wanted);
    heard.take(&settings, &call("a", &[("resolved", "Old", "page")]), at(9_001)).unwrap();
    assert_eq!(told(&heard, &settings, 9_001), "passing: no alert fires");
}

#[test]
fn what_is_missing_from_its_group_does_not_fire_any_more() {
    let settings = alertmanager(&[]);
    let mut heard = Heard::default();
    heard
        .take(&settings, &call("a", &[("firing", "One", "page"), ("firing", "Two", "page")]), at(0))
        .unwrap();
    heard.take(&settings, &call("b", &[("firing", "Other", "page")]), at(1)).unwrap();
    heard.take(&settings, &call("a", &[("firing", "One", "page")]), at(2)).unwrap();
    assert_eq!(told(&heard, &settings, 2), "critical: One: One is bad; Other: Other is bad");
    let cut_short = String::from_utf8(call("b", &[]))
        .unwrap()
        .replace("\"receiver\"", "\"truncatedAlerts\":5,\"receiver\"");
    heard.take(&settings, cut_short.as_bytes(), at(3)).unwrap();
    assert_eq!(heard.alerts.firing(), 2, "what was cut off is not known to be over");
}

#[test]
fn each_alert_gives_a_line_when_it_begins_and_when_it_is_over() {
    let settings = alertmanager(&[]);
    let mut heard = Heard::default();
    let firing = call("a", &[("firing", "Down", "page")]);
    let lines = heard.take(&settings, &firing, at(0)).unwrap();
    let about = r#"alertname="Down" instance="h:1" severity="page" ; summary="Down is bad""#;
    assert_eq!(lines, [format!("firing Down {about}")]);
    assert!(heard.take(&settings, &firing, at(1)).unwrap().is_empty(), "it was told of before");
    let over = call("a", &[("resolved", "Down", "page")]);
    assert_eq!(heard.take(&settings, &over, at(2)).unwrap(), [format!("resolved Down {about}")]);
    assert!(heard.take(&settings, &over, at(3)).unwrap().is_empty());
}

#[test]
fn no_label_can_pass_itself_off_as_another() {
    let settings = alertmanager(&[]);
    let body = json!({ "version": "4", "alerts": [{
        "status": "firing", "labels": { "alertname": "X", "a": "\" instance=\"evil\nfiring Y" },
    }] });
    let lines = Heard::default().take(&settings, body.to_string().as_bytes(), at(0)).unwrap();
    assert_eq!(lines, [r#"firing X a="\" instance=\"evil\nfiring Y" alertname="X" ;"#]);
}

#[test]
fn a_thousand_alerts_are_kept_and_more_are_told_of() {
    let settings = alertmanager(&[]);
    let names: Vec<String> = (0..1_500).map(|number| format!("A{number:04}")).collect();
    let alerts: Vec<(&str, &str, &str)> =
        names.iter().map(|name| ("firing", name.as_str(), "page")).collect();
    let mut heard = Heard::default();
    heard.take(&settings, &call("a", &alerts), at(0)).unwrap();
    assert_eq!((heard.alerts.firing(), heard.sample(&settings, at(0)).values.len()), (1_500, 3));
    assert!(
        told(&heard, &settings, 0)
            .ends_with("1497 more; of more than 1000 alerts only so many are looked at")
    );
    let whole = serde_json::to_string(&heard).unwrap();
    assert!(whole.len() < 400_000, "{}", whole.len());
}

#[test]
fn what_is_not_understood_changes_nothing() {
    let settings = alertmanager(&[]);
    let mut heard = Heard::default();
    heard.take(&settings, &call("a", &[("firing", "Down", "page")]), at(0)).unwrap();
    let before = heard.clone();
    for body in [
        "",
        "{}",
        "[]",
        "{\"version\":\"5\",\"alerts\":[]}",
        "{\"version\":\"4\",\"alerts\":[{\"status\":\"odd\"}]}",
    ] {
        heard.take(&settings, body.as_bytes(), at(1)).unwrap_err();
        assert_eq!(heard, before, "{body}");
    }
}

#[test]
fn a_document_says_it_in_a_word() {
    let settings = document(Some("/state"), &[]);
    let said = |body: &str| {
        let mut heard = Heard::default();
        heard.take(&settings, body.as_bytes(), at(0)).unwrap();
        told(&heard, &settings, 10)
    };
    assert_eq!(said(r#"{"state":"down"}"#), "critical: /state says `down`");
    assert_eq!(said(r#"{"state":"slow"}"#), "warning: /state says `slow`");
    assert_eq!(said(r#"{"state":"up"}"#), "passing: /state says `up`");
    assert_eq!(
        said(r#"{"state":"UP"}"#),
        "unknown: /state says `UP`, which is none of the words that are known"
    );
    assert!(said("{}").starts_with("unknown: the document has neither"));
    let mut heard = Heard::default();
    heard.take(&settings, br#"{"state":"up"}"#, at(0)).unwrap();
    assert!(told(&heard, &settings, 3_601).starts_with("unknown: nobody has called for 1h"));
    assert!(document_lines(&document(None, &[]), r#"{"a": 1}"#) == [r#"{"a":1}"#]);
    let chosen = document(None, &["/a", "/b/0", "/c"]);
    assert_eq!(document_lines(&chosen, r#"{"a": 1, "b": ["x y"], "d": 2}"#), ["1", "x y"]);
}

fn document_lines(settings: &Webhook, body: &str) -> Vec<String> {
    Heard::default().take(settings, body.as_bytes(), at(0)).unwrap()
}

#[tokio::test]
async fn a_call_is_handed_in_with_its_lines_and_is_remembered_over_a_restart() {
    let check: CheckName = "alerts".parse().unwrap();
    let (settings, positions, clock) = (alertmanager(&[]), Positions::default(), Clock::fresh());
    let pattern =
        Pattern { name: "down".parse().unwrap(), regex: Regex::new("^firing (?<name>\\S+)").unwrap() };
    let hook = Hook::new(&check, &settings, std::slice::from_ref(&pattern), &positions);
    let (inbox, mut inputs) = Inbox::detached();
    let body = call("a", &[("firing", "Down", "page")]);
    let taken = hook.call(&check, &body, &clock, &inbox, &positions).await.unwrap();
    assert_eq!(taken, WebhookTaken { status: Status::Critical, firing: 1 });
    let Some(Input::Read { matches, position, .. }) = inputs.next().await else { panic!() };
    assert_eq!(matches[0].captures["name"], "Down");
    let Some(Input::Observed { sample, .. }) = inputs.next().await else { panic!() };
    assert_eq!(sample.value(&value::FIRING), Some(&Value::Number(1.0)));

    let restored = Positions::new([(check.clone(), position.unwrap())]);
    let after = Hook::new(&check, &settings, &[pattern], &restored);
    let heard = after.heard.lock().await.clone();
    assert_eq!(heard, *hook.heard.lock().await);
    drop(heard);
    hook.call(&check, b"{", &clock, &inbox, &positions).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_caller_is_told_when_the_agent_is_too_busy() {
    let check: CheckName = "alerts".parse().unwrap();
    let (settings, positions) = (alertmanager(&[]), Positions::default());
    let hook = Hook::new(&check, &settings, &[], &positions);
    let (inbox, _inputs) = Inbox::detached();
    while timeout(Duration::from_secs(1), inbox.observed(check.clone(), Sample::new(Status::Passing, "")))
        .await
        .is_ok()
    {}
    let body = call("a", &[("firing", "Down", "page")]);
    let refused = hook.call(&check, &body, &Clock::fresh(), &inbox, &positions).await;
    assert!(matches!(refused, Err(WebhookError::Busy(_))), "{refused:?}");
    assert_eq!(*hook.heard.lock().await, Heard::default(), "it was not taken, so it must be said again");
}
