//! What is copied between datacenters on the page: how far each copy is, and deletes that wait for a person.

use std::cmp::Reverse;

use askama::Template;
use lictor_core::replicate::Held;
use lictor_core::{Now, Status};

use super::model::TEXT;
use super::{Part, render};
use crate::replicate::{CopyView, Phase, verdict, words};
use crate::web::Site;
use crate::web::error::Failure;
use crate::web::text::{count, rfc3339, since, span, thousands, visible};

/// Copies shown on the overview without `?all`, and on the page of their own.
const FEW: usize = 20;
const MOST: usize = 500;

/// The section of the copies.
#[derive(Debug, Default)]
pub(super) struct Section {
    /// The worst first, then in the order of the configuration.
    pub(super) rows: Vec<CopyRow>,
    /// So many more.
    pub(super) more: usize,
}

/// One prefix on its way to one datacenter.
#[derive(Debug)]
pub(super) struct CopyRow {
    pub(super) name: String,
    pub(super) prefix: String,
    /// Empty: the datacenter of the agent.
    pub(super) to: String,
    pub(super) status: Status,
    /// What is being done.
    pub(super) phase: &'static str,
    /// How it stands, in words; empty where what is held back says it.
    pub(super) said: String,
    /// How far it is behind, in words.
    pub(super) lag: String,
    /// When all was last as it should be, for programs and in words.
    pub(super) latest: Option<(String, String)>,
    /// What is there and what was done, in words.
    pub(super) done: String,
    /// The first keys that could not be copied, and why.
    pub(super) refused: Vec<(String, String)>,
    pub(super) held: Option<HeldRow>,
    /// What it would do, where it is only to say so.
    pub(super) would: Option<String>,
}

/// Deletes that wait for a person.
#[derive(Debug)]
pub(super) struct HeldRow {
    pub(super) id: String,
    pub(super) why: String,
    /// How many, in words.
    pub(super) keys: String,
    pub(super) lasts: String,
    /// The first of them.
    pub(super) named: Vec<String>,
    /// How many more, in words.
    pub(super) more: Option<String>,
    /// Whether this node carries out what is said of them.
    pub(super) here: bool,
}

impl Section {
    pub(super) fn new(views: &[CopyView], now: Now, all: bool) -> Self {
        Self::of(views, now, if all { MOST } else { FEW })
    }

    fn of(views: &[CopyView], now: Now, most: usize) -> Self {
        let mut rows: Vec<_> = views.iter().map(|view| CopyRow::new(view, now)).collect();
        rows.sort_by_key(|row| Reverse(row.status));
        let more = rows.len().saturating_sub(most);
        rows.truncate(most);
        Self { rows, more }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn worst(&self) -> Status {
        self.rows.first().map_or(Status::Unknown, |row| row.status)
    }
}

impl CopyRow {
    fn new(view: &CopyView, now: Now) -> Self {
        let state = &view.state;
        let (status, said) = verdict(view, now.boot);
        let elsewhere = matches!(state.phase, Phase::Standby(_));
        let known = state.known || status != Status::Passing;
        // What is held back is shown with its buttons; the words of the alert say what to type.
        let said = match (&state.held, said.split_once("; `lictor ")) {
            (Some(_), Some((_said, _help))) => String::new(),
            _ => said,
        };
        let lag = match (state.behind, state.pending) {
            _ if elsewhere => "another node knows".to_owned(),
            (None, _) if !state.known => "not known yet".to_owned(),
            (None, _) => "none".to_owned(),
            (Some(behind), 0) => span(now.boot.since(behind)),
            (Some(behind), pending) => {
                format!("{}, {} to write", span(now.boot.since(behind)), keys(pending))
            }
        };
        let tally = state.tally;
        let there = match elsewhere {
            true => String::new(),
            false if state.copies as u64 > tally.rows => {
                let source = number(tally.rows);
                format!("{} there, {source} at the source; ", count(state.copies, "key"))
            }
            false => format!("{} of {} there; ", thousands(state.copies), keys(tally.rows)),
        };
        let done = format!(
            "{there}{} written and {} deleted since this node took it up",
            number(tally.written),
            number(tally.deleted)
        );
        Self {
            name: view.config.name.to_string(),
            prefix: visible(&view.prefix.to_string(), TEXT),
            to: visible(&view.to, 130),
            status: if known { status } else { Status::Unknown },
            phase: state.phase.word(),
            said: visible(&said, TEXT),
            lag,
            latest: state.latest.map(|at| (rfc3339(at), since(at, now.wall))),
            done,
            refused: state
                .refused
                .1
                .iter()
                .map(|(key, why)| (visible(key, TEXT), visible(why, TEXT)))
                .collect(),
            held: state.held.as_ref().map(|held| HeldRow::new(held, now, !elsewhere)),
            would: view.config.dry_run.then(|| {
                format!("It would write {} and delete {}.", keys(state.would.write), keys(state.would.delete))
            }),
        }
    }
}

impl HeldRow {
    fn new(held: &Held, now: Now, here: bool) -> Self {
        let more = held.keys.saturating_sub(held.named.len() as u64);
        Self {
            id: held.id.clone(),
            why: visible(&words(&held.why), TEXT),
            keys: match held.keys {
                1 => "1 delete is".to_owned(),
                several => format!("{} deletes are", number(several)),
            },
            lasts: span(now.boot.since(held.since)),
            named: held.named.iter().map(|key| visible(key, TEXT)).collect(),
            more: (more > 0).then(|| format!("and {} more", number(more))),
            here,
        }
    }
}

fn number(number: u64) -> String {
    thousands(usize::try_from(number).unwrap_or(usize::MAX))
}

fn keys(number: u64) -> String {
    count(usize::try_from(number).unwrap_or(usize::MAX), "key")
}

/// The page of the copies.
#[derive(Template)]
#[template(path = "replication.html")]
struct ReplicationPage {
    title: String,
    tone: &'static str,
    replication: Section,
}

pub(super) fn part(site: &Site, now: Now) -> Result<Part, Failure> {
    let replication = Section::of(&site.replication.all(), now, MOST);
    let worst = replication.worst();
    let tone = match worst {
        Status::Passing => "good",
        Status::Warning | Status::Unknown => "warn",
        Status::Critical => "bad",
    };
    let title = format!("Replication · {}", site.node);
    render(&ReplicationPage { title: title.clone(), tone, replication }, title, worst == Status::Critical)
}
