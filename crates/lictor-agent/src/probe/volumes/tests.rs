use std::process::Command;
use std::sync::mpsc as threads;

use super::*;

fn volumes(paths: &[&str]) -> Volumes {
    Volumes::new(Some(paths.iter().map(PathBuf::from).collect()), Tasks::new())
}

/// Late enough for all of them.
fn soon() -> Instant {
    Instant::now() + 2 * ALL
}

/// What `df -P` says: size, used, available, mount.
fn df(args: &[&str]) -> Vec<(u64, u64, u64, String)> {
    let output =
        Command::new("df").arg("-P").args(args).env("LC_ALL", "C").env_remove("BLOCK_SIZE").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().rev().collect();
        let number = |at: usize| words[at].parse().unwrap();
        (number(4), number(3), number(2), words[0].to_owned())
    };
    text.lines().skip(1).map(line).collect()
}

#[tokio::test]
async fn all_that_df_shows_is_shown() {
    // Others come and go with their mounts, and write: compared until it fits.
    for attempt in 0.. {
        let found = Volumes::new(None, Tasks::new()).look(soon()).await;
        let found: Vec<_> =
            found.iter().map(|one| (one.size, one.used, one.available, one.mount.clone())).collect();
        let shown = df(&[]);
        let close = |(size, used, _, mount): &(u64, u64, u64, String), other: &(u64, u64, u64, String)| {
            (size, mount) == (&other.0, &other.3) && used.abs_diff(other.1) <= 1_024 * 1_024
        };
        if found.len() == shown.len() && found.iter().zip(&shown).all(|(one, other)| close(one, other)) {
            return;
        }
        assert!(attempt < 10, "{found:?}\n{shown:?}");
    }
}

#[tokio::test]
async fn a_path_is_told_of_by_the_mount_that_holds_it() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("link");
    std::os::unix::fs::symlink("/proc/self", &link).unwrap();
    let found = volumes(&["/", link.to_str().unwrap(), "/etc", "/"]).look(soon()).await;
    let mounts: Vec<&str> = found.iter().map(|one| one.mount.as_str()).collect();
    assert_eq!(mounts, ["/", "/proc", df(&["/etc"])[0].3.as_str(), "/"]);
    assert!(found[0].size > 0 && found[1].size == 0);
}

#[tokio::test]
async fn what_cannot_be_read_is_marked_and_the_others_are_told() {
    let found = volumes(&["/nonexistent/x", "/"]).look(soon()).await;
    assert_eq!(found[0], Volume::unreadable("/nonexistent/x".into(), "no such file or directory".into()));
    assert_eq!((found[1].mount.as_str(), found[1].error.as_deref()), ("/", None));
}

#[tokio::test]
async fn one_that_hangs_holds_up_nobody_and_is_not_asked_again_until_it_answers() {
    let (free, held) = threads::channel::<()>();
    let held = Mutex::new(held);
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&asked);
    let question: Question = Arc::new(move |path, _| {
        heard.lock().unwrap().push(path.display().to_string());
        if path == Path::new("/nfs") {
            held.lock().unwrap().recv().unwrap();
        }
        Asked::Found {
            device: 1,
            volume: Volume { mount: path.display().to_string(), size: 7, ..Volume::default() },
        }
    });
    let volumes = volumes(&["/a", "/nfs", "/b"]);
    let begun = Instant::now();
    let found = volumes.find(Table::read().unwrap(), Arc::clone(&question), soon()).await;
    assert!((ONE..ALL).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    assert_eq!((found[0].size, found[1].size, found[2].size), (7, 0, 7));
    let why = found[1].error.clone().unwrap();
    assert!(found[1].mount == "/nfs" && why.starts_with("it has not answered for "), "{why}");
    let begun = Instant::now();
    assert!(volumes.find(Table::read().unwrap(), Arc::clone(&question), soon()).await[1].error.is_some());
    assert!(begun.elapsed() < ONE, "it was waited for again");
    assert_eq!(*asked.lock().unwrap(), ["/a", "/nfs", "/b", "/a", "/b"]);
    free.send(()).unwrap();
    drop(free);
    let deadline = Instant::now() + Duration::from_secs(10);
    while !volumes.stuck.lock().is_empty() {
        assert!(Instant::now() < deadline, "it stays marked");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn who_asks_while_somebody_does_gets_the_same() {
    let volumes = volumes(&["/"]);
    // Both ask before either is answered, however quick that is.
    let busy = volumes.last.lock().await;
    let free = async move { drop(busy) };
    let (first, second, ()) = tokio::join!(volumes.look(soon()), volumes.look(soon()), free);
    assert!(Arc::ptr_eq(&first, &second));
}

/// A probe at which these hang already, and what is asked about after that.
fn hung(paths: Option<Vec<PathBuf>>, hang: usize) -> (Volumes, Question, Arc<Mutex<Vec<PathBuf>>>) {
    let volumes = Volumes::new(paths, Tasks::new());
    let long_ago = Instant::now() - 2 * ONE;
    volumes.stuck.lock().extend((0..hang).map(|at| (PathBuf::from(format!("/nfs{at}")), long_ago)));
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&asked);
    let question: Question = Arc::new(move |path, _| {
        heard.lock().unwrap().push(path.to_owned());
        let volume = Volume { mount: path.display().to_string(), size: 7, ..Volume::default() };
        Asked::Found { device: 1, volume }
    });
    (volumes, question, asked)
}

#[tokio::test]
async fn however_many_of_other_machines_hang_those_of_this_one_are_told() {
    let mut lines: String =
        (0..20).map(|at| format!("{at} 1 0:{at} / /nfs{at} rw - nfs4 s:/{at} rw\n")).collect();
    lines.push_str("99 1 8:1 / / rw - ext4 /dev/sda1 rw\n");
    for hang in [STUCK, 20] {
        let (volumes, question, asked) = hung(None, hang);
        let found = volumes.find(Table::parse(lines.as_bytes()), question, soon()).await;
        let readable: Vec<bool> = found.iter().map(|one| one.error.is_none()).collect();
        assert_eq!((readable.len(), readable.last()), (21, Some(&true)), "{found:?}");
        assert_eq!(readable.iter().filter(|readable| **readable).count(), 1, "{found:?}");
        assert_eq!(*asked.lock().unwrap(), [Path::new("/")], "no more threads get stuck");
    }
}

#[tokio::test]
async fn paths_that_hang_do_not_hide_the_ones_after_them() {
    let mut paths: Vec<PathBuf> = (0..20).map(|at| format!("/nfs{at}").into()).collect();
    paths.push("/".into());
    let (volumes, question, asked) = hung(Some(paths), 20);
    let table = Table::parse(b"99 1 8:1 / / rw - ext4 /dev/sda1 rw\n");
    let found = volumes.find(table, question, soon()).await;
    assert_eq!((found.len(), found[0].mount.as_str(), found[20].size), (21, "/nfs0", 7));
    assert!(found[..20].iter().all(|one| one.error.is_some()), "{found:?}");
    assert_eq!(*asked.lock().unwrap(), [Path::new("/")]);
}

#[tokio::test]
async fn who_must_wait_for_another_one_waits_no_longer_than_told() {
    let volumes = volumes(&["/"]);
    let _busy = volumes.last.lock().await;
    let found = volumes.look(Instant::now() + Duration::from_millis(10)).await;
    assert_eq!(found[0].error.as_deref(), Some("it was not asked in time"));
}
