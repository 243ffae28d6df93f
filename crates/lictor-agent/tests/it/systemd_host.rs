//! Units of a booted host: what is seen of them, and what is done to them.
#![cfg(test)]

use std::time::Duration;

use lictor_agent::act::Prepared;
use lictor_config::{Action, SignalAction, SignalTo, SystemdAction, SystemdBus, UnitVerb};
use lictor_core::Status;
use lictor_testkit::host::Host;
use tokio::time::{Instant, sleep};

use crate::act_bench::{Bench, LONG, done, failed, not_started, order, unknown};
use crate::nomad_rig::noted;
use crate::systemd_rig::{BRIEF, Doer, SLEEPER, again_inside, bus, does, follow, main_pid, run, unit};
use crate::watch_rig::{number, told};

#[tokio::test]
async fn on_a_real_host_each_change_of_a_unit_is_told() {
    let host = Host::boot();
    host.unit("x.service", "[Service]\nExecStart=/bin/sleep infinity\nRestart=on-failure\nRestartSec=2s\n");
    let mut follow = follow("x", bus(&host)).await;
    follow.says("critical: x.service is inactive (dead)").await;
    host.ok(&["systemctl", "start", "x"]);
    follow.says("passing: x.service is active (running)").await;
    assert_eq!(number(follow.samples.last().unwrap(), "restarts"), Some(0.0));

    // What lasts for a moment is seen, too: a look every few seconds would miss it.
    for restart in 1..=3 {
        let before = follow.samples.len();
        host.ok(&["systemctl", "kill", "--kill-whom=main", "--signal=SEGV", "x"]);
        let moment = "critical: x.service is activating (auto-restart): signal, signal 11";
        follow
            .until(moment, |follow| follow.samples[before..].iter().any(|sample| told(sample) == moment))
            .await;
        follow.says("passing: x.service is active (running)").await;
        assert_eq!(number(follow.samples.last().unwrap(), "restarts"), Some(f64::from(restart)));
    }
    host.ok(&["systemctl", "stop", "x"]);
    follow.says("critical: x.service is inactive (dead)").await;
    host.unit("x.service", "[Service]\nExecStart=/bin/sh -c 'exit 3'\n");
    drop(host.run(&["systemctl", "start", "x"]));
    follow.says("critical: x.service is failed: exit-code, exit status 3").await;
    host.ok(&["systemctl", "reset-failed", "x"]);
    follow.says("critical: x.service is inactive (dead)").await;
    host.ok(&["rm", "/etc/systemd/system/x.service"]);
    host.ok(&["systemctl", "mask", "x"]);
    follow.says("critical: x.service is masked").await;
    assert!(follow.restarts.is_empty(), "{:?}", follow.restarts);
}

#[tokio::test]
async fn on_a_real_host_a_unit_is_followed_over_a_restart_of_the_bus_and_of_systemd() {
    let host = Host::boot();
    host.unit("x.service", SLEEPER);
    host.ok(&["systemctl", "start", "x"]);
    let mut follow = follow("x", bus(&host)).await;
    follow.says("passing: x.service is active").await;
    host.ok(&["systemctl", "restart", "dbus.service"]);
    follow.until("it is begun anew", |follow| !follow.restarts.is_empty()).await;
    host.ok(&["systemctl", "stop", "x"]);
    follow.says("critical: x.service is inactive").await;
    let unknown = follow.samples.iter().any(|sample| sample.status == Status::Unknown);
    assert!(!unknown, "what is back in a second is no news: {:?}", follow.samples);
    host.ok(&["systemctl", "daemon-reexec"]);
    host.ok(&["systemctl", "start", "x"]);
    follow.says("passing: x.service is active").await;
}

#[tokio::test]
async fn on_a_real_host_a_unit_may_be_known_by_another_name() {
    let host = Host::boot();
    host.unit("real.service", &format!("{SLEEPER}[Install]\nAlias=other.service\n"));
    host.ok(&["systemctl", "enable", "real"]);
    host.ok(&["systemctl", "start", "real"]);
    let mut alias = follow("other", bus(&host)).await;
    alias.says("passing: other.service is active").await;
    let before = main_pid(&host, "real");
    done(&does(&host, UnitVerb::Restart, "other").await);
    assert_ne!(main_pid(&host, "real"), before);
    host.ok(&["systemctl", "stop", "real"]);
    alias.says("critical: other.service is inactive").await;
}

