//! Completions for shells: commands and options from the command line's definition, names from the agent.

use std::ffi::OsString;
use std::time::Duration;

use clap::{CommandFactory as _, Parser as _};
use clap_complete::env::{CompleteEnv, Shells};
use clap_complete::{CompletionCandidate, Shell};
use lictor_agent::text::hidden;
use serde_json::Value;

use crate::cli::{Cli, Command, Status, Watched};
use crate::client::Client;
use crate::command::waiting;
use crate::exit::{Exit, Failure};
use crate::output::Terminal;

/// By this a shell's script says that it asks, and which shell it is.
const VARIABLE: &str = "LICTOR_COMPLETE";

/// Somebody sits there and has pressed a key.
const PATIENCE: Duration = Duration::from_millis(700);

/// More are not offered.
const MOST: usize = 500;

/// Whether a shell asks. It must be looked at before anything else is done with the arguments.
pub(crate) fn asked() -> bool {
    std::env::var_os(VARIABLE).is_some()
}

/// Answers a shell.
pub(crate) fn answer(args: Vec<OsString>) -> Result<(), Failure> {
    let here = std::env::current_dir().ok();
    let env = CompleteEnv::with_factory(Cli::command).var(VARIABLE).bin("lictor").completer("lictor");
    match env.try_complete(args, here.as_deref()) {
        Ok(_answered) => Ok(()),
        Err(error) => Err(Failure::new(Exit::Usage, error.to_string())),
    }
}

/// The script for a shell that has it ask.
pub(crate) fn script(shell: Shell) -> Result<(), Failure> {
    let failed = |why: String| Failure::new(Exit::Failed, format!("no completions for {shell}: {why}"));
    let shells = Shells::builtins();
    let known = shells.completer(&shell.to_string()).ok_or_else(|| failed("it is not known".to_owned()))?;
    let mut script = Vec::new();
    let written = known.write_registration(VARIABLE, "lictor", "lictor", "lictor", &mut script);
    written.map_err(|error| failed(error.to_string()))?;
    Terminal::data(&String::from_utf8_lossy(&script))
}

pub(crate) fn checks() -> Vec<CompletionCandidate> {
    names("/v1/checks", "checks", "name")
}

pub(crate) fn incidents() -> Vec<CompletionCandidate> {
    names("/v1/incidents", "incidents", "id")
}

/// What can be explained.
pub(crate) fn incidents_and_checks() -> Vec<CompletionCandidate> {
    let mut all = incidents();
    all.extend(checks());
    all
}

pub(crate) fn remedies() -> Vec<CompletionCandidate> {
    names("/v1/remedies", "remedies", "name")
}

pub(crate) fn runs() -> Vec<CompletionCandidate> {
    names("/v1/runs", "runs", "id")
}

/// What `lictor remedy show` shows.
pub(crate) fn remedies_and_runs() -> Vec<CompletionCandidate> {
    let mut all = remedies();
    all.extend(runs());
    all
}

pub(crate) fn services() -> Vec<CompletionCandidate> {
    names("/v1/services", "services", "name")
}

pub(crate) fn copies() -> Vec<CompletionCandidate> {
    names("/v1/replicate", "copies", "name")
}

pub(crate) fn snapshots() -> Vec<CompletionCandidate> {
    names("/v1/snapshots", "snapshots", "name")
}

pub(crate) fn silences() -> Vec<CompletionCandidate> {
    names("/v1/alerts/silences", "silences", "id")
}

/// Names that the agent knows, which the environment says where it is; none when it does not answer at once.
fn names(path: &str, list: &str, member: &str) -> Vec<CompletionCandidate> {
    // The options that say where the agent is come from the environment here.
    let Ok(Cli { command: Command::Status(Status { how: Watched { agent, .. }, .. }), .. }) =
        Cli::try_parse_from(["lictor", "status"])
    else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let asked = waiting(async {
        let answer = Client::new(&agent)?.patient(PATIENCE).get(path, &[]).await?;
        let all = answer.get(list).and_then(Value::as_array).into_iter().flatten();
        let named = all.filter_map(|one| one.get(member)?.as_str());
        // What would play tricks on a terminal is not offered.
        let plain = named.filter(|name| !name.chars().any(hidden));
        found = plain.take(MOST).map(CompletionCandidate::new).collect();
        Ok(())
    });
    // A shell has no use for why there are none.
    if asked.is_ok() { found } else { Vec::new() }
}
