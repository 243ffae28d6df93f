//! The directory of one attempt at a program: who may start it, who did, how it ended.
//!
//! ```text
//! <root>/r17-restart-1/     made once: the claim; nothing is started under it twice
//!     holder                the shim that starts the program, or why nobody ever will
//!     output                the end of what the program said
//!     status                how it ended
//! ```
//!
//! `holder` is made by `link(2)`, so it has exactly one author. A shim that finds one ends
//! without starting anything; an agent that finds none puts its own there and knows from
//! then on that the program was never started and never will be. `status` appears whole by
//! rename. Each is on the disk, with its directory, before anything rests on it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use lictor_core::{Order, RunId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::process::ProcessId;

/// The end of its output that is kept of a program, bytes.
pub(super) const OUTPUT: usize = 16 * 1024;

/// A `status` is written over blanks of this length that are there before the program
/// starts, so that a disk that is full by then does not keep us from writing it.
const STATUS: usize = 512;

/// Files of ours have less than this; more is not read.
const LARGEST: u64 = 64 * 1024;

/// The directory of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    dir: PathBuf,
}

/// Who answers for an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "lowercase")]
pub(super) enum Holder {
    /// A shim: it started the program, or was about to.
    Shim {
        /// Its process.
        #[serde(flatten)]
        process: ProcessId,
        /// The boot it belongs to.
        boot_id: String,
    },
    /// Nobody, ever.
    Nobody {
        /// Why.
        reason: String,
    },
}

/// How an attempt ended, as the shim left it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Status {
    /// How the program ended.
    pub end: End,
    /// Why the shim stopped it, if it did.
    pub stopped: Option<Stop>,
    /// From its start to its end, milliseconds.
    pub millis: u64,
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum End {
    /// It exited with this status.
    Exited(i32),
    /// This signal ended it.
    Signal(i32),
    /// It could not be started.
    NotStarted(String),
    /// It was killed and still would not go.
    Stuck,
}

/// Why a program was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stop {
    /// Its time was over.
    Limit,
    /// Somebody asked for it.
    Abort,
}

/// The form of a file: its version, then what it says.
#[derive(Serialize, Deserialize)]
#[serde(tag = "v")]
enum Saved<T> {
    #[serde(rename = "1")]
    V1(T),
}

impl Claim {
    /// The claim of an attempt; it need not exist.
    pub(super) fn of(root: &Path, order: &Order) -> Self {
        // A name has no `+`, so two names never become one.
        let step = order.step.as_str().replace('/', "+");
        Self { dir: root.join(format!("{}-{step}-{}", order.run, order.attempt)) }
    }

    /// The claim in a directory.
    pub(super) fn at(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Its directory.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether it is a claim of that run.
    pub(super) fn belongs_to(&self, run: RunId) -> bool {
        let name = self.dir.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with(&format!("{run}-")))
    }

