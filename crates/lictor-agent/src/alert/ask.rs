//! What nodes ask of the one that tells, by records: commands of people, what was reported to them,
//! and messages that they sent too late.

use std::collections::BTreeSet;
use std::time::Duration;

use lictor_core::alert::{Command, Input, Message, Silence};
use lictor_core::{NotifierName, Refusal, Wall};
use lictor_store::kv::{Kv, KvError, Op, Revision};
use lictor_store::wire::{self, Answer, Ask};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{debug, warn};

use super::inbox::DeskInbox;
use super::prometheus::Posts;
use crate::clock::Clock;
use crate::inbox::{Gone, NoAnswer};

/// Where what is asked lies, in the order in which it was asked.
const ASKED: &str = "alerts.ask/";

/// Where answers lie until they are read.
const ANSWERED: &str = "alerts.answer/";

/// How long an answer is waited for; the same as for that of our own desk.
const PATIENCE: Duration = Duration::from_secs(10);

/// An answer that nobody read is removed after so long.
const FORGOTTEN: i64 = 600_000;

/// How long one look for news is held open.
const HOLD: Duration = Duration::from_secs(30);

/// Pause between two looks.
const GAP: Duration = Duration::from_millis(100);

/// Pause after a look that failed.
const AGAIN: Duration = Duration::from_secs(1);

/// Of reported alerts, bytes in one record.
const POSTED: usize = 200 << 10;

/// Asks the node that tells. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Asks {
    pub(super) kv: Kv,
    pub(super) clock: Clock,
}

impl Asks {
    /// Has something done, and waits for the answer.
    pub(super) async fn command(&self, command: &Command) -> Result<Result<String, Refusal>, NoAnswer> {
        let now = self.clock.now();
        let Some(ask) = Ask::of(command, now) else {
            return Ok(Err(Refusal::Conflict("only the node that tells does that".to_owned())));
        };
        let deadline = Instant::now() + PATIENCE;
        let id = match timeout_at(deadline, self.write(&ask)).await {
            Ok(Ok(id)) => id,
            Ok(Err(why)) => return Ok(Err(Refusal::Conflict(format!("not asked: {why}")))),
            Err(_late) => return Err(NoAnswer::Late),
        };
        let answered = timeout_at(deadline, self.answer(&id)).await;
        if answered.is_err()
            && let Err(why) = self.kv.txn(&[Op::delete(format!("{ASKED}{id}"))]).await
        {
            warn!(%why, "what was asked and not done in time may still be done");
        }
        answered.map_err(|_late| NoAnswer::Late)
    }

    /// Hands on what was reported to this node.
    pub(super) async fn posted(&self, alerts: Vec<serde_json::Value>) -> Result<(), KvError> {
        let (mut some, mut size) = (Vec::new(), 0);
        for alert in alerts {
            let bytes = alert.to_string().len();
            if size + bytes > POSTED && !some.is_empty() {
                self.write(&Ask::Posted { alerts: std::mem::take(&mut some) }).await?;
                size = 0;
            }
            size += bytes;
            some.push(alert);
        }
        if !some.is_empty() {
            self.write(&Ask::Posted { alerts: some }).await?;
        }
        Ok(())
    }

    /// Hands on a silence of this node's own.
    /// Its id is made another: that of the shared desk may be taken.
    pub(super) async fn silence(&self, place: &str, silence: &Silence) -> Result<(), KvError> {
        let now = self.clock.now();
        let left = silence.ends().since(now.boot);
        if left.is_zero() {
            return Ok(());
        }
        let command = Command::Silence {
            id: Some(format!("{}{}", place.trim_start_matches("alerts.from/"), silence.id)),
            when: silence.when.clone(),
            lasting: left,
            by: silence.by.clone(),
            comment: silence.comment.clone(),
        };
        match Ask::of(&command, now) {
            Some(ask) => self.write(&ask).await.map(drop),
            None => Ok(()),
        }
    }

    /// Says that a message was sent too late.
    pub(super) async fn late(&self, message: &Message) -> Result<(), KvError> {
        let items = message.items.iter().map(Into::into).collect();
        self.write(&Ask::Late { notifier: message.notifier.to_string(), items }).await.map(drop)
    }

    async fn write(&self, ask: &Ask) -> Result<String, KvError> {
        let id = format!("{:013}-{:016x}", self.clock.now().wall.as_unix_millis(), rand::random::<u64>());
        let value = wire::encode(ask).map_err(|why| KvError::Refused { why: why.to_string() })?;
        self.kv.txn(&[Op::create(format!("{ASKED}{id}"), value)]).await?;
        Ok(id)
    }

