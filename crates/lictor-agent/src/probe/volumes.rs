//! How full the file systems are, in the numbers of `df -P`.
//!
//! Asking a dead network file system blocks in the kernel, for ever and beyond any signal. So all
//! are asked on a thread of their own; when that gets stuck, another one goes on after the place,
//! and nobody asks there again until the first one comes back.

mod table;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as Turn, mpsc};
use tokio::time::{Instant, timeout_at};

use super::answer::Volume;
use crate::Tasks;
use table::{Mount, Table};

/// How long one file system may keep the others waiting.
const ONE: Duration = Duration::from_millis(500);

/// How long all of them may take; what was not asked by then is said to be late.
const ALL: Duration = Duration::from_secs(3);

/// Threads that may be stuck at file systems of other machines. Those of this one are always asked.
const STUCK: usize = 16;

/// The file systems of a probe.
pub(super) struct Volumes {
    /// Paths on them. `None`: all that can fill up.
    paths: Option<Vec<PathBuf>>,
    /// What was found last: who asks while it is being found waits for that.
    last: Turn<Option<(Instant, Arc<Vec<Volume>>)>>,
    stuck: Stuck,
    tasks: Tasks,
}

/// Where threads are stuck, since when.
#[derive(Clone, Debug, Default)]
struct Stuck(Arc<Mutex<BTreeMap<PathBuf, Instant>>>);

impl Stuck {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A path to ask about.
#[derive(Clone, Debug)]
struct Place {
    path: PathBuf,
    /// Whether it lies on another machine.
    remote: bool,
}

/// What asking about a path brings.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Asked {
    /// The device that it lies on, where that is mounted, and how full it is.
    Found { device: u64, volume: Volume },
    /// It cannot be read.
    Failed { why: String, hidden: bool },
}

/// Asks about a path. Another one in tests.
type Question = Arc<dyn Fn(&Path, &Table) -> Asked + Send + Sync>;

impl Volumes {
    pub(super) fn new(paths: Option<Vec<PathBuf>>, tasks: Tasks) -> Self {
        Self { paths, last: Turn::default(), stuck: Stuck::default(), tasks }
    }

    /// All of them, in order, by `deadline`; what was found since somebody began to ask is not looked
    /// for again.
    pub(super) async fn look(&self, deadline: Instant) -> Arc<Vec<Volume>> {
        let asked = Instant::now();
        let Ok(mut last) = timeout_at(deadline, self.last.lock()).await else {
            let why = "it was not asked in time".to_owned();
            return Arc::new(vec![Volume::unreadable("/".to_owned(), why)]);
        };
        if let Some((_, found)) = last.as_ref().filter(|(ended, _)| *ended >= asked) {
            return Arc::clone(found);
        }
        let found = match Table::read() {
            Ok(table) => self.find(table, Arc::new(question), deadline).await,
            Err(error) => {
                let why = format!("the table of mounts cannot be read: {error}");
                vec![Volume::unreadable("/".to_owned(), why)]
            }
        };
        let found = Arc::new(found);
        *last = Some((Instant::now(), Arc::clone(&found)));
        found
    }

    async fn find(&self, table: Table, question: Question, deadline: Instant) -> Vec<Volume> {
        let deadline = deadline.min(Instant::now() + ALL);
        let table = Arc::new(table);
        match &self.paths {
            Some(paths) => {
                let place = |path: &PathBuf| Place { path: path.clone(), remote: table.is_remote(path) };
                let places = paths.iter().map(place).collect();
                let asked = self.ask(places, &table, &question, deadline).await;
                paths.iter().zip(asked).map(|(path, asked)| named(path, asked)).collect()
            }
            None => {
                let mounts: Vec<Mount> = table.listed().cloned().collect();
                let place = |mount: &Mount| Place { path: mount.point.clone(), remote: mount.remote };
                let places = mounts.iter().map(place).collect();
                let asked = self.ask(places, &table, &question, deadline).await;
                listed(mounts.into_iter().zip(asked))
            }
        }
    }

    /// Asks about each place; the answers are in their order. Those on this machine are asked first, so
    /// that no other machine keeps them waiting.
    async fn ask(
        &self,
        places: Vec<Place>,
        table: &Arc<Table>,
        question: &Question,
        deadline: Instant,
    ) -> Vec<Asked> {
        let mut turns: Vec<(usize, Place)> = places.into_iter().enumerate().collect();
        turns.sort_by_key(|(_, place)| place.remote);
        let (order, places): (Vec<usize>, Vec<Place>) = turns.into_iter().unzip();
        let asked = self.ask_in_turn(&places, table, question, deadline).await;
        let mut asked: Vec<(usize, Asked)> = order.into_iter().zip(asked).collect();
        asked.sort_by_key(|(at, _)| *at);
        asked.into_iter().map(|(_, asked)| asked).collect()
    }

