//! `lictor test`: tests of rules, written beside them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lictor_agent::backtest::{Difference, Verdict, judge};
use lictor_config::{ProcessEnv, RuleTest, RuleTests};
use lictor_core::Span;
use regex::Regex;
use serde_json::json;

use super::status::count;
use crate::busy::Busy;
use crate::cli::Test;
use crate::exit::{Exit, Failure};
use crate::output::{Format, Terminal};

/// Of what happened in a test that failed, events that are shown.
const EVENTS: usize = 12;

/// Of names in a row, those that are shown.
const LISTED: usize = 20;

/// A test with what came of it.
struct Played {
    file: PathBuf,
    test: RuleTest,
    verdict: Verdict,
}

impl Played {
    fn passed(&self) -> bool {
        self.verdict.differences.is_empty()
    }
}

pub(crate) fn run(args: &Test, terminal: &Terminal) -> Result<(), Failure> {
    let wanted = match &args.run {
        None => None,
        Some(text) => Some(Regex::new(text).map_err(|error| {
            Failure::new(Exit::Usage, format!("--run: `{text}` is not a regular expression: {error}"))
        })?),
    };
    let files = files(&args.paths)?;
    let (mut played, mut wrong) = (Vec::new(), Vec::new());
    let busy = Busy::with("playing tests");
    for file in &files {
        match RuleTests::load(file, &ProcessEnv) {
            Ok(tests) => {
                let fits = |test: &RuleTest| wanted.as_ref().is_none_or(|wanted| wanted.is_match(&test.name));
                for test in tests.tests.into_iter().filter(fits) {
                    let verdict = judge(&tests.loaded.config, &test);
                    played.push(Played { file: file.clone(), test, verdict });
                    busy.now(format!("playing tests, {} so far", played.len()));
                }
            }
            Err(failure) => wrong.push(failure),
        }
    }
    drop(busy);
    let failed = played.iter().filter(|one| !one.passed()).count();
    match args.format {
        Format::Json => Terminal::json(&json!({
            "passed": played.len() - failed,
            "failed": failed,
            "tests": played.iter().map(as_json).collect::<Vec<_>>(),
            "problems": wrong.iter().flat_map(|failure| failure.errors.iter().map(lictor_config::Problem::to_json)).collect::<Vec<_>>(),
        }))?,
        Format::Text => {
            for failure in &wrong {
                terminal.say(&terminal.diagnostics(failure));
            }
            if !played.is_empty() {
                Terminal::data(&as_text(&played, terminal))?;
            }
        }
    }
    if !wrong.is_empty() {
        return Err(Failure::Said(Exit::Config));
    }
    if played.is_empty() {
        let text = args.run.as_deref().unwrap_or_default();
        return Err(Failure::new(Exit::NotFound, format!("no test has a name that matches `{text}`")));
    }
    if failed > 0 { Err(Failure::Said(Exit::Failed)) } else { Ok(()) }
}

/// The files of tests that are named, or lie in the directories that are.
fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    for path in paths {
        if !path.is_dir() {
            found.push(path.clone());
            continue;
        }
        let entries =
            fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(|error| {
                Failure::new(
                    Exit::Config,
                    format!("the directory `{}` cannot be read: {error}", path.display()),
                )
            })?;
        let mut inside: Vec<PathBuf> =
            entries.into_iter().map(|entry| entry.path()).filter(|path| is_test(path)).collect();
        inside.sort();
        if inside.is_empty() {
            let message = format!("the directory `{}` holds no tests of rules", path.display());
            return Err(
                Failure::new(Exit::NotFound, message).help("their names end in .test.hcl or .test.json")
            );
        }
        found.append(&mut inside);
    }
    Ok(found)
}

fn is_test(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    !name.starts_with('.') && (name.ends_with(".test.hcl") || name.ends_with(".test.json"))
}

fn as_text(played: &[Played], terminal: &Terminal) -> String {
    let mut lines = Vec::new();
    let mut file = None;
    for one in played {
        if file != Some(&one.file) {
            lines.push(terminal.heading(&one.file.display().to_string()));
            file = Some(&one.file);
        }
        if one.passed() {
            lines.push(format!("  ok    {}", one.test.name));
        } else {
            lines.push(format!("  {}  {}", terminal.alarm("FAIL"), one.test.name));
            told(one, &mut lines);
        }
    }
    let failed = played.iter().filter(|one| !one.passed()).count();
    let passed = count(played.len() - failed, "test passed", "tests passed");
    lines.push(if failed == 0 { passed } else { format!("{passed}, {failed} failed") });
    lines.join("\n")
}

/// What was expected, what came, and what happened before.
fn told(one: &Played, lines: &mut Vec<String>) {
    for Difference { at, line, what, expected, got } in &one.verdict.differences {
        let place = format!("{}:{line}", one.file.display());
        lines.push(format!("        at {}, {place}: {what}", after(*at)));
        lines.push(format!("          expected  {}", list(expected)));
        lines.push(format!("          got       {}", list(got)));
    }
    let events = &one.verdict.events;
    if !events.is_empty() {
        lines.push("        what happened:".to_owned());
    }
    for (at, what) in events.iter().skip(events.len().saturating_sub(EVENTS)) {
        lines.push(format!("          {:>8}  {what}", after(*at)));
    }
}

/// Names in a row; the same several times is told once, and of many the first.
fn list(items: &[String]) -> String {
    let mut told: Vec<(&str, usize)> = Vec::new();
    for item in items {
        match told.last_mut() {
            Some((last, times)) if *last == item => *times += 1,
            _ => told.push((item, 1)),
        }
    }
    let more = told.len().saturating_sub(LISTED);
    let one = |(item, times): &(&str, usize)| match times {
        1 => (*item).to_owned(),
        times => format!("{item} ({times} times)"),
    };
    let mut shown: Vec<String> = told.iter().take(LISTED).map(one).collect();
    if more > 0 {
        shown.push(format!("and {more} more"));
    }
    if shown.is_empty() { "nothing".to_owned() } else { shown.join(", ") }
}

fn after(at: Duration) -> String {
    if at.is_zero() { "0s".to_owned() } else { Span(at).to_string() }
}

fn as_json(one: &Played) -> serde_json::Value {
    let difference = |one: &Difference| {
        json!({
            "at_ms": u64::try_from(one.at.as_millis()).unwrap_or(u64::MAX),
            "line": one.line,
            "what": one.what,
            "expected": one.expected,
            "got": one.got,
        })
    };
    json!({
        "file": one.file.display().to_string(),
        "name": one.test.name,
        "line": one.test.line,
        "passed": one.passed(),
        "differences": one.verdict.differences.iter().map(difference).collect::<Vec<_>>(),
    })
}
