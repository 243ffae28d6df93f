//! What can happen to the machine on which the service runs.

use std::time::Duration;

use lictor_testkit::net::Loss;

use super::machine::STATE;
use super::rig::{Fleet, NODES, name, now, passes};
use crate::clock::libfaketime;

/// The port on which Consul's servers listen to each other and to agents.
const CONSUL: u16 = 8300;

/// What makes the wall clock of an agent another one.
const FAKED: &str = "/etc/systemd/system/lictor.service.d/faked.conf";

/// By how much, in seconds.
const STEP: &str = "/etc/clock-step";

/// What can happen to a machine on which the service runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// A person moves it.
    Switchover,
    AgentKilled,
    UnitKilled,
    GuardKilled,
    GuardFrozen,
    AgentFrozen,
    ConsulLeaderKilled,
    ConsulHereKilled,
    /// For longer than the lease.
    ConsulHereFrozen,
    /// Nothing passes between it and the others.
    CutOff,
    /// It hears nobody and is heard.
    DeafToTheOthers,
    /// It hears the others and is heard by none.
    HeardByNobody,
    /// It and one other do not hear each other; the third hears both.
    CutFromOne,
    /// Its Consul cannot ask the servers anything, and all else passes.
    ConsulCutOff,
    /// Each packet takes 200 ms longer, each way.
    Slow,
    /// Each packet takes 800 ms longer, each way.
    VerySlow,
    /// The agent's disk is full, and the unit dies.
    DiskFull,
    /// The agent's disk is full, and the agent dies.
    DiskFullAgentKilled,
    /// The agent's wall clock jumps years ahead, and then back. Those of Consul and of the machine stay.
    ClockStepped,
    PowerCut,
}

use Fault::{
    AgentFrozen, AgentKilled, ClockStepped, ConsulCutOff, ConsulHereFrozen, ConsulHereKilled,
    ConsulLeaderKilled, CutFromOne, CutOff, DeafToTheOthers, DiskFull, DiskFullAgentKilled, GuardFrozen,
    GuardKilled, HeardByNobody, PowerCut, Slow, Switchover, UnitKilled, VerySlow,
};

impl Fault {
    pub(super) const ALL: [Self; 20] = [
        Switchover,
        AgentKilled,
        UnitKilled,
        GuardKilled,
        GuardFrozen,
        AgentFrozen,
        ConsulLeaderKilled,
        ConsulHereKilled,
        ConsulHereFrozen,
        CutOff,
        DeafToTheOthers,
        HeardByNobody,
        CutFromOne,
        ConsulCutOff,
        Slow,
        VerySlow,
        DiskFull,
        DiskFullAgentKilled,
        ClockStepped,
        PowerCut,
    ];

    /// The longest time without a line. A machine that compiles at the same time is many times slower than it
    /// need be; what a quiet one sees is printed.
    pub(super) const fn limit(self) -> Duration {
        match self {
            Switchover | AgentKilled | UnitKilled | ClockStepped => Duration::from_secs(15),
            _ => Duration::from_secs(40),
        }
    }

    /// Whether another machine has it in the end.
    pub(super) const fn moves(self) -> bool {
        matches!(self, Switchover | AgentFrozen | CutOff | HeardByNobody | PowerCut)
    }

    /// How long it is let be, where nothing has to be waited for.
    pub(super) const fn lasts(self) -> Duration {
        match self {
            // Longer than the lease.
            ConsulHereFrozen | CutFromOne | ConsulCutOff | Slow | VerySlow | DiskFull
            | DiskFullAgentKilled => Duration::from_secs(6),
            _ => Duration::from_secs(2),
        }
    }

    /// Whether the service has to run somewhere meanwhile. A Consul server that does not hear its leader and is heard
    /// asks for votes again and again, and deposes each leader with that: Consul 1.8 knows no pre-vote. And whoever is so
    /// slow gets no answer in time, be it the one that has the service, or half of Consul.
    pub(super) const fn lets_it_run(self) -> bool {
        !matches!(self, DeafToTheOthers | CutFromOne | VerySlow)
    }

    /// Has it happen to a machine.
    pub(super) fn happens(self, fleet: &mut Fleet, active: usize) {
        let other = (active + 1) % NODES.end;
        match self {
            Switchover => {
                let said =
                    fleet.run(active, &["lictor", "service", "switchover", "web", "--to", &name(other)]);
                assert_eq!(said.code, 0, "{said:?}");
            }
            AgentKilled => fleet.signal(active, "lictor.service", "KILL"),
            UnitKilled => fleet.signal(active, "web.service", "KILL"),
            GuardKilled => fleet.signal(active, "lictor-guard@web.service", "KILL"),
            GuardFrozen => fleet.signal(active, "lictor-guard@web.service", "STOP"),
            AgentFrozen => fleet.signal(active, "lictor.service", "STOP"),
            ConsulLeaderKilled => {
                let leader = fleet.leader();
                fleet.signal(leader, "consul.service", "KILL");
            }
            ConsulHereKilled => fleet.signal(active, "consul.service", "KILL"),
            ConsulHereFrozen => fleet.signal(active, "consul.service", "STOP"),
            CutOff => fleet.isolate(active),
            DeafToTheOthers => fleet.deafen(active),
            HeardByNobody => fleet.silence(active, Loss::All),
            CutFromOne => fleet.part(active, other),
            ConsulCutOff => fleet.silence(active, Loss::To(CONSUL)),
            Slow => fleet.delay(active, Duration::from_millis(200)),
            VerySlow => fleet.delay(active, Duration::from_millis(800)),
            DiskFull => {
                fill(fleet, active);
                fleet.signal(active, "web.service", "KILL");
            }
            DiskFullAgentKilled => {
                fill(fleet, active);
                fleet.signal(active, "lictor.service", "KILL");
            }
            ClockStepped => {
                fake_the_clock(fleet, active);
                for by in ["+315360000", "-315360000"] {
                    fleet.write(active, STEP, &format!("{by}\n"));
                    let here = year(&fleet.ok(active, &["date", "-R"]));
                    // The interface tells the time by the agent's clock. Ten years are not 3,650 days.
                    fleet.until("the agent's clock is stepped", || {
                        (agents_year(fleet, active)?.abs_diff(here) >= 9).then_some(())
                    });
                    passes(Duration::from_secs(2));
                }
            }
            PowerCut => fleet.power_cut(active),
        }
    }

