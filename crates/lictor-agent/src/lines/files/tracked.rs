//! One file that is read as it grows.
//!
//! Nothing of a file is kept in memory from one look to the next but the few bytes before the
//! place that was read to: they are read again together with what follows, so that it is seen in one
//! look whether the file is still the same. A line that is not complete is read again when the
//! file has changed.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use lictor_core::Boot;
use memchr::memrchr;
use rustix::fs::SeekFrom;
use rustix::io::Errno;

use super::rest::begin_alike;
use super::saved::{HEAD, Inode, MARK, Saved, Sum, skip};
use crate::lines::matcher::LINE;
use crate::lines::records::Records;
use crate::lines::sink::Sink;

/// Bytes that one look reads at most. More than a line that counts, or it would never end.
pub(super) const WINDOW: usize = 256 * 1024;

/// A file and how far it was read.
#[derive(Debug)]
pub(super) struct Tracked {
    /// Where it is now, as far as is known.
    pub(super) path: PathBuf,
    /// The path under which it was first followed.
    pub(super) base: PathBuf,
    /// Where it really is: not the link to it, and not the name that it had.
    pub(super) real: PathBuf,
    pub(super) inode: Inode,
    source: Source,
    /// Whether it is there under a path that is followed.
    pub(super) wanted: bool,
    /// Whether it should be looked at.
    pub(super) due: bool,
    /// When something was last read of it, or it went away.
    pub(super) latest: Boot,
    /// When it was first seen, or began anew.
    since: Boot,
    /// The beginning of the first line that was not complete.
    at: u64,
    /// The bytes before that.
    mark: Vec<u8>,
    head: Sum,
    /// Whether what follows is the rest of a line that is too long.
    skip: bool,
    pub(super) records: Option<Records>,
    /// Its size, before anything was read.
    size: u64,
    /// Size and time of change when it was last read to its end.
    looked: Option<(u64, i64, i64)>,
}

#[derive(Debug)]
enum Source {
    Plain(File),
    /// What it is compressed to, and what was read of it and not used.
    Gzip(Box<MultiGzDecoder<File>>, Vec<u8>),
    /// It is something else by now.
    Nothing,
}

/// What one look found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// There is more.
    More,
    /// There is no more now.
    End,
    /// What was read of it is not there any more.
    Changed,
}

impl Tracked {
    /// A file of which nothing was read.
    pub(super) fn new(path: &Path, file: File, inode: Inode, records: Option<Records>, now: Boot) -> Self {
        Self {
            path: path.to_owned(),
            base: path.to_owned(),
            real: whereabouts(&file).unwrap_or_else(|| path.to_owned()),
            inode,
            source: Source::Plain(file),
            wanted: true,
            due: true,
            latest: now,
            since: now,
            at: 0,
            mark: Vec::new(),
            head: Sum::default(),
            skip: false,
            records,
            size: 0,
            looked: None,
        }
    }

    /// Has it looked at although nothing of it may seem to have changed.
    pub(super) fn look_closely(&mut self) {
        (self.due, self.looked) = (true, None);
    }

    /// Whether nothing was read of it.
    pub(super) const fn is_untouched(&self) -> bool {
        self.at == 0 && !self.skip && matches!(self.source, Source::Plain(_))
    }

    /// Whether it has the same first bytes as another one, as many as the shorter one has.
    pub(super) fn begins_like(&self, other: &Self) -> bool {
        match (&self.source, &other.source) {
            (Source::Plain(one), Source::Plain(other)) => begin_alike(one, other).unwrap_or(false),
            _ => false,
        }
    }

    /// Whether what was read of it is not there any more.
    pub(super) fn is_changed(&self) -> bool {
        let saved = self.saved();
        matches!(&self.source, Source::Plain(file) if saved.knows_content() && !saved.is_in(file))
    }

    /// Whether it is none of the other one's copies: what both have is not the same.
    pub(super) fn differs_from(&self, other: &Self) -> bool {
        let (Source::Plain(one), Source::Plain(other)) = (&self.source, &other.source) else { return false };
        ends_apart(one, other).unwrap_or(false)
    }

    /// Whether it has all that was read of another one.
    pub(super) fn has(&self, saved: &Saved) -> bool {
        matches!(&self.source, Source::Plain(file) if saved.knows_content() && saved.is_in(file))
    }

    /// How far a copy is known that is no longer than what was read of the other one.
    pub(super) fn prefix_of(&self, other: &Self) -> Option<Saved> {
        let (Source::Plain(one), Source::Plain(file)) = (&self.source, &other.source) else { return None };
        let size = one.metadata().ok()?.len();
        let from = size.saturating_sub(MARK as u64);
        let (mut ours, mut theirs) = ([0; MARK], [0; MARK]);
        let ours = read_at(one, &mut ours, from).ok().and_then(|found| ours.get(..found))?;
        let theirs =
            read_at(file, &mut theirs, from).ok().and_then(|found| theirs.get(..ours.len().min(found)))?;
        let at = size.min(other.at);
        (size > 0 && size <= other.seen() && ours == theirs).then(|| Saved { at, seen: at, ..other.saved() })
    }

