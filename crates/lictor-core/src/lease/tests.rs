use super::*;

/// The agent stops.
const LEAVE: Input = Input::Release { next: Next::Anyone, stay: false };

/// What the record says, in short: `n1/a 3.1` is token 3 and beat 1 of the process `a` of `n1`.
fn record(text: &str) -> Record {
    let (who, numbers) = text.split_once(' ').unwrap();
    let (holder, incarnation) = who.split_once('/').unwrap();
    let (token, beat) = numbers.trim_end_matches('!').split_once('.').unwrap();
    Record {
        holder: holder.into(),
        incarnation: incarnation.into(),
        token: token.parse().unwrap(),
        beat: beat.parse().unwrap(),
        length: Params::STEADY.length(),
        released: numbers.ends_with('!').then_some(Next::Anyone),
        roll: None,
    }
}

fn short(record: &Record) -> String {
    let Record { holder, incarnation, token, beat, released, .. } = record;
    format!("{holder}/{incarnation} {token}.{beat}{}", if released.is_some() { "!" } else { "" })
}

fn found(text: &str, revision: u64) -> Input {
    Input::Read(Reading::Found { record: record(text), revision: Revision(revision) })
}

fn absent() -> Input {
    Input::Read(Reading::Absent)
}

fn failed() -> Input {
    Input::Read(Reading::Failed { why: "no leader".into() })
}

fn done(revision: u64) -> Input {
    Input::Written(Written::Done { revision: Revision(revision) })
}

fn conflict() -> Input {
    Input::Written(Written::Conflict)
}

fn unclear() -> Input {
    Input::Written(Written::Unclear { why: "no answer".into() })
}

/// The process `b` of `n1`.
struct Rig(Candidate);

impl Rig {
    fn new() -> Self {
        Self(Candidate::new("n1", "b", Params::STEADY))
    }

    /// A holder since the second 0, with token 5 and what it wrote at revision 20.
    fn holder() -> Self {
        let mut rig = Self::new();
        assert_eq!(rig.at(0.0, Input::Tick), "read");
        assert_eq!(rig.at(0.0, found("n9/z 4.7!", 19)), "19 -> n1/b 5.1");
        assert_eq!(rig.at(0.1, done(20)), "");
        rig
    }

    /// Hands something in; what is to be done then.
    fn at(&mut self, seconds: f64, input: Input) -> String {
        match self.0.step(input, stamp(seconds)) {
            None => String::new(),
            Some(Effect::Read) => "read".to_owned(),
            Some(Effect::Write { expect: None, record }) => format!("none -> {}", short(&record)),
            Some(Effect::Write { expect: Some(Revision(at)), record }) => {
                format!("{at} -> {}", short(&record))
            }
        }
    }

    /// Lets time pass as its driver does, with the same answer to each read; when it writes,
    /// and what.
    fn until_it_writes(&mut self, from: f64, answer: &Input) -> (f64, String) {
        let (mut now, mut input) = (from, Input::Tick);
        loop {
            let said = self.at(now, input);
            match said.as_str() {
                "" => {
                    let wait = self.0.wait(stamp(now));
                    assert!(!wait.is_zero(), "it would spin at {now}");
                    now += wait.as_secs_f64();
                    input = Input::Tick;
                }
                "read" => input = answer.clone(),
                _ => return (now, said),
            }
            assert!(now < from + 1_000.0, "it never writes");
        }
    }

    fn token(&self, seconds: f64) -> Option<u64> {
        self.0.belief(stamp(seconds)).map(|belief| belief.token)
    }

    fn standing(&self, seconds: f64) -> String {
        match self.0.standing(stamp(seconds)) {
            Standing::Held(belief) => format!("held under {}", belief.token),
            Standing::Other { holder, .. } => format!("{holder} has it"),
            Standing::Free => "free".to_owned(),
            Standing::Unknown { why } => why.to_owned(),
        }
    }
}

fn stamp(seconds: f64) -> Stamp {
    let time = Duration::from_secs_f64(1_000.0 + seconds);
    Stamp { awake: time, whole: time }
}

