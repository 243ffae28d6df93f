//! No text makes the decoder panic, hang or overflow its stack.

use lictor_config::{Code, Failure, parse};
use proptest::prelude::*;

const HOMELAB: &str = include_str!("../../../../examples/homelab.hcl");

const JSON: &str = r#"{
  "node": {"name": "n"},
  "watch": {
    "http": {"a": {"url": "http://h/", "headers": {"X": "\u00e9\ud83d\ude00"}, "status": [200, "3xx"], "flap": {"changes": 3, "within": "1m"}}},
    "exec": [{"b": {"command": ["x"], "match": {"m": {"regex": "a\\d+"}}}}]
  },
  "check": {"c": {"at_least": 1, "of": ["check.a", "check.b"]}},
  "remedy": {"r": {
    "on": ["match.b.m", "check.a == \"critical\" && value.a.total_seconds > 1.5e0"],
    "step": [{"one": {"act": {"kv": {"key": "k", "delete": true}}, "on_failure": "step.two"}}, {"two": {"wait_for": "!no_data(check.a)"}}]
  }}
}"#;

/// Parses, and shows what was found: showing must not panic either.
fn survives(name: &str, text: &str) -> bool {
    match parse(name, text) {
        Ok(loaded) => {
            let shown = format!("{:?}", loaded.config);
            !shown.is_empty()
        }
        Err(failure) => {
            check(&failure);
            let mut out = String::new();
            let theme = miette::GraphicalTheme::unicode_nocolor();
            miette::GraphicalReportHandler::new_themed(theme).render_report(&mut out, &failure).unwrap();
            assert!(!out.is_empty());
            false
        }
    }
}

fn check(failure: &Failure) {
    assert!(!failure.errors.is_empty() && failure.to_json().is_array());
    for error in &failure.errors {
        assert!(error.line >= 1 && error.column >= 1 && !error.message.is_empty());
    }
}

#[test]
fn the_whole_texts_are_good() {
    assert!(survives("x.hcl", HOMELAB));
    assert!(survives("x.json", JSON));
}

#[test]
fn a_text_that_ends_at_any_byte_is_survived() {
    for (name, text) in [("x.hcl", HOMELAB), ("x.json", JSON)] {
        // To show each of them would take most of the time.
        let survives = |end: &usize| match text.get(..*end) {
            Some(text) if end.is_multiple_of(64) => survives(name, text),
            Some(text) => parse(name, text).inspect_err(check).is_ok(),
            None => false,
        };
        let good = (0..text.len()).filter(survives).count();
        assert!(good < text.len() / 2, "most beginnings of {name} are no configuration");
    }
}

#[test]
fn a_text_with_bytes_replaced_is_survived() {
    for (name, text) in [("x.hcl", HOMELAB), ("x.json", JSON)] {
        let step = if name == "x.hcl" { 29 } else { 3 };
        for replacement in ["\"", "{", "}", "\\", "\n", "$", "\u{e9}"] {
            for at in (0..text.len()).step_by(step) {
                if let (Some(before), Some(after)) = (text.get(..at), text.get(at + 1..)) {
                    survives(name, &format!("{before}{replacement}{after}"));
                }
            }
        }
    }
}

#[test]
fn what_is_too_deep_is_refused_before_it_hurts() {
    let deep = |open: &str, close: &str, count: usize| open.repeat(count) + &close.repeat(count);
    let within = |text: &str| format!("node {{\n  name = {text}\n}}\n");
    for count in [60, 65, 1_000, 100_000] {
        for (open, close) in [
            ("[", "]"),
            ("(", ")"),
            ("{ a = ", "}"),
            ("!", ""),
            ("-", ""),
            ("a[", "]"),
            ("f(", ")"),
            ("\"${", "}\""),
            ("1 ? ", " : 2"),
        ] {
            survives("x.hcl", &within(&deep(open, close, count)));
            survives("x.hcl", &within(&open.repeat(count)));
        }
        survives("x.hcl", &"a {\n".repeat(count));
        survives("x.hcl", &deep("a {\n", "}\n", count));
        survives(
            "x.hcl",
            &within(&format!(
                "check.a == \"critical\"{}",
                " && check.a == \"critical\"".repeat(count.min(20_000))
            )),
        );
        survives("x.json", &deep("[", "]", count));
        survives("x.json", &deep("{\"a\":", "}", count));
        survives("x.json", &format!("{{\"rule\": {{\"r\": {{\"on\": \"{}\"}}}}}}", "!".repeat(count)));
    }
    for pattern in
        ["(".repeat(5_000), "a{1000}{1000}{1000}".to_owned(), "(?:a|".repeat(300) + &")".repeat(300)]
    {
        survives(
            "x.hcl",
            &format!("watch \"tcp\" \"a\" {{\n  address = \"h:1\"\n  expect  = \"{pattern}\"\n}}\n"),
        );
    }
}

