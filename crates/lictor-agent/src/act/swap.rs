//! `act "swap"`: has a swap file in use, and makes it where it is missing.
//!
//! What is there and holds something else is never touched: a path that is written wrongly must not cost
//! anybody his data. A file that is made gets its name only when it is whole.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lictor_config::SwapAction;
use lictor_core::Outcome;
use rustix::fs::{OFlags, SeekFrom, seek, statvfs};
use rustix::io::Errno;
use rustix::param::page_size;
use tokio::io::AsyncReadExt as _;
use tokio::time::{Instant, timeout_at};

use super::exec::blocking;
use super::{failed, unknown};

/// What a swap file has at the end of its first page.
const MAGIC: &[u8] = b"SWAPSPACE2";

/// A file of fewer pages is no use.
const PAGES: u64 = 10;

/// Written at once.
const CHUNK: usize = 1 << 20;

/// A file that may be blank is read so far, and left alone if it goes on.
const READ: u64 = 16 << 30;

/// Of what `swapon` says, bytes that are read.
const SAID: u64 = 4 * 1_024;

/// Where `swapon` is.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What is at the place of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Missing,
    /// Nothing but zeros, to its end.
    Blank,
    Swap,
    Other,
}

/// Puts the file to use.
pub(super) async fn act(action: &SwapAction, limit: Duration) -> Outcome {
    let deadline = Instant::now() + limit;
    let given_up = Arc::new(AtomicBool::new(false));
    // Whoever stops waiting for it ends it.
    let _end = SetWhenDropped(Arc::clone(&given_up));
    let file = action.file.display();
    match timeout_at(deadline, work(action, &given_up)).await {
        Ok(Ok(detail)) => Outcome::Done { detail },
        Ok(Err(why)) => failed(format!("{file} is not used as swap: {why}")),
        Err(_late) => unknown(format!("{file} is not used as swap after {}", lictor_core::Span(limit))),
    }
}

/// Says whether the file is in use.
pub(super) async fn inspect(action: &SwapAction) -> Outcome {
    let file = action.file.clone();
    match blocking(move || in_use(&file)).await {
        Ok(true) => Outcome::Done { detail: format!("{} is used as swap", action.file.display()) },
        Ok(false) => Outcome::NotStarted { detail: format!("{} is not used as swap", action.file.display()) },
        Err(error) => unknown(error.to_string()),
    }
}

struct SetWhenDropped(Arc<AtomicBool>);

impl Drop for SetWhenDropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

async fn work(action: &SwapAction, given_up: &Arc<AtomicBool>) -> Result<String, String> {
    let path = action.file.clone();
    let shown = action.file.display();
    let until = Arc::clone(given_up);
    let look = move || Ok((in_use(&path)?, look(&path, &until)?));
    let (used, found) = blocking(look).await.map_err(|error| error.to_string())?;
    if used {
        return Ok(format!("{shown} was used as swap already"));
    }
    match (found, action.size) {
        (Found::Swap, _) => {}
        (Found::Other, _) => return Err("it holds something else and was left as it is".to_owned()),
        (Found::Missing, None) => {
            return Err("there is no such file; with recreate = true and size it is made".to_owned());
        }
        (Found::Blank, None) => {
            return Err(
                "it is no swap file but blank; with recreate = true and size it is made anew".to_owned()
            );
        }
        (Found::Missing | Found::Blank, Some(size)) => make(action, size, given_up).await?,
    }
    let made = found != Found::Swap;
    match (swapon(&action.file).await, action.size) {
        (Ok(()), _) => {}
        // It has the mark of a swap file and is none: damaged.
        (Err(why), Some(size)) if !made && why.contains("Invalid argument") => {
            make(action, size, given_up).await?;
            swapon(&action.file).await.map_err(|again| format!("{again}; before it was made anew: {why}"))?;
            return Ok(format!("{shown} was damaged, was made anew and is used as swap"));
        }
        (Err(why), _) => return Err(why),
    }
    Ok(if made {
        format!("{shown} was made and is used as swap")
    } else {
        format!("{shown} is used as swap")
    })
}

