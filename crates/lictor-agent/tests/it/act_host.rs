//! The program behind the tests of actions and services: the shim, a guard, agents in small that can be killed,
//! and what a service may be made of.

use std::env;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use lictor_agent::act::{Actions, Actors, Keys, KeysError, Outcomes, Settings, shim};
use lictor_agent::service::{Guard as _, GuardSocket, Limits, Place, SystemdUnits, Units as _, guard};
use lictor_agent::{Clock, Tasks};
use lictor_config::{Action, Command, UnitName};
use lictor_core::lease::Belief;
use lictor_core::service::member;
use lictor_core::{ActionName, Boot, Effect, Notes, Order, Outcome, RemedyName, RunId, StepName, Target};
use rustix::event::{Timespec, poll};
use tokio::sync::mpsc;

/// `shim DIR`, or `agent STATE_DIR LIMIT_MILLIS PROGRAM [ARG]…`, which runs the program as
/// `r1/step/1` and says what became of it. `guard NAME`, or `hold NAME TOKEN UNIT…`, which starts a service and
/// renews its belief until it is killed. `write LABEL FILE`, which writes LABEL, its token and the time a thousand
/// times a second.
fn main() -> ExitCode {
    let mut args = env::args_os().skip(1);
    match args.next() {
        Some(word) if word == "shim" => ExitCode::from(shim::main(args)),
        Some(word) if word == "agent" => agent(args).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS),
        Some(word) if word == "guard" => {
            let say = |words: &str| drop(writeln!(std::io::stderr(), "{words}"));
            let ended = guard::main(args, say);
            ended
                .inspect_err(|error| say(&error.to_string()))
                .map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
        }
        Some(word) if word == "hold" => hold(args).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS),
        Some(word) if word == "write" => write(args).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS),
        Some(_) | None => ExitCode::from(64),
    }
}

fn agent(mut args: impl Iterator<Item = OsString>) -> Option<()> {
    let state_dir = args.next()?;
    let limit = Duration::from_millis(args.next()?.into_string().ok()?.parse().ok()?);
    let argv = args.map(OsString::into_string).collect::<Result<Vec<_>, _>>().ok()?;
    let action = Action::Exec(Command { argv, captured: Vec::new(), env: Vec::new(), cwd: None });
    let name = ActionName::new("act").ok()?;
    let order = Order {
        run: RunId(1),
        step: StepName::new("step").ok()?,
        attempt: 1,
        action: Some(name.clone()),
        target: Target::new("target").ok()?,
        remedy: RemedyName::new("remedy").ok()?,
        definition: "definition".to_owned(),
        lease: None,
        notes: Notes::default(),
        captures: Default::default(),
        change: None,
        since: Boot::default(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let outcome = runtime.block_on(async {
        let (told, mut heard) = mpsc::channel(1);
        // The settings of the real thing: this program finds itself by /proc/self/exe.
        let settings = Settings::new(state_dir, "node1", "lineage");
        let actions = Actions::from_iter([(name, "definition".to_owned(), action)]);
        let (keys, clock) = (Arc::new(NoKeys), Clock::fresh());
        let actors = Actors::new(settings, actions, Tasks::new(), Told(told), clock, keys).ok()?;
        actors.run(Effect::Act(order), limit);
        heard.recv().await
    })?;
    writeln!(std::io::stdout(), "{outcome:?}").ok()
}

fn hold(args: impl Iterator<Item = OsString>) -> Option<()> {
    let words: Vec<String> = args.map(OsString::into_string).collect::<Result<_, _>>().ok()?;
    let (name, token, units) = match words.as_slice() {
        [name, token, units @ ..] => (Place::new(name).ok()?, token.parse().ok()?, units),
        _ => return None,
    };
    let units = units.iter().map(|unit| UnitName::new(unit).ok()).collect::<Option<Vec<_>>>()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().ok()?;
    runtime.block_on(async {
        let guard = Arc::new(GuardSocket::open(&name).ok()?);
        let limits = Limits { start: Duration::from_secs(20), stop: Duration::from_secs(20) };
        let units = SystemdUnits::new(name, units, limits, Arc::clone(&guard)).ok()?;
        let clock = Clock::fresh();
        let renews = async {
            loop {
                let lasts = Duration::from_millis(2_500);
                guard.tell(Some(Belief { token, since: clock.stamp(), lasts }));
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
        };
        let starts = async {
            units.carry(member::Order::Start { token }, &|_| true).await.ok()?;
            writeln!(std::io::stdout(), "started").ok()?;
            std::future::pending().await
        };
        tokio::select! {
            never = renews => never,
            failed = starts => failed,
        }
    })
}

fn write(mut args: impl Iterator<Item = OsString>) -> Option<()> {
    let label = args.next()?.into_string().ok()?;
    let mut file = OpenOptions::new().append(true).create(true).open(args.next()?).ok()?;
    let token = env::var("LICTOR_TOKEN").unwrap_or_else(|_none| "-".to_owned());
    let (clock, pause) = (Clock::fresh(), Timespec { tv_sec: 0, tv_nsec: 1_000_000 });
    loop {
        let line = format!("{label} {token} {}\n", clock.stamp().awake.as_nanos());
        file.write_all(line.as_bytes()).ok()?;
        poll(&mut [], Some(&pause)).ok()?;
    }
}

struct Told(mpsc::Sender<Outcome>);

impl Outcomes for Told {
    fn prepared(&self, _run: RunId, _step: StepName, _attempt: u32, _note: String) -> BoxFuture<'_, ()> {
        // A program notes nothing.
        Box::pin(async {})
    }

    fn report(&self, _run: RunId, _step: StepName, _attempt: u32, outcome: Outcome) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.0.send(outcome).await.ok();
        })
    }
}

#[derive(Debug)]
struct NoKeys;

impl NoKeys {
    fn none<T>() -> Result<T, KeysError> {
        Err(KeysError::Refused("there are no keys here".to_owned()))
    }
}

impl Keys for NoKeys {
    fn get<'a>(&'a self, _key: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, KeysError>> {
        Box::pin(async { Self::none() })
    }

    fn put<'a>(&'a self, _key: &'a str, _value: Vec<u8>) -> BoxFuture<'a, Result<(), KeysError>> {
        Box::pin(async { Self::none() })
    }

    fn delete<'a>(&'a self, _key: &'a str) -> BoxFuture<'a, Result<(), KeysError>> {
        Box::pin(async { Self::none() })
    }
}
