//! What an earlier store of the node left is never resumed blindly.

use super::*;
use crate::step::Adoption;

impl Play {
    /// The disk is lost and what Consul knew of it is taken over.
    fn adopts(&mut self) -> &mut Self {
        let runs: Vec<_> = self.engine.runs().values().cloned().collect();
        let plan = Arc::clone(self.engine.plan());
        self.now.boot = self.now.boot.after(secs(60));
        let (mut engine, output) = Engine::restore(plan, Vec::new(), self.now);
        engine.withhold();
        (self.engine, self.rows) = (engine, BTreeMap::new());
        self.take(output);
        self.effects.clear();
        self.step(Input::Adopt(Adoption { runs, highest_run: 1, ..Adoption::default() }))
    }
}

fn again(mut step: Step) -> Step {
    if let StepKind::Act { repeat, .. } = &mut step.kind {
        *repeat = Repeatability::Idempotent;
    }
    step
}

#[test]
fn a_step_that_is_seen_to_have_been_done_is_not_done_again() {
    let mut play = Play::new(vec![("cure", cure(vec![verified(act("restart"), 30), again(act("tell"))]))]);
    play.fails().adopts();
    assert!(play.acts().is_empty(), "{:#?}", play.told);
    play.later(1).passes();
    assert_eq!(play.acts(), ["act r1/tell/1"]);
}

#[test]
fn later_steps_may_have_been_done_too() {
    let steps = vec![verified(act("restart"), 30), verified(act("charge"), 30)];
    let mut play = Play::new(vec![("cure", cure(steps))]);
    play.fails().adopts();
    assert!(play.parked(), "the copy may be behind by any of them: {:#?}", play.told);
    play.later(1).passes().later(100);
    assert!(play.acts().is_empty());
}

#[test]
fn what_may_be_done_again_is_done_again_under_a_new_number() {
    let mut play = Play::new(vec![("cure", cure(vec![again(act("restart")), again(act("tell"))]))]);
    play.fails().adopts();
    assert_eq!(play.acts(), ["act r1/restart/2"]);
}

#[test]
fn a_run_that_was_being_cancelled_is_not_resumed() {
    let tidy = Some(StepName::new("tidy").unwrap());
    let steps = vec![again(act("stop")), again(act("start")), again(act("tidy"))];
    let mut play = Play::new(vec![("cure", Remedy { on_cancel: tidy, ..cure(steps) })]);
    play.fails();
    play.asks(Command::Cancel(RunId(1))).unwrap();
    play.adopts();
    assert_eq!(play.acts(), ["act r1/tidy/1"]);
    play.done();
    assert!(matches!(play.run().state, RunState::Ended(Ending::Cancelled { .. }, _)));
}
