//! The note of the last restart of this machine: one a day, whichever rule or person ordered it.
//!
//! The cooldown of a rule counts its starts. Attempts, ways back to a step, another name of the rule and
//! starts by hand all get past it, and none of them past this: it is on the disk before systemd is asked.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lictor_config::Reboot;
use lictor_core::{Boot, Span};
use serde::{Deserialize, Serialize};

use super::super::claim::{encode, read, sync_dir};
use crate::clock::Anchor;

/// Within the state directory.
const NAME: &str = "last-reboot";

/// Looking and writing are one step.
static ONE: Mutex<()> = Mutex::new(());

/// When this machine was last asked to restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Last {
    /// The agent's axis then, milliseconds.
    axis: u64,
    /// The boot that was to end.
    boot_id: String,
    /// How long that had lasted, milliseconds.
    boot_millis: u64,
    /// Who asked: node, store, run, step and attempt.
    order: String,
}

impl Last {
    /// How much time has certainly passed since. Both ways give too little rather than too much: the axis
    /// leaves out what a machine was switched off for, and is begun anew with a new store.
    fn passed(&self, now: &Anchor) -> Duration {
        let by_boot = if self.boot_id == now.boot_id {
            now.boot_millis.saturating_sub(self.boot_millis)
        } else {
            now.boot_millis
        };
        now.axis.since(Boot::from_millis(self.axis)).max(Duration::from_millis(by_boot))
    }
}

/// Why there is no restart now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// There will be one.
    Early { passed: Duration, order: String },
    /// Nobody knows when the last one was.
    Unclear(String),
}

impl Refused {
    /// How long until it is allowed, if that is known.
    pub(super) fn left(&self) -> Option<Duration> {
        match self {
            Self::Early { passed, .. } => Some(Reboot::ONCE_IN.saturating_sub(*passed)),
            Self::Unclear(_) => None,
        }
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = |span: Duration| Span(Duration::from_secs(span.as_secs()));
        match self {
            Self::Early { passed, order } => {
                let left = Reboot::ONCE_IN.saturating_sub(*passed);
                // Never "in 0s".
                let left = seconds(left + Duration::from_millis(999));
                let (passed, once) = (seconds(*passed), Span(Reboot::ONCE_IN));
                write!(
                    f,
                    "{order} had it restarted {passed} ago, and once in {once} is the most; the next is allowed \
                     in {left}"
                )
            }
            Self::Unclear(why) => f.write_str(why),
        }
    }
}

/// The file with the note.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    dir: PathBuf,
}

impl Guard {
    /// That of an agent with this state directory.
    pub(super) fn of(state_dir: &Path) -> Self {
        Self { dir: state_dir.to_path_buf() }
    }

    /// Notes that `order` has this machine restarted now, unless it may not be. When this returns the note
    /// is on the disk.
    pub(super) fn note(&self, now: &Anchor, order: &str) -> Result<(), Refused> {
        let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = self.path().display().to_string();
        let last: Option<Last> = read(&self.path()).map_err(|error| {
            Refused::Unclear(format!(
                "{shown} tells when it last was and cannot be read: {error}; remove the file if that was more \
                 than {} ago",
                Span(Reboot::ONCE_IN)
            ))
        })?;
        if let Some(last) = last {
            let passed = last.passed(now);
            if passed < Reboot::ONCE_IN {
                return Err(Refused::Early { passed, order: last.order });
            }
        }
        let last = Last {
            axis: now.axis.as_millis(),
            boot_id: now.boot_id.clone(),
            boot_millis: now.boot_millis,
            order: order.to_owned(),
        };
        self.write(last).map_err(|error| {
            Refused::Unclear(format!("it cannot be noted in {shown}, which must be: {error}"))
        })
    }

    /// Takes the note of an order back that was certainly not carried out.
    pub(super) fn take_back(&self, order: &str) -> io::Result<()> {
        let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let last: Option<Last> = read(&self.path())?;
        if last.is_some_and(|last| last.order == order) {
            fs::remove_file(self.path())?;
            sync_dir(&self.dir)?;
        }
        Ok(())
    }

