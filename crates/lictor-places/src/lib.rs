//! Where backups are kept: a folder, a bucket of S3 or of what speaks its protocol, a container of Azure, a bucket of
//! Google. A file of this machine is put there under a name, names are listed, fetched and removed. Nothing here knows
//! what is in the files, and nothing of Lictor.
//!
//! ```no_run
//! # async fn example() -> Result<(), lictor_places::PlaceError> {
//! use lictor_places::{Folder, Place, Put, Settings};
//!
//! let place = Place::new(&Settings::Folder(Folder { path: "/var/backups/consul".into() }))?;
//! let file = std::path::Path::new("/run/snapshot");
//! place.put("2026/11/22/consul.snap", file, Put::New, None, &|_sent| ()).await?;
//! for kept in place.list().await? {
//!     println!("{} {}", kept.name, kept.size);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What holds of every place
//!
//! - A name is there when the whole file is, and not before: a process that is killed, a connection that breaks and a
//!   future that is dropped leave nothing under it.
//! - What is put as [`Put::New`] replaces nothing.
//! - No settings are read from the environment: no `AWS_…`, no proxy; only where the certificates of authorities are may
//!   be said there, by `SSL_CERT_FILE`. The metadata service of a cloud's machine is asked
//!   only where the settings say so.
//! - Nothing is sent without TLS but to an endpoint whose address begins with `http://`.
//! - Every request has limits: see [`limits`]. None is tried again and again for longer than they say.

mod azure;
mod checks;
mod error;
mod folder;
mod google;
pub mod limits;
mod login;
mod name;
mod objects;
mod place;
mod s3;
mod settings;
mod wire;

pub use error::PlaceError;
pub use place::{Kept, Place, Put, Stored};
pub use settings::{
    Azure, AzureCredentials, Folder, Google, GoogleCredentials, Hidden, S3, S3Credentials, S3Encryption,
    S3Keys, Settings,
};
