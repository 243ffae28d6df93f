use super::*;

/// As the old program stored it and gave it to programs.
const STORED: &str = concat!(
    r#"{"Node":"n1","ServiceId":"web1","Service":"web","CheckId":"service:web1","Check":"Service web check","Status":"critical","#,
    r#""Output":"\u003crefused\u003e","Notes":"","Interval":10,"RmdCheck":"2026-11-21T00:18:22.9Z","NotifList":{"log":true},"#,
    r#""VarOverrides":{"email":null,"log":null,"influxdb":null,"slack":{"channel":"a","url":"http://geheim"},"mattermost":null,"#,
    r#""mattermost-webhook":null,"pagerduty":null,"hipchat":null,"opsgenie":null,"awssns":null,"victorops":null,"#,
    r#""http-endpoint":null,"ilert":null,"custom":null},"Timestamp":"2026-11-21T01:18:22+01:00"}"#
);

#[test]
fn a_stored_reminder_is_read_and_written_byte_for_byte() {
    let message = Message::from_json(STORED.as_bytes()).unwrap();
    assert_eq!((message.interval, message.output.as_str()), (10, "<refused>"));
    assert_eq!(message.notif_list, Some([("log".to_owned(), true)].into()));
    assert_eq!(message.to_json().unwrap(), STORED);
}

#[test]
fn an_empty_message_has_all_fields() {
    let json = Message::default().to_json().unwrap();
    assert!(
        json.starts_with(r#"{"Node":"","ServiceId":"","Service":"","CheckId":"","Check":"","Status":"","#),
        "{json}"
    );
    assert!(json.contains(
        r#""Interval":0,"RmdCheck":"0001-01-01T00:00:00Z","NotifList":null,"VarOverrides":{"email":null,"#
    ));
    assert_eq!(Message::from_json(json.as_bytes()), Ok(Message::default()));
    assert_eq!(Message::from_json(b"{}"), Ok(Message::default()));
    assert!(Message::from_json(b"[]").is_err());
}

#[test]
fn secrets_stay_with_those_whom_they_concern() {
    let message = Message::from_json(STORED.as_bytes()).unwrap();
    let hidden = Message { var_overrides: message.var_overrides.without_secrets(), ..message.clone() };
    let json = hidden.to_json().unwrap();
    assert!(json.contains(r##""slack":{"channel":"a","url":"***"}"##), "{json}");
    assert!(!format!("{message:?}").contains("geheim"));
    let shown =
        crate::gotemplate::Template::parse("{{.VarOverrides}}", crate::gotemplate::Mode::Text).unwrap();
    assert!(!shown.render(&message.to_value()).unwrap().contains("geheim"));
}
