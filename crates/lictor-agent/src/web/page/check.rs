//! A check as a row of the table.

use lictor_core::{Check, CheckName, Status};

use crate::View;
use crate::web::text::{rfc3339, span, visible};

#[derive(Debug)]
pub(super) struct CheckRow {
    pub(super) name: String,
    pub(super) status: &'static str,
    pub(super) flapping: bool,
    pub(super) since: String,
    pub(super) lasts: String,
    pub(super) summary: String,
    /// Results that speak for a change: `2 of 3 bad`.
    pub(super) streak: Option<String>,
    /// The last results, oldest first.
    pub(super) recent: Vec<&'static str>,
    pub(super) recent_text: String,
}

/// Longest summary shown, characters.
const SUMMARY: usize = 240;

impl CheckRow {
    pub(super) fn new(name: &CheckName, check: &Check, view: &View) -> Self {
        let summary = match &check.last {
            Some((_, sample)) => visible(&sample.summary, SUMMARY),
            None => "no result yet".to_owned(),
        };
        let streak = check.streak.zip(view.plan.checks.get(name)).and_then(|(streak, plan)| {
            let passes = streak.to == Status::Passing;
            let needed = if passes { plan.pass_after.get() } else { plan.fail_after.get() };
            let word = if passes { "good" } else { "bad" };
            (streak.count < needed).then(|| format!("{} of {needed} {word}", streak.count))
        });
        let recent: Vec<_> = check.recent.iter().map(|(_, status, _)| status.as_str()).collect();
        let recent_text = match recent.len() {
            0 => "no results".to_owned(),
            _ => format!("last results, oldest first: {}", recent.join(", ")),
        };
        Self {
            name: name.to_string(),
            status: check.status.as_str(),
            flapping: check.flapping,
            since: rfc3339(check.since.wall),
            lasts: span(view.at.boot.since(check.since.boot)),
            summary,
            streak,
            recent,
            recent_text,
        }
    }
}
