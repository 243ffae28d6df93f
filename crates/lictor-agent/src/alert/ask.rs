//! What nodes ask of the one that tells, by records: commands of people, what was reported to them,
//! and messages that they sent too late.

use std::collections::BTreeSet;
use std::time::Duration;

use lictor_core::alert::{Command, Input, Message, Occasion, Silence};
use lictor_core::{Event, NotifierName, Refusal, Wall, What};
use lictor_store::kv::{Kv, KvError, Op, Revision};
use lictor_store::wire::{self, Answer, Ask};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{debug, warn};

use super::inbox::DeskInbox;
use super::prometheus::{Posted, Posts};
use super::relay;
use crate::clock::Clock;
use crate::inbox::{Gone, Inbox, NoAnswer};

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

/// What became of what a person asked for.
type Done = Result<String, Refusal>;

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

    /// Hands on what was reported to this node, with how long each of it holds still.
    pub(super) async fn posted(&self, alerts: Vec<(serde_json::Value, Duration)>) -> Result<(), KvError> {
        let (mut some, mut size) = (Vec::new(), 0);
        for alert in alerts {
            let bytes = alert.0.to_string().len();
            if size + bytes > POSTED && !some.is_empty() {
                self.write(&posted(std::mem::take(&mut some))).await?;
                size = 0;
            }
            size += bytes;
            some.push(alert);
        }
        if !some.is_empty() {
            self.write(&posted(some)).await?;
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
        if message.occasion == Occasion::Digest {
            // It says how things stood, and its receivers need not hear of each end.
            return Ok(());
        }
        let items = message.items.iter().map(Into::into).collect();
        self.write(&Ask::Late { notifier: message.notifier.to_string(), items }).await.map(drop)
    }

    /// Removes what a node said last that is gone for good, as somebody wants.
    pub(super) async fn forget(self, node: String, by: String, ledger: Inbox, answer: oneshot::Sender<Done>) {
        let said = match relay::forget(&self.kv, &node, self.clock.now().wall).await {
            Ok(said) => said,
            Err(why) => Err(Refusal::Conflict(format!("{node} is not forgotten: {why}"))),
        };
        if let Ok(said) = &said {
            let what = What::Commanded { command: format!("{said} (by {by})") };
            let event = Event { at: self.clock.now(), incident: None, run: None, what };
            // It stops: then the ledger is closed.
            let _gone = ledger.note(event).await;
        }
        // Nobody may be waiting any more.
        drop(answer.send(said));
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
                    // In their order: what came later waits for one that cannot be done yet.
                    loop {
                        match hand_in(&kv, &desk, &posts, pair.key.clone(), &pair.value).await {
                            Ok(true) => break,
                            Ok(false) => sleep(AGAIN).await,
                            Err(Gone) => return,
                        }
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
        Ok(Ask::Posted { alerts, left_ms }) => {
            let alerts = reported(alerts, &left_ms);
            if let Err(why) = posts.hand_in(alerts).await {
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

/// Why a node that shares its desk with no other forgets none.
pub(super) fn shared_with_nobody() -> Refusal {
    Refusal::Conflict("this node shares its alerts with no other".to_owned())
}

fn posted(some: Vec<(serde_json::Value, Duration)>) -> Ask {
    let millis = |left: Duration| u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
    let (alerts, left_ms) = some.into_iter().map(|(alert, left)| (alert, millis(left))).unzip();
    Ask::Posted { alerts, left_ms }
}

/// What was reported to another node. Of what an older program wrote it is not known how long it holds.
fn reported(alerts: Vec<serde_json::Value>, left_ms: &[u64]) -> Vec<Posted> {
    let read = |(place, alert): (usize, serde_json::Value)| {
        let left = left_ms.get(place).copied().map(Duration::from_millis);
        match serde_json::from_value::<Posted>(alert) {
            Ok(posted) => Some(Posted { left, ..posted }),
            Err(why) => {
                warn!(%why, "what was reported to another node is not understood");
                None
            }
        }
    };
    alerts.into_iter().enumerate().filter_map(read).collect()
}

/// Removes what was done. Nothing else is done before: what stays would be done again, after what came
/// later.
async fn remove(kv: &Kv, key: String) {
    while let Err(why) = kv.txn(&[Op::delete(key.clone())]).await {
        debug!(%why, "what was asked and done stays for now");
        sleep(AGAIN).await;
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
