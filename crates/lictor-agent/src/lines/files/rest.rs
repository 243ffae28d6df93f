//! What became of a file: moved, copied, compressed.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lictor_core::Boot;

use super::saved::{Inode, Saved};
use super::tracked::Tracked;
use super::{Files, glob, open};
use crate::lines::records::Records;

/// Neighbours of a file in which its rest is looked for, the latest ones.
const NEIGHBOURS: usize = 64;

/// Entries of a directory that are looked at for neighbours.
const ENTRIES: usize = 10_000;

/// Files that were read to their end and are remembered, of one path and of all.
const FINISHED_OF_ONE: usize = 4;
const FINISHED: usize = 64;

/// A file that may become a copy of another is taken for its own when it has not grown for so long.
const HOLD: Duration = Duration::from_secs(1);

/// The same when it never stops growing: a copy of gigabytes takes its time, too.
const LONGEST: Duration = Duration::from_secs(30);

/// Where the rest of a file is.
pub(super) enum Rest {
    /// Here.
    Found(Box<Tracked>),
    /// In the file of this number, which is followed anyway.
    Followed(usize),
    /// It may be somewhere where one may not look now.
    Hidden,
    /// Nowhere.
    Gone,
}

/// Whether a file of which nothing was read is a copy of one that is followed.
pub(super) enum Copied {
    /// It is not.
    No,
    /// As far as that one was read, it is known.
    From(Saved),
    /// That can be told when the other one was read.
    Later,
    /// It may be one that is not complete yet.
    Perhaps,
}

impl Files {
    /// Finds what became of a file that was moved, copied or compressed.
    pub(super) fn find_rest(&mut self, saved: &Saved, now: Boot) -> Rest {
        let Ok(neighbours) = neighbours(&saved.base) else { return Rest::Hidden };
        let records = || self.multiline.as_ref().map(Records::new);
        let mut hidden = false;
        for same in [true, false] {
            for path in &neighbours {
                let (file, inode) = match open(path) {
                    Ok(opened) => opened,
                    Err(error) => {
                        let it = |metadata: fs::Metadata| Inode::of(&metadata) == saved.inode;
                        hidden |= error.kind() != io::ErrorKind::NotFound && fs::metadata(path).is_ok_and(it);
                        continue;
                    }
                };
                if same != (inode == saved.inode) || !(same || saved.knows_content()) {
                    continue;
                }
                if let Some(place) = self.tracked.iter().position(|one| one.inode == inode) {
                    if !saved.knows_content() || !saved.is_in(&file) {
                        continue;
                    }
                    if self.tracked.get(place).is_some_and(Tracked::is_untouched) {
                        self.resume(place, saved);
                    }
                    return Rest::Followed(place);
                }
                let packed = is_packed(path);
                if !packed && saved.is_in(&file) {
                    let mut one = Tracked::new(path, file, inode, records(), now);
                    one.wanted = false;
                    if one.resume(saved).is_ok() {
                        return Rest::Found(Box::new(one));
                    }
                } else if packed
                    && saved.is_in_gzip(path)
                    && let Ok(one) = Tracked::gzip(path, inode, saved, records(), now)
                {
                    return Rest::Found(Box::new(one));
                }
            }
        }
        if hidden { Rest::Hidden } else { Rest::Gone }
    }

    /// Files that were in the place of one that was moved away while nobody looked, and were moved away themselves:
    /// named like it and a number or a date, and younger.
    pub(super) fn between(&self, base: &Path, rest: &Path, now: Boot) -> Vec<Tracked> {
        let modified = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
        let (Some(since), Ok(neighbours)) = (modified(rest), neighbours(base)) else { return Vec::new() };
        let own = base.file_name().map(OsStr::as_bytes).unwrap_or_default();
        let numbered = |path: &Path| {
            let name = path.file_name().map(OsStr::as_bytes).unwrap_or_default();
            let Some(more) = name.strip_prefix(own) else { return false };
            let more = more.strip_suffix(b".gz").unwrap_or(more);
            let fits = |byte: &u8| byte.is_ascii_digit() || b".-_T".contains(byte);
            more.iter().all(fits)
                && more.iter().any(u8::is_ascii_digit)
                && more.first().is_some_and(|first| !first.is_ascii_digit())
        };
        let younger = neighbours.iter().filter(|path| numbered(path) && modified(path) > Some(since));
        let mut found = Vec::new();
        for path in younger {
            let Ok((file, inode)) = open(path) else { continue };
            if self.tracked.iter().any(|one| one.inode == inode) || self.was_read(base, path, &file) {
                continue;
            }
            let records = self.multiline.as_ref().map(Records::new);
            let start = Saved::start(base, inode);
            let one = if is_packed(path) {
                Tracked::gzip(path, inode, &start, records, now)
            } else {
                let mut one = Tracked::new(path, file, inode, records, now);
                (one.wanted, one.base) = (false, base.to_owned());
                Ok(one)
            };
            found.extend(one);
        }
        // The oldest first.
        found.reverse();
        found
    }

