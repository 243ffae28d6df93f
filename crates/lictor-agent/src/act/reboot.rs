//! `act "reboot"`: has systemd restart this machine.
//!
//! That it happens once a day at most is noted in the state directory, see [`last`]; the cooldown of the
//! rules only keeps them from asking more often. Here is refused what would make that worthless: a state
//! that a restart wipes out, and a machine that has just been started.

mod last;

use std::path::{Path, PathBuf};
use std::time::Duration;

use lictor_config::{Reboot, SystemdBus, UnitName};
use lictor_core::{Order, Outcome, Span};
use rustix::fs::statfs;
use rustix::time::{ClockId, clock_gettime};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::exec::blocking;
use super::{Prepared, failed, unknown};
use crate::clock::{Clock, boot_id};
use crate::systemd::{Bus, Trouble};
use last::{Guard, Refused};

/// linux/magic.h: tmpfs and ramfs.
const IN_MEMORY: [u32; 2] = [0x0102_1994, 0x8584_58f6];

/// linux/magic.h: overlayfs. What is written there may go to a disk or to memory.
const OVERLAY: u32 = 0x794c_7630;

/// One that comes too early by no more than this waits: a rule that wants a restart every day comes a
/// moment sooner after its cooldown on one day than on the other.
const MOMENT: Duration = Duration::from_secs(10);

/// What is started when a machine is restarted.
const TARGET: &str = "reboot.target";

/// Notes which boot this is: another one says that it was done.
pub(super) fn prepare() -> Prepared {
    match boot_id() {
        Ok(boot) => Prepared::Note(boot),
        Err(error) => Prepared::Over(failed(format!("the id of this boot cannot be read: {error}"))),
    }
}

/// Whether what lies in a directory outlives a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Lasts {
    Yes,
    No,
    /// Nobody can tell, and why.
    Unclear(String),
}

/// What a restart is noted by.
#[derive(Clone, Debug)]
pub(super) struct Books {
    /// The agent's state directory.
    pub(super) state_dir: PathBuf,
    /// The agent's clock.
    pub(super) clock: Clock,
    /// What the order is called in front of others.
    pub(super) order: String,
}

/// Asks for it, and waits for the end. Only when that does not come is anything reported: what is done
/// the agent of the next boot finds out.
pub(super) async fn act(action: Reboot, books: &Books, limit: Duration) -> Outcome {
    restart(action, &SystemdBus::System, uptime(), lasts(&books.state_dir), books, limit).await
}

async fn restart(
    action: Reboot,
    bus: &SystemdBus,
    up: Duration,
    lasts: Lasts,
    books: &Books,
    limit: Duration,
) -> Outcome {
    let deadline = Instant::now() + limit;
    let refused = |why: String| failed(format!("this machine was not restarted: {why}"));
    if let Err(why) = may(action, up, lasts) {
        return refused(why);
    }
    // Nothing is noted before there is somebody to ask.
    let bus = match timeout_at(deadline, Bus::open(bus)).await {
        Ok(Ok(bus)) => bus,
        Ok(Err(trouble)) => return refused(trouble.to_string()),
        Err(_late) => return refused("systemd has said nothing in time".to_owned()),
    };
    match timeout_at(deadline, note(books)).await {
        Ok(Ok(())) => {}
        Ok(Err(why)) => return refused(why),
        Err(_late) => {
            return refused(
                "it was not noted in time. If the note is made after all, it counts as a restart".to_owned(),
            );
        }
    }
    // As `systemctl reboot` does it: all units are stopped, and nothing may come in between.
    let asking = bus.manager("StartUnit", &(TARGET, "replace-irreversibly"));
    let asked = match timeout_at(deadline, asking).await {
        Ok(Ok(_job)) => "systemd was asked to restart this machine".to_owned(),
        Ok(Err(trouble @ (Trouble::Lost(_) | Trouble::Late | Trouble::Garbled(_)))) => {
            format!("systemd was asked to restart this machine, then: {trouble}")
        }
        Ok(Err(trouble @ (Trouble::Said { .. } | Trouble::Denied(_) | Trouble::Unreachable(_)))) => {
            return refused(format!("{trouble}{}", take_back(books).await));
        }
        Err(_late) => "systemd was asked to restart this machine and has not answered".to_owned(),
    };
    sleep_until(deadline).await;
    unknown(format!("{asked}; it is still up {} later", Span(limit)))
}

