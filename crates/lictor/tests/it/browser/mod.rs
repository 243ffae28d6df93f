//! What people do with the page, in a real Chromium: with scripts and without, in light and dark, on a phone, a tablet and
//! a screen. Pictures of all pages are left in the target's `tmp/browser`.

mod copies;
mod night;
mod silence;

use std::path::Path;

use lictor_testkit::browser::Browser;

use crate::node::Node;

fn browser() -> Browser {
    Browser::start(Path::new(env!("CARGO_TARGET_TMPDIR")))
}

/// A page of a node.
fn page(node: &Node, path: &str) -> String {
    format!("http://127.0.0.1:{}{path}", node.port)
}

/// The parts are there in this order.
#[track_caller]
fn in_order(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        let found = rest.split_once(part);
        (_, rest) = found.unwrap_or_else(|| panic!("not there, or too early: {part}\n{text}"));
    }
}