/// Whether the file is in use as swap.
fn in_use(path: &Path) -> io::Result<bool> {
    let table = fs::read_to_string("/proc/swaps")?;
    let path = path.canonicalize().unwrap_or_else(|_missing| path.to_path_buf());
    // The kernel writes blanks as octal numbers.
    let written = path.to_string_lossy().replace('\\', "\\134").replace(' ', "\\040").replace('\t', "\\011");
    Ok(table.lines().skip(1).any(|line| line.split_ascii_whitespace().next() == Some(written.as_str())))
}

fn look(path: &Path, given_up: &AtomicBool) -> io::Result<Found> {
    let nofollow = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default();
    let nonblock = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = OpenOptions::new().read(true).custom_flags(nofollow | nonblock).open(path);
    let file = match file {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Missing),
        Err(error) => return Err(error),
    };
    if !file.metadata()?.is_file() {
        return Ok(Found::Other);
    }
    let page = page_size();
    let mut first = Vec::new();
    (&file).take(page as u64).read_to_end(&mut first)?;
    let mark = first.get(page.saturating_sub(MAGIC.len())..).unwrap_or_default();
    Ok(if mark == MAGIC {
        Found::Swap
    } else if is_blank(&file, READ, given_up)? {
        Found::Blank
    } else {
        Found::Other
    })
}

/// Whether a file holds nothing but zeros. Images of disks begin with many of them: all of it is read, but
/// for the holes. One with more than `most` bytes to read is taken to hold something.
fn is_blank(file: &File, most: u64, given_up: &AtomicBool) -> io::Result<bool> {
    let mut chunk = vec![0; CHUNK];
    let (mut at, mut read) = (0, 0);
    loop {
        if given_up.load(Ordering::Relaxed) {
            return Err(io::Error::other("its time was over while it was read"));
        }
        at = match seek(file, SeekFrom::Data(at)) {
            Ok(data) => data,
            // From there on it is one hole.
            Err(Errno::NXIO) => return Ok(true),
            // A file system that knows of no holes.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => at,
            Err(error) => return Err(error.into()),
        };
        let length = file.read_at(&mut chunk, at)?;
        if length == 0 {
            return Ok(true);
        }
        if chunk.get(..length).is_none_or(|bytes| bytes.iter().any(|byte| *byte != 0)) {
            return Ok(false);
        }
        (at, read) = (at + length as u64, read + length as u64);
        if read > most {
            return Ok(false);
        }
    }
}

/// Makes the file, or makes it anew.
async fn make(action: &SwapAction, size: u64, given_up: &Arc<AtomicBool>) -> Result<(), String> {
    let (path, given_up) = (action.file.clone(), Arc::clone(given_up));
    let made = blocking(move || {
        tidy(&path)?;
        room(&path, size)?;
        let new = beside(&path);
        let done = write(&new, size, &given_up).and_then(|()| {
            // The last moment at which it can be left: nobody waits for it any more.
            if given_up.load(Ordering::Relaxed) {
                return Err(io::Error::other("its time was over"));
            }
            fs::rename(&new, &path)
        });
        if done.is_err() {
            fs::remove_file(&new).ok();
        }
        done
    });
    made.await.map_err(|error| format!("it cannot be made: {error}"))
}

/// What the names of files begin with that are being made.
fn unfinished(path: &Path) -> OsString {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".lictor-new");
    name
}

/// Where a file lies that is being made: another name for each attempt, so that one that was given up and
/// has not noticed yet never writes into that of the next.
fn beside(path: &Path) -> PathBuf {
    let mut name = unfinished(path);
    name.push(format!("-{:016x}", rand::random::<u64>()));
    path.with_file_name(name)
}