/// Notes the restart, unless there was one within a day.
async fn note(books: &Books) -> Result<(), String> {
    let boot = boot_id().map_err(|error| format!("the id of this boot cannot be read: {error}"))?;
    let mut waited = false;
    loop {
        let (guard, now) = (Guard::of(&books.state_dir), books.clock.anchor(&boot));
        let order = books.order.clone();
        let noted = blocking(move || Ok(guard.note(&now, &order))).await;
        let refused: Refused = match noted.map_err(|error| error.to_string())? {
            Ok(()) => return Ok(()),
            Err(refused) => refused,
        };
        match refused.left() {
            Some(left) if left <= MOMENT && !waited => sleep(left + Duration::from_millis(10)).await,
            Some(_) | None => return Err(refused.to_string()),
        }
        waited = true;
    }
}

/// Takes the note back; tells what is wrong if it cannot be.
async fn take_back(books: &Books) -> String {
    let (guard, order) = (Guard::of(&books.state_dir), books.order.clone());
    match blocking(move || guard.take_back(&order)).await {
        Ok(()) => String::new(),
        Err(error) => format!("; and it stays noted as restarted, for a day: {error}"),
    }
}

/// Says what became of an attempt.
pub(super) async fn inspect(order: &Order, books: &Books, limit: Duration) -> Outcome {
    let noted = order.notes.get(&order.step).map(|note| note.text.to_string());
    let (Some(noted), Ok(now)) = (noted, boot_id()) else {
        return unknown("it cannot be seen whether this machine was restarted".to_owned());
    };
    if noted != now {
        return Outcome::Done { detail: "this machine was restarted".to_owned() };
    }
    let Ok(target) = UnitName::new(TARGET) else {
        return unknown(format!("{TARGET} cannot be looked at"));
    };
    let deadline = Instant::now() + limit;
    let state = async { Bus::open(&SystemdBus::System).await?.unit(&target).await };
    match timeout_at(deadline, state).await {
        Ok(Ok(state)) if state.job || state.is_up() => {
            sleep_until(deadline).await;
            unknown(format!("this machine was asked to restart, and is still up {} later", Span(limit)))
        }
        Ok(Ok(_)) => {
            let detail = format!("this machine was not restarted{}", take_back(books).await);
            Outcome::NotStarted { detail }
        }
        Ok(Err(trouble)) => unknown(trouble.to_string()),
        Err(_late) => unknown("systemd has said nothing in time".to_owned()),
    }
}

/// Whether it may be restarted, else why not.
fn may(action: Reboot, up: Duration, lasts: Lasts) -> Result<(), String> {
    match lasts {
        Lasts::Yes => {}
        Lasts::No => {
            return Err(
                "the agent's state lies in memory and would be lost, and with it that a restart was \
                        made; put state_dir on a disk"
                    .to_owned(),
            );
        }
        Lasts::Unclear(_) if action.state_is_durable => {}
        Lasts::Unclear(why) => {
            return Err(format!(
                "nobody can tell whether the agent's state outlives a restart, and with it that one was \
                 made: {why}; put state_dir on a disk, or say `state_is_durable = true`"
            ));
        }
    }
    if up < action.min_uptime {
        let (up, least) = (Span(Duration::from_secs(up.as_secs())), Span(action.min_uptime));
        return Err(format!("it has been up for {up} only, and min_uptime is {least}"));
    }
    Ok(())
}

/// How long this machine has been up.
fn uptime() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default()
}

/// Whether what lies there outlives a restart.
fn lasts(dir: &Path) -> Lasts {
    match statfs(dir) {
        Ok(found) => judge(u32::try_from(found.f_type).unwrap_or_default()),
        Err(error) => Lasts::Unclear(format!("{}: {error}", dir.display())),
    }
}

