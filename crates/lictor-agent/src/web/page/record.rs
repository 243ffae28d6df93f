//! How a check stood, as bars, a line and shares.

use std::fmt::Write as _;

use jiff::civil::{Date, date};
use lictor_store::Stood;

use crate::past::{DAYS, Record, WINDOWS, share};
use crate::web::text::count;

/// Width of a day in a strip, and the height of a whole bar.
const DAY: usize = 4;
const HEIGHT: usize = 16;

/// Width and height of a line.
const WIDE: usize = 120;
const HIGH: usize = 24;

/// How a check, or a group of them, stood.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RecordView {
    /// For each class of bars the path of them; days next to each other are one stroke.
    pub(crate) bars: Vec<(&'static str, String)>,
    /// What the bars say, in words.
    pub(crate) bars_text: String,
    /// Each window with its share, `99.98 %`, or a dash.
    pub(crate) shares: Vec<(&'static str, String)>,
    /// The line of how long looks took; empty when there are too few.
    pub(crate) line: String,
    pub(crate) line_text: String,
}

/// How the bars of a day are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Bar {
    /// Nobody looked.
    Nothing,
    Passing,
    Maintenance,
    Unknown,
    Warning,
    Critical,
}

impl Bar {
    pub(crate) fn of(day: Option<&Stood>) -> Self {
        let Some(day) = day else { return Self::Nothing };
        let some = |millis: u64| millis > 0;
        match (some(day.critical), some(day.warning), some(day.passing)) {
            (true, ..) => Self::Critical,
            (false, true, _) => Self::Warning,
            // More than half of it, or else a restart would show.
            (false, false, true) if day.unknown > day.passing => Self::Unknown,
            (false, false, true) => Self::Passing,
            _ if some(day.unknown) => Self::Unknown,
            _ if some(day.maintenance) => Self::Maintenance,
            _ => Self::Nothing,
        }
    }

    /// Its class in the style.
    pub(crate) const fn class(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Passing => "passing",
            Self::Maintenance => "maintenance",
            Self::Unknown => "unknown",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// Its height: a status is never told by its colour alone.
    const fn height(self) -> usize {
        match self {
            Self::Nothing => 2,
            Self::Passing => HEIGHT,
            Self::Maintenance => 6,
            Self::Unknown => 9,
            Self::Warning => 12,
            Self::Critical => HEIGHT,
        }
    }
}

impl RecordView {
    pub(crate) fn new(record: &Record) -> Self {
        let bars: Vec<Bar> = record.days.iter().map(|day| Bar::of(day.as_ref())).collect();
        let shares = WINDOWS.iter().zip(&record.windows);
        let shares: Vec<_> = shares.map(|(name, stood)| (*name, percent(share(stood)))).collect();
        let (line, line_text) = line(&record.took);
        Self { bars: paths(&bars), bars_text: words(&bars, record), shares, line, line_text }
    }

