//! What snapshots are called, and when one was made by its name alone.

use std::fmt;

use super::DAY;
use crate::name::SnapshotName;
use crate::time::Wall;

/// How snapshots are called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Names {
    /// `NAME.DATACENTER.20261122T193000Z.snap`.
    #[default]
    Dated,
    /// `consul-NANOSECONDS.snap`, as the agent of Consul Enterprise calls them.
    Enterprise,
    /// `2026/11/22/HOST.consul.snapshot.SECONDS.tar.gz`, as consul-snapshot calls them: numbers of the date are not padded.
    Pshima,
}

/// Behind the name of one that is encrypted.
const SEALED: &str = ".age";

/// Digits of the nanoseconds from September 2001 to the end of what fits into 63 bits.
const NANOSECONDS: usize = 19;

const SECOND: i64 = 1_000;

/// The last second of the year 9999.
const LAST: i64 = 253_402_300_799;

/// Snapshots whose names belong together: those of one block in one datacenter, or of one host.
#[derive(Clone, Copy, Debug)]
pub struct Series<'a> {
    /// Their form.
    pub names: Names,
    /// The block, which is a part of dated names. Like the datacenter it has no dot.
    pub block: &'a SnapshotName,
    /// The datacenter, which is a part of dated names.
    pub datacenter: &'a str,
    /// The host, which is a part of the names of consul-snapshot.
    pub host: &'a str,
}

impl Series<'_> {
    /// The name of one that was begun then. Two of the same second, or in Enterprise's form of the same millisecond, have the
    /// same name. A time that the form cannot have becomes the nearest that it can.
    pub fn name(&self, begun: Wall, sealed: bool) -> String {
        let sealed = if sealed { SEALED } else { "" };
        let millis = begun.as_unix_millis();
        let seconds = millis.div_euclid(SECOND).clamp(0, LAST);
        match self.names {
            Names::Dated => {
                format!("{}.{}.{}.snap{sealed}", self.block.as_str(), self.datacenter, Stamp(seconds))
            }
            Names::Enterprise => {
                let nanoseconds = millis.clamp(0, i64::MAX / 1_000_000) * 1_000_000;
                format!("consul-{nanoseconds:0NANOSECONDS$}.snap{sealed}")
            }
            Names::Pshima => {
                let (year, month, day) = date(seconds);
                format!("{year}/{month}/{day}/{}.consul.snapshot.{seconds}.tar.gz{sealed}", self.host)
            }
        }
    }

    /// When the one of this name was begun, to the precision of the form; `None`: it is none of these, and nobody's business
    /// here. What it says of each name that [`Self::name`] gives is what that was given.
    pub fn made(&self, name: &str) -> Option<Wall> {
        let bare = name.strip_suffix(SEALED).unwrap_or(name);
        let millis = match self.names {
            Names::Dated => {
                let rest = bare.strip_prefix(self.block.as_str())?.strip_prefix('.')?;
                let stamp = rest.strip_prefix(self.datacenter)?.strip_prefix('.')?.strip_suffix(".snap")?;
                Stamp::read(stamp)?.0 * SECOND
            }
            // The agents of Consul Enterprise itself have nanoseconds that are no whole milliseconds.
            Names::Enterprise => {
                let digits = bare.strip_prefix("consul-")?.strip_suffix(".snap")?;
                let nanoseconds = number(digits).filter(|_| digits.len() == NANOSECONDS)?;
                nanoseconds / 1_000_000
            }
            Names::Pshima => {
                let seconds = bare.rsplit_once(".consul.snapshot.")?.1.strip_suffix(".tar.gz")?;
                let begun = Wall::from_unix_millis(number(seconds)?.checked_mul(SECOND)?);
                // The date and the host are right, and nothing is padded.
                return (self.name(begun, false) == bare).then_some(begun);
            }
        };
        Some(Wall::from_unix_millis(millis))
    }
}

/// A whole number in digits alone.
fn number(digits: &str) -> Option<i64> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// Seconds since 1970, shown as `20261122T193000Z`.
struct Stamp(i64);