/// What the kind of a file system says about it.
fn judge(kind: u32) -> Lasts {
    match kind {
        kind if IN_MEMORY.contains(&kind) => Lasts::No,
        OVERLAY => Lasts::Unclear("it lies on an overlay".to_owned()),
        _ => Lasts::Yes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(outcome: Outcome) -> String {
        match outcome {
            Outcome::Failed { detail } => detail,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_machine_that_was_just_started_is_not_restarted() {
        let action = Reboot { min_uptime: Duration::from_secs(600), state_is_durable: false };
        let up = |seconds| may(action, Duration::from_secs(seconds), Lasts::Yes);
        assert_eq!(up(599).unwrap_err(), "it has been up for 9m 59s only, and min_uptime is 10m");
        assert_eq!(up(600), Ok(()));
    }

    #[test]
    fn nothing_is_restarted_that_would_not_remember_it() {
        let action = Reboot { min_uptime: Duration::ZERO, state_is_durable: false };
        let told = |lasts| may(action, Duration::from_secs(9_999), lasts);
        assert!(told(Lasts::No).unwrap_err().contains("put state_dir on a disk"));
        assert_eq!(lasts(Path::new("/dev/shm")), Lasts::No);
        assert_eq!(lasts(Path::new("/proc")), Lasts::Yes);
    }

    #[test]
    fn what_may_or_may_not_remember_it_does_not() {
        let action = Reboot { min_uptime: Duration::ZERO, state_is_durable: false };
        for unclear in [judge(OVERLAY), lasts(Path::new("/proc/no such directory"))] {
            assert!(matches!(unclear, Lasts::Unclear(_)), "{unclear:?}");
            let told = may(action, Duration::from_secs(9_999), unclear).unwrap_err();
            assert!(
                told.starts_with("nobody can tell whether the agent's state outlives a restart"),
                "{told}"
            );
            let action = Reboot { state_is_durable: true, ..action };
            assert_eq!(may(action, Duration::from_secs(9_999), Lasts::Unclear(String::new())), Ok(()));
            assert!(may(action, Duration::from_secs(9_999), Lasts::No).is_err());
        }
    }

    /// Never the systemd of this machine: it would do it.
    #[tokio::test]
    async fn a_request_that_reaches_nobody_leaves_no_note() {
        let dir = tempfile::tempdir().unwrap();
        let books = Books {
            state_dir: dir.path().to_path_buf(),
            clock: Clock::fresh(),
            order: "n.s/r1/act/1".to_owned(),
        };
        let action = Reboot { min_uptime: Duration::ZERO, state_is_durable: false };
        let bus = SystemdBus::Socket(dir.path().join("no bus"));
        let limit = Duration::from_secs(10);
        let outcome = restart(action, &bus, Duration::from_secs(9_999), Lasts::Yes, &books, limit).await;
        assert!(why(outcome).contains("there is no such socket"));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);

        // Somebody else was asked a moment ago.
        assert_eq!(note(&books).await, Ok(()));
        let other = Books { order: "n.s/r2/act/1".to_owned(), ..books.clone() };
        let told = note(&other).await.unwrap_err();
        assert!(told.starts_with("n.s/r1/act/1 had it restarted ") && told.ends_with("in 1d"), "{told}");
        assert_eq!(take_back(&books).await, "");
        assert_eq!(note(&other).await, Ok(()));
    }

    #[tokio::test]
    async fn on_a_real_host_it_is_asked_for_once_a_day_and_a_refusal_is_no_restart() {
        let host = lictor_testkit::host::Host::boot();
        let bus = SystemdBus::Socket(host.outside("/run/dbus/system_bus_socket"));
        let dir = tempfile::tempdir().unwrap();
        let order = |attempt: u32| Books {
            state_dir: dir.path().to_path_buf(),
            clock: Clock::fresh(),
            order: format!("n.s/r1/act/{attempt}"),
        };
        let (action, limit) =
            (Reboot { min_uptime: Duration::ZERO, state_is_durable: false }, Duration::from_secs(2));
        let up = Duration::from_secs(9_999);
        let asked = async |attempt| restart(action, &bus, up, Lasts::Yes, &order(attempt), limit).await;
        let count = || std::fs::read_dir(dir.path()).unwrap().count();

        host.ok(&["systemctl", "mask", "reboot.target"]);
        let told = why(asked(1).await);
        assert!(told.contains("this machine was not restarted: systemd says UnitMasked"), "{told}");
        assert_eq!(count(), 0, "what was refused is no restart");

        // One that restarts nothing.
        host.ok(&["systemctl", "unmask", "reboot.target"]);
        host.write("/etc/systemd/system/reboot.target", "[Unit]\nDescription=Nothing\n");
        host.ok(&["systemctl", "daemon-reload"]);
        let Outcome::Unknown { detail } = asked(2).await else { panic!("nobody knows") };
        assert_eq!(detail, "systemd was asked to restart this machine; it is still up 2s later");
        assert_eq!(host.run(&["systemctl", "is-active", "reboot.target"]).stdout, "active\n");
        assert_eq!(count(), 1);
        host.ok(&["systemctl", "stop", "reboot.target"]);
        let told = why(asked(3).await);
        assert!(told.contains("n.s/r1/act/2 had it restarted "), "{told}");
        assert_eq!(host.run(&["systemctl", "is-active", "reboot.target"]).stdout, "inactive\n");
    }
}
