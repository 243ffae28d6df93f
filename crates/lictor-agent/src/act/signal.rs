//! `act "signal"`: a signal to one process, found anew and bound before it is sent.
//!
//! Between finding a process and sending to it the number may have become another's. So the process is
//! bound by number and time of its start, and gets the signal by a descriptor of its own.
//!
//! An agent that is root must not be lent to others: a process that a user had a say in choosing, by a pid
//! file or the systemd of that user, gets the signal only if that user might have sent it.

use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use lictor_config::{SignalAction, SignalTo, SystemdBus, UnitName};
use lictor_core::Outcome;
use rustix::process::{Signal, getegid, geteuid};
use tokio::time::{Instant, timeout_at};

use super::exec::blocking;
use super::process::ProcessId;
use super::{failed, unknown};
use crate::systemd::{Bus, bus_owner};
use crate::watch::pid_in_file;

/// A process that is to get the signal.
#[derive(Clone, Copy, Debug)]
struct Meant {
    process: ProcessId,
    /// Whoever had a say in which process it is: it must be one that they may send signals to themselves.
    named_by: Option<u32>,
}

/// Finds the process and sends it the signal.
pub(super) async fn act(action: &SignalAction, limit: Duration) -> Outcome {
    let deadline = Instant::now() + limit;
    let name = action.signal;
    let not_sent = |why: String| failed(format!("SIG{name} was not sent: {why}"));
    let Some(signal) = Signal::from_named_raw(action.number) else {
        return not_sent("the system knows no such signal".to_owned());
    };
    let meant = match timeout_at(deadline, find(action)).await {
        Ok(Ok(meant)) => meant,
        Ok(Err(why)) => return not_sent(why),
        Err(_late) => return not_sent("its process was not found in time".to_owned()),
    };
    let sending = found(move || send(meant, signal));
    sent(sending, deadline).await.map_or_else(not_sent, |told| match told {
        Some(process) => Outcome::Done { detail: format!("SIG{name} was sent to {process}") },
        None => unknown(format!(
            "nobody can tell whether SIG{name} was sent: the time was over while it was being sent to \
             process {}",
            meant.process.pid
        )),
    })
}

/// Waits for the sending; `None` when the time is over, for the thread that does it cannot be called back.
async fn sent(
    sending: impl Future<Output = Result<String, String>>,
    deadline: Instant,
) -> Result<Option<String>, String> {
    match timeout_at(deadline, sending).await {
        Ok(sent) => sent.map(Some),
        Err(_late) => Ok(None),
    }
}

async fn find(action: &SignalAction) -> Result<Meant, String> {
    match &action.to {
        SignalTo::Unit(unit, bus) => {
            let named_by = bus_owner(bus).map_err(|trouble| trouble.to_string())?;
            Ok(Meant { process: main_process(unit, bus).await?, named_by })
        }
        SignalTo::PidFile(path) => {
            let path = path.clone();
            found(move || in_file(&path)).await
        }
        SignalTo::Name(name) => {
            let name = name.clone();
            found(move || Ok(Meant { process: only(&name)?, named_by: None })).await
        }
    }
}

/// Sends it, and tells to whom.
fn send(meant: Meant, signal: Signal) -> Result<String, String> {
    let Meant { process, named_by } = meant;
    if process.pid == 1 || ProcessId::own().is_ok_and(|own| own == process) {
        return Err(format!("process {} is not to be ended by a rule", process.pid));
    }
    let name = name_of(process.pid).unwrap_or_else(|| "?".to_owned());
    let told = format!("process {} ({name})", process.pid);
    if let Some(user) = named_by {
        may(user, process).map_err(|why| format!("{told} {why}"))?;
    }
    match process.signal(signal) {
        Ok(true) => Ok(told),
        Ok(false) => Err(format!("{told} is gone")),
        Err(error) => Err(format!("{told}: {error}")),
    }
}

/// The process that a pid file names, and who else than root and the agent itself may have written that.
fn in_file(path: &Path) -> Result<Meant, String> {
    let shown = path.display();
    let wrong = |error: io::Error| format!("{shown}: {error}");
    let started = |pid| ProcessId::of(pid).ok().flatten().map(|one| one.started);
    let (pid, file) = pid_in_file(path, started)?;
    let process = bound(pid)?;
    let me = geteuid().as_raw();
    let mut others = BTreeSet::new();
    let mut note = |found: &Metadata| {
        others.extend(Some(found.uid()).filter(|uid| *uid != 0 && *uid != me));
    };
    note(&file);
    // Whoever has a directory on the way has a say in what lies there, and so has the owner of a link.
    for place in path.ancestors() {
        note(&fs::symlink_metadata(place).map_err(wrong)?);
        let behind = fs::metadata(place).map_err(wrong)?;
        note(&behind);
        // In one with the sticky bit everybody may make files, and change none of others.
        if behind.mode() & 0o1_002 == 0o2 {
            return Err(format!(
                "everybody may write to {}, and so have any process get it; take that right away",
                place.display()
            ));
        }
    }
    if others.is_empty() && file.mode() & 0o020 != 0 && file.gid() != 0 && file.gid() != getegid().as_raw() {
        return Err(format!("the group of {shown} may write to it, and so have any process get it"));
    }
    let mut others = others.into_iter();
    match (others.next(), others.next()) {
        (named_by, None) => Ok(Meant { process, named_by }),
        (_, Some(_)) => Err(format!("{shown} is in the hands of several users")),
    }
}

