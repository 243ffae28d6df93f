//! The key/value store.

use bytes::Bytes;
use serde::Deserialize;

use crate::client::{Client, Raw};
use crate::error::Error;
use crate::meta::{Answer, Index};
use crate::query::Query;
use crate::request::{Request, fits_in_path};
use crate::session::SessionId;
use crate::wire;

/// The key/value store (`/v1/kv`). See [`Client::kv`].
///
/// Consul cleans the paths of requests, so that a key with an empty, `.` or `..` segment, a leading
/// slash or a character that is not printable has no path. Such keys are read and written by a
/// transaction instead, with two differences: one that is missing gives no index to wait for, and
/// [`get`](Self::get) cannot block on it.
///
/// A key that is not UTF-8 (other programs can make one) appears in Consul's answers with U+FFFD in
/// it and cannot be named.
#[derive(Clone, Copy, Debug)]
pub struct Kv<'a>(&'a Client);

/// A key and its value.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Pair {
    /// The key.
    pub key: String,
    /// The value: any bytes. Empty in the results of writes.
    #[serde(default, deserialize_with = "wire::base64")]
    pub value: Bytes,
    /// A number that goes with the value and means what its writer wants.
    #[serde(default)]
    pub flags: u64,
    /// The session that holds the key.
    #[serde(default)]
    pub session: Option<SessionId>,
    /// How often the key was acquired. A plain write sets it to zero: it is no fencing token.
    #[serde(default)]
    pub lock_index: u64,
    /// When the key was made.
    #[serde(default)]
    pub create_index: Index,
    /// When the key was last changed; what [`cas`](Kv::cas) compares.
    #[serde(default)]
    pub modify_index: Index,
}

/// How a value is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Put {
    /// A number that goes with the value.
    pub flags: u64,
    /// What must be so for the value to be written.
    pub guard: Guard,
}

/// What must be so for a value to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Guard {
    /// Nothing.
    #[default]
    None,
    /// The key was last changed at this index; with [`Index::ZERO`] it does not exist.
    Index(Index),
    /// No other session holds the key; this one then does.
    Acquire(SessionId),
    /// This session holds the key; it then does no more.
    Release(SessionId),
}

impl<'a> Kv<'a> {
    pub(crate) fn new(client: &'a Client) -> Self {
        Self(client)
    }

    /// One key; `None`, with the index to wait for, if there is none of this name.
    ///
    /// # Errors
    /// If there is no usable answer.
    pub async fn get(self, key: &str, query: &Query) -> Result<Answer<Option<Pair>>, Error> {
        if !fits_in_path(key) {
            return self.get_by_transaction(key, query).await;
        }
        let raw = self.read(key, query, |request| request).await?;
        let pairs: Vec<Pair> = absent_is_default(&raw)?;
        let pair = pairs.into_iter().next();
        Ok(raw.answer(pair))
    }

    /// The bare value of one key.
    ///
    /// # Errors
    /// If there is no usable answer.
    pub async fn get_raw(self, key: &str, query: &Query) -> Result<Answer<Option<Bytes>>, Error> {
        if !fits_in_path(key) {
            let answer = self.get_by_transaction(key, query).await?;
            return Ok(answer.map(|pair| pair.map(|pair| pair.value)));
        }
        let raw = self.read(key, query, |request| request.switch("raw")).await?;
        let value = (raw.status != ABSENT).then(|| raw.body.clone());
        Ok(raw.answer(value))
    }

    /// All keys that begin with `prefix`, with their values, in the order of their bytes.
    ///
    /// An empty list is no proof that there is nothing: what the token may not read is left out. A list
    /// that is too long to be held comes by [`rows`](Self::rows).
    ///
    /// # Errors
    /// If there is no usable answer.
    pub async fn list(self, prefix: &str, query: &Query) -> Result<Answer<Vec<Pair>>, Error> {
        if !prefix.is_empty() && !fits_in_path(prefix) {
            return self.list_by_transaction(prefix, query).await;
        }
        let raw = self.read(prefix, query, |request| request.switch("recurse")).await?;
        let pairs = absent_is_default(&raw)?;
        Ok(raw.answer(pairs))
    }

    /// The names of all keys that begin with `prefix`. With a `separator`, only up to and including
    /// its first occurrence after the prefix, each once.
    ///
    /// # Errors
    /// If there is no usable answer, or the prefix has no path.
    pub async fn keys(
        self,
        prefix: &str,
        separator: Option<&str>,
        query: &Query,
    ) -> Result<Answer<Vec<String>>, Error> {
        let separator = separator.map(ToOwned::to_owned);
        let raw =
            self.read(prefix, query, |request| request.switch("keys").option("separator", separator)).await?;
        let keys = absent_is_default(&raw)?;
        Ok(raw.answer(keys))
    }

    /// Writes a value whatever there is. The same value with the same flags changes nothing, not even
    /// the index.
    ///
    /// # Errors
    /// If the write is not known to have happened.
    pub async fn put(self, key: &str, value: impl Into<Bytes>) -> Result<(), Error> {
        let put = Put::default();
        self.put_with(key, value, &put).await.map(drop)
    }

