//! `lictor snapshot status` and `take`: the snapshots of an agent.

use lictor_agent::text::one_line;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cli::{SnapshotStatus, SnapshotTake};
use crate::client::{Client, typed};
use crate::command::alerts::{say, without_null};
use crate::command::events::{LIST, local};
use crate::command::incidents::encoded;
use crate::command::watch::{Pace, Page, look};
use crate::exit::{Exit, Failure};
use crate::output::{Terminal, table};
use crate::sheet::About;

#[derive(Deserialize)]
struct Snapshots {
    node: String,
    snapshots: Vec<Snapshot>,
}

#[derive(Deserialize)]
struct Snapshot {
    name: String,
    phase: String,
    why: Option<String>,
    latest: Option<Latest>,
    next: Option<String>,
    places: Vec<Place>,
    drill: Option<Drill>,
    odd_after_bytes: Option<u64>,
}

#[derive(Deserialize)]
struct Latest {
    bytes: u64,
}

#[derive(Deserialize)]
struct Place {
    name: String,
    at: String,
    snapshots: Option<u64>,
    bytes: u64,
    newest: Option<String>,
    trouble: Option<String>,
    sending: Option<(u64, u64)>,
}

#[derive(Deserialize)]
struct Drill {
    at: Option<String>,
    file: String,
    failed: Option<String>,
    untried: Option<String>,
}

pub(super) async fn take(args: &SnapshotTake) -> Result<(), Failure> {
    let verb = if args.drill { "drill" } else { "take" };
    let path = format!("/v1/snapshots/{}/{verb}", encoded(&args.name));
    let body = without_null(json!({}));
    say(args.agent.format, Client::new(&args.agent)?.post_with(&path, &body).await?)
}

pub(super) async fn status(args: &SnapshotStatus, terminal: &Terminal) -> Result<(), Failure> {
    let name = args.name.as_deref();
    let show = |answer: Value, terminal: &Terminal| {
        let Snapshots { node, snapshots } = typed(answer)?;
        let wanted: Vec<Snapshot> =
            snapshots.into_iter().filter(|one| name.is_none_or(|name| one.name == name)).collect();
        match (name, wanted.is_empty()) {
            (Some(name), true) => {
                let why = format!("{node} has no block snapshot called `{name}`");
                Err(Failure::new(Exit::NotFound, why).help("`lictor snapshot status` lists all of them"))
            }
            (None, true) => {
                terminal.say("no snapshots are taken: there is no block snapshot");
                Ok(())
            }
            (_, false) => self::show(&wanted),
        }
    };
    let page = Page { path: "/v1/snapshots", query: Vec::new(), pace: Pace::Steady, show };
    look(&page, &args.how, terminal).await
}

/// The places of the snapshots, for the list of all that is kept in a second place.
pub(in crate::command) fn lines(answer: Value) -> Result<Vec<(About, [String; 4])>, Failure> {
    let Snapshots { snapshots, .. } = typed(answer)?;
    Ok(snapshots.iter().flat_map(|one| one.places.iter().map(|place| one.line(place))).collect())
}

fn show(snapshots: &[Snapshot]) -> Result<(), Failure> {
    let rows = snapshots.iter().flat_map(|one| {
        let place = |place: &Place| {
            let newest = place.newest.as_deref().map_or_else(|| "none".to_owned(), local);
            let count = place.snapshots.map_or_else(|| "?".to_owned(), |count| count.to_string());
            let place_of = format!("{}: {}", place.name, one_line(&place.at, LIST));
            [one.name.clone(), one.phase.clone(), place_of, count, place.bytes.to_string(), newest]
        };
        match one.places.as_slice() {
            [] => vec![[&one.name, &one.phase, "", "", "", ""].map(str::to_owned)],
            places => places.iter().map(place).collect(),
        }
    });
    Terminal::data(&table(["SNAPSHOT", "IS", "PLACE", "THERE", "BYTES", "NEWEST"], rows))?;
    snapshots.iter().try_for_each(Snapshot::explain)
}

impl Snapshot {
    fn line(&self, place: &Place) -> (About, [String; 4]) {
        let sending = place.sending.map(|(sent, of)| format!("{sent} of {of} bytes have been sent"));
        let drill = self.drill.as_ref().and_then(|drill| drill.failed.as_ref());
        let drill = drill.map(|why| format!("the last drill failed: {why}"));
        let more: Vec<_> =
            [self.why.clone(), place.trouble.clone(), drill, sending].into_iter().flatten().collect();
        let cells = [
            format!("{}: snapshots to {}, {}", self.name, place.name, one_line(&place.at, LIST)),
            self.phase.clone(),
            place.newest.as_deref().map_or_else(|| "none".to_owned(), local),
            one_line(&more.join("; "), LIST),
        ];
        (About::Itself(format!("{} {}", self.name, place.name)), cells)
    }

    /// What a person should know.
    fn explain(&self) -> Result<(), Failure> {
        let name = &self.name;
        if let Some(why) = &self.why {
            Terminal::data(&format!("\n{name}: {}", one_line(why, LIST * 4)))?;
        }
        if let Some(next) = &self.next {
            Terminal::data(&format!("\n{name}: the next one is due at {}", local(next)))?;
        }
        if let (Some(before), Some(latest)) = (self.odd_after_bytes, &self.latest) {
            Terminal::data(&format!(
                "\n{name}: the latest one has {} bytes, the one before had {before}",
                latest.bytes
            ))?;
        }
        for place in &self.places {
            if let Some((sent, of)) = place.sending {
                Terminal::data(&format!("\n{name}, {}: {sent} of {of} bytes have been sent", place.name))?;
            }
            if let Some(why) = &place.trouble {
                Terminal::data(&format!("\n{name}, {}: {}", place.name, one_line(why, LIST * 4)))?;
            }
        }
        let Some(drill) = &self.drill else { return Ok(()) };
        let at = drill.at.as_deref().map_or_else(String::new, local);
        match (&drill.failed, &drill.at) {
            (Some(why), _) => Terminal::data(&format!(
                "\n{name}: the drill of {at} has failed, {}: {}",
                drill.file,
                one_line(why, LIST * 4)
            ))?,
            (None, Some(_)) => {
                Terminal::data(&format!("\n{name}: {} could be restored at {at}", drill.file))?;
            }
            (None, None) => {}
        }
        match &drill.untried {
            Some(why) => {
                let why = one_line(why, LIST * 4);
                Terminal::data(&format!("\n{name}: the newest one could not be tried: {why}"))
            }
            None => Ok(()),
        }
    }
}
