//! Times as Go programs store and show them.

use std::fmt;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned, civil};
use serde::{Serialize, Serializer};
use thiserror::Error;

use crate::push;

/// A point in time with the zone in which it is shown.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Zoned);

/// A stored time that is none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{found}` is no time such as 2026-11-21T00:18:22.9Z")]
pub struct MomentError {
    found: String,
}

impl Moment {
    /// The time that stands for "never": the first instant of the year 1.
    pub fn zero() -> Self {
        let first = civil::date(1, 1, 1).at(0, 0, 0, 0);
        Self(first.to_zoned(TimeZone::UTC).unwrap_or_default())
    }

    /// An instant, shown in the zone.
    pub fn new(at: Timestamp, zone: TimeZone) -> Self {
        Self(at.to_zoned(zone))
    }

    /// An instant, shown in universal time.
    pub fn utc(at: Timestamp) -> Self {
        Self::new(at, TimeZone::UTC)
    }

    /// Reads RFC 3339; the offset is kept.
    pub fn parse(text: &str) -> Result<Self, MomentError> {
        let wrong = || MomentError { found: text.chars().take(60).collect() };
        // More lenient formats pass jiff's parser; Go wants exactly this one.
        if text.as_bytes().get(10) != Some(&b'T') || text.contains('[') {
            return Err(wrong());
        }
        let at: Timestamp = text.parse().map_err(|_error| wrong())?;
        let pieces = jiff::fmt::temporal::Pieces::parse(text).map_err(|_error| wrong())?;
        let zone = match pieces.to_numeric_offset() {
            // Go knows no offsets with seconds, and none could be written again.
            Some(offset) if offset.seconds() % 60 != 0 => return Err(wrong()),
            Some(offset) if offset.seconds() != 0 => TimeZone::fixed(offset),
            _ => TimeZone::UTC,
        };
        Ok(Self::new(at, zone))
    }

    /// Whether it stands for "never".
    pub fn is_zero(&self) -> bool {
        self.0.timestamp() == Self::zero().0.timestamp()
    }

    /// The instant.
    pub fn timestamp(&self) -> Timestamp {
        self.0.timestamp()
    }

    /// The same instant in universal time.
    #[must_use]
    pub fn to_utc(&self) -> Self {
        Self::utc(self.timestamp())
    }

    /// RFC 3339 with as many digits of the second as are not zero at its end.
    pub fn rfc3339(&self) -> String {
        self.format("2006-01-02T15:04:05.999999999Z07:00")
    }

    /// The text that a layout asks for: how Go's reference time, 2006-01-02 15:04:05 MST, would
    /// be shown by it.
    pub fn format(&self, layout: &str) -> String {
        let mut text = String::new();
        let mut rest = layout;
        while let Some(character) = rest.chars().next() {
            if let Some((element, length)) = element(rest) {
                self.write(element, &mut text);
                rest = rest.get(length..).unwrap_or_default();
            } else {
                text.push(character);
                rest = rest.get(character.len_utf8()..).unwrap_or_default();
            }
        }
        text
    }

    pub(crate) fn zoned(&self) -> &Zoned {
        &self.0
    }

    fn write(&self, element: Element, text: &mut String) {
        let at = &self.0;
        let (month, weekday) = (month_name(at.month()), weekday_name(at.weekday()));
        let twelve = match at.hour() % 12 {
            0 => 12,
            hour => hour,
        };
        let short = |name: &'static str| name.get(..3).unwrap_or(name);
        match element {
            Element::Month => text.push_str(month),
            Element::Mon => text.push_str(short(month)),
            Element::MonthNumber(pad) => pad.write(i64::from(at.month()), text),
            Element::Weekday => text.push_str(weekday),
            Element::Wkd => text.push_str(short(weekday)),
            Element::Day(pad) => pad.write(i64::from(at.day()), text),
            Element::YearDay(pad) => pad.write(i64::from(at.day_of_year()), text),
            Element::Hour => Pad::Zero(2).write(i64::from(at.hour()), text),
            Element::Hour12(pad) => pad.write(i64::from(twelve), text),
            Element::Half(upper) => text.push_str(match (at.hour() >= 12, upper) {
                (true, true) => "PM",
                (true, false) => "pm",
                (false, true) => "AM",
                (false, false) => "am",
            }),
            Element::Minute(pad) => pad.write(i64::from(at.minute()), text),
            Element::Second(pad) => pad.write(i64::from(at.second()), text),
            Element::Year => Pad::Zero(4).write(i64::from(at.year()), text),
            Element::Year2 => Pad::Zero(2).write(i64::from(at.year()).rem_euclid(100), text),
            Element::Zone => text.push_str(&self.zone_name()),
            Element::Offset { z, colons, parts } => {
                if z && at.offset().seconds() == 0 {
                    text.push('Z');
                } else {
                    text.push_str(&offset_text(at.offset().seconds(), colons, parts));
                }
            }
            Element::Fraction { sign, digits, trim } => {
                let nanos = format!("{:09}", at.subsec_nanosecond());
                let shown = nanos.get(..digits.min(9)).unwrap_or_default();
                let shown = if trim { shown.trim_end_matches('0') } else { shown };
                if !shown.is_empty() {
                    text.push(sign);
                    text.push_str(shown);
                }
            }
        }
    }

