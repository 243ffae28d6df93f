//! `lictor remedy`.

use lictor_agent::text::one_line;
use lictor_core::RunId;
use serde::Deserialize;
use serde_json::{Value, json};

use super::events::{LIST, local, timeline};
use super::incidents::encoded;
use super::status::span;
use super::watch::{Look, Pace, Page, look};
use crate::cli::{Agent, Remedy as Command, Watched};
use crate::client::{Client, typed, unless_json};
use crate::exit::Failure;
use crate::output::{Terminal, table};
use crate::shape::{Remedy, Run, Step};
use crate::sheet::{About, Sheet};

/// Runs shown in a list.
const FEW: usize = 20;

#[derive(Deserialize)]
struct Done {
    message: String,
}

pub(crate) async fn run(command: &Command, terminal: &Terminal) -> Result<(), Failure> {
    match command {
        Command::List { how } => look(&List, how, terminal).await,
        Command::Show { what, how } => show(what, how, terminal).await,
        Command::Start { remedy, agent } => {
            ask(agent, &format!("/v1/remedies/{}/start", encoded(remedy))).await
        }
        Command::Cancel { run, agent } => ask(agent, &format!("/v1/runs/{}/cancel", encoded(run))).await,
        Command::Retry { run, agent } => ask(agent, &format!("/v1/runs/{}/retry", encoded(run))).await,
    }
}

async fn ask(agent: &Agent, path: &str) -> Result<(), Failure> {
    let answer = Client::new(agent)?.post(path).await?;
    match unless_json::<Done>(agent.format, answer)? {
        Some(done) => Terminal::data(&done.message),
        None => Ok(()),
    }
}

/// The remedies and their runs.
struct List;

impl Look for List {
    fn pace(&self) -> Pace {
        Pace::Recorded
    }

    async fn ask(&self, client: &Client) -> Result<Value, Failure> {
        let remedies = client.get("/v1/remedies", &[]).await?;
        let runs = client.get("/v1/runs", &[]).await?;
        Ok(json!({ "remedies": remedies.get("remedies"), "runs": runs.get("runs") }))
    }

    async fn show(&self, answer: Value, _client: &Client, terminal: &Terminal) -> Result<(), Failure> {
        let Listed { remedies, runs } = typed(answer)?;
        if remedies.is_empty() {
            terminal.say("the configuration has no remedy");
        }
        let mut text = remedy_sheet(&remedies).text();
        if !runs.is_empty() {
            let mut sheet = run_sheet(&runs);
            sheet.lines.truncate(FEW);
            text.push_str("\n\n");
            text.push_str(&sheet.text());
        }
        Terminal::data(&text)
    }
}

#[derive(Deserialize)]
struct Listed {
    remedies: Vec<Remedy>,
    runs: Vec<Run>,
}

pub(super) fn remedy_sheet(remedies: &[Remedy]) -> Sheet {
    let lines = remedies.iter().map(|remedy| {
        let cells =
            [remedy.name.clone(), remedy.target.clone(), remedy.mode.clone(), one_line(&remedy.text, LIST)];
        (About::Remedy(remedy.name.clone()), cells)
    });
    Sheet::new(["REMEDY", "TARGET", "MODE", "STATE"], lines)
}

pub(super) fn run_sheet(runs: &[Run]) -> Sheet {
    let lines = runs.iter().map(|run| {
        let cells = [
            run.id.clone(),
            run.remedy.clone(),
            local(&run.started),
            span(run.lasts_ms),
            run.incident.clone().unwrap_or_default(),
            one_line(&run.text, LIST),
        ];
        (About::Run(run.id.clone()), cells)
    });
    Sheet::new(["RUN", "REMEDY", "STARTED", "LASTS", "INCIDENT", "STATE"], lines)
}

async fn show(what: &str, how: &Watched, terminal: &Terminal) -> Result<(), Failure> {
    let (query, pace) = (Vec::new(), Pace::Recorded);
    // `r17` is a run, unless there is a remedy of that name.
    let is_run = what.starts_with('r') && what.parse::<RunId>().is_ok();
    if is_run {
        let show =
            |answer: Value, terminal: &Terminal| Terminal::data(&run_story(&typed::<Run>(answer)?, terminal));
        let path = format!("/v1/runs/{}", encoded(what));
        return look(&Page { path: &path, query, pace, show }, how, terminal).await;
    }
    let show =
        |answer: Value, terminal: &Terminal| Terminal::data(&described(&typed::<Remedy>(answer)?, terminal));
    let path = format!("/v1/remedies/{}", encoded(what));
    look(&Page { path: &path, query, pace, show }, how, terminal).await
}

/// A run with its timeline.
pub(super) fn run_story(run: &Run, terminal: &Terminal) -> String {
    let heading = format!("{} of {} on {}: {}", run.id, run.remedy, run.target, run.text);
    let about = match &run.incident {
        Some(incident) => format!("started {} because {} ({incident})", local(&run.started), run.cause),
        None => format!("started {} because {}", local(&run.started), run.cause),
    };
    let captures: String = run.captures.iter().map(|(name, value)| format!("\n{name} = {value:?}")).collect();
    format!("{}\n{about}{captures}\n\n{}", terminal.heading(&heading), timeline(&run.timeline))
}

/// A remedy with its steps.
pub(super) fn described(remedy: &Remedy, terminal: &Terminal) -> String {
    let mut lines = vec![terminal.heading(&format!("{} on {}: {}", remedy.name, remedy.target, remedy.text))];
    lines.extend(remedy.on.iter().map(|on| format!("starts on {on}")));
    lines.extend(remedy.follows.iter().map(|follows| format!("starts as {follows}")));
    lines.extend(remedy.until.iter().map(|until| format!("counts as holding until {until}")));
    lines.extend(remedy.guard.iter().map(|guard| format!("only while {guard}")));
    let rows = remedy
        .steps
        .iter()
        .map(|step| [step.name.clone(), does(step), step.attempts.to_string(), step.on_failure.clone()]);
    lines.push(format!("\n{}", table(["STEP", "DOES", "ATTEMPTS", "ON FAILURE"], rows)));
    lines.join("\n")
}

fn does(step: &Step) -> String {
    let subject = step.action.as_ref().or(step.condition.as_ref()).cloned().unwrap_or_default();
    match &step.repeat {
        Some(repeat) => format!("{} {subject} ({repeat})", step.kind),
        None => format!("{} {subject}", step.kind),
    }
}
