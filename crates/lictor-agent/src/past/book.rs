//! How long each check stood how, as far as it is remembered. Time is an argument.

use std::collections::{BTreeMap, VecDeque};

use lictor_core::{Boot, CheckName, Now, Status, Wall};
use lictor_store::{Grain, Slot, Stood};

use super::{DAYS, Record};

/// Looks that are further apart say nothing of the time between them, milliseconds.
const GAP: u64 = 60_000;

/// Hours kept in memory: a day and the one that is not over.
const HOURS: usize = 25;

/// Minutes of an hour, and hours of a day.
const MINUTES: u32 = 60;
const DAY_HOURS: u32 = 24;

/// Minutes of a sparkline.
const SPARK: usize = 60;

/// How a check stands at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Look<'a> {
    pub(crate) name: &'a CheckName,
    pub(crate) status: Status,
    /// Whether it was ever judged; what was not is not kept.
    pub(crate) judged: bool,
    /// Since when it has the status.
    pub(crate) since: Boot,
    /// When its latest result came, and how long that took, milliseconds.
    pub(crate) last: Option<(Boot, u64)>,
    pub(crate) maintenance: bool,
}

/// How a check stands, as far as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Is(Status),
    Maintenance,
}

pub(super) type Checks = BTreeMap<CheckName, Stood>;

/// What is remembered of all checks.
#[derive(Debug, Default)]
pub(crate) struct Book {
    checks: BTreeMap<CheckName, Kept>,
    /// When it was looked last.
    looked: Option<Boot>,
    /// What is not in the store yet.
    minutes: BTreeMap<u32, Checks>,
    hours: BTreeMap<u32, Checks>,
    days: BTreeMap<u32, Checks>,
}

/// What is remembered of one check.
#[derive(Debug, Default)]
struct Kept {
    standing: Option<Standing>,
    /// The latest result that was counted.
    counted: Option<Boot>,
    hours: VecDeque<(u32, Spans)>,
    days: VecDeque<(u32, Spans)>,
    /// By minute: looks and the milliseconds they took.
    took: VecDeque<(u32, u64, u64)>,
}

/// What is remembered of a check in an hour or a day: milliseconds, in the order of [`Stood`]. There are many of them.
#[derive(Clone, Copy, Debug, Default)]
struct Spans([u32; 5]);

impl Spans {
    fn add(&mut self, stood: &Stood) {
        let more = [stood.passing, stood.warning, stood.critical, stood.unknown, stood.maintenance];
        for (span, more) in self.0.iter_mut().zip(more) {
            *span = span.saturating_add(u32::try_from(more).unwrap_or(u32::MAX));
        }
    }

    fn stood(&self) -> Stood {
        let [passing, warning, critical, unknown, maintenance] = self.0.map(u64::from);
        Stood { passing, warning, critical, unknown, maintenance, ..Stood::default() }
    }
}

/// The share of the time that is known in which it worked, maintenance left out. `None`: nothing is known.
pub(crate) fn share(stood: &Stood) -> Option<f64> {
    let up = stood.passing.saturating_add(stood.warning);
    let known = up.saturating_add(stood.critical);
    // Windows have at most some 10^10 milliseconds.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let share = (known > 0).then(|| up as f64 / known as f64);
    share
}

/// Adds to the entry of a number, in order; the oldest ones beyond `most` go.
fn add(to: &mut VecDeque<(u32, Spans)>, number: u32, stood: &Stood, most: usize) {
    let at = to.binary_search_by_key(&number, |(number, _)| *number).unwrap_or_else(|at| {
        to.insert(at, (number, Spans::default()));
        at
    });
    if let Some((_, found)) = to.get_mut(at) {
        found.add(stood);
    }
    while to.len() > most {
        to.pop_front();
    }
}

