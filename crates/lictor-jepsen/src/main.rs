//! The program: makes runs.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use lictor_jepsen::live::command::{Clean, CommandError, Ended, Run};

#[derive(Parser)]
#[command(name = "lictor-jepsen", version, about = "Tests of consistency in the manner of Jepsen")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(Box<Run>),
    Clean(Clean),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(run) => run.execute(),
        Command::Clean(clean) => clean.execute(),
    };
    match done {
        Ok(Ended::Code(code)) => ExitCode::from(code),
        Ok(Ended::Played) => ExitCode::from(2),
        Err(error) => {
            complain(&error);
            ExitCode::from(2)
        }
    }
}

#[expect(clippy::print_stderr, reason = "the program says why it did nothing")]
fn complain(error: &CommandError) {
    eprintln!("lictor-jepsen: {error}");
}
