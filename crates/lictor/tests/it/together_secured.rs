//! Nodes that share their alerts where Consul is as it is in earnest: it asks for tokens, it speaks TLS,
//! it has several servers and datacenters, and machines that die.

use std::collections::BTreeSet;
use std::time::Duration;

use lictor_testkit::consul::{Cluster, Datacenters, Member, Options, Server, Tls};
use lictor_testkit::service::Service;
use lictor_testkit::wait;
use serde_json::{Value, json};

use crate::node::{LONG, Node};
use crate::together::{Ears, calm, listen, teller, until_called, until_known};

const BLOCKS: &str = r#"
consul {
  @CONSUL@
}
watch "exec" "own" {
  command = ["/bin/sh", "-c", "test ! -e @DIR@/broken || exit 2"]
  every   = "1s"
}
notify "http" "hook" {
  url      = "@HOOK@/told"
  parallel = 4
  backoff  = "100ms"
  batch    = "alert"
}
alerts {
  consul {
    @WATCHED@
  }
}
route {
  to             = ["hook"]
  group_wait     = "0s"
  group_interval = "0s"
}
"#;

/// At a change of the one that tells, so many messages may be under way (`parallel`).
const UNDER_WAY: usize = 4;

/// Nodes that share their alerts, and who is told.
struct Group {
    hook: Service,
    heard: Ears,
    nodes: Vec<Node>,
}

impl Group {
    /// A node for each of these ways to Consul, that is what stands in its `consul` block.
    fn start(consuls: &[String], watched: &str) -> Self {
        let (hook, heard) = listen();
        let mut group = Self { hook, heard, nodes: Vec::new() };
        for consul in consuls {
            group.add(consul, watched);
        }
        for node in &mut group.nodes {
            // What is refused is said at the latest there.
            node.start_in(&[("LICTOR_LOG", "debug")]);
            node.until("it answers", |node| node.ask(&["status", "--format", "json"]).ok());
        }
        group
    }

    fn add(&mut self, consul: &str, watched: &str) {
        let blocks = BLOCKS.replace("@CONSUL@", consul).replace("@WATCHED@", watched);
        let blocks = blocks.replace("@HOOK@", &self.hook.url());
        self.nodes.push(Node::named(&format!("n{}", self.nodes.len()), &blocks));
    }

    #[track_caller]
    fn until_one_tells(&self) -> usize {
        let found = wait::until(LONG, || teller(&self.nodes));
        found.unwrap_or_else(|| panic!("nobody tells:\n{}", self.logs()))
    }

    /// What was told, in order; of a message that came several times, the first.
    fn told(&self) -> Vec<String> {
        let mut seen = BTreeSet::new();
        let heard = self.heard.lock().unwrap();
        let once = heard.iter().filter(|one| seen.insert((&one.id, &one.check, &one.node)));
        let part =
            |word: &str, text: &str| if text.is_empty() { String::new() } else { format!(" {word} {text}") };
        once.map(|one| {
            format!("{} {}{}{}", one.tells, one.check, part("on", &one.node), part("in", &one.datacenter))
        })
        .collect()
    }

    #[track_caller]
    fn until_told(&self, wanted: &str) {
        let told = wait::until(LONG, || self.told().iter().any(|one| one == wanted).then_some(()));
        assert!(told.is_some(), "not `{wanted}` but {:#?}\n{}", self.told(), self.logs());
    }

    /// Waits until the one that tells has recorded that all it told was accepted.
    #[track_caller]
    fn until_settled(&self) -> usize {
        let settled = wait::until(LONG, || {
            let teller = teller(&self.nodes)?;
            let all = self.nodes[teller].ask(&["alerts", "queue", "--format", "json"]).ok()?;
            all["queue"].as_array()?.is_empty().then_some(teller)
        });
        settled.unwrap_or_else(|| panic!("messages wait:\n{}", self.logs()))
    }