/// Within the host, as an agent on it: systemd talks directly to nobody else.
#[tokio::test]
async fn on_a_real_host_without_a_bus_systemd_is_asked_directly() {
    if !again_inside("systemd_host::on_a_real_host_without_a_bus_systemd_is_asked_directly", &["x.service"]) {
        return;
    }
    run(&["systemctl", "start", "x"]);
    run(&["systemctl", "stop", "dbus.socket", "dbus.service"]);
    let mut follow = follow("x", SystemdBus::System).await;
    follow.says("passing: x.service is active").await;
    run(&["systemctl", "stop", "x"]);
    follow.says("critical: x.service is inactive").await;
    done(&Doer::new("x", SystemdBus::System, UnitVerb::Restart).act(LONG).await);
    follow.says("passing: x.service is active").await;
    assert!(follow.restarts.is_empty(), "{:?}", follow.restarts);
}

#[tokio::test]
async fn on_a_real_host_the_units_of_a_user_are_seen_and_started() {
    if !again_inside("systemd_host::on_a_real_host_the_units_of_a_user_are_seen_and_started", &["x.service"])
    {
        return;
    }
    run(&["systemctl", "start", "user@0.service", "user@65534.service"]);
    for bus in [SystemdBus::User(None), SystemdBus::User(Some("nobody".into()))] {
        let mut follow = follow("mine", bus.clone()).await;
        follow.says("critical: mine.service is inactive").await;
        done(&Doer::new("mine", bus.clone(), UnitVerb::Start).act(LONG).await);
        follow.says("passing: mine.service is active").await;
        let to = SignalTo::Unit(unit("mine"), bus);
        let term = Action::Signal(Box::new(SignalAction { signal: "TERM", number: 15, to }));
        done(&Bench::new(term).act(&order(), LONG).await);
        follow.says("critical: mine.service is inactive").await;
    }
}

#[tokio::test]
async fn on_a_real_host_a_signal_goes_to_the_main_process_of_a_unit() {
    let name = "systemd_host::on_a_real_host_a_signal_goes_to_the_main_process_of_a_unit";
    if !again_inside(name, &["x.service", "idle.service"]) {
        return;
    }
    let signal = |unit_name: &str| {
        let to = SignalTo::Unit(unit(unit_name), SystemdBus::System);
        Bench::new(Action::Signal(Box::new(SignalAction { signal: "TERM", number: 15, to })))
    };
    run(&["systemctl", "start", "x"]);
    let pid = run(&["systemctl", "show", "--property=MainPID", "--value", "x"]).trim().to_owned();
    let mut follow = follow("x", SystemdBus::System).await;
    follow.says("passing: x.service is active").await;
    let outcome = signal("x").act(&order(), LONG).await;
    assert_eq!(done(&outcome), format!("SIGTERM was sent to process {pid} (sleep)"));
    follow.says("critical: x.service is inactive").await;
    let outcome = signal("x").act(&order(), LONG).await;
    assert_eq!(
        failed(&outcome),
        "SIGTERM was not sent: x.service has no main process: it is inactive (dead)"
    );
    unknown(&signal("x").inspect(&order(), LONG).await);
}

