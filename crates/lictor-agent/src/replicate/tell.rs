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
    let mut told = None;
    loop {
        ticks.tick().await;
        let now = clock.boot();
        let views = replication.all();
        let said = |view: &&CopyView| is_said(view, now);
        // Until all of them are known nothing is over: what was told before a start stands until then.
        let complete = views.iter().all(|view| is_said(view, now) || is_elsewhere(view));
        let reports: Vec<Report> = views.iter().filter(said).map(|view| report(view, &node, now)).collect();
        let each = |report: &Report| (report.subject.key.clone(), (report.status, report.output.clone()));
        let all = (complete, reports.iter().map(each).collect::<BTreeMap<_, _>>());
        if told.as_ref() == Some(&all) {
            continue;
        }
        let input = Input::Reports { source: Source::replicate(), complete, reports, gone: Vec::new() };
        if feed.input(input).await.is_err() {
            // The agent stops.
            return;
        }
        told = Some(all);
    }
}

/// Whether another node copies it, and tells of it.
fn is_elsewhere(view: &CopyView) -> bool {
    view.state.known && matches!(view.state.phase, Phase::Standby(_))
}

/// Whether this node can say how it stands: it has gone through it, or something is wrong.
fn is_said(view: &CopyView, now: Boot) -> bool {
    !is_elsewhere(view) && (view.state.known || verdict(view, now).0 != Status::Passing)
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
pub(crate) fn verdict(view: &CopyView, now: Boot) -> (Status, String) {
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
        (phase, None) if !state.known => (Status::Passing, phase.word().to_owned()),
        _ => (Status::Passing, "it is copied".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lictor_config::Replicate;
    use lictor_core::replicate::{Held, Hold, Limit, Locks};

    use super::super::view::CopyState;
    use super::*;

    fn at(seconds: u64) -> Boot {
        Boot::from_millis(seconds * 1_000)
    }

    fn view(state: CopyState) -> CopyView {
        let config = Arc::new(Replicate {
            name: "shop".parse().unwrap(),
            prefixes: Vec::new(),
            to: Vec::new(),
            excludes: Vec::new(),
            delete: true,
            limit: Limit::Percent(10),
            confirm: Duration::from_secs(3),
            canary: None,
            repair: true,
            locks: Locks::Skip,
            wait: None,
            max_stale: None,
            parallel: 8,
            dry_run: false,
            service: None,
            pauses: Replicate::PAUSES,
            approved: Vec::new(),
            notes: None,
        });
        CopyView { config, prefix: "g/@dc1:copy/".parse().unwrap(), to: "dc2".into(), state }
    }

    /// What is told of it 40 s after it was last well; `None`: nothing is said of it.
    fn told(state: CopyState) -> Option<(Status, String)> {
        let view = view(state);
        is_said(&view, at(140)).then(|| verdict(&view, at(140)))
    }

    fn of(phase: Phase, known: bool) -> CopyState {
        CopyState { phase, known, ..CopyState::default() }
    }

    #[test]
    fn before_it_was_gone_through_nothing_is_said_and_nothing_is_over() {
        assert_eq!(told(of(Phase::Loading, false)), None);
        assert_eq!(told(of(Phase::Copying, false)), None);
        assert_eq!(told(of(Phase::Standby("nobody holds it".into()), false)), None);
        assert!(!is_elsewhere(&view(of(Phase::Standby("nobody holds it".into()), false))));
        let well = (Status::Passing, "it is copied".to_owned());
        assert_eq!(told(of(Phase::Following, true)), Some(well.clone()));
        assert_eq!(told(of(Phase::Loading, true)), Some(well));
    }

    #[test]
    fn of_what_another_node_copies_that_one_tells() {
        let state = of(Phase::Standby("n2 copies".into()), true);
        assert!(is_elsewhere(&view(state.clone())));
        assert_eq!(told(state), None);
    }

    #[test]
    fn what_fails_for_long_is_told_whether_or_not_it_was_ever_copied() {
        for known in [true, false] {
            let failing =
                |since| CopyState { behind: Some(at(since)), ..of(Phase::Failing("no way".into()), known) };
            let wrong = (Status::Critical, "it is not copied: no way".to_owned());
            assert_eq!(told(failing(100)), Some(wrong));
            let short = told(failing(130));
            assert_eq!(short.map(|(status, _)| status), known.then_some(Status::Passing));
            let refused = told(of(Phase::Refused("it comes back".into()), known)).unwrap();
            assert_eq!(refused.0, Status::Critical);
        }
    }

    #[test]
    fn what_is_held_back_says_how_it_is_decided() {
        let held = Held { why: Hold::Empty, id: "1f".into(), keys: 5, since: at(1), named: Vec::new() };
        let (status, said) = told(CopyState { held: Some(held), ..of(Phase::Following, true) }).unwrap();
        assert_eq!(status, Status::Warning);
        assert!(said.contains("5 deletes are held back") && said.contains("approve shop 1f"), "{said}");
    }
}
