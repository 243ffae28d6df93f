//! Checks as JSON.

use std::collections::BTreeMap;

use lictor_core::{CheckName, CheckSource, IncidentId, Now, Span, Status, Value};
use serde::Serialize;

use crate::View;
use crate::web::text::{millis, rfc3339};

/// `GET /v1/checks`.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Checks {
    pub(in crate::web) checks: Vec<Check>,
}

/// One check as it stands.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Check {
    pub(in crate::web) name: String,
    /// The heading that people are shown it under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) group: Option<String>,
    /// `passing`, `warning`, `unknown` or `critical`.
    pub(in crate::web) status: &'static str,
    /// When it came to have the status.
    pub(in crate::web) since: String,
    /// For how long it has had it.
    pub(in crate::web) lasts_ms: u64,
    pub(in crate::web) flapping: bool,
    /// `watcher`, or `checks` for one that is composed of others.
    pub(in crate::web) source: &'static str,
    /// The open incident.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) incident: Option<String>,
    /// The last result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) last: Option<Result>,
    /// Results that speak for a change, not yet enough of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) streak: Option<Streak>,
    /// The last few results, oldest first.
    pub(in crate::web) recent: Vec<Result>,
    /// What it is judged by; only where one check is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) judged_by: Option<CheckPlan>,
}

/// One result of a watcher.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Result {
    pub(in crate::web) at: String,
    pub(in crate::web) status: &'static str,
    pub(in crate::web) summary: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(in crate::web) values: BTreeMap<String, serde_json::Value>,
}

/// Results in a row that speak for a change.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Streak {
    pub(in crate::web) to: &'static str,
    pub(in crate::web) count: u32,
    /// So many are needed.
    pub(in crate::web) needed: u32,
    pub(in crate::web) lasts_ms: u64,
}

/// What a check is judged by.
#[derive(Debug, Serialize)]
pub(in crate::web) struct CheckPlan {
    /// Consecutive results that are not passing, before a passing check changes.
    pub(in crate::web) fail_after: u32,
    /// Consecutive passing results, before a check that is not passing changes.
    pub(in crate::web) pass_after: u32,
    /// For so long it must have been bad before it changes.
    pub(in crate::web) bad_for_ms: u64,
    /// Bad results this soon after the check came to be do not count.
    pub(in crate::web) grace_ms: u64,
    /// Without a result for so long it is `unknown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) stale_after_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) flap: Option<Flap>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) members: Option<Members>,
    /// All of this in words.
    pub(in crate::web) text: String,
}

/// When a check counts as flapping.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Flap {
    pub(in crate::web) changes: u32,
    pub(in crate::web) within_ms: u64,
}

/// What a check is composed of.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Members {
    /// At least so many must be at least as good as the check.
    pub(in crate::web) at_least: usize,
    pub(in crate::web) of: Vec<Member>,
}

/// One of the checks a check is composed of.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Member {
    pub(in crate::web) check: String,
    pub(in crate::web) status: &'static str,
}

impl Check {
    /// `incident` is its open incident.
    pub(in crate::web) fn new(
        name: &CheckName,
        check: &lictor_core::Check,
        incident: Option<IncidentId>,
        view: &View,
    ) -> Self {
        let plan = view.plan.checks.get(name);
        let source = match plan.map(|plan| &plan.source) {
            Some(CheckSource::Checks { .. }) => "checks",
            Some(CheckSource::Watcher) | None => "watcher",
        };
        let last = check.last.as_ref().map(|(at, sample)| {
            let values = sample.values.iter().map(|(name, value)| (name.to_string(), json(value)));
            Result { values: values.collect(), ..Result::new(*at, sample.status, &sample.summary) }
        });
        let recent = check.recent.iter().map(|(at, status, summary)| Result::new(*at, *status, summary));
        Self {
            name: name.to_string(),
            group: plan.and_then(|plan| plan.group.as_deref()).map(str::to_owned),
            status: check.status.as_str(),
            since: rfc3339(check.since.wall),
            lasts_ms: millis(view.at.boot.since(check.since.boot)),
            flapping: check.flapping,
            source,
            incident: incident.map(|id| id.to_string()),
            last,
            streak: plan.and_then(|plan| Streak::new(check, plan, view)),
            recent: recent.collect(),
            judged_by: None,
        }
    }

