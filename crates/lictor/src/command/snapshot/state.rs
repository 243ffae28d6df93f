//! What Lictor itself remembers, saved and restored.

use std::fs::File;
use std::io::{Cursor, Read, Write as _};
use std::path::Path;
use std::time::Duration;

use lictor_core::{RunId, Wall};
use lictor_snapshot::seal;
use lictor_store::{Copied, CopyError, OpenError, Restored, Restoring, check_copy, copy_of};
use serde_json::json;

use super::keys::{WAY_OUT, keys, recipients};
use super::unverified::{Unverified, target};
use super::{ask, beside, unsound, writing};
use crate::busy::Busy;
use crate::cli::{SnapshotStateRestore, SnapshotStateSave};
use crate::client::Client;
use crate::command::status::{count, span};
use crate::exit::{Exit, Failure};
use crate::output::{Format, Terminal};

/// How long the agent may take until its answer begins: it makes the copy first.
const PATIENCE: Duration = Duration::from_secs(45);

/// Runs that are named.
const NAMED: usize = 20;

pub(super) async fn save(args: &SnapshotStateSave, terminal: &Terminal) -> Result<(), Failure> {
    let to = recipients(&args.seal)?;
    let shown = args.file.display();
    let failed = |why: &dyn std::fmt::Display| Failure::new(Exit::Failed, format!("{shown}: {why}"));
    let target = target(&args.file).map_err(|error| failed(&error))?;
    let mut saved = Unverified::beside(&target).map_err(|error| failed(&error))?;
    match &args.state_dir {
        Some(dir) => {
            let _busy = Busy::with("copying the state");
            copy_of(dir, saved.path()).map_err(|error| refused(dir, &error))?;
        }
        None => {
            let mut file = &saved.file;
            let _busy = writing("copying the state", file);
            let agent = Client::new(&args.agent)?.patient(PATIENCE);
            agent.fetch("/v1/backup", |piece| file.write_all(piece).map_err(|error| failed(&error))).await?;
            file.sync_all().map_err(|error| failed(&error))?;
        }
    }
    // Opening it writes to it, and it is ours until it has its name.
    let busy = Busy::with("checking the copy");
    let copied = check_copy(saved.path());
    drop(busy);
    let copied = copied
        .map_err(|error| Failure::new(Exit::Failed, format!("what the agent sent was not kept: {error}")))?;
    let sealed = to.is_some();
    if let Some(to) = to {
        saved = saved.sealed(&to, &target).await?;
    }
    saved.name(&target, false).map_err(|error| failed(&error))?;
    match args.agent.format {
        Format::Json => Terminal::json(&json!({
            "file": shown.to_string(),
            "node": copied.node,
            "lineage": copied.lineage,
            "commit": copied.commit,
            "entries": copied.entries,
            "runs": copied.runs.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "open_incidents": copied.incidents,
            "sealed": sealed,
        })),
        Format::Text => {
            let verified = if sealed { "Saved, verified and sealed" } else { "Saved and verified" };
            terminal.say(&format!("{verified} the state of {}: {}", copied.node, holds(&copied)));
            Ok(())
        }
    }
}

/// What is in it, in words.
fn holds(copied: &Copied) -> String {
    format!(
        "{}, {}, {}",
        count(
            usize::try_from(copied.entries).unwrap_or(usize::MAX),
            "entry of the past",
            "entries of the past"
        ),
        count(copied.runs.len(), "run that is not over", "runs that are not over"),
        count(copied.incidents, "open incident", "open incidents"),
    )
}

