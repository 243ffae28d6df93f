//! When a line of a log was written, by what the line itself says.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};

/// Of a line, bytes in which a time is looked for.
const WHERE: usize = 160;

/// A time that stands so much further on in its line than the first one did is one that the line tells of.
const NEAR: usize = 16;

/// What is further away from the time before it must be borne out by the lines after it, milliseconds.
const DAY: i64 = 86_400_000;

const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// How a log writes its times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// `2026-11-21T12:00:00.123Z`, `2026-11-21 12:00:00,123`, `2026/11/21 12:00:00`: with an offset,
    /// or by the local clock.
    Iso,
    /// `21/Nov/2026:12:00:00 +0000`, as web servers do.
    Clf,
    /// `Nov 21 12:00:00`: the year is not said.
    Syslog,
    /// `1795262400.123`: seconds since 1970, at the beginning of the line.
    Epoch,
}

impl Style {
    /// The one that a line is written in, if any: further on there may be times of something else.
    pub(super) fn of(line: &[u8]) -> Option<Self> {
        let all = [Self::Iso, Self::Clf, Self::Syslog, Self::Epoch];
        (0..WHERE.min(line.len())).find_map(|at| all.into_iter().find(|style| style.at(line, at).is_some()))
    }

    /// What a line says from a place on.
    fn at(self, line: &[u8], at: usize) -> Option<Said> {
        let rest = line.get(at..)?;
        // Amid a longer number or word there is no time.
        let begins = at == 0 || !line.get(at - 1).is_some_and(u8::is_ascii_alphanumeric);
        if !begins {
            return None;
        }
        match self {
            Self::Iso => iso(rest),
            Self::Clf => clf(rest),
            Self::Syslog => syslog(rest),
            Self::Epoch => (at <= 1).then(|| epoch(rest)).flatten(),
        }
    }
}

/// What a line says of its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Said {
    year: Option<i16>,
    month: i8,
    day: i8,
    time: [i8; 3],
    millis: i64,
    /// Seconds east; `None`: the local clock.
    offset: Option<i32>,
    /// Seconds since 1970, where it is written so.
    epoch: Option<i64>,
}

/// Reads the times of one log, line by line.
#[derive(Clone, Debug)]
pub(super) struct Stamps {
    style: Style,
    zone: TimeZone,
    /// When the log was last written, milliseconds since 1970.
    until: i64,
    /// Where the first was found, and the latest: most are at the same place.
    first: Option<usize>,
    place: usize,
    /// The latest, milliseconds since 1970.
    latest: Option<i64>,
    /// The year that is not said.
    year: i16,
    /// The month of the latest: after December comes January, of the next year. 0: there was none.
    month: i8,
    /// The latest hour by the local clock, and where it begins on the axis.
    hour: Option<(DateTime, i64)>,
}

/// A time that was found in a line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp {
    /// Milliseconds since 1970.
    pub(super) at: i64,
    place: usize,
    /// The year and month, where a line does not say its year and none before it is later.
    turn: Option<(i16, i8)>,
    hour: Option<(DateTime, i64)>,
}

impl Stamps {
    /// Reads times of that style. What does not say its year was written before `until`,
    /// milliseconds since 1970.
    pub(super) fn new(style: Style, zone: TimeZone, until: i64) -> Self {
        let at = jiff::Timestamp::from_millisecond(until).unwrap_or_default();
        let year = at.to_zoned(zone.clone()).year();
        Self { style, zone, until, first: None, place: 0, latest: None, year, month: 0, hour: None }
    }

    /// The same from the first line of the log on, which tells the year that the log begins in.
    pub(super) fn beginning(mut self, first: &[u8], until: i64) -> Self {
        if self.style == Style::Syslog
            && let Some(stamp) = self.find(first)
            // Clocks differ by hours at most.
            && stamp.at > until.saturating_add(DAY)
        {
            self.year -= 1;
        }
        self
    }

