//! Conditions on alerts as people write them: `node=n1`, `service=/web.*/`, `check!=disk,swap`.

use lictor_core::alert::{Matcher, Pattern};
use regex::RegexBuilder;

use crate::web::text::visible;

/// Longest condition, bytes.
const LONGEST: usize = 1_024;

/// Largest compiled pattern, bytes.
const COMPILED: usize = 1 << 20;

/// The condition that a text stands for.
///
/// # Errors
/// In words, what is wrong with it.
pub(super) fn parse(text: &str) -> Result<Matcher, String> {
    let shown = visible(text, 100);
    if text.len() > LONGEST {
        return Err(format!("`{shown}` is longer than {LONGEST} bytes"));
    }
    let unlike =
        |instead: &str| format!("`{shown}` is not understood: write a pattern as `{instead}/PATTERN/`");
    let sign = text.find('=').unwrap_or(text.len());
    if let Some((label, _)) = text.split_once("!~").filter(|(label, _)| label.len() < sign) {
        return Err(unlike(&format!("{}!=", visible(label, 60))));
    }
    let Some((label, values)) = text.split_once('=') else {
        return Err(format!("`{shown}` is no condition: write LABEL=VALUE, LABEL!=VALUE or LABEL=/PATTERN/"));
    };
    if values.starts_with('~') {
        return Err(unlike(&format!("{}=", visible(label, 60))));
    }
    let (label, not) = match label.strip_suffix('!') {
        Some(label) => (label.trim(), true),
        None => (label.trim(), false),
    };
    if label.is_empty() || label.contains(|c: char| c.is_whitespace() || c.is_control() || "\"!,".contains(c))
    {
        return Err(format!(
            "`{shown}` does not begin with the name of a label, such as node, service or check"
        ));
    }
    let any = patterns(values).map_err(|why| format!("`{shown}` is not understood: {why}"))?;
    Ok(Matcher { label: label.to_owned(), any, not })
}

fn patterns(values: &str) -> Result<Vec<Pattern>, String> {
    let mut found = Vec::new();
    let mut rest = values;
    loop {
        let (pattern, after) = if let Some(inner) = rest.strip_prefix('"') {
            quoted(inner)?
        } else if let Some((regex, after)) = rest.strip_prefix('/').and_then(slashed) {
            (Pattern::Regex(compiled(regex)?), after)
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            let (value, after) = rest.split_at(end);
            (Pattern::Exactly(value.to_owned()), after)
        };
        found.push(pattern);
        match after.strip_prefix(',') {
            Some(more) => rest = more,
            None if after.is_empty() => return Ok(found),
            None => return Err("after a quotation mark comes a comma or the end".to_owned()),
        }
    }
}

/// What stands before the `/` that ends a pattern, and what comes after that.
fn slashed(text: &str) -> Option<(&str, &str)> {
    let ends = |at: usize| {
        let before = text.get(..at)?;
        let after = text.get(at + 1..)?;
        let last = after.is_empty() || after.starts_with(',');
        let escapes = before.bytes().rev().take_while(|byte| *byte == b'\\').count();
        (last && escapes % 2 == 0).then_some((before, after))
    };
    text.match_indices('/').find_map(|(at, _)| ends(at))
}

fn quoted(text: &str) -> Result<(Pattern, &str), String> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((Pattern::Exactly(value), text.get(at + 1..).unwrap_or_default())),
            '\\' => value.extend(chars.next().map(|(_, c)| c)),
            other => value.push(other),
        }
    }
    Err("a quotation mark is not closed".to_owned())
}

fn compiled(pattern: &str) -> Result<regex::Regex, String> {
    if pattern.is_empty() {
        return Err("the pattern is empty and fits everything; `/.*/` says so".to_owned());
    }
    RegexBuilder::new(pattern).size_limit(COMPILED).build().map_err(|error| {
        // The last line says what is wrong; those before point at it.
        let said = error.to_string();
        visible(said.lines().next_back().unwrap_or_default().trim_start_matches("error: "), 200)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use lictor_core::alert::{Subject, SubjectKey};
    use proptest::prelude::*;

    use super::*;

    fn subject(labels: &[(&str, &str)]) -> Subject {
        let labels = lictor_core::alert::text(labels);
        Subject { key: SubjectKey::of(&["x"]), labels, tags: BTreeSet::from(["canary".to_owned()]) }
    }

    #[test]
    fn a_condition_is_a_label_and_what_it_must_be() {
        let web = subject(&[("node", "n1"), ("service", "web-shop"), ("path", "/data")]);
        for holds in [
            "node=n1",
            "node=n2,n1",
            "node!=n2",
            "service=/^web/",
            "service=/^db/,/shop$/",
            "datacenter=",
            "datacenter!=dc1",
            "path=/data",
            "path=\"/data\"",
            "path=/var,/data",
            "tag=canary",
            " node =n1",
        ] {
            assert!(parse(holds).unwrap().holds(&web), "{holds}");
        }
        for fails in
            ["node=n2", "node!=n1", "node!=n2,n1", "service=/^shop/", "node=", "tag!=canary", "path=/data,x/"]
        {
            assert!(!parse(fails).unwrap().holds(&web), "{fails}");
        }
    }

    #[test]
    fn what_is_not_understood_is_said_with_a_way_out() {
        for (text, says) in [
            ("shop", "write LABEL=VALUE"),
            ("=x", "name of a label"),
            ("no de=x", "name of a label"),
            ("service=~web.*", "`service=/PATTERN/`"),
            ("service!~web.*", "`service!=/PATTERN/`"),
            ("service=/(/", "unclosed group"),
            ("service=//", "the pattern is empty"),
            ("service=\"web", "not closed"),
            ("service=\"web\"x", "after a quotation mark"),
            ("service=/\\w{1000}{1000}/", "size limit"),
        ] {
            let refused = parse(text).unwrap_err();
            assert!(refused.contains(says), "{text}: {refused}");
        }
        assert!(
            parse(&format!("node={}", "x".repeat(2_000))).unwrap_err().contains("longer than 1024 bytes")
        );
    }

    #[test]
    fn a_pattern_may_hold_commas_and_slashes() {
        for pattern in ["a/,b", "^/data/,", "a,b", "[/]", "a/", r"a\\", r"a\/,b", r"b\\/,", ""] {
            let matcher = Matcher {
                label: "path".to_owned(),
                any: vec![Pattern::Regex(regex::Regex::new(pattern).unwrap())],
                not: false,
            };
            let again = parse(&matcher.to_string()).unwrap();
            assert_eq!(again.any.len(), 1, "{pattern}");
            let (Pattern::Regex(one), Pattern::Regex(two)) = (&matcher.any[0], &again.any[0]) else {
                panic!()
            };
            for text in ["a/,b", "/data/,", "a,b", "x/y", "ab", r"a\", r"b\/,"] {
                assert_eq!(one.is_match(text), two.is_match(text), "{pattern} {text}");
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_as_the_same(
            label in "[a-z_]{1,8}",
            values in proptest::collection::vec("[a-z,\"/\\\\ =é!~]{0,8}", 1..4),
            not: bool,
        ) {
            let any = values.into_iter().map(Pattern::Exactly).collect();
            let matcher = Matcher { label, any, not };
            let shown = matcher.to_string();
            prop_assert_eq!(parse(&shown), Ok(matcher), "{}", shown);
        }
    }
}
