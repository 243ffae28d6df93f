//! Snapshots of Consul while elements are added to a set in it: each shows the set as it was at one moment while it was taken.
//!
//! Actors add elements, and now and then have Lictor take a snapshot and decode it: a read of the whole set. The agents take some besides,
//! as their configuration says, and keep them in one folder; they are decoded when all is over. What a name says of when one was taken is
//! precise to a second, so a few are added to either side.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use jiff::civil::DateTime;
use lictor_consul::{Client, Consistency, Error};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

use super::{Actor, Call, Hand, Outcome, Wishes, Workload};
use crate::live::scene::{Scene, SceneError};
use crate::live::witness::{self, Deed};
use crate::live::world::agent::{Agent, Asker, Home};
use crate::live::world::net;
use crate::live::world::process::ProcessError;

/// Where the elements lie.
const PREFIX: &str = "jepsen/snapshots/";

/// What the set is called in the history.
const SET: &str = "all";

/// Of a hundred operations, so many take a snapshot.
const READS: u64 = 3;

/// How long taking one may take, and decoding it.
const TAKEN: Duration = Duration::from_secs(20);

/// So much earlier than its name says one may have been taken.
const EARLIER: Duration = Duration::from_secs(5);

/// How many times one is taken at the end until that succeeds.
const LAST: u32 = 5;

/// The workload.
#[derive(Debug)]
pub struct Snapshots {
    left: PathBuf,
    /// Whether actors have any server answer, which may lack what is new.
    stale: bool,
    next: Arc<AtomicU64>,
    /// By which the agents' own are decoded.
    program: OnceLock<PathBuf>,
}

impl Snapshots {
    /// A set, and agents on the hosts that are wished for.
    #[must_use]
    pub fn new(wishes: Wishes) -> Self {
        let stale = wishes.reads == Consistency::Stale;
        Self { left: wishes.left, stale, next: Arc::default(), program: OnceLock::new() }
    }

    /// Where the agents keep their own.
    fn kept(&self) -> PathBuf {
        self.left.join("kept")
    }
}

#[async_trait]
impl Workload for Snapshots {
    async fn prepare(&self, _: &Client) -> Result<(), Error> {
        Ok(())
    }

    fn actor(&self, hand: Hand) -> Box<dyn Actor> {
        if let Some(agent) = &hand.agent {
            self.program.get_or_init(|| agent.program().to_owned());
        }
        let file = self.left.join(net::name(hand.host)).join(format!("own-{}.snap", hand.number));
        Box::new(Taking {
            hand,
            stale: self.stale,
            next: Arc::clone(&self.next),
            file,
            last: LAST,
            ending: false,
        })
    }

    fn checks(&self) -> Vec<String> {
        vec!["set".to_owned(), "linear-set".to_owned()]
    }

    fn scene(&self) -> Option<&dyn Scene> {
        Some(self)
    }

    fn rest(&self) -> Duration {
        Duration::from_millis(100)
    }
}

#[async_trait]
impl Scene for Snapshots {
    fn home(&self) -> Home {
        Home::Bare
    }

    fn blocks(&self, _: usize) -> String {
        format!(
            "snapshot \"{SET}\" {{\n  every = \"10s\"\n  keep {{\n    last = 0\n  }}\n  place \"folder\" \"here\" {{\n    path = {:?}\n  \
             }}\n}}\n",
            self.kept()
        )
    }

    async fn obstacle(&self, _: &mut [Agent]) -> Result<Option<String>, ProcessError> {
        // Who holds the lease may be gone for as long as that is long.
        let kept = names(&self.kept()).unwrap_or_default();
        Ok(kept.is_empty().then(|| "no agent has taken a snapshot".to_owned()))
    }

    fn active(&self) -> Option<usize> {
        None
    }

    fn deeds(&self) -> Result<Vec<Deed>, SceneError> {
        let dir = self.kept();
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| SceneError::Read { path, source }
        };
        let program = self.program.get().ok_or_else(|| io::Error::other("there is no program of Lictor"));
        let program = program.map_err(failed(&dir))?;
        let mut deeds = Vec::new();
        for name in names(&dir).map_err(failed(&dir))? {
            let path = dir.join(&name);
            let unknown = || SceneError::Line { path: dir.clone(), line: name.clone() };
            let named = taken(&name).ok_or_else(unknown)?;
            let there = fs::metadata(&path).map_err(failed(&path))?;
            let until = Duration::from_secs(u64::try_from(there.mtime()).unwrap_or_default() + 1);
            let elements = decoded(program, &path).map_err(failed(&path))?;
            let (key, value, node) = (json!(SET), json!(elements), "agents".to_owned());
            let (from, to) = (on_our_clock(named).saturating_sub(EARLIER), Some(on_our_clock(until)));
            deeds.push(Deed { f: "read", key, value, node, from, to });
        }
        Ok(deeds)
    }
}

