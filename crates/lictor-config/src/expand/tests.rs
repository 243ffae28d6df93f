//! What a monitor is written out as.

use crate::model::Config;
use crate::testing::{mistakes, parsed};
use insta::assert_snapshot;

const PLAIN: &str = r#"
connection_monitor "sp" {
  tracker   = "tracker.example"
  forbidden = ["203.0.113.7"]
  qbittorrent {
    url           = "http://127.0.0.1:8080"
    password_file = "/etc/lictor/qbt"
  }
  nomad {
    url   = "http://127.0.0.1:4646"
    token = "00000000-1111-2222-3333-444444444444"
    job   = "media"
    tasks = ["gluetun"]
  }
  vpn {
    url = "http://127.0.0.1:8000"
    basic_auth {
      user     = "lictor"
      password = "hunter2hunter2"
    }
  }
MORE
}
"#;

fn with(more: &str) -> Config {
    parsed(&PLAIN.replace("MORE", more)).config
}

#[test]
fn it_is_written_out() {
    let config =
        with("  cures = [\"port_bounce\", \"vpn_restart\", \"task_restart\", \"allocation_restart\"]");
    let shown = &config.monitors[0].expansion;
    assert!(!shown.contains("hunter2") && !shown.contains("44444444"), "{shown}");
    assert_snapshot!(shown);
}

#[test]
fn what_it_stands_for_can_be_written_instead() {
    let config = with("  strict = true\n  on_give_up = \"leave\"");
    let shown = config.monitors[0].expansion.replace("\"***\"", "{\n user = \"x\"\n password = \"y\"\n}");
    let shown = shown.replace("token = {\n user = \"x\"\n password = \"y\"\n}", "token = \"t\"");
    let again = parsed(&shown).config;
    assert_eq!(again.plan.checks, config.plan.checks);
    let names = |config: &Config| config.plan.remedies.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&again), names(&config));
    assert_eq!(again.watches.len(), 3);
}

#[test]
fn every_choice_gives_a_configuration_without_mistakes() {
    for give_up in ["wait", "start", "leave"] {
        for attempts in [1, 3] {
            for cures in ["[]", "[\"port_bounce\"]", "[\"allocation_restart\", \"allocation_replace\"]"] {
                for flag in [true, false] {
                    let more = format!(
                        "  on_give_up = {give_up:?}\n  max_attempts = {attempts}\n  cures = {cures}\n  \
                         proceed_if_stop_fails = {flag}\n  cancel_if_recovered = {flag}\n  \
                         stability_required = \"0s\"\n  tag = \"a$${{b}}\"\n  prefix = \"/x/y\""
                    );
                    let config = with(&more);
                    assert_eq!(config.monitors[0].prefix, "x/y/");
                    assert_eq!(config.plan.remedies.len(), 2);
                }
            }
        }
    }
}

#[test]
fn its_mistakes_are_told_where_they_were_written() {
    assert_snapshot!(mistakes(r#"
connection_monitor "a b" {
  qbittorrent = { url = "http://127.0.0.1:8080", pasword_file = "/x" }
  tracker     = "http://tracker.example/announce?passkey=1"
  forbidden   = ["home"]
  cures       = ["vpn_restart", "reboot", "allocation_restart"]
  instances   = 2
  stability_timeout = "10m"
  color       = "blue"
}
connection_monitor "b" {
  vpn {
    source = "wireguard"
    url    = "http://127.0.0.1:8000"
  }
  nomad {
    url     = "http://127.0.0.1:4646"
    job     = "x"
    service = "y"
  }
}
"#), @r#"
    2:20: a name has letters, digits, `_`, `-`, `.`, `:`, `@` and `/`, not ' ' [LIC0303]
    3:50: unknown attribute `pasword_file` in `qbittorrent` (did you mean `password_file`?) [LIC0201]
    4:17: `tracker` is the end of a host name, not a URL (write tracker.example; the announce URL holds your passkey) [LIC0305]
    5:18: `home` is not an address or a range of them (write 203.0.113.7, 203.0.113.0/24 or 2001:db8::/32) [LIC0305]
    6:18: `vpn_restart` needs `vpn` with a gluetun [LIC0207]
    6:33: `reboot` is not a cure (known here: `allocation_replace`, `allocation_restart`, `port_bounce`, `task_restart`, `vpn_restart`) [LIC0306]
    6:43: `allocation_restart` needs `nomad` [LIC0207]
    7:17: which of several instances acts is decided in Consul (add a `consul` block, or leave `instances` at 1) [LIC0207]
    8:23: `stability_timeout` is shorter than `stability_required`, 1h (no torrent would ever be started again) [LIC0207]
    9:3: unknown attribute `color` in `connection_monitor "a b"` (known here: `act_without_consul`, `backoff`, `backoff_max`, `cancel_if_recovered`, `cooldown`, `cure_wait`, `cures`, `every`, `fail_after`, `firewalled_grace`, `forbidden`, `instances` and 22 more) [LIC0201]
    11:1: `qbittorrent` of `connection_monitor "b"` is missing (add `qbittorrent = …`, an object or a block) [LIC0203]
    14:14: `url` means nothing for the source `wireguard` [LIC0207]
    19:15: `job` and `service` exclude each other (the other one: x.hcl:18:15) [LIC0207]
    "#);
}

#[test]
fn names_that_it_makes_are_taken() {
    let text = format!("{}watch \"tcp\" \"sp-vpn\" {{\n address = \"h:1\"\n}}\n", PLAIN.replace("MORE", ""));
    assert_snapshot!(mistakes(&text), @r#"connection_monitor "sp":16:13: the name `sp-vpn` is used twice (first here: x.hcl:24:13) [LIC0204]"#);
}

#[test]
fn two_monitors_do_not_share_their_state() {
    let one = PLAIN.replace("MORE", "");
    let two = one.replace("\"sp\"", "\"sq\"");
    assert_eq!(
        parsed(&format!("{one}{two}")).config.monitors.len(),
        2,
        "without Consul there is nothing to share"
    );
    let text = format!("consul {{\n}}\n{one}{two}");
    assert_snapshot!(mistakes(&text), @"27:20: `sq` keeps its state where `sp` does (give one of them a `prefix` of its own) [LIC0204]");
    let apart = format!(
        "consul {{\n}}\n{one}{}",
        PLAIN.replace("\"sp\"", "\"sq\"").replace("MORE", "  prefix = \"sq\"")
    );
    assert_eq!(parsed(&apart).config.monitors.len(), 2);
}
