//! A service on real machines, and what can happen to them: it never runs twice, and is never away for long.
//!
//! Each fault is played once; `LICTOR_FAULTS=1000` plays so many as the dice have it, `LICTOR_SEED` is another history,
//! and the times without a line are printed for each kind:
//!
//! ```text
//! LICTOR_FAULTS=1000 cargo test --release -p lictor --test it fleet:: -- --nocapture
//! ```

mod rig;

use std::collections::BTreeMap;
use std::time::Duration;

use rig::{Fleet, NODES, name, now, passes};

use crate::flaky::Dice;

/// What can happen to a machine on which the service runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Switchover,
    AgentKilled,
    AgentFrozen,
    UnitKilled,
    GuardKilled,
    GuardFrozen,
    ConsulLeaderKilled,
    ConsulHereFrozen,
    CutOff,
    DeafToTheOthers,
    PowerCut,
}

use Fault::{
    AgentFrozen, AgentKilled, ConsulHereFrozen, ConsulLeaderKilled, CutOff, DeafToTheOthers, GuardFrozen,
    GuardKilled, PowerCut, Switchover, UnitKilled,
};

const ALL: [Fault; 11] = [
    Switchover,
    AgentKilled,
    UnitKilled,
    GuardKilled,
    GuardFrozen,
    AgentFrozen,
    ConsulLeaderKilled,
    ConsulHereFrozen,
    CutOff,
    DeafToTheOthers,
    PowerCut,
];

impl Fault {
    /// The longest time without a line. A machine that compiles at the same time is many times slower than it
    /// need be; what a quiet one sees is printed.
    const fn limit(self) -> Duration {
        match self {
            Switchover | AgentKilled | UnitKilled => Duration::from_secs(15),
            _ => Duration::from_secs(40),
        }
    }

    /// Whether another machine has it in the end.
    const fn moves(self) -> bool {
        matches!(self, Switchover | AgentFrozen | CutOff | PowerCut)
    }

    /// Whether Consul has a leader meanwhile. A server that hears nobody and is heard asks for votes again and again,
    /// and deposes each leader with that: Consul 1.8 knows no pre-vote.
    const fn leaves_consul_a_leader(self) -> bool {
        !matches!(self, DeafToTheOthers)
    }

    fn happens(self, fleet: &mut Fleet, active: usize) {
        match self {
            Switchover => {
                let to = name((active + 1) % NODES.end);
                let said = fleet.run(active, &["lictor", "service", "switchover", "web", "--to", &to]);
                assert_eq!(said.code, 0, "{said:?}");
            }
            AgentKilled => fleet.signal(active, "lictor.service", "KILL"),
            UnitKilled => fleet.signal(active, "web.service", "KILL"),
            GuardKilled => fleet.signal(active, "lictor-guard@web.service", "KILL"),
            GuardFrozen => fleet.signal(active, "lictor-guard@web.service", "STOP"),
            AgentFrozen => fleet.signal(active, "lictor.service", "STOP"),
            ConsulLeaderKilled => {
                let leads = || NODES.into_iter().find(|node| fleet.leads(*node));
                let leader = fleet.until("Consul has a leader", leads);
                fleet.signal(leader, "consul.service", "KILL");
            }
            ConsulHereFrozen => fleet.signal(active, "consul.service", "STOP"),
            CutOff => fleet.isolate(active),
            DeafToTheOthers => fleet.deafen(active),
            PowerCut => fleet.power_cut(active),
        }
    }

    fn ends(self, fleet: &mut Fleet, active: usize) {
        match self {
            AgentFrozen => fleet.signal(active, "lictor.service", "CONT"),
            ConsulHereFrozen => fleet.signal(active, "consul.service", "CONT"),
            CutOff | DeafToTheOthers => fleet.heal(),
            PowerCut => fleet.boot(active),
            _ => {}
        }
    }
}

impl Fleet {
    /// Waits until the agent of a machine is there again; whether that was soon enough for what it believed in.
    fn is_back(&self, node: usize, since: f64) -> bool {
        // Systemd has to notice first that it is gone.
        passes(Duration::from_millis(100));
        self.until("the agent is back", || {
            let state = self.run(node, &["systemctl", "is-active", "lictor.service"]).stdout;
            (state.trim() == "active").then_some(())
        });
        now() - since < 1.2
    }

    /// Has something happen to the machine on which the service runs, and waits until it serves again and all are
    /// well. Gives the longest time without a line.
    fn plays(&mut self, fault: Fault) -> Duration {
        let active = self.serves_somewhere();
        let token = self.written().last().map(|last| last.token);
        let begun = now();
        fault.happens(self, active);
        let soon = fault == AgentKilled && self.is_back(active, begun);
        if fault.moves() {
            self.until(&format!("{fault:?}: another one takes it over"), || {
                self.written().last().filter(|last| last.node != active).map(|_| ())
            });
        } else {
            passes(Duration::from_secs(2));
        }
        if fault.leaves_consul_a_leader() {
            self.serves_somewhere();
        }
        fault.ends(self, active);
        self.serves_somewhere();
        self.settles();
        self.never_two();
        if soon && wanted("LICTOR_FAULTS").is_none() {
            // By dice the connections of Consul may still suffer from the fault before.
            let last = self.written().last().map(|last| (last.node, Some(last.token)));
            assert_eq!(last, Some((active, token)), "it goes on while its agent comes back");
        }
        let gap = self.gap(begun);
        assert!(gap <= fault.limit(), "{fault:?}: nothing was written for {gap:?}");
        gap
    }
}

/// What the environment asks for.
fn wanted(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn a_service_survives_the_faults_of_its_machines_and_never_runs_twice() {
    let mut faults = ALL.to_vec();
    if let Some(count) = wanted("LICTOR_FAULTS") {
        let seed = wanted("LICTOR_SEED").unwrap_or(1);
        println!("LICTOR_SEED={seed}");
        let mut dice = Dice(seed);
        faults = (0..count).map(|_| ALL[usize::try_from(dice.below(11)).unwrap()]).collect();
    }
    let mut fleet = Fleet::start();
    fleet.settles();
    let mut gaps: BTreeMap<Fault, Vec<Duration>> = BTreeMap::new();
    for fault in faults {
        let gap = fleet.plays(fault);
        println!("{fault:?}: {} ms", gap.as_millis());
        gaps.entry(fault).or_default().push(gap);
    }
    fleet.never_two();
    for (fault, mut gaps) in gaps {
        gaps.sort();
        let at = |part: usize| gaps[(gaps.len() * part / 100).min(gaps.len() - 1)].as_millis();
        println!(
            "{:20} {:4} times, p50 {:6} ms, p99 {:6} ms",
            format!("{fault:?}"),
            gaps.len(),
            at(50),
            at(99)
        );
    }
}
