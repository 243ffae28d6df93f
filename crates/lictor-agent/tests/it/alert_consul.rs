//! Consul's checks as a source of alerts, with real servers.
#![cfg(test)]

use std::time::Duration;

use lictor_agent::alert::consul::Timing;
use lictor_consul::{Client, Maintenance, Query, Secret, Status};
use lictor_testkit::consul::{Cluster, Options, Server};
use serde_json::json;

use crate::alert_consul_rig::{LONG, Proxy, Taker, at, client, hasty, service};

fn server() -> Server {
    Server::with(Options { in_memory: true, ..Options::default() })
}

async fn register(client: &Client, services: usize) {
    for number in 0..services {
        let id = format!("web-{number}");
        let checks = [format!("{id}:a"), format!("{id}:b")];
        let checks: Vec<&str> = checks.iter().map(String::as_str).collect();
        client.agent().register_service(&service(&id, "web", &checks)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_checks_are_followed_at_the_cost_of_one_reading_for_a_change() {
    let server = server();
    let consul = client(&server);
    register(&consul, 150).await;
    let proxy = Proxy::before(server.http_address()).await;
    let mut taker = Taker::of(at(&proxy.url, None), &[], Timing::default());
    taker.until(|taker| taker.now.len() == 301).await;
    assert!(taker.said().iter().any(|said| said == "complete 301"));
    assert!(proxy.asked().len() <= 305, "its datacenter, and a reading for what was still on its way");

    let known = &taker.now["consul/dc1/n1/web-7/web-7:a"];
    let labels = [
        ("check", "check web-7:a"),
        ("check_id", "web-7:a"),
        ("datacenter", "dc1"),
        ("node", "n1"),
        ("service", "web"),
        ("service_id", "web-7"),
        ("source", "consul"),
    ];
    assert_eq!(known.subject.labels, lictor_core::alert::text(&labels));
    assert_eq!(known.subject.tags, ["web".to_owned()].into());

    for number in 0..100 {
        let check = format!("web-{number}:b");
        consul.agent().update(&check, &Status::Critical, &format!("broke: {number}")).await.unwrap();
    }
    let critical = |taker: &Taker| {
        let of = |number| taker.status(&format!("/web-{number}:b"));
        (0..100).all(|number| of(number) == "critical") && of(100) == "passing"
    };
    taker.until(critical).await;
    assert_eq!(taker.now["consul/dc1/n1/web-42/web-42:b"].output, "broke: 42");
    assert_eq!(taker.said().len(), 100, "each change is told once and nothing else is");
    let asked = proxy.asked();
    assert!(asked.len() <= 101, "{} requests for 100 changes", asked.len());
    assert!(asked.iter().all(|line| line.starts_with("GET /v1/health/state/any?index=")), "{asked:?}");

    taker.silent(Duration::from_secs(2)).await;
    let idle = proxy.asked().len();
    assert!(idle <= 1, "{idle} requests while nothing changed");

    for number in 0..10 {
        consul.agent().deregister_service(&format!("web-{number}")).await.unwrap();
    }
    taker.until(|taker| taker.now.len() == 281).await;
    let said = taker.said();
    assert!(said.iter().all(|said| said.starts_with("-consul/dc1/n1/web-")), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_full_costs_no_request_and_no_change() {
    let server = server();
    let consul = client(&server);
    register(&consul, 20).await;
    let proxy = Proxy::before(server.http_address()).await;
    let mut taker = Taker::of(at(&proxy.url, None), &["dc1"], Timing::default());
    taker.until(|taker| taker.now.len() == 41).await;
    proxy.asked();
    // The queue has room for four.
    for number in 0..20 {
        consul.agent().update(&format!("web-{number}:a"), &Status::Warning, "").await.unwrap();
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    assert!(proxy.asked().len() <= 6);
    taker.until(|taker| (0..20).all(|number| taker.status(&format!("/web-{number}:a")) == "warning")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn maintenance_is_told_of_all_checks_it_concerns_when_it_begins_and_when_it_ends() {
    let server = server();
    let consul = client(&server);
    for (id, name) in [("web-1", "web"), ("web-2", "web"), ("db", "db")] {
        consul.agent().register_service(&service(id, name, &[id])).await.unwrap();
    }
    let mut taker = Taker::of(client(&server), &[], hasty());
    taker.until(|taker| taker.now.len() == 4).await;

    consul.agent().maintain_service("web-1", Maintenance::On("new disk")).await.unwrap();
    taker.until(|taker| taker.status("/web-1/web-1") == "passing (m)").await;
    assert_eq!(taker.status("/_service_maintenance:web-1"), "critical (m)");
    assert_eq!(taker.now["consul/dc1/n1/web-1/_service_maintenance:web-1"].notes, "new disk");
    assert_eq!(
        (taker.status("/web-2").as_str(), taker.status("/serfHealth").as_str()),
        ("passing", "passing")
    );
    consul.agent().update("web-1", &Status::Critical, "no disk").await.unwrap();
    taker.until(|taker| taker.status("/web-1/web-1") == "critical (m)").await;

    consul.agent().maintain_service("web-1", Maintenance::Off).await.unwrap();
    taker.until(|taker| taker.status("/web-1/web-1") == "critical").await;
    assert_eq!(taker.now.len(), 4, "the check of the maintenance is gone");

    taker.said();
    consul.agent().maintain_node(Maintenance::On("new kernel")).await.unwrap();
    taker.until(|taker| taker.status("/db") == "passing (m)").await;
    let mut said = taker.said();
    said.sort();
    assert_eq!(
        said,
        [
            "consul/dc1/n1/_/_node_maintenance critical (m)",
            "consul/dc1/n1/_/serfHealth passing (m)",
            "consul/dc1/n1/db/db passing (m)",
            "consul/dc1/n1/web-1/web-1 critical (m)",
            "consul/dc1/n1/web-2/web-2 passing (m)",
        ]
    );
    consul.agent().maintain_node(Maintenance::Off).await.unwrap();
    taker.until(|taker| taker.status("/db") == "passing").await;
    assert!(taker.now.len() == 4 && taker.now.values().all(|report| !report.maintenance));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_restarted_is_read_anew_and_nothing_counts_as_gone() {
    let mut server = Server::start();
    let consul = client(&server);
    register(&consul, 20).await;
    consul.agent().update("web-3:a", &Status::Warning, "hm").await.unwrap();
    let mut taker = Taker::of(client(&server), &[], hasty());
    taker.until(|taker| taker.now.len() == 41 && taker.status("/web-3:a") == "warning").await;
    taker.said();
    server.kill();
    taker.until(|taker| taker.lost.is_some()).await;
    assert!(taker.lost.as_ref().unwrap().contains("cannot connect to"), "{:?}", taker.lost);
    assert_eq!(taker.now.len(), 41);
    server.restart();
    taker.until(|taker| taker.lost.is_none()).await;
    let said = taker.said();
    let complete: Vec<&String> = said.iter().filter(|said| said.starts_with("complete")).collect();
    assert_eq!(complete, ["complete 41"], "{said:?}");
    assert!(said.iter().all(|said| !said.starts_with('-')), "{said:?}");
    assert_eq!(taker.status("/web-3:a"), "warning");
}

/// A server with access control, and a token with a policy whose rules can be changed.
struct Guarded {
    server: Server,
    policy: String,
    accessor: String,
    token: String,
}

impl Guarded {
    async fn start(rules: &str) -> Self {
        let server = Server::with(Options { in_memory: true, acl: true, ..Options::default() });
        let able = client(&server);
        let answer = able.raw().put("/v1/acl/policy", &json!({ "Name": "alerts", "Rules": rules })).await;
        let policy: serde_json::Value = serde_json::from_slice(&answer.unwrap().value).unwrap();
        let answer = able.raw().put("/v1/acl/token", &json!({ "Policies": [{ "Name": "alerts" }] })).await;
        let token: serde_json::Value = serde_json::from_slice(&answer.unwrap().value).unwrap();
        let text = |value: &serde_json::Value, name: &str| value[name].as_str().unwrap().to_owned();
        Self {
            policy: text(&policy, "ID"),
            accessor: text(&token, "AccessorID"),
            token: text(&token, "SecretID"),
            server,
        }
    }

    async fn allow(&self, rules: &str) {
        let path = format!("/v1/acl/policy/{}", self.policy);
        let policy = json!({ "ID": self.policy, "Name": "alerts", "Rules": rules });
        client(&self.server).raw().put(&path, &policy).await.unwrap();
    }

    fn watcher(&self) -> Client {
        at(&self.server.url(), Some(&self.token))
    }
}

/// The policy that the manual says is the least.
fn least() -> &'static str {
    let page = include_str!("../../../../docs/alerts-consul.md");
    let (_, rest) = page.split_once("```hcl consul\n").unwrap();
    rest.split_once("```").unwrap().0
}

#[tokio::test(flavor = "multi_thread")]
async fn the_least_policy_of_the_manual_shows_everything_and_a_line_less_does_not() {
    let guarded = Guarded::start(least()).await;
    register(&client(&guarded.server), 5).await;
    let mut taker = Taker::of(guarded.watcher(), &[], hasty());
    taker.until(|taker| taker.now.len() == 11).await;
    for kind in ["node_prefix", "service_prefix"] {
        let less = format!("{kind} \"\" {{ policy = \"read\" }}");
        guarded.allow(&less).await;
        let shown = guarded.watcher().health().state(None, &Query::new()).await.unwrap().value;
        assert!(shown.len() < 11, "{kind} alone shows {}", shown.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_loses_its_rights_resolves_nothing() {
    let guarded = Guarded::start(least()).await;
    register(&client(&guarded.server), 5).await;
    let mut taker = Taker::of(guarded.watcher(), &[], hasty());
    taker.until(|taker| taker.now.len() == 11).await;
    taker.said();

    // No check changes, so that only the end of a held query shows it.
    guarded.allow("key_prefix \"\" { policy = \"read\" }").await;
    taker.until(|taker| taker.lost.is_some()).await;
    let lost = taker.lost.clone().unwrap();
    assert!(lost.starts_with("Consul shows no check at all, and no node: the token needs"), "{lost}");
    taker.silent(Duration::from_secs(1)).await;
    assert_eq!(taker.now.len(), 11);

    guarded.allow(least()).await;
    taker.until(|taker| taker.lost.is_none()).await;
    assert_eq!(taker.said().last().unwrap(), "complete 11");

    let path = format!("/v1/acl/token/{}", guarded.accessor);
    client(&guarded.server).raw().delete(&path).await.unwrap();
    taker.until(|taker| taker.lost.is_some()).await;
    let lost = taker.lost.clone().unwrap();
    assert!(lost.contains("403") && lost.contains("`service_prefix \"\"`"), "{lost}");
    assert!(!lost.contains(&guarded.token));
    assert_eq!(taker.now.len(), 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_shrinks_by_more_than_half_is_believed_at_the_second_reading() {
    let guarded = Guarded::start(least()).await;
    register(&client(&guarded.server), 5).await;
    let mut taker = Taker::of(guarded.watcher(), &[], hasty());
    taker.until(|taker| taker.now.len() == 11).await;
    taker.said();
    guarded.allow("node_prefix \"\" { policy = \"read\" }").await;
    taker.until(|taker| taker.now.len() == 1).await;
    let said = taker.said();
    assert!(said[0].starts_with("lost consul/dc1: Consul shows 1 checks after 11;"), "{said:?}");
    assert_eq!(said[1..], ["complete 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_nobody_is_told_before_the_datacenter_is_known() {
    let guarded = Guarded::start(least()).await;
    let unknown = "ffffffff-0000-1111-2222-333333333333";
    let watcher = at(&guarded.server.url(), Some(unknown));
    let mut taker = Taker::of(watcher.clone(), &[], hasty());
    taker.until(|taker| taker.lost.is_some()).await;
    let said = taker.said();
    assert!(said[0].starts_with("lost consul: ") && said[0].contains("403: ACL not found"), "{said:?}");
    // A rotated token makes it good.
    watcher.set_token(Some(&Secret::new(guarded.token.clone()))).unwrap();
    taker.until(|taker| taker.now.len() == 1).await;
    assert_eq!(taker.said(), ["complete 0", "complete 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_datacenter_that_is_not_there_is_lost_by_itself() {
    let server = server();
    let mut taker = Taker::of(client(&server), &["dc1", "elsewhere", "dc1"], hasty());
    taker.until(|taker| taker.said.len() == 2).await;
    let mut said = taker.said();
    said.sort();
    assert_eq!(said[0], "complete 1");
    assert!(
        said[1].starts_with("lost consul/elsewhere: ") && said[1].contains("No path to datacenter"),
        "{said:?}"
    );
    assert_eq!(said.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_ends_when_it_is_told_to_and_when_nobody_takes_its_reports() {
    let server = server();
    let mut taker = Taker::of(client(&server), &[], Timing::default());
    taker.until(|taker| taker.now.len() == 1).await;
    assert!(taker.tasks.drain(LONG).await);

    let Taker { tasks, .. } = Taker::of(client(&server), &[], hasty());
    assert!(tasks.drain(LONG).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_cluster_a_dead_node_is_seen_and_an_election_loses_nothing() {
    let mut cluster = Cluster::start();
    let leader = cluster.leader();
    let follower = cluster.followers()[0];
    let consul = client(&cluster.servers()[follower]);
    register(&consul, 10).await;
    let mut taker = Taker::of(client(&cluster.servers()[follower]), &[], Timing::default());
    taker.until(|taker| taker.now.len() == 23).await;
    taker.said();

    let dead = cluster.servers()[leader].name().to_owned();
    cluster.kill_leader();
    taker.until(|taker| taker.status(&format!("/{dead}/_/serfHealth")) == "critical").await;
    let said = taker.said();
    assert!(said.iter().all(|said| !said.starts_with('-')), "{said:?}");
    let wrong: Vec<&String> = taker
        .now
        .iter()
        .filter(|(_, report)| report.status != lictor_core::Status::Passing)
        .map(|(key, _)| key)
        .collect();
    assert_eq!(wrong, [&format!("consul/dc1/{dead}/_/serfHealth")]);

    consul.agent().update("web-1:a", &Status::Warning, "after the election").await.unwrap();
    taker.until(|taker| taker.status("/web-1:a") == "warning").await;
    cluster.server(leader).restart();
    taker.until(|taker| taker.status(&format!("/{dead}/_/serfHealth")) == "passing").await;
}
