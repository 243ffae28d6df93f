//! Files that are not yet what their name says.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::{beside, writing};
use crate::exit::{Exit, Failure};
use lictor_snapshot::seal::{Recipients, SealError, seal};
use rustix::fs::{CWD, RenameFlags, renameat_with};

/// A file that nobody takes for a snapshot yet: its name begins with a dot, and only its owner reads it. It is removed
/// unless it gets its name.
pub(super) struct Unverified {
    pub(super) file: File,
    path: PathBuf,
}

impl Unverified {
    /// In the folder of what it is to become.
    pub(super) fn beside(target: &Path) -> io::Result<Self> {
        let mut name = std::ffi::OsString::from(".");
        name.push(target.file_name().ok_or(io::ErrorKind::InvalidFilename)?);
        name.push(format!(".unverified.{:08x}", rand::random::<u32>()));
        let path = target.with_file_name(name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Self { file, path })
    }

    /// Where no name is wanted.
    pub(super) fn anywhere() -> io::Result<Self> {
        Self::beside(&std::env::temp_dir().join("lictor"))
    }

    /// Where it is now.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The same, sealed, in the folder of what it is to become; it is removed itself.
    pub(super) async fn sealed(self, to: &Recipients, target: &Path) -> Result<Self, Failure> {
        let failed = |why: SealError| Failure::new(Exit::Failed, format!("{}: {why}", target.display()));
        let sealed = Self::beside(target).map_err(|why| failed(SealError::Write(why)))?;
        let plain = File::open(&self.path).map_err(|why| failed(SealError::Read(why)))?;
        let file = sealed.file.try_clone().map_err(|why| failed(SealError::Write(why)))?;
        let (to, _busy) = (to.clone(), writing("sealing it", &file));
        beside(move || seal(&to, plain, file)).await?.map_err(failed)?;
        Ok(sealed)
    }

    /// Gives it a name, which is on the disk when this has come back. `anew`: nothing may have it.
    pub(super) fn name(&self, target: &Path, anew: bool) -> io::Result<()> {
        self.file.sync_all()?;
        match anew {
            true => renameat_with(CWD, &self.path, CWD, target, RenameFlags::NOREPLACE)?,
            false => fs::rename(&self.path, target)?,
        }
        let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Drop for Unverified {
    fn drop(&mut self) {
        // It is not there any more when it got its name.
        fs::remove_file(&self.path).unwrap_or_default();
    }
}

/// What a file is to be called: the one that a link leads to, and nothing that is no file.
pub(super) fn target(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Ok(real) if real.is_file() => Ok(real),
        Ok(_) => Err(io::Error::other("it is there, and no file; `-` writes to the standard output")),
        Err(error) if error.kind() == io::ErrorKind::NotFound && path.is_symlink() => {
            Err(io::Error::other("it is a link to nothing"))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(path.to_owned()),
        Err(error) => Err(error),
    }
}

/// A name in the folder of a file: `before-TIME-` and so on.
pub(super) fn before(restored: &Path, end: &str) -> PathBuf {
    let time = jiff::Zoned::now().strftime("%Y%m%dT%H%M%S").to_string();
    restored.with_file_name(format!("before-{time}-{end}"))
}
