//! A switchover in each of its steps, and each of those who have a part in it killed right then: it ends, the service
//! runs once, and the next one works.
//!
//! Some are played; `LICTOR_LONG=1` plays each step with each of them.

use std::time::Duration;

use serde_json::Value;

use super::machine::Pace;
use super::rig::{Fleet, NODES, name, now};
use super::wanted;

/// So slow that each step can be met.
const PACE: Pace = Pace { start: 1, stop: 1 };

/// Until when it must be stopped, or is given up.
const DEADLINE: &str = "8s";

/// How far the switchover is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The new node has not answered yet.
    Asked,
    /// The old one has not.
    Ready,
    /// The old one stops the service.
    Stopping,
    /// The new one starts it.
    Handed,
}

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    OldAgent,
    NewAgent,
    /// The one of the node on which the command was given.
    AskedAgent,
    Command,
    OldMachine,
    NewMachine,
}

const STEPS: [Step; 4] = [Step::Asked, Step::Ready, Step::Stopping, Step::Handed];

const VICTIMS: [Victim; 6] = [
    Victim::OldAgent,
    Victim::NewAgent,
    Victim::AskedAgent,
    Victim::Command,
    Victim::OldMachine,
    Victim::NewMachine,
];

/// Those that are always played.
const SOME: [(Step, Victim); 4] = [
    (Step::Asked, Victim::NewAgent),
    (Step::Ready, Victim::OldAgent),
    (Step::Stopping, Victim::OldMachine),
    (Step::Handed, Victim::NewMachine),
];

impl Step {
    /// The one that a record says; `None`: it is over.
    fn of(operation: &Value) -> Option<Self> {
        match &operation["phase"] {
            Value::String(phase) if phase == "asked" => Some(Self::Asked),
            Value::String(phase) if phase == "ready" => Some(Self::Ready),
            Value::String(phase) if phase == "handed" => Some(Self::Handed),
            Value::Object(phase) if phase.contains_key("stopping") => Some(Self::Stopping),
            _ => None,
        }
    }
}

impl Fleet {
    /// A record of the service, when it is another one than that of an index, or after a while: its index, and it.
    fn next_record(&self, node: usize, of: &str, index: u64) -> Option<(u64, Value)> {
        let url = format!("http://127.0.0.1:8500/v1/kv/lictor/service/web/{of}?raw&index={index}&wait=2s");
        let said = self.run(node, &["curl", "-s", "-D", "-", &url]).stdout;
        let (head, body) = said.split_once("\r\n\r\n")?;
        let index = head.lines().find_map(|line| line.strip_prefix("X-Consul-Index: "))?;
        Some((index.parse().ok()?, serde_json::from_str(body).ok()?))
    }

    /// Waits until the record of a switchover is another one than that with this id, and says that it is in a step.
    #[track_caller]
    fn reaches(&self, seen_from: usize, step: Step, before: Option<&Value>) {
        let mut index = 0;
        self.until(&format!("it is in the step {step:?}"), || {
            let (at, operation) = self.next_record(seen_from, "operation", index)?;
            index = at;
            if Some(&operation["id"]) == before {
                return None;
            }
            let is = Step::of(&operation);
            let early = STEPS.into_iter().take_while(|early| *early != step).any(|early| is == Some(early));
            assert!(early || is == Some(step), "{step:?} was missed: {operation}");
            (is == Some(step)).then_some(())
        });
    }

    /// Asks for a switchover, kills somebody in a step of it, and sees it end. Tells how.
    fn kills_in(&mut self, step: Step, victim: Victim) -> String {
        let old = self.serves_somewhere();
        let (new, third) = ((old + 1) % NODES.end, (old + 2) % NODES.end);
        self.lines().mark();
        let before = self.record(third, "operation").map(|operation| operation["id"].clone());
        // Whose answer is waited for is frozen, so that the step lasts.
        let frozen = match step {
            Step::Asked => Some(new),
            Step::Ready => Some(old),
            Step::Stopping | Step::Handed => None,
        };
        if let Some(frozen) = frozen {
            self.signal(frozen, "lictor.service", "STOP");
        }
        let to = name(new);
        let ask = ["lictor", "service", "switchover", "web", "--to", &to, "--timeout", DEADLINE];
        self.ok(third, &[&["systemd-run", "--unit=asking", "--collect", "--quiet"], &ask[..]].concat());
        self.reaches(third, step, before.as_ref());

        let begun = now();
        match victim {
            Victim::OldAgent => self.signal(old, "lictor.service", "KILL"),
            Victim::NewAgent => self.signal(new, "lictor.service", "KILL"),
            Victim::AskedAgent => self.signal(third, "lictor.service", "KILL"),
            Victim::Command => self.signal(third, "asking.service", "KILL"),
            Victim::OldMachine => self.power_cut(old),
            Victim::NewMachine => self.power_cut(new),
        }
        let (dead, off) = match victim {
            Victim::OldAgent => (Some(old), None),
            Victim::NewAgent => (Some(new), None),
            Victim::AskedAgent => (Some(third), None),
            Victim::Command => (None, None),
            Victim::OldMachine => (Some(old), Some(old)),
            Victim::NewMachine => (Some(new), Some(new)),
        };
        if let Some(frozen) = frozen.filter(|frozen| Some(*frozen) != dead) {
            self.signal(frozen, "lictor.service", "CONT");
        }

        // Also while that machine is off.
        let ended = self.until(&format!("{step:?}, {victim:?}: it is over"), || {
            let operation = self.record(third, "operation")?;
            let over = Some(&operation["id"]) != before.as_ref() && Step::of(&operation).is_none();
            over.then(|| operation["phase"].clone())
        });
        let took = now() - begun;
        let now_on = self.serves_somewhere();
        if ended == "done" {
            assert_eq!(now_on, new, "{step:?}, {victim:?}: it is said to be done");
        }
        self.until("the command has ended", || {
            let state = self.run(third, &["systemctl", "is-active", "asking.service"]).stdout;
            (state.trim() != "active").then_some(())
        });
        if let Some(off) = off {
            self.boot(off);
        }
        self.settles();
        self.lines().never_two();
        let gap = self.lines().gap();
        assert!(gap < Duration::from_secs(40), "{step:?}, {victim:?}: nothing was written for {gap:?}");

        // Nothing is left that would be in the way of another one.
        let active = self.serves_somewhere();
        let next = (active + 1) % NODES.end;
        self.ok(third, &["lictor", "service", "switchover", "web", "--to", &name(next)]);
        self.serves(next);
        self.settles();
        self.lines().never_two();
        format!("{step:?}, {victim:?}: {ended} in {took:.1} s, without a line for {} ms", gap.as_millis())
    }
}

#[test]
fn whoever_is_killed_in_whichever_step_of_a_switchover_it_ends_and_the_service_runs_once() {
    let all = STEPS.into_iter().flat_map(|step| VICTIMS.map(|victim| (step, victim)));
    let played = if wanted("LICTOR_LONG") == Some(1) { all.collect() } else { SOME.to_vec() };
    let mut fleet = Fleet::with(PACE);
    fleet.settles();
    for (step, victim) in played {
        println!("{}", fleet.kills_in(step, victim));
    }
}
