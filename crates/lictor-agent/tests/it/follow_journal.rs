//! Following journals: real files, the real journalctl, and what stands in for a broken one.
#![cfg(test)]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lictor_config::{Journal, JournalFrom, Pattern, Watch, WatchKind};
use lictor_testkit::journal::{Entry, Writer};
use regex::Regex;
use tempfile::TempDir;
use tokio::time::sleep;

use crate::follow_rig::Follow;

/// A directory with the files of a journal.
struct Dir(TempDir);

impl Dir {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str) -> PathBuf {
        let files = self.0.path().join("journal");
        fs::create_dir_all(&files).unwrap();
        files.join(format!("{name}.journal"))
    }

    fn writer(&self) -> Writer {
        Writer::open(&self.file("system"))
    }

    /// Writes these, and waits until they are there.
    fn has(&self, entries: &[Entry]) {
        self.has_in("system", entries);
    }

    fn has_in(&self, name: &str, entries: &[Entry]) {
        let mut writer = Writer::open(&self.file(name));
        writer.write(entries);
        writer.close();
    }

    /// Everything of it, from the beginning.
    fn journal(&self) -> Journal {
        Journal {
            units: Vec::new(),
            identifiers: Vec::new(),
            priority: None,
            fields: Vec::new(),
            user: None,
            kernel: false,
            directory: Some(self.0.path().join("journal")),
            from: JournalFrom::Start,
            max_age: None,
            wake: Some(Duration::from_millis(5)),
            command: None,
        }
    }

    /// A program in place of journalctl: `$REAL` is the real one, `$DIR` a directory for notes.
    fn instead(&self, script: &str) -> Journal {
        let path = self.0.path().join("journalctl.sh");
        let text = format!("#!/bin/sh\nDIR={}\nREAL=journalctl\n{script}\n", self.0.path().display());
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Journal { command: Some(vec![path.to_str().unwrap().to_owned()]), ..self.journal() }
    }

    fn note(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

fn pattern(name: &str, regex: &str) -> Pattern {
    Pattern { name: name.parse().unwrap(), regex: Regex::new(regex).unwrap() }
}

/// Follows what has a number.
fn watch(journal: Journal) -> Watch {
    let every = Duration::from_millis(200);
    let patterns = vec![pattern("numbered", "(?P<kind>[a-z]+) #(?P<number>[0-9]+)")];
    Watch { kind: WatchKind::Journal(Box::new(journal)), every, timeout: every, patterns }
}

/// A time limit that a machine that compiles at the same time keeps.
fn patient(watch: Watch) -> Watch {
    Watch { timeout: Duration::from_secs(5), ..watch }
}

async fn follow(journal: Journal) -> Follow {
    Follow::new(patient(watch(journal))).await
}

#[expect(clippy::disallowed_methods, reason = "records are as old as their files say")]
fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap()
}

fn line(number: usize) -> Entry {
    Entry::new(now(), format!("line #{number}")).unit("a.service")
}

fn lines(numbers: impl IntoIterator<Item = usize>) -> Vec<Entry> {
    numbers.into_iter().map(line).collect()
}

/// The numbers of all lines that matched, which stand for one line each.
fn numbers(follow: &Follow) -> Vec<usize> {
    assert!(follow.matches.iter().all(|found| found.count == 1), "{:?}", follow.matches);
    follow.matches.iter().map(|found| found.captures["number"].parse().unwrap()).collect()
}

fn signal(name: &str, pid: &str) {
    assert!(Command::new("kill").args([name, pid]).status().unwrap().success());
}

