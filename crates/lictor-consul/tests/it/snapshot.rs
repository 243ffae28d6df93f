//! Snapshots, as bytes.

use std::time::Duration;

use bytes::BytesMut;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use lictor_consul::{Cause, Error, Index, Query, Watch};
use lictor_testkit::consul::Server;

use crate::{client, shared};

const WAIT: Duration = Duration::from_secs(3);

#[tokio::test]
async fn a_restored_snapshot_brings_back_what_was_and_indexes_go_back() {
    let server = Server::start();
    let client = client(&server);
    let kv = client.kv();
    kv.put("a", "before").await.unwrap();
    let mut archive = client.snapshot().save(&Query::new()).await.unwrap();
    assert!(archive.meta().index.unwrap() > Index::ZERO);
    let mut bytes = BytesMut::new();
    while let Some(chunk) = archive.chunk().await.unwrap() {
        bytes.extend_from_slice(&chunk);
    }
    assert_eq!(&bytes[..2], [0x1f, 0x8b], "an archive is gzipped");

    kv.put("a", "after").await.unwrap();
    let stale = kv.get("a", &Query::new()).await.unwrap().value.unwrap();
    kv.put("b", "after").await.unwrap();
    let mut watch = Watch::list(client.clone(), "", Query::new().wait(WAIT));
    assert_eq!(watch.next().await.unwrap().value.len(), 2);

    let pieces: Vec<_> = bytes.chunks(1000).map(|piece| Ok::<_, Error>(piece.to_vec())).collect();
    // A request that begins after the restore is held for its whole wait: its index is yet to come.
    let restore = client.snapshot().restore(stream::iter(pieces));
    let (change, restored) = tokio::join!(watch.next(), restore);
    restored.unwrap();
    let change = change.unwrap();
    assert_eq!(change.cause, Cause::WentBack);
    let [pair] = &change.value[..] else {
        panic!("one key expected");
    };
    assert_eq!((&*pair.key, &pair.value[..]), ("a", &b"before"[..]));
    assert!(pair.modify_index < stale.modify_index);
}

#[tokio::test]
async fn the_archive_is_a_stream_as_well() {
    let (client, _) = shared("snapshot");
    let archive = client.snapshot().save(&Query::new()).await.unwrap();
    let stream = std::pin::pin!(archive.into_stream());
    let whole: Vec<u8> = stream.map(|chunk| chunk.map(|chunk| chunk.to_vec())).try_concat().await.unwrap();
    assert!(whole.starts_with(&[0x1f, 0x8b]) && whole.len() > 100);
}

#[tokio::test]
async fn what_is_no_archive_is_refused() {
    let (client, _) = shared("no-archive");
    let nonsense = stream::iter([Ok::<_, Error>("nonsense")]);
    let error = client.snapshot().restore(nonsense).await.unwrap_err();
    assert!(error.to_string().contains("500: failed to"), "{error}");
}
