//! Copies of the whole store: whole, checked, and never gone on with as if nothing had happened since.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use lictor_core::{Ending, Row, RunId, RunState, What};
use lictor_store::kv::Op;
use lictor_store::{
    Batch, CopyError, Kv, LedgerQuery, OpenError, Opened, Restoring, Start, check_copy, copy_of,
};

use crate::support::*;

/// A store with some of everything.
async fn filled(dir: &std::path::Path) -> Opened {
    let opened = open(dir);
    let mut batch = Batch::default();
    batch.put(check_row("web", 1));
    batch.put(incident(5, true));
    batch.put(incident(4, false));
    batch.put(Row::Run(acting(17)));
    batch.put(Row::Run(run(18, RunState::Parked { why: "the disk".into(), attempt: 2 })));
    batch.put(Row::Run(run(16, RunState::Ended(Ending::Done, at(3)))));
    batch.note(event_of(1, 5, "look"));
    batch.position(check("journal"), "s=abc;i=5");
    batch.anchor = Some(anchor(10));
    opened.store.commit(batch).await.unwrap();
    opened.store.confirm().await.unwrap();
    Kv::embedded(opened.store.clone()).txn(&[Op::put("alerts/a", b"1".to_vec())]).await.unwrap();
    opened
}

#[tokio::test]
async fn a_copy_made_while_it_is_written_has_what_was_committed_and_is_sound() {
    let (dir, other) = (scratch(), scratch());
    let store = filled(dir.path()).await.store;
    let writing = async {
        for second in 11..200 {
            let mut batch = Batch::default();
            batch.note(event(second, "more"));
            batch.put(check_row("web", second));
            store.commit(batch).await.unwrap();
        }
    };
    let copying = async {
        let mut commit = 0;
        for number in 0..5 {
            let path = other.path().join(format!("copy-{number}"));
            let (from, to) = (store.clone(), path.clone());
            tokio::task::spawn_blocking(move || from.copy_to(&to)).await.unwrap().unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            let copied = check_copy(&path).unwrap();
            assert!(copied.commit >= commit, "{} after {commit}", copied.commit);
            commit = copied.commit;
            // Each commit but those of the beginning made one entry.
            assert_eq!(copied.entries + 2, copied.commit);
            assert_eq!((copied.runs, copied.incidents), (vec![RunId(17), RunId(18)], 1));
            assert_eq!((copied.node.as_str(), copied.lineage), ("node1", store.lineage()));
            assert_eq!(copied.at, Some(at(10).wall));
        }
        commit
    };
    let ((), last) = tokio::join!(writing, copying);
    assert!(last > 3, "nothing was written meanwhile");
    // What is there is not written over.
    assert!(store.copy_to(&other.path().join("copy-0")).is_err());
}

#[tokio::test]
async fn what_is_restored_is_another_history_whose_runs_wait_and_that_may_not_act_yet() {
    let (dir, new, place) = (scratch(), scratch(), scratch());
    let store = filled(dir.path()).await.store;
    let copy = place.path().join("copy");
    store.copy_to(&copy).unwrap();
    let (before, made) = (store.lineage(), fs::read(&copy).unwrap());

    let restoring = Restoring::begin(new.path(), &made[..]).unwrap();
    assert_eq!(restoring.copied().runs, [RunId(17), RunId(18)]);
    assert!(!restoring.replaces());
    let restored = restoring.put(at(100).wall, "Monday").unwrap();
    assert_eq!((restored.kept, &restored.parked), (None, &vec![RunId(17), RunId(18)]));
    assert_ne!(restored.lineage, before);

    let opened = open(new.path());
    assert_eq!((opened.start, opened.store.lineage()), (Start::Recovered, restored.lineage));
    assert!(!opened.store.confirmed());
    assert_eq!(opened.anchor, Some(anchor(10)));
    assert!(opened.positions.is_empty());
    let state = |id| {
        let row = opened.rows.iter().find(|row| matches!(row, Row::Run(run) if run.id == RunId(id)));
        let Some(Row::Run(run)) = row else { panic!("{id} is missing") };
        run.state.clone()
    };
    let why = "it was at step `restart` in a copy of Monday; what was done since is not known";
    assert_eq!(state(17), RunState::Parked { why: why.into(), attempt: 1 });
    assert_eq!(state(18), RunState::Parked { why: "the disk".into(), attempt: 2 });
    assert!(matches!(state(16), RunState::Ended(..)));
    assert!(opened.rows.contains(&incident(5, true)) && opened.rows.contains(&check_row("web", 1)));
    let page = opened.store.ledger(&LedgerQuery::default()).unwrap();
    let said: Vec<String> = page.entries.iter().map(|entry| entry.event.what.to_string()).collect();
    assert!(said.iter().any(|said| said.contains("state restored from a copy of Monday")), "{said:?}");
    assert_eq!(
        page.entries.iter().filter(|entry| matches!(entry.event.what, What::Parked { .. })).count(),
        1
    );
    let kept = Kv::embedded(opened.store.clone()).get("alerts/a").await.unwrap();
    assert_eq!(kept.map(|pair| pair.value), Some(b"1".to_vec()));
}

