//! Services of a real machine that are no units by themselves: a program, and an init script.

use std::path::PathBuf;

use lictor_testkit::host::{Host, Options};
use lictor_testkit::{consul, wait};

use crate::node::LONG;

const AGENT: &str = "[Service]\nType=notify\nExecStart=/usr/local/bin/lictor run --config /etc/lictor.hcl\n\
                     StateDirectory=lictor\nKillMode=process\n";

const CONSUL: &str =
    "[Service]\nExecStart=/usr/local/bin/consul agent -dev -bind 127.0.0.1 -data-dir /var/lib/consul\n";

const CONFIG: &str = r#"
node {
  name = "n1"
}
http {
  address = "127.0.0.1:8510"
}
consul {}
cluster {
  address = "127.0.0.1"
  key     = "a key that the nodes share"
}
service "program" {
  nodes   = ["n1"]
  command = ["/usr/bin/perl", "-e", "$| = 1; print qq($ENV{LICTOR_TOKEN} @ARGV), chr 10; sleep 1 while 1", "50 % of it"]
  user    = "nobody"
  rest    = "1s"
}
service "script" {
  nodes    = ["n1"]
  units    = ["legacy"]
  attempts = 100
}
"#;

/// As they were written twenty years ago: what it starts goes its own way.
const SCRIPT: &str = r#"#!/bin/sh
### BEGIN INIT INFO
# Provides:          legacy
# Required-Start:
# Required-Stop:
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
# Short-Description: of old
### END INIT INFO
case "$1" in
    start) perl -e 'use POSIX; exit if fork; POSIX::setsid(); exit if fork; open(F, ">", "/run/legacy.pid"); print F $$; close F; open(STDOUT, ">", "/dev/null"); sleep 1 while 1' ;;
    stop) kill "$(cat /run/legacy.pid)" ;;
esac
"#;

fn until<T>(host: &Host, what: &str, look: impl FnMut() -> Option<T>) -> T {
    wait::until(LONG, look).unwrap_or_else(|| {
        let status = host.run(&["lictor", "service", "status"]).stdout;
        let log = host.run(&["journalctl", "--lines=80", "--output=cat"]).stdout;
        panic!("{what}: not within {LONG:?}\n{status}\n{log}")
    })
}

/// The process of the init script, if it lives.
fn legacy(host: &Host) -> Option<String> {
    let pid = host.run(&["cat", "/run/legacy.pid"]).stdout.trim().to_owned();
    let lives = host.run(&["kill", "-0", &pid]).code == 0;
    (lives && !pid.is_empty()).then_some(pid)
}

fn runs(host: &Host, name: &str) -> bool {
    host.run(&["lictor", "service", "status", name]).stdout.contains("together: running")
}

#[test]
fn on_a_real_host_programs_and_init_scripts_are_services_and_die_with_their_lease() {
    let programs = vec![PathBuf::from(env!("CARGO_BIN_EXE_lictor")), consul::binary()];
    let host = Host::with(&Options { programs, ..Options::default() });
    host.write("/etc/lictor.hcl", CONFIG);
    host.write("/etc/init.d/legacy", SCRIPT);
    host.ok(&["chmod", "755", "/etc/init.d/legacy"]);
    host.unit("consul.service", CONSUL);
    host.unit("lictor.service", AGENT);
    host.ok(&["systemctl", "start", "consul"]);
    host.ok(&["systemctl", "start", "lictor"]);
    for name in ["program", "script"] {
        until(&host, "it is set up", || {
            (host.run(&["lictor", "service", "init", name]).code == 0).then_some(())
        });
        until(&host, "it runs", || runs(&host, name).then_some(()));
    }
    let said = host.run(&["journalctl", "--unit=lictor-run-program", "--output=cat"]).stdout;
    assert!(said.contains(" 50 % of it"), "{said}");
    let user = host.run(&["systemctl", "show", "lictor-run-program", "--property=User"]).stdout;
    assert_eq!(user.trim(), "User=nobody");

    // Nobody tells systemd that it has died.
    let first = until(&host, "it has its pid", || legacy(&host));
    host.ok(&["kill", "-KILL", &first]);
    let second = until(&host, "it is started again", || legacy(&host).filter(|pid| *pid != first));

    // The agent freezes: what it has started may run no longer.
    host.ok(&["systemctl", "kill", "--kill-who=main", "--signal=STOP", "lictor"]);
    until(&host, "all of it is dead", || {
        let program = host.run(&["systemctl", "is-active", "lictor-run-program"]).stdout;
        (legacy(&host).is_none() && program.trim() != "active").then_some(())
    });
    host.ok(&["systemctl", "kill", "--kill-who=main", "--signal=CONT", "lictor"]);
    until(&host, "it is started again", || legacy(&host).filter(|pid| *pid != second));
    until(&host, "it runs again", || runs(&host, "program").then_some(()));
    let stopped = host.run(&["lictor", "service", "stop", "script"]);
    assert_eq!((stopped.code, legacy(&host)), (0, None), "{stopped:?}");
}
