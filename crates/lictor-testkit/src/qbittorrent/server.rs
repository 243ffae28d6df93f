//! The process: a profile of its own, started, killed and started again.

use std::env;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use rustix::net::{self, AddressFamily, SocketType};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::process::Child;
use crate::{ports, wait};

/// Who may log in.
pub const USER: &str = "lictor-tests";

/// With which password. qBittorrent is given a digest of it.
pub const PASSWORD: &str = "correct-horse-of-the-tests";

/// That digest: salt and PBKDF2-HMAC-SHA512 of 100,000 rounds, as qBittorrent stores it.
const DIGEST: &str = "bGljdG9yLXRlc3Qtc2FsdA==:rkrZktG/ubSjp2HykYcItfX/Ihap521FiyjP79brJ1WnzBWDIfwfbGn2WbLoHaGMZj6PuxcE2LabNZLBS4v7CQ==";

/// How long it may take to answer. It takes about 0.4 s; a machine that compiles meanwhile is slower.
const READY: Duration = Duration::from_secs(60);

/// How long it may take to end after TERM.
const ENDS: Duration = Duration::from_secs(20);

/// Some old versions crash now and then while they start.
const STARTS: usize = 3;

/// What kind of qBittorrent is wanted.
#[derive(Clone, Debug)]
pub struct Options {
    /// The interface that the session is bound to; it need not exist.
    pub interface: String,
    /// The address of it, where the listening port is.
    pub address: Ipv4Addr,
    /// Where the WebUI listens.
    pub webui: Ipv4Addr,
    /// Whether this machine must log in.
    pub login: bool,
    /// More lines for the section `[Preferences]` of its configuration.
    pub preferences: String,
}

impl Default for Options {
    /// Bound to a loopback address of its own, with the WebUI on another, which asks for a login.
    fn default() -> Self {
        Self {
            interface: "lo".to_owned(),
            address: ports::loopback(),
            webui: ports::loopback(),
            login: true,
            preferences: String::new(),
        }
    }
}

/// A qBittorrent. Dropping it ends it and removes its profile.
#[derive(Debug)]
pub struct Server {
    // The fields are dropped in this order: the process must be gone before its directory.
    child: Option<Child>,
    dir: TempDir,
    options: Options,
    webui: SocketAddr,
    listen_port: u16,
    /// Our own session, lost when it is restarted.
    pub(super) cookie: Mutex<Option<String>>,
}

impl Server {
    /// Starts one with the default [`Options`] and waits until it answers.
    ///
    /// # Panics
    /// If it does not in time; the message has the end of its output.
    #[must_use]
    pub fn start() -> Self {
        Self::with(Options::default())
    }

    /// Starts one and waits until it answers.
    ///
    /// # Panics
    /// If it does not in time; the message has the end of its output.
    #[must_use]
    pub fn with(options: Options) -> Self {
        let dir = TempDir::with_prefix("lictor-qbittorrent-")
            .unwrap_or_else(|error| panic!("cannot make a directory for qbittorrent: {error}"));
        let webui = SocketAddr::from((options.webui, ports::free_on(options.webui)));
        let listen_port = ports::free_on(options.address);
        let mut server = Self { child: None, dir, options, webui, listen_port, cookie: Mutex::default() };
        server.write_config().unwrap_or_else(|error| panic!("cannot write a profile: {error}"));
        server.launch();
        server
    }

    fn write_config(&self) -> io::Result<()> {
        let config = self.dir.path().join("qBittorrent/config");
        fs::create_dir_all(&config)?;
        let Options { interface, address, login, preferences, .. } = &self.options;
        let (webui, port, listen) = (self.webui.ip(), self.webui.port(), self.listen_port);
        let saved = self.dir.path().join("downloads");
        let text = format!(
            r#"[LegalNotice]
Accepted=true

[BitTorrent]
Session\Port={listen}
Session\Interface={interface}
Session\InterfaceName={interface}
Session\InterfaceAddress={address}
Session\DHTEnabled=false
Session\LSDEnabled=false
Session\PeXEnabled=false
Session\QueueingSystemEnabled=false
Session\DefaultSavePath={saved}
Session\SSRFMitigation=false

[Network]
PortForwardingEnabled=false

[Preferences]
Connection\ResolvePeerCountries=false
General\Locale=en
WebUI\Enabled=true
WebUI\Address={webui}
WebUI\Port={port}
WebUI\UseUPnP=false
WebUI\LocalHostAuth={login}
WebUI\Username={USER}
WebUI\Password_PBKDF2="@ByteArray({DIGEST})"
{preferences}
"#,
            saved = saved.display(),
        );
        fs::write(config.join("qBittorrent.conf"), text)
    }

