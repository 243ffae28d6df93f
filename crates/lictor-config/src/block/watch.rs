//! `watch "KIND" "NAME" { … }`: what all kinds of watchers share, and which kinds there are.

use std::time::Duration;

use lictor_core::{CheckName, CheckPlan, Counting, PatternName};
use regex::Regex;

use super::{
    judgement, qbittorrent, redis, systemd, watch_clock, watch_disk, watch_dns, watch_exec, watch_file,
    watch_heartbeat, watch_http, watch_journal, watch_load, watch_memory, watch_process, watch_prometheus,
    watch_public_ip, watch_stream, watch_swap, watch_tcp, watch_temperature, watch_vpn, watch_webhook,
};
use crate::code::Code;
use crate::model::{Pattern, Watch, WatchKind};
use crate::problem::Draft;
use crate::reader::{Decoder, Reader};
use crate::schema::{Attribute, BlockType, Bodies, Kind, LONGEST, Schema};
use crate::syntax::tree::Block;

const SECOND: Duration = Duration::from_secs(1);

/// The kinds of watchers, each in a file of its own.
const KINDS: &[(&str, &Schema, Decode)] = &[
    ("http", &watch_http::SCHEMA, watch_http::decode),
    ("tcp", &watch_tcp::SCHEMA, watch_tcp::decode),
    ("dns", &watch_dns::SCHEMA, watch_dns::decode),
    ("exec", &watch_exec::SCHEMA, watch_exec::decode),
    ("disk", &watch_disk::SCHEMA, watch_disk::decode),
    ("process", &watch_process::SCHEMA, watch_process::decode),
    ("heartbeat", &watch_heartbeat::SCHEMA, watch_heartbeat::decode),
    ("qbittorrent", &qbittorrent::WATCH, qbittorrent::watch),
    ("vpn", &watch_vpn::SCHEMA, watch_vpn::decode),
    ("public_ip", &watch_public_ip::SCHEMA, watch_public_ip::decode),
    ("prometheus", &watch_prometheus::SCHEMA, watch_prometheus::decode),
    ("redis", &redis::WATCH, redis::watch),
    ("webhook", &watch_webhook::SCHEMA, watch_webhook::decode),
    ("memory", &watch_memory::SCHEMA, watch_memory::decode),
    ("swap", &watch_swap::SCHEMA, watch_swap::decode),
    ("load", &watch_load::SCHEMA, watch_load::decode),
    ("temperature", &watch_temperature::SCHEMA, watch_temperature::decode),
    ("clock", &watch_clock::SCHEMA, watch_clock::decode),
    ("file", &watch_file::SCHEMA, watch_file::decode),
    ("stream", &watch_stream::SCHEMA, watch_stream::decode),
    ("journal", &watch_journal::SCHEMA, watch_journal::decode),
    ("unit", &systemd::WATCH, systemd::watch),
];

