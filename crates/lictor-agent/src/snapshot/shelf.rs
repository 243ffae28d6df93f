//! What lies in the scratch folder and is to be sent: each place gets the newest, and what one has begun to send it sends
//! to its end.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use lictor_core::Wall;
use lictor_core::snapshot::Series;
use tokio::sync::watch;
use tracing::warn;

use super::due::stamp;
use super::take::{self, Fresh, UNFINISHED};
use crate::task::Tasks;

/// What names of encrypted ones end with.
const SEALED: &str = ".age";

/// What names of files begin with that nothing removes.
const ODD: &str = "kept.";

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    /// The oldest first.
    held: Mutex<Vec<Held>>,
    /// How often something was put there.
    put: watch::Sender<u64>,
}

/// One snapshot, until every place has it or a newer one.
#[derive(Debug)]
struct Held {
    fresh: Fresh,
    /// Places that are still to get it.
    wanted: BTreeSet<usize>,
    /// Places to which it is being sent.
    under_way: BTreeSet<usize>,
    /// Whether a place has it.
    somewhere: bool,
    /// The next one was of another size, and no place had this one: it may be the last one with everything, and has a second
    /// name that nothing removes.
    odd: bool,
}

impl Held {
    /// Takes it from the folder.
    fn end(&self) {
        remove(&self.fresh.path);
    }

    /// Somebody should look at it, whatever happens to this process.
    fn keep(&mut self) {
        if self.somewhere || self.odd {
            return;
        }
        let aside = aside(&self.fresh.path);
        match fs::hard_link(&self.fresh.path, &aside) {
            Ok(()) => {
                self.odd = true;
                warn!(path = %aside.display(), "kept: no place has it yet, and the next snapshot is of quite another size");
            }
            Err(error) => warn!(path = %aside.display(), %error, "cannot be kept, and no place has it yet"),
        }
    }

    /// A place has it.
    fn is_there(&mut self) {
        self.somewhere = true;
        if std::mem::take(&mut self.odd) {
            remove(&aside(&self.fresh.path));
        }
    }
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        warn!(path = %path.display(), %error, "what need not be sent any more cannot be taken from the scratch folder");
    }
}

/// The name under which nothing removes it.
fn aside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{ODD}{name}"))
}

impl Shelf {
    /// One for so many places, which get it instead of older ones unless they are just sending those.
    pub(super) fn put(&self, fresh: Fresh, places: usize, odd: bool) {
        let mut held = self.held();
        for older in held.iter_mut() {
            older.wanted = older.wanted.intersection(&older.under_way).copied().collect();
            if odd {
                older.keep();
            }
        }
        let wanted = (0..places).collect();
        held.push(Held { fresh, wanted, under_way: BTreeSet::new(), somewhere: false, odd: false });
        sweep(&mut held);
        drop(held);
        self.put.send_modify(|put| *put += 1);
    }

    /// Tells when something was put there.
    pub(super) fn news(&self) -> watch::Receiver<u64> {
        self.put.subscribe()
    }

    /// The newest one that a place is to get; it is under way from now on.
    pub(super) fn next(&self, place: usize) -> Option<Fresh> {
        let mut held = self.held();
        let wants = |one: &Held| one.wanted.contains(&place);
        let newest = held.iter().rposition(wants)?;
        for older in held.iter_mut().take(newest) {
            older.wanted.remove(&place);
        }
        let found = held.get_mut(newest).map(|one| {
            one.under_way.insert(place);
            one.fresh.clone()
        });
        sweep(&mut held);
        found
    }

    /// A place has it, or a newer one.
    pub(super) fn done(&self, place: usize, name: &str, sent: bool) {
        let mut held = self.held();
        if let Some(one) = held.iter_mut().find(|one| one.fresh.name == name) {
            one.under_way.remove(&place);
            one.wanted.remove(&place);
            if sent {
                one.is_there();
            }
        }
        sweep(&mut held);
    }

    /// It could not be sent; it is sent again unless there is a newer one.
    pub(super) fn failed(&self, place: usize, name: &str) {
        let mut held = self.held();
        let newest = held.last().map(|one| one.fresh.name.clone());
        if let Some(one) = held.iter_mut().find(|one| one.fresh.name == name) {
            one.under_way.remove(&place);
            if newest.as_deref() != Some(name) {
                one.wanted.remove(&place);
            }
        }
        sweep(&mut held);
    }

    /// The newest one that no place has.
    pub(super) fn nowhere(&self) -> Option<String> {
        let held = self.held();
        held.last().filter(|one| !one.somewhere).map(|one| one.fresh.name.clone())
    }

    /// Whether there is something to be sent.
    pub(super) fn is_empty(&self) -> bool {
        self.held().is_empty()
    }

    /// When the newest one was begun.
    pub(super) fn newest(&self) -> Option<jiff::Timestamp> {
        self.held().last().map(|one| one.fresh.at)
    }

