//! The mesh of peers over HTTP, on the page and in the metrics.

use std::sync::Arc;

use lictor_core::Status;
use lictor_core::peers::{Failing, MeshView, Opinion, PeerView, Seen};
use serde_json::{Value, json};

use crate::web_client::{Server, serve_world};
use crate::web_world::{HOSTILE, World, before, empty, noon};

/// What `lictor peers status` is tried with as well.
const ANSWER: &str = include_str!("../data/peers.json");

async fn serve_mesh(mesh: MeshView) -> Server {
    let world = World::new(empty(noon()), Vec::new());
    world.mesh.send_replace(Arc::new(mesh));
    serve_world(world, None, &[], Default::default()).await
}

fn opinion(node: &str, up: bool, seconds: u64) -> Opinion {
    Opinion {
        node: node.to_owned(),
        up,
        since: before(noon(), seconds),
        at: before(noon(), 4),
        told: !up,
        waits: None,
    }
}

fn report(good: u32, total: u32, failing: &[(&str, u16)]) -> Seen {
    let failing = failing.iter().map(|&(url, code)| Failing { url: url.to_owned(), code });
    Seen::Report { good, total, failing: failing.collect() }
}

fn peer(name: &str, status: Status, seconds: u64, seen: Seen) -> PeerView {
    PeerView {
        id: format!("{name}.example.com:5988"),
        address: Some("192.0.2.7".parse().unwrap()),
        node: Some(name.to_owned()),
        status: Some(status),
        since: Some(before(noon(), seconds)),
        seen: Some((seen, before(noon(), 3))),
        vanished: None,
        watched: true,
        opinions: Vec::new(),
    }
}

/// Four others: one that is well, one with a failing check, one that is silent, one that others watch.
fn mesh() -> MeshView {
    let well = PeerView {
        opinions: vec![opinion("node3", true, 3_600)],
        ..peer("node2", Status::Passing, 10_800, report(2, 2, &[]))
    };
    let failing = PeerView {
        opinions: vec![opinion("node2", true, 7_200)],
        ..peer("node3", Status::Critical, 90, report(1, 2, &[("https://shop.example/", 500)]))
    };
    let silent = PeerView {
        opinions: vec![opinion("node2", false, 31), opinion("node3", false, 30)],
        ..peer("node4", Status::Critical, 30, Seen::Silent { why: "connection refused".into() })
    };
    let others = PeerView {
        address: None,
        node: None,
        status: None,
        since: None,
        seen: None,
        watched: false,
        opinions: vec![opinion("node2", true, 600)],
        ..peer("node5", Status::Passing, 0, report(0, 0, &[]))
    };
    let group = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    MeshView {
        node: "node1".into(),
        watching: true,
        at: Some(before(noon(), 2)),
        peers: vec![well, failing, silent, others],
        of_us: vec![opinion("node2", true, 5_400), opinion("node3", false, 8)],
        lost: None,
        cut_off: None,
        groups: vec![group(&["node1", "node2", "node3"]), group(&["node4"])],
    }
}

#[tokio::test]
async fn the_mesh_is_told_with_who_sees_whom_and_since_when() {
    let told = serve_mesh(mesh()).await.get("/v1/peers").await.json();
    let known: Value = serde_json::from_str(ANSWER).unwrap();
    assert_eq!(told, known, "{told:#}");
}

#[tokio::test]
async fn a_node_without_peers_says_so() {
    let server = serve_world(World::new(empty(noon()), Vec::new()), None, &[], Default::default()).await;
    let told = server.get("/v1/peers").await;
    let nothing = json!({
        "watching": false, "node": "node1", "groups": [], "opinions": [], "peers": [],
        "counts": {"known": 0, "watched": 0, "seen": 0, "passing": 0},
    });
    assert_eq!((told.status, told.json()), (200, nothing));
    assert!(!server.get("/").await.body.contains("h-peers"), "nothing of it is on the page");
    assert!(!server.get("/metrics").await.body.contains("lictor_peer"), "nor among the metrics");
}

#[tokio::test]
async fn before_the_first_round_is_over_that_is_said() {
    let known = PeerView { seen: None, ..peer("node2", Status::Critical, 60, report(0, 0, &[])) };
    let server = serve_mesh(MeshView {
        at: None,
        peers: vec![known],
        of_us: Vec::new(),
        groups: Vec::new(),
        ..mesh()
    })
    .await;
    let told = server.get("/v1/peers").await.json();
    assert_eq!((&told["watching"], told.get("at")), (&json!(true), None), "{told}");
    let page = server.get("/").await.body;
    assert!(page.contains("The first round of looks at the peers is not over yet."), "{page}");
    assert!(!page.contains("Not all is well"), "nobody has looked yet");
    assert!(!server.get("/metrics").await.body.contains("lictor_peer"));
}

#[tokio::test]
async fn that_peers_are_lost_and_the_node_cut_off_is_told_with_its_time() {
    let now = noon();
    let lost = Some(("no answer from 127.0.0.53".to_owned(), before(now, 60)));
    let mesh = MeshView { lost, cut_off: Some(before(now, 20)), ..mesh() };
    let server = serve_mesh(mesh).await;
    let told = server.get("/v1/peers").await.json();
    assert_eq!(told["cut_off"], json!({"since": "2026-11-21T03:03:45.000Z", "lasts_ms": 20_000}));
    let lost = json!({
        "why": "no answer from 127.0.0.53", "since": "2026-11-21T03:03:05.000Z", "lasts_ms": 60_000,
    });
    assert_eq!(told["lost"], lost);
    let page = server.get("/").await.body;
    assert!(
        page.contains("it is itself cut off, for all it can tell</b> <span class=\"dim\">(for 20s)"),
        "{page}"
    );
    assert!(page.contains("no answer from 127.0.0.53 <span class=\"dim\">(for 1m)"), "{page}");
    let metrics = server.get("/metrics").await.body;
    assert!(metrics.contains("lictor_peers_lost 1\n") && metrics.contains("lictor_peers_cut_off 1\n"));
}

