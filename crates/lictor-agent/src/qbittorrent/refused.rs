//! Which logins were refused, so that none of them is tried until we are banned.
//!
//! A server bans an address after five wrong logins for an hour (both can be set). Here a user with
//! a password is refused at most twice, whoever asks and however often the agent is restarted: then
//! it is not tried again until the password is another one. A login is counted before it is made,
//! and one whose answer was lost stays counted for an hour, unless this password is known to be
//! right. The count is in a file, which a person may remove to have it tried again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lictor_core::Boot;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tracing::warn;

use crate::Clock;

/// The file in the state directory.
pub(super) const FILE: &str = "refused-logins.json";

/// Wrong logins that are made with one password.
const MOST: u32 = 2;

/// For so long a login without an answer counts as a wrong one, and a ban lasts.
const HOUR: Duration = Duration::from_secs(60 * 60);

/// Most logins that are kept; the ones refused longest ago are forgotten first.
const KEPT: usize = 200;

/// Most of the file that is read, bytes.
const READ: u64 = 1 << 20;

/// Who logs in where with what: a digest that tells nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Login(String);

/// Why a login is not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// It was refused too often.
    Refused,
    /// Others like it were not answered; it may be made again after this.
    Unanswered(Duration),
    /// Our address is banned there, for so long.
    Banned(Duration),
}

/// The logins of one agent that were refused.
#[derive(Debug)]
pub(super) struct Refused {
    path: Option<PathBuf>,
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    salt: String,
    logins: BTreeMap<Login, Count>,
    /// Servers that ban us, and until when.
    banned: BTreeMap<Login, Boot>,
    /// Passwords that were taken since this agent started.
    good: BTreeSet<Login>,
    /// Whether the file has been there.
    written: bool,
}

#[derive(Clone, Copy, Debug)]
struct Count {
    refused: u32,
    /// Made, and not known to be right or wrong.
    open: u32,
    /// When the latest was made.
    at: Boot,
}