impl Book {
    /// Takes up a minute that was kept; the minutes come first, the oldest before the others.
    pub(super) fn take_minute(&mut self, minute: u32, checks: &Checks) {
        merge(self.hours.entry(minute / MINUTES).or_default(), checks);
        for (name, stood) in checks.iter().filter(|(_, stood)| stood.looks > 0) {
            self.checks.entry(name.clone()).or_default().timed(minute, stood.looks, stood.took);
        }
    }

    /// Takes up an hour that was kept, or of which only minutes are there; the hours come after the minutes, the oldest
    /// before the others. What its minutes know and it does not is not in the store yet: it was not over when it was
    /// written, whether the agent was killed or the clock stepped.
    pub(super) fn take_hour(&mut self, hour: u32, stored: &Checks) {
        let open = self.hours.remove(&hour).map(|checks| beyond(checks, stored)).unwrap_or_default();
        for (name, stood) in stored.iter().chain(&open) {
            add(&mut self.checks.entry(name.clone()).or_default().hours, hour, stood, HOURS);
        }
        let day = self.days.entry(hour / DAY_HOURS).or_default();
        merge(day, stored);
        merge(day, &open);
        if !open.is_empty() {
            self.hours.insert(hour, open);
        }
    }

    /// Takes up a day that was kept, or of which only hours are there; the days come last, the oldest before the others.
    pub(super) fn take_day(&mut self, day: u32, stored: &Checks) {
        let open = self.days.remove(&day).map(|checks| beyond(checks, stored)).unwrap_or_default();
        for (name, stood) in stored.iter().chain(&open) {
            add(&mut self.checks.entry(name.clone()).or_default().days, day, stood, DAYS);
        }
        if !open.is_empty() {
            self.days.insert(day, open);
        }
    }

    /// The hours, or the days, of which something is known by shorter parts of time.
    pub(super) fn open(&self, grain: Grain) -> Vec<u32> {
        let open = match grain {
            Grain::Minute => &self.minutes,
            Grain::Hour => &self.hours,
            Grain::Day => &self.days,
        };
        open.keys().copied().collect()
    }

