//! Following files as the agent does: told by the kernel, read on a thread, killed at any time.
#![cfg(test)]

use std::fs::{self, File as Opened, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Duration;

use lictor_config::{File, Missing, Pattern, Watch, WatchKind};
use regex::Regex;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::follow_rig::Follow;
use crate::watch_rig::told;

struct Dir(TempDir);

impl Dir {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn append(&self, name: &str, text: impl AsRef<[u8]>) {
        self.open(name).write_all(text.as_ref()).unwrap();
    }

    fn open(&self, name: &str) -> Opened {
        OpenOptions::new().append(true).create(true).open(self.path(name)).unwrap()
    }

    fn watch(&self, paths: &[&str]) -> Watch {
        let paths = paths.iter().map(|path| self.path(path).display().to_string()).collect();
        let file = File { paths, from_start: true, missing: Missing::Warning, multiline: None };
        let pattern = |name: &str, regex: &str| Pattern {
            name: name.parse().unwrap(),
            regex: Regex::new(regex).unwrap(),
        };
        // One for each last digit, so that many lines at once are told one by one.
        let numbered = (0..10).map(|digit| {
            pattern(&format!("n{digit}"), &format!("number (?P<number>[0-9]*{digit})(?:[^0-9]|$)"))
        });
        let patterns = numbered.chain([pattern("reboot", "reboot"), pattern("long", "^x+$")]).collect();
        Watch {
            kind: WatchKind::File(file),
            every: Duration::from_millis(200),
            timeout: Duration::from_secs(5),
            patterns,
        }
    }
}

fn numbers(follow: &Follow) -> Vec<u32> {
    let number = |found: &lictor_core::Match| found.captures.get("number")?.parse().ok();
    follow.matches.iter().filter_map(number).collect()
}

#[tokio::test]
async fn a_line_is_handed_in_within_milliseconds_of_being_written() {
    let dir = Dir::new();
    dir.append("app.log", "");
    let mut follow = Follow::new(dir.watch(&["app.log"])).await;
    follow.says("passing: follows `").await;
    let mut file = dir.open("app.log");
    let mut times = Vec::new();
    for number in 0..50 {
        let begun = Instant::now();
        writeln!(file, "number {number}").unwrap();
        follow.lines(number + 1).await;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    // On a machine that does other things meanwhile; a look at intervals would be no sooner than 250 ms.
    assert!(times[25] < Duration::from_millis(120), "{times:?}");
    assert_eq!(numbers(&follow), (0..50).collect::<Vec<_>>());
}

#[tokio::test]
async fn files_are_followed_through_rotations_by_a_writer_that_takes_its_time() {
    let dir = Dir::new();
    let mut file = dir.open("app.log");
    let mut follow = Follow::new(dir.watch(&["app.log"])).await;
    follow.says("passing").await;
    let mut next = 0;
    for generation in 1..=5 {
        for _ in 0..10 {
            writeln!(file, "number {next}").unwrap();
            next += 1;
        }
        fs::rename(dir.path("app.log"), dir.path(&format!("app.log.{generation}"))).unwrap();
        writeln!(file, "number {next}").unwrap();
        let mut new = dir.open("app.log");
        writeln!(new, "number {}", next + 1).unwrap();
        follow.lines(next as usize + 2).await;
        // The old one is not closed yet.
        writeln!(file, "number {}", next + 2).unwrap();
        next += 3;
        follow.lines(next as usize).await;
        file = new;
    }
    assert_eq!(numbers(&follow), (0..next).collect::<Vec<_>>());
    assert_eq!(follow.value("gaps").await, 0.0);
    assert_eq!(follow.value("matched").await, f64::from(next));
}

#[tokio::test]
async fn an_agent_that_is_killed_at_any_time_misses_nothing_and_reads_nothing_twice() {
    let dir = Dir::new();
    let mut file = dir.open("app.log");
    let mut follow = Follow::new(dir.watch(&["app.log"])).await;
    follow.says("passing").await;
    let mut next = 0;
    for round in 0..10 {
        for _ in 0..9 {
            writeln!(file, "number {next}").unwrap();
            next += 1;
        }
        if round % 2 == 0 {
            follow.lines(next as usize - 4).await;
        }
        follow = follow.killed().await;
        if round % 3 == 2 {
            fs::rename(dir.path("app.log"), dir.path(&format!("app.log.{round}"))).unwrap();
            file = dir.open("app.log");
        }
    }
    follow.lines(next as usize).await;
    follow = follow.killed().await;
    follow.says("follows").await;
    assert_eq!(numbers(&follow), (0..next).collect::<Vec<_>>());
}

#[tokio::test]
async fn hostile_lines_are_text_and_nothing_else() {
    let dir = Dir::new();
    let mut file = dir.open("app.log");
    let mut follow = Follow::new(dir.watch(&["app.log"])).await;
    file.write_all(b"\x1b]0;owned\x07 %s%n%x $(reboot) `reboot` ; reboot \xff\xfe\x00 number 1\n").unwrap();
    for _ in 0..160 {
        file.write_all(&[b'x'; 64 * 1024]).unwrap();
    }
    file.write_all(b"\nnumber 2\n").unwrap();
    follow.until("all of it", |follow| numbers(follow) == [1, 2]).await;
    let by = |name: &str| follow.matches.iter().filter(|found| found.pattern.as_str() == name).count();
    assert_eq!((by("n1"), by("n2"), by("reboot"), by("long")), (1, 1, 1, 1));
    assert!(follow.matches.iter().all(|found| found.line.len() <= 4_096));
    assert_eq!(follow.value("skipped").await, f64::from(159 * 64 * 1024));
}

#[tokio::test]
async fn what_is_missing_and_what_cannot_be_read_is_told_and_seen_when_it_comes() {
    let dir = Dir::new();
    let mut follow = Follow::new(dir.watch(&["later/app.log"])).await;
    follow.says("warning: there is no `").await;
    fs::create_dir(dir.path("later")).unwrap();
    fs::create_dir(dir.path("later/app.log")).unwrap();
    follow.says("unknown: cannot read `").await;
    fs::remove_dir(dir.path("later/app.log")).unwrap();
    dir.append("later/app.log", "number 7\n");
    follow.lines(1).await;
    follow.says("passing: follows `").await;
    // The directory is replaced, as by a deployment.
    fs::rename(dir.path("later"), dir.path("before")).unwrap();
    fs::create_dir(dir.path("later")).unwrap();
    dir.append("later/app.log", "number 8\n");
    follow.lines(2).await;
    dir.append("later/app.log", "number 9\n");
    follow.lines(3).await;
    assert_eq!(numbers(&follow), [7, 8, 9]);
}

#[tokio::test]
async fn many_files_behind_a_pattern_and_a_link_are_followed_as_they_come() {
    let dir = Dir::new();
    fs::create_dir(dir.path("far")).unwrap();
    let mut follow = Follow::new(dir.watch(&["*.log"])).await;
    for number in 0..40 {
        if number % 10 == 0 {
            dir.append(&format!("far/{number}"), "");
            symlink(dir.path(&format!("far/{number}")), dir.path(&format!("{number:02}.log"))).unwrap();
        }
        let name = if number % 10 == 0 { format!("far/{number}") } else { format!("{number:02}.log") };
        dir.append(&name, format!("number {number}\n"));
    }
    follow.until("each", |follow| numbers(follow).len() >= 40).await;
    dir.append("far/0", "number 40\n");
    follow.lines(41).await;
    let mut seen = numbers(&follow);
    seen.sort_unstable();
    assert_eq!(seen, (0..=40).collect::<Vec<_>>());
    let sample = follow.look().await.unwrap();
    assert!(told(&sample).starts_with("passing: follows 40 files"), "{}", told(&sample));
}