/// Whether a user may send signals to a process: the rule of kill(2).
fn may(user: u32, process: ProcessId) -> Result<(), String> {
    let status = fs::read_to_string(format!("/proc/{}/status", process.pid))
        .map_err(|error| format!("cannot be looked at: {error}"))?;
    let uids: Vec<u32> = status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:"))
        .map(|uids| uids.split_ascii_whitespace().filter_map(|uid| uid.parse().ok()).collect())
        .unwrap_or_default();
    // Real, effective, saved.
    let (Some(real), Some(saved)) = (uids.first(), uids.get(2)) else {
        return Err("belongs to nobody knows whom".to_owned());
    };
    if user == *real || user == *saved {
        return Ok(());
    }
    Err(format!(
        "was named by user {user} and belongs to user {real}: it might be any process that this user wants to \
         be ended"
    ))
}

/// The main process of a unit. It is asked for twice: what is the main process after we have seen when it
/// was started is the one that was seen.
async fn main_process(unit: &UnitName, bus: &SystemdBus) -> Result<ProcessId, String> {
    let bus = Bus::open(bus).await.map_err(|trouble| trouble.to_string())?;
    let mut seen: Option<ProcessId> = None;
    loop {
        let state = bus.unit(unit).await.map_err(|trouble| trouble.to_string())?;
        let Some(pid) = state.pid else {
            return Err(format!("{unit} has no main process: it is {}", state.describe()));
        };
        let process = found(move || bound(pid)).await?;
        if seen == Some(process) {
            return Ok(process);
        }
        seen = Some(process);
    }
}

/// The only process of a name.
fn only(name: &str) -> Result<ProcessId, String> {
    let entries = fs::read_dir("/proc").map_err(|error| format!("/proc: {error}"))?;
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let own = std::process::id();
    let mut found = Vec::new();
    for pid in numbers.filter(|pid| *pid != own) {
        // In this order: what has the name after it was bound is what has the name.
        let Ok(Some(process)) = ProcessId::of(pid) else { continue };
        if name_of(process.pid).as_deref() == Some(name) && process.alive() {
            found.push(process);
        }
    }
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err(format!("no process is named {name}")),
        several => Err(format!(
            "{} processes are named {name}, and one is meant: use unit or pid_file",
            several.len()
        )),
    }
}

fn bound(pid: u32) -> Result<ProcessId, String> {
    match ProcessId::of(pid) {
        Ok(Some(process)) => Ok(process),
        Ok(None) => Err(format!("process {pid} does not run")),
        Err(error) => Err(format!("process {pid}: {error}")),
    }
}

fn name_of(pid: i32) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/comm")).ok().map(|name| name.trim_end_matches('\n').to_owned())
}

