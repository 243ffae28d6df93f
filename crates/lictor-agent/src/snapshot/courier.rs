//! One place gets each snapshot, one after the other, and what need not stay there is removed.

use std::time::Duration;

use futures::future::pending;
use lictor_config::Names;
use tokio::time::{sleep, timeout};
use tracing::info;

use super::send::{Spot, Trouble, must_list};
use super::take::Fresh;
use super::term::{LISTED, Term};

/// The first pause after a failure, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(5), Duration::from_mins(5));

/// The same where the server has refused: a person has to do something.
const REFUSED: (Duration, Duration) = (Duration::from_secs(60), Duration::from_mins(15));

/// How often a place is asked again what is there, until it says so.
const UNKNOWN: Duration = Duration::from_mins(1);

/// How often something is sent that is to be done once.
const ATTEMPTS: u32 = 4;

/// Pauses that become longer.
#[derive(Default)]
struct Pause(Option<Duration>);

impl Pause {
    /// The next one; `passes`: whether it may be well again soon.
    fn next(&mut self, passes: bool) -> Duration {
        let (first, longest) = if passes { PAUSES } else { REFUSED };
        let pause = self.0.map_or(first, |before| (before * 2).min(longest));
        self.0 = Some(pause);
        pause
    }
}

/// For as long as this node works.
pub(super) async fn run(term: &Term, at: usize) {
    let mut news = term.shelf.news();
    let mut pause = Pause::default();
    loop {
        news.mark_unchanged();
        let waits = match term.shelf.next(at) {
            Some(fresh) => match deliver(term, at, &fresh).await {
                Ok(()) => {
                    pause = Pause::default();
                    continue;
                }
                Err(trouble) => Some(pause.next(trouble.passes)),
            },
            None => None,
        };
        let unknown = waits.is_none() && term.is_unknown(at);
        tokio::select! {
            // A new one is tried at once.
            changed = news.changed() => if changed.is_err() { return },
            () = waiting(waits) => {}
            () = sleep(UNKNOWN), if unknown => term.look(at).await,
        }
    }
}

async fn waiting(pause: Option<Duration>) {
    match pause {
        Some(pause) => sleep(pause).await,
        None => pending().await,
    }
}

/// Sends what there is; why it could not be sent, in words.
pub(super) async fn once(term: &Term, at: usize) -> Result<(), String> {
    let mut pause = Pause::default();
    let mut failures = 0;
    while let Some(fresh) = term.shelf.next(at) {
        let Err(trouble) = deliver(term, at, &fresh).await else { continue };
        failures += 1;
        if failures >= ATTEMPTS || !trouble.passes {
            // Nobody comes later who would send it.
            term.shelf.done(at, &fresh.name, false);
            return Err(trouble.why);
        }
        sleep(pause.next(trouble.passes)).await;
    }
    Ok(())
}

/// Sends one, and says what came of it.
async fn deliver(term: &Term, at: usize, fresh: &Fresh) -> Result<(), Trouble> {
    term.show();
    let sent = send(term, at, fresh).await;
    match &sent {
        Ok(there) => {
            term.shelf.done(at, &fresh.name, *there);
            if *there {
                term.delivered(fresh).await;
            }
        }
        Err(trouble) => {
            term.trouble(at, &trouble.why);
            term.shelf.failed(at, &fresh.name);
        }
    }
    term.show();
    sent.map(drop)
}

/// Sends one and removes what need not stay; whether it is there.
async fn send(term: &Term, at: usize, fresh: &Fresh) -> Result<bool, Trouble> {
    let spot = term.spot(at).map_err(|why| Trouble { why, passes: false })?;
    if fresh.left {
        // It must not take the place of a later one.
        let stands = term.stands(at);
        match stands.newest {
            Some(newest) if newest >= fresh.at => {
                info!(place = spot.place.shown(), %newest, file = fresh.name, "it, or a newer one, is there already");
                return Ok(newest == fresh.at);
            }
            None if stands.count.is_none() && spot.settings.file.is_some() => {
                let why = format!("{}: what is there is not known, and may be newer", spot.place.shown());
                return Err(Trouble { why, passes: true });
            }
            Some(_) | None => {}
        }
    }
    let progress = |sent: u64| term.place(at, |place| place.sending = Some((sent, fresh.size)));
    progress(0);
    let sent = spot.send(fresh, &term.journal(&spot), &progress).await;
    term.place(at, |place| place.sending = None);
    sent?;
    // It is there; the rest can be done next time, too.
    tidy(term, at, &spot, fresh).await;
    term.place(at, |place| {
        // Where it is not known what is there, this is the newest, whatever an earlier clock has said.
        let known = place.newest.filter(|_| place.count.is_some());
        place.newest = known.max(Some(fresh.at));
        place.sent = Some(fresh.name.clone());
    });
    let file = spot.called(fresh);
    info!(snapshot = %term.work.settings.name, place = spot.place.shown(), file, "the snapshot was sent");
    Ok(true)
}

/// Removes what need not stay.
async fn tidy(term: &Term, at: usize, spot: &Spot, fresh: &Fresh) {
    if !must_list(&spot.settings) {
        term.place(at, |place| place.trouble = None);
        if term.stands(at).count.is_some() {
            term.look(at).await;
        }
        return;
    }
    let listed = timeout(LISTED, spot.ours(&term.series(), term.now())).await;
    let why = match listed {
        Ok(Ok(mut ours)) => {
            // Names of other programs have nothing of a cluster in them: all are taken for its own, as those do.
            if term.work.settings.names == Names::Dated {
                if fresh.after.is_none() {
                    // It is not known yet which of them this cluster has taken.
                    return term.found(at, &ours);
                }
                if let Some(foreign) = ours.foreign(fresh, &term.note().foreign) {
                    let foreign = foreign.to_owned();
                    term.found(at, &ours);
                    // As long as it is there: who puts few may have put many before.
                    term.knows_foreign(&foreign).await;
                    let shown = spot.place.shown();
                    return term.trouble(
                        at,
                        &format!(
                            "{shown}: {foreign} was put there by somebody else, under a name as this block gives it: nothing is removed; give one of the two another name or prefix"
                        ),
                    );
                }
            }
            let (removed, failed) = spot.prune(&mut ours, spot.called(fresh)).await;
            term.found(at, &ours);
            term.state(|state| state.tally.removed += removed);
            match failed {
                None => return,
                Some(error) => format!("older snapshots cannot be removed: {error}"),
            }
        }
        Ok(Err(error)) => format!("what is there cannot be listed, and nothing is removed: {error}"),
        Err(_late) => "it does not say in time what is there, and nothing is removed".to_owned(),
    };
    term.trouble(at, &why);
    // It is asked again until it says so.
    term.place(at, |place| place.count = None);
}
