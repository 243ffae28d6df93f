//! The units of a service on a machine with systemd: a group of them, started in order and stopped in reverse.
//!
//! All are bound to the guard, which PID 1 therefore starts before them and whose end ends them, and all of
//! their processes are in one slice. Where a unit stands is systemd's word; whether anything still runs is
//! the kernel's, by that slice.

mod begun;
mod facts;
mod job;

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, join_all, select_all};
use lictor_config::{SystemdBus, UnitName};
use lictor_core::service::member::{Local, Order};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};
use tracing::warn;

use super::guard::slice::Slice;
use super::guard_socket::{GuardSocket, GuardState};
use super::place::Place;
use super::{Look, Units};
use crate::systemd::{Bus, Signals, Trouble};
use begun::{Begun, What};
use facts::Facts;
use job::{Verb, job};

/// How long the guard may take to be ready, and to be gone.
const GUARD: Duration = Duration::from_secs(5);

/// What was killed is gone soon, but for what PID 1 runs when a unit has ended.
const KILLED: Duration = Duration::from_secs(10);

/// Between two looks at what was killed.
const PAUSE: Duration = Duration::from_millis(25);

/// After how long systemd is tried again when it cannot be reached.
const AGAIN: Duration = Duration::from_secs(1);

/// How long each unit may take. Those of systemd (TimeoutStartSec=, TimeoutStopSec=) hold besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// To start.
    pub start: Duration,
    /// To stop; then it is killed.
    pub stop: Duration,
}

/// The units of a service on this machine.
#[derive(Debug)]
pub struct SystemdUnits {
    place: Place,
    bus: SystemdBus,
    /// In the order of their start.
    units: Vec<UnitName>,
    guard_unit: UnitName,
    limits: Limits,
    guard: Arc<GuardSocket>,
    slice: Slice,
    /// The connection for looks.
    asking: Mutex<Option<Bus>>,
    /// That on which systemd tells of changes.
    watching: Mutex<Option<Vec<Signals>>>,
}

type Believes<'a> = &'a (dyn Fn(u64) -> bool + Send + Sync);

impl SystemdUnits {
    /// The units of a service, in the order in which they are started.
    ///
    /// # Errors
    /// There are none, or this machine has no systemd.
    pub fn new(
        place: Place,
        units: Vec<UnitName>,
        limits: Limits,
        guard: Arc<GuardSocket>,
    ) -> io::Result<Self> {
        if units.is_empty() {
            return Err(io::Error::other(format!("the service {place} has no units")));
        }
        let slice = Slice::of(&place)?;
        let guard_unit = UnitName::new(&place.guard_unit()).map_err(io::Error::other)?;
        let (asking, watching) = (Mutex::default(), Mutex::default());
        let bus = SystemdBus::System;
        Ok(Self { place, bus, units, guard_unit, limits, guard, slice, asking, watching })
    }

    async fn find(&self) -> Look {
        let mut asking = self.asking.lock().await;
        let found = async {
            let bus = match asking.take() {
                Some(bus) => bus,
                None => Bus::open(&self.bus).await?,
            };
            let facts = Facts::of(&bus, &self.units, &self.guard_unit).await?;
            Ok::<_, Trouble>((bus, facts))
        };
        match found.await {
            Ok((bus, facts)) => {
                *asking = Some(bus);
                let local = self.local(&facts).await;
                Look { local, able: facts.able(&self.place) }
            }
            // The connection may be an old one: the next look opens another.
            Err(trouble) => Look { local: Local::Unknown, able: Err(trouble.to_string()) },
        }
    }

