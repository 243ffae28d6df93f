//! The agent's side of a guard: telling it what is believed, and asking it how it stands.

use std::io;
use std::os::unix::net::UnixDatagram as StdDatagram;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lictor_core::lease::Belief;
use tokio::net::UnixDatagram;
use tokio::time::{sleep, timeout};
use tracing::error;

use super::Guard;
use super::guard::bind;
use super::guard::slice::Slice;
use super::guard::words::{Answer, ROOM, Said};
use super::place::Place;

/// A guard answers at once; after this it is frozen, and PID 1 has long killed it.
const ANSWER: Duration = Duration::from_secs(1);

/// One that is being started may not hear yet, or what was said was for the one before.
const BEGINS: Duration = Duration::from_millis(100);

/// A first belief that is refused more often than this will not be taken.
const REFUSED: u32 = 20;

/// One that is being started is told again so soon.
const AGAIN: Duration = Duration::from_millis(10);

/// The way to the guard of a service.
#[derive(Debug)]
pub struct GuardSocket {
    place: Place,
    slice: Slice,
    to: PathBuf,
    /// The same socket twice: what is told does not wait for a reactor to find that it can be.
    says: StdDatagram,
    hears: tokio::sync::Mutex<UnixDatagram>,
    /// What is believed. Locked until it is said, so that the guard hears it in the order in which it was so.
    belief: Mutex<Option<Belief>>,
    numbers: AtomicU64,
}

/// How a guard stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuardState {
    /// There is none, or it does not answer.
    Absent,
    /// It has just been started and has not been begun.
    Waits,
    /// It lets the service run.
    Guards {
        /// The token under which the service runs.
        token: u64,
        /// For how long from now.
        left: Duration,
    },
}

impl GuardSocket {
    /// Opens the way to the guard of a service, whether there is one now or not. To be called within a runtime.
    ///
    /// # Errors
    /// The directory for it cannot be written, or this machine has no systemd.
    pub fn open(place: &Place) -> io::Result<Self> {
        let slice = Slice::of(place)?;
        let says = bind(&place.agent_socket())?;
        let hears = tokio::sync::Mutex::new(UnixDatagram::from_std(says.try_clone()?)?);
        let (place, to) = (place.clone(), place.socket());
        Ok(Self { place, slice, to, says, hears, belief: Mutex::default(), numbers: AtomicU64::new(1) })
    }

    /// How the guard stands. What an earlier process of the agent left running is guarded for so long, and
    /// runs under that token.
    pub async fn state(&self) -> GuardState {
        match self.ask(ANSWER, |number, _| Some(Said::Ask { number })).await {
            Some(Answer::Guards { token, left }) => GuardState::Guards { token, left },
            Some(Answer::Waits | Answer::Refuses) => GuardState::Waits,
            None => GuardState::Absent,
        }
    }

    /// Tells a guard that is being started its first belief, the newest there is, until it has taken it.
    /// Ends without success when there is none in this token, or when the guard has another.
    pub(super) async fn begin(&self, token: u64) -> Result<(), String> {
        let mut refused = 0;
        loop {
            let mut believes = false;
            let answer = self.ask(BEGINS, |number, belief| {
                let belief = belief.filter(|belief| belief.token == token)?;
                believes = true;
                Some(Said::Begin { number, belief })
            });
            let answer = answer.await;
            if !believes {
                return Err(format!("this node does not hold the lease under token {token} any more"));
            }
            match answer {
                Some(Answer::Guards { token: guards, .. }) if guards == token => return Ok(()),
                // It may have come too late; a newer one may be on its way.
                Some(_) if refused < REFUSED => refused += 1,
                Some(_) => return Err("it refuses what is believed".to_owned()),
                None => {}
            }
            sleep(AGAIN).await;
        }
    }

    /// Has a guard kill what runs and end.
    pub(super) fn over(&self) {
        self.say(Said::Over, true);
    }

    /// Asks something, which may rest on what is believed now.
    async fn ask(
        &self,
        within: Duration,
        question: impl FnOnce(u64, Option<Belief>) -> Option<Said>,
    ) -> Option<Answer> {
        let hears = self.hears.lock().await;
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        {
            let belief = self.belief.lock().unwrap_or_else(PoisonError::into_inner);
            let text = question(number, *belief)?.to_text();
            self.says.send_to(text.as_bytes(), &self.to).ok()?;
        }
        let mut bytes = [0; ROOM];
        let answer = async {
            loop {
                let count = hears.recv(&mut bytes).await.ok()?;
                match bytes.get(..count).and_then(Answer::read) {
                    Some((to, answer)) if to == number => return Some(answer),
                    // To a question that was given up.
                    Some(_) | None => {}
                }
            }
        };
        timeout(within, answer).await.ok().flatten()
    }

    /// Says something that needs no answer. Where it cannot be said and the service would run for too long, it
    /// is killed here.
    fn say(&self, said: Said, must: bool) {
        let Err(error) = self.says.send_to(said.to_text().as_bytes(), &self.to) else { return };
        // Nobody is there: PID 1 has seen to it that nothing is guarded.
        let absent = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused);
        if absent || !must {
            return;
        }
        error!(service = %self.place, %error, "the guard cannot be told to end earlier: all is killed");
        if let Err(error) = self.slice.kill() {
            error!(service = %self.place, %error, "something of the service may be alive");
        }
    }
}

impl Guard for GuardSocket {
    fn tell(&self, belief: Option<Belief>) {
        let mut own = self.belief.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *own, belief);
        match belief {
            Some(belief) => {
                self.say(Said::Until(belief), before.is_some_and(|before| ends_before(belief, before)));
            }
            None => self.over(),
        }
    }
}

/// Whether a belief may end before another one would.
fn ends_before(belief: Belief, other: Belief) -> bool {
    let (awake, whole) = (belief.since.awake + belief.lasts, belief.since.whole + belief.lasts);
    awake < other.since.awake + other.lasts || whole < other.since.whole + other.lasts
}

#[cfg(test)]
mod tests {
    use lictor_core::lease::Stamp;

    use super::*;

    #[test]
    fn a_belief_that_ends_before_another_is_told_from_one_that_is_longer() {
        let belief = |awake, whole, lasts| {
            let millis = Duration::from_millis;
            let since = Stamp { awake: millis(awake), whole: millis(whole) };
            Belief { token: 1, since, lasts: millis(lasts) }
        };
        let before = belief(1_000, 2_000, 2_500);
        assert!(!ends_before(belief(2_000, 3_000, 2_500), before));
        assert!(!ends_before(before, before));
        assert!(ends_before(belief(2_000, 3_000, 1_000), before));
        // It is later on one of the axes only.
        assert!(ends_before(belief(1_000, 1_999, 2_500), before));
    }
}
