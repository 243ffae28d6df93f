//! What seals files and what opens them, from where the command line or the environment says.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use lictor_config::{Env as _, ProcessEnv};
use lictor_snapshot::Source;
use lictor_snapshot::seal::{Keys, Passphrase, Recipients};
use lictor_snapshot::source::OpenError;

use super::unsound;
use crate::cli::{SnapshotKeys, SnapshotSeal};
use crate::exit::{Exit, Failure};

/// Names of identity files, with colons between them.
const IDENTITY: &str = "LICTOR_SNAPSHOT_IDENTITY_FILE";

/// The name of a file with a passphrase.
const PASSPHRASE: &str = "LICTOR_SNAPSHOT_PASSPHRASE_FILE";

/// What opens sealed files; nothing unless somebody names it.
pub(super) fn keys(args: &SnapshotKeys) -> Result<Keys, Failure> {
    let mut keys = Keys::default();
    let mut identities = args.identity.clone();
    let mut passphrase = args.passphrase_file.clone();
    if identities.is_empty() && passphrase.is_none() {
        if let Some(names) = ProcessEnv.var(IDENTITY) {
            identities.extend(env::split_paths(&names).filter(|path| !path.as_os_str().is_empty()));
        }
        passphrase = ProcessEnv.var(PASSPHRASE).filter(|name| !name.is_empty()).map(PathBuf::from);
    }
    for path in &identities {
        let content = content(path, "identity file")?;
        keys.add_identities(&content).map_err(|error| unsound(path, &error))?;
    }
    if let Some(path) = &passphrase {
        keys.add_passphrase(read_passphrase(path)?);
    }
    Ok(keys)
}

/// To whom a file is to be sealed; nobody unless somebody is named.
pub(super) fn recipients(args: &SnapshotSeal) -> Result<Option<Recipients>, Failure> {
    match &args.passphrase_file {
        Some(path) => Ok(Some(Recipients::passphrase(read_passphrase(path)?))),
        None if args.encrypt_to.is_empty() => Ok(None),
        None => Recipients::parse(&args.encrypt_to)
            .map(Some)
            .map_err(|error| Failure::new(Exit::Usage, format!("--encrypt-to: {error}"))),
    }
}

fn read_passphrase(path: &Path) -> Result<Passphrase, Failure> {
    Passphrase::from_file(&content(path, "passphrase")?).map_err(|error| unsound(path, &error))
}

fn content(path: &Path, what: &str) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| {
        Failure::new(Exit::Failed, format!("the {what} cannot be read: {}: {error}", path.display()))
    })
}

/// Opens a snapshot, sealed or not.
pub(super) fn open(path: &Path, keys: &Keys) -> Result<Source, Failure> {
    look(path, keys).map_err(|error| unopened(path, &error))
}

/// As [`open`], for who wants to know what is wrong.
pub(super) fn look(path: &Path, keys: &Keys) -> Result<Source, OpenError> {
    if fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
        let source = io::Error::other("it is no file; a snapshot is read more than once");
        return Err(OpenError::Open { path: path.to_owned(), source });
    }
    Source::open_with(path, keys)
}

/// That a file cannot be opened, and what opens it if that is missing.
fn unopened(path: &Path, error: &OpenError) -> Failure {
    let failure = unsound(path, error);
    match error {
        OpenError::Sealed(error) if error.wants_key() => failure.help(WAY_OUT),
        _ => failure,
    }
}

/// How a sealed file is opened.
pub(super) const WAY_OUT: &str = "--identity FILE or --passphrase-file FILE opens what is sealed";
