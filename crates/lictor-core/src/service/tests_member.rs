//! What a node does with a service, in words.

mod sight;

use std::collections::BTreeSet;
use std::time::Duration;

use super::member::{Input, Local, Member, Order, Part};
use super::operation::{Operation, Phase, What};
use crate::lease::{
    self, Among, Candidate, Effect, Next, Params, Reading, Record, Revision, Roll, Stamp, Timing, Wish,
    Written,
};

fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn stamp(seconds: f64) -> Stamp {
    let time = secs(1_000.0 + seconds);
    Stamp { awake: time, whole: time }
}

fn times() -> Params {
    Params::new(Timing {
        renew: secs(1.0),
        request: secs(1.0),
        belief: secs(2.5),
        margin: secs(1.6),
        length: secs(4.2),
        drift_ppm: 5_000,
    })
    .unwrap()
}

fn nodes() -> BTreeSet<String> {
    ["n1", "n2"].map(str::to_owned).into()
}

fn record(token: u64, released: Option<Next>) -> Record {
    Record {
        holder: "n1".into(),
        incarnation: "p1".into(),
        token,
        beat: 9,
        length: times().length(),
        released,
        roll: Some(Roll { nodes: nodes(), boot: "b1".into() }),
    }
}

fn part(automatic: bool, active: bool) -> Part {
    Part { automatic, active, after: Duration::ZERO, attempts: 2, rest: secs(30.0), blind: secs(20.0) }
}

fn switchover(to: &str, phase: Phase) -> Operation {
    Operation {
        id: "o1".into(),
        what: What::Switchover { to: to.into() },
        from: Some("n1".into()),
        by: "an operator".into(),
        deadline: secs(10.0),
        phase,
    }
}

/// A node, the records, and what it does.
struct Rig {
    member: Member,
    lease: Option<(Record, u64)>,
    operation: Option<(Operation, u64)>,
    /// What it ordered, said and wrote, in words.
    said: Vec<String>,
    now: f64,
}

impl Rig {
    /// A process of a node that finds this record, and what an earlier one left guarded for 2 s.
    fn new(node: &str, part: Part, record: Record, local: Local) -> Self {
        let among = Among { nodes: nodes(), boot: node.replace('n', "b"), steady: Params::STEADY };
        let candidate = Candidate::new(node, "p2", times()).among(among, Wish::Watch);
        let member = Member::new(node, candidate, part, secs(2.0), stamp(0.0));
        let lease = Some((record, 20));
        let mut rig = Self { member, lease, operation: None, said: vec![], now: 0.0 };
        rig.give(Input::Able(Ok(())));
        rig.give(Input::Local(local));
        rig
    }

    /// One that holds the lease under token 6, and runs the service.
    fn running(automatic: bool) -> Self {
        let mut rig = Self::new("n1", part(automatic, true), record(5, Some(Next::Anyone)), Local::Stopped);
        assert_eq!(rig.takes(), ["takes 6", "start 6"]);
        rig.give(Input::Ended(Ok(())));
        rig
    }