    /// Takes the claim; `false` when it was taken before. When this returns, it is durable.
    pub(super) fn take(&self) -> io::Result<bool> {
        match DirBuilder::new().mode(0o700).create(&self.dir) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
            Err(error) => return Err(error),
        }
        let durable = self.dir.parent().map_or(Ok(()), sync_dir);
        durable.map(|()| true)
    }

    /// Puts the holder there unless there is one; returns the one that is there.
    pub(super) fn hold(&self, holder: Holder) -> io::Result<Holder> {
        // Two that try at once must not write into each other's file.
        static DRAFTS: AtomicU64 = AtomicU64::new(0);
        let number = DRAFTS.fetch_add(1, Ordering::Relaxed);
        let draft = self.dir.join(format!("holder.{}.{number}", std::process::id()));
        let path = self.dir.join("holder");
        let mut file = create(&draft)?;
        file.write_all(&encode(holder.clone())?)?;
        file.sync_all()?;
        let linked = fs::hard_link(&draft, &path);
        fs::remove_file(&draft)?;
        match linked {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return self.holder()?.ok_or_else(|| io::Error::other("the holder has vanished"));
            }
            Err(error) => return Err(error),
        }
        sync_dir(&self.dir)?;
        Ok(holder)
    }

    /// Who answers for it, if anybody does yet.
    pub(super) fn holder(&self) -> io::Result<Option<Holder>> {
        read(&self.dir.join("holder"))
    }

    /// How it ended, if it has.
    pub(super) fn status(&self) -> io::Result<Option<Status>> {
        read(&self.dir.join("status"))
    }

    /// Makes room for the status.
    pub(super) fn reserve(&self) -> io::Result<StatusFile> {
        let mut file = create(&self.dir.join("status.new"))?;
        file.write_all(&[b' '; STATUS])?;
        file.sync_all()?;
        Ok(StatusFile { dir: self.dir.clone(), file })
    }

    /// The file the output goes to.
    pub(super) fn output_file(&self) -> io::Result<File> {
        create(&self.dir.join("output"))
    }

    /// The end of what the program said, without its secrets.
    pub(super) fn output(&self) -> Vec<u8> {
        let mut output = Vec::new();
        let read = File::open(self.dir.join("output"))
            .and_then(|file| file.take(OUTPUT as u64).read_to_end(&mut output));
        if read.is_err() {
            output.clear();
        }
        output
    }

    /// How long ago something in it was last made or removed, by the wall clock.
    pub(super) fn age_millis(&self, now_unix_millis: i64) -> Option<i64> {
        let made = fs::metadata(&self.dir).ok()?.modified().ok()?;
        let made = made.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_millis();
        Some(now_unix_millis - i64::try_from(made).ok()?)
    }

    /// Removes it with all it holds.
    pub(super) fn remove(&self) -> io::Result<()> {
        fs::remove_dir_all(&self.dir)
    }
}

/// The room for a status.
#[derive(Debug)]
pub(super) struct StatusFile {
    dir: PathBuf,
    file: File,
}

impl StatusFile {
    /// Writes the status; when this returns, it is durable.
    pub(super) fn write(mut self, status: Status) -> io::Result<()> {
        let mut bytes = encode(status)?;
        let length = bytes.len().max(STATUS);
        bytes.resize(length, b' ');
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&bytes)?;
        self.file.sync_all()?;
        fs::rename(self.dir.join("status.new"), self.dir.join("status"))?;
        sync_dir(&self.dir)
    }
}

/// Makes the directories on the way to `dir`, for us alone, durable.
pub(super) fn make_root(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    dir.ancestors().skip(1).take(2).try_for_each(sync_dir)
}

