//! Real files in a directory of their own, looked at step by step.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::sync::OnceLock;

use flate2::Compression;
use flate2::write::GzEncoder;
use lictor_config::{Joined, Pattern};
use regex::Regex;
use tempfile::TempDir;

use super::*;

/// A directory with files, and who follows them.
pub(super) struct Rig {
    pub(super) dir: TempDir,
    paths: Vec<String>,
    from_start: bool,
    multiline: Option<Multiline>,
    pub(super) files: Files,
    pub(super) position: Option<String>,
    now: u64,
}

/// Many patterns, so that many lines in one batch are told one by one: by the number after `#`, if there is one.
fn matcher() -> Arc<Matcher> {
    static MATCHER: OnceLock<Arc<Matcher>> = OnceLock::new();
    let pattern = |name: String, regex: &str| Pattern {
        name: name.parse().unwrap(),
        regex: Regex::new(regex).unwrap(),
    };
    Arc::clone(MATCHER.get_or_init(|| {
        let numbers = (0..10).map(|number| pattern(format!("p{number}"), &format!("#{number}$")));
        let rest = pattern("rest".to_owned(), "^[^#]*$|[^0-9]$");
        Arc::new(Matcher::new(&numbers.chain([rest]).collect::<Vec<_>>()))
    }))
}

impl Rig {
    pub(super) fn new(patterns: &[&str]) -> Self {
        Self::with(patterns, true, None)
    }

