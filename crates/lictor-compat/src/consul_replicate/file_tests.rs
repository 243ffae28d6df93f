use proptest::prelude::*;

use super::*;

/// The file, when nothing is to be said of it.
#[track_caller]
fn good(text: &str) -> Given {
    let given = read(text);
    assert_eq!(given.remarks, [""; 0], "{text}");
    given
}

#[track_caller]
fn read(text: &str) -> Given {
    match Given::read("c.hcl", text) {
        Ok(given) => given,
        Err(error) => panic!("{text}: {error}"),
    }
}

fn error(text: &str) -> String {
    Given::read("c.hcl", text).map_or_else(|error| error.to_string(), |given| format!("{given:?}"))
}

fn prefixes(given: &Given) -> Vec<String> {
    given.prefixes.iter().map(ToString::to_string).collect()
}

#[test]
fn every_setting_is_read() {
    let given = good(
        r#"
        consul {
          address = "c:1"
          token   = "t"
          auth { username = "me", password = "pw" }
          retry {
            enabled     = true
            attempts    = 3
            backoff     = "1s"
            max_backoff = "2m"
          }
          ssl {
            enabled     = true
            verify      = false
            cert        = "cert"
            key         = "key"
            ca_cert     = "ca"
            ca_path     = "dir"
            server_name = "name"
          }
          transport {
            dial_keep_alive         = "1s"
            dial_timeout            = "2s"
            disable_keep_alives     = false
            idle_conn_timeout       = "5s"
            max_idle_conns          = 0
            max_idle_conns_per_host = 5
            tls_handshake_timeout   = "3s"
          }
        }
        kill_signal   = "SIGTERM"
        reload_signal = ""
        log_level     = "info"
        max_stale     = "5s"
        pid_file      = "/p"
        status_dir    = "service/consul-replicate/statuses"
        syslog { facility = "LOCAL5" }
        wait { min = "5s" max = "10s" }
        prefix { source = "a@dc1" }
        exclude { source = "x" }
        excludematch { source = "_dc1_only_" }
        delete = false
        repair = true
        "#,
    );
    assert_eq!(given.consul.token, Some(Secret::new("t")));
    assert_eq!(given.consul.auth.password, Some(Secret::new("pw")));
    insta::assert_snapshot!(format!("{given:?}"), @r#"Given { consul: Consul { address: Some("c:1"), namespace: None, token: Some(Secret(***)), token_file: None, auth: Auth { enabled: None, username: Some("me"), password: Some(Secret(***)) }, retry: Retry { enabled: Some(true), attempts: Some(3), backoff: Some(1s), max_backoff: Some(120s) }, ssl: Ssl { enabled: Some(true), verify: Some(false), cert: Some("cert"), key: Some("key"), ca_cert: Some("ca"), ca_path: Some("dir"), server_name: Some("name") }, dial_timeout: Some(2s), tls_handshake_timeout: Some(3s), idle: ["dial_keep_alive", "disable_keep_alives", "idle_conn_timeout", "max_idle_conns", "max_idle_conns_per_host"] }, prefixes: [Prefix { source: "a", datacenter: "dc1", destination: "a" }], excludes: [Prefix("x"), Contains("_dc1_only_")], kill_signal: Some(Some(Signal { name: "SIGTERM", number: 15 })), reload_signal: Some(None), log_level: Some("info"), max_stale: Some(5s), pid_file: Some("/p"), status_dir: None, syslog: Syslog { enabled: None, facility: Some("LOCAL5"), name: None }, wait: Wait { enabled: None, min: Some(5s), max: Some(10s) }, delete: Some(false), repair: Some(true), remarks: [] }"#);
}

#[test]
fn a_prefix_is_a_text_a_block_or_several() {
    let given = good(
        r#"
        prefix = "a@dc1:b"
        prefix = ["c@dc1", "d@dc2:e"]
        prefix { source = "f" datacenter = "dc1" }
        prefix { source = "/g/" dc = "dc2", destination = "h/" }
        prefix { source = "i@dc1:j" }
        prefix = { Source = "k@dc1", destination = "" }
        "#,
    );
    let read = ["a@dc1:b", "c@dc1:c", "d@dc2:e", "f@dc1:f", "g/@dc2:h/", "i@dc1:j", "k@dc1:k"];
    assert_eq!(prefixes(&given), read);
    assert_eq!(prefixes(&good("prefix = \"a@dc1,b@dc2:c\"")), ["a@dc1:a", "b@dc2:c"]);
    assert_eq!(prefixes(&good("prefix = \"\"")), [""; 0]);
}

#[test]
fn a_prefix_that_is_assigned_again_is_one_more() {
    let given = read("prefix = \"a@dc1\"\nprefix = \"b@dc1\"");
    assert_eq!(prefixes(&given), ["a@dc1:a", "b@dc1:b"]);
    let said = "c.hcl:2:10: `prefix = …` stands there once more; the old program took the last one only, here each counts";
    assert_eq!(given.remarks, [said]);
}

#[test]
fn what_is_excluded_is_a_text_a_block_or_several() {
    let given =
        good("exclude = \"a\" exclude = [\"b\", \"c\"] exclude { source = \"d\" } excludematch = \"e,f\"");
    let prefix = |text: &str| Exclude::Prefix(text.to_owned());
    let match_of = |text: &str| Exclude::Contains(text.to_owned());
    assert_eq!(
        given.excludes,
        [prefix("a"), prefix("b"), prefix("c"), prefix("d"), match_of("e"), match_of("f")]
    );
}

#[test]
fn of_several_blocks_the_last_one_counts() {
    let given = good(
        "syslog { enabled = true } consul { token = \"t\" } consul { address = \"a\" } syslog { name = \"n\" }",
    );
    assert_eq!(given.consul, Consul { address: Some("a".to_owned()), ..Consul::default() });
    assert_eq!(given.syslog, Syslog { name: Some("n".to_owned()), ..Syslog::default() });
    assert_eq!(good("consul \"retry\" { attempts = 1 }"), good("consul { retry { attempts = 1 } }"));
}

#[test]
fn json_means_the_same() {
    let json = r#"{
        "consul": [{"address": "c:1", "retry": {"backoff": "1s"}}],
        "prefix": [{"source": "a", "datacenter": "dc1"}, {"source": "b@dc1"}],
        "exclude": {"source": "x"},
        "wait": "5s:10s",
        "max_stale": 1000000000
    }"#;
    let hcl = r#"
        consul { address = "c:1" retry { backoff = "1s" } }
        prefix { source = "a" datacenter = "dc1" }
        prefix { source = "b@dc1" }
        exclude { source = "x" }
        wait = "5s:10s"
        max_stale = 1000000000
    "#;
    assert_eq!(good(json), good(hcl));
    assert_eq!(good(json).max_stale, Some(Duration::from_secs(1)));
}

