//! Nodes that watch each other, all on one machine with an address for each.

use lictor_testkit::service::{Answer, Service};

use super::How::{In, Not};
use super::{Page, done};
use crate::manual::stage::Stage;

pub(super) const PEERS: Page = Page { name: "peers.md", blocks: &[("lictor peers status", In(five_nodes))] };

pub(super) const PEERS_SCALE: Page = Page {
    name: "peers-scale.md",
    blocks: &[(
        "LICTOR_LONG=1 cargo test --release -p lictor-testkit --test it peers_big -- --nocapture --test-threads 1",
        Not(
            "it is itself a run of tests, with an optimized build; the ordinary tests play it with fewer nodes",
        ),
    )],
};

/// Starts nodes `n1` and so on, each with these URLs, and ends the last one as soon as all others have seen it. The
/// first one listens where commands ask.
pub(super) fn mesh(stage: &mut Stage<'_>, urls: &[&[&str]]) {
    let nodes = 1..=urls.len();
    let hosts: String = nodes.clone().map(|node| format!("127.0.1.{node} n{node}.example.com\n")).collect();
    stage.does(&format!("printf '%s' '{hosts}' >>/etc/hosts"));
    for (node, urls) in nodes.clone().zip(urls) {
        let peers: Vec<String> = nodes
            .clone()
            .filter(|other| *other != node)
            .map(|other| format!("\"n{other}.example.com:5988\""))
            .collect();
        let http = if node == 1 { "127.0.0.1".to_owned() } else { format!("127.0.1.{node}") };
        let peers = peers.join(", ");
        // Their addresses are all this machine's.
        let config = format!(
            r#"
node {{
  name      = "n{node}"
  state_dir = "/var/lib/n{node}"
}}
http {{
  address = "{http}:8510"
}}
probe {{
  address = "127.0.1.{node}:5988"
  urls    = {urls:?}
  volumes = []
}}
peers {{
  static  = [{peers}]
  own     = ["192.0.2.1"]
  every   = "1s"
  timeout = "500ms"
}}
notify "log" "told" {{
  path = "/var/log/n{node}"
}}
route {{
  source     = "peers"
  to         = ["told"]
  group_wait = "0s"
}}
"#
        );
        let path = format!("/etc/lictor.d/n{node}.hcl");
        stage.write(&path, &config);
        stage.start(&path);
    }
    // Each says whom it hears, itself left out.
    for node in nodes {
        let http = if node == 1 { "127.0.0.1".to_owned() } else { format!("127.0.1.{node}") };
        let seen = urls.len() - 1;
        stage.until(&format!("curl -s http://{http}:8510/v1/peers | grep -q '\"seen\":{seen},'"));
    }
    stage.kill();
}

fn five_nodes(stage: &mut Stage<'_>) {
    let well = Service::answering(vec![Answer::new(200, "open")]);
    let ill = Service::answering(vec![Answer::new(500, "closed")]);
    let (good, bad) = (well.url(), format!("{}/", ill.url()));
    stage.replace("https://shop.example/", &bad);
    mesh(stage, &[&[], &[&good, &good], &[&good, &bad], &[], &[]]);
    stage.world.services.extend([well, ill]);
    stage.ends("lictor peers status", 1);
    stage.looks();
}

#[test]
fn the_blocks_of_peers_do_what_they_say() {
    done(&PEERS);
}
