//! What is stored: versioned types with a conversion from and to the core's.
//!
//! A stored thing is a JSON object whose first member is its version, `{"v":1,…}`. The
//! names are stable; a time says both `unix_ms` (wall clock, for people) and `boot_ms`
//! (boot-time axis, for durations); a duration ends in `_ms`. The same types without the
//! version are what the HTTP interface shows.

mod act;
mod alert;
mod copy;
mod desk;
mod event;
mod lease;
mod meta;
mod operation;
mod past;
mod peers;
mod reading;
mod replicate;
mod role;
mod row;
mod service;
mod snapshot;

pub use act::{ActChain, ActEntry, End};
pub use alert::AlertRow;
pub use copy::{Canary, Copy, Owner};
pub use desk::{Alive, Answer, Ask, Said, Term};
pub use event::{Ending, Event, Evidence, Hold, Holding, Mode, Outcome, What};
pub use lease::Lease;
pub use meta::{Anchor, Live, Made, Position};
pub use operation::Operation;
pub use past::Past;
pub use peers::Peer;
pub use reading::Reading;
pub use replicate::{Copied, KEPT};
pub use role::{Change, Role, Roles};
pub use row::{Check, Flood, Incident, Measured, Note, Row, Run, RunState, Seen, Status, Tally};
pub use service::{Joined, Pause, Place};
pub use snapshot::{LatestDrill, LatestSnapshot};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The version this program writes. It reads this one and every older one.
pub const VERSION: u32 = 1;

/// Why stored bytes are not a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A newer program wrote it.
    #[error("it has version {found}, and this program knows versions up to {VERSION}")]
    Newer {
        /// Its version.
        found: u32,
    },
    /// It is not what any program writes.
    #[error("it is damaged: {why}")]
    Damaged {
        /// What is wrong with it.
        why: String,
    },
}

impl WireError {
    /// Something a type of this module does not allow.
    pub(crate) fn damaged(why: impl ToString) -> Self {
        Self::Damaged { why: why.to_string() }
    }
}

/// The stored form of a value: its JSON object with the version put first.
///
/// # Errors
/// When the value does not serialize as a JSON object; no type of this module does that.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, WireError> {
    let body = serde_json::to_vec(value).map_err(WireError::damaged)?;
    let mut bytes = format!("{{\"v\":{VERSION}").into_bytes();
    match body.strip_prefix(b"{") {
        Some(rest @ b"}") => bytes.extend_from_slice(rest),
        Some(rest) => {
            bytes.push(b',');
            bytes.extend_from_slice(rest);
        }
        None => return Err(WireError::damaged("not an object")),
    }
    Ok(bytes)
}

/// Reads the stored form of a value. Members it does not know are passed over.
///
/// # Errors
/// When a newer program wrote it, or when it is not such a value.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, WireError> {
    #[derive(Deserialize)]
    struct Probe {
        v: u32,
    }
    if !bytes.starts_with(b"{\"v\":1,") {
        let found = serde_json::from_slice::<Probe>(bytes).map_err(WireError::damaged)?.v;
        match found {
            0 => return Err(WireError::damaged("version 0")),
            1..=VERSION => {}
            _ => return Err(WireError::Newer { found }),
        }
    }
    serde_json::from_slice(bytes).map_err(WireError::damaged)
}

/// One instant on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Time {
    /// Milliseconds since 1970-01-01T00:00:00Z by the wall clock.
    pub unix_ms: i64,
    /// Milliseconds on the boot-time axis.
    pub boot_ms: u64,
}

impl From<lictor_core::Now> for Time {
    fn from(now: lictor_core::Now) -> Self {
        Self { unix_ms: now.wall.as_unix_millis(), boot_ms: now.boot.as_millis() }
    }
}

impl From<Time> for lictor_core::Now {
    fn from(time: Time) -> Self {
        Self {
            boot: lictor_core::Boot::from_millis(time.boot_ms),
            wall: lictor_core::Wall::from_unix_millis(time.unix_ms),
        }
    }
}

/// A name of the core, if the stored text is one.
fn name<T>(text: &str) -> Result<T, WireError>
where
    T: std::str::FromStr<Err = lictor_core::NameError>,
{
    text.parse().map_err(|why: lictor_core::NameError| WireError::damaged(format!("{text:?}: {why}")))
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct One {
        one: u8,
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Nothing {}

    #[test]
    fn the_version_comes_first() {
        assert_eq!(encode(&One { one: 7 }).unwrap(), br#"{"v":1,"one":7}"#);
        assert_eq!(encode(&Nothing {}).unwrap(), br#"{"v":1}"#);
        assert_eq!(decode::<Nothing>(br#"{"v":1}"#).unwrap(), Nothing {});
    }

    #[test]
    fn a_newer_version_is_an_error_of_its_own() {
        assert_eq!(decode::<One>(br#"{"v":2,"one":{}}"#), Err(WireError::Newer { found: 2 }));
        assert_eq!(decode::<One>(br#"{"one":[],"v":99}"#), Err(WireError::Newer { found: 99 }));
    }

    #[test]
    fn members_of_a_later_program_are_passed_over() {
        assert_eq!(decode::<One>(br#"{"v":1,"new":{"a":[1]},"one":7}"#), Ok(One { one: 7 }));
    }

    #[test]
    fn anything_else_is_damaged() {
        for bytes in
            [&b""[..], b"{", b"[]", br#"{"one":7}"#, br#"{"v":0,"one":7}"#, br#"{"v":1,"one":"7"}"#, b"\xff"]
        {
            assert!(matches!(decode::<One>(bytes), Err(WireError::Damaged { .. })), "{bytes:?}");
        }
        assert!(encode(&5).is_err());
    }
}
