//! A snapshot is saved: it gets its name only when it was written, read again and decoded to its end.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lictor_consul::{Client, Error, Query};
use lictor_snapshot::source::ReadError;
use lictor_snapshot::{Report, Source, archive};
use tokio::io::AsyncWriteExt as _;
use tokio::time::sleep;

use super::inspect::written;
use super::keys::recipients;
use super::place::Place;
use super::unverified::{Unverified, target};
use super::{checked, writing};
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
    // Who cannot be sealed to is told before anything is asked for.
    let to = recipients(&args.seal)?;
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
    let checked = check(&saved).await?;
    let sealed = to.is_some();
    let target = named.clone().unwrap_or_else(|| saved.path().to_owned());
    let seal = async |saved: Unverified| match &to {
        Some(to) => saved.sealed(to, &target).await,
        None => Ok(saved),
    };
    let report = match checked {
        Ok(report) => report,
        Err(why)
            if may_be_of_use(&why)
                && let Some(named) = &named =>
        {
            let saved = seal(saved).await?;
            return Err(undecodable(&saved, named, &why));
        }
        Err(why) => {
            let why = format!("what Consul sent is no sound snapshot, and was not kept: {why}");
            return Err(Failure::new(Exit::Failed, why));
        }
    };
    let saved = seal(saved).await?;
    match named {
        Some(named) => saved.name(&named, false).map_err(|error| {
            Failure::new(Exit::Failed, format!("cannot name it {}: {error}", named.display()))
        })?,
        None => pour(saved.path()).await?,
    }
    let index = report.whole.meta.map_or(report.whole.last_index, |meta| meta.index);
    let verified = if sealed { "Saved, verified and sealed" } else { "Saved and verified" };
    terminal.say(&format!("{verified} snapshot to index {index}: {} records", report.whole.records));
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
    let failed = |why: Error| match why {
        Error::Broken { .. } | Error::Status { status: 500.., .. } => place.failed("no snapshot", &why).help(
            "that is how it ends when the leader of the servers goes or another takes its place: try again",
        ),
        _ => place.failed("no snapshot", &why),
    };
    let wrote = |why: io::Error| {
        Failure::new(Exit::Failed, format!("cannot write {}: {why}", saved.path().display()))
    };
    let _busy = writing("saving what Consul knows", &saved.file);
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
async fn check(saved: &Unverified) -> Result<Result<Report, ReadError>, Failure> {
    match Source::open(saved.path()) {
        Ok(source) => checked(&source).await,
        Err(error) => Ok(Err(error.into())),
    }
}

/// Whether all of it came as Consul sent it, and only this program cannot decode it: it may be newer than this is.
fn may_be_of_use(why: &ReadError) -> bool {
    matches!(why, ReadError::Archive(archive::Error::State { sums_known: true, .. }))
}

/// Keeps what nobody should take for a sound snapshot, and somebody may be glad of.
fn undecodable(saved: &Unverified, named: &Path, why: &ReadError) -> Failure {
    let mut name = named.as_os_str().to_owned();
    name.push(".undecodable");
    let path = PathBuf::from(name);
    match saved.name(&path, false) {
        Ok(()) => {
            let what = format!("NOT A VERIFIED SNAPSHOT: {why}. It is kept as {}", path.display());
            Failure::new(Exit::Failed, what)
                .help("try it on a server that nobody needs before you rely on it; this program may be older than Consul")
        }
        Err(error) => {
            let what = format!("what Consul sent is no sound snapshot ({why}), and cannot be kept: {error}");
            Failure::new(Exit::Failed, what)
        }
    }
}
