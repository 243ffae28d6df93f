//! A booted machine with its own systemd and journald: what units log becomes actions.

use std::path::PathBuf;
use std::time::Duration;

use lictor_testkit::host::{Host, Options};
use lictor_testkit::wait;

const LONG: Duration = Duration::from_secs(90);

/// The lines with a number that are told apart.
const LINES: u32 = 150;

/// A machine with an agent that runs as it is packaged and follows the unit `app`. Each of its lines with
/// a number starts something of its own, so that none hides another.
fn host(more: &str) -> Host {
    let programs = vec![PathBuf::from(env!("CARGO_BIN_EXE_lictor"))];
    let host = Host::with(&Options { programs, ..Options::default() });
    let pattern = |n| format!("  match \"n{n}\" {{\n    regex = \"^number {n}$\"\n  }}\n");
    let rule = |n| {
        let act = "  act \"exec\" {\n    command = [\"true\"]\n  }\n";
        format!("rule \"n{n}\" {{\n  on = match.app.n{n}\n  target = \"n{n}\"\n{act}}}\n")
    };
    let patterns: String = (1..=LINES).map(pattern).collect();
    let rules: String = (1..=LINES).map(rule).collect();
    let app = format!(
        "watch \"journal\" \"app\" {{\n  unit = \"app\"\n{patterns}  match \"fatal\" {{\n    contains = \"fatal\"\n  }}\n}}\n"
    );
    host.write("/etc/lictor.d/lictor.hcl", &format!("node {{\n  name = \"host\"\n}}\n{app}{rules}{more}"));
    let unit = include_str!("../../../../packaging/systemd/lictor.service");
    // When the agent is killed, it is the test that starts it again.
    let unit =
        unit.replace("/usr/bin/lictor", "/usr/local/bin/lictor").replace("Restart=always", "Restart=no");
    host.unit("lictor.service", &unit);
    host
}

/// Starts the agent and waits until it follows the journal.
fn start(host: &Host) {
    host.ok(&["systemctl", "start", "lictor"]);
    until(host, "the agent follows", || {
        host.run(&["lictor", "status"]).stdout.contains("follows the journal").then_some(())
    });
}

fn kill(host: &Host) {
    host.ok(&["systemctl", "kill", "--kill-whom=main", "--signal=KILL", "lictor"]);
    until(host, "the agent is dead", || {
        (host.run(&["systemctl", "is-active", "lictor"]).stdout.trim() == "failed").then_some(())
    });
    host.ok(&["systemctl", "reset-failed", "lictor"]);
    until(host, "its journalctl has ended", || (host.run(&["pgrep", "journalctl"]).code == 1).then_some(()));
}

fn until<T>(host: &Host, what: &str, look: impl FnMut() -> Option<T>) -> T {
    wait::until(LONG, look).unwrap_or_else(|| {
        let said = host.run(&["journalctl", "--unit=lictor", "--output=cat", "--lines=40"]).stdout;
        panic!("{what}: not within {LONG:?}\n{said}\n{}", events(host))
    })
}

fn events(host: &Host) -> String {
    host.run(&["lictor", "events", "--limit", "1000", "--kind", "matched,transition,watcher_restarted"])
        .stdout
}

/// The numbers of all lines that were noted, in order.
fn numbers(host: &Host) -> Vec<u32> {
    let events = events(host);
    let numbers =
        events.lines().filter_map(|line| line.split_once("app matched n")?.1.split_once(": number "));
    let mut numbers: Vec<u32> = numbers.filter_map(|(_, number)| number.trim().parse().ok()).collect();
    numbers.sort_unstable();
    numbers
}

/// A unit that writes numbers, from one to another, twenty in a second.
fn counts(host: &Host, from: u32, to: u32) {
    let script = format!("n={from}; while [ $n -le {to} ]; do echo number $n; n=$((n+1)); sleep 0.05; done");
    host.unit("app.service", &format!("[Service]\nExecStart=/bin/sh -c '{script}'\n").replace('$', "$$"));
    host.ok(&["systemctl", "start", "app"]);
}

fn ended(host: &Host) {
    until(host, "the unit ends", || {
        (host.run(&["systemctl", "is-active", "app"]).stdout.trim() == "inactive").then_some(())
    });
}

#[test]
fn on_a_real_host_a_line_of_a_unit_has_it_restarted_and_nobody_elses_line_does() {
    let host = host(
        "rule \"restart\" {\n  on = match.app.fatal\n  cooldown = \"0s\"\n  act \"systemd\" {\n    unit = \"app.service\"\n  }\n}\n",
    );
    // An ordinary user may not restart units.
    host.write(
        "/etc/systemd/system/lictor.service.d/host-actions.conf",
        include_str!("../../../../packaging/systemd/host-actions.conf"),
    );
    host.ok(&["systemctl", "daemon-reload"]);
    host.unit(
        "app.service",
        "[Service]\nExecStartPre=/bin/sh -c 'echo x >> /var/lib/starts; rm -f /run/app; mkfifo /run/app'\n\
         ExecStart=/bin/sh -c 'while :; do cat /run/app; done'\n",
    );
    host.ok(&["systemctl", "start", "app"]);
    start(&host);
    let starts = || host.read("/var/lib/starts").lines().count();
    // What only claims to be the unit.
    for claim in [
        &["logger", "--tag", "app", "fatal: by another"][..],
        &["systemd-run", "--wait", "--unit=other", "echo", "fatal: by another unit"],
        &[
            "sh",
            "-c",
            "printf 'MESSAGE=fatal\nUNIT=app.service\nOBJECT_SYSTEMD_UNIT=app.service\nSYSLOG_IDENTIFIER=app\n' | logger --journald",
        ],
    ] {
        host.ok(claim);
    }
    host.ok(&["sh", "-c", "echo number 1 > /run/app"]);
    until(&host, "the line before", || (numbers(&host) == [1]).then_some(()));
    assert_eq!(starts(), 1, "{}", events(&host));
    host.ok(&["sh", "-c", "echo the fatal thing > /run/app"]);
    until(&host, "the restart", || (starts() == 2).then_some(()));
    // It counts its starts before it runs.
    until(&host, "it runs again", || {
        (host.run(&["systemctl", "is-active", "app"]).stdout.trim() == "active").then_some(())
    });
    assert_eq!(starts(), 2);
}

