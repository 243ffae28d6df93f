//! What a node sees of the others, as it says it to those that ask for it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::text::hidden;

/// What a node that wants to hear it accepts besides JSON.
pub(crate) const MESH: &str = "application/vnd.lictor.mesh+json";

/// The version that is understood.
const VERSION: u64 = 1;

/// Peers of which one answer may speak; further ones are left out.
const SIGHTS: usize = 1_024;

/// Of a name, bytes that it may have.
const NAME: usize = 300;

/// What a node sees of the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MeshView {
    /// The node's name.
    pub(crate) node: String,
    /// Those it watches, once each.
    #[serde(default)]
    pub(crate) sees: Vec<Sight>,
}

/// How one node sees another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sight {
    /// Whom: the id that the other one is found by.
    pub(crate) peer: String,
    /// Whether it is up.
    pub(crate) up: bool,
    /// For how long that has been so, seconds.
    pub(crate) since_s: u64,
    /// How long ago it looked last, seconds.
    pub(crate) age_s: u64,
    /// Whether it took it upon itself to tell that it is down.
    #[serde(default)]
    pub(crate) told: bool,
    /// For how long nobody has accepted that word, seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) waits_s: Option<u64>,
}

impl MeshView {
    /// Reads what stands in an answer. Something else, or a newer version, is as nothing.
    pub(crate) fn read(value: &Value) -> Option<Self> {
        if value.get("version").and_then(Value::as_u64) != Some(VERSION) {
            return None;
        }
        let node = value.get("node")?.as_str().filter(|node| is_name(node))?.to_owned();
        let mut known = BTreeSet::new();
        let sight = |value: &Value| Sight::deserialize(value).ok().filter(|sight| is_name(&sight.peer));
        let sees = value.get("sees").and_then(Value::as_array);
        let sees = sees.into_iter().flatten().filter_map(sight);
        let sees = sees.filter(|sight| known.insert(sight.peer.clone())).take(SIGHTS).collect();
        Some(Self { node, sees })
    }
}

/// Whether it can be the name of a node or peer: it is shown to people.
fn is_name(text: &str) -> bool {
    (1..=NAME).contains(&text.len()) && !text.contains(|c: char| hidden(c) || c.is_whitespace())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sight(peer: &str) -> Value {
        json!({ "peer": peer, "up": true, "since_s": 12, "age_s": 3, "told": false })
    }

    #[test]
    fn what_a_node_sees_is_read() {
        let view = MeshView::read(&json!({ "version": 1, "node": "a", "sees": [sight("b:1")], "more": 1 }));
        let wanted =
            Sight { peer: "b:1".to_owned(), up: true, since_s: 12, age_s: 3, told: false, waits_s: None };
        assert_eq!(view, Some(MeshView { node: "a".to_owned(), sees: vec![wanted] }));
    }

    #[test]
    fn what_is_not_understood_is_as_nothing() {
        for value in [
            json!(null),
            json!([]),
            json!({ "node": "a", "sees": [] }),
            json!({ "version": 2, "node": "a", "sees": [] }),
            json!({ "version": 1, "sees": [] }),
            json!({ "version": 1, "node": "" }),
            json!({ "version": 1, "node": "a\u{1b}[2J" }),
            json!({ "version": 1, "node": "x".repeat(301) }),
        ] {
            assert_eq!(MeshView::read(&value), None, "{value}");
        }
    }

    #[test]
    fn a_sight_that_is_none_is_left_out_and_a_flood_is_cut() {
        let odd = json!([sight("b:1"), 7, { "peer": "c:1" }, sight("b:1"), sight("x y"), sight("d:1")]);
        let view = MeshView::read(&json!({ "version": 1, "node": "a", "sees": odd })).unwrap();
        let peers: Vec<&str> = view.sees.iter().map(|sight| sight.peer.as_str()).collect();
        assert_eq!(peers, ["b:1", "d:1"]);
        let many: Vec<Value> = (0..2_000).map(|n| sight(&format!("n{n}:1"))).collect();
        let view = MeshView::read(&json!({ "version": 1, "node": "a", "sees": many })).unwrap();
        assert_eq!(view.sees.len(), SIGHTS);
    }
}
