use serde_json::json;

use super::*;

/// What a hash of these tests consists of.
fn digit(hash: &Hash) -> char {
    hash.as_str().chars().next().unwrap()
}

fn hash(digit: u8) -> String {
    format!("{digit:x}").repeat(40)
}

fn stopped(digits: &[u8]) -> Chosen {
    digits.iter().map(|digit| (Hash::new(&hash(*digit)).unwrap(), *digit == 2)).collect()
}

/// 1, 2 and 3 are stopped, 4 runs, 5 is checked, 6 was forced by a person and is checked.
fn picture(tagged: &[u8]) -> Picture {
    let states = ["pausedUP", "stoppedDL", "stoppedUP", "stalledUP", "checkingUP", "checkingUP"];
    let torrents: serde_json::Map<String, serde_json::Value> = (1..=6_u8)
        .zip(states)
        .map(|(digit, state)| {
            let tags = if tagged.contains(&digit) { "other, ours" } else { "other" };
            (hash(digit), json!({"state": state, "force_start": digit == 6, "tags": tags}))
        })
        .collect();
    Picture::of(&json!({"rid": 1, "torrents": torrents}))
}

fn chosen(tagged: &[u8], tag: Option<&str>) -> String {
    let chosen = to_choose(&picture(tagged), &stopped(&[1, 2, 4, 5, 6, 9]), tag);
    let one = |(hash, forced): (&Hash, bool)| format!("{}{}", digit(hash), if forced { "!" } else { "" });
    chosen.iter().map(one).collect::<Vec<_>>().join(" ")
}

#[test]
fn what_was_stopped_and_still_is_is_started() {
    assert_eq!(chosen(&[], None), "1 2! 5");
}

#[test]
fn who_takes_the_tag_off_one_keeps_it_stopped() {
    assert_eq!(chosen(&[1, 2, 4, 5], Some("ours")), "1 2! 5");
    assert_eq!(chosen(&[2], Some("ours")), "2!");
    assert_eq!(chosen(&[4], Some("ours")), "");
}

#[test]
fn where_none_could_be_tagged_all_are_started() {
    assert_eq!(chosen(&[], Some("ours")), "1 2! 5");
    // Tags of others are none of ours.
    assert_eq!(chosen(&[3], Some("ours")), "1 2! 5");
}