    /// The time in a line, where the log has its times; `None` when there is none.
    pub(super) fn find(&self, line: &[u8]) -> Option<Stamp> {
        let (place, said) = self.style.at(line, self.place).map(|said| (self.place, said)).or_else(|| {
            // What web servers write before it has any length.
            let first = self.first.filter(|_| self.style != Style::Clf);
            let most = first.map_or(WHERE, |first| first + NEAR + 1).min(line.len());
            (0..most).find_map(|at| Some((at, self.style.at(line, at)?)))
        })?;
        if let Some(epoch) = said.epoch {
            let at = epoch.saturating_mul(1_000).saturating_add(said.millis);
            return Some(Stamp { at, place, turn: None, hour: self.hour });
        }
        let (year, turn) = match said.year {
            Some(year) => (year, None),
            // One that was written down late.
            None if self.month == 1 && said.month == 12 => (self.year - 1, None),
            None => {
                // So many months do not go back: it is the next year.
                let year = self.year + i16::from(self.month >= said.month + 6);
                (year, Some((year, said.month)))
            }
        };
        let [hour, minute, second] = said.time;
        let begins = Date::new(year, said.month, said.day).ok()?.to_datetime(Time::new(hour, 0, 0, 0).ok()?);
        let (begins, hour) = match (said.offset, self.hour) {
            (Some(offset), _) => {
                let at = Offset::from_seconds(offset).ok()?.to_timestamp(begins).ok()?;
                (at.as_millisecond(), self.hour)
            }
            (None, Some((known, at))) if known == begins => (at, self.hour),
            (None, _) => {
                let at = self.zone.to_timestamp(begins).ok()?.as_millisecond();
                (at, Some((begins, at)))
            }
        };
        let at = begins + (i64::from(minute) * 60 + i64::from(second)) * 1_000 + said.millis;
        Some(Stamp { at, place, turn, hour })
    }

    /// Goes on from a time that was found.
    pub(super) fn accept(&mut self, stamp: &Stamp) {
        let Stamp { at, place, turn, hour } = *stamp;
        self.first.get_or_insert(place);
        (self.place, self.hour, self.latest) = (place, hour, Some(at));
        (self.year, self.month) = turn.unwrap_or((self.year, self.month));
    }

    /// Whether a time is so far from the latest that it may be one that a line only tells of.
    pub(super) fn is_odd(&self, stamp: &Stamp) -> bool {
        self.latest.is_some_and(|latest| latest.abs_diff(stamp.at) > DAY.unsigned_abs())
    }

    /// Whether a later line bears an odd time out: it does not go back to what was before.
    pub(super) fn bears_out(&self, odd: &Stamp, later: &Stamp) -> bool {
        self.latest.is_none_or(|latest| later.at.abs_diff(odd.at) < later.at.abs_diff(latest))
    }

    /// Whether an odd time that nothing follows can be that of its line: it stands where all do, and
    /// nothing is written after the end of a log.
    pub(super) fn may_be(&self, stamp: &Stamp) -> bool {
        Some(stamp.place) == self.first && self.is_past(stamp)
    }

    /// Whether a time was before the log was last written. Clocks differ by hours at most.
    pub(super) fn is_past(&self, stamp: &Stamp) -> bool {
        stamp.at <= self.until.saturating_add(DAY)
    }
}

/// A number of so many digits.
fn digits(text: &[u8], from: usize, count: usize) -> Option<i64> {
    let part = text.get(from..from + count)?;
    part.iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
}

fn small(text: &[u8], from: usize, low: i64, high: i64) -> Option<i8> {
    let number = digits(text, from, 2).filter(|number| (low..=high).contains(number))?;
    i8::try_from(number).ok()
}

/// `HH:MM:SS`; a leap second counts as the one before.
fn clock(text: &[u8], from: usize) -> Option<[i8; 3]> {
    let colons = text.get(from + 2) == Some(&b':') && text.get(from + 5) == Some(&b':');
    let time =
        [small(text, from, 0, 23)?, small(text, from + 3, 0, 59)?, small(text, from + 6, 0, 60)?.min(59)];
    (colons && !text.get(from + 8).is_some_and(u8::is_ascii_digit)).then_some(time)
}