    async fn local(&self, facts: &Facts) -> Local {
        let populated = match self.slice.is_populated() {
            Ok(populated) => populated,
            Err(error) => {
                warn!(service = %self.place, %error, "whether anything of the service runs cannot be seen");
                return Local::Unknown;
            }
        };
        if facts.all_are_down() && !populated {
            self.is_over();
            return Local::Stopped;
        }
        if facts.stopping {
            // PID 1 stops them, in its order and within their own times.
            return Local::Foreign;
        }
        if !facts.are_bound(&self.place) {
            // Somebody else's, until a person has said that it is the lease's: not to be killed for that.
            return Local::Foreign;
        }
        if !facts.all_are_up() {
            // Nothing is under way in this process: an earlier one has begun it.
            return match Begun::read(&self.place).map(|begun| begun.what) {
                Some(What::Start { token }) if self.goes_on(token, facts).await => Local::Starting { token },
                Some(What::Stop) => Local::Stopping,
                Some(What::Start { .. }) | None => Local::Partly,
            };
        }
        self.is_over();
        match self.guard.state().await {
            GuardState::Guards { token, .. } => Local::Running { token: Some(token) },
            GuardState::Waits | GuardState::Absent => Local::Running { token: None },
        }
    }

    /// Whether a start under this token is as it would be if whoever has begun it had gone on.
    async fn goes_on(&self, token: u64, facts: &Facts) -> bool {
        let begun = Begun::read(&self.place).map(|begun| begun.what);
        let guarded = match self.guard.state().await {
            GuardState::Guards { token: guards, .. } => guards == token,
            GuardState::Waits | GuardState::Absent => false,
        };
        begun == Some(What::Start { token }) && guarded && !facts.is_one_broken()
    }

    /// Starts them, or goes on where an earlier process was.
    async fn start(&self, token: u64, believes: Believes<'_>) -> Result<(), String> {
        let facts = self.facts().await.map_err(|trouble| trouble.to_string())?;
        let mut begun = Ok(());
        if !self.goes_on(token, &facts).await {
            self.prepare(token, &facts).await?;
            begun = self.begin(token, believes).await;
        }
        let started = match begun {
            Ok(()) => self.start_all(token, believes).await,
            Err(why) => Err(why),
        };
        let Err(why) = started else {
            self.is_over();
            return Ok(());
        };
        let ended = if believes(token) { self.stop().await } else { self.kill().await };
        Err(ended.err().map_or_else(|| why.clone(), |more| format!("{why}; and then: {more}")))
    }

    /// Sees to it that nothing is in the way of a start.
    async fn prepare(&self, token: u64, facts: &Facts) -> Result<(), String> {
        facts.able(&self.place)?;
        self.is_over();
        if !facts.all_are_down() || !facts.guard.is_down() || self.populated()? {
            // Of an earlier attempt, or started by somebody else: under no token of ours.
            self.kill().await?;
        }
        self.forget_failures().await;
        self.write_environment(token)
    }

    /// Starts the guard and tells it what is believed.
    async fn begin(&self, token: u64, believes: Believes<'_>) -> Result<(), String> {
        if !believes(token) {
            return Err(ended(token));
        }
        let started = async {
            let state = job(&self.bus, &self.guard_unit, Verb::Start, GUARD).await;
            let state = state.map_err(|why| format!("the guard does not start: {why}"))?;
            match state.is_up() {
                true => Ok(()),
                false => Err(format!("the guard does not start: it is {}", state.describe())),
            }
        };
        let begun = async {
            let begun = self.guard.begin(token).await;
            begun.map_err(|why| format!("the guard was not begun: {why}"))
        };
        tokio::try_join!(started, begun)?;
        let facts = self.facts().await.map_err(|trouble| trouble.to_string())?;
        facts.guards(&self.place)
    }

    async fn start_all(&self, token: u64, believes: Believes<'_>) -> Result<(), String> {
        let mut started = Vec::new();
        let what = What::Start { token };
        let past = Begun::past(Begun::read(&self.place).as_ref(), what, self.units.iter());
        for (at, unit) in self.units.iter().enumerate() {
            if !believes(token) {
                return Err(ended(token));
            }
            let limit = self.limits.start;
            let limit = if at < past { limit } else { self.begins(what, unit, limit) };
            let state = job(&self.bus, unit, Verb::Start, limit).await;
            let state = state.map_err(|why| format!("{unit} did not start: {why}"))?;
            if !state.is_up() {
                return Err(format!("{unit} did not start: it is {}", state.describe()));
            }
            started.push((unit, state.invocation));
        }
        // A simple service counts as started before it has done anything.
        let facts = self.facts().await.map_err(|trouble| trouble.to_string())?;
        for ((unit, invocation), state) in started.into_iter().zip(&facts.states) {
            if !state.is_up() || state.invocation != invocation {
                return Err(format!("{unit} was started and broke at once: it is {}", state.describe()));
            }
        }
        Ok(())
    }