    /// Starts it with the profile there is, and waits until it answers.
    fn launch(&mut self) {
        for _ in 0..STARTS {
            let mut command = Command::new(program());
            command.arg(format!("--profile={}", self.dir.path().display()));
            command.arg(format!("--webui-port={}", self.webui.port()));
            // Nothing of the machine's own: no proxy, no settings of a user.
            command.env_clear().env("HOME", self.dir.path()).env("LANG", "C.UTF-8");
            let child = Child::spawn("qbittorrent", command, self.dir.path())
                .unwrap_or_else(|error| panic!("cannot start qbittorrent-nox: {error}"));
            self.child = Some(child);
            self.forget_session();
            if self.answers() {
                return;
            }
        }
        panic!("qbittorrent-nox ended {STARTS} times while it started; its output ends:\n{}", self.output());
    }

    /// Whether it answers in the end; not when it ends before.
    fn answers(&mut self) -> bool {
        let ready = wait::until(READY, || {
            let ended = self.child.as_mut().is_none_or(|child| matches!(child.status(), Ok(Some(_))));
            if ended {
                return Some(false);
            }
            self.is_up().then_some(true)
        });
        ready
            .unwrap_or_else(|| panic!("qbittorrent-nox does not answer; its output ends:\n{}", self.output()))
    }

    /// Where the WebUI is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.webui)
    }

    /// The address of the WebUI.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.webui
    }

    /// The port for peers that it was started with.
    #[must_use]
    pub const fn listen_port(&self) -> u16 {
        self.listen_port
    }

    /// Connects to it as a peer does, from an address of this machine, and keeps the connection
    /// until what is given back is dropped.
    ///
    /// # Errors
    /// If there is no such address, or nobody listens.
    pub fn connect_from(&self, source: Ipv4Addr) -> io::Result<OwnedFd> {
        let socket = net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
        net::bind(&socket, &SocketAddr::from((source, 0)))?;
        net::connect(&socket, &SocketAddr::from((self.options.address, self.listen_port)))?;
        Ok(socket)
    }

    /// Ends it as a power cut would (SIGKILL).
    ///
    /// # Panics
    /// If the operating system refuses.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap_or_else(|error| panic!("cannot end qbittorrent-nox: {error}"));
        }
    }

    /// Has it end by itself (SIGTERM) and waits for that.
    ///
    /// # Panics
    /// If it does not end in time.
    pub fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        child.signal(Signal::TERM).unwrap_or_else(|error| panic!("cannot end qbittorrent-nox: {error}"));
        let ended = child.wait(ENDS).ok().flatten();
        assert!(ended.is_some(), "qbittorrent-nox did not end within {ENDS:?}");
    }

    /// Starts it again with the same profile, address and ports, killing it first if it runs.
    ///
    /// # Panics
    /// If it does not answer in time.
    pub fn restart(&mut self) {
        self.kill();
        self.launch();
    }

    /// Freezes it (SIGSTOP): it accepts connections and never answers.
    ///
    /// # Panics
    /// If it does not run.
    pub fn pause(&mut self) {
        let paused = self.child.as_mut().map(Child::pause);
        assert!(matches!(paused, Some(Ok(()))), "qbittorrent-nox does not run: {paused:?}");
    }

    /// Lets a frozen one go on (SIGCONT).
    ///
    /// # Panics
    /// If it does not run.
    pub fn resume(&mut self) {
        let resumed = self.child.as_mut().map(Child::resume);
        assert!(matches!(resumed, Some(Ok(()))), "qbittorrent-nox does not run: {resumed:?}");
    }

    fn output(&self) -> String {
        self.child.as_ref().map(Child::log_tail).unwrap_or_default()
    }
}

/// The program: `LICTOR_QBITTORRENT_BIN`, else `qbittorrent-nox` as PATH finds it.
fn program() -> PathBuf {
    env::var_os("LICTOR_QBITTORRENT_BIN").map_or_else(|| PathBuf::from("qbittorrent-nox"), PathBuf::from)
}