#[test]
fn what_is_too_much_is_refused() {
    let many = "node {\n}\n".repeat(100_001);
    let failure = parse("x.hcl", &many).unwrap_err();
    assert_eq!(failure.errors[0].code, Code::Limit);
    let wide = format!("node {{\n  name = [{}]\n}}\n", "1,".repeat(10_001));
    assert_eq!(parse("x.hcl", &wide).unwrap_err().errors[0].code, Code::Limit);
    let wrong = "nod {\n}\n".repeat(5_000);
    let failure = parse("x.hcl", &wrong).unwrap_err();
    assert_eq!((failure.errors.len(), failure.more), (100, 4_900));
    assert_eq!(failure.to_string(), "the configuration has 5000 mistakes, of which 100 are shown");
}

#[test]
fn a_large_configuration_is_read() {
    // With work that grew by the square this would take minutes.
    let one = |n: usize| {
        format!("watch \"tcp\" \"w{n}\" {{\n  address = \"host{n}.example:80\"\n  expect  = \"^ok\"\n}}\n")
    };
    let text: String = (0..10_000).map(one).collect();
    assert_eq!(parse("x.hcl", &text).unwrap().config.watches.len(), 10_000);
}

#[test]
fn a_file_of_nothing_but_mistakes_is_refused() {
    // As above: linear work is done in a moment.
    let many = |one: &dyn Fn(usize) -> String| (0..50_000).map(one).collect::<String>();
    let json = |inner: &str| format!("{{{inner}\"x\": 0}}");
    for text in [
        json(&format!("\"node\": {{{}\"a\": 0}},", many(&|n| format!("\"a{n}\": {n}, ")))),
        json(&many(&|n| format!("\"a{n}\": {{}}, "))),
        json(&format!(
            "\"check\": {{{}\"a\": {{}}}},",
            many(&|n| format!("\"c{n}\": {{\"all\": \"check.d{n}\"}}, "))
        )),
        json(&format!(
            "\"remedy\": {{\"r\": {{\"step\": {{{}\"a\": {{}}}}}}}},",
            many(&|n| format!("\"s{n}\": {{\"on_failure\": \"step.t{n}\"}}, "))
        )),
    ] {
        let failure = parse("x.json", &text).unwrap_err();
        assert!(failure.errors.iter().all(|error| !error.message.is_empty()));
    }
    for one in ["x = 5\n", "}\n", "watch \"htpp\" \"a\" {\n}\n", "a = \"\n"] {
        assert!(parse("x.hcl", &one.repeat(50_000)).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_survived(text in "\\PC{0,200}") {
        survives("x.hcl", &text);
        survives("x.json", &text);
    }

    #[test]
    fn any_soup_of_words_is_survived(words in prop::collection::vec(prop::sample::select(WORDS), 0..60)) {
        let text: String = words.concat();
        survives("x.hcl", &text);
    }

    #[test]
    fn any_lines_of_a_good_text_in_any_order_are_survived(picked in prop::collection::vec(0..300_usize, 0..80)) {
        let lines: Vec<&str> = HOMELAB.lines().collect();
        let text: Vec<&str> = picked.iter().filter_map(|line| lines.get(*line).copied()).collect();
        survives("x.hcl", &text.join("\n"));
    }

    #[test]
    fn json_is_what_the_standard_says(text in json_like()) {
        let standard = serde_json::from_str::<serde_json::Value>(&text).is_ok();
        let syntax = |code: Code| matches!(code, Code::Syntax | Code::Open | Code::Limit);
        let ours = match parse("x.json", &text) {
            Ok(_) => true,
            Err(failure) => !failure.errors.iter().any(|error| syntax(error.code) || error.message.contains("too large")),
        };
        prop_assert_eq!(ours, standard, "{}", text);
    }
}

const WORDS: &[&str] = &[
    "watch",
    "rule",
    "remedy",
    "check",
    "node",
    "http",
    "step",
    "act",
    "match",
    " ",
    "\n",
    " = ",
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    "\"",
    "\"http\"",
    "\"exec\"",
    "\"a\"",
    "on",
    "url",
    "command",
    "every",
    "flap",
    "check.a",
    "value.a.b",
    " == ",
    " && ",
    " || ",
    "!",
    "\"critical\"",
    "<<END\n",
    "\nEND\n",
    "${",
    "%{",
    "#",
    "/*",
    "*/",
    "//",
    "\\",
    "5",
    "\"10s\"",
    ",",
    ".",
    ":",
    "null",
    "true",
    "-",
    "1e9",
    "\u{e9}",
];

/// Text that is JSON, or nearly.
fn json_like() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"a\"",
        "\"\\u0041\"",
        "\"\\ud83d\\ude00\"",
        "\"\\ud83d\"",
        "\"\\x\"",
        "1",
        "-0",
        "01",
        "1.",
        ".5",
        "1.5e-3",
        "1e999",
        "true",
        "false",
        "nul",
        "null",
        " ",
        "\n",
        "\t",
        "\"\t\"",
        "\"",
        "\u{a0}",
    ]);
    let soup = prop::collection::vec(part, 0..8).prop_map(|parts| parts.concat());
    let value = prop::collection::vec(prop::num::u32::ANY, 0..4)
        .prop_map(|numbers| format!("{{\"a\": {numbers:?}, \"b\": \"x\"}}"));
    prop_oneof![soup, value]
}
