//! Shared records in a Consul that is killed, frozen, and loses its leader.

use std::time::Duration;

use lictor_consul::Client;
use lictor_store::kv::{Kv, KvError, Op};
use lictor_testkit::consul::{Cluster, Server};
use tokio::time::{Instant, sleep};

use crate::support::*;

const LONG: Duration = Duration::from_secs(60);

/// A client that gives up soon.
fn hasty(url: &str) -> Client {
    client(url).with_time_limit(Duration::from_secs(1))
}

/// Reads until there is an answer.
async fn read(kv: &Kv, key: &str) -> Option<u64> {
    let deadline = Instant::now() + LONG;
    loop {
        match kv.get(key).await {
            Ok(found) => return found.map(|pair| text(&pair.value)),
            Err(KvError::Unavailable { .. }) if Instant::now() < deadline => {
                sleep(Duration::from_millis(50)).await;
            }
            Err(other) => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn a_killed_server_is_unavailable_and_comes_back_with_its_records() {
    let mut server = Server::start();
    let kv = Kv::consul(hasty(&server.url()), "lictor/");
    kv.txn(&[Op::put("a", "1")]).await.unwrap();
    let before = kv.list("").await.unwrap();
    server.kill();
    for outcome in [kv.get("a").await.map(drop), kv.txn(&[Op::put("a", "2")]).await.map(drop)] {
        assert!(matches!(outcome, Err(KvError::Unavailable { .. })), "{outcome:?}");
    }
    let watched = kv.watch("", before.revision, Duration::from_secs(1)).await;
    assert!(matches!(watched, Err(KvError::Unavailable { .. })), "{watched:?}");
    server.restart();
    assert_eq!(read(&kv, "a").await, Some(1));
    assert_eq!(kv.list("").await.unwrap().pairs, before.pairs);
}

#[tokio::test]
async fn a_frozen_server_leaves_it_open_whether_a_write_was_done() {
    let mut server = Server::start();
    let kv = Kv::consul(hasty(&server.url()), "lictor/");
    kv.txn(&[Op::put("a", "1")]).await.unwrap();
    server.pause();
    let write = kv.txn(&[Op::put("a", "2")]).await;
    assert!(matches!(write, Err(KvError::Unknown { .. })), "{write:?}");
    let read_error = kv.get("a").await;
    assert!(matches!(read_error, Err(KvError::Unavailable { .. })), "{read_error:?}");
    server.resume();
    // It lay in the server's queue: given up by us, done by it.
    let deadline = Instant::now() + LONG;
    while read(&kv, "a").await != Some(2) {
        assert!(Instant::now() < deadline, "the write was never done");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn no_acknowledged_write_is_lost_when_the_leader_is() {
    let mut cluster = Cluster::start();
    let follower = cluster.followers()[0];
    let kv = Kv::consul(hasty(&cluster.servers()[follower].url()), "lictor/");
    let (mut done, mut unclear, mut killed) = (0_u64, 0_u64, None);
    let deadline = Instant::now() + LONG;
    // Counts by compare-and-set, on over the loss of the leader, until 60 more were counted.
    let mut after = 0;
    while after < 60 {
        assert!(Instant::now() < deadline, "{done} done, {unclear} unclear");
        if done == 60 && killed.is_none() {
            killed = Some(cluster.kill_leader());
        }
        let Ok(now) = kv.get("count").await else { continue };
        let (count, op) = match now {
            Some(pair) => {
                let count = text(&pair.value);
                (count, Op::replace("count", (count + 1).to_string(), pair.revision))
            }
            None => (0, Op::create("count", "1")),
        };
        assert!((done..=done + unclear).contains(&count), "{count} after {done} done, {unclear} unclear");
        match kv.txn(&[op]).await {
            Ok(_) => {
                done += 1;
                after += u64::from(killed.is_some());
            }
            Err(KvError::Unknown { .. }) => unclear += 1,
            // One that was given up was done after we had read.
            Err(KvError::Conflict { .. }) => assert!(unclear > 0),
            Err(KvError::Unavailable { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
    cluster.server(killed.unwrap()).restart();
    let count = read(&kv, "count").await.unwrap();
    assert!((done..=done + unclear).contains(&count), "{count} of {done} done, {unclear} unclear");
}
