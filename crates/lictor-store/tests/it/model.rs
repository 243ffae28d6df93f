//! The store against a map, with the machine stopped at any moment.

use std::collections::BTreeMap;

use lictor_core::{Row, RowKey};
use lictor_store::{Batch, LedgerOrder, LedgerQuery, NodeStore, Opened};
use proptest::prelude::*;

use crate::support::*;

#[derive(Clone, Debug)]
enum Deed {
    Put(Box<Row>),
    Remove(RowKey),
    Note(u64),
    Position(u8, Option<u16>),
    /// Makes what came before durable.
    Commit,
    /// The same, and the agent is gone without a word; its file is found as it was then.
    Crash,
    /// An orderly restart.
    Restart,
}

fn rows() -> impl Strategy<Value = Row> {
    prop_oneof![
        (0..8_u8, 0..1000_u64).prop_map(|(name, since)| check_row(&format!("c{name}"), since)),
        (0..6_u64, any::<bool>()).prop_map(|(id, open)| incident(id, open)),
        (0..6_u64, any::<bool>()).prop_map(|(id, ended)| {
            let over = lictor_core::RunState::Ended(lictor_core::Ending::Done, at(3));
            Row::Run(if ended { run(id, over) } else { acting(id) })
        }),
    ]
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        6 => rows().prop_map(|row| Deed::Put(Box::new(row))),
        2 => rows().prop_map(|row| Deed::Remove(row.key())),
        4 => (0..6_u64).prop_map(Deed::Note),
        2 => (0..3_u8, any::<Option<u16>>()).prop_map(|(name, at)| Deed::Position(name, at)),
        4 => Just(Deed::Commit),
        1 => Just(Deed::Crash),
        1 => Just(Deed::Restart),
    ];
    proptest::collection::vec(deed, 1..60)
}

/// What the store must hold.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    rows: BTreeMap<RowKey, Row>,
    positions: BTreeMap<String, String>,
    notes: Vec<u64>,
}

fn held(opened: &Opened) -> Model {
    let all = LedgerQuery { limit: 10_000, order: LedgerOrder::OldestFirst, ..LedgerQuery::default() };
    let entries = opened.store.ledger(&all).unwrap().entries;
    Model {
        rows: opened.rows.iter().map(|row| (row.key(), row.clone())).collect(),
        positions: opened.positions.iter().map(|(name, at)| (name.to_string(), at.clone())).collect(),
        notes: entries.iter().map(|entry| entry.event.incident.unwrap().0).collect(),
    }
}

async fn play(deeds: Vec<Deed>) -> Result<(), TestCaseError> {
    let mut dir = scratch();
    let mut store = open(dir.path()).store;
    let (mut durable, mut model, mut batch) = (Model::default(), Model::default(), Batch::default());
    for deed in deeds {
        match deed {
            Deed::Put(row) => {
                model.rows.insert(row.key(), (*row).clone());
                batch.put(*row);
            }
            Deed::Remove(key) => {
                model.rows.remove(&key);
                batch.remove(key);
            }
            Deed::Note(id) => {
                model.notes.push(id);
                batch.note(event_of(1, id, "note"));
            }
            Deed::Position(name, at) => {
                let name = format!("w{name}");
                match at {
                    Some(at) => {
                        model.positions.insert(name.clone(), at.to_string());
                        batch.position(check(&name), at.to_string());
                    }
                    None => {
                        model.positions.remove(&name);
                        batch.forget_position(check(&name));
                    }
                }
            }
            Deed::Commit => {
                store.commit(std::mem::take(&mut batch)).await.unwrap();
                durable = model.clone();
            }
            Deed::Crash | Deed::Restart => {
                let crash = matches!(deed, Deed::Crash);
                batch = Batch::default();
                model = durable.clone();
                if crash {
                    // The file as it is while the store is open and idle.
                    let new = scratch();
                    std::fs::copy(dir.path().join("state.redb"), new.path().join("state.redb")).unwrap();
                    store.close().await;
                    dir = new;
                } else {
                    store.close().await;
                }
                let opened = open(dir.path());
                prop_assert_eq!(held(&opened), durable.clone());
                prop_assert!(opened.warnings.is_empty());
                store = opened.store;
            }
        }
    }
    let rows = store.rows().unwrap().into_iter().map(|row| (row.key(), row)).collect::<BTreeMap<_, _>>();
    prop_assert_eq!(rows, durable.rows);
    NodeStore::close(store).await;
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn the_store_holds_what_a_map_holds(deeds in deeds()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(play(deeds))?;
    }
}
