//! Three servers that lose their leader.

use std::time::Duration;

use lictor_consul::{Cause, Client, Error, Index, Query, Retry};
use lictor_testkit::consul::Cluster;
use tokio::time::{Instant, sleep, timeout};

use crate::{SOON, client};

/// Writes until it succeeds; what failed on the way.
async fn write_until_done(client: &Client, key: &str) -> Vec<Error> {
    let mut errors = Vec::new();
    let mut number = 0;
    let done = timeout(SOON * 2, async {
        loop {
            number += 1;
            match client.kv().put(key, number.to_string()).await {
                Ok(()) => return,
                Err(error) => errors.push(error),
            }
            sleep(Duration::from_millis(50)).await;
        }
    });
    done.await.expect("the cluster elects another leader");
    errors
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_loss_of_the_leader_is_survived_and_told() {
    let mut cluster = Cluster::start();
    let follower = cluster.followers()[0];
    let client = client(&cluster.servers()[follower]).with_time_limit(Duration::from_secs(2));
    let before = client.status().leader().await.unwrap().unwrap();
    assert_eq!(client.status().peers().await.unwrap().len(), 3);
    let raft = client.operator().raft_configuration(&Query::new()).await.unwrap();
    assert!(raft.servers.iter().all(|server| server.voter));
    let leading = raft.servers.iter().find(|server| server.leader).unwrap();
    assert_eq!(leading.address, before);

    client.kv().put("c/a", "0").await.unwrap();
    let mut watch = crate::watch::list(&client, "c/", Duration::from_secs(1));
    watch.next().await.unwrap();
    let known = client.kv().get("c/a", &Query::new()).await.unwrap().value.unwrap();

    cluster.kill_leader();
    let begun = Instant::now();
    let writes = write_until_done(&client, "c/a").await;
    let gap = begun.elapsed();
    assert!(gap > Duration::from_millis(500), "no election took place: {gap:?}");
    assert!(!writes.is_empty());
    for error in &writes {
        // None can be told from a write that is applied later.
        assert!(error.may_have_happened(), "{error}");
        assert_eq!(error.retry(), Retry::Reread, "{error}");
    }

    // The watch saw the outage or slept through it; now it sees what was written.
    let seen = timeout(SOON, async {
        loop {
            match watch.next().await {
                Ok(change) if change.value[0].modify_index > known.modify_index => return change,
                Ok(_) => {}
                Err(error) => assert_eq!(error.retry(), Retry::Later, "{error}"),
            }
        }
    });
    let change = seen.await.unwrap();
    assert!(matches!(change.cause, Cause::Changed | Cause::Recovered));

    let consistent = Query::new().consistent();
    let now = client.kv().get("c/a", &consistent).await.unwrap().value.unwrap();
    assert!(!client.kv().cas("c/a", "late", known.modify_index).await.unwrap());
    assert!(client.kv().cas("c/a", "next", now.modify_index).await.unwrap());
    assert_ne!(client.status().leader().await.unwrap().unwrap(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_majority_only_stale_reads_are_answered() {
    let mut cluster = Cluster::start();
    let survivor = cluster.followers()[0];
    let client = client(&cluster.servers()[survivor]);
    client.kv().put("c/a", "0").await.unwrap();
    let stale = Query::new().stale();
    let copied = timeout(SOON, async {
        while client.kv().get("c/a", &stale).await.unwrap().value.is_none() {
            sleep(Duration::from_millis(20)).await;
        }
    });
    copied.await.unwrap();

    for other in (0..3).filter(|&other| other != survivor) {
        cluster.server(other).kill();
    }
    let leaderless = timeout(SOON, async {
        while client.status().leader().await.unwrap().is_some() {
            sleep(Duration::from_millis(20)).await;
        }
    });
    leaderless.await.unwrap();

    let answer = client.kv().get("c/a", &stale).await.unwrap();
    assert_eq!(answer.value.unwrap().value, "0");
    assert_eq!(answer.meta.known_leader, Some(false));
    assert!(answer.meta.index.unwrap() > Index::ZERO);

    // The server holds a request for 7 s before it says so.
    let error = client.kv().put("c/a", "1").await.unwrap_err();
    assert_eq!(error.to_string(), "PUT /v1/kv/c/a: 500: No cluster leader");
    assert_eq!(error.retry(), Retry::Reread);
}
