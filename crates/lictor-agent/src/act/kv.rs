//! `act "kv"`: a key written or deleted, and whether it is as wanted.

use std::fmt;

use futures::future::BoxFuture;
use lictor_config::KvAction;
use lictor_core::Outcome;

use super::exec::blocking;
use super::{failed, unknown};

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

/// Writes or deletes the key.
pub(super) async fn write(action: &KvAction, keys: &dyn Keys) -> Outcome {
    let key = &action.key;
    let wanted = match wanted(action).await {
        Ok(wanted) => wanted,
        Err(reason) => return failed(format!("key `{key}` was not written: {reason}")),
    };
    let (written, done) = match wanted {
        Some(value) => (keys.put(key, value).await, "written"),
        None => (keys.delete(key).await, "deleted"),
    };
    match written {
        Ok(()) => Outcome::Done { detail: format!("key `{key}` was {done}") },
        Err(KeysError::Refused(why)) => failed(format!("key `{key}` was not {done}: {why}")),
        Err(KeysError::Unclear(why)) => unknown(format!("key `{key}` may have been {done}: {why}")),
    }
}

/// Reads the key and compares; the value itself is never shown.
pub(super) async fn inspect(action: &KvAction, keys: &dyn Keys) -> Outcome {
    let key = &action.key;
    let wanted = match wanted(action).await {
        Ok(wanted) => wanted,
        Err(reason) => return unknown(format!("key `{key}` cannot be compared: {reason}")),
    };
    match (keys.get(key).await, wanted) {
        (Ok(found), wanted) if found == wanted => {
            let how = if found.is_some() { "has the wanted value" } else { "is gone, as wanted" };
            Outcome::Done { detail: format!("key `{key}` {how}") }
        }
        (Ok(Some(_)), Some(_)) => failed(format!("key `{key}` has another value")),
        (Ok(Some(_)), None) => failed(format!("key `{key}` is still there")),
        (Ok(None), _) => failed(format!("key `{key}` does not exist")),
        (Err(error), _) => unknown(format!("key `{key}` cannot be read: {error}")),
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

    #[derive(Debug, Default)]
    struct Memory {
        keys: Mutex<BTreeMap<String, Vec<u8>>>,
        fault: Option<KeysError>,
    }

    impl Memory {
        fn answer<T: Send + 'static>(&self, value: T) -> BoxFuture<'static, Result<T, KeysError>> {
            let answer = self.fault.clone().map_or(Ok(value), Err);
            Box::pin(async { answer })
        }
    }

    impl Keys for Memory {
        fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, KeysError>> {
            self.answer(self.keys.lock().unwrap().get(key).cloned())
        }
        fn put<'a>(&'a self, key: &'a str, value: Vec<u8>) -> BoxFuture<'a, Result<(), KeysError>> {
            self.keys.lock().unwrap().insert(key.to_owned(), value);
            self.answer(())
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
        assert_eq!(text(&inspect(&put, &keys).await), "failed: key `k` does not exist");
        assert_eq!(text(&write(&put, &keys).await), "done: key `k` was written");
        assert_eq!(text(&inspect(&put, &keys).await), "done: key `k` has the wanted value");
        assert_eq!(text(&inspect(&action(Some("other")), &keys).await), "failed: key `k` has another value");
        let delete = action(None);
        assert_eq!(text(&inspect(&delete, &keys).await), "failed: key `k` is still there");
        assert_eq!(text(&write(&delete, &keys).await), "done: key `k` was deleted");
        assert_eq!(text(&inspect(&delete, &keys).await), "done: key `k` is gone, as wanted");
    }

    #[tokio::test]
    async fn an_unclear_answer_is_unknown_and_a_refusal_is_failed() {
        let unclear = Memory { fault: Some(KeysError::Unclear("no answer".into())), ..Memory::default() };
        let put = action(Some("x"));
        assert_eq!(text(&write(&put, &unclear).await), "unknown: key `k` may have been written: no answer");
        assert_eq!(text(&inspect(&put, &unclear).await), "unknown: key `k` cannot be read: no answer");
        let refused =
            Memory { fault: Some(KeysError::Refused("permission denied".into())), ..Memory::default() };
        assert_eq!(text(&write(&put, &refused).await), "failed: key `k` was not written: permission denied");
    }

    #[tokio::test]
    async fn a_value_that_cannot_be_had_is_not_written() {
        let keys = Memory::default();
        let lost = KvAction { key: "k".into(), value: Some(Secret::file("/nonexistent/value")) };
        let outcome = text(&write(&lost, &keys).await);
        assert!(outcome.starts_with("failed: key `k` was not written: cannot read the secret"), "{outcome}");
        assert!(keys.keys.lock().unwrap().is_empty());
    }
}
