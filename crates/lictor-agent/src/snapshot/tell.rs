//! How the snapshots of this node stand, for alerts and for Consul.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lictor_core::alert::{Input, Report, Source, Subject, SubjectKey, label, text};
use lictor_core::{Boot, Status};
use tokio::time::{MissedTickBehavior, interval};

use super::board::Snapshots;
use super::view::{Phase, PlaceState, SnapshotView};
use super::work::stamp;
use crate::alert::Feed;
use crate::clock::Clock;

/// How often it is looked whether there is something to tell.
const EVERY: Duration = Duration::from_secs(1);

/// It may fail for so long before anybody is told: an election of a leader takes 18 s at most.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is told of: that snapshots are taken, each place, and the drills.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// `taking`, `place NAME` or `drill`.
    pub(super) of: String,
    pub(super) status: Status,
    pub(super) said: String,
}

/// Tells of what is wrong with the snapshots of a node, and that it is over, for as long as the agent runs.
pub(super) async fn tell(snapshots: Snapshots, feed: Feed, node: String, clock: Clock) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = None;
    loop {
        ticks.tick().await;
        let now = clock.now();
        let wall = stamp(now.wall.as_unix_millis());
        let views = snapshots.all();
        // Until all of them are known nothing is over: what was told before a start stands until then.
        let complete = views.iter().all(|view| view.state.known);
        let reports: Vec<Report> =
            views.iter().flat_map(|view| reports(view, &node, now.boot, wall)).collect();
        let each = |report: &Report| (report.subject.key.clone(), (report.status, report.output.clone()));
        let all = (complete, reports.iter().map(each).collect::<BTreeMap<_, _>>());
        if told.as_ref() == Some(&all) {
            continue;
        }
        let input = Input::Reports { source: Source::snapshot(), complete, reports, gone: Vec::new() };
        if feed.input(input).await.is_err() {
            // The agent stops.
            return;
        }
        told = Some(all);
    }
}

fn reports(view: &SnapshotView, node: &str, now: Boot, wall: Timestamp) -> Vec<Report> {
    let name = view.config.name.as_str();
    let report = |Verdict { of, status, said }: Verdict| {
        let labels = text(&[
            (label::SOURCE, "snapshot"),
            (label::NODE, node),
            (label::CHECK, &format!("snapshot {name} {of}")),
            ("snapshot", name),
        ]);
        let key = SubjectKey::of(&["snapshot", name, &of]);
        Report { judged: true, ..Report::new(Subject { key, labels, tags: [].into() }, status, said) }
    };
    verdicts(view, now, wall).into_iter().map(report).collect()
}

/// What there is to say of a block; nothing where another node says it. In words without numbers that change all the time.
pub(super) fn verdicts(view: &SnapshotView, now: Boot, wall: Timestamp) -> Vec<Verdict> {
    let state = &view.state;
    let late = state.failing.is_some_and(|since| now.since(since) >= PATIENCE);
    let verdict = |of: &str, status, said: String| Verdict { of: of.to_owned(), status, said };
    let taking = match &state.phase {
        Phase::Standby(_) => return Vec::new(),
        Phase::Refused(why) => (Status::Critical, format!("no snapshots are taken: {why}")),
        Phase::Failing(why) if late => (Status::Critical, format!("no snapshot could be taken: {why}")),
        _ if !state.known => return Vec::new(),
        _ => match state.jump {
            Some(jump) => {
                let word = if jump.now > jump.before { "larger" } else { "smaller" };
                let said = format!(
                    "the latest snapshot is much {word} than the one before: {} bytes after {}",
                    jump.now, jump.before
                );
                (Status::Warning, said)
            }
            None => (Status::Passing, "snapshots are taken".to_owned()),
        },
    };
    let mut all = vec![verdict("taking", taking.0, taking.1)];
    if !state.known {
        return all;
    }
    for place in &state.places {
        let (status, said) = place_verdict(view, place, wall);
        all.push(verdict(&format!("place {}", place.name), status, said));
    }
    if let Some(drill) = state.drill.as_ref().filter(|_| view.config.drill.is_some()) {
        all.push(match &drill.failed {
            Some(why) => {
                verdict("drill", Status::Critical, format!("{} could not be restored: {why}", drill.file))
            }
            None => verdict("drill", Status::Passing, "the newest snapshot could be restored".to_owned()),
        });
    }
    all
}

/// So far a snapshot may be of the future: clocks of two machines.
const AHEAD: SignedDuration = SignedDuration::from_mins(10);

