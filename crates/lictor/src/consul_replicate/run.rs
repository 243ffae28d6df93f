//! Copies as the old program did: once or without an end, until a signal comes.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::pending;
use std::pin::pin;
use std::sync::Arc;

use lictor_agent::replicate::{Alone, Copies, CopyView, Means, Phase, words};
use lictor_agent::text::visible;
use lictor_agent::{Clock, Tasks};
use lictor_compat::consul_replicate::{Exit, LogLevel, Start, text};
use lictor_config::{Env as _, ProcessEnv};
use lictor_consul::Client;
use tracing::warn;

use super::log::Log;
use super::process::{Asked, PidFile, Signals};
use super::{Ended, NAME, Told, line, settings};
use crate::command::progress;
use crate::command::run::runtime;
use crate::output::Terminal;

/// What the old program said when it was to copy a datacenter to itself.
const ITSELF: &str = "local datacenter cannot be the source datacenter";

/// A key is shown up to so many characters; Consul takes no longer ones.
const KEY: usize = 512;

/// Runs until it is done or told to end.
pub(super) fn run(told: Told, terminal: &Terminal) -> Ended {
    let log = match Log::start(&told) {
        Ok(log) => log,
        Err(ended) => return ended,
    };
    let Ok(runtime) = runtime() else {
        return Ended::failed(Exit::Failed, "the system gives no threads");
    };
    let ended = runtime.block_on(serve(told, &log, terminal)).unwrap_or_else(|ended| ended);
    // A name server that does not answer must not hold up the end.
    runtime.shutdown_background();
    ended
}

async fn serve(told: Told, log: &Log, terminal: &Terminal) -> Result<Ended, Ended> {
    let mut signals = Signals::new(&told.start);
    let mut setup = Setup::new(told)?;
    let mut pid_file = setup.pid_file()?;
    let warned = Cell::new(false);
    loop {
        setup.remark();
        let next = {
            let mut copying = pin!(copy(&setup, &warned));
            loop {
                let asked = tokio::select! {
                    ended = &mut copying => return Ok(ended),
                    asked = signals.next(&setup.told.start) => asked,
                };
                match asked {
                    Asked::End => {
                        say(terminal, text::CLEANING_UP);
                        return Ok(Ended { exit: Exit::Interrupted, says: String::new() });
                    }
                    Asked::Reload => {
                        say(terminal, text::RELOADING);
                        match setup.told.again(variable).and_then(Setup::new) {
                            Ok(next) => break next,
                            // What runs goes on: a file that is half written is no reason to end.
                            Err(Ended { says, .. }) => say(terminal, &says),
                        }
                    }
                }
            }
        };
        signals.follow(&next.told.start);
        log.again(&next.told);
        if !pid_file.is_at(next.told.start.pid_file.as_deref()) {
            match next.pid_file() {
                Ok(file) => pid_file = file,
                Err(Ended { says, .. }) => say(terminal, &says),
            }
        }
        setup = next;
    }
}

fn say(terminal: &Terminal, what: &str) {
    progress::clear();
    terminal.say(what);
}

/// A variable of the environment.
pub(super) fn variable(name: &str) -> Option<String> {
    ProcessEnv.var(name)
}

/// What it runs with, and a client that can be used.
struct Setup {
    told: Told,
    client: Client,
}

impl Setup {
    fn new(told: Told) -> Result<Self, Ended> {
        let client = settings::client(&told.start)
            .and_then(|config| Client::new(config).map_err(|error| error.to_string()))
            .map_err(|why| Ended::failed(Exit::Runner, &why))?;
        Ok(Self { told, client })
    }

    fn pid_file(&self) -> Result<PidFile, Ended> {
        let path = self.told.start.pid_file.as_deref();
        PidFile::write(path).map_err(|why| Ended::failed(Exit::Runner, &why))
    }

    fn remark(&self) {
        for remark in &self.told.start.remarks {
            warn!("{remark}");
        }
    }
}

/// Copies; ends only when it was to be done once, or when it will not be done as it is set.
async fn copy(setup: &Setup, warned: &Cell<bool>) -> Ended {
    let start = &setup.told.start;
    let means = Means { node: NAME.to_owned(), clock: Clock::fresh(), tasks: Tasks::new() };
    let once = start.once.then(|| start.retry.attempts.unwrap_or(u32::MAX));
    let block = Arc::new(settings::replicate(start));
    let alone = Alone::new(&block, &settings::consul(start), &setup.client, &means, &[], once);
    let copies = alone.copies();
    tokio::select! {
        biased;
        phase = copies.until(|phase| matches!(phase, Phase::Refused(_))) => refused(&phase),
        done = alone.run() => finished(done, &copies.all()),
        never = progress::show(std::slice::from_ref(&copies)) => match never {},
        never = goes_on(start, &copies, warned) => match never {},
    }
}