/// Reads what is particular to one kind.
type Decode = fn(&Reader<'_>) -> Option<WatchKind>;

static SCHEMAS: [(&str, &Schema); KINDS.len()] = {
    let mut schemas = [(KINDS[0].0, KINDS[0].1); KINDS.len()];
    let mut index = 0;
    while index < KINDS.len() {
        schemas[index] = (KINDS[index].0, KINDS[index].1);
        index += 1;
    }
    schemas
};

pub(super) static BLOCK: BlockType =
    BlockType { name: "watch", labels: &["KIND", "NAME"], repeats: true, bodies: Bodies::Kinds(&SCHEMAS) };

/// How often a watcher looks, and for how long.
pub(super) const SCHEDULE: &[Attribute] = &[
    Attribute::new(
        "every",
        Kind::Duration(Duration::from_millis(100), Duration::from_secs(86_400)),
        "Time from one look to the next.",
    )
    .default("10s"),
    Attribute::new(
        "timeout",
        Kind::Duration(Duration::from_millis(10), Duration::from_secs(86_400)),
        "Time limit of one look; at most `every`.",
    )
    .default_words("`5s`, or `every` if that is shorter"),
    judgement::STALE_AFTER,
];

/// `match "NAME" { … }` of a watcher that reads lines.
pub(super) static MATCH: BlockType =
    BlockType { name: "match", labels: &["NAME"], repeats: true, bodies: Bodies::One(&MATCH_SCHEMA) };

static MATCH_SCHEMA: Schema = Schema {
    doc: "A pattern looked for in each line that the watcher reads. A match can start a rule or a \
          remedy: `on = match.CHECK.NAME`.",
    groups: &[&[
        Attribute::new("regex", Kind::Regex, "What a line must match."),
        Attribute::new("contains", Kind::Text, "What a line must contain, as it is."),
        Attribute::new("at_least", Kind::Whole(2, 10_000), "So many lines are one event."),
        Attribute::new(
            "within",
            Kind::Duration(SECOND, LONGEST),
            "Within which time `at_least` lines must come.",
        ),
        Attribute::new(
            "absent_for",
            Kind::Duration(SECOND, LONGEST),
            "That no line matched for so long is the event, not that one did.",
        ),
    ]],
    blocks: &[],
    values: &[],
    example: r#"watch "exec" "sync" {
  command = ["journalctl", "--unit", "sync.service", "--since", "-10s", "--output", "cat"]
  every   = "10s"
  match "done" {
    contains = "sync finished"
  }
}"#,
};

/// One watcher and the judgement of its check.
pub(super) fn decode(decoder: &Decoder<'_>, block: &Block) -> Option<(CheckName, Watch, CheckPlan)> {
    let [kind, name] = block.labels.as_slice() else { return None };
    let (_, schema, decode) = KINDS.iter().find(|(known, _, _)| *known == kind.is)?;
    let reader = Reader::new(decoder, block, schema);
    let name = match CheckName::new(&name.is) {
        Ok(name) => Some(name),
        Err(error) => {
            decoder.add(Draft::new(Code::Name, name.span, format!("{error}")));
            None
        }
    };
    let (every, timeout) = schedule(&reader);
    let beats = matches!(kind.is.as_str(), "heartbeat" | "webhook");
    let silent = every.saturating_mul(3).saturating_add(timeout);
    let plan = judgement::watched(&reader, if beats { None } else { Some(silent) });
    let found = reader.blocks("match").into_iter().filter_map(|block| pattern(decoder, block));
    let (mut patterns, mut plan) = (Vec::new(), plan);
    for (pattern, counting) in found {
        plan.patterns.extend(counting.map(|counting| (pattern.name.clone(), counting)));
        patterns.push(pattern);
    }
    let kind = decode(&reader);
    Some((name?, Watch { kind: kind?, every, timeout, patterns }, plan))
}

fn schedule(reader: &Reader<'_>) -> (Duration, Duration) {
    let fallback = Duration::from_secs(10);
    if reader.schema.attribute("every").is_none() {
        return (fallback, fallback / 2);
    }
    let every = reader.duration("every");
    let usual = every.min(fallback / 2);
    let timeout = reader.duration_if("timeout").unwrap_or(usual);
    if timeout > every {
        let message = format!("`timeout` is longer than `every`, {}", crate::units::Written(every));
        let draft = Draft::new(Code::Combination, reader.span("timeout"), message);
        reader.decoder.add(draft.help("a look must have ended before the next begins"));
    }
    (every, timeout.min(every))
}

fn pattern(decoder: &Decoder<'_>, block: &Block) -> Option<(Pattern, Option<Counting>)> {
    let reader = Reader::new(decoder, block, &MATCH_SCHEMA);
    let label = block.labels.first()?;
    let name = PatternName::new(&label.is);
    if let Err(error) = &name {
        decoder.add(Draft::new(Code::Name, label.span, format!("{error}")));
    }
    if reader.exclude("regex", "contains") {
        return None;
    }
    let regex = match reader.text("contains") {
        Some(text) => Regex::new(&regex::escape(&text)).ok(),
        None if reader.is_set("regex") || reader.is_set("contains") => reader.regex("regex"),
        None => {
            let draft = Draft::new(Code::Missing, reader.head, format!("{} has no pattern", reader.place()));
            decoder.add(draft.help("add `regex` or `contains`"));
            None
        }
    };
    let counting = counting(&reader);
    Some((Pattern { name: name.ok()?, regex: regex? }, counting))
}

