//! The newest snapshot of a block is fetched, as a person would have to, and tried, while others are taken and sent.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::time::Duration;

use futures::future::join_all;
use lictor_config::{Drill, Encrypt, Snapshot};
use lictor_snapshot::seal::{Keys, Passphrase, is_sealed};
use lictor_store::wire::LatestDrill;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::drill::{DrillMeans, find_consul};
use super::due::{Due, Waited};
use super::round::Asked;
use super::send::Spot;
use super::take::{self, Sealed, Unfinished};
use super::term::{LISTED, Term};

/// How often it is looked whether there is something to try.
const LOOK: Duration = Duration::from_secs(20);

/// When it is tried again after a drill that did not come about.
const AGAIN: Duration = Duration::from_mins(15);

/// So many bytes of a file tell whether it is encrypted.
const BEGIN: u64 = 64;

/// What came of one that was tried.
enum Tried {
    /// It was restored; which one, and what is said of it.
    Sound(String, String),
    /// It could not be; which one, and why not.
    Unsound(String, String),
    /// There was no drill, and why not: that says nothing of the snapshot.
    Not(String),
}

/// For as long as this node works.
pub(super) async fn whenever_due(term: &Term, mut asked: mpsc::Receiver<Asked>) {
    let clock = &term.work.clock;
    let (mut due, mut not_before) = (Due::Never, None);
    loop {
        if due == Due::Never {
            due = term.drill_due();
        }
        let done = tokio::select! {
            waited = due.not_before(not_before, clock.now()).wait(clock) => match waited {
                Waited::Due => None,
                Waited::SetBack => {
                    due = Due::Never;
                    continue;
                }
            },
            // There may be something to try by now.
            () = sleep(LOOK), if due == Due::Never => continue,
            done = asked.recv() => match done {
                Some(done) => Some(done),
                None => return,
            },
        };
        term.doing(|doing| doing.drilling = true);
        let tried = drill(term).await;
        term.doing(|doing| doing.drilling = false);
        due = Due::Never;
        not_before = matches!(tried, Err(Tried::Not(_))).then(|| clock.boot().after(AGAIN));
        if let Some(done) = done {
            let said = tried.map_err(|why| match why {
                Tried::Not(why) => format!("it could not be tried: {why}"),
                Tried::Sound(_, why) | Tried::Unsound(_, why) => why,
            });
            // Who asked may have gone.
            drop(done.send(said));
        }
    }
}

/// Tries the newest one and notes what came of it.
async fn drill(term: &Term) -> Result<String, Tried> {
    let name = &term.work.settings.name;
    let at = term.now().as_millisecond();
    let tried = newest(term).await;
    let before = term.note().drill.unwrap_or_default();
    let (drill, said) = match tried {
        Tried::Sound(file, said) => {
            info!(snapshot = %name, file, said, "the snapshot was restored and is as it was");
            let said = format!("{file} was restored, and is as it was: {said}");
            (LatestDrill { at_unix_ms: at, sound_unix_ms: at, file, failed: None, untried: None }, Ok(said))
        }
        Tried::Unsound(file, why) => {
            warn!(snapshot = %name, file, why, "the drill has failed");
            let failed = Some(why.clone());
            let drill = LatestDrill { at_unix_ms: at, file: file.clone(), failed, untried: None, ..before };
            (drill, Err(Tried::Unsound(file, why)))
        }
        Tried::Not(why) => {
            warn!(snapshot = %name, why, "the newest snapshot could not be tried");
            (LatestDrill { untried: Some(why.clone()), ..before }, Err(Tried::Not(why)))
        }
    };
    term.noted(|note| note.drill = Some(drill)).await;
    said
}

