//! Scripts that act: what a page has of them is run, with what they call noted.

use super::How::{In, Not, Then};
use super::{Page, done};
use crate::manual::stage::Stage;

pub(super) const ACTIONS: Page =
    Page { name: "actions.md", blocks: &[("set -eu", Then(an_invoice, it_is_not_sent_again))] };

const UNITS: &str = "serving.rs types it on two booted hosts, since it moves a unit of systemd";

pub(super) const SERVICES: Page = Page {
    name: "services.md",
    blocks: &[
        ("openssl rand -hex 32 > /etc/lictor/cluster.key", In(|_| {})),
        ("systemctl disable --now shop.service", Not(UNITS)),
        ("lictor service status shop", Not(UNITS)),
        ("lictor service switchover shop", Not(UNITS)),
        (
            "# /usr/local/bin/shop-dns: shop.example.com is this node now. One that comes late sees it by the token.",
            Then(a_name_server, it_has_the_new_address),
        ),
    ],
};

/// Notes what it was told, and what is written to it.
const NOTES: &str =
    "#!/bin/sh\necho \"$(basename \"$0\") $*\" >>\"$HOME/told\"\n[ -t 0 ] || cat >>\"$HOME/told\"\n";

fn an_invoice(stage: &mut Stage<'_>) {
    stage.does("mkdir -p /var/lib/shop/done");
    stage.stand_in("send-invoice", NOTES);
    stage.set("LICTOR_STEP", "web1/r1/invoice");
}

fn it_is_not_sent_again(stage: &mut Stage<'_>) {
    let block = super::blocks::of("actions.md").remove(0);
    stage.types("actions.md, once more", &block);
    assert_eq!(stage.told(), "send-invoice --id web1/r1/invoice\n");
}

fn a_name_server(stage: &mut Stage<'_>) {
    stage.stand_in("dig", "#!/bin/sh\necho '\"7\"'\n");
    stage.stand_in("nsupdate", NOTES);
    stage.set("ADDRESS", "10.0.0.1");
    stage.set("LICTOR_TOKEN", "8");
}

fn it_has_the_new_address(stage: &mut Stage<'_>) {
    let told = stage.told();
    assert!(told.starts_with("nsupdate -k /etc/lictor/dns.key\nserver ns1.example.com\n"), "{told}");
    assert!(told.contains("update add shop.example.com 30 A 10.0.0.1\n"), "{told}");
    assert!(told.contains("update add token.shop.example.com 30 TXT \"8\"\n"), "{told}");
    // One that comes late.
    stage.set("LICTOR_TOKEN", "6");
    let block = super::blocks::of("services.md").pop().unwrap();
    stage.types("services.md, too late", &block);
    assert_eq!(stage.told(), told);
}

#[test]
fn the_blocks_of_actions_do_what_they_say() {
    done(&ACTIONS);
}

#[test]
fn the_blocks_of_services_do_what_they_say() {
    done(&SERVICES);
}
