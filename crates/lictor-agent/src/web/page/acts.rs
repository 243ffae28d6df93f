//! The page of the record of acts: who asked for what, and what became of it.

use askama::Template;
use lictor_store::{ActEnd, ActRecord};

use super::{Part, render};
use crate::web::error::Failure;
use crate::web::text::{rfc3339, utc, visible};
use crate::web::{Site, audit};

/// Acts shown at once.
const MOST: usize = 100;

/// Longest text, characters; what is recorded is shorter.
const TEXT: usize = 1_000;

/// The page.
#[derive(Template)]
#[template(path = "audit.html")]
struct ActsPage {
    title: String,
    tone: &'static str,
    acts: Vec<Shown>,
    /// Whether others came after these.
    older: bool,
    /// Where the next older ones begin.
    before: Option<u64>,
}

/// One act.
#[derive(Debug)]
struct Shown {
    number: u64,
    at: String,
    utc: String,
    by: String,
    door: String,
    from: String,
    what: String,
    detail: String,
    end: &'static str,
    tone: &'static str,
    of: Option<u64>,
    said: String,
}

impl From<ActRecord> for Shown {
    fn from(ActRecord { number, act, .. }: ActRecord) -> Self {
        let shown = |text: &str| visible(text, TEXT);
        Self {
            number,
            at: rfc3339(act.at.wall),
            utc: utc(act.at.wall),
            by: shown(&act.by),
            door: shown(&act.door),
            from: shown(&act.from),
            what: shown(&act.what),
            detail: shown(&act.detail),
            end: audit::word(act.end),
            tone: match act.end {
                ActEnd::Done => "passing",
                ActEnd::Begun | ActEnd::Unclear => "unknown",
                ActEnd::Refused => "warning",
                ActEnd::Failed => "critical",
            },
            of: act.of,
            said: shown(&act.said),
        }
    }
}

/// Those before a number, or the latest.
pub(super) async fn part(site: &Site, before: Option<u64>) -> Result<Part, Failure> {
    let mut found = audit::read(site, move |acts| acts.list(before, MOST + 1)).await?;
    let more = found.len() > MOST;
    found.truncate(MOST);
    let last = found.last().map(|act| act.number).filter(|_| more);
    let title = format!("Who asked for what · {}", site.node);
    let acts = found.into_iter().map(Into::into).collect();
    let page = ActsPage { title: title.clone(), tone: "note", acts, older: before.is_some(), before: last };
    render(&page, title, false)
}
