//! `lictor audit`: who asked for what.

use lictor_agent::text::one_line;
use serde::Deserialize;

use super::events::{LIST, local};
use crate::busy::Busy;
use crate::cli::{Audit as Args, AuditCommand};
use crate::client::{Client, unless_json};
use crate::exit::{Exit, Failure};
use crate::output::{Format, Terminal, table};

#[derive(Deserialize)]
struct Acts {
    acts: Vec<Act>,
    more: bool,
}

#[derive(Deserialize)]
struct Act {
    number: u64,
    at: String,
    by: String,
    from: String,
    door: String,
    what: String,
    #[serde(default)]
    detail: String,
    end: String,
    #[serde(default)]
    said: String,
    of: Option<u64>,
}

#[derive(Deserialize)]
struct Verified {
    whole: bool,
    entries: u64,
    first: u64,
    last: u64,
    hash: String,
    cut: Option<u64>,
    #[serde(default)]
    breaks: Vec<Break>,
}

#[derive(Deserialize)]
struct Break {
    number: u64,
    why: String,
}

pub(crate) async fn run(args: &Args, terminal: &Terminal) -> Result<(), Failure> {
    match &args.command {
        None => list(args, terminal).await,
        Some(AuditCommand::Verify { agent }) => {
            let busy = Busy::with("the agent looks at the whole record");
            let answer = Client::new(agent)?.get("/v1/audit/verify", &[]).await;
            drop(busy);
            let answer = answer?;
            let found: Verified = crate::client::typed(answer.clone())?;
            match agent.format {
                Format::Json => Terminal::json(&answer)?,
                Format::Text => Terminal::data(&said(&found, terminal))?,
            }
            if found.whole { Ok(()) } else { Err(Failure::Said(Exit::Failed)) }
        }
    }
}

async fn list(args: &Args, terminal: &Terminal) -> Result<(), Failure> {
    let mut query = vec![("limit", args.limit.to_string())];
    query.extend(args.before.map(|before| ("before", before.to_string())));
    let answer = Client::new(&args.agent)?.get("/v1/audit", &query).await?;
    let Some(Acts { acts, more }) = unless_json(args.agent.format, answer)? else { return Ok(()) };
    let Some(oldest) = acts.last().map(|act| act.number) else {
        terminal.say("nobody has asked for anything");
        return Ok(());
    };
    let rows = acts.into_iter().rev().map(|act| {
        let end = match act.of {
            Some(of) => format!("{} (of {of})", act.end),
            None => act.end,
        };
        let words = [act.what, act.detail].join(" ");
        let said = if act.said.is_empty() { String::new() } else { format!(": {}", act.said) };
        let by = format!("{} ({} from {})", act.by, act.door, act.from);
        [
            act.number.to_string(),
            local(&act.at),
            one_line(&by, LIST),
            one_line(&words, LIST),
            one_line(&format!("{end}{said}"), LIST),
        ]
    });
    Terminal::data(&table(["NUMBER", "WHEN", "WHO", "WHAT", "WHAT BECAME OF IT"], rows))?;
    if more {
        terminal.say(&format!("there are older ones: --before {oldest}"));
    }
    Ok(())
}

fn said(found: &Verified, terminal: &Terminal) -> String {
    if !found.whole {
        let broken = terminal.bad("the record of acts is broken");
        let places = found.breaks.iter().map(|one| format!("  {}: {}", one.number, one_line(&one.why, LIST)));
        return std::iter::once(broken).chain(places).collect::<Vec<_>>().join("\n");
    }
    let whole = terminal.good("the record of acts is whole");
    let entries = match found.entries {
        0 => return format!("{whole}: it has no entries"),
        entries => format!("{entries} entries, {} to {}", found.first, found.last),
    };
    let cut = found.cut.map(|cut| format!("; {cut} older ones were removed because there were too many"));
    format!("{whole}: {entries}{}\nlast hash: {}", cut.unwrap_or_default(), found.hash)
}
