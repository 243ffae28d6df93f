//! How the nodes of a service speak to each other.

use std::collections::BTreeSet;
use std::time::Duration;

use lictor_core::lease::Answer;
use tokio::sync::mpsc;

/// So many words wait to be said or heard. They are worth something only now: what does not fit is dropped.
const WAITING: usize = 64;

/// Something to be said to other nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// The holder asks these to wait.
    Question {
        /// Another number each time.
        number: u64,
        /// The token under which it holds the lease.
        token: u64,
        /// For how long from when they are asked.
        length: Duration,
        /// Who is asked.
        to: BTreeSet<String>,
    },
    /// What this node says to one that has asked.
    Answer {
        /// Who has.
        to: String,
        /// Which of its processes.
        asker: String,
        /// With what.
        answer: Answer,
    },
}

/// Something heard from another node that has proved who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It holds the lease and asks this node to wait.
    Question {
        /// Its name.
        from: String,
        /// Which of its processes.
        asker: String,
        /// The number of its question.
        number: u64,
        /// The token under which it holds the lease.
        token: u64,
        /// For how long.
        length: Duration,
    },
    /// It answers.
    Answer(Answer),
}

/// Both ends of the way to the other nodes.
#[derive(Debug)]
pub struct Voice {
    /// What is to be said.
    pub says: mpsc::Sender<Spoken>,
    /// What was heard.
    pub hears: mpsc::Receiver<Heard>,
}

impl Voice {
    /// A voice, and the ends of whoever carries the words.
    pub fn new() -> (Self, mpsc::Receiver<Spoken>, mpsc::Sender<Heard>) {
        let (says, said) = mpsc::channel(WAITING);
        let (heard, hears) = mpsc::channel(WAITING);
        (Self { says, hears }, said, heard)
    }
}