/// What a file says as soon as it is there.
async fn noted(path: &Path) -> String {
    for _ in 0..3_000 {
        let text = fs::read_to_string(path).unwrap_or_default();
        if text.ends_with('\n') {
            return text.trim().to_owned();
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("{} is not written", path.display());
}

#[tokio::test]
async fn what_is_there_and_what_comes_is_given_with_its_captures_and_its_age() {
    let dir = Dir::new();
    dir.has(&[Entry::new(now() - 3_600_000_000, "line #1"), Entry::new(now(), "of no interest")]);
    let mut follow = follow(dir.journal()).await;
    follow.says("passing: follows the journal").await;
    assert_eq!(follow.lines(1).await, ["line #1"]);
    assert_eq!(follow.matches[0].age.as_secs() / 60, 60);
    let mut writer = dir.writer();
    writer.write(&lines([2]));
    follow.lines(2).await;
    assert_eq!((&*follow.matches[1].captures["kind"], numbers(&follow)), ("line", vec![1, 2]));
    assert!(follow.matches[1].age < Duration::from_secs(30));
    follow.until("what it counted", |follow| follow.samples.len() > 3).await;
    assert_eq!((follow.value("lines").await, follow.value("matched").await), (3.0, 2.0));
    assert_eq!(follow.restarts, [] as [String; 0]);
}

#[tokio::test]
async fn the_first_time_it_begins_where_it_is_told() {
    for (from, wanted) in [
        (JournalFrom::Start, vec![1, 2, 3, 4]),
        (JournalFrom::Boot, vec![2, 3, 4]),
        (JournalFrom::End, vec![4]),
    ] {
        let dir = Dir::new();
        dir.has(&[line(1), line(2).boot(1), line(3).boot(1)]);
        let mut follow = follow(Journal { from, ..dir.journal() }).await;
        follow.says("follows").await;
        dir.has(&[line(4).boot(1)]);
        follow.lines(wanted.len()).await;
        assert_eq!(numbers(&follow), wanted, "{from:?}");
    }
}

#[tokio::test]
async fn what_comes_between_an_end_and_a_beginning_is_not_missed() {
    // Also when nothing has ever matched, or nothing was there at all.
    for there in [vec![], vec![Entry::new(now(), "nothing")]] {
        let dir = Dir::new();
        if there.is_empty() {
            fs::create_dir_all(dir.file("x").parent().unwrap()).unwrap();
        } else {
            dir.has(&there);
        }
        let mut follow = follow(Journal { from: JournalFrom::End, ..dir.journal() }).await;
        follow.recorded().await;
        dir.has(&lines([1, 2]));
        let mut follow = follow.killed().await;
        follow.lines(2).await;
        assert_eq!(numbers(&follow), [1, 2]);
    }
}

#[tokio::test]
async fn an_agent_that_is_killed_again_and_again_misses_nothing_and_gives_nothing_twice() {
    const LINES: usize = 3_000;
    let dir = Dir::new();
    dir.has(&lines([0]));
    // So many patterns that no two lines of one read are told together.
    let patterns = (0..100).map(|end| pattern(&format!("p{end}"), &format!("#(?P<number>[0-9]*{end:02})$")));
    let line = |number: usize| Entry::new(now(), format!("line #{number:04}"));
    let mut follow =
        Follow::new(patient(Watch { patterns: patterns.collect(), ..watch(dir.journal()) })).await;
    let mut writer = dir.writer();
    let writing = tokio::task::spawn_blocking(move || {
        for number in 0..LINES {
            // Others write, too.
            writer.write(&[line(number), Entry::new(now(), "noise"), Entry::new(now(), "noise")]);
        }
        writer
    });
    for seen in (0..LINES).step_by(250).skip(1) {
        follow.lines(seen).await;
        follow = follow.killed().await;
    }
    follow.lines(LINES).await;
    writing.await.unwrap().close();
    let looks = follow.samples.len() + 10;
    follow.until("ten more looks", |follow| follow.samples.len() >= looks).await;
    assert_eq!(numbers(&follow), (0..LINES).collect::<Vec<_>>());
}

#[tokio::test]
async fn after_a_reboot_the_rest_of_the_boot_before_comes_too() {
    let dir = Dir::new();
    let first: Vec<Entry> = lines([1, 2, 3, 4, 5]);
    dir.has(&first[..2]);
    let mut follow = follow(dir.journal()).await;
    follow.lines(2).await;
    dir.has(&first[2..]);
    dir.has(&[line(6).boot(1), line(7).boot(1)]);
    // And a third that begins while it is followed.
    let mut follow = follow.killed().await;
    follow.lines(7).await;
    dir.has(&[line(8).boot(1), line(9).boot(2)]);
    follow.lines(9).await;
    assert_eq!(numbers(&follow), (1..=9).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_clock_that_begins_anew_at_a_boot_hides_no_line() {
    let dir = Dir::new();
    let at = |time: u64, number: usize| Entry::new(time, format!("line #{number}"));
    dir.has(&[at(now(), 1), at(now(), 2)]);
    let mut follow = follow(dir.journal()).await;
    follow.lines(2).await;
    let mut follow = {
        dir.has(&[at(1_000_000, 3).boot(1), at(2_000_000, 4).boot(1), at(now(), 5).boot(1)]);
        follow.killed().await
    };
    follow.lines(5).await;
    assert_eq!(numbers(&follow), [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn a_file_may_be_rotated_while_it_is_followed_and_while_it_is_not() {
    let dir = Dir::new();
    let (active, archived) = (dir.file("system"), dir.file("system@1"));
    dir.has(&lines([1]));
    let mut follow = follow(dir.journal()).await;
    follow.lines(1).await;
    let mut writer = dir.writer();
    writer.write(&lines([2]));
    follow.lines(2).await;
    // Nothing between the last line of the one, the renaming and the first line of the next.
    writer.write(&lines([3]));
    writer.close();
    fs::rename(&active, archived).unwrap();
    let mut writer = dir.writer();
    writer.write(&lines([4, 5]));
    follow.lines(5).await;
    writer.write(&lines([6]));
    writer.close();
    follow.lines(6).await;

    fs::rename(&active, dir.file("system@2")).unwrap();
    dir.has(&lines([7, 8]));
    let mut follow = follow.killed().await;
    follow.lines(8).await;
    assert_eq!(numbers(&follow), (1..=8).collect::<Vec<_>>());
}

#[tokio::test]
async fn when_the_place_is_vacuumed_it_goes_on_with_the_oldest_and_says_so() {
    let dir = Dir::new();
    let (active, first) = (dir.file("system"), dir.file("system@1"));
    dir.has(&lines([1, 2]));
    let mut follow = follow(dir.journal()).await;
    follow.lines(2).await;
    // Line 3 goes the same way.
    dir.has(&lines([3]));
    fs::rename(&active, &first).unwrap();
    dir.has(&lines([4, 5]));
    fs::remove_file(first).unwrap();
    let mut follow = follow.killed().await;
    follow.lines(4).await;
    follow.says("some records were gone before they were read").await;
    dir.has(&lines([6]));
    follow.lines(5).await;
    assert_eq!(numbers(&follow), [1, 2, 4, 5, 6]);
    assert!((follow.value("gaps").await - 1.0).abs() < 0.1);
}

#[tokio::test]
async fn what_one_unit_writes_never_comes_for_another() {
    let dir = Dir::new();
    let claims = |entry: Entry| {
        let claims = ["UNIT", "OBJECT_SYSTEMD_UNIT", "COREDUMP_UNIT", "SYSLOG_IDENTIFIER", "SYSTEMD_UNIT"];
        claims.iter().fold(entry, |entry, name| entry.field(name, "a.service"))
    };
    let of = |number: usize| Entry::new(now(), format!("line #{number}"));
    let hostile = "x\n_SYSTEMD_UNIT=a.service\nMESSAGE=line #90\n\n__CURSOR=s=1\nMESSAGE=line #91\n";
    dir.has(&[
        of(1).unit("a.service"),
        claims(of(2).unit("b.service")).field("_PID", "9").field("_UID", "0"),
        of(3).unit("init.scope").field("_PID", "1").field("UNIT", "a.service"),
        of(4).unit("a.service.service"),
        Entry::new(now(), hostile).unit("b.service"),
        of(5),
        of(6).unit("a.service"),
    ]);
    let mut follow = follow(Journal { units: vec!["a.service".into()], ..dir.journal() }).await;
    follow.lines(3).await;
    let mut writer = dir.writer();
    writer.write(&[claims(of(7).unit("b.service")), of(8).unit("a.service")]);
    follow.lines(4).await;
    assert_eq!(numbers(&follow), [1, 3, 6, 8]);
}

#[tokio::test]
async fn filters_restrict_together_also_while_it_follows() {
    let dir = Dir::new();
    let of = |number: usize, identifier: &str, priority: &str, tag: &str| {
        let entry = Entry::new(now(), format!("line #{number}")).field("SYSLOG_IDENTIFIER", identifier);
        entry.field("PRIORITY", priority).field("TAG", tag)
    };
    let entries = |from: usize| {
        [
            of(from, "x", "3", "t"),
            of(from + 1, "x", "5", "t"),
            of(from + 2, "y", "4", "t"),
            of(from + 3, "z", "3", "t"),
            of(from + 4, "x", "0", "u"),
        ]
    };
    dir.has(&entries(1));
    let journal = Journal {
        identifiers: vec!["x".into(), "y".into()],
        priority: Some("warning"),
        fields: vec![("TAG".into(), "t".into())],
        ..dir.journal()
    };
    let mut follow = follow(journal).await;
    follow.lines(2).await;
    let mut writer = dir.writer();
    writer.write(&entries(11));
    follow.lines(4).await;
    assert_eq!(numbers(&follow), [1, 3, 11, 13]);
}

#[tokio::test]
async fn our_own_lines_are_not_looked_at() {
    let dir = Dir::new();
    let exe = std::env::current_exe().unwrap();
    dir.has(&[
        line(1).field("_PID", std::process::id().to_string()),
        line(2).field("_EXE", exe.to_str().unwrap()),
        line(3).field("_PID", "1").field("_EXE", "/usr/lib/systemd/systemd"),
    ]);
    let mut follow = follow(dir.journal()).await;
    follow.says("follows").await;
    follow.lines(1).await;
    assert_eq!(numbers(&follow), [3]);
}

#[tokio::test]
async fn odd_messages_do_no_harm() {
    let dir = Dir::new();
    let mut huge = vec![b'x'; 10 << 20];
    huge.splice(..0, *b"line #4 ");
    huge.extend_from_slice(b" line #99");
    dir.has(&[
        Entry::new(now(), b"bytes \xff\xfe line #1 \xc3".to_vec()),
        Entry::new(now(), "several\nline #2\nMESSAGE=line\n\n\n"),
        Entry::new(now(), "\x1b[31mline #3\x1b[0m %s%n $(reboot) `reboot` '; reboot\0 \r"),
        Entry::new(now(), huge),
        Entry::new(now(), ""),
        Entry::new(now(), "line #5").field("MESSAGE", "line #6").field("ODD", vec![0, 10, 61, 255]),
    ]);
    let mut follow = follow(dir.journal()).await;
    follow.says("follows").await;
    dir.has(&lines([7]));
    follow.until("the last line", |follow| follow.matches.iter().any(|found| found.line == "line #7")).await;
    let found: BTreeSet<usize> = numbers(&follow).into_iter().collect();
    assert!(found.is_superset(&BTreeSet::from([1, 2, 3, 4, 7])), "{found:?}");
    assert!(!found.contains(&99), "{found:?}");
    assert!((follow.value("cut").await - 1.0).abs() < 0.1);
    assert!(follow.matches.iter().all(|found| found.line.len() <= 64 * 1024));
}

#[tokio::test]
async fn records_that_are_too_old_are_counted_and_not_acted_upon() {
    let dir = Dir::new();
    let old = Entry::new(now() - 7_200_000_000, "line #1");
    dir.has(&[old, line(2)]);
    let journal = Journal { max_age: Some(Duration::from_secs(3_600)), ..dir.journal() };
    let mut follow = follow(journal).await;
    follow.lines(1).await;
    follow.says("1 records older than 1h were only counted").await;
    assert_eq!(numbers(&follow), [2]);
}

#[tokio::test]
async fn a_journalctl_that_is_killed_is_started_again_where_it_was() {
    let dir = Dir::new();
    let script = r#"case "$*" in *--follow*) echo $$ > "$DIR/pid";; esac; exec $REAL "$@""#;
    dir.has(&lines([1]));
    let mut follow = follow(dir.instead(script)).await;
    let mut writer = dir.writer();
    for round in 0..3 {
        let pid = noted(&dir.note("pid")).await;
        follow.lines(1 + 2 * round).await;
        fs::remove_file(dir.note("pid")).unwrap();
        writer.write(&lines([2 + 2 * round]));
        signal("-KILL", &pid);
        writer.write(&lines([3 + 2 * round]));
    }
    follow.lines(7).await;
    assert_eq!(numbers(&follow), (1..=7).collect::<Vec<_>>());
    assert!(follow.restarts.iter().all(|why| why.contains("signal: 9")), "{:?}", follow.restarts);
}

#[tokio::test]
async fn a_journalctl_that_hangs_while_it_follows_is_found_out() {
    let dir = Dir::new();
    // The first one that follows gives nothing.
    let script = r#"case "$*" in *--follow*)
        if mkdir "$DIR/hung"; then echo $$ > "$DIR/pid"; exec sleep 1000; fi;; esac
        exec $REAL "$@""#;
    dir.has(&lines([1]));
    let mut follow = Follow::new(watch(dir.instead(script))).await;
    follow.says("follows").await;
    dir.has(&lines([2]));
    follow.lines(2).await;
    assert!(follow.restarts.iter().any(|why| why.contains("hangs: it does not give what is in the journal")));
    let pid = noted(&dir.note("pid")).await;
    assert!(!Path::new("/proc").join(pid).exists(), "the one that hangs is still there");
    assert_eq!(numbers(&follow), [1, 2]);
}

#[tokio::test]
async fn a_journalctl_that_gives_no_answer_is_no_good_sign() {
    let dir = Dir::new();
    let mut follow = Follow::new(watch(dir.instead("exec sleep 1000"))).await;
    follow.says("unknown: `").await;
    follow.says("gave no answer within 1.2s").await;
}

#[tokio::test]
async fn garbage_and_an_early_end_are_told() {
    for (script, wanted) in [
        ("yes 'some words'", "no records of a journal: `some words`"),
        ("exit 0", "journalctl ended"),
        ("echo 'No space left on device' >&2; exit 3", "exit status: 3: No space left on device"),
        ("cat /dev/zero", "no records of a journal: `\\0\\0"),
        ("kill -SEGV $$", "signal: 11"),
    ] {
        let dir = Dir::new();
        let mut follow = Follow::new(watch(dir.instead(script))).await;
        follow.says("unknown: ").await;
        follow.says(wanted).await;
    }
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let dir = Dir::new();
    let command = Some(vec!["/no/such/journalctl".to_owned()]);
    let mut follow = Follow::new(watch(Journal { command, ..dir.journal() })).await;
    follow.says("unknown: cannot start `/no/such/journalctl`: ").await;
}

#[tokio::test]
async fn garbage_in_the_middle_loses_no_line() {
    let dir = Dir::new();
    // Half of what it gives, then something else.
    let script = r#"case "$*" in *--follow*)
        if mkdir "$DIR/once"; then $REAL --quiet --output=export --directory="$DIR/journal" | head -c 700; yes; fi;; esac
        exec $REAL "$@""#;
    dir.has(&lines([1, 2, 3, 4, 5]));
    let mut follow = follow(dir.instead(script)).await;
    dir.has(&lines([6]));
    follow.lines(6).await;
    let seen: BTreeSet<usize> = numbers(&follow).into_iter().collect();
    assert_eq!(seen, (1..=6).collect());
}

#[tokio::test]
async fn dropping_the_watcher_ends_its_journalctl() {
    let dir = Dir::new();
    let script = r#"case "$*" in *--follow*) echo $$ > "$DIR/pid";; esac; exec $REAL "$@""#;
    dir.has(&lines([1]));
    let mut follow = follow(dir.instead(script)).await;
    follow.says("follows").await;
    let process = Path::new("/proc").join(noted(&dir.note("pid")).await);
    assert!(process.exists());
    drop(follow);
    let mut left = 1_000;
    while fs::read_to_string(process.join("stat")).is_ok_and(|stat| !stat.contains(") Z ")) && left > 0 {
        left -= 1;
        sleep(Duration::from_millis(10)).await;
    }
    assert!(left > 0, "journalctl goes on");
}

#[tokio::test]
async fn a_position_that_is_not_understood_is_no_end() {
    let dir = Dir::new();
    dir.has(&lines([1, 2]));
    let mut follow = Follow::at(patient(watch(dir.journal())), Some("{not ours".to_owned())).await;
    follow.lines(2).await;
    assert_eq!(numbers(&follow), [1, 2]);
}
