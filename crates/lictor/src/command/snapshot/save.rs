//! A snapshot is saved: it gets its name only when it was written, read again and decoded to its end.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lictor_consul::{Client, Error, Query};
use lictor_snapshot::archive::Limits;
use lictor_snapshot::{Report, Source, verify};
use tokio::io::AsyncWriteExt as _;
use tokio::time::sleep;

use super::inspect::written;
use super::place::Place;
use super::unverified::{Unverified, target};
use crate::cli::{SnapshotPart, SnapshotSave};
use crate::exit::{Exit, Failure};
use crate::output::Terminal;

/// What a server says that has just started and has nothing newer than its latest snapshot.
const NOTHING_NEW: &str = "nothing new to snapshot";

/// How often it is asked again then, and after how long.
const AGAIN: (u32, Duration) = (5, Duration::from_secs(1));

pub(super) async fn run(args: &SnapshotSave, terminal: &Terminal) -> Result<(), Failure> {
    let to_stdout = args.file.as_os_str() == "-";
    if to_stdout && io::stdout().is_terminal() {
        let why = "a snapshot is nothing for a terminal";
        return Err(Failure::new(Exit::Usage, why).help("name a file, or write it into a pipe"));
    }
    if to_stdout && !args.append_filename.is_empty() {
        return Err(Failure::new(Exit::Usage, "the standard output has no name for --append-filename"));
    }
    let place = Place::reach(&args.reach).await?;
    let shown = args.file.display();
    let (saved, named) = match to_stdout {
        true => (Unverified::anywhere(), None),
        false => {
            let named = named(args, &place).await?;
            let named = target(&named)
                .map_err(|why| Failure::new(Exit::Failed, format!("{}: {why}", named.display())))?;
            (Unverified::beside(&named), Some(named))
        }
    };
    let saved =
        saved.map_err(|error| Failure::new(Exit::Failed, format!("cannot write beside {shown}: {error}")))?;
    fill(&saved, &place, args.stale).await?;
    let report = check(&saved)?;
    match named {
        Some(named) => saved.name(&named, false).map_err(|error| {
            Failure::new(Exit::Failed, format!("cannot name it {}: {error}", named.display()))
        })?,
        None => pour(saved.path()).await?,
    }
    let index = report.whole.meta.map_or(report.whole.last_index, |meta| meta.index);
    terminal.say(&format!("Saved and verified snapshot to index {index}: {} records", report.whole.records));
    Ok(())
}

/// Writes a file to the standard output.
async fn pour(path: &Path) -> Result<(), Failure> {
    let file = tokio::fs::File::open(path).await;
    let mut file =
        file.map_err(|error| Failure::new(Exit::Failed, format!("{}: {error}", path.display())))?;
    let mut out = tokio::io::stdout();
    tokio::io::copy(&mut file, &mut out).await.map_err(|error| written(&error))?;
    out.flush().await.map_err(|error| written(&error))
}

/// The file's name with what is to be put into it.
async fn named(args: &SnapshotSave, place: &Place) -> Result<PathBuf, Failure> {
    let (file, parts) = (&args.file, &args.append_filename);
    if parts.is_empty() {
        return Ok(file.clone());
    }
    let info = place.client.agent().info().await;
    let info = info.map_err(|why| place.failed("what is to be put into the name is not known", &why))?;
    let leads = info.stats["consul"]["leader"] == "true";
    let elsewhere = args.reach.datacenter.as_ref().filter(|name| **name != info.config.datacenter);
    let mut name = file.file_stem().unwrap_or_default().to_owned();
    for part in parts {
        name.push("-");
        name.push(match (part, elsewhere) {
            (SnapshotPart::Dc, Some(name)) => name,
            (_, Some(name)) => {
                let why = format!("version, node and status are those of the agent, which is not in {name}");
                return Err(Failure::new(Exit::Usage, why).help("only `dc` can be put into this name"));
            }
            (SnapshotPart::Version, None) => info.config.version.as_str(),
            (SnapshotPart::Dc, None) => info.config.datacenter.as_str(),
            (SnapshotPart::Node, None) => info.config.node_name.as_str(),
            (SnapshotPart::Status, None) if leads => "leader",
            (SnapshotPart::Status, None) => "follower",
        });
    }
    if let Some(end) = file.extension() {
        name.push(".");
        name.push(end);
    }
    Ok(file.with_file_name(name))
}

/// Has Consul write all it knows into a file.
pub(super) async fn fill(saved: &Unverified, place: &Place, stale: bool) -> Result<(), Failure> {
    let failed = |why: Error| place.failed("no snapshot", &why);
    let wrote = |why: io::Error| {
        Failure::new(Exit::Failed, format!("cannot write {}: {why}", saved.path().display()))
    };
    let mut archive = begin(&place.client, stale).await.map_err(failed)?;
    let mut file = &saved.file;
    while let Some(piece) = archive.chunk().await.map_err(failed)? {
        file.write_all(&piece).map_err(wrote)?;
    }
    file.sync_all().map_err(wrote)
}

async fn begin(client: &Client, stale: bool) -> Result<lictor_consul::Archive, Error> {
    let query = if stale { Query::new().stale() } else { Query::new() };
    let mut tries = 0;
    loop {
        match client.snapshot().save(&query).await {
            Err(error) if tries < AGAIN.0 && error.to_string().contains(NOTHING_NEW) => {
                tries += 1;
                sleep(AGAIN.1).await;
            }
            answer => return answer,
        }
    }
}

/// What was written is read again: an answer that was cut off is known by nothing else.
fn check(saved: &Unverified) -> Result<Report, Failure> {
    let sound = Source::open(saved.path())
        .map_err(Into::into)
        .and_then(|source| verify(&source, &Limits::default(), None));
    sound.map_err(|error| {
        Failure::new(
            Exit::Failed,
            format!("what Consul sent is no sound snapshot, and was not kept: {error}"),
        )
    })
}