/// The section of the peers, a line for each element with text, without its tags.
async fn section(server: &Server, path: &str) -> String {
    let page = server.get(path).await.body;
    let (_, rest) = page.split_once("<section class=\"peers\"").unwrap();
    let (section, _) = rest.split_once("</section>").unwrap();
    let mut shown = String::new();
    for row in section.split("</tr>").flat_map(|part| part.split_inclusive("</p>")) {
        let texts = row.split('<').filter_map(|part| part.split_once('>')).map(|(_, text)| text.trim());
        let texts: Vec<_> = texts.filter(|text| !text.is_empty()).collect();
        if !texts.is_empty() {
            shown.extend([&texts.join(" | "), "\n"]);
        }
    }
    shown
}

#[tokio::test]
async fn the_page_shows_each_peer_and_who_sees_whom() {
    let server = serve_mesh(mesh()).await;
    insta::assert_snapshot!(section(&server, "/").await, @r"
    Peers | Not all see each other: | node1, node2 and node3 see each other, none of them sees node4.
    2 of 3 peers are seen, 1 is well; 1 more is watched by others.
    Peer | Status | For | What is seen | Others see it
    node3 | critical | 1m 30s | 1 of 2 checks are good: https://shop.example/ (500) | 1 of 1
    node4 | critical | 30s | no answer: connection refused | 0 of 2
    node2 | passing | 3h | 2 of 2 checks are good | 1 of 1
    node5.example.com:5988 | by others | other nodes look at it | 1 of 1
    Who sees whom | Who looks | node1 | node2 | node3 | node4 | node5.example.com:5988
    node1 | this node | – | itself | ✓ | seen for | 3h | ✓ | seen for | 1m 30s | ✗ | not seen for | 30s | says nothing
    node2 | ✓ | seen for | 1h 30m | – | itself | ✓ | seen for | 2h | ✗ | not seen for | 31s | ✓ | seen for | 10m
    node3 | ✗ | not seen for | 8s | ✓ | seen for | 1h | – | itself | ✗ | not seen for | 30s | says nothing
    ");
    let head = server.get("/").await.body;
    assert!(head.contains("<title>Not all is well with the peers · node1</title>"), "{head}");
}

#[tokio::test]
async fn who_sees_whom_is_shown_of_a_small_mesh_and_of_a_larger_one_when_asked_for() {
    let one = |number: usize| PeerView {
        opinions: vec![opinion("n7", true, 60)],
        ..peer(&format!("n{number}"), Status::Passing, 60, report(1, 1, &[]))
    };
    let mesh =
        MeshView { peers: (10..70).map(one).collect(), groups: Vec::new(), of_us: Vec::new(), ..mesh() };
    let server = serve_mesh(mesh).await;
    let (few, all) = (section(&server, "/").await, section(&server, "/?all").await);
    assert!(few.contains("60 of 60 peers are seen.") && few.contains("and 10 more."), "{few}");
    assert!(!few.contains("Who sees whom") && all.contains("Who sees whom"), "{few}{all}");
    assert!(server.get("/").await.body.contains("All is well with the peers"));
}

#[tokio::test]
async fn what_peers_say_is_shown_and_not_obeyed() {
    let mut mesh = mesh();
    mesh.groups.push(vec![HOSTILE.to_owned()]);
    mesh.lost = Some((HOSTILE.to_owned(), noon()));
    for peer in &mut mesh.peers {
        peer.node = Some(HOSTILE.to_owned());
        peer.seen = Some((Seen::Silent { why: HOSTILE.to_owned() }, noon()));
        peer.opinions.push(opinion(HOSTILE, true, 1));
    }
    let page = serve_mesh(mesh).await.get("/").await.body;
    for played in ["<script>alert", "<img src=x", "\u{1b}", "\u{202e}", "\0"] {
        assert!(!page.contains(played), "{played:?}\n{page}");
    }
    assert!(page.contains("&#60;script&#62;alert(1)"), "{page}");
}

#[tokio::test]
async fn each_peer_that_is_looked_at_has_a_gauge() {
    let metrics = serve_mesh(mesh()).await.get("/metrics").await.body;
    let told: Vec<_> = metrics.lines().filter(|line| line.starts_with("lictor_peer")).collect();
    assert_eq!(
        told,
        [
            "lictor_peers_known 4",
            "lictor_peers_watched 3",
            "lictor_peers_seen 2",
            "lictor_peer_up{peer=\"node2.example.com:5988\"} 1",
            "lictor_peer_up{peer=\"node3.example.com:5988\"} 1",
            "lictor_peer_up{peer=\"node4.example.com:5988\"} 0",
            "lictor_peers_lost 0",
            "lictor_peers_cut_off 0",
        ]
    );
    let manual = include_str!("../../../../docs/http.md");
    for name in metrics.lines().filter_map(|line| line.strip_prefix("# TYPE lictor_peer")?.split(' ').next())
    {
        assert!(
            manual.contains(&format!("`lictor_peer{name}")),
            "the manual does not know lictor_peer{name}"
        );
    }
}
