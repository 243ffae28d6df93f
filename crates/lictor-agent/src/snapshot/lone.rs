//! One block whose lease nobody knows: only the lock of other programs, if the block names one, says who works. Nothing of our
//! own need be written into Consul for it, so that the rights which those programs needed are enough.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, OFlags, flock};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::lock::{Lock, Refused};
use super::seat::{Seat, kept};
use super::take;
use super::view::Phase;
use super::work::Ended;

/// Pause before it is tried again to begin.
const AGAIN: Duration = Duration::from_secs(1);

/// The same when it is refused as it is configured, or after too many failures: another program may try.
const STEPS_BACK: Duration = Duration::from_mins(1);

/// How long the lock of another program is left alone before it is looked at again.
const LOCKED: Duration = Duration::from_secs(5);

/// The file in the scratch folder that the process which works there has locked.
const MARK: &str = ".lock";

/// Until it is stopped.
pub(super) async fn run(seat: Seat, stop: CancellationToken) {
    while !stop.is_cancelled() {
        // It looks itself whether it is stopped: the lock is let go then.
        let pause = turn(&seat, &stop).await;
        tokio::select! {
            () = sleep(pause) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Looks whether it may work, and works until it may no more; how long to wait then.
async fn turn(seat: &Seat, stop: &CancellationToken) -> Duration {
    let name = &seat.settings.name;
    let lock = match &seat.settings.lock {
        None => None,
        Some(key) => match Lock::take(&seat.client, key, "lictor snapshots").await {
            Ok(lock) => Some(lock),
            Err(Refused::Held(why)) => {
                seat.slot.stands_by(&why, true);
                return LOCKED;
            }
            Err(Refused::Wrong(why)) => {
                fails(seat, &Phase::Failing(why));
                return LOCKED;
            }
        },
    };
    let ended = tokio::select! {
        ended = term(seat, lock.as_ref()) => ended,
        () = stop.cancelled() => Ended::Lost,
    };
    if let Some(lock) = lock {
        lock.end().await;
    }
    match ended {
        Ended::Lost => {
            info!(snapshot = %name, "no more snapshots are taken here");
            AGAIN
        }
        Ended::Refused(why) => {
            fails(seat, &Phase::Refused(why));
            STEPS_BACK
        }
        Ended::GaveUp(why) => {
            fails(seat, &Phase::Failing(why));
            STEPS_BACK
        }
    }
}

/// Works until the lock is lost or nothing comes of it.
async fn term(seat: &Seat, lock: Option<&Lock>) -> Ended {
    let _mark = match mark(&seat.scratch) {
        Ok(mark) => mark,
        Err(why) => return Ended::Refused(why),
    };
    // Nobody gives orders, and that nobody can is no end.
    let (_sender, orders) = mpsc::channel(1);
    tokio::select! {
        ended = seat.work().run(orders) => ended,
        why = kept(lock) => {
            warn!(snapshot = %seat.settings.name, why, "the lock is lost");
            Ended::Lost
        }
    }
}

fn fails(seat: &Seat, phase: &Phase) {
    let changed = seat.slot.state.borrow().phase != *phase;
    if changed {
        let why = phase.why().unwrap_or_default();
        warn!(snapshot = %seat.settings.name, why, "no snapshots are taken");
    }
    seat.slot.fails(phase, seat.clock.now());
}

/// Makes the scratch folder and locks it for this process, as long as the file is open: two that worked there would take each
/// other's files for what was left behind.
fn mark(folder: &Path) -> Result<File, String> {
    take::folder(folder)?;
    let shown = folder.display();
    let failed = |error: io::Error| format!("cannot use the scratch folder {shown}: {error}");
    let flags = (OFlags::NOFOLLOW | OFlags::CLOEXEC).bits().cast_signed();
    let mut how = OpenOptions::new();
    how.write(true).create(true).truncate(false).mode(0o600).custom_flags(flags);
    let file = how.open(folder.join(MARK)).map_err(failed)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            Err(format!("another process works in the scratch folder {shown}: name another one for this one"))
        }
        Err(error) => Err(failed(error.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_processes_do_not_work_in_one_folder() {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path().join("scratch");
        let held = mark(&folder).unwrap();
        assert!(mark(&folder).unwrap_err().contains("another process works in"));
        drop(held);
        assert!(mark(&folder).is_ok());
    }
}
