//! A real InfluxDB 1.6.

use std::ffi::OsString;
use std::net::SocketAddr;

use serde_json::Value;

use crate::daemon::{Daemon, get};
use crate::ports;

/// An InfluxDB. Dropping it ends it and removes its data.
#[derive(Debug)]
pub struct Influxdb {
    daemon: Daemon,
    address: SocketAddr,
    login: String,
}

impl Influxdb {
    /// Starts one with an empty database. `login`: the user that there must be, and their password;
    /// else it lets everyone in.
    ///
    /// # Panics
    /// If it does not answer in time; the message has the end of its output.
    #[must_use]
    pub fn start(database: &str, login: Option<(&str, &str)>) -> Self {
        let mut daemon = Daemon::new("influxd", "LICTOR_INFLUXD_BIN");
        let ip = ports::loopback();
        let address = SocketAddr::from((ip, ports::free_on(ip)));
        let other = SocketAddr::from((ip, ports::free_on(ip)));
        let dir = daemon.path().display().to_string();
        let config = format!(
            "reporting-disabled = true\nbind-address = \"{other}\"\n[meta]\n  dir = \"{dir}/meta\"\n[data]\n  \
             dir = \"{dir}/data\"\n  wal-dir = \"{dir}/wal\"\n[http]\n  bind-address = \"{address}\"\n  auth-enabled = {}\n\
             [monitor]\n  store-enabled = false\n",
            login.is_some()
        );
        let config = daemon.write("influxdb.conf", &config);
        let args = vec![OsString::from("-config"), config.into_os_string()];
        daemon.launch(args, |_daemon| {
            get(address, "/ping").is_some_and(|answer| answer.starts_with("HTTP/1.1 204"))
        });
        let mut server = Self { daemon, address, login: String::new() };
        if let Some((user, password)) = login {
            server.ask(&format!("CREATE USER {user} WITH PASSWORD '{password}' WITH ALL PRIVILEGES"));
            server.login = format!("&u={user}&p={password}");
        }
        server.ask(&format!("CREATE DATABASE {database}"));
        server
    }

    /// Where it is.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it answers to a query; `db` is part of the query's own words.
    ///
    /// # Panics
    /// If it does not answer.
    pub fn ask(&self, query: &str) -> Value {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let path = format!("/query?q={encoded}{}", self.login);
        // To change something it wants a POST, for which a GET will do with a warning.
        let answer = get(self.address, &path).unwrap_or_default();
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        // It sends its answer in chunks: the JSON is the line that is no length.
        let line = body.lines().find(|line| line.starts_with('{')).unwrap_or_default();
        serde_json::from_str(line).unwrap_or_else(|error| {
            panic!("no answer to {query} ({error}): {answer}\n{}", self.daemon.output())
        })
    }
}
