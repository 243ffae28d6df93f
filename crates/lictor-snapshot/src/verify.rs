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
use crate::seal::{self, Keys};
use crate::source::{OpenError, ReadError, Shape, Source, Whole};

/// [`verify_dir`] looks into folders within folders no deeper than that.
pub const DEPTH: usize = 16;

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
    /// It is sealed, none of the keys opens it, and so nobody looked into it: it may be anything.
    Sealed(seal::OpenError),
    /// Something else.
    Other(&'static str),
}

/// What there is in a folder.
#[derive(Debug)]
pub struct Folder {
    /// What each file is, in the order of their names.
    pub files: Vec<(PathBuf, Verdict)>,
    /// What was left out.
    pub left_out: LeftOut,
}

/// What nobody looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Links, which are not followed.
    pub links: u64,
    /// Folders that lie too deep.
    pub too_deep: u64,
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

/// Checks all files of a folder and the folders in it, 16 deep, as many at once as `threads` says. What begins with a dot is left
/// out, and links are not followed. What is sealed is opened with the keys.
///
/// A file that is no snapshot by its content is [`Verdict::Other`], unless its name says that it should be one
/// (`.snap`, `.gz`, `.tgz`, also with `.age` behind it, and `state.bin`): then it is damaged.
///
/// `told` is told after each file how many have been checked, of how many.
///
/// # Errors
/// If a folder cannot be listed.
pub fn verify_dir(
    dir: impl AsRef<Path>,
    keys: &Keys,
    limits: &Limits,
    threads: NonZero<usize>,
    told: impl Fn(usize, usize) + Sync,
) -> io::Result<Folder> {
    let (mut files, mut left_out) = (Vec::new(), LeftOut::default());
    list(dir.as_ref(), 0, &mut files, &mut left_out)?;
    files.sort();
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let verdicts = Mutex::new(Vec::with_capacity(files.len()));
    let work = || {
        while let Some(path) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            let verdict = judge(path, keys, limits);
            told(done.fetch_add(1, Ordering::Relaxed) + 1, files.len());
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
    let mut files = verdicts.into_inner().unwrap_or_else(PoisonError::into_inner);
    files.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(Folder { files, left_out })
}

fn list(dir: &Path, depth: usize, files: &mut Vec<PathBuf>, left_out: &mut LeftOut) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let kind = entry.file_type()?;
        if kind.is_dir() && depth < DEPTH {
            list(&entry.path(), depth + 1, files, left_out)?;
        } else if kind.is_dir() {
            left_out.too_deep += 1;
        } else if kind.is_symlink() {
            left_out.links += 1;
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}

fn judge(path: &Path, keys: &Keys, limits: &Limits) -> Verdict {
    let source = match Source::open_with(path, keys) {
        Ok(source) => source,
        Err(OpenError::Other { what, .. }) if !is_called_snapshot(path) => return Verdict::Other(what),
        Err(OpenError::Sealed(error)) if error.wants_key() => return Verdict::Sealed(error),
        Err(error) => return Verdict::Damaged(error.into()),
    };
    match verify(&source, limits, None) {
        Ok(report) => Verdict::Sound(Box::new(report)),
        Err(ReadError::NoState) => Verdict::Other("it is a backup of consul-snapshot"),
        Err(error) => Verdict::Damaged(error),
    }
}

fn is_called_snapshot(path: &Path) -> bool {
    let called = |path: &Path, names: &[&str]| {
        let extension = path.extension().unwrap_or_default();
        names.iter().any(|known| extension.eq_ignore_ascii_case(known))
    };
    // `a.snap.age` is one that is sealed.
    let path = if called(path, &["age"]) { path.with_extension("") } else { path.to_owned() };
    called(&path, &["snap", "gz", "tgz"])
}
