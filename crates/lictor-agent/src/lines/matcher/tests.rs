use proptest::prelude::*;

use super::*;

fn patterns(all: &[&str]) -> Vec<Pattern> {
    let pattern = |(number, text): (usize, &&str)| Pattern {
        name: format!("p{number}").parse().unwrap(),
        regex: Regex::new(text).unwrap(),
    };
    all.iter().enumerate().map(pattern).collect()
}

fn scanned(all: &[&str], text: &[u8]) -> Vec<Match> {
    let mut found = Found::new();
    Matcher::new(&patterns(all)).scan(text, &mut found);
    found.take()
}

/// `pattern:line` of each match.
fn seen(all: &[&str], text: impl AsRef<[u8]>) -> String {
    let told = |found: Match| format!("{}:{}", found.pattern, found.line);
    scanned(all, text.as_ref()).into_iter().map(told).collect::<Vec<_>>().join(" ")
}

#[test]
fn every_pattern_that_matches_a_line_is_told() {
    let text = "all is well\ndisk sda failed\nfailed again, sda\n";
    assert_eq!(
        seen(&["failed", "^disk", r"sda$", "ok"], text),
        "p0:disk sda failed p1:disk sda failed p0:failed again, sda p2:failed again, sda"
    );
    assert_eq!(seen(&[], text), "");
}

#[test]
fn no_pattern_matches_across_lines() {
    for pattern in ["a\nb", r"a\sb", "a[^x]b", "(?s)a.b", r"a\n?b", r"(?:a\n)+b"] {
        assert_eq!(seen(&[pattern], "a\nb\n"), "", "{pattern}");
    }
    assert_eq!(seen(&[r"a\s+b|one\ntwo"], "a\nb\na  b\none\ntwo\n"), "p0:a  b");
}

#[test]
fn the_ends_of_a_line_are_where_they_are_thought_to_be() {
    for (pattern, wanted) in [("^b$", "p0:b"), (r"\Ab\z", "p0:b"), ("^$", "p0:"), (r"^\w$", "p0:a p0:b p0:c")]
    {
        assert_eq!(seen(&[pattern], "a\nb\n\nc"), wanted, "{pattern}");
        assert_eq!(seen(&[pattern], "a\r\nb\r\n\r\nc\r\n"), wanted, "{pattern} with carriage returns");
    }
}

#[test]
fn what_is_not_utf_8_is_replaced_and_matches_all_the_same() {
    let text = b"bad \xff\xfe disk\ncaf\xc3\xa9 \xc3\n\xe2\x82\n";
    assert_eq!(seen(&["bad .* disk"], text), "p0:bad \u{fffd}\u{fffd} disk");
    assert_eq!(seen(&[r"^.{3}\x{e9} .$", "^.$"], text), "p0:caf\u{e9} \u{fffd} p1:\u{fffd}");
    assert_eq!(seen(&["\u{fffd}\u{fffd}"], text), "p0:bad \u{fffd}\u{fffd} disk");
}

#[test]
fn named_groups_are_captured_and_cut_between_characters() {
    let text = format!("user=ann id={}\n", "\u{e9}".repeat(2_000));
    let all = scanned(&["user=(?P<user>[a-z]+) (x(?P<none>y))?id=(?P<id>.*)(z)?"], text.as_bytes());
    let captures = &all[0].captures;
    assert_eq!(captures.get("user").map(String::as_str), Some("ann"));
    assert_eq!(captures.get("id").map(String::len), Some(1_024));
    assert_eq!(captures.len(), 2);

    let many: String = (0..20).map(|number| format!("(?P<g{number:02}>.)")).collect();
    assert_eq!(scanned(&[&many], b"abcdefghijklmnopqrstuvwxyz\n")[0].captures.len(), 16);
}

#[test]
fn of_a_long_line_the_beginning_counts_and_less_is_shown() {
    let mut text = "x".repeat(LINE);
    text.push_str("beyond\nbeyond\n");
    assert_eq!(seen(&["beyond"], &text), "p0:beyond");
    let all = scanned(&["^x+$"], text.as_bytes());
    assert_eq!((all.len(), all[0].line.len()), (1, 4_096));
    let all = scanned(&["e"], format!("e{}\n", "\u{e9}".repeat(4_000)).as_bytes());
    assert_eq!(all[0].line.len(), 4_095);
}