#[test]
fn what_was_outside_of_the_block_consul_before_is_understood_and_told() {
    let given = read(
        r#"
        consul = "c:1"
        token = "t"
        retry = "10s"
        path = "/x"
        auth { enabled = true username = "me" password = "pw" }
        ssl { enabled = true verify = false }
        "#,
    );
    let consul = r#"consul {
        address = "c:1"
        token = "t"
        retry { backoff = "10s" max_backoff = "10s" }
        auth { enabled = true username = "me" password = "pw" }
        ssl { enabled = true verify = false }
    }"#;
    assert_eq!(given.consul, good(consul).consul);
    insta::assert_snapshot!(given.remarks.join("\n"), @r#"
    c.hcl:2:18: `consul = "…"` is deprecated; write `consul { address = "…" }`
    c.hcl:3:17: `token` is deprecated; it belongs into the block `consul`
    c.hcl:4:17: `retry` is deprecated; it belongs into the block `consul`
    c.hcl:5:16: `path` has no effect; -config names files
    c.hcl:6:14: `auth` is deprecated; it belongs into the block `consul`
    c.hcl:7:13: `ssl` is deprecated; it belongs into the block `consul`
    "#);
    assert_eq!(read("retry { attempts = 2 }").consul, good("consul { retry { attempts = 2 } }").consul);
}

