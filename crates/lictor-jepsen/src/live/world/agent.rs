//! The agent of Lictor on a host: a process there, or a unit of a machine that was booted on it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::machine::{Machine, Parts};
use super::net::{self, Net};
use super::process::{PATH, Process, ProcessError, State};
use super::server;

/// Where an agent is asked, on its own host alone.
const HTTP: &str = "127.0.0.1:8510";

/// What stands in the blocks of a scene for the directory of a host in which it leaves what it has to say.
pub const DIR: &str = "@DIR@";

/// What stands there for the address of the harness, as the host reaches it.
pub const HARNESS: &str = "@HARNESS@";

/// What `@DIR@` is on a booted machine.
pub const LEFT: &str = "/shared";

/// Where a booted machine has the state of its agent.
const STATE: &str = "/var/lib/lictor";

/// Where it has the logs of the run.
const LOGS: &str = "/logs";

/// Where agents live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// On the host itself, as a process.
    Bare,
    /// On a machine that is booted on the host, as a unit of systemd: what services need. Takes root.
    Booted,
}

/// How the agents of a run are set up.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The program.
    pub program: PathBuf,
    /// What agents and guards have in their environment besides.
    pub environment: Vec<(String, String)>,
}

/// What is to be on one host.
#[derive(Clone, Debug)]
pub struct Place<'a> {
    /// Which host.
    pub host: usize,
    /// Its configuration besides the node, the listener and Consul.
    pub blocks: String,
    /// More files of a booted machine, and what is in them.
    pub files: Vec<(String, String)>,
    /// Where the agent keeps its state: on the disk of the host.
    pub state: PathBuf,
    /// Where its programs leave what they have to say.
    pub left: PathBuf,
    /// Where logs are kept.
    pub logs: &'a Path,
}

/// An agent on a host.
#[derive(Debug)]
pub struct Agent {
    host: usize,
    program: PathBuf,
    environment: Vec<(String, String)>,
    config: PathBuf,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Bare(Process),
    Booted(Machine),
}

impl Agent {
    /// Makes agents, which are not started yet; boots what they live on.
    ///
    /// # Errors
    /// If a file cannot be written, or a machine not be booted.
    pub fn prepare(setup: &Setup, home: Home, places: &[Place<'_>]) -> Result<Vec<Self>, ProcessError> {
        for place in places {
            for dir in [&place.state, &place.left] {
                fs::create_dir_all(dir).map_err(|source| failed("configure", place.host, source))?;
            }
        }
        let bodies: Vec<(PathBuf, Body)> = match home {
            Home::Bare => places.iter().map(bare).collect::<Result<_, _>>()?,
            Home::Booted => {
                let machines =
                    Machine::boot(places.iter().map(|place| booted(setup, place)).collect())?.into_iter();
                machines.map(|machine| (PathBuf::from("/etc/lictor.hcl"), Body::Booted(machine))).collect()
            }
        };
        let agent = |(place, (config, body)): (&Place<'_>, (PathBuf, Body))| Self {
            host: place.host,
            program: setup.program.clone(),
            environment: setup.environment.clone(),
            config,
            body,
        };
        Ok(places.iter().zip(bodies).map(agent).collect())
    }

    /// Which host it is on.
    #[must_use]
    pub fn host(&self) -> usize {
        self.host
    }

    /// What it is called, `n1-lictor` for the first.
    #[must_use]
    pub fn name(&self) -> &str {
        match &self.body {
            Body::Bare(process) => process.name(),
            Body::Booted(machine) => machine.name(),
        }
    }

    /// Starts it if it does not run; a machine that is off is booted before.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(&mut self, net: &Net) -> Result<(), ProcessError> {
        match &mut self.body {
            Body::Bare(process) => {
                let mut command = net.command(self.host, &self.program);
                command.args(["run", "--config"]).arg(&self.config).env_clear().env("PATH", PATH);
                command.envs(self.environment.iter().map(|(name, value)| (name, value)));
                process.start(command)
            }
            Body::Booted(machine) => machine.start(),
        }
    }