/// Removes what was left by attempts that were killed: it takes the room of a whole file. One that still
/// goes on, given up, fails by it.
fn tidy(path: &Path) -> io::Result<()> {
    let name = unfinished(path);
    for entry in fs::read_dir(path.parent().unwrap_or_else(|| Path::new("/")))? {
        let entry = entry?;
        if !entry.file_name().as_encoded_bytes().starts_with(name.as_encoded_bytes()) {
            continue;
        }
        match fs::remove_file(entry.path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// There must be room for it and a twentieth more: a full disk is worse than too little swap.
fn room(path: &Path, size: u64) -> io::Result<()> {
    let there = statvfs(path.parent().unwrap_or_else(|| Path::new("/")))?;
    let free = there.f_bavail.saturating_mul(there.f_frsize);
    if free / 20 * 19 < size {
        return Err(io::Error::other(format!(
            "{free} bytes are free on its file system, too few for {size}"
        )));
    }
    Ok(())
}

/// Writes a whole swap file: the kernel takes none with holes.
fn write(path: &Path, size: u64, given_up: &AtomicBool) -> io::Result<()> {
    let page = page_size();
    let pages = size / page as u64;
    let last = u32::try_from(pages.saturating_sub(1)).unwrap_or(u32::MAX);
    if pages < PAGES {
        return Err(io::Error::other(format!("a swap file has {PAGES} pages of {page} bytes at least")));
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let zeros = vec![0; CHUNK];
    let mut left = pages * page as u64;
    while left > 0 {
        if given_up.load(Ordering::Relaxed) {
            return Err(io::Error::other("its time was over"));
        }
        let chunk = usize::try_from(left).map_or(CHUNK, |left| left.min(CHUNK));
        file.write_all(zeros.get(..chunk).unwrap_or(&zeros))?;
        left -= chunk as u64;
    }
    head(&file, last, page)?;
    file.sync_all()
}

/// The head of a swap file, as mkswap(8) writes it: version, last page, bad pages, id, and the mark.
fn head(file: &File, last: u32, page: usize) -> io::Result<()> {
    let id: [u8; 16] = rand::random();
    file.write_all_at(&1_u32.to_ne_bytes(), 1_024)?;
    file.write_all_at(&last.to_ne_bytes(), 1_028)?;
    file.write_all_at(&0_u32.to_ne_bytes(), 1_032)?;
    file.write_all_at(&id, 1_036)?;
    file.write_all_at(MAGIC, (page - MAGIC.len()) as u64)
}

/// Runs the program that puts it to use: to call the kernel directly takes code that is not safe.
async fn swapon(path: &Path) -> Result<(), String> {
    let mut command = tokio::process::Command::new("swapon");
    command.arg("--").arg(path).env_clear().env("PATH", PATH).env("LC_ALL", "C");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "there is no program `swapon` here: install util-linux".to_owned(),
        _ => format!("cannot start `swapon`: {error}"),
    })?;
    let mut said = Vec::new();
    if let Some(errors) = child.stderr.take() {
        errors.take(SAID).read_to_end(&mut said).await.ok();
    }
    let status = child.wait().await.map_err(|error| format!("swapon: {error}"))?;
    if status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&said);
    let said: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    Err(if said.is_empty() { format!("swapon: {status}") } else { said.join("; ") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn seen(path: &Path) -> io::Result<Found> {
        look(path, &AtomicBool::new(false))
    }

    #[test]
    fn an_image_that_begins_with_zeros_is_not_blank() {
        let dir = dir();
        let path = dir.path().join("image");
        let file = File::create(&path).unwrap();
        // As one of a disk: much of it was never written, and its mark is far behind.
        file.set_len(1 << 30).unwrap();
        assert_eq!(seen(&path).unwrap(), Found::Blank);
        file.write_all_at(&[0; 9_000], 0).unwrap();
        assert_eq!(seen(&path).unwrap(), Found::Blank);
        file.write_all_at(b"CD001", 0x8001).unwrap();
        assert_eq!(seen(&path).unwrap(), Found::Other);
        file.write_all_at(&[0; 5], 0x8001).unwrap();
        file.write_all_at(b"x", (1 << 30) - 1).unwrap();
        assert_eq!(seen(&path).unwrap(), Found::Other);
    }

    #[test]
    fn what_is_too_long_to_be_read_is_not_blank() {
        let dir = dir();
        let path = dir.path().join("long");
        fs::write(&path, vec![0; 3 * CHUNK]).unwrap();
        let file = File::open(&path).unwrap();
        let blank = |most| is_blank(&file, most, &AtomicBool::new(false)).unwrap();
        assert!(blank(3 * CHUNK as u64));
        assert!(!blank(2 * CHUNK as u64));
        assert!(is_blank(&file, u64::MAX, &AtomicBool::new(true)).is_err());
    }

    #[test]
    fn each_attempt_writes_to_a_file_of_its_own_and_removes_what_others_left() {
        let dir = dir();
        let path = dir.path().join("swap");
        let (one, other) = (beside(&path), beside(&path));
        assert_ne!(one, other);
        let kept = dir.path().join("swap.old");
        for file in [&one, &other, &kept] {
            fs::write(file, "x").unwrap();
        }
        tidy(&path).unwrap();
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(left, [kept]);
    }

    #[test]
    fn what_is_there_is_told_apart() {
        let dir = dir();
        let path = dir.path().join("swap");
        assert_eq!(seen(&path).unwrap(), Found::Missing);
        fs::write(&path, "").unwrap();
        assert_eq!(seen(&path).unwrap(), Found::Blank);
        fs::write(&path, vec![0; 9_000]).unwrap();
        assert_eq!(seen(&path).unwrap(), Found::Blank);
        fs::write(&path, "a diary").unwrap();
        assert_eq!(seen(&path).unwrap(), Found::Other);
        assert_eq!(seen(dir.path()).unwrap(), Found::Other);
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(seen(&link).is_err());
    }

    #[test]
    fn one_that_is_made_is_whole_and_readable_by_nobody_else() {
        use std::os::unix::fs::MetadataExt as _;
        let dir = dir();
        let path = dir.path().join("swap");
        write(&path, (1 << 20) + 100, &AtomicBool::new(false)).unwrap();
        assert_eq!(seen(&path).unwrap(), Found::Swap);
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!((metadata.len(), metadata.mode() & 0o777), (1 << 20, 0o600));
        let pages = u32::try_from((1 << 20) / page_size()).unwrap();
        assert_eq!(fs::read(&path).unwrap()[1_028..1_032], (pages - 1).to_ne_bytes());
    }

    #[tokio::test]
    async fn a_file_that_holds_something_else_is_left_as_it_is() {
        let dir = dir();
        let file = dir.path().join("swap");
        fs::write(&file, "a diary").unwrap();
        // Too small for the kernel, should it be made after all.
        let action = SwapAction { file: file.clone(), size: Some(4_096) };
        let outcome = act(&action, Duration::from_secs(10)).await;
        let Outcome::Failed { detail } = outcome else { panic!("{outcome:?}") };
        assert!(detail.ends_with("it holds something else and was left as it is"), "{detail}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "a diary");
    }

    #[tokio::test]
    async fn one_for_which_there_is_no_room_is_not_begun_and_leaves_nothing() {
        let dir = dir();
        let file = dir.path().join("swap");
        let action = SwapAction { file: file.clone(), size: Some(1 << 44) };
        let outcome = act(&action, Duration::from_secs(10)).await;
        let Outcome::Failed { detail } = outcome else { panic!("{outcome:?}") };
        assert!(detail.contains("too few for 17592186044416"), "{detail}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        // One that is given up half-way leaves nothing either.
        let given_up = Arc::new(AtomicBool::new(true));
        let action = SwapAction { file, size: Some(1 << 20) };
        assert!(make(&action, 1 << 20, &given_up).await.unwrap_err().contains("its time was over"));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