/// When the matches of a pattern are an event.
fn counting(reader: &Reader<'_>) -> Option<Counting> {
    for other in ["at_least", "within"] {
        reader.exclude(other, "absent_for");
    }
    reader.needs("at_least", "within");
    reader.needs("within", "at_least");
    if let Some(silent) = reader.duration_if("absent_for") {
        return Some(Counting::AbsentFor(silent));
    }
    Some(Counting::AtLeast { lines: reader.count("at_least")?, within: reader.duration_if("within")? })
}

#[cfg(test)]
mod tests {
    use lictor_core::{Counting, PatternName};

    use crate::testing::{mistakes, parsed};
    use insta::assert_snapshot;
    use lictor_core::CheckName;
    use std::time::Duration;

    #[test]
    fn the_schedule_has_defaults_that_fit_each_other() {
        let times = |lines: &str| {
            let config = parsed(&format!("watch \"tcp\" \"t\" {{\n address = \"h:1\"\n{lines}\n}}")).config;
            let name = CheckName::new("t").unwrap();
            let seconds = |duration: Duration| duration.as_secs_f64();
            let watch = &config.watches[&name];
            let stale = config.plan.checks[&name].stale_after.unwrap();
            (seconds(watch.every), seconds(watch.timeout), seconds(stale))
        };
        assert_eq!(times(""), (10.0, 5.0, 35.0));
        assert_eq!(times("every = \"2s\""), (2.0, 2.0, 8.0));
        assert_eq!(times("every = \"1m\"\ntimeout = \"30s\""), (60.0, 30.0, 210.0));
        assert_eq!(times("stale_after = \"1h\""), (10.0, 5.0, 3_600.0));
    }

    #[test]
    fn judgement_is_taken_over() {
        let text = r#"
watch "tcp" "t" {
  address    = "h:1"
  fail_after = 3
  pass_after = 2
  for        = "30s"
  grace      = "1m"
  flap {
    changes = 5
    within  = "10m"
  }
}"#;
        let plan = &parsed(text).config.plan.checks[&CheckName::new("t").unwrap()];
        assert_eq!((plan.fail_after.get(), plan.pass_after.get()), (3, 2));
        assert_eq!((plan.bad_for.as_secs(), plan.grace.as_secs()), (30, 60));
        let flap = plan.flap.unwrap();
        assert_eq!((flap.changes.get(), flap.within.as_secs()), (5, 600));
    }

    #[test]
    fn checks_of_a_group_are_told_together() {
        let text = r#"
watch "tcp" "web" {
  address = "h:1"
  group   = " Shop front "
}
watch "heartbeat" "backup" {
  within = "1h"
}
check "shop" {
  all   = [check.web]
  group = "Shop front"
}"#;
        let plan = parsed(text).config.plan;
        let group = |name: &str| plan.checks[&CheckName::new(name).unwrap()].group.clone();
        assert_eq!(group("web").as_deref(), Some("Shop front"));
        assert_eq!(group("shop").as_deref(), Some("Shop front"));
        assert_eq!(group("backup"), None);
        let named = |name: &str| {
            mistakes(&format!("watch \"tcp\" \"t\" {{\n address = \"h:1\"\n group = \"{name}\"\n}}"))
        };
        assert_snapshot!(named("  "), @"3:10: `group` is empty [LIC0303]");
        assert_snapshot!(named(&"x".repeat(129)), @"3:10: `group` has more than 128 characters [LIC0303]");
    }

