//! A stand-in for qBittorrent 5.2, which cannot be had here: its login, its names of calls, its
//! states and tracker statuses, as far as they differ from those of the real one beside it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::server::{PASSWORD, USER};
use crate::standin::{Reply, Request, Standin, lock};

/// Its API key.
const API_KEY: &str = "qbt_0123456789abcdefghijklmnopqr";

/// What it was told, and what it says.
#[derive(Debug, Default)]
pub struct Told {
    /// Method and path of each request, without those that only read.
    pub calls: Vec<String>,
    /// The `hashes` of each of those, counted.
    pub sizes: Vec<usize>,
    /// The state of each torrent by its hash.
    pub states: BTreeMap<String, String>,
    /// The tags of each torrent by its hash.
    pub tags: BTreeMap<String, Vec<String>>,
    /// The announce URLs, each with its torrents.
    pub trackers: BTreeMap<String, Vec<String>>,
    /// The status of each torrent's trackers.
    pub tracker_status: u64,
    /// Values added to `server_state`.
    pub server_state: BTreeMap<String, Value>,
    /// What is answered to everything in place of an answer: status and text.
    pub refusal: Option<(u16, String)>,
    /// Logins with wrong credentials.
    pub wrong_logins: u64,
    /// Logins of any kind.
    pub logins: u64,
    /// Whether our address is banned.
    pub banned: bool,
    /// Sessions that are valid; a restart forgets them.
    pub sessions: u64,
    /// The version of the API that it says it has (default `2.15.1`).
    pub api_version: Option<String>,
    /// Whether it stops and starts under the names of versions before 2.11.
    pub old_names: bool,
    /// The header `Host` of the last request.
    pub host: String,
    rid: u64,
}

/// The server. Dropping it ends it.
#[derive(Debug)]
pub struct Modern {
    server: Standin,
    told: Arc<Mutex<Told>>,
}

impl Modern {
    /// Starts one without torrents, whose client is connected.
    ///
    /// # Panics
    /// If it cannot listen.
    #[must_use]
    pub fn start() -> Self {
        let told = Arc::<Mutex<Told>>::default();
        let state = Arc::clone(&told);
        let server = Standin::start(move |request| Some(lock(&state).answer(&request)));
        Self { server, told }
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The key that it takes in place of a login.
    #[must_use]
    pub const fn api_key(&self) -> &'static str {
        API_KEY
    }

    /// Looks at it, or changes it.
    pub fn with<T>(&self, work: impl FnOnce(&mut Told) -> T) -> T {
        work(&mut lock(&self.told))
    }

    /// Refuses connections from now on, as a stopped one does.
    pub fn stop(&self) {
        self.server.stop();
    }

    /// Comes back, without its sessions.
    ///
    /// # Panics
    /// If its port is taken by now.
    pub fn again(&self) {
        self.with(|told| told.sessions = 0);
        self.server.again();
    }
}

impl Told {
    fn answer(&mut self, request: &Request) -> Reply {
        self.host = request.header("host").unwrap_or_default().to_owned();
        if let Some((status, text)) = &self.refusal {
            return Reply::text(*status, text.clone());
        }
        let call = request.path.trim_start_matches("/api/v2/").to_owned();
        let form = fields(&request.body);
        if call == "auth/login" {
            return self.login(&form);
        }
        let cookie = format!("QBT_SID_8080={}", self.sessions);
        let bearer = format!("Bearer {API_KEY}");
        let known = self.sessions > 0 && request.header("cookie") == Some(cookie.as_str());
        if !known && request.header("authorization") != Some(bearer.as_str()) {
            return Reply::text(403, "Forbidden");
        }
        let query = |name: &str| request.query.get(name).map(String::as_str).unwrap_or_default();
        match call.as_str() {
            "app/webapiVersion" => Reply::text(200, self.version()),
            "app/version" => Reply::text(200, "v5.2.3"),
            "sync/maindata" => self.maindata(query("rid")),
            "torrents/trackers" => self.rows(query("hash")),
            _ => self.change(&call, &form),
        }
    }