fn place_verdict(view: &SnapshotView, place: &PlaceState, wall: Timestamp) -> (Status, String) {
    let most = view.config.max_age.map(|most| SignedDuration::try_from(most).unwrap_or(SignedDuration::MAX));
    let old = |newest: Timestamp| most.is_some_and(|most| newest.duration_until(wall) > most);
    let but = place.trouble.as_ref().map_or_else(String::new, |why| format!(": {why}"));
    let shown = &place.shown;
    match (place.newest, &place.trouble) {
        (Some(newest), _) if old(newest) => {
            (Status::Critical, format!("the newest snapshot in {shown} is of {newest:.0}{but}"))
        }
        // It hides that no newer ones come.
        (Some(newest), _) if wall.duration_until(newest) > AHEAD => {
            let said = format!(
                "the newest snapshot in {shown} is of {newest:.0}, which is to come: a clock was wrong"
            );
            (Status::Warning, said)
        }
        (None, Some(why)) => (Status::Critical, format!("there is no snapshot in {shown}: {why}")),
        (Some(_), Some(why)) => (Status::Warning, format!("{shown}: {why}")),
        (_, None) => (Status::Passing, format!("snapshots are kept in {shown}")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lictor_core::snapshot::Jump;

    use super::super::view::{DrillState, SnapshotState};
    use super::*;

    const CONFIG: &str =
        "consul {}\nsnapshot \"consul\" {\n drill {}\n place \"folder\" \"here\" {\n path = \"/b\"\n }\n}";

    /// At noon, 40 s after something began to fail.
    fn said(state: SnapshotState) -> Vec<(String, Status, String)> {
        let loaded = lictor_config::parse_in("x.hcl", CONFIG, &BTreeMap::<String, String>::new()).unwrap();
        let config = Arc::clone(loaded.config.snapshots.values().next().unwrap());
        let all = verdicts(&SnapshotView { config, state }, Boot::from_millis(140_000), at("12:00:00"));
        all.into_iter().map(|Verdict { of, status, said }| (of, status, said)).collect()
    }

    fn at(time: &str) -> Timestamp {
        format!("2026-11-22T{time}Z").parse().unwrap()
    }

    fn place(newest: Option<&str>, trouble: Option<&str>) -> PlaceState {
        PlaceState {
            name: "here".into(),
            shown: "/b".into(),
            newest: newest.map(at),
            trouble: trouble.map(str::to_owned),
            ..PlaceState::default()
        }
    }

    fn works(place: PlaceState) -> SnapshotState {
        SnapshotState { phase: Phase::Waiting, known: true, places: vec![place], ..SnapshotState::default() }
    }

    fn of_place(newest: Option<&str>, trouble: Option<&str>) -> (Status, String) {
        let all = said(works(place(newest, trouble)));
        let [_, (of, status, said)] = all.as_slice() else { panic!("{all:?}") };
        assert_eq!(of, "place here");
        (*status, said.clone())
    }

    #[test]
    fn where_another_node_works_or_nothing_is_known_yet_nothing_is_said() {
        let standby = Phase::Standby("n2 takes them".into());
        assert_eq!(said(SnapshotState { phase: standby, known: true, ..SnapshotState::default() }), []);
        assert_eq!(said(SnapshotState::default()), []);
    }

    #[test]
    fn what_fails_for_long_is_told_whether_or_not_anything_is_known() {
        for known in [true, false] {
            let failing = |since| SnapshotState {
                phase: Phase::Failing("no way".into()),
                known,
                failing: Some(Boot::from_millis(since)),
                ..SnapshotState::default()
            };
            let long =
                ("taking".to_owned(), Status::Critical, "no snapshot could be taken: no way".to_owned());
            assert_eq!(said(failing(100_000)).first(), Some(&long));
            let short = said(failing(130_000));
            assert!(short.iter().all(|(_, status, _)| *status == Status::Passing), "{short:?}");
        }
    }

    #[test]
    fn a_place_is_as_good_as_the_newest_snapshot_in_it() {
        let (status, said) = of_place(Some("11:00:00"), None);
        assert_eq!((status, said.as_str()), (Status::Passing, "snapshots are kept in /b"));
        assert_eq!(of_place(Some("11:00:00"), Some("denied")), (Status::Warning, "/b: denied".into()));
        let (status, said) = of_place(Some("08:59:59"), Some("denied"));
        assert_eq!(status, Status::Critical);
        assert_eq!(said, "the newest snapshot in /b is of 2026-11-22T08:59:59Z: denied");
        assert_eq!(of_place(None, Some("denied")).0, Status::Critical);
        assert_eq!(of_place(None, None).0, Status::Passing);
        let (status, said) = of_place(Some("12:11:00"), None);
        assert!(status == Status::Warning && said.contains("a clock was wrong"), "{said}");
        assert_eq!(of_place(Some("12:09:00"), None).0, Status::Passing);
    }

    #[test]
    fn a_jump_and_a_drill_that_failed_are_told() {
        let drill = |failed: Option<&str>| DrillState {
            at: at("11:30:00"),
            sound: None,
            file: "a.snap".into(),
            failed: failed.map(str::to_owned),
        };
        let mut state = works(place(Some("11:00:00"), None));
        state.jump = Some(Jump { before: 9, now: 3 });
        state.drill = Some(drill(Some("no leader")));
        let all = said(state.clone());
        assert_eq!(all[0].1, Status::Warning);
        assert_eq!(all[0].2, "the latest snapshot is much smaller than the one before: 3 bytes after 9");
        assert_eq!(all[2].1, Status::Critical);
        assert_eq!(all[2].2, "a.snap could not be restored: no leader");
        state.drill = Some(drill(None));
        assert_eq!(said(state)[2].1, Status::Passing);
    }
}
