//! An incident with its timeline: a card on the page, and a page of its own.

use askama::Template;
use lictor_core::{Event, Incident};

use super::model::{Entry, TEXT};
use super::{Part, render};
use crate::View;
use crate::web::error::Failure;
use crate::web::history::EventQuery;
use crate::web::text::{ago, span, utc, visible};
use crate::web::{Site, explain};

#[derive(Debug)]
pub(super) struct IncidentCard {
    pub(super) id: String,
    pub(super) check: String,
    pub(super) status: &'static str,
    pub(super) escalated: bool,
    /// `open for 3m 2s` or `closed 5m ago after 40s`.
    pub(super) when: String,
    pub(super) summary: String,
    /// Whether the timeline begins earlier than what is shown of it.
    pub(super) earlier: bool,
    /// Oldest first.
    pub(super) timeline: Vec<Entry>,
}

impl IncidentCard {
    /// Shows the last `limit` of `events`.
    pub(super) fn new(incident: &Incident, view: &View, events: &[(u64, Event)], limit: usize) -> Self {
        let lasted = |end: lictor_core::Now| span(end.boot.since(incident.opened.boot));
        let when = match incident.closed {
            None => format!("open for {}", lasted(view.at)),
            Some(at) => format!("closed {} after {}", ago(at, view.at), lasted(at)),
        };
        let earlier = events.len().saturating_sub(limit);
        Self {
            id: incident.id.to_string(),
            check: incident.check.to_string(),
            status: incident.status.as_str(),
            escalated: incident.escalated,
            when,
            summary: visible(&incident.summary, TEXT),
            earlier: earlier > 0,
            timeline: events.iter().skip(earlier).map(|(_, event)| Entry::new(event).inside()).collect(),
        }
    }
}

/// The page of one incident.
#[derive(Template)]
#[template(path = "incident.html")]
struct IncidentPage {
    title: String,
    tone: &'static str,
    incident: IncidentCard,
    more: bool,
    /// Why remedies did or did not start.
    why: Option<String>,
}

/// Entries shown on the page of an incident.
const TIMELINE: usize = 1_000;

pub(super) async fn part(site: &Site, view: &View, incident: &Incident) -> Result<Part, Failure> {
    let query = EventQuery { incident: Some(incident.id), limit: TIMELINE + 1, ..EventQuery::default() };
    let mut events = site.archive.events(query).await?;
    let more = events.len() > TIMELINE;
    events.truncate(TIMELINE);
    // A check that is no longer configured cannot be explained; its past can be shown.
    let why = explain::explain(view, &site.archive, incident.check.as_str()).await.ok();
    let card = IncidentCard::new(incident, view, &events, TIMELINE);
    let open = incident.closed.is_none();
    let title = format!("Incident {}: {}, opened {}", incident.id, incident.check, utc(incident.opened.wall));
    let page = IncidentPage {
        title: title.clone(),
        tone: if open { "bad" } else { "good" },
        incident: card,
        more,
        why: why.map(explain::Explanation::into_text),
    };
    render(&page, title, open)
}
