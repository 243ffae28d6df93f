//! Files that are followed by name while they are written to, rotated, truncated and compressed.
//!
//! A file is known by device and inode number, by the checksum of its first bytes, and by that of the
//! bytes before the place it was read to. Whoever moves it away, it stays open and is read to its end;
//! when it was moved away while nobody looked, or copied and truncated, what it was moved to is
//! found next to it by these checksums.

mod glob;
mod rest;
mod saved;
mod tracked;

pub(crate) use glob::stands_for;

use std::collections::{BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lictor_config::Multiline;
use lictor_core::{Boot, Match};
use rustix::fs::OFlags;
use tracing::warn;

use super::matcher::Matcher;
use super::records::Records;
use super::sink::Sink;
use rest::{Copied, Rest};
use saved::{Inode, Position, Saved};
use tracked::{Step, Tracked, WINDOW};

/// Files that are followed at once.
const MOST: usize = 1_000;

/// Files whose rest may be found later, besides those of the position that was begun with.
const LOST: usize = 64;

/// Paths that could not be followed when they were first seen.
const UNREAD: usize = 100_000;

/// Bytes read in one turn.
const TURN: usize = 4 * WINDOW;

/// How long a file that was moved away is still read once there is something in another one in its place: whoever
/// writes it may take his time.
const LINGER: Duration = Duration::from_secs(60);

/// The same when there is nothing in its place: whoever writes it may not know that it was moved.
const ALONE: Duration = Duration::from_secs(3_600);

/// The files of one watcher.
#[derive(Debug)]
pub struct Files {
    paths: Vec<String>,
    multiline: Option<Multiline>,
    sink: Sink,
    /// Older files before those that took their place.
    tracked: Vec<Tracked>,
    /// Files of the position that were not found yet, the oldest first.
    lost: Vec<Saved>,
    /// So many of those are remembered.
    room: usize,
    /// Files that were moved away and read to their end, the latest ones.
    finished: Vec<Saved>,
    /// Those of the paths that were not followed before: files that are there are read from their end.
    fresh: BTreeSet<String>,
    /// Files of such paths that could not be opened, or were beyond the limit.
    unread: BTreeSet<PathBuf>,
    /// Paths with files beyond the limit that are not to be read from their beginning.
    partial: BTreeSet<String>,
    /// Files that are followed at once.
    most: usize,
    standing: Standing,
    buffer: Vec<u8>,
    /// The file at which the next turn begins: after the one that had what was left of the one before.
    next: usize,
    moved: bool,
}

/// How the files stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Files that are followed.
    pub files: usize,
    /// Paths and patterns for which there is no file.
    pub missing: Vec<String>,
    /// Files that cannot be read, and why.
    pub problems: Vec<(PathBuf, String)>,
    /// Files beyond the limit.
    pub left_out: usize,
    /// How often the rest of a file was not to be found.
    pub gaps: u64,
}

/// Where something may have happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hint {
    /// In these files, by their names; in none of the others.
    Names(BTreeSet<OsString>),
    /// Anywhere: files may have come and gone, too.
    Anywhere,
}

/// What one turn brought.
#[derive(Debug)]
pub struct Turn {
    /// What matched, in order.
    pub matches: Vec<Match>,
    /// How far that leads, if it leads on.
    pub position: Option<String>,
    /// Whether there is more to read.
    pub more: bool,
}

impl Files {
    /// Follows the files of these paths from a position on. Without one, files that are there
    /// are read from their end, or with `from_start` from their beginning.
    pub fn new(
        paths: &[String],
        multiline: Option<&Multiline>,
        matcher: Arc<Matcher>,
        from_start: bool,
        position: Option<&str>,
    ) -> Self {
        let mut standing = Standing::default();
        let known = position.filter(|text| !text.is_empty()).map(saved::read).transpose();
        let Position { paths: followed, files: lost, finished } = known
            .unwrap_or_else(|error| {
                warn!(?paths, %error, "how far these files were read is not understood; it is lost");
                standing.gaps += 1;
                None
            })
            .unwrap_or_default();
        let fresh = |path: &&String| !from_start && !followed.contains(path);
        Self {
            paths: paths.to_vec(),
            multiline: multiline.cloned(),
            sink: Sink::new(matcher),
            tracked: Vec::new(),
            fresh: paths.iter().filter(fresh).cloned().collect(),
            room: LOST + lost.len().min(MOST),
            lost,
            finished,
            unread: BTreeSet::new(),
            partial: BTreeSet::new(),
            most: MOST,
            standing,
            buffer: vec![0; WINDOW],
            next: 0,
            moved: true,
        }
    }

