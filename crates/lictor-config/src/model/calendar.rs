//! Times that come again, as cron has them, in a time zone.

use std::fmt;
use std::time::Duration;

use cronexpr::Crontab;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

/// No clock was ever changed by more than this at once.
const CHANGE: Duration = Duration::from_secs(26 * 3_600);

/// When something happens again and again: five fields as cron has them, in a time zone.
///
/// What falls into an hour that the clocks skip happens once, when they have been put forward; what
/// falls into an hour that comes twice happens in the first.
#[derive(Clone)]
pub struct Calendar {
    text: String,
    /// The fields on a clock that is never changed.
    fields: Crontab,
    zone: TimeZone,
}

impl Calendar {
    /// Minute, hour, day of the month, month and day of the week: numbers, names of three letters,
    /// `*`, ranges, steps and lists.
    ///
    /// # Errors
    /// Says what is wrong with the text; also when it never happens, such as on 30 February.
    pub fn new(text: &str, zone: TimeZone) -> Result<Self, String> {
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        if fields.len() != 5 {
            let count = fields.len();
            return Err(format!("it has {count} fields, not minute, hour, day, month and weekday"));
        }
        let mut parts = fields.iter().flat_map(|field| field.split([',', '-', '/']));
        match parts.find(|part| !plain(part)) {
            Some("") => return Err("something is missing beside a `,`, `-` or `/`".to_owned()),
            Some(odd) => return Err(format!("`{odd}` is neither a number nor a name nor `*`")),
            None => {}
        }
        let text = fields.join(" ");
        let fields = cronexpr::parse_crontab(&format!("{text} UTC")).map_err(|error| reason(&error))?;
        let calendar = Self { text, fields, zone };
        match calendar.next(Timestamp::UNIX_EPOCH) {
            Some(_) => Ok(calendar),
            None => Err("it never happens".to_owned()),
        }
    }

    /// The first time after that instant.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        // After a change of the clocks the same hour may come again: begin before it.
        let changed = self.zone.preceding(after).next().map(|change| change.timestamp());
        let near = changed.filter(|change| change.duration_until(after).unsigned_abs() < CHANGE);
        let from = if near.is_some() { after.checked_sub(CHANGE).ok()? } else { after };
        let mut on_the_wall = pretended(self.zone.to_datetime(from))?;
        loop {
            on_the_wall = self.fields.find_next(on_the_wall).ok()?.timestamp();
            let found = self.instant(Offset::UTC.to_datetime(on_the_wall))?;
            if found > after {
                return Some(found);
            }
        }
    }

    /// The instant at which the clocks show that, or pass over it.
    pub(crate) fn instant(&self, shown: DateTime) -> Option<Timestamp> {
        instant(&self.zone, shown)
    }

    /// The time zone.
    pub const fn zone(&self) -> &TimeZone {
        &self.zone
    }
}

/// The first instant at which the clocks of a time zone show that, or pass over it.
pub(crate) fn instant(zone: &TimeZone, shown: DateTime) -> Option<Timestamp> {
    match zone.to_ambiguous_timestamp(shown).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(shown).ok(),
        AmbiguousOffset::Fold { before, .. } => before.to_timestamp(shown).ok(),
        AmbiguousOffset::Gap { after, .. } => {
            let before = after.to_timestamp(shown).ok()?;
            zone.following(before).next().map(|change| change.timestamp())
        }
    }
}

/// What a clock shows as an instant of a clock that is never changed.
fn pretended(shown: DateTime) -> Option<Timestamp> {
    Offset::UTC.to_timestamp(shown).ok()
}

/// Whether a part of a field is of the plain form that every cron reads alike.
fn plain(part: &str) -> bool {
    let name = part.len() == 3 && part.bytes().all(|byte| byte.is_ascii_alphabetic());
    let number = (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    part == "*" || name || number
}

/// The last line of what the parser says, in which it names the cause.
fn reason(error: &cronexpr::Error) -> String {
    let text = error.to_string();
    text.lines().last().unwrap_or_default().trim_start_matches([' ', '^']).to_owned()
}

impl PartialEq for Calendar {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.zone == other.zone
    }
}

