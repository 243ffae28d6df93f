//! The lease between named nodes: who may take it, and who promises to wait.

use super::*;

fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn stamp(seconds: f64) -> Stamp {
    let time = secs(1_000.0 + seconds);
    Stamp { awake: time, whole: time }
}

/// Renewed each second, believed in for 2.5 s, taken over after 4.2 s.
fn fast() -> Params {
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

fn nodes(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// A record of `n1` in the boot `b1`, between `n1` and `n2`.
fn record(token: u64, beat: u64) -> Record {
    Record {
        holder: "n1".into(),
        incarnation: "p1".into(),
        token,
        beat,
        length: fast().length(),
        released: None,
        roll: Some(Roll { nodes: nodes(&["n1", "n2"]), boot: "b1".into() }),
    }
}

fn released(token: u64, next: Next) -> Record {
    Record { released: Some(next), ..record(token, 9) }
}

/// A process of one of the nodes.
struct Rig {
    candidate: Candidate,
    record: Option<(Record, u64)>,
    /// Whether the record can be read and written.
    reached: bool,
}

impl Rig {
    fn new(node: &str, process: &str, boot: &str, wish: Wish, record: Option<Record>) -> Self {
        let among = Among { nodes: nodes(&["n1", "n2"]), boot: boot.into(), steady: Params::STEADY };
        let candidate = Candidate::new(node, process, fast()).among(among, wish);
        Self { candidate, record: record.map(|record| (record, 20)), reached: true }
    }

    /// Hands something in and carries out what is to be done, at once.
    fn at(&mut self, seconds: f64, input: Input) {
        let mut effect = self.candidate.step(input, stamp(seconds));
        while let Some(order) = effect {
            let answer = match order {
                Effect::Read if !self.reached => Input::Read(Reading::Failed { why: "no leader".into() }),
                Effect::Read => Input::Read(match &self.record {
                    Some((record, at)) => Reading::Found { record: record.clone(), revision: Revision(*at) },
                    None => Reading::Absent,
                }),
                Effect::Write { .. } if !self.reached => {
                    Input::Written(Written::Unclear { why: "no leader".into() })
                }
                Effect::Write { expect, record } => {
                    let present = self.record.as_ref().map(|(_, at)| Revision(*at));
                    Input::Written(if expect == present {
                        let at = present.map_or(1, |Revision(at)| at + 1);
                        self.record = Some((record, at));
                        Written::Done { revision: Revision(at) }
                    } else {
                        Written::Conflict
                    })
                }
            };
            effect = self.candidate.step(answer, stamp(seconds));
        }
    }

    /// Lets time pass in small steps; the others answer questions so. The token at the end.
    fn until(&mut self, from: f64, to: f64, answers: impl Fn(f64) -> Option<bool>) -> Option<u64> {
        let mut now = from;
        while now < to {
            self.at(now, Input::Tick);
            if let Some(question) = self.candidate.question(stamp(now)) {
                let promised = answers(now);
                for by in question.to {
                    let Some(promises) = promised else { continue };
                    self.at(now, Input::Answered(Answer { number: question.number, by, promises }));
                }
            }
            now += 0.1;
        }
        self.candidate.belief(stamp(to)).map(|belief| belief.token)
    }

    fn written(&self) -> &Record {
        &self.record.as_ref().unwrap().0
    }
}

const AT_ONCE: Wish = Wish::Expired { after: Duration::ZERO };

#[test]
fn a_missing_record_is_never_made_and_a_stranger_never_takes_one() {
    let mut rig = Rig::new("n2", "p", "b2", Wish::Ordered, None);
    assert_eq!(rig.until(0.0, 60.0, |_| Some(true)), None);
    assert_eq!(rig.record, None);
    let mut rig = Rig::new("n3", "p", "b3", Wish::Ordered, Some(released(5, Next::Anyone)));
    assert_eq!(rig.until(0.0, 60.0, |_| Some(true)), None);
}

#[test]
fn what_a_node_wishes_decides_what_it_takes() {
    let takes = |record: Record, wish| {
        let mut rig = Rig::new("n2", "p", "b2", wish, Some(record));
        (0..200).map(|tenth| f64::from(tenth) / 10.0).find(|&now| {
            rig.at(now, Input::Tick);
            rig.candidate.belief(stamp(now)).is_some()
        })
    };
    let later = Wish::Expired { after: secs(1.0) };
    for (record, given, free, expired, ordered) in [
        (released(5, Next::Anyone), None, Some(0.0), Some(1.0), Some(0.0)),
        (released(5, Next::Node("n2".into())), Some(0.0), Some(0.0), Some(0.0), Some(0.0)),
        (released(5, Next::Node("n1".into())), None, None, Some(5.2), Some(4.2)),
        (released(5, Next::Nobody), None, None, None, Some(0.0)),
        (self::record(5, 9), None, None, Some(5.2), Some(4.2)),
    ] {
        let seen = [Wish::Watch, Wish::Given, Wish::Free, later, Wish::Ordered]
            .map(|wish| takes(record.clone(), wish));
        assert_eq!(seen, [None, given, free, expired, ordered], "{record:?}");
    }
}

#[test]
fn another_process_of_the_same_boot_goes_on_under_the_same_token() {
    let mut rig = Rig::new("n1", "p2", "b1", Wish::Watch, Some(record(5, 9)));
    assert_eq!(rig.until(0.0, 0.1, |_| None), Some(5), "whatever it wishes: it runs");
    let mut rig = Rig::new("n1", "p2", "another boot", AT_ONCE, Some(record(5, 9)));
    assert_eq!(rig.until(0.0, 0.1, |_| None), Some(6), "nothing runs any more");
}

#[test]
fn who_goes_on_makes_others_wait_for_what_the_earlier_process_believed() {
    let long = Record { length: Params::STEADY.length(), ..record(5, 9) };
    let mut rig = Rig::new("n1", "p2", "b1", AT_ONCE, Some(long));
    assert_eq!(rig.until(0.0, 0.1, |_| None), Some(5));
    assert_eq!(rig.written().length, Params::STEADY.length());
    // What runs is guarded by this process then.
    assert_eq!(rig.until(0.1, 1.5, |_| Some(true)), Some(5));
    assert_eq!(rig.written().length, fast().length());
}

#[test]
fn who_goes_on_does_so_also_when_its_first_write_is_answered_late_or_never() {
    let long = Record { length: Params::STEADY.length(), ..record(5, 9) };
    let mut rig = Rig::new("n1", "p2", "b1", AT_ONCE, Some(long));
    assert_eq!(rig.candidate.step(Input::Tick, stamp(0.0)), Some(Effect::Read));
    let (found, at) = rig.record.clone().unwrap();
    let found = Input::Read(Reading::Found { record: found, revision: Revision(at) });
    let Some(Effect::Write { record, .. }) = rig.candidate.step(found, stamp(0.0)) else {
        panic!("it goes on")
    };
    rig.record = Some((record, 21));
    rig.at(0.5, Input::Written(Written::Unclear { why: "late".into() }));
    assert_eq!(rig.candidate.belief(stamp(0.5)).map(|belief| belief.token), Some(5));
    assert_eq!(rig.written().length, Params::STEADY.length(), "what runs is guarded for as long");
}

#[test]
fn a_holder_that_cannot_renew_goes_on_while_all_others_promise() {
    let held = || {
        let mut rig = Rig::new("n1", "p2", "b1", AT_ONCE, Some(record(5, 9)));
        assert_eq!(rig.until(0.0, 1.0, |_| Some(true)), Some(5));
        rig.reached = false;
        rig
    };
    assert_eq!(held().until(1.0, 60.0, |_| Some(true)), Some(5));
    assert_eq!(held().until(1.0, 3.4, |_| None), Some(5), "2.5 s from the last renewal");
    assert_eq!(held().until(1.0, 3.6, |_| None), None);
    assert_eq!(held().until(1.0, 3.6, |_| Some(false)), None);
    // What was promised ends as a renewal does.
    assert_eq!(held().until(1.0, 13.3, |now| (now < 11.0).then_some(true)), Some(5));
    assert_eq!(held().until(1.0, 13.6, |now| (now < 11.0).then_some(true)), None);
}

#[test]
fn while_another_is_silent_the_lease_is_long_and_short_again_when_it_speaks() {
    let mut rig = Rig::new("n1", "p2", "b1", AT_ONCE, Some(record(5, 9)));
    assert_eq!(rig.until(0.0, 9.0, |_| None), Some(5));
    assert_eq!(rig.written().length, fast().length());
    assert_eq!(rig.until(9.0, 13.0, |_| None), Some(5));
    assert_eq!(rig.written().length, Params::STEADY.length());
    // It believes for as long as that says.
    rig.reached = false;
    assert_eq!(rig.until(13.0, 34.0, |_| None), Some(5));
    rig.reached = true;
    assert_eq!(rig.until(34.0, 37.0, |_| Some(true)), Some(5));
    assert_eq!(rig.written().length, fast().length());
    rig.reached = false;
    assert_eq!(rig.until(37.0, 40.5, |_| None), None, "who reads that waits for no longer");
}

#[test]
fn one_that_is_alone_on_the_roll_needs_nobody() {
    let alone = Among { nodes: nodes(&["n1"]), boot: "b1".into(), steady: Params::STEADY };
    let mut rig = Rig::new("n1", "p", "b1", Wish::Watch, Some(record(5, 9)));
    rig.candidate = Candidate::new("n1", "p2", fast()).among(alone, AT_ONCE);
    assert_eq!(rig.until(0.0, 3.0, |_| None), Some(5));
    rig.reached = false;
    assert_eq!(rig.until(3.0, 100.0, |_| None), Some(5));
}

#[test]
fn who_promises_waits_as_if_it_had_seen_a_change() {
    let watching = || {
        let mut rig = Rig::new("n2", "p", "b2", AT_ONCE, Some(record(5, 9)));
        rig.until(0.0, 4.0, |_| None);
        rig
    };
    assert_eq!(watching().until(4.0, 4.5, |_| None), Some(6));
    let mut rig = watching();
    assert!(rig.candidate.promise(5, secs(4.2), stamp(4.0)));
    assert_eq!(rig.until(4.0, 8.1, |_| None), None);
    assert_eq!(rig.until(8.1, 8.5, |_| None), Some(6));
    // A shorter promise does not shorten a longer one.
    let mut rig = watching();
    assert!(rig.candidate.promise(5, secs(32.0), stamp(4.0)));
    assert!(rig.candidate.promise(5, secs(4.2), stamp(5.0)));
    assert_eq!(rig.until(5.0, 35.9, |_| None), None);
    assert_eq!(rig.until(35.9, 36.5, |_| None), Some(6));
}

#[test]
fn a_promise_before_the_first_look_counts_too() {
    let mut rig = Rig::new("n2", "p", "b2", AT_ONCE, None);
    rig.reached = false;
    assert!(rig.candidate.promise(5, secs(32.0), stamp(0.0)));
    (rig.reached, rig.record) = (true, Some((record(5, 9), 20)));
    assert_eq!(rig.until(0.3, 31.9, |_| None), None);
    assert_eq!(rig.until(31.9, 32.5, |_| None), Some(6));
}

#[test]
fn what_is_given_back_after_a_promise_is_free() {
    let mut rig = Rig::new("n2", "p", "b2", Wish::Free, Some(record(5, 9)));
    rig.until(0.0, 1.0, |_| None);
    assert!(rig.candidate.promise(5, secs(4.2), stamp(1.0)));
    rig.record = Some((released(5, Next::Node("n2".into())), 21));
    rig.at(1.1, Input::Hint);
    assert_eq!(rig.candidate.belief(stamp(1.1)).map(|belief| belief.token), Some(6));
}

#[test]
fn who_holds_it_or_knows_better_promises_nothing() {
    let mut rig = Rig::new("n2", "p", "b2", AT_ONCE, Some(released(5, Next::Anyone)));
    assert_eq!(rig.until(0.0, 0.1, |_| None), Some(6));
    assert!(!rig.candidate.promise(6, secs(4.2), stamp(0.2)), "it holds it");
    let mut rig = Rig::new("n2", "p", "b2", Wish::Watch, Some(record(5, 9)));
    rig.until(0.0, 0.1, |_| None);
    assert!(!rig.candidate.promise(4, secs(4.2), stamp(0.2)), "a holder of the past");
    assert!(rig.candidate.promise(7, secs(4.2), stamp(0.2)));
    assert!(!rig.candidate.promise(6, secs(4.2), stamp(0.2)), "it promised to a later one");
    let mut rig = Rig::new("n2", "p", "b2", Wish::Watch, Some(released(5, Next::Anyone)));
    rig.until(0.0, 0.1, |_| None);
    assert!(!rig.candidate.promise(5, secs(4.2), stamp(0.2)), "that one has given it back");
}

#[test]
fn who_gives_it_back_and_stays_sees_to_it_and_may_take_it_again() {
    let mut rig = Rig::new("n1", "p2", "b1", AT_ONCE, Some(record(5, 9)));
    assert_eq!(rig.until(0.0, 1.0, |_| Some(true)), Some(5));
    rig.reached = false;
    rig.at(1.0, Input::Release { next: Next::Node("n2".into()), stay: true });
    assert_eq!(rig.candidate.belief(stamp(1.0)), None, "it acts no more");
    assert_eq!(rig.until(1.0, 3.0, |_| None), None);
    assert_eq!(rig.written().released, None);
    rig.reached = true;
    assert_eq!(rig.until(3.0, 4.0, |_| None), None);
    assert_eq!(rig.written().released, Some(Next::Node("n2".into())));
    // The other never comes.
    assert_eq!(rig.until(4.0, 7.0, |_| None), None);
    assert_eq!(rig.until(7.0, 8.5, |_| None), Some(6));
}

#[test]
fn one_that_comes_to_the_roll_is_asked_as_soon_as_it_may_be_on_it() {
    let mut rig = Rig::new("n1", "p2", "b1", AT_ONCE, Some(record(5, 9)));
    assert_eq!(rig.until(0.0, 1.0, |_| Some(true)), Some(5));
    rig.candidate.enroll(nodes(&["n1", "n2", "n3"]));
    rig.reached = false;
    rig.until(1.0, 2.2, |_| Some(true));
    let asked = (22..40).find_map(|tenth| rig.candidate.question(stamp(f64::from(tenth) / 10.0))).unwrap();
    assert_eq!(asked.to, nodes(&["n2", "n3"]), "the record that names n3 may be there");
}