    /// Reads on for a bounded time.
    pub fn turn(&mut self, hint: &Hint, now: Boot) -> Turn {
        match hint {
            Hint::Anywhere => {
                self.sweep(now);
                self.tracked.iter_mut().for_each(|one| one.due = true);
            }
            Hint::Names(names) => {
                let named = |path: &Path| path.file_name().is_some_and(|name| names.contains(name));
                for one in self.tracked.iter_mut().filter(|one| named(&one.path) || named(&one.real)) {
                    one.look_closely();
                }
            }
        }
        let more = self.read(now);
        self.end_what_is_over(now);
        let moved = std::mem::take(&mut self.moved);
        let position = moved.then(|| {
            let files = self.tracked.iter().map(Tracked::saved);
            // Of the others everything that is new is to be read.
            let whole = self.paths.iter().filter(|path| !self.partial.contains(*path));
            saved::write(Position {
                paths: whole.cloned().collect(),
                files: files.chain(self.lost.iter().cloned()).collect(),
                finished: self.finished.clone(),
            })
        });
        self.standing.files = self.tracked.len();
        Turn { matches: self.sink.take(), position, more }
    }

    /// How the files stand.
    pub const fn standing(&self) -> &Standing {
        &self.standing
    }

    /// What was counted of their lines.
    pub const fn counts(&self) -> &Sink {
        &self.sink
    }

    /// How long until a record is over if nothing comes.
    pub fn due(&self, now: Boot) -> Option<Duration> {
        self.tracked.iter().filter_map(|one| one.records.as_ref()?.due(now)).min()
    }

    /// The directories in which files may come, go and grow.
    pub fn directories(&self) -> BTreeSet<PathBuf> {
        let expanded = self.paths.iter().flat_map(|path| match path.rsplit_once('/') {
            Some((dir, _)) if glob::is_pattern(dir) => glob::directories(dir),
            Some((dir, _)) => vec![PathBuf::from(if dir.is_empty() { "/" } else { dir })],
            None => Vec::new(),
        });
        let parents = self.tracked.iter().filter_map(|one| one.real.parent().map(Path::to_owned));
        expanded.chain(parents).collect()
    }

    /// The names by which one is told of changes of files that are followed.
    pub fn names(&self) -> BTreeSet<OsString> {
        let paths = self.tracked.iter().flat_map(|one| [&one.path, &one.real]);
        paths.filter_map(|path| path.file_name().map(OsStr::to_owned)).collect()
    }

