use proptest::prelude::*;

use super::*;

/// The settings of these keys below `consul-alerts/config/`.
fn read(pairs: &[(&str, &str)]) -> Settings {
    let keys: Vec<_> = pairs.iter().map(|(key, value)| (format!("{PREFIX}{CONFIG}{key}"), *value)).collect();
    Settings::read(PREFIX, keys.iter().map(|(key, value)| (key.as_str(), value.as_bytes())))
}

/// The same, when nothing is to be said of them.
#[track_caller]
fn good(pairs: &[(&str, &str)]) -> Settings {
    let settings = read(pairs);
    assert_eq!(settings.remarks, [], "{pairs:?}");
    settings
}

#[track_caller]
fn remarks(pairs: &[(&str, &str)], said: &[&str]) -> Settings {
    let settings = read(pairs);
    let found: Vec<_> = settings.remarks.iter().map(ToString::to_string).collect();
    let found: Vec<_> =
        found.iter().map(|text| text.strip_prefix("consul-alerts/config/").unwrap_or(text)).collect();
    assert_eq!(found, said);
    settings
}

fn check<'a>(node: &'a str, service_id: &'a str, check_id: &'a str, status: &'a str) -> CheckRef<'a> {
    CheckRef { node, service_id, check_id, status }
}

#[test]
fn without_keys_the_defaults_count() {
    let settings = good(&[]);
    assert_eq!(settings, Settings::default());
    assert!(settings.checks_enabled && settings.events_enabled && settings.handlers.is_empty());
    assert_eq!(settings.thresholds.global.as_secs(), 60);
    let told = settings.told(&check("n", "", "c", "critical"));
    assert_eq!((told.profile, told.interval), ("", 0));
    assert_eq!(told.to.iter().map(Receiver::name).collect::<Vec<_>>(), ["log"]);
}