/// All claims under a root.
pub(super) fn all(root: &Path) -> io::Result<Vec<Claim>> {
    fs::read_dir(root)?.map(|entry| entry.map(|entry| Claim::at(entry.path()))).collect()
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Has it on the disk which files are in a directory.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// As it is kept in a file.
pub(super) fn encode<T: Serialize>(value: T) -> io::Result<Vec<u8>> {
    serde_json::to_vec(&Saved::V1(value)).map_err(io::Error::other)
}

/// What is kept in a file; `None` when there is none.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes)?;
    let decoded = serde_json::from_slice(&bytes);
    let Saved::V1(value) = decoded
        .map_err(|error| io::Error::other(format!("`{}` is not readable: {error}", path.display())))?;
    Ok(Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lictor_core::{ActionName, RemedyName, StepName, Target};

    fn order(step: &str) -> Order {
        Order {
            run: RunId(17),
            step: StepName::new(step).unwrap(),
            attempt: 2,
            action: Some(ActionName::new("a").unwrap()),
            target: Target::new("t").unwrap(),
            remedy: RemedyName::new("r").unwrap(),
            definition: "d".to_owned(),
            lease: None,
            notes: lictor_core::Notes::default(),
            captures: Default::default(),
            change: None,
            since: lictor_core::Boot::default(),
        }
    }

    fn claim(root: &Path) -> Claim {
        Claim::of(root, &order("restart"))
    }

    fn shim(pid: i32) -> Holder {
        Holder::Shim { process: ProcessId { pid, started: 5 }, boot_id: "b".into() }
    }

    #[test]
    fn every_name_of_a_step_gives_one_directory_inside_the_root() {
        let root = Path::new("/x");
        assert_eq!(Claim::of(root, &order("a/b")).dir(), Path::new("/x/r17-a+b-2"));
        assert_eq!(Claim::of(root, &order("..")).dir(), Path::new("/x/r17-..-2"));
        let long = "/".repeat(128);
        let name = Claim::of(root, &order(&long)).dir().file_name().unwrap().len();
        assert!(name <= 255, "{name}");
        assert!(claim(root).belongs_to(RunId(17)));
        assert!(!claim(root).belongs_to(RunId(1)));
    }

    #[test]
    fn a_claim_is_taken_once() {
        let root = tempfile::tempdir().unwrap();
        assert!(claim(root.path()).take().unwrap());
        assert!(!claim(root.path()).take().unwrap());
    }

    #[test]
    fn the_first_holder_stays() {
        let root = tempfile::tempdir().unwrap();
        let claim = claim(root.path());
        assert!(claim.take().unwrap());
        assert_eq!(claim.holder().unwrap(), None);
        let nobody = Holder::Nobody { reason: "the agent ended first".into() };
        assert_eq!(claim.hold(nobody.clone()).unwrap(), nobody);
        assert_eq!(claim.hold(shim(9)).unwrap(), nobody);
        assert_eq!(claim.holder().unwrap(), Some(nobody));
        let files = fs::read_dir(claim.dir()).unwrap().count();
        assert_eq!(files, 1, "drafts are left behind");
    }

    #[test]
    fn a_shim_and_an_agent_that_come_at_once_agree_on_who_was_first() {
        let root = tempfile::tempdir().unwrap();
        for round in 0..50 {
            let claim = Claim::at(root.path().join(round.to_string()));
            assert!(claim.take().unwrap());
            // The two are processes of their own; only the name of the draft shares that.
            let other = Claim::at(claim.dir());
            fs::write(claim.dir().join("draft"), encode(shim(9)).unwrap()).unwrap();
            let (one, two) = std::thread::scope(|scope| {
                let one = scope.spawn(|| claim.hold(Holder::Nobody { reason: "x".into() }).unwrap());
                let two = scope.spawn(|| {
                    let won = fs::hard_link(other.dir().join("draft"), other.dir().join("holder")).is_ok();
                    (won, other.holder().unwrap().unwrap())
                });
                (one.join().unwrap(), two.join().unwrap())
            });
            assert_eq!(one, two.1);
            assert_eq!(two.0, one == shim(9));
        }
    }

    #[test]
    fn the_files_of_version_1_are_read_and_written_as_they_were() {
        let root = tempfile::tempdir().unwrap();
        let claim = claim(root.path());
        assert!(claim.take().unwrap());
        assert_eq!(claim.hold(shim(9)).unwrap(), shim(9));
        let text = fs::read_to_string(claim.dir().join("holder")).unwrap();
        assert_eq!(text, r#"{"v":"1","by":"shim","pid":9,"started":5,"boot_id":"b"}"#);

        let golden = [
            (r#"{"v":"1","end":{"exited":3},"stopped":null,"millis":12}"#, End::Exited(3), None),
            (
                r#"{"v":"1","end":{"signal":9},"stopped":"limit","millis":12}"#,
                End::Signal(9),
                Some(Stop::Limit),
            ),
            (r#"{"v":"1","end":"stuck","stopped":"abort","millis":12}"#, End::Stuck, Some(Stop::Abort)),
            (
                r#"{"v":"1","end":{"not_started":"why"},"stopped":null,"millis":12}"#,
                End::NotStarted("why".into()),
                None,
            ),
        ];
        for (text, end, stopped) in golden {
            let status = Status { end, stopped, millis: 12 };
            claim.reserve().unwrap().write(status.clone()).unwrap();
            let written = fs::read_to_string(claim.dir().join("status")).unwrap();
            assert_eq!(written.trim_end(), text);
            assert_eq!(claim.status().unwrap(), Some(status));
        }
    }

    #[test]
    fn a_file_that_is_cut_or_of_a_later_version_is_an_error_not_an_absence() {
        let root = tempfile::tempdir().unwrap();
        let claim = claim(root.path());
        assert!(claim.take().unwrap());
        assert_eq!(claim.status().unwrap(), None);
        for text in ["", r#"{"v":"1","end":{"exi"#, r#"{"v":"2","end":"other"}"#] {
            fs::write(claim.dir().join("status"), text).unwrap();
            let error = claim.status().unwrap_err().to_string();
            assert!(error.contains("status` is not readable"), "{error}");
        }
    }
}
