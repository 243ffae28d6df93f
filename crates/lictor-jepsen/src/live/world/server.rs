//! One server of Consul on its host: started, frozen, killed, and its log kept.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;
use tokio::time::timeout;

use super::net::{self, Net};

/// Where Consul serves HTTP, on each host.
const HTTP: u16 = 8500;

/// Where Consul speaks Raft, on each host.
const RPC: u16 = 8300;

/// How long a process may take to be gone after it was killed. One in the middle of a write to disk ends after it.
const GONE: Duration = Duration::from_secs(20);

/// Why something cannot be done with a server.
#[derive(Debug, thiserror::Error)]
#[error("cannot {attempt} {name}: {source}")]
pub struct ServerError {
    attempt: &'static str,
    name: String,
    source: io::Error,
}

/// How the servers of a run are set up.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The program.
    pub program: PathBuf,
    /// Consul's `raft_multiplier`: 1 has the quickest elections, 5 is its default.
    pub raft_multiplier: u8,
    /// More of Consul's configuration, in its HCL.
    pub more: String,
}

/// What a server is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It runs.
    Running,
    /// It was stopped where it stood (SIGSTOP).
    Frozen,
    /// It was ended, or was not started yet.
    Down,
}

/// A server of Consul on a host.
#[derive(Debug)]
pub struct Server {
    host: usize,
    name: String,
    program: PathBuf,
    config: PathBuf,
    log: PathBuf,
    child: Option<Child>,
    state: State,
    /// How it ended, each time that nobody had killed it.
    falls: Vec<String>,
}

impl Server {
    /// One of `count`, on this host; its data lies in `data`, its log is `log`, and its configuration is put beside its data.
    ///
    /// # Errors
    /// If the configuration cannot be written.
    pub fn prepare(
        host: usize,
        count: usize,
        setup: &Setup,
        data: &Path,
        log: PathBuf,
    ) -> Result<Self, ServerError> {
        let name = net::name(host);
        let config = data.with_extension("hcl");
        let failed = |source| ServerError { attempt: "configure", name: name.clone(), source };
        fs::write(&config, configuration(host, count, setup, data)).map_err(failed)?;
        let program = setup.program.clone();
        Ok(Self { host, name, program, config, log, child: None, state: State::Down, falls: Vec::new() })
    }

    /// Its name, `n1` for the first.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is doing, as far as it was done by us.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// Where its log is.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// How it ended, each time that nobody had killed it.
    #[must_use]
    pub fn falls(&self) -> &[String] {
        &self.falls
    }

