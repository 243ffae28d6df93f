use std::sync::Arc;
use std::time::Duration;

use insta::assert_snapshot;

use crate::model::{Announce, Discovery, Peers, WhoTells};
use crate::testing::{mistakes, parsed};

fn peers(lines: &str) -> Peers {
    let found = parsed(&format!("consul {{}}\npeers {{\n{lines}\n}}")).config.peers;
    Arc::unwrap_or_clone(found.unwrap())
}

#[test]
fn one_way_to_find_them_is_enough() {
    let found = peers("srv = \"_s._tcp.example.com\"");
    let Discovery::Srv { name, server: None, programs: None } = &found.discovery else { panic!("{found:?}") };
    assert_eq!(name, "_s._tcp.example.com");
    assert_eq!((found.every.as_secs(), found.timeout.as_secs()), (10, 5));
    let counts = (found.fail_after.get(), found.pass_after.get(), found.confirm.get(), found.watchers);
    assert_eq!(counts, (2, 1, 1, None));
    assert!(!found.https && found.announce == Announce::No && found.vanished && found.token.is_none());
    assert!(found.own.is_empty());
    assert_eq!(found.tell, WhoTells::Each);
    assert!(parsed("").config.peers.is_none());
}

#[test]
fn they_are_found_in_four_ways() {
    let way = |lines: &str| peers(lines).discovery;
    let dns = way("dns = \"p.example\"\nserver = \"127.0.0.1\"");
    let Discovery::Addresses { name, port: 5_988, server: Some(server), .. } = &dns else {
        panic!("{dns:?}")
    };
    assert_eq!((name.as_str(), server.port()), ("p.example", 53));
    assert!(matches!(way("dns = \"p\"\nport = 80"), Discovery::Addresses { port: 80, .. }));
    assert_eq!(way("consul = \"probe\""), Discovery::Consul { service: "probe".to_owned() });
    let listed = [("a.example".to_owned(), 1), ("::1".to_owned(), 2)];
    assert_eq!(way("static = [\"a.example:1\", \"[::1]:2\"]"), Discovery::Static(listed.to_vec()));
    let srv = way("srv = \"s\"\ndig = \"/opt/dig\"\ngetent = \"/opt/getent\"");
    let Discovery::Srv { programs: Some(programs), .. } = srv else { panic!("no programs") };
    assert_eq!(programs.dig.unwrap().to_str(), Some("/opt/dig"));
    assert_eq!(programs.getent.unwrap().to_str(), Some("/opt/getent"));
}

#[test]
fn everything_else_can_be_set() {
    let found = peers(
        r#"
        static     = ["a:1", "b:1", "c:1"]
        own        = ["192.0.2.1", "2001:db8::1"]
        every      = "1m"
        timeout    = "20s"
        token      = "dXNlcjpwYXNz"
        tls        = true
        ca_file    = "/etc/ca.pem"
        fail_after = 3
        pass_after = 4
        confirm    = 2
        tell       = "one"
        watchers   = 5
        announce   = "changes"
        vanished   = false
        "#,
    );
    assert_eq!(found.own.len(), 2);
    assert_eq!((found.every, found.timeout), (Duration::from_secs(60), Duration::from_secs(20)));
    assert_eq!(found.token.as_ref().unwrap().reveal().unwrap(), "dXNlcjpwYXNz");
    assert_eq!(found.tls.ca_file.as_ref().unwrap().to_str(), Some("/etc/ca.pem"));
    let counts = (found.fail_after.get(), found.pass_after.get(), found.confirm.get());
    assert_eq!((counts, found.watchers.unwrap().get()), ((3, 4, 2), 5));
    assert!(found.https && found.announce == Announce::Changes && !found.vanished);
    assert_eq!(found.tell, WhoTells::One);
}

#[test]
fn tls_is_meant_by_any_of_its_settings() {
    assert!(peers("static = \"a:1\"\nserver_name = \"x\"").https);
    assert!(!peers("static = \"a:1\"").https);
    assert_eq!(peers("static = \"a:1\"\nevery = \"2s\"").timeout.as_secs(), 2, "no longer than a round");
}

