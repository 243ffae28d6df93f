//! `lictor service history`: what has happened to a service.

use serde_json::{Value, json};

use super::{client, look};
use crate::cli::Agent;
use crate::client::typed;
use crate::command::events::timeline;
use crate::exit::Failure;
use crate::output::{Format, Terminal};
use crate::shape::Event;

/// So many of the latest events of all services are looked through: what the agent gives in one answer.
const LOOKED_THROUGH: u32 = 1_000;

pub(super) async fn run(name: &str, limit: u32, agent: &Agent, terminal: &Terminal) -> Result<(), Failure> {
    let client = client(agent)?;
    let query = [("kind", "service".to_owned()), ("limit", LOOKED_THROUGH.to_string())];
    let answer = client.get("/v1/events", &query).await?;
    let all = answer.get("events").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut of_it: Vec<Value> =
        all.into_iter().filter(|event| event.get("target") == Some(&json!(name))).collect();
    if of_it.is_empty() {
        // A service that is none is a mistake, and not one of which nothing is known.
        look(&client, name).await?;
    }
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let of_it = of_it.split_off(of_it.len().saturating_sub(limit));
    if agent.format == Format::Json {
        return Terminal::json(&json!({ "events": of_it }));
    }
    if of_it.is_empty() {
        terminal.say(&format!("nothing has happened to {name} so far"));
        return Ok(());
    }
    let events: Vec<Event> = of_it.into_iter().map(typed).collect::<Result<_, _>>()?;
    Terminal::data(&timeline(&events))
}