    /// Messages that came more than once.
    fn repeats(&self) -> usize {
        let heard = self.heard.lock().unwrap().len();
        heard - self.told().len()
    }

    /// Breaks the own check of a node, or mends it.
    fn own(&self, node: usize, well: bool) {
        let file = self.nodes[node].path("broken");
        if well { std::fs::remove_file(file).unwrap() } else { std::fs::write(file, "").unwrap() }
    }

    fn logs(&self) -> String {
        self.nodes.iter().map(|node| format!("{}\n", node.log())).collect()
    }
}

/// Puts a check of the service `web` on a machine of which Consul has no agent; false if that is not
/// taken now.
fn put_check(consul: &Server, place: &str, node: &str, check: &str, status: &str) -> bool {
    let entry = json!({
        "Datacenter": place, "Node": node, "Address": "192.0.2.1",
        "Service": { "ID": "web", "Service": "web" },
        "Check": { "Node": node, "CheckID": check, "Name": check, "ServiceID": "web", "Status": status },
    });
    consul.put("/v1/catalog/register", &entry.to_string()).is_some_and(|(code, _)| code == 200)
}

#[track_caller]
fn set(consul: &Server, check: &str, status: &str) {
    assert!(put_check(consul, "dc1", "web1", check, status), "{}", consul.log_tail());
}

/// What the manual says is needed by nodes that share their alerts and do nothing else.
fn least() -> String {
    let page = include_str!("../../../../docs/consul-acl.md");
    let policy = page.split_once("```hcl consul\n").unwrap().1.split_once("```").unwrap().0;
    let needed = |rules: &&str| !rules.starts_with('#') || rules.contains("with `consul` in `alerts`");
    let needed: Vec<&str> = policy.split("\n\n").filter(needed).collect();
    needed.join("\n")
}

/// A token with exactly these rights.
fn token(consul: &Server, name: &str, rules: &str) -> String {
    let made = |path: &str, body: &Value| -> Value {
        let (status, answer) = consul.put(path, &body.to_string()).unwrap();
        assert_eq!(status, 200, "{answer}");
        serde_json::from_str(&answer).unwrap()
    };
    made("/v1/acl/policy", &json!({ "Name": name, "Rules": rules }));
    let token = made("/v1/acl/token", &json!({ "Policies": [{ "Name": name }] }));
    token["SecretID"].as_str().unwrap().to_owned()
}

/// What a log, a node's or Consul's, says of requests that were refused.
fn refusals(log: &str) -> Vec<&str> {
    let refused = ["Permission denied", "status 403", "ACL not found"];
    log.lines().filter(|line| refused.iter().any(|word| line.contains(word))).collect()
}

#[test]
fn the_policy_of_the_manual_is_enough_to_share_alerts() {
    let consul = Server::with(Options { in_memory: true, acl: true, ..Options::default() });
    let token = token(&consul, "least", &least());
    set(&consul, "c0", "passing");
    set(&consul, "c1", "passing");
    let before = consul.log().len();
    let way = format!("address = \"{}\"\n  token = \"{token}\"", consul.url());
    let mut group = Group::start(&[way.clone(), way], "");
    let first = group.until_one_tells();
    let other = 1 - first;
    set(&consul, "c0", "critical");
    group.until_told("firing c0 on web1 in dc1");
    // What the other node hands on: how its own check stands, and what a person wants.
    group.own(other, false);
    group.until_told(&format!("firing own on n{other}"));
    let (code, out, err) = group.nodes[other].says(&["silence", "add", "check_id=quiet", "--for", "1h"]);
    assert_eq!(code, 0, "{out}{err}\n{}", group.logs());
    assert_eq!(group.until_settled(), first);

    group.nodes[first].kill();
    set(&consul, "c1", "critical");
    set(&consul, "quiet", "critical");
    group.until_told("firing c1 on web1 in dc1");
    set(&consul, "c0", "passing");
    group.until_told("resolved c0 on web1 in dc1");
    let wanted = [
        "firing c0 on web1 in dc1",
        &format!("firing own on n{other}"),
        "firing c1 on web1 in dc1",
        "resolved c0 on web1 in dc1",
    ];
    assert_eq!((group.told().iter().map(String::as_str).collect(), group.repeats()), (wanted.to_vec(), 0));

    let logs = [group.logs(), consul.log().split_off(before)];
    assert_eq!(logs.each_ref().map(|log| refusals(log)), [Vec::<&str>::new(), Vec::new()]);
}

