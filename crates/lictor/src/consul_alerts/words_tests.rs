use lictor_compat::consul_alerts::Settings;

use super::*;

fn told([node, service_id, check_id, status]: [&str; 4], over: bool) -> Told {
    let message = Message {
        node: node.to_owned(),
        service_id: service_id.to_owned(),
        service: service_id.trim_end_matches(char::is_numeric).to_owned(),
        check_id: check_id.to_owned(),
        check: "Check".to_owned(),
        status: status.to_owned(),
        output: "refused".to_owned(),
        ..Message::default()
    };
    Told { message, over }
}

fn notifier(kind: &str, pairs: &[(&str, &str)]) -> Notifier {
    let keys: Vec<_> =
        pairs.iter().map(|(key, value)| (format!("config/notifiers/{kind}/{key}"), *value)).collect();
    let settings = Settings::read("", keys.iter().map(|(key, value)| (key.as_str(), value.as_bytes())));
    settings.notifier(Kind::named(kind).unwrap()).unwrap().clone()
}

/// What is posted: address, body and the header that lets in.
fn posted(kind: &str, pairs: &[(&str, &str)], told: &[Told]) -> Vec<(String, String, String)> {
    let made = made(&notifier(kind, pairs), told, None, Timestamp::UNIX_EPOCH).unwrap();
    let Made::Posts { posts, .. } = made else { panic!("{made:?}") };
    let shown = |post: Post| {
        let lets_in = post.headers.get("authorization").cloned().unwrap_or_default();
        (post.url.to_string(), post.body, lets_in)
    };
    posts.into_iter().map(shown).collect()
}

#[test]
fn slack_gets_one_message_for_all() {
    let both = [told(["n1", "web1", "c1", "critical"], false), told(["n2", "", "c2", "passing"], true)];
    let posts = posted("slack", &[("url", "https://hooks/x"), ("channel", "#ops")], &both);
    let body = r##"{"channel":"#ops","text":"Consul-Alerts is CRITICAL.\n\nFail: 1, Warn: 0, Pass: 1\n\nn1:web:Check is critical.\nrefused\nn2::Check is passing.\nrefused"}"##;
    assert_eq!(posts, [("https://hooks/x".to_owned(), body.to_owned(), String::new())]);
}

#[test]
fn mattermosts_webhook_gets_a_form() {
    let posts = posted(
        "mattermost-webhook",
        &[("url", "http://m/hooks/x")],
        &[told(["n1", "", "c1", "critical"], false)],
    );
    assert!(posts[0].1.starts_with("payload=%7B%22text%22%3A%22Consul-Alerts+is+CRITICAL."), "{posts:?}");
}

#[test]
fn pagerduty_hears_of_each_and_what_is_over_is_resolved() {
    let both = [told(["n1", "web1", "c1", "critical"], false), told(["n2", "", "c2", "warning"], true)];
    let posts = posted("pagerduty", &[("service-key", "k")], &both);
    let events: Vec<Value> = posts.iter().map(|post| serde_json::from_str(&post.1).unwrap()).collect();
    assert_eq!(posts[0].0, "https://events.pagerduty.com/generic/2010-04-15/create_event.json");
    let seen = |event: &Value| {
        let text = |name: &str| event[name].as_str().unwrap().to_owned();
        [text("event_type"), text("incident_key"), text("description")]
    };
    assert_eq!(seen(&events[0]), ["trigger", "n1:web1:c1", "n1:web:Check is CRITICAL"]);
    assert_eq!(seen(&events[1]), ["resolve", "n2:c2", "n2:Check is now HEALTHY"]);
}

