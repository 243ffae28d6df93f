//! What was copied, noted at the destination: for the next one who copies, for whoever looks for ways that come back, and as the
//! program did that was replaced.

use std::sync::Arc;
use std::time::Duration;

use lictor_consul::{Client, Error, Operation, Query};
use lictor_core::Wall;
use lictor_core::replicate::{Copier, Prefix, Way};
use lictor_store::wire::{self, Copied};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tracing::debug;

use super::term::Fence;

/// How far apart two notes are at least.
const EVERY: Duration = Duration::from_secs(5);

/// As consul-replicate notes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct OldNote {
    last_replicated: u64,
    source: String,
    destination: String,
    /// Of ours: the source's index went back, and deletes wait for a person.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    went_back: bool,
}

/// How it is noted.
#[derive(Clone, Debug)]
pub(super) enum Form {
    /// As ours, by this node.
    Own { way: Way, node: String, rule: String },
    /// As the program's that was replaced.
    Old { prefix: Prefix },
}

/// The note of one copy.
pub(super) struct Notes {
    client: Client,
    key: String,
    form: Form,
    fence: Option<Arc<Fence>>,
    /// What was written last, and what is to be written.
    written: Option<Vec<u8>>,
    wanted: Option<(Vec<u8>, Says)>,
    latest: Instant,
    /// What is there says; `None`: nobody knows.
    noted: Option<Says>,
}

/// What of a note the next one who copies must not have wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Says {
    /// Something is said to be copied.
    copied: bool,
    /// The source's index went back.
    back: bool,
}

impl Says {
    const fn of(copier: &Copier) -> Self {
        Self { copied: copier.copied().is_some(), back: copier.is_back() }
    }
}

/// What the note of before says.
#[derive(Clone, Debug, Default)]
pub(super) struct Before {
    /// Up to which index everything was copied.
    pub(super) copied: Option<u64>,
    /// Keys that stay.
    pub(super) kept: Vec<u64>,
    /// Whether the source's index went back.
    pub(super) went_back: bool,
}

impl Notes {
    pub(super) fn new(client: Client, key: String, form: Form, fence: Option<Arc<Fence>>) -> Self {
        Self { client, key, form, fence, written: None, wanted: None, latest: Instant::now(), noted: None }
    }

    /// Reads what is noted. What cannot be read is as if it was not there: everything is compared then.
    ///
    /// # Errors
    /// If there is no usable answer.
    pub(super) async fn read(&mut self) -> Result<Before, Error> {
        let pair = self.client.kv().get(&self.key, &Query::new().consistent()).await?.value;
        self.noted = Some(Says { copied: false, back: false });
        let Some(pair) = pair else { return Ok(Before::default()) };
        let before = match &self.form {
            Form::Own { rule, .. } => wire::decode::<Copied>(&pair.value)
                .inspect_err(
                    |error| debug!(key = self.key, %error, "the note of what was copied cannot be read"),
                )
                .map(|note| Before {
                    copied: note.copied.filter(|_| note.rule == *rule),
                    kept: note.kept(),
                    went_back: note.went_back,
                })
                .unwrap_or_default(),
            Form::Old { prefix } => {
                let note: OldNote = serde_json::from_slice(&pair.value).unwrap_or_default();
                // Of another copy that has the same key.
                let ours = note.source == prefix.source && note.destination == prefix.destination;
                Before {
                    copied: Some(note.last_replicated).filter(|&index| ours && index > 0),
                    kept: Vec::new(),
                    went_back: ours && note.went_back,
                }
            }
        };
        // It may say of another rule how far that was.
        self.noted = Some(Says { copied: true, back: before.went_back });
        Ok(before)
    }

    /// Notes how far it is; it is written soon.
    pub(super) fn copied(&mut self, copier: &Copier, at: Wall) {
        let note = self.note(copier, at);
        if note.is_some() && note != self.written {
            self.wanted = note.map(|note| (note, Says::of(copier)));
        }
    }

    /// Notes at once that nobody knows how far it is, and whether the source's index went back, if something else is noted.
    ///
    /// # Errors
    /// If it is not known to be noted.
    pub(super) async fn forget(&mut self, copier: &Copier, at: Wall) -> Result<(), Error> {
        // It says how far it was.
        self.wanted = None;
        if self.noted == Some(Says::of(copier)) { Ok(()) } else { self.write_now(copier, at).await }
    }

    /// Notes at once how far it is, and what stays.
    ///
    /// # Errors
    /// If it is not known to be noted.
    pub(super) async fn write_now(&mut self, copier: &Copier, at: Wall) -> Result<(), Error> {
        match self.note(copier, at) {
            Some(note) => self.put(note, Says::of(copier)).await,
            None => Ok(()),
        }
    }

    async fn put(&mut self, note: Vec<u8>, says: Says) -> Result<(), Error> {
        self.latest = Instant::now();
        // Nobody knows what is there when this fails.
        (self.noted, self.written) = (None, Some(Vec::new()));
        match &self.fence {
            // A node that was replaced notes nothing.
            Some(fence) => {
                let set = Operation::set(self.key.as_str(), note.clone());
                self.client.txn().run(&[fence.operation(), set]).await.map(drop)?;
            }
            None => self.client.kv().put(&self.key, note.clone()).await?,
        }
        (self.wanted, self.written, self.noted) = (None, Some(note), Some(says));
        Ok(())
    }

    fn note(&self, copier: &Copier, at: Wall) -> Option<Vec<u8>> {
        match &self.form {
            Form::Own { way, node, rule } => {
                let (copied, back) = (copier.copied(), copier.is_back());
                wire::encode(&Copied::new(way, node, copied, copier.kept(), rule, back, at)).ok()
            }
            Form::Old { prefix } => {
                let Prefix { source, destination, .. } = prefix.clone();
                let (last_replicated, went_back) = (copier.copied().unwrap_or_default(), copier.is_back());
                serde_json::to_vec_pretty(&OldNote { last_replicated, source, destination, went_back }).ok()
            }
        }
    }

    /// When it is to be written.
    pub(super) fn due(&self) -> Option<Instant> {
        self.wanted.as_ref().map(|_| match self.written {
            Some(_) => self.latest + EVERY,
            None => self.latest,
        })
    }

    /// Writes it. If that fails the next start compares more than it would have to.
    pub(super) async fn write(&mut self) {
        if self.due().is_none_or(|due| due > Instant::now()) {
            return;
        }
        let Some((note, says)) = self.wanted.take() else { return };
        if let Err(error) = self.put(note.clone(), says).await {
            debug!(key = self.key, %error, "what was copied could not be noted");
            self.wanted = Some((note, says));
        }
    }
}
