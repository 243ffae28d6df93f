//! A pause: for a while nobody takes a service over by itself.

use std::time::Duration;

use lictor_core::Wall;
use lictor_store::kv::{Kv, KvError, Op, Pair};
use lictor_store::wire;
use tracing::warn;

use super::AskError;

/// The longest pause: one that was forgotten is no reason to be without a failover for ever.
pub const LONGEST: Duration = Duration::from_hours(7 * 24);

/// Until when nobody takes a service over by itself. The node that runs it goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// When it ends, by the clocks of the nodes.
    pub until: Wall,
    /// Who asked for it.
    pub by: String,
    /// Why; may be empty.
    pub why: String,
}

impl Pause {
    /// How much of it is left; zero when it is over. A clock that was set back makes it no longer than [`LONGEST`].
    pub fn left(&self, now: Wall) -> Duration {
        let millis = self.until.as_unix_millis().saturating_sub(now.as_unix_millis());
        Duration::from_millis(u64::try_from(millis).unwrap_or(0)).min(LONGEST)
    }
}

/// The key of the record, below that of the service.
fn key(service: &str) -> String {
    format!("service/{service}/pause")
}

/// What a record says; `None`: nothing that this program understands.
pub(super) fn read(pair: &Pair) -> Option<Pause> {
    match wire::decode::<wire::Pause>(&pair.value) {
        Ok(wire::Pause { until_ms, by, why }) => {
            Some(Pause { until: Wall::from_unix_millis(until_ms), by, why })
        }
        Err(error) => {
            warn!(key = pair.key, %error, "a pause of this service cannot be read: there is none");
            None
        }
    }
}

/// Begins a pause, or ends the one there is.
pub(super) async fn write(kv: &Kv, service: &str, pause: Option<&Pause>) -> Result<(), AskError> {
    let records = |error: &dyn std::fmt::Display| AskError::Records { why: error.to_string() };
    let key = key(service);
    let op = match pause {
        None => Op::delete(key),
        Some(Pause { until, by, why }) => {
            let pause = wire::Pause { until_ms: until.as_unix_millis(), by: by.clone(), why: why.clone() };
            Op::put(key, wire::encode(&pause).map_err(|error| records(&error))?)
        }
    };
    let written: Result<_, KvError> = kv.txn(&[op]).await;
    written.map(drop).map_err(|error| records(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_ends_by_itself() {
        let at = |millis| Wall::from_unix_millis(millis);
        let pause = Pause { until: at(10_000), by: "me".into(), why: String::new() };
        assert_eq!(pause.left(at(4_000)), Duration::from_secs(6));
        assert_eq!((pause.left(at(10_000)), pause.left(at(20_000))), (Duration::ZERO, Duration::ZERO));
        assert_eq!(pause.left(at(-1_000_000_000_000)), LONGEST);
    }

    #[tokio::test]
    async fn a_pause_is_read_as_it_was_written_until_it_is_ended() {
        let kv = Kv::memory();
        let pause = Pause { until: Wall::from_unix_millis(10_000), by: "me".into(), why: "a move".into() };
        write(&kv, "web", Some(&pause)).await.unwrap();
        let found = kv.get("service/web/pause").await.unwrap().unwrap();
        assert_eq!(read(&found), Some(pause));
        write(&kv, "web", None).await.unwrap();
        assert_eq!(kv.get("service/web/pause").await.unwrap(), None);
        kv.txn(&[Op::put("service/web/pause", "junk")]).await.unwrap();
        assert_eq!(read(&kv.get("service/web/pause").await.unwrap().unwrap()), None);
    }
}
