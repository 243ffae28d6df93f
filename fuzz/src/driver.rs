//! Starting a worker, watching it, and keeping what it fell over.

use std::fmt;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::Error;
use crate::input::Source;
use crate::targets::Target;
use crate::worker::Progress;

/// Processor time that one input may take. The longest is 256 KiB: a parser that needs more is quadratic or stuck.
const INPUT_LIMIT: Duration = Duration::from_secs(5);

/// Time that one input may take on a busy machine, or without using the processor at all.
const STALL_LIMIT: Duration = Duration::from_secs(60);

/// How much of a worker's last words is shown, in bytes.
const WORDS: u64 = 2048;

/// What a run does with each target.
#[derive(Debug)]
pub(crate) struct Plan {
    /// What the inputs depend on.
    pub(crate) seed: u64,
    /// How long each target is driven.
    pub(crate) time: Duration,
    /// Where the corpora are.
    pub(crate) corpus: PathBuf,
    /// Where failing inputs are kept.
    pub(crate) failures: PathBuf,
}

/// How a target stood it.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// No fault in this many inputs.
    Sound(u64),
    /// It fell.
    Failed(Failure),
}

/// What was found.
#[derive(Debug)]
pub(crate) struct Failure {
    number: u64,
    how: String,
    words: String,
    /// The file with the input.
    pub(crate) kept: PathBuf,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sound(inputs) => write!(f, "no fault in {inputs} inputs"),
            Self::Failed(failure) => {
                write!(f, "FAILED at input {}: {}\n{}", failure.number, failure.how, failure.words.trim_end())
            }
        }
    }
}

/// Drives one target for the plan's time, or until it fails.
pub(crate) fn drive(target: &Target, plan: &Plan) -> Result<Verdict, Error> {
    println!("{}: seed {}, {} s", target.name, plan.seed, plan.time.as_secs());
    let corpus = plan.corpus.join(target.name);
    let dir = plan.failures.join(target.name);
    fs::create_dir_all(&dir).map_err(Error::file("create", &dir))?;
    // Two runs side by side have two of each.
    let progress = dir.join(format!("progress.{}", std::process::id()));
    let words = dir.join(format!("words.{}", std::process::id()));

    let child = start(target, plan, &corpus, &progress, &words)?;
    let end = watch(child, plan, &progress)?;
    let number = Progress::last(&progress);
    let said = last_words(&words)?;
    for file in [&progress, &words] {
        // The worker may have fallen before it made the first.
        drop(fs::remove_file(file));
    }
    match (end, number) {
        (End::Exited(status), Some(number)) if status.success() => Ok(Verdict::Sound(number + 1)),
        (end, number) => {
            let number = number.unwrap_or(0);
            let kept = dir.join(format!("{:016x}-{number}", plan.seed));
            let input = Source::read(&corpus, target.dictionary)?.input(plan.seed, number);
            fs::write(&kept, input).map_err(Error::file("write", &kept))?;
            Ok(Verdict::Failed(Failure { number, how: end.to_string(), words: said, kept }))
        }
    }
}

fn start(target: &Target, plan: &Plan, corpus: &Path, progress: &Path, words: &Path) -> Result<Child, Error> {
    let program = std::env::current_exe().map_err(Error::file("find", Path::new("this program")))?;
    let words_file = File::create(words).map_err(Error::file("create", words))?;
    Command::new(&program)
        .args(["work", target.name, "--seed", &plan.seed.to_string()])
        .args(["--milliseconds", &plan.time.as_millis().to_string()])
        .arg("--corpus")
        .arg(corpus)
        .arg("--progress")
        .arg(progress)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(words_file)
        .spawn()
        .map_err(Error::file("start", &program))
}

/// How a worker ended.
enum End {
    Exited(ExitStatus),
    /// It went on computing.
    Busy,
    /// It waits for something.
    Stalled,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // A panic out of main.
            Self::Exited(status) if status.code() == Some(101) => write!(f, "it panicked"),
            Self::Exited(status) => write!(f, "its process ended with {status}"),
            Self::Busy => write!(f, "one input took more than {} s of processor time", INPUT_LIMIT.as_secs()),
            Self::Stalled => write!(f, "one input took more than {} s", STALL_LIMIT.as_secs()),
        }
    }
}

/// Waits for the end, or for an input that takes too long.
fn watch(mut child: Child, plan: &Plan, progress: &Path) -> Result<End, Error> {
    let mut seen = None;
    let mut since = (Instant::now(), processor_time(child.id()));
    loop {
        if let Some(status) = child.try_wait().map_err(Error::file("wait for", Path::new("the worker")))? {
            return Ok(End::Exited(status));
        }
        let number = Progress::last(progress);
        let used = processor_time(child.id());
        if number != seen {
            seen = number;
            since = (Instant::now(), used);
        }
        let busy = used.saturating_sub(since.1) >= INPUT_LIMIT;
        if busy || since.0.elapsed() >= STALL_LIMIT {
            // An error means that it has ended by itself.
            drop(child.kill());
            drop(child.wait());
            return Ok(if busy { End::Busy } else { End::Stalled });
        }
        std::thread::sleep((plan.time / 100).clamp(Duration::from_millis(1), Duration::from_millis(50)));
    }
}

/// What a process has used of the processor, by `/proc/PID/stat` (proc(5)): fields 14 and 15, in hundredths of a second.
fn processor_time(pid: u32) -> Duration {
    let ticks = || -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may hold blanks; field 3 follows it.
        let (_, rest) = text.rsplit_once(')')?;
        let mut fields = rest.split_ascii_whitespace().skip(11);
        Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
    };
    Duration::from_millis(ticks().unwrap_or(0) * 10)
}

fn last_words(path: &Path) -> Result<String, Error> {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(WORDS)))?;
        let mut bytes = Vec::new();
        file.take(WORDS).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).map_err(Error::file("read", path))
}
