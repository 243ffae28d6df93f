//! The program: makes runs, and judges histories.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use lictor_jepsen::command::{Check, CommandError, Convert, List, Report};
use lictor_jepsen::live::command::{self as live, Clean, Ended, Run};

#[derive(Parser)]
#[command(name = "lictor-jepsen", version, about = "Tests of consistency in the manner of Jepsen")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(Box<Run>),
    Check(Check),
    Report(Report),
    List(List),
    Convert(Convert),
    Clean(Clean),
}

/// The exit code of a command line that is not understood: 2 is a verdict.
const USAGE: u8 = 64;

/// Why nothing came of it.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Judge(#[from] CommandError),
    #[error(transparent)]
    Run(#[from] live::CommandError),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let usage = error.use_stderr();
            // Whether it could be said changes nothing about it.
            drop(error.print());
            return ExitCode::from(if usage { USAGE } else { 0 });
        }
    };
    let out = &mut io::stdout().lock();
    match execute(cli.command, out) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            complain(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

fn execute(command: Command, out: &mut dyn Write) -> Result<u8, Failed> {
    let code = match command {
        Command::Run(run) => ended(run.execute()?, out)?,
        Command::Clean(clean) => ended(clean.execute()?, out)?,
        Command::Check(check) => check.execute(out)?,
        Command::Report(report) => report.execute(out)?,
        Command::List(list) => list.execute(out)?,
        Command::Convert(convert) => convert.execute(out)?,
    };
    out.flush().map_err(CommandError::from)?;
    Ok(code)
}

/// Tells what a run came to, in the process that made it; the one around it has its exit code.
fn ended(ended: Ended, out: &mut dyn Write) -> Result<u8, Failed> {
    match ended {
        Ended::Code(code) => Ok(code),
        Ended::Judged(judgement) => {
            lictor_jepsen::command::tell(out, &judgement).map_err(CommandError::from)?;
            Ok(judgement.verdict.exit_code())
        }
    }
}

impl Failed {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Judge(error) => error.exit_code(),
            Self::Run(error) => error.exit_code(),
        }
    }
}

#[expect(clippy::print_stderr, reason = "the program says why it did nothing")]
fn complain(error: &Failed) {
    eprintln!("lictor-jepsen: {error}");
}
