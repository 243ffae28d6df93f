//! Where the nodes of the services hear each other: each writes that into the records, and knows it of the others
//! for as long as it lives, whatever becomes of the records.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use lictor_store::kv::{Kv, KvError, Listing, Op, Revision};
use lictor_store::wire;
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{debug, warn};

use super::words::Places;
use crate::task::{OnEnd, Tasks};

/// Above the records of all nodes.
const PREFIX: &str = "cluster/";

/// How long a blocking query waits for a change.
const WATCH: Duration = Duration::from_secs(60);

/// After how long one that failed is begun again.
const AGAIN: Duration = Duration::from_secs(2);

/// Keeps the record of this node, `here`, and follows those of the others.
pub(super) fn keep(kv: Kv, node: String, here: SocketAddr, tasks: &Tasks) -> Places {
    let (sender, places) = watch::channel(BTreeMap::new());
    tasks.spawn("places of nodes", OnEnd::Fine, async move {
        let (mut since, mut written) = (Revision(0), false);
        loop {
            match kv.watch(PREFIX, since, WATCH).await {
                Ok(listing) => {
                    since = listing.revision;
                    let found = read(&listing);
                    let known = found.get(&node) == Some(&here);
                    sender.send_if_modified(|places| {
                        let before = places.clone();
                        // What is lost in the records is where it was, for all that is known.
                        places.extend(found);
                        *places != before
                    });
                    if !known {
                        if let Err(error) = write(&kv, &node, here).await {
                            warn!(%error, "the other nodes are not told where this one hears them");
                            since = Revision(0);
                        }
                        // Two with one name must not write without end.
                        if std::mem::replace(&mut written, true) {
                            sleep(AGAIN).await;
                        }
                    }
                }
                Err(error) => {
                    debug!(%error, "where the other nodes are cannot be read");
                    (since, ()) = (Revision(0), sleep(AGAIN).await);
                }
            }
        }
    });
    places
}

async fn write(kv: &Kv, node: &str, here: SocketAddr) -> Result<(), KvError> {
    let place = wire::Place { at: here.to_string() };
    // It has nothing that cannot be encoded.
    let value = wire::encode(&place).unwrap_or_default();
    kv.txn(&[Op::put(format!("{PREFIX}{node}"), value)]).await.map(drop)
}

fn read(listing: &Listing) -> BTreeMap<String, SocketAddr> {
    let place = |pair: &lictor_store::kv::Pair| {
        let node = pair.key.strip_prefix(PREFIX)?;
        let place = wire::decode::<wire::Place>(&pair.value).map(|place| place.at.parse());
        match place {
            Ok(Ok(at)) => Some((node.to_owned(), at)),
            Ok(Err(_)) | Err(_) => {
                warn!(key = pair.key, "where that node hears others cannot be read");
                None
            }
        }
    };
    listing.pairs.iter().filter_map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nodes_find_each_other_and_keep_what_they_knew() {
        let (kv, tasks) = (Kv::memory(), Tasks::new());
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let mut one = keep(kv.clone(), "n1".into(), at("10.0.0.1:1"), &tasks);
        let mut two = keep(kv.clone(), "n2".into(), at("[fd00::2]:2"), &tasks);
        let both =
            BTreeMap::from([("n1".to_owned(), at("10.0.0.1:1")), ("n2".to_owned(), at("[fd00::2]:2"))]);
        one.wait_for(|places| *places == both).await.unwrap();
        two.wait_for(|places| *places == both).await.unwrap();
        kv.txn(&[Op::delete("cluster/n1"), Op::put("cluster/n2", "junk")]).await.unwrap();
        // It is written anew, and the other one stays where it was.
        let written = async {
            while kv.get("cluster/n1").await.unwrap().is_none() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), written).await.unwrap();
        assert_eq!(*one.borrow(), both);
        let third = wire::encode(&wire::Place { at: "10.0.0.9:9".into() }).unwrap();
        kv.txn(&[Op::put("cluster/n3", third)]).await.unwrap();
        one.wait_for(|places| places.get("n3") == Some(&at("10.0.0.9:9"))).await.unwrap();
        assert_eq!(one.borrow().len(), 3);
        tasks.stopping().cancel();
    }
}
