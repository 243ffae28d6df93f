//! What is kept of a peer over a restart.

use std::net::IpAddr;

use lictor_core::peers as core;
use serde::{Deserialize, Serialize};

use super::row::Status;
use super::{Time, WireError};

/// A peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// `host:port`.
    pub peer: String,
    /// The host it is known by.
    pub host: String,
    /// Its addresses.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
    /// How it stood, and since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stood: Option<Stood>,
    /// What those who are to be told knew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Whether this node took it upon itself to tell that it is down.
    #[serde(default)]
    pub told: bool,
    /// Discovery no longer names it since then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vanished: Option<Time>,
}

/// How a peer stood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stood {
    /// So.
    pub status: Status,
    /// Since when.
    pub since: Time,
}

/// What those who are to be told knew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// How it stood.
    pub status: Status,
    /// In words.
    pub output: String,
    /// What of it is worth telling anew.
    pub detail: String,
}

impl From<&core::Known> for Peer {
    fn from(known: &core::Known) -> Self {
        let verdict = known.verdict.as_ref().map(|verdict| Verdict {
            status: verdict.status.into(),
            output: verdict.output.clone(),
            detail: verdict.detail.clone(),
        });
        Self {
            peer: known.peer.id.clone(),
            host: known.peer.host.clone(),
            addresses: known.peer.addresses.clone(),
            stood: known.stood.map(|(status, since)| Stood { status: status.into(), since: since.into() }),
            verdict,
            told: known.told,
            vanished: known.vanished.map(Into::into),
        }
    }
}

impl TryFrom<Peer> for core::Known {
    type Error = WireError;

    fn try_from(peer: Peer) -> Result<Self, WireError> {
        let Peer { peer: id, host, addresses, stood, verdict, told, vanished } = peer;
        if id.is_empty() || host.is_empty() {
            return Err(WireError::damaged("a peer has an id and a host"));
        }
        Ok(Self {
            peer: core::Peer { id, host, addresses },
            stood: stood.map(|stood| (stood.status.into(), stood.since.into())),
            verdict: verdict.map(|verdict| core::Verdict {
                status: verdict.status.into(),
                output: verdict.output,
                detail: verdict.detail,
            }),
            told,
            vanished: vanished.map(Into::into),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{decode, encode};
    use super::*;

    /// What version 1 wrote, which is read for ever.
    const V1: &str = r#"{"v":1,"peer":"n2:5988","host":"n2","addresses":["192.0.2.2","2001:db8::2"],"stood":{"status":"critical","since":{"unix_ms":1000,"boot_ms":500}},"verdict":{"status":"critical","output":"no answer","detail":"down"},"told":true}"#;

    #[test]
    fn what_was_written_is_read_and_written_the_same() {
        let peer: Peer = decode(V1.as_bytes()).unwrap();
        let known = core::Known::try_from(peer).unwrap();
        assert_eq!(known.peer.addresses.len(), 2);
        assert_eq!(String::from_utf8(encode(&Peer::from(&known)).unwrap()).unwrap(), V1);
    }

    #[test]
    fn a_peer_without_a_name_is_refused() {
        let text = r#"{"v":1,"peer":"","host":"n2"}"#;
        assert!(core::Known::try_from(decode::<Peer>(text.as_bytes()).unwrap()).is_err());
    }
}
