//! `lictor validate`.

use serde_json::json;

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
            let plural = |count: usize, one: &str, many: &str| {
                format!("{count} {}", if count == 1 { one } else { many })
            };
            Terminal::data(&format!(
                "the configuration is valid: {}, {}, {} in {}",
                plural(config.watches.len(), "watcher", "watchers"),
                plural(config.plan.checks.len(), "check", "checks"),
                plural(config.plan.remedies.len(), "remedy", "remedies"),
                plural(loaded.files.len(), "file", "files"),
            ))
        }
        (Err(failure), Format::Json) => {
            Terminal::json(&json!({ "valid": false, "problems": failure.to_json() }))?;
            Err(Failure::Said(Exit::Config))
        }
        (Err(failure), Format::Text) => Err(Failure::Config(Box::new(failure))),
    }
}
