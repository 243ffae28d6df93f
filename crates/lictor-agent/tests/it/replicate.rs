//! Keys of one datacenter of real Consul servers that another one has too, by whole agents.
#![cfg(test)]

use std::collections::BTreeMap;
use std::time::Duration;

use lictor_agent::replicate::{CopyView, OrderError, Phase};
use lictor_consul::{Client, Config, Put, Query};
use lictor_testkit::consul::{Datacenters, Server, Site};
use tokio::time::{Instant, sleep};

use crate::watch_rig::LONG;
use crate::whole_rig::Whole;

pub(crate) fn client(server: &Server) -> Client {
    let token = server.token().map(Into::into);
    Client::new(Config { address: server.url().parse().unwrap(), token, ..Config::default() }).unwrap()
}

pub(crate) fn blocks(server: &Server, attributes: &str) -> String {
    let token = server.token().map(|token| format!("  token = \"{token}\"\n")).unwrap_or_default();
    format!(
        "consul {{\n  address = \"{}\"\n{token}}}\n\
         watch \"heartbeat\" \"alive\" {{\n  within = \"1h\"\n}}\n\
         replicate \"shop\" {{\n{attributes}\n}}\n",
        server.url()
    )
}

/// All keys under a prefix with their values and flags.
pub(crate) async fn keys(client: &Client, prefix: &str) -> BTreeMap<String, (Vec<u8>, u64)> {
    let deadline = Instant::now() + LONG;
    let pairs = loop {
        match client.kv().list(prefix, &Query::new().consistent()).await {
            Ok(answer) => break answer.value,
            // Servers may be electing a leader.
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        sleep(Duration::from_millis(100)).await;
    };
    pairs.into_iter().map(|pair| (pair.key, (pair.value.to_vec(), pair.flags))).collect()
}

/// Two datacenters, and an agent in the second one.
pub(crate) struct World {
    pub(crate) sites: Datacenters,
    pub(crate) node: Whole,
}

impl World {
    pub(crate) async fn new(attributes: &str) -> Self {
        Self::of(&[Site::new("dc1"), Site::new("dc2")], attributes).await
    }

    pub(crate) async fn of(sites: &[Site], attributes: &str) -> Self {
        let sites = Datacenters::of(sites);
        let node = Whole::start(&blocks(sites.server(1), attributes)).await;
        Self { sites, node }
    }

    pub(crate) fn source(&self) -> Client {
        client(self.sites.server(0))
    }

    pub(crate) fn there(&self) -> Client {
        client(self.sites.server(1))
    }

    pub(crate) fn view(&self) -> CopyView {
        self.node.agent().replication().all().into_iter().next().expect("nothing is copied")
    }

    pub(crate) async fn until(&self, what: &str, mut so: impl AsyncFnMut(&Self) -> bool) {
        let deadline = Instant::now() + LONG;
        while !so(self).await {
            assert!(Instant::now() < deadline, "{what}: it never is so\n{:#?}", self.view());
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Until the destination has what the source has.
    pub(crate) async fn until_same(&self, what: &str) {
        self.until(what, async |world| {
            let source = keys(&world.source(), "global/").await;
            let copied = keys(&world.there(), "copy/").await;
            source.len() == copied.len()
                && source
                    .iter()
                    .all(|(key, value)| copied.get(&key.replacen("global/", "copy/", 1)) == Some(value))
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_copied_with_all_that_belongs_to_them_and_followed() {
    let world = World::new("  prefixes = [\"global/@dc1:copy/\"]\n  delete = true\n  confirm = \"1s\"").await;
    let (source, there) = (world.source(), world.there());
    there.kv().put("copyright", "mine").await.unwrap();
    source.kv().put("globalization", "not meant").await.unwrap();
    for number in 0..300 {
        source.kv().put(&format!("global/many/{number}"), format!("value {number}")).await.unwrap();
    }
    let put = Put { flags: u64::MAX, ..Put::default() };
    source.kv().put_with("global/binary", vec![0, 255, 10, 13], &put).await.unwrap();
    source.kv().put("global/empty", "").await.unwrap();
    source.kv().put("global/", "the folder itself").await.unwrap();
    source.kv().put("global/odd \"key\"/é//%2F", "odd").await.unwrap();
    source.kv().put("global/large", vec![7; 512 * 1024]).await.unwrap();
    world.until_same("all of it is copied").await;

    source.kv().put("global/many/5", "another").await.unwrap();
    source.kv().delete("global/many/6").await.unwrap();
    source.kv().put("global/large", vec![8; 400 * 1024]).await.unwrap();
    world.until_same("it follows").await;
    assert_eq!(keys(&there, "copyright").await.len(), 1);
    assert!(keys(&there, "copyization").await.is_empty());
    world.until("it says so", async |world| world.view().state.phase == Phase::Following).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_changes_at_the_destination_is_put_right() {
    let world = World::new("  prefixes = [\"global/@dc1:copy/\"]\n  delete = true\n  confirm = \"1s\"").await;
    let (source, there) = (world.source(), world.there());
    source.kv().put("global/a", "as it is").await.unwrap();
    source.kv().put("global/b", "as it is").await.unwrap();
    world.until_same("it is copied").await;
    there.kv().put("copy/a", "as I like it").await.unwrap();
    there.kv().delete("copy/b").await.unwrap();
    there.kv().put("copy/c", "mine").await.unwrap();
    world.until_same("it is put right").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_repair_a_change_at_the_destination_stays_until_the_source_changes() {
    let world = World::new("  prefixes = [\"global/@dc1:copy/\"]\n  repair = false").await;
    let (source, there) = (world.source(), world.there());
    source.kv().put("global/a", "one").await.unwrap();
    world.until_same("it is copied").await;
    there.kv().put("copy/a", "mine").await.unwrap();
    there.kv().put("copy/own", "mine").await.unwrap();
    source.kv().put("global/b", "two").await.unwrap();
    world.until("the other one is copied", async |_| keys(&there, "copy/b").await.len() == 1).await;
    assert_eq!(keys(&there, "copy/a").await["copy/a"].0, b"mine");
    source.kv().put("global/a", "three").await.unwrap();
    world.until("it is written over", async |_| keys(&there, "copy/a").await["copy/a"].0 == b"three").await;
    // It counts it when the destination has answered.
    world.until("it is counted", async |world| world.view().state.tally.overwritten == 1).await;
    assert_eq!(keys(&there, "copy/own").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_deletes_wait_for_a_person() {
    let world = World::new("  prefixes = [\"global/@dc1:copy/\"]\n  delete = true\n  confirm = \"1s\"").await;
    let (source, there) = (world.source(), world.there());
    for (folder, keys) in [("old", 30), ("new", 20)] {
        for number in 0..keys {
            source.kv().put(&format!("global/{folder}/{number}"), "x").await.unwrap();
        }
    }
    world.until_same("all is copied").await;
    source.kv().delete_tree("global/old/").await.unwrap();
    let held = async |keys: u64| {
        world
            .until("they are held back", async |world| {
                world.view().state.held.is_some_and(|held| held.keys == keys)
            })
            .await;
        world.view().state.held.unwrap()
    };
    let first = held(30).await;
    source.kv().put("global/later", "x").await.unwrap();
    world.until("the rest goes on", async |_| keys(&there, "copy/later").await.len() == 1).await;
    assert_eq!(keys(&there, "copy/").await.len(), 51);

    let alert = async |wanted: &str| {
        world
            .until("it is an alert", async |world| {
                let alerts = world.node.get("/v1/alerts").await.to_string();
                alerts.contains("replicate shop") && alerts.contains(wanted)
            })
            .await;
    };
    alert("30 deletes are held back").await;
    assert_eq!(world.node.status("/v1/replicate/shop/healthy").await, 503);
    let seen = world.node.get("/v1/replicate").await;
    let seen = &seen["copies"][0];
    assert_eq!((seen["phase"].as_str(), seen["held"]["keys"].as_u64()), (Some("following"), Some(30)));
    let (status, said) = world.node.ask("POST", "/v1/replicate/shop/approve", "", r#"{"id": "0"}"#).await;
    assert_eq!((status, said["error"]["code"].as_str()), (409, Some("conflict")), "{said}");
    let (status, said) = world.node.ask("POST", "/v1/replicate/other/discard", "", r#"{"id": "0"}"#).await;
    assert_eq!((status, said["error"]["code"].as_str()), (404, Some("not_found")), "{said}");

    let replication = world.node.agent().replication();
    assert_eq!(replication.answer("shop", "0", true).await, Err(OrderError::NothingHeld("0".into())));
    assert_eq!(replication.answer("shop", &first.id, true).await, Ok(()));
    world.until_same("they are deleted").await;
    world
        .until("it is no alert", async |world| {
            !world.node.get("/v1/alerts").await.to_string().contains("deletes are held back")
        })
        .await;
    assert_eq!(world.node.status("/v1/replicate/shop/healthy").await, 200);

    source.kv().delete_tree("global/new/").await.unwrap();
    let second = held(20).await;
    assert_eq!(replication.answer("shop", &second.id, false).await, Ok(()));
    source.kv().put("global/last", "x").await.unwrap();
    world.until("it goes on", async |_| keys(&there, "copy/last").await.len() == 1).await;
    world.until("nothing is held back", async |world| world.view().state.held.is_none()).await;
    assert_eq!(keys(&there, "copy/").await.len(), 22);
    // It is remembered, and holds until the source has them again.
    let mut node = world.node;
    node.stop().await;
    node.again().await;
    let world = World { sites: world.sites, node };
    source.kv().put("global/new/3", "again").await.unwrap();
    world.until("it goes on", async |_| keys(&there, "copy/new/3").await["copy/new/3"].0 == b"again").await;
    assert!(world.view().state.held.is_none());
    source.kv().delete("global/new/3").await.unwrap();
    world.until("it is deleted", async |_| keys(&there, "copy/new/3").await.is_empty()).await;
    assert_eq!(keys(&there, "copy/").await.len(), 21);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_the_destination_does_not_take_keeps_none_of_the_others() {
    let mut large = Site::new("dc1");
    large.options.config = "limits { kv_max_value_size = 1048576 txn_max_req_len = 1048576 }".into();
    let world = World::of(&[large, Site::new("dc2")], "  prefixes = [\"global/@dc1:copy/\"]").await;
    let (source, there) = (world.source(), world.there());
    let limits = lictor_consul::Limits { value_bytes: 1 << 20, ..lictor_consul::Limits::default() };
    let config =
        Config { address: world.sites.server(0).url().parse().unwrap(), limits, ..Config::default() };
    let large = Client::new(config).unwrap();
    large.kv().put("global/huge", vec![1; 600 * 1024]).await.unwrap();
    source.kv().put("global/small", "x").await.unwrap();
    world.until("the other one is copied", async |_| keys(&there, "copy/small").await.len() == 1).await;
    world.until("it is set aside", async |world| world.view().state.refused.0 == 1).await;
    let (_, named) = world.view().state.refused;
    assert_eq!(named[0].0, "copy/huge");
    assert!(named[0].1.contains("614400 bytes"), "{named:?}");
    // Once it fits it is taken at once.
    source.kv().put("global/huge", "small").await.unwrap();
    world.until_same("it is copied").await;
    world.until("nothing is set aside", async |world| world.view().state.refused.0 == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn locks_are_left_where_they_are() {
    let world = World::new("  prefixes = [\"global/@dc1:copy/\"]\n  delete = true\n  confirm = \"1s\"").await;
    let (source, there) = (world.source(), world.there());
    let session = |client: &Client| {
        let client = client.clone();
        async move { client.session().create(&lictor_consul::NewSession::default()).await.unwrap() }
    };
    let (here, abroad) = (session(&source).await, session(&there).await);
    assert!(source.kv().acquire("global/lock", "n1", &here).await.unwrap());
    assert!(there.kv().acquire("copy/held", "mine", &abroad).await.unwrap());
    source.kv().put("global/held", "theirs").await.unwrap();
    source.kv().put("global/free", "x").await.unwrap();
    world.until("the free one is copied", async |_| keys(&there, "copy/free").await.len() == 1).await;
    world
        .until("it says why", async |world| {
            let (_, named) = world.view().state.refused;
            named.first().is_some_and(|(_, why)| why.contains("a session holds it"))
        })
        .await;
    assert!(keys(&there, "copy/lock").await.is_empty());
    assert_eq!(keys(&there, "copy/held").await["copy/held"].0, b"mine");
    assert!(there.kv().release("copy/held", "mine", &abroad).await.unwrap());
    source.kv().put("global/held", "theirs again").await.unwrap();
    world
        .until("it is copied", async |_| keys(&there, "copy/held").await["copy/held"].0 == b"theirs again")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_come_back_is_refused() {
    let sites = Datacenters::start(&["dc1", "dc2"]);
    let one = Whole::named("n1", &blocks(sites.server(1), "  prefixes = [\"global/@dc1\"]"), None).await;
    client(sites.server(0)).kv().put("global/a", "x").await.unwrap();
    let deadline = Instant::now() + LONG;
    while keys(&client(sites.server(1)), "lictor/replicate/shop/copy/").await.is_empty() {
        assert!(Instant::now() < deadline, "{:#?}", one.agent().replication().all());
        sleep(Duration::from_millis(20)).await;
    }
    let two = Whole::named("n2", &blocks(sites.server(0), "  prefixes = [\"global/@dc2\"]"), None).await;
    loop {
        let phase = two.agent().replication().all()[0].state.phase.clone();
        if let Phase::Refused(why) = phase {
            assert!(why.contains("would come back"), "{why}");
            return;
        }
        assert!(Instant::now() < deadline, "{:#?}", two.agent().replication().all());
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_node_goes_on_where_the_first_one_ended() {
    let sites = Datacenters::start(&["dc1", "dc2"]);
    let text = blocks(sites.server(1), "  prefixes = [\"global/@dc1:copy/\"]");
    let mut one = Whole::named("n1", &text, None).await;
    let (source, there) = (client(sites.server(0)), client(sites.server(1)));
    let copied = async |key: &str| {
        let deadline = Instant::now() + LONG;
        while keys(&there, key).await.is_empty() {
            assert!(Instant::now() < deadline, "{key} is never copied");
            sleep(Duration::from_millis(10)).await;
        }
    };
    source.kv().put("global/a", "x").await.unwrap();
    copied("copy/a").await;
    let two = Whole::named("n2", &text, None).await;
    let phase = |node: &Whole| node.agent().replication().all()[0].state.phase.clone();
    let deadline = Instant::now() + LONG;
    while phase(&two) != Phase::Standby("n1 copies".into()) {
        assert!(Instant::now() < deadline, "{:?}", phase(&two));
        sleep(Duration::from_millis(10)).await;
    }
    let replication = two.agent().replication();
    let elsewhere = OrderError::Elsewhere("n1 copies".into());
    assert_eq!(replication.answer("shop", "0", true).await, Err(elsewhere));
    one.stop().await;
    source.kv().put("global/b", "x").await.unwrap();
    copied("copy/b").await;
    let written = || two.agent().replication().all()[0].state.tally.written;
    while written() == 0 {
        assert!(Instant::now() < deadline, "nothing was written");
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(written(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_in_consul_how_it_stands() {
    let world = World::new("  prefixes = [\"global/@dc1:copy/\"]\n  service = \"replication\"").await;
    world.source().kv().put("global/a", "x").await.unwrap();
    let checks = |world: &World| {
        // What a check says gets into the catalog minutes later.
        let (_, checks) = world.sites.server(1).get("/v1/agent/checks").unwrap();
        checks
    };
    world
        .until("it is registered", async |world| {
            let checks = checks(world);
            checks.contains("replication-test")
                && checks.contains("passing")
                && checks.contains("it is copied")
        })
        .await;
    let mut node = world.node;
    node.stop().await;
    let (_, checks) = world.sites.server(1).get("/v1/health/checks/replication").unwrap();
    assert_eq!(checks.trim(), "[]", "it is taken back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_writes_nothing_and_says_what_it_would() {
    let sites = Datacenters::start(&["dc1", "dc2"]);
    let (source, there) = (client(sites.server(0)), client(sites.server(1)));
    for number in 0..5 {
        source.kv().put(&format!("global/{number}"), "x").await.unwrap();
    }
    there.kv().put("copy/own", "mine").await.unwrap();
    there.kv().put("copy/0", "x").await.unwrap();
    let attributes =
        "  prefixes = [\"global/@dc1:copy/\"]\n  delete = true\n  confirm = \"1s\"\n  dry_run = true";
    let node = Whole::start(&blocks(sites.server(1), attributes)).await;
    let world = World { sites, node };
    world
        .until("it says what it would do", async |world| {
            let would = world.view().state.would;
            (would.write, would.delete) == (4, 1)
        })
        .await;
    assert_eq!(keys(&there, "copy/").await.len(), 2);
    assert!(keys(&there, "lictor/replicate").await.is_empty());
    assert!(keys(&there, "lictor/lease").await.is_empty());
}
