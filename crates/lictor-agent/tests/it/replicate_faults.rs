//! What a source and a destination can do to a copy: servers that start, tokens that lose rights, snapshots that come back.
#![cfg(test)]

use std::time::Duration;

use lictor_agent::replicate::Phase;
use lictor_consul::{Operation, Query};
use lictor_core::replicate::Hold;
use lictor_testkit::consul::{Datacenters, Options, Site};
use tokio::time::sleep;

use crate::replicate::{World, blocks, client, keys};
use crate::whole_rig::Whole;

const DELETES: &str = "  prefixes = [\"global/@dc1:copy/\"]\n  delete = true\n  confirm = \"1s\"";

/// Writes so many keys quickly.
async fn fill(world: &World, folder: &str, count: usize) {
    let source = world.source();
    let numbers: Vec<usize> = (0..count).collect();
    for some in numbers.chunks(64) {
        let set =
            |number: &usize| Operation::set(format!("global/{folder}/{number}"), format!("value {number}"));
        source.txn().run(&some.iter().map(set).collect::<Vec<_>>()).await.unwrap();
    }
}

/// How much is done: rounds of what goes by chance, or keys. More in the long suite.
fn wanted(name: &str, usually: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usually)
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_servers_of_the_source_start_again_nothing_is_deleted() {
    let sites = [Site::on_disk("dc1", 3), Site::new("dc2")];
    let mut world = World::of(&sites, DELETES).await;
    let count = wanted("LICTOR_KEYS", 20_000);
    fill(&world, "many", count).await;
    world.until("all is copied", async |world| world.view().state.copies == count).await;
    for round in 0..wanted("LICTOR_ROUNDS", 2) {
        for server in world.sites.servers(0) {
            server.kill();
        }
        for server in world.sites.servers(0) {
            server.launch_again();
        }
        world.sites.await_ready(0);
        let key = format!("global/after/{round}");
        world
            .until("the source can be written to again", async |world| {
                world.source().kv().put(&key, "x").await.is_ok()
            })
            .await;
        let copy = format!("copy/after/{round}");
        let there = world.there();
        world.until("it is followed again", async |_| keys(&there, &copy).await.len() == 1).await;
        assert_eq!(world.view().state.tally.deleted, 0, "round {round}");
        assert_eq!(keys(&there, "copy/many/").await.len(), count, "round {round}");
    }
    // What is deleted in truth is.
    world.source().kv().delete("global/many/7").await.unwrap();
    let there = world.there();
    world
        .until("it is deleted", async |_| !keys(&there, "copy/many/7").await.contains_key("copy/many/7"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_token_may_not_see_any_more_is_not_deleted() {
    let acl = |name: &str| Site {
        options: Options { acl: true, in_memory: true, ..Options::default() },
        ..Site::new(name)
    };
    let sites = Datacenters::of(&[acl("dc1"), acl("dc2")]);
    let secret = "3a0f8a46-2f8b-4c52-9d1e-5a1f6ee0b5aa";
    let policy = |site: usize, rules: &str| {
        let body = serde_json::json!({ "Name": "copy", "Rules": rules }).to_string();
        let (status, said) = sites.server(site).put("/v1/acl/policy", &body).unwrap();
        assert_eq!(status, 200, "{said}");
        let made: serde_json::Value = serde_json::from_str(&said).unwrap();
        let body = serde_json::json!({ "SecretID": secret, "Policies": [{ "Name": "copy" }] }).to_string();
        let (status, said) = sites.server(site).put("/v1/acl/token", &body).unwrap();
        assert_eq!(status, 200, "{said}");
        made["ID"].as_str().unwrap().to_owned()
    };
    let id = policy(0, r#"key_prefix "global/" { policy = "read" }"#);
    policy(
        1,
        r#"key_prefix "copy/" { policy = "write" } key_prefix "lictor/" { policy = "write" } agent_prefix "" { policy = "read" }"#,
    );
    let text = blocks(sites.server(1), DELETES);
    let text = text.replace(sites.server(1).token().unwrap(), secret);
    let node = Whole::start(&text).await;
    let world = World { sites, node };
    for number in 0..40 {
        world.source().kv().put(&format!("global/seen/{number}"), "x").await.unwrap();
    }
    // So few that no limit would stop it.
    for number in 0..5 {
        world.source().kv().put(&format!("global/hidden/{number}"), "x").await.unwrap();
    }
    world.until_same("all is copied").await;
    let rules =
        r#"key_prefix "global/seen/" { policy = "read" } key_prefix "global/hidden/" { policy = "deny" }"#;
    let body = serde_json::json!({ "ID": id, "Name": "copy", "Rules": rules }).to_string();
    let (status, said) = world.sites.server(0).put(&format!("/v1/acl/policy/{id}"), &body).unwrap();
    assert_eq!(status, 200, "{said}");
    // A question that is held already is answered with the rights it came with.
    let there = world.there();
    for value in ["changed", "changed again"] {
        world.source().kv().put("global/seen/0", value).await.unwrap();
        world
            .until("it is followed", async |_| {
                keys(&there, "copy/seen/0").await["copy/seen/0"].0 == value.as_bytes()
            })
            .await;
    }
    world.until("the list is short", async |world| world.view().state.tally.rows == 40).await;
    // Longer than the two answers are apart.
    sleep(Duration::from_secs(4)).await;
    assert_eq!(world.view().state.tally.deleted, 0);
    world.source().kv().delete("global/seen/1").await.unwrap();
    world.until("what is gone is deleted", async |_| keys(&there, "copy/seen/").await.len() == 39).await;
    assert_eq!(keys(&there, "copy/hidden/").await.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_snapshot_came_back_at_the_source_deletes_wait_for_a_person() {
    let mut world = World::new(DELETES).await;
    let (source, there) = (world.source(), world.there());
    fill(&world, "old", 20).await;
    world.until_same("all is copied").await;
    let mut snapshot = Vec::new();
    let mut saving = source.snapshot().save(&Query::new()).await.unwrap();
    while let Some(piece) = saving.chunk().await.unwrap() {
        snapshot.extend_from_slice(&piece);
    }
    source.kv().put("global/new", "x").await.unwrap();
    source.kv().put("global/old/1", "changed").await.unwrap();
    world.until_same("it is followed").await;
    // Until the question is held: one that is asked after the index went back is answered only when its time is over.
    sleep(Duration::from_secs(3)).await;
    let snapshot = futures::stream::iter([Ok::<_, std::io::Error>(bytes::Bytes::from(snapshot))]);
    source.snapshot().restore(snapshot).await.unwrap();
    world
        .until("they are held back", async |world| {
            world.view().state.held.is_some_and(|held| held.why == Hold::WentBack && held.keys == 1)
        })
        .await;
    // What is only older is copied.
    world
        .until("the old value is there", async |_| {
            keys(&there, "copy/old/1").await.get("copy/old/1").is_some_and(|value| value.0 == b"value 1")
        })
        .await;
    assert_eq!(keys(&there, "copy/new").await.len(), 1);
    // The next process knows of it.
    world.node.stop().await;
    world.node.again().await;
    world
        .until("they are held back still", async |world| {
            world.view().state.held.is_some_and(|held| held.why == Hold::WentBack && held.keys == 1)
        })
        .await;
    assert_eq!(keys(&there, "copy/new").await.len(), 1);
    let id = world.view().state.held.unwrap().id;
    world.node.agent().replication().answer("shop", &id, true).await.unwrap();
    world.until_same("a person said so").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_empty_at_once_deletes_nothing() {
    let world = World::new(DELETES).await;
    fill(&world, "few", 5).await;
    world.until_same("all is copied").await;
    world.source().kv().delete_tree("global/").await.unwrap();
    world
        .until("they are held back", async |world| {
            world.view().state.held.is_some_and(|held| held.why == Hold::Empty && held.keys == 5)
        })
        .await;
    fill(&world, "few", 5).await;
    world.until("they are back", async |world| world.view().state.held.is_none()).await;
    world.until_same("nothing was deleted").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_leader_of_the_destination_dies_what_was_under_way_is_done_again() {
    let sites = [Site::new("dc1"), Site::on_disk("dc2", 3)];
    let mut world = World::of(&sites, DELETES).await;
    fill(&world, "many", 2_000).await;
    world.until("it has begun", async |world| world.view().state.tally.written > 0).await;
    // The agent asks the first one.
    let leads = world.sites.leader(1);
    world.sites.servers(1)[leads].kill();
    fill(&world, "more", 500).await;
    if leads == 0 {
        world.sites.servers(1)[0].restart();
    }
    world.until_same("all is copied").await;
    world.until("it says so", async |world| world.view().state.phase == Phase::Following).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_hangs_is_followed_when_it_goes_on() {
    let mut world = World::new(DELETES).await;
    fill(&world, "a", 200).await;
    world.until_same("all is copied").await;
    world.sites.servers(0)[0].pause();
    sleep(Duration::from_secs(3)).await;
    world.sites.servers(0)[0].resume();
    fill(&world, "b", 200).await;
    world.until_same("it goes on").await;
    assert_eq!(world.view().state.tally.deleted, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_the_next_process_ends_with_the_same_keys() {
    let sites = Datacenters::start(&["dc1", "dc2"]);
    let text = blocks(sites.server(1), DELETES);
    let mut world = World { node: Whole::start(&text).await, sites };
    for round in 0..wanted("LICTOR_ROUNDS", 2) {
        fill(&world, &format!("round{round}"), 1_000).await;
        let pause = Duration::from_millis(rand::random_range(0..1_500));
        sleep(pause).await;
        if round > 0 {
            world.source().kv().delete(&format!("global/round{}/5", round - 1)).await.unwrap();
        }
        // Its tasks end where they are: nothing is written at the end.
        world.node.stop().await;
        world.node.again().await;
        world.until_same(&format!("round {round}, ended after {pause:?}")).await;
    }
    drop(client(world.sites.server(0)));
}