    /// `CET`; an offset without a name is shown as such.
    fn zone_name(&self) -> String {
        let zone = self.0.time_zone();
        if zone == &TimeZone::UTC {
            return "UTC".to_owned();
        }
        match zone.to_fixed_offset() {
            Ok(offset) if offset.seconds() == 0 => "UTC".to_owned(),
            Ok(offset) => offset_text(offset.seconds(), false, 2),
            Err(_) => zone.to_offset_info(self.0.timestamp()).abbreviation().to_owned(),
        }
    }
}

impl Default for Moment {
    fn default() -> Self {
        Self::zero()
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.format("2006-01-02 15:04:05.999999999 -0700 MST"))
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.rfc3339())
    }
}

/// What a layout can ask for.
#[derive(Clone, Copy)]
enum Element {
    Month,
    Mon,
    MonthNumber(Pad),
    Weekday,
    Wkd,
    Day(Pad),
    YearDay(Pad),
    Hour,
    Hour12(Pad),
    Half(bool),
    Minute(Pad),
    Second(Pad),
    Year,
    Year2,
    Zone,
    Offset { z: bool, colons: bool, parts: usize },
    Fraction { sign: char, digits: usize, trim: bool },
}

/// How a number is brought to its width.
#[derive(Clone, Copy)]
enum Pad {
    No,
    Zero(usize),
    Blank(usize),
}

impl Pad {
    fn write(self, number: i64, text: &mut String) {
        match self {
            Self::No => push(text, format_args!("{number}")),
            Self::Zero(width) => push(text, format_args!("{number:0width$}")),
            Self::Blank(width) => push(text, format_args!("{number:width$}")),
        }
    }
}

/// The elements without those of months' and days' short names and of fractions; of two of which
/// one begins like the other, the longer comes first.
const ELEMENTS: &[(&str, Element)] = &[
    ("January", Element::Month),
    ("Monday", Element::Weekday),
    ("MST", Element::Zone),
    ("002", Element::YearDay(Pad::Zero(3))),
    ("01", Element::MonthNumber(Pad::Zero(2))),
    ("02", Element::Day(Pad::Zero(2))),
    ("03", Element::Hour12(Pad::Zero(2))),
    ("04", Element::Minute(Pad::Zero(2))),
    ("05", Element::Second(Pad::Zero(2))),
    ("06", Element::Year2),
    ("15", Element::Hour),
    ("1", Element::MonthNumber(Pad::No)),
    ("2006", Element::Year),
    ("2", Element::Day(Pad::No)),
    ("__2", Element::YearDay(Pad::Blank(3))),
    ("_2", Element::Day(Pad::Blank(2))),
    ("3", Element::Hour12(Pad::No)),
    ("4", Element::Minute(Pad::No)),
    ("5", Element::Second(Pad::No)),
    ("PM", Element::Half(true)),
    ("pm", Element::Half(false)),
    ("-07:00:00", Element::Offset { z: false, colons: true, parts: 3 }),
    ("-070000", Element::Offset { z: false, colons: false, parts: 3 }),
    ("-07:00", Element::Offset { z: false, colons: true, parts: 2 }),
    ("-0700", Element::Offset { z: false, colons: false, parts: 2 }),
    ("-07", Element::Offset { z: false, colons: false, parts: 1 }),
    ("Z07:00:00", Element::Offset { z: true, colons: true, parts: 3 }),
    ("Z070000", Element::Offset { z: true, colons: false, parts: 3 }),
    ("Z07:00", Element::Offset { z: true, colons: true, parts: 2 }),
    ("Z0700", Element::Offset { z: true, colons: false, parts: 2 }),
    ("Z07", Element::Offset { z: true, colons: false, parts: 1 }),
];

/// The element with which a layout begins, and its length.
fn element(layout: &str) -> Option<(Element, usize)> {
    // `_2006` is an underscore and a year.
    if layout.starts_with("_2006") {
        return None;
    }
    if let Some((text, element)) = ELEMENTS.iter().find(|(text, _)| layout.starts_with(text)) {
        return Some((*element, text.len()));
    }
    let short = |name: &str| {
        let after = layout.strip_prefix(name)?;
        (!after.starts_with(|next: char| next.is_ascii_lowercase())).then_some(name.len())
    };
    if let Some(length) = short("Jan") {
        return Some((Element::Mon, length));
    }
    if let Some(length) = short("Mon") {
        return Some((Element::Wkd, length));
    }
    fraction(layout)
}

