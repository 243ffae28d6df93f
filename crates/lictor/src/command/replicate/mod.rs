//! `lictor replicate`: what an agent copies between datacenters.

pub(crate) mod progress;
mod run;

use lictor_agent::text::one_line;
use serde::Deserialize;
use serde_json::{Value, json};

use super::alerts::{say, without_null};
use super::events::{LIST, local};
use super::incidents::encoded;
use super::status::{count, span};
use super::waiting;
use super::watch::{Pace, Page, look};
use crate::cli::{Replicate as Command, Watched, Word};
use crate::client::{Client, typed};
use crate::exit::{Exit, Failure};
use crate::output::{Terminal, table};
use crate::sheet::About;

#[derive(Deserialize)]
struct Copies {
    node: String,
    copies: Vec<Copy>,
}

#[derive(Deserialize)]
struct Copy {
    name: String,
    prefix: String,
    to: String,
    phase: String,
    why: Option<String>,
    keys: u64,
    pending: u64,
    behind_ms: Option<u64>,
    latest: Option<String>,
    refused: usize,
    #[serde(default)]
    refused_keys: Vec<Refused>,
    held: Option<Held>,
    would: Option<Would>,
}

#[derive(Deserialize)]
struct Refused {
    key: String,
    why: String,
}

#[derive(Deserialize)]
struct Held {
    id: String,
    why: String,
    keys: u64,
    since_ms: u64,
    named: Vec<String>,
}

#[derive(Deserialize)]
struct Would {
    write: u64,
    delete: u64,
}

/// The datacenter of the agent of Consul that is asked, where none is named.
const HERE: &str = "its own";

/// Who copies, which says what a person can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Agent,
    Hand,
}

pub(crate) fn run(command: &Command, terminal: &Terminal) -> Result<(), Failure> {
    match command {
        Command::Run(args) => run::run(args, terminal),
        Command::Status { name, how } => waiting(status(name.as_deref(), how, terminal)),
        Command::Approve(word) => waiting(tell(word, "approve")),
        Command::Discard(word) => waiting(tell(word, "discard")),
    }
}

async fn tell(word: &Word, verb: &str) -> Result<(), Failure> {
    let body = without_null(json!({ "id": word.id, "by": word.by }));
    let path = format!("/v1/replicate/{}/{verb}", encoded(&word.name));
    say(word.agent.format, Client::new(&word.agent)?.post_with(&path, &body).await?)
}

async fn status(name: Option<&str>, how: &Watched, terminal: &Terminal) -> Result<(), Failure> {
    let show = |answer: Value, terminal: &Terminal| {
        let Copies { node, copies } = typed(answer)?;
        let copies: Vec<Copy> =
            copies.into_iter().filter(|copy| name.is_none_or(|name| copy.name == name)).collect();
        match (name, copies.is_empty()) {
            (Some(name), true) => {
                let why = format!("{node} has no block replicate called `{name}`");
                Err(Failure::new(Exit::NotFound, why).help("`lictor replicate status` lists all of them"))
            }
            (None, true) => {
                terminal.say("nothing is copied: there is no block replicate");
                Ok(())
            }
            (_, false) => self::show(&copies, By::Agent),
        }
    };
    let page = Page { path: "/v1/replicate", query: Vec::new(), pace: Pace::Steady, show };
    look(&page, how, terminal).await
}

/// What is copied, for the list of all that is kept in a second place.
pub(super) fn lines(answer: Value) -> Result<Vec<(About, [String; 4])>, Failure> {
    let Copies { copies, .. } = typed(answer)?;
    Ok(copies.iter().map(Copy::line).collect())
}

fn show(copies: &[Copy], by: By) -> Result<(), Failure> {
    let rows = copies.iter().map(|copy| {
        let lag = copy.behind_ms.map_or_else(|| "0".to_owned(), span);
        let keys = match copy.pending {
            0 => copy.keys.to_string(),
            pending => format!("{} ({pending} to write)", copy.keys),
        };
        let latest = copy.latest.as_deref().map_or_else(|| "never".to_owned(), local);
        [
            copy.name.clone(),
            one_line(&copy.prefix, LIST),
            if copy.to.is_empty() { HERE } else { &copy.to }.to_owned(),
            copy.phase.clone(),
            keys,
            lag,
            latest,
        ]
    });
    Terminal::data(&table(
        ["REPLICATE", "PREFIX", "TO", "IS", "KEYS", "BEHIND", "LAST AS IT SHOULD BE"],
        rows,
    ))?;
    copies.iter().try_for_each(|copy| copy.explain(by))
}

impl Copy {
    fn line(&self) -> (About, [String; 4]) {
        let to = if self.to.is_empty() { HERE } else { &self.to };
        let behind = self.behind_ms.map(|millis| format!("{} behind", span(millis)));
        let held =
            self.held.as_ref().map(|held| format!("{} deletes are held back: {}", held.keys, held.why));
        let refused =
            (self.refused > 0).then(|| format!("{} are refused", count(self.refused, "key", "keys")));
        let more: Vec<_> = [self.why.clone(), held, refused, behind].into_iter().flatten().collect();
        let cells = [
            format!("{}: {} to {to}", self.name, one_line(&self.prefix, LIST)),
            self.phase.clone(),
            self.latest.as_deref().map_or_else(|| "never".to_owned(), local),
            one_line(&more.join("; "), LIST),
        ];
        (About::Itself(format!("{} {}", self.name, self.prefix)), cells)
    }

    /// What a person should know or do.
    fn explain(&self, by: By) -> Result<(), Failure> {
        let Self { name, prefix, .. } = self;
        if let Some(why) = &self.why {
            Terminal::data(&format!("\n{name}, {prefix}: {why}"))?;
        }
        if let Some(Would { write, delete }) = &self.would {
            Terminal::data(&format!("\n{name}, {prefix}: it would write {write} keys and delete {delete}"))?;
        }
        if let Some(held) = &self.held {
            let Held { id, why, keys, since_ms, named } = held;
            Terminal::data(&format!(
                "\n{name}, {prefix}: {keys} deletes are held back since {}: {why}",
                span(*since_ms)
            ))?;
            for key in named {
                Terminal::data(&format!("  {}", one_line(key, LIST)))?;
            }
            let more = keys.saturating_sub(named.len() as u64);
            if more > 0 {
                Terminal::data(&format!("  and {more} more"))?;
            }
            Terminal::data(&match by {
                By::Agent => format!(
                    "  lictor replicate approve {name} {id}   has them deleted\n  lictor replicate discard {name} {id}   has them stay"
                ),
                By::Hand => format!("  the same with --approve {id} has them deleted"),
            })?;
        }
        if self.refused > 0 {
            Terminal::data(&format!(
                "\n{name}, {prefix}: {} keys are not copied{}:",
                self.refused,
                if by == By::Agent { ", and tried again" } else { "" }
            ))?;
            for Refused { key, why } in &self.refused_keys {
                Terminal::data(&format!("  {}: {}", one_line(key, LIST), one_line(why, LIST)))?;
            }
        }
        Ok(())
    }
}
