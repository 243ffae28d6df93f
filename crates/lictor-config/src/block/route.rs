//! `route ["NAME"] { … }`: which alerts are told by whom.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr as _;
use std::time::Duration;

use lictor_core::alert::{Matchers, Route};
use lictor_core::{NotifierName, RouteName, Status};

use super::alerts::{self, Receivers};
use crate::code::Code;
use crate::problem::Draft;
use crate::reader::{Decoder, Reader};
use crate::schema::{Attribute, BlockType, Bodies, Kind, LONGEST, Schema};
use crate::syntax::canonical;
use crate::syntax::tree::{Block, Is};

pub(super) static BLOCK: BlockType =
    BlockType { name: "route", labels: &["[NAME]"], repeats: true, bodies: Bodies::One(&SCHEMA) };

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

/// The statuses of which somebody can be told.
const STATUSES: [&str; 3] = ["critical", "warning", "unknown"];

static SCHEMA: Schema = Schema {
    doc: "Which alerts are told by whom. Routes are asked in the order in which they are written, file by \
          file in the order of their names: the first that fits takes an alert. Without any route every \
          notifier tells everything. A route without a name is called after those it leads to.",
    groups: &[
        alerts::ATTRIBUTES,
        &[
            Attribute::new(
                "status",
                Kind::Texts,
                "In which statuses it takes alerts: `critical`, `warning`, `unknown`. Whom it told of one that is in another status now hears that it is over.",
            )
            .default_words("all three"),
            Attribute::new("to", Kind::Texts, "The notifiers that tell them; `[]` tells nobody.").required(),
            Attribute::new(
                "group_by",
                Kind::Texts,
                "Alerts that differ in one of these labels do not share a message.",
            )
            .default_words("all share one"),
            Attribute::new(
                "group_wait",
                Kind::Duration(Duration::ZERO, HOUR),
                "So long the first alert of a group waits for others.",
            )
            .default("1s"),
            Attribute::new(
                "group_interval",
                Kind::Duration(Duration::ZERO, Duration::from_secs(86_400)),
                "Shortest time from one message of a group to the next.",
            )
            .default("15s"),
            Attribute::new(
                "remind_every",
                Kind::Duration(SECOND, LONGEST),
                "How often it is told again while it lasts.",
            )
            .default_words("not at all"),
            Attribute::new("resolved", Kind::Flag, "Whether it is told that it is over.").default("true"),
            Attribute::new(
                "continue",
                Kind::Flag,
                "Whether the routes after it are asked too, for the same alerts.",
            )
            .default("false"),
        ],
    ],
    blocks: &[],
    values: &[],
    example: r#"notify "log" "file" {
  path = "/var/log/lictor/alerts.log"
}

route "databases" {
  service      = ["postgres", "/^redis/"]
  status       = ["critical"]
  to           = ["file"]
  remind_every = "30m"
  continue     = true
  not {
    node = "lab1"
  }
}

route {
  to = ["file"]
}"#,
};

/// All routes, in order. `digests` gets one for each by its name, and one for their order.
pub(super) fn decode(
    decoder: &Decoder<'_>,
    blocks: &[&Block],
    receivers: &Receivers,
    digests: &mut BTreeMap<String, String>,
) -> Vec<Route> {
    alerts::not_twice(decoder, blocks, "route");
    let labels = blocks.iter().filter_map(|block| block.labels.first());
    let mut names: BTreeSet<String> = labels.map(|label| label.is.clone()).collect();
    digests.remove("route");
    let mut routes: Vec<Route> = Vec::new();
    for block in blocks {
        let Some(route) = one(decoder, block, receivers, &mut names) else { continue };
        digests.insert(format!("route {}", route.name), canonical::digest(block));
        let all = |before: &&Route| {
            before.when.0.is_empty() && !before.go_on && before.status.is_superset(&route.status)
        };
        if let Some(all) = routes.iter().find(all) {
            let message =
                format!("no alert comes this far: the route `{}` before it takes them all", all.name);
            let draft = Draft::warning(Code::NeverReached, block.head(), message);
            decoder.add(draft.help("add `continue = true` to that one, or write it last"));
        }
        routes.push(route);
    }
    if !routes.is_empty() {
        let order: Vec<&str> = routes.iter().map(|route| route.name.as_str()).collect();
        digests.insert("routes".to_owned(), canonical::hash(&order.join(" ")));
    }
    routes
}

/// The route of a configuration that has none: every notifier tells everything.
pub(super) fn to_all(notifiers: Vec<NotifierName>) -> Option<Route> {
    Some(Route {
        name: RouteName::new("default").ok()?,
        when: Matchers::default(),
        status: every_status(),
        to: notifiers,
        group_by: Vec::new(),
        group_wait: SECOND,
        group_interval: SECOND * 15,
        remind_every: None,
        resolved: true,
        go_on: false,
    })
}

fn one(
    decoder: &Decoder<'_>,
    block: &Block,
    receivers: &Receivers,
    names: &mut BTreeSet<String>,
) -> Option<Route> {
    let reader = Reader::new(decoder, block, &SCHEMA);
    let to = receivers.read(&reader, "to");
    let name = match block.labels.first() {
        Some(label) => {
            alerts::name(&reader, label);
            RouteName::new(&label.is).ok()
        }
        None => after(&to, names),
    };
    Some(Route {
        when: alerts::matchers(&reader),
        status: status(&reader),
        to,
        group_by: alerts::once(&reader, "group_by"),
        group_wait: reader.duration("group_wait"),
        group_interval: reader.duration("group_interval"),
        remind_every: reader.duration_if("remind_every"),
        resolved: reader.flag("resolved"),
        go_on: reader.flag("continue"),
        // Last, so that the mistakes in all the others are found too.
        name: name?,
    })
}

/// A name for a route without one: that of those it leads to, so that it stays the same when other
/// routes come and go.
fn after(to: &[NotifierName], names: &mut BTreeSet<String>) -> Option<RouteName> {
    let joined = to.iter().map(NotifierName::as_str).collect::<Vec<_>>().join(":");
    let short = joined.len() <= 100;
    let base = if joined.is_empty() {
        "nobody"
    } else if short {
        joined.as_str()
    } else {
        "route"
    };
    let numbered = (2..).map(|number: u32| format!("{base}-{number}"));
    let free = std::iter::once(base.to_owned()).chain(numbered).find(|name| !names.contains(name))?;
    names.insert(free.clone());
    RouteName::new(&free).ok()
}

fn every_status() -> BTreeSet<Status> {
    STATUSES.iter().filter_map(|word| Status::from_str(word).ok()).collect()
}

fn status(reader: &Reader<'_>) -> BTreeSet<Status> {
    let Some(value) = reader.value("status") else { return every_status() };
    if value.is == Is::List(Vec::new()) {
        let draft = Draft::new(Code::Missing, value.span, "`status` is empty: nothing would ever be told");
        reader.decoder.add(draft.help("to tell nobody write `to = []`"));
    }
    let mut found = BTreeSet::new();
    for text in reader.texts("status") {
        if text.is == Status::Passing.as_str() {
            let draft = Draft::new(Code::Word, text.span, "`passing` is nothing that is wrong");
            reader.decoder.add(draft.help("that it is over is told by `resolved = true`"));
        } else if STATUSES.contains(&text.is.as_str()) {
            found.extend(Status::from_str(&text.is));
        } else {
            let draft = Draft::new(Code::Word, text.span, format!("`status` cannot be `{}`", text.is));
            reader.decoder.add_near(draft, &text.is, STATUSES);
        }
    }
    found
}

#[cfg(test)]
mod tests;
