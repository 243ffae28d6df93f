//! What the records of a service say.

use lictor_core::lease::{self, Revision};
use lictor_core::service::operation::Operation;
use lictor_store::kv::{self, Listing};
use lictor_store::wire;
use tracing::debug;

use super::pause::{self, Pause};
use super::{Recorded, operations};
use crate::lease::shown;

/// What a look at the records found: who has the lease, and what is asked for.
pub(super) struct Found {
    pub(super) record: Option<Recorded>,
    /// Which write of the lease that is.
    pub(super) lease: Option<kv::Revision>,
    pub(super) operation: Option<(Operation, Revision)>,
    pub(super) pause: Option<Pause>,
}

/// What these records say; `prefix`: that of all records of the service.
pub(super) fn found(listing: &Listing, prefix: &str) -> Found {
    let pair = |name: &str| listing.pairs.iter().find(|pair| pair.key.strip_prefix(prefix) == Some(name));
    let lease = pair("lease").map(|pair| pair.revision);
    let record = pair("lease").and_then(|pair| match read(&pair.value) {
        Ok(record) => Some(record),
        Err(error) => {
            debug!(error = shown(&error), "the lease cannot be read");
            None
        }
    });
    let pause = pair("pause").and_then(pause::read);
    Found { record, lease, operation: pair("operation").and_then(operations::read), pause }
}

fn read(value: &[u8]) -> Result<Recorded, wire::WireError> {
    let record = wire::decode::<wire::Lease>(value).and_then(lease::Record::try_from)?;
    let nodes = record.roll.map(|roll| roll.nodes).unwrap_or_default();
    let lease::Record { holder, token, length, released, .. } = record;
    Ok(Recorded { holder, token, length, released, nodes })
}