    fn give(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let output = self.member.step(input, stamp(self.now));
            if let Some(order) = output.order {
                self.said.push(match order {
                    Order::Start { token } => format!("start {token}"),
                    Order::Stop => "stop".into(),
                    Order::Kill => "kill".into(),
                });
            }
            if let Some(effect) = output.lease {
                inputs.push(Input::Lease(self.answer(effect)));
            }
            if let Some((operation, expect)) = output.operation {
                let present = self.operation.as_ref().map(|(_, at)| Revision(*at));
                self.said.push(match &operation.phase {
                    Phase::Failed { why } => format!("failed: {why}"),
                    Phase::Stopping { .. } => "stopping".to_owned(),
                    phase => format!("{phase:?}").to_lowercase(),
                });
                assert_eq!(present, Some(expect));
                let at = expect.0 + 1;
                self.operation = Some((operation, at));
                inputs.push(Input::Noted(Written::Done { revision: Revision(at) }));
            }
        }
    }

    fn answer(&mut self, effect: Effect) -> lease::Input {
        let present = self.lease.as_ref().map(|(_, at)| Revision(*at));
        match effect {
            Effect::Read => lease::Input::Read(match &self.lease {
                Some((record, at)) => Reading::Found { record: record.clone(), revision: Revision(*at) },
                None => Reading::Failed { why: "away".into() },
            }),
            Effect::Write { .. } if present.is_none() => {
                lease::Input::Written(Written::NotDone { why: "away".into() })
            }
            Effect::Write { expect, .. } if expect != present => lease::Input::Written(Written::Conflict),
            Effect::Write { record, .. } => {
                let (before, at) = self.lease.clone().unwrap();
                match (&before.released, &record.released) {
                    (None, Some(next)) => self.said.push(format!("gives it to {next:?}")),
                    _ if before.incarnation == record.incarnation && before.released.is_none() => {}
                    _ => self.said.push(format!("takes {}", record.token)),
                }
                self.lease = Some((record, at + 1));
                lease::Input::Written(Written::Done { revision: Revision(at + 1) })
            }
        }
    }

    fn asks(&mut self, operation: Operation) {
        let at = self.operation.as_ref().map_or(50, |(_, at)| at + 1);
        self.operation = Some((operation.clone(), at));
        self.give(Input::Operation(Some((operation, Revision(at)))));
    }

    /// Lets time pass.
    fn until(&mut self, to: f64) {
        while self.now < to {
            self.now += 0.1;
            self.give(Input::Tick);
        }
    }

    /// What it said since this was last asked.
    fn takes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.said)
    }
}

#[test]
fn the_holder_runs_it_and_nobody_else_does() {
    let mut rig = Rig::running(true);
    rig.until(20.0);
    assert!(rig.takes().is_empty());
    let mut rig = Rig::new("n2", part(false, false), record(5, None), Local::Stopped);
    rig.until(20.0);
    assert!(rig.takes().is_empty(), "nobody asked it to");
}

#[test]
fn what_runs_without_a_lease_is_killed_when_no_guard_does_it() {
    let mut rig = Rig::new("n2", part(true, false), record(5, None), Local::Running { token: Some(4) });
    rig.until(1.9);
    assert!(rig.takes().is_empty(), "an earlier process may have had one");
    rig.until(2.2);
    assert_eq!(rig.takes(), ["kill"]);
}

#[test]
fn a_process_that_comes_back_in_time_goes_on_with_what_runs() {
    let mut rig = Rig::new("n1", part(true, true), record(5, None), Local::Running { token: Some(5) });
    rig.until(5.0);
    assert_eq!(rig.takes(), ["takes 5"]);
    // What carries another token was started under another lease.
    let mut rig = Rig::new("n1", part(true, true), record(5, None), Local::Running { token: Some(3) });
    assert_eq!(rig.takes(), ["takes 5", "kill"]);
    rig.give(Input::Ended(Ok(())));
    assert_eq!(rig.takes(), ["start 5"]);
}

#[test]
fn it_is_taken_over_when_its_node_is_gone_if_that_is_wanted() {
    let mut rig = Rig::new("n2", part(true, false), record(5, None), Local::Stopped);
    rig.until(4.1);
    assert!(rig.takes().is_empty());
    rig.until(4.5);
    assert_eq!(rig.takes(), ["takes 6", "start 6"]);
}

#[test]
fn one_that_could_not_run_it_does_not_take_it() {
    let mut rig = Rig::new("n2", part(true, false), record(5, None), Local::Stopped);
    rig.give(Input::Able(Err("the disk is full".into())));
    rig.until(20.0);
    assert!(rig.takes().is_empty());
}