    /// Stops the units, the last one first, and then the guard.
    async fn stop(&self) -> Result<(), String> {
        let stopped = self.stop_all().await;
        if let Err(why) = &stopped {
            warn!(service = %self.place, why, "what does not stop is killed");
            return self.kill().await.map_err(|more| format!("{why}; and then: {more}"));
        }
        let ended = self.end_guard(Instant::now() + GUARD).await;
        self.is_over();
        ended
    }

    async fn stop_all(&self) -> Result<(), String> {
        let past = Begun::past(Begun::read(&self.place).as_ref(), What::Stop, self.units.iter().rev());
        for (at, unit) in self.units.iter().rev().enumerate() {
            let limit = self.limits.stop;
            let limit = if at < past { limit } else { self.begins(What::Stop, unit, limit) };
            let state = job(&self.bus, unit, Verb::Stop, limit).await;
            let state = state.map_err(|why| format!("{unit} did not stop: {why}"))?;
            if !state.is_down() {
                return Err(format!("{unit} did not stop: it is {}", state.describe()));
            }
        }
        // What an init script has left, which systemd does not kill.
        if self.populated()? {
            self.slice.kill().map_err(|error| format!("what the units left cannot be killed: {error}"))?;
        }
        Ok(())
    }

    /// Kills everything at once; PID 1 is told afterwards, so that it starts nothing again.
    async fn kill(&self) -> Result<(), String> {
        let deadline = Instant::now() + KILLED;
        self.is_over();
        if let Err(error) = self.slice.kill() {
            // Its own kill may do: it is root, and this program need not be.
            warn!(service = %self.place, %error, "the service cannot be killed at once");
        }
        self.guard.over();
        let stops = self.units.iter().map(|unit| job(&self.bus, unit, Verb::Stop, KILLED));
        let mut stops = Box::pin(join_all(stops));
        let stopped = loop {
            tokio::select! {
                stopped = &mut stops => break stopped,
                // What PID 1 runs because a unit has ended is killed as well.
                () = sleep(PAUSE) => drop(self.slice.kill()),
            }
        };
        for (unit, stopped) in self.units.iter().zip(stopped) {
            let state = stopped.map_err(|why| format!("{unit} was killed, but: {why}"))?;
            if !state.is_down() {
                return Err(format!("{unit} was killed, but it is {}", state.describe()));
            }
        }
        self.end_guard(deadline).await
    }

    /// Ends the guard, and sees that nothing is left and nothing is about to start.
    async fn end_guard(&self, deadline: Instant) -> Result<(), String> {
        self.guard.over();
        let state = job(&self.bus, &self.guard_unit, Verb::Stop, GUARD).await;
        let state = state.map_err(|why| format!("the guard does not end: {why}"))?;
        if !state.is_down() {
            return Err(format!("the guard does not end: it is {}", state.describe()));
        }
        loop {
            let facts = self.facts().await.map_err(|trouble| trouble.to_string())?;
            let down = facts.all_are_down() && facts.guard.is_down();
            if down && !self.populated()? {
                break;
            }
            if Instant::now() >= deadline {
                return Err(match down {
                    true => "some of its processes do not go: they hang in the kernel".to_owned(),
                    false => format!("it does not stay down: {}", facts.describe()),
                });
            }
            sleep(PAUSE).await;
        }
        self.forget_failures().await;
        Ok(())
    }

    async fn begin_anew(&self, token: u64, believes: Believes<'_>) -> Result<(), String> {
        match self.guard.state().await {
            GuardState::Guards { token: guards, .. } if guards == token => {}
            GuardState::Guards { .. } | GuardState::Waits | GuardState::Absent => {
                return Err(format!("it does not run under token {token}"));
            }
        }
        let done = async {
            self.stop_all().await?;
            self.forget_failures().await;
            self.start_all(token, believes).await
        };
        let done = done.await;
        self.is_over();
        done
    }

