//! Who may ask: a file with a line `user:password` for each.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tracing::{error, info};

/// The largest file that is read, bytes.
const FILE: u64 = 1 << 20;

/// How long reading it may take, with waiting for others who do.
const PATIENCE: Duration = Duration::from_secs(2);

/// Those who may ask. The file is looked at for each request and read again when it changed.
pub(super) struct Users {
    path: PathBuf,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    file: Option<Read>,
    /// Reading that takes too long goes on; another one is not begun meanwhile.
    pending: Option<JoinHandle<Result<Read, String>>>,
    /// Whether it was said that it cannot be read.
    told: bool,
}

/// The file as it was read.
#[derive(Clone)]
struct Read {
    stamp: Stamp,
    /// What each of its lines looks like in a request, hashed.
    tokens: Vec<[u8; 32]>,
}

/// What a file looks like when it has not changed: device, inode, size, and when it was modified and changed.
type Stamp = [u64; 5];

/// Whether somebody may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Welcome,
    Refused,
    /// It cannot be known at present.
    Unknown,
}

impl Users {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, known: Mutex::default() }
    }

    /// Whether somebody who shows this as `Authorization: Basic …` may ask.
    pub(super) async fn verdict(&self, shown: Option<&str>) -> Verdict {
        let deadline = Instant::now() + PATIENCE;
        let Ok(mut known) = timeout_at(deadline, self.known.lock()).await else { return Verdict::Unknown };
        match self.current(&mut known, deadline).await {
            Ok(read) => {
                if std::mem::take(&mut known.told) {
                    info!(file = %self.path.display(), "the passwords of the probe can be read again");
                }
                if shown.is_some_and(|shown| read.has(shown)) { Verdict::Welcome } else { Verdict::Refused }
            }
            Err(why) => {
                if !std::mem::replace(&mut known.told, true) {
                    error!("the probe answers nobody: {why}");
                }
                Verdict::Unknown
            }
        }
    }

    async fn current(&self, known: &mut Known, deadline: Instant) -> Result<Read, String> {
        let mut reading = match known.pending.take() {
            Some(pending) => pending,
            None => {
                let (path, before) = (self.path.clone(), known.file.take());
                tokio::task::spawn_blocking(move || renewed(&path, before))
            }
        };
        match timeout_at(deadline, &mut reading).await {
            Ok(Ok(read)) => {
                let read = read?;
                known.file = Some(read.clone());
                Ok(read)
            }
            Ok(Err(lost)) => Err(format!("reading `{}` was given up: {lost}", self.path.display())),
            Err(_late) => {
                known.pending = Some(reading);
                Err(format!("`{}` was not read within {} s", self.path.display(), PATIENCE.as_secs()))
            }
        }
    }
}

/// Whether there is somebody in a file of users.
///
/// # Errors
/// In words, why there is nobody.
pub fn check_users(path: &Path) -> Result<(), String> {
    renewed(path, None).map(drop)
}

/// What is in the file now; `before` if it has not changed since.
fn renewed(path: &Path, before: Option<Read>) -> Result<Read, String> {
    let shown = path.display();
    let failed = |error: io::Error| format!("`{shown}` cannot be read: {error}");
    // A pipe would be waited for.
    let meta = fs::metadata(path).map_err(failed)?;
    if !meta.is_file() {
        return Err(format!("`{shown}` is not a file"));
    }
    let stamp = stamp(&meta);
    if let Some(before) = before.filter(|before| before.stamp == stamp) {
        return Ok(before);
    }
    let mut text = Vec::new();
    File::open(path).and_then(|file| file.take(FILE + 1).read_to_end(&mut text)).map_err(failed)?;
    if text.len() as u64 > FILE {
        return Err(format!("`{shown}` has more than 1 MiB"));
    }
    let tokens: Vec<_> = tokens(&text).collect();
    if tokens.is_empty() {
        return Err(format!("`{shown}` holds no line `user:password`"));
    }
    Ok(Read { stamp, tokens })
}

fn stamp(meta: &fs::Metadata) -> Stamp {
    // To the nanosecond, and of what cannot be set: a file written twice in a second is read twice.
    let time =
        |seconds: i64, nanos: i64| seconds.wrapping_mul(1_000_000_000).wrapping_add(nanos).cast_unsigned();
    let modified = time(meta.mtime(), meta.mtime_nsec());
    let changed = time(meta.ctime(), meta.ctime_nsec());
    [meta.dev(), meta.ino(), meta.size(), modified, changed]
}

