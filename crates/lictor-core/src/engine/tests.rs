//! Tests of the engine: each plays a script in virtual time and reads the ledger.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::Engine;
use crate::*;

mod adopt;
mod attempts;
mod knowledge;
mod leases;
mod notes;
mod orders;
mod read;
mod reloads;
mod roles;

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn n(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

fn check(name: &str) -> CheckName {
    CheckName::new(name).unwrap()
}

fn remedy(name: &str) -> RemedyName {
    RemedyName::new(name).unwrap()
}

fn is(name: &str, status: Status) -> Condition {
    Condition::Is { check: check(name), status }
}

fn act(name: &str) -> Step {
    Step {
        name: StepName::new(name).unwrap(),
        kind: StepKind::Act {
            action: ActionName::new(name).unwrap(),
            repeat: Repeatability::Neither,
            limit: secs(30),
            verify: None,
            prepare: false,
        },
        attempts: n(1),
        next: None,
        skip_when: None,
        backoff: secs(1),
        backoff_max: secs(60),
        on_failure: OnFailure::Fail,
    }
}

fn wait(name: &str, condition: Condition, hold: u64, deadline: u64) -> Step {
    Step { kind: StepKind::Wait { condition, hold: secs(hold), deadline: secs(deadline) }, ..act(name) }
}

fn verified(mut step: Step, within: u64) -> Step {
    if let StepKind::Act { verify, repeat, .. } = &mut step.kind {
        *repeat = Repeatability::Verifiable;
        *verify =
            Some(Verify { condition: is("web", Status::Passing), within: secs(within), settle: secs(10) });
    }
    step
}

fn cure(steps: Vec<Step>) -> Remedy {
    Remedy {
        on: vec![Trigger::When(is("web", Status::Critical))],
        until: None,
        guard: None,
        target: Target::new("web").unwrap(),
        lease: None,
        cooldown: secs(60),
        budget: None,
        escalate: None,
        defer: true,
        give_up_after: None,
        mode: Mode::Act,
        deadline: secs(3_600),
        cancel: None,
        on_cancel: None,
        definition: format!("{steps:?}"),
        steps,
    }
}

/// An engine with its virtual time, and everything it ever said.
struct Play {
    engine: Engine,
    rows: BTreeMap<RowKey, Row>,
    now: Now,
    told: Vec<String>,
    effects: Vec<Effect>,
    /// Orders are not handed over: they cannot be recorded.
    slow: bool,
}

impl Play {
    fn new(remedies: Vec<(&str, Remedy)>) -> Self {
        Self::with(plan(remedies))
    }

    fn with(plan: Plan) -> Self {
        let now = Now { boot: Boot::from_millis(1_000_000), wall: Wall::from_unix_millis(0) };
        let (engine, output) = Engine::restore(Arc::new(plan), Vec::new(), now);
        let mut play =
            Self { engine, rows: BTreeMap::new(), now, told: Vec::new(), effects: Vec::new(), slow: false };
        play.take(output);
        play
    }

    fn take(&mut self, output: Output) {
        for row in output.rows {
            self.rows.insert(row.key(), row);
        }
        for key in output.gone {
            self.rows.remove(&key);
        }
        self.told.extend(output.events.iter().map(|event| event.what.to_string()));
        self.effects.extend(output.effects.iter().cloned());
        for effect in output.effects.into_iter().filter(|_| !self.slow).collect::<Vec<_>>() {
            if let Effect::Prepare(order) | Effect::Act(order) | Effect::Inspect(order) = effect {
                self.step(Input::HandedOver { run: order.run });
            }
        }
    }

    fn step(&mut self, input: Input) -> &mut Self {
        let output = self.engine.step(input, self.now);
        self.take(output);
        self
    }

    fn sees(&mut self, name: &str, status: Status) -> &mut Self {
        let sample = Sample::new(status, format!("it is {status}"));
        self.step(Input::Observed { check: check(name), sample })
    }

    fn fails(&mut self) -> &mut Self {
        self.sees("web", Status::Critical)
    }

    fn passes(&mut self) -> &mut Self {
        self.sees("web", Status::Passing)
    }

    /// Lets time pass as the agent would: waking up whenever the engine asks for it.
    fn later(&mut self, seconds: u64) -> &mut Self {
        let end = self.now.boot.after(secs(seconds));
        while let Some(at) = self.engine.next_wake().filter(|at| *at <= end) {
            self.now.boot = at.max(self.now.boot);
            self.step(Input::Tick);
        }
        self.now.boot = end;
        self
    }

    fn answers(&mut self, outcome: Outcome) -> &mut Self {
        let order = self.order();
        self.step(Input::Outcome { run: order.run, step: order.step, attempt: order.attempt, outcome })
    }

    fn done(&mut self) -> &mut Self {
        self.answers(Outcome::Done { detail: "exit status 0".into() })
    }

    fn failed(&mut self) -> &mut Self {
        self.answers(Outcome::Failed { detail: "exit status 1".into() })
    }

    fn unclear(&mut self) -> &mut Self {
        self.answers(Outcome::Unknown { detail: "time limit".into() })
    }

    /// The latest order.
    fn order(&self) -> Order {
        match self.effects.last().unwrap() {
            Effect::Prepare(order) | Effect::Act(order) | Effect::Inspect(order) | Effect::Abort(order) => {
                order.clone()
            }
        }
    }

    /// Kill -9 and a new start from what was recorded.
    fn killed(&mut self, seconds: u64) -> &mut Self {
        self.now.boot = self.now.boot.after(secs(seconds));
        let plan = Plan::clone(self.engine.plan());
        self.restarts(plan)
    }

    /// Kill -9 and a new start with another configuration.
    fn restarts(&mut self, plan: Plan) -> &mut Self {
        let rows = self.rows.values().cloned().collect();
        let (engine, output) = Engine::restore(Arc::new(plan), rows, self.now);
        self.engine = engine;
        self.take(output);
        self
    }

    fn reloads(&mut self, plan: Plan) -> &mut Self {
        let output = self.engine.reload(Arc::new(plan), self.now);
        self.take(output);
        self
    }

    fn asks(&mut self, command: Command) -> Result<String, Refusal> {
        let output = self.engine.step(Input::Command(command), self.now);
        let answer = output.answer.clone().unwrap();
        self.take(output);
        answer
    }

    fn acts(&self) -> Vec<String> {
        self.effects
            .iter()
            .map(|effect| match effect {
                Effect::Prepare(order) => format!("prepare {order}"),
                Effect::Act(order) => format!("act {order}"),
                Effect::Inspect(order) => format!("inspect {order}"),
                Effect::Abort(order) => format!("abort {order}"),
            })
            .collect()
    }

    fn tells(&self, part: &str) -> usize {
        self.told.iter().filter(|line| line.contains(part)).count()
    }

    fn run(&self) -> &Run {
        self.engine.runs().last_key_value().unwrap().1
    }

    fn parked(&self) -> bool {
        matches!(self.run().state, RunState::Parked { .. })
    }
}

fn plan(remedies: Vec<(&str, Remedy)>) -> Plan {
    let checks = ["web", "db", "net"].into_iter().map(|name| (check(name), CheckPlan::observed())).collect();
    let remedies = remedies.into_iter().map(|(name, definition)| (remedy(name), definition)).collect();
    Plan { checks, remedies, ..Plan::default() }
}

#[test]
fn a_fault_is_cured_and_the_incident_tells_how() {
    let steps = vec![act("restart"), wait("settle", is("web", Status::Passing), 10, 60)];
    let mut play = Play::new(vec![("cure", cure(steps))]);
    play.passes().later(5).fails().later(1).done().later(5).passes().later(20);
    assert_eq!(play.acts(), ["act r1/restart/1"]);
    assert_eq!(
        play.told,
        [
            "web went from unknown to passing: it is passing",
            "incident opened for web",
            "web went from passing to critical: it is critical",
            "cure on web started: check.web == \"critical\"",
            "step restart: doing restart (attempt 1)",
            "step restart: done: exit status 0",
            "step restart: complete",
            "step settle: waiting for check.web == \"passing\"",
            "web went from critical to passing: it is passing",
            "incident of web closed after 6s",
            "step settle: complete",
            "cure is done after 16s",
        ]
    );
}

#[test]
fn a_condition_that_still_holds_is_acted_on_again_after_the_cooldown() {
    let mut play = Play::new(vec![("cure", cure(vec![act("restart")]))]);
    play.fails().done().later(10).fails().later(49);
    assert_eq!(play.acts().len(), 1, "the cooldown holds");
    play.later(2);
    assert_eq!(play.acts().len(), 2, "{:#?}", play.told);
}

#[test]
fn what_was_seen_before_the_cure_does_not_start_it_again() {
    let definition = Remedy { cooldown: Duration::ZERO, ..cure(vec![act("restart")]) };
    let mut play = Play::new(vec![("cure", definition)]);
    play.fails().later(5).done().later(600);
    assert_eq!(play.acts().len(), 1);
    play.fails();
    assert_eq!(play.acts().len(), 2);
}

#[test]
fn a_remedy_that_does_not_help_gives_up_and_a_person_is_told() {
    let definition = Remedy { give_up_after: Some(n(2)), ..cure(vec![act("restart")]) };
    let mut play = Play::new(vec![("cure", definition)]);
    for _ in 0..5 {
        play.fails();
        if play.run().in_flight() {
            play.done();
        }
        play.later(100);
    }
    assert_eq!(play.acts().len(), 2, "{:#?}", play.told);
    assert_eq!(play.tells("needs a person: 2 runs did not help"), 1);
    assert!(play.engine.incidents().values().all(|incident| incident.escalated));
    play.passes().fails();
    assert_eq!(play.acts().len(), 3, "a recovery makes it ready again");
}

#[test]
fn a_budget_is_kept_and_its_end_escalates_once() {
    let budget = Some(Budget { runs: n(2), per: secs(1_000) });
    let page = Remedy { on: Vec::new(), target: Target::new("page").unwrap(), ..cure(vec![act("page")]) };
    let definition =
        Remedy { budget, cooldown: secs(1), escalate: Some(remedy("page")), ..cure(vec![act("restart")]) };
    let mut play = Play::new(vec![("cure", definition), ("page", page)]);
    for _ in 0..6 {
        play.fails();
        if play.run().in_flight() {
            play.done();
        }
        play.later(2).passes().later(2);
    }
    assert_eq!(play.acts(), ["act r1/restart/1", "act r2/restart/1", "act r3/page/1"]);
    assert_eq!(play.tells("needs a person"), 4, "once for each exhausted fault: {:#?}", play.told);
}

#[test]
fn a_flood_of_matches_is_not_a_flood_of_records() {
    let on = vec![Trigger::Match { source: check("web"), pattern: PatternName::new("oom").unwrap() }];
    let definition = Remedy { on, defer: false, ..cure(vec![act("restart")]) };
    let mut play = Play::new(vec![("cure", definition)]);
    for _ in 0..10_000 {
        let pattern = PatternName::new("oom").unwrap();
        play.step(Input::Read {
            source: check("web"),
            matches: vec![Match::new(pattern, "out of memory")],
            position: None,
        });
    }
    assert!(play.told.len() < 10, "{}", play.told.len());
    assert_eq!(play.engine.floods()[&remedy("cure")].suppressed, 9_999);
    assert_eq!(play.acts().len(), 1);
}

#[test]
fn a_match_of_another_source_triggers_nothing() {
    let on = vec![Trigger::Match { source: check("web"), pattern: PatternName::new("oom").unwrap() }];
    let mut play = Play::new(vec![("cure", Remedy { on, ..cure(vec![act("restart")]) })]);
    let pattern = PatternName::new("oom").unwrap();
    play.step(Input::Read {
        source: check("db"),
        matches: vec![Match::new(pattern, "out of memory")],
        position: None,
    });
    assert!(play.told.is_empty() && play.acts().is_empty());
}

#[test]
fn an_unknown_check_is_neither_fine_nor_a_reason_to_act() {
    let guarded = Remedy { guard: Some(is("net", Status::Passing)), ..cure(vec![act("restart")]) };
    let mut play = Play::new(vec![("cure", guarded)]);
    play.fails();
    assert!(play.acts().is_empty(), "the guard is unknown");
    play.sees("net", Status::Passing);
    assert_eq!(play.acts().len(), 1, "the deferred start follows");
}

#[test]
fn the_same_target_has_one_run_at_a_time() {
    let on = vec![Trigger::When(is("db", Status::Critical))];
    let other = Remedy { on, cooldown: secs(10), ..cure(vec![act("reboot")]) };
    let mut play = Play::new(vec![("cure", cure(vec![act("restart")])), ("other", other)]);
    play.fails().sees("db", Status::Critical);
    assert_eq!(play.acts(), ["act r1/restart/1"]);
    play.later(1).done().later(1).sees("db", Status::Critical);
    assert_eq!(play.acts(), ["act r1/restart/1"], "what was done to the target cools down, whoever did it");
    play.later(8).sees("db", Status::Critical);
    assert_eq!(play.acts(), ["act r1/restart/1", "act r2/reboot/1"]);
}

#[test]
fn attempts_back_off_and_then_the_next_way_is_tried() {
    let mut first = act("soft");
    first.attempts = n(3);
    first.on_failure = OnFailure::GoTo { step: StepName::new("hard").unwrap(), visits: 1, then: None };
    let mut play = Play::new(vec![("cure", cure(vec![first, act("hard")]))]);
    play.fails().failed().later(2).failed().later(3).failed();
    assert_eq!(play.acts(), ["act r1/soft/1", "act r1/soft/2", "act r1/soft/3", "act r1/hard/1"]);
    play.failed();
    assert_eq!(play.tells("cure failed after 5s: step `hard`: exit status 1"), 1, "{:#?}", play.told);
}

#[test]
fn a_jump_back_is_counted() {
    let mut last = wait("settle", is("web", Status::Passing), 0, 10);
    last.on_failure = OnFailure::GoTo { step: StepName::new("restart").unwrap(), visits: 2, then: None };
    let mut play = Play::new(vec![("cure", cure(vec![act("restart"), last]))]);
    play.fails();
    for _ in 0..3 {
        play.done().later(11).later(3);
    }
    assert_eq!(play.acts().len(), 3, "once and two visits");
    assert!(matches!(play.run().state, RunState::Ended(Ending::Failed { .. }, _)));
}

#[test]
fn a_kill_during_an_act_is_looked_at_and_never_repeated_blindly() {
    let mut play = Play::new(vec![("cure", cure(vec![act("restart")]))]);
    play.fails().killed(5);
    assert_eq!(play.acts(), ["act r1/restart/1", "inspect r1/restart/1"]);
    play.unclear();
    assert!(matches!(play.run().state, RunState::Parked { .. }), "{:?}", play.run());
    assert_eq!(play.acts().len(), 2);
    assert_eq!(play.asks(Command::Retry(RunId(1))), Ok("r1 goes on with step restart".into()));
    assert_eq!(play.acts().last().unwrap(), "act r1/restart/2");
}

#[test]
fn a_kill_during_an_act_that_ended_well_goes_on() {
    let steps = vec![act("restart"), act("announce")];
    let mut play = Play::new(vec![("cure", cure(steps))]);
    play.fails().killed(5).done();
    assert_eq!(play.acts(), ["act r1/restart/1", "inspect r1/restart/1", "act r1/announce/1"]);
}

#[test]
fn a_kill_before_an_act_began_costs_no_attempt() {
    let mut play = Play::new(vec![("cure", cure(vec![act("restart")]))]);
    play.fails().killed(5).answers(Outcome::NotStarted { detail: "no trace of it".into() });
    assert_eq!(play.acts(), ["act r1/restart/1", "inspect r1/restart/1", "act r1/restart/2"]);
    play.done();
    assert!(matches!(play.run().state, RunState::Ended(Ending::Done, _)));
}

#[test]
fn an_idempotent_act_of_unknown_outcome_is_done_again_under_a_new_number() {
    let mut step = act("restart");
    if let StepKind::Act { repeat, .. } = &mut step.kind {
        *repeat = Repeatability::Idempotent;
    }
    let mut play = Play::new(vec![("cure", cure(vec![step]))]);
    play.fails().killed(5).unclear();
    assert_eq!(play.acts().last().unwrap(), "act r1/restart/2");
}

#[test]
fn not_done_counts_only_after_it_has_settled() {
    let mut step = verified(act("restart"), 5);
    step.attempts = n(2);
    let mut play = Play::new(vec![("cure", cure(vec![step]))]);
    play.fails().unclear().later(1).fails().later(8);
    assert_eq!(play.acts().len(), 1, "it may still happen");
    play.later(2).later(2);
    assert_eq!(play.acts().len(), 2, "{:#?}", play.told);
}

#[test]
fn without_data_to_verify_by_a_person_is_asked() {
    let mut play = Play::new(vec![("cure", cure(vec![verified(act("restart"), 20)]))]);
    play.fails().later(1).done().later(60);
    assert!(
        matches!(&play.run().state, RunState::Parked { why, .. } if why.contains("no data")),
        "{:?}",
        play.run()
    );
}

#[test]
fn an_old_result_verifies_nothing() {
    let mut play = Play::new(vec![("cure", cure(vec![verified(act("restart"), 20)]))]);
    play.fails().later(1).done().later(1);
    // This look began before the act was done.
    let sample = Sample::new(Status::Passing, "old").taking(secs(10));
    play.step(Input::Observed { check: check("web"), sample });
    assert!(matches!(play.run().state, RunState::Verifying { .. }));
    play.passes();
    assert!(matches!(play.run().state, RunState::Ended(Ending::Done, _)));
}

#[test]
fn a_hold_begins_anew_when_the_condition_breaks() {
    let steps = vec![wait("settle", is("web", Status::Passing), 100, 1_000)];
    let mut play = Play::new(vec![("cure", cure(steps))]);
    play.fails().later(1).passes().later(90).fails().later(5).passes().later(95);
    assert!(!play.run().ended());
    play.later(10);
    assert!(matches!(play.run().state, RunState::Ended(Ending::Done, _)));
}

#[test]
fn a_run_ends_by_its_deadline_or_is_parked() {
    let definition = Remedy { deadline: secs(20), ..cure(vec![act("restart")]) };
    let mut play = Play::new(vec![("cure", definition)]);
    play.fails().later(25);
    assert_eq!(play.acts(), ["act r1/restart/1", "abort r1/restart/1"]);
    assert!(play.run().in_flight(), "its target is not free while the action is being stopped");
    play.later(30);
    assert!(matches!(play.run().state, RunState::Parked { .. }));
    let waiting = Remedy { deadline: secs(20), ..cure(vec![wait("w", is("web", Status::Passing), 0, 500)]) };
    let mut play = Play::new(vec![("cure", waiting)]);
    play.fails().later(25);
    assert!(matches!(play.run().state, RunState::Ended(Ending::Failed { .. }, _)));
}

#[test]
fn a_cancelled_run_still_tidies_up() {
    let tidy = Some(StepName::new("tidy").unwrap());
    let definition = Remedy { on_cancel: tidy, ..cure(vec![act("stop"), act("start"), act("tidy")]) };
    let mut play = Play::new(vec![("cure", definition)]);
    play.fails();
    assert_eq!(play.asks(Command::Cancel(RunId(1))), Ok("r1 is being cancelled".into()));
    assert_eq!(play.acts(), ["act r1/stop/1", "abort r1/stop/1"]);
    play.unclear();
    assert_eq!(play.acts().last().unwrap(), "act r1/tidy/1");
    play.done();
    assert!(matches!(play.run().state, RunState::Ended(Ending::Cancelled { .. }, _)));
    assert!(play.asks(Command::Cancel(RunId(1))).is_err());
}

#[test]
fn a_changed_definition_parks_the_run_and_a_retry_takes_the_new_one() {
    let steps = vec![wait("settle", is("web", Status::Passing), 100, 1_000)];
    let mut play = Play::new(vec![("cure", cure(steps))]);
    let other = vec![wait("settle", is("web", Status::Passing), 1, 1_000)];
    play.fails().reloads(plan(vec![("cure", cure(other))]));
    assert!(matches!(play.run().state, RunState::Parked { .. }));
    play.asks(Command::Retry(RunId(1))).unwrap();
    play.later(1).passes().later(2);
    assert!(matches!(play.run().state, RunState::Ended(Ending::Done, _)), "{:#?}", play.told);
}

#[test]
fn observe_mode_decides_and_records_but_does_nothing() {
    let definition = Remedy { mode: Mode::Observe, ..cure(vec![act("restart")]) };
    let mut play = Play::new(vec![("cure", definition)]);
    play.fails().later(600).fails();
    assert!(play.acts().is_empty());
    assert_eq!(play.tells("would do restart"), 1);
}

#[test]
fn when_too_much_is_bad_at_once_nothing_is_started() {
    let one = |name: &str| {
        let on = vec![Trigger::When(is(name, Status::Critical))];
        Remedy { on, target: Target::new(name).unwrap(), ..cure(vec![act("restart")]) }
    };
    let mut fleet = plan(vec![("a", one("web")), ("b", one("db")), ("c", one("net"))]);
    fleet.limits.hold_above_percent = Some(50);
    let mut play = Play::with(fleet);
    play.fails();
    assert_eq!(play.acts().len(), 1, "one of three");
    play.sees("db", Status::Critical);
    assert_eq!(play.acts().len(), 1, "two of three");
    play.passes();
    assert_eq!(play.acts().len(), 2, "the fault of the other is met when it is alone: {:#?}", play.told);
}

#[test]
fn no_more_actions_than_allowed_are_in_flight() {
    let one = |name: &str| {
        let on = vec![Trigger::When(is(name, Status::Critical))];
        Remedy { on, target: Target::new(name).unwrap(), ..cure(vec![act("restart")]) }
    };
    let mut fleet = plan(vec![("a", one("web")), ("b", one("db"))]);
    fleet.limits.in_flight = n(1);
    let mut play = Play::with(fleet);
    play.fails().sees("db", Status::Critical);
    assert_eq!(play.acts(), ["act r1/restart/1"]);
    play.done();
    assert_eq!(play.acts(), ["act r1/restart/1", "act r2/restart/1"]);
}

#[test]
fn a_check_needs_as_many_failures_as_it_says() {
    let mut strict = plan(Vec::new());
    let web = strict.checks.get_mut(&check("web")).unwrap();
    (web.fail_after, web.pass_after) = (n(3), n(2));
    let mut play = Play::with(strict);
    play.passes().fails().fails().passes().fails().fails();
    assert_eq!(play.engine.checks()[&check("web")].status, Status::Passing);
    play.fails().passes();
    assert_eq!(play.engine.checks()[&check("web")].status, Status::Critical);
    play.passes();
    assert_eq!(play.engine.checks()[&check("web")].status, Status::Passing);
}

#[test]
fn silence_is_unknown_and_a_restart_does_not_count_as_silence() {
    let mut strict = plan(Vec::new());
    strict.checks.get_mut(&check("web")).unwrap().stale_after = Some(secs(30));
    let mut play = Play::with(strict);
    play.passes().killed(300).later(20);
    assert_eq!(play.engine.checks()[&check("web")].status, Status::Passing);
    play.later(15);
    assert_eq!(play.engine.checks()[&check("web")].status, Status::Unknown);
    assert_eq!(play.tells("web went from passing to unknown: no data for 30s"), 1, "{:#?}", play.told);
}

#[test]
fn a_flapping_check_stays_bad_until_it_is_steady() {
    let mut strict = plan(Vec::new());
    strict.checks.get_mut(&check("web")).unwrap().flap = Some(Flap { changes: n(4), within: secs(60) });
    let mut play = Play::with(strict);
    for _ in 0..10 {
        play.passes().later(2).fails().later(2);
    }
    assert_eq!(play.tells("is flapping"), 1);
    assert!(play.tells("web went from") < 8, "{:#?}", play.told);
    play.passes().later(55);
    assert_eq!(play.engine.checks()[&check("web")].status, Status::Critical);
    play.later(6);
    assert_eq!(play.engine.checks()[&check("web")].status, Status::Passing);
    assert_eq!(play.tells("is steady again"), 1);
}

#[test]
fn a_composite_follows_its_members() {
    let mut composed = plan(Vec::new());
    let source = CheckSource::Checks { at_least: 2, of: vec![check("web"), check("db"), check("net")] };
    composed.checks.insert(check("all"), CheckPlan { source, ..CheckPlan::observed() });
    let mut play = Play::with(composed);
    let status = |play: &Play| play.engine.checks()[&check("all")].status;
    play.passes().sees("db", Status::Passing).sees("net", Status::Critical);
    assert_eq!(status(&play), Status::Passing);
    play.sees("db", Status::Unknown);
    assert_eq!(status(&play), Status::Unknown, "no data is never taken for fine");
    play.sees("db", Status::Critical);
    assert_eq!(status(&play), Status::Critical);
}

#[test]
fn the_same_inputs_give_the_same_output() {
    let script = || {
        let mut step = act("restart");
        step.attempts = n(5);
        let mut play = Play::new(vec![("cure", cure(vec![step]))]);
        play.fails().failed().later(3).failed().later(9).killed(3).failed().later(20).done().passes();
        (play.told, format!("{:?}", play.rows))
    };
    assert_eq!(script(), script());
}
