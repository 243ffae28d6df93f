//! How the snapshots of this node stand, for alerts and for Consul.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lictor_config::{Drill, When};
use lictor_core::alert::{Input, Report, Source, Subject, SubjectKey, label, text};
use lictor_core::{Boot, Status};
use tokio::time::{MissedTickBehavior, interval};

use super::board::Snapshots;
use super::due::stamp;
use super::view::{DrillState, Failing, Phase, PlaceState, SnapshotView};
use crate::alert::Feed;
use crate::clock::Clock;

/// How often it is looked whether there is something to tell.
const EVERY: Duration = Duration::from_secs(1);

/// It may fail for so long before anybody is told: an election of a leader takes 18 s at most.
const PATIENCE: Duration = Duration::from_secs(30);

/// That they are taken at all.
const TAKING: &str = "taking";

/// After so many times its interval a drill is missed.
const LATE: u32 = 3;

/// What is told of: that snapshots are taken, each place, and the drills.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// `taking`, `place NAME` or `drill`.
    pub(crate) of: String,
    pub(crate) status: Status,
    pub(crate) said: String,
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
        // Until all of them are known nothing is over: what was told before a start stands until then. Of what is wrong from
        // the start nothing more will be known.
        let wrong = |view: &SnapshotView| {
            verdicts(view, now.boot, wall).iter().any(|verdict| verdict.status != Status::Passing)
        };
        let complete = views.iter().all(|view| view.state.known || wrong(view));
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
        // That one node cannot take them is over when another does; a place is the same for all of them.
        let key = match of.as_str() {
            TAKING => SubjectKey::of(&["snapshot", name, &of, node]),
            of => SubjectKey::of(&["snapshot", name, of]),
        };
        Report { judged: true, ..Report::new(Subject { key, labels, tags: [].into() }, status, said) }
    };
    verdicts(view, now, wall).into_iter().map(report).collect()
}