    /// How far it was looked at, with a last line that is not complete.
    fn seen(&self) -> u64 {
        self.looked.map_or(self.at, |(size, ..)| size.max(self.at))
    }

    /// Whether it was first seen within such a time.
    pub(super) fn is_new(&self, now: Boot, within: Duration) -> bool {
        now.since(self.since) < within
    }

    /// Whether it has grown within such a time.
    pub(super) fn is_held(&mut self, now: Boot, hold: Duration) -> bool {
        let Source::Plain(file) = &self.source else { return false };
        let size = file.metadata().map_or(0, |metadata| metadata.len());
        if std::mem::replace(&mut self.size, size) != size {
            self.latest = now;
        }
        now.since(self.latest) < hold
    }

    /// Finds out where it is now.
    pub(super) fn find(&mut self) {
        let Source::Plain(file) = &self.source else { return };
        if let Some(real) = whereabouts(file) {
            self.real = real;
        }
    }

    /// Goes on where the last complete line ends that is there now.
    pub(super) fn begin_at_end(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        let Source::Plain(file) = &self.source else { return Ok(()) };
        let size = file.metadata()?.len();
        let from = size.saturating_sub(LINE as u64);
        let found = read_at(file, buffer.get_mut(..LINE).unwrap_or_default(), from)?;
        let tail = buffer.get(..found).unwrap_or_default();
        // A line that is longer than what counts of it is passed by.
        let line = memrchr(b'\n', tail).map_or(if from == 0 { 0 } else { found }, |place| place + 1);
        self.skip = from > 0 && memrchr(b'\n', tail).is_none();
        let before = tail.get(..line).unwrap_or_default();
        self.mark = last(before);
        self.move_to(from + line as u64);
        Ok(())
    }

    /// Goes on where it was left.
    pub(super) fn resume(&mut self, saved: &Saved) -> io::Result<()> {
        self.base.clone_from(&saved.base);
        self.skip = saved.skip;
        match &self.source {
            Source::Plain(file) => {
                let from = saved.at.saturating_sub(MARK as u64);
                let mut mark = vec![0; usize::try_from(saved.at - from).unwrap_or(MARK)];
                file.read_exact_at(&mut mark, from)?;
                self.mark = mark;
                self.move_to(saved.at);
            }
            Source::Gzip(..) | Source::Nothing => self.at = saved.at,
        }
        Ok(())
    }

    /// The rest of a file that was compressed since.
    pub(super) fn gzip(
        path: &Path,
        inode: Inode,
        saved: &Saved,
        records: Option<Records>,
        now: Boot,
    ) -> io::Result<Self> {
        let file = File::open(path)?;
        let mut tracked = Self::new(path, file.try_clone()?, inode, records, now);
        let mut head = Vec::new();
        MultiGzDecoder::new(File::open(path)?).take(HEAD as u64).read_to_end(&mut head)?;
        tracked.head = Sum::of(&head);
        let mut content = MultiGzDecoder::new(file);
        let before = saved.at.min(MARK as u64);
        skip(&mut content, saved.at - before)?;
        content.by_ref().take(before).read_to_end(&mut tracked.mark)?;
        tracked.source = Source::Gzip(Box::new(content), Vec::new());
        tracked.resume(saved)?;
        tracked.wanted = false;
        Ok(tracked)
    }

    /// Begins anew, as after a truncation.
    pub(super) fn rewind(&mut self, now: Boot) {
        (self.at, self.skip, self.looked, self.due, self.since) = (0, false, None, true, now);
        self.mark.clear();
        self.head = Sum::default();
    }

    /// How far it was read.
    pub(super) fn saved(&self) -> Saved {
        let began = self.records.as_ref().and_then(Records::began);
        Saved {
            base: self.base.clone(),
            inode: self.inode,
            at: began.unwrap_or(self.at),
            gone: !self.wanted,
            skip: self.skip && began.is_none(),
            head: self.head.clone(),
            mark: Sum::of(&self.mark),
            seen: self.at,
        }
    }

    /// What was read of it, by which it is known again; nothing if it has become something else.
    pub(super) fn content(&self) -> Option<Saved> {
        (!matches!(self.source, Source::Nothing)).then(|| self.saved()).filter(Saved::knows_content)
    }

    /// Whether nothing will be appended to it any more.
    pub(super) const fn is_over(&self) -> bool {
        matches!(self.source, Source::Gzip(..) | Source::Nothing)
    }

    /// Whether it has no name any more.
    pub(super) fn is_removed(&self) -> bool {
        match &self.source {
            Source::Plain(file) => file.metadata().is_ok_and(|metadata| metadata.nlink() == 0),
            Source::Gzip(..) | Source::Nothing => true,
        }
    }

    /// Reads no more of it.
    pub(super) fn give_up(&mut self) {
        (self.source, self.due) = (Source::Nothing, false);
    }

