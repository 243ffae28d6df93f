//! `lictor snapshot list` and `fetch`: what is in the places, also where nothing else runs any more.

use std::path::{Path, PathBuf};

use lictor_agent::snapshot::{Stored, StoredFile};
use lictor_agent::text::one_line;
use lictor_config::Snapshot;
use serde_json::json;

use super::agent::{blocks, config};
use super::unverified::{Unverified, target};
use crate::cli::{SnapshotFetch, SnapshotList};
use crate::command::events::{LIST, local};
use crate::exit::{Exit, Failure};
use crate::output::{Format, Terminal, table};

/// The newest one.
const LATEST: &str = "latest";

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
            match place.list().await {
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
    let mut whys = Vec::new();
    for place in places {
        let name = match wanted(&place, block, &args.what).await {
            Ok(Some(name)) => name,
            Ok(None) => {
                whys.push(format!("{} has no `{}`", place.shown(), args.what));
                continue;
            }
            Err(why) => {
                whys.push(why);
                continue;
            }
        };
        let base = name.rsplit('/').next().unwrap_or(&name);
        let file = args.file.clone().unwrap_or_else(|| PathBuf::from(base));
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

/// What is to be fetched from a place, if it has it.
async fn wanted(place: &Stored, block: &Snapshot, what: &str) -> Result<Option<String>, String> {
    let files = place.list().await.map_err(|error| error.to_string())?;
    let is = |name: &str| match what {
        // Others may have put files there, too.
        LATEST => lictor_agent::snapshot::is_one(block, name),
        what => name == what,
    };
    Ok(files.into_iter().rev().map(|file| file.name).find(|name| is(name)))
}

async fn one(place: &Stored, name: &str, file: &Path) -> Result<u64, String> {
    let shown = file.display();
    let named = target(file).map_err(|why| format!("{shown}: {why}"))?;
    let cannot = |why: std::io::Error| format!("cannot write {shown}: {why}");
    let unverified = Unverified::beside(&named).map_err(cannot)?;
    let out = unverified.file.try_clone().map_err(cannot)?;
    let size = place.fetch(name, out).await.map_err(|error| error.to_string())?;
    unverified.name(&named, false).map_err(cannot)?;
    Ok(size)
}
