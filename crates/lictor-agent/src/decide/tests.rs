//! The loop by itself, one message at a time.

use lictor_core::{Command, RemedyName};
use lictor_store::{NodeStore, Options};

use super::*;

/// Hands that have nothing to do.
struct Idle;

impl Hands for Idle {
    fn carry_out(&self, _effect: Effect, _limit: Duration) {}

    fn over(&self, _run: RunId) {}
}

fn act(number: usize) -> Act {
    Act {
        at: Now::default(),
        by: "ann".to_owned(),
        from: "127.0.0.1".to_owned(),
        door: "api".to_owned(),
        what: format!("POST /v1/remedies/none/start {number}"),
        detail: String::new(),
        end: ActEnd::Begun,
        said: String::new(),
        of: None,
    }
}

#[tokio::test]
async fn acts_that_wait_while_nothing_can_be_recorded_have_a_bound_and_the_rest_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let opened = NodeStore::open(Options::new(dir.path(), "n1")).unwrap();
    let clock = Clock::fresh();
    let (_sender, inbox) = mpsc::channel(1);
    let mut deciding = Loop {
        engine: Engine::restore(Arc::default(), Vec::new(), clock.now()).0,
        store: opened.store,
        clock,
        boot_id: "boot".to_owned(),
        inbox,
        hands: Idle,
        copies: None,
        live: broadcast::channel(1).0,
        alive: None,
        closing: CancellationToken::new(),
        stop: CancellationToken::new(),
    };
    let mut turns = Turns::default();
    let ask = |deciding: &mut Loop<Idle>, turns: &mut Turns, number| {
        let (answer, _nobody) = oneshot::channel();
        let command = Command::Start(RemedyName::new("none").unwrap());
        deciding.take(Message::Command(command, Some(Box::new(act(number))), answer), turns);
    };
    // As long as things can be recorded there is none: they are with the next commit.
    for number in 0..=WAITING_ACTS {
        ask(&mut deciding, &mut turns, number);
    }
    assert_eq!((turns.pending.batch.acts(), turns.lost), (WAITING_ACTS + 1, 0));
    let mut turns = Turns::default();
    let _word = deciding.cannot_record("the disk is full".to_owned(), &mut turns);
    for number in 0..WAITING_ACTS + 100 {
        ask(&mut deciding, &mut turns, number);
    }
    assert_eq!((turns.pending.batch.acts(), turns.lost), (WAITING_ACTS, 100));
    assert_eq!(turns.pending.answers.len(), WAITING_ACTS + 100, "each is done and answered all the same");
}