    /// Reads on once.
    pub(super) fn step(&mut self, buffer: &mut [u8], sink: &mut Sink, now: Boot) -> io::Result<Step> {
        match &mut self.source {
            Source::Plain(file) => {
                let metadata = file.metadata()?;
                let looked = (metadata.len(), metadata.mtime(), metadata.mtime_nsec());
                if self.looked == Some(looked) {
                    return Ok(Step::End);
                }
                if metadata.len() < self.at {
                    return Ok(Step::Changed);
                }
                let before = self.mark.len();
                let found = read_at(file, buffer, self.at - before as u64)?;
                let content = buffer.get(..found).unwrap_or_default();
                let Some(data) = content.strip_prefix(self.mark.as_slice()) else { return Ok(Step::Changed) };
                let full = found == buffer.len();
                let used = self.use_up(data, sink, now);
                if used == 0 && full {
                    return self.over_a_hole(data.len());
                }
                self.mark = last(content.get(..before + used).unwrap_or_default());
                self.move_to(self.at + used as u64);
                if used > 0 {
                    self.latest = now;
                }
                if full {
                    return Ok(Step::More);
                }
                self.looked = Some(looked);
                Ok(Step::End)
            }
            Source::Nothing => Ok(Step::End),
            Source::Gzip(content, unused) => {
                let room = WINDOW.saturating_sub(unused.len()) as u64;
                let mut data = std::mem::take(unused);
                let found = content.by_ref().take(room).read_to_end(&mut data);
                let used = self.use_up(&data, sink, now);
                self.mark.extend_from_slice(data.get(used.saturating_sub(MARK)..used).unwrap_or_default());
                self.mark = last(&self.mark);
                data.drain(..used);
                self.at += used as u64;
                let Source::Gzip(_, unused) = &mut self.source else { return Ok(Step::End) };
                *unused = data;
                // What is left of a damaged file is lost.
                Ok(if found.is_ok_and(|found| found > 0) { Step::More } else { Step::End })
            }
        }
    }

    /// Takes the last line although nothing ends it: nothing more will come.
    pub(super) fn finish(&mut self, buffer: &mut [u8], sink: &mut Sink, now: Boot) {
        let rest = match &self.source {
            Source::Plain(file) => {
                let found =
                    read_at(file, buffer.get_mut(..LINE).unwrap_or_default(), self.at).unwrap_or_default();
                buffer.get(..found).unwrap_or_default()
            }
            Source::Gzip(_, unused) => unused.as_slice(),
            Source::Nothing => &[],
        };
        if !self.skip && rest.iter().any(|byte| *byte != 0) {
            sink.text(rest, self.at, self.records.as_mut(), now);
        }
        if let Some(records) = &mut self.records {
            sink.end(records);
        }
    }

    /// Takes the complete lines at the beginning of `data`; says how many bytes they are.
    fn use_up(&mut self, data: &[u8], sink: &mut Sink, now: Boot) -> usize {
        sink.complete(data, self.at, &mut self.skip, self.records.as_mut(), now)
    }

    /// Passes by a hole that is larger than one look. One that nothing follows may be filled yet.
    fn over_a_hole(&mut self, zeros: usize) -> io::Result<Step> {
        let Source::Plain(file) = &self.source else { return Ok(Step::End) };
        let next = match rustix::fs::seek(file, SeekFrom::Data(self.at)) {
            Ok(data) if data > self.at => data,
            Err(Errno::NXIO) => return Ok(Step::End),
            // They are written out, or this file system does not tell.
            Ok(_) | Err(_) => self.at + zeros as u64,
        };
        self.mark = vec![0; MARK];
        self.move_to(next);
        Ok(Step::More)
    }

    /// Notes that everything up to there was used.
    fn move_to(&mut self, at: u64) {
        self.at = at;
        let Source::Plain(file) = &self.source else { return };
        let known = usize::try_from(at).unwrap_or(HEAD).min(HEAD);
        if known > self.head.0 {
            let mut head = vec![0; known];
            if file.read_exact_at(&mut head, 0).is_ok() {
                self.head = Sum::of(&head);
            }
        }
    }
}

/// Whether two files differ in the last bytes of what the shorter one has.
fn ends_apart(one: &File, other: &File) -> io::Result<bool> {
    let length = one.metadata()?.len().min(other.metadata()?.len());
    let from = length.saturating_sub(MARK as u64);
    let (mut a, mut b) = ([0; MARK], [0; MARK]);
    let (found, theirs) = (read_at(one, &mut a, from)?, read_at(other, &mut b, from)?);
    let both = usize::try_from(length - from).unwrap_or(MARK).min(found).min(theirs);
    Ok(a.get(..both) != b.get(..both))
}

/// The path of an open file.
fn whereabouts(file: &File) -> Option<PathBuf> {
    fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()
}

/// The last bytes, by which a place is known again.
fn last(bytes: &[u8]) -> Vec<u8> {
    bytes.get(bytes.len().saturating_sub(MARK)..).unwrap_or_default().to_vec()
}

/// Fills as much of the buffer as there is.
pub(super) fn read_at(file: &File, buffer: &mut [u8], from: u64) -> io::Result<usize> {
    let mut found = 0;
    while let Some(room) = buffer.get_mut(found..).filter(|room| !room.is_empty()) {
        match file.read_at(room, from + found as u64) {
            Ok(0) => break,
            Ok(count) => found += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}
