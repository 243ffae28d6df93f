//! What an init script asks: `lictor service NAME VERB`, with the habits of the init scripts of powerconsul.

use std::ffi::OsString;

use clap::{CommandFactory as _, ValueEnum as _};

use super::asked::Asking;
use super::shape::Service;
use super::{asked, client, handler, look, status};
use crate::cli::{Cli, One, Script, Verb, Watched};
use crate::exit::{Exit, Failure};
use crate::output::Terminal;

/// The arguments with `service NAME VERB` made what the command line has for it: the words of init scripts
/// as these mean them, all others in our order. A name that is a verb as well is taken for the verb.
pub(crate) fn in_order(mut args: Vec<OsString>) -> Vec<OsString> {
    let is_option = |arg: &&OsString| arg.to_string_lossy().starts_with('-');
    let options = args.iter().skip(1).take_while(is_option).count();
    let at = options + 1;
    let word = |at: usize| args.get(at).and_then(|arg| arg.to_str());
    let (Some("service"), Some(first), Some(second)) = (word(at), word(at + 1), word(at + 2)) else {
        return args;
    };
    let cli = Cli::command();
    let known = |text: &str| {
        let service = cli.find_subcommand("service");
        text == "help" || service.is_some_and(|service| service.find_subcommand(text).is_some())
    };
    if first.starts_with('-') || known(first) {
        return args;
    }
    if Verb::from_str(second, false).is_ok() {
        args.insert(at + 1, "script".into());
    } else if known(second) {
        args.swap(at + 1, at + 2);
    }
    args
}

/// A command as an init script knows it.
pub(super) async fn run(args: &Script, terminal: &Terminal) -> Result<(), Failure> {
    let name = &args.name;
    match args.verb {
        Verb::Status => {
            let once = Watched { agent: args.agent.clone(), watch: false };
            return status::status(Some(name), &once, terminal).await;
        }
        Verb::Promote | Verb::Demote => return handler::run(args, terminal).await,
        Verb::Start | Verb::Stop | Verb::Restart | Verb::StartPrimary => {}
    }
    let client = client(&args.agent)?;
    let (_, service) = look(&client, name).await?;
    let one = One { name: name.clone(), by: None, agent: args.agent.clone() };
    let here = service.active.as_ref() == Some(&service.node);
    let elsewhere = service.active.is_some() && !here;
    let to_here = |verb| Asking { verb, one: &one, to: Some(&service.node), waiting: args.waiting };
    match args.verb {
        Verb::Start if elsewhere => refuse(terminal, STANDBY, &primary(name)),
        Verb::Start if here => already(&service, "running"),
        Verb::Start => to_here("start").carry_out(&client, terminal).await,
        Verb::Stop if here => refuse(terminal, PRIMARY, &primary(name)),
        Verb::Stop if service.here.state == "stopped" => already(&service, "stopped"),
        Verb::Stop => Err(Failure::new(
            Exit::Conflict,
            format!("{name} is {} on {}, and the agent looks after it", service.here.state, service.node),
        )),
        Verb::Restart if here => asked::restart(&one).await,
        Verb::Restart => {
            refuse(terminal, "", "\nRestart commands can only be issued on primary/active nodes!\n")
        }
        Verb::StartPrimary if here => refuse(terminal, "", "\nNode is already primary/active!\n"),
        // There is nobody from whom it could go over.
        Verb::StartPrimary if service.lease.state == "free" => {
            to_here("start").carry_out(&client, terminal).await
        }
        Verb::StartPrimary => to_here("switchover").carry_out(&client, terminal).await,
        Verb::Status | Verb::Promote | Verb::Demote => Ok(()),
    }
}

const STANDBY: &str =
    "\nCannot manually start service on a standby node! To make this node the new primary:\n";

const PRIMARY: &str = "\nCannot manually stop service on a primary node! To make this node the new standby\n\
                       issue the following command on the standby node:\n";

/// The command that makes a node the one that runs it.
fn primary(name: &str) -> String {
    format!("\n> service {name} start-primary\n")
}

/// Says in the old words what this node is not for, and what is.
fn refuse(terminal: &Terminal, what: &str, instead: &str) -> Result<(), Failure> {
    if !what.is_empty() {
        Terminal::data(what)?;
    }
    terminal.say(instead);
    Err(Failure::Said(Exit::Failed))
}

fn already(service: &Service, state: &str) -> Result<(), Failure> {
    let line = |unit: &String| {
        format!("service.{}: already {state}...", unit.strip_suffix(".service").unwrap_or(unit))
    };
    Terminal::data(&service.units.iter().map(line).collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    fn ordered(line: &str) -> String {
        let args = line.split(' ').map(OsString::from).collect();
        let args = in_order(args).into_iter().map(|arg| arg.into_string().unwrap());
        args.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_old_order_of_name_and_verb_is_understood() {
        for (written, meant) in [
            ("lictor service web status", "lictor service script web status"),
            (
                "lictor --no-color service web start-primary",
                "lictor --no-color service script web start-primary",
            ),
            ("lictor service web switchover --to n2", "lictor service switchover web --to n2"),
            ("lictor service web pause --for 1h", "lictor service pause web --for 1h"),
        ] {
            assert_eq!(ordered(written), meant);
        }
    }

    #[test]
    fn our_own_order_and_anything_else_is_left_alone() {
        for line in [
            "lictor service status web",
            "lictor service start start",
            "lictor service help status",
            "lictor service start-primary web",
            "lictor service web frobnicate",
            "lictor service web",
            "lictor service --help status",
            "lictor status",
            "lictor",
        ] {
            assert_eq!(ordered(line), line);
        }
    }

    #[test]
    fn each_old_word_is_read() {
        for verb in ["start", "stop", "restart", "status", "start-primary", "promote", "demote"] {
            let line = ordered(&format!("lictor service web {verb}"));
            assert!(Cli::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
    }
}