#[test]
fn without_any_one_rule_of_that_policy_a_node_tells_nothing_and_says_what_it_lacks() {
    let consul = Server::with(Options { in_memory: true, acl: true, ..Options::default() });
    set(&consul, "c0", "critical");
    let least = least();
    let rules: Vec<&str> = least.split_inclusive("}\n").collect();
    let of_checks = "the token needs `node_prefix \"\"` and `service_prefix \"\"`";
    let lacks =
        [("key_prefix", "Permission denied"), ("service_prefix", of_checks), ("node_prefix", of_checks)];
    assert_eq!(rules.len(), lacks.len(), "{rules:?}");
    let ways = lacks.map(|(lacking, _)| {
        let others: String = rules.iter().filter(|rule| !rule.contains(lacking)).copied().collect();
        let own = format!("{lacking}/");
        let token = token(&consul, lacking, &others.replace("lictor/", &own));
        format!("address = \"{}\"\n  token = \"{token}\"\n  prefix = \"{own}\"", consul.url())
    });
    let mut group = Group::start(&ways, "");
    for (node, (lacking, said)) in group.nodes.iter_mut().zip(lacks) {
        node.until(lacking, |node| node.says(&["alerts"]).1.contains(said).then_some(()));
    }
    assert!(group.told().iter().all(|one| !one.contains("c0")), "{:?}", group.told());
    let logs = [group.nodes[0].log(), consul.log()];
    assert!(logs.iter().all(|log| !refusals(log).is_empty()), "a refusal can be seen in the logs");
}

#[test]
fn alerts_are_shared_over_tls_with_a_certificate_of_each_side() {
    let consul = Server::with(Options { in_memory: true, tls: Tls::Mutual, ..Options::default() });
    let files = consul.certificates().unwrap();
    let address = format!("address = \"{}\"\n  server_name = \"server.dc1.consul\"", consul.https_url());
    let ours = format!("cert_file = {:?}\n  key_file = {:?}", files.client, files.client_key);
    let theirs = format!("ca_file = {:?}", files.ca);
    let way = format!("{address}\n  {ours}\n  {theirs}");
    // One that does not know who vouches for Consul, and one that cannot show who it is.
    let ways = [way.clone(), way, format!("{address}\n  {ours}"), format!("{address}\n  {theirs}")];
    set(&consul, "c0", "critical");
    let mut group = Group::start(&ways, "");
    group.until_told("firing c0 on web1 in dc1");
    let first = group.until_settled();
    assert!(first < 2, "n{first} tells\n{}", group.logs());
    for (node, why) in [(2, "invalid peer certificate"), (3, "fatal alert: badcertificate")] {
        let node = &mut group.nodes[node];
        node.until(why, |node| node.log().to_lowercase().contains(why).then_some(()));
    }
    group.nodes[first].kill();
    set(&consul, "c0", "passing");
    group.until_told("resolved c0 on web1 in dc1");
    assert_eq!(group.until_settled(), 1 - first);
    assert_eq!(group.told(), ["firing c0 on web1 in dc1", "resolved c0 on web1 in dc1"]);
    assert_eq!(group.repeats(), 0);
}

/// Checks that change while Consul elects a leader.
const CHECKS: usize = 30;

