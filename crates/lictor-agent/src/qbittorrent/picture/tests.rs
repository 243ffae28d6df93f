use serde_json::json;

use super::*;

/// What a hash of these tests consists of.
fn digit(hash: &Hash) -> char {
    hash.as_str().chars().next().unwrap()
}

fn hash(digit: u8) -> String {
    format!("{digit:x}").repeat(40)
}

fn hashes(digits: &[u8]) -> Vec<String> {
    digits.iter().map(|digit| hash(*digit)).collect()
}

/// Asks, and is answered.
fn told(picture: &mut Picture, answer: serde_json::Value) {
    let asked = picture.ask(Fresh::Changes);
    let told = serde_json::from_str(&answer.to_string()).unwrap();
    assert!(picture.take_over(asked, told));
}

fn whole() -> serde_json::Value {
    json!({
        "rid": 1, "full_update": true, "categories": {}, "tags": ["a"],
        "server_state": {"connection_status": "firewalled", "dht_nodes": 5, "last_external_address_v4": "203.0.113.7"},
        "torrents": {
            hash(1): {"state": "stalledUP", "force_start": false, "tags": ""},
            hash(2): {"state": "pausedUP", "force_start": false, "tags": "mine"},
            hash(3): {"state": "forcedDL", "force_start": true, "tags": "", "name": "x", "size": null},
            "all": {"state": "stalledUP"},
        },
        "trackers": {
            "http://a.example/secret/announce": hashes(&[1, 2]),
            "http://b.a.example/secret/announce": [hash(2), hash(3), "all", 7],
            "udp://other.example:1/secret": hashes(&[1, 3]),
            "": hashes(&[3]),
        },
    })
}

fn shown(hashes: &[Hash]) -> String {
    hashes.iter().map(|hash| digit(hash).to_string()).collect::<Vec<_>>().join(" ")
}

fn of(picture: &Picture, tracker: &str) -> String {
    shown(&picture.of_tracker(&TrackerName::new(tracker)))
}

#[tokio::test]
async fn everything_is_told_at_first_and_then_what_has_changed() {
    let mut picture = Picture::default();
    told(&mut picture, whole());
    assert_eq!((picture.len(), picture.count(State::runs), picture.dht_nodes()), (3, 2, Some(5)));
    assert_eq!(picture.connection(), Some(Connection::Firewalled));
    assert_eq!((of(&picture, "a.example"), of(&picture, "example")), ("1 2 3".into(), "1 2 3".into()));

    told(
        &mut picture,
        json!({"rid": 2, "torrents": {hash(1): {"state": "pausedUP"}, hash(4): {"state": "metaDL"}}}),
    );
    assert_eq!((picture.len(), picture.count(State::runs)), (4, 2));
    assert_eq!(picture.connection(), Some(Connection::Firewalled));

    let trackers = json!({"http://a.example/secret/announce": hashes(&[4])});
    let removed = json!(["http://b.a.example/secret/announce"]);
    told(&mut picture, json!({"rid": 3, "trackers": trackers, "trackers_removed": removed}));
    assert_eq!(of(&picture, "a.example"), "4");

    let state = json!({"connection_status": "disconnected", "last_external_address_v4": ""});
    told(&mut picture, json!({"rid": 4, "torrents_removed": hashes(&[4, 9]), "server_state": state}));
    assert_eq!((picture.len(), of(&picture, "a.example")), (3, String::new()));
    assert_eq!(picture.connection(), Some(Connection::Disconnected));
    assert_eq!((picture.external().count(), picture.dht_nodes()), (0, Some(5)));

    told(&mut picture, json!({"rid": 5}));
    assert_eq!(picture.ask(Fresh::Changes), 5);
}

#[tokio::test]
async fn a_full_update_leaves_nothing_of_what_was_before() {
    let mut picture = Picture::default();
    told(&mut picture, whole());
    told(&mut picture, json!({"rid": 9, "full_update": true, "torrents": {hash(7): {"state": "queuedUP"}}}));
    assert_eq!((picture.len(), of(&picture, "example"), picture.connection()), (1, String::new(), None));
}

#[tokio::test(start_paused = true)]
async fn everything_is_asked_for_when_an_answer_was_lost_and_now_and_then() {
    let mut picture = Picture::default();
    assert_eq!(picture.ask(Fresh::Changes), 0);
    told(&mut picture, whole());
    assert_eq!(picture.ask(Fresh::Changes), 1);
    // That question was never answered.
    assert_eq!(picture.ask(Fresh::Changes), 0);
    told(&mut picture, whole());
    assert_eq!(picture.ask(Fresh::All), 0);
    told(&mut picture, whole());
    tokio::time::advance(RENEW + Duration::from_secs(1)).await;
    assert_eq!(picture.ask(Fresh::Changes), 0);
}

#[tokio::test]
async fn running_torrents_of_other_trackers_are_found() {
    let mut picture = Picture::default();
    told(&mut picture, whole());
    let others = |than: &str| {
        let others = picture.of_others(&TrackerName::new(than));
        others.iter().map(|(host, hashes)| format!("{host}: {}", shown(hashes))).collect::<Vec<_>>()
    };
    assert_eq!(others("a.example"), ["other.example: 1 3"]);
    assert_eq!(others("other.example"), ["a.example: 1", "b.a.example: 3"]);
}

#[test]
fn what_a_real_one_answered_is_read() {
    let captured = include_str!("maindata-4.5.2.json");
    let mut picture = Picture::default();
    assert!(picture.take_over(0, serde_json::from_str(captured).unwrap()));
    assert_eq!((picture.len(), picture.connection()), (3, Some(Connection::Firewalled)));
    assert_eq!(picture.of_tracker(&TrackerName::new("127.0.0.1")).len(), 3);
}

#[test]
fn no_announce_url_is_kept() {
    let mut picture = Picture::default();
    picture.take_over(0, serde_json::from_str(&whole().to_string()).unwrap());
    let shown = format!("{picture:?}");
    assert!(shown.contains("a.example") && !shown.contains("secret"), "{shown}");
}

#[test]
fn more_torrents_than_are_kept_are_refused() {
    let torrents: BTreeMap<String, serde_json::Value> =
        (0..=TORRENTS).map(|n| (format!("{n:040x}"), json!({"state": "stalledUP"}))).collect();
    let told = json!({"rid": 1, "torrents": torrents}).to_string();
    assert!(!Picture::default().take_over(0, serde_json::from_str(&told).unwrap()));
}
