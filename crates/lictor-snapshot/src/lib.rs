//! Snapshots of Consul: read, checked, shown, compared and written. Bytes go in and values come out; there is no
//! network here, no runtime, and nothing of Lictor.
//!
//! ```no_run
//! # fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use lictor_snapshot::archive::Limits;
//! use lictor_snapshot::inspect::Format;
//! use lictor_snapshot::{Source, verify};
//!
//! let source = Source::open("backup.snap")?;
//! let report = verify(&source, &Limits::default(), None)?;
//! if let Some(meta) = &report.whole.meta {
//!     print!("{}", String::from_utf8_lossy(&report.inspection.render(meta, Format::Pretty)));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What is checked
//!
//! An archive may have the right sums and still kill the server that restores it: Consul's own `inspect` checks
//! sums, and a restore that cannot decode the state ends the leader's process. So whatever is read
//! here is read to its end: gzip, tar, the names and the sums, what stands behind the tar, the length that
//! `meta.json` promises; and each record is decoded, has the fields of its kind with types that Consul's
//! decoder takes, and has what its table finds it by. Records of kinds that are not known are gone
//! over and counted. [`Kind::restored_by`] tells which servers take a kind.
//!
//! # What it costs
//!
//! One pass and no file in between. What is held is one record (at most [`state::RECORD_LIMIT`]) and pieces of
//! some 100 KiB; a [comparison](diff) holds 64 bytes for each thing of the first snapshot. No input makes
//! it panic, and what a few bytes can be blown up to is bounded: see [`archive::Limits`].
//!
//! # Secrets
//!
//! A snapshot holds all of a cluster's: tokens, private keys. [`decode`] hides them unless it is told not to, `Debug`
//! of no type here shows a value, and errors say of what type a field is and not what it says.

pub mod archive;
pub mod build;
pub mod decode;
pub mod diff;
pub mod inspect;
mod kind;
mod meta;
pub mod msgpack;
pub mod pshima;
pub mod seal;
mod shape;
pub mod source;
pub mod state;
mod tar;
mod verify;
pub mod view;
mod writer;

pub use kind::Kind;
pub use meta::{Configuration, Meta, Server};
pub use source::{Shape, Source, get};
pub use verify::{DEPTH, Folder, LeftOut, Report, Verdict, verify, verify_dir};
pub use writer::{WriteError, write};
