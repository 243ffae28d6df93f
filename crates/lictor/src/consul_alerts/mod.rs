//! Called as `consul-alerts`, this program takes the place of the one that had that name.
//!
//! ```text
//!  arguments, file, environment ─▶ Start ─┐
//!  keys in Consul ─▶ Live: Settings ──────┴─▶ Config ─▶ the agent ─▶ Words: the old texts
//!                      └──────▶ events' handlers            └─▶ the old HTTP interface
//! ```
//!
//! What the old program was told becomes a configuration of ours; the agent knows nothing of it.

mod changed;
mod checks;
mod events;
mod hand_over;
mod http;
mod live;
mod lock;
mod mattermost;
mod outbox;
mod place;
mod reach;
mod records;
mod rest;
mod rows;
mod start;
mod tell;
mod words;

use std::ffi::OsString;
use std::process::ExitCode;

use lictor_compat::consul_alerts::cli::{
    Command, EXIT_FAILED, EXIT_NO_CONSUL, EXIT_NOT_HANDED_OVER, EXIT_OK, USAGE, VERSION, parse,
};

use crate::called::by_name;
use crate::exit::Failure;
use crate::output::Terminal;

const NAME: &str = "consul-alerts";

/// The arguments after the name, if it is called by that: as a program, or as a command of this one.
pub(crate) fn called(args: &[OsString]) -> Option<&[OsString]> {
    let new = |rest: &&[OsString]| rest.first().is_some_and(|next| next == "start");
    by_name(args, NAME).or_else(|| by_name(args, "alerts").filter(new))
}

/// Why it ends other than well.
#[derive(Debug)]
pub(crate) struct Ended {
    code: u8,
    why: Option<Failure>,
}

impl Ended {
    fn new(code: u8, why: impl Into<String>) -> Self {
        Self { code, why: Some(Failure::new(crate::exit::Exit::Failed, why)) }
    }
}

impl From<Failure> for Ended {
    fn from(why: Failure) -> Self {
        Self { code: EXIT_FAILED, why: Some(why) }
    }
}

pub(crate) fn main(args: &[OsString]) -> ExitCode {
    let terminal = Terminal::new(false);
    let words: Vec<_> = args.iter().map(|arg| arg.to_string_lossy()).collect();
    let done = match parse(&words) {
        Err(why) => {
            terminal.say(&format!("{why}\n\n{USAGE}"));
            Err(Ended { code: EXIT_FAILED, why: None })
        }
        Ok(Command::Help) => Terminal::data(USAGE).map_err(Ended::from),
        Ok(Command::Version) => Terminal::data(VERSION).map_err(Ended::from),
        Ok(Command::Start(options)) => start::run(&options, &terminal),
        Ok(Command::Watch { what, options }) => hand_over::run(what, &options),
    };
    match done {
        Ok(()) => ExitCode::from(EXIT_OK),
        Err(Ended { code, why }) => {
            if let Some(why) = why {
                why.show(&terminal);
            }
            ExitCode::from(code)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_called_by_its_name_or_as_a_command() {
        let args = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        let rest = |words: &[&str]| called(&args(words)).map(<[_]>::len);
        assert_eq!(rest(&["/usr/bin/consul-alerts", "start", "--watch-checks"]), Some(2));
        assert_eq!(rest(&["consul-alerts"]), Some(0));
        assert_eq!(rest(&["lictor", "consul-alerts", "--version"]), Some(1));
        assert_eq!(rest(&["lictor", "alerts", "start", "--watch-checks"]), Some(2));
        assert_eq!(rest(&["lictor", "alerts", "queue"]), None);
        assert_eq!(rest(&["lictor", "import", "consul-alerts"]), None);
        assert_eq!(rest(&["lictor"]), None);
    }
}
