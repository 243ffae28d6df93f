//! The windows of maintenance: those that the desk of the alerts has in force, and those of the configuration where the
//! desk cannot tell.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use lictor_config::Maintenance;
use lictor_core::Now;
use lictor_core::alert::Silence;

use crate::alert::{AlertView, SHARED_RECORDS};

/// The windows of maintenance that the configuration plans. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Planned(Arc<Mutex<Arc<[Maintenance]>>>);

impl Planned {
    /// These are planned from now on.
    pub(super) fn apply(&self, windows: &[Maintenance]) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = windows.into();
    }

    /// The windows that are in force, as the desk says, which also knows what a person has ended. Where it does not answer
    /// or cannot read the shared records, the configuration is asked as well: a planned outage of Consul is no fault.
    pub(super) fn windows(&self, desk: Option<&AlertView>, now: Now) -> Vec<Silence> {
        let told = desk.iter().flat_map(|view| view.silences.values());
        let mut windows: Vec<Silence> =
            told.filter(|silence| silence.by == Silence::CONFIGURATION).cloned().collect();
        if desk.is_some_and(|view| !view.lost.contains_key(SHARED_RECORDS)) {
            return windows;
        }
        let planned = Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner));
        windows.extend(planned.iter().filter_map(|window| in_force(window, now)));
        windows
    }
}

/// A window as the silence that it is, if it is in force.
fn in_force(window: &Maintenance, now: Now) -> Option<Silence> {
    let at = Timestamp::from_millisecond(now.wall.as_unix_millis()).ok()?;
    let (_, end) = window.active(at)?;
    Some(Silence {
        id: format!("maintenance {}", window.name),
        when: window.when.clone(),
        from: now,
        lasting: Duration::try_from(at.duration_until(end)).ok()?,
        by: Silence::CONFIGURATION.to_owned(),
        comment: window.comment.clone(),
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use lictor_core::{Boot, Wall};

    use super::*;
    use crate::alert::Seat;

    /// 2026-11-21T03:04:05Z.
    const NIGHT: i64 = 1_795_230_245_000;

    fn at(minutes: i64) -> Now {
        Now { boot: Boot::from_millis(1_000), wall: Wall::from_unix_millis(NIGHT + minutes * 60_000) }
    }

    /// A window of Consul's checks, an hour from 03:00.
    pub(crate) fn consul() -> Maintenance {
        let text = "maintenance \"consul\" {\n start = \"2026-11-21T03:00:00Z\"\n for = \"1h\"\n}\n";
        let config = lictor_config::parse("x.hcl", text).unwrap().config;
        config.alerts.maintenance.first().unwrap().clone()
    }

    fn desk(lost: &[&str]) -> AlertView {
        let lost = lost.iter().map(|source| ((*source).to_owned(), "no answer".to_owned())).collect();
        AlertView {
            at: at(0),
            seat: Seat::Nobody { why: "Consul does not answer".to_owned() },
            plan: Arc::default(),
            cases: BTreeMap::new(),
            deliveries: BTreeMap::new(),
            silences: BTreeMap::new(),
            lost,
            cannot_record: None,
        }
    }

    fn names(planned: &Planned, desk: Option<&AlertView>, minutes: i64) -> Vec<String> {
        planned.windows(desk, at(minutes)).into_iter().map(|window| window.id).collect()
    }

    #[test]
    fn a_desk_that_cannot_tell_takes_no_window_away() {
        let planned = Planned::default();
        planned.apply(&[consul()]);
        for desk in [None, Some(desk(&[SHARED_RECORDS]))] {
            assert_eq!(names(&planned, desk.as_ref(), 0), ["maintenance consul"]);
            assert!(names(&planned, desk.as_ref(), -10).is_empty(), "it has not begun");
            assert!(names(&planned, desk.as_ref(), 60).is_empty(), "it is over");
        }
        planned.apply(&[]);
        assert!(names(&planned, None, 0).is_empty(), "a reload has taken it away");
    }

    #[test]
    fn a_window_that_a_person_has_ended_is_not_in_force_for_a_desk_that_can_tell() {
        let planned = Planned::default();
        planned.apply(&[consul()]);
        assert!(names(&planned, Some(&desk(&[])), 0).is_empty());
        assert!(
            names(&planned, Some(&desk(&["consul"])), 0).is_empty(),
            "it is Consul's checks that are lost"
        );
    }
}