/// `.000` shows so many digits, `.999` leaves zeros at the end away.
fn fraction(layout: &str) -> Option<(Element, usize)> {
    let sign = layout.chars().next().filter(|sign| matches!(sign, '.' | ','))?;
    let rest = layout.get(1..)?;
    let digit = rest.chars().next().filter(|digit| matches!(digit, '0' | '9'))?;
    let digits = rest.len() - rest.trim_start_matches(digit).len();
    let over = rest.get(digits..)?.starts_with(|next: char| next.is_ascii_digit());
    (!over).then_some((Element::Fraction { sign, digits, trim: digit == '9' }, digits + 1))
}

fn offset_text(seconds: i32, colons: bool, parts: usize) -> String {
    let sign = if seconds < 0 { '-' } else { '+' };
    let size = seconds.unsigned_abs();
    let numbers = [size / 3600, size / 60 % 60, size % 60];
    let shown: Vec<_> = numbers.iter().take(parts).map(|number| format!("{number:02}")).collect();
    format!("{sign}{}", shown.join(if colons { ":" } else { "" }))
}

pub(crate) const fn month_name(month: i8) -> &'static str {
    match month {
        1 => "January",
        2 => "February",
        3 => "March",
        4 => "April",
        5 => "May",
        6 => "June",
        7 => "July",
        8 => "August",
        9 => "September",
        10 => "October",
        11 => "November",
        _ => "December",
    }
}

pub(crate) const fn weekday_name(day: civil::Weekday) -> &'static str {
    match day {
        civil::Weekday::Monday => "Monday",
        civil::Weekday::Tuesday => "Tuesday",
        civil::Weekday::Wednesday => "Wednesday",
        civil::Weekday::Thursday => "Thursday",
        civil::Weekday::Friday => "Friday",
        civil::Weekday::Saturday => "Saturday",
        civil::Weekday::Sunday => "Sunday",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn shown(layout: &str, expected: &str) {
        let at = Moment::parse("2026-02-03T16:05:09.120300000+05:30").unwrap();
        assert_eq!(at.format(layout), expected, "{layout}");
    }

    #[test]
    fn every_element_of_a_layout_shows_its_part() {
        for (layout, expected) in [
            ("2006-01-02 15:04:05", "2026-02-03 16:05:09"),
            ("Mon Jan _2 15:04:05 2006", "Tue Feb  3 16:05:09 2026"),
            ("Monday, 02-Jan-06 15:04:05 MST", "Tuesday, 03-Feb-26 16:05:09 +0530"),
            ("Mon, 02 Jan 2006 15:04:05 -0700", "Tue, 03 Feb 2026 16:05:09 +0530"),
            ("2006-01-02T15:04:05Z07:00", "2026-02-03T16:05:09+05:30"),
            ("2006-01-02T15:04:05.999999999Z07:00", "2026-02-03T16:05:09.1203+05:30"),
            ("3:04PM 3:04pm 03", "4:05PM 4:05pm 04"),
            ("1/2/06 4m 5s", "2/3/26 5m 9s"),
            ("002 __2 _2006", "034  34 _2026"),
            (".000 .000000 ,00 .9 .999", ".120 .120300 ,12 .1 .12"),
            ("Month Janet 7 8 9 0", "Month Janet 7 8 9 0"),
            ("-07 Z0700 -07:00:00 Z07 -070000", "+05 +0530 +05:30:00 +05 +053000"),
            ("January Monday", "February Tuesday"),
            ("é☃", "é☃"),
        ] {
            shown(layout, expected);
        }
    }

    #[test]
    fn universal_time_is_a_z() {
        let at = Moment::parse("2026-11-21T00:18:22.913805283Z").unwrap();
        assert_eq!(at.rfc3339(), "2026-11-21T00:18:22.913805283Z");
        assert_eq!(at.to_string(), "2026-11-21 00:18:22.913805283 +0000 UTC");
        assert_eq!(Moment::parse("2026-11-21T12:00:00+00:00").unwrap().rfc3339(), "2026-11-21T12:00:00Z");
        assert_eq!(Moment::parse("2026-11-21T12:00:00Z").unwrap().format("Z07:00 Z0700"), "Z Z");
    }

    #[test]
    fn never_is_the_first_of_all_days() {
        assert_eq!(Moment::zero().rfc3339(), "0001-01-01T00:00:00Z");
        assert!(Moment::parse("0001-01-01T00:00:00Z").unwrap().is_zero());
        assert!(!Moment::parse("2026-11-21T12:00:00Z").unwrap().is_zero());
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["", "2026-11-21", "2026-11-21 12:00:00Z", "2026-11-21T12:00:00", "x"] {
            assert!(Moment::parse(text).is_err(), "{text}");
        }
    }
}
