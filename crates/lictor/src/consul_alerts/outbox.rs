//! What is to be written into the old program's records: the last value of each key, in order of
//! the keys, as long as the lock is held.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lictor_compat::consul_alerts::PREFIX;
use lictor_compat::consul_alerts::state::LEADER;
use lictor_consul::{Client, Error, Operation, Retry, SessionId};
use tokio::sync::{Notify, watch};
use tokio::time::sleep;
use tracing::{info, warn};

/// Keys that wait. A check has two, so that this is full only when Consul cannot be written to while
/// more checks change than anybody has; then the newest is refused and told of. What is refused is
/// written at the beginning of the next term.
const KEYS: usize = 50_000;

/// Of a transaction, bytes of its JSON: well below what Consul takes.
const BYTES: usize = 256 << 10;

/// Pause after a transaction that failed; doubled up to the longest.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

/// Values by key; `None` deletes.
type Values = BTreeMap<String, Option<String>>;

/// What waits. Clones are the same.
#[derive(Clone)]
pub(super) struct Outbox(Arc<Shared>);

struct Shared {
    waiting: Mutex<Values>,
    more: Notify,
    /// So much is not written yet, that included which is under way.
    unwritten: watch::Sender<usize>,
}

impl Outbox {
    pub(super) fn new() -> Self {
        let (unwritten, _) = watch::channel(0);
        Self(Arc::new(Shared { waiting: Mutex::default(), more: Notify::new(), unwritten }))
    }

    /// So much is not written yet.
    pub(super) fn unwritten(&self) -> watch::Receiver<usize> {
        self.0.unwritten.subscribe()
    }

    /// Has these written, soon.
    pub(super) fn put(&self, values: Values) {
        if values.is_empty() {
            return;
        }
        let mut waiting = self.waiting();
        let mut refused = 0;
        for (key, value) in values {
            if waiting.len() >= KEYS && !waiting.contains_key(&key) {
                refused += 1;
            } else {
                waiting.insert(key, value);
            }
        }
        if refused > 0 {
            warn!(refused, "the records of consul-alerts cannot be written: too many wait already");
        }
        self.0.unwritten.send_replace(waiting.len());
        self.0.more.notify_one();
    }

    /// Writes while `held` names the session that holds the lock; what waits when it does not is
    /// for whoever holds it then.
    pub(super) async fn run(self, client: Client, held: watch::Receiver<Option<SessionId>>) {
        let client = client.with_attempts(1);
        let (mut pause, mut told) = (PAUSE, false);
        loop {
            let session = held.borrow().clone();
            let Some(session) = session else {
                self.clear();
                self.0.more.notified().await;
                continue;
            };
            let some = self.some(&client);
            if some.is_empty() {
                self.0.more.notified().await;
                continue;
            }
            match write(&client, &some, session).await {
                Ok(()) => {
                    if std::mem::take(&mut told) {
                        info!("the records of consul-alerts can be written again");
                    }
                    pause = PAUSE;
                }
                Err(Failed::Lost) => self.clear(),
                Err(Failed::At(keys, why)) => {
                    for key in &keys {
                        warn!(key, why, "a record of consul-alerts cannot be written");
                    }
                    self.back(some.into_iter().filter(|(key, _)| !keys.contains(key)));
                }
                Err(Failed::All(why)) => {
                    if !std::mem::replace(&mut told, true) {
                        warn!(why, "the records of consul-alerts cannot be written, trying again");
                    }
                    self.back(some.into_iter());
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST);
                }
            }
            self.count();
        }
    }

    /// As many as one transaction takes.
    fn some(&self, client: &Client) -> Values {
        let most = client.limits().transaction_operations.min(64) - 1;
        let mut waiting = self.waiting();
        let (mut some, mut bytes) = (Values::new(), 0);
        while some.len() < most
            && let Some((key, value)) = waiting.pop_first()
        {
            bytes += operation(&key, value.as_ref()).encoded_len();
            if bytes > BYTES && !some.is_empty() {
                waiting.insert(key, value);
                break;
            }
            some.insert(key, value);
        }
        some
    }

    /// What could not be written waits again, unless there is something newer.
    fn back(&self, values: impl Iterator<Item = (String, Option<String>)>) {
        let mut waiting = self.waiting();
        for (key, value) in values {
            waiting.entry(key).or_insert(value);
        }
    }

    fn clear(&self) {
        self.waiting().clear();
        self.count();
    }

    fn count(&self) {
        let waiting = self.waiting();
        self.0.unwritten.send_replace(waiting.len());
    }

    fn waiting(&self) -> MutexGuard<'_, Values> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a transaction was not done.
enum Failed {
    /// The lock is not ours.
    Lost,
    /// It is never done with these.
    At(Vec<String>, String),
    /// It may be done later.
    All(String),
}

async fn write(client: &Client, values: &Values, session: SessionId) -> Result<(), Failed> {
    let mut operations = vec![Operation::check_session(format!("{PREFIX}{LEADER}"), session)];
    operations.extend(values.iter().map(|(key, value)| operation(key, value.as_ref())));
    let Err(error) = client.txn().run(&operations).await else { return Ok(()) };
    let why = error.to_string();
    Err(match &error {
        Error::RolledBack { errors, .. } if errors.iter().any(|error| error.operation == 0) => Failed::Lost,
        Error::RolledBack { errors, .. } if !error.is_denied() => {
            let at = |place: usize| operations.get(place).map(|operation| operation.key().to_owned());
            Failed::At(errors.iter().filter_map(|error| at(error.operation)).collect(), why)
        }
        _ if error.retry() == Retry::Never && !error.is_denied() => {
            Failed::At(values.keys().cloned().collect(), why)
        }
        _ => Failed::All(why),
    })
}

fn operation(key: &str, value: Option<&String>) -> Operation {
    match value {
        Some(value) => Operation::set(key, value.clone()),
        None => Operation::delete(key),
    }
}

#[cfg(test)]
mod tests {
    use lictor_consul::Config;

    use super::*;

    fn values(pairs: &[(&str, Option<&str>)]) -> Values {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned))).collect()
    }

    #[test]
    fn the_last_value_of_a_key_is_written() {
        let outbox = Outbox::new();
        outbox.put(values(&[("a", Some("1")), ("b", Some("1"))]));
        outbox.put(values(&[("a", None)]));
        assert_eq!(*outbox.unwritten().borrow(), 2);
        let client = Client::new(Config::default()).unwrap();
        let some = outbox.some(&client);
        assert_eq!(some, values(&[("a", None), ("b", Some("1"))]));
        outbox.put(values(&[("b", Some("2"))]));
        outbox.back(some.into_iter());
        assert_eq!(outbox.some(&client), values(&[("a", None), ("b", Some("2"))]));
    }

    #[test]
    fn a_transaction_takes_what_consul_takes() {
        let outbox = Outbox::new();
        let client = Client::new(Config::default()).unwrap();
        let many: Values = (0..100).map(|number| (format!("k{number:03}"), Some("v".to_owned()))).collect();
        outbox.put(many);
        assert_eq!((outbox.some(&client).len(), outbox.some(&client).len()), (63, 37));
        let long = "x".repeat(BYTES / 2);
        outbox.put(values(&[("a", Some(&long)), ("b", Some(&long)), ("c", Some("1"))]));
        let parts: Vec<_> = std::iter::repeat_with(|| outbox.some(&client).len()).take(3).collect();
        assert_eq!(parts, [1, 2, 0]);
    }
}