/// Says once that a failure does not end it, as it did before.
async fn goes_on(start: &Start, copies: &Copies, warned: &Cell<bool>) -> Infallible {
    if !start.once && !warned.get() {
        let phase = copies.until(|phase| matches!(phase, Phase::Failing(_))).await;
        warned.set(true);
        let why = phase.why().unwrap_or_default();
        warn!(why, "it is tried until it succeeds; only -once gives up after -consul-retry-attempts");
    }
    pending().await
}

/// It will not be done as it is set, which under this name has one reason.
fn refused(phase: &Phase) -> Ended {
    Ended::failed(Exit::Runner, &format!("{ITSELF}: {}", phase.why().unwrap_or_default()))
}

/// How it ends when everything was copied, or not.
fn finished(done: Result<(), String>, copies: &[CopyView]) -> Ended {
    if let Some(copy) = copies.iter().find(|copy| matches!(copy.state.phase, Phase::Refused(_))) {
        return refused(&copy.state.phase);
    }
    let mut says: Vec<String> = done.err().map(|why| line(LogLevel::Err, &why)).into_iter().collect();
    for copy in copies {
        says.extend(left(copy));
    }
    let exit = if says.is_empty() { Exit::Ok } else { Exit::Runner };
    Ended { exit, says: says.join("\n") }
}

/// What was not done of a prefix: a line, and the keys below it.
fn left(copy: &CopyView) -> Vec<String> {
    let mut says = Vec::new();
    let mut list = |what: String, all: u64, named: Vec<String>| {
        says.push(line(LogLevel::Err, &what));
        let more = all.saturating_sub(named.len() as u64);
        says.extend(named.into_iter().map(|key| format!("  {key}")));
        if more > 0 {
            says.push(format!("  and {more} more"));
        }
    };
    let prefix = &copy.prefix;
    let (refused, named) = &copy.state.refused;
    if *refused > 0 {
        let named = named.iter().map(|(key, why)| format!("{}: {why}", visible(key, KEY)));
        list(
            format!("{prefix}: keys that are not copied or deleted: {refused}"),
            *refused as u64,
            named.collect(),
        );
    }
    if let Some(held) = &copy.state.held {
        let what = format!(
            "{prefix}: deletes that are held back: {}: {}; -approve={} has them done",
            held.keys,
            words(&held.why),
            held.id
        );
        list(what, held.keys, held.named.iter().map(|key| visible(key, KEY)).collect());
    }
    says
}

#[cfg(test)]
mod tests {
    use lictor_agent::replicate::CopyState;
    use lictor_core::Boot;
    use lictor_core::replicate::{Held, Hold};

    use super::*;

    fn copy_of(state: CopyState) -> CopyView {
        let told = Told::new(&["-prefix=a@dc1".into()], |_| None).unwrap();
        let config = Arc::new(settings::replicate(&told.start));
        CopyView { prefix: config.prefixes[0].clone(), config, to: String::new(), state }
    }

    /// How it ends, without the times of the lines.
    fn end(done: Result<(), &str>, state: CopyState) -> (Exit, String) {
        let Ended { exit, says } = finished(done.map_err(str::to_owned), &[copy_of(state)]);
        let bare = |line: &str| line.split_once(" [").map_or(line.to_owned(), |(_, rest)| format!("[{rest}"));
        (exit, says.lines().map(bare).collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn what_was_copied_ends_well_and_without_a_word() {
        assert_eq!(end(Ok(()), CopyState::default()), (Exit::Ok, String::new()));
    }

    #[test]
    fn what_was_left_is_listed() {
        let held = Held {
            why: Hold::Empty,
            id: "1".to_owned(),
            keys: 3,
            since: Boot::from_millis(0),
            named: vec!["a/1".to_owned(), "a/2\n".to_owned()],
        };
        let refused = (1, vec![("a/big".to_owned(), "it is too large".to_owned())]);
        let state = CopyState { held: Some(held), refused, ..CopyState::default() };
        let (exit, says) = end(Err("the source: no answer"), state);
        assert_eq!(exit, Exit::Runner);
        insta::assert_snapshot!(says, @r"
        [ERR] (cli) the source: no answer
        [ERR] (cli) a@dc1:a: keys that are not copied or deleted: 1
          a/big: it is too large
        [ERR] (cli) a@dc1:a: deletes that are held back: 3: the source has no keys at all; -approve=1 has them done
          a/1
          a/2
          and 1 more
        ");
    }
}
