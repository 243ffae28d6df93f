//! What `sync/maindata` answers: everything at first, then what has changed.
//!
//! It is read straight into what is kept: of an announce URL only its host, and a number that
//! tells it from others.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::LazyLock;

use serde::de::{Deserialize as _, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::torrents::{Changed, Hash};
use super::trackers::Host;

/// An answer. What is missing has not changed.
#[derive(Debug, Default, serde::Deserialize)]
pub(super) struct Maindata {
    #[serde(default, deserialize_with = "count")]
    pub(super) rid: Option<u64>,
    #[serde(default, deserialize_with = "flag")]
    pub(super) full_update: bool,
    #[serde(default, deserialize_with = "torrents")]
    pub(super) torrents: Vec<(Hash, Changed)>,
    #[serde(default, deserialize_with = "hashes")]
    pub(super) torrents_removed: Vec<Hash>,
    #[serde(default, deserialize_with = "trackers")]
    pub(super) trackers: Vec<Tracker>,
    #[serde(default, deserialize_with = "urls")]
    pub(super) trackers_removed: Vec<UrlId>,
    #[serde(default)]
    pub(super) server_state: ServerState,
}

/// What is told of the client itself.
#[derive(Debug, Default, serde::Deserialize)]
pub(super) struct ServerState {
    #[serde(default, deserialize_with = "word")]
    pub(super) connection_status: Option<String>,
    #[serde(default, deserialize_with = "count")]
    pub(super) dht_nodes: Option<u64>,
    /// The address that others see; `Some(None)`: none is known any more.
    #[serde(default, deserialize_with = "address")]
    pub(super) last_external_address_v4: Option<Option<IpAddr>>,
    #[serde(default, deserialize_with = "address")]
    pub(super) last_external_address_v6: Option<Option<IpAddr>>,
}

/// An announce URL with its torrents.
#[derive(Debug)]
pub(super) struct Tracker {
    pub(super) url: UrlId,
    /// `None` when there is none in the URL.
    pub(super) host: Option<Host>,
    pub(super) hashes: Vec<Hash>,
}

/// Tells one announce URL from others without holding it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct UrlId(u64, u64);

impl UrlId {
    pub(super) fn of(url: &str) -> Self {
        // Keys of this process alone: the numbers say nothing about the URLs.
        static KEYS: LazyLock<[RandomState; 2]> = LazyLock::new(<[RandomState; 2]>::default);
        let [first, second] = &*KEYS;
        Self(first.hash_one(url), second.hash_one(url))
    }
}

fn count<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    Ok(Value::deserialize(from)?.as_u64())
}

fn flag<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    Ok(Value::deserialize(from)?.as_bool().unwrap_or_default())
}

fn word<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(Value::deserialize(from)?.as_str().map(str::to_owned))
}

fn address<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<IpAddr>>, D::Error> {
    let value = Value::deserialize(from)?;
    Ok(value.as_str().map(|text| text.parse::<IpAddr>().ok().map(|address| address.to_canonical())))
}

fn torrents<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<(Hash, Changed)>, D::Error> {
    let all = BTreeMap::<String, Changed>::deserialize(from)?;
    Ok(all.into_iter().filter_map(|(name, changed)| Some((Hash::new(&name)?, changed))).collect())
}

fn hashes<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Hash>, D::Error> {
    Ok(known(&Value::deserialize(from)?))
}

fn urls<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<UrlId>, D::Error> {
    let all = Value::deserialize(from)?;
    Ok(texts(&all).map(UrlId::of).collect())
}

fn trackers<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Tracker>, D::Error> {
    from.deserialize_map(Announced)
}

fn known(list: &Value) -> Vec<Hash> {
    texts(list).filter_map(Hash::new).collect()
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// Each announce URL with its torrents; the URL is not kept.
struct Announced;

impl<'de> Visitor<'de> for Announced {
    type Value = Vec<Tracker>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("announce URLs with torrents")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut all = Vec::new();
        // Many URLs have the same few hosts.
        let mut seen: BTreeMap<Host, Host> = BTreeMap::new();
        while let Some(url) = map.next_key::<String>()? {
            let hashes = known(&map.next_value()?);
            let host = Host::of(&url).map(|host| seen.entry(host).or_insert_with_key(Host::clone).clone());
            all.push(Tracker { url: UrlId::of(&url), host, hashes });
        }
        Ok(all)
    }
}
