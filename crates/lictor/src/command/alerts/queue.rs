//! `lictor alerts queue`, `retry` and `drop`.

use lictor_agent::text::one_line;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::cli::{Choice, Watched};
use crate::client::{Client, typed};
use crate::command::events::LIST;
use crate::command::status::span;
use crate::command::watch::{Pace, Page, look};
use crate::exit::Failure;
use crate::output::{Terminal, table};

use super::say;

#[derive(Deserialize)]
struct Queue {
    queue: Vec<Queued>,
    cannot_record: Option<String>,
}

#[derive(Deserialize)]
struct Queued {
    delivery: String,
    notifier: String,
    occasion: String,
    tells: Vec<Tells>,
    more: usize,
    state: String,
    attempts: u32,
    next_attempt_in_ms: Option<u64>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Tells {
    title: String,
    tells: String,
    status: String,
}

pub(super) async fn show(how: &Watched, terminal: &Terminal) -> Result<(), Failure> {
    let show = |answer: Value, terminal: &Terminal| {
        let Queue { queue, cannot_record } = typed(answer)?;
        let mut lines = Vec::new();
        if let Some(why) = cannot_record {
            lines.push(terminal.alarm(&format!("Nobody is told, since nothing can be recorded: {why}")));
        }
        if queue.is_empty() {
            terminal.say("nothing waits to be told");
        } else {
            let rows = queue.iter().map(row);
            lines.push(table(["MESSAGE", "NOTIFIER", "TELLS", "ATTEMPTS", "NEXT", "LAST ERROR"], rows));
        }
        if lines.is_empty() { Ok(()) } else { Terminal::data(&lines.join("\n")) }
    };
    let page = Page { path: "/v1/alerts/queue", query: Vec::new(), pace: Pace::Steady, show };
    look(&page, how, terminal).await
}

fn row(one: &Queued) -> [String; 6] {
    let next = match one.next_attempt_in_ms {
        None => one.state.clone(),
        Some(0) => "when it is its turn".to_owned(),
        Some(left) => format!("in {}", span(left)),
    };
    let error = one.error.as_deref().unwrap_or_default();
    [
        one.delivery.clone(),
        one.notifier.clone(),
        one_line(&tells(one), LIST),
        one.attempts.to_string(),
        next,
        one_line(error, LIST),
    ]
}

fn tells(one: &Queued) -> String {
    let Some(first) = one.tells.first() else { return one.occasion.replace('_', " ") };
    let said = match first.tells.as_str() {
        "resolved" => format!("{} is over", first.title),
        _ => format!("{} is {}", first.title, first.status),
    };
    match one.tells.len() - 1 + one.more {
        0 => said,
        more => format!("{said}, and {more} more"),
    }
}

/// Has messages tried again (`retry`) or given up (`drop`).
pub(super) async fn steer(word: &str, args: &Choice) -> Result<(), Failure> {
    let mut body = Map::new();
    let which = &args.which;
    let named = [("delivery", &which.delivery), ("notifier", &which.notifier)];
    let named =
        named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), Value::from(value.clone()?))));
    body.extend(named);
    if which.all {
        body.insert("all".to_owned(), true.into());
    }
    body.extend(args.by.iter().map(|by| ("by".to_owned(), by.as_str().into())));
    let answer =
        Client::new(&args.agent)?.post_with(&format!("/v1/alerts/queue/{word}"), &body.into()).await?;
    say(args.agent.format, answer)
}