#[test]
fn a_status_directory_in_a_file_never_had_an_effect() {
    let given = read("status_dir = \"a/b\"");
    assert_eq!((given.status_dir, given.remarks.len()), (None, 1));
}

#[test]
fn an_unknown_name_is_refused_in_the_old_words() {
    assert_eq!(error("bad_key = 1"), "from file: c.hcl:1:1: '' has invalid keys: bad_key");
    assert_eq!(
        error("a { }\nconsul { retry { z = 1, y = 2 } ssl { enabled = 1 } }"),
        "from file: c.hcl:1:1: '' has invalid keys: a\n\
         from file: c.hcl:2:18: 'consul.retry' has invalid keys: y, z\n\
         from file: c.hcl:2:49: `consul.ssl.enabled` must be true or false, not a number"
    );
    let given = read("prefix { source = \"a@dc1\"\n path = 1 }");
    assert_eq!(given.remarks, ["c.hcl:2:2: `prefix.path` is not known and has no effect"]);
}

#[test]
fn a_wrong_value_is_refused_with_its_place() {
    for (text, why) in [
        ("consul = true", "1:10: `consul` must be a block, not true or false"),
        ("prefix = 1", "1:10: `prefix` must be a text, a list or a block, not a number"),
        ("prefix = [1]", "1:11: `prefix` must be a text or a block, not a number"),
        ("prefix { }", "1:8: `prefix`: missing prefix"),
        ("prefix { source = 1 }", "1:19: `prefix.source` must be a text, not a number"),
        ("prefix = \"global\"", "1:10: `prefix`: missing datacenter"),
        ("prefix { source = \"@*(#42\" }", "1:8: `prefix`: invalid source format: \"@*(#42\""),
        ("prefix { source = \"a@b\" dc = \"c\" }", "1:8: `prefix`: invalid source format: \"a@b@c\""),
        ("exclude { }", "1:9: `exclude`: missing exclude"),
        ("exclude = [true]", "1:12: `exclude` must be a block, not true or false"),
        ("token = 5", "1:9: `token` must be a text, not a number"),
        ("wait = \"1s:2s:3s\"", "1:8: `wait`: it is MIN or MIN:MAX"),
        ("wait = 5", "1:8: `wait` must be a block, not a number"),
        ("max_stale = \"bacon\"", "1:13: `max_stale`: \"bacon\" is no duration such as 250ms or 1m30s"),
        ("kill_signal = \"INT\"", "1:15: `kill_signal`: \"INT\" is no signal such as SIGINT"),
        ("log_level = true", "1:13: `log_level` must be a text, not true or false"),
        ("delete = \"no\"", "1:10: `delete` must be true or false, not a text"),
        (
            "consul { retry { attempts = 1.5 } }",
            "1:29: `consul.retry.attempts` must be a whole number, not a number",
        ),
        ("\ninvalid\n", "3:1: `=` or `{` is expected"),
    ] {
        assert_eq!(error(text), format!("from file: c.hcl:{why}"), "{text}");
    }
}

#[test]
fn an_empty_file_says_nothing() {
    for text in ["", "# nothing\n", "{}", " \n"] {
        assert_eq!(good(text), Given::default(), "{text}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(
        text in r#"((consul|prefix|exclude|wait|retry|ssl|auth|syslog|source|token|max_stale) ?|=|"a@dc1:b"|"5s"|[{}\[\], ]|-?[0-9]{1,19}|true){0,30}"#,
    ) {
        Given::read("x", &text).ok();
    }
}