    /// Counts the time since the last call, in which the checks stood as they do or did then.
    pub(crate) fn observe<'a>(&mut self, now: Now, looks: impl Iterator<Item = Look<'a>>) {
        let before = self.looked.replace(now.boot);
        let counts = before.map(|before| now.boot.as_millis().saturating_sub(before.as_millis()));
        let counts = counts.filter(|millis| *millis <= GAP);
        for look in looks.filter(|look| look.judged) {
            let standing = match look.maintenance {
                true => Standing::Maintenance,
                false => Standing::Is(look.status),
            };
            let kept = self.checks.entry(look.name.clone()).or_default();
            let was = kept.standing.replace(standing);
            if let (Some(millis), Some(was)) = (counts, was) {
                let since = now.boot.as_millis().saturating_sub(look.since.as_millis()).min(millis);
                let here = match (was, standing) {
                    (was, standing) if was == standing => millis,
                    // The beginning of a window has no moment of its own: it counts from the look that saw it.
                    (_, Standing::Maintenance) => 0,
                    // Nor has its end.
                    (Standing::Maintenance, _) => millis,
                    (Standing::Is(_), Standing::Is(_)) => since,
                };
                self.count(look.name, now.wall, millis, here, was);
                self.count(look.name, now.wall, here, 0, standing);
            }
            self.time(&look, now.wall);
        }
    }

    /// Counts the time from so many milliseconds ago to so many.
    fn count(&mut self, name: &CheckName, now: Wall, from: u64, to: u64, standing: Standing) {
        let end = u64::try_from(now.as_unix_millis()).unwrap_or(0);
        let (mut at, until) = (end.saturating_sub(from), end.saturating_sub(to));
        while at < until {
            let next = (at / Grain::Minute.millis() + 1) * Grain::Minute.millis();
            self.put(name, at, &standing.stood(next.min(until) - at));
            at = next;
        }
    }

    /// Counts how long its latest result took.
    fn time(&mut self, look: &Look<'_>, now: Wall) {
        let Some((came, took)) = look.last else { return };
        let Some(kept) = self.checks.get_mut(look.name) else { return };
        let first = kept.counted.is_none();
        if kept.counted.replace(came).is_some_and(|counted| came <= counted) || first {
            return;
        }
        kept.timed(Grain::Minute.at(now), 1, took);
        let at = u64::try_from(now.as_unix_millis()).unwrap_or(0);
        self.put(look.name, at, &Stood { looks: 1, took, ..Stood::default() });
    }

    /// Adds to the minute, the hour and the day of a moment, milliseconds from 1970.
    fn put(&mut self, name: &CheckName, at: u64, stood: &Stood) {
        let number = |grain: Grain| u32::try_from(at / grain.millis()).unwrap_or(u32::MAX);
        let (minute, hour, day) = (number(Grain::Minute), number(Grain::Hour), number(Grain::Day));
        for (to, number) in [(&mut self.minutes, minute), (&mut self.hours, hour), (&mut self.days, day)] {
            to.entry(number).or_default().entry(name.clone()).or_default().add(stood);
        }
        let kept = self.checks.entry(name.clone()).or_default();
        add(&mut kept.hours, hour, stood, HOURS);
        add(&mut kept.days, day, stood, DAYS);
    }

    /// Takes out what is over, for the store; with `all`, also the minute that is not.
    pub(crate) fn over(&mut self, now: Wall, all: bool) -> Vec<Slot> {
        let mut over = Vec::new();
        let parts = [
            (Grain::Minute, &mut self.minutes),
            (Grain::Hour, &mut self.hours),
            (Grain::Day, &mut self.days),
        ];
        for (grain, open) in parts {
            let present = grain.at(now);
            let whole = all && grain == Grain::Minute;
            // What a clock that was wrong has put into the future is taken out as well.
            let done: Vec<u32> = open.keys().copied().filter(|number| whole || *number != present).collect();
            for number in done {
                if let Some(checks) = open.remove(&number) {
                    over.push(Slot { grain, number, checks });
                }
            }
        }
        over
    }

    /// What is remembered of a check.
    pub(crate) fn record(&self, name: &CheckName, now: Wall) -> Option<Record> {
        let kept = self.checks.get(name)?;
        let (hour, today) = (Grain::Hour.at(now), Grain::Day.at(now));
        let first = u64::from(today) + 1;
        let mut days = vec![None; DAYS];
        for (day, stood) in &kept.days {
            let back = first.checked_sub(u64::from(*day) + 1).and_then(|back| usize::try_from(back).ok());
            let at = back.and_then(|back| (DAYS - 1).checked_sub(back));
            if let Some(place) = at.and_then(|at| days.get_mut(at)) {
                *place = Some(stood.stood());
            }
        }
        let sum = |parts: &mut dyn Iterator<Item = Stood>| {
            let mut all = Stood::default();
            parts.for_each(|part| all.add(&part));
            all
        };
        let late = kept.hours.iter().filter(|(number, _)| *number <= hour && hour - *number < 24);
        let last = |count: usize| sum(&mut days.iter().rev().take(count).flatten().copied());
        let windows = [sum(&mut late.map(|(_, stood)| stood.stood())), last(7), last(30), last(90)];
        let took = kept
            .took
            .iter()
            .map(|(_, looks, took)| u32::try_from(took / (*looks).max(1)).unwrap_or(u32::MAX));
        Some(Record { windows, today, took: took.collect(), days })
    }

    /// Forgets the memory of checks that nobody watches and of which no day is left.
    pub(crate) fn forget(&mut self, now: Wall, watched: impl Fn(&CheckName) -> bool) {
        let today = Grain::Day.at(now);
        self.checks.retain(|name, kept| {
            let late = kept.days.back().is_some_and(|(day, _)| u64::from(*day) + 90 > u64::from(today));
            late || watched(name)
        });
    }
}

