//! Heartbeat: something must call in every so often.
//!
//! Each call is a result at once. Between calls the watcher repeats what the last one said,
//! and when none came in time it says so. After a start of the agent nothing is said until
//! the first call or until the whole time has passed: the check keeps its recorded status.

use std::sync::Arc;
use std::time::Duration;

use lictor_config::{Heartbeat, Secret};
use lictor_core::{CheckName, Sample, Span, Status};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::look::{Look, World, cut};
use super::value::{self, Measured as _};
use crate::Inbox;

/// Of a caller's message, bytes that are kept.
const MESSAGE: usize = 1_024;

/// How long a caller waits to be heard.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a call was not taken.
#[derive(Debug, thiserror::Error)]
pub enum HeartbeatError {
    /// There is no heartbeat watcher of that name.
    #[error("there is no heartbeat `{0}`")]
    NotFound(CheckName),
    /// The agent has too much to do to take it.
    #[error("the agent has too much to do to take the heartbeat `{0}`")]
    Busy(CheckName),
    /// The agent stops.
    #[error("the agent is stopping")]
    Gone,
}

/// One heartbeat watcher.
#[derive(Debug)]
pub(super) struct Heart {
    within: Duration,
    token: Option<Secret>,
    /// Whoever has a result holds this until it is handed in: a late look must not
    /// overtake a call.
    beats: Arc<Mutex<Beats>>,
}

/// The calls so far.
#[derive(Debug)]
pub(super) struct Beats {
    /// When the watcher started or was last called.
    heard: Instant,
    /// What the last call said.
    said: Option<(Status, String)>,
}

impl Heart {
    pub(super) fn new(heartbeat: &Heartbeat) -> Self {
        let beats = Beats { heard: Instant::now(), said: None };
        Self { within: heartbeat.within, token: heartbeat.token.clone(), beats: Arc::new(Mutex::new(beats)) }
    }

    /// What its callers must show. It is not looked at here: who is let in is decided where
    /// calls come in.
    pub(super) fn token(&self) -> Option<&Secret> {
        self.token.as_ref()
    }

    /// When the watcher becomes overdue, if nobody calls; `None` while a call is being taken.
    pub(super) fn due(&self) -> Option<Instant> {
        self.beats.try_lock().ok().map(|beats| beats.heard + self.within)
    }

    /// Takes a call.
    pub(super) async fn beat(
        &self,
        check: &CheckName,
        status: Status,
        message: &str,
        inbox: &Inbox,
    ) -> Result<(), HeartbeatError> {
        let message = cut(message.trim(), MESSAGE);
        let message = if message.is_empty() { "called" } else { message }.to_owned();
        let take = async {
            let mut beats = self.beats.lock().await;
            let mut sample = Sample::new(status, message.clone());
            sample.number(&value::SILENT_SECONDS, 0.0);
            let taken = inbox.observed(check.clone(), sample).await;
            if taken.is_ok() {
                *beats = Beats { heard: Instant::now(), said: Some((status, message)) };
            }
            taken
        };
        match timeout(PATIENCE, take).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_gone)) => Err(HeartbeatError::Gone),
            Err(_late) => Err(HeartbeatError::Busy(check.clone())),
        }
    }
}

pub(super) async fn look(check: &CheckName, world: &World) -> Look {
    let Some(heart) = world.heart(check) else {
        return Look::new(Sample::new(Status::Unknown, "the heartbeat is not being listened for"));
    };
    let beats = Arc::clone(&heart.beats).lock_owned().await;
    let silent = beats.heard.elapsed();
    let sample = if silent >= heart.within {
        let limit = Span(heart.within);
        Some(Sample::new(Status::Critical, format!("no call for {}, wanted every {limit}", Span(silent))))
    } else {
        beats.said.clone().map(|(status, message)| Sample::new(status, message))
    };
    let sample = sample.map(|mut sample| {
        sample.seconds(&value::SILENT_SECONDS, silent);
        sample
    });
    Look { sample, matches: Vec::new(), turn: Some(Box::new(beats)) }
}
