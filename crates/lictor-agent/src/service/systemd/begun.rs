//! What was begun with the units of a service and is not over, in a file beside them: systemd carries a start or a
//! stop on when the process that has ordered it has ended, and the next one is not to take it for a fault.
//!
//! ```text
//! lictor-begun 1 start TOKEN UNIT AWAKE WHOLE    times are nanoseconds of this boot
//! lictor-begun 1 stop UNIT AWAKE WHOLE
//! ```

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::time::Duration;

use lictor_config::UnitName;
use lictor_core::lease::Stamp;

use super::super::place::Place;
use crate::clock::Clock;

const HEAD: [&str; 2] = ["lictor-begun", "1"];

/// The least time for a unit, however long an earlier process has waited for it: what is done shows in less.
const LEAST: Duration = Duration::from_secs(2);

/// What is done with the units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// They are started, in their order.
    Start {
        /// The token under which they run.
        token: u64,
    },
    /// They are stopped, the last one first.
    Stop,
}

/// What was begun, and how far it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Begun {
    pub(super) what: What,
    /// The unit whose turn it was.
    unit: String,
    /// Since when.
    since: Stamp,
}

impl Begun {
    /// What was begun last and is not over, if anything; nothing also where it cannot be read.
    pub(super) fn read(place: &Place) -> Option<Self> {
        Self::parse(&fs::read_to_string(place.begun()).ok()?)
    }

    /// Writes down that it is the turn of a unit. It may have been before.
    pub(super) fn write(
        place: &Place,
        before: Option<Self>,
        what: What,
        unit: &UnitName,
    ) -> io::Result<Self> {
        let begun = Self { what, unit: unit.to_string(), since: Clock::fresh().stamp() };
        if let Some(before) = before
            && before.is_of(&begun)
        {
            return Ok(before);
        }
        let path = place.begun();
        if let Some(dir) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o755).create(dir)?;
        }
        let new = path.with_extension("new-begun");
        fs::write(&new, begun.text())?;
        fs::rename(&new, &path)?;
        Ok(begun)
    }

    /// How many of these units, in this order, have had their turn before an earlier process ended.
    pub(super) fn past<'a>(
        before: Option<&Self>,
        what: What,
        mut units: impl Iterator<Item = &'a UnitName>,
    ) -> usize {
        let before = before.filter(|before| before.what == what);
        before.and_then(|before| units.position(|unit| unit.as_str() == before.unit)).unwrap_or(0)
    }

    /// Nothing is under way.
    pub(super) fn remove(place: &Place) -> io::Result<()> {
        match fs::remove_file(place.begun()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// How long the unit may take from now on.
    pub(super) fn left(&self, limit: Duration) -> Duration {
        limit.saturating_sub(Clock::fresh().stamp().longest_since(self.since)).max(LEAST.min(limit))
    }

    fn is_of(&self, other: &Self) -> bool {
        (self.what, &self.unit) == (other.what, &other.unit)
    }

    fn text(&self) -> String {
        let [name, version] = HEAD;
        let Self { what, unit, since: Stamp { awake, whole } } = self;
        let what = match what {
            What::Start { token } => format!("start {token}"),
            What::Stop => "stop".to_owned(),
        };
        format!("{name} {version} {what} {unit} {} {}\n", awake.as_nanos(), whole.as_nanos())
    }

    fn parse(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let rest = words.strip_prefix(&HEAD)?;
        let (what, unit, awake, whole) = match *rest {
            ["start", token, unit, awake, whole] => {
                (What::Start { token: token.parse().ok()? }, unit, awake, whole)
            }
            ["stop", unit, awake, whole] => (What::Stop, unit, awake, whole),
            _ => return None,
        };
        let time = |text: &str| Some(Duration::from_nanos(text.parse().ok()?));
        Some(Self { what, unit: unit.to_owned(), since: Stamp { awake: time(awake)?, whole: time(whole)? } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(what: What) -> Begun {
        let since = Stamp { awake: Duration::from_millis(1_500), whole: Duration::from_millis(2_500) };
        Begun { what, unit: "shop-db.service".to_owned(), since }
    }

    #[test]
    fn what_is_written_down_is_read_again() {
        let (start, stop) = (begun(What::Start { token: 7 }), begun(What::Stop));
        assert_eq!(start.text(), "lictor-begun 1 start 7 shop-db.service 1500000000 2500000000\n");
        assert_eq!(stop.text(), "lictor-begun 1 stop shop-db.service 1500000000 2500000000\n");
        for one in [start, stop] {
            assert_eq!(Begun::parse(&one.text()), Some(one));
        }
    }

    #[test]
    fn what_is_not_understood_was_not_begun() {
        for text in [
            "",
            "lictor-begun 2 stop a.service 1 2",
            "lictor-begun 1 start a.service 1 2",
            "lictor-begun 1 start 7 a.service 1",
            "lictor-begun 1 kill a.service 1 2",
            "lictor-begun 1 stop a.service 1 x",
        ] {
            assert_eq!(Begun::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn who_goes_on_begins_with_the_unit_whose_turn_it_was() {
        let units = ["shop-disk", "shop-db", "shop"].map(|name| UnitName::new(name).unwrap());
        let (start, stop) = (What::Start { token: 7 }, What::Stop);
        assert_eq!(Begun::past(Some(&begun(start)), start, units.iter()), 1);
        assert_eq!(Begun::past(Some(&begun(start)), What::Start { token: 8 }, units.iter()), 0);
        assert_eq!(Begun::past(Some(&begun(stop)), stop, units[1..].iter().rev()), 1);
        assert_eq!(Begun::past(Some(&begun(stop)), stop, units[2..].iter()), 0, "it is none of them");
        assert_eq!(Begun::past(None, stop, units.iter()), 0);
    }

    #[test]
    fn a_unit_that_has_had_its_time_gets_no_more_than_it_takes_to_see_how_it_is() {
        let limit = Duration::from_secs(90);
        let now = Begun { since: Clock::fresh().stamp(), ..begun(What::Stop) };
        assert!(now.left(limit) > Duration::from_secs(80));
        let long_ago = Begun { since: Stamp::default(), ..now };
        assert_eq!(long_ago.left(Duration::from_millis(1)), Duration::from_millis(1));
        assert!(long_ago.is_of(&begun(What::Stop)) && !long_ago.is_of(&begun(What::Start { token: 7 })));
    }
}