impl Standing {
    fn stood(self, millis: u64) -> Stood {
        let none = Stood::default();
        match self {
            Self::Is(Status::Passing) => Stood { passing: millis, ..none },
            Self::Is(Status::Warning) => Stood { warning: millis, ..none },
            Self::Is(Status::Critical) => Stood { critical: millis, ..none },
            Self::Is(Status::Unknown) => Stood { unknown: millis, ..none },
            Self::Maintenance => Stood { maintenance: millis, ..none },
        }
    }
}

impl Kept {
    fn timed(&mut self, minute: u32, looks: u64, took: u64) {
        match self.took.back_mut().filter(|(last, ..)| *last == minute) {
            Some((_, all, sum)) => {
                *all = all.saturating_add(looks);
                *sum = sum.saturating_add(took);
            }
            None => self.took.push_back((minute, looks, took)),
        }
        while self.took.len() > SPARK {
            self.took.pop_front();
        }
    }
}

fn merge(into: &mut Checks, from: &Checks) {
    for (name, stood) in from {
        into.entry(name.clone()).or_default().add(stood);
    }
}

/// What is known beyond something that it contains.
fn beyond(mut all: Checks, within: &Checks) -> Checks {
    all.retain(|name, stood| {
        if let Some(known) = within.get(name) {
            let less = |all: &mut u64, known: u64| *all = all.saturating_sub(known);
            less(&mut stood.passing, known.passing);
            less(&mut stood.warning, known.warning);
            less(&mut stood.critical, known.critical);
            less(&mut stood.unknown, known.unknown);
            less(&mut stood.maintenance, known.maintenance);
            less(&mut stood.looks, known.looks);
            less(&mut stood.took, known.took);
        }
        *stood != Stood::default()
    });
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Past;

    /// A whole hour of UTC.
    const START: i64 = 1_795_230_000_000;

    fn at(seconds: u64) -> Now {
        let wall = Wall::from_unix_millis(START + i64::try_from(seconds * 1_000).unwrap());
        Now { boot: Boot::from_millis(1_000_000 + seconds * 1_000), wall }
    }

    fn name() -> CheckName {
        CheckName::new("shop").unwrap()
    }

    fn look(book: &mut Book, seconds: u64, status: Status, since: u64) {
        let name = name();
        let last = Some((at(seconds).boot, 20));
        let look =
            Look { name: &name, status, judged: true, since: at(since).boot, last, maintenance: false };
        book.observe(at(seconds), std::iter::once(look));
    }

    fn windows(book: &Book, seconds: u64) -> [Stood; 4] {
        book.record(&name(), at(seconds).wall).unwrap().windows
    }

    #[test]
    fn a_change_counts_from_when_it_was() {
        let mut book = Book::default();
        look(&mut book, 0, Status::Passing, 0);
        look(&mut book, 10, Status::Passing, 0);
        look(&mut book, 20, Status::Critical, 13);
        look(&mut book, 30, Status::Critical, 13);
        let [day, week, ..] = windows(&book, 30);
        assert_eq!((day.passing, day.critical), (13_000, 17_000));
        assert_eq!(book.record(&name(), at(30).wall).unwrap().took, [20]);
        assert_eq!(day, week);
        assert_eq!(share(&day).map(|share| (share * 1_000.0).round()), Some(433.0));
    }

    #[test]
    fn time_in_which_nobody_looked_is_neither_up_nor_down() {
        let mut book = Book::default();
        look(&mut book, 0, Status::Passing, 0);
        look(&mut book, 3_000, Status::Passing, 0);
        assert_eq!(windows(&book, 3_000)[0].passing, 0);
        assert_eq!(share(&windows(&book, 3_000)[0]), None);
        look(&mut book, 3_010, Status::Unknown, 3_005);
        let [day, ..] = windows(&book, 3_010);
        assert_eq!((day.passing, day.unknown), (5_000, 5_000));
        assert_eq!(share(&day), Some(1.0), "no data is no downtime");
    }

    #[test]
    fn maintenance_counts_whatever_the_status_is() {
        let mut book = Book::default();
        let name = name();
        for seconds in [0, 10, 20] {
            let look = Look {
                name: &name,
                status: Status::Critical,
                judged: true,
                since: at(0).boot,
                last: None,
                maintenance: true,
            };
            book.observe(at(seconds), std::iter::once(look));
        }
        look(&mut book, 30, Status::Critical, 0);
        let [day, ..] = windows(&book, 30);
        assert_eq!((day.maintenance, day.critical), (20_000, 10_000));
    }

    #[test]
    fn a_minute_is_given_out_when_it_is_over_and_an_hour_likewise() {
        let mut book = Book::default();
        for seconds in (0..=120).step_by(10) {
            look(&mut book, seconds, Status::Passing, 0);
        }
        let over = book.over(at(120).wall, false);
        let shown: Vec<_> = over.iter().map(|slot| (slot.grain, slot.checks[&name()].passing)).collect();
        assert_eq!(shown, [(Grain::Minute, 60_000), (Grain::Minute, 60_000)]);
        assert!(book.over(at(121).wall, false).is_empty(), "given out twice");
        for seconds in (130..=3_600).step_by(10) {
            look(&mut book, seconds, Status::Passing, 0);
        }
        let over = book.over(at(3_600).wall, false);
        let hour = over.iter().find(|slot| slot.grain == Grain::Hour).unwrap();
        assert_eq!(hour.checks[&name()].passing, 3_600_000);
    }

    /// What a store makes of what it is given.
    fn stored(slots: &[Slot], grain: Grain) -> Vec<Slot> {
        let mut all: BTreeMap<u32, Checks> = BTreeMap::new();
        for slot in slots.iter().filter(|slot| slot.grain == grain) {
            merge(all.entry(slot.number).or_default(), &slot.checks);
        }
        all.into_iter().map(|(number, checks)| Slot { grain, number, checks }).collect()
    }

    /// What a start makes of what is kept.
    fn taken_up(seconds: u64, days: &[Slot], hours: &[Slot], minutes: &[Slot]) -> Book {
        let past = Past::default();
        past.take_up(at(seconds).wall, days, hours, minutes);
        past.with(std::mem::take)
    }

    #[test]
    fn an_hour_that_the_clock_left_and_came_back_to_is_whole_after_a_restart() {
        let mut slots = Vec::new();
        let mut book = Book::default();
        for seconds in (0..=1_800).step_by(10) {
            look(&mut book, seconds, Status::Passing, 0);
            slots.extend(book.over(at(seconds).wall, false));
        }
        // For a moment the clock shows the next day: the hour and the day that are not over are written.
        slots.extend(book.over(at(1_800 + 86_400).wall, false));
        for seconds in (1_810..=2_700).step_by(10) {
            look(&mut book, seconds, Status::Passing, 0);
            slots.extend(book.over(at(seconds).wall, false));
        }
        slots.extend(book.over(at(2_700).wall, true));
        let kept =
            |slots: &[Slot]| [Grain::Day, Grain::Hour, Grain::Minute].map(|grain| stored(slots, grain));
        let [days, hours, minutes] = kept(&slots);
        assert_eq!(hours[0].checks[&name()].passing, 1_800_000, "it was not over");
        let mut book = taken_up(2_700, &days, &hours, &minutes);
        let [day, week, ..] = windows(&book, 2_700);
        assert_eq!((day.passing, week.passing), (2_700_000, 2_700_000));
        // And what is written later is the rest, and no more.
        look(&mut book, 2_700, Status::Passing, 0);
        for seconds in (2_710..=3_600).step_by(10) {
            look(&mut book, seconds, Status::Passing, 0);
        }
        slots.extend(book.over(at(3_600).wall, true));
        let [_, hours, _] = kept(&slots);
        assert_eq!(hours[0].checks[&name()].passing, 3_600_000);
    }

    #[test]
    fn what_a_wrong_clock_has_put_into_the_future_takes_no_place_from_the_last_day() {
        let (stood, hour) = (Stood { passing: 1_000, ..Stood::default() }, Grain::Hour.at(at(0).wall));
        let slot = |number| Slot { grain: Grain::Hour, number, checks: [(name(), stood)].into() };
        let hours: Vec<Slot> = (hour - 40..=hour).chain(hour + 100..hour + 130).map(slot).collect();
        let book = taken_up(0, &[], &hours, &[]);
        assert_eq!(windows(&book, 0)[0].passing, 24_000);
        // A clock that is behind: what is known is not thrown away before it is set.
        let mut hours: Vec<Slot> = (hour - 24..hour).map(slot).collect();
        hours.insert(0, slot(5));
        let past = Past::default();
        past.take_up(Wall::from_unix_millis(0), &[], &hours, &[]);
        let day = past.of(&name(), at(0).wall).unwrap().windows[0];
        assert_eq!(day.passing, 23_000);
    }

    #[test]
    fn nothing_is_lost_or_counted_twice_over_restarts() {
        let mut slots = Vec::new();
        let mut book = Book::default();
        let mut start = 0;
        // Two hours and a half, with a restart every 17 minutes that takes no time.
        for seconds in (0..=9_000).step_by(10) {
            look(&mut book, seconds, Status::Passing, 0);
            slots.extend(book.over(at(seconds).wall, false));
            if seconds - start >= 1_020 {
                start = seconds;
                slots.extend(book.over(at(seconds).wall, true));
                let [days, hours, minutes] =
                    [Grain::Day, Grain::Hour, Grain::Minute].map(|grain| stored(&slots, grain));
                book = taken_up(seconds, &days, &hours, &minutes);
                // The first look after a start counts no time.
                look(&mut book, seconds, Status::Passing, 0);
            }
        }
        let [day, week, ..] = windows(&book, 9_000);
        assert_eq!((day.passing, week.passing), (9_000_000, 9_000_000));
        let hours = stored(&slots, Grain::Hour);
        let whole: Vec<u64> = hours.iter().map(|slot| slot.checks[&name()].passing).collect();
        assert_eq!(whole, [3_600_000, 3_600_000]);
        assert_eq!(book.record(&name(), at(9_000).wall).unwrap().took.len(), 60);
    }

    #[test]
    fn a_window_of_ninety_days_holds_all_its_milliseconds() {
        let today = Grain::Day.at(at(0).wall);
        let day = 86_400_000;
        let stood = Stood { passing: day - 1_000, critical: 1_000, ..Stood::default() };
        let slot = |number| Slot { grain: Grain::Day, number, checks: [(name(), stood)].into() };
        let book = taken_up(0, &(today - 89..=today).map(slot).collect::<Vec<_>>(), &[], &[]);
        let [_, week, month, quarter] = windows(&book, 0);
        assert_eq!(
            [week, month, quarter].map(|all| all.passing + all.critical),
            [7 * day, 30 * day, 90 * day]
        );
        assert_eq!(quarter.critical, 90_000);
    }

    #[test]
    fn a_strip_ends_today_and_shows_where_nothing_is_known() {
        let mut book = Book::default();
        look(&mut book, 0, Status::Passing, 0);
        look(&mut book, 10, Status::Passing, 0);
        let later = 3 * 86_400;
        look(&mut book, later, Status::Passing, 0);
        look(&mut book, later + 10, Status::Passing, 0);
        let record = book.record(&name(), at(later + 10).wall).unwrap();
        let known: Vec<bool> = record.days.iter().rev().take(5).map(Option::is_some).collect();
        assert_eq!((record.days.len(), known), (DAYS, vec![true, false, false, true, false]));
        book.forget(at(200 * 86_400).wall, |_| false);
        assert_eq!(book.record(&name(), at(0).wall), None);
    }
}
