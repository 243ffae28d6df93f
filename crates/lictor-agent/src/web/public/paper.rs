//! What is given out: the page, the feed, the badges and the JSON, each with a tag that changes with it.

use std::collections::BTreeMap;

use askama::Template;
use bytes::Bytes;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::shown::{Announced, Group, Shown, State, Trouble};
use super::spell::{feed_time, headline, minute, trouble};
use crate::past::{DAYS, WINDOWS, share};
use crate::web::asset::{ASSETS, Assets};
use crate::web::page::{Bar, RecordView, day, percent};
use crate::web::text::rfc3339;

/// One thing that is given out.
#[derive(Debug)]
pub(super) struct Paper {
    kind: &'static str,
    body: Bytes,
    tag: String,
}

impl Paper {
    fn new(kind: &'static str, body: String) -> Self {
        let digest = Sha256::digest(&body);
        let hash: String = digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
        Self { kind, body: body.into(), tag: format!("\"{hash}\"") }
    }

    pub(super) fn kind(&self) -> &'static str {
        self.kind
    }

    pub(super) fn body(&self) -> Bytes {
        self.body.clone()
    }

    pub(super) fn tag(&self) -> &str {
        &self.tag
    }
}

/// All that is given out.
#[derive(Debug)]
pub(super) struct Papers {
    front: Paper,
    json: Paper,
    feed: Paper,
    badges: BTreeMap<String, Paper>,
}

impl Papers {
    /// Writes all of it. `None`: it could not be written, which is a mistake in the program.
    pub(super) fn print(shown: &Shown) -> Option<Self> {
        let badge = |group: &Group| {
            let paper = Paper::new("image/svg+xml", Badge::new(group).render().ok()?);
            Some((group.slug.clone(), paper))
        };
        Some(Self {
            front: Paper::new("text/html; charset=utf-8", Front::new(shown).render().ok()?),
            json: Paper::new("application/json", serde_json::to_string(&Document::new(shown)).ok()?),
            feed: Paper::new("application/rss+xml; charset=utf-8", Feed::new(shown).render().ok()?),
            badges: shown.groups.iter().map(badge).collect::<Option<_>>()?,
        })
    }

    pub(super) fn front(&self) -> &Paper {
        &self.front
    }

    pub(super) fn json(&self) -> &Paper {
        &self.json
    }

    pub(super) fn feed(&self) -> &Paper {
        &self.feed
    }

    /// The badge of a group, by its name in addresses.
    pub(super) fn badge(&self, slug: &str) -> Option<&Paper> {
        self.badges.get(slug)
    }
}

#[derive(Template)]
#[template(path = "status.html")]
struct Front<'a> {
    assets: &'a Assets,
    shown: &'a Shown,
    state: State,
    headline: String,
    groups: Vec<(&'a Group, Option<RecordView>)>,
    open: Vec<(&'a Trouble, String)>,
    over: Vec<(&'a Trouble, String)>,
    announcements: Vec<(&'a Announced, String)>,
}

impl<'a> Front<'a> {
    fn new(shown: &'a Shown) -> Self {
        let (open, over): (Vec<_>, Vec<_>) =
            shown.troubles.iter().map(|one| (one, trouble(one))).partition(|(one, _)| one.until.is_none());
        let record = |group: &'a Group| {
            (group, group.record.as_ref().map(RecordView::new).filter(RecordView::is_known))
        };
        let when = |one: &Announced| match (one.from, one.until) {
            (None, None) => String::new(),
            (Some(from), None) => format!("since {}", minute(from)),
            (None, Some(until)) => format!("until {}", minute(until)),
            (Some(from), Some(until)) => format!("from {} to {}", minute(from), minute(until)),
        };
        Self {
            assets: &ASSETS,
            shown,
            state: shown.worst(),
            headline: headline(shown),
            groups: shown.groups.iter().map(record).collect(),
            open,
            over,
            announcements: shown.announcements.iter().map(|one| (one, when(one))).collect(),
        }
    }
}

#[derive(Template)]
#[template(path = "feed.xml")]
struct Feed<'a> {
    title: &'a str,
    link: &'a str,
    description: String,
    items: Vec<Item>,
}

/// One entry of the feed.
struct Item {
    id: String,
    title: String,
    text: String,
    at: Option<String>,
}

impl<'a> Feed<'a> {
    fn new(shown: &'a Shown) -> Self {
        let announced = shown.announcements.iter().map(|one| Item {
            id: format!("announcement-{:016x}", short(&[&one.title, &one.text])),
            title: one.title.clone(),
            text: one.text.clone(),
            at: one.from.and_then(feed_time),
        });
        let troubles = shown.troubles.iter().map(|one| Item {
            // Its beginning is measured and may move a little when it is over; its incident stays, and is not told.
            id: format!("trouble-{}-{}", one.slug, short(&[&one.slug, &one.incident.to_string()])),
            title: match one.until {
                None => format!("{}: trouble", one.group),
                Some(_) => format!("{}: trouble, over", one.group),
            },
            text: match one.until {
                None => format!("{} has trouble {}.", one.group, trouble(one)),
                Some(_) => format!("{} had trouble {}.", one.group, trouble(one)),
            },
            at: feed_time(one.from),
        });
        Self {
            title: &shown.title,
            link: shown.url.as_deref().unwrap_or("/"),
            description: shown
                .description
                .clone()
                .unwrap_or_else(|| format!("{}: what is wrong", shown.title)),
            items: announced.chain(troubles).collect(),
        }
    }
}

fn short(texts: &[&str]) -> u64 {
    let digest = texts.iter().fold(Sha256::new(), |all, text| all.chain_update(text).chain_update([0]));
    digest.finalize().first_chunk::<8>().map_or(0, |start| u64::from_be_bytes(*start))
}

#[derive(Template)]
#[template(path = "badge.svg")]
struct Badge<'a> {
    name: &'a str,
    said: String,
    left: usize,
    right: usize,
    colour: &'static str,
}

