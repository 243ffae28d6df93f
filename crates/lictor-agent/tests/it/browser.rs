//! A service is switched over by its page in a real Chromium, and watched on its way. Two whole agents on a real Consul;
//! the units only say whether they run.
#![cfg(test)]

use std::path::Path;
use std::time::Duration;

use lictor_testkit::browser::{Browser, Look, Window};

use crate::service_board::{Fleet, machine};
use crate::service_rig::lock;

/// How long a start takes: long enough to be watched.
const START: Duration = Duration::from_secs(5);

/// Two nodes, of which the first one runs the service.
async fn running() -> Fleet {
    let fleet = Fleet::with("", "", machine).await;
    let able = |fleet: &Fleet| (0..2).all(|node| fleet.at(node).one("web").unwrap().state.able.is_some());
    fleet.until("both nodes can run it", able).await;
    fleet.at(0).init("web").await.unwrap();
    fleet.until("the first of its nodes runs it", |fleet| fleet.world.runs_on("n1")).await;
    *lock(&fleet.world.slow) = START;
    fleet
}

fn browser() -> Browser {
    Browser::start(Path::new(env!("CARGO_TARGET_TMPDIR")))
}

fn page(fleet: &Fleet, node: usize) -> String {
    format!("http://{}/", fleet.nodes[node].address)
}

/// The nodes on which it was started, in order. That it ran on two at once fails in [`crate::service_rig::World`].
fn started_on(fleet: &Fleet) -> Vec<String> {
    fleet.starts().into_iter().map(|(node, _)| node).collect()
}

/// Has it go to the second node.
fn switches_over(window: &Window<'_>, fleet: &Fleet) {
    window.goes_to(&page(fleet, 0));
    window.sees(&["Services", "web", "runs on this node"]);
    window.unfolds("Switch over");
    window.sees(&["It is stopped on n1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_switches_a_service_of_a_real_consul_over_and_watches_it_go() {
    let fleet = running().await;
    let browser = browser();
    let there = browser.window(Look::phone());
    there.goes_to(&page(&fleet, 1));
    there.sees(&["live", "web", "n1 has it"]);
    let loads = there.loads();
    let window = browser.window(Look::default());
    switches_over(&window, &fleet);
    window.is_sound_as("before");
    window.presses("Switch over to n2 : web");
    window.sees(&["switchover from n1 to n2", "page has asked for it"]);
    assert_eq!(window.count("details:has-text('Switch over')"), 0, "it can be asked for twice");
    window.sees(&["it is stopped, and n2 is to start it"]);
    there.sees(&["switchover from n1 to n2"]);
    window.is_sound_as("under-way");
    window.sees(&["n2 has it", "Here: stopped"]);
    there.sees(&["runs on this node"]);
    assert_eq!(there.loads(), loads, "the page was loaded anew");
    assert_eq!(started_on(&fleet), ["n1", "n2"]);
    window.sees(&["a switchover from n1 to n2 is done"]);
    assert_eq!(window.count(".services .badge"), 0, "nothing is under way any more");
    window.is_sound_as("after");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_scripts_a_service_of_a_real_consul_is_switched_over_all_the_same() {
    let fleet = running().await;
    let browser = browser();
    let window = browser.window(Look { width: 768, dark: true, ..Look::default() }.without_script());
    switches_over(&window, &fleet);
    window.presses("Switch over to n2 : web");
    window.sees(&["switchover from n1 to n2", "page has asked for it"]);
    window.sees(&["n2 has it", "Here: stopped", "a switchover from n1 to n2 is done"]);
    assert_eq!(started_on(&fleet), ["n1", "n2"]);
    window.is_sound_as("after");
}
