//! An incident: a card on the page, and a page of its own that tells it as one story.

use askama::Template;
use lictor_core::{Event, Incident};

use super::model::{Entry, TEXT};
use super::story::Story;
use super::{Part, render};
use crate::View;
use crate::web::Site;
use crate::web::error::Failure;
use crate::web::text::{ago, span, utc, visible};

#[derive(Debug)]
pub(super) struct IncidentCard {
    pub(super) id: String,
    pub(super) check: String,
    pub(super) status: &'static str,
    pub(super) escalated: bool,
    /// `open for 3m 2s` or `closed 5m ago after 40s`.
    pub(super) when: String,
    pub(super) summary: String,
    /// The latest entries, oldest first.
    pub(super) timeline: Vec<Entry>,
}

impl IncidentCard {
    /// Shows the last `limit` of `events`.
    pub(super) fn new(incident: &Incident, view: &View, events: &[(u64, Event)], limit: usize) -> Self {
        let earlier = events.len().saturating_sub(limit);
        Self {
            id: incident.id.to_string(),
            check: incident.check.to_string(),
            status: incident.status.as_str(),
            escalated: incident.escalated,
            when: when(incident, view),
            summary: visible(&incident.summary, TEXT),
            timeline: events.iter().skip(earlier).map(|(_, event)| Entry::new(event).inside()).collect(),
        }
    }
}

/// `open for 3m 2s` or `closed 5m ago after 40s`.
pub(super) fn when(incident: &Incident, view: &View) -> String {
    let lasted = |end: lictor_core::Now| span(end.boot.since(incident.opened.boot));
    match incident.closed {
        None => format!("open for {}", lasted(view.at)),
        Some(at) => format!("closed {} after {}", ago(at, view.at), lasted(at)),
    }
}

/// The page of one incident.
#[derive(Template)]
#[template(path = "incident.html")]
struct IncidentPage {
    title: String,
    tone: &'static str,
    story: Story,
}

pub(super) async fn part(site: &Site, view: &View, incident: &Incident) -> Result<Part, Failure> {
    let story = Story::gather(site, view, incident).await?;
    let open = incident.closed.is_none();
    let title = format!("Incident {}: {}, opened {}", incident.id, incident.check, utc(incident.opened.wall));
    let page = IncidentPage { title: title.clone(), tone: if open { "bad" } else { "good" }, story };
    render(&page, title, open)
}
