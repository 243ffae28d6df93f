//! Services on a booted host: their units, their guard, and PID 1.
#![cfg(test)]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use lictor_agent::service::{GuardState, Place, Units as _, install};
use lictor_config::UnitName;
use lictor_core::service::member::{Local, Order};
use lictor_testkit::host::{Host, Options};
use lictor_testkit::wait;

use crate::guard_rig::{
    Agent, LASTS, NAME, PROGRAM, UNITS, all_write, awake, clear, guards_memory, init, init_of, last_writes,
    millis, show, signal_guard, status, write, write_units, writes,
};
use crate::systemd_rig::{again_inside_with, run};

fn inside(test: &str) -> bool {
    let program = env!("CARGO_BIN_EXE_lictor-act-host").into();
    again_inside_with(&format!("guard_host::{test}"), &[], vec![program])
}

/// How long after an instant each unit wrote last; it is told, and shorter than that.
fn told(what: &str, since: Duration, most: Duration) {
    let late = |at: Duration| (at.as_secs_f64() - since.as_secs_f64()) * 1_000.0;
    let all: Vec<f64> = last_writes().into_iter().map(late).collect();
    let words = all.iter().map(|late| format!("{late:.1} ms")).collect::<Vec<_>>().join(", ");
    println!("{what}: last writes {words} after");
    let latest = all.into_iter().fold(f64::MIN, f64::max);
    assert!(latest < most.as_secs_f64() * 1_000.0, "{what}: {latest} ms\n{}", status());
}

/// When the last process has written at the latest: half a second on a quiet machine, and 1.5 s when the guard was frozen.
///
/// More than a lease leaves, 1.6 s, would be a fault on any.
const LATE: Duration = millis(1_500);

