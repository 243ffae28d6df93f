use serde_json::json;

use super::*;

/// What a hash of these tests consists of.
fn digit(hash: &Hash) -> char {
    hash.as_str().chars().next().unwrap()
}

fn hash(digit: u8) -> String {
    format!("{digit:x}").repeat(40)
}

fn picture() -> Picture {
    let torrent = |state: &str| json!({"state": state, "force_start": state.starts_with("forced")});
    Picture::of(&json!({
        "rid": 1,
        "torrents": {
            hash(1): torrent("stalledUP"), hash(2): torrent("forcedUP"), hash(3): torrent("pausedUP"),
            hash(4): torrent("error"), hash(5): torrent("checkingUP"), hash(6): torrent("queuedDL"),
            hash(7): torrent("checkingResumeData"), hash(8): torrent("missingFiles"), hash(9): torrent("odd"),
        },
        "trackers": {
            "http://tracker.example/secret/announce": (1..=9).filter(|n| *n != 6).map(hash).collect::<Vec<_>>(),
            "http://other.example/secret/announce": [hash(6), hash(1)],
        },
    }))
}

fn shown(chosen: &Chosen) -> String {
    let one = |(hash, forced): (&Hash, bool)| format!("{}{}", digit(hash), if forced { "!" } else { "" });
    chosen.iter().map(one).collect::<Vec<_>>().join(" ")
}

#[test]
fn what_runs_is_chosen_and_nothing_that_a_person_stopped() {
    let of = |tracker: &str| shown(&running(&picture(), Some(&TrackerName::new(tracker))));
    assert_eq!(of("tracker.example"), "1 2! 5");
    assert_eq!(of("other.example"), "1 6");
    assert_eq!(of("example"), "1 2! 5 6");
    assert_eq!(shown(&running(&picture(), None)), "1 2! 5 6");
}

#[test]
fn a_torrent_counts_as_stopped_when_it_does_or_cannot_run_or_is_gone() {
    let all: Chosen = (0..=15).map(|digit| (Hash::new(&hash(digit)).unwrap(), false)).collect();
    let left = |taken| {
        let left = to_stop(&picture(), &all, taken);
        left.iter().map(|hash| digit(hash).to_string()).collect::<Vec<_>>()
    };
    assert_eq!(left(false).join(" "), "1 2 5 6 7");
    assert_eq!(left(true).join(" "), "1 2 6 7");
}
