//! What the tests of guards share: a service of three units that write down, a thousand times a second, under
//! which token they run, and somebody who believes.
#![cfg(test)]

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use lictor_agent::Clock;
use lictor_agent::service::{
    Guard as _, GuardSocket, GuardState, Limits, Place, SystemdUnits, Units as _, install,
};
use lictor_config::UnitName;
use lictor_core::lease::Belief;
use lictor_core::service::member::{Local, Order};
use lictor_testkit::wait;

use crate::systemd_rig::run;

pub(crate) const NAME: &str = "web-shop";

/// In the order of their start.
pub(crate) const UNITS: [&str; 3] = ["shop-db.service", "shop-app.service", "shop-web.service"];

/// What they write.
const LOG: &str = "/run/writes";

/// As the lease of a service has it.
pub(crate) const LASTS: Duration = Duration::from_millis(2_500);

pub(crate) const PROGRAM: &str = "/usr/local/bin/lictor-act-host";

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn names() -> Vec<UnitName> {
    UNITS.iter().map(|name| UnitName::new(name).unwrap()).collect()
}

/// The first is an ordinary one, the second is started again whatever happens, and the third does not heed
/// TERM.
pub(crate) fn write_units() {
    let writer = |unit: &str| format!("{PROGRAM} write {unit} {LOG}");
    let texts = [
        format!("[Service]\nExecStart={}\n[Install]\nWantedBy=multi-user.target\n", writer(UNITS[0])),
        format!("[Service]\nExecStart={}\nRestart=always\nRestartSec=50ms\n", writer(UNITS[1])),
        format!(
            "[Service]\nExecStart=/bin/sh -c 'trap \"\" TERM; exec {}'\nTimeoutStopSec=700ms\n",
            writer(UNITS[2])
        ),
    ];
    for (unit, text) in UNITS.iter().zip(texts) {
        write(Path::new(&format!("/etc/systemd/system/{unit}")), &text);
    }
    run(&["systemctl", "daemon-reload"]);
}

/// What `lictor service init` does.
pub(crate) fn init() {
    init_of(NAME, &names());
}

pub(crate) fn init_of(name: &str, units: &[UnitName]) {
    for (path, text) in install::files(&Place::new(name).unwrap(), units, Path::new(PROGRAM)) {
        write(&path, &text);
    }
    run(&["systemctl", "daemon-reload"]);
}

pub(crate) fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// A node's agent, as far as the service is concerned.
pub(crate) struct Agent {
    pub(crate) guard: Arc<GuardSocket>,
    pub(crate) units: SystemdUnits,
    believer: Option<Believer>,
}

struct Believer {
    ends: Arc<AtomicBool>,
    last: Arc<Mutex<Belief>>,
    thread: JoinHandle<()>,
}

impl Agent {
    pub(crate) fn new() -> Self {
        Self::of(NAME, names())
    }

    pub(crate) fn of(name: &str, units: Vec<UnitName>) -> Self {
        let place = Place::new(name).unwrap();
        let guard = Arc::new(GuardSocket::open(&place).unwrap());
        let limits = Limits { start: LONG, stop: LONG };
        let units = SystemdUnits::new(place, units, limits, Arc::clone(&guard)).unwrap();
        Self { guard, units, believer: None }
    }