/// What each line looks like in a request. Any line that is not empty counts, whatever it begins with.
fn tokens(text: &[u8]) -> impl Iterator<Item = [u8; 32]> {
    let lines = text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.filter(|line| !line.is_empty()).map(|line| hash(&STANDARD.encode(line)))
}

/// Hashes have one length, so comparing them tells nothing of what they are of.
fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

impl Read {
    /// Whether it has somebody who shows this; takes as long whoever it is.
    fn has(&self, shown: &str) -> bool {
        let shown = hash(shown);
        let same = |found: Choice, token: &[u8; 32]| found | token.as_slice().ct_eq(shown.as_slice());
        self.tokens.iter().fold(Choice::from(0), same).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn verdict(users: &Users, shown: &str) -> Verdict {
        users.verdict(Some(&STANDARD.encode(shown))).await
    }

    #[tokio::test]
    async fn each_whole_line_is_somebody() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users");
        let long = format!("u:{}", "0123456789abcdef".repeat(20));
        fs::write(&path, format!("\nann:a b:c\r\n#x:y\n{long}\nlast:l")).unwrap();
        let users = Users::new(path);
        for welcome in ["ann:a b:c", "#x:y", &long, "last:l"] {
            assert_eq!(verdict(&users, welcome).await, Verdict::Welcome, "{welcome}");
        }
        for refused in ["ann:a b:c\r", "x:y", "last:", "", "ann"] {
            assert_eq!(verdict(&users, refused).await, Verdict::Refused, "{refused}");
        }
        assert_eq!(users.verdict(None).await, Verdict::Refused);
        assert_eq!(users.verdict(Some("ann:a b:c")).await, Verdict::Refused, "it must be encoded");
    }

    #[tokio::test]
    async fn a_change_counts_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users");
        fs::write(&path, "ann:1\n").unwrap();
        let users = Users::new(path.clone());
        assert_eq!(verdict(&users, "ann:1").await, Verdict::Welcome);
        fs::write(&path, "ann:2\n").unwrap();
        assert_eq!(verdict(&users, "ann:1").await, Verdict::Refused);
        assert_eq!(verdict(&users, "ann:2").await, Verdict::Welcome);
        let other = dir.path().join("other");
        fs::write(&other, "ann:3\n").unwrap();
        fs::rename(&other, &path).unwrap();
        assert_eq!(verdict(&users, "ann:3").await, Verdict::Welcome);
        fs::write(&path, "\n\n").unwrap();
        assert_eq!(verdict(&users, "ann:3").await, Verdict::Unknown, "an empty file lets nobody in");
        fs::remove_file(&path).unwrap();
        assert_eq!(verdict(&users, "ann:3").await, Verdict::Unknown);
        fs::write(&path, "ann:4\n").unwrap();
        assert_eq!(verdict(&users, "ann:4").await, Verdict::Welcome);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_others_and_reading_have_one_limit() {
        let users = Users::new("/nonexistent".into());
        let hangs = || futures::future::pending::<Result<Read, String>>();
        #[expect(clippy::disallowed_methods, reason = "there are no tasks here")]
        let pending = tokio::spawn(hangs());
        users.known.lock().await.pending = Some(pending);
        let begun = Instant::now();
        let verdicts = futures::future::join_all((0..9).map(|_| users.verdict(None))).await;
        assert!(verdicts.iter().all(|verdict| *verdict == Verdict::Unknown), "{verdicts:?}");
        assert!(begun.elapsed() < PATIENCE * 3 / 2, "{:?}", begun.elapsed());
    }

    #[test]
    fn what_is_no_file_of_users_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users");
        let wrong = |path: &Path| check_users(path).unwrap_err();
        assert!(wrong(&path).contains("cannot be read: No such file"), "{}", wrong(&path));
        assert!(wrong(dir.path()).ends_with("is not a file"));
        fs::write(&path, "\r\n").unwrap();
        assert!(wrong(&path).ends_with("holds no line `user:password`"));
        fs::write(&path, vec![b'x'; 1_048_577]).unwrap();
        assert!(wrong(&path).ends_with("has more than 1 MiB"));
        fs::write(&path, "a:b").unwrap();
        assert_eq!(check_users(&path), Ok(()));
    }
}
