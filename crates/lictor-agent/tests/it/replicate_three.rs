//! Three datacenters: one process copies to two of them, and a ring over all of them is refused.
#![cfg(test)]

use std::time::Duration;

use lictor_agent::replicate::Phase;
use lictor_testkit::consul::{Datacenters, Site};
use tokio::time::{Instant, sleep};

use crate::replicate::{blocks, client, keys};
use crate::watch_rig::LONG;
use crate::whole_rig::Whole;

async fn until(node: &Whole, what: &str, mut so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !so().await {
        assert!(Instant::now() < deadline, "{what}\n{:#?}", node.agent().replication().all());
        sleep(Duration::from_millis(20)).await;
    }
}

/// What is being done, to each datacenter by its number in `to`.
fn phase(node: &Whole, number: usize) -> Phase {
    node.agent().replication().all()[number].state.phase.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_datacenter_that_is_away_holds_up_no_other() {
    let mut sites = Datacenters::of(&[Site::new("dc1"), Site::new("dc2"), Site::on_disk("dc3", 1)]);
    let settings =
        "  prefixes = [\"global/@dc1\"]\n  to = [\"dc2\", \"dc3\"]\n  delete = true\n  confirm = \"1s\"";
    let node = Whole::start(&blocks(sites.server(0), settings)).await;
    let [source, second, third] = [0, 1, 2].map(|number| client(sites.server(number)));
    for number in 0..200 {
        source.kv().put(&format!("global/{number}"), "x").await.unwrap();
    }
    until(&node, "both have all", async || {
        keys(&second, "global/").await.len() == 200 && keys(&third, "global/").await.len() == 200
    })
    .await;

    sites.servers(2)[0].kill();
    source.kv().put("global/new", "x").await.unwrap();
    source.kv().delete("global/7").await.unwrap();
    until(&node, "the other one is followed", async || {
        let now = keys(&second, "global/").await;
        now.contains_key("global/new") && !now.contains_key("global/7")
    })
    .await;
    until(&node, "the one that is away is told", async || matches!(phase(&node, 1), Phase::Failing(_))).await;
    assert_eq!(phase(&node, 0), Phase::Following);

    sites.servers(2)[0].launch_again();
    sites.await_ready(2);
    until(&node, "it catches up", async || {
        let now = keys(&third, "global/").await;
        now.contains_key("global/new") && !now.contains_key("global/7") && now.len() == 200
    })
    .await;
    until(&node, "all is well", async || phase(&node, 1) == Phase::Following).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ring_over_three_datacenters_is_refused_by_whoever_closes_it() {
    let sites = Datacenters::start(&["dc1", "dc2", "dc3"]);
    let start = async |name: &str, at: usize, from: &str| {
        let text = blocks(sites.server(at), &format!("  prefixes = [\"global/@{from}\"]"));
        Whole::named(name, &text.replace("\"shop\"", &format!("\"{name}\"")), None).await
    };
    let one = start("first", 1, "dc1").await;
    let two = start("second", 2, "dc2").await;
    client(sites.server(0)).kv().put("global/a", "x").await.unwrap();
    until(&two, "what is copied is copied on", async || {
        keys(&client(sites.server(2)), "global/").await.len() == 1
    })
    .await;
    let three = start("third", 0, "dc3").await;
    until(&three, "the ring is seen", async || matches!(phase(&three, 0), Phase::Refused(_))).await;
    let why = phase(&three, 0).why().unwrap_or_default().to_owned();
    assert_eq!(
        why,
        "what is copied would come back: third (dc3 to dc1), then first (dc1 to dc2), then second (dc2 to dc3)"
    );
    assert_eq!((phase(&one, 0), phase(&two, 0)), (Phase::Following, Phase::Following));
}
