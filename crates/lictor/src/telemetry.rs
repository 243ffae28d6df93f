//! Logs: text on a terminal, JSON otherwise, always to stderr.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::exit::{Exit, Failure};

/// How logs are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// One line of text for each record.
    Text,
    /// One JSON object for each record.
    Json,
}

/// Begins to write logs at `level` (`info`, or per part: `info,lictor_agent=debug`).
pub(crate) fn start(level: &str, format: LogFormat, colour: bool) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(level).map_err(|error| {
        Failure::new(Exit::Usage, format!("`{level}` is no log level: {error}"))
            .help("error, warn, info, debug or trace, also per part: info,lictor_agent=debug")
    })?;
    let terminal = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let json = match format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let started = if json {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.with_ansi(colour && terminal).with_target(false).compact().try_init()
    };
    started.map_err(|error| Failure::new(Exit::Failed, format!("cannot write logs: {error}")))
}