fn invocations() -> Vec<String> {
    UNITS.iter().map(|unit| show(unit, "InvocationID")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_real_host_a_service_dies_with_the_belief_in_its_lease_whoever_fails() {
    if !inside("on_a_real_host_a_service_dies_with_the_belief_in_its_lease_whoever_fails") {
        return;
    }
    write_units();
    init();
    let mut agent = Agent::new();

    // The agent is silent. One unit does not heed TERM, another is started again whatever happens.
    agent.start(7).await;
    all_write(7);
    let belief = agent.fall_silent().unwrap();
    told("the belief is over", belief.since.awake + belief.lasts, LATE);
    agent.until(Local::Stopped).await;
    assert_eq!(agent.guard.state().await, GuardState::Absent);

    // The guard is killed while the agent believes: what PID 1 starts again finds no guard that was begun.
    clear();
    agent.start(8).await;
    all_write(8);
    signal_guard("KILL");
    told("the guard was killed", awake(), LATE);
    agent.until(Local::Stopped).await;

    // It is frozen. PID 1 knows when it heard of it last: at most 0.1 s before.
    clear();
    agent.start(9).await;
    all_write(9);
    signal_guard("STOP");
    told("the guard was frozen", awake(), LATE);
    agent.until(Local::Stopped).await;

    // The agent says that it is over.
    clear();
    agent.start(10).await;
    all_write(10);
    println!("memory of a guard: {}", guards_memory());
    let begin = awake();
    agent.carry(Order::Kill).await.unwrap();
    println!("a kill is verified after {:?}", awake().saturating_sub(begin));
    told("it was killed", begin, LATE);
    assert_eq!(agent.units.look().await.local, Local::Stopped);
    assert!(UNITS.iter().all(|unit| show(unit, "ActiveState") == "inactive"), "{}", status());
    assert!(writes().iter().all(|write| write.token == "10"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_real_host_a_service_runs_under_its_token_and_in_its_order() {
    if !inside("on_a_real_host_a_service_runs_under_its_token_and_in_its_order") {
        return;
    }
    write_units();
    let mut agent = Agent::new();
    let able = |look: lictor_agent::service::Look| look.able.unwrap_err();
    let told = able(agent.units.look().await);
    assert_eq!(
        told,
        "shop-db.service is not bound to lictor-guard@web-shop.service: run `lictor service init web-shop`"
    );
    agent.believe(6);
    assert_eq!(agent.carry(Order::Start { token: 6 }).await, Err(told));
    init();
    run(&["systemctl", "enable", UNITS[0]]);
    let told = able(agent.units.look().await);
    assert!(told.ends_with("run `systemctl disable shop-db.service`"), "{told}");
    run(&["systemctl", "disable", UNITS[0]]);
    assert_eq!(agent.units.look().await.able, Ok(()));

    // Looking at what is down has systemd load it and forget it again, which is no change.
    agent.units.changed().await;
    for _look in 0..3 {
        assert_eq!(agent.units.look().await.local, Local::Stopped);
    }
    let told = tokio::time::timeout(millis(700), agent.units.changed()).await;
    assert!(told.is_err(), "it is looked at again and again");

    // Nobody starts it but the holder of the lease, not even while that believes.
    let by_hand = Command::new("systemctl").args(["start", UNITS[1]]).output().unwrap();
    assert!(!by_hand.status.success());
    assert!(writes().is_empty());

    agent.start(7).await;
    all_write(7);
    let first = |unit: &str| writes().into_iter().find(|write| write.unit == unit).unwrap().at;
    assert!(first(UNITS[0]) < first(UNITS[2]));
    let begun = |unit: &str| show(unit, "ActiveEnterTimestampMonotonic").parse::<u64>().unwrap();
    assert!(begun(UNITS[0]) <= begun(UNITS[1]) && begun(UNITS[1]) <= begun(UNITS[2]));
    let (token, left) = agent.left().await.unwrap();
    assert!(token == 7 && left <= LASTS, "{left:?}");

    // Systemd reads its files again, and is itself started anew.
    let before = invocations();
    run(&["systemctl", "daemon-reload"]);
    run(&["systemctl", "daemon-reexec"]);
    agent.until(Local::Running { token: Some(7) }).await;
    assert_eq!(invocations(), before, "{}", status());

    // In place, under the same token and the same guard.
    let guard = Place::new(NAME).unwrap().guard_unit();
    let guards = show(&guard, "InvocationID");
    agent.units.restart(7, &|_| true).await.unwrap();
    assert!(invocations().iter().zip(&before).all(|(now, before)| now != before));
    assert_eq!(show(&guard, "InvocationID"), guards);
    assert_eq!(agent.units.look().await.local, Local::Running { token: Some(7) });

    // One that ends by itself is told, and so is what becomes of the rest.
    run(&["systemctl", "stop", UNITS[0]]);
    agent.until(Local::Partly).await;
    agent.carry(Order::Kill).await.unwrap();

    agent.start(8).await;
    let begin = awake();
    agent.carry(Order::Stop).await.unwrap();
    println!(
        "a stop of three units, of which one does not heed TERM for 0.7 s: {:?}",
        awake().saturating_sub(begin)
    );
    assert_eq!(agent.units.look().await.local, Local::Stopped);
    let ended = |unit: &str| show(unit, "InactiveEnterTimestampMonotonic").parse::<u64>().unwrap();
    assert!(ended(UNITS[2]) <= ended(UNITS[1]) && ended(UNITS[1]) <= ended(UNITS[0]));
    assert_eq!((show(&guard, "ActiveState"), show(&guard, "Result")), ("inactive".into(), "success".into()));

    // A unit that breaks takes back what was started before it.
    std::fs::write("/etc/systemd/system/shop-app.service", "[Service]\nType=oneshot\nExecStart=/bin/false\n")
        .unwrap();
    run(&["systemctl", "daemon-reload"]);
    agent.believe(9);
    let told = agent.carry(Order::Start { token: 9 }).await.unwrap_err();
    assert_eq!(told, "shop-app.service did not start: it is failed: exit-code, exit status 1");
    assert_eq!(agent.units.look().await.local, Local::Stopped);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_real_host_an_agent_that_is_killed_and_comes_back_finds_its_service_running() {
    if !inside("on_a_real_host_an_agent_that_is_killed_and_comes_back_finds_its_service_running") {
        return;
    }
    write_units();
    init();
    let mut first =
        Command::new(PROGRAM).args(["hold", NAME, "7"]).args(UNITS).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(first.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "started\n", "{}", status());
    all_write(7);
    let before = invocations();
    first.kill().unwrap();
    first.wait().unwrap();

    let mut second = Agent::new();
    let (token, left) = second.left().await.unwrap();
    assert!(token == 7 && left > Duration::ZERO && left <= LASTS, "{left:?}");
    assert_eq!(second.units.look().await.local, Local::Running { token: Some(7) });
    second.believe(7);
    let since = awake();
    tokio::time::sleep(LASTS + millis(500)).await;
    assert_eq!(second.units.look().await.local, Local::Running { token: Some(7) });
    assert_eq!(invocations(), before);
    assert!(writes().iter().any(|write| write.at > since + LASTS));
    // It holds the lease under another token: what runs was not started under that.
    second.believe(8);
    let (token, left) = second.left().await.unwrap();
    assert!(token == 7 && left <= LASTS, "{left:?}");
    second.carry(Order::Kill).await.unwrap();
    assert_eq!(second.units.look().await.local, Local::Stopped);
    drop(second);

    an_init_script_is_a_unit_as_any_other().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_real_host_who_comes_while_a_service_starts_or_stops_goes_on_with_that() {
    if !inside("on_a_real_host_who_comes_while_a_service_starts_or_stops_goes_on_with_that") {
        return;
    }
    write_units();
    init();
    let slow = "[Service]\nExecStartPre=/bin/sleep 5\n";
    write(Path::new("/etc/systemd/system/shop-db.service.d/60-slow.conf"), slow);
    run(&["systemctl", "daemon-reload"]);
    let mut first = Agent::new();
    first.believe(7);
    // Whoever has ordered it goes away; the job of systemd does not.
    let cut = tokio::time::timeout(millis(2_000), first.carry(Order::Start { token: 7 })).await;
    assert!(cut.is_err(), "{cut:?}");
    drop(first);
    let begun = show(UNITS[0], "InvocationID");
    let mut second = Agent::new();
    assert_eq!(second.units.look().await.local, Local::Starting { token: 7 }, "{}", status());
    second.believe(7);
    second.carry(Order::Start { token: 7 }).await.unwrap();
    assert_eq!(second.units.look().await.local, Local::Running { token: Some(7) });
    assert_eq!(show(UNITS[0], "InvocationID"), begun, "it was started once");
    all_write(7);

    // The last one does not heed TERM for 0.7 s.
    let stops = awake();
    let cut = tokio::time::timeout(millis(300), second.carry(Order::Stop)).await;
    assert!(cut.is_err(), "{cut:?}");
    drop(second);
    let mut third = Agent::new();
    assert_eq!(third.units.look().await.local, Local::Stopping, "{}", status());
    third.believe(7);
    third.carry(Order::Stop).await.unwrap();
    assert_eq!(third.units.look().await.local, Local::Stopped);
    let last = writes().into_iter().rfind(|write| write.unit == UNITS[2]).unwrap().at;
    assert!(last > stops + millis(600), "it was killed after {:?}", last.saturating_sub(stops));
    assert!(!Path::new("/run/lictor/service/web-shop.begun").exists());

    // One that fails while nobody waits for it is no start to go on with.
    clear();
    third.believe(8);
    let cut = tokio::time::timeout(millis(2_000), third.carry(Order::Start { token: 8 })).await;
    assert!(cut.is_err(), "{cut:?}");
    run(&["systemctl", "kill", "--signal=KILL", UNITS[0]]);
    third.until(Local::Stopped).await;
    third.carry(Order::Start { token: 8 }).await.unwrap();
    assert_eq!(third.units.look().await.local, Local::Running { token: Some(8) });
    third.carry(Order::Kill).await.unwrap();
}

/// Systemd neither knows what it started nor kills it with its stop.
async fn an_init_script_is_a_unit_as_any_other() {
    let script = format!(
        "#!/bin/sh\n### BEGIN INIT INFO\n# Provides: olddb\n# Required-Start:\n# Required-Stop:\n# Default-Start:\n\
         # Default-Stop:\n# Short-Description: olddb\n### END INIT INFO\ncase \"$1\" in\n\
         start) {PROGRAM} write {} /run/writes >/dev/null 2>&1 & ;;\nstop) echo stopped >>/run/said ;;\nesac\n",
        UNITS[0]
    );
    write(Path::new("/etc/init.d/olddb"), &script);
    run(&["chmod", "755", "/etc/init.d/olddb"]);
    let units = vec![UnitName::new("olddb").unwrap()];
    init_of("old", &units);
    let mut agent = Agent::of("old", units);
    clear();
    agent.start(3).await;
    let written = wait::until(Duration::from_secs(20), || (!writes().is_empty()).then_some(()));
    assert!(written.is_some(), "{}", status());
    // What it has left is killed when it has said that it has stopped.
    agent.carry(Order::Stop).await.unwrap();
    assert_eq!(std::fs::read_to_string("/run/said").unwrap(), "stopped\n");
    assert_eq!(agent.units.look().await.local, Local::Stopped);
    last_writes();

    clear();
    agent.start(4).await;
    let belief = agent.fall_silent().unwrap();
    told("an init script", belief.since.awake + belief.lasts, LATE);
    agent.until(Local::Stopped).await;
    assert!(writes().iter().all(|write| write.token == "4"));
}

#[test]
fn on_a_real_host_a_service_has_its_own_time_to_stop_when_the_machine_is_shut_down() {
    let programs = vec![env!("CARGO_BIN_EXE_lictor-act-host").into()];
    let mut host = Host::with(&Options { programs, ..Options::default() });
    // Longer than any belief that is not renewed.
    let unit = "[Service]\nExecStart=/bin/sh -c 'trap \"sleep 3.5; echo in order >/var/lib/ended; exit 0\" TERM; \
                while :; do sleep 0.1; done'\n";
    host.write("/etc/systemd/system/shop-db.service", unit);
    let (place, units) = (Place::new(NAME).unwrap(), [UnitName::new("shop-db").unwrap()]);
    for (path, text) in install::files(&place, &units, Path::new(PROGRAM)) {
        host.write(path.to_str().unwrap(), &text);
    }
    // In the sandbox of the packaged agent, with what it needs for services.
    let packaged = include_str!("../../../../packaging/systemd/lictor.service");
    let usual = ["Type=notify\n", "ExecStart=/usr/bin/lictor run --config /etc/lictor.d\n"];
    let ours = ["Type=exec\n".to_owned(), format!("ExecStart={PROGRAM} hold {NAME} 7 shop-db.service\n")];
    let unit = usual.iter().zip(&ours).fold(packaged.to_owned(), |unit, (usual, ours)| {
        assert!(unit.contains(usual), "{usual}");
        unit.replace(usual, ours)
    });
    let services = include_str!("../../../../packaging/systemd/services.conf");
    host.write("/etc/systemd/system/lictor.service.d/services.conf", services);
    host.unit("lictor.service", &unit);
    host.ok(&["systemctl", "start", "lictor"]);
    let active = |unit: &str| host.run(&["systemctl", "is-active", unit]).stdout;
    let runs =
        wait::until(Duration::from_secs(20), || (active("shop-db.service") == "active\n").then_some(()));
    assert!(runs.is_some(), "{}", host.ok(&["journalctl", "--no-pager", "-n", "50"]));
    let token = host.read("/run/lictor/service/web-shop.env");
    assert_eq!(token, "LICTOR_SERVICE=web-shop\nLICTOR_TOKEN=7\n");
    host.reboot();
    assert_eq!(host.read("/var/lib/ended"), "in order\n", "{}", host.console());
    assert_eq!(host.run(&["systemctl", "is-active", "shop-db.service"]).stdout, "inactive\n");
}
