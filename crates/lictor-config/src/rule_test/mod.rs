//! Tests of rules, written beside them: what watchers see, and what has to come of it.
//!
//! A file of tests names a configuration, which is read with it; every name in a test is one of there.

mod decode;
mod schema;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lictor_core::{CheckName, RemedyName, Sample, Status};

use crate::code::Code;
use crate::env::Env;
use crate::failure::Failure;
use crate::load::{Loaded, load};
use crate::problem::{Draft, Problem};
use crate::reader::Decoder;
use crate::redact::Known;
use crate::report::Report;
use crate::scope::Scope;
use crate::source::{Format, Source, Span};
use crate::syntax::{hcl, json};

pub(crate) use schema::TOP;

/// A file of tests has at most so many bytes.
const FILE: u64 = 4 << 20;

/// A file of tests.
#[derive(Clone, Debug)]
pub struct RuleTests {
    /// The configuration that is tested.
    pub loaded: Loaded,
    /// The tests, in order.
    pub tests: Vec<RuleTest>,
    /// What deserves a warning.
    pub warnings: Vec<Problem>,
}

/// One test.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleTest {
    /// What it says.
    pub name: String,
    /// The line of the file that it begins on.
    pub line: usize,
    /// Rules, remedies and steps (`remedy/step`) whose actions fail.
    pub fail: Vec<String>,
    /// How long each action takes.
    pub takes: Duration,
    /// What happens and what is expected, in the order of the times.
    pub moments: Vec<Moment>,
}

/// Something that happens, or is expected, at a time.
#[derive(Clone, Debug, PartialEq)]
pub struct Moment {
    /// When, after the beginning.
    pub at: Duration,
    /// The line of the file that it stands on.
    pub line: usize,
    /// What.
    pub what: Happening,
}

/// What happens or is expected.
#[derive(Clone, Debug, PartialEq)]
pub enum Happening {
    /// What watchers see, in order.
    Given(Vec<Given>),
    /// What has to be by now.
    Expected(Box<Expected>),
}

/// What one watcher sees.
#[derive(Clone, Debug, PartialEq)]
pub enum Given {
    /// It reads lines.
    Lines(CheckName, Vec<String>),
    /// It has a result: now, or now and at each look from now on.
    Result {
        /// The watcher.
        check: CheckName,
        /// What it saw.
        sample: Sample,
        /// Whether it says so only once.
        once: bool,
    },
    /// It says nothing more.
    Silent(CheckName),
}

/// What has to have happened since the last expectation, or to be. `None`: whatever it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expected {
    /// What started, in order.
    pub ran: Option<Vec<RemedyName>>,
    /// Actions that were begun, in order: a rule's name, or `remedy/step`.
    pub did: Option<Vec<String>>,
    /// What was held back, and by what it was last.
    pub held_back: Option<BTreeMap<RemedyName, String>>,
    /// Runs that ended badly, in order.
    pub failed: Option<Vec<RemedyName>>,
    /// Runs that wait for a person.
    pub parked: Option<Vec<RemedyName>>,
    /// What said that a person is needed.
    pub escalated: Option<Vec<RemedyName>>,
    /// How checks are judged.
    pub checks: BTreeMap<CheckName, Status>,
}

impl RuleTests {
    /// Words for what holds a rule back.
    pub const HOLDS: [&'static str; 8] =
        ["guard", "cooldown", "budget", "busy", "gave_up", "fleet", "lease", "unconfirmed"];

    /// Reads a file of tests and the configuration that it names.
    ///
    /// # Errors
    /// Every mistake in the file, or in the configuration.
    pub fn load(path: &Path, env: &dyn Env) -> Result<Self, Failure> {
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(FILE + 1).read_to_end(&mut bytes));
        let wrong = |code, message: String| {
            let name = path.display().to_string();
            let source = Source { name, text: String::new(), format: Format::Hcl };
            let report = Report::default();
            report.add(Draft::new(code, Span::new(0, 0..0), message));
            failed(report, &[source])
        };
        if let Err(error) = read {
            let message = format!("the file `{}` cannot be read: {error}", path.display());
            return Err(wrong(Code::Unreadable, message));
        }
        if bytes.len() as u64 > FILE {
            return Err(wrong(Code::TooLarge, format!("the file `{}` has more than 4 MiB", path.display())));
        }
        let Ok(text) = String::from_utf8(bytes) else {
            return Err(wrong(Code::NotText, format!("the file `{}` is not UTF-8", path.display())));
        };
        Self::read(path, &text, env)
    }

    fn read(path: &Path, text: &str, env: &dyn Env) -> Result<Self, Failure> {
        let source = Source::new(&path.to_string_lossy(), text.trim_start_matches('\u{feff}'));
        let sources = [source];
        let report = Report::default();
        let mut problems = Vec::new();
        let [source] = &sources;
        let body = match source.format {
            Format::Hcl => Some(hcl::read(0, &source.text, &mut problems)),
            Format::Json => json::read(0, &source.text, &TOP, &mut problems),
        };
        problems.into_iter().for_each(|problem| report.add(problem));
        let body = body.unwrap_or_default();
        let scope = Scope::default();
        let decoder = Decoder::new(&sources, env, &report, &scope);
        let file = decode::file(&decoder, &body);
        if report.has_errors() {
            return Err(failed(report, &sources));
        }
        let beside = path.parent().unwrap_or(Path::new(""));
        let paths: Vec<PathBuf> = file.config.iter().map(|name| beside.join(&name.is)).collect();
        let env = With { more: &file.env, env };
        let loaded = load(&paths, &env)?;
        let tests = decode::tests(&decoder, &body, &loaded.config);
        match report.finish(&sources, |_name| Known::Plain) {
            Ok(warnings) => Ok(Self { loaded, tests, warnings }),
            Err(failure) => Err(failure),
        }
    }
}

fn failed(report: Report, sources: &[Source]) -> Failure {
    match report.finish(sources, |_name| Known::Plain) {
        Err(failure) => failure,
        Ok(warnings) => Failure { errors: Vec::new(), more: 0, warnings },
    }
}

/// An environment with a few variables more.
struct With<'a> {
    more: &'a BTreeMap<String, String>,
    env: &'a dyn Env,
}

impl Env for With<'_> {
    fn var(&self, name: &str) -> Option<String> {
        self.more.get(name).cloned().or_else(|| self.env.var(name))
    }

    fn host_name(&self) -> Option<String> {
        self.env.host_name()
    }

    fn time_zone(&self) -> jiff::tz::TimeZone {
        self.env.time_zone()
    }

    /// What a machine has on which the rules are tested says nothing of the one they are for.
    fn is_missing(&self, _path: &Path) -> bool {
        false
    }
}

#[cfg(test)]
mod tests;