#[test]
fn a_flood_is_folded_into_the_sixteenth() {
    let text: String = (0..1_000).map(|number| format!("error {number}\nwarning\n")).collect();
    let matcher = Matcher::new(&patterns(&["error (?P<id>[0-9]+)", "0$"]));
    let mut found = Found::new();
    matcher.scan(text.as_bytes(), &mut found);
    assert_eq!(found.lines(), 1_000);
    matcher.scan(b"error 1000\n", &mut found);
    let all = found.take();
    let of = |name: &str| all.iter().filter(|one| one.pattern.as_str() == name).collect::<Vec<_>>();
    assert_eq!((of("p0").len(), of("p1").len()), (16, 16));
    let last = of("p0")[15];
    assert_eq!((last.count, last.line.as_str()), (1_001 - 15, "error 1000"));
    assert_eq!(last.captures.get("id").map(String::as_str), Some("1000"));
    assert_eq!(all.iter().map(|one| one.count).sum::<u32>(), 1_001 + 101);
    matcher.scan(b"error 1\n", &mut found);
    assert_eq!(found.take()[0].count, 1, "the next batch begins anew");
}

#[test]
fn a_message_is_one_record_with_lines_in_it() {
    let matcher = Matcher::new(&patterns(&["^two$", r"\Atwo", "one\ntwo", "(?s)one.*three"]));
    let message = b"one\ntwo\nthree\n";
    let names: Vec<String> = matcher.message(message).iter().map(|one| one.pattern.to_string()).collect();
    assert_eq!(names, ["p0", "p2", "p3"]);
    assert_eq!(matcher.message(message)[0].line, "one\ntwo\nthree");
}

#[test]
fn hostile_lines_are_only_text() {
    let text = "\u{1b}[2J%s%n $(reboot) `id` ../../{} \0 end\n";
    assert_eq!(seen(&[r"%n \$\(reboot\)"], text), format!("p0:{}", text.trim_end_matches('\n')));
}

/// Parts of patterns of every kind that the search knows.
fn part() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "error",
        "fail(?:ed|ure)",
        "^",
        "$",
        r"\A",
        r"\z",
        "a",
        "b+",
        "[ab]*",
        r"\s",
        r"\d+",
        ".",
        ".*",
        "(?i)Error",
        "(ab?)",
        "x|y",
        "(?:ab|ba)",
        r"\b",
        r"\w+",
        "\n",
        "[^a]",
        "\u{e9}",
        "(?s).",
        r"\r",
        "(?:)",
        "\u{fffd}",
        "(?:error|timeout){2,3}",
        "[a\n]",
    ])
}

fn pattern() -> impl Strategy<Value = String> {
    let sequence = prop::collection::vec(part(), 1..4).prop_map(|parts| parts.concat());
    prop::collection::vec(sequence, 1..3).prop_map(|ways| ways.join("|"))
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&[u8]> = vec![
        b"error",
        b"Error",
        b"failed",
        b"failure",
        b"timeout",
        b"a",
        b"b",
        b"ab",
        b" ",
        b"\r",
        b"\n",
        b"\n",
        b"\r\n",
        b"7",
        b"x",
        b"\xff",
        b"\xc3",
        b"\xc3\xa9",
        b"\xe2\x82",
        b"\0",
        b"-",
    ];
    prop::sample::select(pieces).prop_map(<[u8]>::to_vec)
}

/// What one would get line by line, pattern by pattern.
fn plain(all: &[Pattern], text: &[u8]) -> Vec<(String, String)> {
    let whole =
        |pattern: &Pattern| RegexBuilder::new(pattern.regex.as_str()).multi_line(true).build().unwrap();
    let regexes: Vec<Regex> = all.iter().map(whole).collect();
    let lines = text.strip_suffix(b"\n").unwrap_or(text).split(|byte| *byte == b'\n');
    let mut found = Vec::new();
    for line in lines.filter(|_| !text.is_empty()) {
        let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned();
        for (pattern, regex) in all.iter().zip(&regexes) {
            if regex.is_match(&line) {
                found.push((pattern.name.to_string(), line.clone()));
            }
        }
    }
    found
}

/// Of each pattern, the matches that are told one by one: beyond that they are folded.
fn first_ones(mut all: Vec<(String, String)>) -> Vec<(String, String)> {
    let mut counts = std::collections::BTreeMap::<String, usize>::new();
    all.retain(|(name, _)| {
        let count = counts.entry(name.clone()).or_default();
        *count += 1;
        *count <= 15
    });
    all
}