    pub(super) fn with(patterns: &[&str], from_start: bool, multiline: Option<Multiline>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let paths: Vec<String> =
            patterns.iter().map(|pattern| format!("{}/{pattern}", dir.path().display())).collect();
        let files = Files::new(&paths, multiline.as_ref(), matcher(), from_start, None);
        Self { dir, paths, from_start, multiline, files, position: None, now: 0 }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn append(&self, name: &str, text: impl AsRef<[u8]>) {
        let mut file = OpenOptions::new().append(true).create(true).open(self.path(name)).unwrap();
        file.write_all(text.as_ref()).unwrap();
    }

    pub(super) fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    pub(super) fn copy_truncate(&self, from: &str, to: &str) {
        fs::copy(self.path(from), self.path(to)).unwrap();
        self.truncate(from);
    }

    pub(super) fn truncate(&self, name: &str) {
        OpenOptions::new().write(true).open(self.path(name)).unwrap().set_len(0).unwrap();
    }

    pub(super) fn gzip(&self, name: &str) {
        let mut content = Vec::new();
        File::open(self.path(name)).unwrap().read_to_end(&mut content).unwrap();
        let packed = File::create(self.path(&format!("{name}.gz"))).unwrap();
        let mut encoder = GzEncoder::new(packed, Compression::fast());
        encoder.write_all(&content).unwrap();
        encoder.finish().unwrap();
        fs::remove_file(self.path(name)).unwrap();
    }

    /// Has a file last written to so many seconds ago.
    pub(super) fn age(&self, name: &str, seconds: u64) {
        let file = OpenOptions::new().write(true).open(self.path(name)).unwrap();
        let then = file.metadata().unwrap().modified().unwrap() - Duration::from_secs(seconds);
        file.set_modified(then).unwrap();
    }

    /// Lets time go by.
    pub(super) const fn wait(&mut self, seconds: u64) {
        self.now += seconds * 1_000;
    }

    /// Reads all there is; lines that stand for others as `line xN`.
    pub(super) fn sees(&mut self) -> Vec<String> {
        self.sees_with(Hint::Anywhere)
    }

    pub(super) fn sees_with(&mut self, mut hint: Hint) -> Vec<String> {
        let mut lines = Vec::new();
        for _turns in 0..10_000 {
            self.now += 1;
            let turn = self.files.turn(&hint, Boot::from_millis(self.now));
            hint = Hint::Names(BTreeSet::new());
            lines.extend(turn.matches.into_iter().map(|found| match found.count {
                1 => found.line,
                count => format!("{} x{count}", found.line),
            }));
            if let Some(position) = turn.position {
                self.position = Some(position);
            }
            if !turn.more {
                return lines;
            }
        }
        panic!("it never comes to an end");
    }

    /// Reads for one turn.
    fn turn(&mut self) -> Vec<String> {
        self.now += 1;
        let turn = self.files.turn(&Hint::Anywhere, Boot::from_millis(self.now));
        self.position = turn.position.or(self.position.take());
        turn.matches.into_iter().map(|found| found.line).collect()
    }

    /// The agent is started anew.
    pub(super) fn restart(&mut self) {
        let Self { paths, multiline, from_start, position, .. } = &*self;
        self.files = Files::new(paths, multiline.as_ref(), matcher(), *from_start, position.as_deref());
    }

    fn standing(&self) -> Standing {
        self.files.standing().clone()
    }
}

#[test]
fn lines_come_once_and_only_when_they_are_complete() {
    let mut rig = Rig::new(&["app.log"]);
    rig.append("app.log", "one\ntw");
    assert_eq!(rig.sees(), ["one"]);
    assert_eq!(rig.sees(), [""; 0]);
    rig.append("app.log", "o\r\nthree\n");
    assert_eq!(rig.sees(), ["two", "three"]);
}

#[test]
fn what_was_there_before_is_passed_by_unless_it_is_wanted() {
    let mut rig = Rig::with(&["app.log", "*.txt"], false, None);
    rig.append("app.log", "old\nha");
    rig.append("a.txt", "old\n");
    assert_eq!(rig.sees(), [""; 0]);
    rig.append("app.log", "lf\n");
    rig.append("b.txt", "a file that came later\n");
    assert_eq!(rig.sees(), ["half", "a file that came later"]);
}

#[test]
fn a_path_that_is_added_is_read_from_its_end_too() {
    let mut rig = Rig::with(&["app.log"], false, None);
    rig.append("app.log", "old\n");
    rig.sees();
    rig.append("app.log", "one\n");
    rig.append("other.log", "old\n");
    rig.paths.push(rig.path("other.log").display().to_string());
    rig.restart();
    assert_eq!(rig.sees(), ["one"]);
    rig.append("other.log", "new\n");
    assert_eq!(rig.sees(), ["new"]);
}

#[test]
fn a_file_that_was_renamed_is_read_to_its_end_before_the_new_one() {
    let mut rig = Rig::new(&["app.log"]);
    rig.append("app.log", "1\n");
    rig.sees();
    rig.append("app.log", "2\n");
    rig.rename("app.log", "app.log.1");
    rig.append("app.log", "4\n");
    rig.append("app.log.1", "3\n");
    assert_eq!(rig.sees(), ["2", "3", "4"]);
    // Whoever writes it has not noticed yet.
    rig.append("app.log.1", "5\n6");
    assert_eq!(rig.sees_with(Hint::Names(["app.log.1".into()].into())), ["5"]);
    rig.wait(61);
    assert_eq!(rig.sees(), ["6"]);
    assert_eq!(rig.standing().files, 1);
}

#[test]
fn a_file_that_was_removed_is_read_to_its_end_and_so_is_the_next_one() {
    let mut rig = Rig::new(&["app.log"]);
    rig.append("app.log", "1\n");
    rig.sees();
    rig.append("app.log", "2\n");
    fs::remove_file(rig.path("app.log")).unwrap();
    rig.append("app.log", "3\n");
    assert_eq!(rig.sees(), ["2", "3"]);
    fs::remove_file(rig.path("app.log")).unwrap();
    assert_eq!(rig.sees(), [""; 0]);
    assert_eq!(rig.standing().missing.len(), 1);
}

#[test]
fn a_truncated_file_begins_anew_also_when_it_is_as_long_as_before() {
    let mut rig = Rig::new(&["app.log"]);
    rig.append("app.log", "first\n");
    assert_eq!(rig.sees(), ["first"]);
    rig.truncate("app.log");
    rig.append("app.log", "other\n");
    assert_eq!(rig.sees_with(Hint::Names(["app.log".into()].into())), ["other"]);
    rig.truncate("app.log");
    rig.append("app.log", "longer than before\n");
    assert_eq!(rig.sees(), ["longer than before"]);
}

#[test]
fn what_a_copy_has_is_read_before_the_truncated_file() {
    let mut rig = Rig::new(&["app.log"]);
    rig.append("app.log", "1\n");
    rig.sees();
    rig.append("app.log", "2\n");
    rig.copy_truncate("app.log", "app.log.1");
    rig.append("app.log", "3\n");
    assert_eq!(rig.sees(), ["2", "3"]);
    // Over the copy from before, which is still followed to its end.
    rig.copy_truncate("app.log", "app.log.1");
    assert_eq!(rig.sees(), [""; 0]);
    assert_eq!(rig.standing().gaps, 0);
}

#[test]
fn copies_that_the_pattern_fits_too_are_not_read_twice() {
    let mut rig = Rig::new(&["app*"]);
    rig.append("app.log", "1\n");
    rig.sees();
    fs::copy(rig.path("app.log"), rig.path("app.log.1")).unwrap();
    rig.append("app.log", "2\n");
    assert_eq!(rig.sees(), ["2"]);
    rig.wait(2);
    assert_eq!(rig.sees(), [""; 0]);
    rig.append("app.log", "3\n");
    fs::copy(rig.path("app.log"), rig.path("app.log.2")).unwrap();
    rig.truncate("app.log");
    rig.append("app.log", "4\n");
    assert_eq!(rig.sees(), ["3", "4"]);
    // Another file may begin like it, and be no copy.
    rig.append("app.error.log", "4\n");
    assert_eq!(rig.sees(), ["4"]);
    rig.append("app.log.3", "4\nown\n");
    assert_eq!(rig.sees(), [""; 0]);
    rig.wait(2);
    assert_eq!(rig.sees(), ["own"]);
    assert_eq!(rig.standing().gaps, 0);
}

#[test]
fn what_was_rotated_while_nobody_looked_is_found() {
    for compressed in [false, true] {
        for copied in [false, true] {
            let mut rig = Rig::new(&["app.log"]);
            rig.append("app.log", "1\n");
            rig.sees();
            rig.append("app.log", "2\n3\n");
            match copied {
                true => rig.copy_truncate("app.log", "app.log.1"),
                false => rig.rename("app.log", "app.log.1"),
            }
            if compressed {
                rig.gzip("app.log.1");
            }
            rig.append("app.log", "4\n");
            rig.restart();
            assert_eq!(rig.sees(), ["2", "3", "4"], "{compressed} {copied}");
            assert_eq!(rig.standing().gaps, 0);
            rig.restart();
            assert_eq!(rig.sees(), [""; 0], "{compressed} {copied}");
        }
    }
}

#[test]
fn what_came_and_was_rotated_while_nobody_looked_is_found_too() {
    for compressed in [false, true] {
        let mut rig = Rig::new(&["app.log"]);
        rig.append("app.log.9", "long ago\n");
        rig.age("app.log.9", 900);
        rig.append("app.log", "1\n");
        rig.sees();
        for (number, old) in [(3, 300), (2, 200), (1, 100)] {
            rig.append("app.log", format!("rest {number}\n"));
            rig.age("app.log", old);
            let name = format!("app.log.{number}");
            rig.rename("app.log", &name);
            if compressed && number > 1 {
                rig.gzip(&name);
                rig.age(&format!("{name}.gz"), old);
            }
        }
        rig.append("app.log.bak", "not ours\n");
        rig.append("app.log", "now\n");
        rig.restart();
        assert_eq!(rig.sees(), ["rest 3", "rest 2", "rest 1", "now"], "{compressed}");
        rig.restart();
        assert_eq!(rig.sees(), [""; 0], "{compressed}");
        rig.wait(61);
        rig.sees();
        rig.restart();
        assert_eq!(rig.sees(), [""; 0], "{compressed}");
    }
}

#[test]
fn a_compressed_file_is_read_to_its_end_while_it_is_still_open() {
    let mut rig = Rig::new(&["app.log"]);
    rig.append("app.log", "1\n");
    rig.sees();
    rig.append("app.log", "2\n");
    rig.rename("app.log", "app.log.1");
    rig.gzip("app.log.1");
    assert_eq!(rig.sees(), ["2"]);
}

#[test]
fn what_is_gone_for_good_is_counted() {
    let mut rig = Rig::new(&["app.log"]);
    rig.append("app.log", "1\n");
    rig.sees();
    rig.append("app.log", "2\n");
    fs::remove_file(rig.path("app.log")).unwrap();
    rig.append("app.log", "3\n");
    rig.restart();
    assert_eq!(rig.sees(), ["3"]);
    assert_eq!(rig.standing().gaps, 1);
}

#[test]
fn of_a_line_that_is_too_long_the_beginning_counts_and_the_next_one_is_whole() {
    let mut rig = Rig::new(&["app.log"]);
    for _ in 0..160 {
        rig.append("app.log", vec![b'x'; 64 * 1024]);
    }
    rig.append("app.log", "\nnext\n");
    let lines = rig.sees();
    assert_eq!((lines[0].len(), lines[1].as_str(), lines.len()), (4_096, "next", 2));
    assert_eq!(rig.files.counts().skipped, 159 * 64 * 1024);
    // One that has no end yet is told of, and its rest is none.
    rig.append("app.log", vec![b'y'; 65 * 1024]);
    assert_eq!(rig.sees().len(), 1);
    rig.restart();
    rig.append("app.log", "rest\nafter\n");
    assert_eq!(rig.sees(), ["after"]);
}

#[test]
fn bytes_that_are_no_characters_and_holes_do_no_harm() {
    let mut rig = Rig::new(&["app.log"]);
    rig.append("app.log", b"a\xff\xfeb\n\0\0\0c\n\x1b]0;x\x07%s%n $(reboot) `id`\n");
    assert_eq!(rig.sees(), ["a\u{fffd}\u{fffd}b", "c", "\u{1b}]0;x\u{7}%s%n $(reboot) `id`"]);
    // Who writes on at his old place after a truncation leaves a hole.
    let size = fs::metadata(rig.path("app.log")).unwrap().len();
    rig.truncate("app.log");
    let file = OpenOptions::new().write(true).open(rig.path("app.log")).unwrap();
    file.set_len(size + (1 << 20)).unwrap();
    rig.append("app.log", "after\n");
    assert_eq!(rig.sees(), ["after"]);
}

#[test]
fn many_files_are_followed_at_once_and_no_more_than_can_be() {
    let mut rig = Rig::new(&["*.log"]);
    for number in 0..1_003 {
        rig.append(&format!("{number:04}.log"), format!("line #{}\n", number % 10));
    }
    let told: usize = rig
        .sees()
        .iter()
        .map(|line| line.split_once(" x").map_or(1, |(_, count)| count.parse().unwrap()))
        .sum();
    assert_eq!(told, 1_000);
    assert_eq!((rig.standing().files, rig.standing().left_out), (1_000, 3));
}

#[test]
fn what_may_not_be_read_is_told_and_is_read_once_it_may() {
    if rustix::process::geteuid().is_root() {
        // Nothing is forbidden to root; a directory in place of the file is no file to anybody.
        let mut rig = Rig::new(&["app.log"]);
        fs::create_dir(rig.path("app.log")).unwrap();
        assert_eq!(rig.sees(), [""; 0]);
        assert_eq!(rig.standing().problems[0].1, "it is not a file");
        fs::remove_dir(rig.path("app.log")).unwrap();
        rig.append("app.log", "1\n");
        assert_eq!(rig.sees(), ["1"]);
        return;
    }
    let mut rig = Rig::new(&["app.log"]);
    rig.append("app.log", "1\n");
    rig.sees();
    rig.append("app.log", "2\n");
    let allow = |mode| fs::set_permissions(rig.path("app.log"), fs::Permissions::from_mode(mode)).unwrap();
    allow(0);
    let mut rig = {
        rig.restart();
        rig
    };
    assert_eq!(rig.sees(), [""; 0]);
    assert_eq!(rig.standing().problems[0].1, "permission denied");
    fs::set_permissions(rig.path("app.log"), fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(rig.sees(), ["2"]);
}

#[test]
fn a_directory_may_come_later_and_go_away_for_a_while() {
    let mut rig = Rig::new(&["logs/app.log"]);
    assert_eq!(rig.sees(), [""; 0]);
    fs::create_dir(rig.path("logs")).unwrap();
    rig.append("logs/app.log", "1\n");
    assert_eq!(rig.sees(), ["1"]);
    // As a disk that is mounted late.
    rig.rename("logs", "elsewhere");
    rig.restart();
    assert_eq!(rig.sees(), [""; 0]);
    rig.rename("elsewhere", "logs");
    rig.append("logs/app.log", "2\n");
    assert_eq!(rig.sees(), ["2"]);
    assert_eq!(rig.standing().gaps, 0);
}

#[test]
fn a_file_behind_a_link_is_followed_where_it_is() {
    let mut rig = Rig::new(&["app.log"]);
    fs::create_dir(rig.path("far")).unwrap();
    rig.append("far/real.log", "1\n");
    symlink(rig.path("far/real.log"), rig.path("app.log")).unwrap();
    assert_eq!(rig.sees(), ["1"]);
    assert!(rig.files.directories().contains(&fs::canonicalize(rig.path("far")).unwrap()));
    rig.append("far/real.log", "2\n");
    assert_eq!(rig.sees_with(Hint::Names(["real.log".into()].into())), ["2"]);
    // The link leads elsewhere now.
    rig.append("far/next.log", "3\n");
    fs::remove_file(rig.path("app.log")).unwrap();
    symlink(rig.path("far/next.log"), rig.path("app.log")).unwrap();
    assert_eq!(rig.sees(), ["3"]);
}

#[test]
fn a_record_that_was_not_over_comes_whole_after_a_restart() {
    let by = Joined::Continue(Regex::new("^ ").unwrap());
    let multiline = Multiline { by, max_lines: 100, flush_after: Duration::from_secs(1) };
    let mut rig = Rig::with(&["app.log"], true, Some(multiline));
    rig.append("app.log", "a\n b\n");
    assert_eq!(rig.sees(), [""; 0]);
    rig.restart();
    rig.append("app.log", " c\nd\n");
    assert_eq!(rig.sees(), ["a\n b\n c"]);
    rig.wait(2);
    assert_eq!(rig.sees(), ["d"]);
    rig.restart();
    assert_eq!(rig.sees(), [""; 0]);
}

#[test]
fn a_position_of_somebody_else_is_none() {
    for position in ["", "7", "{\"v\":\"1\"}", "{\"v\":\"9\",\"paths\":[],\"files\":[]}"] {
        assert!(saved::read(position).is_err(), "{position}");
    }
    let huge =
        r#"{"v":"1","paths":[],"files":[{"p":"/x","i":[1,2],"at":0,"h":[99999999999,""],"m":[0,""],"s":0}]}"#;
    assert!(saved::read(huge).unwrap().files.is_empty());
}

/// More than is read in one turn, of lines that nobody looks for.
fn backlog() -> String {
    "#nobody looks for 55\n".repeat(2 * TURN / 20)
}

#[test]
fn a_file_that_never_comes_to_its_end_does_not_keep_the_others_waiting() {
    let mut rig = Rig::new(&["*.log"]);
    let mut seen = Vec::new();
    for turn in 0..6 {
        rig.append("a.log", backlog());
        rig.append("b.log", format!("{turn}\n"));
        rig.append("c.log", backlog());
        rig.append("d.log", format!("{turn}\n"));
        seen.extend(rig.turn());
    }
    seen.sort();
    assert!(seen.len() >= 6 && seen.iter().filter(|line| *line == "0").count() == 2, "{seen:?}");
}

#[test]
fn what_was_in_the_same_place_before_is_read_first_however_much_it_is() {
    let mut rig = Rig::new(&["app.log", "b.log"]);
    rig.append("app.log", "1\n");
    rig.append("b.log", "b\n");
    rig.sees();
    rig.append("app.log", backlog() + "2\n" + &backlog() + "3\n");
    rig.append("b.log", backlog());
    rig.rename("app.log", "app.log.1");
    rig.append("app.log", "4\n");
    assert_eq!(rig.sees(), ["2", "3", "4"]);
}

#[test]
fn files_beyond_the_limit_are_read_from_their_end_once_there_is_room() {
    let mut rig = Rig::with(&["*.log"], false, None);
    rig.files.most = 2;
    for name in ["a.log", "b.log", "c.log"] {
        rig.append(name, "old\n");
    }
    assert_eq!(rig.sees(), [""; 0]);
    assert_eq!(rig.standing().left_out, 1);
    for restarts in [true, false] {
        if restarts {
            rig.restart();
            rig.files.most = 2;
        }
        assert_eq!(rig.sees(), [""; 0]);
    }
    fs::remove_file(rig.path("a.log")).unwrap();
    rig.sees();
    rig.wait(61);
    rig.sees();
    assert_eq!(rig.sees(), [""; 0]);
    rig.append("c.log", "new\n");
    assert_eq!(rig.sees(), ["new"]);
    assert_eq!((rig.standing().left_out, rig.standing().files), (0, 2));
    // With all of them followed, what comes while nobody looks is new.
    rig.append("d.log", "d\n");
    rig.restart();
    assert_eq!(rig.sees(), ["d"]);
}

#[test]
fn a_file_that_only_begins_like_another_is_not_held_back() {
    let mut rig = Rig::new(&["app*"]);
    rig.append("app.log", "head\n1\n");
    rig.sees();
    rig.append("app.log.own", "head\n2\n");
    assert_eq!(rig.sees(), ["head", "2"]);
}

#[test]
fn what_may_be_a_copy_is_not_held_back_for_ever() {
    let mut rig = Rig::new(&["app*"]);
    rig.append("app.log", "#same 77\n".repeat(200));
    rig.sees();
    let mut seen = Vec::new();
    for _second in 0..40 {
        rig.append("app.log.b", "#same 77\n");
        seen.extend(rig.sees());
        rig.wait(1);
    }
    rig.append("app.log.b", "own\n");
    assert_eq!(rig.sees(), ["own"]);
}

#[test]
fn what_is_looked_for_again_and_again_has_an_end() {
    let mut rig = Rig::new(&["app.log"]);
    rig.append("app.log", "1\n");
    rig.sees();
    let saved = rig.files.tracked[0].saved();
    for number in 0..100 {
        rig.files.lose(Saved { base: format!("/none/{number}").into(), ..saved.clone() });
    }
    assert_eq!((rig.files.lost.len(), rig.standing().gaps), (LOST, 36));
    rig.files.lose(Saved { base: "/none/99".into(), ..saved });
    assert_eq!((rig.files.lost.len(), rig.standing().gaps), (LOST, 37));
}

#[test]
fn a_position_that_is_not_understood_is_a_gap() {
    let mut rig = Rig::with(&["app.log"], false, None);
    rig.append("app.log", "old\n");
    for (position, gaps) in [("", 0), ("what is this", 1)] {
        rig.position = Some(position.to_owned());
        rig.restart();
        assert_eq!(rig.sees(), [""; 0]);
        assert_eq!(rig.standing().gaps, gaps, "{position}");
    }
}

#[test]
fn what_was_read_and_is_packed_later_is_no_file_between() {
    let mut rig = Rig::new(&["app.log"]);
    rig.append("app.log", "one\ntwo\n");
    assert_eq!(rig.sees(), ["one", "two"]);
    rig.copy_truncate("app.log", "app.log.1");
    rig.append("app.log", "three, which is longer\n");
    rig.restart();
    assert_eq!(rig.sees(), ["three, which is longer"]);
    rig.wait(7_200);
    rig.sees();
    // Packed by one who gives it the time of the packing, and so younger than what was moved away after it.
    rig.gzip("app.log.1");
    rig.age("app.log", 60);
    rig.rename("app.log", "app.log.2");
    rig.append("app.log", "four\n");
    rig.restart();
    assert_eq!(rig.sees(), ["four"]);
}

#[test]
fn what_was_packed_when_it_was_found_is_no_file_between_either() {
    let mut rig = Rig::new(&["app.log"]);
    rig.append("app.log", "one\ntwo\n");
    assert_eq!(rig.sees(), ["one", "two"]);
    rig.append("app.log", "more\n");
    rig.copy_truncate("app.log", "app.log.1");
    rig.append("app.log", "three, which is longer\n");
    rig.gzip("app.log.1");
    rig.restart();
    assert_eq!(rig.sees(), ["more", "three, which is longer"]);
    rig.age("app.log", 60);
    rig.rename("app.log", "app.log.2");
    rig.append("app.log", "four\n");
    rig.restart();
    assert_eq!(rig.sees(), ["four"]);
}
