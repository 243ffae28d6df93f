//! What a page shows beside what came: the same words and the same members, whatever the numbers, times and ids are.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

/// In what a page shows it stands for anything.
const ANYTHING: char = '…';

/// Where that stands bare in JSON, this is read.
const MORE: &str = "…more";

/// How the two differ, if they do. `came` may have more before and behind.
pub(super) fn difference(shown: &str, came: &str) -> Option<String> {
    if shown.trim_start().starts_with('{') {
        return json(shown, came);
    }
    let wanted: Vec<&str> = shown.trim_end().lines().collect();
    let lines: Vec<&str> = came.trim_end().lines().collect();
    // The place where most of it fits says best what does not.
    let mut best: Option<(usize, String)> = None;
    for start in 0..lines.len().max(1) {
        let mut differs = None;
        for (place, wanted) in wanted.iter().enumerate() {
            let found = lines.get(start + place).copied().unwrap_or_default();
            if let Some(why) = line(wanted, found) {
                differs = Some((place, why));
                break;
            }
        }
        let (place, why) = differs?;
        if best.as_ref().is_none_or(|(most, _)| place > *most) {
            best = Some((place, why));
        }
    }
    best.map(|(_, why)| why)
}

fn line(wanted: &str, found: &str) -> Option<String> {
    let differs = || Some(format!("the page has\n  {wanted}\nand there came\n  {found}"));
    match (wanted.split_once(": {"), found.split_once(": {")) {
        (Some((name, wanted)), Some((other, found))) if name == other => {
            json(&format!("{{{wanted}"), &format!("{{{found}"))
        }
        _ if fits(&plain(wanted), &plain(found)) => None,
        _ => differs(),
    }
}

