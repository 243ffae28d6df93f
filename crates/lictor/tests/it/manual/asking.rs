//! What is asked over HTTP, and what is answered.

use std::path::Path;

use lictor_testkit::service::{Answer, Service};

use super::How::{In, Not};
use super::{Page, done};
use crate::manual::peering::mesh;
use crate::manual::stage::Stage;

pub(super) const HTTP: Page = Page {
    name: "http.md",
    blocks: &[
        ("curl -s http://127.0.0.1:8510/v1/checks/shop", In(a_shop_that_fails)),
        ("curl -s http://127.0.0.1:8510/v1/peers", In(three_nodes)),
        (
            "curl -sN 'http://127.0.0.1:8510/v1/events/stream?kind=transition,run_ended'",
            In(a_shop_that_will_fail),
        ),
        (
            "backup.sh && curl -fsS -m 10 --retry 3 -X POST http://127.0.0.1:8510/v1/heartbeat/backup",
            In(a_backup),
        ),
        (
            "curl -s http://127.0.0.1:8510/v1/webhook/alerts -H 'Authorization: Bearer TOKEN' \\",
            In(|stage| stage.replace("TOKEN", "secret-word")),
        ),
        ("curl -s http://127.0.0.1:8510/v1/alerts?status=critical", In(a_silent_disk)),
        (
            "curl -s http://127.0.0.1:8510/v1/services/shop/switchover -d '{\"by\": \"ann\"}'",
            Not("serving.rs types it on two booted hosts, since it moves a unit of systemd"),
        ),
    ],
};

/// The shop fails while the first file is there, the disk while the second one is.
const CONFIG: &str = r#"
node {
  name = "web1"
}
watch "http" "shop" {
  url        = "@SHOP@"
  every      = "500ms"
  fail_after = 3
  alert      = false
}
watch "heartbeat" "backup" {
  within = "1d"
}
watch "webhook" "alerts" {
  token_file = "/etc/lictor/alerts-token"
  alert      = false
}
watch "exec" "disk" {
  command    = ["/bin/sh", "-c", "test ! -e @HOME@/full || { echo '95 % used'; exit 2; }"]
  every      = "500ms"
  fail_after = 1
}
notify "log" "ops" {
  path = "/var/log/lictor/ops"
}
route {
  to         = ["ops"]
  group_wait = "0s"
}
"#;

/// Starts the agent with a shop that is open.
fn shop(stage: &mut Stage<'_>) {
    let broken = stage.path("home/broken");
    let shop = Service::start(move |_call| Answer::new(if broken.exists() { 503 } else { 200 }, "shop"));
    let home = stage.path("home");
    stage.write("/etc/lictor/alerts-token", "secret-word\n");
    stage.agent(&CONFIG.replace("@SHOP@", &shop.url()).replace("@HOME@", &home.display().to_string()));
    stage.world.services.push(shop);
    stage.until("curl -s http://127.0.0.1:8510/v1/checks/shop | grep -q '\"status\":\"passing\"'");
}

fn a_shop_that_fails(stage: &mut Stage<'_>) {
    shop(stage);
    touch(&stage.path("home/broken"));
    stage.looks();
}

fn three_nodes(stage: &mut Stage<'_>) {
    stage.stop();
    stage.does("rm /etc/lictor.d/* broken");
    mesh(stage, &[&[], &[], &[]]);
    stage.looks();
}

fn a_shop_that_will_fail(stage: &mut Stage<'_>) {
    stage.stop();
    stage.does("rm /etc/lictor.d/*");
    shop(stage);
    stage.goes_on("curl -sN", "touch broken");
}

fn a_backup(stage: &mut Stage<'_>) {
    stage.stand_in("backup.sh", "#!/bin/sh\n");
}

fn a_silent_disk(stage: &mut Stage<'_>) {
    touch(&stage.path("home/full"));
    stage.until("grep -q 'disk' /var/log/lictor/ops");
    stage.does("lictor silence add check=disk --for 2h --comment 'new disks'");
    stage.looks();
}

fn touch(path: &Path) {
    std::fs::write(path, "").unwrap();
}

#[test]
fn the_blocks_of_http_do_what_they_say() {
    done(&HTTP);
}
