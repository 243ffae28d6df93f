//! Checks by name, with their settings: as one types them, and as a run notes them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Check;
use super::alerts::Alerts;
use super::append::Append;
use super::available::Available;
use super::converge::Converge;
use super::lasts::Lasts;
use super::linear::model::{Lock, Register, Set, Versioned};
use super::linear::{Limits, Linearizable};
use super::overlap::Overlap;
use super::remedy::Remedy;
use super::set::SetCheck;
use super::single::Single;
use super::stats::Stats;
use super::timing::{Same, Timing};
use super::turns::Turns;
use crate::history::History;

/// A check that can be named.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// What it promises, on one line.
    pub promise: &'static str,
    /// Its settings.
    pub settings: &'static str,
    /// What one of which calls has to be there for it to be chosen by itself.
    chosen_by: &'static [&'static str],
}

/// All of them.
pub const CHECKS: [Entry; 18] = [
    Entry {
        name: "register",
        promise: "reads, writes and cas of each key are linearizable",
        settings: "",
        chosen_by: &["write", "cas"],
    },
    Entry {
        name: "versioned-register",
        promise: "the same, and the ModifyIndex grows with each change",
        settings: "",
        chosen_by: &["cas-index"],
    },
    Entry { name: "lock", promise: "acquires and releases are linearizable", settings: "", chosen_by: &[] },
    Entry {
        name: "reentrant-lock",
        promise: "the same, and the holder may acquire it once more",
        settings: "",
        chosen_by: &["acquire"],
    },
    Entry {
        name: "linear-set",
        promise: "additions and reads of a set are linearizable",
        settings: "",
        chosen_by: &[],
    },
    Entry {
        name: "append",
        promise: "transactions that append to lists are strictly serializable",
        settings: "",
        chosen_by: &["txn"],
    },
    Entry {
        name: "set",
        promise: "what was added and acknowledged is there in the end",
        settings: "",
        chosen_by: &["add"],
    },
    Entry {
        name: "overlap",
        promise: "no two hold a lock at the same time",
        settings: "",
        chosen_by: &["hold"],
    },
    Entry {
        name: "fencing",
        promise: "no overtaken token is accepted; sections may overlap",
        settings: "",
        chosen_by: &["store"],
    },
    Entry {
        name: "timing",
        promise: "the time from one call to another is within bounds",
        settings: "from=F,to=F,same=key|value,least=SECONDS,most=SECONDS",
        chosen_by: &[],
    },
    Entry {
        name: "lasts",
        promise: "calls last as long as they have to, and no longer",
        settings: "f=F,least=SECONDS,most=SECONDS",
        chosen_by: &[],
    },
    Entry {
        name: "converge",
        promise: "all places have the same in the end, and what is expected",
        settings: "places=N",
        chosen_by: &["final"],
    },
    Entry {
        name: "alerts",
        promise: "each alert is told at least once and its end exactly once",
        settings: "",
        chosen_by: &["raise"],
    },
    Entry {
        name: "turns",
        promise: "what is told of each turns from fault to end and back, and ends well",
        settings: "",
        chosen_by: &[],
    },
    Entry {
        name: "remedy",
        promise: "each step once and in order, never two runs at a time",
        settings: "steps=N",
        chosen_by: &[],
    },
    Entry {
        name: "single",
        promise: "never two are active at the same time",
        settings: "gap=SECONDS",
        chosen_by: &["active", "beat"],
    },
    Entry {
        name: "available",
        promise: "all works again after the last fault",
        settings: "settle=SECONDS,share=PERCENT,may_fail=F+F",
        chosen_by: &[],
    },
    Entry {
        name: "stats",
        promise: "of each kind of call some succeeded",
        settings: "may_fail=F+F",
        chosen_by: &[],
    },
];

