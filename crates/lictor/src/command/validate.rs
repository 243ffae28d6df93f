//! `lictor validate`.

use serde_json::json;

use super::status::count;
use crate::cli::Validate;
use crate::exit::{Exit, Failure};
use crate::output::{Format, Terminal};

pub(crate) fn run(args: &Validate, terminal: &Terminal) -> Result<(), Failure> {
    let loaded = lictor_config::load(&args.paths, &lictor_config::ProcessEnv);
    match (loaded, args.format) {
        (Ok(loaded), Format::Json) => Terminal::json(&json!({
            "valid": true,
            "files": loaded.files,
            "problems": loaded.warnings.iter().map(lictor_config::Problem::to_json).collect::<Vec<_>>(),
        })),
        (Ok(loaded), Format::Text) => {
            for warning in &loaded.warnings {
                terminal.say(&terminal.diagnostic(warning));
            }
            let config = &loaded.config;
            Terminal::data(&format!(
                "the configuration is valid: {}, {}, {} in {}",
                count(config.watches.len(), "watcher", "watchers"),
                count(config.plan.checks.len(), "check", "checks"),
                count(config.plan.remedies.len(), "remedy", "remedies"),
                count(loaded.files.len(), "file", "files"),
            ))
        }
        (Err(failure), Format::Json) => {
            Terminal::json(&json!({ "valid": false, "problems": failure.to_json() }))?;
            Err(Failure::Said(Exit::Config))
        }
        (Err(failure), Format::Text) => Err(Failure::Config(Box::new(failure))),
    }
}
