//! What the calendar asks for: digests, and maintenance windows.

use super::*;
use crate::alert::Silence;

impl Stage {
    /// Asks for a digest whose time has just come.
    fn digest(&mut self, also_when_well: bool) -> String {
        self.pass(secs(60));
        let due = Due::At(self.now().wall);
        self.digest_due(due, also_when_well)
    }

    fn digest_due(&mut self, due: Due, also_when_well: bool) -> String {
        let (name, to) = ("daily".to_owned(), vec![notifier("ops")]);
        self.command(Command::Digest { name, when: all(), to, also_when_well, due })
    }

    /// Asks for a maintenance window that lasts so long still.
    fn window(&mut self, left: u64) -> Option<Result<String, crate::Refusal>> {
        self.step(Input::Command(Command::Silence {
            id: Some(WINDOW.into()),
            when: all(),
            lasting: secs(left),
            by: Silence::CONFIGURATION.into(),
            comment: String::new(),
        }))
    }

    fn planned(&mut self, silences: &[&str]) {
        let silences = silences.iter().map(|id| (*id).to_owned()).collect();
        self.step(Input::Planned { silences });
    }
}

const WINDOW: &str = "maintenance night";

#[test]
fn a_digest_says_everything_that_is_wrong() {
    let mut stage = Stage::new(simple());
    for node in ["n1", "n2"] {
        stage.report(&consul(node, "web", "alive"), Critical);
    }
    stage.accept();
    stage.digest(false);
    stage.accept();
    let message = stage.accepted.last().unwrap();
    assert_eq!((message.occasion, message.items.len()), (Occasion::Digest, 2));
    assert_eq!(message.items[0].tells, Tells::Firing);
    stage.report(&consul("n1", "web", "alive"), Passing);
    stage.report(&consul("n2", "web", "alive"), Passing);
    stage.accept();
    assert_eq!(stage.digest(false), "digest daily: nothing is wrong");
    stage.digest(true);
    stage.accept();
    assert!(stage.accepted.last().unwrap().items.is_empty());
}

#[test]
fn a_digest_is_made_once_for_each_of_its_times() {
    let mut stage = Stage::new(simple());
    let due = Due::At(stage.now().wall);
    assert_eq!(stage.digest_due(due, true), "digest daily: 0 wrong");
    stage.pass(secs(5));
    assert_eq!(stage.digest_due(due, true), "digest daily: it was made already", "the answer was lost");
    stage.crash();
    assert_eq!(stage.digest_due(due, true), "digest daily: it was made already");
    assert_eq!(stage.accept().len(), 1);
    assert_eq!(stage.digest(true), "digest daily: 0 wrong", "its next time");
}

#[test]
fn a_digest_that_was_due_while_nobody_ran_is_made_up_for_once() {
    let mut stage = Stage::new(simple());
    stage.pass(secs(3_600));
    let yesterday = Due::Missed(Wall::from_unix_millis(2_000));
    assert_eq!(stage.digest_due(yesterday, true), "digest daily: its times begin now");
    assert_eq!(stage.accept().len(), 0, "a new one is not made up for");
    stage.crash();
    stage.pass(secs(3 * 86_400));
    let last = Due::Missed(Wall::from_unix_millis(2 * 86_400_000));
    assert_eq!(stage.digest_due(last, true), "digest daily: 0 wrong");
    stage.crash();
    assert_eq!(stage.digest_due(last, true), "digest daily: it was made already");
    assert_eq!(stage.accept().len(), 1);
}

#[test]
fn the_ledger_says_of_a_digest_what_it_is() {
    let mut stage = Stage::new(simple());
    stage.digest(true);
    stage.accept();
    stage.report(&consul("n1", "web", "alive"), Critical);
    stage.report(&consul("n2", "web", "alive"), Critical);
    stage.accept();
    stage.events.clear();
    stage.digest(true);
    stage.accept();
    assert_eq!(stage.events, ["ops accepted d4: digest: web: alive on n1: critical and 1 more"]);
}

#[test]
fn a_window_that_a_person_ended_does_not_come_back_before_its_end() {
    let mut stage = Stage::new(simple());
    assert!(stage.window(7_200).unwrap().is_ok());
    stage.pass(secs(600));
    stage.command(Command::Unsilence { id: WINDOW.into(), by: "ada".into() });
    stage.crash();
    stage.reports(true, vec![]);
    stage.planned(&[WINDOW]);
    let refused = stage.window(6_600).unwrap().unwrap_err();
    assert_eq!(refused.to_string(), "silence maintenance night was ended by ada");
    stage.report(&consul("n1", "web", "alive"), Critical);
    assert_eq!(stage.accept().len(), 1);
    // The next night it is another one; so is one that was made longer.
    assert!(stage.window(9_000).unwrap().is_ok());
    stage.command(Command::Unsilence { id: WINDOW.into(), by: "ada".into() });
    stage.pass(secs(86_400));
    assert!(stage.window(7_200).unwrap().is_ok());
    assert!(stage.desk.counters.ended.is_empty(), "nothing is kept of what is past");
}

#[test]
fn a_window_that_is_no_longer_configured_is_over() {
    let mut stage = Stage::new(simple());
    assert!(stage.window(7_200).unwrap().is_ok());
    let by_hand = Command::Silence {
        id: None,
        when: is("node", "n9"),
        lasting: secs(7_200),
        by: "ada".into(),
        comment: String::new(),
    };
    stage.command(by_hand);
    stage.report(&consul("n1", "web", "alive"), Critical);
    stage.planned(&[WINDOW]);
    assert_eq!(stage.accept().len(), 0);
    stage.planned(&[]);
    assert_eq!(stage.accept(), ["ops: firing web: alive on n1 critical"]);
    assert_eq!(stage.desk.silences().keys().collect::<Vec<_>>(), ["s1"], "those of people stay");
    assert!(stage.window(7_200).unwrap().is_ok(), "no person ended it");
}
