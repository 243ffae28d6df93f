//! Who is told: silences, and what was consul-alerts' before.

use lictor_testkit::consul::{Options, Server};
use lictor_testkit::service::{Answer, Service};

use super::How::{In, Then};
use super::{Page, done};
use crate::keys::Keys;
use crate::manual::stage::Stage;

pub(super) const ALERTS: Page = Page {
    name: "alerts.md",
    blocks: &[
        (
            "lictor silence add node=web1 'check!=disk,swap' --for 2h --comment \"new disks\"",
            In(three_alerts),
        ),
        ("lictor import consul-alerts > /etc/lictor.d/alerts.hcl", Then(consul_alerts, slack_was_told)),
    ],
};

fn three_alerts(stage: &mut Stage<'_>) {
    let check = |name: &str| {
        format!(
            "watch \"exec\" \"{name}\" {{\n  command = [\"/bin/sh\", \"-c\", \"exit 2\"]\n  every = \"1s\"\n  fail_after = 1\n}}\n"
        )
    };
    let checks: String = ["shop", "queue", "mail", "disk", "swap"].map(check).concat();
    let told =
        "notify \"log\" \"ops\" {\n  path = \"/var/log/lictor/ops\"\n}\nroute {\n  to = [\"ops\"]\n}\n";
    stage.agent(&format!("node {{\n  name = \"web1\"\n}}\n{checks}{told}"));
    stage.until("curl -s http://127.0.0.1:8510/v1/alerts | jq -e '[.alerts[] | select(.state == \"firing\")] | length == 5'");
}

fn consul_alerts(stage: &mut Stage<'_>) {
    let server = Server::with(Options { in_memory: true, ..Options::default() });
    let slack = Service::answering(vec![Answer::new(200, "ok")]);
    for (key, value) in [("enabled", "true"), ("url", &slack.url()), ("cluster-name", "shop")] {
        Keys(&server).put(&format!("consul-alerts/config/notifiers/slack/{key}"), value);
    }
    stage.set("CONSUL_HTTP_ADDR", server.http_address());
    stage.world.consul = Some(server);
    stage.world.services.push(slack);
    stage.does("rm /etc/lictor.d/*");
}

fn slack_was_told(stage: &mut Stage<'_>) {
    assert_eq!(stage.world.services[0].calls().len(), 1);
}

#[test]
fn the_blocks_of_alerts_do_what_they_say() {
    done(&ALERTS);
}
