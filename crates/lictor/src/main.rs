//! The program. Only this crate prints and exits.

mod bbbsupervisor;
mod busy;
mod called;
mod cli;
mod client;
mod command;
mod complete;
mod consul_alerts;
mod consul_replicate;
mod consul_snapshot;
mod exit;
#[cfg(test)]
mod manual;
mod old_flags;
mod old_log;
mod old_places;
mod output;
mod powerconsul;
mod probe;
mod shape;
mod sheet;
mod snapshot_agent;
mod syslog;
mod telemetry;
mod watcher;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;
use lictor_agent::service::guard::{self, GuardError};
use lictor_agent::snapshot::drill::launch;

use cli::Cli;
use exit::Exit;
use output::Terminal;

fn main() -> ExitCode {
    let mut args: Vec<_> = std::env::args_os().collect();
    // The shim is started for every child and must be small and quick: it is no part of
    // the command line that people see.
    if args.get(1).is_some_and(|word| word == "shim") {
        return ExitCode::from(lictor_agent::act::shim::main(args.split_off(2).into_iter()));
    }
    // So must the guard of a service, which only PID 1 starts.
    if args.get(1).is_some_and(|word| word == "guard") {
        return guard(args.split_off(2));
    }
    // What becomes the server of a drill must do so before there is a thread.
    if args.get(1).is_some_and(|word| word == launch::WORD) {
        let why = launch::main(args.split_off(2).into_iter());
        Terminal::new(true).say(&format!("error: {why}"));
        return Exit::Failed.into();
    }
    if complete::asked() {
        return match complete::answer(args) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => failure.exit().into(),
        };
    }
    if args.get(1).is_some_and(|word| word == "demo-service") {
        return command::dev::service::main(&args.split_off(2));
    }
    if let Some(rest) = bbbsupervisor::called(&args) {
        return bbbsupervisor::main(rest);
    }
    if let Some(rest) = consul_alerts::called(&args) {
        return consul_alerts::main(rest);
    }
    if let Some(rest) = consul_replicate::called(&args) {
        return consul_replicate::main(rest);
    }
    if let Some(rest) = consul_snapshot::called(&args) {
        return consul_snapshot::main(rest);
    }
    if let Some(rest) = snapshot_agent::called(&args) {
        return snapshot_agent::main(rest);
    }
    if let Some(rest) = powerconsul::called(&args) {
        if rest.first().is_none_or(|word| word != "service") {
            return powerconsul::main(rest);
        }
        // What its library did for init scripts, these commands do.
        let rest = rest.to_vec();
        args.truncate(1);
        args.extend(rest);
    }
    if let Some(called) = probe::called(&args) {
        return probe::main(called);
    }
    if let Some(rest) = watcher::called(&args) {
        return watcher::main(rest);
    }
    let checks = args.get(1..3).is_some_and(|words| words == ["service", "check"]);
    let cli = match Cli::try_parse_from(command::in_order(old_flags::doubled(args))) {
        Ok(cli) => cli,
        Err(error) if checks && error.use_stderr() => {
            let ended = usage(&error);
            // Consul goes by the line: nobody is to take the mistake for a fault of the service.
            let why = error.to_string();
            let why = why.lines().next().unwrap_or_default();
            drop(Terminal::data(&powerconsul::misused_line(why)));
            return ended;
        }
        Err(error) => return usage(&error),
    };
    let terminal = Terminal::new(cli.no_color);
    match command::run(cli, &terminal) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.show(&terminal);
            failure.exit().into()
        }
    }
}

/// Guards a service; an end that is not in order is told, and a failure.
fn guard(args: Vec<OsString>) -> ExitCode {
    let terminal = Terminal::new(true);
    match guard::main(args.into_iter(), |words| terminal.say(&format!("warning: {words}"))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            terminal.say(&format!("error: {error}"));
            match error {
                GuardError::Usage => Exit::Usage.into(),
                _ => Exit::Failed.into(),
            }
        }
    }
}

/// Help and version go to stdout and are no failure; anything else is a usage error.
fn usage(error: &clap::Error) -> ExitCode {
    // A closed pipe is no reason to fail.
    drop(error.print());
    if error.use_stderr() { Exit::Usage.into() } else { ExitCode::SUCCESS }
}
