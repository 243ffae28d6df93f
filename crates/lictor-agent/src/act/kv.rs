//! `act "kv"`: a key written or deleted, and whether it is as wanted.

use std::fmt;
use std::time::Duration;

use futures::future::BoxFuture;
use lictor_config::KvAction;
use lictor_core::Outcome;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::exec::blocking;
use super::{failed, unknown};

/// A write without a clear answer is looked for during so long: Consul gives up within this
/// what it had begun (it waits 7 s for a leader).
const SETTLE: Duration = Duration::from_secs(15);

/// The pause before the first such look; each is twice as long as the one before.
const PAUSE: Duration = Duration::from_millis(500);

/// One look may take so long, also when the time limit has passed: it says what became of a
/// write that nobody awaits any more.
const LOOK: Duration = Duration::from_secs(5);

/// Where keys are written: Consul's KV, or the local store of a node without Consul.
pub trait Keys: Send + Sync + fmt::Debug {
    /// The value of a key by a consistent read; `None` when there is no such key.
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, KeysError>>;

    /// Sets a key, whatever it was.
    fn put<'a>(&'a self, key: &'a str, value: Vec<u8>) -> BoxFuture<'a, Result<(), KeysError>>;

    /// Removes a key; one that does not exist is removed already.
    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), KeysError>>;
}

/// Why a key was not read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// It certainly was not: refused, or never sent.
    #[error("{0}")]
    Refused(String),
    /// It may have been: no answer, or none that tells.
    #[error("{0}")]
    Unclear(String),
}

/// Writes or deletes the key. After an unclear answer it is read, several times, as long as
/// the time limit lasts: done is what is found as wanted, and everything else is unknown.
pub(super) async fn write(action: &KvAction, keys: &dyn Keys, limit: Duration) -> Outcome {
    let key = &action.key;
    let deadline = Instant::now() + limit;
    let wanted = match timeout_at(deadline, wanted(action)).await {
        Ok(Ok(wanted)) => wanted,
        Ok(Err(reason)) => return failed(format!("key `{key}` was not written: {reason}")),
        Err(_late) => return failed(format!("key `{key}` was not written: its value was not read in time")),
    };
    let done = if wanted.is_some() { "written" } else { "deleted" };
    let writing = match &wanted {
        Some(value) => keys.put(key, value.clone()),
        None => keys.delete(key),
    };
    let why = match timeout_at(deadline, writing).await {
        Ok(Ok(())) => return Outcome::Done { detail: format!("key `{key}` was {done}") },
        Ok(Err(KeysError::Refused(why))) => return failed(format!("key `{key}` was not {done}: {why}")),
        Ok(Err(KeysError::Unclear(why))) => why,
        Err(_late) => format!("no answer within {:.1} s", limit.as_secs_f64()),
    };
    match settle(key, wanted.as_deref(), keys, deadline).await {
        Ok(how) => Outcome::Done { detail: format!("key `{key}` {how}, after an unclear answer: {why}") },
        Err(how) => unknown(format!("key `{key}` may have been {done}: {why}; it {how}")),
    }
}

/// Reads the key and compares; the value itself is never shown. What is not as wanted may
/// still become so, because a write that was given up may still be carried out. So it is
/// unknown, and what that means is the step's: it is verified, repeated, or a person is asked.
pub(super) async fn inspect(action: &KvAction, keys: &dyn Keys) -> Outcome {
    let key = &action.key;
    let wanted = match wanted(action).await {
        Ok(wanted) => wanted,
        Err(reason) => return unknown(format!("key `{key}` cannot be compared: {reason}")),
    };
    match look(key, wanted.as_deref(), keys).await {
        Ok(how) => Outcome::Done { detail: format!("key `{key}` {how}") },
        Err(how) => unknown(format!("key `{key}` {how}")),
    }
}

/// Looks until the key is as wanted, at least once; an error says what was seen last.
async fn settle(
    key: &str,
    wanted: Option<&[u8]>,
    keys: &dyn Keys,
    deadline: Instant,
) -> Result<String, String> {
    let until = deadline.min(Instant::now() + SETTLE);
    let mut pause = PAUSE;
    loop {
        let seen = timeout(LOOK, look(key, wanted, keys)).await;
        let seen = seen.unwrap_or_else(|_late| Err("cannot be read: no answer".to_owned()));
        let next = Instant::now() + pause;
        if seen.is_ok() || next > until {
            return seen;
        }
        sleep(pause).await;
        pause *= 2;
    }
}

/// Whether the key is as wanted; either way, how it is.
async fn look(key: &str, wanted: Option<&[u8]>, keys: &dyn Keys) -> Result<String, String> {
    let found = keys.get(key).await.map_err(|error| format!("cannot be read: {error}"))?;
    match (found, wanted) {
        (Some(found), Some(wanted)) if found == wanted => Ok("has the wanted value".to_owned()),
        (None, None) => Ok("is gone, as wanted".to_owned()),
        (Some(_), Some(_)) => Err("has another value".to_owned()),
        (Some(_), None) => Err("is still there".to_owned()),
        (None, Some(_)) => Err("does not exist".to_owned()),
    }
}

