//! Space kept back for the day the disk is full.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};

/// The space is taken only if the disk has this part of it more: on a disk that is as good
/// as full one commit gets through and the next does not, and an action would begin whose
/// outcome cannot be recorded.
const MARGIN: u64 = 4;

/// A file that does nothing but take up space. Removing it gives the disk back enough
/// for what has to be recorded when nothing else can be.
#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    size: u64,
    held: bool,
}

impl Reserve {
    /// The reserve in a directory, made when missing. A size of 0 is no reserve.
    pub(super) fn new(dir: &Path, size: u64) -> Self {
        let mut reserve = Self { path: dir.join("reserve"), size, held: false };
        let present = fs::metadata(&reserve.path).is_ok_and(|meta| meta.len() == size);
        reserve.held = size == 0 || present;
        reserve.restore();
        reserve
    }

    /// Whether the space is kept back.
    pub(super) fn held(&self) -> bool {
        self.held
    }

    /// Gives the space to the disk. Says whether there was some to give.
    pub(super) fn release(&mut self) -> bool {
        if !self.held {
            return false;
        }
        self.held = false;
        self.size > 0 && fs::remove_file(&self.path).is_ok()
    }

    /// Takes the space back if the disk has it, and some more; says whether it is kept
    /// back now.
    pub(super) fn restore(&mut self) -> bool {
        if !self.held {
            self.held = self.size == 0 || self.fill().is_ok();
            if !self.held && fs::remove_file(&self.path).is_err() {
                // Nothing was made, or nothing can be removed: the next try will tell.
            }
        }
        self.held
    }

    fn fill(&self) -> io::Result<()> {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&self.path)?;
        let size = self.size + self.size / MARGIN;
        match fallocate(&file, FallocateFlags::empty(), 0, size) {
            Ok(()) => {}
            // Not every file system can; zeros take up space on nearly all of those.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => zeros(&mut file, size)?,
            Err(why) => return Err(why.into()),
        }
        file.set_len(self.size)
    }
}

fn zeros(file: &mut File, size: u64) -> io::Result<()> {
    let block = [0; 64 << 10];
    let mut left = size;
    while left > 0 {
        let part = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
        file.write_all(block.get(..part).unwrap_or(&block))?;
        left -= part as u64;
    }
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt as _;

    #[test]
    fn the_reserve_really_takes_up_space() {
        let dir = tempfile::tempdir().unwrap();
        let mut reserve = Reserve::new(dir.path(), 1 << 20);
        let on_disk = || fs::metadata(dir.path().join("reserve")).map(|meta| meta.blocks() * 512);
        assert!(reserve.held() && on_disk().unwrap() >= 1 << 20);
        assert!(reserve.release() && on_disk().is_err());
        assert!(!reserve.release(), "it can be given only once");
        assert!(reserve.restore() && on_disk().unwrap() == 1 << 20, "the margin is not kept");
    }

    #[test]
    fn a_reserve_of_another_size_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Reserve::new(dir.path(), 4096).held());
        assert!(Reserve::new(dir.path(), 8192).held());
        assert_eq!(fs::metadata(dir.path().join("reserve")).unwrap().len(), 8192);
    }

    #[test]
    fn zeros_fill_where_nothing_can_be_allocated_ahead() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("zeros");
        zeros(&mut File::create(&path).unwrap(), (64 << 10) + 5).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), (64 << 10) + 5);
    }
}