#[test]
fn a_missing_record_is_made_after_a_full_length() {
    let mut rig = Rig::new();
    assert_eq!(rig.standing(0.0), "the record was not read yet");
    assert_eq!(rig.until_it_writes(3.0, &absent()), (35.0, "none -> n1/b 1.1".into()));
    assert_eq!(rig.standing(35.0), "free");
    rig.at(35.1, done(7));
    assert_eq!(rig.standing(35.1), "held under 1");
}

#[test]
fn a_record_that_does_not_change_is_replaced_after_a_full_length() {
    let mut rig = Rig::new();
    assert_eq!(rig.until_it_writes(0.0, &found("n2/a 4.9", 20)), (32.0, "20 -> n1/b 5.1".into()));
    assert_eq!(rig.standing(32.0), "n2 has it");
}

#[test]
fn a_change_that_is_seen_begins_the_wait_anew() {
    let mut rig = Rig::new();
    rig.at(0.0, Input::Tick);
    rig.at(0.0, found("n2/a 4.9", 20));
    assert_eq!(rig.at(5.0, Input::Tick), "read");
    assert_eq!(rig.at(6.0, found("n2/a 4.10", 21)), "");
    assert_eq!(rig.until_it_writes(7.0, &found("n2/a 4.10", 21)), (38.0, "21 -> n1/b 5.1".into()));
}

#[test]
fn the_longer_length_counts_the_holders_or_ours() {
    let mut rig = Rig::new();
    let longer = Record { length: Duration::from_secs(100), ..record("n2/a 4.9") };
    let longer = Input::Read(Reading::Found { record: longer, revision: Revision(20) });
    assert_eq!(rig.until_it_writes(0.0, &longer).0, 100.0);
    let mut rig = Rig::new();
    let shorter = Record { length: Duration::from_secs(1), ..record("n2/a 4.9") };
    let shorter = Input::Read(Reading::Found { record: shorter, revision: Revision(20) });
    assert_eq!(rig.until_it_writes(0.0, &shorter).0, 32.0);
}

#[test]
fn a_record_that_is_not_understood_is_never_replaced() {
    let mut rig = Rig::new();
    let newer = Reading::Unreadable { revision: Revision(20), why: "a newer program wrote it".into() };
    for second in 0..200 {
        let said = rig.at(f64::from(second), Input::Tick);
        assert!(said.is_empty() || said == "read", "{said}");
        rig.at(f64::from(second), Input::Read(newer.clone()));
    }
    assert_eq!(rig.standing(200.0), "a newer program wrote it");
}

#[test]
fn belief_is_counted_from_before_the_renewal_was_sent() {
    let mut rig = Rig::holder();
    assert_eq!(rig.until_it_writes(0.1, &failed()), (5.0, "20 -> n1/b 5.2".into()));
    assert_eq!(rig.token(23.9), Some(5));
    assert_eq!(rig.token(24.0), None);
    rig.at(6.5, done(21));
    assert_eq!(rig.token(28.9), Some(5));
    assert_eq!(rig.token(29.0), None);
}

#[test]
fn after_an_unclear_answer_only_a_new_success_counts_and_from_its_own_sending() {
    let mut rig = Rig::holder();
    rig.at(5.0, Input::Tick);
    assert_eq!(rig.at(7.0, unclear()), "read");
    // It was done; that does not say when it will have been seen.
    assert_eq!(rig.at(8.0, found("n1/b 5.2", 21)), "21 -> n1/b 5.3");
    assert_eq!(rig.token(24.0), None);
    rig.at(9.0, done(22));
    assert_eq!((rig.token(31.9), rig.token(32.0)), (Some(5), None));
}

#[test]
fn what_certainly_was_not_done_is_tried_again_after_a_moment() {
    let mut rig = Rig::holder();
    rig.at(5.0, Input::Tick);
    let refused = Input::Written(Written::NotDone { why: "refused".into() });
    assert_eq!(rig.at(5.1, refused), "");
    assert_eq!(rig.until_it_writes(5.1, &failed()), (6.1, "20 -> n1/b 5.3".into()));
    assert_eq!(rig.standing(6.1), "held under 5");
}

