//! `lictor snapshot`: snapshots of Consul, saved, restored, checked, shown and compared.

pub(crate) mod agent;
mod content;
mod drill;
mod inspect;
mod keys;
pub(crate) mod only;
mod place;
mod restore;
mod save;
mod sending;
mod state;
mod status;
mod stored;
mod unverified;
mod verify;

use std::fs::{self, File};
use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lictor_config::{Env as _, ProcessEnv};
use lictor_snapshot::archive::Limits;
use lictor_snapshot::pshima::Password;
use lictor_snapshot::source::ReadError;
use lictor_snapshot::{Report, Source, verify};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

pub(super) use status::lines;

use super::{stopped, waiting};
use crate::busy::{Busy, mebibytes};
use crate::cli::{Snapshot as Command, SnapshotSecret, SnapshotState};
use crate::exit::{Exit, Failure};
use crate::output::Terminal;

/// What a person types to go on.
const WORD: &str = "restore";

pub(crate) fn run(command: &Command, terminal: &Terminal) -> Result<(), Failure> {
    match command {
        Command::Save(args) => waiting(unless_stopped("no snapshot was saved", save::run(args, terminal))),
        Command::Restore(args) => waiting(restore::run(args, terminal)),
        Command::Inspect(args) => inspect::run(args, terminal),
        Command::Decode(args) => content::decode(args),
        Command::Verify(args) => verify::run(args, terminal),
        Command::Diff(args) => content::diff(args),
        Command::Get(args) => content::get(args),
        Command::Agent(args) => agent::run(args, terminal),
        Command::Status(args) => waiting(status::status(args, terminal)),
        Command::Take(args) => waiting(status::take(args)),
        Command::List(args) => {
            waiting(unless_stopped("not all places were looked into", stored::list(args, terminal)))
        }
        Command::Fetch(args) => waiting(unless_stopped("nothing was fetched", stored::fetch(args, terminal))),
        Command::Drill(args) => waiting(unless_stopped("nothing is left of the drill", drill::run(args))),
        Command::State(SnapshotState::Save(args)) => {
            waiting(unless_stopped("no state was saved", state::save(args, terminal)))
        }
        Command::State(SnapshotState::Restore(args)) => {
            waiting(unless_stopped("nothing was restored", state::restore(args, terminal)))
        }
    }
}

/// Does something, or breaks it off when a signal comes; `what` it then means.
async fn unless_stopped<T>(what: &str, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::select! {
        done = work => done,
        () = stopped() => Err(Failure::new(Exit::Failed, format!("stopped: {what}"))),
    }
}

/// Does what takes the processor or the disk for long beside those who wait for a signal. Who gives up waiting leaves it to the
/// end of the process.
async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Failure::new(Exit::Failed, format!("cannot go on: {error}")))
}

/// A file that is being read, for whoever waits for it.
fn reading(what: &str, source: &Source) -> (Source, Busy) {
    let count = Arc::new(AtomicU64::new(0));
    let (source, size) = (source.counted(Arc::clone(&count)), source.size().unwrap_or(0));
    let far =
        move || (count.load(Ordering::Relaxed) * 100).checked_div(size).map(|share| format!("{share}%"));
    (source, Busy::so_far(what, far))
}

/// A file that is being written, for whoever waits for it.
fn writing(what: &str, file: &File) -> Busy {
    let file = file.try_clone().ok();
    Busy::so_far(what, move || Some(mebibytes(file.as_ref()?.metadata().ok()?.len())))
}

/// Checks a file to its end.
async fn checked(source: &Source) -> Result<Result<Report, ReadError>, Failure> {
    let (source, _busy) = reading("checking it", source);
    beside(move || verify(&source, &Limits::default(), None)).await
}

/// Somebody must want it. `plan`: what they are shown; `what`: what would be done.
async fn ask(terminal: &Terminal, plan: &str, what: &str) -> Result<(), Failure> {
    if !io::stdin().is_terminal() {
        Terminal::data(plan)?;
        let why = format!("{what}, and nobody can be asked");
        return Err(Failure::new(Exit::Usage, why).help("--yes goes on without asking, --dry-run only shows"));
    }
    // Where the question stands, wherever the standard output goes.
    terminal.say(&format!("{plan}\n\nType `{WORD}` to go on:"));
    let mut line = String::new();
    let read = BufReader::new(tokio::io::stdin()).take(100).read_line(&mut line).await;
    match read {
        Ok(_) if line.trim() == WORD => Ok(()),
        Ok(_) | Err(_) => Err(Failure::new(Exit::Failed, "nothing was restored")),
    }
}

/// That a file cannot be used, and why.
fn unsound(path: &Path, why: &dyn std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, format!("{}: {why}", path.display()))
}

/// The password of a backup that consul-snapshot encrypted.
fn password(secret: &SnapshotSecret) -> Result<Option<Password>, Failure> {
    let Some(path) = &secret.password_file else {
        return Ok(ProcessEnv.var("CRYPTO_PASSWORD").map(Password::new));
    };
    let text = fs::read_to_string(path).map_err(|error| {
        Failure::new(Exit::Failed, format!("the password cannot be read: {}: {error}", path.display()))
    })?;
    Ok(Some(Password::new(text.trim_end_matches(['\n', '\r']))))
}
