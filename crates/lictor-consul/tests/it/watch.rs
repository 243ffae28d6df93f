//! Watches of a server that works.

use std::time::Duration;

use futures::StreamExt as _;
use lictor_consul::{Cause, Client, Pair, Query, Watch};
use tokio::time::{Instant, timeout};

use crate::{SOON, shared};

/// A watch of all keys below a prefix.
pub(crate) fn list(client: &Client, prefix: &str, wait: Duration) -> Watch<Vec<Pair>> {
    Watch::list(client.clone(), prefix, Query::new().wait(wait))
}

#[tokio::test]
async fn a_write_wakes_the_watch() {
    let (client, prefix) = shared("wake");
    let mut watch = list(&client, &prefix, SOON);
    let first = watch.next().await.unwrap();
    assert_eq!((first.cause, first.value.len()), (Cause::First, 0));

    // Other tests write other keys, for which the watch of a prefix that is still empty wakes, too.
    let seen = async {
        loop {
            let change = watch.next().await.unwrap();
            if change.value.len() == 1 {
                return change;
            }
        }
    };
    let key = prefix.clone() + "k";
    let write = client.kv().put(&key, "v");
    let (change, written) = timeout(SOON, async { tokio::join!(seen, write) }).await.unwrap();
    written.unwrap();
    assert_eq!(change.cause, Cause::Changed);
    assert_eq!(change.value[0].key, key);
}

#[tokio::test]
async fn a_key_that_is_missing_can_be_waited_for() {
    let (client, prefix) = shared("wait-missing");
    let key = prefix + "k";
    let mut watch = Watch::key(client.clone(), &*key, Query::new());
    assert_eq!(watch.next().await.unwrap().value, None);
    let seen = async { while watch.next().await.unwrap().value.is_none() {} };
    let write = client.kv().put(&key, "v");
    let (_, written) = timeout(SOON, async { tokio::join!(seen, write) }).await.unwrap();
    written.unwrap();
}

#[tokio::test]
async fn nothing_new_gives_nothing() {
    let (client, prefix) = shared("quiet");
    client.kv().put(&(prefix.clone() + "k"), "v").await.unwrap();
    let mut watch = list(&client, &prefix, Duration::from_millis(200));
    watch.next().await.unwrap();
    // Several waits pass.
    assert!(timeout(Duration::from_secs(1), watch.next()).await.is_err());
}

#[tokio::test]
async fn a_dropped_wait_loses_nothing() {
    let (client, prefix) = shared("dropped");
    let key = prefix.clone() + "k";
    client.kv().put(&key, "1").await.unwrap();
    let mut watch = list(&client, &prefix, SOON);
    watch.next().await.unwrap();
    for _ in 0..3 {
        assert!(timeout(Duration::from_millis(20), watch.next()).await.is_err());
    }
    client.kv().put(&key, "2").await.unwrap();
    let change = timeout(SOON, watch.next()).await.unwrap().unwrap();
    assert_eq!((change.cause, &change.value[0].value[..]), (Cause::Changed, &b"2"[..]));
}

#[tokio::test]
async fn many_changes_are_joined_when_asked_to() {
    let (client, prefix) = shared("joined");
    let key = prefix.clone() + "k";
    client.kv().put(&key, "start").await.unwrap();
    let gap = Duration::from_millis(300);
    let watch = list(&client, &prefix, SOON).at_most_every(gap);
    let mut stream = std::pin::pin!(watch.into_stream());
    stream.next().await.unwrap().unwrap();

    let begun = Instant::now();
    for number in 0..50 {
        client.kv().put(&key, number.to_string()).await.unwrap();
    }
    let mut answers = 0;
    loop {
        let change = timeout(SOON, stream.next()).await.unwrap().unwrap().unwrap();
        answers += 1;
        if change.value[0].value == "49" {
            break;
        }
    }
    let most = 2 + begun.elapsed().as_millis() / gap.as_millis();
    assert!(answers <= most, "{answers} answers");
}
