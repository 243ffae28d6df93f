//! What a step notes before it acts; steps that are left out, and the way through them.

use super::*;

fn name(text: &str) -> StepName {
    StepName::new(text).unwrap()
}

fn prepares(mut step: Step) -> Step {
    if let StepKind::Act { prepare, repeat, .. } = &mut step.kind {
        (*prepare, *repeat) = (true, Repeatability::Idempotent);
    }
    step
}

impl Play {
    fn prepared(&mut self, note: &str) -> &mut Self {
        let Order { run, step, attempt, .. } = self.order();
        self.step(Input::Prepared { run, step, attempt, note: note.into() })
    }

    fn notes(&self) -> Vec<String> {
        let notes = self.run().notes.iter();
        notes.map(|(step, note)| format!("{step}: {} {}", note.text, note.done)).collect()
    }
}

#[test]
fn what_an_action_will_change_is_recorded_before_it_does_and_kept() {
    let mut play = Play::new(vec![("cure", cure(vec![prepares(act("stop")), act("restart")]))]);
    play.fails();
    assert_eq!(play.acts(), ["prepare r1/stop/1"]);
    play.prepared("seven of nine");
    assert_eq!(play.acts(), ["prepare r1/stop/1", "act r1/stop/1"]);
    assert_eq!(play.notes(), ["stop: seven of nine false"]);
    let stored = play.rows.values().any(|row| matches!(row, Row::Run(run) if run.notes.len() == 1));
    assert!(stored, "the commit that lets the act out has the note");
    play.done();
    assert_eq!(play.notes(), ["stop: seven of nine true"]);
    // A later step knows it, also after a crash.
    play.killed(5);
    assert_eq!(play.order().notes.get(&name("stop")).unwrap().text.as_ref(), "seven of nine");
}

#[test]
fn a_crash_before_the_note_looks_again_and_one_after_it_looks_what_became_of_it() {
    let mut play = Play::new(vec![("cure", cure(vec![prepares(act("stop"))]))]);
    play.fails().killed(5);
    assert_eq!(play.acts(), ["prepare r1/stop/1", "prepare r1/stop/1"]);
    play.prepared("a").killed(5);
    assert_eq!(play.acts().last().unwrap(), "inspect r1/stop/1");
    play.answers(Outcome::NotStarted { detail: "still running".into() });
    assert_eq!(play.acts().last().unwrap(), "prepare r1/stop/2");
    assert_eq!(play.order().notes.get(&name("stop")).unwrap().text.as_ref(), "a", "who looks again knows");
    play.prepared("a b").done();
    assert!(play.run().ended(), "{:#?}", play.told);
}

#[test]
fn nothing_to_do_is_done_without_an_act() {
    let mut play = Play::new(vec![("cure", cure(vec![prepares(act("stop")), act("restart")]))]);
    play.fails().done();
    assert_eq!(play.acts(), ["prepare r1/stop/1", "act r1/restart/1"]);
    assert!(play.notes().is_empty());
}

#[test]
fn what_cannot_be_found_out_is_tried_again() {
    let step = Step { attempts: n(2), ..prepares(act("stop")) };
    let mut play = Play::new(vec![("cure", cure(vec![step]))]);
    play.fails().failed().later(2);
    assert_eq!(play.acts(), ["prepare r1/stop/1", "prepare r1/stop/2"]);
    // Nobody answers at all.
    play.later(70);
    assert!(play.run().ended(), "{:#?}", play.told);
    assert!(play.acts().iter().all(|effect| !effect.starts_with("act")), "{:?}", play.acts());
}

#[test]
fn a_run_that_is_cancelled_while_it_only_looks_is_over_at_once() {
    let mut play = Play::new(vec![("cure", cure(vec![prepares(act("stop"))]))]);
    play.fails();
    play.asks(Command::Cancel(RunId(1))).unwrap();
    assert!(play.run().ended(), "{:#?}", play.told);
    play.prepared("late");
    assert!(play.acts().iter().all(|effect| !effect.starts_with("act")));
}

#[test]
fn a_step_is_left_out_when_its_condition_holds_also_while_it_waits_for_another_try() {
    let skip = Some(is("web", Status::Passing));
    let restart = Step { skip_when: skip, attempts: n(3), backoff: secs(60), ..act("restart") };
    let mut play = Play::new(vec![("cure", cure(vec![restart, act("announce")]))]);
    play.fails().failed();
    assert_eq!(play.acts(), ["act r1/restart/1"]);
    play.passes();
    assert_eq!(play.acts(), ["act r1/restart/1", "act r1/announce/1"], "{:#?}", play.told);
    assert_eq!(play.tells("left out"), 1);
}

