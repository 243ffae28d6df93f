//! The program as the service of a whole machine, which it may restart.

use std::path::PathBuf;
use std::time::Duration;

use lictor_testkit::host::{Host, Options};
use lictor_testkit::wait;

use crate::node::LONG;

const HEAD: &str = "node {\n  name = \"test\"\n}\nhttp {\n  address = \"127.0.0.1:8510\"\n}\n";

const SERVICE: &str = "[Service]\nType=notify\nExecStart=/usr/local/bin/lictor run --config /etc/lictor.hcl\n\
                       StateDirectory=lictor\nKillMode=process\n[Install]\nWantedBy=multi-user.target\n";

/// A machine with an agent that has this configuration; it starts with the machine.
fn machine(blocks: &str) -> Host {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_lictor"));
    let host = Host::with(&Options { programs: vec![program], own_clocks: true, ..Options::default() });
    host.write("/etc/lictor.hcl", &format!("{HEAD}{blocks}"));
    host.unit("lictor.service", SERVICE);
    host.ok(&["systemctl", "enable", "lictor"]);
    host
}

fn events(host: &Host) -> String {
    host.run(&["lictor", "events"]).stdout
}

fn until<T>(host: &Host, what: &str, look: impl FnMut() -> Option<T>) -> T {
    wait::until(LONG, look).unwrap_or_else(|| {
        let log = host.run(&["journalctl", "--unit=lictor", "--output=cat"]).stdout;
        panic!("{what}: not within {LONG:?}\n{}\n{log}", events(host))
    })
}

#[test]
fn on_a_real_host_a_unit_in_a_crash_loop_meets_the_budget_of_its_rule() {
    let host = machine(
        r#"
watch "unit" "loop" {
  unit = "loop.service"
}

rule "restart" {
  on            = check.loop == "critical"
  cooldown      = "0s"
  budget        = "3 in 1h"
  give_up_after = 0
  escalate      = remedy.stop
  act "systemd" {
    unit         = "loop.service"
    reset_failed = true
  }
}

rule "stop" {
  act "exec" {
    command = ["touch", "/run/escalated"]
  }
}
"#,
    );
    host.unit(
        "loop.service",
        "[Service]\nExecStart=/bin/sh -c 'echo started >>/run/starts; sleep 0.5; exit 3'\n",
    );
    host.ok(&["systemctl", "start", "lictor"]);
    until(&host, "escalated", || host.outside("/run/escalated").exists().then_some(()));
    assert_eq!(host.read("/run/starts").lines().count(), 3, "{}", events(&host));
    let told = events(&host);
    assert!(told.contains("restart: loop.service is active (running)"), "{told}");
    assert!(told.contains("loop.service is failed: exit-code, exit status 3"), "{told}");
}

#[test]
fn on_a_real_host_the_machine_is_restarted_once_a_day_and_no_more() {
    let mut host = machine(
        r#"
agent {
  allow_reboot = true
}

watch "exec" "fine" {
  command = ["test", "-e", "/var/lib/fine"]
  every   = "1s"
}

watch "exec" "other" {
  command = ["test", "-e", "/var/lib/fine"]
  every   = "1s"
}

rule "reboot" {
  on = check.fine != "passing"
  act "reboot" {
    min_uptime       = "0s"
    state_is_durable = true
  }
}

rule "another" {
  on = check.other != "passing"
  act "reboot" {
    min_uptime       = "0s"
    state_is_durable = true
  }
}
"#,
    );
    let boot = |host: &Host| host.read("/proc/sys/kernel/random/boot_id");
    let uptime: f64 = host.ok(&["cat", "/proc/uptime"]).split(' ').next().unwrap().parse().unwrap();
    assert!(uptime < 3_600.0, "its clocks are not its own: {uptime}");
    let first = boot(&host);
    drop(host.run(&["systemctl", "start", "--no-block", "lictor"]));
    host.await_reboot();
    let second = boot(&host);
    assert_ne!(second, first);
    let told = |host: &Host, what: &str| until(host, what, || events(host).contains(what).then_some(()));
    told(&host, "this machine was restarted");
    // Both rules still want it, and both are held back.
    let held = || (events(&host).matches("held back: it is cooling down").count() == 2).then_some(());
    until(&host, "both are held back", held);
    // That the agent is killed changes nothing about it.
    host.ok(&["systemctl", "kill", "--signal=KILL", "--kill-whom=main", "lictor"]);
    // A start of what systemd still takes to be running does nothing.
    let ended = || (host.run(&["systemctl", "is-failed", "lictor"]).code == 0).then_some(());
    until(&host, "killed", ended);
    host.ok(&["systemctl", "start", "lictor"]);
    let judged = || host.run(&["lictor", "status"]).stdout.contains("fine").then_some(());
    until(&host, "judged again", judged);
    let quiet = wait::until(Duration::from_secs(5), || (boot(&host) != second).then_some(()));
    assert!(quiet.is_none(), "restarted again: {}", events(&host));
}

