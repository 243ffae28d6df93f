//! Whatever is done to a log: each complete line is seen once, and none twice.
//!
//! What may be missing is only this: what a truncation took away before it was looked at, and
//! what was in a file that came and went between two looks. The last line of a file counts as complete when
//! its break is written.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::select;

use super::tests::Rig;

/// What a program, an administrator or logrotate does.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The program writes so many lines.
    Write(u32),
    /// The program writes a part of a line.
    WriteHalf,
    /// The files are looked at.
    Look,
    /// The log is renamed; the program goes on writing to it.
    Rename,
    /// The program opens its log anew.
    Reopen,
    /// The log is copied, then truncated.
    CopyTruncate,
    /// The log is truncated.
    Truncate,
    /// The latest of the files that were moved away is compressed.
    Gzip,
    /// The agent is started anew.
    Restart,
    /// A minute goes by.
    Wait,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (1_u32..12).prop_map(Step::Write),
        2 => Just(Step::WriteHalf),
        6 => Just(Step::Look),
        5 => select(vec![Step::Rename, Step::Reopen, Step::CopyTruncate, Step::Gzip]),
        1 => Just(Step::Truncate),
        3 => Just(Step::Restart),
        1 => Just(Step::Wait),
    ];
    proptest::collection::vec(step, 1..60)
}

/// What must be seen, by what was written.
struct Model {
    rig: Rig,
    /// Lines, and whether they must be seen.
    written: BTreeMap<u32, bool>,
    next: u32,
    /// Where the program writes: a name, and what of it is on its way.
    target: String,
    half: Option<u32>,
    /// Lines of a file that were written since it was last looked at.
    unseen: BTreeMap<String, Vec<u32>>,
    /// Files that were looked at under the name that is followed, or of which a position tells.
    known: BTreeMap<String, bool>,
    rotated: u32,
    seen: Vec<u32>,
}

impl Model {
    fn new(pattern: &str) -> Self {
        let rig = Rig::new(&[pattern]);
        rig.append("app.log", "");
        Self {
            rig,
            written: BTreeMap::new(),
            next: 0,
            target: "app.log".into(),
            half: None,
            unseen: BTreeMap::new(),
            known: BTreeMap::new(),
            rotated: 0,
            seen: Vec::new(),
        }
    }

    fn play(&mut self, step: Step) {
        match step {
            Step::Write(count) => {
                if !self.rig.path(&self.target).exists() {
                    // It was compressed; the program writes to nowhere.
                    return;
                }
                let half = self.half.take();
                for number in half.into_iter().chain(self.next..self.next + count) {
                    let begun = half == Some(number);
                    let text = if begun { String::new() } else { format!("n{number} ") };
                    self.rig.append(&self.target, format!("{text}#{}\n", number % 10));
                    self.written.insert(number, true);
                    self.unseen.entry(self.target.clone()).or_default().push(number);
                }
                self.next += count;
            }
            Step::WriteHalf => {
                if self.half.is_none() && self.rig.path(&self.target).exists() {
                    self.rig.append(&self.target, format!("n{} ", self.next));
                    self.half = Some(self.next);
                    self.next += 1;
                }
            }
            Step::Look => self.look(),
            Step::Rename => {
                if self.rig.path("app.log").exists() {
                    let to = self.older();
                    self.rig.rename("app.log", &to);
                    if self.target == "app.log" {
                        self.target.clone_from(&to);
                    }
                    let moved = self.unseen.remove("app.log").unwrap_or_default();
                    self.unseen.insert(to.clone(), moved);
                    let known = self.known.remove("app.log").unwrap_or(false);
                    self.known.insert(to, known);
                }
            }
            Step::Reopen => {
                if self.target != "app.log" {
                    self.half = None;
                    self.target = "app.log".into();
                    self.rig.append("app.log", "");
                }
            }
            Step::CopyTruncate if self.rig.path("app.log").exists() => {
                // What was not looked at is found in the copy only if something before it was.
                let known = self.known.get("app.log").copied().unwrap_or(false);
                let to = self.older();
                self.rig.copy_truncate("app.log", &to);
                let copied = self.unseen.remove("app.log").unwrap_or_default();
                self.known.insert(to.clone(), known);
                self.unseen.insert(to, copied);
                self.known.insert("app.log".into(), false);
                self.half = self.half.filter(|_| self.target != "app.log");
            }
            Step::Truncate if self.rig.path("app.log").exists() => {
                self.rig.truncate("app.log");
                self.lose("app.log");
                self.known.insert("app.log".into(), false);
                self.half = self.half.filter(|_| self.target != "app.log");
            }
            Step::CopyTruncate | Step::Truncate => {}
            Step::Gzip => {
                let latest = format!("app.log.{}", self.rotated);
                if self.rotated > 0 && self.rig.path(&latest).exists() {
                    if self.target == latest {
                        self.half = None;
                    }
                    self.rig.gzip(&latest);
                }
            }
            Step::Restart => self.rig.restart(),
            Step::Wait => {
                self.look();
                self.rig.wait(120);
                self.look();
            }
        }
    }

    /// The lines of a file that were not seen need not be.
    fn lose(&mut self, name: &str) {
        for number in self.unseen.remove(name).unwrap_or_default() {
            self.written.insert(number, false);
        }
    }

    fn older(&mut self) -> String {
        self.rotated += 1;
        format!("app.log.{}", self.rotated)
    }

    fn look(&mut self) {
        for line in self.rig.sees() {
            assert!(!line.contains(" x"), "more lines than are told one by one: {line}");
            let Some((number, _)) = line.strip_prefix('n').and_then(|rest| rest.split_once(" #")) else {
                continue;
            };
            self.seen.push(number.parse().unwrap());
        }
        let names: Vec<String> = self.unseen.keys().cloned().collect();
        for name in names {
            let known = name == "app.log" || self.known.get(&name).copied().unwrap_or(false);
            if !known {
                self.lose(&name);
            }
            self.unseen.remove(&name);
        }
        // By its lines it is known again.
        if std::fs::read(self.rig.path("app.log")).is_ok_and(|content| content.contains(&b'\n')) {
            self.known.insert("app.log".into(), true);
        }
    }

    fn judge(mut self) -> Result<(), TestCaseError> {
        self.look();
        self.rig.wait(120);
        self.look();
        let mut counted: BTreeMap<u32, usize> = BTreeMap::new();
        for number in &self.seen {
            *counted.entry(*number).or_default() += 1;
        }
        let twice: Vec<_> = counted.iter().filter(|(_, count)| **count > 1).collect();
        prop_assert!(twice.is_empty(), "twice: {twice:?}");
        let missed: Vec<_> =
            self.written.iter().filter(|(number, must)| **must && !counted.contains_key(number)).collect();
        prop_assert!(missed.is_empty(), "missed: {missed:?}");
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_line_of_a_log_is_seen_once(steps in steps()) {
        let mut model = Model::new("app.log");
        for step in steps {
            model.play(step);
        }
        model.judge()?;
    }

    #[test]
    fn each_line_is_seen_once_also_when_the_pattern_fits_what_was_moved_away(steps in steps()) {
        let mut model = Model::new("app.log*");
        for step in steps {
            model.play(step);
        }
        model.judge()?;
    }
}