    #[must_use]
    pub(in crate::web) fn with_plan(self, name: &CheckName, view: &View) -> Self {
        let judged_by = view.plan.checks.get(name).map(|plan| CheckPlan::new(plan, view));
        Self { judged_by, ..self }
    }
}

impl Result {
    pub(in crate::web) fn new(at: Now, status: Status, summary: &str) -> Self {
        Self {
            at: rfc3339(at.wall),
            status: status.as_str(),
            summary: summary.to_owned(),
            values: BTreeMap::new(),
        }
    }
}

impl Streak {
    fn new(check: &lictor_core::Check, plan: &lictor_core::CheckPlan, view: &View) -> Option<Self> {
        let streak = check.streak?;
        let passes = streak.to == Status::Passing;
        let needed = if passes { plan.pass_after.get() } else { plan.fail_after.get() };
        Some(Self {
            to: streak.to.as_str(),
            count: streak.count,
            needed,
            lasts_ms: millis(view.at.boot.since(streak.since)),
        })
    }
}

impl CheckPlan {
    pub(in crate::web) fn new(plan: &lictor_core::CheckPlan, view: &View) -> Self {
        let members = match &plan.source {
            CheckSource::Watcher => None,
            CheckSource::Checks { at_least, of } => {
                let member = |name: &CheckName| Member {
                    check: name.to_string(),
                    status: view.checks.get(name).map_or(Status::Unknown, |check| check.status).as_str(),
                };
                Some(Members { at_least: *at_least, of: of.iter().map(member).collect() })
            }
        };
        let flap = plan.flap.map(|flap| Flap { changes: flap.changes.get(), within_ms: millis(flap.within) });
        Self {
            fail_after: plan.fail_after.get(),
            pass_after: plan.pass_after.get(),
            bad_for_ms: millis(plan.bad_for),
            grace_ms: millis(plan.grace),
            stale_after_ms: plan.stale_after.map(millis),
            flap,
            members,
            text: describe(plan),
        }
    }
}

/// What a check is judged by, in words.
fn describe(plan: &lictor_core::CheckPlan) -> String {
    let mut parts = Vec::new();
    if let CheckSource::Checks { at_least, of } = &plan.source {
        let all = of.len();
        let names = of.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        parts.push(match *at_least {
            1 => format!("passes when any of {all} checks does ({names})"),
            least if least == all => format!("passes when all of {all} checks do ({names})"),
            least => format!("passes when at least {least} of {all} checks do ({names})"),
        });
    }
    let in_a_row = |count: u32, what: &str| match count {
        1 => format!("1 {what} result"),
        more => format!("{more} {what} results in a row"),
    };
    parts.push(format!("fails after {}", in_a_row(plan.fail_after.get(), "bad")));
    if !plan.bad_for.is_zero() {
        parts.push(format!("over at least {}", Span(plan.bad_for)));
    }
    parts.push(format!("passes after {}", in_a_row(plan.pass_after.get(), "good")));
    if !plan.grace.is_zero() {
        parts.push(format!("bad results in its first {} do not count", Span(plan.grace)));
    }
    if let Some(stale) = plan.stale_after {
        parts.push(format!("is unknown without a result for {}", Span(stale)));
    }
    if let Some(flap) = plan.flap {
        parts.push(format!("flaps at {} changes within {}", flap.changes, Span(flap.within)));
    }
    parts.join("; ")
}

fn json(value: &Value) -> serde_json::Value {
    match value {
        // Infinity and NaN have no form in JSON.
        Value::Number(number) => {
            serde_json::Number::from_f64(*number).map_or(serde_json::Value::Null, Into::into)
        }
        Value::Text(text) => text.clone().into(),
    }
}
