//! `act "qbittorrent"`: has torrents stopped and started again, exactly those, or the port for peers
//! opened anew.
//!
//! What will be changed is noted before: which torrents run, and which of them whatever the queue
//! says; which port it is. All of it can be done again without harm, so that one who comes after a
//! crash does what is left of it.

mod bounce;
mod note;
mod settle;
mod start;
mod stop;

use std::time::Duration;

use lictor_config::{QbittorrentAction, TorrentWork};
use lictor_core::{Order, Outcome};
use tokio::time::{Instant, timeout_at};

use super::{Prepared, failed};
use crate::qbittorrent::{Client, Problem, Sessions};

/// One attempt at a qBittorrent.
#[derive(Clone, Copy, Debug)]
struct Attempt<'a> {
    client: &'a Client,
    order: &'a Order,
    /// Its time limit, and when that is over.
    limit: Duration,
    until: Instant,
}

/// Finds out what would be changed: nothing is.
pub(super) async fn prepare(
    action: &QbittorrentAction,
    order: &Order,
    sessions: &Sessions,
    limit: Duration,
) -> Prepared {
    let client = sessions.client(&action.api);
    let attempt = Attempt { client: &client, order, limit, until: Instant::now() + limit };
    let work = async {
        match &action.work {
            TorrentWork::Stop { tracker, unless_done, .. } => {
                stop::prepare(attempt, tracker.as_deref(), unless_done.as_ref()).await
            }
            TorrentWork::Start { stopped_by, tag, .. } => {
                start::prepare(attempt, stopped_by, tag.as_deref()).await
            }
            TorrentWork::BouncePort => bounce::prepare(attempt).await,
        }
    };
    let done = timeout_at(attempt.until, Box::pin(work)).await.unwrap_or_else(|_late| Err(attempt.late()));
    done.unwrap_or_else(|why| Prepared::Over(failed(why)))
}

/// Changes what was noted, and waits until that is to be seen.
pub(super) async fn act(
    action: &QbittorrentAction,
    order: &Order,
    sessions: &Sessions,
    limit: Duration,
) -> Outcome {
    let client = sessions.client(&action.api);
    let attempt = Attempt { client: &client, order, limit, until: Instant::now() + limit };
    let work = async {
        match &action.work {
            TorrentWork::Stop { tag, .. } => stop::act(attempt, tag.as_deref()).await,
            TorrentWork::Start { stopped_by, tag, reannounce } => {
                start::act(attempt, stopped_by, tag.as_deref(), *reannounce).await
            }
            TorrentWork::BouncePort => bounce::act(attempt).await,
        }
    };
    match timeout_at(attempt.until, Box::pin(work)).await.unwrap_or_else(|_late| Err(attempt.late())) {
        Ok(detail) => Outcome::Done { detail },
        Err(why) => failed(why),
    }
}

/// Finds out whether what was noted has been done. Where that cannot be seen it is done again:
/// that does no harm.
pub(super) async fn inspect(
    action: &QbittorrentAction,
    order: &Order,
    sessions: &Sessions,
    limit: Duration,
) -> Outcome {
    let client = sessions.client(&action.api);
    let attempt = Attempt { client: &client, order, limit, until: Instant::now() + limit };
    let work = async {
        match &action.work {
            TorrentWork::Stop { .. } => stop::inspect(attempt).await,
            TorrentWork::Start { stopped_by, tag, .. } => {
                start::inspect(attempt, stopped_by, tag.as_deref()).await
            }
            TorrentWork::BouncePort => Err("whether the port was opened anew cannot be seen".to_owned()),
        }
    };
    match timeout_at(attempt.until, Box::pin(work)).await.unwrap_or_else(|_late| Err(attempt.late())) {
        Ok(detail) => Outcome::Done { detail },
        Err(why) => Outcome::NotStarted { detail: format!("{why}; it is done again, which does no harm") },
    }
}

impl Attempt<'_> {
    fn late(&self) -> String {
        format!("qBittorrent has not done it within {}", lictor_core::Span(self.limit))
    }
}

/// What stands in the way, for people.
fn told(problem: Problem) -> String {
    problem.to_string()
}

/// A number of torrents, as part of a sentence.
fn torrents(count: usize) -> String {
    if count == 1 { "1 torrent".to_owned() } else { format!("{count} torrents") }
}
