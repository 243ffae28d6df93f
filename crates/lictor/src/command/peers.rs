//! `lictor peers status`, and the line of the peers in `lictor status`.

use lictor_agent::text::one_line;
use serde::Deserialize;
use serde_json::Value;

use crate::cli::PeersStatus;
use crate::client::{Client, typed};
use crate::command::events::LIST;
use crate::command::status::{count, span};
use crate::command::watch::{Look, Pace, look};
use crate::exit::Failure;
use crate::output::Terminal;
use crate::sheet::{About, Sheet};

/// What `GET /v1/peers` answers.
#[derive(Debug, Deserialize)]
struct Mesh {
    watching: bool,
    node: String,
    at: Option<String>,
    counts: Counts,
    cut_off: Option<CutOff>,
    lost: Option<Lost>,
    partition: Option<String>,
    /// An older agent does not say it.
    #[serde(default)]
    opinions: Vec<Opinion>,
    peers: Vec<Peer>,
}

#[derive(Debug, Deserialize)]
struct Counts {
    known: usize,
    watched: usize,
    seen: usize,
    passing: usize,
}

#[derive(Debug, Deserialize)]
struct CutOff {
    lasts_ms: u64,
}

#[derive(Debug, Deserialize)]
struct Lost {
    why: String,
    lasts_ms: u64,
}

#[derive(Debug, Deserialize)]
struct Peer {
    peer: String,
    node: Option<String>,
    status: Option<String>,
    lasts_ms: Option<u64>,
    seen: Option<Found>,
    vanished: Option<String>,
    watched: bool,
    opinions: Vec<Opinion>,
}

#[derive(Debug, Deserialize)]
struct Found {
    text: String,
}

#[derive(Debug, Deserialize)]
struct Opinion {
    node: String,
    up: bool,
}

pub(super) async fn status(args: &PeersStatus, terminal: &Terminal) -> Result<(), Failure> {
    look(&Peers, &args.how, terminal).await
}

/// How the peers stand.
struct Peers;

impl Look for Peers {
    fn pace(&self) -> Pace {
        Pace::Steady
    }

    async fn ask(&self, client: &Client) -> Result<Value, Failure> {
        client.get("/v1/peers", &[]).await
    }

    async fn show(&self, answer: Value, _client: &Client, terminal: &Terminal) -> Result<(), Failure> {
        let mesh: Mesh = typed(answer)?;
        match mesh.watching {
            true if mesh.at.is_none() => terminal.say(FIRST),
            true => Terminal::data(&mesh.shown(terminal).join("\n"))?,
            false => terminal.say(NOBODY),
        }
        Ok(())
    }

    fn is_well(&self, answer: &Value) -> Result<bool, Failure> {
        Ok(typed::<Mesh>(answer.clone())?.is_well())
    }
}

/// No peers are watched.
const NOBODY: &str = "the agent watches no peers: a block `peers` in its configuration says which";

/// Nobody has looked at them yet.
const FIRST: &str = "the first round of looks at the peers is not over yet";

/// The peers as a list.
pub(super) fn sheet(answer: Value, terminal: &Terminal) -> Result<Sheet, Failure> {
    Ok(typed::<Mesh>(answer)?.listed(terminal))
}

/// The peers in a line, for `lictor status`; nothing where none are watched.
pub(super) fn summary(answer: Value, terminal: &Terminal) -> Result<Option<String>, Failure> {
    let mesh: Mesh = typed(answer)?;
    let line = || if mesh.at.is_some() { mesh.line(terminal) } else { format!("peers: {FIRST}") };
    Ok(mesh.watching.then(line))
}

impl Mesh {
    /// Whether each peer is well, and all see each other.
    fn is_well(&self) -> bool {
        self.watching
            && self.at.is_some()
            && self.cut_off.is_none()
            && self.lost.is_none()
            && self.partition.is_none()
            && self.opinions.iter().all(|opinion| opinion.up)
            && self.peers.iter().all(Peer::is_well)
    }

    fn line(&self, terminal: &Terminal) -> String {
        let mut said = vec![self.seen()];
        let bad: Vec<_> = self.peers.iter().filter(|peer| !peer.is_well()).collect();
        if let Some(first) = bad.first() {
            let more = if bad.len() > 1 { format!(" and {} more", bad.len() - 1) } else { String::new() };
            said.push(format!("not well: {}{more}", first.name()));
        }
        said.extend(self.partition.clone());
        said.extend(self.alarms());
        let line = format!("peers: {}", said.join("; "));
        if self.is_well() { line } else { terminal.alarm(&line) }
    }

    fn shown(&self, terminal: &Terminal) -> Vec<String> {
        let mut lines = vec![terminal.heading(&format!("{}: {}", self.node, self.seen()))];
        if !self.peers.is_empty() {
            lines.extend([String::new(), self.listed(terminal).text()]);
        }
        let wrong: Vec<_> = self.partition.iter().cloned().chain(self.alarms()).collect();
        if !wrong.is_empty() {
            lines.push(String::new());
            lines.extend(wrong.iter().map(|line| terminal.alarm(line)));
        }
        lines
    }

