//! A real Prometheus, and a tiny exporter that it scrapes.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::daemon::{Daemon, get};
use crate::standin::{Reply, Standin, lock};
use crate::{ports, wait};

/// How often it scrapes.
const EVERY: &str = "100ms";

/// How long a change may take to be seen in a query.
const SEEN: Duration = Duration::from_secs(30);

/// A server with metrics that a test sets.
#[derive(Debug)]
pub struct Exporter {
    metrics: Arc<Mutex<String>>,
    server: Standin,
}

impl Exporter {
    /// Starts one with these metrics, in Prometheus' text format.
    ///
    /// # Panics
    /// If this machine has no free port.
    #[must_use]
    pub fn start(metrics: &str) -> Self {
        let metrics = Arc::new(Mutex::new(metrics.to_owned()));
        let shown = Arc::clone(&metrics);
        let server = Standin::start(move |_request| Some(Reply::text(200, lock(&shown).clone())));
        Self { metrics, server }
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Has these metrics from now on.
    pub fn set(&self, metrics: &str) {
        metrics.clone_into(&mut lock(&self.metrics));
    }

    /// Refuses connections from now on.
    pub fn stop(&self) {
        self.server.stop();
    }
}

/// How a Prometheus guards its API.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    /// Certificate and key of its TLS, PEM.
    pub tls: Option<(String, String)>,
    /// Users, each with the bcrypt hash of a password.
    pub users: Vec<(String, String)>,
    /// What it knows already, as OpenMetrics has it.
    pub past: String,
    /// The rules of its alerts, and the Alertmanager that it tells of them.
    pub alerts: Option<(String, SocketAddr)>,
}

/// A Prometheus. Dropping it ends it and removes its data.
#[derive(Debug)]
pub struct Prometheus {
    daemon: Daemon,
    address: SocketAddr,
}

/// Puts a past where the server finds it.
fn remember(daemon: &Daemon, past: &str) {
    let program = std::env::var_os("LICTOR_PROMTOOL_BIN").unwrap_or_else(|| "promtool".into());
    let file = daemon.write("past.om", past);
    let mut command = std::process::Command::new(&program);
    command.args(["tsdb", "create-blocks-from", "openmetrics"]).arg(file).arg(daemon.path().join("data"));
    let output = command.output();
    let output = output.unwrap_or_else(|error| {
        panic!("cannot run {} ({error}): `cargo xtask setup` installs it", program.display())
    });
    assert!(output.status.success(), "promtool: {}", String::from_utf8_lossy(&output.stderr));
}

impl Prometheus {
    /// Starts one that scrapes these targets many times a second, and waits until it answers.
    ///
    /// # Panics
    /// If it does not in time; the message has the end of its output.
    #[must_use]
    pub fn start(targets: &[SocketAddr]) -> Self {
        Self::guarded(targets, &Guard::default())
    }

    /// The same with a guard before its API.
    ///
    /// # Panics
    /// If it does not answer in time; the message has the end of its output.
    #[must_use]
    pub fn guarded(targets: &[SocketAddr], guard: &Guard) -> Self {
        let mut daemon = Daemon::new("prometheus", "LICTOR_PROMETHEUS_BIN");
        let ip = ports::loopback();
        let address = SocketAddr::from((ip, ports::free_on(ip)));
        let targets: Vec<String> = targets.iter().map(|target| format!("'{target}'")).collect();
        let config = format!(
            "global:\n  scrape_interval: {EVERY}\n  scrape_timeout: {EVERY}\nscrape_configs:\n  - job_name: test\n    \
             static_configs:\n      - targets: [{}]\n",
            targets.join(", ")
        );
        let alerting = guard.alerts.as_ref().map(|(rules, to)| {
            let rules = daemon.write("rules.yml", rules);
            format!(
                "rule_files: ['{}']\nalerting:\n  alertmanagers:\n    - static_configs:\n        - targets: ['{to}']\n",
                rules.display()
            )
        });
        let config = config.replacen("global:\n", &format!("global:\n  evaluation_interval: {EVERY}\n"), 1);
        let config = daemon.write("prometheus.yml", &format!("{config}{}", alerting.unwrap_or_default()));
        let mut web = String::new();
        if let Some((certificate, key)) = &guard.tls {
            let (certificate, key) = (daemon.write("web.pem", certificate), daemon.write("web.key", key));
            web = format!(
                "tls_server_config:\n  cert_file: {}\n  key_file: {}\n",
                certificate.display(),
                key.display()
            );
        }
        if !guard.users.is_empty() {
            let users = guard.users.iter().map(|(user, hash)| format!("  {user}: '{hash}'\n"));
            web = format!("{web}basic_auth_users:\n{}", users.collect::<String>());
        }
        let web = daemon.write("web.yml", &web);
        if !guard.past.is_empty() {
            remember(&daemon, &guard.past);
        }
        let args = [
            format!("--config.file={}", config.display()),
            format!("--web.config.file={}", web.display()),
            format!("--storage.tsdb.path={}", daemon.path().join("data").display()),
            format!("--web.listen-address={address}"),
            // An alert is said to hold for four times as long.
            "--rules.alert.resend-delay=500ms".to_owned(),
        ];
        daemon.launch(args.map(OsString::from).to_vec(), ready);
        Self { daemon, address }
    }

    /// One that scrapes nothing and knows this past, in OpenMetrics.
    ///
    /// # Panics
    /// If promtool does not understand it, or the server does not answer.
    #[must_use]
    pub fn with_past(past: &str) -> Self {
        Self::guarded(&[], &Guard { past: past.to_owned(), ..Guard::default() })
    }

    /// One that scrapes these targets and tells an Alertmanager of what these rules find.
    ///
    /// # Panics
    /// If it does not understand the rules, or does not answer in time.
    #[must_use]
    pub fn with_rules(targets: &[SocketAddr], rules: &str, alertmanager: SocketAddr) -> Self {
        Self::guarded(targets, &Guard { alerts: Some((rules.to_owned(), alertmanager)), ..Guard::default() })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until an instant query without any escaping is answered with a body that has this text.
    ///
    /// # Panics
    /// If it never is.
    pub fn until(&self, query: &str, has: &str) {
        let path = format!("/api/v1/query?query={query}");
        let mut last = None;
        let seen = wait::until(SEEN, || {
            last = get(self.address, &path);
            last.as_ref().is_some_and(|answer| answer.contains(has)).then_some(())
        });
        assert!(seen.is_some(), "{query} is never answered with {has}; last: {last:?}");
    }

    /// Ends it at once (SIGKILL).
    ///
    /// # Panics
    /// If the operating system refuses.
    pub fn kill(&mut self) {
        self.daemon.kill();
    }

    /// Starts it again with the data it has.
    ///
    /// # Panics
    /// If it does not answer in time.
    pub fn restart(&mut self) {
        self.daemon.again(ready);
    }

    /// Freezes it: it accepts connections and never answers.
    ///
    /// # Panics
    /// If it does not run.
    pub fn pause(&mut self) {
        self.daemon.pause();
    }

    /// Lets a frozen one go on.
    ///
    /// # Panics
    /// If it does not run.
    pub fn resume(&mut self) {
        self.daemon.resume();
    }
}

/// Its own word: whatever guards the API.
fn ready(daemon: &Daemon) -> bool {
    daemon.output().contains("Server is ready to receive web requests")
}
