//! A service on real machines, and what can happen to them: it never runs twice, and is never away for long.

mod rig;

use std::time::Duration;

use rig::{Fleet, NODES, name, now, passes};

/// What became of one fault: how long nothing was written.
struct Seen(&'static str, Duration);

impl Fleet {
    /// Does something to the machine on which the service runs, and waits until it serves and all are well.
    fn fault(&mut self, what: &'static str, limit: Duration, does: impl FnOnce(&mut Self, usize)) -> Seen {
        let active = self.serves_somewhere();
        let begun = now();
        does(self, active);
        passes(Duration::from_millis(200));
        self.serves_somewhere();
        self.settles();
        self.never_two();
        let gap = self.gap(begun);
        assert!(gap <= limit, "{what}: nothing was written for {gap:?}, and {limit:?} is the most");
        println!("{what}: {gap:?}");
        Seen(what, gap)
    }
}

#[test]
fn a_service_survives_the_faults_of_its_machines_and_never_runs_twice() {
    let mut fleet = Fleet::start();
    fleet.settles();
    // A machine that compiles at the same time is many times slower; the bench has the true figures.
    let (short, long) = (Duration::from_secs(10), Duration::from_secs(40));
    let mut seen = Vec::new();
    seen.push(fleet.fault("switchover", short, |fleet, active| {
        let to = name((active + 1) % NODES.end);
        let said = fleet.run(active, &["lictor", "service", "switchover", "web", "--to", &to]);
        assert_eq!(said.code, 0, "{said:?}");
    }));
    seen.push(fleet.fault("the agent is killed and comes back", short, |fleet, active| {
        let before = fleet.written().last().map(|last| last.token);
        fleet.signal(active, "lictor.service", "KILL");
        passes(Duration::from_secs(1));
        fleet.settles();
        assert_eq!(fleet.written().last().map(|last| (last.node, Some(last.token))), Some((active, before)));
    }));
    seen.push(fleet.fault("the unit is killed", short, |fleet, active| {
        fleet.signal(active, "web.service", "KILL");
    }));
    seen.push(fleet.fault("the guard is killed", long, |fleet, active| {
        fleet.signal(active, "lictor-guard@web.service", "KILL");
    }));
    seen.push(fleet.fault("the agent is frozen", long, |fleet, active| {
        fleet.signal(active, "lictor.service", "STOP");
        fleet.until("another one takes it over", || {
            fleet.written().last().filter(|last| last.node != active).map(|_| ())
        });
        fleet.signal(active, "lictor.service", "CONT");
    }));
    seen.push(fleet.fault("Consul's leader is killed", long, |fleet, _active| {
        let leader = fleet.until("Consul has a leader", || NODES.into_iter().find(|node| fleet.leads(*node)));
        fleet.signal(leader, "consul.service", "KILL");
    }));
    seen.push(fleet.fault("the machine is cut off", long, |fleet, active| {
        fleet.isolate(active);
        fleet.until("another one takes it over", || {
            fleet.written().last().filter(|last| last.node != active).map(|_| ())
        });
        fleet.heal();
    }));
    seen.push(fleet.fault("the power of the machine is cut", long, |fleet, active| {
        fleet.power_cut(active);
        fleet.until("another one takes it over", || {
            fleet.written().last().filter(|last| last.node != active).map(|_| ())
        });
        fleet.boot(active);
    }));
    for Seen(what, gap) in &seen {
        println!("{what:40} {gap:?}");
    }
    fleet.never_two();
}