    fn version(&self) -> String {
        self.api_version.clone().unwrap_or_else(|| "2.15.1".to_owned())
    }

    fn login(&mut self, form: &BTreeMap<String, String>) -> Reply {
        self.logins += 1;
        if self.banned {
            let text = "Your IP address has been banned after too many failed authentication attempts.";
            return Reply::text(403, text);
        }
        let given = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        if given("username") != USER || given("password") != PASSWORD {
            self.wrong_logins += 1;
            self.banned = self.wrong_logins >= 5;
            return Reply::text(401, "Unauthorized");
        }
        self.sessions += 1;
        let cookie = format!(
            "QBT_SID_8080={}; expires=Fri, 01 Jan 2100 00:00:00 GMT; HttpOnly; path=/",
            self.sessions
        );
        Reply::text(204, "").with("Set-Cookie", cookie)
    }

    fn maindata(&mut self, rid: &str) -> Reply {
        let torrent = |(hash, state): (&String, &String)| {
            let tags = self.tags.get(hash).map_or_else(String::new, |tags| tags.join(", "));
            let forced = state.starts_with("forced");
            (hash.clone(), json!({"state": state, "force_start": forced, "tags": tags}))
        };
        let torrents: serde_json::Map<String, Value> = self.states.iter().map(torrent).collect();
        let full = rid.parse() != Ok(self.rid) || self.rid == 0;
        self.rid += 1;
        let mut state = json!({"connection_status": "connected", "dht_nodes": 7});
        for (name, value) in &self.server_state {
            state[name] = value.clone();
        }
        let mut answer = json!({"rid": self.rid, "torrents": torrents, "server_state": state});
        if full {
            answer["full_update"] = json!(true);
            answer["trackers"] = json!(self.trackers);
        }
        Reply::json(&answer)
    }

    fn rows(&self, hash: &str) -> Reply {
        if !self.states.contains_key(hash) {
            return Reply::text(404, "Not Found");
        }
        let mut rows = vec![json!({"url": "** [DHT] **", "tier": "", "status": 0, "msg": ""})];
        for (url, _) in self.trackers.iter().filter(|(_, hashes)| hashes.iter().any(|other| other == hash)) {
            let endpoints = json!([{"name": "127.0.0.1", "updating": false}]);
            rows.push(json!({"url": url, "tier": 0, "status": self.tracker_status, "msg": "", "endpoints": endpoints}));
        }
        Reply::json(&json!(rows))
    }

    fn change(&mut self, call: &str, form: &BTreeMap<String, String>) -> Reply {
        let (stop, start) = if self.old_names {
            ("torrents/pause", "torrents/resume")
        } else {
            ("torrents/stop", "torrents/start")
        };
        let becomes = match call {
            _ if call == stop => Some(if self.old_names { "pausedUP" } else { "stoppedUP" }),
            _ if call == start => Some("stalledUP"),
            "torrents/setForceStart" => Some("forcedUP"),
            "torrents/addTags" | "torrents/removeTags" | "torrents/reannounce" => None,
            _ => return Reply::text(404, "Endpoint does not exist"),
        };
        let hashes = form.get("hashes").map(String::as_str).unwrap_or_default();
        self.calls.push(call.to_owned());
        self.sizes.push(hashes.split('|').count());
        for hash in hashes.split('|') {
            if let (Some(becomes), Some(state)) = (becomes, self.states.get_mut(hash)) {
                becomes.clone_into(state);
            }
            if let Some(tag) = form.get("tags") {
                let tags = self.tags.entry(hash.to_owned()).or_default();
                tags.retain(|other| other != tag);
                tags.extend((call == "torrents/addTags").then(|| tag.clone()));
            }
        }
        Reply::text(204, "")
    }
}

fn fields(body: &str) -> BTreeMap<String, String> {
    crate::standin::pairs(body)
}
