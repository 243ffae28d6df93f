//! `lictor backtest`: the past, played through a configuration.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use lictor_agent::backtest::{Acting, Asked, Counted, Past, Problem, Report, run as play, word};
use lictor_config::{Config, duration};
use lictor_core::{CheckName, Event, Sample, Span, Status, Value, ValueName, Wall};
use serde_json::json;

use crate::busy::Busy;
use crate::cli::Backtest;
use crate::exit::{Exit, Failure};
use crate::output::{Format, Terminal, table};

pub(crate) async fn run(args: &Backtest, terminal: &Terminal) -> Result<(), Failure> {
    let loaded = lictor_config::load(&args.config, &lictor_config::ProcessEnv)
        .map_err(|failure| Failure::Config(Box::new(failure)))?;
    let past = past(args, &loaded.config)?;
    let broken = RefCell::new(None);
    let show = |event: &Event| {
        if args.events && broken.borrow().is_none() {
            let written = match args.format {
                Format::Text => Terminal::data(&format!("{}  {}", clock(event.at.wall), event.what)),
                Format::Json => Terminal::json_line(&json!({
                    "at": rfc3339(event.at.wall),
                    "kind": event.what.kind(),
                    "run": event.run.map(|run| run.to_string()),
                    "text": event.what.to_string(),
                })),
            };
            *broken.borrow_mut() = written.err();
        }
    };
    let begun = tokio::time::Instant::now();
    // Events show how far it is themselves.
    let busy = (!args.events).then(|| playing(&past));
    let report = play(&loaded.config, &past, Box::new(show)).await;
    drop(busy);
    let report = report.map_err(|problem| refused(&problem))?;
    let took = begun.elapsed();
    if let Some(failure) = broken.into_inner() {
        return Err(failure);
    }
    match args.format {
        Format::Json if args.events => Terminal::json_line(&as_json(&report)),
        Format::Json => Terminal::json(&as_json(&report)),
        Format::Text => {
            for note in &report.notes {
                terminal.say(&format!("{} {note}", terminal.strong("note:")));
            }
            terminal.say(&terminal.faint(&format!("{} in {}", played(&report), Span(took))));
            if args.events {
                Terminal::data("")?;
            }
            Terminal::data(&as_text(&report))
        }
    }
}

fn playing(past: &Past) -> Busy {
    let reached = Arc::clone(&past.reached);
    Busy::so_far("playing the past", move || {
        let at = reached.load(Ordering::Relaxed);
        (at != 0).then(|| clock(Wall::from_unix_millis(at)))
    })
}

fn refused(problem: &Problem) -> Failure {
    let failure = Failure::new(Exit::Failed, problem.to_string());
    match problem.way_out() {
        Some(help) => failure.help(help),
        None => failure,
    }
}

/// What the command line asks for.
fn past(args: &Backtest, config: &Config) -> Result<Past, Failure> {
    let now = Zoned::now();
    let time = |option: &str, text: &Option<String>| match text {
        None => Ok(None),
        Some(text) => {
            match instant(text, &now) {
                Some(at) => Ok(Some(at)),
                None => {
                    let failure = Failure::new(Exit::Usage, format!("{option}: `{text}` is not a time"));
                    Err(failure.help("write 2026-11-14, \"2026-11-14 12:00\", 2026-11-14T12:00:00Z, or -7d for seven days ago"))
                }
            }
        }
    };
    let (from, to) = (time("--from", &args.from)?, time("--to", &args.to)?);
    if from.zip(to).is_some_and(|(from, to)| from > to) {
        return Err(Failure::new(Exit::Usage, "--from is after --to"));
    }
    let lasting = |option: &str, text: &str| {
        duration(text).ok_or_else(|| {
            let failure = Failure::new(Exit::Usage, format!("{option}: `{text}` is not a duration"));
            failure.help("write a number and a unit, such as 15s")
        })
    };
    let prometheus = match args.prometheus.as_deref() {
        None => None,
        Some("configured") => Some(None),
        Some(text) => Some(Some(reqwest::Url::parse(text).map_err(|error| {
            Failure::new(Exit::Usage, format!("--prometheus: `{text}` is not a URL: {error}"))
        })?)),
    };
    let step = args.step.as_deref().map(|text| lasting("--step", text)).transpose()?;
    let prometheus = prometheus.map(|url| Asked { url, step });
    if args.at_rate.is_some_and(|rate| !(rate.is_finite() && rate > 0.0)) {
        return Err(Failure::new(Exit::Usage, "--at-rate is a number above 0"));
    }
    for name in &args.fail {
        let known = |action: &&lictor_core::ActionName| action.as_str() == name;
        let remedy = |remedy: &&lictor_core::RemedyName| remedy.as_str() == name;
        let plan = &config.plan;
        if !plan.remedies.keys().any(|one| remedy(&one)) && !config.actions.keys().any(|one| known(&one)) {
            return Err(Failure::new(
                Exit::NotFound,
                format!("--fail: no rule, remedy or step is named `{name}`"),
            ));
        }
    }
    let sources: Vec<_> = args.sources.iter().map(|text| source(text, config)).collect();
    if sources.is_empty() && !args.journal && prometheus.is_none() {
        let failure = Failure::new(Exit::Usage, "there is nothing to play");
        return Err(
            failure.help("name what to play, or use --journal or --prometheus; see lictor backtest --help")
        );
    }
    Ok(Past {
        sources,
        journal: args.journal,
        from,
        to,
        lines_to: args.lines_to.as_deref().map(watcher).transpose()?,
        rate: args.at_rate,
        prometheus,
        assumed: assumed(&args.assume, config)?,
        acting: Acting {
            takes: lasting("--action-takes", &args.action_takes)?,
            fail: args.fail.iter().cloned().collect(),
        },
        reached: Arc::default(),
    })
}