    /// Writes a value if the key was last changed at `index`, or does not exist if that is
    /// [`Index::ZERO`]. False if not; then nothing was changed.
    ///
    /// The flags become 0. The same value with the same flags gives true and does not move the index.
    ///
    /// # Errors
    /// If it is not known whether the write happened; read again before anything rests on it.
    pub async fn cas(self, key: &str, value: impl Into<Bytes>, index: Index) -> Result<bool, Error> {
        let guard = Guard::Index(index);
        let put = Put { flags: 0, guard };
        self.put_with(key, value, &put).await
    }

    /// Writes a value and makes `session` the holder of the key. False if another session holds it
    /// or held it too short a time ago.
    ///
    /// # Errors
    /// If it is not known whether it happened, or there is no such session.
    pub async fn acquire(
        self,
        key: &str,
        value: impl Into<Bytes>,
        session: &SessionId,
    ) -> Result<bool, Error> {
        let guard = Guard::Acquire(session.clone());
        let put = Put { flags: 0, guard };
        self.put_with(key, value, &put).await
    }

    /// Writes a value and lets go of the key. False if `session` does not hold it.
    ///
    /// # Errors
    /// If it is not known whether it happened.
    pub async fn release(
        self,
        key: &str,
        value: impl Into<Bytes>,
        session: &SessionId,
    ) -> Result<bool, Error> {
        let guard = Guard::Release(session.clone());
        let put = Put { flags: 0, guard };
        self.put_with(key, value, &put).await
    }

    /// Writes a value with flags and a guard. False if the guard does not hold; then nothing was
    /// changed.
    ///
    /// # Errors
    /// If it is not known whether the write happened.
    pub async fn put_with(self, key: &str, value: impl Into<Bytes>, put: &Put) -> Result<bool, Error> {
        let value = value.into();
        let limit = self.0.limits().value_bytes;
        let mut request = Request::put(PATH).name(key);
        if value.len() > limit {
            let length = value.len();
            let problem = format!("the value has {length} bytes, more than {limit}");
            request.problem = Some(problem);
        } else if !key.is_empty() && !fits_in_path(key) {
            return self.put_by_transaction(key, value, put).await;
        }
        if put.flags != 0 {
            request = request.parameter("flags", put.flags.to_string());
        }
        let request = match &put.guard {
            Guard::None => request,
            Guard::Index(index) => request.parameter("cas", index.to_string()),
            Guard::Acquire(session) => request.parameter("acquire", session.to_string()),
            Guard::Release(session) => request.parameter("release", session.to_string()),
        };
        self.0.send(&request.body(value)).await?.json()
    }

    /// Deletes a key; that there is none is success.
    ///
    /// # Errors
    /// If the deletion is not known to have happened.
    pub async fn delete(self, key: &str) -> Result<(), Error> {
        if !key.is_empty() && !fits_in_path(key) {
            return self.delete_by_transaction(key, None).await.map(drop);
        }
        let request = Request::delete(PATH).name(key);
        self.0.send(&request).await?.json().map(|_: bool| ())
    }

    /// Deletes a key if it was last changed at `index`. False if not; then nothing was changed. That
    /// there is no such key is success.
    ///
    /// # Errors
    /// If it is not known whether the deletion happened.
    pub async fn delete_cas(self, key: &str, index: Index) -> Result<bool, Error> {
        if !key.is_empty() && !fits_in_path(key) {
            return self.delete_by_transaction(key, Some(index)).await;
        }
        let request = Request::delete(PATH).name(key).parameter("cas", index.to_string());
        self.0.send(&request).await?.json()
    }

    /// Deletes all keys that begin with `prefix`, which must not be empty.
    ///
    /// # Errors
    /// If the deletion is not known to have happened.
    pub async fn delete_tree(self, prefix: &str) -> Result<(), Error> {
        if !prefix.is_empty() && !fits_in_path(prefix) {
            return self.delete_tree_by_transaction(prefix).await;
        }
        let request = Request::delete(PATH).name(prefix).switch("recurse");
        self.0.send(&request).await?.json().map(|_: bool| ())
    }

    async fn read(
        self,
        key: &str,
        query: &Query,
        with: impl FnOnce(Request) -> Request,
    ) -> Result<Raw, Error> {
        let request = Request::get(PATH).key(key).accepts(ABSENT).query(query, self.0.consistency());
        self.0.send(&with(request)).await
    }

    pub(crate) fn client(self) -> &'a Client {
        self.0
    }
}

pub(crate) const PATH: &str = "/v1/kv/";

/// The status that says there is nothing.
pub(crate) const ABSENT: u16 = 404;

/// What is wrong with a 404 that has no index.
pub(crate) const NOT_CONSULS: &str = "404 without an index: this is not Consul's";

fn absent_is_default<T: serde::de::DeserializeOwned + Default>(raw: &Raw) -> Result<T, Error> {
    if raw.status == ABSENT {
        // A path that is not Consul's is 404 as well, but has no index.
        return match raw.meta.index {
            Some(_) => Ok(T::default()),
            None => Err(raw.malformed(NOT_CONSULS.to_owned())),
        };
    }
    raw.json()
}
