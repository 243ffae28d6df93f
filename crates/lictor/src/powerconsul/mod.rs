//! Called as `powerconsul`, this program takes the place of the one that had that name: checks of clustered services
//! for Consul, and what is run when one fails.

mod check;
mod local;
mod log;
mod place;
mod program;
mod roles;
mod tag;
mod trigger;
mod view;

use std::ffi::OsString;
use std::io::{IsTerminal as _, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::ExitCode;

use lictor_compat::powerconsul::{CheckRequest, Request, UsageError, dumps};
use serde_json::{Map, Value};

use crate::called::by_name;
use crate::output::Terminal;
use log::Log;
use place::{conf, conf_path};
use tokio::signal::unix::{SignalKind, signal};

pub(crate) use check::{Told, check};
pub(crate) use place::{Place, conf_if_any};

const NAME: &str = "powerconsul";

/// What ends with a text on the standard error; Consul takes it for a warning.
const FAILED: u8 = 1;

/// Largest list of checks that is read, bytes.
const LARGEST: u64 = 64 << 20;

/// The arguments after the name, if it is called by that: as a program, or as a command of this one.
pub(crate) fn called(args: &[OsString]) -> Option<&[OsString]> {
    by_name(args, NAME)
}

/// The program under its old name.
pub(crate) fn main(args: &[OsString]) -> ExitCode {
    let terminal = Terminal::new(true);
    let words: Vec<String> = args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let done = match Request::read(&words) {
        Ok(Request::Help(text)) => print(text),
        Ok(Request::Bootstrap(json)) => bootstrap(&json),
        Ok(Request::Check(request)) => return checked(&terminal, &request),
        Ok(Request::Watch(state)) => with_place(async |place| trigger::watch(&place, state, &input()?).await),
        Ok(Request::Trigger { state, service }) => {
            with_place(async |place| trigger::trigger_of(&place, state, &service).await)
        }
        Err(wrong) => {
            misused(&words, &wrong);
            Err(wrong.text)
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            terminal.say(&why);
            ExitCode::from(FAILED)
        }
    }
}

/// Makes a check and prints it.
fn checked(terminal: &Terminal, request: &CheckRequest) -> ExitCode {
    let told = waiting(async {
        let place = conf().and_then(Place::new)?;
        Ok(check(&place, request).await)
    });
    let told = told.unwrap_or_else(|why: String| {
        let mut members = Map::new();
        members.insert("type".to_owned(), request.resource.kind().into());
        Told::trouble(members, false, why)
    });
    if let Some(why) = &told.trouble {
        terminal.say(why);
    }
    // Consul looks at the status first.
    drop(Terminal::data(&told.line));
    ExitCode::from(told.verdict.code())
}

/// The line of `lictor service check` whose arguments make no sense: it ends with [`Exit::Usage`], as every command does,
/// which Consul takes for critical. So the line says that nothing is known.
///
/// [`Exit::Usage`]: crate::exit::Exit::Usage
pub(crate) fn misused_line(why: &str) -> String {
    let code = crate::exit::Exit::Usage as u8;
    dumps(
        &serde_json::json!({ "type": null, "expects": null, "clustered": false, "state": "unknown", "code": code, "error": why }),
    )
}

/// What is said on the standard output of arguments that make no sense. A check says that it cannot tell, so that
/// nobody takes the mistake for a warning of the service.
fn misused(words: &[String], wrong: &UsageError) {
    if let Some(help) = wrong.help {
        drop(Terminal::data(help));
    }
    if let [command, kind, ..] = words
        && command == "check"
    {
        let mut members = Map::new();
        members.insert("type".to_owned(), kind.as_str().into());
        drop(Terminal::data(&Told::trouble(members, false, wrong.text.trim().to_owned()).line));
    }
}

fn with_place(run: impl AsyncFnOnce(Place) -> Result<(), String>) -> Result<(), String> {
    waiting(async { run(conf().and_then(Place::new)?).await })
}

fn waiting<T>(what: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let failed = |why: std::io::Error| format!("cannot start: {why}");
    runtime.map_err(failed)?.block_on(async {
        let mut asked = signal(SignalKind::terminate()).map_err(failed)?;
        let mut interrupted = signal(SignalKind::interrupt()).map_err(failed)?;
        // What was started ends with us.
        tokio::select! {
            done = what => done,
            _ = asked.recv() => Err("ended by SIGTERM".to_owned()),
            _ = interrupted.recv() => Err("ended by SIGINT".to_owned()),
        }
    })
}

/// What stands on the standard input, to its end: who writes it may need a while for the first byte.
fn input() -> Result<String, String> {
    let mut stdin = std::io::stdin();
    let mut text = String::new();
    if !stdin.is_terminal() {
        let read = stdin.by_ref().take(LARGEST).read_to_string(&mut text);
        read.map_err(|why| format!("Failed to get Consul services: {why}"))?;
    }
    Ok(text)
}

/// Writes the local configuration.
fn bootstrap(json: &str) -> Result<(), String> {
    let parsed = serde_json::from_str(json).map_err(|why| why.to_string());
    let value: Value = parsed
        .and_then(|value| {
            // What could not be read again is not written.
            let text = dumps(&value);
            lictor_compat::powerconsul::Conf::read(&text).map(|_conf| value).map_err(|why| why.to_string())
        })
        .map_err(|why| format!("Failed to parse configuration string: {why}"))?;
    let path = conf_path();
    let failed = |why: &dyn std::fmt::Display| format!("Failed to write {}: {why}", path.display());
    let aside = path.with_extension("conf.new");
    // It may hold passwords.
    let mut options = std::fs::OpenOptions::new();
    let opened = options.write(true).create(true).truncate(true).mode(0o600).open(&aside);
    let mut file = opened.map_err(|why| failed(&why))?;
    let written = file.write_all(dumps(&value).as_bytes()).and_then(|()| file.sync_all());
    written.and_then(|()| std::fs::rename(&aside, &path)).map_err(|why| failed(&why))?;
    if let Ok(place) = Place::new(lictor_compat::powerconsul::Conf::default()) {
        Log::new(&place.logs, "config", "config").info(
            "*",
            "bootstrap",
            &format!("wrote {}", path.display()),
        );
    }
    Ok(())
}

fn print(text: &str) -> Result<(), String> {
    // A reader that has left is no failure.
    drop(Terminal::data(text));
    Ok(())
}
