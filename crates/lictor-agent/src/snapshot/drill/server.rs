//! A Consul server of a drill: alone, on loopback, and open to nobody but us.
//!
//! HTTP is on a socket in its folder, which only we can look into. Its other two ports are on 127.0.0.1, where
//! anybody on this machine can reach them: so who joins needs a key of chance, and who asks needs a token of chance.

use std::ffi::OsString;
use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lictor_consul::{Client, Config, Limits, Query, Secret};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::folder::{Folder, SOCKET_NAME};
use super::process::{Process, Said, Start};
use super::{DrillError, DrillMeans, Step};

/// How long a program may take to say its version.
const VERSION: Duration = Duration::from_secs(10);

/// What a program says whose port somebody else took since it was found to be free.
const TAKEN: &str = "address already in use";

/// How often it is started then.
const STARTS: u32 = 3;

/// How often a server is asked whether it leads.
const ASK: Duration = Duration::from_millis(50);

/// After an error a server that is about to end is given so long to do so: how it ended says more.
const LAST: Duration = Duration::from_secs(1);

/// The first version that calls its first token otherwise.
const INITIAL_MANAGEMENT: (u16, u16) = (1, 11);

/// The first version that has a second port for gRPC unless it is told otherwise.
const GRPC_TLS: (u16, u16) = (1, 14);

/// The version of a Consul, such as 1.8.7.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    text: String,
    pub(super) number: (u16, u16),
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Version {
    /// Asks a program.
    pub(super) async fn of(means: &DrillMeans, program: &Path) -> Result<Self, DrillError> {
        let wrong = |why: String| DrillError::Program { program: program.to_owned(), why };
        let said = Said::default();
        let args = [OsString::from("version")];
        let start = Start { launcher: &means.launcher, program, args: &args, folder: Path::new("/") };
        let mut process = Process::start(&start, said.clone())
            .map_err(|error| wrong(format!("it cannot be started: {error}")))?;
        let status = match timeout(VERSION, process.ended()).await {
            Ok(ended) => ended.map_err(|error| wrong(format!("it cannot be waited for: {error}")))?,
            Err(_late) => return Err(wrong(format!("it did not say its version within {VERSION:?}"))),
        };
        if !status.success() {
            return Err(wrong(format!("asked for its version, it ended: {status}{}", said.last())));
        }
        Self::read(&said.text())
            .ok_or_else(|| wrong(format!("asked for its version, it said something else{}", said.last())))
    }

    /// `Consul v1.8.7`, with what the builder added behind it; other lines are passed over.
    fn read(text: &str) -> Option<Self> {
        let text = text.lines().find_map(|line| {
            let version = line.trim().strip_prefix("Consul ")?.trim_start();
            version.strip_prefix('v').unwrap_or(version).split_ascii_whitespace().next()
        })?;
        let mut numbers = text.split(['.', '+', '-']).map(str::parse::<u16>);
        let number = (numbers.next()?.ok()?, numbers.next()?.ok()?);
        let fits = |letter: char| letter.is_ascii_alphanumeric() || ".+-_~".contains(letter);
        text.chars().all(fits).then(|| Self { text: text.to_owned(), number })
    }
}

/// A running server. Dropping it ends it.
pub(super) struct Server {
    process: Process,
    said: Said,
    pub(super) client: Client,
    /// The secret of the token that may do everything.
    pub(super) token: Secret,
}

impl Server {
    /// Starts one in its folder and waits until it leads and takes our token. One whose port was taken away is
    /// started again with others.
    pub(super) async fn up(
        means: &DrillMeans,
        program: &Path,
        version: &Version,
        datacenter: &str,
        folder: &Folder,
        said: &Said,
    ) -> Result<Self, DrillError> {
        let mut starts = 1;
        loop {
            let mut server = Self::start(means, program, version, datacenter, folder, said)?;
            let client = server.client.clone();
            let leads = async {
                while client.kv().get("lictor", &Query::new().consistent()).await.is_err() {
                    sleep(ASK).await;
                }
                Ok(())
            };
            match server.meanwhile(Step::Starting, leads).await {
                Ok(()) => return Ok(server),
                Err(DrillError::Ended { said, .. }) if starts < STARTS && said.contains(TAKEN) => starts += 1,
                Err(error) => return Err(error),
            }
        }
    }