pub(super) async fn restore(args: &SnapshotStateRestore, terminal: &Terminal) -> Result<(), Failure> {
    let keys = keys(&args.keys)?;
    let unsound = |why: &dyn std::fmt::Display| unsound(&args.file, why);
    let mut begin = Vec::new();
    let mut file = File::open(&args.file).map_err(|error| unsound(&error))?;
    (&mut file).take(64).read_to_end(&mut begin).map_err(|error| unsound(&error))?;
    let whole = Cursor::new(begin.clone()).chain(file);
    let plain: Box<dyn Read + Send> = match seal::is_sealed(&begin) {
        true => Box::new(seal::open(&keys, whole).map_err(|error| match error.wants_key() {
            true => unsound(&error).help(WAY_OUT),
            false => unsound(&error),
        })?),
        false => Box::new(whole),
    };
    let dir = args.state_dir.clone();
    let busy = Busy::with("reading the copy");
    let restoring = beside(move || Restoring::begin(&dir, plain)).await;
    drop(busy);
    let restoring = restoring?;
    let restoring = restoring.map_err(|error| refused(&args.file, &error))?;
    let of = moment(restoring.copied().at);
    let words = explain(args, &restoring, &of);
    if args.dry_run || args.yes {
        Terminal::data(&words)?;
    }
    if args.dry_run {
        return Ok(());
    }
    if !args.yes {
        ask(terminal, &words, "what the agent remembers would be replaced").await?;
    }
    let now = Wall::from_unix_millis(jiff::Timestamp::now().as_millisecond());
    let busy = Busy::with("restoring the state");
    let restored = restoring.put(now, &of);
    drop(busy);
    let restored = restored.map_err(|error| refused(&args.file, &error))?;
    told(&restored, terminal);
    Terminal::data(&format!("Restored the state of {of}"))
}

/// When a copy was made, in words.
fn moment(at: Option<Wall>) -> String {
    let at = at.and_then(|at| jiff::Timestamp::from_millisecond(at.as_unix_millis()).ok());
    at.map_or_else(
        || "a time that is not known".to_owned(),
        |at| at.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
    )
}

fn explain(args: &SnapshotStateRestore, restoring: &Restoring, of: &str) -> String {
    let copied = restoring.copied();
    let now = jiff::Timestamp::now().as_millisecond();
    let age = copied.at.and_then(|at| u64::try_from(now - at.as_unix_millis()).ok());
    let age = age.map_or_else(String::new, |age| format!(" ({} ago)", span(age)));
    let becomes = match (restoring.replaces(), args.dry_run) {
        (true, true) => "would take the place of the state",
        (true, false) => "takes the place of the state",
        (false, true) => "would be put where there is no state",
        (false, false) => "is put where there is no state",
    };
    let mut words = vec![format!(
        "{} has what {} remembered at {of}{age}: {}. It {becomes} in {}.",
        args.file.display(),
        copied.node,
        holds(copied),
        args.state_dir.display()
    )];
    if !copied.runs.is_empty() {
        words.push(format!("Runs that wait for a person then: {}", names(&copied.runs)));
    }
    words.push(
        "Lines that come are read from now on; cooldowns and budgets are those of then, and what was done since is not known."
            .to_owned(),
    );
    words.join("\n")
}

fn names(runs: &[RunId]) -> String {
    let named: Vec<String> = runs.iter().take(NAMED).map(ToString::to_string).collect();
    let more = runs.len().saturating_sub(NAMED);
    if more > 0 { format!("{} and {more} more", named.join(", ")) } else { named.join(", ") }
}

fn told(restored: &Restored, terminal: &Terminal) {
    if let Some(kept) = &restored.kept {
        terminal.say(&format!("what there was is in {}", kept.display()));
    }
    if !restored.parked.is_empty() {
        terminal.say(&format!(
            "{} for a person: `lictor remedy retry RUN` or `lictor remedy cancel RUN`, when the agent runs",
            match restored.parked.len() {
                1 => format!("{} waits", names(&restored.parked)),
                _ => format!("{} wait", names(&restored.parked)),
            }
        ));
    }
}

/// `copy` is what is not sound, if that is what is wrong.
fn refused(copy: &Path, error: &CopyError) -> Failure {
    match error {
        CopyError::Open(OpenError::InUse { .. }) => Failure::new(Exit::Unavailable, error.to_string())
            .help("stop the agent first; without --state-dir, `save` asks one that runs"),
        CopyError::Open(_) | CopyError::Io { .. } => Failure::new(Exit::Unavailable, error.to_string()),
        CopyError::Unsound(_) => Failure::new(Exit::Failed, format!("{}: {error}", copy.display())),
    }
}