    /// Kills it (SIGKILL), and nothing else on its host.
    ///
    /// # Errors
    /// If it is not gone in time.
    pub async fn kill(&mut self) -> Result<(), ProcessError> {
        match &mut self.body {
            Body::Bare(process) => process.kill().await,
            Body::Booted(machine) => machine.kill().await,
        }
    }

    /// Kills it with the machine that it lives on, if that was booted: then with all that runs there.
    ///
    /// # Errors
    /// If it is not gone in time.
    pub async fn power_cut(&mut self) -> Result<(), ProcessError> {
        match &mut self.body {
            Body::Bare(process) => process.kill().await,
            Body::Booted(machine) => machine.power_cut(),
        }
    }

    /// Stops it where it stands (SIGSTOP), and nothing else on its host.
    ///
    /// # Errors
    /// If the signal cannot be sent.
    pub fn freeze(&mut self) -> Result<(), ProcessError> {
        match &mut self.body {
            Body::Bare(process) => process.freeze(),
            Body::Booted(machine) => machine.freeze(),
        }
    }

    /// Lets a frozen one go on.
    ///
    /// # Errors
    /// If the signal cannot be sent.
    pub fn thaw(&mut self) -> Result<(), ProcessError> {
        match &mut self.body {
            Body::Bare(process) => process.thaw(),
            Body::Booted(machine) => machine.thaw(),
        }
    }

    /// Looks whether it ended by itself, and notes it.
    ///
    /// # Errors
    /// If that cannot be told.
    pub fn look(&mut self) -> Result<State, ProcessError> {
        match &mut self.body {
            Body::Bare(process) => process.look(),
            Body::Booted(machine) => machine.look(),
        }
    }

    /// How it ended, each time that nobody had killed it.
    #[must_use]
    pub fn falls(&self) -> &[String] {
        match &self.body {
            Body::Bare(process) => process.falls(),
            Body::Booted(machine) => machine.falls(),
        }
    }

    /// Runs a command of Lictor where its agent lives, and gives its exit code and what it wrote.
    ///
    /// # Errors
    /// If it cannot be run.
    pub async fn says(&mut self, args: &[&str]) -> Result<(i32, String), ProcessError> {
        match &mut self.body {
            Body::Bare(process) => {
                let asker = Asker::new(self.host, &self.program);
                let said = asker.ask(args, Duration::from_secs(60)).await;
                let said = said.map_err(|source| ProcessError::new("ask", process.name(), source))?;
                Ok((said.0.code().unwrap_or(-1), said.1))
            }
            Body::Booted(machine) => {
                let program = within(&self.program);
                let argv: Vec<&str> = [&[program.as_str()], args].concat();
                let output = machine.run(&argv)?;
                Ok((output.code, output.stdout + &output.stderr))
            }
        }
    }
}

/// Asks the agent of a host by its own program, from that host.
#[derive(Clone, Debug)]
pub struct Asker {
    host: usize,
    program: PathBuf,
}

impl Asker {
    /// One that asks on this host.
    #[must_use]
    pub fn new(host: usize, program: &Path) -> Self {
        Self { host, program: program.to_owned() }
    }

    /// The program.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Runs a command of Lictor for so long at most, and gives how it ended and what it wrote.
    ///
    /// # Errors
    /// If it cannot be run, or takes longer.
    pub async fn ask(&self, args: &[&str], within: Duration) -> io::Result<(ExitStatus, String)> {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &net::name(self.host)]).arg(&self.program).args(args);
        command.env_clear().env("PATH", PATH).env("LICTOR_HTTP_ADDR", format!("http://{HTTP}"));
        command.env("CONSUL_HTTP_ADDR", format!("http://{}", server::http(self.host)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let ended = timeout(within, command.output()).await;
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {within:?}"));
        let output = ended.map_err(late)??;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok((output.status, text(&output.stdout) + &text(&output.stderr)))
    }
}

