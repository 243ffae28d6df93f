//! Where a monitor stands, as its record says it: read from what the engine knows, once a look.

use std::collections::BTreeMap;

use lictor_config::{Monitor, Phase};
use lictor_core::{Boot, CheckName, Note, Run, RunId, RunState, Status, Value, What};

use super::record::{Record, Stopped};
use crate::inbox::View;

/// What is kept from one look to the next, because the engine has no use for it.
#[derive(Debug, Default)]
pub(super) struct Memory {
    stable: Option<bool>,
    changed: Option<f64>,
    failures: u64,
    stable_checks: u64,
    steady_since: Option<f64>,
    phase: Option<(Option<Phase>, Option<RunId>, f64)>,
    stabilization_checks: u64,
    vpn: Option<(String, f64)>,
    ip: Option<(String, f64)>,
    place: BTreeMap<String, String>,
    last_error: Option<(RunId, String)>,
}

impl Memory {
    /// Goes on from what a record says of the time before.
    pub(super) fn of(record: &Record) -> Self {
        Self {
            stable: record.stable,
            changed: record.changed,
            vpn: record.vpn.clone().zip(record.vpn_changed),
            ip: record.ip.clone().zip(record.ip_changed),
            place: record.place.clone(),
            ..Self::default()
        }
    }

    /// Takes an event of the ledger in: what failed last at a run.
    pub(super) fn heard(&mut self, run: Option<RunId>, what: &What) {
        let (What::StepFailed { why, .. } | What::Retrying { why, .. }, Some(run)) = (what, run) else {
            return;
        };
        self.last_error = Some((run, why.clone()));
    }

    /// Counts a look: every interval of the monitor, and not more often.
    pub(super) fn tick(&mut self, monitor: &Monitor, view: &View) {
        let now = seconds(view, view.at.boot);
        match verdict(monitor, view) {
            Status::Critical | Status::Warning => {
                (self.failures, self.stable_checks, self.steady_since) = (self.failures + 1, 0, None);
            }
            Status::Passing => {
                (self.failures, self.stable_checks) = (0, self.stable_checks + 1);
                self.steady_since.get_or_insert(now);
            }
            Status::Unknown => (self.stable_checks, self.steady_since) = (0, None),
        }
        if self.phase.is_some_and(|(phase, ..)| phase == Some(Phase::WaitingForStability)) {
            self.stabilization_checks += 1;
        }
    }

    /// Whether the connection has now been good for as long as is required.
    pub(super) fn is_steady(&self, monitor: &Monitor, view: &View) -> bool {
        let now = seconds(view, view.at.boot);
        self.steady_since.is_some_and(|since| now - since >= monitor.stability.as_secs_f64())
    }

    /// The record of this moment.
    pub(super) fn record(&mut self, monitor: &Monitor, view: &View) -> Record {
        let now = seconds(view, view.at.boot);
        self.judge(monitor, view);
        self.look_at_vpn(monitor, view, now);
        let run = view.runs.values().rev().find(|run| run.remedy == monitor.remedy && !run.ended());
        let (phase, given_up) = phase_of(monitor, run);
        let id = run.map(|run| run.id);
        if self.phase.is_none_or(|(was, of, _)| (was, of) != (phase, id)) {
            self.phase = Some((phase, id, now));
            self.stabilization_checks = 0;
        }
        let steady_since = match run.map(|run| &run.state) {
            // The hour that counts is the engine's.
            Some(RunState::Waiting { held, .. }) => held.map(|held| seconds(view, held)),
            _ => self.steady_since,
        };
        Record {
            stable: self.stable,
            changed: self.changed,
            failures: self.failures,
            stable_checks: self.stable_checks,
            phase,
            started: run.map(|run| wall(run.started.wall.as_unix_millis())),
            stabilization_checks: self.stabilization_checks,
            steady_since,
            vpn: self.vpn.as_ref().map(|(status, _)| status.clone()),
            vpn_changed: self.vpn.as_ref().map(|(_, since)| *since),
            ip: self.ip.as_ref().map(|(ip, _)| ip.clone()),
            ip_changed: self.ip.as_ref().map(|(_, since)| *since),
            place: self.place.clone(),
            id: id.map(|id| id.to_string()),
            attempt: run.map_or(0, attempts),
            phase_started: self.phase.filter(|_| run.is_some()).map(|(.., since)| since),
            next_attempt: run.and_then(|run| match run.state {
                RunState::BackingOff { until, .. } => Some(seconds(view, until)),
                _ => None,
            }),
            last_error: self
                .last_error
                .as_ref()
                .filter(|(of, _)| Some(*of) == id)
                .map(|(_, why)| why.clone()),
            torrents: stopped(monitor, view, run),
            nomad: run.and_then(|run| noted(run, RESTART)).and_then(nomad),
            given_up,
            step: run.map(|run| run.step.to_string()),
            // Those lists and that note have keys of their own.
            note: run
                .filter(|run| run.step.as_str() != RESTART && !run.step.as_str().ends_with("torrents"))
                .and_then(|run| noted(run, run.step.as_str()))
                .filter(|note| !note.done && note.text.len() <= NOTE)
                .map(|note| note.text.to_string()),
        }
    }

