//! `lictor alerts preview`: what would be sent, without secrets, and without sending it.

use std::fmt::Write as _;

use lictor_agent::Clock;
use lictor_agent::alert::notify::{Notifiers, Preview, sample};

use super::found;
use crate::cli::TryNotifier;
use crate::exit::{Exit, Failure};
use crate::output::{Format, Terminal};

pub(super) fn run(args: &TryNotifier) -> Result<(), Failure> {
    let (config, name) = found(args)?;
    let clock = Clock::fresh();
    let message = sample(&config, &name, &clock, args.resolved);
    let made = Notifiers::new(&config, clock).preview(&name, &message).unwrap_or_else(|| Ok(Vec::new()));
    let made =
        made.map_err(|why| Failure::new(Exit::Failed, format!("cannot make what `{name}` sends: {why}")))?;
    if args.format == Format::Json {
        return Terminal::json(&made);
    }
    let shown: Vec<String> = made.iter().map(in_words).collect();
    Terminal::data(&shown.join("\n\n"))
}

fn in_words(preview: &Preview) -> String {
    let mut text = format!("{} {}\n", preview.method, preview.url);
    for (name, value) in &preview.headers {
        // A text takes no harm.
        writeln!(text, "{name}: {value}").ok();
    }
    let body = serde_json::from_str::<serde_json::Value>(&preview.body)
        .and_then(|body| serde_json::to_string_pretty(&body))
        .unwrap_or_else(|_text| preview.body.clone());
    text + "\n" + body.trim_end()
}