#[test]
fn a_step_can_be_followed_by_a_later_one() {
    let first = Step { next: Some(name("last")), ..act("first") };
    let mut play = Play::new(vec![("cure", cure(vec![first, act("between"), act("last")]))]);
    play.fails().done();
    assert_eq!(play.acts(), ["act r1/first/1", "act r1/last/1"]);
}

#[test]
fn when_the_ways_back_are_used_up_a_person_is_told_and_the_run_goes_on() {
    let back = |step: Step, to: &str| Step {
        on_failure: OnFailure::GoTo { step: name(to), visits: 2, then: Some(name("given-up")) },
        ..step
    };
    let restart = Step { backoff: secs(300), backoff_max: secs(3_600), ..back(act("restart"), "restart") };
    let settle = back(wait("settle", is("web", Status::Passing), 0, 10), "restart");
    let wait = wait("given-up", is("web", Status::Passing), 60, 100_000);
    let steps = vec![restart, settle, wait, act("resume")];
    let mut remedy = cure(steps);
    remedy.deadline = secs(1_000_000);
    let mut play = Play::new(vec![("cure", remedy)]);
    // It fails by itself, then what comes after it does: both ways lead back to it.
    let wait_for_act = |play: &mut Play, number: usize| {
        let mut waited = 0;
        while play.acts().len() < number {
            play.later(1);
            waited += 1;
        }
        waited
    };
    play.fails().failed();
    let first = wait_for_act(&mut play, 2);
    assert!((225..=376).contains(&first), "{first}");
    play.done().later(11);
    let second = wait_for_act(&mut play, 3);
    assert!((450..=751).contains(&second), "{second}");
    play.done().later(11);
    assert_eq!(play.acts(), ["act r1/restart/1", "act r1/restart/2", "act r1/restart/3"]);
    assert_eq!(play.tells("needs a person"), 1, "{:#?}", play.told);
    assert!(!play.run().ended());
    play.passes().later(30).passes().later(31).passes();
    assert_eq!(play.acts().last().unwrap(), "act r1/resume/1", "{:#?}", play.told);
}

#[test]
fn no_data_is_not_counted_among_faults() {
    let three = CheckPlan { fail_after: n(3), ..CheckPlan::observed() };
    let status = |seen: &[Status]| {
        let mut plan = plan(Vec::new());
        plan.checks.insert(check("web"), three.clone());
        let mut play = Play::with(plan);
        play.passes();
        for status in seen {
            play.later(1).sees("web", *status);
        }
        play.engine.checks().get(&check("web")).unwrap().status
    };
    use Status::{Critical as Bad, Passing, Unknown as Blind};
    assert_eq!(status(&[Bad, Bad]), Passing);
    assert_eq!(status(&[Bad, Bad, Bad]), Bad);
    assert_eq!(status(&[Bad, Blind, Bad]), Blind, "two faults are not three");
    assert_eq!(status(&[Bad, Blind, Bad, Bad]), Bad, "but they are not forgotten either");
    assert_eq!(status(&[Bad, Bad, Blind, Blind, Blind, Bad]), Bad);
    assert_eq!(status(&[Blind, Blind, Blind]), Blind);
    assert_eq!(status(&[Blind, Blind, Blind, Bad, Bad]), Blind);
    assert_eq!(status(&[Bad, Bad, Passing, Bad, Bad]), Passing);
}

#[test]
fn a_value_that_is_to_be_told_is_told_when_it_changes() {
    let mut told = plan(Vec::new());
    told.checks.get_mut(&check("web")).unwrap().tell = vec![ValueName::new("ip").unwrap()];
    let mut play = Play::with(told);
    let mut look = |address: Option<&str>| {
        let mut sample = Sample::new(Status::Passing, "ok");
        if let Some(address) = address {
            sample = sample.with(ValueName::new("ip").unwrap(), Value::Text(address.into()));
        }
        play.later(1).step(Input::Observed { check: check("web"), sample });
        play.tells("ip of web changed")
    };
    assert_eq!(look(Some("203.0.113.7")), 0, "its first sight is no change");
    assert_eq!(look(None), 0);
    assert_eq!(look(Some("203.0.113.7")), 0);
    assert_eq!(look(Some("198.51.100.9")), 1);
    assert_eq!(look(Some("198.51.100.9")), 1);
}
