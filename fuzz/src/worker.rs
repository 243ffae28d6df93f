//! The process that calls one target, input after input, until its time is up or it falls.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};

use crate::Error;
use crate::input::Source;
use crate::targets;

/// Address space of the worker in bytes: asking for more aborts it, which is a find.
const MEMORY: u64 = 2 << 30;

/// What the driver asks of a worker.
#[derive(Debug, clap::Args)]
pub(crate) struct Job {
    /// The target
    target: String,
    /// Seed of the run
    #[arg(long)]
    seed: u64,
    /// Milliseconds to work
    #[arg(long)]
    milliseconds: u64,
    /// The target's corpus
    #[arg(long)]
    corpus: PathBuf,
    /// Where the number of the input in hand is written
    #[arg(long)]
    progress: PathBuf,
}

/// Works; a target that panics takes the process with it, and the driver sees that.
pub(crate) fn work(job: &Job) -> Result<(), Error> {
    // A worker without its driver would spin on unseen.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    setrlimit(Resource::As, Rlimit { current: Some(MEMORY), maximum: Some(MEMORY) })?;
    // A crash is expected here; its core file is of no use to anyone.
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;

    let target = targets::find(&job.target)?;
    let source = Source::read(&job.corpus, target.dictionary)?;
    let progress = Progress::create(&job.progress)?;
    let started = Instant::now();
    let time = Duration::from_millis(job.milliseconds);
    for number in 0.. {
        if started.elapsed() >= time {
            break;
        }
        let input = source.input(job.seed, number);
        progress.note(number)?;
        (target.run)(&input);
    }
    Ok(())
}

/// The number of the input in hand, in a file that outlives the worker: 8 bytes, little end first.
#[derive(Debug)]
pub(crate) struct Progress {
    file: File,
    path: PathBuf,
}

impl Progress {
    fn create(path: &Path) -> Result<Self, Error> {
        let file = File::create(path).map_err(Error::file("create", path))?;
        Ok(Self { file, path: path.to_owned() })
    }

    fn note(&self, number: u64) -> Result<(), Error> {
        self.file.write_all_at(&number.to_le_bytes(), 0).map_err(Error::file("write", &self.path))
    }

    /// What was noted last; `None` before the first input.
    pub(crate) fn last(path: &Path) -> Option<u64> {
        let bytes = std::fs::read(path).ok()?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }
}