    fn held(&self) -> MutexGuard<'_, Vec<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What nobody wants any more need not stay.
fn sweep(held: &mut Vec<Held>) {
    held.retain(|one| {
        let wanted = !one.wanted.is_empty();
        if !wanted {
            one.end();
        }
        wanted
    });
}

/// What an earlier process has left in the scratch folder: the newest that is one of these, if `lacking` says that a place
/// lacks it. What is older than that, and what was not finished, is removed.
pub(super) async fn left(
    folder: &Path,
    series: &Series<'_>,
    sealed: bool,
    lacking: impl Fn(jiff::Timestamp) -> bool,
    tasks: &Tasks,
) -> Option<Fresh> {
    let made = |file: String| {
        let plain = fs::symlink_metadata(folder.join(&file)).is_ok_and(|found| found.is_file());
        let wall = series.made(&named(&file)).filter(|_| plain)?;
        if sealed && !file.ends_with(SEALED) {
            // What is encrypted now must not leave the machine as it was taken before, nor stay here.
            remove(&folder.join(file));
            return None;
        }
        Some((wall, file))
    };
    let mut found: Vec<(Wall, String)> = files(folder).into_iter().filter_map(made).collect();
    found.sort();
    let newest = found.pop();
    let wanted = newest.filter(|(wall, name)| {
        let wanted = lacking(stamp(wall.as_unix_millis()));
        if !wanted {
            found.push((*wall, name.clone()));
        }
        wanted
    });
    let Some((wall, file)) = wanted else {
        remove_all(folder, &found);
        return None;
    };
    let (path, name) = (folder.join(&file), named(&file));
    let sums = path.clone();
    let checked = tasks.on_thread("snapshot", move || take::checked(&sums, sealed)).ok()?.await.ok()?;
    match checked {
        Ok((size, sum)) => {
            remove_all(folder, &found);
            Some(Fresh { path, name, at: stamp(wall.as_unix_millis()), size, sum, left: true, after: None })
        }
        Err(why) => {
            warn!(path = %path.display(), why, "what an earlier process has taken is not sent");
            None
        }
    }
}

fn remove_all(folder: &Path, found: &[(Wall, String)]) {
    for (_, name) in found {
        remove(&folder.join(name));
    }
}

/// Removes what was not finished, where nobody works.
pub(super) fn sweep_unfinished(folder: &Path) {
    drop(files(folder));
}

/// The names of what lies in a folder, without what is not finished: that is removed unless it tells what was sent.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        match name.strip_prefix(UNFINISHED) {
            Some(rest) if rest.starts_with("to.") => {}
            Some(_) => fs::remove_file(entry.path()).unwrap_or_default(),
            None => found.push(name),
        }
    }
    found
}

/// The name of what lies in the scratch folder as this file; see [`take::PART`].
fn named(file: &str) -> String {
    file.replace(take::PART, "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Rig {
        shelf: Shelf,
        folder: tempfile::TempDir,
    }

    impl Rig {
        fn new() -> Self {
            Self { shelf: Shelf::default(), folder: tempfile::tempdir().unwrap() }
        }

        fn put(&self, name: &str, odd: bool) {
            let path = self.folder.path().join(name);
            fs::write(&path, "x").unwrap();
            let fresh = Fresh {
                path,
                name: name.to_owned(),
                at: stamp(0),
                size: 1,
                sum: [0; 32],
                left: false,
                after: None,
            };
            self.shelf.put(fresh, 2, odd);
        }

        fn next(&self, place: usize) -> Option<String> {
            self.shelf.next(place).map(|fresh| fresh.name)
        }

        fn files(&self) -> Vec<String> {
            let mut files = files(self.folder.path());
            files.sort();
            files
        }
    }

    #[test]
    fn a_slow_place_ends_what_it_sends_and_gets_the_newest_then() {
        let rig = Rig::new();
        rig.put("a", false);
        assert_eq!((rig.next(0), rig.next(1)), (Some("a".into()), Some("a".into())));
        rig.shelf.done(0, "a", true);
        rig.put("b", false);
        rig.put("c", false);
        assert_eq!(rig.files(), ["a", "c"]);
        assert_eq!(rig.next(0), Some("c".into()));
        rig.shelf.done(1, "a", true);
        assert_eq!(rig.files(), ["c"]);
        assert_eq!(rig.next(1), Some("c".into()));
        rig.shelf.done(0, "c", true);
        rig.shelf.done(1, "c", true);
        assert!(rig.shelf.is_empty() && rig.files().is_empty());
    }

    #[test]
    fn what_could_not_be_sent_is_sent_again_unless_there_is_a_newer_one() {
        let rig = Rig::new();
        rig.put("a", false);
        rig.next(0);
        rig.shelf.failed(0, "a");
        assert_eq!(rig.next(0), Some("a".into()));
        rig.put("b", false);
        assert_eq!(rig.shelf.nowhere(), Some("b".into()));
        rig.shelf.failed(0, "a");
        assert_eq!(rig.files(), ["b"]);
        assert_eq!(rig.next(0), Some("b".into()));
        rig.shelf.done(0, "b", true);
        assert_eq!(rig.shelf.nowhere(), None);
    }

    #[test]
    fn one_that_no_place_has_stays_when_the_next_is_of_another_size() {
        let rig = Rig::new();
        rig.put("a", false);
        rig.put("b", true);
        assert_eq!(rig.files(), ["b", "kept.a"]);
        rig.put("slow", false);
        rig.next(1);
        rig.put("next", true);
        assert_eq!(rig.files(), ["kept.a", "kept.slow", "next", "slow"], "also while it is sent");
        rig.shelf.done(1, "slow", true);
        assert_eq!(rig.files(), ["kept.a", "next"], "a place has it after all");
        rig.put("b", false);
        rig.next(0);
        rig.shelf.done(0, "b", true);
        rig.put("c", true);
        assert_eq!(rig.files(), ["c", "kept.a"], "b was somewhere");
    }
}