    /// Reads what is due; whether something is left.
    fn read(&mut self, now: Boot) -> bool {
        let mut left = TURN;
        let count = self.tracked.len();
        let first = std::mem::take(&mut self.next);
        'turn: for offset in 0..count {
            let index = (first + offset) % count;
            while let Some(one) = self.tracked.get(index).filter(|one| one.due) {
                // First what was there before it, wherever the turn began.
                if self.follows_older(index) {
                    break;
                }
                if one.is_untouched() {
                    match self.copied(index, now) {
                        Copied::No => {}
                        Copied::From(saved) => self.resume(index, &saved),
                        Copied::Later => break,
                        Copied::Perhaps => {
                            if let Some(one) = self.tracked.get_mut(index) {
                                one.due = false;
                            }
                            break;
                        }
                    }
                }
                let Some(one) = self.tracked.get_mut(index) else { break };
                let before = one.saved();
                match one.step(&mut self.buffer, &mut self.sink, now) {
                    Ok(Step::More) => left = left.saturating_sub(WINDOW),
                    Ok(Step::End) => one.due = false,
                    Ok(Step::Changed) => self.begin_anew(index, now),
                    Err(error) => {
                        one.due = false;
                        self.standing.problems.push((one.path.clone(), plain(&error)));
                    }
                }
                self.moved |= self.tracked.get(index).is_some_and(|one| one.saved() != before);
                if left == 0 || self.sink.is_full() {
                    // One that never comes to its end must not keep the others waiting.
                    self.next = index + 1;
                    break 'turn;
                }
            }
        }
        self.tracked.iter().any(|one| one.due)
    }

    /// Whether a file that was in the same place before this one has something to read.
    fn follows_older(&self, index: usize) -> bool {
        let Some(one) = self.tracked.get(index) else { return false };
        let older = |other: &Tracked| other.due && other.base.as_os_str() == one.base.as_os_str();
        self.tracked.iter().take(index).any(older)
    }

    /// Remembers a file whose rest may be found later.
    fn lose(&mut self, saved: Saved) {
        let known = |other: &Saved| other.base == saved.base && other.inode == saved.inode;
        let gone = match self.lost.iter().any(known) {
            true => Some(saved),
            false => {
                self.lost.push(saved);
                (self.lost.len() > self.room).then(|| self.lost.remove(0))
            }
        };
        self.standing.gaps += u64::from(gone.is_some_and(|saved| saved.knows_content()));
    }

    /// A file was truncated: what was not read of it may be in a copy.
    fn begin_anew(&mut self, index: usize, now: Boot) {
        let Some(one) = self.tracked.get_mut(index) else { return };
        let before = one.saved();
        if let Some(records) = &mut one.records {
            self.sink.end(records);
        }
        // What is written now to one that was moved away is a copy of something, if anything.
        let wanted = one.wanted;
        if wanted {
            one.rewind(now);
        } else {
            one.give_up();
        }
        self.moved = true;
        match self.find_rest(&before, now) {
            Rest::Found(rest) => self.tracked.insert(index, *rest),
            Rest::Followed(place) => {
                let rest = self.tracked.remove(place);
                self.tracked.insert(index.min(self.tracked.len()), rest);
            }
            Rest::Hidden => self.lose(before),
            Rest::Gone => self.standing.gaps += u64::from(wanted && before.knows_content()),
        }
    }

    /// Ends records for which nothing more came, and files that nobody writes to any more.
    fn end_what_is_over(&mut self, now: Boot) {
        let (sink, buffer) = (&mut self.sink, &mut self.buffer);
        let (mut moved, mut finished) = (false, Vec::new());
        let in_place = |one: &&Tracked| one.wanted && !one.is_untouched();
        let replaced: BTreeSet<PathBuf> =
            self.tracked.iter().filter(in_place).map(|one| one.path.clone()).collect();
        self.tracked.retain_mut(|one| {
            if let Some(records) = &mut one.records {
                let pending = records.began();
                sink.pause(records, now);
                moved |= records.began() != pending;
            }
            let linger = if replaced.contains(&one.base) || one.is_removed() { LINGER } else { ALONE };
            let over = !one.wanted && !one.due && (one.is_over() || now.since(one.latest) >= linger);
            if over {
                one.finish(buffer, sink, now);
                finished.extend(one.content());
                moved = true;
            }
            !over
        });
        finished.into_iter().for_each(|saved| self.finished(saved));
        self.moved |= moved;
    }

    /// Looks which files there are.
    fn sweep(&mut self, now: Boot) {
        let gaps = self.standing.gaps;
        self.standing = Standing { gaps, ..Standing::default() };
        let known: HashMap<Inode, usize> =
            self.tracked.iter().enumerate().map(|(place, one)| (one.inode, place)).collect();
        let mut here = vec![false; self.tracked.len()];
        let mut new = Vec::new();
        let mut found = BTreeSet::new();
        for (number, pattern) in self.paths.clone().into_iter().enumerate() {
            let mut any = false;
            let to_end = self.fresh.contains(&pattern);
            for path in glob::expand(&pattern) {
                if self.unread.contains(&path) {
                    found.insert(path.clone());
                }
                match fs::metadata(&path) {
                    Ok(metadata) if !metadata.is_file() => {
                        any = true;
                        self.standing.problems.push((path, "it is not a file".to_owned()));
                    }
                    Ok(metadata) => {
                        any = true;
                        let place = known.get(&Inode::of(&metadata)).copied();
                        match place.and_then(|place| Some((place, self.tracked.get_mut(place)?))) {
                            Some((place, one)) => {
                                one.path = path;
                                if let Some(here) = here.get_mut(place) {
                                    *here = true;
                                }
                            }
                            None => new.push((number, path, to_end)),
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => {
                        any = true;
                        self.standing.problems.push((path, plain(&error)));
                    }
                }
            }
            if !any {
                self.standing.missing.push(pattern);
            }
        }
        for (one, here) in self.tracked.iter_mut().zip(here) {
            if one.wanted && !here {
                one.latest = now;
            }
            self.moved |= one.wanted != here;
            one.wanted = here;
            one.find();
        }
        // One that went away and comes again is another.
        self.unread = found;
        let before = std::mem::take(&mut self.partial);
        for (number, path, to_end) in new {
            self.adopt(number, path, to_end, now);
        }
        self.moved |= self.partial != before;
        self.fresh.clear();
        let mut moved_away = Vec::new();
        let mut count = 0;
        for saved in std::mem::take(&mut self.lost) {
            match self.find_rest(&saved, now) {
                Rest::Found(rest) => {
                    // Nobody has seen what took its place.
                    if !saved.gone {
                        moved_away.push((saved.base, rest.path.clone()));
                    }
                    // Before those that took its place.
                    self.tracked.insert(count, *rest);
                    count += 1;
                }
                Rest::Followed(_) => {}
                // It may be there again later.
                Rest::Hidden => {
                    self.lost.push(saved);
                    continue;
                }
                Rest::Gone => self.standing.gaps += u64::from(saved.knows_content()),
            }
            self.moved = true;
        }
        for (base, rest) in moved_away {
            let between = self.between(&base, &rest, now);
            self.tracked.splice(count..count, between);
        }
    }

    /// Begins to follow a file of the path of that number.
    fn adopt(&mut self, number: usize, path: PathBuf, to_end: bool, now: Boot) {
        if self.tracked.len() >= self.most {
            self.standing.left_out += 1;
            if to_end || self.unread.contains(&path) {
                // A restart must not take it for a new one.
                self.partial.extend(self.paths.get(number).cloned());
                self.skip(path);
            }
            return;
        }
        match self.open(&path, to_end, now) {
            // Another path led to it a moment ago.
            Ok(one) if self.tracked.iter().any(|other| other.inode == one.inode) => {}
            Ok(one) => {
                self.moved = true;
                self.unread.remove(&path);
                self.tracked.push(one);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                self.standing.problems.push((path.clone(), plain(&error)));
                if to_end {
                    self.skip(path);
                }
            }
        }
    }

    /// Has a file that was there before, and cannot be followed yet, read from its end once it can.
    fn skip(&mut self, path: PathBuf) {
        if self.unread.len() < UNREAD {
            self.unread.insert(path);
        }
    }

    fn open(&mut self, path: &Path, to_end: bool, now: Boot) -> io::Result<Tracked> {
        let (file, inode) = open(path)?;
        let same = self.lost.iter().position(|saved| saved.inode == inode && saved.is_in(&file));
        let alike = || self.lost.iter().position(|saved| saved.knows_content() && saved.is_in(&file));
        let known = same.or_else(alike).map(|place| self.lost.remove(place));
        let records = self.multiline.as_ref().map(Records::new);
        let mut one = Tracked::new(path, file, inode, records, now);
        if let Some(saved) = known {
            one.resume(&saved)?;
            one.base = path.to_owned();
        } else if to_end || self.unread.contains(path) {
            one.begin_at_end(&mut self.buffer)?;
        }
        Ok(one)
    }
}

/// Opens a file for reading, whatever it may have become meanwhile.
fn open(path: &Path) -> io::Result<(File, Inode)> {
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    Ok((file, Inode::of(&metadata)))
}

/// An error without the system's number.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

#[cfg(test)]
mod property;
#[cfg(test)]
mod tests;