#[test]
fn on_a_real_host_old_journal_files_are_removed() {
    let host = machine(
        r#"
watch "exec" "room" {
  command = ["test", "!", "-e", "/run/full"]
  every   = "1s"
}

rule "vacuum" {
  on = check.room != "passing"
  act "journal_vacuum" {
    max_size = "9MiB"
  }
}
"#,
    );
    host.write(
        "/etc/systemd/journald.conf.d/test.conf",
        "[Journal]\nRateLimitIntervalSec=0\nSystemMaxFileSize=8M\nCompress=no\n",
    );
    host.ok(&["systemctl", "restart", "systemd-journald"]);
    host.ok(&["sh", "-c", "head -c 30000000 /dev/urandom | base64 --wrap=40000 | systemd-cat"]);
    host.ok(&["journalctl", "--sync"]);
    let size = || -> u64 {
        let text = host.ok(&["sh", "-c", "du -sb /var/log/journal"]);
        text.split_whitespace().next().unwrap().parse().unwrap()
    };
    let before = size();
    assert!(before > 30_000_000, "{before}");
    host.ok(&["systemctl", "start", "lictor"]);
    host.write("/run/full", "");
    until(&host, "vacuumed", || events(&host).contains("vacuum is done").then_some(()));
    let after = size();
    // What is being written to stays.
    assert!(after < before / 2, "{before} → {after}");
}

#[test]
fn on_a_real_host_it_takes_the_place_of_bbbsupervisor() {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_lictor"));
    let host = Host::with(&Options { programs: vec![program], ..Options::default() });
    // Something that is not ours to make a swap file of.
    host.write("/swapfile", "not blank");
    host.ok(&["ln", "-s", "/usr/local/bin/lictor", "/usr/local/sbin/bbbsupervisor"]);
    let says = |name: &str, line: &str| {
        let start =
            format!("echo started >> /run/{name}; test -e /run/said && echo '{line}'; exec sleep infinity");
        host.unit(&format!("{name}.service"), &format!("[Service]\nExecStart=/bin/sh -c \"{start}\"\n"));
    };
    says("electrs", "");
    says("bbbmiddleware", "");
    // What it says is what the middleware would say.
    says("bitcoind", "GetBlockChainInfo rpc call failed");
    host.write("/run/said", "");
    host.unit("redis.service", "[Service]\nExecStart=/usr/bin/redis-server --port 6379 --save ''\n");
    host.unit(
        "bbbsupervisor.service",
        "[Service]\nExecStart=/usr/local/sbin/bbbsupervisor --redis-port 6379 --prometheus-port=9090\n\
         KillMode=process\n",
    );
    host.ok(&["systemctl", "start", "redis", "electrs", "bbbmiddleware", "bbbsupervisor"]);
    let lictor =
        |what: &str| host.run(&["lictor", what, "--token-file", "/var/lib/lictor/http-token"]).stdout;
    let until = |what: &str, look: &dyn Fn() -> bool| {
        let held = wait::until(LONG, || look().then_some(()));
        assert!(held.is_some(), "{what}: {}\n{}", lictor("status"), lictor("events"));
    };
    until("it follows", &|| lictor("status").contains("follows the journal of electrs.service"));
    until("the box is shown as idle", &|| {
        host.run(&["redis-cli", "get", "base:stateCode"]).stdout.trim() == "0"
    });

    host.ok(&["systemctl", "start", "bitcoind"]);
    host.ok(&[
        "systemd-run",
        "--wait",
        "--unit=electrs-says",
        "--property=Type=oneshot",
        "sh",
        "-c",
        "echo finished full compaction",
    ]);
    host.unit(
        "electrs.service.d/says.conf",
        "[Service]\nExecStartPost=/bin/sh -c \"test -e /run/synced || echo finished full compaction; touch /run/synced\"\n",
    );
    host.ok(&["systemctl", "restart", "electrs"]);
    until("electrs is restarted", &|| host.read("/run/electrs").lines().count() == 3);
    until("the run is over", &|| lictor("events").contains("electrs-synced is done"));
    // Neither what another unit said, nor what bitcoind said of the middleware, started anything.
    assert_eq!(
        lictor("events").matches("electrs-synced on electrs.service started").count(),
        1,
        "{}",
        lictor("events")
    );
    assert_eq!(host.read("/run/bbbmiddleware").lines().count(), 1, "{}", lictor("events"));
    assert_eq!(host.run(&["lictor", "events"]).code, 7, "without the token nobody is told anything");
}
