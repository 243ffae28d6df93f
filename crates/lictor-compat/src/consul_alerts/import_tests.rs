use super::*;
use crate::consul_alerts::cli::Options;
use crate::consul_alerts::{File, Start};

fn settings(pairs: &[(&str, &str)]) -> Settings {
    let keys: Vec<_> = pairs.iter().map(|(key, value)| (format!("config/{key}"), *value)).collect();
    Settings::read("", keys.iter().map(|(key, value)| (key.as_str(), value.as_bytes())))
}

/// What these keys below `config/` give, without the lines that are always there.
fn imported(pairs: &[(&str, &str)]) -> String {
    let text = import(&settings(pairs), None);
    text.lines().skip(2).collect::<Vec<_>>().join("\n").trim().to_owned()
}

#[track_caller]
fn shows(pairs: &[(&str, &str)], expected: &str) {
    let found = imported(pairs);
    let lines = |text: &str| text.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>().join("\n");
    assert!(lines(&found).contains(lines(expected).trim()), "{expected}\nis not in\n{found}");
}

#[test]
fn without_keys_the_defaults_are_written_out() {
    assert_eq!(
        imported(&[]),
        r#"consul {}

alerts {
  consul {}
  threshold {
    for         = "60s"
    recover_for = "60s"
  }
}

notify "log" "log" {
  path = "/tmp/consul-notifications.log"
}

route {
  # Profile default.
  to = ["log"]
}"#
    );
}

#[test]
fn how_consul_is_reached_is_written_out() {
    let options = Options {
        consul_acl_token: Some(crate::Secret::new("geheim")),
        consul_dc: Some("dc2".to_owned()),
        ..Options::default()
    };
    let start = Start::new(&options, Some(&File::default()), |name| match name {
        "CONSUL_HTTP_SSL" => Some("true".to_owned()),
        "CONSUL_CACERT" => Some("/ca.pem".to_owned()),
        _ => None,
    });
    let text = import(&Settings::default(), Some(&start));
    let expected = r#"consul {
  address    = "https://localhost:8500"
  datacenter = "dc2"
  token      = "geheim" # SECRET
  ca_file    = "/ca.pem"
}
"#;
    assert!(text.contains(expected), "{text}");
}

#[test]
fn thresholds_keep_their_order_by_what_they_name() {
    shows(
        &[
            ("checks/single/n1/_/mem/change-threshold", "1"),
            ("checks/check/c1/change-threshold", "2"),
            ("checks/service/_/change-threshold", "3"),
            ("checks/node/n1/change-threshold", "-1"),
            ("checks/change-threshold", "5"),
        ],
        r#"
        threshold {
          node        = "n1"
          labels      = { service_id = "", check_id = "mem" }
          for         = "1s"
          recover_for = "1s"
        }
        threshold {
          labels      = { check_id = "c1" }
          for         = "2s"
          recover_for = "2s"
        }
        threshold {
          labels      = { service_id = "" }
          for         = "3s"
          recover_for = "3s"
        }
        threshold {
          node        = "n1"
          for         = "5s"
          recover_for = "5s"
        }
        threshold {
          for         = "5s"
          recover_for = "5s"
        }"#,
    );
}

