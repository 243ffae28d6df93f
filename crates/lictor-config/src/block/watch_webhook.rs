//! `watch "webhook"`: others say what is wrong.

use std::time::Duration;

use regex::Regex;

use super::{control, judgement, watch};
use crate::code::Code;
use crate::model::{WatchKind, Webhook, WebhookFormat};
use crate::problem::Draft;
use crate::reader::Reader;
use crate::schema::{Attribute, Kind, LONGEST, Schema};

pub(super) static SCHEMA: Schema = Schema {
    doc: "Takes what others say (`POST /v1/webhook/NAME`): the alerts of an Alertmanager, or any JSON document. \
          With alerts it is as bad as the worst that fires and passes when none does; with a document it is what \
          the word at `pointer` means. Before the first call nothing is said: the check keeps its status.",
    groups: &[&[
        Attribute::new(
            "format",
            Kind::Word(&["alertmanager", "json"]),
            "What is said: the webhook of an Alertmanager (version 4), or any JSON document.",
        )
        .default("alertmanager"),
        Attribute::new("token", Kind::Secret, "What the caller must show, in place of the listener's token."),
        Attribute::new(
            "expire",
            Kind::Duration(Duration::from_secs(1), LONGEST),
            "An alert that fires and is not told of again for so long does not count any more; when nothing else \
             fires it is unknown what does, until the next call. What a document said is then unknown, too. Longer than the `repeat_interval` of the Alertmanager.",
        )
        .default_words("`5h`; never for `json`"),
        Attribute::new(
            "matchers",
            Kind::Patterns,
            "Labels that an alert must have, each with a pattern for the whole of it; others are passed over.",
        ),
        Attribute::new("severity", Kind::Text, "The label that says how bad an alert is.")
            .default("severity"),
        Attribute::new("pointer", Kind::Text, "JSON pointer to the word that says how it is, for `json`.")
            .default_words("none: each call passes and is looked at for patterns"),
        Attribute::new("critical", Kind::Texts, "Words that mean critical, for `json`.")
            .default_words("`[\"critical\", \"error\", \"down\", \"firing\"]`"),
        Attribute::new(
            "warning",
            Kind::Texts,
            "Words that mean a warning. Any other severity of an alert is critical.",
        )
        .default_words("`[\"warning\", \"info\", \"none\"]`"),
        Attribute::new("passing", Kind::Texts, "Words that mean passing, for `json`.")
            .default_words("`[\"passing\", \"ok\", \"up\", \"resolved\"]`"),
        Attribute::new(
            "lines",
            Kind::Texts,
            "JSON pointers to the texts that patterns are looked for in, for `json`.",
        )
        .default_words("the whole document as one line"),
    ], judgement::WATCHED, judgement::COMMON],
    blocks: &[&watch::MATCH],
    values: &[
        ("firing", "How many alerts fire."),
        ("alert", "The name of the worst of them (text)."),
        ("status", "The word at `pointer` (text)."),
        ("silent_seconds", "Time since the last call."),
    ],
    example: r#"watch "webhook" "disks" {
  matchers = { alertname = "Disk.*", severity = "critical|warning" }
  match "full" {
    regex = "^firing DiskFull .*mountpoint=\"(?<mount>[^\"]*)\""
  }
}"#,
};

/// What a repeated alert of an Alertmanager is late after: its own default is 4 hours.
const EXPIRE: Duration = Duration::from_secs(5 * 3_600);