#[test]
fn over_the_death_of_consuls_leader_each_change_is_told_and_none_twice_but_what_was_under_way() {
    let mut cluster = Cluster::start();
    let ways: Vec<String> =
        cluster.servers().iter().map(|server| format!("address = \"{}\"", server.url())).collect();
    let group = Group::start(&ways, "");
    let first = group.until_one_tells();
    let change = |cluster: &Cluster, check: usize, status: &str| {
        let check = format!("c{check}");
        let put = |server: &Server| put_check(server, "dc1", "web1", &check, status);
        let taken = wait::until(LONG, || cluster.servers().iter().any(put).then_some(()));
        assert!(taken.is_some(), "{check} cannot be set");
    };
    let firing = |check: usize| format!("firing c{check} on web1 in dc1");
    change(&cluster, 0, "critical");
    group.until_told(&firing(0));
    for check in 1..CHECKS {
        if check == CHECKS / 2 {
            // Some of those before it are on their way now.
            let dead = cluster.kill_leader();
            println!("n{first} tells, n{dead} is cut off; {} told until then", group.told().len());
        }
        change(&cluster, check, "critical");
    }
    (0..CHECKS).for_each(|check| group.until_told(&firing(check)));
    let teller = group.until_settled();
    (0..CHECKS).for_each(|check| change(&cluster, check, "passing"));
    (0..CHECKS).for_each(|check| group.until_told(&format!("resolved c{check} on web1 in dc1")));
    group.until_settled();

    // What was told under one id counts once: that is what was under way, and all there may be.
    let of_checks = |one: &String| one.contains(" on web1 ");
    let mut told: Vec<String> = group.told().into_iter().filter(of_checks).collect();
    told.sort();
    let mut wanted: Vec<String> =
        (0..CHECKS).flat_map(|check| [firing(check), firing(check).replace("firing", "resolved")]).collect();
    wanted.sort();
    assert_eq!(told, wanted, "{}", group.logs());
    println!("n{teller} tells now; {} came again", group.repeats());
    assert!(group.repeats() <= UNDER_WAY, "{} repeats\n{}", group.repeats(), group.logs());
}

#[test]
fn checks_of_two_datacenters_are_told_once_with_their_datacenter_by_nodes_in_both() {
    let both = Datacenters::start(&["dc1", "dc2"]);
    let (here, there) = (both.server(0), both.server(1));
    // The records of both nodes lie in one of the two.
    let ways = [
        format!("address = \"{}\"", here.url()),
        format!("address = \"{}\"\n  datacenter = \"dc1\"", there.url()),
    ];
    let set_both = |status: &str| {
        assert!(put_check(here, "dc1", "web1", "c0", status));
        assert!(put_check(there, "dc2", "web1", "c0", status));
    };
    set_both("passing");
    let mut group = Group::start(&ways, "datacenters = [\"dc1\", \"dc2\"]");
    let first = group.until_one_tells();
    set_both("critical");
    ["dc1", "dc2"].iter().for_each(|place| group.until_told(&format!("firing c0 on web1 in {place}")));
    assert_eq!(group.until_settled(), first);
    group.nodes[first].kill();
    set_both("passing");
    ["dc1", "dc2"].iter().for_each(|place| group.until_told(&format!("resolved c0 on web1 in {place}")));
    assert_eq!(group.until_settled(), 1 - first);
    let mut told = group.told();
    told.sort();
    let wanted = [
        "firing c0 on web1 in dc1",
        "firing c0 on web1 in dc2",
        "resolved c0 on web1 in dc1",
        "resolved c0 on web1 in dc2",
    ];
    assert_eq!((told.iter().map(String::as_str).collect(), group.repeats()), (wanted.to_vec(), 0));
}