#[tokio::test]
async fn what_there_was_is_kept_and_nothing_is_restored_under_a_running_agent() {
    let (dir, place) = (scratch(), scratch());
    let store = filled(dir.path()).await.store;
    let copy = place.path().join("copy");
    store.copy_to(&copy).unwrap();
    let made = fs::read(&copy).unwrap();
    let in_use = |error: CopyError| matches!(error, CopyError::Open(OpenError::InUse { .. }));
    assert!(Restoring::begin(dir.path(), &made[..]).err().is_some_and(in_use));
    fs::write(place.path().join("empty"), b"").unwrap();
    assert!(copy_of(dir.path(), &place.path().join("empty")).err().is_some_and(in_use));
    store.close().await;

    let before = fs::read(dir.path().join("state.redb")).unwrap();
    let files = || fs::read_dir(dir.path()).unwrap().count();
    let many = files();
    // Looking at it changes nothing.
    drop(Restoring::begin(dir.path(), &made[..]).unwrap());
    assert!(fs::read(dir.path().join("state.redb")).unwrap() == before && files() == many);
    let restoring = Restoring::begin(dir.path(), &made[..]).unwrap();
    assert!(restoring.replaces());
    let kept = restoring.put(at(100).wall, "Monday").unwrap().kept.unwrap();
    assert_eq!(kept, dir.path().join("state.redb.replaced-1"));
    assert!(fs::read(kept).unwrap() == before);
    copy_of(dir.path(), &place.path().join("empty")).unwrap();
    assert_eq!(check_copy(&place.path().join("empty")).unwrap().runs, [RunId(17), RunId(18)]);
    assert!(copy_of(place.path(), &place.path().join("nothing")).is_err());
}

#[tokio::test]
async fn a_copy_that_is_cut_off_or_damaged_is_never_put_in_place() {
    let (dir, new, place) = (scratch(), scratch(), scratch());
    let store = filled(dir.path()).await.store;
    let copy = place.path().join("copy");
    store.copy_to(&copy).unwrap();
    let made = fs::read(&copy).unwrap();
    for length in [0, 8, 100, 4096, made.len() / 2] {
        let error = Restoring::begin(new.path(), &made[..length]).err();
        assert!(matches!(error, Some(CopyError::Unsound(_))), "{length}: {error:?}");
    }
    // Every byte of what was recorded has a sum.
    let needle = b"s=abc;i=5";
    let place = made.windows(needle.len()).position(|part| part == needle).unwrap();
    let mut damaged = made.clone();
    damaged[place] ^= 1;
    let error = Restoring::begin(new.path(), &damaged[..]).err();
    assert!(matches!(error, Some(CopyError::Unsound(_))), "{error:?}");
    let needle = b"look";
    let place = made.windows(needle.len()).rposition(|part| part == needle).unwrap();
    let mut damaged = made;
    damaged[place] ^= 1;
    let error = Restoring::begin(new.path(), &damaged[..]).err();
    assert!(matches!(error, Some(CopyError::Unsound(_))), "{error:?}");
    assert!(!new.path().join("state.redb").exists());
    assert!(!new.path().join("state.redb.restoring").exists());
}
