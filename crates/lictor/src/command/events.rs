//! `lictor events`.

use lictor_agent::text::one_line;
use serde_json::Value;

use super::follow::{Follow, Followed, GONE};
use crate::cli::Events as Args;
use crate::client::{Client, typed};
use crate::exit::Failure;
use crate::output::{Format, Terminal};
use crate::shape::{Event, Events};
use crate::sheet::{About, Sheet};

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
                Terminal::json_line(event)?;
            }
        }
        Format::Json => Terminal::json(&answer)?,
        Format::Text if parts.events.is_empty() && !args.follow => terminal.say("no such event so far"),
        Format::Text if parts.events.is_empty() => {}
        Format::Text => {
            Terminal::data(&parts.events.iter().map(short).collect::<Vec<_>>().join("\n"))?;
        }
    }
    if !args.follow {
        return Ok(());
    }
    query.push(("after", parts.last.to_string()));
    let mut follow = Follow::new(&client, query);
    loop {
        let event = match follow.next().await? {
            Followed::Event(event) => event,
            Followed::Gone => {
                terminal.say(GONE);
                continue;
            }
            Followed::Back => continue,
        };
        match args.agent.format {
            Format::Json => Terminal::json_line(&event)?,
            Format::Text => Terminal::data(&short(&typed(event)?))?,
        }
    }
}

/// Longest text of one entry in a list, characters: an output may have 4 KiB. What shows
/// one thing shows all of it.
pub(crate) const LIST: usize = 200;

/// An event in one line.
fn short(event: &Event) -> String {
    head(event) + &one_line(&event.text, LIST)
}

/// Events as a list, the latest first.
pub(super) fn sheet(answer: Value) -> Result<Sheet, Failure> {
    let Events { events, .. } = typed(answer)?;
    let lines = events.iter().rev().map(|event| {
        let belongs = [&event.incident, &event.run].into_iter().flatten().cloned().collect::<Vec<_>>();
        let about = match (&event.run, &event.incident) {
            (Some(run), _) => About::Run(run.clone()),
            (None, Some(incident)) => About::Incident(incident.clone()),
            (None, None) => About::Itself(event.at.clone()),
        };
        (about, [local(&event.at), belongs.join(" "), one_line(&event.text, LIST)])
    });
    Ok(Sheet::new(["TIME", "OF", "WHAT"], lines))
}

/// Events with all they say.
pub(crate) fn timeline(events: &[Event]) -> String {
    // What a program said may have several lines: they stay below its event.
    let whole = |event: &Event| {
        let head = head(event);
        let below = format!("\n{}", " ".repeat(head.chars().count()));
        head + &event.text.trim_end().replace('\n', &below)
    };
    events.iter().map(whole).collect::<Vec<_>>().join("\n")
}

/// When, and what it belongs to.
fn head(event: &Event) -> String {
    let belongs = [&event.incident, &event.run].into_iter().flatten().cloned().collect::<Vec<_>>().join(" ");
    format!("{}  {belongs:<8}  ", local(&event.at))
}

/// An instant in the zone of the person who reads it, as every command shows it.
pub(crate) fn local(at: &str) -> String {
    match at.parse::<jiff::Timestamp>() {
        Ok(at) => at.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S%:z").to_string(),
        Err(_other) => at.to_owned(),
    }
}

/// A text of the agent with its instants in the zone of the person who reads it.
pub(crate) fn localized(text: &str) -> String {
    /// `2026-11-21T03:04:05.007Z`
    const LENGTH: usize = 24;
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let part = rest.get(..LENGTH).filter(|part| c.is_ascii_digit() && part.ends_with('Z'));
        let instant = part.filter(|part| part.parse::<jiff::Timestamp>().is_ok());
        match instant {
            Some(instant) => shown.push_str(&local(instant)),
            None => shown.push(c),
        }
        rest = rest.get(instant.map_or(c.len_utf8(), str::len)..).unwrap_or_default();
    }
    shown
}