#[test]
fn a_deleted_key_is_its_default_again() {
    let before =
        read(&[("checks/change-threshold", "5"), ("notifiers/http-endpoint/payload", r#"{"a":"b"}"#)]);
    assert_eq!(before.thresholds.global.as_secs(), 5);
    assert_eq!(read(&[]), Settings::default());
}

#[test]
fn other_keys_and_folders_are_not_looked_at() {
    let pairs = [
        ("consul-alerts/leader", "x"),
        ("consul-alerts/checks/n1/_/mem", "{}"),
        ("consul-alerts/config/", ""),
        ("consul-alerts/config/checks/blacklist/nodes/", ""),
        ("consul-alerts/config/notif-selection/services/", ""),
        ("other/config/checks/enabled", "false"),
    ];
    let settings = Settings::read(PREFIX, pairs.map(|(key, value)| (key, value.as_bytes())));
    assert_eq!(settings, Settings::default());
    let elsewhere = Settings::read("other/", pairs.map(|(key, value)| (key, value.as_bytes())));
    assert!(!elsewhere.checks_enabled);
}

#[test]
fn yes_and_no_are_read_as_go_reads_them_and_trimmed() {
    for yes in ["1", "t", "T", "TRUE", "true", "True", " true\n", "\ttrue\r\n"] {
        assert!(good(&[("notifiers/slack/enabled", yes)]).notifiers[&Kind::Slack].enabled, "{yes:?}");
    }
    for no in ["0", "f", "F", "FALSE", "false", "False", "false\n"] {
        assert!(!good(&[("checks/enabled", no)]).checks_enabled, "{no:?}");
        assert!(!good(&[("events/enabled", no)]).events_enabled, "{no:?}");
        assert!(!good(&[("notifiers/log/enabled", no)]).notifiers[&Kind::Log].enabled, "{no:?}");
    }
    remarks(
        &[
            ("checks/enabled", "yes"),
            ("events/enabled", ""),
            ("notifiers/log/enabled", "on"),
            ("notifiers/email/enabled", "on"),
        ],
        &[
            "checks/enabled is neither true nor false; it is true",
            "events/enabled is neither true nor false; it is true",
            "notifiers/email/enabled is neither true nor false; it is false",
            "notifiers/log/enabled is neither true nor false; it is true",
        ],
    );
}

#[test]
fn every_setting_of_every_notifier_is_read() {
    for kind in Kind::ALL {
        for field in kind.fields() {
            let key = format!("notifiers/{}/{}", kind.name(), field.key);
            let text = |value: &str| good(&[(&key, value)]).notifiers[&kind].clone();
            match field.shape {
                Shape::Text(default) => {
                    assert_eq!(text(" a b\n").text(field.key), "a b", "{key}");
                    assert_eq!(Notifier::new(kind).text(field.key), default, "{key}");
                }
                Shape::Number(default) => {
                    assert_eq!(text("25\n").number(field.key), 25, "{key}");
                    assert_eq!(Notifier::new(kind).number(field.key), default, "{key}");
                    assert_eq!(read(&[(&key, "x")]).remarks.len(), 1, "{key}");
                }
                Shape::Flag => {
                    assert!(text("true\n").flag(field.key), "{key}");
                    assert_eq!(read(&[(&key, "x")]).remarks.len(), 1, "{key}");
                }
                Shape::List => {
                    assert_eq!(text("[\"a\", \"b\"]\n").list(field.key), ["a", "b"], "{key}");
                    assert_eq!(read(&[(&key, "a")]).remarks.len(), 1, "{key}");
                }
                Shape::Map => {
                    assert_eq!(text("{\"a\": \"b\"}").map(field.key), [("a", "b")].into(), "{key}");
                    assert_eq!(read(&[(&key, "{\"a\": 1}")]).remarks.len(), 1, "{key}");
                }
            }
        }
    }
}

#[test]
fn what_is_no_setting_is_named_without_its_value() {
    let settings = remarks(
        &[
            ("notifiers/slack/colour", "geheim"),
            ("notifiers/pigeon/enabled", "true"),
            ("nonsense", "geheim"),
            ("checks/blacklist/tags/a", ""),
            ("notif-selection/tags", "{}"),
        ],
        &[
            "checks/blacklist/tags/a is no setting of consul-alerts; it is left out",
            "nonsense is no setting of consul-alerts; it is left out",
            "notif-selection/tags is no setting of consul-alerts; it is left out",
            "notifiers/pigeon/enabled is no setting of consul-alerts; it is left out",
            "notifiers/slack/colour is no setting of consul-alerts; it is left out",
        ],
    );
    assert!(!format!("{settings:?}").contains("geheim"));
}

#[test]
fn a_service_that_is_gone_is_told_of_once_it_is_on() {
    remarks(
        &[("notifiers/hipchat/enabled", "true"), ("notifiers/influxdb/enabled", "true")],
        &[
            "notifiers/hipchat/enabled is a service that no longer exists; nothing is sent there",
            "notifiers/influxdb/enabled was written for InfluxDB 0.8, which no longer exists; nothing is sent there",
        ],
    );
}

#[test]
fn the_most_specific_threshold_counts() {
    let all = [
        ("checks/single/n1/web1/c1/change-threshold", "1"),
        ("checks/check/c1/change-threshold", "2"),
        ("checks/service/web1/change-threshold", "3"),
        ("checks/node/n1/change-threshold", "4"),
        ("checks/change-threshold", "5"),
    ];
    for left in 0..=all.len() {
        let expected = [1, 2, 3, 4, 5, 60][left];
        let settings = good(&all[left..]);
        assert_eq!(
            settings.thresholds.of(&check("n1", "web1", "c1", "critical")).as_secs(),
            expected,
            "from {left}"
        );
    }
    let settings = good(&all);
    assert_eq!(settings.thresholds.of(&check("n2", "web1", "c1", "")).as_secs(), 2);
    assert_eq!(settings.thresholds.of(&check("n2", "web1", "c2", "")).as_secs(), 3);
    assert_eq!(settings.thresholds.of(&check("n1", "db1", "c2", "")).as_secs(), 4);
    assert_eq!(settings.thresholds.of(&check("n2", "db1", "c2", "")).as_secs(), 5);
}

#[test]
fn an_underscore_is_the_checks_of_nodes() {
    let settings = good(&[
        ("checks/service/_/change-threshold", "7"),
        ("checks/single/n1/_/service:a/b/change-threshold", "8\n"),
    ]);
    assert_eq!(settings.thresholds.of(&check("n2", "", "mem", "")).as_secs(), 7);
    assert_eq!(settings.thresholds.of(&check("n1", "", "service:a/b", "")).as_secs(), 8);
    assert_eq!(settings.thresholds.of(&check("n1", "web1", "mem", "")).as_secs(), 60);
}

#[test]
fn a_negative_threshold_is_the_global_one_and_one_that_is_none_does_not_count() {
    let settings = remarks(
        &[
            ("checks/change-threshold", "-1"),
            ("checks/check/c1/change-threshold", "-1"),
            ("checks/node/n1/change-threshold", "9"),
            ("checks/service/web1/change-threshold", "soon"),
        ],
        &[
            "checks/change-threshold is no number of seconds; it is 60",
            "checks/service/web1/change-threshold is no number of seconds; what is less specific counts",
        ],
    );
    assert_eq!(settings.thresholds.of(&check("n1", "web1", "c1", "")).as_secs(), 60);
    assert_eq!(settings.thresholds.of(&check("n1", "web1", "c2", "")).as_secs(), 9);
}

#[test]
fn what_is_longer_than_ten_years_is_ten_years() {
    let settings = remarks(
        &[
            ("checks/change-threshold", "315360000"),
            ("checks/check/c1/change-threshold", "99999999999"),
            ("checks/node/n1/change-threshold", "315360001"),
            ("notif-profiles/a", r#"{"Interval": 5256001}"#),
            ("notif-profiles/b", r#"{"Interval": 9999999999}"#),
            ("notif-profiles/c", r#"{"Interval": 5256000}"#),
        ],
        &[
            "checks/check/c1/change-threshold is more than ten years; it is 315360000",
            "checks/node/n1/change-threshold is more than ten years; it is 315360000",
            "notif-profiles/a has an Interval of more than ten years; it is 5256000",
            "notif-profiles/b has an Interval of more than ten years; it is 5256000",
        ],
    );
    let ten_years = 315_360_000;
    assert_eq!(settings.thresholds.of(&check("n1", "web1", "c1", "")).as_secs(), ten_years);
    assert_eq!(settings.thresholds.of(&check("n1", "web1", "c2", "")).as_secs(), ten_years);
    for name in ["a", "b", "c"] {
        assert_eq!(settings.profiles[name].interval, 5_256_000, "{name}");
    }
}

#[test]
fn each_kind_of_blacklist_hides_what_it_names() {
    let subject = check("n1", "web1", "c1", "critical");
    for (key, value) in [
        ("checks/blacklist/nodes/n1", ""),
        ("checks/blacklist/services/web1", "x"),
        ("checks/blacklist/checks/c1", "\n"),
        ("checks/blacklist/status/critical", ""),
        ("checks/blacklist/single/n1/web1/c1", ""),
        ("checks/blacklist/nodes", r#"["^n[0-9]$"]"#),
        ("checks/blacklist/services", r#"["eb"]"#),
        ("checks/blacklist/checks", r#"["x", "c1"]"#),
        ("checks/blacklist/status", r#"[""]"#),
    ] {
        let settings = good(&[(key, value)]);
        assert!(settings.blacklist.has(&subject), "{key}");
        assert!(!Settings::default().blacklist.has(&subject));
    }
    for (key, value) in [
        ("checks/blacklist/nodes/n11", ""),
        ("checks/blacklist/single/n1/_/c1", ""),
        ("checks/blacklist/nodes", r#"["^1"]"#),
        ("checks/blacklist/services", "[]"),
    ] {
        assert!(!good(&[(key, value)]).blacklist.has(&subject), "{key}");
    }
}

#[test]
fn a_check_of_a_node_is_on_no_list_of_services() {
    let settings =
        good(&[("checks/blacklist/services", r#"[".*"]"#), ("checks/blacklist/single/n1/_/mem", "")]);
    assert!(!settings.blacklist.has(&check("n2", "", "mem", "critical")));
    assert!(settings.blacklist.has(&check("n1", "", "mem", "critical")));
}

#[test]
fn a_wrong_expression_is_told_and_the_others_count() {
    let settings = remarks(
        &[("checks/blacklist/nodes", r#"["(", "b"]"#), ("checks/blacklist/checks", "(")],
        &[
            "checks/blacklist/checks is no JSON array of texts; nothing is left out by it",
            "checks/blacklist/nodes has `(`, which is no regular expression: error: unclosed group; it fits nothing",
        ],
    );
    assert!(
        settings.blacklist.has(&check("abc", "", "", "")) && !settings.blacklist.has(&check("x", "", "", ""))
    );
}

const PROFILES: [(&str, &str); 5] = [
    ("notif-profiles/s", "{}"),
    ("notif-profiles/c", "{}"),
    ("notif-profiles/h", "{}"),
    ("notif-profiles/st", "{}"),
    ("notif-profiles/default", "{}"),
];

fn selected(more: &[(&str, &str)], check: &CheckRef<'_>) -> String {
    good(&[&PROFILES[..], more].concat()).told(check).profile.to_owned()
}

#[test]
fn services_come_before_checks_before_nodes_before_statuses() {
    let subject = check("n1", "web1", "c1", "critical");
    let all = [
        ("notif-selection/services/web1", "s\n"),
        ("notif-selection/checks/c1", "c"),
        ("notif-selection/hosts/n1", "h"),
        ("notif-selection/status/critical", "st"),
    ];
    for left in 0..=all.len() {
        assert_eq!(selected(&all[left..], &subject), ["s", "c", "h", "st", "default"][left], "from {left}");
    }
    let all = [
        ("notif-selection/services", r#"{"eb": "s"}"#),
        ("notif-selection/checks", r#"{"^c": "c"}"#),
        ("notif-selection/hosts", r#"{"1": "h"}"#),
        ("notif-selection/status", r#"{"": "st"}"#),
    ];
    for left in 0..=all.len() {
        assert_eq!(selected(&all[left..], &subject), ["s", "c", "h", "st", "default"][left], "from {left}");
    }
}

#[test]
fn an_exact_key_ends_the_search_among_the_expressions() {
    let subject = check("n1", "web1", "c1", "critical");
    let more = [("notif-selection/services/web1", ""), ("notif-selection/services", r#"{".*": "s"}"#)];
    assert_eq!(selected(&more, &subject), "default");
    let with_check = [&more[..], &[("notif-selection/checks/c1", "c")]].concat();
    assert_eq!(selected(&with_check, &subject), "c", "an empty name lets the next kind decide");
}

#[test]
fn of_several_expressions_the_first_that_is_written_counts() {
    let subject = check("n1", "web1", "c1", "critical");
    assert_eq!(selected(&[("notif-selection/services", r#"{"w": "s", "e": "c"}"#)], &subject), "s");
    assert_eq!(
        selected(&[("notif-selection/services", r#"{"x": "h", "e": "c", "a|w": "s"}"#)], &subject),
        "c"
    );
}

#[test]
fn an_expression_for_services_may_fit_the_checks_of_nodes() {
    let subject = check("n1", "", "mem", "critical");
    assert_eq!(selected(&[("notif-selection/services", r#"{".*": "s"}"#)], &subject), "s");
    assert_eq!(selected(&[("notif-selection/services", r#"{".+": "s"}"#)], &subject), "default");
}

#[test]
fn a_selected_profile_that_does_not_exist_tells_everybody() {
    let settings = remarks(
        &[("notif-selection/hosts/n1", "none"), ("notif-selection/checks", "[]")],
        &[
            "notif-selection/checks is no JSON object of texts; it selects nothing",
            "notif-selection/hosts selects the profile `none`, which does not exist; everybody is told, without reminders",
        ],
    );
    let told = settings.told(&check("n1", "", "c", "critical"));
    assert_eq!((told.interval, told.to.len()), (0, 1));
}

fn names(profile: &str) -> Vec<String> {
    let settings = read(&[
        ("notifiers/email/enabled", "true"),
        ("notifiers/slack/enabled", "true"),
        ("notifiers/custom/pager", "/bin/pager\n"),
        ("notif-profiles/default", profile),
    ]);
    let told = settings.told(&check("n", "", "c", "critical"));
    told.to.iter().map(|receiver| receiver.name().to_owned()).collect()
}

#[test]
fn a_profile_chooses_among_those_that_are_on() {
    let all = ["email", "log", "slack", "pager"];
    assert_eq!(names("{}"), all);
    assert_eq!(names(r#"{"NotifList": {}}"#), all);
    assert_eq!(names(r#"{"NotifList": null}"#), all);
    assert_eq!(names(r#"{"NotifList": {"slack": true}}"#), ["slack"]);
    assert_eq!(names(r#"{"notiflist": {"slack": true, "pager": true, "log": false}}"#), ["slack", "pager"]);
    assert_eq!(names(r#"{"NotifList": {"slack": false}}"#), [""; 0], "a list without a yes is silence");
    assert_eq!(names(r#"{"NotifList": {"opsgenie": true}}"#), [""; 0], "a profile switches nothing on");
    assert_eq!(names(r#"{"NotifList": {"slack": "true"}}"#), ["slack"], "as the old manual wrote it");
}

#[test]
fn a_profile_that_is_partly_wrong_counts_as_far_as_it_is_right() {
    let settings = remarks(
        &[
            ("notif-profiles/a", r#"{"Interval": "5", "NotifList": {"log": 1, "fax": true}, "Other": 1}"#),
            ("notif-profiles/b", "nonsense"),
            (
                "notif-profiles/c",
                r#"{"interval": 10, "VarOverrides": {"slack": {"cluster-name": "x", "detailed": "yes"}, "fax": {}}}"#,
            ),
            ("notif-profiles/d", r#"{"VarOverrides": {"slack": {"url": "x"}}}"#),
        ],
        &[
            "notif-profiles/a has an Interval that is no whole number of minutes; there are no reminders",
            "notif-profiles/a says neither true nor false of `log` in its NotifList; it is false",
            "notif-profiles/a has `Other`, which means nothing; it is left out",
            "notif-profiles/b is no JSON object; everybody is told, without reminders",
            "notif-profiles/c has VarOverrides for `fax` that mean nothing; they are left out",
            "notif-profiles/c has VarOverrides for `slack` in which `cluster-name` means nothing; it is left out",
            "notif-profiles/c has VarOverrides for `slack` in which `detailed` means nothing; it is left out",
            "notif-profiles/a lists `fax`, which is no notifier; it tells nobody",
            "notif-profiles/d has VarOverrides without a NotifList; they do not count, as before",
        ],
    );
    assert_eq!(settings.profiles["c"].interval, 10);
    assert!(!settings.profiles["a"].list["log"]);
}

#[test]
fn overrides_replace_what_they_name_and_nothing_else() {
    let settings = good(&[
        ("notifiers/slack/enabled", "true"),
        ("notifiers/slack/url", "http://a"),
        ("notifiers/slack/channel", "#a"),
        ("notifiers/slack/detailed", "true"),
        ("notifiers/email/enabled", "true"),
        ("notifiers/email/receivers", r#"["a@x", "b@x"]"#),
        (
            "notif-profiles/team",
            r#"{"NotifList": {"slack": true, "email": true}, "VarOverrides": {
                "slack": {"cluster_name": "Team", "channel": "", "detailed": false, "icon_emoji": ":x:"},
                "email": {"receivers": ["c@x"], "cluster-name": "Post", "port": 0}}}"#,
        ),
        ("notif-selection/hosts/n1", "team"),
    ]);
    let told = settings.told(&check("n1", "", "c", "critical"));
    let [Receiver::BuiltIn(email), Receiver::BuiltIn(slack)] = told.to.as_slice() else { panic!("{told:?}") };
    assert_eq!((slack.cluster(), slack.text("channel"), slack.text("url")), ("Team", "#a", "http://a"));
    assert!(slack.flag("detailed") && slack.text("icon-emoji") == ":x:");
    assert_eq!((email.cluster(), email.list("receivers")), ("Post", &["c@x".to_owned()][..]));
    let other = settings.told(&check("n2", "", "c", "critical"));
    let [Receiver::BuiltIn(email), ..] = other.to.as_slice() else { panic!("{other:?}") };
    assert_eq!(email.list("receivers"), ["a@x", "b@x"]);
}

#[test]
fn handlers_are_a_list_of_programs() {
    assert_eq!(good(&[("events/handlers", "[\"/a\", \"/b\"]\n")]).handlers, ["/a", "/b"]);
    remarks(
        &[("events/handlers", "/a")],
        &["events/handlers is no JSON array of texts; no handler is called"],
    );
    remarks(&[("notifiers/custom/x", " \n")], &["notifiers/custom/x names no program; it tells nobody"]);
}

#[test]
fn what_is_not_utf_8_is_left_out() {
    let pairs: [(&str, &[u8]); 2] = [
        ("consul-alerts/config/notifiers/log/path", b"\xff"),
        ("consul-alerts/config/checks/blacklist/nodes/n1", b"\xff"),
    ];
    let settings = Settings::read(PREFIX, pairs);
    assert_eq!(settings.remarks.len(), 1);
    assert!(settings.blacklist.has(&check("n1", "", "", "")));
}

proptest! {
    #[test]
    fn no_tree_makes_it_panic(pairs in proptest::collection::vec((
        "(checks|events|notif-profiles|notif-selection|notifiers)(/(enabled|single|blacklist|nodes|services|_|slack|payload|custom|a|status)){0,4}(/change-threshold|/)?",
        prop_oneof!["[ -~]{0,20}", Just(r#"{"Interval":5,"NotifList":{"a":true},"VarOverrides":{"slack":{"url":1}}}"#.to_owned()), Just(r#"["a(","b"]"#.to_owned())],
    ), 0..12)) {
        let pairs: Vec<_> = pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let settings = read(&pairs);
        drop(settings.told(&check("n", "s", "c", "critical")));
    }
}
