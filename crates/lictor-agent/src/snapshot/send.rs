//! One place of a block: snapshots are sent there, read again, and older ones removed.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use jiff::{SignedDuration, Timestamp};
use lictor_config::Place as Settings;
use lictor_core::Wall;
use lictor_core::snapshot::{Keep, Series};
use lictor_places::{Kept, Place, PlaceError, Put};
use tokio::io::AsyncWrite;

use super::take::{Fresh, Sum, Summing};

/// A place, and what is wanted of it.
#[derive(Clone)]
pub(super) struct Spot {
    pub(super) settings: Settings,
    pub(super) place: Place,
}

/// Why something could not be done in a place.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) why: String,
    /// Whether it is worth while to try it again soon.
    pub(super) passes: bool,
}

impl From<PlaceError> for Trouble {
    fn from(error: PlaceError) -> Self {
        Self { passes: error.is_temporary(), why: error.to_string() }
    }
}

/// So far a snapshot may be of the future: clocks of two machines.
pub(super) const AHEAD: SignedDuration = SignedDuration::from_mins(10);

/// What a block has in a place.
#[derive(Debug, Default)]
pub(super) struct Ours {
    /// The oldest first.
    pub(super) kept: Vec<(Timestamp, Kept)>,
    /// The latest of those whose time is to come: a clock was wrong, and neither is it known when they were taken, nor do
    /// they count.
    pub(super) ahead: Option<Timestamp>,
}

impl Ours {
    /// When the newest was begun.
    pub(super) fn newest(&self) -> Option<Timestamp> {
        self.kept.last().map(|(at, _)| *at)
    }

    /// One that neither is `sent` nor was there when that was begun, as far as this cluster knows; or that is `known` for one.
    pub(super) fn foreign(&self, sent: &Fresh, known: &[String]) -> Option<&str> {
        let after = sent.after?;
        let foreign = |(at, kept): &&(Timestamp, Kept)| {
            kept.name != sent.name && (*at > after || known.contains(&kept.name))
        };
        self.kept.iter().find(foreign).map(|(_, kept)| kept.name.as_str())
    }
}

/// Whether it has to be known what is in a place: not where nothing is removed.
pub(super) fn must_list(settings: &Settings) -> bool {
    settings.file.is_none() && settings.keep != Keep::ALL
}

impl Spot {
    /// What this block has there.
    pub(super) async fn ours(&self, series: &Series<'_>, now: Timestamp) -> Result<Ours, PlaceError> {
        let all = self.place.list().await?;
        let made = |kept: &Kept| match &self.settings.file {
            Some(file) => (kept.name == *file).then_some(kept.modified),
            None => {
                let wall = series.made(&kept.name)?;
                Timestamp::from_millisecond(wall.as_unix_millis()).ok()
            }
        };
        let mut ours = Ours::default();
        for kept in all {
            match made(&kept) {
                Some(at) if now.duration_until(at) > AHEAD => ours.ahead = ours.ahead.max(Some(at)),
                Some(at) => ours.kept.push((at, kept)),
                None => {}
            }
        }
        ours.kept.sort_by_key(|(at, _)| *at);
        Ok(ours)
    }

    /// What a snapshot is called there.
    pub(super) fn called<'n>(&'n self, fresh: &'n Fresh) -> &'n str {
        self.settings.file.as_deref().unwrap_or(&fresh.name)
    }

    /// Sends one, and makes sure that it is there as it was.
    pub(super) async fn send(
        &self,
        fresh: &Fresh,
        journal: &Path,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<(), Trouble> {
        let name = self.called(fresh);
        let how = if self.settings.file.is_some() { Put::Replace } else { Put::New };
        match self.place.put(name, &fresh.path, how, Some(journal), progress).await {
            Ok(_) => {}
            // It may be our own, whose answer was lost.
            Err(PlaceError::Exists { .. }) => {
                let (size, sum) = self.summed(name).await?;
                if (size, sum) == (fresh.size, fresh.sum) {
                    return Ok(());
                }
                let why =
                    format!("{}: another file is there already under the name {name}", self.place.shown());
                return Err(Trouble { why, passes: false });
            }
            Err(error) => return Err(error.into()),
        }
        let (size, sum) = match self.settings.read_back {
            true => self.summed(name).await.map(|(size, sum)| (Some(size), Some(sum)))?,
            false => match self.place.size(name).await {
                Ok(size) => (size, None),
                // Who may write need not be let read.
                Err(PlaceError::Denied { .. }) => return Ok(()),
                Err(error) => return Err(error.into()),
            },
        };
        if size == Some(fresh.size) && sum.is_none_or(|sum| sum == fresh.sum) {
            return Ok(());
        }
        let but = match how {
            // Nobody is to take it for one.
            Put::New => {
                let gone = self.place.remove(name).await;
                gone.err().map_or_else(String::new, |error| format!(", and cannot be removed: {error}"))
            }
            // It may be another's, who has sent it after this one.
            Put::Replace => String::new(),
        };
        let why = format!("{}: {name} is not there as it was sent{but}", self.place.shown());
        Err(Trouble { why, passes: true })
    }

    async fn summed(&self, name: &str) -> Result<(u64, Sum), PlaceError> {
        let mut sink = Sink(Summing::default());
        self.place.fetch(name, &mut sink).await?;
        Ok(sink.0.end())
    }

    /// Removes what need not stay, now that this one is there; how many, and why not all.
    pub(super) async fn prune(&self, ours: &mut Ours, sent: &str) -> (u64, Option<PlaceError>) {
        // Nothing is removed before a newer one was found to be there.
        let there = ours.kept.iter().any(|(_, kept)| kept.name == sent);
        if self.settings.file.is_some() || !there {
            return (0, None);
        }
        let made: Vec<Wall> =
            ours.kept.iter().map(|(at, _)| Wall::from_unix_millis(at.as_millisecond())).collect();
        let (mut removed, mut failed) = (0, None);
        let gone = self.settings.keep.superseded(&made);
        let mut left = Vec::new();
        for (index, (at, kept)) in std::mem::take(&mut ours.kept).into_iter().enumerate() {
            if failed.is_none() && gone.contains(&index) && kept.name != sent {
                match self.place.remove(&kept.name).await {
                    Ok(()) => {
                        removed += 1;
                        continue;
                    }
                    Err(error) => failed = Some(error),
                }
            }
            left.push((at, kept));
        }
        ours.kept = left;
        (removed, failed)
    }
}

/// Adds up what is read.
struct Sink(Summing);

impl AsyncWrite for Sink {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(io::Write::write(&mut self.0, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