    /// Whether what is in this file, maybe packed, was read before it got there: whoever packs a file may give it
    /// the time of the packing.
    fn was_read(&self, base: &Path, path: &Path, file: &File) -> bool {
        let tracked = self.tracked.iter().map(Tracked::saved);
        let read = tracked.chain(self.finished.iter().chain(&self.lost).cloned());
        read.filter(|saved| saved.base == base).any(|saved| saved.is_at(path, file))
    }

    /// Remembers a file that was read to its end.
    pub(super) fn finished(&mut self, saved: Saved) {
        let same = |other: &Saved| other.base == saved.base;
        let of_one = self.finished.iter().filter(|other| same(other)).count();
        let oldest = if of_one < FINISHED_OF_ONE { None } else { self.finished.iter().position(same) };
        if let Some(oldest) = oldest.or((self.finished.len() >= FINISHED).then_some(0)) {
            self.finished.remove(oldest);
        }
        self.finished.push(saved);
    }

    /// Whether the file of that number, of which nothing was read, is a copy. It could be followed by the same
    /// pattern as the one it was made of, and its lines must not come twice.
    pub(super) fn copied(&mut self, index: usize, now: Boot) -> Copied {
        let Some(one) = self.tracked.get_mut(index) else { return Copied::No };
        let (waits, held) = (one.is_new(now, LONGEST), one.is_held(now, HOLD));
        let Some(one) = self.tracked.get(index) else { return Copied::No };
        let name = one.path.file_name().map(OsStr::as_bytes).unwrap_or_default();
        let mut perhaps = false;
        for other in &self.tracked {
            // A copy has the name of the other one, and something more.
            let base = other.base.file_name().map(OsStr::as_bytes).unwrap_or_default();
            let near = other.base.parent() == one.path.parent() && name.starts_with(base) && name != base;
            // What was in the same place before it is none.
            let copied = other.inode != one.inode && other.base != one.base;
            if !copied || !near || other.is_untouched() {
                continue;
            }
            // It was truncated, and this may be what is left of it: that is seen when it is read.
            if other.due && waits && other.is_changed() {
                return Copied::Later;
            }
            if !one.begins_like(other) || one.differs_from(other) {
                continue;
            }
            if other.due && waits {
                return Copied::Later;
            }
            // It may still be written.
            if held && waits {
                perhaps = true;
                continue;
            }
            let saved = other.saved();
            if let Some(saved) = one.prefix_of(other).or_else(|| one.has(&saved).then_some(saved)) {
                return Copied::From(saved);
            }
        }
        if perhaps { Copied::Perhaps } else { Copied::No }
    }

    /// Has a file go on where another ended.
    pub(super) fn resume(&mut self, place: usize, saved: &Saved) {
        let Some(one) = self.tracked.get_mut(place) else { return };
        let path = one.base.clone();
        if one.resume(saved).is_ok() {
            self.moved = true;
        }
        one.base = path;
    }
}

pub(super) fn is_packed(path: &Path) -> bool {
    path.extension() == Some(OsStr::new("gz"))
}

/// Files next to one whose names begin like its own, the latest first.
fn neighbours(base: &Path) -> io::Result<Vec<PathBuf>> {
    let (Some(dir), Some(name)) = (base.parent(), base.file_name()) else { return Ok(Vec::new()) };
    let stem = glob::stem(name);
    let alike = fs::read_dir(dir)?
        .take(ENTRIES)
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().as_bytes().starts_with(stem))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())));
    let mut found: Vec<_> = alike.collect();
    found.sort_by(|one, other| other.cmp(one));
    found.truncate(NEIGHBOURS);
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// Whether two files have the same first bytes, as many as the shorter one has of them.
pub(super) fn begin_alike(one: &File, other: &File) -> io::Result<bool> {
    let (mut a, mut b) = ([0; 1_024], [0; 1_024]);
    let (a, b) = (beginning(one, &mut a)?, beginning(other, &mut b)?);
    let length = a.len().min(b.len());
    Ok(length > 0 && a.get(..length) == b.get(..length))
}

fn beginning<'a>(file: &File, buffer: &'a mut [u8]) -> io::Result<&'a [u8]> {
    let found = super::tracked::read_at(file, buffer, 0)?;
    Ok(buffer.get(..found).unwrap_or_default())
}
