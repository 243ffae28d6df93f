use super::super::flags::{Request, parse};
use super::*;

/// What it runs with, told by flags, files and environment.
fn told(line: &str, files: &[&str], environment: &[(&str, &str)]) -> Result<Start, String> {
    let Ok(Request::Run(flags)) = parse(&line.split_whitespace().collect::<Vec<_>>()) else {
        panic!("{line}")
    };
    let files: Vec<_> = files.iter().map(|text| Given::read("c.hcl", text).unwrap()).collect();
    let look_up = |name: &str| {
        environment.iter().find(|(found, _)| *found == name).map(|(_, value)| (*value).to_owned())
    };
    Start::new(&flags, &files, look_up).map_err(|error| error.to_string())
}

#[track_caller]
fn good(line: &str, files: &[&str], environment: &[(&str, &str)]) -> Start {
    told(&format!("-prefix=a@dc1 {line}"), files, environment).unwrap()
}

#[test]
fn without_anything_the_defaults_count() {
    insta::assert_snapshot!(format!("{:?}", good("", &[], &[])), @r#"Start { consul: Connection { address: "http://127.0.0.1:8500", verify: true, token: None, .. }, retry: Retry { attempts: Some(12), backoff: 250ms, max_backoff: Some(60s) }, prefixes: [Prefix { source: "a", datacenter: "dc1", destination: "a" }], excludes: [], status_dir: "service/consul-replicate/statuses/", max_stale: Some(2s), wait: None, once: false, delete: true, approved: [], repair: false, kill_signal: Some(Signal { name: "SIGINT", number: 2 }), reload_signal: Some(Signal { name: "SIGHUP", number: 1 }), log_level: Warn, pid_file: None, syslog: None, remarks: [] }"#);
    let connection = good("", &[], &[]).consul;
    assert!(
        connection.login.is_none() && connection.ca_file.is_none() && connection.connect_timeout.is_none()
    );
}

#[test]
fn without_a_prefix_nothing_is_copied() {
    assert_eq!(told("", &[], &[]).unwrap().remarks, ["there is no prefix: nothing is copied"]);
}

#[test]
fn flags_go_before_files_and_files_before_the_environment() {
    let files = [
        "log_level = \"debug\" consul { address = \"one:1\" token = \"f\" }",
        "consul { address = \"two:2\" }",
    ];
    let environment = [("CR_LOG", "trace"), ("CONSUL_HTTP_ADDR", "three:3"), ("CONSUL_TOKEN", "e")];
    let start = good("", &files, &environment);
    assert_eq!((start.log_level, start.consul.address.as_str()), (LogLevel::Debug, "http://two:2"));
    assert_eq!(start.consul.token, Some(Secret::new("f")));
    let start = good("-log-level=ERR -consul-addr=four:4 -consul-token=g", &files, &environment);
    assert_eq!((start.log_level, start.consul.address.as_str()), (LogLevel::Err, "http://four:4"));
    assert_eq!(start.consul.token, Some(Secret::new("g")));
    let start = good("", &[], &environment);
    assert_eq!((start.log_level, start.consul.address.as_str()), (LogLevel::Trace, "http://three:3"));
    assert_eq!(start.consul.token, Some(Secret::new("e")));
}

#[test]
fn prefixes_of_all_files_and_of_the_flags_are_copied() {
    let start = good("-exclude=z", &["prefix = \"b@dc1\" exclude = \"x\"", "prefix = \"c@dc1\""], &[]);
    let prefixes: Vec<_> = start.prefixes.iter().map(ToString::to_string).collect();
    assert_eq!(prefixes, ["b@dc1:b", "c@dc1:c", "a@dc1:a"]);
    assert_eq!(start.excludes.len(), 2);
    assert_eq!(start.note_keys().len(), 3);
    assert!(start.note_keys()[0].starts_with("service/consul-replicate/statuses/"));
}

#[test]
fn the_level_may_be_told_by_two_variables_and_must_be_one() {
    let level = |environment: &[(&str, &str)]| good("", &[], environment).log_level;
    assert_eq!(level(&[("CONSUL_REPLICATE_LOG", " Info ")]), LogLevel::Info);
    assert_eq!(level(&[("CONSUL_REPLICATE_LOG", "INFO"), ("CR_LOG", "err")]), LogLevel::Err);
    let why = "invalid log level \"loud\": there are TRACE, DEBUG, INFO, WARN and ERR";
    assert_eq!(told("-log-level=loud", &[], &[]), Err(why.to_owned()));
}

#[test]
fn any_setting_of_tls_turns_it_on() {
    let address = |line| good(line, &[], &[("CONSUL_HTTP_ADDR", "c:1")]).consul.address;
    for line in
        ["-consul-ssl", "-consul-ssl-verify=false", "-consul-ssl-ca-cert=x", "-consul-ssl-server-name=x"]
    {
        assert_eq!(address(line), "https://c:1", "{line}");
    }
    assert_eq!(address("-consul-ssl=false -consul-ssl-ca-cert=x"), "http://c:1");
    assert_eq!(address("-consul-ssl -consul-addr=http://d:1"), "https://d:1");
    assert_eq!(address("-consul-ssl -consul-addr=unix:///c"), "unix:///c");
    assert_eq!(address("-consul-addr=https://d"), "https://d");
}

#[test]
fn a_certificate_alone_holds_its_key() {
    let files = |line, environment: &[(&str, &str)]| {
        let consul = good(line, &[], environment).consul;
        (consul.cert_file.unwrap_or_default(), consul.key_file.unwrap_or_default())
    };
    let pair = |cert: &str, key: &str| (cert.to_owned(), key.to_owned());
    let environment = [("CONSUL_CLIENT_CERT", "ec"), ("CONSUL_CLIENT_KEY", "ek")];
    assert_eq!(files("-consul-ssl-cert=c", &[]), pair("c", "c"));
    assert_eq!(files("-consul-ssl-cert=c -consul-ssl-key=k", &environment), pair("c", "k"));
    assert_eq!(files("-consul-ssl-cert=c", &environment), pair("c", "c"));
    assert_eq!(files("", &environment), pair("ec", "ek"));
    assert_eq!(files("-consul-ssl-key=k", &[]), pair("", ""));
}

#[test]
fn the_file_of_an_authority_goes_before_the_directory() {
    let consul = good("-consul-ssl-ca-cert=f -consul-ssl-ca-path=d", &[], &[]).consul;
    assert_eq!((consul.ca_file.as_deref(), consul.ca_dir), (Some("f"), None));
    let consul = good("-consul-ssl-ca-path=d", &[], &[("CONSUL_CACERT", "f")]).consul;
    assert_eq!((consul.ca_file, consul.ca_dir.as_deref()), (None, Some("d")));
}

#[test]
fn the_environment_of_consul_counts_where_nothing_else_was_said() {
    let environment = [
        ("CONSUL_HTTP_SSL", "true"),
        ("CONSUL_HTTP_SSL_VERIFY", "0"),
        ("CONSUL_HTTP_AUTH", "me:a:b"),
        ("CONSUL_HTTP_TOKEN", "t"),
        ("CONSUL_HTTP_TOKEN_FILE", "/t"),
        ("CONSUL_NAMESPACE", "n"),
    ];
    let start = good("", &[], &environment);
    assert_eq!(start.consul.address, "https://127.0.0.1:8500");
    assert_eq!(start.consul.login, Some(("me".to_owned(), Some(Secret::new("a:b")))));
    assert_eq!((start.consul.token, start.consul.token_file), (Some(Secret::new("t")), None));
    assert_eq!(start.consul.namespace.as_deref(), Some("n"));
    assert!(!start.consul.verify && start.remarks.is_empty());
    let start = good("-consul-auth=you -consul-ssl-verify", &[], &environment);
    assert_eq!(start.consul.login, Some(("you".to_owned(), None)));
    assert!(start.consul.verify);
    let start = good("", &[], &[("CONSUL_HTTP_TOKEN_FILE", "/t")]);
    assert_eq!(start.consul.token_file.as_deref(), Some("/t"));
    let said = "the variable CONSUL_HTTP_SSL is \"maybe\", which is neither true nor false; it is left out";
    assert_eq!(good("", &[], &[("CONSUL_HTTP_SSL", "maybe")]).remarks, [said]);
}

#[test]
fn retries_end_unless_they_are_said_not_to() {
    let retry = |line| good(line, &[], &[]).retry;
    assert_eq!(retry("-consul-retry-attempts=0").attempts, None);
    assert_eq!(retry("-consul-retry=false").attempts, Some(0));
    assert_eq!(retry("-consul-retry-max-backoff=0s").max_backoff, None);
    let both = Some(Duration::from_secs(10));
    let Retry { backoff, max_backoff, .. } = retry("-retry=10s");
    assert_eq!((Some(backoff), max_backoff), (both, both));
}

#[test]
fn it_waits_only_for_times_that_are_some() {
    let wait = |line, file: &str| good(line, &[file], &[]).wait;
    let seconds = |min, max| Some((Duration::from_secs(min), Duration::from_secs(max)));
    assert_eq!(wait("-wait=5s", ""), seconds(5, 20));
    assert_eq!(wait("", "wait { min = \"5s\" }"), seconds(5, 20));
    assert_eq!(wait("", "wait { min = \"9s\" max = \"5s\" }"), seconds(5, 5));
    assert_eq!(wait("-wait=1s:2s", "wait { min = \"5s\" }"), seconds(1, 2));
    for off in
        ["wait { max = \"5s\" }", "wait { min = \"5s\" max = 0 }", "wait { min = \"5s\" enabled = false }"]
    {
        assert_eq!(wait("", off), None, "{off}");
    }
    assert_eq!(wait("-wait=0s", ""), None);
    assert_eq!(good("-max-stale=0", &[], &[]).max_stale, None);
}

#[test]
fn a_facility_turns_the_system_log_on() {
    let syslog = |line| good(line, &[], &[]).syslog.map(|syslog| (syslog.facility, syslog.name));
    let named = |facility| Some((facility, "consul-replicate".to_owned()));
    assert_eq!(syslog("-syslog"), named(16));
    assert_eq!(syslog("-syslog-facility=local7"), named(23));
    assert_eq!(syslog("-syslog-facility=LOCAL"), named(16));
    assert_eq!(syslog("-syslog-facility=DAEMON -syslog=false"), None);
    let why = "invalid syslog facility \"LOCAL8\": there are LOCAL0 to LOCAL7, DAEMON, USER and others";
    assert_eq!(told("-syslog-facility=LOCAL8", &[], &[]), Err(why.to_owned()));
}

#[test]
fn signals_may_be_none() {
    let signals = |line| {
        let Start { kill_signal, reload_signal, remarks, .. } = good(line, &[], &[]);
        (kill_signal, reload_signal, remarks)
    };
    assert_eq!(signals("-kill-signal= -reload-signal="), (None, None, Vec::new()));
    let kill = Signal::named("SIGKILL").unwrap();
    let said = "the kill signal SIGKILL cannot be caught and has no effect".to_owned();
    assert_eq!(signals("-kill-signal=SIGKILL"), (kill, Some(Signal::HUP), vec![said]));
}

#[test]
fn a_status_directory_is_the_beginning_of_a_key() {
    let dir = |line| told(line, &[], &[]).map(|start| start.status_dir);
    assert_eq!(dir("-status-dir=a/b/"), Ok("a/b/".to_owned()));
    assert_eq!(dir("-status-dir=/a"), Ok("a/".to_owned()));
    let why = "the status directory \"/\" cannot be used: it must be the beginning of a key";
    assert_eq!(dir("-status-dir=/"), Err(why.to_owned()));
}

#[test]
fn what_has_no_effect_or_is_deprecated_is_told() {
    let file = "consul { transport { max_idle_conns = 5 dial_timeout = \"5s\" } }";
    let start = good("-token=t -consul-transport-dial-keep-alive=1s", &[file], &[]);
    assert_eq!(
        start.remarks,
        [
            "-token is deprecated; it is -consul-token now",
            "settings of connections that have no effect: dial_keep_alive, max_idle_conns"
        ]
    );
    assert_eq!(start.consul.connect_timeout, Some(Duration::from_secs(5)));
}