    /// Ends what [`Self::happens`] has begun, where that does not end by itself.
    pub(super) fn ends(self, fleet: &mut Fleet, active: usize) {
        match self {
            AgentFrozen => fleet.signal(active, "lictor.service", "CONT"),
            ConsulHereFrozen => fleet.signal(active, "consul.service", "CONT"),
            CutOff | DeafToTheOthers | HeardByNobody | CutFromOne | ConsulCutOff | Slow | VerySlow => {
                fleet.heal();
            }
            DiskFull | DiskFullAgentKilled => {
                fleet.ok(active, &["rm", &filler()]);
            }
            ClockStepped => {
                fleet.ok(active, &["rm", FAKED, STEP]);
                fleet.ok(active, &["systemctl", "daemon-reload"]);
                fleet.restarts_agent(active);
            }
            PowerCut => fleet.boot(active),
            Switchover | AgentKilled | UnitKilled | GuardKilled | GuardFrozen | ConsulLeaderKilled
            | ConsulHereKilled => {}
        }
    }
}

fn filler() -> String {
    format!("{STATE}/filler")
}

fn fill(fleet: &Fleet, node: usize) {
    let said = fleet.run(node, &["dd", "if=/dev/zero", "bs=64k", &format!("of={}", filler())]);
    assert!(said.code != 0 && said.stderr.contains("No space left"), "the disk has no end: {said:?}");
}

/// Has the agent of a machine begin anew with a wall clock that can be stepped. The clocks that no decision of it
/// does without are left alone.
fn fake_the_clock(fleet: &Fleet, node: usize) {
    let library = libfaketime();
    fleet.write(node, STEP, "+0\n");
    fleet.write(
        node,
        FAKED,
        &format!(
            "[Service]\nEnvironment=LD_PRELOAD={} FAKETIME_TIMESTAMP_FILE={STEP} FAKETIME_NO_CACHE=1 \
             FAKETIME_DONT_FAKE_MONOTONIC=1\n",
            library.display()
        ),
    );
    fleet.ok(node, &["systemctl", "daemon-reload"]);
    fleet.restarts_agent(node);
}

/// The year of `Sun, 22 Nov 2026 09:27:20 +0000`.
fn year(date: &str) -> i32 {
    let year = date.split_whitespace().nth(3).and_then(|year| year.parse().ok());
    year.unwrap_or_else(|| panic!("{date:?} is no time"))
}

/// The year in which the agent of a machine answers.
fn agents_year(fleet: &Fleet, node: usize) -> Option<i32> {
    let said = fleet.run(node, &["curl", "-si", "http://127.0.0.1:8510/v1/service/web/active"]);
    let date = said
        .stdout
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("date: ").map(str::to_owned));
    date.map(|date| year(&date))
}

impl Fleet {
    /// Kills the agent of a machine and waits until another one is there.
    fn restarts_agent(&self, node: usize) {
        self.signal(node, "lictor.service", "KILL");
        self.is_back(node, now());
    }

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
    /// well. Gives the longest time without a line. `alone`: nothing is left of an earlier fault.
    pub(super) fn plays(&mut self, fault: Fault, alone: bool) -> Duration {
        let active = self.serves_somewhere();
        self.lines().mark();
        let token = self.last().map(|last| last.token);
        let begun = now();
        fault.happens(self, active);
        let soon = fault == AgentKilled && self.is_back(active, begun);
        if fault.moves() {
            self.until(&format!("{fault:?}: another one takes it over"), || {
                self.last().filter(|last| last.node != active).map(|_| ())
            });
        } else {
            passes(fault.lasts());
        }
        if fault.lets_it_run() {
            self.serves_somewhere();
        }
        fault.ends(self, active);
        self.serves_somewhere();
        self.settles();
        self.lines().never_two();
        if soon && alone {
            // By dice the connections of Consul may still suffer from the fault before.
            let last = self.last().map(|last| (last.node, Some(last.token)));
            assert_eq!(last, Some((active, token)), "it goes on while its agent comes back");
        }
        let gap = self.lines().gap();
        assert!(gap <= fault.limit(), "{fault:?}: nothing was written for {gap:?}");
        gap
    }
}
