use proptest::prelude::*;

use super::*;

/// As the old program stored it.
const STORED: &str = concat!(
    r#"{"Current":"passing","CurrentTimestamp":"2026-11-21T00:18:22.913805283Z","Pending":"","PendingTimestamp":"0001-01-01T00:00:00Z","#,
    r#""HealthCheck":{"Node":"n1","CheckID":"service:web1","Name":"Service web check","Status":"passing","Notes":"note","#,
    r#""Output":"a \u003cb\u003e \u0026\n","ServiceID":"web1","ServiceName":"web"},"ForNotification":false}"#
);

#[test]
fn a_stored_state_is_read_and_written_byte_for_byte() {
    let state = CheckState::from_json(STORED.as_bytes()).unwrap();
    assert_eq!(state.current, "passing");
    assert_eq!(state.health_check.output, "a <b> &\n");
    assert!(state.pending_timestamp.is_zero() && !state.for_notification);
    assert_eq!(state.to_json().unwrap(), STORED);
}

#[test]
fn names_of_fields_may_differ_in_case_and_be_missing() {
    let state = CheckState::from_json(
        br#"{"current": "critical", "FORNOTIFICATION": true, "healthcheck": {"checkid": "c", "serviceId": "s"}, "New": 1}"#,
    );
    let state = state.unwrap();
    assert_eq!((state.current.as_str(), state.for_notification), ("critical", true));
    assert_eq!((state.health_check.check_id.as_str(), state.health_check.service_id.as_str()), ("c", "s"));
    assert!(state.current_timestamp.is_zero());
}

#[test]
fn a_damaged_state_is_an_error_with_its_reason() {
    for (text, why) in [
        ("", "EOF while parsing a value at line 1 column 0"),
        (r#"{"Current": 1}"#, "`Current` is no text"),
        (
            r#"{"CurrentTimestamp": "soon"}"#,
            "`CurrentTimestamp`: `soon` is no time such as 2026-11-21T00:18:22.9Z",
        ),
        (r#"{"PendingTimestamp": 1}"#, "`PendingTimestamp` is no time"),
        (r#"{"HealthCheck": {"Node": []}}"#, "`Node` is no text"),
    ] {
        let error = CheckState::from_json(text.as_bytes()).map_err(|error| error.to_string());
        assert_eq!(error, Err(format!("the stored record is damaged: {why}")), "{text}");
    }
}

#[test]
fn keys_are_those_of_the_old_program() {
    let check = CheckRef { node: "n1", service_id: "web1", check_id: "service:web1", status: "" };
    assert_eq!(check_key("consul-alerts/", &check), "consul-alerts/checks/n1/web1/service:web1");
    let check = CheckRef { service_id: "", check_id: "a/b", ..check };
    assert_eq!(check_key("consul-alerts/", &check), "consul-alerts/checks/n1/_/a/b");
    let key = reminder_key("consul-alerts/", "n1", "a/b");
    assert_eq!(key, "consul-alerts/reminders/n1/a/b");
    assert_eq!(reminder_of("consul-alerts/", &key), Some(("n1", "a/b")));
    for none in [
        "consul-alerts/reminders/",
        "consul-alerts/reminders//",
        "consul-alerts/reminders/n1/",
        "consul-alerts/checks/a/b",
    ] {
        assert_eq!(reminder_of("consul-alerts/", none), None, "{none}");
    }
}

#[test]
fn the_lock_is_that_of_the_old_program() {
    assert_eq!(LEADER_FLAGS, 3_304_740_253_564_472_344);
    assert_eq!((LEADER, SESSION_NAME, SESSION_TTL), ("leader", "Consul API Lock", "15s"));
}

proptest! {
    #[test]
    fn what_was_written_is_read_again(current in ".{0,8}", output in ".{0,40}", nanos in 0..2_000_000_000_000_000_000_i128) {
        let state = CheckState {
            current,
            current_timestamp: Moment::utc(jiff::Timestamp::from_nanosecond(nanos).unwrap()),
            health_check: HealthCheck { output, ..HealthCheck::default() },
            ..CheckState::default()
        };
        let json = state.to_json().unwrap();
        prop_assert_eq!(CheckState::from_json(json.as_bytes()), Ok(state));
    }

    #[test]
    fn no_record_makes_it_panic(text in "[ -~]{0,60}") {
        drop(CheckState::from_json(text.as_bytes()));
    }
}
