//! Keys of several datacenters, and the rights that Consul gives.

use lictor_testkit::consul::{Datacenters, MANAGEMENT_TOKEN, Options, Server};
use lictor_testkit::wait;
use serde_json::Value;

use super::How::{In, Then};
use super::{Page, blocks, done};
use crate::keys::Keys;
use crate::manual::stage::Stage;
use crate::node::LONG;

pub(super) const REPLICATE: Page = Page {
    name: "replicate.md",
    blocks: &[
        ("lictor validate /etc/lictor.d", Then(three_datacenters, nothing_is_written)),
        ("lictor replicate approve config 5c0de1f7", Then(deletes_that_wait, one_was_deleted)),
        ("lictor replicate run config/@dc1 --to dc2 --delete --dry-run", Then(by_hand, all_are_there)),
    ],
};

pub(super) const CONSUL_ACL: Page = Page {
    name: "consul-acl.md",
    blocks: &[("consul acl policy create -name lictor -rules @lictor.hcl", In(rights))],
};

fn keys<'a>(stage: &'a Stage<'_>, site: usize) -> Keys<'a> {
    Keys(stage.world.sites.as_ref().unwrap().server(site))
}

/// The block of the page.
fn block() -> String {
    blocks::containing("replicate.md", "hcl", "dry_run")
}

/// What the page says of it when it is to be done.
fn in_earnest(more: &str) -> String {
    block().replace("  dry_run  = true\n", more)
}

fn three_datacenters(stage: &mut Stage<'_>) {
    let sites = Datacenters::start(&["dc1", "dc2", "dc3"]);
    stage.set("CONSUL_HTTP_ADDR", sites.server(0).http_address());
    stage.set("LICTOR_LEASE", "4000");
    stage.world.sites = Some(sites);
    keys(stage, 0).put_many("config/", 20);
    stage.agent("consul {}\n");
    stage.write("/etc/lictor.d/lictor.hcl", &block());
}

fn nothing_is_written(stage: &mut Stage<'_>) {
    assert_eq!(stage.told(), "systemctl reload lictor\n");
    stage.until("lictor replicate status | grep -q 'it would write 20 keys'");
    assert!(keys(stage, 1).below("").is_empty());
}

/// What waits is approved in the one datacenter, and discarded in the other.
const THERE: [(usize, &str); 2] = [(1, "dc2"), (2, "dc3")];

fn deletes_that_wait(stage: &mut Stage<'_>) {
    stage.stop();
    for (site, _) in THERE {
        keys(stage, site).put(&format!("config/only-here-{site}"), "x");
    }
    stage.agent(&in_earnest("  delete = true\n  delete_limit = 0\n  confirm = \"1s\"\n"));
    stage.replace_by("5c0de1f7", |stage| {
        let (_, datacenter) = THERE[stage.turns];
        wait_for(stage, "it is held back", |stage| held(stage, datacenter))
    });
}

/// The id of what is held back on its way there.
fn held(stage: &Stage<'_>, datacenter: &str) -> Option<String> {
    let all: Value =
        serde_json::from_str(&stage.does("lictor replicate status --format json || true")).ok()?;
    let there = all["copies"].as_array()?.iter().find(|copy| copy["to"] == datacenter)?;
    Some(there["held"]["id"].as_str()?.to_owned())
}

fn wait_for<T>(stage: &Stage<'_>, what: &str, mut look: impl FnMut(&Stage<'_>) -> Option<T>) -> T {
    let found = wait::until(LONG, || look(stage));
    found.unwrap_or_else(|| panic!("{what}: {}", stage.does("lictor replicate status --format json || true")))
}

fn one_was_deleted(stage: &mut Stage<'_>) {
    let waits = |stage: &Stage<'_>| THERE.iter().any(|(_, datacenter)| held(stage, datacenter).is_some());
    wait_for(stage, "nothing waits any more", |stage| (!waits(stage)).then_some(()));
    let approved = |stage: &Stage<'_>| keys(stage, 1).get("config/only-here-1").is_none().then_some(());
    wait_for(stage, "what was approved is deleted", approved);
    assert!(keys(stage, 2).get("config/only-here-2").is_some(), "what was discarded stays");
}

fn by_hand(stage: &mut Stage<'_>) {
    stage.stop();
    for site in [1, 2] {
        keys(stage, site).delete_below("");
    }
    stage.write("/etc/lictor.d/lictor.hcl", &in_earnest(""));
}

fn all_are_there(stage: &mut Stage<'_>) {
    for site in [1, 2] {
        assert_eq!(keys(stage, site).below("config/").len(), 20);
    }
}

fn rights(stage: &mut Stage<'_>) {
    let server = Server::with(Options { in_memory: true, acl: true, ..Options::default() });
    stage.set("CONSUL_HTTP_ADDR", server.http_address());
    stage.set("CONSUL_HTTP_TOKEN", MANAGEMENT_TOKEN);
    stage.world.consul = Some(server);
    let rules = blocks::containing("consul-acl.md", "hcl consul", "key_prefix \"lictor/\"");
    std::fs::write(stage.path("home/lictor.hcl"), rules).unwrap();
}

#[test]
fn the_blocks_of_replicate_do_what_they_say() {
    done(&REPLICATE);
}

#[test]
fn the_blocks_of_consul_acl_do_what_they_say() {
    done(&CONSUL_ACL);
}