    async fn answer(&self, id: &str) -> Result<String, Refusal> {
        let key = format!("{ANSWERED}{id}");
        let mut since = Revision(0);
        loop {
            match self.kv.watch(&key, since, HOLD).await {
                Ok(listing) => {
                    since = listing.revision;
                    if let Some(pair) = listing.pairs.into_iter().find(|pair| pair.key == key) {
                        if let Err(why) = self.kv.txn(&[Op::delete(key)]).await {
                            debug!(%why, "an answer that was read stays for now");
                        }
                        return match wire::decode::<Answer>(&pair.value) {
                            Ok(Answer { done: true, said, .. }) => Ok(said),
                            Ok(Answer { said, .. }) => Err(Refusal::Conflict(said)),
                            Err(why) => Err(Refusal::Conflict(why.to_string())),
                        };
                    }
                }
                Err(why) => {
                    debug!(%why, "no answer can be read yet");
                    sleep(AGAIN).await;
                }
            }
        }
    }
}

/// What is written when that is done which a record of this key asked for.
pub(super) fn answered(key: &str, said: Option<Result<String, Refusal>>, now: Wall) -> Vec<Op> {
    let mut ops = vec![Op::delete(key)];
    if let (Some(said), Some(id)) = (said, key.strip_prefix(ASKED)) {
        let unix_ms = now.as_unix_millis();
        let answer = match said {
            Ok(said) => Answer { done: true, said, unix_ms },
            Err(why) => Answer { done: false, said: why.to_string(), unix_ms },
        };
        match wire::encode(&answer) {
            Ok(value) => ops.push(Op::put(format!("{ANSWERED}{id}"), value)),
            Err(why) => warn!(%why, "an answer cannot be written"),
        }
    }
    ops
}

/// Hands in what others ask for, as long as this node is the one that tells.
pub(super) async fn take(kv: Kv, desk: DeskInbox, posts: Posts, clock: Clock) {
    tidy(&kv, clock.now().wall).await;
    let (mut since, mut known) = (Revision(0), BTreeSet::new());
    loop {
        match kv.watch(ASKED, since, HOLD).await {
            Ok(listing) => {
                since = listing.revision;
                // One that is done is gone from the list some time later.
                let present: BTreeSet<_> = listing.pairs.iter().map(|pair| pair.key.clone()).collect();
                known.retain(|key| present.contains(key));
                for pair in listing.pairs {
                    if !known.insert(pair.key.clone()) {
                        continue;
                    }
                    let key = pair.key.clone();
                    match hand_in(&kv, &desk, &posts, pair.key, &pair.value).await {
                        Ok(true) => {}
                        // It is tried again.
                        Ok(false) => drop(known.remove(&key)),
                        Err(Gone) => return,
                    }
                }
                sleep(GAP).await;
            }
            Err(why) => {
                debug!(%why, "what others ask for cannot be read");
                sleep(AGAIN).await;
            }
        }
    }
}

/// Whether it was handed in.
async fn hand_in(kv: &Kv, desk: &DeskInbox, posts: &Posts, key: String, value: &[u8]) -> Result<bool, Gone> {
    let input = match wire::decode::<Ask>(value) {
        Ok(Ask::Posted { alerts }) => {
            let alerts = alerts.into_iter().filter_map(|one| serde_json::from_value(one).ok()).collect();
            if let Err(why) = posts.take(alerts).await {
                warn!(%why, "what was reported to another node is not taken in yet");
                return Ok(false);
            }
            remove(kv, key).await;
            return Ok(true);
        }
        Ok(Ask::Late { notifier, items }) => match NotifierName::new(&notifier) {
            Ok(notifier) => Ok(Input::Late { notifier, items: items.into_iter().map(Into::into).collect() }),
            Err(why) => Err(why.to_string()),
        },
        Ok(ask) => ask.into_command().map(Input::Command).map_err(|why| why.to_string()),
        Err(why) => Err(why.to_string()),
    };
    match input {
        Ok(input) => desk.asked(vec![key], input).await?,
        Err(why) => {
            warn!(record = key, why, "what a record asks for is not understood");
            remove(kv, key).await;
        }
    }
    Ok(true)
}

async fn remove(kv: &Kv, key: String) {
    if let Err(why) = kv.txn(&[Op::delete(key)]).await {
        debug!(%why, "what was asked and done stays for now");
    }
}

/// Removes answers that nobody came for.
async fn tidy(kv: &Kv, now: Wall) {
    let Ok(listing) = kv.list(ANSWERED).await else { return };
    for pair in listing.pairs {
        let written = wire::decode::<Answer>(&pair.value).map(|answer| answer.unix_ms).unwrap_or_default();
        if now.as_unix_millis().saturating_sub(written) > FORGOTTEN
            && let Err(why) = kv.txn(&[Op::delete_at(pair.key, pair.revision)]).await
        {
            debug!(%why, "an old answer stays for now");
        }
    }
}