/// Looks into /proc in a thread where that may take its time.
async fn found<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let done = blocking(move || Ok::<_, io::Error>(work())).await;
    done.unwrap_or_else(|error| Err(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    /// A process that is ended when the test is over.
    struct Sleeper(Child);

    impl Drop for Sleeper {
        fn drop(&mut self) {
            self.0.kill().ok();
            self.0.wait().ok();
        }
    }

    fn sleeper(program: &Path) -> Sleeper {
        Sleeper(Command::new(program).arg("60").stdin(Stdio::null()).spawn().unwrap())
    }

    fn term(to: SignalTo) -> SignalAction {
        SignalAction { signal: "TERM", number: 15, to }
    }

    fn why(outcome: Outcome) -> String {
        match outcome {
            Outcome::Failed { detail } => detail,
            other => panic!("{other:?}"),
        }
    }

    /// The program under a name that no other process has.
    fn named(dir: &Path, name: &str) -> std::path::PathBuf {
        let path = dir.join(name);
        std::os::unix::fs::symlink("/bin/sleep", &path).unwrap();
        path
    }

    /// Until then it is a copy of this process.
    fn await_name(sleeper: &Sleeper, name: &str) {
        let pid = i32::try_from(sleeper.0.id()).unwrap();
        let named = lictor_testkit::wait::until(LIMIT, || (name_of(pid)? == name).then_some(()));
        assert!(named.is_some(), "{name}");
    }

    #[tokio::test]
    async fn the_only_process_of_a_name_gets_it_and_of_two_none_does() {
        let dir = tempfile::tempdir().unwrap();
        let name = format!("sl-{}", std::process::id());
        let program = named(dir.path(), &name);
        let action = term(SignalTo::Name(name.clone()));
        assert_eq!(
            why(act(&action, LIMIT).await),
            format!("SIGTERM was not sent: no process is named {name}")
        );
        let mut one = sleeper(&program);
        await_name(&one, &name);
        {
            let other = sleeper(&program);
            await_name(&other, &name);
            assert!(why(act(&action, LIMIT).await).contains("2 processes are named"));
        }
        let outcome = act(&action, LIMIT).await;
        assert_eq!(
            outcome,
            Outcome::Done { detail: format!("SIGTERM was sent to process {} ({name})", one.0.id()) }
        );
        assert!(!one.0.wait().unwrap().success());
    }

    #[tokio::test]
    async fn a_pid_file_must_be_that_of_the_process() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.pid");
        let action = term(SignalTo::PidFile(file.clone()));
        assert!(why(act(&action, LIMIT).await).contains("there is no pid file"));
        let mut one = sleeper(Path::new("/bin/sleep"));
        fs::write(&file, one.0.id().to_string()).unwrap();
        let day = Duration::from_secs(86_400);
        let written = fs::metadata(&file).unwrap().modified().unwrap();
        fs::File::options().write(true).open(&file).unwrap().set_modified(written - day).unwrap();
        assert!(why(act(&action, LIMIT).await).contains("is out of date"));
        fs::File::options().write(true).open(&file).unwrap().set_modified(written).unwrap();
        assert!(matches!(act(&action, LIMIT).await, Outcome::Done { .. }));
        assert!(!one.0.wait().unwrap().success());
    }

    #[tokio::test]
    async fn the_first_process_and_the_agent_itself_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.pid");
        for pid in [1, std::process::id()] {
            fs::write(&file, pid.to_string()).unwrap();
            let said = why(act(&term(SignalTo::PidFile(file.clone())), LIMIT).await);
            assert_eq!(said, format!("SIGTERM was not sent: process {pid} is not to be ended by a rule"));
        }
    }

    /// As root only: nobody else may give a file away.
    fn chown(path: &Path, user: u32) -> bool {
        std::os::unix::fs::chown(path, Some(user), Some(user)).is_ok()
    }

    #[tokio::test]
    async fn a_user_with_a_pid_file_reaches_own_processes_only() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.pid");
        let action = term(SignalTo::PidFile(file.clone()));
        let ours = sleeper(Path::new("/bin/sleep"));
        fs::write(&file, ours.0.id().to_string()).unwrap();
        if !chown(&file, 65_534) {
            return;
        }
        let told = why(act(&action, LIMIT).await);
        assert!(told.contains("was named by user 65534 and belongs to user 0"), "{told}");
        // A file of root in a directory of theirs is where they put it.
        assert!(chown(&file, 0) && chown(dir.path(), 65_534));
        assert!(why(act(&action, LIMIT).await).contains("was named by user 65534"));
        let mut command = Command::new("/bin/sleep");
        std::os::unix::process::CommandExt::uid(&mut command, 65_534);
        let mut theirs = Sleeper(command.arg("60").stdin(Stdio::null()).spawn().unwrap());
        fs::write(&file, theirs.0.id().to_string()).unwrap();
        assert!(matches!(act(&action, LIMIT).await, Outcome::Done { .. }));
        assert!(!theirs.0.wait().unwrap().success());
        // Two users are one too many.
        fs::write(&file, ours.0.id().to_string()).unwrap();
        assert!(chown(&file, 65_533));
        assert!(why(act(&action, LIMIT).await).contains("is in the hands of several users"));
    }

    #[tokio::test]
    async fn a_pid_file_that_everybody_may_write_to_names_nobody() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.pid");
        let one = sleeper(Path::new("/bin/sleep"));
        fs::write(&file, one.0.id().to_string()).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
        let told = why(act(&term(SignalTo::PidFile(file)), LIMIT).await);
        assert!(told.contains("everybody may write to "), "{told}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_being_sent_when_the_time_is_over_may_be_sent() {
        let deadline = Instant::now() + LIMIT;
        assert_eq!(sent(std::future::pending(), deadline).await, Ok(None));
        assert_eq!(sent(async { Err("gone".to_owned()) }, deadline + LIMIT).await, Err("gone".to_owned()));
    }

    #[test]
    fn a_user_may_what_the_kernel_lets_that_user_do() {
        let own = ProcessId::own().unwrap();
        let me = rustix::process::getuid().as_raw();
        assert_eq!(may(me, own), Ok(()));
        assert!(may(me + 12_345, own).unwrap_err().contains("might be any process"));
    }
}
