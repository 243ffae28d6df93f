//! Snapshots are taken when they are due, or when somebody asks for one.

use std::sync::Arc;
use std::time::Duration;

use lictor_config::Encrypt;
use lictor_core::Wall;
use lictor_core::snapshot::Jump;
use lictor_snapshot::seal::{Passphrase, Recipients};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;
use tracing::info;

use super::due::{Waited, stamp};
use super::take;
use super::term::Term;
use super::work::{Ended, Work};

/// The first pause after a failure, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(5), Duration::from_mins(5));

const SECOND: Duration = Duration::from_secs(1);

/// Somebody waits for what comes of it, in words.
pub(super) type Asked = oneshot::Sender<Result<String, String>>;

/// Until it failed too often.
pub(super) async fn whenever_due(term: &Term, mut asked: mpsc::Receiver<Asked>) -> Ended {
    let Work { clock, settings, .. } = &term.work;
    let (mut failures, mut pause, mut not_before) = (0, PAUSES.0, None);
    let mut due = term.due();
    term.show();
    loop {
        let next = due.not_before(not_before, clock.now());
        term.state(|state| state.next = next.shown(clock.now()));
        let done = tokio::select! {
            waited = next.wait(clock) => match waited {
                Waited::Due => None,
                Waited::SetBack => {
                    due = term.due();
                    continue;
                }
            },
            done = asked.recv() => match done {
                Some(done) => Some(done),
                None => return Ended::Lost,
            },
        };
        // The one before had all the time until now.
        let nowhere = if done.is_none() { term.is_nowhere() } else { None };
        let begun = clock.now();
        let taken = round(term).await;
        due = term.due();
        let said = nowhere.map_or_else(|| taken.clone().map(drop), Err);
        if let Some(done) = done {
            // Who asked may have gone.
            drop(done.send(taken));
        }
        match said {
            Ok(()) => (failures, not_before, pause) = (0, None, PAUSES.0),
            Err(why) => {
                failures += 1;
                term.failed(&why, begun);
                if failures >= settings.max_failures {
                    return Ended::GaveUp(why);
                }
                not_before = Some(clock.boot().after(pause));
                pause = (pause * 2).min(PAUSES.1);
            }
        }
        term.show();
    }
}

/// Takes one, and has it sent; in words, what was done.
pub(super) async fn round(term: &Term) -> Result<String, String> {
    term.doing(|doing| doing.taking = true);
    let done = taken(term).await;
    term.doing(|doing| doing.taking = false);
    done
}

async fn taken(term: &Term) -> Result<String, String> {
    let begun = term.work.clock.boot();
    let to = recipients(term)?;
    // Another program may have been told to take one meanwhile.
    term.read_note().await;
    let before = term.note();
    let (at, name) = loop {
        let at = term.now();
        let name = term.series().name(Wall::from_unix_millis(at.as_millisecond()), to.is_some());
        if name != before.file {
            // As exactly as its name has it.
            let made = term.series().made(&name);
            break (made.map_or(at, |wall| stamp(wall.as_unix_millis())), name);
        }
        // Two within a second would have the same name.
        sleep(SECOND).await;
    };
    let Work { client, scratch, tasks, settings, node, clock, .. } = &term.work;
    let settings = Arc::clone(settings);
    let (mut fresh, found) = take::take(client, settings.stale, scratch, &name, at, to, tasks).await?;
    let took = clock.boot().since(begun);
    let known = before.at_unix_ms > 0;
    fresh.after = known.then(|| stamp(before.at_unix_ms));
    let jump = if known { Jump::of(before.bytes, found.bytes, settings.max_change) } else { None };
    term.shelf.put(fresh, term.places(), jump.is_some());
    term.state(|state| {
        state.jump = jump;
        state.tally.taken += 1;
        state.tally.took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    });
    let noted = term.noted(|note| {
        note.file.clone_from(&name);
        note.at_unix_ms = at.as_millisecond();
        note.index = found.index;
        note.bytes = found.bytes;
        note.node.clone_from(node);
    });
    noted.await;
    let index = found.index;
    info!(snapshot = %settings.name, file = name, index, bytes = found.bytes, "a snapshot was taken and is sound");
    Ok(format!("{name} was taken: index {index}, {} bytes", found.bytes))
}

/// Read anew each time: a passphrase in a file may be rotated.
fn recipients(term: &Term) -> Result<Option<Recipients>, String> {
    match &term.work.settings.encrypt {
        None => Ok(None),
        Some(Encrypt::Recipients(keys)) => {
            Recipients::parse(keys).map(Some).map_err(|error| error.to_string())
        }
        Some(Encrypt::Passphrase(secret)) => {
            let text = secret.reveal().map_err(|error| error.to_string())?;
            let passphrase = Passphrase::new(text).map_err(|error| error.to_string())?;
            Ok(Some(Recipients::passphrase(passphrase)))
        }
    }
}