pub(super) fn decode(reader: &Reader<'_>) -> Option<WatchKind> {
    let (token, expire) = (reader.secret("token"), reader.duration_if("expire"));
    let words = |name: &str, usual: &[&str]| {
        let found: Vec<String> = reader.texts(name).into_iter().map(|text| text.is).collect();
        if reader.is_set(name) { found } else { usual.iter().map(|word| (*word).to_owned()).collect() }
    };
    let warning = words("warning", &["warning", "info", "none"]);
    let format = reader.word("format");
    let foreign: &[&str] = if format == Some("json") {
        &["matchers", "severity"]
    } else {
        &["pointer", "critical", "passing", "lines"]
    };
    for name in foreign.iter().filter(|name| reader.is_set(name)) {
        let message = format!("`{name}` means nothing for the format `{}`", format.unwrap_or_default());
        reader.decoder.add(Draft::new(Code::Combination, reader.span(name), message));
    }
    if format != Some("json") {
        let matchers = matchers(reader);
        let severity =
            if reader.is_set("severity") { reader.text("severity")? } else { "severity".to_owned() };
        let format = WebhookFormat::Alertmanager { matchers, severity, warning };
        return Some(WatchKind::Webhook(Box::new(Webhook {
            token,
            format,
            expire: Some(expire.unwrap_or(EXPIRE)),
        })));
    }
    let pointer = match reader.value("pointer") {
        Some(_) => Some(control::pointer(reader, "pointer")?),
        None => None,
    };
    if pointer.is_none() {
        ["critical", "warning", "passing", "expire"].iter().for_each(|name| reader.needs(name, "pointer"));
    }
    let lines = reader.texts("lines").into_iter().filter_map(|text| {
        if !text.is.starts_with('/') {
            let draft = Draft::new(Code::Address, text.span, format!("`{}` is not a JSON pointer", text.is));
            reader.decoder.add(draft.help("a pointer begins with `/`, such as \"/message\""));
        }
        text.is.starts_with('/').then_some(text.is)
    });
    let lines = lines.collect();
    let format = WebhookFormat::Json {
        pointer,
        critical: words("critical", &["critical", "error", "down", "firing"]),
        warning,
        passing: words("passing", &["passing", "ok", "up", "resolved"]),
        lines,
    };
    Some(WatchKind::Webhook(Box::new(Webhook { token, format, expire })))
}

/// Patterns for the whole of each label, as an Alertmanager's own are.
fn matchers(reader: &Reader<'_>) -> Vec<(String, Regex)> {
    let whole = |(label, pattern): (String, Regex)| {
        Regex::new(&format!("^(?:{pattern})$")).ok().map(|pattern| (label, pattern))
    };
    reader.patterns("matchers").into_iter().filter_map(whole).collect()
}

#[cfg(test)]
mod tests {
    use crate::model::{WatchKind, Webhook, WebhookFormat};
    use crate::testing::{mistakes, parsed, watch};
    use insta::assert_snapshot;
    use lictor_core::CheckName;

    fn webhook(lines: &str) -> Webhook {
        match watch(&format!("watch \"webhook\" \"x\" {{\n{lines}\n}}")).kind {
            WatchKind::Webhook(webhook) => *webhook,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_alert_that_is_not_repeated_does_not_fire_for_ever() {
        assert_eq!(webhook("").expire.unwrap().as_secs(), 5 * 3_600);
        assert_eq!(webhook("expire = \"1h\"").expire.unwrap().as_secs(), 3_600);
        assert_eq!(webhook("format = \"json\"\npointer = \"/s\"").expire, None);
    }

    #[test]
    fn it_is_not_silent_because_nobody_calls() {
        let config = parsed("watch \"webhook\" \"w\" {\n}").config;
        assert_eq!(config.plan.checks[&CheckName::new("w").unwrap()].stale_after, None);
    }

    #[test]
    fn a_matcher_is_for_the_whole_label() {
        let WebhookFormat::Alertmanager { matchers, .. } =
            webhook("matchers = { alertname = \"Disk|Swap\" }").format
        else {
            panic!()
        };
        let fits = |text: &str| matchers[0].1.is_match(text);
        assert!(fits("Disk") && fits("Swap") && !fits("DiskFull") && !fits("NoSwap"));
    }

    #[test]
    fn its_mistakes() {
        assert_snapshot!(mistakes(r#"
watch "webhook" "a" {
  pointer  = "/status"
  matchers = { alertname = "a(b" }
  every    = "10s"
}
watch "webhook" "b" {
  format   = "json"
  severity = "level"
  pointer  = "status"
}
watch "webhook" "c" {
  format   = "json"
  critical = ["bad"]
  lines    = ["message"]
}
"#), @r#"
        3:14: `pointer` means nothing for the format `alertmanager` [LIC0207]
        4:30: not a regular expression: unclosed group [LIC0304]
        5:3: unknown attribute `every` in `watch "webhook" "a"` (known here: `alert`, `critical`, `depends_on`, `expire`, `fail_after`, `flap`, `for`, `format`, `grace`, `group`, `lines`, `matchers`, `pass_after`, `passing`, `pointer`, `severity`, `tell_changes`, `token`, `token_credential`, `token_env`, `token_file`, `warning`) [LIC0201]
        9:14: `severity` means nothing for the format `json` [LIC0207]
        10:14: `status` is not a JSON pointer (a pointer begins with `/`, such as "/vpn/status") [LIC0305]
        14:14: `critical` needs `pointer` [LIC0207]
        15:15: `message` is not a JSON pointer (a pointer begins with `/`, such as "/message") [LIC0305]
        "#);
    }
}