#[test]
fn without_a_lease_it_is_killed() {
    let mut rig = Rig::running(true);
    rig.lease = None;
    rig.until(rig.now + 3.0);
    assert_eq!(rig.takes(), ["kill"]);
}

#[test]
fn it_is_started_again_and_given_away_when_that_fails_too_often() {
    let mut rig = Rig::running(true);
    rig.give(Input::Local(Local::Stopped));
    assert_eq!(rig.takes(), ["start 6"]);
    rig.give(Input::Ended(Err("exit status 1".into())));
    assert_eq!(rig.takes(), ["kill"]);
    rig.give(Input::Ended(Ok(())));
    assert_eq!(rig.takes(), ["gives it to Anyone"]);
    // Nobody else comes: it tries again when it has rested.
    rig.until(29.0);
    assert!(rig.takes().is_empty());
    rig.until(32.0);
    assert_eq!(rig.takes(), ["takes 7", "start 7"]);
}

#[test]
fn where_nobody_else_would_take_it_the_active_one_tries_again() {
    let mut rig = Rig::running(false);
    for _ in 0..2 {
        rig.give(Input::Local(Local::Stopped));
        rig.give(Input::Ended(Ok(())));
    }
    rig.takes();
    rig.until(29.0);
    assert!(rig.takes().is_empty(), "it rests, and keeps the lease");
    rig.give(Input::Local(Local::Stopped));
    rig.until(31.0);
    assert!(rig.takes().iter().all(|one| one == "start 6"));
}

#[test]
fn a_switchover_is_ready_stopped_handed_over_and_done() {
    let mut old = Rig::running(false);
    let mut new = Rig::new("n2", part(false, false), old.lease.clone().unwrap().0, Local::Stopped);
    new.asks(switchover("n2", Phase::Asked));
    assert_eq!(new.takes(), ["ready"]);
    old.asks(switchover("n2", Phase::Ready));
    assert_eq!(old.takes(), ["stopping", "stop"]);
    old.give(Input::Ended(Ok(())));
    assert_eq!(old.takes(), ["gives it to Node(\"n2\")", "handed"]);
    new.lease = old.lease.clone();
    new.asks(switchover("n2", Phase::Handed));
    new.give(Input::Lease(lease::Input::Hint));
    assert_eq!(new.takes(), ["takes 7", "start 7"]);
    new.give(Input::Ended(Ok(())));
    assert_eq!(new.takes(), ["done"]);
}

#[test]
fn a_switchover_to_one_that_cannot_run_it_changes_nothing() {
    let mut new = Rig::new("n2", part(false, false), record(5, None), Local::Stopped);
    new.give(Input::Able(Err("its unit is masked".into())));
    new.asks(switchover("n2", Phase::Asked));
    assert_eq!(new.takes(), ["failed: n2 cannot run it: its unit is masked"]);
}

#[test]
fn a_switchover_that_nobody_answers_fails_in_time_and_stops_nothing() {
    let mut old = Rig::running(false);
    old.asks(switchover("n2", Phase::Asked));
    old.until(10.5);
    assert_eq!(old.takes(), ["failed: n2 has not answered"]);
}

#[test]
fn when_the_new_one_does_not_come_the_old_one_goes_on() {
    let mut old = Rig::running(false);
    old.asks(switchover("n2", Phase::Ready));
    old.give(Input::Tick);
    old.give(Input::Ended(Ok(())));
    old.give(Input::Tick);
    old.takes();
    old.until(old.now + 4.0);
    assert!(old.takes().is_empty(), "it waits for the new one");
    old.until(old.now + 0.5);
    assert_eq!(old.takes(), ["takes 7", "start 7"]);
    old.give(Input::Ended(Ok(())));
    assert_eq!(old.takes(), ["failed: it runs on n1"]);
}

