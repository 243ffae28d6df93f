//! The record of acts: a chain that shows where somebody has touched it.

use lictor_store::{ACTS_KEPT, Act, ActEnd, Batch, NodeStore, Start};
use redb::{Database, ReadableTable as _, TableDefinition};

use crate::support::*;

const ACTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("acts");

fn act(seconds: u64, what: &str) -> Act {
    Act {
        at: at(seconds),
        by: "ann".into(),
        from: "192.0.2.7".into(),
        door: "page".into(),
        what: what.into(),
        detail: String::new(),
        end: ActEnd::Done,
        said: "ok".into(),
        of: None,
    }
}

fn breaks(store: &NodeStore) -> Vec<(u64, String)> {
    store.verify_acts().unwrap().breaks
}

/// Six acts, closed in order.
async fn six() -> tempfile::TempDir {
    let dir = scratch();
    let store = open(dir.path()).store;
    for number in 1..=6 {
        assert_eq!(store.record_act(act(number, &format!("act {number}"))).await.unwrap(), number);
    }
    store.close().await;
    dir
}

/// Opens the file behind the store's back.
fn touch(dir: &tempfile::TempDir, change: impl FnOnce(&mut redb::Table<'_, u64, &'static [u8]>)) {
    let database = Database::open(dir.path().join("state.redb")).unwrap();
    let txn = database.begin_write().unwrap();
    change(&mut txn.open_table(ACTS).unwrap());
    txn.commit().unwrap();
}

#[tokio::test]
async fn a_chain_goes_on_over_restarts_and_is_listed_from_its_end() {
    let dir = six().await;
    let opened = open(dir.path());
    assert_eq!(opened.start, Start::Recovered, "it was not stopped in order, whatever was asked for");
    let store = opened.store;
    store.record_act(Act { end: ActEnd::Refused, ..act(7, "act 7") }).await.unwrap();
    let all = store.acts(None, 100).unwrap();
    assert_eq!(all.iter().map(|one| one.number).collect::<Vec<_>>(), [7, 6, 5, 4, 3, 2, 1]);
    assert!(all.windows(2).all(|pair| pair[0].before == pair[1].hash));
    assert_eq!((all[6].before.as_str(), all[0].act.end), ("0".repeat(64).as_str(), ActEnd::Refused));
    let page = store.acts(Some(6), 2).unwrap();
    assert_eq!(page.iter().map(|one| one.act.what.as_str()).collect::<Vec<_>>(), ["act 5", "act 4"]);
    let whole = store.verify_acts().unwrap();
    assert_eq!((whole.entries, whole.first, whole.last, whole.cut), (7, 1, 7, 0));
    assert_eq!((&whole.hash, &whole.breaks), (&all[0].hash, &Vec::new()));
}

#[tokio::test]
async fn an_act_of_a_batch_is_there_when_the_batch_is_and_only_then() {
    let dir = scratch();
    let store = open(dir.path()).store;
    let mut batch = Batch::default();
    batch.act(act(1, "start shop"));
    assert!(!batch.is_empty());
    let mut later = Batch::default();
    later.act(act(2, "cancel r1"));
    batch.absorb(later);
    batch.note(event(1, "it is asked for"));
    store.commit(batch).await.unwrap();
    let all = store.acts(None, 9).unwrap();
    assert_eq!(all.iter().map(|one| one.act.what.as_str()).collect::<Vec<_>>(), ["cancel r1", "start shop"]);
    assert_eq!(breaks(&store), []);
}

#[tokio::test]
async fn every_way_to_touch_it_is_found_where_it_was_done() {
    let told = async |change: fn(&mut redb::Table<'_, u64, &'static [u8]>)| {
        let dir = six().await;
        touch(&dir, change);
        breaks(&open(dir.path()).store)
    };
    assert_eq!(told(|_| {}).await, []);
    let removed = told(|table| drop(table.remove(3).unwrap())).await;
    assert_eq!(removed, [(3, "entries 3 to 3 are missing".to_owned())]);
    let cut = told(|table| {
        for number in [5, 6] {
            drop(table.remove(number).unwrap());
        }
    });
    assert_eq!(cut.await, [(5, "entries 5 to 6 are missing".to_owned())]);
    let begun_later = told(|table| drop(table.remove(1).unwrap())).await;
    assert_eq!(begun_later, [(1, "entries 1 to 1 are missing".to_owned())]);
    let moved = told(|table| {
        let fourth = table.get(4).unwrap().unwrap().value().to_vec();
        table.insert(3, fourth.as_slice()).unwrap();
    });
    let moved = moved.await;
    assert_eq!(moved[0].0, 3);
    assert!(moved[0].1.contains("does not match its checksum"), "{moved:?}");
}