#[test]
fn a_holder_that_is_cut_off_believes_no_longer_and_waits_like_others() {
    let mut rig = Rig::holder();
    rig.at(5.0, Input::Tick);
    assert_eq!(rig.at(7.0, unclear()), "read");
    assert_eq!(rig.at(24.0, failed()), "");
    assert_eq!(rig.standing(24.0), "no leader");
    // The late renewal of 5.0 has not landed: the record may be an old one put back.
    assert_eq!(rig.until_it_writes(25.0, &found("n1/b 5.1", 20)), (57.0, "20 -> n1/b 6.3".into()));
    assert_eq!(rig.standing(57.0), "free");
}

#[test]
fn a_holder_that_sees_another_gives_up_at_once() {
    let mut rig = Rig::holder();
    rig.at(5.0, Input::Tick);
    assert_eq!(rig.at(5.1, conflict()), "read");
    assert_eq!(rig.at(5.2, found("n2/a 6.1", 30)), "");
    assert_eq!((rig.token(5.2), rig.standing(5.2)), (None, "n2 has it".into()));
}

#[test]
fn a_late_answer_to_a_frozen_holder_is_no_belief() {
    let mut rig = Rig::holder();
    rig.at(5.0, Input::Tick);
    assert_eq!(rig.at(29.0, done(21)), "read");
    assert_eq!(rig.token(29.0), None);
    let mut rig = Rig::holder();
    rig.at(5.0, Input::Tick);
    assert_eq!(rig.at(28.9, done(21)), "21 -> n1/b 5.3");
    assert_eq!(rig.token(28.9), Some(5));
}

#[test]
fn a_taking_that_is_unclear_is_looked_at_and_done_again() {
    let mut rig = Rig::new();
    rig.until_it_writes(0.0, &found("n2/a 4.9", 20));
    assert_eq!(rig.at(34.0, unclear()), "read");
    // It has not landed yet, and lands now: what is there is ours, and nobody acts on it.
    assert_eq!(rig.at(34.1, found("n2/a 4.9", 20)), "20 -> n1/b 5.2");
    assert_eq!(rig.at(34.2, conflict()), "");
    let next = rig.until_it_writes(34.2, &found("n1/b 5.1", 21));
    assert_eq!(next, (35.2, "21 -> n1/b 6.3".into()));
    assert_eq!(rig.token(35.2), None);
}

#[test]
fn a_taking_that_comes_too_late_begins_the_wait_anew() {
    let mut rig = Rig::new();
    rig.until_it_writes(0.0, &found("n2/a 4.9", 20));
    assert_eq!(rig.at(32.1, conflict()), "read");
    assert_eq!(rig.at(32.2, found("n3/a 5.1", 21)), "");
    assert_eq!(rig.until_it_writes(32.2, &found("n3/a 5.1", 21)), (64.2, "21 -> n1/b 6.2".into()));
}

#[test]
fn a_released_record_is_taken_at_once() {
    let mut rig = Rig::new();
    rig.at(0.0, Input::Tick);
    rig.at(0.0, found("n2/a 4.9", 20));
    rig.at(5.0, Input::Tick);
    assert_eq!(rig.at(5.0, found("n2/a 4.10!", 21)), "21 -> n1/b 5.1");
}

#[test]
fn a_released_record_of_the_past_is_waited_for() {
    let mut rig = Rig::new();
    rig.at(0.0, Input::Tick);
    rig.at(0.0, found("n3/a 5.1", 30));
    rig.at(5.0, Input::Tick);
    assert_eq!(rig.at(5.0, found("n2/a 4.10!", 21)), "");
    assert_eq!(rig.until_it_writes(5.0, &found("n2/a 4.10!", 21)), (37.0, "21 -> n1/b 6.1".into()));
}

#[test]
fn what_an_earlier_process_of_this_node_left_is_taken_at_once() {
    let mut rig = Rig::new();
    rig.at(0.0, Input::Tick);
    assert_eq!(rig.at(0.0, found("n1/a 4.9", 20)), "20 -> n1/b 5.1");
    // A last write of that process landed late.
    assert_eq!(rig.at(0.1, conflict()), "read");
    assert_eq!(rig.at(0.2, found("n1/a 4.10", 21)), "21 -> n1/b 5.2");
}

#[test]
fn another_process_that_calls_itself_this_node_is_alive() {
    let mut rig = Rig::holder();
    rig.at(5.0, Input::Tick);
    assert_eq!(rig.at(5.1, conflict()), "read");
    assert_eq!(rig.at(5.2, found("n1/c 6.1", 30)), "");
    assert_eq!(rig.standing(5.2), "n1 has it");
    assert_eq!(rig.until_it_writes(5.2, &found("n1/c 6.1", 30)).0, 37.2);
}