#[tokio::test]
async fn on_a_real_host_each_verb_does_what_it_says() {
    let host = Host::boot();
    let reloads = "ExecReload=/bin/sh -c 'echo again >>/run/reloaded'\n";
    host.unit("x.service", &format!("{SLEEPER}{reloads}"));
    host.unit("plain.service", SLEEPER);
    let told = done(&does(&host, UnitVerb::Start, "x").await).to_owned();
    assert_eq!(told, "start: x.service is active (running)");
    let first = main_pid(&host, "x");
    done(&does(&host, UnitVerb::Start, "x").await);
    done(&does(&host, UnitVerb::Reload, "x").await);
    done(&does(&host, UnitVerb::ReloadOrRestart, "x").await);
    assert_eq!(
        (main_pid(&host, "x"), host.read("/run/reloaded").as_str()),
        (first.clone(), "again\nagain\n")
    );
    done(&does(&host, UnitVerb::Restart, "x").await);
    let second = main_pid(&host, "x");
    assert_ne!(second, first);
    done(&does(&host, UnitVerb::TryRestart, "x").await);
    assert_ne!(main_pid(&host, "x"), second);
    assert_eq!(done(&does(&host, UnitVerb::Stop, "x").await), "stop: x.service is inactive (dead)");
    done(&does(&host, UnitVerb::TryRestart, "x").await);
    assert_eq!(main_pid(&host, "x"), "0", "one that is stopped is not started by that");

    done(&does(&host, UnitVerb::Start, "plain").await);
    let outcome = does(&host, UnitVerb::Reload, "plain").await;
    assert!(
        failed(&outcome).contains("plain.service was left as it is: systemd says JobTypeNotApplicable"),
        "{outcome:?}"
    );
    let before = main_pid(&host, "plain");
    done(&does(&host, UnitVerb::ReloadOrRestart, "plain").await);
    assert_ne!(main_pid(&host, "plain"), before);

    // The bus itself: the answer is lost, and yet it is known.
    let before = main_pid(&host, "dbus");
    done(&does(&host, UnitVerb::Restart, "dbus").await);
    assert_ne!(main_pid(&host, "dbus"), before);
}

#[tokio::test]
async fn on_a_real_host_what_systemd_refuses_or_cannot_do_is_told() {
    let host = Host::boot();
    host.unit("broken.service", "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'exit 3'\n");
    host.unit("needy.service", &format!("[Unit]\nRequires=broken.service\nAfter=broken.service\n{SLEEPER}"));
    host.ok(&["systemctl", "mask", "masked.service"]);
    let outcome = does(&host, UnitVerb::Start, "masked").await;
    assert!(failed(&outcome).contains("systemd says UnitMasked"), "{outcome:?}");
    let outcome = does(&host, UnitVerb::Restart, "nowhere").await;
    assert!(failed(&outcome).contains("systemd says NoSuchUnit"), "{outcome:?}");
    let outcome = does(&host, UnitVerb::Start, "needy").await;
    assert!(
        failed(&outcome).starts_with("start: something that needy.service needs has failed"),
        "{outcome:?}"
    );
    let outcome = does(&host, UnitVerb::Start, "broken").await;
    assert_eq!(failed(&outcome), "start: failed; broken.service is failed: exit-code, exit status 3");

    // After five such starts in ten seconds systemd refuses, until it is told to forget them.
    let limited = async {
        loop {
            let outcome = does(&host, UnitVerb::Start, "broken").await;
            if failed(&outcome).contains("start: refused") {
                return outcome;
            }
        }
    };
    let outcome = tokio::time::timeout(LONG, limited).await.unwrap();
    assert!(failed(&outcome).ends_with("with reset_failed = true it is tried all the same"), "{outcome:?}");
    let again =
        SystemdAction { unit: unit("broken"), bus: bus(&host), verb: UnitVerb::Start, reset_failed: true };
    let outcome = Doer::with(again).act(LONG).await;
    assert_eq!(failed(&outcome), "start: failed; broken.service is failed: exit-code, exit status 3");
    done(&does(&host, UnitVerb::ResetFailed, "broken").await);
    assert_eq!(host.run(&["systemctl", "is-failed", "broken"]).stdout, "inactive\n");
    done(&does(&host, UnitVerb::ResetFailed, "never-heard-of").await);
}

/// Starts and says so only when a file is there.
const SLOW: &str = "[Service]\nType=notify\nNotifyAccess=all\nTimeoutStartSec=infinity\n\
                    ExecStart=/bin/sh -c 'until [ -e /run/ready ]; do sleep 0.1; done; systemd-notify --ready; exec sleep 1000'\n";