/// The stored form of a value: a checksum before its body.
fn sealed(key: &[u8], body: &[u8]) -> Vec<u8> {
    let mut crc = u32::MAX;
    for byte in key.iter().chain(body) {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    [&(!crc).to_le_bytes()[..], body].concat()
}

/// Leaves the file as an older program does, which writes how things stand without a word of the record of acts.
fn older_program(dir: &tempfile::TempDir) {
    let database = Database::open(dir.path().join("state.redb")).unwrap();
    let txn = database.begin_write().unwrap();
    {
        let mut meta = txn.open_table(redb::TableDefinition::<&str, &[u8]>::new("meta")).unwrap();
        let live = meta.get("live").unwrap().unwrap().value()[4..].to_vec();
        let mut live: serde_json::Value = serde_json::from_slice(&live).unwrap();
        assert!(live.as_object_mut().unwrap().remove("acts").is_some());
        let live = sealed(b"live", live.to_string().as_bytes());
        meta.insert("live", live.as_slice()).unwrap();
    }
    txn.commit().unwrap();
}

#[tokio::test]
async fn a_step_back_to_an_older_program_overwrites_nothing() {
    let dir = six().await;
    older_program(&dir);
    let store = open(dir.path()).store;
    assert_eq!(store.record_act(act(7, "act 7")).await.unwrap(), 7);
    let whole = store.verify_acts().unwrap();
    assert_eq!((whole.entries, whole.first, whole.last, whole.cut, whole.breaks), (7, 1, 7, 0, Vec::new()));
    store.close().await;
    // The same where the first ones had been removed because there were too many.
    touch(&dir, |table| drop(table.remove(1).unwrap()));
    older_program(&dir);
    let store = open(dir.path()).store;
    assert_eq!(store.record_act(act(8, "act 8")).await.unwrap(), 8);
    let whole = store.verify_acts().unwrap();
    assert_eq!((whole.entries, whole.first, whole.last, whole.cut, whole.breaks), (7, 2, 8, 1, Vec::new()));
}

/// What somebody would write who knows the format: a true checksum before another body.
fn forged(table: &mut redb::Table<'_, u64, &'static [u8]>, number: u64) {
    let bytes = table.get(number).unwrap().unwrap().value().to_vec();
    let body = String::from_utf8(bytes[4..].to_vec()).unwrap().replace("\"ann\"", "\"bob\"");
    let sealed = sealed(&number.to_be_bytes(), body.as_bytes());
    table.insert(number, sealed.as_slice()).unwrap();
}

#[tokio::test]
async fn an_entry_that_was_written_anew_with_care_is_found_by_the_next_one() {
    let dir = six().await;
    touch(&dir, |table| forged(table, 4));
    let store = open(dir.path()).store;
    assert_eq!(store.acts(Some(5), 1).unwrap()[0].act.by, "bob");
    assert_eq!(breaks(&store), [(5, "what it says of entry 4 does not fit that entry".to_owned())]);
    store.close().await;
    let dir = six().await;
    touch(&dir, |table| forged(table, 6));
    let last = breaks(&open(dir.path()).store);
    assert_eq!(last, [(6, "it is not the entry that was recorded last".to_owned())]);
}

#[tokio::test]
async fn what_is_too_old_goes_and_leaves_its_hash() {
    let dir = scratch();
    let store = open(dir.path()).store;
    let mut batch = Batch::default();
    for number in 1..=ACTS_KEPT + 5 {
        batch.act(act(number, "more"));
    }
    store.commit(batch).await.unwrap();
    let whole = store.verify_acts().unwrap();
    assert_eq!((whole.entries, whole.first, whole.last, whole.cut), (ACTS_KEPT, 6, ACTS_KEPT + 5, 5));
    assert_eq!(whole.breaks, []);
    store.close().await;
    // Who takes away one more shows it.
    touch(&dir, |table| drop(table.remove(6).unwrap()));
    assert_eq!(breaks(&open(dir.path()).store), [(6, "entries 6 to 6 are missing".to_owned())]);
}
