//! The monitor, qBittorrent and Consul killed in every phase and at every recorded step: the end is
//! always the same. Nomad restarts once, what was stopped is started, nothing else is touched.

use std::time::Duration;

use lictor_testkit::wait;

use crate::node::{LONG, Node};
use crate::site::Site;

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Monitor,
    Qbittorrent,
    Consul,
}

/// Checks the end: everything as before, one restart.
fn ends_well(site: &Site, node: &mut Node, told: &str) {
    let ended = node.ended("sp");
    let fine = wait::until(LONG, || site.is_as_before().ok());
    assert!(
        ended == "done" && fine.is_some() && site.restarts() == 1,
        "{told}: the run is {ended}, {} restarts, {:?}\n{}\n{}",
        site.restarts(),
        site.is_as_before(),
        node.events(),
        node.log()
    );
    let runs = node.runs().iter().filter(|run| run["remedy"] == "sp").count();
    assert_eq!(runs, 1, "{told}: one run, not a second one\n{}", node.events());
}

/// Kills the monitor when it reaches a point for the `number`-th time, and starts it again.
/// `false`: the cure was over before.
fn killed_at(point: &str, number: u32) -> bool {
    let site = Site::new();
    let mut node = site.node("");
    // What is recorded before anything is wrong is walked by others.
    node.start();
    node.stable();
    node.until("its state is known", |_| (site.key("state/connection_state") == "stable").then_some(()));
    node.kill();
    site.cut();
    node.start_with(Some(&format!("{point}:{number}")));
    let killed = node.until("killed or done", |node| {
        let ended = node.agent().status().unwrap();
        let done = || node.run_of("sp").is_some_and(|(state, _)| state == "done").then_some(false);
        ended.map(|_killed| true).or_else(done)
    });
    if killed {
        node.kill();
        node.start();
        ends_well(&site, &mut node, &format!("killed at {point}:{number}"));
    }
    killed
}

/// Walks every `stride`-th recorded step from `first` on, two at a time.
fn walk(point: &str, first: u32, stride: u32) -> u32 {
    let mut number = first;
    let mut killed = 0;
    loop {
        assert!(number < 200, "the walk has no end");
        let ended: Vec<bool> = std::thread::scope(|scope| {
            let walks = [number, number + stride].map(|number| scope.spawn(move || killed_at(point, number)));
            walks.into_iter().map(|walk| walk.join().unwrap()).collect()
        });
        killed += ended.iter().filter(|killed| **killed).count();
        if ended.contains(&false) {
            return u32::try_from(killed).unwrap();
        }
        number += 2 * stride;
    }
}

/// Every recorded step with `LICTOR_LONG`, otherwise some of them.
fn stride() -> u32 {
    if std::env::var_os("LICTOR_LONG").is_some() { 1 } else { 4 }
}

#[test]
fn killed_after_a_commit_before_its_effects_it_ends_well() {
    let killed = walk("committed", 2, stride());
    assert!(killed >= 4, "only {killed} places: the walk has missed the cure");
}

#[test]
fn killed_after_the_effects_of_a_commit_it_ends_well() {
    let killed = walk("let-out", 3, stride());
    assert!(killed >= 4, "only {killed} places: the walk has missed the cure");
}

/// Kills some in a phase, at the same time, and lets them come back.
fn killed_in(step: &str, victims: &[Victim]) {
    let mut site = Site::new();
    let mut node = site.node("");
    node.start();
    node.stable();
    site.cut();
    node.until("the phase has come", |node| {
        let (state, at) = node.run_of("sp")?;
        (at == step || state == "done").then_some(())
    });
    for victim in victims {
        match victim {
            Victim::Monitor => node.kill(),
            Victim::Qbittorrent => site.qbittorrent().kill(),
            Victim::Consul => site.consul.kill(),
        }
    }
    wait::until(Duration::from_millis(700), || None::<()>);
    for victim in victims {
        match victim {
            Victim::Monitor => node.start(),
            // Nomad's restart of the allocation may have brought it back already.
            Victim::Qbittorrent => site.qbittorrent().restart(),
            Victim::Consul => site.consul.restart(),
        }
    }
    ends_well(&site, &mut node, &format!("{victims:?} killed at {step}"));
}

/// All phases for some victims, two at a time.
fn in_every_phase(victims: &[Victim]) {
    let steps = ["stopping_torrents", "restarting_nomad", "waiting_for_stability", "restarting_torrents"];
    for pair in steps.chunks(2) {
        std::thread::scope(|scope| {
            let all: Vec<_> = pair.iter().map(|step| scope.spawn(move || killed_in(step, victims))).collect();
            all.into_iter().for_each(|one| one.join().unwrap());
        });
    }
}

#[test]
fn qbittorrent_killed_in_any_phase_changes_nothing() {
    in_every_phase(&[Victim::Qbittorrent]);
}

#[test]
fn consul_killed_in_any_phase_changes_nothing() {
    in_every_phase(&[Victim::Consul]);
}

#[test]
fn the_monitor_and_qbittorrent_killed_in_any_phase_change_nothing() {
    in_every_phase(&[Victim::Monitor, Victim::Qbittorrent]);
}

#[test]
fn the_monitor_and_consul_killed_in_any_phase_change_nothing() {
    in_every_phase(&[Victim::Monitor, Victim::Consul]);
}

#[test]
fn qbittorrent_and_consul_killed_in_any_phase_change_nothing() {
    in_every_phase(&[Victim::Qbittorrent, Victim::Consul]);
}
