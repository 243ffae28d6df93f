//! `lictor explain`.

use serde::Deserialize;
use serde_json::Value;

use super::events::localized;
use super::incidents::encoded;
use crate::cli::Explain as Args;
use crate::client::{Client, typed};
use crate::exit::{Exit, Failure};
use crate::output::{Format, Terminal};

#[derive(Deserialize)]
struct Explained {
    text: String,
}

/// Writes out what a monitor of a configuration stands for.
pub(crate) fn monitor(args: &Args) -> Result<(), Failure> {
    let loaded = lictor_config::load(&args.config, &lictor_config::ProcessEnv)
        .map_err(|failure| Failure::Config(Box::new(failure)))?;
    let monitors = &loaded.config.monitors;
    let Some(found) = monitors.iter().find(|monitor| monitor.name == args.what) else {
        let names: Vec<&str> = monitors.iter().map(|monitor| monitor.name.as_str()).collect();
        let known =
            if names.is_empty() { "it has none".to_owned() } else { format!("it has {}", names.join(", ")) };
        let message = format!("the configuration has no connection monitor `{}`", args.what);
        return Err(Failure::new(Exit::NotFound, message).help(known));
    };
    match args.agent.format {
        Format::Json => Terminal::json(&serde_json::json!({ "name": found.name, "text": found.expansion })),
        Format::Text => Terminal::data(found.expansion.trim_end()),
    }
}

pub(crate) async fn run(args: &Args, _terminal: &Terminal) -> Result<(), Failure> {
    let client = Client::new(&args.agent)?;
    let answer = client.get(&format!("/v1/explain/{}", encoded(&args.what)), &[]).await?;
    match args.agent.format {
        Format::Json => Terminal::json(&answer),
        Format::Text => Terminal::data(&text(answer)?),
    }
}

/// What was answered, with the times of the person who reads it.
pub(super) fn text(answer: Value) -> Result<String, Failure> {
    Ok(localized(&typed::<Explained>(answer)?.text))
}