/// A check cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// There is none of that name.
    #[error("there is no check `{0}`; `lictor-jepsen list` shows all")]
    Unknown(String),
    /// A setting is not one of its.
    #[error("the check `{check}` has no setting `{setting}`; it has: {known}")]
    Setting {
        /// Which check.
        check: String,
        /// Which setting.
        setting: String,
        /// What it has.
        known: &'static str,
    },
    /// A setting has a value that it cannot have, or lacks one.
    #[error("the check `{check}` needs `{setting}` as {expected}")]
    Value {
        /// Which check.
        check: String,
        /// Which setting.
        setting: &'static str,
        /// As what.
        expected: &'static str,
    },
}

/// The settings of one check; what is taken is gone.
struct Settings<'a> {
    check: &'a str,
    values: BTreeMap<&'a str, &'a str>,
}

/// Makes a check of its name and settings: `timing:from=expired,to=acquire,least=15`.
///
/// # Errors
/// If there is no such check, or a setting is wrong.
pub fn make(text: &str, limits: Limits) -> Result<Box<dyn Check>, CatalogError> {
    let (name, settings) = text.split_once(':').unwrap_or((text, ""));
    let entry = CHECKS
        .iter()
        .find(|entry| entry.name == name)
        .ok_or_else(|| CatalogError::Unknown(name.to_owned()))?;
    let pairs = settings.split(',').filter(|pair| !pair.is_empty());
    let values = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).collect();
    let mut settings = Settings { check: name, values };
    let check: Box<dyn Check> = match entry.name {
        "register" => Box::new(Linearizable { kind: Register, limits }),
        "versioned-register" => Box::new(Linearizable { kind: Versioned, limits }),
        "lock" => Box::new(Linearizable { kind: Lock { reentrant: false }, limits }),
        "reentrant-lock" => Box::new(Linearizable { kind: Lock { reentrant: true }, limits }),
        "linear-set" => Box::new(Linearizable { kind: Set, limits }),
        "append" => Box::new(Append),
        "set" => Box::new(SetCheck),
        "overlap" => Box::new(Overlap { fenced: false }),
        "fencing" => Box::new(Overlap { fenced: true }),
        "timing" => Box::new(settings.timing(text)?),
        "lasts" => Box::new(settings.lasts()?),
        "converge" => {
            Box::new(Converge { places: settings.parsed("places", "a number")?.unwrap_or_default() })
        }
        "alerts" => Box::new(Alerts),
        "turns" => Box::new(Turns),
        "remedy" => {
            let steps = settings.parsed("steps", "a number")?;
            Box::new(Remedy { steps: steps.ok_or_else(|| settings.wrong("steps", "a number"))? })
        }
        "single" => Box::new(Single { gap: settings.seconds("gap")? }),
        "available" => {
            let default = Available::default();
            let settle = settings.seconds("settle")?.unwrap_or(default.settle);
            let share = settings.parsed("share", "a number of percent")?.unwrap_or(default.share);
            Box::new(Available { settle, share, may_fail: settings.names("may_fail") })
        }
        _ => Box::new(Stats { may_fail: settings.names("may_fail") }),
    };
    match settings.values.keys().next() {
        None => Ok(check),
        Some(setting) => Err(CatalogError::Setting {
            check: name.to_owned(),
            setting: (*setting).to_owned(),
            known: if entry.settings.is_empty() { "none" } else { entry.settings },
        }),
    }
}

/// The names of the checks that fit what is done in a history; `stats` always does.
#[must_use]
pub fn fitting(history: &History) -> Vec<&'static str> {
    let done = |f: &&str| history.calls().iter().any(|call| history.invoke(call).f == *f);
    let mut names: Vec<&str> = CHECKS
        .iter()
        .filter(|entry| entry.name == "stats" || entry.chosen_by.iter().any(done))
        .map(|entry| entry.name)
        .collect();
    // Without an index in the calls a versioned register is one; with it, it says all that the other does.
    if names.contains(&"versioned-register") {
        names.retain(|name| *name != "register");
    }
    // Whoever fences says that sections may overlap.
    if names.contains(&"fencing") {
        names.retain(|name| *name != "overlap");
    }
    names
}