/// `.123` or `,123456`: milliseconds, and how many bytes that is.
fn fraction(text: &[u8], from: usize) -> (i64, usize) {
    let begins = matches!(text.get(from), Some(b'.' | b','));
    let rest = text.get(from + 1..).unwrap_or_default();
    let count = rest.iter().take(9).take_while(|byte| byte.is_ascii_digit()).count();
    if !begins || count == 0 {
        return (0, 0);
    }
    let digit =
        |place: usize| rest.get(place).filter(|_| place < count).map_or(0, |byte| i64::from(byte - b'0'));
    (digit(0) * 100 + digit(1) * 10 + digit(2), count + 1)
}

/// `Z`, `+01:00`, `+0100`, ` +0100`: seconds east.
fn offset(text: &[u8], from: usize) -> Option<i32> {
    let from = from + usize::from(text.get(from) == Some(&b' '));
    let sign = match text.get(from)? {
        b'Z' | b'z' => return Some(0),
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let colon = usize::from(text.get(from + 3) == Some(&b':'));
    let hours = i32::from(small(text, from + 1, 0, 23)?);
    let minutes = i32::from(small(text, from + 3 + colon, 0, 59)?);
    Some(sign * (hours * 3_600 + minutes * 60))
}

fn iso(text: &[u8]) -> Option<Said> {
    let mark = *text.get(4)?;
    let dashed = matches!(mark, b'-' | b'/') && text.get(7) == Some(&mark);
    if !dashed || !matches!(text.get(10), Some(b'T' | b't' | b' ')) {
        return None;
    }
    let year = digits(text, 0, 4).filter(|year| (1_970..2_200).contains(year))?;
    let time = clock(text, 11)?;
    let (millis, length) = fraction(text, 19);
    Some(Said {
        year: Some(i16::try_from(year).ok()?),
        month: small(text, 5, 1, 12)?,
        day: small(text, 8, 1, 31)?,
        time,
        millis,
        offset: offset(text, 19 + length),
        epoch: None,
    })
}

fn month(text: &[u8]) -> Option<i8> {
    let place = MONTHS.iter().position(|month| text.get(..3) == Some(&month[..]))?;
    i8::try_from(place + 1).ok()
}

fn clf(text: &[u8]) -> Option<Said> {
    let slashes = text.get(2) == Some(&b'/') && text.get(6) == Some(&b'/') && text.get(11) == Some(&b':');
    if !slashes {
        return None;
    }
    let year = digits(text, 7, 4).filter(|year| (1_970..2_200).contains(year))?;
    Some(Said {
        year: Some(i16::try_from(year).ok()?),
        month: month(text.get(3..)?)?,
        day: small(text, 0, 1, 31)?,
        time: clock(text, 12)?,
        millis: 0,
        offset: offset(text, 20),
        epoch: None,
    })
}

fn syslog(text: &[u8]) -> Option<Said> {
    let month = month(text)?;
    if text.get(3) != Some(&b' ') || text.get(6) != Some(&b' ') {
        return None;
    }
    let day = match text.get(4)? {
        b' ' => i8::try_from(digits(text, 5, 1).filter(|day| *day > 0)?).ok()?,
        _ => small(text, 4, 1, 31)?,
    };
    let (millis, _) = fraction(text, 15);
    Some(Said { year: None, month, day, time: clock(text, 7)?, millis, offset: None, epoch: None })
}

fn epoch(text: &[u8]) -> Option<Said> {
    let count = text.iter().take(14).take_while(|byte| byte.is_ascii_digit()).count();
    let number = digits(text, 0, count)?;
    let (epoch, millis) = match count {
        10 => (number, fraction(text, 10).0),
        13 => (number / 1_000, number % 1_000),
        _ => return None,
    };
    Some(Said { year: None, month: 1, day: 1, time: [0; 3], millis, offset: None, epoch: Some(epoch) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-21T12:00:00Z
    const NOON: i64 = 1_795_262_400_000;

    fn read(line: &str) -> Option<i64> {
        let style = Style::of(line.as_bytes())?;
        let stamps = Stamps::new(style, TimeZone::UTC, NOON).beginning(line.as_bytes(), NOON);
        stamps.find(line.as_bytes()).map(|stamp| stamp.at)
    }

    /// The time of a line, from which the next goes on.
    fn next(stamps: &mut Stamps, line: &str) -> Option<i64> {
        let stamp = stamps.find(line.as_bytes())?;
        stamps.accept(&stamp);
        Some(stamp.at)
    }

    #[test]
    fn times_are_found_however_they_are_written() {
        let same = [
            "2026-11-21T12:00:00Z said",
            "2026-11-21 12:00:00 INFO said",
            "2026-11-21 12:00:00,000 said",
            "2026/11/21 12:00:00 said",
            "2026-11-21T13:00:00+01:00 said",
            "2026-11-21T04:30:00.000000-0730 said",
            "INFO [2026-11-21 12:00:00] said",
            "127.0.0.1 - - [21/Nov/2026:13:00:00 +0100] \"GET /\"",
            "Nov 21 12:00:00 host program[7]: said",
            "<13>Nov 21 12:00:00 host program: said",
            "1795262400 said",
            "[1795262400.000] said",
            "1795262400000 said",
        ];
        for line in same {
            assert_eq!(read(line), Some(NOON), "{line}");
        }
        assert_eq!(read("2026-11-21T12:00:00.1239Z"), Some(NOON + 123));
        assert_eq!(read("Nov  1 12:00:00 host"), Some(NOON - 20 * 86_400_000));
    }

    #[test]
    fn what_is_no_time_is_none() {
        for line in [
            "",
            "said",
            "2026-13-21T12:00:00Z",
            "2026-11-21T25:00:00Z",
            "12026-11-21T12:00:00Z",
            "2026-11-21",
            "Nov 2112:00:00",
            "version 1795262400",
            "179526240 x",
            "21/Now/2026:12:00:00",
        ] {
            assert_eq!(read(line), None, "{line}");
        }
    }

    #[test]
    fn a_year_that_is_not_said_is_the_latest_that_fits() {
        let new_year = 1_798_761_600_000; // 2027-01-01T00:00:00Z
        let until = new_year + 86_400_000;
        let first = "Dec 31 23:59:59 host";
        let mut stamps = Stamps::new(Style::Syslog, TimeZone::UTC, until).beginning(first.as_bytes(), until);
        assert_eq!(next(&mut stamps, first), Some(new_year - 1_000));
        assert_eq!(next(&mut stamps, "Jan  1 00:00:01 host"), Some(new_year + 1_000));
        assert_eq!(next(&mut stamps, "no time at all"), None);
        // One that comes late is of the year before, and the next one is not of the year after.
        assert_eq!(next(&mut stamps, "Dec 31 23:59:58 host"), Some(new_year - 2_000));
        assert_eq!(next(&mut stamps, "Jan  1 00:00:02 host"), Some(new_year + 2_000));
    }

    #[test]
    fn the_first_time_in_a_line_is_its_own_and_those_far_behind_are_not() {
        let line = "Nov 21 12:00:00 host program: from 2020-01-01 00:00:00";
        assert_eq!((Style::of(line.as_bytes()), read(line)), (Some(Style::Syslog), Some(NOON)));
        let mut stamps = Stamps::new(Style::Iso, TimeZone::UTC, NOON);
        assert_eq!(next(&mut stamps, "INFO 2026-11-21 12:00:00 one"), Some(NOON));
        assert_eq!(next(&mut stamps, "WARNING 2026-11-21 12:00:01 two"), Some(NOON + 1_000));
        assert_eq!(next(&mut stamps, "the certificate of a.example expires 2026-11-22 00:00:00"), None);
        let mut stamps = Stamps::new(Style::Clf, TimeZone::UTC, NOON);
        let web = |address: &str| format!("{address} - - [21/Nov/2026:12:00:00 +0000] \"GET /\"");
        assert_eq!(next(&mut stamps, &web("1.2.3.4")), Some(NOON));
        assert_eq!(next(&mut stamps, &web("2001:db8:1111:2222:3333:4444:5555:6666")), Some(NOON));
    }

    #[test]
    fn the_local_clock_counts_where_nothing_else_is_said() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let line = b"2026-11-21 14:00:00 said";
        assert_eq!(Stamps::new(Style::Iso, zone, NOON).find(line).map(|stamp| stamp.at), Some(NOON));
    }
}