/// The file. Times are of the wall clock, seconds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "v")]
enum Saved {
    #[serde(rename = "1")]
    V1 { salt: String, logins: Vec<SavedLogin>, banned: Vec<SavedBan> },
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedLogin {
    login: Login,
    refused: u32,
    open: u32,
    at: i64,
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedBan {
    server: Login,
    until: i64,
}

impl Refused {
    /// What the file in `state_dir` says; nothing when it cannot be read.
    pub(super) fn load(state_dir: Option<PathBuf>) -> Self {
        let path = state_dir.map(|dir| dir.join(FILE));
        let refused = Self { path, clock: Clock::fresh(), state: Mutex::default() };
        let loaded = refused.read().unwrap_or_else(|error| {
            warn!(%error, "the file of refused logins cannot be read and counts as empty");
            State::new()
        });
        *refused.lock() = loaded;
        refused
    }

    /// What a user with a password at a server is called here.
    pub(super) fn login(&self, server: &str, user: &str, password: &str) -> Login {
        self.lock().digest(&[server, user, password])
    }

    /// What a server is called here.
    pub(super) fn server(&self, server: &str) -> Login {
        self.lock().digest(&[server])
    }

    /// Counts a login that is about to be made, or says why it must not be.
    pub(super) fn begin(&self, login: &Login, server: &Login) -> Result<(), Held> {
        let now = self.clock.boot();
        let mut state = self.lock();
        self.heed_removal(&mut state);
        if let Some(until) = state.banned.get(server).copied() {
            if now < until {
                return Err(Held::Banned(until.since(now)));
            }
            state.banned.remove(server);
        }
        let good = state.good.contains(login);
        let count = state.logins.entry(login.clone()).or_insert(Count { refused: 0, open: 0, at: now });
        if count.refused >= MOST {
            return Err(Held::Refused);
        }
        let passed = now.since(count.at);
        if good || passed >= HOUR {
            count.open = 0;
        }
        if count.refused + count.open >= MOST {
            return Err(Held::Unanswered(HOUR.saturating_sub(passed)));
        }
        *count = Count { refused: count.refused, open: count.open + 1, at: now };
        self.write(&mut state);
        Ok(())
    }

    /// The login was taken.
    pub(super) fn taken(&self, login: &Login) {
        let mut state = self.lock();
        state.logins.remove(login);
        state.good.insert(login.clone());
        self.write(&mut state);
    }

    /// The login was refused: it stays counted. Says how often it was.
    pub(super) fn refused(&self, login: &Login) -> u32 {
        let now = self.clock.boot();
        let mut state = self.lock();
        state.good.remove(login);
        let count = state.logins.entry(login.clone()).or_insert(Count { refused: 0, open: 1, at: now });
        *count = Count { refused: count.refused + 1, open: count.open.saturating_sub(1), at: now };
        let times = count.refused;
        self.write(&mut state);
        times
    }

    /// The login never reached anybody who could refuse it.
    pub(super) fn never_made(&self, login: &Login) {
        let mut state = self.lock();
        if let Some(count) = state.logins.get_mut(login) {
            count.open = count.open.saturating_sub(1);
            if count.refused + count.open == 0 {
                state.logins.remove(login);
            }
            self.write(&mut state);
        }
    }

    /// The server said that our address is banned. The login was not looked at.
    pub(super) fn banned(&self, login: &Login, server: &Login) {
        self.never_made(login);
        let until = self.clock.boot().after(HOUR);
        let mut state = self.lock();
        state.banned.insert(server.clone(), until);
        self.write(&mut state);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A person who removes the file wants it to be tried again.
    fn heed_removal(&self, state: &mut State) {
        let gone = self.path.as_ref().is_some_and(|path| matches!(path.try_exists(), Ok(false)));
        if state.written && gone {
            state.logins.clear();
            state.banned.clear();
            state.written = false;
        }
    }

    fn read(&self) -> io::Result<State> {
        let mut state = State::new();
        let Some(path) = &self.path else { return Ok(state) };
        let file = match fs::File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(state),
            Err(error) => return Err(error),
        };
        let mut text = String::new();
        io::Read::read_to_string(&mut io::Read::take(file, READ), &mut text)?;
        let Saved::V1 { salt, logins, banned } = serde_json::from_str(&text)?;
        let now = self.clock.now();
        let passed = |at: i64| Duration::from_secs(u64::try_from(wall_seconds(now) - at).unwrap_or(0));
        for SavedLogin { login, refused, open, at } in logins {
            state.logins.insert(login, Count { refused, open, at: now.boot.before(passed(at)) });
        }
        for SavedBan { server, until } in banned {
            // Never longer than from now, should the clock have been set back.
            let left = u64::try_from(until - wall_seconds(now)).unwrap_or(0);
            state.banned.insert(server, now.boot.after(Duration::from_secs(left).min(HOUR)));
        }
        Ok(State { salt, written: true, ..state })
    }

    /// Writes it where it belongs, in one step; without that it is known only as long as this lives.
    fn write(&self, state: &mut State) {
        let Some(path) = &self.path else { return };
        while state.logins.len() > KEPT {
            let oldest =
                state.logins.iter().min_by_key(|(_, count)| count.at).map(|(login, _)| login.clone());
            oldest.map(|oldest| state.logins.remove(&oldest));
        }
        match self.try_write(path, state) {
            Ok(()) => state.written = true,
            Err(error) => warn!(%error, "refused logins cannot be recorded"),
        }
    }

    fn try_write(&self, path: &std::path::Path, state: &State) -> io::Result<()> {
        let now = self.clock.now();
        let seconds = |span: Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
        let logins = state.logins.iter().map(|(login, count)| SavedLogin {
            login: login.clone(),
            refused: count.refused,
            open: count.open,
            at: wall_seconds(now) - seconds(now.boot.since(count.at)),
        });
        let banned = state.banned.iter().map(|(server, until)| SavedBan {
            server: server.clone(),
            until: wall_seconds(now) + seconds(until.since(now.boot)),
        });
        let saved =
            Saved::V1 { salt: state.salt.clone(), logins: logins.collect(), banned: banned.collect() };
        let new = path.with_extension("json.new");
        let mut file =
            fs::OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&serde_json::to_vec_pretty(&saved)?)?;
        file.sync_all()?;
        fs::rename(&new, path)
    }
}

impl State {
    fn new() -> Self {
        Self { salt: format!("{:032x}", rand::random::<u128>()), ..Self::default() }
    }

    fn digest(&self, parts: &[&str]) -> Login {
        let mut digest = Sha256::new();
        digest.update(self.salt.as_bytes());
        for part in parts {
            digest.update(part.len().to_be_bytes());
            digest.update(part.as_bytes());
        }
        let mut text = String::with_capacity(32);
        for byte in digest.finalize().iter().take(16) {
            // Writing to a text does not fail.
            write!(text, "{byte:02x}").ok();
        }
        Login(text)
    }
}

fn wall_seconds(now: lictor_core::Now) -> i64 {
    now.wall.as_unix_millis() / 1_000
}

#[cfg(test)]
mod tests;