impl Settings<'_> {
    fn wrong(&self, setting: &'static str, expected: &'static str) -> CatalogError {
        CatalogError::Value { check: self.check.to_owned(), setting, expected }
    }

    fn parsed<T: std::str::FromStr>(
        &mut self,
        setting: &'static str,
        expected: &'static str,
    ) -> Result<Option<T>, CatalogError> {
        match self.values.remove(setting) {
            None => Ok(None),
            Some(text) => text.parse().map(Some).ok().ok_or_else(|| self.wrong(setting, expected)),
        }
    }

    fn seconds(&mut self, setting: &'static str) -> Result<Option<Duration>, CatalogError> {
        const EXPECTED: &str = "a number of seconds";
        let Some(seconds) = self.parsed::<f64>(setting, EXPECTED)? else { return Ok(None) };
        Duration::try_from_secs_f64(seconds).map(Some).ok().ok_or_else(|| self.wrong(setting, EXPECTED))
    }

    /// Names of calls with a plus between them.
    fn names(&mut self, setting: &'static str) -> BTreeSet<String> {
        let names = self.values.remove(setting).unwrap_or_default();
        names.split('+').filter(|f| !f.is_empty()).map(str::to_owned).collect()
    }

    fn lasts(&mut self) -> Result<Lasts, CatalogError> {
        let f = self.values.remove("f").ok_or_else(|| self.wrong("f", "the name of a call"))?.to_owned();
        let (least, most) = (self.seconds("least")?, self.seconds("most")?);
        Ok(Lasts { f, least: least.unwrap_or_default(), most: most.unwrap_or(Duration::MAX) })
    }

    fn timing(&mut self, name: &str) -> Result<Timing, CatalogError> {
        const CALL: &str = "the name of a call";
        let same = match self.values.remove("same") {
            None | Some("key") => Same::Key,
            Some("value") => Same::Value,
            Some(_) => return Err(self.wrong("same", "key or value")),
        };
        let from = self.values.remove("from").ok_or_else(|| self.wrong("from", CALL))?.to_owned();
        let to = self.values.remove("to").ok_or_else(|| self.wrong("to", CALL))?.to_owned();
        let (least, most) = (self.seconds("least")?, self.seconds("most")?);
        Ok(Timing { name: name.to_owned(), from, to, same, least, most })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Format;

    fn name(text: &str) -> Result<String, String> {
        make(text, Limits::default()).map(|check| check.name()).map_err(|error| error.to_string())
    }

    #[test]
    fn each_check_is_made_by_its_name() {
        for entry in CHECKS {
            let text = match entry.name {
                "timing" => "timing:from=a,to=b,same=value,least=1.5,most=2",
                "remedy" => "remedy:steps=3",
                "lasts" => "lasts:f=a",
                name => name,
            };
            let called = match text {
                "remedy:steps=3" => "remedy",
                "lasts:f=a" => "lasts a",
                text => text,
            };
            assert_eq!(name(text).as_deref(), Ok(called), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_what_would_be_right() {
        assert_eq!(
            name("regster").unwrap_err(),
            "there is no check `regster`; `lictor-jepsen list` shows all"
        );
        assert_eq!(name("remedy").unwrap_err(), "the check `remedy` needs `steps` as a number");
        assert_eq!(name("lock:x=1").unwrap_err(), "the check `lock` has no setting `x`; it has: none");
        assert_eq!(
            name("available:settle=-1").unwrap_err(),
            "the check `available` needs `settle` as a number of seconds"
        );
    }

    #[test]
    fn what_fits_is_chosen_by_the_calls() {
        let fitting = |f: &str| {
            let text = format!("{{:process 0 :type :invoke :f :{f}}}");
            fitting(&History::parse(&text, Format::Edn).unwrap())
        };
        assert_eq!(fitting("write"), ["register", "stats"]);
        assert_eq!(fitting("txn"), ["append", "stats"]);
        assert_eq!(fitting("read"), ["stats"]);
        assert_eq!(fitting("store"), ["fencing", "stats"]);
    }
}
