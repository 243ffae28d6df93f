//! What follows when a clustered service comes to this node or leaves it.

use super::*;

fn web() -> ServiceName {
    ServiceName::new("web").unwrap()
}

/// A remedy that nothing but a service starts.
fn hook(step: Step) -> Remedy {
    let target = Target::new(step.name.as_str()).unwrap();
    Remedy { on: Vec::new(), target, ..cure(vec![step]) }
}

fn hooks() -> Plan {
    let mut plan = plan(vec![("up", hook(act("raise"))), ("down", hook(act("lower")))]);
    let hooks = Hooks { promote: Some(remedy("up")), demote: Some(remedy("down")) };
    plan.services.insert(web(), hooks);
    plan
}

impl Play {
    fn plays(&mut self, role: Role) -> &mut Self {
        self.step(Input::Role { service: web(), role })
    }

    fn active(&mut self, token: u64) -> &mut Self {
        self.plays(Role::Active { token })
    }

    fn standby(&mut self) -> &mut Self {
        self.plays(Role::Standby)
    }
}

#[test]
fn a_service_that_comes_and_goes_is_followed_once_each() {
    let mut play = Play::with(hooks());
    play.standby().later(5).active(7).later(1).done().later(5).active(7).later(5).standby().done();
    play.later(600).standby();
    assert_eq!(play.acts(), ["act r1/raise/1", "act r2/lower/1"]);
    assert_eq!(play.order().change, Some(Change { service: web(), role: Role::Standby, token: 7 }));
    assert_eq!(
        play.told,
        [
            "up on raise started: service web has come to run here, token 7",
            "step raise: doing raise (attempt 1)",
            "step raise: done: exit status 0",
            "step raise: complete",
            "up is done after 1s",
            "down on lower started: service web does not run here any more; its token was 7",
            "step lower: doing lower (attempt 1)",
            "step lower: done: exit status 0",
            "step lower: complete",
            "down is done after 0ms",
        ]
    );
}

#[test]
fn an_agent_that_comes_back_starts_what_is_due_and_nothing_twice() {
    let mut play = Play::with(hooks());
    play.active(7).done().killed(10).active(7).later(60);
    assert_eq!(play.acts(), ["act r1/raise/1"], "it went on under the same token");
    play.killed(10).standby().done();
    assert_eq!(play.acts(), ["act r1/raise/1", "act r2/lower/1"], "it left meanwhile");
    play.killed(10).standby().active(9).done().killed(10).active(12).done();
    let acts = play.acts();
    assert_eq!(acts[2..], ["act r3/raise/1", "act r4/raise/1"], "it was elsewhere meanwhile");
}

#[test]
fn the_role_and_what_follows_it_are_recorded_together() {
    let mut play = Play::with(hooks());
    let output = play.engine.step(Input::Role { service: web(), role: Role::Active { token: 7 } }, play.now);
    let keys: Vec<RowKey> = output.rows.iter().map(Row::key).collect();
    assert_eq!(keys, [RowKey::Flood(remedy("up")), RowKey::Run(RunId(1)), RowKey::Role(web())]);
    let known = &play.engine.roles()[&web()];
    assert_eq!(
        (known.followed, known.run, known.token),
        (Some(Role::Active { token: 7 }), Some(RunId(1)), 7)
    );
}

#[test]
fn what_is_under_way_for_a_role_that_is_over_is_called_off_before_the_next_begins() {
    let mut play = Play::with(hooks());
    play.active(7).later(1).standby();
    assert_eq!(play.acts(), ["act r1/raise/1", "abort r1/raise/1"]);
    play.later(5).unclear();
    assert_eq!(play.acts()[2..], ["act r2/lower/1"], "{:#?}", play.told);
    assert_eq!(play.tells("up was cancelled"), 1);
}

#[test]
fn a_flip_flop_ends_with_what_follows_the_last_role() {
    let mut play = Play::with(hooks());
    play.active(7).standby().active(8).standby().active(9).later(1).unclear();
    assert_eq!(play.acts(), ["act r1/raise/1", "abort r1/raise/1", "act r2/raise/1"]);
    assert_eq!(play.run().change.as_ref().unwrap().token, 9);
    // Back where it began: what was called off for that is made up for.
    let mut play = Play::with(hooks());
    play.active(7).standby().active(7).killed(5).unclear();
    assert_eq!(play.engine.runs().len(), 1, "it may have left meanwhile");
    play.active(7);
    assert_eq!(play.acts().last().unwrap(), "act r2/raise/1", "{:#?}", play.told);
    play.done().later(60);
    assert_eq!(play.engine.runs().len(), 2);
}