impl<'a> Badge<'a> {
    fn new(group: &'a Group) -> Self {
        let share = group.record.as_ref().and_then(|record| share(&record.windows[3]));
        let said = match share {
            Some(_) => format!("{}, {} in 90 d", group.state.word(), percent(share)),
            None => group.state.word().to_owned(),
        };
        // The width of a letter of the font that most have, and room at both ends.
        let width = |text: &str| text.chars().count() * 7 + 14;
        let colour = match group.state {
            State::Up => "#15803d",
            State::Maintenance | State::Unknown => "#4b5a8a",
            State::Degraded => "#a15c07",
            State::Down => "#c4232b",
        };
        Self { left: width(&group.name), right: width(&said), name: &group.name, said, colour }
    }
}

/// The same for programs.
#[derive(Serialize)]
struct Document<'a> {
    title: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    state: &'static str,
    groups: Vec<GroupDocument<'a>>,
    troubles: Vec<TroubleDocument<'a>>,
    announcements: Vec<AnnouncedDocument<'a>>,
}

#[derive(Serialize)]
struct GroupDocument<'a> {
    name: &'a str,
    slug: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    state: &'static str,
    parts: Vec<PartDocument<'a>>,
    /// By window: the share in which it was up.
    up_share: BTreeMap<&'static str, f64>,
    days: Vec<DayDocument>,
}

#[derive(Serialize)]
struct PartDocument<'a> {
    name: &'a str,
    state: &'static str,
}

#[derive(Serialize)]
struct DayDocument {
    day: String,
    worst: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    up_share: Option<f64>,
}

#[derive(Serialize)]
struct TroubleDocument<'a> {
    group: &'a str,
    from: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
}

#[derive(Serialize)]
struct AnnouncedDocument<'a> {
    title: &'a str,
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
}

impl<'a> Document<'a> {
    fn new(shown: &'a Shown) -> Self {
        let troubles = shown.troubles.iter().map(|one| TroubleDocument {
            group: &one.group,
            from: rfc3339(one.from),
            until: one.until.map(rfc3339),
        });
        let announcements = shown.announcements.iter().map(|one| AnnouncedDocument {
            title: &one.title,
            text: &one.text,
            from: one.from.map(rfc3339),
            until: one.until.map(rfc3339),
        });
        Self {
            title: &shown.title,
            description: shown.description.as_deref(),
            state: shown.worst().word(),
            groups: shown.groups.iter().map(GroupDocument::new).collect(),
            troubles: troubles.collect(),
            announcements: announcements.collect(),
        }
    }
}

impl<'a> GroupDocument<'a> {
    fn new(group: &'a Group) -> Self {
        let windows = group.record.iter().flat_map(|record| WINDOWS.into_iter().zip(&record.windows));
        let days = group.record.iter().flat_map(|record| {
            record.days.iter().enumerate().filter_map(|(at, stood)| {
                let stood = stood.as_ref()?;
                let day = day(record.today, DAYS - 1 - at);
                Some(DayDocument { day, worst: Bar::of(Some(stood)).class(), up_share: share(stood) })
            })
        });
        Self {
            name: &group.name,
            slug: &group.slug,
            description: group.description.as_deref(),
            state: group.state.word(),
            parts: group
                .parts
                .iter()
                .map(|(name, state)| PartDocument { name, state: state.word() })
                .collect(),
            up_share: windows.filter_map(|(name, stood)| Some((name, share(stood)?))).collect(),
            days: days.collect(),
        }
    }
}