#[test]
fn of_a_machine_that_dies_nothing_but_that_is_told_whoever_tells() {
    let options = Options { in_memory: true, config: Member::GOSSIP.to_owned(), ..Options::default() };
    let consul = Server::with(options);
    let mut machine = Member::join(&consul, "web1");
    let ask = |machine: &Member, path: &str, body: &str| {
        let (status, said) = machine.put(path, body).unwrap();
        assert_eq!(status, 200, "{said}");
    };
    for name in ["before", "during"] {
        let check = json!({ "CheckID": name, "Name": name, "TTL": "1h", "Status": "passing" });
        let service = json!({ "Name": name, "ID": name, "Check": check });
        ask(&machine, "/v1/agent/service/register", &service.to_string());
    }
    let way = format!("address = \"{}\"", consul.url());
    let mut group = Group::start(&[way.clone(), way], "");
    group.until_one_tells();
    ask(&machine, "/v1/agent/check/fail/before", "");
    group.until_told("firing before on web1 in dc1");

    machine.kill();
    group.until_told("firing serfHealth on web1 in dc1");
    let first = group.until_settled();
    // What others than its own agent may say of its services, and of another machine's.
    let critical = json!({
        "Node": "web1", "SkipNodeUpdate": true, "Check": {
            "Node": "web1", "CheckID": "during", "Name": "during", "ServiceID": "during", "Status": "critical",
        },
    });
    assert_eq!(consul.put("/v1/catalog/register", &critical.to_string()).unwrap().0, 200);
    assert!(put_check(&consul, "dc1", "web2", "c0", "critical"));
    group.until_told("firing c0 on web2 in dc1");
    group.until_settled();
    // The next one that tells knows it too.
    group.nodes[first].kill();
    assert!(put_check(&consul, "dc1", "web2", "c1", "critical"));
    group.until_told("firing c1 on web2 in dc1");
    let second = group.until_settled();
    assert_ne!(first, second);
    let shown = group.nodes[second].says(&["alerts"]).1;
    assert!(shown.contains("during"), "it is shown all the same: {shown}");

    machine.start(&consul);
    ask(&machine, "/v1/agent/check/pass/before", "");
    group.until_told("resolved serfHealth on web1 in dc1");
    group.until_told("resolved before on web1 in dc1");
    let of_it: Vec<String> = group.told().into_iter().filter(|one| one.contains("web1")).collect();
    let wanted = ["firing before on web1 in dc1", "firing serfHealth on web1 in dc1"];
    assert_eq!(of_it[..2], wanted, "{}", group.logs());
    calm(Duration::from_secs(1));
    assert_eq!((group.told().len(), group.repeats()), (6, 0), "{:?}\n{}", group.told(), group.logs());
}

#[test]
fn an_outage_longer_than_nodes_keep_silent_repeats_nothing_that_was_told_before_it_or_in_it() {
    let mut consul = Server::start();
    set(&consul, "c0", "passing");
    let way = format!("address = \"{}\"", consul.url());
    let group = Group::start(&[way.clone(), way], "alone_after = \"10s\"");
    let first = group.until_one_tells();
    let other = 1 - first;
    set(&consul, "c0", "critical");
    group.own(first, false);
    group.until_told("firing c0 on web1 in dc1");
    group.until_told(&format!("firing own on n{first}"));
    group.until_settled();

    consul.kill();
    group.own(other, false);
    group.until_told(&format!("firing own on n{other}"));
    let alone = format!("(node n{other} alone)");
    until_called(&group.hook, &alone);
    group.until_told("firing source consul");
    consul.restart();
    let teller = group.until_one_tells();
    group.until_told("resolved source consul");
    // What was told alone is handed on, and all checks are read.
    until_known(&group.nodes[teller], 2);
    calm(Duration::from_secs(3));

    set(&consul, "c0", "passing");
    group.own(first, true);
    group.own(other, true);
    for wanted in ["c0 on web1 in dc1", &format!("own on n{first}"), &format!("own on n{other}")] {
        group.until_told(&format!("resolved {wanted}"));
    }
    group.until_settled();
    let mut told = group.told();
    told.sort();
    let each = ["c0 on web1 in dc1", "own on n0", "own on n1", "source consul"];
    let wanted = ["firing", "resolved"].map(|tells| each.map(|one| format!("{tells} {one}"))).concat();
    assert_eq!((told, group.repeats()), (wanted, 0), "{}", group.logs());
}