impl Stamp {
    /// What is shown so; nothing else.
    fn read(text: &str) -> Option<Self> {
        let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
        let (date, time) = (number(date).filter(|_| date.len() == 8)?, number(time)?);
        let days = days(date / 10_000, date / 100 % 100, date % 100);
        let stamp = Self(days * DAY / SECOND + time / 10_000 * 3_600 + time / 100 % 100 * 60 + time % 100);
        // A 31 February or a 25 o'clock would be shown as another time.
        (stamp.to_string() == text).then_some(stamp)
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = date(self.0);
        let second = self.0.rem_euclid(DAY / SECOND);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        write!(f, "{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
    }
}

/// Year, month and day by UTC.
fn date(seconds: i64) -> (i64, i64, i64) {
    // Months since March of the year 0, and the day in the calendar that begins anew on 1 March: `super::month`.
    let days_since = seconds.div_euclid(DAY / SECOND) + 719_468;
    let (era, of_era) = (days_since.div_euclid(146_097), days_since.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// Days since 1970 of a date; the inverse of [`date`].
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let from_march = (month + 9) % 12;
    let of_year = (153 * from_march + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Names; 3] = [Names::Dated, Names::Enterprise, Names::Pshima];

    fn block() -> SnapshotName {
        SnapshotName::new("nightly").unwrap()
    }

    /// Calls a function with the series of `nightly` in `dc1` on `node-1`.
    fn with<T>(names: Names, call: impl FnOnce(Series<'_>) -> T) -> T {
        call(Series { names, block: &block(), datacenter: "dc1", host: "node-1" })
    }

    /// 2026-11-02T09:05:07.089Z.
    const THEN: Wall = Wall::from_unix_millis(1_793_610_307_089);

    #[test]
    fn each_form_has_its_name() {
        for (names, plain) in [
            (Names::Dated, "nightly.dc1.20261102T090507Z.snap"),
            (Names::Enterprise, "consul-1793610307089000000.snap"),
            (Names::Pshima, "2026/11/2/node-1.consul.snapshot.1793610307.tar.gz"),
        ] {
            assert_eq!(with(names, |series| series.name(THEN, false)), plain);
            assert_eq!(with(names, |series| series.name(THEN, true)), format!("{plain}.age"));
        }
    }

    #[test]
    fn what_the_agent_of_enterprise_has_made_is_taken_for_ours() {
        let begun = with(Names::Enterprise, |series| series.made("consul-1479360073448728784.snap"));
        assert_eq!(begun, Some(Wall::from_unix_millis(1_479_360_073_448)));
    }

    #[test]
    fn nobody_elses_names_are_taken_for_ours() {
        for (names, others) in [
            (
                Names::Dated,
                &[
                    "",
                    "nightly.dc1.snap",
                    "nightly.dc2.20261102T090507Z.snap",
                    "hourly.dc1.20261102T090507Z.snap",
                    "nightly.dc1.20261102T090507Z.snap.gz",
                    "nightly.dc1.20261102T090507Z.snap.age.age",
                    "nightly.dc1.20261102T090507.snap",
                    "nightly.dc1.20261102 090507Z.snap",
                    "nightly.dc1.2026112T0090507Z.snap",
                    "nightly.dc1.20260231T090507Z.snap",
                    "nightly.dc1.20261102T250507Z.snap",
                    "nightly.dc1.20261102T096007Z.snap",
                    "nightly.dc1.20261100T090507Z.snap",
                    "nightly.dc1.20260002T090507Z.snap",
                    "nightly.dc1.+0261102T090507Z.snap",
                    "x/nightly.dc1.20261102T090507Z.snap",
                    ".nightly.dc1.20261102T090507Z.snap",
                    "before-20261102T090507Z-nightly.dc1.20261102T090507Z.snap",
                ][..],
            ),
            (
                Names::Enterprise,
                &[
                    "consul-.snap",
                    "consul-179361030708900000.snap",
                    "consul-17936103070890000000.snap",
                    "consul-9999999999999999999.snap",
                    "consul-+793610307089000000.snap",
                    "consul-1793610307089000000.snap.bak",
                    "vault-1793610307089000000.snap",
                    "old/consul-1793610307089000000.snap",
                ],
            ),
            (
                Names::Pshima,
                &[
                    "2026/11/02/node-1.consul.snapshot.1793610307.tar.gz",
                    "2026/11/3/node-1.consul.snapshot.1793610307.tar.gz",
                    "2026/11/2/node-2.consul.snapshot.1793610307.tar.gz",
                    "2026/11/2/node-1.consul.snapshot.01793610307.tar.gz",
                    "2026/11/2/node-1.consul.snapshot.1793610307.gz",
                    "2026/11/2/node-1.consul.snapshot.99999999999999999999.tar.gz",
                    "2026/11/2/node-1.consul.snapshot.9223372036854775807.tar.gz",
                    "node-1.consul.snapshot.1793610307.tar.gz",
                    "backups/2026/11/2/node-1.consul.snapshot.1793610307.tar.gz",
                ],
            ),
        ] {
            for other in others {
                assert_eq!(with(names, |series| series.made(other)), None, "{other}");
            }
        }
    }

    #[test]
    fn a_name_of_one_form_is_none_of_another() {
        for made in ALL {
            let name = with(made, |series| series.name(THEN, false));
            for other in ALL.into_iter().filter(|other| *other != made) {
                assert_eq!(with(other, |series| series.made(&name)), None, "{name} as {other:?}");
            }
        }
    }

    #[test]
    fn a_clock_that_is_far_off_gives_a_name_still() {
        for names in ALL {
            for millis in [i64::MIN, -1, i64::MAX] {
                let name = with(names, |series| series.name(Wall::from_unix_millis(millis), false));
                assert!(with(names, |series| series.made(&name)).is_some(), "{name}");
            }
        }
    }

    proptest! {
        #[test]
        fn what_a_name_says_is_when_it_was_begun(millis in 0_i64..=LAST * SECOND, sealed: bool) {
            for names in ALL {
                let precision = if names == Names::Enterprise { 1 } else { SECOND };
                let latest = if names == Names::Enterprise { i64::MAX / 1_000_000 } else { i64::MAX };
                let name = with(names, |series| series.name(Wall::from_unix_millis(millis), sealed));
                let expected = millis.min(latest).div_euclid(precision) * precision;
                prop_assert_eq!(with(names, |series| series.made(&name)), Some(Wall::from_unix_millis(expected)), "{}", name);
            }
        }

        #[test]
        fn dates_go_there_and_back_and_follow_each_other(day in -800_000_i64..2_932_896) {
            let (year, month, of_month) = date(day * (DAY / SECOND));
            prop_assert_eq!(days(year, month, of_month), day);
            let after = date((day + 1) * (DAY / SECOND));
            let next = [(year, month, of_month + 1), (year, month + 1, 1), (year + 1, 1, 1)];
            prop_assert!(next.contains(&after), "{:?} after {:?}", after, (year, month, of_month));
            prop_assert!((1..=12).contains(&month) && (1..=31).contains(&of_month));
        }

        #[test]
        fn later_ones_have_greater_names_in_the_forms_that_are_sorted(one in 0_i64..=LAST * SECOND, by in 1_000_i64..100 * DAY) {
            for names in [Names::Dated, Names::Enterprise] {
                let name = |millis: i64| with(names, |series| series.name(Wall::from_unix_millis(millis), false));
                let other = (one + by).min(LAST * SECOND);
                prop_assert!(name(one) <= name(other));
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "(nightly.dc1.|consul-|2026/11/2/node-1.consul.snapshot.)?[0-9TZ+é]{0,22}(.snap|.tar.gz)?(.age)?") {
            for names in ALL {
                with(names, |series| series.made(&text));
            }
        }
    }
}
