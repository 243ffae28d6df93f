//! Snapshots of Consul on the page: how old the newest is, where they are, and whether one could be restored.

use std::cmp::Reverse;

use askama::Template;
use jiff::{SignedDuration, Timestamp};
use lictor_core::{Now, Status};

use super::model::TEXT;
use super::{Part, render};
use crate::snapshot::{DrillState, PlaceState, SnapshotPhase as Phase, SnapshotView, Verdict, verdicts};
use crate::web::Site;
use crate::web::error::Failure;
use crate::web::text::{bytes, count, span, timestamp, visible};

/// Blocks shown on the overview without `?all`.
const FEW: usize = 10;

/// The section of the snapshots.
#[derive(Debug, Default)]
pub(super) struct Section {
    /// The worst first, then by name.
    pub(super) rows: Vec<SnapshotRow>,
    /// So many more.
    pub(super) more: usize,
}

/// One block.
#[derive(Debug)]
pub(super) struct SnapshotRow {
    pub(super) name: String,
    pub(super) status: Status,
    /// What is being done.
    pub(super) phase: &'static str,
    /// What is wrong, each with its shape.
    pub(super) wrong: Vec<(Status, String)>,
    /// Who does it, or why it is not done.
    pub(super) why: Option<String>,
    /// When the latest was begun: for programs and in words; and what it is.
    pub(super) latest: Option<(String, String, String)>,
    /// When the next one is due: for programs and in words.
    pub(super) next: Option<(String, String)>,
    pub(super) places: Vec<PlaceRow>,
    pub(super) drill: Option<DrillRow>,
    /// Whether one can be taken here, and tried here.
    pub(super) takes: bool,
    pub(super) tries: bool,
}

/// A place.
#[derive(Debug)]
pub(super) struct PlaceRow {
    pub(super) name: String,
    pub(super) shown: String,
    /// The shape of how it stands.
    pub(super) status: Status,
    /// What is there, in words.
    pub(super) there: String,
    pub(super) newest: Option<(String, String)>,
    /// How far the present one is, in words.
    pub(super) sending: Option<String>,
}

/// The latest drill.
#[derive(Debug)]
pub(super) struct DrillRow {
    pub(super) status: Status,
    /// What came of it, in words.
    pub(super) said: String,
    /// When it was begun.
    pub(super) at: Option<(String, String)>,
    /// When one was last sound.
    pub(super) sound: Option<(String, String)>,
}

impl Section {
    pub(super) fn new(views: &[SnapshotView], now: Now, all: bool) -> Self {
        let mut rows: Vec<_> = views.iter().map(|view| SnapshotRow::new(view, now)).collect();
        rows.sort_by_key(|row| Reverse(row.status));
        let more = if all { 0 } else { rows.len().saturating_sub(FEW) };
        rows.truncate(rows.len() - more);
        Self { rows, more }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl SnapshotRow {
    fn new(view: &SnapshotView, now: Now) -> Self {
        let state = &view.state;
        let wall = timestamp(now.wall);
        let found = verdicts(view, now.boot, wall);
        let worst = found.iter().map(|verdict| verdict.status).max();
        let elsewhere = matches!(state.phase, Phase::Standby(_));
        let status = match (worst, elsewhere) {
            (Some(status), _) => status,
            // The other one speaks for itself.
            (None, true) if state.known => Status::Passing,
            (None, _) => Status::Unknown,
        };
        let wrong = found.iter().filter(|verdict| verdict.status != Status::Passing);
        let latest = state.latest.as_ref().map(|latest| {
            let what = format!(
                "{}, {}, index {}, taken by {}",
                visible(&latest.file, TEXT),
                bytes(latest.bytes),
                latest.index,
                visible(&latest.node, 130)
            );
            let (at, age) = time(latest.at, wall);
            (at, age, what)
        });
        let works = !matches!(state.phase, Phase::Standby(_) | Phase::Refused(_));
        Self {
            name: view.config.name.to_string(),
            status,
            phase: state.phase.word(),
            wrong: wrong.map(|verdict| (verdict.status, visible(&verdict.said, TEXT))).collect(),
            why: state.phase.why().map(|why| visible(why, TEXT)),
            latest,
            next: state.next.map(|at| time(at, wall)),
            places: state.places.iter().map(|place| PlaceRow::new(place, &found, wall)).collect(),
            drill: state.drill.as_ref().map(|drill| DrillRow::new(drill, &found, wall)),
            takes: works,
            tries: works && view.config.drill.is_some(),
        }
    }
}

impl PlaceRow {
    fn new(place: &PlaceState, found: &[Verdict], wall: Timestamp) -> Self {
        let of = format!("place {}", place.name);
        let status = found.iter().find(|verdict| verdict.of == of).map(|verdict| verdict.status);
        let there = match place.count {
            Some(number) => {
                let number = usize::try_from(number).unwrap_or(usize::MAX);
                format!("{}, {}", count(number, "snapshot"), bytes(place.bytes))
            }
            None => "not known yet".to_owned(),
        };
        Self {
            name: visible(&place.name, 130),
            shown: visible(&place.shown, TEXT),
            status: status.unwrap_or(Status::Unknown),
            there,
            newest: place.newest.map(|at| time(at, wall)),
            sending: place.sending.map(|(sent, of)| format!("{} of {} sent", bytes(sent), bytes(of))),
        }
    }
}

impl DrillRow {
    fn new(drill: &DrillState, found: &[Verdict], wall: Timestamp) -> Self {
        let verdict = found.iter().find(|verdict| verdict.of == "drill");
        Self {
            status: verdict.map_or(Status::Unknown, |verdict| verdict.status),
            said: match (verdict, &drill.failed) {
                (Some(verdict), _) => visible(&verdict.said, TEXT),
                (None, Some(why)) => visible(why, TEXT),
                (None, None) => format!("tried {}", visible(&drill.file, TEXT)),
            },
            at: drill.at.map(|at| time(at, wall)),
            sound: drill.sound.map(|at| time(at, wall)),
        }
    }
}

/// A time for programs, and how far it is from now in words.
fn time(at: Timestamp, wall: Timestamp) -> (String, String) {
    let apart = at.duration_until(wall);
    let words = match apart {
        past if past >= SignedDuration::from_secs(1) => format!("{} ago", span(past.unsigned_abs())),
        soon if soon <= SignedDuration::from_secs(-1) => format!("in {}", span(soon.unsigned_abs())),
        _ => "now".to_owned(),
    };
    (format!("{at:.3}"), words)
}

/// The page of the snapshots.
#[derive(Template)]
#[template(path = "snapshot.html")]
struct SnapshotPage {
    title: String,
    tone: &'static str,
    snapshots: Section,
}

pub(super) fn part(site: &Site, now: Now) -> Result<Part, Failure> {
    let snapshots = Section::new(&site.snapshots.all(), now, true);
    let worst = snapshots.rows.first().map_or(Status::Unknown, |row| row.status);
    let tone = match worst {
        Status::Passing => "good",
        Status::Warning | Status::Unknown => "warn",
        Status::Critical => "bad",
    };
    let title = format!("Snapshots · {}", site.node);
    render(&SnapshotPage { title: title.clone(), tone, snapshots }, title, worst == Status::Critical)
}
