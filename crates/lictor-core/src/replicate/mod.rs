//! What is to be done so that the keys of a prefix are in another place as they are in one.
//!
//! A [`Copier`] is fed with the rows of listings, of the destination and of the source, in whatever order they come, and
//! says of each what is to be written, and what is to be deleted afterwards:
//!
//! ```text
//!   listing of the destination ──▶ table: of each key a checksum, and the index that guards the next write
//!                                    │
//!   listing of the source ──row──▶ Verdict: same, left as it is, or to be written under that guard
//!                                    │ end
//!                                    ▼
//!   keys that were not among them ──▶ listed again, consistently ──▶ Hold? ──pause──▶ each asked for by name ──▶ deleted
//! ```
//!
//! A write is guarded by the index that was read, so that what somebody else has written meanwhile is looked at first. A delete
//! needs two answers of the source that its servers agreed on, some time apart: a list may be short while servers start, and a
//! token that has lost rights sees less without being told.

mod copier;
mod deletes;
mod prefix;
mod rule;
mod table;
mod ways;

pub use copier::{Copier, Found, Heading, Refused, Row, Tally, Verdict, Write};
pub use deletes::{Delete, Deletes, Held, Hold, Listing};
pub use prefix::{Prefix, PrefixError};
pub use rule::{Exclude, Limit, Locks, Rule};
pub use ways::{Way, overlap};

#[cfg(test)]
mod property;