    fn start(
        means: &DrillMeans,
        program: &Path,
        version: &Version,
        datacenter: &str,
        folder: &Folder,
        said: &Said,
    ) -> Result<Self, DrillError> {
        let token = Secret::new(uuid(rand::random()));
        let socket = folder.path().join(SOCKET_NAME);
        let ports = Ports::free().map_err(DrillError::io("find free ports on 127.0.0.1"))?;
        let config = config(&Settings { version, datacenter, folder: folder.path(), token: &token, ports });
        let file = folder.path().join("server.json");
        write(&file, &config).map_err(DrillError::io("write the configuration of the drill's server"))?;
        let client = client(&socket, &token, means.limit)?;
        let mut argument = OsString::from("-config-file=");
        argument.push(&file);
        let args = ["agent".into(), argument];
        let start = Start { launcher: &means.launcher, program, args: &args, folder: folder.path() };
        let process =
            Process::start(&start, said.clone()).map_err(DrillError::io("start the drill's server"))?;
        Ok(Self { process, said: said.clone(), client, token })
    }

    /// Does something, unless the server ends.
    pub(super) async fn meanwhile<T>(
        &mut self,
        step: Step,
        work: impl Future<Output = Result<T, lictor_consul::Error>>,
    ) -> Result<T, DrillError> {
        let worked = tokio::select! {
            worked = work => worked,
            ended = self.process.ended() => return Err(self.ended(step, ended)),
        };
        match worked {
            Ok(done) => Ok(done),
            Err(source) => match timeout(LAST, self.process.ended()).await {
                Ok(ended) => Err(self.ended(step, ended)),
                Err(_lives) => {
                    let source = Box::new(source);
                    Err(DrillError::Refused { step, source, said: self.said.last() })
                }
            },
        }
    }

    fn ended(&self, step: Step, ended: io::Result<std::process::ExitStatus>) -> DrillError {
        match ended {
            Ok(status) => DrillError::Ended { step, status, said: self.said.last() },
            Err(source) => DrillError::Io { what: "wait for the drill's server", source },
        }
    }

    /// Ends it.
    pub(super) async fn end(self) -> Result<(), DrillError> {
        self.process.end().await.map_err(DrillError::io("end the drill's server"))
    }
}

fn client(socket: &Path, token: &Secret, limit: Duration) -> Result<Client, DrillError> {
    let unusable = |why: &dyn fmt::Display| {
        let source = io::Error::other(why.to_string());
        DrillError::Io { what: "reach the drill's server", source }
    };
    let text = socket.to_str().ok_or_else(|| unusable(&"the path of its folder is not UTF-8"))?;
    let config = Config {
        address: format!("unix://{text}").parse().map_err(|error| unusable(&error))?,
        token: Some(token.clone()),
        limits: Limits { transfer: limit, stall: limit, attempts: 1, ..Limits::default() },
        ..Config::default()
    };
    Client::new(config).map_err(|error| unusable(&error))
}

/// What a server is told.
struct Settings<'a> {
    version: &'a Version,
    datacenter: &'a str,
    folder: &'a Path,
    token: &'a Secret,
    ports: Ports,
}

/// The configuration of a server that knows nobody, serves nothing but what is needed, and writes only into its folder.
fn config(settings: &Settings<'_>) -> Value {
    let Settings { version, datacenter, folder, token, ports } = settings;
    let token = token.expose();
    let folder = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let first = if version.number < INITIAL_MANAGEMENT { "master" } else { "initial_management" };
    let mut config = json!({
        "node_name": "lictor-drill",
        "datacenter": datacenter.to_lowercase(),
        "data_dir": folder("data"),
        "server": true,
        "bootstrap": true,
        "bind_addr": Ipv4Addr::LOCALHOST,
        "advertise_addr": Ipv4Addr::LOCALHOST,
        "client_addr": Ipv4Addr::LOCALHOST,
        "addresses": { "http": format!("unix://{}", folder(SOCKET_NAME)) },
        "ports": {
            "http": ports.http,
            "server": ports.server,
            "serf_lan": ports.gossip,
            "serf_wan": -1,
            "dns": -1,
            "https": -1,
            "grpc": -1,
        },
        "retry_join": [],
        "encrypt": STANDARD.encode(rand::random::<[u8; 32]>()),
        "disable_keyring_file": true,
        "disable_host_node_id": true,
        "disable_update_check": true,
        "enable_script_checks": false,
        "connect": { "enabled": false },
        "performance": { "raft_multiplier": 1 },
        "log_level": "WARN",
        "acl": {
            "enabled": true,
            "default_policy": "deny",
            "tokens": { first: token, "agent": token },
        },
    });
    if version.number >= GRPC_TLS {
        config["ports"]["grpc_tls"] = json!(-1);
    }
    config
}