    /// Writes down what is begun with a unit, for a process that comes before it is over; gives how long it may take.
    fn begins(&self, what: What, unit: &UnitName, limit: Duration) -> Duration {
        let before = Begun::read(&self.place);
        match Begun::write(&self.place, before, what, unit) {
            Ok(begun) => begun.left(limit),
            Err(error) => {
                warn!(service = %self.place, %unit, %error, "who comes next will not know what is under way");
                limit
            }
        }
    }

    /// Nothing is under way.
    fn is_over(&self) {
        if let Err(error) = Begun::remove(&self.place) {
            warn!(service = %self.place, %error, "who comes next will take for under way what is over");
        }
    }

    async fn facts(&self) -> Result<Facts, Trouble> {
        let bus = Bus::open(&self.bus).await?;
        Facts::of(&bus, &self.units, &self.guard_unit).await
    }

    fn populated(&self) -> Result<bool, String> {
        self.slice.is_populated().map_err(|error| format!("what of it runs cannot be seen: {error}"))
    }

    /// Neither a kill nor a failure of the past is to keep systemd from starting a unit.
    async fn forget_failures(&self) {
        let Ok(bus) = Bus::open(&self.bus).await else { return };
        for unit in self.units.iter().chain([&self.guard_unit]) {
            // One that is not in memory has not failed; where it matters the start fails, and says so.
            drop(bus.manager("ResetFailedUnit", &(unit.as_str(),)).await);
        }
    }

    fn write_environment(&self, token: u64) -> Result<(), String> {
        let path = self.place.environment();
        let write = || {
            let Some(dir) = path.parent() else { return Ok(()) };
            DirBuilder::new().recursive(true).mode(0o755).create(dir)?;
            let new = path.with_extension("new");
            let mut file = File::create(&new)?;
            write!(file, "LICTOR_SERVICE={}\nLICTOR_TOKEN={token}\n", self.place)?;
            fs::rename(&new, &path)
        };
        write().map_err(|error| format!("{} cannot be written: {error}", path.display()))
    }

    async fn watch(&self) -> Result<(), Trouble> {
        let mut watching = self.watching.lock().await;
        let Some(signals) = watching.as_mut() else {
            *watching = Some(self.listen().await?);
            // It may have changed before.
            return Ok(());
        };
        // That one is not kept in memory any more is no change: it happens after each look at what is down.
        let changes = signals.iter_mut().map(|signals| Box::pin(signals.changed(false)));
        let (changed, _, _) = select_all(changes).await;
        if changed.is_err() {
            *watching = None;
        }
        changed
    }

    async fn listen(&self) -> Result<Vec<Signals>, Trouble> {
        let bus = Bus::open(&self.bus).await?;
        let mut all = Vec::new();
        for unit in self.units.iter().chain([&self.guard_unit]) {
            let unit = bus.resolve(unit).await?;
            let mut signals = Signals::new(&bus, &unit);
            let rules = signals.rules();
            signals.during(bus.subscribe(&rules)).await?;
            all.push(signals);
        }
        Ok(all)
    }
}

impl Units for SystemdUnits {
    fn look(&self) -> BoxFuture<'_, Look> {
        Box::pin(self.find())
    }

    fn changed(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if let Err(trouble) = self.watch().await {
                warn!(service = %self.place, %trouble, "changes of the units are not told");
                sleep(AGAIN).await;
            }
        })
    }

    fn carry<'a>(&'a self, order: Order, believes: Believes<'a>) -> BoxFuture<'a, Result<(), String>> {
        match order {
            Order::Start { token } => Box::pin(self.start(token, believes)),
            Order::Stop => Box::pin(self.stop()),
            Order::Kill => Box::pin(self.kill()),
        }
    }

    fn restart<'a>(&'a self, token: u64, believes: Believes<'a>) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(self.begin_anew(token, believes))
    }
}

fn ended(token: u64) -> String {
    format!("this node does not hold the lease under token {token} any more")
}