    /// Believes in a token from now on, and renews that.
    pub(crate) fn believe(&mut self, token: u64) {
        self.fall_silent();
        let clock = Clock::fresh();
        let belief = move || Belief { token, since: clock.stamp(), lasts: LASTS };
        let (ends, last) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(belief())));
        let guard = Arc::clone(&self.guard);
        guard.tell(Some(*last.lock().unwrap()));
        let (ended, told) = (Arc::clone(&ends), Arc::clone(&last));
        let thread = thread::spawn(move || {
            loop {
                thread::park_timeout(millis(200));
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let belief = belief();
                *told.lock().unwrap_or_else(PoisonError::into_inner) = belief;
                guard.tell(Some(belief));
            }
        });
        self.believer = Some(Believer { ends, last, thread });
    }

    /// Says nothing any more; gives what it believed last.
    pub(crate) fn fall_silent(&mut self) -> Option<Belief> {
        let Believer { ends, last, thread } = self.believer.take()?;
        ends.store(true, Ordering::SeqCst);
        thread.thread().unpark();
        thread.join().unwrap();
        let last = *last.lock().unwrap();
        Some(last)
    }

    pub(crate) async fn carry(&self, order: Order) -> Result<(), String> {
        self.units.carry(order, &|_| true).await
    }

    /// Starts the service under a token that is believed in.
    pub(crate) async fn start(&mut self, token: u64) {
        self.believe(token);
        self.carry(Order::Start { token }).await.unwrap();
        assert_eq!(self.units.look().await.local, Local::Running { token: Some(token) });
    }

    /// Waits until the service stands so.
    pub(crate) async fn until(&self, local: Local) {
        let seen = async {
            loop {
                let look = self.units.look().await;
                if look.local == local {
                    return;
                }
                self.units.changed().await;
            }
        };
        if tokio::time::timeout(LONG, seen).await.is_err() {
            panic!("it is {:?}, not {local:?}\n{}", self.units.look().await, status());
        }
    }

    pub(crate) async fn left(&self) -> Option<(u64, Duration)> {
        match self.guard.state().await {
            GuardState::Guards { token, left } => Some((token, left)),
            GuardState::Waits | GuardState::Absent => None,
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.fall_silent();
    }
}

/// A line of the log.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    pub(crate) unit: String,
    pub(crate) token: String,
    pub(crate) at: Duration,
}

/// All that was written since the log was cleared.
pub(crate) fn writes() -> Vec<Write> {
    let text = fs::read_to_string(LOG).unwrap_or_default();
    let line = |line: &str| {
        let mut words = line.split(' ');
        let (unit, token) = (words.next()?.to_owned(), words.next()?.to_owned());
        Some(Write { unit, token, at: Duration::from_nanos(words.next()?.parse().ok()?) })
    };
    text.lines().filter_map(line).collect()
}

pub(crate) fn clear() {
    fs::write(LOG, "").unwrap();
}

/// Waits until each unit has written under a token since the log was cleared.
pub(crate) fn all_write(token: u64) {
    let token = token.to_string();
    let written = wait::until(LONG, || {
        let writes = writes();
        let by = |unit: &str| writes.iter().any(|write| write.unit == unit && write.token == token);
        UNITS.iter().all(|unit| by(unit)).then_some(())
    });
    assert!(written.is_some(), "not all write under {token}\n{}", status());
}

/// Waits until nobody has written for a while; gives when each unit wrote last.
pub(crate) fn last_writes() -> Vec<Duration> {
    let quiet = millis(300);
    let clock = Clock::fresh();
    let over = wait::until(LONG, || {
        let last = writes().iter().map(|write| write.at).max()?;
        (clock.stamp().awake.saturating_sub(last) > quiet).then_some(())
    });
    assert!(over.is_some(), "it is still written\n{}", status());
    let writes = writes();
    let last = |unit: &str| writes.iter().filter(|write| write.unit == unit).map(|write| write.at).max();
    UNITS.iter().filter_map(|unit| last(unit)).collect()
}

/// A property of a unit.
pub(crate) fn show(unit: &str, property: &str) -> String {
    run(&["systemctl", "show", "--value", "--property", property, unit]).trim().to_owned()
}

/// Sends a signal to the guard.
pub(crate) fn signal_guard(signal: &str) {
    let pid = show(&Place::new(NAME).unwrap().guard_unit(), "MainPID");
    run(&["kill", "-s", signal, &pid]);
}

/// How much of the guard is in memory, and how much of that nobody else has.
pub(crate) fn guards_memory() -> String {
    let pid = show(&Place::new(NAME).unwrap().guard_unit(), "MainPID");
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    status.lines().filter(|line| line.starts_with("VmRSS") || line.starts_with("RssAnon")).collect()
}

pub(crate) fn awake() -> Duration {
    Clock::fresh().stamp().awake
}

/// What a person would look at.
pub(crate) fn status() -> String {
    let command = "systemctl status --no-pager 'lictor-guard@*' 'shop-*'; journalctl --no-pager -n 60 -o short-precise; \
         systemd-cgls --no-pager /lictor.slice";
    let output = std::process::Command::new("sh").args(["-c", command]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}