#[test]
fn how_they_are_found_must_be_clear() {
    assert_snapshot!(mistakes("peers {}"), @"1:1: `peers` does not say how peers are found (add one of `srv`, `dns`, `consul` and `static`) [LIC0203]");
    assert_snapshot!(mistakes("peers {\n srv = \"a\"\n dns = \"b\"\n static = [\"c:1\"]\n}"), @r#"
    3:8: `srv` and `dns` exclude each other (the other one: x.hcl:2:8) [LIC0207]
    4:11: `srv` and `static` exclude each other (the other one: x.hcl:2:8) [LIC0207]
    "#);
    assert_snapshot!(mistakes("peers {\n srv = \"a\"\n port = 1\n}"), @"3:9: `port` needs `dns` [LIC0207]");
    assert_snapshot!(
        mistakes("peers {\n static = [\"a:1\"]\n server = \"::1\"\n dig = \"/d\"\n getent = \"/g\"\n}"),
        @r#"
    3:11: `server` needs `srv` or `dns` [LIC0207]
    4:8: `dig` needs `srv` [LIC0207]
    4:8: `server` and `dig` exclude each other (the other one: x.hcl:3:11) [LIC0207]
    5:11: `getent` needs `srv` or `dns` [LIC0207]
    5:11: `server` and `getent` exclude each other (the other one: x.hcl:3:11) [LIC0207]
    "#
    );
    assert_snapshot!(mistakes("peers {\n srv = \"a\"\n server = \"::1\"\n dig = \"/d\"\n getent = \"/g\"\n}"), @r#"
    4:8: `server` and `dig` exclude each other (the other one: x.hcl:3:11) [LIC0207]
    5:11: `server` and `getent` exclude each other (the other one: x.hcl:3:11) [LIC0207]
    "#);
    assert_snapshot!(mistakes("peers {\n consul = \"probe\"\n}"), @"2:11: peers cannot be found in Consul: no Consul is named (add a block consul { }) [LIC0207]");
}

#[test]
fn its_mistakes() {
    assert_snapshot!(mistakes(r#"
peers {
  static     = ["a:1", "b", "A:1"]
  own        = ["192.0.2.1:80", "node"]
  every      = "5s"
  timeout    = "6s"
  tls        = false
  ca_file    = "/ca.pem"
  fail_after = 0
  confirm    = 3
  watchers   = 2
  tell       = "all"
}
"#), @r#"
    3:24: `b` is not host and port (write host:port, such as "db.example:5432" or "[::1]:22") [LIC0305]
    4:17: `192.0.2.1:80` is not an IP address (write such as "192.0.2.1" or "2001:db8::1", without a port) [LIC0305]
    4:33: `node` is not an IP address (write such as "192.0.2.1" or "2001:db8::1", without a port) [LIC0305]
    6:16: `timeout` is longer than `every`, 5s (a look must have ended before the next round begins) [LIC0207]
    7:16: `tls = false` leaves the other settings of TLS without a meaning [LIC0207]
    9:16: `fail_after` is a whole number from 1 to 1000, not 0 [LIC0302]
    10:16: `confirm` is 3, but only 2 nodes watch a peer (said here: x.hcl:11:16) [LIC0207]
    12:16: `tell` cannot be `all` (known here: `each`, `one`) [LIC0306]
    "#);
    assert_snapshot!(mistakes("peers {\n static = [\"a:1\", \"b:1\", \"A:1\"]\n}"), @"2:26: `A:1` is named twice (first here: x.hcl:2:12) [LIC0204]");
    assert_snapshot!(mistakes("peers {\n static = []\n}"), @"2:11: `static` names no peer [LIC0203]");
    assert_snapshot!(mistakes("peers \"x\" {\n srv = \"a\"\n}"), @"1:1: `peers` has no label, not 1 (write peers { … }) [LIC0205]");
}

#[test]
fn a_token_in_clear_text_is_warned_of() {
    let said = |text: &str| {
        let lines = parsed(text).warnings.iter().map(crate::Problem::one_line).collect::<Vec<_>>();
        lines.join("\n")
    };
    assert_snapshot!(said("peers {\n srv = \"a\"\n token_file = \"/t\"\n}"), @"x.hcl:3:15: the token travels to the peers in clear text (write tls = true and give the probes a certificate) [LIC0903]");
    assert_snapshot!(said("peers {\n srv = \"a\"\n token_file = \"/t\"\n tls = true\n}"), @"");
}

#[test]
fn who_watches_only_nodes_or_consul_is_not_told_that_nothing_is_watched() {
    let idle = |text: &str| {
        let warnings = parsed(text).warnings;
        warnings.iter().any(|warning| warning.one_line().contains("LIC0904"))
    };
    assert!(idle(""));
    assert!(idle("consul {}\nalerts {}"));
    assert!(!idle("peers {\n srv = \"a\"\n}"));
    assert!(!idle("consul {}\nalerts {\n consul {}\n}"));
}