#[test]
fn when_it_does_not_start_on_the_new_one_the_old_one_has_it_back() {
    let record = record(6, Some(Next::Node("n2".into())));
    let mut new = Rig::new("n2", part(false, false), record, Local::Stopped);
    new.asks(switchover("n2", Phase::Handed));
    new.give(Input::Lease(lease::Input::Hint));
    assert_eq!(new.takes(), ["takes 7", "start 7"]);
    new.give(Input::Ended(Err("exit status 1".into())));
    new.give(Input::Ended(Ok(())));
    assert_eq!(new.takes(), ["kill", "start 7"]);
    new.give(Input::Ended(Err("exit status 1".into())));
    assert_eq!(new.takes(), ["kill", "failed: it does not start on n2: exit status 1"]);
    new.give(Input::Ended(Ok(())));
    assert_eq!(new.takes(), ["gives it to Node(\"n1\")"]);
}

#[test]
fn a_stop_is_for_good_until_somebody_asks_for_it_again() {
    let mut rig = Rig::running(true);
    let stop = Operation { what: What::Stop, ..switchover("", Phase::Asked) };
    rig.asks(stop);
    assert_eq!(rig.takes(), ["stopping", "stop"]);
    rig.give(Input::Ended(Ok(())));
    assert_eq!(rig.takes(), ["gives it to Nobody", "done"]);
    rig.until(60.0);
    assert!(rig.takes().is_empty());
    let take = What::Take { to: "n1".into() };
    rig.asks(Operation { id: "o2".into(), what: take, from: None, ..switchover("", Phase::Asked) });
    rig.give(Input::Tick);
    assert_eq!(rig.takes(), ["ready", "takes 7", "start 7", "handed"]);
    rig.give(Input::Ended(Ok(())));
    assert_eq!(rig.takes(), ["done"]);
}

#[test]
fn what_does_not_stop_is_killed_before_the_lease_is_given_away() {
    let mut rig = Rig::running(false);
    rig.asks(switchover("n2", Phase::Stopping { token: 6 }));
    assert_eq!(rig.takes(), ["stop"]);
    rig.give(Input::Ended(Err("it did not stop in time".into())));
    assert_eq!(rig.takes(), ["kill"]);
    rig.give(Input::Ended(Ok(())));
    assert_eq!(rig.takes(), ["gives it to Node(\"n2\")", "handed"]);
}

#[test]
fn a_process_that_ends_leaves_it_running_and_gives_up_only_what_is_stopped() {
    let mut rig = Rig::running(true);
    rig.give(Input::Quit);
    assert!(rig.takes().is_empty(), "another one goes on with it");
    let mut rig = Rig::running(true);
    rig.give(Input::Quit);
    rig.give(Input::Local(Local::Stopped));
    rig.give(Input::Ended(Ok(())));
    assert_eq!(rig.takes(), ["stop", "gives it to Anyone"], "the machine stops");
    let mut rig = Rig::running(false);
    rig.give(Input::Quit);
    rig.give(Input::Local(Local::Stopped));
    rig.give(Input::Ended(Ok(())));
    assert_eq!(rig.takes(), ["stop", "gives it to Node(\"n1\")"], "and comes back to it");
}

#[test]
fn who_ends_while_it_starts_the_service_leaves_that_alone() {
    let mut rig = Rig::new("n1", part(true, true), record(5, Some(Next::Anyone)), Local::Stopped);
    assert_eq!(rig.takes(), ["takes 6", "start 6"]);
    rig.give(Input::Quit);
    rig.give(Input::Ended(Ok(())));
    rig.until(1.0);
    assert!(rig.takes().is_empty());
}

