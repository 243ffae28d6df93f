//! The listings that a copy is made of.

use std::time::Duration;

use lictor_consul::{Client, Error, Index, PairRow, PairRows, Query};
use lictor_core::replicate::Row;
use sha2::{Digest as _, Sha256};

/// How long a question for news of few keys is held. When it is over the whole list comes, changed or not; but a
/// connection that has died without a word is noticed only then.
const HELD: Duration = Duration::from_mins(1);

/// The same for many.
const HELD_MOST: Duration = Duration::from_mins(10);

/// So many keys are many enough to be listed half as often.
const MANY: usize = 20_000;

/// Keys of one datacenter, listed as often as they change.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) client: Client,
    pub(super) prefix: String,
    /// How old an answer may be that is not the leader's.
    pub(super) max_stale: Option<Duration>,
}

impl Place {
    /// The list once it is newer than `after`; with 0 at once. `known`: keys of the list before.
    ///
    /// # Errors
    /// If there is no usable answer.
    pub(super) async fn rows(self, after: u64, known: usize) -> Result<PairRows, Error> {
        let times = u32::try_from(known / MANY).unwrap_or(u32::MAX).saturating_add(1);
        let held = HELD.saturating_mul(times).min(HELD_MOST);
        let ask = async |query: Query| self.client.kv().rows(&self.prefix, &query).await;
        let Some(most) = self.max_stale else {
            return ask(Query::new().index(Index(after)).wait(held)).await;
        };
        let rows = ask(Query::new().index(Index(after)).wait(held).stale()).await?;
        match rows.meta().last_contact {
            Some(contact) if contact <= most => Ok(rows),
            // Who answered is behind, or does not say.
            Some(_) | None => ask(Query::new()).await,
        }
    }

    /// The list as the leader and most servers agree on it.
    ///
    /// # Errors
    /// If there is no usable answer.
    pub(super) async fn sure_rows(&self) -> Result<PairRows, Error> {
        self.client.kv().rows(&self.prefix, &Query::new().consistent()).await
    }
}

/// What the copier is told of a row.
pub(super) fn row<'a>(row: &'a PairRow<'_>) -> Row<'a> {
    Row { key: &row.key, flags: row.flags, session: row.session.is_some(), index: row.modify_index.0 }
}

/// The checksum of a value, in base64, and its flags: the first eight bytes of SHA-256.
pub(super) fn content(flags: u64, value: &str) -> u64 {
    let mut sum = Sha256::new();
    sum.update(flags.to_le_bytes());
    sum.update(value.as_bytes());
    let digest = sum.finalize();
    digest.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}