#[test]
fn opsgenie_and_its_successor_open_and_close() {
    let one = |status: &str| told(["n1", "web/1", "c 1", status], status == "passing");
    let opened = posted("opsgenie", &[("api-key", "k")], &[one("critical")]);
    assert_eq!((opened[0].0.as_str(), opened[0].2.as_str()), (OPSGENIE, "GenieKey k"));
    let body: Value = serde_json::from_str(&opened[0].1).unwrap();
    assert_eq!(body["alias"], "n1:web/1:c 1");
    assert_eq!(body["message"], "\nn1:web/:Check is critical.");
    let closed = posted("jsm", &[("api-key", "k")], &[one("passing")]);
    let url =
        "https://api.atlassian.com/jsm/ops/integration/v2/alerts/n1:web%2F1:c%201/close?identifierType=alias";
    assert_eq!((closed[0].0.as_str(), closed[0].1.as_str()), (url, r#"{"source":"consul"}"#));
}

#[test]
fn victorops_and_ilert_hear_of_each() {
    let one = [told(["n1", "web1", "c1", "warning"], false)];
    let posts = posted("victorops", &[("api-key", "a/b"), ("routing-key", "r")], &one);
    assert!(posts[0].0.ends_with("/generic/20131114/alert/a%2Fb/r"), "{posts:?}");
    assert!(posts[0].1.contains(r#""message_type":"WARNING","entity_id":"n1:web1:c1""#), "{posts:?}");
    let posts =
        posted("ilert", &[("api-key", "k"), ("incident-key-template", "{{.Node}}/{{.CheckId}}")], &one);
    let body: Value = serde_json::from_str(&posts[0].1).unwrap();
    assert_eq!((&body["eventType"], &body["alertKey"]), (&"ALERT".into(), &"n1/c1".into()));
    assert_eq!(body["summary"], "n1/c1 is WARNING");
}

#[test]
fn an_endpoint_gets_what_its_templates_say_and_the_plain_text_where_one_is_wrong() {
    let one = [told(["n1", "web1", "c1", "critical"], false)];
    let keys = [
        ("base-url", "http://h"),
        ("endpoint", "/e"),
        ("payload", r#"{"a": "{{.ClusterName}} {{.FailCount}}", "b": "{{.Nonsense}}"}"#),
    ];
    let posts = posted("http-endpoint", &keys, &one);
    let body: Value = serde_json::from_str(&posts[0].1).unwrap();
    assert_eq!((posts[0].0.as_str(), &body["a"]), ("http://h/e", &"Consul-Alerts 1".into()));
    assert!(body["b"].as_str().unwrap().starts_with("Consul-Alerts is CRITICAL."), "{body}");
}

#[test]
fn patches_of_the_old_program_are_served() {
    let one = [told(["n1", "web1", "c1", "critical"], false)];
    let posts = posted("alerta", &[("url", "http://a/api/"), ("token", "t")], &one);
    assert_eq!((posts[0].0.as_str(), posts[0].2.as_str()), ("http://a/api/alert", "Key t"));
    let posts = posted("elasticsearch", &[("host", "e:9200"), ("index-name", "i")], &one);
    assert_eq!(posts[0].0, "http://e:9200/i/_doc");
    assert!(posts[0].1.starts_with(r#"{"Node":"n1","ServiceId":"web1""#), "{posts:?}");
}

#[test]
fn a_document_has_no_secrets_of_other_notifiers() {
    let profile = r#"{"NotifList": {"slack": true}, "VarOverrides": {"slack": {"url": "http://hidden", "channel": "c"}}}"#;
    let settings = Settings::read("", [("config/notif-profiles/p", profile.as_bytes())]);
    let mut one = told(["n1", "web1", "c1", "critical"], false);
    one.message.var_overrides = settings.profiles["p"].var_overrides().clone();
    let posts = posted("elasticsearch", &[("host", "e:9200"), ("index-name", "i")], &[one]);
    assert!(posts[0].1.contains(r#""channel":"c""#) && !posts[0].1.contains("hidden"), "{posts:?}");
}

#[test]
fn sns_and_mail_have_the_old_subjects() {
    let one = [told(["n1", "web1", "c1", "critical"], false)];
    let sns = made(&notifier("awssns", &[]), &one, None, Timestamp::UNIX_EPOCH).unwrap();
    let Made::Texts { title, text } = sns else { panic!("{sns:?}") };
    assert_eq!(
        (title.as_str(), text.as_str()),
        ("CRITICAL--Fail: 1, Warn: 0, Pass: 0", "\nn1:web:Check is critical.")
    );
    let messages = [one[0].message.clone()];
    let (subject, text, html) =
        mail(&notifier("email", &[]), "Prod n1", &messages, Some("<b>{{.FailCount}}</b>"));
    assert_eq!((subject.as_str(), html.as_str()), ("Prod n1 is CRITICAL", "<b>1</b>"));
    assert!(text.starts_with("Prod n1 is CRITICAL.\n"), "{text}");
    let (_, _, html) = mail(&notifier("email", &[]), "Prod", &messages, Some("{{.Nonsense}}"));
    assert!(html.contains("Prod is CRITICAL"), "a wrong template must not cost the mail: {html}");
}

#[test]
fn templates_with_mistakes_are_told_with_their_keys() {
    let keys = [("payload", r#"{"a": "{{.X", "b": "{{.ClusterName}}"}"#)];
    let remarks = mistakes("consul-alerts/config/", &notifier("http-endpoint", &keys));
    assert_eq!(remarks.len(), 1);
    assert!(
        remarks[0].to_string().starts_with(
            "consul-alerts/config/notifiers/http-endpoint/payload has a mistake in the template of `a`: line 1"
        ),
        "{remarks:?}"
    );
    assert!(mistakes("", &notifier("ilert", &[("incident-key-template", "{{")])).len() == 1);
    assert!(mistakes("", &notifier("ilert", &[])).is_empty());
}
