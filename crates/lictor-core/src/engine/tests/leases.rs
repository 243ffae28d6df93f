//! Where several nodes could act, only the one that holds the lease does.

use super::*;

fn leased(steps: Vec<Step>) -> Vec<(&'static str, Remedy)> {
    let lease = Some(LeaseName::new("cure").unwrap());
    vec![("cure", Remedy { lease, ..cure(steps) })]
}

impl Play {
    fn holds(&mut self, holding: Holding) -> &mut Self {
        self.step(Input::Lease { lease: LeaseName::new("cure").unwrap(), holding })
    }

    fn other(&mut self) -> &mut Self {
        self.holds(Holding::Other { node: "node2".into() })
    }

    fn nobody(&mut self) -> &mut Self {
        self.holds(Holding::Unknown { why: "Consul cannot be reached".into() })
    }

    fn takes_over(&mut self, run: Option<Begun>) -> &mut Self {
        let remedy = RemedyName::new("cure").unwrap();
        self.step(Input::TakeOver(Box::new(TakeOver { remedy, from: "node2".into(), run })))
    }
}

fn begun(step: &str, note: Option<(&str, bool)>) -> Begun {
    let name = |text: &str| StepName::new(text).unwrap();
    let at = Now { boot: Boot::from_millis(0), wall: Wall::from_unix_millis(0) };
    let note = note.map(|(step, done)| (name(step), Note { text: "a list".into(), done, at }));
    Begun {
        cause: "it was unstable".into(),
        step: name(step),
        notes: Arc::new(note.into_iter().collect()),
        tally: BTreeMap::new(),
        visits: BTreeMap::new(),
        pause: Duration::ZERO,
    }
}

#[test]
fn nothing_starts_until_it_is_known_who_holds_the_lease_and_then_here_only_if_it_is_ours() {
    let mut play = Play::new(leased(vec![act("restart")]));
    play.fails().later(60).fails();
    assert!(play.acts().is_empty());
    assert_eq!(play.tells("another node holds its lease"), 1, "{:#?}", play.told);
    play.other().later(60).fails();
    assert!(play.acts().is_empty());
    assert!(play.asks(Command::Start(RemedyName::new("cure").unwrap())).is_err(), "also not by hand");
    play.holds(Holding::Ours);
    assert_eq!(play.acts(), ["act r1/restart/1"], "what was held back starts");
}

#[test]
fn a_run_waits_while_nobody_knows_and_goes_on_when_the_lease_is_ours_again() {
    let mut play = Play::new(leased(vec![act("stop"), act("restart")]));
    play.holds(Holding::Ours).fails().nobody().done();
    assert_eq!(play.acts(), ["act r1/stop/1"], "the next step is not ordered");
    play.later(30).holds(Holding::Ours);
    assert_eq!(play.acts(), ["act r1/stop/1", "act r1/restart/1"]);
}

#[test]
fn a_run_is_not_ours_any_more_when_another_node_has_the_lease() {
    let mut play = Play::new(leased(vec![act("stop"), act("restart")]));
    play.holds(Holding::Ours).fails().other();
    assert_eq!(play.acts(), ["act r1/stop/1", "abort r1/stop/1"]);
    assert!(play.run().ended());
    play.done();
    assert_eq!(play.acts().len(), 2);
}

#[test]
fn what_another_node_goes_on_with_is_stopped_here_also_when_its_definition_changed() {
    let mut play = Play::new(leased(vec![act("stop"), act("restart")]));
    play.holds(Holding::Ours).fails().reloads(plan(leased(vec![act("stop")]))).other();
    assert_eq!(play.acts(), ["act r1/stop/1", "abort r1/stop/1"]);
    assert!(play.run().ended());
}

#[test]
fn a_restart_knows_nothing_of_who_holds_it() {
    let mut play = Play::new(leased(vec![act("stop"), act("restart")]));
    play.holds(Holding::Ours).fails().done().done().killed(5).later(120);
    play.passes().fails();
    assert_eq!(play.acts().len(), 2, "{:?}", play.acts());
}

#[test]
fn what_another_began_goes_on_with_its_notes_and_is_looked_at_first() {
    let mut stop = act("stop");
    if let StepKind::Act { prepare, .. } = &mut stop.kind {
        *prepare = true;
    }
    let mut play = Play::new(leased(vec![stop.clone(), act("restart")]));
    play.takes_over(Some(begun("stop", Some(("stop", false)))));
    assert_eq!(play.acts(), ["inspect r1/stop/1"]);
    play.holds(Holding::Ours).done();
    assert_eq!(play.acts(), ["inspect r1/stop/1", "act r1/restart/1"]);
    assert!(play.order().notes.values().all(|note| note.done && note.text.as_ref() == "a list"));

    let mut play = Play::new(leased(vec![stop, act("restart")]));
    play.takes_over(Some(begun("restart", Some(("stop", true)))));
    assert!(play.acts().is_empty(), "it is not ours yet");
    play.holds(Holding::Ours);
    assert_eq!(play.acts(), ["act r1/restart/1"]);
    assert_eq!(play.tells("taken over from node2"), 1);
}

#[test]
fn a_record_that_says_nothing_is_under_way_ends_what_this_node_had() {
    let mut play = Play::new(leased(vec![act("stop"), act("restart")]));
    play.holds(Holding::Ours).fails().nobody().done().takes_over(None);
    assert!(play.run().ended());
    play.holds(Holding::Ours).later(5);
    assert_eq!(play.acts(), ["act r1/stop/1"]);
}
