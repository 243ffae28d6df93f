//! `lictor snapshot list` and `fetch`: what is in the places, also where nothing else runs any more.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use lictor_agent::snapshot::{Stored, StoredFile};
use lictor_agent::text::one_line;
use lictor_config::{Names, Snapshot};
use serde_json::json;

use super::agent::{blocks, config};
use super::unverified::{Unverified, target};
use super::writing;
use crate::busy::Busy;
use crate::cli::{SnapshotFetch, SnapshotList};
use crate::command::events::{LIST, local};
use crate::exit::{Exit, Failure};
use crate::output::{Format, Terminal, table};

/// The newest one.
const LATEST: &str = "latest";

/// So far clocks of two machines may be apart.
const AHEAD: Duration = Duration::from_mins(10);

fn failed(why: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, why.to_string())
}

/// The places of a block, or the one that is named.
fn places(block: &Snapshot, place: Option<&str>) -> Result<Vec<Stored>, Failure> {
    let wanted = block.places.iter().filter(|one| place.is_none_or(|name| one.name == name));
    wanted.map(|one| Stored::open(one).map_err(failed)).collect()
}

fn nowhere(place: Option<&str>) -> Failure {
    let what = place.map_or_else(String::new, |name| format!(" `{name}`"));
    Failure::new(Exit::NotFound, format!("there is no place{what} in the configuration"))
}

pub(super) async fn list(args: &SnapshotList, terminal: &Terminal) -> Result<(), Failure> {
    let config = config(&args.config, terminal)?;
    let (mut rows, mut shown, mut whys, mut places_seen) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for block in blocks(&config, args.name.as_deref())? {
        for place in places(&block, args.place.as_deref())? {
            places_seen += 1;
            let busy = Busy::with(format!("asking {} what it has", place.name()));
            let files = place.list().await;
            drop(busy);
            match files {
                Ok(files) => {
                    for StoredFile { name, size, modified } in files {
                        let at = format!("{modified:.0}");
                        shown.push(json!({
                            "snapshot": block.name.as_str(), "place": place.name(), "at": place.shown(),
                            "name": name, "bytes": size, "modified": at,
                        }));
                        rows.push([
                            place.name().to_owned(),
                            local(&at),
                            size.to_string(),
                            one_line(&name, LIST),
                        ]);
                    }
                }
                Err(error) => whys.push(error.to_string()),
            }
        }
    }
    if places_seen == 0 {
        return Err(nowhere(args.place.as_deref()));
    }
    match args.format {
        Format::Json => Terminal::json(&shown)?,
        Format::Text if rows.is_empty() && whys.is_empty() => terminal.say("there is nothing in any place"),
        Format::Text => Terminal::data(&table(["PLACE", "PUT", "BYTES", "NAME"], rows))?,
    }
    if whys.is_empty() { Ok(()) } else { Err(failed(whys.join("\n"))) }
}

pub(super) async fn fetch(args: &SnapshotFetch, terminal: &Terminal) -> Result<(), Failure> {
    let config = config(&args.config, terminal)?;
    let blocks = blocks(&config, args.name.as_deref())?;
    let [block] = blocks.as_slice() else {
        let names: Vec<&str> = blocks.iter().map(|block| block.name.as_str()).collect();
        let failure = Failure::new(Exit::Usage, "there are several blocks snapshot");
        return Err(failure.help(format!("name one with --name: {}", names.join(", "))));
    };
    let places = places(block, args.place.as_deref())?;
    if places.is_empty() {
        return Err(nowhere(args.place.as_deref()));
    }
    let home = config.consul.as_ref().and_then(|consul| consul.datacenter.as_deref());
    let datacenter = args.datacenter.as_deref().or(home);
    let (name, places) = match args.what.as_str() {
        LATEST => latest(block, places, datacenter, terminal).await?,
        name => (name.to_owned(), places),
    };
    let base = name.rsplit('/').next().unwrap_or(&name);
    let file = args.file.clone().unwrap_or_else(|| PathBuf::from(base));
    let mut whys = Vec::new();
    for place in places {
        match one(&place, &name, &file).await {
            Ok(size) => {
                let shown = file.display();
                terminal.say(&format!("Fetched {name} from {}: {shown}, {size} bytes", place.shown()));
                return Ok(());
            }
            Err(why) => whys.push(why),
        }
    }
    Err(failed(whys.join("\n")))
}

/// The newest snapshot that any place has, and the places that have it.
async fn latest(
    block: &Snapshot,
    places: Vec<Stored>,
    datacenter: Option<&str>,
    terminal: &Terminal,
) -> Result<(String, Vec<Stored>), Failure> {
    let lists = join_all(places.iter().map(|place| place.taken(block))).await;
    let (mut found, mut whys) = (Vec::new(), Vec::new());
    for (place, list) in places.into_iter().zip(lists) {
        match list {
            Ok(taken) => found.extend(taken.into_iter().map(|taken| (taken, place.clone()))),
            Err(error) => whys.push(error.to_string()),
        }
    }
    if let (Names::Dated, Some(wanted)) = (block.names, datacenter) {
        found.retain(|(taken, _)| taken.of.as_deref().is_none_or(|of| of == wanted));
    }
    let of: BTreeSet<&str> = found.iter().filter_map(|(taken, _)| taken.of.as_deref()).collect();
    if of.len() > 1 {
        let of: Vec<&str> = of.into_iter().collect();
        let why = format!("there are snapshots of several: {}", of.join(", "));
        let way = match block.names {
            Names::Dated => "name one with --datacenter",
            Names::Enterprise | Names::Pshima => "name the one you want: `lictor snapshot list` shows them",
        };
        return Err(Failure::new(Exit::Usage, why).help(way));
    }
    // One of the future was named by a clock that was wrong.
    let soon = Timestamp::now().checked_add(AHEAD).unwrap_or(Timestamp::MAX);
    let (ahead, mut past): (Vec<_>, Vec<_>) = found.into_iter().partition(|(taken, _)| taken.at > soon);
    for (taken, place) in &ahead {
        let shown = place.shown();
        terminal.say(&format!("warning: {} in {shown} is of the future, and left out", taken.name));
    }
    past.sort_by_key(|(taken, _)| std::cmp::Reverse(taken.at));
    let Some(name) = past.first().map(|(taken, _)| taken.name.clone()) else {
        whys.push(format!("there is no snapshot of {}", block.name));
        return Err(failed(whys.join("\n")));
    };
    for why in whys {
        terminal.say(&format!("warning: there may be a newer one: {why}"));
    }
    let places = past.into_iter().filter(|(taken, _)| taken.name == name).map(|(_, place)| place).collect();
    Ok((name, places))
}

async fn one(place: &Stored, name: &str, file: &Path) -> Result<u64, String> {
    let shown = file.display();
    let named = target(file).map_err(|why| format!("{shown}: {why}"))?;
    let cannot = |why: std::io::Error| format!("cannot write {shown}: {why}");
    let unverified = Unverified::beside(&named).map_err(cannot)?;
    let out = unverified.file.try_clone().map_err(cannot)?;
    let _busy = writing("fetching it", &out);
    let size = place.fetch(name, out).await.map_err(|error| error.to_string())?;
    unverified.name(&named, false).map_err(cannot)?;
    Ok(size)
}
