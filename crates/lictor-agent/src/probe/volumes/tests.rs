use std::process::Command;
use std::sync::mpsc as threads;

use super::*;

fn volumes(paths: &[&str]) -> Volumes {
    Volumes::new(Some(paths.iter().map(PathBuf::from).collect()), Tasks::new())
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
        let found = Volumes::new(None, Tasks::new()).look().await;
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
    let found = volumes(&["/", link.to_str().unwrap(), "/etc", "/"]).look().await;
    let mounts: Vec<&str> = found.iter().map(|one| one.mount.as_str()).collect();
    assert_eq!(mounts, ["/", "/proc", df(&["/etc"])[0].3.as_str(), "/"]);
    assert!(found[0].size > 0 && found[1].size == 0);
}

#[tokio::test]
async fn what_cannot_be_read_is_marked_and_the_others_are_told() {
    let found = volumes(&["/nonexistent/x", "/"]).look().await;
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
    let found = volumes.find(Arc::clone(&question)).await;
    assert!((ONE..ALL).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    assert_eq!((found[0].size, found[1].size, found[2].size), (7, 0, 7));
    let why = found[1].error.clone().unwrap();
    assert!(found[1].mount == "/nfs" && why.starts_with("it has not answered for "), "{why}");
    let begun = Instant::now();
    assert!(volumes.find(Arc::clone(&question)).await[1].error.is_some());
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
    let (first, second, third) = tokio::join!(volumes.look(), volumes.look(), volumes.look());
    assert!(Arc::ptr_eq(&second, &third) || Arc::ptr_eq(&first, &second));
}