    #[test]
    fn what_all_kinds_get_wrong() {
        assert_snapshot!(mistakes(r#"
watch "htpp" "a" {
  url = "http://x/"
}
watch "tcp" "b c" {
  adress = "h:1"
  every  = "0s"
}
watch "tcp" "d" {
  address = "h:1"
  every   = "5s"
  timeout = "10s"
  match "x" {
    contains = "x"
  }
}
watch "tcp" {
  address = "h:1"
}
watch "exec" "e" {
  command = ["true"]
  fail_after = 2.5
  match "p" {
  }
  match "q" {
    regex    = "a"
    contains = "a"
  }
  match "p" {
    regex = "a(b"
  }
}
"#), @r#"
        2:7: unknown kind `htpp` of `watch` (did you mean `http`?) [LIC0208]
        5:1: `address` of `watch "tcp" "b c"` is missing (add `address = …`, host and port such as "db.example:5432") [LIC0203]
        5:13: a name has letters, digits, `_`, `-`, `.`, `:`, `@` and `/`, not ' ' [LIC0303]
        6:3: unknown attribute `adress` in `watch "tcp" "b c"` (did you mean `address`?) [LIC0201]
        7:12: `every` is between 100ms and 1d, not 0s [LIC0302]
        12:13: `timeout` is longer than `every`, 5s (a look must have ended before the next begins) [LIC0207]
        13:3: unknown block `match` in `watch "tcp" "d"` [LIC0202]
        17:1: `watch` has 2 labels, not 1 (write watch "KIND" "NAME" { … }) [LIC0205]
        22:16: `fail_after` is a whole number from 1 to 10000, not 2.5 [LIC0302]
        23:3: `match "p"` has no pattern (add `regex` or `contains`) [LIC0203]
        27:16: `regex` and `contains` exclude each other (the other one: x.hcl:26:16) [LIC0207]
        29:9: the name `p` is used twice (first here: x.hcl:23:9) [LIC0204]
        30:15: not a regular expression: unclosed group [LIC0304]
        "#);
    }

    #[test]
    fn lines_may_have_to_be_many_or_to_be_missing() {
        let text = r#"watch "exec" "log" {
  command = ["x"]
  match "oom" {
    contains = "out of memory"
    at_least = 5
    within   = "1m"
  }
  match "beat" {
    regex      = "^beat"
    absent_for = "10m"
  }
  match "plain" {
    contains = "x"
  }
}"#;
        let plan = parsed(text).config.plan;
        let patterns = &plan.checks[&CheckName::new("log").unwrap()].patterns;
        let counting = |name: &str| patterns.get(&PatternName::new(name).unwrap()).copied();
        let within = Duration::from_secs(60);
        assert_eq!(counting("oom"), Some(Counting::AtLeast { lines: 5.try_into().unwrap(), within }));
        assert_eq!(counting("beat"), Some(Counting::AbsentFor(Duration::from_secs(600))));
        assert_eq!(counting("plain"), None);
    }

    #[test]
    fn mistakes_in_counting() {
        let of = |lines: &str| {
            mistakes(&format!(
                "watch \"exec\" \"log\" {{\n command = [\"x\"]\n match \"m\" {{\n contains = \"x\"\n{lines}\n }}\n}}"
            ))
        };
        assert_snapshot!(of("at_least = 5"), @"5:12: `at_least` needs `within` [LIC0207]");
        assert_snapshot!(of("within = \"1m\""), @"5:10: `within` needs `at_least` [LIC0207]");
        assert_snapshot!(of("at_least = 1\n within = \"1m\""), @"5:12: `at_least` is a whole number from 2 to 10000, not 1 [LIC0302]");
        assert_snapshot!(of("at_least = 2\n within = \"1m\"\n absent_for = \"1m\""), @r#"
        7:15: `at_least` and `absent_for` exclude each other (the other one: x.hcl:5:12) [LIC0207]
        7:15: `within` and `absent_for` exclude each other (the other one: x.hcl:6:11) [LIC0207]
        "#);
    }
}
