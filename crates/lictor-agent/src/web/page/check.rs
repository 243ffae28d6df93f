//! A check: a row of the table, and a page of its own.

use askama::Template;
use lictor_core::alert::{Silence, Subject};
use lictor_core::{Check, CheckName, Now, Status};

use super::alert::{self, AlertRow};
use super::model::Entry;
use super::record::RecordView;
use super::{Part, render};
use crate::web::error::Failure;
use crate::web::history::EventQuery;
use crate::web::text::{ago, clock, rfc3339, span, utc, visible};
use crate::web::{Site, explain};
use crate::{Past, View};

/// What a check is shown with besides how it stands.
pub(super) struct Around {
    node: String,
    past: Past,
    windows: Vec<Silence>,
}

impl Around {
    /// Asks for it, as of that moment.
    pub(super) async fn gather(site: &Site, now: Now) -> Self {
        let desk = site.alerts.view().await.ok();
        let windows = site.past.windows(desk.as_deref(), now);
        Self { node: site.node.clone(), past: site.past.clone(), windows }
    }

    /// Whether a window of maintenance is open for it.
    pub(super) fn maintains(&self, check: &CheckName) -> bool {
        !self.windows.is_empty() && {
            let subject = Subject::own(&self.node, check.as_str());
            self.windows.iter().any(|window| window.when.hold(&subject))
        }
    }
}

#[derive(Debug)]
pub(super) struct CheckRow {
    pub(super) name: String,
    pub(super) status: &'static str,
    pub(super) flapping: bool,
    /// Whether nobody is told of it because a window of maintenance is open.
    pub(super) maintenance: bool,
    pub(super) since: String,
    pub(super) lasts: String,
    pub(super) summary: String,
    /// Results that speak for a change: `2 of 3 bad`.
    pub(super) streak: Option<String>,
    /// The last results, oldest first.
    pub(super) recent: Vec<&'static str>,
    pub(super) recent_text: String,
    /// How it stood until now.
    pub(super) record: RecordView,
}

/// Longest summary shown, characters.
const SUMMARY: usize = 240;

impl CheckRow {
    pub(super) fn new(name: &CheckName, check: &Check, view: &View, around: &Around) -> Self {
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
            maintenance: around.maintains(name),
            since: rfc3339(check.since.wall),
            lasts: span(view.at.boot.since(check.since.boot)),
            summary,
            streak,
            recent,
            recent_text,
            record: around.past.of(name, view.at.wall).as_ref().map(RecordView::new).unwrap_or_default(),
        }
    }
}

/// The page of one check.
#[derive(Template)]
#[template(path = "check.html")]
struct CheckPage {
    title: String,
    tone: &'static str,
    check: CheckRow,
    /// What people are told of it.
    alert: Option<AlertRow>,
    /// When the last result came.
    looked: String,
    /// What was measured: names and values.
    values: Vec<(String, String)>,
    /// The last results, newest first.
    results: Vec<ResultRow>,
    /// What it is judged by, and why remedies did or did not start.
    why: String,
    /// What happened to it, newest first.
    events: Vec<Entry>,
}

/// One of the last results.
#[derive(Debug)]
struct ResultRow {
    at: String,
    utc: String,
    clock: String,
    status: &'static str,
    summary: String,
}

/// Entries shown on the page of a check.
const EVENTS: usize = 100;

pub(super) async fn part(site: &Site, view: &View, name: &CheckName, check: &Check) -> Result<Part, Failure> {
    let why = explain::explain(view, &site.archive, name.as_str()).await?.into_text();
    let query = EventQuery { check: Some(name.clone()), ..EventQuery::newest(EVENTS) };
    let events = site.archive.events(query).await?;
    let title = format!("{name} is {} · {}", check.status, site.node);
    let values = check.last.iter().flat_map(|(_, sample)| &sample.values);
    let page = CheckPage {
        title: title.clone(),
        tone: match check.status {
            Status::Passing => "good",
            Status::Warning | Status::Unknown => "warn",
            Status::Critical => "bad",
        },
        check: CheckRow::new(name, check, view, &Around::gather(site, view.at).await),
        alert: alert::of_check(site, name.as_str()).await,
        looked: check.last.as_ref().map_or_else(|| "never".to_owned(), |(at, _)| ago(*at, view.at)),
        values: values.map(|(name, value)| (name.to_string(), visible(&value.to_string(), 120))).collect(),
        results: check
            .recent
            .iter()
            .rev()
            .map(|(at, status, summary)| ResultRow {
                at: rfc3339(at.wall),
                utc: utc(at.wall),
                clock: clock(at.wall),
                status: status.as_str(),
                summary: visible(summary, SUMMARY),
            })
            .collect(),
        why,
        events: events.iter().rev().map(|(_, event)| Entry::new(event)).collect(),
    };
    render(&page, title, check.status == Status::Critical)
}