impl fmt::Display for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.text, self.zone.iana_name().unwrap_or("local time"))
    }
}

impl fmt::Debug for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Calendar({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;
    use jiff::{SignedDuration, ToSpan as _};

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    /// The next so many times, as the clocks show them.
    fn times(cron: &str, name: &str, from: &str, count: usize) -> Vec<String> {
        let calendar = Calendar::new(cron, zone(name)).unwrap();
        let next = |at: &Timestamp| calendar.next(*at);
        let first = next(&from.parse().unwrap());
        let found = std::iter::successors(first, next).take(count);
        found.map(|at| at.to_zoned(zone(name)).strftime("%m-%d %H:%M%:z").to_string()).collect()
    }

    #[test]
    fn what_is_skipped_is_when_the_clocks_have_been_put_forward() {
        let berlin = |cron| times(cron, "Europe/Berlin", "2026-03-28T12:00:00Z", 3);
        assert_eq!(berlin("30 2 * * *"), ["03-29 03:00+02:00", "03-30 02:30+02:00", "03-31 02:30+02:00"]);
        assert_eq!(berlin("0 2 * * *"), ["03-29 03:00+02:00", "03-30 02:00+02:00", "03-31 02:00+02:00"]);
        assert_eq!(berlin("59 1 * * *"), ["03-29 01:59+01:00", "03-30 01:59+02:00", "03-31 01:59+02:00"]);
        assert_eq!(berlin("0 3 * * *"), ["03-29 03:00+02:00", "03-30 03:00+02:00", "03-31 03:00+02:00"]);
        let twice = berlin("15,45 2,3 * * *");
        assert_eq!(
            twice,
            ["03-29 03:00+02:00", "03-29 03:15+02:00", "03-29 03:45+02:00"],
            "skipped ones are one"
        );
    }

    #[test]
    fn what_comes_twice_is_the_first() {
        let berlin = |cron, from| times(cron, "Europe/Berlin", from, 2);
        assert_eq!(berlin("30 2 * * *", "2026-10-24T12:00:00Z"), ["10-25 02:30+02:00", "10-26 02:30+01:00"]);
        assert_eq!(berlin("30 2 * * *", "2026-10-25T00:30:00Z"), ["10-26 02:30+01:00", "10-27 02:30+01:00"]);
        assert_eq!(berlin("30 2 * * *", "2026-10-25T01:10:00Z"), ["10-26 02:30+01:00", "10-27 02:30+01:00"]);
        assert_eq!(berlin("0 3 * * *", "2026-10-24T12:00:00Z"), ["10-25 03:00+01:00", "10-26 03:00+01:00"]);
    }

    #[test]
    fn zones_with_odd_clocks() {
        // Half an hour, in a summer at the other end of the year.
        let howe = times("10 2 * * *", "Australia/Lord_Howe", "2026-10-02T20:00:00Z", 2);
        assert_eq!(howe, ["10-04 02:30+11:00", "10-05 02:10+11:00"]);
        // Samoa had no 30 December 2011.
        let samoa = times("0 12 * * *", "Pacific/Apia", "2011-12-29T10:00:00Z", 3);
        assert_snapshot!(samoa.join(", "), @"12-29 12:00-10:00, 12-31 00:00+14:00, 12-31 12:00+14:00");
    }

    /// Each day has one time, whatever the clocks do, and nothing is ever earlier than before.
    #[test]
    fn a_daily_time_is_once_a_day_all_year() {
        for name in ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "UTC"] {
            for cron in ["0 0 * * *", "30 1 * * *", "0 2 * * *", "15 2 * * *", "59 2 * * *", "0 3 * * *"] {
                let calendar = Calendar::new(cron, zone(name)).unwrap();
                let mut at: Timestamp = "2025-12-31T23:59:59Z".parse().unwrap();
                let mut day = calendar.zone().to_datetime(calendar.next(at).unwrap()).date();
                for _ in 0..365 {
                    let next = calendar.next(at).unwrap();
                    assert!(next > at);
                    assert_eq!(calendar.zone().to_datetime(next).date(), day, "{cron} in {name}");
                    (at, day) = (next, day.checked_add(1.day()).unwrap());
                }
            }
        }
    }

    /// From wherever one asks, the answer is the next of the whole list.
    #[test]
    fn the_next_is_the_same_from_everywhere_before_it() {
        for (from, name) in
            [("2026-03-28T18:00:00Z", "Europe/Berlin"), ("2026-10-24T18:00:00Z", "Europe/Berlin")]
        {
            let calendar = Calendar::new("*/20 1-3 * * *", zone(name)).unwrap();
            let start: Timestamp = from.parse().unwrap();
            let all: Vec<Timestamp> =
                std::iter::successors(calendar.next(start), |at| calendar.next(*at)).take(30).collect();
            let mut now = start;
            while now < all[20] {
                let expected = all.iter().find(|at| **at > now).unwrap();
                assert_eq!(calendar.next(now), Some(*expected), "{now}");
                now += SignedDuration::from_secs(13 * 60 + 7);
            }
        }
    }

    #[test]
    fn what_is_no_time() {
        let why = |text: &str| Calendar::new(text, TimeZone::UTC).unwrap_err();
        let all = [
            "",
            "* * * *",
            "* * * * * UTC",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 8",
        ];
        let more = [
            "0 0 30 2 *",
            "0 0 L * *",
            "0 0 * * 5L",
            "0 0 15W * *",
            "0 0 * * 5#3",
            "H * * * *",
            "5-1 * * * *",
        ];
        let rest =
            ["*/0 * * * *", "0 0 * foo *", "-1 * * * *", "a b c d e", "\u{e9} * * * *", "0 8 * * mon,"];
        let shown = |text: &&str| format!("{text}: {}", why(text));
        assert_snapshot!(all.iter().chain(&more).chain(&rest).map(shown).collect::<Vec<_>>().join("\n"), @r"
        : it has 0 fields, not minute, hour, day, month and weekday
        * * * *: it has 4 fields, not minute, hour, day, month and weekday
        * * * * * UTC: it has 6 fields, not minute, hour, day, month and weekday
        60 * * * *: value must be in range 0..=59; found 60
        * 24 * * *: value must be in range 0..=23; found 24
        * * 0 * *: value must be in range 1..=31; found 0
        * * * 13 *: value must be in range 1..=12; found 13
        * * * * 8: value must be in range 0..=7; found 8
        0 0 30 2 *: it never happens
        0 0 L * *: `L` is neither a number nor a name nor `*`
        0 0 * * 5L: `5L` is neither a number nor a name nor `*`
        0 0 15W * *: `15W` is neither a number nor a name nor `*`
        0 0 * * 5#3: `5#3` is neither a number nor a name nor `*`
        H * * * *: `H` is neither a number nor a name nor `*`
        5-1 * * * *: range must be in ascending order; found 5-1
        */0 * * * *: step must be greater than 0
        0 0 * foo *: malformed expression
        -1 * * * *: something is missing beside a `,`, `-` or `/`
        a b c d e: `a` is neither a number nor a name nor `*`
        é * * * *: `é` is neither a number nor a name nor `*`
        0 8 * * mon,: something is missing beside a `,`, `-` or `/`
        ");
    }

    #[test]
    fn leap_days_and_the_end_of_time() {
        assert_eq!(times("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", 2), ["02-29 00:00+00:00"; 2]);
        let calendar = Calendar::new("0 0 * * *", zone("Europe/Berlin")).unwrap();
        assert_eq!(calendar.next(Timestamp::MAX), None);
        assert!(calendar.next(Timestamp::MIN).is_some());
    }

    /// Images without the files of the system have the zones all the same.
    #[test]
    fn the_time_zones_are_in_the_program() {
        let bundled = jiff::tz::TimeZoneDatabase::bundled();
        assert!(bundled.get("Europe/Berlin").is_ok() && bundled.get("Pacific/Apia").is_ok());
    }
}
