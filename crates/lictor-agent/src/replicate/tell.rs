//! How the copies of this node stand, for alerts and for Consul.

use std::collections::BTreeMap;
use std::time::Duration;

use lictor_core::alert::{Input, Report, Source, Subject, SubjectKey, label, text};
use lictor_core::{Boot, Status};
use tokio::time::{MissedTickBehavior, interval};

use super::board::Replication;
use super::prove::words;
use super::view::{CopyView, Phase};
use crate::alert::Feed;
use crate::clock::Clock;

/// How often it is looked whether there is something to tell.
const EVERY: Duration = Duration::from_secs(1);

/// A copy may fail for so long before anybody is told: an election of a leader takes 18 s at most.
const PATIENCE: Duration = Duration::from_secs(30);

/// Tells of what is wrong with the copies of a node, and that it is over, for as long as the agent runs.
pub(super) async fn tell(replication: Replication, feed: Feed, node: String, clock: Clock) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told: Option<BTreeMap<SubjectKey, (Status, String)>> = None;
    loop {
        ticks.tick().await;
        let now = clock.boot();
        let views = replication.all();
        if views.is_empty() && told.is_none() {
            continue;
        }
        // A node that does not copy knows nothing.
        let views = views.iter().filter(|view| !matches!(view.state.phase, Phase::Standby(_)));
        let reports: Vec<Report> = views.map(|view| report(view, &node, now)).collect();
        let said: BTreeMap<_, _> = reports
            .iter()
            .map(|report| (report.subject.key.clone(), (report.status, report.output.clone())))
            .collect();
        if told.as_ref() == Some(&said) {
            continue;
        }
        let input = Input::Reports { source: Source::replicate(), complete: true, reports, gone: Vec::new() };
        if feed.input(input).await.is_err() {
            // The agent stops.
            return;
        }
        told = Some(said);
    }
}

fn report(view: &CopyView, node: &str, now: Boot) -> Report {
    let (name, prefix) = (view.config.name.as_str(), view.prefix.to_string());
    let labels = text(&[
        (label::SOURCE, "replicate"),
        (label::NODE, node),
        (label::CHECK, &format!("replicate {name}")),
        ("prefix", &prefix),
        ("to", &view.to),
    ]);
    let key = SubjectKey::of(&["replicate", name, &prefix, &view.to]);
    let (status, output) = verdict(view, now);
    Report { judged: true, ..Report::new(Subject { key, labels, tags: [].into() }, status, output) }
}

/// Whether a copy is as it should be, in words without numbers that change all the time.
pub(super) fn verdict(view: &CopyView, now: Boot) -> (Status, String) {
    let state = &view.state;
    let late = state.behind.is_some_and(|since| now.since(since) >= PATIENCE);
    let name = view.config.name.as_str();
    match (&state.phase, &state.held) {
        (Phase::Refused(why), _) => (Status::Critical, format!("nothing is copied: {why}")),
        (Phase::Failing(why), _) if late => (Status::Critical, format!("it is not copied: {why}")),
        (_, Some(held)) => {
            let (keys, id, why) = (held.keys, &held.id, words(&held.why));
            let help = format!("`lictor replicate approve {name} {id}` or `discard`");
            (Status::Warning, format!("{keys} deletes are held back: {why}; {help}"))
        }
        _ if state.refused.0 > 0 => {
            let first = state.refused.1.first().map(|(key, why)| format!(", such as {key}: {why}"));
            let more = first.unwrap_or_default();
            (Status::Warning, format!("{} keys are not copied{more}", state.refused.0))
        }
        (Phase::Standby(why), None) => (Status::Passing, why.clone()),
        _ => (Status::Passing, "it is copied".to_owned()),
    }
}
