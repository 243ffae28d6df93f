//! What tests do to a qBittorrent, and see of it, in a session of their own.

use std::io;
use std::sync::PoisonError;
use std::time::Duration;

use serde_json::Value;

use super::http::{self, Answer, Body};
use super::server::{PASSWORD, Server, USER};
use crate::torrent::Torrent;
use crate::wait;

const FORM: &str = "application/x-www-form-urlencoded";

/// Between two parts of what is added; in no torrent.
const BOUNDARY: &str = "------------lictor-test-kit";

/// How long something may take to be seen: its lists are 1.5 s late.
const SEEN: Duration = Duration::from_secs(30);

impl Server {
    /// Whether the WebUI answers at all.
    pub(super) fn is_up(&self) -> bool {
        http::ask(self.address(), "/api/v2/app/version", None, None)
            .is_ok_and(|answer| matches!(answer.status, 200 | 403))
    }

    pub(super) fn forget_session(&self) {
        *self.cookie.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// What a GET of `/api/v2/PATH` brings.
    ///
    /// # Panics
    /// If it is not answered with a success.
    #[must_use]
    pub fn get(&self, path: &str) -> String {
        self.done("GET", path, self.ask(path, None))
    }

    /// The same as JSON.
    ///
    /// # Panics
    /// If it is not answered with JSON.
    #[must_use]
    pub fn json(&self, path: &str) -> Value {
        let text = self.get(path);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path} is no JSON: {error}"))
    }

    /// What a POST of a form to `/api/v2/PATH` brings.
    ///
    /// # Panics
    /// If it is not answered with a success.
    pub fn post(&self, path: &str, form: &[(&str, &str)]) -> String {
        let form = http::form(form);
        self.done("POST", path, self.ask(path, Some(&Body { kind: FORM, bytes: form.as_bytes() })))
    }

    /// Adds torrents, paused or not, and gives their hashes when they are listed.
    ///
    /// # Panics
    /// If one is not there in time, or was there before.
    pub fn add(&self, torrents: &[Torrent], paused: bool) -> Vec<String> {
        for some in torrents.chunks(100) {
            let mut bytes = Vec::new();
            let mut part = |head: &str, content: &[u8]| {
                bytes.extend_from_slice(
                    format!("--{BOUNDARY}\r\nContent-Disposition: form-data; {head}\r\n\r\n").as_bytes(),
                );
                bytes.extend_from_slice(content);
                bytes.extend_from_slice(b"\r\n");
            };
            part("name=\"paused\"", if paused { b"true" } else { b"false" });
            for torrent in some {
                let head = format!(
                    "name=\"torrents\"; filename=\"{}.torrent\"\r\nContent-Type: application/x-bittorrent",
                    torrent.name
                );
                part(&head, &torrent.bytes);
            }
            bytes.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
            let kind = format!("multipart/form-data; boundary={BOUNDARY}");
            let answer = self.ask("torrents/add", Some(&Body { kind: &kind, bytes: &bytes }));
            let said = self.done("POST", "torrents/add", answer);
            assert_eq!(said, "Ok.", "qBittorrent does not take the torrents");
        }
        let hashes = wait::until(SEEN, || {
            let all = self.json("torrents/info");
            let hash_of = |name: &str| {
                let found = all.as_array()?.iter().find(|torrent| torrent["name"] == name)?;
                let settled = found["state"] != "checkingResumeData";
                settled.then(|| found["hash"].as_str().map(str::to_owned)).flatten()
            };
            torrents.iter().map(|torrent| hash_of(&torrent.name)).collect()
        });
        hashes.unwrap_or_else(|| panic!("added torrents are not listed"))
    }

    /// Adds a running torrent with these announce URLs and gives its hash.
    ///
    /// # Panics
    /// See [`Self::add`].
    pub fn add_one(&self, name: &str, trackers: &[&str]) -> String {
        self.add(&[Torrent::new(name, trackers)], false).remove(0)
    }