    fn listed(&self, terminal: &Terminal) -> Sheet {
        let mut peers: Vec<_> = self.peers.iter().collect();
        // By id already; the sort is stable.
        peers.sort_by_key(|peer| peer.is_well());
        let lines = peers.into_iter().map(|peer| (About::Itself(peer.peer.clone()), peer.row(terminal)));
        Sheet::new(["PEER", &terminal.status("STATUS"), "FOR", "OTHERS", "SEEN"], lines)
    }

    /// `4 of 5 peers seen, 3 well`.
    fn seen(&self) -> String {
        let Counts { known, watched, seen, passing } = self.counts;
        if known == 0 {
            return "no other node is known".to_owned();
        }
        let well = if passing < seen { format!(", {passing} well") } else { String::new() };
        let others = match known.saturating_sub(watched) {
            0 => String::new(),
            more => format!(", {more} more watched by others"),
        };
        format!("{seen} of {} seen{well}{others}", count(watched, "peer", "peers"))
    }

    /// What is wrong with this node's part.
    fn alarms(&self) -> impl Iterator<Item = String> {
        let few = "it sees so few that it is itself cut off, for all it can tell";
        let cut_off = self.cut_off.as_ref().map(|since| format!("{few} (for {})", span(since.lasts_ms)));
        let last = "the peers cannot be found, so the last known ones are watched";
        let lost =
            self.lost.as_ref().map(|lost| format!("{last} (for {}): {}", span(lost.lasts_ms), lost.why));
        let unseen: Vec<_> = self.opinions.iter().filter(|opinion| !opinion.up).collect();
        let unseen = listed(&unseen.iter().map(|opinion| opinion.node.as_str()).collect::<Vec<_>>())
            .map(|names| format!("{names} {} not see this node", verb(unseen.len(), "does", "do")));
        cut_off.into_iter().chain(lost).chain(unseen)
    }
}

impl Peer {
    /// Whether nothing speaks against it. Of one that others watch, they say so, if this node hears them.
    fn is_well(&self) -> bool {
        let said = match (self.watched, &self.status) {
            (true, status) => status.as_deref() == Some("passing"),
            (false, _) => self.opinions.is_empty() || self.opinions.iter().any(|opinion| opinion.up),
        };
        said && self.vanished.is_none()
    }

    fn name(&self) -> &str {
        self.node.as_deref().unwrap_or(&self.peer)
    }

    fn row(&self, terminal: &Terminal) -> [String; 5] {
        let status = match (&self.status, self.watched) {
            (Some(status), _) => terminal.status(status),
            (None, true) => terminal.status("not judged yet"),
            (None, false) => terminal.status("by others"),
        };
        let vanished = if self.vanished.is_some() { " (no longer named)" } else { "" };
        let seen = match (&self.seen, self.watched) {
            (Some(seen), _) => one_line(&seen.text, LIST),
            (None, true) => "not looked at yet".to_owned(),
            (None, false) => "other nodes look at it".to_owned(),
        };
        [
            one_line(&self.named(), LIST),
            format!("{status}{vanished}"),
            self.lasts_ms.map(span).unwrap_or_default(),
            one_line(&self.others(), LIST),
            seen,
        ]
    }

    /// The name it gives itself, where that is not in its id.
    fn named(&self) -> String {
        match &self.node {
            Some(node) if !self.peer.starts_with(node.as_str()) => format!("{node} ({})", self.peer),
            Some(_) | None => self.peer.clone(),
        }
    }

    /// `n2 and n3 see it, n4 does not`.
    fn others(&self) -> String {
        let of = |up: bool| {
            let those = self.opinions.iter().filter(|opinion| opinion.up == up);
            those.map(|opinion| opinion.node.as_str()).collect::<Vec<_>>()
        };
        let (up, down) = (of(true), of(false));
        match (listed(&up), listed(&down)) {
            (None, None) => String::new(),
            (Some(seen), None) => format!("{seen} {} it", verb(up.len(), "sees", "see")),
            (None, Some(unseen)) => format!("{unseen} {} not", verb(down.len(), "does", "do")),
            (Some(seen), Some(unseen)) => {
                let sees = verb(up.len(), "sees", "see");
                format!("{seen} {sees} it, {unseen} {} not", verb(down.len(), "does", "do"))
            }
        }
    }
}

fn verb<'a>(nodes: usize, one: &'a str, many: &'a str) -> &'a str {
    if nodes == 1 { one } else { many }
}

/// Names that are written out; more are counted.
const NAMES: usize = 3;

