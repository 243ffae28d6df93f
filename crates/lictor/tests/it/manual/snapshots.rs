//! Snapshots, saved by hand and taken regularly.

use lictor_testkit::consul::{Datacenters, Options, Server};

use super::How::{In, Then};
use super::{Page, blocks, done};
use crate::keys::{Keys, pair};
use crate::manual::stage::Stage;

pub(super) const SNAPSHOT: Page = Page {
    name: "snapshot.md",
    blocks: &[
        ("lictor snapshot save backup.snap", Then(two_datacenters, four_were_saved)),
        ("age-keygen -o /etc/lictor/backup.key", In(words)),
        ("lictor snapshot restore --dry-run backup.snap", Then(a_lost_key, it_is_back)),
        ("lictor snapshot restore --only config/web/ --dry-run backup.snap", Then(a_lost_folder, it_is_back)),
        ("lictor snapshot verify backup.snap", In(a_folder_of_backups)),
        ("lictor snapshot drill backup.snap", In(|_| {})),
        ("lictor snapshot inspect backup.snap", In(two_days)),
        ("lictor snapshot state save node1.state", Then(an_agent_that_stops, it_remembers)),
        (
            "lictor import consul-snapshot-agent -config-dir=/etc/consul-snapshot.d > /etc/lictor.d/snapshot.hcl",
            Then(the_old_agent, its_block_is_valid),
        ),
    ],
};

pub(super) const SNAPSHOT_AGENT: Page = Page {
    name: "snapshot-agent.md",
    blocks: &[
        ("lictor snapshot status", Then(an_agent_that_takes_them, one_was_fetched)),
        ("age-keygen -o key.txt", In(|_| {})),
        ("lictor snapshot agent --config /etc/lictor.d", Then(no_agent, more_were_taken)),
    ],
};

fn keys<'a>(stage: &'a Stage<'_>) -> Keys<'a> {
    Keys(stage.world.sites.as_ref().unwrap().server(0))
}

fn two_datacenters(stage: &mut Stage<'_>) {
    let sites = Datacenters::start(&["dc1", "dc2"]);
    stage.set("CONSUL_HTTP_ADDR", sites.server(0).http_address());
    stage.world.sites = Some(sites);
    keys(stage).put_many("config/web/many/", 20);
    keys(stage).put("config/web/port", "80");
    stage.replace("age1...", pair().1);
}

fn four_were_saved(stage: &mut Stage<'_>) {
    let files = stage.does("ls");
    let found: Vec<&str> = files.lines().collect();
    // VERSION, DATACENTER and STATUS, and the other datacenter.
    let [one, two, three, four] = found[..] else { panic!("{files}") };
    assert_eq!((three, four), ("backup.snap", "backup.snap.age"), "{files}");
    assert!(one.contains("dc1-leader") && two.contains("dc2"), "{files}");
}

fn words(stage: &mut Stage<'_>) {
    stage.write("/etc/lictor/backup.words", "correct horse battery staple\n");
    stage.replace_by("age1...", |stage| stage.does("age-keygen -y /etc/lictor/backup.key").trim().to_owned());
}

fn a_lost_key(stage: &mut Stage<'_>) {
    keys(stage).delete("config/web/port");
    stage.answers("lictor snapshot restore backup.snap", "restore\n");
}

fn a_lost_folder(stage: &mut Stage<'_>) {
    keys(stage).delete_below("config/web/");
    stage.answers("lictor snapshot restore --only config/web/ backup.snap", "restore\n");
}

fn it_is_back(stage: &mut Stage<'_>) {
    assert_eq!(keys(stage).get("config/web/port").as_deref(), Some("80"));
}

fn a_folder_of_backups(stage: &mut Stage<'_>) {
    stage.does("cp backup.snap /var/backups/consul");
}

fn two_days(stage: &mut Stage<'_>) {
    stage.does("lictor snapshot save monday.snap");
    keys(stage).put("config/web/port", "8080");
    stage.does("lictor snapshot save tuesday.snap");
}

fn an_agent_that_stops(stage: &mut Stage<'_>) {
    stage.agent("watch \"memory\" \"memory\" {\n}\n");
    stage.replace("age1...", pair().1);
    stage.answers("lictor snapshot state restore node1.state", "restore\n");
}

fn it_remembers(stage: &mut Stage<'_>) {
    assert_eq!(stage.told(), "systemctl stop lictor\nsystemctl start lictor\n");
    stage.stop();
    stage.start("/etc/lictor.d");
    stage.until("lictor events | grep 'state restored from a copy of '");
    stage.stop();
}

fn the_old_agent(stage: &mut Stage<'_>) {
    let old = r#"{"snapshot_agent": {"snapshot": {"interval": "1h", "retain": 24}, "local_storage": {"path": "/var/backups/consul"}}}"#;
    stage.write("/etc/consul-snapshot.d/agent.json", old);
    stage.does("rm /etc/lictor.d/*");
}

fn its_block_is_valid(stage: &mut Stage<'_>) {
    stage.does("lictor validate /etc/lictor.d");
}

fn an_agent_that_takes_them(stage: &mut Stage<'_>) {
    let server = Server::with(Options { in_memory: true, ..Options::default() });
    stage.set("CONSUL_HTTP_ADDR", server.http_address());
    Keys(&server).put("config/web/port", "80");
    stage.world.consul = Some(server);
    stage.set("LICTOR_LEASE", "4000");
    stage.agent(&blocks::containing("snapshot-agent.md", "hcl", "snapshot \"consul\""));
    stage.until("ls /var/backups/consul/*.snap");
    stage.until("lictor snapshot status | grep -q waiting");
}

fn one_was_fetched(stage: &mut Stage<'_>) {
    stage.does("lictor snapshot verify consul.dc1.*.snap");
}

fn no_agent(stage: &mut Stage<'_>) {
    stage.stop();
    stage.does("rm /var/backups/consul/*");
    stage.goes_on("lictor snapshot agent --config", "ls /var/backups/consul/*.snap");
}

fn more_were_taken(stage: &mut Stage<'_>) {
    assert!(stage.does("ls /var/backups/consul").lines().count() >= 2);
}

#[test]
fn the_blocks_of_snapshot_do_what_they_say() {
    done(&SNAPSHOT);
}

#[test]
fn the_blocks_of_snapshot_agent_do_what_they_say() {
    done(&SNAPSHOT_AGENT);
}
