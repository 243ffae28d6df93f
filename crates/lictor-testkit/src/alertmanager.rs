//! A real Alertmanager that tells one webhook.

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::daemon::{Daemon, get};
use crate::ports;

/// How long it may take to take an alert.
const TAKES: Duration = Duration::from_secs(20);

/// An Alertmanager. Dropping it ends it and removes its data.
#[derive(Debug)]
pub struct Alertmanager {
    daemon: Daemon,
    address: SocketAddr,
}

impl Alertmanager {
    /// Starts one that tells `url` of all alerts, grouped by name. `authorization` is what stands
    /// below `http_config`, each line indented as far as need be.
    ///
    /// # Panics
    /// If it does not answer in time; the message has the end of its output.
    #[must_use]
    pub fn start(url: &str, authorization: &str) -> Self {
        let mut daemon = Daemon::new("prometheus-alertmanager", "LICTOR_ALERTMANAGER_BIN");
        let ip = ports::loopback();
        let address = SocketAddr::from((ip, ports::free_on(ip)));
        let config = format!(
            "route:\n  receiver: lictor\n  group_by: [alertname]\n  group_wait: 100ms\n  group_interval: 200ms\n  \
             repeat_interval: 1s\nreceivers:\n  - name: lictor\n    webhook_configs:\n      - url: {url}\n        \
             http_config:\n{authorization}\n"
        );
        let config = daemon.write("alertmanager.yml", &config);
        let args = [
            format!("--config.file={}", config.display()),
            format!("--storage.path={}", daemon.path().join("data").display()),
            format!("--web.listen-address={address}"),
            // Alone: no port for a cluster.
            "--cluster.listen-address=".to_owned(),
        ];
        daemon.launch(args.map(OsString::from).to_vec(), |_daemon| {
            get(address, "/-/ready").is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
        });
        Self { daemon, address }
    }

    /// Hands in alerts, JSON as its API has it.
    ///
    /// # Panics
    /// If they are not taken.
    pub fn tell(&self, alerts: &str) {
        let mut stream = TcpStream::connect(self.address)
            .unwrap_or_else(|error| panic!("cannot reach the Alertmanager: {error}\n{}", self.output()));
        drop(stream.set_read_timeout(Some(TAKES)));
        let request = format!(
            "POST /api/v2/alerts HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{alerts}",
            self.address,
            alerts.len()
        );
        let mut answer = String::new();
        let told = stream.write_all(request.as_bytes()).and_then(|()| stream.read_to_string(&mut answer));
        assert!(
            told.is_ok() && answer.starts_with("HTTP/1.1 200"),
            "the Alertmanager does not take it: {told:?} {answer}"
        );
    }

    /// Where it is.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The alerts that fire now, as its API tells them.
    ///
    /// # Panics
    /// If it does not tell.
    #[must_use]
    pub fn alerts(&self) -> serde_json::Value {
        let answer = get(self.address, "/api/v2/alerts").unwrap_or_default();
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        serde_json::from_str(body).unwrap_or_else(|error| panic!("no alerts ({error}): {answer}"))
    }

    /// The end of its output, for messages.
    #[must_use]
    pub fn output(&self) -> String {
        self.daemon.output()
    }
}