    /// The state of a torrent, such as `pausedDL`; `None` when there is none of this hash.
    ///
    /// # Panics
    /// If the list cannot be read.
    #[must_use]
    pub fn state(&self, hash: &str) -> Option<String> {
        self.torrent(hash).map(|torrent| torrent["state"].as_str().unwrap_or_default().to_owned())
    }

    /// What is listed of a torrent.
    ///
    /// # Panics
    /// If the list cannot be read.
    #[must_use]
    pub fn torrent(&self, hash: &str) -> Option<Value> {
        self.json(&format!("torrents/info?hashes={hash}")).get(0).cloned()
    }

    /// Waits until a torrent is in a state whose name begins like this.
    ///
    /// # Panics
    /// If it never is.
    pub fn wait_for_state(&self, hash: &str, wanted: &str) {
        let found = wait::until(SEEN, || self.state(hash)?.starts_with(wanted).then_some(()));
        assert!(found.is_some(), "{hash} is {:?}, not {wanted}", self.state(hash));
    }

    /// Waits until the first real tracker of a torrent has one of these statuses.
    ///
    /// # Panics
    /// If it never has.
    pub fn wait_for_tracker(&self, hash: &str, statuses: &[u64]) {
        let status = || {
            let rows = self.json(&format!("torrents/trackers?hash={hash}"));
            let row = rows
                .as_array()?
                .iter()
                .find(|row| !row["url"].as_str().unwrap_or("** [").starts_with("** ["))?;
            row["status"].as_u64()
        };
        let found = wait::until(SEEN, || status().filter(|status| statuses.contains(status)));
        assert!(found.is_some(), "the tracker of {hash} has status {:?}, not one of {statuses:?}", status());
    }

    /// Logins with wrong credentials since it was started, by its own log.
    ///
    /// # Panics
    /// If the log cannot be read.
    #[must_use]
    pub fn wrong_logins(&self) -> usize {
        let log = self.json("log/main?last_known_id=-1");
        let wrong = |entry: &&Value| {
            let text = entry["message"].as_str().unwrap_or_default();
            text.contains("WebAPI login failure")
        };
        log.as_array().map_or(0, |entries| entries.iter().filter(wrong).count())
    }

    fn done(&self, method: &str, path: &str, answer: io::Result<Answer>) -> String {
        let answer = answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        let Answer { status, body, .. } = answer;
        assert!((200..300).contains(&status), "{method} {path}: status {status}: {body}");
        body
    }

    fn ask(&self, path: &str, body: Option<&Body<'_>>) -> io::Result<Answer> {
        let path = format!("/api/v2/{path}");
        let cookie = self.session()?;
        http::ask(self.address(), &path, Some(&cookie), body)
    }

    fn session(&self) -> io::Result<String> {
        let mut cookie = self.cookie.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cookie) = &*cookie {
            return Ok(cookie.clone());
        }
        let form = http::form(&[("username", USER), ("password", PASSWORD)]);
        let body = Body { kind: FORM, bytes: form.as_bytes() };
        let answer = http::ask(self.address(), "/api/v2/auth/login", None, Some(&body))?;
        let new = answer.cookie.ok_or_else(|| io::Error::other(format!("login: {}", answer.body)))?;
        *cookie = Some(new.clone());
        Ok(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracker::{Mode, Tracker};

    #[test]
    fn a_real_one_keeps_its_torrents_when_it_is_killed_and_sees_what_a_tracker_does() {
        let tracker = Tracker::start();
        let mut server = Server::start();
        let hash = server.add_one("first", &[&tracker.url()]);
        server.wait_for_tracker(&hash, &[2]);
        tracker.set(Mode::Closed);
        server.post("torrents/reannounce", &[("hashes", &hash)]);
        server.wait_for_tracker(&hash, &[4]);
        assert_eq!(server.wrong_logins(), 0);
        server.post("torrents/pause", &[("hashes", &hash)]);
        server.wait_for_state(&hash, "pausedDL");
        server.restart();
        server.wait_for_state(&hash, "pausedDL");
        server.stop();
    }
}
