//! Disks of servers that can be frozen and filled: each is a file system of its own in an image.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate, fstatvfs};

use crate::live::tool::{self, ToolError};

/// How large a disk is, in bytes. A run of minutes writes some ten megabytes of Raft's log.
const SIZE: u64 = 512 << 20;

/// What fills a disk.
const FILLER: &str = "filler";

/// Where a disk of an abandoned run is mounted to be thawed.
const RESCUE: &str = "rescue";

/// Why something cannot be done with a disk.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// Only root may mount one.
    #[error("disks of their own, which can be frozen and filled, need root")]
    NotRoot,
    /// A program failed.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// A file cannot be handled.
    #[error("cannot {attempt} {}: {source}", path.display())]
    File {
        /// What was tried.
        attempt: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The disk of a server.
#[derive(Debug)]
pub struct Disk {
    mounted: PathBuf,
    frozen: bool,
    full: bool,
}

impl Disk {
    /// Makes one and mounts it at this directory, which is made; its image lies beside it.
    ///
    /// # Errors
    /// If it cannot be made, or mounted.
    pub async fn make(mounted: &Path) -> Result<Self, DiskError> {
        if !rustix::process::geteuid().is_root() || in_user_namespace() {
            return Err(DiskError::NotRoot);
        }
        let image = mounted.with_extension("img");
        let failed = |attempt, path: &Path| {
            let path = path.to_owned();
            move |source| DiskError::File { attempt, path, source }
        };
        fs::create_dir(mounted).map_err(failed("make", mounted))?;
        let file = File::create_new(&image).map_err(failed("make", &image))?;
        file.set_len(SIZE).map_err(failed("make", &image))?;
        // Nothing is kept back: full is full.
        tool::run("mkfs.ext4", &["-q", "-F", "-m", "0", &image.to_string_lossy()], "").await?;
        let (image, at) = (image.to_string_lossy(), mounted.to_string_lossy());
        tool::run("mount", &["-o", "loop", &image, &at], "").await?;
        Ok(Self { mounted: mounted.to_owned(), frozen: false, full: false })
    }

    /// From now on whoever writes to it waits.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn freeze(&mut self) -> Result<(), DiskError> {
        if !self.frozen {
            tool::run("fsfreeze", &["--freeze", &self.mounted.to_string_lossy()], "").await?;
            self.frozen = true;
        }
        Ok(())
    }

    /// Takes all the room that is left on it.
    ///
    /// # Errors
    /// If it cannot be taken.
    pub fn fill(&mut self) -> Result<(), DiskError> {
        let path = self.mounted.join(FILLER);
        let fill = || -> io::Result<()> {
            let file = File::create(&path)?;
            let disk = fstatvfs(&file)?;
            let mut room = disk.f_bavail.saturating_mul(disk.f_frsize);
            let mut taken = 0;
            // The last blocks go to what keeps account of the others: smaller and smaller pieces.
            while room >= disk.f_frsize {
                match fallocate(&file, FallocateFlags::empty(), taken, room) {
                    Ok(()) => taken += room,
                    Err(rustix::io::Errno::NOSPC) => room /= 2,
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(())
        };
        fill().map_err(|source| DiskError::File {
            attempt: "fill the disk by",
            path: path.clone(),
            source,
        })?;
        self.full = true;
        Ok(())
    }

    /// It is as it was: neither frozen nor full.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn mend(&mut self) -> Result<(), DiskError> {
        if self.frozen {
            tool::run("fsfreeze", &["--unfreeze", &self.mounted.to_string_lossy()], "").await?;
            self.frozen = false;
        }
        if self.full {
            let path = self.mounted.join(FILLER);
            fs::remove_file(&path).map_err(|source| DiskError::File { attempt: "remove", path, source })?;
            self.full = false;
        }
        Ok(())
    }
}

/// Thaws what a run that was killed left frozen: disks whose images lie below this scratch directory. Until then the
/// processes that write to them cannot end.
///
/// # Errors
/// If one cannot be thawed.
pub async fn rescue(scratch: &Path) -> Result<(), DiskError> {
    for device in devices_of(scratch) {
        let at = scratch.join(RESCUE);
        fs::create_dir_all(&at).map_err(|source| DiskError::File {
            attempt: "make",
            path: at.clone(),
            source,
        })?;
        let at = at.to_string_lossy().into_owned();
        tool::run("mount", &[&device, &at], "").await?;
        let thawed = tool::run("fsfreeze", &["--unfreeze", &at], "").await;
        tool::run("umount", &[&at], "").await?;
        match thawed {
            // It was not frozen.
            Err(ToolError::Failed { said, .. }) if said.contains("Invalid argument") => {}
            other => drop(other?),
        }
    }
    Ok(())
}

/// The loop devices with images below a directory.
fn devices_of(scratch: &Path) -> Vec<String> {
    let entries = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let ours = entries.filter(|entry| {
        let file = fs::read_to_string(entry.path().join("loop/backing_file")).unwrap_or_default();
        Path::new(file.trim_end()).starts_with(scratch)
    });
    ours.map(|entry| format!("/dev/{}", entry.file_name().to_string_lossy())).collect()
}

/// Whether "root" is only that of a namespace: the kernel has it mount no disks.
fn in_user_namespace() -> bool {
    // In the first namespace all ids are their own, see user_namespaces(7).
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace().collect::<Vec<_>>() != ["0", "0", "4294967295"]
}