#[test]
fn a_stop_of_what_is_stopped_is_done_and_one_of_what_rests_is_closed() {
    let mut rig = Rig::new("n2", part(true, false), record(5, Some(Next::Nobody)), Local::Stopped);
    rig.until(1.0);
    rig.asks(Operation { what: What::Stop, from: None, ..switchover("", Phase::Asked) });
    assert_eq!(rig.takes(), ["done"]);
    let mut rig = Rig::new("n2", part(false, false), record(5, Some(Next::Anyone)), Local::Stopped);
    rig.until(1.0);
    rig.asks(Operation { what: What::Stop, from: None, ..switchover("", Phase::Asked) });
    rig.give(Input::Tick);
    assert_eq!(rig.takes(), ["takes 6", "stopping", "stop"], "it is not started for that");
    rig.give(Input::Ended(Ok(())));
    assert_eq!(rig.takes(), ["gives it to Nobody", "done"]);
}

#[test]
fn a_stop_is_not_done_because_it_was_stopped_before_it_was_started() {
    let mut rig = Rig::new("n2", part(true, false), record(5, Some(Next::Nobody)), Local::Stopped);
    rig.until(1.0);
    // Somebody has started it, and this node has not looked since.
    rig.lease = Some((record(6, None), 30));
    rig.asks(Operation { what: What::Stop, from: None, ..switchover("", Phase::Asked) });
    rig.until(3.0);
    assert!(rig.takes().is_empty());
}

#[test]
fn an_old_release_says_nothing_of_a_later_stop() {
    let mut rig = Rig::new("n2", part(true, false), record(5, Some(Next::Nobody)), Local::Stopped);
    rig.until(1.0);
    rig.asks(Operation { what: What::Stop, ..switchover("", Phase::Stopping { token: 6 }) });
    assert!(rig.takes().is_empty());
}

#[test]
fn a_start_that_takes_long_is_waited_for() {
    let mut rig = Rig::new("n1", part(false, false), record(5, Some(Next::Nobody)), Local::Stopped);
    rig.asks(Operation { what: What::Take { to: "n1".into() }, from: None, ..switchover("", Phase::Asked) });
    rig.give(Input::Tick);
    assert_eq!(rig.takes(), ["ready", "takes 6", "start 6", "handed"]);
    rig.until(30.0);
    rig.give(Input::Ended(Ok(())));
    assert_eq!(rig.takes(), ["done"]);
}

#[test]
fn starts_that_fail_slowly_count_too_and_those_that_the_lease_cut_short_do_not() {
    let mut rig = Rig::running(true);
    for _ in 0..2 {
        rig.give(Input::Local(Local::Stopped));
        rig.until(rig.now + 90.0);
        rig.give(Input::Ended(Err("it timed out".into())));
        rig.give(Input::Ended(Ok(())));
    }
    assert!(rig.takes().contains(&"gives it to Anyone".to_owned()));
    let mut rig = Rig::running(true);
    rig.give(Input::Local(Local::Stopped));
    rig.lease = None;
    rig.until(3.0);
    rig.give(Input::Ended(Err("the lease is over".into())));
    rig.lease = Some((record(6, Some(Next::Node("n1".into()))), 40));
    rig.until(6.0);
    assert!(rig.takes().contains(&"takes 7".to_owned()), "it does not rest");
}

#[test]
fn where_nobody_takes_over_the_one_that_ran_it_last_comes_back_to_it() {
    let mine = Record { holder: "n2".into(), incarnation: "p1".into(), ..record(5, None) };
    let mut rig = Rig::new("n2", part(false, false), mine, Local::Stopped);
    assert_eq!(rig.takes(), ["takes 6", "start 6"]);
}

#[test]
fn nobody_stops_it_for_a_node_that_may_not_take_it() {
    let mut rig = Rig::running(false);
    rig.asks(switchover("n3", Phase::Ready));
    assert_eq!(rig.takes(), ["failed: n3 is not among the nodes that n1 knows of"]);
    rig.give(Input::Enroll(["n1", "n2", "n3"].map(str::to_owned).into()));
    rig.asks(Operation { id: "o2".into(), ..switchover("n3", Phase::Ready) });
    assert_eq!(rig.takes(), ["stopping", "stop"]);
}
