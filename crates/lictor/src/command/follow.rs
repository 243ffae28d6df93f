//! Events as they happen, also over restarts of the agent.

use std::time::Duration;

use reqwest::Response;
use serde_json::Value;

use crate::client::Client;
use crate::exit::{Exit, Failure};

/// A line of the stream is cut off beyond this: an event is a few KiB.
const LINE: usize = 1 << 20;

/// The agent says something every 15 s: one that is silent for so long is gone.
const SILENCE: Duration = Duration::from_secs(60);

/// The pause before the second attempt to find the agent again; it doubles up to the
/// longest.
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(10);

/// What a person is told of it.
pub(crate) const GONE: &str = "the agent is gone, waiting for it";

/// What a follower is told.
pub(crate) enum Followed {
    /// Something was recorded.
    Event(Value),
    /// The agent does not answer (any more); the next call waits for it.
    Gone,
    /// The agent answers (again); what was recorded meanwhile comes now.
    Back,
}

/// A client that follows the events and comes back when the agent does.
pub(crate) struct Follow<'a> {
    client: &'a Client,
    query: Vec<(&'static str, String)>,
    /// Whether it was said that it is gone.
    missed: bool,
    /// The number of the last event.
    last: Option<u64>,
    stream: Option<Stream>,
}

impl<'a> Follow<'a> {
    /// Follows an agent that has just answered: one that is gone since is waited for.
    pub(crate) fn new(client: &'a Client, query: Vec<(&'static str, String)>) -> Self {
        Self { client, query, missed: false, last: None, stream: None }
    }

    /// Begins to follow; an agent that is not there now is a failure.
    pub(crate) async fn start(client: &'a Client) -> Result<Self, Failure> {
        let mut new = Self::new(client, Vec::new());
        new.connect().await?;
        Ok(new)
    }

    /// The next event; says when the agent is gone, and waits for it then. Nothing is lost when it is broken off.
    pub(crate) async fn next(&mut self) -> Result<Followed, Failure> {
        if let Some(stream) = &mut self.stream {
            if let Some(event) = stream.next().await? {
                self.last = event.get("seq").and_then(Value::as_u64).or(self.last);
                return Ok(Followed::Event(event));
            }
            self.stream = None;
            self.missed = true;
            return Ok(Followed::Gone);
        }
        if !self.missed && !self.connected().await? {
            self.missed = true;
            return Ok(Followed::Gone);
        }
        let mut pause = PAUSE;
        while self.stream.is_none() && !self.connected().await? {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST);
        }
        self.missed = false;
        Ok(Followed::Back)
    }

    /// Tries to connect; `false` when nobody is there.
    async fn connected(&mut self) -> Result<bool, Failure> {
        match self.connect().await {
            Ok(()) => Ok(true),
            Err(failure) if failure.exit() == Exit::Unreachable => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    async fn connect(&mut self) -> Result<(), Failure> {
        let response = self.client.stream("/v1/events/stream", &self.query, self.last).await?;
        self.stream = Some(Stream { response, buffer: Vec::new() });
        Ok(())
    }
}

/// One connection with server-sent events.
struct Stream {
    response: Response,
    buffer: Vec<u8>,
}

impl Stream {
    /// The next event; `None` when the connection has ended or broken.
    async fn next(&mut self) -> Result<Option<Value>, Failure> {
        loop {
            while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line);
                if let Some(data) = line.trim_end().strip_prefix("data:")
                    && let Ok(event) = serde_json::from_str::<Value>(data.trim_start())
                    && event.get("text").is_some()
                {
                    return Ok(Some(event));
                }
            }
            if self.buffer.len() > LINE {
                return Err(Failure::new(Exit::Failed, "the agent sent a line of more than 1 MiB"));
            }
            match tokio::time::timeout(SILENCE, self.response.chunk()).await {
                Ok(Ok(Some(part))) => self.buffer.extend_from_slice(&part),
                Ok(Ok(None) | Err(_)) | Err(_) => return Ok(None),
            }
        }
    }
}