#[test]
fn blacklists_are_what_is_ignored() {
    shows(
        &[
            ("checks/blacklist/nodes/n1", ""),
            ("checks/blacklist/nodes", r#"["^lab", ""]"#),
            ("checks/blacklist/services", r#"[".*"]"#),
            ("checks/blacklist/checks/a", ""),
            ("checks/blacklist/single/n2/web1/b/c", ""),
        ],
        r#"
        ignore {
          node = ["n1", "/^lab/", "/(?:)/"]
        }
        ignore {
          labels = { service_id = ["/.*/"] }
          # Checks of nodes have no service.
          not {
            labels = { service_id = "" }
          }
        }
        ignore {
          labels = { check_id = ["a"] }
        }
        ignore {
          node   = "n2"
          labels = { service_id = "web1", check_id = "b/c" }
        }"#,
    );
}

#[test]
fn a_status_on_the_blacklist_is_one_that_no_route_tells() {
    shows(
        &[("checks/blacklist/status/warning", ""), ("checks/blacklist/status/passing", "")],
        r#"route {
          # Profile default.
          status   = ["critical", "unknown"]
          to       = ["log"]
          resolved = false
        }"#,
    );
}

#[test]
fn every_notifier_that_still_exists_has_its_block() {
    let all = [
        (
            "email",
            r#"{"url": "smtp", "port": "25", "username": "u", "password": "p", "sender-email": "a@x", "receivers": "[\"b@x\"]", "one-per-node": "true", "template": "/t"}"#,
            "notify \"email\" \"email\" {\n# TODO: the template /t is in Go's language; translate it into `text` or `html`.\nhost     = \"smtp\"\nport     = 25\nsecurity = \"opportunistic\"\nuser     = \"u\"\npassword = \"p\" # SECRET\nfrom     = \"Consul Alerts <a@x>\"\nto       = [\"b@x\"]\nbatch    = \"node\"\n}",
        ),
        (
            "slack",
            r##"{"url": "http://s", "channel": "#a", "icon-emoji": ":x:"}"##,
            "notify \"slack\" \"slack\" {\nwebhook    = \"http://s\" # SECRET\nchannel    = \"#a\"\nicon_emoji = \":x:\"\n}",
        ),
        (
            "mattermost-webhook",
            r#"{"url": "http://m"}"#,
            "notify \"mattermost\" \"mattermost-webhook\" {\nwebhook = \"http://m\" # SECRET\n}",
        ),
        (
            "pagerduty",
            r#"{"service-key": "k", "client-name": "c"}"#,
            "notify \"pagerduty\" \"pagerduty\" {\nservice_key = \"k\" # SECRET\nclient      = \"c\"\n}",
        ),
        (
            "opsgenie",
            r#"{"api-key": "k"}"#,
            "notify \"opsgenie\" \"opsgenie\" {\napi_key = \"k\" # SECRET\nentity  = \"Consul-Alerts\"\n}",
        ),
        (
            "victorops",
            r#"{"api-key": "k", "routing-key": "r"}"#,
            "notify \"victorops\" \"victorops\" {\napi_key     = \"k\" # SECRET\nrouting_key = \"r\"\n}",
        ),
        ("ilert", r#"{"api-key": "k"}"#, "notify \"ilert\" \"ilert\" {\napi_key = \"k\" # SECRET\n}"),
        (
            "http-endpoint",
            r#"{"base-url": "http://h", "endpoint": "/e", "payload": "{\"a\": \"b\", \"c\": \"{{.ClusterName}}\"}"}"#,
            "notify \"http\" \"http-endpoint\" {\n# TODO: these members of the payload are templates in Go's language; translate them into `json`:\n#   \"c\" = \"{{.ClusterName}}\"\nurl  = \"http://h/e\"\njson = { \"a\" = \"b\" }\n}",
        ),
        (
            "awssns",
            r#"{"topic-arn": "arn:aws:sns:eu-west-1:0:ops", "region": "eu-west-1"}"#,
            "notify \"sns\" \"awssns\" {\ntopic  = \"arn:aws:sns:eu-west-1:0:ops\"\nregion = \"eu-west-1\"\n}",
        ),
        (
            "prometheus",
            r#"{"base-urls": "[\"http://a\", \"http://b\"]"}"#,
            "notify \"alertmanager\" \"prometheus\" {\n# The second version of the API is used, whatever `endpoint` was.\nurls = [\"http://a\", \"http://b\"]\n}",
        ),
    ];
    for (kind, values, expected) in all {
        let values: BTreeMap<String, String> = serde_json::from_str(values).unwrap();
        let mut pairs = vec![(format!("notifiers/{kind}/enabled"), "true".to_owned())];
        pairs.extend(values.into_iter().map(|(key, value)| (format!("notifiers/{kind}/{key}"), value)));
        let pairs: Vec<_> = pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        shows(&pairs, expected);
    }
    shows(
        &[("notifiers/custom/my pager", "/bin/pager \"x\"")],
        "notify \"exec\" \"my-pager\" {\ncommand = [\"/bin/pager \\\"x\\\"\"]\ninput   = \"consul-alerts\"\n}",
    );
}

#[test]
fn what_cannot_be_written_is_a_comment() {
    for (kind, said) in [
        ("hipchat", "# TODO: `hipchat` (hipchat) was a service that no longer exists."),
        ("email", "# TODO: `email` (email) is on, but not all that it needs is set."),
        ("mattermost", "# TODO: `mattermost` (mattermost) logged in as a user"),
        ("influxdb", "# TODO: `influxdb` (influxdb) spoke to InfluxDB 0.8"),
        ("awssns", "# TODO: `awssns` (awssns) is on, but not all that it needs is set."),
        ("jsm", "# TODO: `jsm` (jsm) was in no release;"),
    ] {
        let key = format!("notifiers/{kind}/enabled");
        let text = imported(&[(key.as_str(), "true")]);
        assert!(text.contains(said) && text.contains("to = [\"log\"]"), "{text}");
    }
    let text = imported(&[("events/handlers", r#"["/h"]"#), ("checks/enabled", "maybe")]);
    assert!(text.contains("#   /h") && text.contains("# Was wrong: config/checks/enabled"), "{text}");
    let text = imported(&[("checks/enabled", "false")]);
    assert!(!text.contains("\n  consul {}"), "{text}");
}

#[test]
fn profiles_are_routes_in_the_order_in_which_they_were_selected() {
    shows(
        &[
            ("notifiers/slack/enabled", "true"),
            ("notifiers/slack/url", "http://s"),
            (
                "notif-profiles/team",
                r##"{"Interval": 10, "NotifList": {"slack": true}, "VarOverrides": {"slack": {"channel": "#t"}}}"##,
            ),
            ("notif-profiles/off", r#"{"NotifList": {"log": false}}"#),
            ("notif-selection/services/web1", "team"),
            ("notif-selection/services/db1", ""),
            ("notif-selection/services", r#"{"^x": "", "[0-9]": "off"}"#),
            ("notif-selection/hosts/n1", "off"),
            ("notif-selection/checks/c1", "gone"),
            ("notif-selection/status/passing", "off"),
            ("notif-selection/status/warning", "team"),
        ],
        r#"
        route {
          # Profile team.
          labels       = { service_id = "web1" }
          to           = ["slack-team"]
          remind_every = "10m"
        }

        route {
          # Profile off.
          labels = { service_id = "/[0-9]/" }
          to     = []
          not {
            labels = { service_id = ["db1", "/^x/"] }
          }
        }

        route {
          # Profile gone.
          labels = { check_id = "c1" }
          to     = ["log", "slack"]
        }

        route {
          # Profile off.
          node = "n1"
          to   = []
        }

        route {
          # Profile default.
          status   = ["critical", "unknown"]
          to       = ["log", "slack"]
          resolved = false
          continue = true
        }

        route {
          # Profile team.
          status       = ["warning"]
          to           = ["slack-team"]
          remind_every = "10m"
          resolved     = false
        }"#,
    );
    shows(
        &[
            ("notifiers/slack/enabled", "true"),
            ("notifiers/slack/url", "http://s"),
            (
                "notif-profiles/team",
                r##"{"NotifList": {"slack": true}, "VarOverrides": {"slack": {"channel": "#t"}}}"##,
            ),
        ],
        "notify \"slack\" \"slack-team\" {\nwebhook = \"http://s\" # SECRET\nchannel = \"#t\"\n}",
    );
}

#[test]
fn texts_are_written_so_that_they_are_read_as_they_were() {
    assert_eq!(quoted("a\"b\\c\n\t${x} %{y} $5\u{1}é"), r#""a\"b\\c\n\t$${x} %%{y} $5\u0001é""#);
    assert_eq!(selector("/x/"), r#""/^/x/$/""#);
    assert_eq!(selector("/"), r#""/""#);
    assert_eq!(imported(&[("notifiers/log/path", "/a\nb")]).matches("\\n").count(), 1);
}

#[test]
fn the_name_of_the_cluster_is_the_first_that_somebody_chose() {
    let pairs = [("notifiers/slack/enabled", "true"), ("notifiers/slack/cluster-name", "Berlin")];
    assert!(imported(&pairs).contains("cluster = \"Berlin\""));
    assert!(!imported(&pairs[1..]).contains("Berlin"), "of a notifier that is off it does not count");
}

#[test]
fn what_stands_in_for_the_old_program_says_where_it_is_and_by_which_ways_it_tells() {
    let settings = settings(&[
        ("notifiers/http-endpoint/enabled", "true"),
        ("notifiers/http-endpoint/base-url", "http://h"),
        ("notifiers/http-endpoint/payload", r#"{"a": "{{.ClusterName}}"}"#),
        ("notifiers/jsm/enabled", "true"),
        ("notifiers/hipchat/enabled", "true"),
        ("notifiers/log/enabled", "false"),
    ]);
    let (receivers, remarks) = run::receivers(&settings);
    let place = run::Place {
        node: "n1-9000".to_owned(),
        state_dir: "/s".to_owned(),
        listen: "127.0.0.1:8510".to_owned(),
        prefix: "consul-alerts/lictor/".to_owned(),
    };
    let start = Start::new(&Options::default(), None, |name| match name {
        "CONSUL_HTTP_SSL" => Some("1".to_owned()),
        "CONSUL_HTTP_SSL_VERIFY" => Some("0".to_owned()),
        _ => None,
    });
    let expected = r#"node {
  name      = "n1-9000"
  state_dir = "/s"
}

http {
  address = "127.0.0.1:8510"
}

consul {
  address  = "https://localhost:8500"
  prefix   = "consul-alerts/lictor/"
  insecure = true
}

alerts {
  consul {}
  threshold {
    for         = "60s"
    recover_for = "60s"
  }
}

notify "http" "http-endpoint" {
  url = "http://h"
}

route {
  # Profile default.
  to = ["http-endpoint"]
}
"#;
    assert_eq!(run::configuration(&settings, &start, &place, &receivers), expected);
    let paused = Settings { checks_enabled: false, ..settings.clone() };
    assert_eq!(run::configuration(&paused, &start, &place, &receivers), expected);
    let said: Vec<_> = remarks.iter().map(ToString::to_string).collect();
    let jsm = "consul-alerts/config/notifiers/jsm is on, but not all that it needs is set; it tells nobody";
    assert_eq!(said, [jsm], "that HipChat is gone was said when the keys were read");
}