/// What there is to say of a block; nothing where another node says it. In words without numbers that change all the time.
pub(crate) fn verdicts(view: &SnapshotView, now: Boot, wall: Timestamp) -> Vec<Verdict> {
    let state = &view.state;
    let late = state.failing.as_ref().filter(|failing| now.since(failing.since) >= PATIENCE);
    let verdict = |of: &str, status, said: String| Verdict { of: of.to_owned(), status, said };
    let taking = match (&state.phase, late) {
        (Phase::Refused(why), _) => (Status::Critical, format!("no snapshots are taken: {why}")),
        // Also while it takes another one, or stands by: that is not yet one which is somewhere.
        (_, Some(Failing { why, .. })) => (Status::Critical, format!("no snapshot could be taken: {why}")),
        (Phase::Standby(_), None) => return Vec::new(),
        (_, None) if !state.known => return Vec::new(),
        (_, None) => match state.jump {
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
    let mut all = vec![verdict(TAKING, taking.0, taking.1)];
    // Of what another node looks after it speaks itself.
    if !state.known || matches!(state.phase, Phase::Standby(_)) {
        return all;
    }
    for place in &state.places {
        let (status, said) = place_verdict(view, place, now, wall);
        all.push(verdict(&format!("place {}", place.name), status, said));
    }
    if let (Some(drill), Some(settings)) = (&state.drill, &view.config.drill) {
        let (status, said) = drill_verdict(drill, settings, wall);
        all.push(verdict("drill", status, said));
    }
    all
}

fn drill_verdict(drill: &DrillState, settings: &Drill, wall: Timestamp) -> (Status, String) {
    let long = match settings.when {
        When::Every(pause) => SignedDuration::try_from(pause * LATE).ok(),
        When::At(_) => None,
    };
    let old = |sound: Timestamp| long.is_some_and(|long| sound.duration_until(wall) > long);
    match (&drill.failed, &drill.untried, drill.sound) {
        (Some(why), _, _) => (Status::Critical, format!("{} could not be restored: {why}", drill.file)),
        (None, Some(why), _) => (Status::Warning, format!("the newest snapshot could not be tried: {why}")),
        (None, None, Some(sound)) if old(sound) => {
            (Status::Warning, format!("no snapshot was tried since {sound:.0}"))
        }
        (None, None, _) => (Status::Passing, "the newest snapshot could be restored".to_owned()),
    }
}

fn place_verdict(view: &SnapshotView, place: &PlaceState, now: Boot, wall: Timestamp) -> (Status, String) {
    let most = view.config.max_age.map(|most| SignedDuration::try_from(most).unwrap_or(SignedDuration::MAX));
    let old = |newest: Timestamp| most.is_some_and(|most| newest.duration_until(wall) > most);
    let waited = view.config.max_age.is_none_or(|most| now.since(place.since) > most);
    let shown = &place.shown;
    // Most of what goes wrong there says already where.
    let bare = |why: &str| why.strip_prefix(&format!("{shown}: ")).unwrap_or(why).to_owned();
    let trouble = place.trouble.as_deref().map(bare);
    let but = trouble.as_ref().map_or_else(String::new, |why| format!(": {why}"));
    match (place.newest, &trouble) {
        (Some(newest), _) if old(newest) => {
            (Status::Critical, format!("the newest snapshot in {shown} is of {newest:.0}{but}"))
        }
        (Some(_), Some(why)) => (Status::Warning, format!("{shown}: {why}")),
        // It did not say yet what is there.
        (None, Some(why)) if place.count.is_none() && !waited => (Status::Warning, format!("{shown}: {why}")),
        (None, Some(why)) => (Status::Critical, format!("there is no snapshot in {shown}: {why}")),
        (None, None) if waited => {
            (Status::Critical, format!("there is no snapshot in {shown}: none was sent to its end yet"))
        }
        (_, None) => match place.ahead {
            Some(ahead) => {
                let said = format!(
                    "a snapshot in {shown} is of {ahead:.0}, which is to come: a clock was wrong. It counts for nothing: remove it, or give it another name"
                );
                (Status::Warning, said)
            }
            None => (Status::Passing, format!("snapshots are kept in {shown}")),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lictor_core::snapshot::Jump;

    use super::super::view::SnapshotState;
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
        said_of(place(newest, trouble))
    }

    fn said_of(place: PlaceState) -> (Status, String) {
        let all = said(works(place));
        let [_, (of, status, said)] = all.as_slice() else { panic!("{all:?}") };
        assert_eq!(of, "place here");
        (*status, said.clone())
    }

    fn failing(since: u64) -> Option<Failing> {
        Some(Failing {
            since: Boot::from_millis(since),
            at: at("11:59:00"),
            why: "no way".into(),
            tried: true,
        })
    }

    #[test]
    fn what_fails_for_long_is_told_until_one_is_somewhere_whatever_is_done_meanwhile() {
        for phase in [Phase::Taking, Phase::Sending, Phase::Looking, Phase::Standby("n2 takes them".into())] {
            let state =
                SnapshotState { phase, failing: failing(100_000), known: true, ..SnapshotState::default() };
            let [(of, status, _)] = said(state).try_into().unwrap();
            assert_eq!((of.as_str(), status), ("taking", Status::Critical));
        }
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
            let fails = |since| SnapshotState {
                phase: Phase::Failing("no way".into()),
                known,
                failing: failing(since),
                ..SnapshotState::default()
            };
            let long =
                ("taking".to_owned(), Status::Critical, "no snapshot could be taken: no way".to_owned());
            assert_eq!(said(fails(100_000)).first(), Some(&long));
            let short = said(fails(130_000));
            assert!(short.iter().all(|(_, status, _)| *status == Status::Passing), "{short:?}");
        }
    }

    #[test]
    fn a_place_is_as_good_as_the_newest_snapshot_in_it() {
        let (status, said) = of_place(Some("11:00:00"), None);
        assert_eq!((status, said.as_str()), (Status::Passing, "snapshots are kept in /b"));
        assert_eq!(of_place(Some("11:00:00"), Some("denied")), (Status::Warning, "/b: denied".into()));
        assert_eq!(of_place(Some("11:00:00"), Some("/b: denied")), (Status::Warning, "/b: denied".into()));
        let (status, said) = of_place(Some("08:59:59"), Some("denied"));
        assert_eq!(status, Status::Critical);
        assert_eq!(said, "the newest snapshot in /b is of 2026-11-22T08:59:59Z: denied");
        let empty = PlaceState { count: Some(0), ..place(None, Some("denied")) };
        assert_eq!(said_of(empty).0, Status::Critical);
    }

    #[test]
    fn a_place_that_gets_nothing_is_told_after_as_long_as_one_may_be_old() {
        let since = |since, trouble: Option<&str>| {
            let place = PlaceState { since: Boot::from_millis(since), ..place(None, trouble) };
            said(works(place)).swap_remove(1).1
        };
        // It runs since 140 s; at most three hours are allowed.
        assert_eq!((since(0, None), since(0, Some("slow"))), (Status::Passing, Status::Warning));
        let day = Boot::from_millis(86_400_000);
        let loaded = lictor_config::parse_in("x.hcl", CONFIG, &BTreeMap::<String, String>::new()).unwrap();
        let config = Arc::clone(loaded.config.snapshots.values().next().unwrap());
        let view = SnapshotView { config, state: works(place(None, None)) };
        assert_eq!(verdicts(&view, day, at("12:00:00"))[1].status, Status::Critical);
    }

    #[test]
    fn a_snapshot_that_is_to_come_is_told() {
        let place = PlaceState { ahead: Some(at("19:00:00")), ..place(Some("11:00:00"), None) };
        let (_, status, said) = said(works(place)).swap_remove(1);
        assert!(status == Status::Warning && said.contains("a clock was wrong"), "{said}");
    }

    #[test]
    fn a_jump_and_a_drill_that_failed_are_told() {
        let drill = |failed: Option<&str>| DrillState {
            at: Some(at("11:30:00")),
            sound: None,
            file: "a.snap".into(),
            failed: failed.map(str::to_owned),
            untried: None,
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
        assert_eq!(said(state.clone())[2].1, Status::Passing);
        state.drill = Some(DrillState { untried: Some("no memory".into()), ..drill(None) });
        assert_eq!(said(state.clone())[2].1, Status::Warning);
        // A week is the interval.
        let sound = Some("2026-10-31T00:00:00Z".parse().unwrap());
        state.drill = Some(DrillState { sound, ..drill(None) });
        assert_eq!(said(state)[2].1, Status::Warning);
    }
}