fn write(file: &PathBuf, config: &Value) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file)?;
    file.write_all(config.to_string().as_bytes())
}

/// Ports of 127.0.0.1.
#[derive(Clone, Copy)]
struct Ports {
    /// Has to be one, and is not used: HTTP is on a socket.
    http: u16,
    server: u16,
    gossip: u16,
}

impl Ports {
    /// Ports that are free now, also for datagrams.
    fn free() -> io::Result<Self> {
        // Held together, so that they are not the same.
        let held = [free()?, free()?, free()?];
        let [http, server, gossip] = [&held[0], &held[1], &held[2]].map(|(tcp, _)| tcp.local_addr());
        Ok(Self { http: http?.port(), server: server?.port(), gossip: gossip?.port() })
    }
}

fn free() -> io::Result<(TcpListener, UdpSocket)> {
    const TRIES: usize = 20;
    let mut found = Err(io::Error::from(io::ErrorKind::AddrInUse));
    for _ in 0..TRIES {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, tcp.local_addr()?.port()));
        found = udp.map(|udp| (tcp, udp));
        if found.is_ok() {
            break;
        }
    }
    found
}

/// A UUID of chance, version 4.
fn uuid(chance: u128) -> String {
    let digits = format!("{:032x}", chance & !(0xf << 76) & !(0x3 << 62) | 4 << 76 | 2 << 62);
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(String, (u16, u16))> {
        Version::read(text).map(|version| (version.to_string(), version.number))
    }

    #[test]
    fn versions_of_all_times_are_read() {
        let old = "Consul v1.8.7\nRevision 1.8.7+dfsg1\nProtocol 2 spoken by default, understands 2 to 3\n";
        assert_eq!(read(old), Some(("1.8.7".into(), (1, 8))));
        let new = "Consul v1.15.2\nRevision 5e08e229\nBuild Date 2023-03-30T17:51:19Z\n";
        assert_eq!(read(new), Some(("1.15.2".into(), (1, 15))));
        assert_eq!(read("a warning\nConsul v1.21.0+ent\n"), Some(("1.21.0+ent".into(), (1, 21))));
        assert_eq!(read("Consul 2.0.0-beta1"), Some(("2.0.0-beta1".into(), (2, 0))));
        for other in ["", "Consul", "Consul v", "Consul v1", "Nomad v1.8.7", "Consul v1.8\u{1b}[2J"] {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[test]
    fn a_uuid_is_one() {
        assert_eq!(uuid(0), "00000000-0000-4000-8000-000000000000");
        assert_eq!(uuid(u128::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }

    #[test]
    fn a_server_listens_to_nobody_else_and_knows_nobody() {
        let version = |number| Version { text: "x".into(), number };
        let settings = |version| {
            let (folder, token) = (Path::new("/f"), &Secret::new("t"));
            let ports = Ports { http: 1, server: 2, gossip: 3 };
            config(&Settings { version, datacenter: "DC2", folder, token, ports })
        };
        let (old, new) = (settings(&version((1, 8))), settings(&version((1, 14))));
        for config in [&old, &new] {
            for address in ["bind_addr", "client_addr", "advertise_addr"] {
                assert_eq!(config[address], "127.0.0.1");
            }
            assert_eq!(config["addresses"]["http"], "unix:///f/http.sock");
            assert_eq!(config["retry_join"], json!([]));
            assert_eq!(config["datacenter"], "dc2");
            assert_eq!(config["acl"]["default_policy"], "deny");
        }
        assert_eq!(old["acl"]["tokens"], json!({ "master": "t", "agent": "t" }));
        assert_eq!(new["acl"]["tokens"], json!({ "initial_management": "t", "agent": "t" }));
        assert_eq!((&old["ports"]["grpc_tls"], &new["ports"]["grpc_tls"]), (&Value::Null, &json!(-1)));
    }

    #[test]
    fn free_ports_are_three() {
        let Ports { http, server, gossip } = Ports::free().unwrap();
        assert!(http != server && server != gossip && gossip != http);
    }
}
