//! What becomes of each record: known already, too old, our own, or looked at.

use std::time::Duration;

use lictor_core::Match;

use super::position::{Known, Position};
use crate::journal::{Own, Record};
use crate::lines::{Found, Matcher};

/// Matches of one pattern in one batch that are told one by one.
const EACH: usize = 16;

/// What comes after those is told together with the one before it, if it is not older than this.
const TOGETHER: Duration = Duration::from_secs(1);

/// Counted since the agent started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Times journalctl was started, less one.
    pub(super) restarts: u64,
    pub(super) lines: u64,
    pub(super) matched: u64,
    pub(super) stale: u64,
    pub(super) suppressed: u64,
    pub(super) cut: u64,
    pub(super) gaps: u64,
    /// How old the latest was when it was read, microseconds.
    pub(super) behind: u64,
}

/// How long this boot has lasted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SinceBoot {
    /// Which it is, in journald's words.
    pub(super) boot: String,
    /// Microseconds, without the time that the machine slept.
    pub(super) awake: u64,
    /// So many microseconds it slept.
    pub(super) asleep: u64,
}

/// Takes records in, one by one, and brings together what they mean.
pub(super) struct Intake<'a> {
    matcher: &'a Matcher,
    max_age: Option<Duration>,
    own: Option<&'a Own>,
    pub(super) known: Known,
    pub(super) position: Option<Position>,
    pub(super) counts: Counts,
    /// The present, microseconds.
    pub(super) now: u64,
    /// The same since the boot, where it is known which that is.
    pub(super) since_boot: Option<SinceBoot>,
    found: Found,
    matches: Vec<Match>,
    /// Whether the position has moved since it was handed in.
    moved: bool,
}

impl<'a> Intake<'a> {
    pub(super) fn new(
        matcher: &'a Matcher,
        max_age: Option<Duration>,
        own: Option<&'a Own>,
        counts: Counts,
    ) -> Self {
        Self {
            matcher,
            max_age,
            own,
            known: Known::Nothing,
            position: None,
            counts,
            now: 0,
            since_boot: None,
            found: Found::new(),
            matches: Vec::new(),
            moved: false,
        }
    }

    pub(super) fn take(&mut self, record: &Record) {
        if self.known.is_known(record) {
            return;
        }
        match &mut self.position {
            Some(position) => position.advance(record),
            none @ None => *none = Some(Position::after(record)),
        }
        self.moved = true;
        let behind = self.age(record);
        self.counts.behind = behind;
        if self.own.is_some_and(|own| own.wrote(record)) {
            return;
        }
        self.counts.lines += 1;
        self.counts.suppressed = self.counts.suppressed.saturating_add(record.dropped);
        self.counts.cut += u64::from(record.cut);
        let age = Duration::from_micros(behind);
        if self.max_age.is_some_and(|most| age > most) {
            self.counts.stale += 1;
            return;
        }
        self.matcher.record(&record.message, &mut self.found);
        if self.found.is_empty() {
            return;
        }
        self.counts.matched += 1;
        for mut found in self.found.take() {
            found.age = age;
            self.add(found);
        }
    }

    /// How old a record is, microseconds. The wall clock may have been set since: by years, where a machine has none
    /// of its own that goes on while it is off.
    fn age(&self, record: &Record) -> u64 {
        // A clock that was set back makes no record younger than nothing.
        let by_wall = self.now.saturating_sub(record.realtime);
        match &self.since_boot {
            Some(SinceBoot { boot, awake, asleep }) if record.boot == *boot && record.monotonic > 0 => {
                let least = awake.saturating_sub(record.monotonic);
                // The machine may have slept meanwhile.
                by_wall.clamp(least, least.saturating_add(*asleep))
            }
            _ => by_wall,
        }
    }

    fn add(&mut self, found: Match) {
        let mut alike = self.matches.iter_mut().rev().filter(|other| other.pattern == found.pattern);
        let Some(latest) = alike.next() else { return self.matches.push(found) };
        if latest.age.abs_diff(found.age) <= TOGETHER && alike.count() + 1 >= EACH {
            *latest = Match { count: latest.count.saturating_add(found.count), ..found };
        } else {
            self.matches.push(found);
        }
    }

    /// What was found since, with the position that it leads to; `None` when nothing is new.
    pub(super) fn batch(&mut self) -> Option<(Vec<Match>, Option<String>)> {
        if !std::mem::take(&mut self.moved) {
            return None;
        }
        Some((std::mem::take(&mut self.matches), self.position.as_ref().map(Position::to_text)))
    }

