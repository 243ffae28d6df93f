//! How a register lies in Consul.

use bytes::Bytes;
use lictor_consul::{Client, Error, Index, Operation, OperationErrorKind, Pair, Query};
use serde_json::{Value, json};

/// How many keys a register is spread over.
const SPREAD: usize = 3;

/// How a register lies in Consul.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Store {
    /// A key, written by plain requests, of whose answers none has an index.
    Plain,
    /// A key, written by transactions, whose answers have the index of what was written.
    Versioned,
    /// Several keys that always hold the same, written and read by transactions. If they do not hold the same, a value was read that
    /// nobody has written.
    Spread,
}

/// What a register holds, and the index of each of its keys.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Held {
    pub(super) value: Value,
    pub(super) indexes: Vec<Index>,
}

impl Store {
    /// What a register holds; none if it was never written.
    pub(super) async fn get(self, client: &Client, key: &str, query: &Query) -> Result<Option<Held>, Error> {
        match self {
            Self::Plain | Self::Versioned => {
                let pair = client.kv().get(&path(key), query).await?.value;
                Ok(pair.map(|pair| Held { value: number(&pair.value), indexes: vec![pair.modify_index] }))
            }
            Self::Spread => {
                let gets: Vec<_> = parts(key).into_iter().map(Operation::get).collect();
                match client.txn().run_with(&gets, query).await {
                    Ok(answer) => Ok(Some(together(&answer.value))),
                    Err(Error::RolledBack { errors, call }) => {
                        let absent = errors.iter().filter(|error| error.kind == OperationErrorKind::Absent);
                        match absent.count() {
                            SPREAD => Ok(None),
                            0 => Err(Error::RolledBack { errors, call }),
                            some => Ok(Some(Held { value: json!({ "absent": some }), indexes: Vec::new() })),
                        }
                    }
                    Err(error) => Err(error),
                }
            }
        }
    }

    /// Writes what a register is to hold. Gives the index, if it is known.
    pub(super) async fn put(self, client: &Client, key: &str, value: &str) -> Result<Option<Index>, Error> {
        let set = |key: String| Operation::set(key, value.to_owned());
        match self {
            Self::Plain => client.kv().put(&path(key), value.to_owned()).await.map(|()| None),
            Self::Versioned => run(client, vec![set(path(key))]).await,
            Self::Spread => run(client, parts(key).into_iter().map(set).collect()).await.map(|_| None),
        }
    }

    /// Writes what a register is to hold if its keys have these indexes. False if not; else the index, if it is known.
    pub(super) async fn cas(
        self,
        client: &Client,
        key: &str,
        value: &str,
        indexes: &[Index],
    ) -> Result<(bool, Option<Index>), Error> {
        let paths = match self {
            Self::Plain | Self::Versioned => vec![path(key)],
            Self::Spread => parts(key),
        };
        if paths.len() != indexes.len() {
            // It was not read as a whole: there is nothing it could be bound to.
            return Ok((false, None));
        }
        if let (Self::Plain, [path], [index]) = (self, &paths[..], indexes) {
            return Ok((client.kv().cas(path, value.to_owned(), *index).await?, None));
        }
        let pairs = paths.into_iter().zip(indexes);
        let writes = pairs.map(|(path, &index)| Operation::cas(path, value.to_owned(), index)).collect();
        match run(client, writes).await {
            Ok(index) => Ok((true, index.filter(|_| self == Self::Versioned))),
            Err(Error::RolledBack { errors, .. })
                if errors.iter().any(|error| error.kind == OperationErrorKind::IndexIsStale) =>
            {
                Ok((false, None))
            }
            Err(error) => Err(error),
        }
    }
}

/// Does writes, all or none. Gives the index that they have.
async fn run(client: &Client, writes: Vec<Operation>) -> Result<Option<Index>, Error> {
    let written = client.txn().run(&writes).await?.value;
    Ok(written.first().map(|pair| pair.modify_index))
}

/// What several keys hold together: the value, if it is the same, or else all of them.
fn together(pairs: &[Pair]) -> Held {
    let values: Vec<Value> = pairs.iter().map(|pair| number(&pair.value)).collect();
    let indexes = pairs.iter().map(|pair| pair.modify_index).collect();
    let same = values.len() == SPREAD && values.windows(2).all(|two| two.first() == two.get(1));
    let value = match values.first() {
        Some(first) if same => first.clone(),
        _ => Value::Array(values),
    };
    Held { value, indexes }
}

fn path(key: &str) -> String {
    format!("jepsen/register/{key}")
}

fn parts(key: &str) -> Vec<String> {
    (1..=SPREAD).map(|part| format!("jepsen/register/{key}/{part}")).collect()
}

/// What a value says: a number, or its text if that is none.
fn number(value: &Bytes) -> Value {
    let text = String::from_utf8_lossy(value);
    text.parse::<u64>().map_or_else(|_| json!(text), |number| json!(number))
}

#[cfg(test)]
mod tests {
    use lictor_testkit::consul;

    use super::*;

    fn pair(value: &'static str) -> Pair {
        let (key, index) = ("k".to_owned(), Index(7));
        let value = Bytes::from_static(value.as_bytes());
        Pair { key, value, flags: 0, session: None, lock_index: 0, create_index: index, modify_index: index }
    }

    #[test]
    fn keys_that_do_not_hold_the_same_are_a_value_of_their_own() {
        assert_eq!(together(&[pair("3"), pair("3"), pair("3")]).value, json!(3));
        assert_eq!(together(&[pair("3"), pair("4"), pair("3")]).value, json!([3, 4, 3]));
    }

    #[test]
    fn a_value_that_is_no_number_is_shown_as_it_is() {
        assert_eq!(number(&Bytes::from_static(b"17")), json!(17));
        assert_eq!(number(&Bytes::from_static(b"x")), json!("x"));
    }

    #[tokio::test]
    async fn what_a_cluster_was_told_is_read_and_a_write_that_is_late_is_refused() {
        let address = consul::shared().url().parse().unwrap();
        let client = Client::new(lictor_consul::Config { address, ..Default::default() }).unwrap();
        let query = Query::new().consistent();
        for store in [Store::Plain, Store::Versioned, Store::Spread] {
            let key = format!("{store:?}");
            assert_eq!(store.get(&client, &key, &query).await.unwrap(), None);
            let index = store.put(&client, &key, "1").await.unwrap();
            let held = store.get(&client, &key, &query).await.unwrap().unwrap();
            assert_eq!(held.value, json!(1));
            assert_eq!(index, (store == Store::Versioned).then(|| held.indexes[0]), "{store:?}");
            assert!(store.cas(&client, &key, "2", &held.indexes).await.unwrap().0);
            assert!(!store.cas(&client, &key, "3", &held.indexes).await.unwrap().0);
            let held = store.get(&client, &key, &query).await.unwrap().unwrap();
            assert_eq!(held.value, json!(2));
        }
    }
}