#[test]
fn on_a_real_host_the_drop_in_of_the_package_lets_the_actions_that_need_root_work() {
    let host = host(
        "rule \"vacuum\" {\n  on = match.app.fatal\n  act \"journal_vacuum\" {\n    max_size = \"1MiB\"\n  }\n}\n\
         rule \"end\" {\n  on = match.app.fatal\n  act \"signal\" {\n    signal = \"TERM\"\n    unit = \"other.service\"\n  }\n}\n",
    );
    host.write(
        "/etc/systemd/system/lictor.service.d/host-actions.conf",
        include_str!("../../../../packaging/systemd/host-actions.conf"),
    );
    host.ok(&["systemctl", "daemon-reload"]);
    host.unit("other.service", "[Service]\nUser=nobody\nExecStart=sleep 1000\n");
    host.unit("app.service", "[Service]\nType=oneshot\nExecStart=echo fatal\n");
    host.ok(&["systemctl", "start", "other"]);
    start(&host);
    host.ok(&["systemctl", "start", "app"]);
    let told = || host.run(&["lictor", "events", "--limit", "1000"]).stdout;
    for done in ["vacuum is done", "end is done"] {
        wait::until(LONG, || told().contains(done).then_some(()))
            .unwrap_or_else(|| panic!("{done}: {}", told()));
    }
    let gone = || (host.run(&["systemctl", "is-active", "other"]).stdout.trim() != "active").then_some(());
    until(&host, "the other unit has ended", gone);
}

#[test]
fn on_a_real_host_a_flood_through_journald_is_read_whole() {
    let host = host("");
    start(&host);
    // As fast as journald takes them: its own limit would drop what comes too fast.
    let lines = format!(
        "seq {LINES}000 | awk '{{ print \"order \" $1 \" was accepted\"; if ($1 % 1000 == 0) print \"number \" ++n }}'"
    );
    host.write("/usr/local/bin/flood", &format!("#!/bin/sh\n{lines}\n"));
    host.ok(&["chmod", "755", "/usr/local/bin/flood"]);
    // An interval of 0 is not handed on to journald.
    let limit = "LogRateLimitIntervalSec=1s\nLogRateLimitBurst=10000000";
    host.unit("app.service", &format!("[Service]\n{limit}\nExecStart=/usr/local/bin/flood\n"));
    host.ok(&["systemctl", "start", "app"]);
    ended(&host);
    let all: Vec<u32> = (1..=LINES).collect();
    until(&host, "every number is noted", || (numbers(&host) == all).then_some(()));
    assert_eq!(numbers(&host), all, "a line was taken twice");
}

#[test]
fn on_a_real_host_killed_agents_and_a_restarted_and_rotated_journal_lose_no_line() {
    let host = host("");
    start(&host);
    counts(&host, 1, LINES);
    let reached = |number: u32| {
        until(&host, &format!("line {number}"), || (numbers(&host).last() >= Some(&number)).then_some(()));
    };
    reached(20);
    kill(&host);
    start(&host);
    reached(40);
    host.ok(&["systemctl", "restart", "systemd-journald"]);
    reached(60);
    host.ok(&["journalctl", "--rotate"]);
    reached(80);
    // Everything at once, and nobody looks.
    kill(&host);
    host.ok(&["journalctl", "--rotate"]);
    host.ok(&["systemctl", "restart", "systemd-journald"]);
    host.ok(&["journalctl", "--rotate"]);
    start(&host);
    ended(&host);
    reached(LINES);
    assert_eq!(numbers(&host), (1..=LINES).collect::<Vec<_>>());
}

#[test]
fn on_a_real_host_lines_around_a_reboot_are_read_by_the_agent_that_starts_after_it() {
    let mut host = host("");
    start(&host);
    counts(&host, 1, 20);
    ended(&host);
    until(&host, "the first lines", || (numbers(&host).len() == 20).then_some(()));
    kill(&host);
    counts(&host, 21, 40);
    ended(&host);
    host.unit(
        "app.service",
        "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'for n in 41 42 43 44 45; do echo number $$n; done'\n\
         [Install]\nWantedBy=multi-user.target\n",
    );
    host.ok(&["systemctl", "enable", "app"]);
    host.reboot();
    start(&host);
    until(&host, "all lines", || (numbers(&host).len() >= 45).then_some(()));
    counts(&host, 46, 50);
    ended(&host);
    until(&host, "the last lines", || (numbers(&host).last() == Some(&50)).then_some(()));
    assert_eq!(numbers(&host), (1..=50).collect::<Vec<_>>());
}
