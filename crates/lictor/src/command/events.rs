//! `lictor events`.

use serde_json::Value;

use crate::cli::Events as Args;
use crate::client::{Client, typed};
use crate::exit::{Exit, Failure};
use crate::output::{Format, Terminal};
use crate::shape::{Event, Events};

/// A line of the stream is cut off beyond this: an event is a few KiB.
const LINE: usize = 1 << 20;

pub(crate) async fn run(args: &Args, terminal: &Terminal) -> Result<(), Failure> {
    let client = Client::new(&args.agent)?;
    let mut query = Vec::new();
    let mut only = |name, value: &Option<String>| {
        if let Some(value) = value {
            query.push((name, value.clone()));
        }
    };
    only("incident", &args.incident);
    only("run", &args.run);
    only("check", &args.check);
    if !args.kind.is_empty() {
        query.push(("kind", args.kind.join(",")));
    }
    let mut first = query.clone();
    first.push(("limit", args.limit.to_string()));
    let answer = client.get("/v1/events", &first).await?;
    let parts: Events = typed(answer.clone())?;
    match args.agent.format {
        Format::Json if args.follow => {
            for event in answer.get("events").and_then(Value::as_array).into_iter().flatten() {
                Terminal::data(&event.to_string())?;
            }
        }
        Format::Json => Terminal::json(&answer)?,
        Format::Text if parts.events.is_empty() && !args.follow => terminal.say("no such event so far"),
        Format::Text if parts.events.is_empty() => {}
        Format::Text => Terminal::data(&timeline(&parts.events))?,
    }
    if !args.follow {
        return Ok(());
    }
    query.push(("after", parts.last.to_string()));
    let mut follow = Follow::start(&client, &query).await?;
    while let Some(event) = follow.next().await? {
        match args.agent.format {
            Format::Json => Terminal::data(&event.to_string())?,
            Format::Text => Terminal::data(&line(&typed(event)?))?,
        }
    }
    Err(Failure::new(Exit::Unreachable, "the agent ended the stream"))
}

/// Events, one a line.
pub(crate) fn timeline(events: &[Event]) -> String {
    events.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn line(event: &Event) -> String {
    let belongs = [&event.incident, &event.run].into_iter().flatten().cloned().collect::<Vec<_>>().join(" ");
    // What a program said may have several lines: they stay below its event.
    let said = event.text.replace('\n', "\n                               ");
    format!("{}  {belongs:<8}  {said}", local(&event.at))
}

/// An instant in the zone of the person who reads it.
pub(crate) fn local(at: &str) -> String {
    match at.parse::<jiff::Timestamp>() {
        Ok(at) => at.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_other) => at.to_owned(),
    }
}

/// Events as they happen, by server-sent events.
pub(crate) struct Follow {
    response: reqwest::Response,
    buffer: Vec<u8>,
}

impl Follow {
    pub(crate) async fn start(client: &Client, query: &[(&str, String)]) -> Result<Self, Failure> {
        Ok(Self { response: client.stream("/v1/events/stream", query).await?, buffer: Vec::new() })
    }

    /// The next event; `None` when the agent ends the stream.
    pub(crate) async fn next(&mut self) -> Result<Option<Value>, Failure> {
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
            match self.response.chunk().await {
                Ok(Some(part)) => self.buffer.extend_from_slice(&part),
                Ok(None) => return Ok(None),
                Err(error) => {
                    return Err(Failure::new(
                        Exit::Unreachable,
                        format!("the stream of the agent broke: {error}"),
                    ));
                }
            }
        }
    }
}
