//! The page of the rules: what starts each remedy, whether that holds now, what holds it back, and what it decided last.

use std::collections::BTreeSet;

use askama::Template;
use lictor_core::{CheckName, Condition, Mode, Trigger};

use super::remedy::word;
use super::{Part, render};
use crate::View;
use crate::web::error::Failure;
use crate::web::text::{in_a_line, visible};
use crate::web::{Site, explain};

/// Rules shown.
const MOST: usize = 300;

/// Longest text of a condition or decision, characters.
const TEXT: usize = 600;

/// The page.
#[derive(Template)]
#[template(path = "rules.html")]
struct RulesPage {
    title: String,
    tone: &'static str,
    /// Whether the whole node only observes.
    observe: bool,
    rules: Vec<Rule>,
    /// So many more.
    more: usize,
}

/// One rule.
#[derive(Debug)]
struct Rule {
    remedy: String,
    state: &'static str,
    /// The same as the badge says it.
    word: &'static str,
    /// Nothing is done, only recorded.
    observe: bool,
    /// The checks it looks at.
    checks: Vec<String>,
    /// What starts it, what it counts as holding until, and its guard: what it is, the condition, whether it holds.
    conditions: Vec<(&'static str, String, &'static str)>,
    /// What a start would be held back by now.
    held_by: Vec<String>,
    decisions: Vec<Decision>,
}

/// What it decided.
#[derive(Debug)]
struct Decision {
    at: String,
    text: String,
}

pub(super) async fn part(site: &Site, view: &View) -> Result<Part, Failure> {
    let reasons = explain::reasons(view, &site.archive).await?;
    let more = reasons.len().saturating_sub(MOST);
    let rules = reasons.into_iter().take(MOST).map(|reason| Rule::new(reason, view)).collect();
    let title = format!("Rules · {}", site.node);
    let observe = view.plan.mode == Mode::Observe;
    render(&RulesPage { title: title.clone(), tone: "good", observe, rules, more }, title, false)
}

impl Rule {
    fn new(reason: explain::Reason, view: &View) -> Self {
        let remedy = view.plan.remedies.iter().find(|(name, _)| name.as_str() == reason.remedy);
        let conditions = reason.triggers.into_iter().map(|held| ("starts on", held));
        let conditions = conditions
            .chain(reason.until.map(|held| ("counts as holding until", held)))
            .chain(reason.guard.map(|held| ("only while", held)));
        Self {
            state: reason.state,
            word: word(reason.state),
            observe: remedy.is_some_and(|(_, remedy)| remedy.mode.max(view.plan.mode) == Mode::Observe),
            checks: remedy
                .map(|(_, remedy)| looked_at(&remedy.on, remedy.guard.as_ref()))
                .unwrap_or_default(),
            conditions: conditions
                .map(|(what, held)| (what, visible(&held.condition, TEXT), held.now.unwrap_or_default()))
                .collect(),
            held_by: reason.held_by.iter().map(|held| visible(held, TEXT)).collect(),
            decisions: reason
                .decisions
                .into_iter()
                .rev()
                .map(|decision| {
                    let run = decision.run.map(|run| format!("{run}: ")).unwrap_or_default();
                    let text = format!("{run}{}", in_a_line(&decision.text, TEXT));
                    Decision { at: decision.at, text }
                })
                .collect(),
            remedy: reason.remedy,
        }
    }
}

fn looked_at(on: &[Trigger], guard: Option<&Condition>) -> Vec<String> {
    let mut checks: BTreeSet<CheckName> = BTreeSet::new();
    for trigger in on {
        match trigger {
            Trigger::When(condition) => checks.extend(condition.checks()),
            Trigger::Match { source, .. } => drop(checks.insert(source.clone())),
            Trigger::Changed { check, .. } => drop(checks.insert(check.clone())),
        }
    }
    checks.extend(guard.into_iter().flat_map(Condition::checks));
    checks.into_iter().map(|check| check.to_string()).collect()
}