/// The newest of all places is fetched and tried.
async fn newest(term: &Term) -> Tried {
    let settings = &term.work.settings;
    let Some(drill) = &settings.drill else { return Tried::Not("no drill is configured".to_owned()) };
    let lists = join_all((0..term.places()).map(|at| async move {
        let spot = term.spot(at)?;
        let listed = timeout(LISTED, spot.ours(&term.series(), term.now())).await;
        let late = |_late| format!("{} does not say in time what is there", spot.place.shown());
        let mut ours = listed.map_err(late)?.map_err(|error| error.to_string())?;
        let newest = ours.kept.pop().ok_or_else(|| format!("nothing is in {}", spot.place.shown()))?;
        Ok::<_, String>((newest.0, newest.1.name, spot))
    }));
    let (found, whys): (Vec<_>, Vec<_>) = lists.await.into_iter().partition(Result::is_ok);
    // Of equals the first: that place was named first.
    let newest = found.into_iter().flatten().rev().max_by_key(|(at, _, _)| *at);
    let Some((_, name, spot)) = newest else {
        let whys: Vec<String> = whys.into_iter().filter_map(Result::err).collect();
        return Tried::Not(whys.join("; "));
    };
    let shown = format!("{name} of {}", spot.place.shown());
    match fetched(term, &spot, &name).await {
        Ok(fetched) => tried(term, drill, shown, fetched).await,
        Err(why) => Tried::Not(why),
    }
}

async fn fetched(term: &Term, spot: &Spot, name: &str) -> Result<Unfinished, String> {
    let wrote = |error: io::Error| format!("cannot write into {}: {error}", term.work.scratch.display());
    take::folder(&term.work.scratch)?;
    let (fetched, file) = Unfinished::new(&term.work.scratch).map_err(wrote)?;
    let mut file = tokio::fs::File::from_std(file);
    spot.place.fetch(name, &mut file).await.map_err(|error| error.to_string())?;
    tokio::io::AsyncWriteExt::flush(&mut file).await.map_err(wrote)?;
    Ok(fetched)
}

async fn tried(term: &Term, drill: &Drill, shown: String, fetched: Unfinished) -> Tried {
    let program = drill.consul.clone().or_else(|| find_consul(std::env::var_os("PATH").as_deref()));
    let Some(program) = program else {
        let why = "there is no program `consul` in the search path: set `consul` in `drill`";
        return Tried::Not(why.to_owned());
    };
    let plain = match in_the_clear(term, drill, fetched).await {
        Ok(plain) => plain,
        // Without its key it is of no use to anybody.
        Err(Sealed::Shut(why)) => return Tried::Unsound(shown, why),
        Err(Sealed::Untried(why)) => return Tried::Not(why),
    };
    let means = DrillMeans { limit: drill.limit, ..DrillMeans::new(program) };
    match super::drill::drill(plain.path(), &means, |_step| ()).await {
        Ok(drilled) => {
            let said = format!("{} records, {} compared one by one", drilled.records, drilled.compared());
            Tried::Sound(shown, said)
        }
        Err(error) if error.blames_snapshot() => Tried::Unsound(shown, error.to_string()),
        Err(error) => Tried::Not(error.to_string()),
    }
}

async fn in_the_clear(term: &Term, drill: &Drill, fetched: Unfinished) -> Result<Unfinished, Sealed> {
    let keys = keys(&term.work.settings, drill).map_err(Sealed::Untried)?;
    let folder = term.work.scratch.clone();
    let work = move || {
        let sealed = begins(fetched.path()).map(|begin| is_sealed(&begin));
        match sealed {
            Ok(false) => Ok(fetched),
            Ok(true) => take::unseal(fetched.path(), &folder, &keys),
            Err(error) => Err(Sealed::Untried(format!("cannot read what was fetched: {error}"))),
        }
    };
    let done = term.work.tasks.on_thread("snapshot", work);
    let done = done.map_err(|error| Sealed::Untried(format!("no thread: {error}")))?;
    done.await.map_err(|_panicked| Sealed::Untried("decrypting broke off".to_owned()))?
}

/// What can read the snapshots of a block on this machine.
fn keys(settings: &Snapshot, drill: &Drill) -> Result<Keys, String> {
    let mut keys = Keys::default();
    if let Some(Encrypt::Passphrase(secret)) = &settings.encrypt {
        let text = secret.reveal().map_err(|error| error.to_string())?;
        keys.add_passphrase(Passphrase::new(text).map_err(|error| error.to_string())?);
    }
    if let Some(secret) = &drill.identity {
        let text = secret.reveal().map_err(|error| error.to_string())?;
        keys.add_identities(&text).map_err(|error| format!("`identity` cannot be used: {error}"))?;
    }
    Ok(keys)
}

/// The first bytes of a file.
fn begins(path: &Path) -> io::Result<Vec<u8>> {
    let mut begin = Vec::new();
    File::open(path)?.take(BEGIN).read_to_end(&mut begin)?;
    Ok(begin)
}
