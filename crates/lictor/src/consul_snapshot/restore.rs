//! `restore`: a backup is fetched and decrypted, and its keys are put back.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use lictor_agent::snapshot::Stored;
use lictor_compat::consul_snapshot::health;
use lictor_snapshot::seal::{Keys, Passphrase};
use tracing::info;

use super::{Told, failed};
use crate::command::snapshot::only;
use crate::command::{stopped, waiting};
use crate::exit::Failure;
use crate::output::Terminal;

/// Keys that are not put back: Lictor's own records, and when the last backup was.
const LEFT: [&str; 2] = ["lictor/", health::KEY];

/// Puts the keys of a backup back. Others stay.
pub(super) fn run(told: &Told, path: &str, terminal: &Terminal) -> Result<(), Failure> {
    waiting(async {
        let (client, address) = told.consul()?;
        let folder = Folder::new(Path::new(&told.start.scratch))?;
        let file = fetched(told, path, &folder).await?;
        let mut keys = Keys::default();
        if let Some(password) = &told.start.password {
            let passphrase = Passphrase::new(password.expose());
            keys.add_passphrase(passphrase.map_err(|error| failed(format!("CRYPTO_PASSWORD: {error}")))?);
        }
        let done = only::all_of(&file, &keys, &LEFT, &client, &address, terminal).await;
        match &told.start.password {
            Some(_) => done,
            None => done.map_err(|failure| hinted(failure, &file)),
        }
    })
}

/// What opens an encrypted backup is said where nothing was given.
fn hinted(failure: Failure, file: &Path) -> Failure {
    let mut first = [0; 3];
    let read = fs::File::open(file).and_then(|mut file| io::Read::read_exact(&mut file, &mut first));
    match read {
        Ok(()) if first == *b"v0:" || first == *b"age" => {
            failure.help("it is encrypted: CRYPTO_PASSWORD says with what")
        }
        _ => failure,
    }
}

/// Fetches the backup into a folder.
async fn fetched(told: &Told, path: &str, folder: &Folder) -> Result<PathBuf, Failure> {
    let (place, name) = told.backup(path.trim_start_matches('/')).map_err(failed)?;
    let place = Stored::open(&place).map_err(failed)?;
    let base = name.rsplit('/').next().filter(|base| !matches!(*base, "" | "." | ".."));
    let base = base.ok_or_else(|| failed(format!("{path:?} is not the name of a backup")))?;
    let target = folder.0.join(base);
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&target);
    let file = file.map_err(|error| failed(format!("cannot write {}: {error}", target.display())))?;
    let size = tokio::select! {
        fetched = place.fetch(&name, file) => fetched.map_err(|error| failed(error.to_string()))?,
        () = stopped() => return Err(failed("stopped: nothing was restored")),
    };
    info!(file = name, from = place.shown(), bytes = size, "the backup was fetched");
    Ok(target)
}

/// A folder for its owner only, in which a backup lies while it is restored: it holds every secret of the cluster. What there was
/// of the keys that become others is kept in it; else nothing is left.
struct Folder(PathBuf);

impl Folder {
    fn new(scratch: &Path) -> Result<Self, Failure> {
        let path = scratch.join(format!("consul-snapshot.restore.{:016x}", rand::random::<u64>()));
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|error| failed(format!("cannot make the folder {}: {error}", path.display())))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        for entry in fs::read_dir(&self.0).into_iter().flatten().flatten() {
            if !entry.file_name().to_string_lossy().starts_with("before-") {
                fs::remove_file(entry.path()).unwrap_or_default();
            }
        }
        // With what is kept it stays.
        fs::remove_dir(&self.0).unwrap_or_default();
    }
}
