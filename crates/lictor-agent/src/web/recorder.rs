//! Writes who asked for what into the record of acts, and keeps nobody waiting who acts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lictor_core::Now;
use lictor_store::{Act, ActEnd};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::warn;

use super::audit::Acts;
use crate::{Clock, OnEnd, Tasks};

/// How long an entry may take to be recorded before the act goes on without it: a disk that hangs must not keep anybody
/// from having a service run elsewhere.
const PATIENCE: Duration = Duration::from_secs(2);

/// Entries that may be recorded yet although nobody waits for them. More are given up and count as missing.
const LATE: usize = 500;

/// Writes into the record of acts. Clones are the same.
#[derive(Clone)]
pub struct Recorder(Arc<Inner>);

struct Inner {
    acts: Arc<dyn Acts>,
    clock: Option<Clock>,
    tasks: Tasks,
    /// Acts that could not be recorded since the last one that was.
    missing: AtomicU64,
    late: Arc<Semaphore>,
}

impl Recorder {
    pub(super) fn new(acts: Arc<dyn Acts>, clock: Option<Clock>, tasks: &Tasks) -> Self {
        let late = Arc::new(Semaphore::new(LATE));
        Self(Arc::new(Inner { acts, clock, tasks: tasks.clone(), missing: AtomicU64::new(0), late }))
    }

    /// Records an act as of now; gives its number. If it cannot be, that is logged, the act is done all the same, and the next
    /// that is recorded says how many were not.
    pub(super) async fn record(&self, act: Act) -> Option<u64> {
        let at = self.0.clock.as_ref().map_or_else(Now::default, Clock::now);
        let what = act.what.clone();
        let missing = self.0.missing.swap(0, Ordering::Relaxed);
        let said = match missing {
            0 => act.said,
            some => {
                let missing = format!("({some} before it could not be recorded)");
                if act.said.is_empty() { missing } else { format!("{} {missing}", act.said) }
            }
        };
        let acts = Arc::clone(&self.0.acts);
        let act = Act { at, said, ..act };
        // Who asked may leave, and with them who waits here.
        let mut owed = Owed { recorder: self, count: missing.saturating_add(1) };
        let mut recorded = Box::pin(async move { acts.record(act).await });
        let came = timeout(PATIENCE, &mut recorded).await;
        owed.count = 0;
        match came {
            Ok(Ok(number)) => return Some(number),
            Ok(Err(why)) => self.missed(&what, &why, missing),
            Err(_late) => match Arc::clone(&self.0.late).try_acquire_owned() {
                Ok(place) => {
                    warn!(what, "it is not recorded yet who asked for this");
                    let recorder = self.clone();
                    let wait = async move {
                        if let Err(why) = recorded.await {
                            recorder.missed(&what, &why, missing);
                        }
                        drop(place);
                    };
                    drop(self.0.tasks.spawn("late act", OnEnd::Fine, wait));
                }
                Err(_many) => self.missed(&what, "too many wait to be recorded", missing),
            },
        }
        None
    }

    /// An act is not recorded, and neither is what it was to say of those `before` it.
    fn missed(&self, what: &str, why: &str, before: u64) {
        self.0.missing.fetch_add(before.saturating_add(1), Ordering::Relaxed);
        warn!(what, why, "it is not recorded who asked for this");
    }

    /// Does what a signal of the system asks for, with an entry before and one after. Who sent it is not known.
    pub(crate) async fn signalled(&self, name: &str, work: impl Future<Output = Result<String, String>>) {
        let act = Act {
            at: Now::default(),
            by: "unknown".to_owned(),
            from: "this machine".to_owned(),
            door: "signal".to_owned(),
            what: name.to_owned(),
            detail: String::new(),
            end: ActEnd::Begun,
            said: String::new(),
            of: None,
        };
        let of = self.record(act.clone()).await;
        let (end, said) = match work.await {
            Ok(_) => (ActEnd::Done, String::new()),
            Err(why) => (ActEnd::Refused, super::audit::said(&why)),
        };
        self.record(Act { end, said, of, ..act }).await;
    }
}

/// Acts that count as missing unless they are recorded.
struct Owed<'a> {
    recorder: &'a Recorder,
    count: u64,
}

impl Drop for Owed<'_> {
    fn drop(&mut self) {
        self.recorder.0.missing.fetch_add(self.count, Ordering::Relaxed);
    }
}