fn watcher(text: &str) -> Result<CheckName, Failure> {
    text.parse().map_err(|error| Failure::new(Exit::Usage, format!("--as: {error}")))
}

/// `PATH`, or `WATCHER=PATH` with a watcher that there is.
fn source(text: &str, config: &Config) -> (Option<CheckName>, PathBuf) {
    let split = text.split_once('=').and_then(|(name, path)| {
        let name = CheckName::new(name).ok().filter(|name| config.watches.contains_key(name))?;
        Some((name, path))
    });
    match split {
        Some((name, path)) => (Some(name), PathBuf::from(path)),
        None => (None, PathBuf::from(text)),
    }
}

/// `check.NAME=STATUS` and `value.NAME.VALUE=SOMETHING`, together by check.
fn assumed(texts: &[String], config: &Config) -> Result<Vec<(CheckName, Sample)>, Failure> {
    let mut found: BTreeMap<CheckName, Sample> = BTreeMap::new();
    for text in texts {
        let wrong = |why: String| {
            let failure = Failure::new(Exit::Usage, format!("--assume {text}: {why}"));
            failure.help("write check.NAME=STATUS or value.NAME.VALUE=SOMETHING")
        };
        let (what, is) = text.split_once('=').ok_or_else(|| wrong("there is no `=`".to_owned()))?;
        let (kind, rest) = what.split_once('.').unwrap_or((what, ""));
        let check = |name: &str| CheckName::new(name).ok().filter(|name| config.watches.contains_key(name));
        let sample = || Sample::new(Status::Passing, "as assumed");
        match kind {
            "check" => {
                let name = check(rest).ok_or_else(|| wrong(format!("no watcher is named `{rest}`")))?;
                found.entry(name).or_insert_with(sample).status = is.parse().map_err(wrong)?;
            }
            "value" => {
                // Both names may have dots in them.
                let mut splits = rest.match_indices('.').map(|(at, _)| rest.split_at(at));
                let known = splits.find_map(|(name, value)| Some((check(name)?, value.get(1..)?)));
                let (name, value) = known.ok_or_else(|| wrong(format!("no watcher has a value `{rest}`")))?;
                let value = ValueName::new(value).map_err(|error| wrong(error.to_string()))?;
                let is = is.parse().map_or_else(|_text| Value::Text(is.to_owned()), Value::Number);
                found.entry(name).or_insert_with(sample).values.push((value, is));
            }
            _ => return Err(wrong(format!("`{kind}` is neither check nor value"))),
        }
    }
    Ok(found.into_iter().collect())
}

/// A time as a person writes it, milliseconds since 1970.
fn instant(text: &str, now: &Zoned) -> Option<i64> {
    let text = text.trim();
    if text == "now" {
        return Some(now.timestamp().as_millisecond());
    }
    if let Some(ago) = text.strip_prefix('-').and_then(duration) {
        let ago = i64::try_from(ago.as_millis()).ok()?;
        return now.timestamp().as_millisecond().checked_sub(ago);
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at.as_millisecond());
    }
    let civil: DateTime = text.parse().ok()?;
    Some(civil.to_zoned(now.time_zone().clone()).ok()?.timestamp().as_millisecond())
}