#[test]
fn a_release_ends_the_belief_before_it_is_written() {
    let mut rig = Rig::holder();
    assert_eq!(rig.at(1.0, LEAVE), "20 -> n1/b 5.2!");
    assert_eq!((rig.token(1.0), rig.standing(1.0)), (None, "this node has given it back".into()));
    assert!(!rig.0.has_left());
    assert_eq!(rig.at(1.1, done(21)), "");
    assert!(rig.0.has_left());
    assert_eq!(rig.at(100.0, Input::Tick), "");
}

#[test]
fn a_release_waits_for_the_renewal_that_is_under_way() {
    let mut rig = Rig::holder();
    rig.at(5.0, Input::Tick);
    assert_eq!(rig.at(5.1, LEAVE), "");
    assert_eq!(rig.token(5.1), None);
    assert_eq!(rig.at(5.2, done(21)), "21 -> n1/b 5.3!");
    let mut rig = Rig::holder();
    rig.at(5.0, Input::Tick);
    rig.at(5.1, LEAVE);
    assert_eq!(rig.at(5.2, unclear()), "read");
    assert_eq!(rig.at(5.3, found("n1/b 5.1", 20)), "20 -> n1/b 5.3!");
}

#[test]
fn a_release_that_is_unclear_is_left_to_the_others_wait() {
    for answer in [unclear(), conflict()] {
        let mut rig = Rig::holder();
        rig.at(1.0, LEAVE);
        assert_eq!(rig.at(1.1, answer), "");
        assert!(rig.0.has_left());
    }
}

#[test]
fn only_what_is_held_is_released() {
    let mut rig = Rig::new();
    rig.at(0.0, Input::Tick);
    rig.at(0.0, found("n2/a 4.9", 20));
    assert_eq!(rig.at(1.0, LEAVE), "");
    assert!(rig.0.has_left());
    // A lapsed holder's record may have been put back.
    let mut rig = Rig::holder();
    assert_eq!(rig.at(30.0, Input::Tick), "read");
    rig.at(30.1, found("n1/b 5.1", 20));
    assert_eq!(rig.at(31.0, LEAVE), "");
    assert!(rig.0.has_left());
}

#[test]
fn an_answer_that_nobody_waits_for_is_passed_over() {
    let mut rig = Rig::holder();
    for stray in [done(99), found("n2/a 9.9", 99), conflict()] {
        assert_eq!(rig.at(1.0, stray), "");
        assert_eq!(rig.standing(1.0), "held under 5");
    }
    // While it reads, an answer to a write is one too.
    rig.at(30.0, Input::Tick);
    assert_eq!(rig.at(30.0, done(99)), "");
    assert_eq!(rig.token(30.0), None);
}

#[test]
fn a_machine_that_slept_has_not_waited() {
    let mut rig = Rig::new();
    rig.at(0.0, Input::Tick);
    rig.at(0.0, found("n2/a 4.9", 20));
    let woken = Stamp { awake: stamp(1.0).awake, whole: stamp(900.0).whole };
    assert_eq!(rig.0.step(Input::Tick, woken), Some(Effect::Read));
    let mut rig = Rig::holder();
    assert_eq!(rig.0.belief(woken), None);
    assert_eq!(rig.0.step(Input::Tick, woken), Some(Effect::Read));
}

#[test]
fn what_cannot_be_read_is_told_as_it_failed_first() {
    let mut rig = Rig::new();
    rig.at(0.0, Input::Tick);
    rig.at(0.0, found("n2/a 4.9", 20));
    rig.at(5.0, Input::Tick);
    rig.at(7.0, failed());
    assert_eq!(rig.at(7.5, Input::Tick), "", "it does not hammer");
    assert_eq!(rig.at(8.0, Input::Tick), "read");
    rig.at(8.1, Input::Read(Reading::Failed { why: "something else".into() }));
    assert_eq!(rig.standing(8.1), "no leader");
    rig.at(9.1, Input::Tick);
    rig.at(9.1, found("n2/a 4.9", 20));
    assert_eq!(rig.standing(9.1), "n2 has it");
}
