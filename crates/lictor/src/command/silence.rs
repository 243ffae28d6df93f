//! `lictor silence`.

use lictor_agent::text::one_line;
use serde::Deserialize;
use serde_json::{Value, json};

use super::alerts::{say, without_null};
use super::events::{LIST, local};
use super::incidents::encoded;
use super::status::span;
use super::watch::{Pace, Page, look};
use crate::cli::{Silence as Command, SilenceAdd, Watched};
use crate::client::{Client, typed, unless_json};
use crate::exit::Failure;
use crate::output::{Terminal, table};

#[derive(Deserialize)]
struct Silences {
    silences: Vec<Silence>,
}

#[derive(Deserialize)]
struct Silence {
    id: String,
    matchers: Vec<String>,
    until: String,
    ends_in_ms: u64,
    by: String,
    #[serde(default)]
    comment: String,
    alerts: usize,
}

#[derive(Deserialize)]
struct Made {
    message: String,
    id: Option<String>,
    silence: Option<Silence>,
}

pub(crate) async fn run(command: &Command, terminal: &Terminal) -> Result<(), Failure> {
    match command {
        Command::Add(args) => add(args, terminal).await,
        Command::List { how } => list(how, terminal).await,
        Command::End { id, agent } => {
            let answer = Client::new(agent)?.delete(&format!("/v1/alerts/silences/{}", encoded(id))).await?;
            say(agent.format, answer)
        }
    }
}

async fn add(args: &SilenceAdd, terminal: &Terminal) -> Result<(), Failure> {
    let body = without_null(json!({
        "matchers": args.matchers, "for": args.lasting, "comment": args.comment, "by": args.by,
    }));
    let answer = Client::new(&args.agent)?.post_with("/v1/alerts/silences", &body).await?;
    let Some(Made { message, id, silence }) = unless_json(args.agent.format, answer)? else { return Ok(()) };
    if let Some(silence) = silence {
        terminal.say(&match silence.alerts {
            0 => format!("it fits nothing that is wrong now; it ends {}", local(&silence.until)),
            1 => format!("it fits 1 alert now; it ends {}", local(&silence.until)),
            more => format!("it fits {more} alerts now; it ends {}", local(&silence.until)),
        });
    }
    let Some(id) = id else { return Terminal::data(&message) };
    terminal.say(&message);
    Terminal::data(&id)
}

async fn list(how: &Watched, terminal: &Terminal) -> Result<(), Failure> {
    let show = |answer: Value, terminal: &Terminal| {
        let Silences { silences } = typed(answer)?;
        if silences.is_empty() {
            terminal.say("no silence is in force");
            return Ok(());
        }
        let rows = silences.into_iter().map(|one| {
            let ends = format!("{} (in {})", local(&one.until), span(one.ends_in_ms));
            let when = one_line(&one.matchers.join(" and "), LIST);
            [one.id, when, one.alerts.to_string(), ends, one.by, one_line(&one.comment, LIST)]
        });
        Terminal::data(&table(["SILENCE", "ALERTS THAT", "FITS NOW", "ENDS", "BY", "COMMENT"], rows))
    };
    let page = Page { path: "/v1/alerts/silences", query: Vec::new(), pace: Pace::Steady, show };
    look(&page, how, terminal).await
}