#[test]
fn what_is_called_off_goes_on_being_so_after_a_kill() {
    let mut play = Play::with(hooks());
    play.active(7).standby().killed(5);
    assert_eq!(play.acts()[2..], ["inspect r1/raise/1", "abort r1/raise/1"]);
    play.unclear();
    assert_eq!(play.acts().last().unwrap(), "act r2/lower/1", "nobody said again that it is gone");
}

#[test]
fn after_a_kill_nothing_goes_on_for_a_service_that_may_have_left() {
    let again = || {
        let mut step = act("raise");
        if let StepKind::Act { repeat, .. } = &mut step.kind {
            *repeat = Repeatability::Idempotent;
        }
        Plan { remedies: [(remedy("up"), hook(step))].into(), ..hooks() }
    };
    let mut play = Play::with(again());
    play.active(7).killed(5).unclear().later(600);
    assert_eq!(play.acts(), ["act r1/raise/1", "inspect r1/raise/1"]);
    play.active(7).done();
    assert_eq!(play.acts()[2..], ["act r1/raise/2"], "it is here still");
    let mut play = Play::with(again());
    play.active(7).killed(5).unclear().standby().later(600);
    assert_eq!(play.acts().len(), 2);
    assert_eq!(play.tells("up was cancelled"), 1, "{:#?}", play.told);
}

#[test]
fn what_is_called_off_still_clears_up() {
    let mut plan = hooks();
    let tidy = StepName::new("tidy").unwrap();
    let steps = vec![act("raise"), act("tidy")];
    plan.remedies.insert(remedy("up"), Remedy { on_cancel: Some(tidy), steps, ..hook(act("raise")) });
    let mut play = Play::with(plan);
    play.active(7).standby().unclear();
    assert_eq!(play.acts().last().unwrap(), "act r1/tidy/1");
    play.done();
    assert_eq!(play.acts().last().unwrap(), "act r2/lower/1");
}

#[test]
fn one_that_waits_for_a_person_does_not_hold_up_the_next() {
    let mut play = Play::with(hooks());
    play.active(7).unclear();
    assert_eq!(play.tells("parked"), 1, "{:#?}", play.told);
    play.later(60).standby();
    assert_eq!(play.acts().last().unwrap(), "act r2/lower/1");
    assert_eq!(play.tells("up was cancelled"), 1);
}

#[test]
fn what_follows_a_role_waits_for_its_target_and_for_no_cooldown() {
    let mut play = Play::with(hooks());
    play.asks(Command::Start(remedy("up"))).unwrap();
    play.active(7);
    assert_eq!(play.acts(), ["act r1/raise/1"]);
    assert_eq!(play.tells("another run has the target; it starts when that is over"), 1);
    assert_eq!(play.order().change, None, "a person has started that");
    play.later(1).done();
    assert_eq!(play.acts(), ["act r1/raise/1", "act r2/raise/1"]);
}

#[test]
fn a_failure_is_that_of_any_run_and_is_not_made_up_for() {
    let mut play = Play::with(hooks());
    play.active(7).failed().later(600).active(7);
    assert_eq!(play.acts(), ["act r1/raise/1"]);
    assert_eq!(play.tells("up failed after"), 1);
    play.standby().done();
    assert_eq!(play.acts(), ["act r1/raise/1", "act r2/lower/1"]);
}

#[test]
fn in_observe_mode_it_is_only_said_what_would_follow() {
    let mut play = Play::with(Plan { mode: Mode::Observe, ..hooks() });
    play.active(7).later(5).standby();
    assert_eq!(play.acts(), [""; 0]);
    assert_eq!(play.tells("would start (observe mode)"), 2, "{:#?}", play.told);
    play.killed(5).standby();
    assert_eq!(play.tells("would start (observe mode)"), 2);
}

