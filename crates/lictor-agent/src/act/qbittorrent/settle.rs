//! Waiting: until a qBittorrent has restored its torrents, and until what it was told is to be seen.

use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::{Instant, sleep};

use super::note::Chosen;
use super::{Attempt, told, torrents};
use crate::qbittorrent::{Fresh, Hash, Picture, Problem, State};

/// Between two looks at what became of it: its lists are 1.5 s late.
const LOOK: Duration = Duration::from_secs(1);

/// What is not to be seen after this is told again.
const AGAIN: Duration = Duration::from_secs(10);

/// A torrent that is checked or moved counts as told after this: what it will do is not shown.
const TAKEN: Duration = Duration::from_secs(3);

/// How long it may take to restore its torrents after a start, as far as that can be told.
const RESTORED: Duration = Duration::from_secs(30);

/// A list that has been as long as it is for this will not grow.
const STEADY: Duration = Duration::from_secs(3);

/// Looks that may fail one after the other once it was told.
const FAILURES: u32 = 3;

/// Whether a qBittorrent seems to have restored all it has.
#[derive(Debug)]
struct Restoring {
    patience: Duration,
    /// How many torrents there were, and since when.
    length: usize,
    since: Instant,
}

impl Restoring {
    fn begin(attempt: Attempt<'_>) -> Self {
        let patience = RESTORED.min(attempt.limit / 2);
        Self { patience, length: usize::MAX, since: Instant::now() }
    }

    /// Whether what is missing of `wanted` is gone, and will not come any more.
    fn is_over(&mut self, picture: &Picture, wanted: &Chosen) -> bool {
        let now = Instant::now();
        if picture.len() != self.length {
            (self.length, self.since) = (picture.len(), now);
        }
        let steady = now.duration_since(self.since);
        let all = || wanted.hashes().all(|hash| picture.get(hash).is_some());
        // Some may have been removed; all of them have hardly been.
        let enough = || all() || (picture.len() > 0 && steady >= STEADY);
        steady >= self.patience || (picture.count(|state| state == State::Loading) == 0 && enough())
    }
}

/// All torrents, once those that are `wanted` are there and none is being restored any more, or
/// that was waited for.
pub(super) async fn restored(attempt: Attempt<'_>, wanted: &Chosen) -> Result<Picture, String> {
    let mut restoring = Restoring::begin(attempt);
    let mut fresh = Fresh::All;
    loop {
        {
            let picture = attempt.client.picture(fresh, attempt.until).await.map_err(told)?;
            if restoring.is_over(&picture, wanted) {
                return Ok(picture.clone());
            }
        }
        fresh = Fresh::Changes;
        sleep(LOOK).await;
    }
}

/// Which torrents are still to be told, given whether they were told long enough ago for it to show.
pub(super) trait Left: Fn(&Picture, bool) -> Vec<Hash> {}

impl<F: Fn(&Picture, bool) -> Vec<Hash>> Left for F {}

/// Tells a qBittorrent something about those of the `chosen` torrents that are `left`, and waits until
/// none is. What does not show is told again, and so is one that was restarted meanwhile.
pub(super) async fn see_to<'t>(
    attempt: Attempt<'_>,
    chosen: &Chosen,
    left: impl Left,
    tell: impl Fn(Vec<Hash>, u32) -> BoxFuture<'t, Result<(), Problem>>,
) -> Result<(), String> {
    let mut restoring = Restoring::begin(attempt);
    let (mut first, mut last, mut times, mut failures) = (None::<Instant>, None::<Instant>, 0, 0);
    let mut fresh = Fresh::All;
    loop {
        let seen = {
            let picture = attempt.client.picture(fresh, attempt.until).await;
            let taken = first.is_some_and(|first| first.elapsed() >= TAKEN);
            picture.map(|picture| (left(&picture, taken), restoring.is_over(&picture, chosen)))
        };
        fresh = Fresh::Changes;
        let count = match seen {
            Ok((left, true)) if left.is_empty() => return Ok(()),
            Ok((left, _)) => {
                failures = 0;
                let count = left.len();
                if !left.is_empty() && last.is_none_or(|last| last.elapsed() >= AGAIN) {
                    times += 1;
                    tell(left, times).await.map_err(told)?;
                    last = Some(Instant::now());
                    first = first.or(last);
                }
                count
            }
            Err(Problem::Down(_)) if first.is_some() && failures < FAILURES => {
                failures += 1;
                chosen.len()
            }
            Err(problem) => return Err(told(problem)),
        };
        if Instant::now() + LOOK >= attempt.until {
            let (of, limit) = (torrents(chosen.len()), lictor_core::Span(attempt.limit));
            return Err(format!("{count} of {of} had not followed after {limit}"));
        }
        sleep(LOOK).await;
    }
}