    /// Everything up to now is known to be read.
    pub(super) fn seen(&mut self, now: u64) {
        if let Some(position) = &mut self.position {
            position.seen = position.seen.max(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use lictor_config::Pattern;
    use regex::Regex;

    use super::*;
    use crate::journal::Decoder;

    const NOW: u64 = 1_000_000_000_000;

    fn matcher() -> Matcher {
        let pattern = |name: &str, regex: &str| Pattern {
            name: name.parse().unwrap(),
            regex: Regex::new(regex).unwrap(),
        };
        Matcher::new(&[pattern("error", "error (?P<code>[0-9]+)"), pattern("line", "^second$")])
    }

    fn record(number: u64, message: &str, ago: u64) -> Record {
        Record {
            cursor: format!("s=a;i={number:x}"),
            realtime: NOW - ago,
            boot: "b".into(),
            message: message.as_bytes().to_vec(),
            ..Record::default()
        }
    }

    fn taken(max_age: Option<Duration>, records: &[Record]) -> (Counts, Vec<Match>) {
        let matcher = matcher();
        let own = Own { pid: 77, exe: Some("/usr/bin/lictor".into()), unit: None };
        let mut intake = Intake::new(&matcher, max_age, Some(&own), Counts::default());
        intake.now = NOW;
        records.iter().for_each(|record| intake.take(record));
        (intake.counts, intake.batch().map(|(matches, _)| matches).unwrap_or_default())
    }

    #[test]
    fn a_match_has_the_age_of_its_record_and_what_was_captured() {
        let (counts, found) =
            taken(None, &[record(1, "an error 7", 5_000_000), record(2, "fine", 4_000_000)]);
        assert_eq!((counts.lines, counts.matched, counts.behind), (2, 1, 4_000_000));
        assert_eq!(found[0].age, Duration::from_secs(5));
        assert_eq!(found[0].captures["code"], "7");
    }

    #[test]
    fn each_line_of_a_message_is_looked_at() {
        let (_, found) = taken(None, &[record(1, "first\nsecond\nerror 3", 0)]);
        assert_eq!(found.iter().map(|found| found.pattern.as_str()).collect::<Vec<_>>(), ["error", "line"]);
    }

    #[test]
    fn what_is_too_old_is_only_counted_and_what_is_from_the_future_is_of_now() {
        let day = Duration::from_secs(86_400);
        let mut future = record(3, "error 3", 0);
        future.realtime = NOW + 5_000_000;
        let records = [record(1, "error 1", 86_400_000_001), record(2, "error 2", 86_400_000_000), future];
        let (counts, found) = taken(Some(day), &records);
        assert_eq!((counts.lines, counts.stale, counts.matched), (3, 1, 2));
        assert_eq!(found.iter().map(|found| found.age).collect::<Vec<_>>(), [day, Duration::ZERO]);
    }

    #[test]
    fn of_this_boot_a_clock_that_was_set_makes_nothing_old() {
        let matcher = matcher();
        let second = 1_000_000;
        let age_of = |asleep: u64, record: &Record| {
            let mut intake = Intake::new(&matcher, Some(Duration::from_secs(60)), None, Counts::default());
            intake.now = NOW;
            intake.since_boot = Some(SinceBoot { boot: "b".into(), awake: 100 * second, asleep });
            intake.take(record);
            intake.batch().unwrap().0.first().map(|found| found.age.as_secs())
        };
        // Written in 1970, ten seconds ago.
        let early = Record { monotonic: 90 * second, ..record(1, "error 1", NOW - 5) };
        assert_eq!(age_of(0, &early), Some(10));
        // A clock that was set back makes it no younger.
        let late = Record { realtime: NOW + 500 * second, ..early.clone() };
        assert_eq!(age_of(0, &late), Some(10));
        let slept = Record { realtime: NOW - 40 * second, ..early.clone() };
        assert_eq!((age_of(0, &slept), age_of(300 * second, &slept)), (Some(10), Some(40)));
        // Of another boot only the wall clock tells.
        assert_eq!(age_of(0, &Record { boot: "a".into(), ..early.clone() }), None);
        assert_eq!(age_of(0, &Record { monotonic: 0, ..early }), None);
    }

    #[test]
    fn what_other_programs_write_in_our_own_unit_is_ours() {
        let matcher = matcher();
        let own = Own { pid: 77, exe: None, unit: Some("lictor.service".into()) };
        let mut intake = Intake::new(&matcher, None, Some(&own), Counts::default());
        let mut stream = String::new();
        for (number, unit) in ["lictor.service", "other.service"].iter().enumerate() {
            let record = format!(
                "__CURSOR=s=a;i={number}\n__REALTIME_TIMESTAMP=7\n_PID=5\n_EXE=/usr/bin/logger\n\
                 _SYSTEMD_UNIT={unit}\nMESSAGE=error {number}\n\n"
            );
            stream.push_str(&record);
        }
        let mut decoder = Decoder::keeping(super::super::OWN);
        decoder.read(stream.as_bytes(), &mut |record| intake.take(record)).unwrap();
        let found: Vec<String> = intake.batch().unwrap().0.into_iter().map(|found| found.line).collect();
        assert_eq!((found, intake.counts.lines), (vec!["error 1".to_owned()], 1));
    }

    #[test]
    fn our_own_records_are_not_looked_at() {
        let by =
            |pid: u32, exe: &str| Record { pid, exe: exe.as_bytes().to_vec(), ..record(1, "error 1", 0) };
        let (counts, found) = taken(None, &[by(77, ""), by(1, "/usr/bin/lictor"), by(1, "/usr/bin/other")]);
        assert_eq!((counts.lines, found.len()), (1, 1));
    }

    #[test]
    fn many_matches_of_one_time_are_told_together_and_none_is_lost() {
        let records: Vec<Record> =
            (0..100).map(|number| record(number, &format!("error {number}"), 100)).collect();
        let (_, found) = taken(None, &records);
        assert_eq!((found.len(), found.iter().map(|found| found.count).sum::<u32>()), (16, 100));
        assert_eq!(found[15].line, "error 99");
        // Those of another time are not.
        let apart: Vec<Record> = (0..40).map(|n| record(n, "error 1", (40 - n) * 2_000_000)).collect();
        assert_eq!(taken(None, &apart).1.len(), 40);
    }

    #[test]
    fn a_position_comes_once_and_only_when_it_has_moved() {
        let matcher = matcher();
        let mut intake = Intake::new(&matcher, None, None, Counts::default());
        intake.known = Known::Cursor("s=a;i=1".into());
        intake.take(&record(1, "error 1", 0));
        assert!(intake.batch().is_none());
        intake.take(&record(2, "error 2", 0));
        let (matches, position) = intake.batch().unwrap();
        assert_eq!(matches.len(), 1);
        assert!(position.unwrap().contains("s=a;i=2"));
        assert!(intake.batch().is_none());
    }
}