    /// Whether there is anything to show.
    pub(crate) fn is_known(&self) -> bool {
        self.bars.iter().any(|(class, _)| *class != Bar::Nothing.class())
    }
}

/// A share as people read it: no 100 % that is none, and no more digits than say something.
pub(crate) fn percent(share: Option<f64>) -> String {
    let Some(share) = share else { return "–".to_owned() };
    if share >= 1.0 {
        return "100 %".to_owned();
    }
    // Cut, not rounded.
    let hundredths = (share * 10_000.0).floor();
    let digits = if hundredths < 9_900.0 { 1 } else { 2 };
    let scale = if digits == 1 { 10.0 } else { 100.0 };
    format!("{:.digits$} %", (share * 100.0 * scale).floor() / scale)
}

/// The paths of the bars: where they begin and how far they go, at the height of their middle.
fn paths(bars: &[Bar]) -> Vec<(&'static str, String)> {
    let mut kinds: Vec<Bar> = bars.to_vec();
    kinds.sort_unstable();
    kinds.dedup();
    let path = |kind: Bar| {
        let mut path = String::new();
        let mut at = 0;
        for run in bars.chunk_by(|left, right| left == right) {
            if run.first() == Some(&kind) {
                let y = HEIGHT * 2 - kind.height();
                // Halves: the middle of a bar that stands on the ground.
                let half = if y % 2 == 1 { ".5" } else { "" };
                // A string takes all that is written to it.
                let _written = write!(path, "M{} {}{half}h{}", at * DAY, y / 2, run.len() * DAY);
            }
            at += run.len();
        }
        (kind.class(), path)
    };
    kinds.into_iter().map(path).collect()
}

fn words(bars: &[Bar], record: &Record) -> String {
    let days = |kind: Bar| bars.iter().filter(|bar| **bar == kind).count();
    let known = bars.len() - days(Bar::Nothing);
    let mut words = vec![format!("the last {DAYS} days: {} with data", count(known, "day"))];
    for (kind, what) in [
        (Bar::Critical, "with a fault"),
        (Bar::Warning, "with a warning"),
        (Bar::Unknown, "without data of its own"),
        (Bar::Maintenance, "of maintenance"),
    ] {
        match days(kind) {
            0 => {}
            number => words.push(format!("{number} {what}")),
        }
    }
    let last = bars.iter().rposition(|bar| *bar == Bar::Critical);
    if let Some(at) = last {
        words.push(format!("the last fault on {}", day(record.today, DAYS - 1 - at)));
    }
    words.join(", ")
}

/// The day so many before a day, `2026-11-21`.
pub(crate) fn day(today: u32, before: usize) -> String {
    let number = i64::from(today) - i64::try_from(before).unwrap_or(0);
    let start: Date = date(1970, 1, 1);
    start.checked_add(jiff::Span::new().days(number)).unwrap_or(start).to_string()
}

/// The line of how long looks took, and the same in words.
fn line(took: &[u32]) -> (String, String) {
    let Some(most) = took.iter().max().filter(|_| took.len() > 1) else { return Default::default() };
    let step = (took.len() - 1).max(1);
    let mut path = String::with_capacity(took.len() * 8);
    let scale = u64::from((*most).max(1));
    for (at, millis) in took.iter().enumerate() {
        let y = HIGH as u64 - 1 - u64::from(*millis) * (HIGH as u64 - 2) / scale;
        let command = if at == 0 { "M" } else { "L" };
        let _written = write!(path, "{command}{} {y}", at * WIDE / step);
    }
    let (least, last) = (took.iter().min().unwrap_or(most), took.last().unwrap_or(most));
    (path, format!("a look took {last} ms lately, {least} to {most} ms in the last {} minutes", took.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stood(critical: u64) -> Stood {
        Stood { passing: 1_000, critical, ..Stood::default() }
    }

    #[test]
    fn days_in_a_row_are_one_stroke_and_a_fault_has_a_class_of_its_own() {
        let mut days = vec![None; DAYS - 4];
        days.extend([Some(stood(0)), Some(stood(0)), Some(stood(5)), Some(stood(0))]);
        let record = Record { days, today: 20_778, windows: [stood(1); 4], took: vec![10, 30, 20] };
        let view = RecordView::new(&record);
        assert_eq!(
            view.bars,
            [
                ("nothing", "M0 15h344".to_owned()),
                ("passing", "M344 8h8M356 8h4".to_owned()),
                ("critical", "M352 8h4".to_owned())
            ]
        );
        assert_eq!(
            view.bars_text,
            "the last 90 days: 4 days with data, 1 with a fault, the last fault on 2026-11-20"
        );
        assert_eq!(view.shares[0], ("24 h", "99.90 %".to_owned()));
        assert_eq!(view.line, "M0 16L60 1L120 9");
        assert_eq!(view.line_text, "a look took 20 ms lately, 10 to 30 ms in the last 3 minutes");
        assert!(view.is_known());
    }

    #[test]
    fn a_share_is_never_better_than_it_was() {
        let shown = |up: f64| percent(Some(up));
        assert_eq!(shown(1.0), "100 %");
        assert_eq!(shown(0.999_999), "99.99 %");
        assert_eq!(shown(0.987_65), "98.7 %");
        assert_eq!(shown(0.0), "0.0 %");
        assert_eq!(percent(None), "–");
    }

    #[test]
    fn no_data_and_maintenance_are_told_apart_from_both() {
        let of = |day: Stood| Bar::of(Some(&day));
        assert_eq!(of(Stood { unknown: 9, ..Stood::default() }), Bar::Unknown);
        assert_eq!(of(Stood { maintenance: 9, ..Stood::default() }), Bar::Maintenance);
        assert_eq!(of(Stood { maintenance: 9, passing: 1, ..Stood::default() }), Bar::Passing);
        assert_eq!(of(Stood { warning: 1, passing: 9, ..Stood::default() }), Bar::Warning);
        assert_eq!(of(Stood::default()), Bar::Nothing);
        assert_eq!(Bar::of(None), Bar::Nothing);
    }
}