/// The snapshots in a folder.
fn names(dir: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        // One that is on its way there has another name.
        if name.ends_with(".snap") && !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// When one was taken, since 1970: `all.dc1.20261122T193000Z.snap`.
fn taken(name: &str) -> Option<Duration> {
    let time = name.strip_suffix(".snap")?.split('.').find_map(|part| part.strip_suffix('Z'))?;
    let time: DateTime = time.parse().ok()?;
    let time = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
    Some(Duration::from_secs(u64::try_from(time.as_second()).ok()?))
}

/// A time since 1970 on the clock of deeds. This machine's wall clock is taken to run with it for as long as the run is.
fn on_our_clock(wall: Duration) -> Duration {
    let now = Duration::try_from(clock_gettime(ClockId::Realtime)).unwrap_or_default();
    witness::now().saturating_sub(now.saturating_sub(wall)) + wall.saturating_sub(now)
}

/// The elements that a snapshot has, decoded by Lictor.
fn decoded(program: &Path, file: &Path) -> io::Result<Vec<u64>> {
    let output =
        Command::new(program).args(["snapshot", "decode"]).arg(file).stdin(Stdio::null()).output()?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    Ok(elements(&String::from_utf8_lossy(&output.stdout)))
}

/// The elements among the records of a snapshot, of which each is a line of JSON.
fn elements(records: &str) -> Vec<u64> {
    let element = |line: &str| {
        let record: Value = serde_json::from_str(line).ok()?;
        record["Data"]["Key"].as_str()?.strip_prefix(PREFIX)?.parse().ok()
    };
    let mut elements: Vec<u64> = records.lines().filter_map(element).collect();
    elements.sort_unstable();
    elements
}

/// An actor of this workload.
struct Taking {
    hand: Hand,
    stale: bool,
    next: Arc<AtomicU64>,
    file: PathBuf,
    /// How many times more one is taken at the end, if that fails.
    last: u32,
    ending: bool,
}

impl Taking {
    /// Takes a snapshot, and says what is in it.
    async fn take(&self, agent: &Asker) -> Result<Vec<u64>, String> {
        match fs::remove_file(&self.file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.to_string()),
            Ok(()) | Err(_) => {}
        }
        let file = self.file.display().to_string();
        let mut save = vec!["snapshot", "save", file.as_str()];
        if self.stale {
            save.push("--stale");
        }
        self.ask(agent, &save).await?;
        Ok(elements(&self.ask(agent, &["snapshot", "decode", &file]).await?))
    }

    /// What a command of Lictor wrote, or why it failed.
    async fn ask(&self, agent: &Asker, args: &[&str]) -> Result<String, String> {
        let (status, said) = agent.ask(args, TAKEN).await.map_err(|error| error.to_string())?;
        if status.success() { Ok(said) } else { Err(said.lines().next().unwrap_or_default().to_owned()) }
    }
}

#[async_trait]
impl Actor for Taking {
    async fn next(&mut self) -> Option<Call> {
        if self.hand.dice.chance(READS) {
            return Some(Call::new("read", Value::Null).on(SET));
        }
        Some(Call::new("add", json!(self.next.fetch_add(1, Ordering::Relaxed))).on(SET))
    }

    async fn perform(&mut self, call: &Call) -> Outcome {
        if call.f == "add" {
            let element = call.value.to_string();
            return match self.hand.client.kv().put(&format!("{PREFIX}{element}"), element).await {
                Ok(()) => Outcome::ok(call.value.clone()),
                Err(error) => Outcome::of(&error),
            };
        }
        let Some(agent) = self.hand.agent.clone() else {
            return Outcome::Fail("there is no Lictor".to_owned());
        };
        match self.take(&agent).await {
            Ok(elements) => {
                if self.ending {
                    self.last = 0;
                }
                Outcome::ok(json!(elements))
            }
            Err(why) => Outcome::Fail(why),
        }
    }

    async fn last(&mut self) -> Option<Call> {
        self.ending = true;
        self.last = self.last.checked_sub(1)?;
        Some(Call::new("read", Value::Null).on(SET))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_elements_of_a_snapshot_are_its_keys_below_the_prefix() {
        let records = "{\"Type\":\"KVS\",\"Data\":{\"Key\":\"jepsen/snapshots/12\"}}\n\
                       {\"Type\":\"KVS\",\"Data\":{\"Key\":\"jepsen/snapshots/3\"}}\n\
                       {\"Type\":\"KVS\",\"Data\":{\"Key\":\"lictor/lease/x\"}}\nno JSON\n{\"Type\":\"Index\"}\n";
        assert_eq!(elements(records), [3, 12]);
    }

    #[test]
    fn a_name_says_when_it_was_taken() {
        let seconds = |name| taken(name).map(|time| time.as_secs());
        assert_eq!(seconds("all.dc1.19700102T000001Z.snap"), Some(86_401));
        assert_eq!(seconds("all.dc1.snap"), None);
        let now = Duration::try_from(clock_gettime(ClockId::Realtime)).unwrap();
        let (ours, told) = (witness::now(), on_our_clock(now));
        assert!(ours.abs_diff(told) < Duration::from_secs(1), "{ours:?} {told:?}");
    }
}