fn listed(names: &[&str]) -> Option<String> {
    match names {
        [] => None,
        [one] => Some((*one).to_owned()),
        [before @ .., last] if names.len() <= NAMES => Some(format!("{} and {last}", before.join(", "))),
        more => Some(more.len().to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::watch::timeless;
    use serde_json::json;

    /// An answer of an agent: its tests say that it is one.
    const ANSWER: &str = include_str!("../../../lictor-agent/tests/data/peers.json");

    fn answer() -> Value {
        serde_json::from_str(ANSWER).unwrap()
    }

    fn shown(answer: Value) -> String {
        typed::<Mesh>(answer).unwrap().shown(&Terminal::new(true)).join("\n")
    }

    fn line(answer: Value) -> Option<String> {
        summary(answer, &Terminal::new(true)).unwrap()
    }

    /// All is well with two peers.
    fn well() -> Value {
        let mut answer = answer();
        answer.as_object_mut().unwrap().remove("partition");
        answer["opinions"][1]["up"] = json!(true);
        let peers = answer["peers"].as_array_mut().unwrap();
        peers.remove(2);
        peers.remove(1);
        answer["counts"] = json!({"known": 2, "watched": 1, "seen": 1, "passing": 1});
        answer
    }

    #[test]
    fn the_table_shows_who_else_sees_each_peer_the_bad_ones_first() {
        insta::assert_snapshot!(shown(answer()), @r"
        node1: 2 of 3 peers seen, 1 well, 1 more watched by others

        PEER                    STATUS     FOR     OTHERS                  SEEN
        node3.example.com:5988  critical   1m 30s  node2 sees it           1 of 2 checks are good: https://shop.example/ (500)
        node4.example.com:5988  critical   30s     node2 and node3 do not  no answer: connection refused
        node2.example.com:5988  passing    3h      node3 sees it           2 of 2 checks are good
        node5.example.com:5988  by others          node2 sees it           other nodes look at it

        node1, node2 and node3 see each other, none of them sees node4
        node3 does not see this node
        ");
    }

    #[test]
    fn the_line_of_the_status_says_what_is_wrong() {
        let said = "peers: 2 of 3 peers seen, 1 well, 1 more watched by others; not well: node3 and 1 more; \
                    node1, node2 and node3 see each other, none of them sees node4; node3 does not see this node";
        assert_eq!(line(answer()).as_deref(), Some(said));
        let said = "peers: 1 of 1 peer seen, 1 more watched by others";
        assert_eq!(line(well()).as_deref(), Some(said));
        let none = json!({"watching": false, "node": "n1", "groups": [], "peers": [],
            "counts": {"known": 0, "watched": 0, "seen": 0, "passing": 0}});
        assert_eq!(line(none), None, "nothing where no peers are watched");
        let mut first = well();
        first.as_object_mut().unwrap().remove("at");
        let said = "peers: the first round of looks at the peers is not over yet";
        assert_eq!(line(first).as_deref(), Some(said));
    }

    #[test]
    fn what_is_only_older_is_not_shown_anew() {
        let mut later = answer();
        later["at"] = json!("2026-11-21T03:04:13.000Z");
        later["peers"][0]["lasts_ms"] = json!(10_810_000);
        later["peers"][0]["opinions"][0]["at"] = json!("2026-11-21T03:04:11.000Z");
        assert_eq!(timeless(&later), timeless(&answer()));
        later["peers"][0]["opinions"][0]["up"] = json!(false);
        assert_ne!(timeless(&later), timeless(&answer()));
    }

    #[test]
    fn all_is_well_only_when_nothing_speaks_against_it() {
        let is_well = |answer: Value| typed::<Mesh>(answer).unwrap().is_well();
        assert!(is_well(well()));
        assert!(!is_well(answer()));
        for (member, value) in [
            ("watching", json!(false)),
            ("at", Value::Null),
            ("partition", json!("n1 does not see n2")),
            ("lost", json!({"why": "no answer", "since": "", "lasts_ms": 1})),
            ("cut_off", json!({"since": "", "lasts_ms": 1})),
        ] {
            let mut answer = well();
            answer[member] = value;
            assert!(!is_well(answer), "{member}");
        }
        for (member, value) in [
            ("status", json!("critical")),
            ("status", Value::Null),
            ("vanished", json!("2026-11-21T03:04:05.000Z")),
        ] {
            let mut answer = well();
            answer["peers"][0][member] = value.clone();
            assert!(!is_well(answer), "{member}: {value}");
        }
        let mut unseen = well();
        unseen["opinions"][0]["up"] = json!(false);
        assert!(!is_well(unseen), "a peer does not see this node");
        let mut unseen = well();
        unseen["peers"][1]["opinions"][0]["up"] = json!(false);
        assert!(!is_well(unseen), "nobody sees the one that others watch");
    }

    #[test]
    fn what_is_wrong_with_the_node_itself_is_said_below_the_table() {
        let mut answer = well();
        answer["lost"] = json!({"why": "no answer\u{1b}[2J", "since": "", "lasts_ms": 60_000});
        answer["cut_off"] = json!({"since": "", "lasts_ms": 20_000});
        let shown = shown(answer);
        let tail: Vec<_> = shown.lines().rev().take(2).collect();
        assert_eq!(
            tail,
            [
                "the peers cannot be found, so the last known ones are watched (for 1m): no answer\\u{1b}[2J",
                "it sees so few that it is itself cut off, for all it can tell (for 20s)",
            ]
        );
    }
}
