//! Something broke at night: what, why, and is it over?

use std::fs;
use std::time::Duration;

use lictor_testkit::browser::{Look, Window};
use lictor_testkit::service::{Answer, Service};
use lictor_testkit::wait;

use super::{browser, in_order, page};
use crate::node::Node;

const BLOCKS: &str = r#"
watch "http" "shop" {
  url     = "@SHOP@/health"
  every   = "1s"
  timeout = "1s"
}
watch "exec" "disk" {
  command = ["/bin/true"]
  every   = "1s"
  timeout = "1s"
}
remedy "restart-shop" {
  on       = check.shop == "critical"
  cooldown = "1h"

  step "restart" {
    act "exec" {
      command = ["/bin/sh", "-c", "echo stopping the shop; test -e @DIR@/free || { echo 'the database is locked' >&2; exit 3; }; rm @DIR@/broken; echo the shop is up"]
    }
    attempts    = 100
    backoff     = "1s"
    backoff_max = "2s"
  }
  step "settle" {
    wait_for = check.shop == "passing"
    hold     = "1s"
    deadline = "1m"
  }
}
notify "http" "chat" {
  url = "@CHAT@/told"
}
"#;

/// A shop, a node that watches it and a chat that is told.
struct Rig {
    node: Node,
    shop: Service,
    chat: Service,
}

impl Rig {
    fn start() -> Self {
        let chat = Service::start(|_call| Answer::new(200, "{}"));
        let mut node = Node::new("");
        let broken = node.path("broken");
        let shop = Service::start(move |_call| match broken.exists() {
            true => Answer::new(503, "down for repairs"),
            false => Answer::new(200, "fine"),
        });
        node.configure(&BLOCKS.replace("@SHOP@", &shop.url()).replace("@CHAT@", &chat.url()));
        node.start();
        node.until("the shop is well", |node| (node.status("shop") == "passing").then_some(()));
        Self { node, shop, chat }
    }

    fn breaks(&mut self) {
        fs::write(self.node.path("broken"), "").unwrap();
        self.node.until("the first attempt has failed", |node| {
            node.events().contains("the database is locked").then_some(())
        });
        let chat = &self.chat;
        self.node.until("the chat is told", |_| (!chat.calls().is_empty()).then_some(()));
    }

    /// What keeps the remedy from helping is over.
    fn can_be_cured(&self) {
        fs::write(self.node.path("free"), "").unwrap();
    }
}

/// The story of the incident until it is cured, as it is on its page.
const STORY: &[&str] = &[
    "Incident i1: shop",
    "Who knows: chat",
    "Observed",
    "critical: status 503, wanted 200-299",
    "Judged",
    "shop went from passing to critical",
    "Decided",
    "restart-shop started: check.shop == \"critical\"",
    "step restart: doing",
    "step restart: failed: exit status 3",
];

/// From the overview to why it is.
fn finds_out_why(window: &Window<'_>, rig: &Rig) {
    window.goes_to(&page(&rig.node, "/"));
    window.sees(&[
        "1 incident open",
        "shop. 1 of 2 checks pass.",
        "Open incidents",
        "shop critical",
        "status 503, wanted 200-299",
    ]);
    window.follows("#i1", "The whole story of i1");
    window.sees(STORY);
    window.sees(&["stopping the shop", "the database is locked"]);
    window.sees(&["Told", "chat accepted d1: firing shop on test: critical"]);
}

const HEALED: &[&str] = &[
    "the shop is up",
    "step settle: waiting for check.shop == \"passing\"",
    "Healed",
    "shop went from critical to passing",
];

#[test]
fn who_is_called_at_night_sees_what_broke_why_and_that_it_is_over() {
    let mut rig = Rig::start();
    let browser = browser();
    // One has had the page open all the time, and does nothing.
    let watching = browser.window(Look::default());
    watching.goes_to(&page(&rig.node, "/"));
    watching.sees(&["live", "All 2 checks pass"]);
    let loads = watching.loads();
    rig.breaks();
    watching.sees(&["1 incident open", "restart-shop", "step restart: failed: exit status 3"]);

    let called = browser.window(Look::phone());
    finds_out_why(&called, &rig);
    called.is_sound_as("incident");
    rig.can_be_cured();
    // Without anything being done: it comes by itself.
    called.sees(HEALED);
    watching.sees(&["All 2 checks pass", "Closed incidents", "i1 shop critical"]);
    assert_eq!(watching.loads(), loads, "the page was loaded anew");
    watching.is_sound_as("overview");

    for (path, name) in [("/checks/shop", "check"), ("/remedies", "remedies"), ("/rules", "rules")] {
        called.goes_to(&page(&rig.node, path));
        called.sees(&["shop"]);
        called.is_sound_as(name);
    }
    assert!(!rig.shop.calls().is_empty(), "nobody has looked at the shop");
    let told = wait::until(Duration::from_secs(30), || (rig.chat.calls().len() >= 2).then_some(()));
    assert!(told.is_some(), "nobody was told that it is over: {:?}", rig.chat.calls());
}

#[test]
fn without_scripts_the_story_is_the_same_and_can_be_sent_on_as_markdown() {
    let mut rig = Rig::start();
    let browser = browser();
    rig.breaks();
    let window = browser.window(Look { width: 768, ..Look::default() }.without_script());
    finds_out_why(&window, &rig);
    rig.can_be_cured();
    window.sees(HEALED);
    let (status, text) = window.fetches("/incidents/i1.md");
    assert_eq!(status, 200, "{text}");
    in_order(
        &text,
        &[
            "# Incident i1: shop",
            "## Observed",
            "critical\\: status 503, wanted 200-299",
            "## Judged",
            "## Decided",
            "restart-shop started",
            "failed\\: exit status 3",
            "the database is locked",
            "the shop is up",
            "## Healed",
        ],
    );
    assert!(text.contains("## Told") && text.contains("chat accepted d1"), "{text}");
    window.is_sound_as("incident");
}

#[test]
fn who_has_no_mouse_gets_there_by_tab_and_enter() {
    let mut rig = Rig::start();
    let browser = browser();
    rig.breaks();
    let window = browser.window(Look::default());
    window.goes_to(&page(&rig.node, "/"));
    window.sees(&["1 incident open"]);
    window.tabs_to("Skip to content");
    window.presses_key("Enter");
    window.tabs_to("The whole story of i1");
    // The page is renewed meanwhile.
    window.sees(&["(attempt 4)"]);
    window.is_still_at("The whole story of i1");
    window.presses_key("Enter");
    window.sees(STORY);
    // From there to the check.
    window.tabs_to("shop");
    window.presses_key("Enter");
    window.sees(&["All checks", "shop", "critical for"]);
    rig.can_be_cured();
    window.sees(&["passing for"]);
}