fn brought(all: &[Pattern], text: &[u8]) -> Vec<(String, String)> {
    let mut found = Found::new();
    Matcher::new(all).scan(text, &mut found);
    first_ones(found.take().into_iter().map(|one| (one.pattern.to_string(), one.line)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn whole_buffers_bring_what_single_lines_bring(
        texts in prop::collection::vec(pattern(), 1..5),
        pieces in prop::collection::vec(piece(), 0..24),
    ) {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let all = patterns(&texts);
        let text = pieces.concat();
        prop_assert_eq!(brought(&all, &text), first_ones(plain(&all, &text)), "{:?} in {:?}", texts, text);
    }
}

/// Patterns of which there may be many: most need texts, which begin alike, end alike or contain each other.
fn one_of_many() -> impl Strategy<Value = String> {
    let words = || {
        prop::sample::select(vec![
            "component-01",
            "component-02",
            "component-1",
            "component-",
            "Component",
            " failed with",
            " failed",
            "crashed",
            "disk sda",
            "caf\u{e9} closed",
            "kiosk session",
            "\u{fffd} failed",
            "sda",
        ])
    };
    let shape = prop::sample::select(vec![
        "{}{}",
        "{}{} [0-9]+",
        "(?i){}{}",
        "{}.*{}",
        "^{}(?:{}|ab)",
        "(?:{}|(?i:{}))",
        "(?i:{}).*{}",
        "[0-9]{2}",
        "{}(?:{})?$",
        "(?i)({}|{})x*",
        r"\b{}\b.+{}",
        r"\w{}\s{}",
    ]);
    (words(), words(), shape)
        .prop_map(|(one, other, shape)| shape.replacen("{}", one, 1).replacen("{}", other, 1))
}

fn piece_of_many() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&[u8]> = vec![
        b"component-01",
        b"component-02",
        b"component-1",
        b"COMPONENT-01",
        b"component-",
        b"compo",
        b" failed with",
        b" failed",
        b" FAILED WITH",
        b"crashed",
        b"Crashed",
        b"disk sda",
        b"caf\xc3\xa9 closed",
        b"CAF\xc3\x89 CLOSED",
        b"\xe2\x84\xaaIO\xc5\xbfk session",
        b"kiosk session",
        b"\xff failed",
        b"\xef",
        b"\xbf",
        b" ",
        b" 12",
        b"ab",
        b"x",
        b"\n",
        b"\n",
        b"\r\n",
    ];
    prop::sample::select(pieces).prop_map(<[u8]>::to_vec)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn many_patterns_bring_what_each_would_alone(
        texts in prop::collection::vec(one_of_many(), 1..80),
        more in 0_usize..80,
        pieces in prop::collection::vec(piece_of_many(), 0..60),
    ) {
        // Enough for every way of searching.
        let numbered = (0..more).map(|number| format!("component-{number:03} (?:failed|crashed)"));
        let texts: Vec<String> = texts.into_iter().chain(numbered).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let all = patterns(&texts);
        let text = pieces.concat();
        prop_assert_eq!(brought(&all, &text), first_ones(plain(&all, &text)), "{:?} in {:?}", texts, text);
    }
}

#[test]
fn of_two_hundred_patterns_with_one_beginning_the_right_one_is_told() {
    let all: Vec<String> =
        (0..200).map(|number| format!("component-{number:03} failed with [0-9]+")).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let text = "component-200 failed with 1\ncomponent-017 failed with 3\ncomponent-018 failed with\n";
    assert_eq!(seen(&all, text), "p17:component-017 failed with 3");
    let with_any_case = [all.as_slice(), &["(?i)OUT OF MEMORY", "[0-9]{5}"]].concat();
    let text = [text.as_bytes(), b"Component-017 failed with 3\nOut of Memory \xff\n12345\n"].concat();
    assert_eq!(
        seen(&with_any_case, text),
        "p17:component-017 failed with 3 p200:Out of Memory \u{fffd} p201:12345"
    );
}

#[test]
fn a_line_needs_all_that_one_of_its_patterns_needs() {
    let all = ["status=5[0-9] .*request_time=[0-9]{2,}", "request_time=.* upstream=down"];
    let text = "status=50 request_time=1\nstatus=50 request_time=12\nrequest_time=0 upstream=down\nrequest_time=10\n";
    assert_eq!(seen(&all, text), "p0:status=50 request_time=12 p1:request_time=0 upstream=down");
    let often = format!("{}\nstatus=50 request_time=12\n", "request_time=1 ".repeat(1_000));
    assert_eq!(seen(&all, &often), "p0:status=50 request_time=12");
    // The second time that the text is there.
    assert_eq!(seen(&all, "request_time= status=50 request_time=12\n").matches("p0:").count(), 1);
}

proptest! {
    #[test]
    fn a_line_that_may_not_match_does_not(line in "[abcx \r\né0-9]{0,12}", cut in any::<bool>()) {
        let all = ["ab", "^a", "b$", r"[0-9]+\b", "(?i)AB", r"a.b", "^$", "é", r"\S\s\S", "c[^x]b"];
        let line = if cut { line.as_bytes().get(1..).unwrap_or_default().to_vec() } else { line.into_bytes() };
        for pattern in all {
            let matcher = Matcher::new(&patterns(&[pattern]));
            prop_assert!(matcher.may_match(&line) || matcher.message(&line).is_empty(), "{pattern}");
        }
    }
}