    fn write(&self, last: Last) -> io::Result<()> {
        let new = self.dir.join(format!("{NAME}.new"));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&encode(last)?)?;
        file.sync_all()?;
        fs::rename(&new, self.path())?;
        sync_dir(&self.dir)
    }

    fn path(&self) -> PathBuf {
        self.dir.join(NAME)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;

    fn now(boot_id: &str, up_hours: u64, axis_hours: u64) -> Anchor {
        Anchor {
            boot_id: boot_id.to_owned(),
            boot_millis: up_hours * HOUR,
            axis: Boot::from_millis(axis_hours * HOUR),
        }
    }

    fn guard() -> (tempfile::TempDir, Guard) {
        let dir = tempfile::tempdir().unwrap();
        let guard = Guard::of(dir.path());
        (dir, guard)
    }

    #[test]
    fn the_next_restart_is_a_day_after_the_last_whoever_orders_it() {
        let (dir, guard) = guard();
        assert_eq!(guard.note(&now("a", 10, 100), "n.s/r1/act/1"), Ok(()));
        // The same run tries again, and another one after the restart.
        for (at, order) in [(now("a", 10, 100), "n.s/r1/act/2"), (now("b", 1, 101), "n.s/r2/act/1")] {
            assert!(guard.note(&at, order).is_err(), "{at:?}");
        }
        let refused = Guard::of(dir.path()).note(&now("b", 22, 123), "n.s/r3/act/1").unwrap_err();
        assert_eq!(
            refused.to_string(),
            "n.s/r1/act/1 had it restarted 23h ago, and once in 1d is the most; the next is allowed in 1h"
        );
        assert_eq!(guard.note(&now("b", 23, 124), "n.s/r3/act/1"), Ok(()));
        assert!(guard.note(&now("b", 24, 125), "n.s/r4/act/1").is_err());
    }

    #[test]
    fn a_new_store_begins_its_axis_anew_and_a_day_is_a_day() {
        let (_dir, guard) = guard();
        assert_eq!(guard.note(&now("a", 900, 9_000), "n.s/r9/act/1"), Ok(()));
        assert!(guard.note(&now("b", 23, 23), "n.t/r1/act/1").is_err());
        assert_eq!(guard.note(&now("b", 24, 24), "n.t/r1/act/1"), Ok(()));
        assert!(guard.note(&now("b", 47, 47), "n.t/r2/act/1").is_err());
        assert_eq!(guard.note(&now("b", 48, 12), "n.u/r2/act/1"), Ok(()));
    }

    #[test]
    fn a_note_that_cannot_be_read_or_written_refuses() {
        let (dir, guard) = guard();
        let path = dir.path().join(NAME);
        for damaged in ["", "{", "{\"v\":\"9\"}"] {
            fs::write(&path, damaged).unwrap();
            let refused = guard.note(&now("a", 10, 100), "n.s/r1/act/1").unwrap_err();
            assert_eq!(refused.left(), None);
            let told = refused.to_string();
            assert!(told.ends_with("remove the file if that was more than 1d ago"), "{told}");
            assert_eq!(fs::read_to_string(&path).unwrap(), damaged, "it is left for a person to see");
        }
        let gone = Guard::of(&dir.path().join("gone"));
        let told = gone.note(&now("a", 10, 100), "n.s/r1/act/1").unwrap_err().to_string();
        assert!(told.starts_with("it cannot be noted in "), "{told}");
    }

    #[test]
    fn only_its_own_note_is_taken_back() {
        let (_dir, guard) = guard();
        guard.take_back("n.s/r1/act/1").unwrap();
        assert_eq!(guard.note(&now("a", 10, 100), "n.s/r1/act/1"), Ok(()));
        guard.take_back("n.s/r2/act/1").unwrap();
        assert!(guard.note(&now("a", 10, 100), "n.s/r2/act/1").is_err());
        guard.take_back("n.s/r1/act/1").unwrap();
        assert_eq!(guard.note(&now("a", 10, 100), "n.s/r2/act/1"), Ok(()));
    }
}