/// Without what differs each time, and with one blank where there are several.
fn plain(text: &str) -> String {
    static CHANGES: LazyLock<[(Regex, &str); 4]> = LazyLock::new(|| {
        [
            (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?", "<time>"),
            (r"\b\d+(\.\d+)?(ms|s|m|h|d)( \d+(ms|s|m|h|d))*\b", "<while>"),
            (r"\b[0-9a-f]{8,}\b", "<id>"),
            (r"\d+(\.\d+)*", "<number>"),
        ]
        .map(|(pattern, name)| (Regex::new(pattern).unwrap(), name))
    });
    let named = CHANGES.iter().fold(Cow::Borrowed(text), |text, (pattern, name)| {
        Cow::Owned(pattern.replace_all(&text, *name).into_owned())
    });
    named.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a text is one with `…` in it.
fn fits(wanted: &str, found: &str) -> bool {
    let parts: Vec<&str> = wanted.split(ANYTHING).collect();
    let [first, middle @ .., last] = parts.as_slice() else { return wanted == found };
    let Some(mut rest) = found.strip_prefix(first) else { return false };
    for part in middle {
        let Some((_, behind)) = rest.split_once(part) else { return false };
        rest = behind;
    }
    rest.ends_with(last)
}

fn json(shown: &str, came: &str) -> Option<String> {
    let wanted: Value = match serde_json::from_str(&whole(shown)) {
        Ok(value) => value,
        Err(error) => return Some(format!("the page has no JSON ({error}): {shown}")),
    };
    match serde_json::from_str(came) {
        Ok(found) => value("", &wanted, &found).map(|why| format!("{why}\nThere came {came}")),
        Err(error) => Some(format!("there came no JSON ({error}): {came}")),
    }
}

/// What is JSON but for a bare `…`, as JSON.
fn whole(shown: &str) -> String {
    let (mut whole, mut open, mut quoted, mut escaped) = (String::new(), Vec::new(), false, false);
    for c in shown.chars() {
        match c {
            '"' if !escaped => quoted = !quoted,
            '{' | '[' if !quoted => open.push(c),
            '}' | ']' if !quoted => drop(open.pop()),
            _ => {}
        }
        escaped = quoted && c == '\\' && !escaped;
        match c {
            ANYTHING if !quoted && open.last() == Some(&'{') => whole.extend(["\"", MORE, "\":0"]),
            ANYTHING if !quoted => whole.extend(["\"", MORE, "\""]),
            c => whole.push(c),
        }
    }
    whole
}

fn value(at: &str, wanted: &Value, found: &Value) -> Option<String> {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => {
            let missing = wanted.keys().find(|name| *name != MORE && !found.contains_key(*name));
            let besides = found.keys().find(|name| !wanted.contains_key(*name) && !wanted.contains_key(MORE));
            if let Some(name) = missing.or(besides) {
                let which = if missing.is_some() { "only the page has" } else { "the page has not" };
                return Some(format!("{which} `{at}.{name}`"));
            }
            let mut known = wanted.iter().filter_map(|(name, wanted)| Some((name, wanted, found.get(name)?)));
            known.find_map(|(name, wanted, found)| value(&format!("{at}.{name}"), wanted, found))
        }
        (Value::Array(wanted), Value::Array(found)) => {
            let named: Vec<_> = wanted.iter().filter(|one| *one != MORE).collect();
            if named.len() == wanted.len() && named.len() != found.len() {
                return Some(format!("the page has {} of `{at}`, not {}", named.len(), found.len()));
            }
            named.into_iter().enumerate().find_map(|(number, wanted)| {
                let differs = |found| value(&format!("{at}[{number}]"), wanted, found);
                // None of them fits.
                let all: Vec<String> = found.iter().map(differs).collect::<Option<_>>()?;
                let nearest = all.get(number).or(all.first()).cloned();
                nearest.or_else(|| Some(format!("the page has `{at}[{number}]`, which did not come")))
            })
        }
        (Value::String(wanted), Value::String(found)) => {
            line(wanted, found).map(|why| format!("`{at}`: {why}"))
        }
        (Value::Number(_), Value::Number(_)) => None,
        (wanted, found) if wanted == found => None,
        (wanted, found) => Some(format!("`{at}` is {wanted} in the page, and {found}")),
    }
}

#[test]
fn only_numbers_times_and_ids_may_be_others() {
    let same = |shown, came| assert_eq!(difference(shown, came), None);
    same("silence s1: for 2h\n", "it begins\nsilence s14: for 1h 59m\n");
    same("it ends 2026-11-21 14:05:00+01:00\n", "it ends 2027-01-02 03:04:05Z\n");
    same("PEER   FOR\nn3     30s\n", "PEER  FOR\nn3    1m\n");
    same("at … it is (5f0c7f3a9be21d04)", "at home it is (0123456789abcdef)");
    same("data: {\"seq\":1,…}\n", "data: {\"seq\":22,\"at\":\"x\"}\n");
    for (shown, came) in [
        ("a b\n", "a c\n"),
        ("a\nb\n", "a\n\nb\n"),
        ("n3 30s\n", "n3 30\n"),
        ("fine\n", ""),
        ("a … c", "a b d"),
    ] {
        assert!(difference(shown, came).is_some(), "{shown:?} {came:?}");
    }
}

#[test]
fn json_has_the_members_that_the_page_has_and_others_only_where_it_says_so() {
    let same = |shown, came| assert_eq!(difference(shown, came), None);
    same(r#"{"a":1,"b":["x"]}"#, r#"{"b":["x"],"a":22}"#);
    same(r#"{"a":1,…}"#, r#"{"a":1,"b":2}"#);
    same(r#"{"a":[…,{"c":1}]}"#, r#"{"a":[{"b":1},{"c":3}]}"#);
    same(r#"{"a":[…]}"#, r#"{"a":[]}"#);
    same(r#"{"a":"in 12ms: …"}"#, r#"{"a":"in 1ms: no"}"#);
    for (shown, came) in [
        (r#"{"a":1}"#, r#"{"a":1,"b":2}"#),
        (r#"{"a":1,"b":2}"#, r#"{"a":1}"#),
        (r#"{"a":[{"c":1}]}"#, r#"{"a":[{"b":1}]}"#),
        (r#"{"a":[1]}"#, r#"{"a":[1,2]}"#),
        (r#"{"a":"well"}"#, r#"{"a":"ill"}"#),
        (r#"{"a":"1"}"#, r#"{"a":1}"#),
        (r#"{"a":true}"#, r#"{"a":false}"#),
        (r#"{"a":1}"#, "nothing"),
    ] {
        assert!(difference(shown, came).is_some(), "{shown} {came}");
    }
}