    /// Starts it if it does not run, and does not wait until it answers.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(&mut self, net: &Net) -> Result<(), ServerError> {
        if self.look()? != State::Down {
            return Ok(());
        }
        let open = || -> io::Result<Child> {
            let log = File::options().create(true).append(true).open(&self.log)?;
            let mut command = net.command(self.host, &self.program);
            command.arg("agent").arg("-config-file").arg(&self.config);
            command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
            command.stderr(log.try_clone()?).stdout(log).kill_on_drop(true).spawn()
        };
        let child = open();
        self.child = Some(child.map_err(|source| self.error("start", source))?);
        self.state = State::Running;
        Ok(())
    }

    /// Ends it as a power cut would (SIGKILL), and waits until it is gone.
    ///
    /// # Errors
    /// If it is not gone in time.
    pub async fn kill(&mut self) -> Result<(), ServerError> {
        if self.look()? == State::Down {
            return Ok(());
        }
        self.state = State::Down;
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let gone = async {
            child.start_kill()?;
            child.wait().await
        };
        match timeout(GONE, gone).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(source)) => Err(self.error("kill", source)),
            Err(_) => Err(self.error("kill", io::Error::other(format!("it is not gone after {GONE:?}")))),
        }
    }

    /// Has no more to do with it until it ends by itself, which is then not a fall: it was asked to leave.
    ///
    /// # Errors
    /// If it does not end in time.
    pub async fn depart(&mut self, within: Duration) -> Result<(), ServerError> {
        let Some(child) = self.child.as_mut() else { return Ok(()) };
        match timeout(within, child.wait()).await {
            Ok(Ok(_)) => {
                self.child = None;
                self.state = State::Down;
                Ok(())
            }
            Ok(Err(source)) => Err(self.error("wait for the end of", source)),
            Err(_) => {
                Err(self.error("wait for the end of", io::Error::other(format!("it runs after {within:?}"))))
            }
        }
    }

    /// Stops it where it stands (SIGSTOP): its sockets stay open and answer nothing.
    ///
    /// # Errors
    /// If the signal cannot be sent.
    pub fn freeze(&mut self) -> Result<(), ServerError> {
        if self.look()? == State::Running {
            self.signal(Signal::STOP, "freeze")?;
            self.state = State::Frozen;
        }
        Ok(())
    }

    /// Lets a frozen one go on (SIGCONT).
    ///
    /// # Errors
    /// If the signal cannot be sent.
    pub fn thaw(&mut self) -> Result<(), ServerError> {
        if self.look()? == State::Frozen {
            self.signal(Signal::CONT, "thaw")?;
            self.state = State::Running;
        }
        Ok(())
    }

    /// Looks whether it ended by itself, and notes it.
    ///
    /// # Errors
    /// If that cannot be told.
    pub fn look(&mut self) -> Result<State, ServerError> {
        let ended = match &mut self.child {
            Some(child) => child.try_wait(),
            None => Ok(None),
        };
        if let Some(status) = ended.map_err(|source| self.error("look at", source))? {
            self.falls.push(format!("{} ended by itself: {status}", self.name));
            self.child = None;
            self.state = State::Down;
        }
        Ok(self.state)
    }

    fn signal(&self, signal: Signal, attempt: &'static str) -> Result<(), ServerError> {
        let pid = self.child.as_ref().and_then(Child::id);
        let pid = pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| self.error(attempt, io::Error::other("it has ended")))?;
        kill_process(pid, signal).map_err(|error| self.error(attempt, error.into()))
    }

    fn error(&self, attempt: &'static str, source: io::Error) -> ServerError {
        ServerError { attempt, name: self.name.clone(), source }
    }
}

/// Where the server of a host serves HTTP.
#[must_use]
pub fn http(host: usize) -> SocketAddr {
    (net::address(host), HTTP).into()
}

/// The host whose server has this address for Raft.
#[must_use]
pub fn by_raft_address(address: &str, count: usize) -> Option<usize> {
    let address: SocketAddr = address.parse().ok()?;
    (0..count).find(|&host| address == SocketAddr::from((net::address(host), RPC)))
}

fn configuration(host: usize, count: usize, setup: &Setup, data: &Path) -> String {
    let (name, address) = (net::name(host), net::address(host));
    let others: Vec<Ipv4Addr> = (0..count).filter(|&other| other != host).map(net::address).collect();
    format!(
        r#"
node_name = "{name}"
datacenter = "dc1"
server = true
bootstrap_expect = {count}
data_dir = {data:?}
bind_addr = "{address}"
client_addr = "{address}"
retry_join = {others:?}
retry_interval = "1s"
ports {{ http = {HTTP} server = {RPC} dns = -1 grpc = -1 serf_wan = -1 }}
performance {{ raft_multiplier = {raft_multiplier} }}
disable_host_node_id = true
disable_update_check = true
leave_on_terminate = false
skip_leave_on_interrupt = true
rejoin_after_leave = true
{more}
"#,
        others = others.iter().map(ToString::to_string).collect::<Vec<_>>(),
        raft_multiplier = setup.raft_multiplier,
        more = setup.more,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_told_of_all_others_and_not_of_itself() {
        let setup = Setup { program: "consul".into(), raft_multiplier: 1, more: String::new() };
        let text = configuration(1, 3, &setup, Path::new("/data/n2"));
        assert!(text.contains(r#"retry_join = ["10.77.1.2", "10.77.3.2"]"#), "{text}");
        assert!(text.contains(r#"bind_addr = "10.77.2.2""#), "{text}");
        assert!(text.contains(r#"data_dir = "/data/n2""#), "{text}");
    }

    #[test]
    fn a_raft_address_names_its_host() {
        assert_eq!(by_raft_address("10.77.3.2:8300", 3), Some(2));
        assert_eq!(by_raft_address("10.77.4.2:8300", 3), None);
        assert_eq!(by_raft_address("", 3), None);
    }
}
