//! Checking files: that they are whole, and that all there is in them can be decoded.

use std::fs;
use std::io;
use std::num::NonZero;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::archive::Limits;
use crate::inspect::{Inspection, KvDetails};
use crate::source::{OpenError, ReadError, Shape, Source, Whole};

/// Folders within folders are looked into no deeper than that.
const DEPTH: usize = 16;

/// A file that is sound.
#[derive(Clone, Debug)]
pub struct Report {
    /// What it is.
    pub shape: Shape,
    /// What was read.
    pub whole: Whole,
    /// How many records of which kind.
    pub inspection: Inspection,
    /// How long it took.
    pub took: Duration,
}

/// What a file of a folder is.
#[derive(Debug)]
pub enum Verdict {
    /// A snapshot that is sound.
    Sound(Box<Report>),
    /// A snapshot that is not, or something that is called as one.
    Damaged(ReadError),
    /// Something else.
    Other(&'static str),
}

/// Checks a file. With `details` keys are counted too.
///
/// # Errors
/// If it is not sound.
pub fn verify(source: &Source, limits: &Limits, details: Option<KvDetails>) -> Result<Report, ReadError> {
    #[expect(clippy::disallowed_methods, reason = "how long it took is told, and decides nothing")]
    let begin = Instant::now();
    let mut inspection = Inspection::new(details);
    let whole = source.read(limits, |record| {
        inspection.add(record);
        ControlFlow::Continue(())
    })?;
    Ok(Report { shape: source.shape(), whole, inspection, took: begin.elapsed() })
}

/// Checks all files of a folder and the folders in it, as many at once as `threads` says, in the order of
/// their names. What begins with a dot is left out, and links are not followed.
///
/// A file that is no snapshot by its content is [`Verdict::Other`], unless its name says that it should be one
/// (`.snap`, `.gz`, `.tgz`, `state.bin`): then it is damaged.
///
/// # Errors
/// If a folder cannot be listed.
pub fn verify_dir(
    dir: impl AsRef<Path>,
    limits: &Limits,
    threads: NonZero<usize>,
) -> io::Result<Vec<(PathBuf, Verdict)>> {
    let mut files = Vec::new();
    list(dir.as_ref(), 0, &mut files)?;
    files.sort();
    let next = AtomicUsize::new(0);
    let verdicts = Mutex::new(Vec::with_capacity(files.len()));
    let work = || {
        while let Some(path) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            let verdict = judge(path, limits);
            verdicts.lock().unwrap_or_else(PoisonError::into_inner).push((path.clone(), verdict));
        }
    };
    thread::scope(|scope| {
        // This thread is one of them.
        for _ in 1..threads.get().min(files.len()) {
            scope.spawn(work);
        }
        work();
    });
    let mut verdicts = verdicts.into_inner().unwrap_or_else(PoisonError::into_inner);
    verdicts.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(verdicts)
}

fn list(dir: &Path, depth: usize, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let kind = entry.file_type()?;
        if kind.is_dir() && depth < DEPTH {
            list(&entry.path(), depth + 1, files)?;
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}

fn judge(path: &Path, limits: &Limits) -> Verdict {
    let source = match Source::open(path) {
        Ok(source) => source,
        Err(OpenError::Other { what, .. }) if !is_called_snapshot(path) => return Verdict::Other(what),
        Err(error) => return Verdict::Damaged(error.into()),
    };
    match verify(&source, limits, None) {
        Ok(report) => Verdict::Sound(Box::new(report)),
        Err(ReadError::NoState) => Verdict::Other("it is a backup of consul-snapshot"),
        Err(error) => Verdict::Damaged(error),
    }
}

fn is_called_snapshot(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default();
    ["snap", "gz", "tgz"].iter().any(|known| extension.eq_ignore_ascii_case(known))
}