    /// Asks about one after the other; those that hang are told so.
    async fn ask_in_turn(
        &self,
        places: &[Place],
        table: &Arc<Table>,
        question: &Question,
        deadline: Instant,
    ) -> Vec<Asked> {
        let mut answers: Vec<Option<Asked>> = vec![None; places.len()];
        let mut next = 0;
        while next < places.len() && Instant::now() < deadline {
            let rest: Vec<Place> = places.get(next..).unwrap_or_default().to_vec();
            let mut coming = match self.walk(rest, Arc::clone(table), Arc::clone(question)) {
                Ok(coming) => coming,
                Err(error) => {
                    let why = format!("the system gives no thread: {error}");
                    return answers.into_iter().map(|asked| asked.unwrap_or_else(|| failed(&why))).collect();
                }
            };
            loop {
                let late = (Instant::now() + ONE).min(deadline);
                match timeout_at(late, coming.recv()).await {
                    Ok(Some(asked)) => {
                        if let Some(answer) = answers.get_mut(next) {
                            *answer = Some(asked);
                        }
                        next += 1;
                    }
                    Ok(None) => return self.explained(places, answers),
                    Err(_late) => break,
                }
            }
            // The thread stays behind where it is; the mark goes when it comes back.
            next += 1;
        }
        self.explained(places, answers)
    }

    /// Starts a thread that asks about these, one after the other.
    fn walk(
        &self,
        places: Vec<Place>,
        table: Arc<Table>,
        question: Question,
    ) -> io::Result<mpsc::Receiver<Asked>> {
        let (answers, coming) = mpsc::channel(places.len().max(1));
        let stuck = self.stuck.clone();
        let work = move || {
            for Place { path, remote } in places {
                let passed_over = {
                    let mut stuck = stuck.lock();
                    // One that only just began belongs to somebody who has left.
                    let since = stuck.get(&path).copied().filter(|since| since.elapsed() >= ONE);
                    let full = remote && stuck.len() >= STUCK;
                    let why = since.map(hangs).or_else(|| full.then(unasked));
                    if why.is_none() {
                        stuck.insert(path.clone(), Instant::now());
                    }
                    why
                };
                let asked = match passed_over {
                    Some(why) => why,
                    None => {
                        let asked = question(&path, &table);
                        stuck.lock().remove(&path);
                        asked
                    }
                };
                // Nobody takes it: another thread has gone on.
                if answers.try_send(asked).is_err() {
                    return;
                }
            }
        };
        self.tasks.on_thread("statvfs", work)?;
        Ok(coming)
    }

    fn explained(&self, places: &[Place], answers: Vec<Option<Asked>>) -> Vec<Asked> {
        let stuck = self.stuck.lock();
        let late = |place: &Place| match stuck.get(&place.path) {
            Some(since) => hangs(*since),
            None => unasked(),
        };
        places.iter().zip(answers).map(|(place, asked)| asked.unwrap_or_else(|| late(place))).collect()
    }
}

fn failed(why: &str) -> Asked {
    Asked::Failed { why: why.to_owned(), hidden: false }
}

fn unasked() -> Asked {
    failed("it was not asked, since others hang")
}

fn hangs(since: Instant) -> Asked {
    failed(&format!("it has not answered for {} ms", since.elapsed().as_millis()))
}

/// A path that was asked for by name: always told of.
fn named(path: &Path, asked: Asked) -> Volume {
    match asked {
        Asked::Found { volume, .. } => volume,
        Asked::Failed { why, .. } => Volume::unreadable(path.display().to_string(), why),
    }
}

/// What df lists of all mounts: no pseudo file systems, which have no size, and each device once.
fn listed(asked: impl Iterator<Item = (Mount, Asked)>) -> Vec<Volume> {
    let mut found: Vec<(Option<u64>, Mount, Volume)> = Vec::new();
    for (mount, asked) in asked {
        let (device, volume) = match asked {
            Asked::Found { volume, .. } if volume.size == 0 => continue,
            Asked::Found { device, volume } => (Some(device), volume),
            Asked::Failed { hidden: true, .. } => continue,
            Asked::Failed { why, .. } => (None, Volume::unreadable(mount.point.display().to_string(), why)),
        };
        let same = found.iter_mut().find(|(known, other, _)| {
            device.is_some()
                && *known == device
                && !(mount.remote && other.remote && mount.source != other.source)
        });
        match same {
            Some(place) if mount.goes_before(&place.1) => *place = (device, mount, volume),
            Some(_) => {}
            None => found.push((device, mount, volume)),
        }
    }
    found.into_iter().map(|(_, _, volume)| volume).collect()
}

/// Looks at the file system that holds a path.
fn question(path: &Path, table: &Table) -> Asked {
    // A device stands for what is mounted of it.
    let path = table.of_device(path).map_or(path, |mount| mount.point.as_path());
    let found = || {
        let real = std::fs::canonicalize(path)?;
        let stat = rustix::fs::statvfs(&real)?;
        let device = rustix::fs::stat(&real)?.st_dev;
        let blocks = |count: u64| {
            u64::try_from((u128::from(count) * u128::from(stat.f_frsize)).div_ceil(1_024)).unwrap_or(u64::MAX)
        };
        let mount = table.holding(&real).map_or(real.as_path(), |mount| mount.point.as_path());
        let volume = Volume {
            mount: mount.display().to_string(),
            size: blocks(stat.f_blocks),
            used: blocks(stat.f_blocks.saturating_sub(stat.f_bfree)),
            available: blocks(stat.f_bavail),
            error: None,
        };
        io::Result::Ok(Asked::Found { device, volume })
    };
    found().unwrap_or_else(|error| {
        let hidden = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied);
        Asked::Failed { why: plain(&error), hidden }
    })
}

/// An error of the system without its number.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

#[cfg(test)]
mod tests;