fn clock(at: Wall) -> String {
    let at = Timestamp::from_millisecond(at.as_unix_millis()).unwrap_or_default();
    at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

fn rfc3339(at: Wall) -> String {
    Timestamp::from_millisecond(at.as_unix_millis()).unwrap_or_default().to_string()
}

/// What was played, in a sentence.
fn played(report: &Report) -> String {
    let total: u64 = report.sources.iter().map(|(_, count)| count).sum();
    match report.span {
        None => "there was nothing to play".to_owned(),
        Some((from, to)) => {
            let lasted = to.as_unix_millis().saturating_sub(from.as_unix_millis());
            let lasted = std::time::Duration::from_millis(u64::try_from(lasted).unwrap_or(0));
            format!("played {total} records from {} to {} ({})", clock(from), clock(to), Span(lasted))
        }
    }
}

fn as_text(report: &Report) -> String {
    let rows = report.tally.remedies().iter().map(|(name, one)| {
        [
            name.to_string(),
            one.fired.to_string(),
            if one.observed > 0 { format!("{} (would)", one.ran) } else { one.ran.to_string() },
            held_back(one),
            one.done.to_string(),
            one.failed.to_string(),
            one.escalated.to_string(),
            one.first.map(clock).unwrap_or_default(),
            one.last.filter(|_| one.ran > 1).map(clock).unwrap_or_default(),
        ]
    });
    let header = ["RULE", "FIRED", "RAN", "HELD BACK", "DONE", "FAILED", "ESCALATED", "FIRST", "LAST"];
    let mut text = table(header, rows);
    let patterns = report.readers.iter().flat_map(|reader| {
        reader.patterns.iter().map(|(pattern, matched)| {
            [reader.check.to_string(), pattern.to_string(), matched.to_string(), reader.lines.to_string()]
        })
    });
    let mut patterns = patterns.peekable();
    if patterns.peek().is_some() {
        let header = ["WATCHER", "PATTERN", "MATCHED", "OF LINES"];
        text = format!("{text}\n\n{}", table(header, patterns));
    }
    text
}

/// `12 (cooldown 10, guard 2)`
fn held_back(one: &Counted) -> String {
    let parts: Vec<_> = one.held_back.iter().map(|(by, times)| format!("{} {times}", word(*by))).collect();
    if parts.is_empty() { "0".to_owned() } else { format!("{} ({})", one.held(), parts.join(", ")) }
}

fn as_json(report: &Report) -> serde_json::Value {
    let rules: Vec<_> = report
        .tally
        .remedies()
        .iter()
        .map(|(name, one)| {
            let held: BTreeMap<_, _> = one.held_back.iter().map(|(by, times)| (word(*by), times)).collect();
            json!({
                "name": name.as_str(),
                "target": one.target.as_str(),
                "fired": one.fired,
                "ran": one.ran,
                "observed": one.observed,
                "held_back": held,
                "done": one.done,
                "failed": one.failed,
                "ended_well": one.ended,
                "ended_badly": one.ended_badly,
                "parked": one.parked,
                "escalated": one.escalated,
                "first": one.first.map(rfc3339),
                "last": one.last.map(rfc3339),
            })
        })
        .collect();
    let watchers: Vec<_> = report
        .readers
        .iter()
        .map(|reader| {
            let patterns: BTreeMap<_, _> =
                reader.patterns.iter().map(|(pattern, matched)| (pattern.as_str(), matched)).collect();
            json!({
                "name": reader.check.as_str(),
                "kind": reader.kind,
                "lines": reader.lines,
                "patterns": patterns,
            })
        })
        .collect();
    json!({
        "from": report.span.map(|(from, _)| rfc3339(from)),
        "to": report.span.map(|(_, to)| rfc3339(to)),
        "sources": report.sources.iter().map(|(name, count)| json!({ "name": name, "count": count })).collect::<Vec<_>>(),
        "rules": rules,
        "watchers": watchers,
        "notes": report.notes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_many_ways() {
        let now: Zoned = "2026-11-21T12:00:00+01:00[Europe/Zurich]".parse().unwrap();
        let at =
            |text: &str| instant(text, &now).map(|at| Timestamp::from_millisecond(at).unwrap().to_string());
        let noon = Some("2026-11-21T11:00:00Z".to_owned());
        for text in ["now", "-0s", "2026-11-21 12:00", "2026-11-21T12:00:00", "2026-11-21T11:00:00Z"] {
            assert_eq!(at(text), noon, "{text}");
        }
        assert_eq!(at("-1d 1h").as_deref(), Some("2026-11-20T10:00:00Z"));
        assert_eq!(at("2026-11-21").as_deref(), Some("2026-11-20T23:00:00Z"));
        assert_eq!(at("soon"), None);
    }
}