async fn wanted(action: &KvAction) -> Result<Option<Vec<u8>>, String> {
    let Some(secret) = action.value.clone() else { return Ok(None) };
    let value = blocking(move || secret.reveal().map_err(std::io::Error::other)).await;
    value.map(|value| Some(value.into_bytes())).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use lictor_config::Secret;
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    const LONG: Duration = Duration::from_secs(60);

    #[derive(Debug, Default)]
    struct Memory {
        keys: Mutex<BTreeMap<String, Vec<u8>>>,
        fault: Option<KeysError>,
        /// A write is answered like this, and carried out at that time.
        late: Option<(KeysError, Option<Instant>)>,
    }

    impl Memory {
        fn answer<T: Send + 'static>(&self, value: T) -> BoxFuture<'static, Result<T, KeysError>> {
            let answer = self.fault.clone().map_or(Ok(value), Err);
            Box::pin(async { answer })
        }
    }

    impl Keys for Memory {
        fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, KeysError>> {
            let landed = |(_, at): &(KeysError, Option<Instant>)| at.is_some_and(|at| Instant::now() >= at);
            let seen = self.late.as_ref().is_none_or(landed);
            self.answer(self.keys.lock().unwrap().get(key).filter(|_| seen).cloned())
        }
        fn put<'a>(&'a self, key: &'a str, value: Vec<u8>) -> BoxFuture<'a, Result<(), KeysError>> {
            self.keys.lock().unwrap().insert(key.to_owned(), value);
            match self.late.clone() {
                Some((why, _)) => Box::pin(async { Err(why) }),
                None => self.answer(()),
            }
        }
        fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), KeysError>> {
            self.keys.lock().unwrap().remove(key);
            self.answer(())
        }
    }

    fn action(value: Option<&str>) -> KvAction {
        KvAction { key: "k".into(), value: value.map(Secret::value) }
    }

    fn text(outcome: &Outcome) -> String {
        match outcome {
            Outcome::Done { detail } => format!("done: {detail}"),
            Outcome::Failed { detail } => format!("failed: {detail}"),
            Outcome::NotStarted { detail } => format!("not started: {detail}"),
            Outcome::Unknown { detail } => format!("unknown: {detail}"),
        }
    }

    #[tokio::test]
    async fn a_key_that_was_written_is_found_as_wanted() {
        let keys = Memory::default();
        let put = action(Some("hunter2"));
        assert_eq!(text(&inspect(&put, &keys).await), "unknown: key `k` does not exist");
        assert_eq!(text(&write(&put, &keys, LONG).await), "done: key `k` was written");
        assert_eq!(text(&inspect(&put, &keys).await), "done: key `k` has the wanted value");
        assert_eq!(text(&inspect(&action(Some("other")), &keys).await), "unknown: key `k` has another value");
        let delete = action(None);
        assert_eq!(text(&inspect(&delete, &keys).await), "unknown: key `k` is still there");
        assert_eq!(text(&write(&delete, &keys, LONG).await), "done: key `k` was deleted");
        assert_eq!(text(&inspect(&delete, &keys).await), "done: key `k` is gone, as wanted");
    }

    #[tokio::test(start_paused = true)]
    async fn an_unclear_answer_is_unknown_and_a_refusal_is_failed() {
        let unclear = Memory { fault: Some(KeysError::Unclear("no answer".into())), ..Memory::default() };
        let put = action(Some("x"));
        assert_eq!(
            text(&write(&put, &unclear, LONG).await),
            "unknown: key `k` may have been written: no answer; it cannot be read: no answer"
        );
        assert_eq!(text(&inspect(&put, &unclear).await), "unknown: key `k` cannot be read: no answer");
        let refused =
            Memory { fault: Some(KeysError::Refused("permission denied".into())), ..Memory::default() };
        assert_eq!(
            text(&write(&put, &refused, LONG).await),
            "failed: key `k` was not written: permission denied"
        );
    }

    /// What is told of a write whose answer is lost, and after how long; it lands `after`.
    async fn unclear(after: Option<Duration>, limit: Duration) -> (String, Duration) {
        let begun = Instant::now();
        let late = Some((KeysError::Unclear("connection lost".into()), after.map(|after| begun + after)));
        let keys = Memory { late, ..Memory::default() };
        let told = text(&write(&action(Some("x")), &keys, limit).await);
        (told, begun.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn after_an_unclear_answer_the_key_is_read_until_it_is_there() {
        let (told, took) = unclear(Some(Duration::from_secs(4)), LONG).await;
        assert_eq!(told, "done: key `k` has the wanted value, after an unclear answer: connection lost");
        assert!((4..9).contains(&took.as_secs()), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_does_not_show_stays_unknown_for_no_longer_than_its_time_limit() {
        let says = "unknown: key `k` may have been written: connection lost; it does not exist";
        let (told, took) = unclear(None, LONG).await;
        assert_eq!(told, says);
        assert!(took <= SETTLE, "{took:?}");
        let (told, took) = unclear(None, Duration::from_secs(2)).await;
        assert_eq!(told, says);
        assert!(took <= Duration::from_secs(2), "{took:?}");
    }

    #[tokio::test]
    async fn a_value_that_cannot_be_had_is_not_written() {
        let keys = Memory::default();
        let lost = KvAction { key: "k".into(), value: Some(Secret::file("/nonexistent/value")) };
        let outcome = text(&write(&lost, &keys, LONG).await);
        assert!(outcome.starts_with("failed: key `k` was not written: cannot read the secret"), "{outcome}");
        assert!(keys.keys.lock().unwrap().is_empty());
    }
}
