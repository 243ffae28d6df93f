//! Helpers of the tests in this crate.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::failure::Failure;
use crate::load::{Loaded, parse_in};
use crate::model::Watch;
use crate::problem::Problem;

/// An environment of these variables.
pub(crate) fn env(variables: &[(&str, &str)]) -> BTreeMap<String, String> {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A configuration that must be good.
#[track_caller]
pub(crate) fn parsed(text: &str) -> Loaded {
    parsed_in(text, &BTreeMap::new())
}

/// The same in an environment.
#[track_caller]
pub(crate) fn parsed_in(text: &str, env: &BTreeMap<String, String>) -> Loaded {
    match parse_in("x.hcl", text, env) {
        Ok(loaded) => loaded,
        Err(failure) => panic!("{}", lines(&failure.errors)),
    }
}

/// The only watcher of a configuration.
#[track_caller]
pub(crate) fn watch(text: &str) -> Watch {
    Arc::unwrap_or_clone(parsed(text).config.watches.into_values().next().unwrap())
}

#[track_caller]
pub(crate) fn failure(name: &str, text: &str) -> Failure {
    match parse_in(name, text, &BTreeMap::new()) {
        Ok(_) => panic!("no mistake was found"),
        Err(failure) => failure,
    }
}

/// The mistakes of a text, one a line.
#[track_caller]
pub(crate) fn mistakes(text: &str) -> String {
    lines(&failure("x.hcl", text).errors)
}

/// The mistakes of a JSON text.
#[track_caller]
pub(crate) fn json_mistakes(text: &str) -> String {
    lines(&failure("x.json", text).errors)
}

/// The warnings of a text that has no mistakes, as miette shows them.
#[track_caller]
pub(crate) fn warnings(text: &str) -> String {
    parsed(text).warnings.iter().map(|problem| shown(problem)).collect::<Vec<_>>().join("\n")
}

/// A diagnostic as it is shown without colours.
pub(crate) fn shown(diagnostic: &dyn miette::Diagnostic) -> String {
    let theme = miette::GraphicalTheme::unicode_nocolor();
    let mut out = String::new();
    miette::GraphicalReportHandler::new_themed(theme)
        .with_width(100)
        .render_report(&mut out, diagnostic)
        .unwrap();
    out.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

fn lines(problems: &[Problem]) -> String {
    let line = |problem: &Problem| {
        problem.one_line().trim_start_matches("x.hcl:").trim_start_matches("x.json:").to_owned()
    };
    problems.iter().map(line).collect::<Vec<_>>().join("\n")
}