#[test]
fn one_without_anything_to_follow_has_its_role_remembered() {
    let mut plan = hooks();
    plan.services.insert(web(), Hooks::default());
    let mut play = Play::with(plan);
    play.active(7).later(5).reloads(hooks());
    assert_eq!(play.acts(), [""; 0], "it is no change that something follows it now");
    play.standby().done();
    assert_eq!(play.acts(), ["act r1/lower/1"]);
    play.reloads(Plan { services: BTreeMap::new(), ..hooks() });
    assert!(play.engine.roles().is_empty() && !play.rows.contains_key(&RowKey::Role(web())));
}

#[test]
fn a_new_store_knows_what_the_one_before_had_under_way() {
    let mut play = Play::with(hooks());
    play.active(7);
    let left = play.run().clone();
    let mut again = Play::with(hooks());
    again.engine.withhold();
    again.active(7);
    assert_eq!(again.acts(), [""; 0]);
    let adoption = Adoption { runs: vec![left], highest_run: 1, ..Adoption::default() };
    again.step(Input::Adopt(adoption)).later(60);
    assert_eq!(again.engine.runs().len(), 1, "{:#?}", again.told);
    again.standby();
    assert_eq!(again.acts(), ["act r2/lower/1"], "what was left waits for a person no more");
}

/// Numbers by chance that follow from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

/// What must be so at any time, and the runs that are not over.
fn holds(play: &Play) -> Vec<Run> {
    let runs: Vec<&Run> = play.engine.runs().values().collect();
    for pair in runs.windows(2) {
        let (Some(first), Some(next)) = (&pair[0].change, &pair[1].change) else { panic!("{pair:#?}") };
        assert!(pair[0].ended(), "two at once: {pair:#?}");
        assert!(first != next || pair[0].cancelled.is_some(), "twice: {pair:#?}");
    }
    runs.into_iter().filter(|run| !run.ended()).cloned().collect()
}

#[test]
fn whatever_happens_there_is_one_at_a_time_and_the_last_role_is_followed_in_the_end() {
    let mut seen = [0_u32; 4];
    for seed in 0..600 {
        let (mut dice, mut play) = (Dice(seed), Play::with(hooks()));
        let (mut role, mut token) = (Role::Standby, 0);
        for _ in 0..40 {
            let live = holds(&play);
            let in_flight = live.iter().any(Run::in_flight);
            match dice.below(9) {
                0 | 1 => {
                    token += dice.below(2);
                    role = Role::Active { token };
                }
                2 | 3 => role = Role::Standby,
                4 => {
                    play.killed(dice.below(5));
                }
                5 if in_flight => {
                    play.unclear();
                }
                6 if in_flight => {
                    play.failed();
                }
                7 if in_flight => {
                    play.done();
                }
                _ => {
                    play.later(dice.below(90));
                }
            }
            // Who comes back does not know at once.
            if dice.below(4) > 0 {
                let before = play.effects.len();
                play.plays(role);
                let acts = play.effects[before..].iter().filter_map(|effect| match effect {
                    Effect::Act(order) => order.change.as_ref(),
                    _ => None,
                });
                assert!(acts.into_iter().all(|change| change.role == role), "seed {seed}: {:#?}", play.told);
            }
        }
        play.plays(role);
        for _ in 0..10 {
            if holds(&play).iter().any(Run::in_flight) {
                play.done();
            }
        }
        let last = play.engine.runs().values().last();
        let followed = last.map_or(Role::Standby, |run| run.change.as_ref().unwrap().role);
        assert_eq!(followed, role, "seed {seed}: {:#?}", play.told);
        assert!(last.is_none_or(|run| run.cancelled.is_none()), "seed {seed}: {:#?}", play.told);
        let parked = |run: &Run| matches!(run.state, RunState::Parked { .. });
        let called_off = play.engine.runs().values().filter(|run| run.cancelled.is_some()).count();
        seen[0] += u32::from(last.is_some());
        seen[1] += u32::from(called_off > 0);
        seen[2] += u32::from(play.tells("parked") > 0);
        seen[3] += u32::from(last.is_some_and(parked));
    }
    assert!(seen.iter().all(|times| *times > 20), "what never happens is not tried: {seen:?}");
}