    fn judge(&mut self, monitor: &Monitor, view: &View) {
        let Some(check) = view.checks.get(&monitor.check) else { return };
        let stable = match check.status {
            Status::Passing | Status::Warning => Some(true),
            Status::Critical => Some(false),
            // Nobody knows: it stays what it was.
            Status::Unknown => None,
        };
        if stable.is_some() && stable != self.stable {
            self.stable = stable;
            self.changed = Some(wall(check.since.wall.as_unix_millis()));
        }
    }

    fn look_at_vpn(&mut self, monitor: &Monitor, view: &View, now: f64) {
        if let Some(check) = &monitor.vpn {
            let status = text(view, check, "status").unwrap_or_else(|| "unknown".to_owned());
            if self.vpn.as_ref().is_none_or(|(was, _)| *was != status) {
                self.vpn = Some((status, now));
            }
        }
        let Some(check) = &monitor.ip else { return };
        // An address that is not there for a moment is no change.
        let Some(ip) = text(view, check, "ip").filter(|ip| !ip.is_empty()) else { return };
        if self.ip.as_ref().is_none_or(|(was, _)| *was != ip) {
            self.ip = Some((ip, now));
        }
        let known =
            ["city", "region", "country", "organization", "hostname", "location", "postal_code", "timezone"];
        self.place =
            known.iter().filter_map(|name| Some(((*name).to_owned(), text(view, check, name)?))).collect();
    }
}

/// Longest note of a step that is part of the record, bytes.
const NOTE: usize = 64 * 1024;

/// The step that is the last cure.
const RESTART: &str = "restarting_nomad";
/// The steps that stop torrents.
const STOPS: [&str; 2] = ["stopping_torrents", "stopping_late"];

/// The worst of what the watchers saw last.
fn verdict(monitor: &Monitor, view: &View) -> Status {
    let members = match view.plan.checks.get(&monitor.check).map(|plan| &plan.source) {
        Some(lictor_core::CheckSource::Checks { of, .. }) => of.as_slice(),
        Some(lictor_core::CheckSource::Watcher) | None => &[],
    };
    let seen = members.iter().map(|member| {
        let last = view.checks.get(member).and_then(|check| check.last.as_ref());
        last.map_or(Status::Unknown, |(_, sample)| sample.status)
    });
    // A tracker that fails alone is no fault of the connection.
    let seen = seen.map(|status| if status == Status::Warning { Status::Passing } else { status });
    seen.max().unwrap_or(Status::Unknown)
}

fn text(view: &View, check: &CheckName, name: &str) -> Option<String> {
    let (_, sample) = view.checks.get(check)?.last.as_ref()?;
    let found = sample.values.iter().find(|(value, _)| value.as_str() == name)?;
    match &found.1 {
        Value::Text(text) => Some(text.clone()),
        Value::Number(_) => None,
    }
}

/// The phase of a run, and whether it has given up: then nothing more is done until the
/// connection is good, or a person decides.
fn phase_of(monitor: &Monitor, run: Option<&Run>) -> (Option<Phase>, bool) {
    let Some(run) = run else { return (None, false) };
    if matches!(run.state, RunState::Parked { .. }) {
        return (None, true);
    }
    let phase = monitor.phases.iter().find(|(step, _)| *step == run.step).map(|(_, phase)| *phase);
    (phase, phase.is_none())
}

fn attempts(run: &Run) -> u32 {
    run.tally.iter().find(|(step, _)| step.as_str() == RESTART).map_or(1, |(_, tally)| tally.attempt.max(1))
}

fn noted<'r>(run: &'r Run, step: &str) -> Option<&'r Note> {
    run.notes.iter().find(|(name, _)| name.as_str() == step).map(|(_, note)| note)
}

/// What is stopped at present: by the run, and because of a leak.
fn stopped(monitor: &Monitor, view: &View, run: Option<&Run>) -> Option<Stopped> {
    let leak = view.runs.values().rev().find(|run| run.remedy == monitor.leak && !run.ended());
    let mut found = None;
    for run in run.into_iter().chain(leak) {
        for (step, note) in run.notes.iter().filter(|(step, _)| STOPS.contains(&step.as_str())) {
            let Some(torrents) = Stopped::of_note(&note.text) else { continue };
            let all: &mut Stopped =
                found.get_or_insert_with(|| Stopped { confirmed: true, ..Stopped::default() });
            all.torrents.extend(torrents);
            // What comes later makes up for what could not be stopped before.
            let later = step.as_str() == STOPS[0] && noted(run, STOPS[1]).is_some();
            all.confirmed &= note.done || later;
        }
    }
    found
}

/// The note of a restart with the time of the request.
fn nomad(note: &Note) -> Option<serde_json::Value> {
    let mut value: serde_json::Value = serde_json::from_str(&note.text).ok()?;
    let requested = serde_json::Value::from(wall(note.at.wall.as_unix_millis()));
    value.as_object_mut()?.insert("requested_at".to_owned(), requested);
    Some(value)
}

fn wall(millis: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of the next 285,000 years")]
    let millis = millis as f64;
    millis / 1_000.0
}

/// An instant of the boot-time axis by the wall clock, as it is now.
fn seconds(view: &View, at: Boot) -> f64 {
    let now = view.at;
    let away = |from: Boot, to: Boot| i64::try_from(to.since(from).as_millis()).unwrap_or(i64::MAX);
    let millis = now.wall.as_unix_millis();
    wall(if at > now.boot {
        millis.saturating_add(away(now.boot, at))
    } else {
        millis.saturating_sub(away(at, now.boot))
    })
}