fn bare(place: &Place<'_>) -> Result<(PathBuf, Body), ProcessError> {
    let name = name(place.host);
    let config = place.left.join("lictor.hcl");
    let text = configuration(place, &place.state, &place.left);
    fs::write(&config, text).map_err(|source| failed("configure", place.host, source))?;
    Ok((config, Body::Bare(Process::new(name.clone(), place.logs.join(format!("{name}.log"))))))
}

fn booted<'a>(setup: &'a Setup, place: &Place<'_>) -> Parts<'a> {
    let name = name(place.host);
    let environment: String =
        setup.environment.iter().map(|(name, value)| format!("Environment=\"{name}={value}\"\n")).collect();
    let unit = format!(
        "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=notify\nExecStart={} run --config /etc/lictor.hcl\n\
         KillMode=process\nStandardOutput=append:{LOGS}/{name}.log\nStandardError=append:{LOGS}/{name}.log\n{environment}",
        within(&setup.program)
    );
    let mut files = vec![
        ("/etc/lictor.hcl".to_owned(), configuration(place, Path::new(STATE), Path::new(LEFT))),
        ("/etc/systemd/system/lictor.service".to_owned(), unit),
    ];
    if !environment.is_empty() {
        let guard = "/etc/systemd/system/lictor-guard@.service.d/50-planted.conf";
        files.push((guard.to_owned(), format!("[Service]\n{environment}")));
    }
    files.extend(place.files.iter().cloned());
    Parts {
        name,
        network: Path::new("/run/netns").join(net::name(place.host)),
        program: &setup.program,
        binds: vec![(place.state.clone(), STATE), (place.left.clone(), LEFT), (place.logs.to_owned(), LOGS)],
        files,
    }
}

/// Where a booted machine has the program.
fn within(program: &Path) -> String {
    format!("/usr/local/bin/{}", program.file_name().unwrap_or_default().to_string_lossy())
}

fn name(host: usize) -> String {
    format!("{}-lictor", net::name(host))
}

fn failed(attempt: &'static str, host: usize, source: io::Error) -> ProcessError {
    ProcessError::new(attempt, &name(host), source)
}

fn configuration(place: &Place<'_>, state: &Path, left: &Path) -> String {
    let left = left.display().to_string();
    let blocks = place.blocks.replace(DIR, &left).replace(HARNESS, &net::gateway(place.host).to_string());
    format!(
        "node {{\n  name = {:?}\n  state_dir = {:?}\n}}\nhttp {{\n  address = {HTTP:?}\n}}\nconsul {{\n  address = \"{}\"\n}}\n\
         {blocks}",
        net::name(place.host),
        state,
        server::http(place.host)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_asks_the_server_of_its_host_and_finds_the_harness_at_its_gateway() {
        let place = Place {
            host: 1,
            blocks: "hook = \"http://@HARNESS@:80\"\nfile = \"@DIR@/x\"\n".to_owned(),
            files: Vec::new(),
            state: "/state".into(),
            left: "/left".into(),
            logs: Path::new("/logs"),
        };
        let text = configuration(&place, &place.state, &place.left);
        for part in ["name = \"n2\"", "address = \"10.77.2.2:8500\"", "http://10.77.2.1:80", "\"/left/x\""] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn what_is_planted_reaches_the_guards_of_a_booted_machine() {
        let place = Place {
            host: 0,
            blocks: String::new(),
            files: Vec::new(),
            state: "/state".into(),
            left: "/left".into(),
            logs: Path::new("/logs"),
        };
        let environment = vec![("LICTOR_PLANT".to_owned(), "x".to_owned())];
        let setup = Setup { program: "/somewhere/lictor".into(), environment };
        let parts = booted(&setup, &place);
        let guard = parts.files.iter().find(|(path, _)| path.contains("lictor-guard@"));
        assert!(guard.unwrap().1.contains("Environment=\"LICTOR_PLANT=x\""), "{parts:?}");
        let unit = parts.files.iter().find(|(path, _)| path.ends_with("/lictor.service"));
        assert!(unit.unwrap().1.contains("ExecStart=/usr/local/bin/lictor run"), "{parts:?}");
    }
}
