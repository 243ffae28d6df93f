//! `lictor state`: what is kept of connection monitors.

use serde::Deserialize;

use super::events::local;
use super::incidents::encoded;
use super::status::count;
use crate::cli::State as Command;
use crate::client::{Client, unless_json};
use crate::exit::Failure;
use crate::output::{Terminal, table};

#[derive(Deserialize)]
struct States {
    states: Vec<State>,
}

#[derive(Deserialize)]
struct State {
    name: String,
    prefix: String,
    configured: bool,
    until: Option<String>,
    keys: Option<usize>,
}

#[derive(Deserialize)]
struct Done {
    message: String,
}

pub(crate) async fn run(command: &Command, terminal: &Terminal) -> Result<(), Failure> {
    match command {
        Command::List { agent } => {
            let answer = Client::new(agent)?.get("/v1/state", &[]).await?;
            let Some(States { states }) = unless_json(agent.format, answer)? else { return Ok(()) };
            if states.is_empty() {
                terminal.say("no state of a connection monitor is kept");
                return Ok(());
            }
            let rows = states.into_iter().map(|state| {
                let keys = state
                    .keys
                    .map_or_else(|| "Consul cannot say".to_owned(), |keys| count(keys, "key", "keys"));
                let kept = match state.until {
                    _ if state.configured => "as long as it is configured".to_owned(),
                    Some(until) => format!("until {}", local(&until)),
                    None => String::new(),
                };
                [state.name, state.prefix, keys, kept]
            });
            Terminal::data(&table(["MONITOR", "IN CONSUL AT", "HOLDS", "KEPT"], rows))
        }
        Command::Forget { name, agent } => {
            let answer = Client::new(agent)?.delete(&format!("/v1/state/{}", encoded(name))).await?;
            match unless_json::<Done>(agent.format, answer)? {
                Some(done) => Terminal::data(&done.message),
                None => Ok(()),
            }
        }
    }
}
