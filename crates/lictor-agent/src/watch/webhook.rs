//! Webhook: others say what is wrong, and when it is over.
//!
//! Each call is a result at once. Between calls the watcher repeats what follows from the calls so
//! far; what was not said again for too long does not count any more. What fires is recorded with the
//! position of the watcher, so a restart of the agent forgets nothing.

mod alerts;
mod document;

use std::sync::Arc;
use std::time::Duration;

use lictor_config::{Pattern, Secret, Webhook, WebhookFormat};
use lictor_core::{Boot, CheckName, Match, Sample, Status};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::follow::Positions;
use super::look::{Look, World};
use super::value::{self, Measured as _};
use crate::{Clock, Inbox};
use alerts::Alerts;
use document::Said;

/// How long a caller waits to be heard.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a call was not taken.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// There is no webhook watcher of that name.
    #[error("there is no webhook `{0}`")]
    NotFound(CheckName),
    /// What was said is not understood.
    #[error("the body is not what the webhook `{0}` takes: {1}")]
    NotUnderstood(CheckName, String),
    /// The agent has too much to do to take it.
    #[error("the agent has too much to do to take the webhook `{0}`")]
    Busy(CheckName),
    /// It was taken and takes effect, but nobody knows whether it would outlive a crash.
    #[error("what the webhook `{0}` was told is not recorded yet: say it again")]
    NotRecorded(CheckName),
    /// The agent stops.
    #[error("the agent is stopping")]
    Gone,
}

/// One webhook watcher.
#[derive(Debug)]
pub(super) struct Hook {
    settings: Webhook,
    patterns: Vec<Pattern>,
    /// Whoever has a result holds this until it is handed in: a late look must not overtake a call.
    heard: Arc<Mutex<Heard>>,
}

/// What was said so far: recorded as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Heard {
    /// When the last call came, milliseconds of the boot axis; `None` before the first.
    at: Option<u64>,
    #[serde(default)]
    alerts: Alerts,
    #[serde(default)]
    said: Option<Said>,
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebhookTaken {
    /// The status that follows from it.
    pub status: Status,
    /// How many alerts fire.
    pub firing: usize,
}

impl Hook {
    /// Goes on where the one before left off.
    pub(super) fn new(
        check: &CheckName,
        settings: &Webhook,
        patterns: &[Pattern],
        positions: &Positions,
    ) -> Self {
        let heard = positions.get(check).and_then(|text| serde_json::from_str(&text).ok());
        let heard = Arc::new(Mutex::new(heard.unwrap_or_default()));
        Self { settings: settings.clone(), patterns: patterns.to_vec(), heard }
    }

    /// What its callers must show. It is not looked at here: who is let in is decided where calls
    /// come in.
    pub(super) fn token(&self) -> Option<&Secret> {
        self.settings.token.as_ref()
    }

    /// Takes a call.
    pub(super) async fn call(
        &self,
        check: &CheckName,
        body: &[u8],
        clock: &Clock,
        inbox: &Inbox,
        positions: &Positions,
    ) -> Result<WebhookTaken, WebhookError> {
        let take = async {
            let mut heard = self.heard.lock().await;
            let mut next = heard.clone();
            let now = clock.boot();
            let lines = next
                .take(&self.settings, body, now)
                .map_err(|why| WebhookError::NotUnderstood(check.clone(), why))?;
            let sample = next.sample(&self.settings, now);
            let taken = WebhookTaken { status: sample.status, firing: next.alerts.firing() };
            let position = serde_json::to_string(&next).unwrap_or_default();
            let matches = self.matches(&lines);
            let gone = |_gone| WebhookError::Gone;
            inbox.read(check.clone(), matches, Some(position.clone())).await.map_err(gone)?;
            // From here on it was said: a caller that is told to come again says nothing new.
            positions.set(check, position);
            *heard = next;
            inbox.observed(check.clone(), sample).await.map_err(gone)?;
            Ok(taken)
        };
        timeout(PATIENCE, take).await.unwrap_or_else(|_late| Err(WebhookError::Busy(check.clone())))
    }

    fn matches(&self, lines: &[String]) -> Vec<Match> {
        Look::new(Sample::new(Status::Passing, "")).matching(&self.patterns, &lines.join("\n")).matches
    }
}

impl Heard {
    /// Takes in what a body says; gives the lines in which patterns are looked for.
    fn take(&mut self, settings: &Webhook, body: &[u8], now: Boot) -> Result<Vec<String>, String> {
        let lines = match &settings.format {
            WebhookFormat::Alertmanager { matchers, severity, warning } => {
                let rules = alerts::Rules { matchers, severity, warning };
                self.alerts.take(&rules, body, now.as_millis())?
            }
            WebhookFormat::Json { pointer, critical, warning, passing, lines } => {
                let words = document::Words { pointer: pointer.as_deref(), critical, warning, passing };
                let (said, lines) = document::read(&words, lines, body)?;
                self.said = Some(said);
                lines
            }
        };
        self.at = Some(now.as_millis());
        Ok(lines)
    }

    /// What follows from what was said.
    fn sample(&self, settings: &Webhook, now: Boot) -> Sample {
        let silent = self.at.map(|at| now.since(Boot::from_millis(at)));
        let mut sample = match &settings.format {
            WebhookFormat::Alertmanager { .. } => self.alerts.sample(),
            WebhookFormat::Json { .. } => match &self.said {
                Some(said) => said.sample(settings.expire.zip(silent)),
                None => Sample::new(Status::Unknown, "nobody has called yet"),
            },
        };
        if let Some(silent) = silent {
            sample.seconds(&value::SILENT_SECONDS, silent);
        }
        sample
    }
}

pub(super) async fn look(check: &CheckName, world: &World) -> Look {
    let Some(hook) = world.hook(check) else {
        return Look::new(Sample::new(Status::Unknown, "the webhook is not being listened for"));
    };
    let mut heard = Arc::clone(&hook.heard).lock_owned().await;
    let now = world.clock.boot();
    if let (Some(expire), WebhookFormat::Alertmanager { .. }) = (hook.settings.expire, &hook.settings.format)
    {
        heard.alerts.forget(expire, now.as_millis());
    }
    let sample = heard.at.is_some().then(|| heard.sample(&hook.settings, now));
    Look { sample, matches: Vec::new(), turn: Some(Box::new(heard)) }
}

#[cfg(test)]
mod tests;