#[tokio::test]
async fn on_a_real_host_a_job_that_hangs_meets_the_limit_and_is_not_asked_for_again() {
    let host = Host::boot();
    host.unit("slow.service", SLOW);
    host.ok(&["systemctl", "start", "--no-block", "slow"]);
    let mut doer = Doer::new("slow", bus(&host), UnitVerb::Restart);
    let first = doer.note().await;
    let begun = Instant::now();
    let outcome = doer.bench.act(&noted(&first), BRIEF).await;
    let detail = unknown(&outcome);
    assert!(
        detail.starts_with("restart is not over after 2s; slow.service is activating (start)"),
        "{detail}"
    );
    assert!((2_000..5_000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());

    // It is in the middle of it: to ask again would begin anew, for ever.
    let pid = main_pid(&host, "slow");
    let second = match doer.bench.prepare(&noted(&first), LONG).await {
        Prepared::Note(note) => note,
        Prepared::Over(outcome) => panic!("{outcome:?}"),
    };
    let outcome = doer.bench.inspect(&noted(&second), BRIEF).await;
    assert!(unknown(&outcome).contains("a job of slow.service still runs after 2s"), "{outcome:?}");
    let ready = async {
        sleep(Duration::from_millis(500)).await;
        host.write("/run/ready", "");
    };
    let again = noted(&second);
    let (outcome, ()) = tokio::join!(doer.bench.act(&again, LONG), ready);
    assert!(done(&outcome).starts_with("what was asked for before is done"), "{outcome:?}");
    assert_eq!(main_pid(&host, "slow"), pid);
}

#[tokio::test]
async fn on_a_real_host_a_restart_that_ends_between_two_attempts_is_not_made_again() {
    let host = Host::boot();
    host.unit("slow.service", SLOW);
    host.write("/run/ready", "");
    host.ok(&["systemctl", "start", "slow"]);
    host.ok(&["rm", "/run/ready"]);
    let mut doer = Doer::new("slow", bus(&host), UnitVerb::Restart);
    let first = doer.note().await;
    unknown(&doer.bench.act(&noted(&first), BRIEF).await);
    host.write("/run/ready", "");
    host.ok(&["systemctl", "start", "slow"]);
    let pid = main_pid(&host, "slow");
    match doer.bench.prepare(&noted(&first), LONG).await {
        Prepared::Over(outcome) => {
            assert!(done(&outcome).starts_with("what was asked for before is done"), "{outcome:?}");
        }
        Prepared::Note(note) => panic!("it would be restarted again: {note}"),
    }
    assert_eq!(main_pid(&host, "slow"), pid);
    // That did not help: now it is to be restarted in earnest.
    assert!(matches!(doer.bench.prepare(&noted(&first), LONG).await, Prepared::Note(_)));
}

#[tokio::test]
async fn on_a_real_host_the_unit_tells_after_a_crash_what_was_done() {
    let host = Host::boot();
    host.unit("x.service", SLEEPER);
    host.ok(&["systemctl", "start", "x"]);
    let mut doer = Doer::new("x", bus(&host), UnitVerb::Restart);
    let note = doer.note().await;
    // The agent was killed before it asked, and another one looks.
    assert_eq!(
        not_started(&doer.bench.inspect(&noted(&note), LONG).await),
        "nothing was done to it: x.service is active (running)"
    );
    // After it had asked.
    done(&doer.bench.act(&noted(&note), LONG).await);
    let pid = main_pid(&host, "x");
    assert_eq!(
        done(&doer.bench.inspect(&noted(&note), LONG).await),
        "restart: x.service is active (running)"
    );
    assert_eq!(main_pid(&host, "x"), pid, "looking changes nothing");
    // Nobody has noted anything: nobody knows.
    unknown(&doer.bench.inspect(&order(), LONG).await);
    // It was done, and then the unit failed.
    host.ok(&["systemctl", "kill", "--kill-whom=main", "--signal=SEGV", "x"]);
    let broken = async {
        while host.run(&["systemctl", "is-failed", "x"]).stdout != "failed\n" {
            sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LONG, broken).await.unwrap();
    let outcome = doer.bench.inspect(&noted(&note), LONG).await;
    assert_eq!(failed(&outcome), "restart: x.service is failed: signal, signal 11");
}

#[tokio::test]
async fn without_a_systemd_nothing_is_asked_for_and_nothing_is_known() {
    let nowhere = SystemdBus::Socket("/nonexistent/bus".into());
    let mut doer = Doer::new("x", nowhere.clone(), UnitVerb::Restart);
    let Prepared::Over(outcome) = doer.bench.prepare(&order(), LONG).await else { panic!() };
    let wanted = "nothing was asked for: systemd cannot be reached: /nonexistent/bus: there is no such socket; \
                  does systemd run here?";
    assert_eq!(failed(&outcome), wanted);
    let mut follow = follow("x", nowhere).await;
    follow.says("unknown: systemd cannot be reached").await;
}
