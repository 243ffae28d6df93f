//! What benchmarks share: programs started and ended, configurations, figures of /proc.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::measure::Sample;
use crate::error::Error;
use crate::workspace::Workspace;

/// How long a server may take to answer first.
const START: Duration = Duration::from_secs(30);

/// An empty directory for a benchmark.
pub(super) fn fresh(workspace: &Workspace, name: &str) -> Result<PathBuf, Error> {
    let dir = workspace.target().join("bench").join(name);
    if dir.exists() {
        fs::remove_dir_all(&dir).map_err(Error::file("remove", &dir))?;
    }
    fs::create_dir_all(&dir).map_err(Error::file("create", &dir))?;
    Ok(dir)
}

/// Builds an example in release and gives its path.
pub(super) fn cargo_example(workspace: &Workspace, package: &str, example: &str) -> Result<PathBuf, Error> {
    cargo(workspace, &["build", "--release", "--package", package, "--example", example])?;
    Ok(workspace.target().join("release/examples").join(example))
}

/// Builds the program in release and gives its path.
pub(super) fn program(workspace: &Workspace) -> Result<PathBuf, Error> {
    cargo(workspace, &["build", "--release", "--package", "lictor"])?;
    Ok(workspace.target().join("release/lictor"))
}

fn cargo(workspace: &Workspace, args: &[&str]) -> Result<(), Error> {
    let mut command = Command::new("cargo");
    command.args(args).current_dir(workspace.root()).env("CARGO_TARGET_DIR", workspace.target());
    let status = command.status().map_err(|source| start(&command, source))?;
    if status.success() { Ok(()) } else { Err(failed(&command, &status.to_string(), "")) }
}

fn start(command: &Command, source: std::io::Error) -> Error {
    Error::Start { command: format!("{command:?}"), source }
}

fn failed(command: &Command, status: &str, said: &str) -> Error {
    Error::Failed { command: format!("{command:?}"), status: status.to_owned(), said: said.to_owned() }
}

/// Runs a program to its end and reads the numbers it printed.
pub(super) fn numbers(command: &mut Command) -> Result<Vec<f64>, Error> {
    let output = command.stdin(Stdio::null()).output().map_err(|source| start(command, source))?;
    if !output.status.success() {
        return Err(failed(command, &output.status.to_string(), &String::from_utf8_lossy(&output.stderr)));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let read = text.split_whitespace().map(str::parse).collect::<Result<_, _>>();
    read.map_err(|_odd| Error::Answer { of: "a measurement", what: text })
}

/// A sample of figures that were taken beside others.
pub(super) fn sample(figures: Vec<f64>, unit: &'static str) -> Result<Sample, Error> {
    let what = format!("{figures:?}");
    Sample::new(figures, unit).ok_or(Error::Answer { of: "a measurement", what })
}

/// A program that runs until this is dropped.
pub(super) struct Server {
    child: Child,
}

impl Server {
    /// Starts it with its output in `log`.
    pub(super) fn start(mut command: Command, log: &Path) -> Result<Self, Error> {
        let out = fs::File::create(log).map_err(Error::file("create", log))?;
        let err = out.try_clone().map_err(Error::file("open", log))?;
        let child = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn();
        Ok(Self { child: child.map_err(|source| start(&command, source))? })
    }

    /// CPU time used so far by it and its children, milliseconds.
    pub(super) fn cpu_ms(&self) -> f64 {
        let ticks = |pid: u32| -> f64 {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // After the name in parentheses: utime and stime are the 12th and 13th field.
            let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
            let fields: Vec<&str> = rest.split_whitespace().collect();
            [11, 12].iter().filter_map(|field| fields.get(*field)?.parse::<f64>().ok()).sum()
        };
        // USER_HZ is 100 on every Linux that people run.
        crate::process::family(self.child.id()).into_iter().map(ticks).sum::<f64>() * 10.0
    }

    /// Resident memory of it and its children, MB.
    pub(super) fn memory_mb(&self) -> f64 {
        memory_mb(self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        crate::process::end_tree(&mut self.child);
    }
}

/// Resident memory of a process and its children, MB.
pub(super) fn memory_mb(root: u32) -> f64 {
    let resident = |pid: u32| -> f64 {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).unwrap_or_default()
    };
    crate::process::family(root).into_iter().map(resident).sum::<f64>() * 1_024.0 / 1e6
}

/// A port that was free a moment ago.
pub(super) fn free_port() -> Result<u16, Error> {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    bound.map(|address| address.port()).map_err(|source| Error::Start { command: "bind".into(), source })
}

/// Waits until a port accepts.
pub(super) fn wait_for(port: u16) -> Result<(), Error> {
    let end = Instant::now() + START;
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        if Instant::now() > end {
            return Err(Error::Late {
                command: format!("the server on port {port}"),
                seconds: START.as_secs(),
            });
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// nginx with one worker that answers everything with a few bytes.
pub(super) fn nginx(dir: &Path, port: u16) -> Result<Server, Error> {
    nginx_with(dir, port, "")
}

/// The same, but in every other 10 s it answers everything with the status 500.
pub(super) fn nginx_that_changes(dir: &Path, port: u16) -> Result<Server, Error> {
    nginx_with(dir, port, "if ($ill) { return 500; }")
}

fn nginx_with(dir: &Path, port: u16, first: &str) -> Result<Server, Error> {
    let dir_text = dir.display();
    let text = format!(
        "daemon off; master_process off; pid {dir_text}/nginx.pid; error_log {dir_text}/nginx.err crit;\n\
         worker_rlimit_nofile 65536; events {{ worker_connections 30000; }}\n\
         http {{ map $msec $ill {{ default \"\"; \"~[13579][0-9][.]\" 1; }}\n\
         access_log off; keepalive_requests 1000000000; keepalive_timeout 600s;\n\
         client_body_temp_path {dir_text}/b; proxy_temp_path {dir_text}/p; fastcgi_temp_path {dir_text}/f;\n\
         uwsgi_temp_path {dir_text}/u; scgi_temp_path {dir_text}/s;\n\
         server {{ listen 127.0.0.1:{port} backlog=16384; location / {{ {first} return 200 \"ok\\n\"; }}\n\
         location = /nginx-status {{ stub_status; }} }} }}\n"
    );
    let config = dir.join("nginx.conf");
    fs::write(&config, text).map_err(Error::file("write", &config))?;
    let mut command = Command::new("nginx");
    command.arg("-p").arg(dir).arg("-c").arg(&config);
    let server = Server::start(command, &dir.join("nginx.log"))?;
    wait_for(port)?;
    Ok(server)
}

/// The agent with these blocks and an empty state.
pub(super) fn agent(program: &Path, dir: &Path, port: u16, blocks: &str) -> Result<Server, Error> {
    let state = dir.join("state");
    if state.exists() {
        fs::remove_dir_all(&state).map_err(Error::file("remove", &state))?;
    }
    let text = format!(
        "node {{\n  name = \"bench\"\n  state_dir = \"{}\"\n}}\nhttp {{\n  address = \"127.0.0.1:{port}\"\n}}\n{blocks}",
        state.display()
    );
    let config = dir.join("lictor.hcl");
    fs::write(&config, text).map_err(Error::file("write", &config))?;
    let mut command = Command::new(program);
    // As the unit in `packaging/systemd` starts it.
    command.env("MALLOC_ARENA_MAX", "1");
    command.arg("run").arg("--config").arg(&config).args(["--log-level", "error"]);
    let log = dir.join("lictor.log");
    let shown = format!("{command:?}");
    let mut server = Server::start(command, &log)?;
    wait_for(port).map_err(|late| match server.child.try_wait() {
        Ok(Some(status)) => Error::Failed {
            command: shown,
            status: status.to_string(),
            said: fs::read_to_string(&log).unwrap_or_default(),
        },
        _ => late,
    })?;
    Ok(server)
}

/// So many HTTP checks, each of the port that `port` gives for its number.
pub(super) fn http_checks(count: u32, every: &str, more: &str, port: impl Fn(u32) -> u16) -> String {
    let block = |number| {
        let port = port(number);
        format!(
            "watch \"http\" \"c{number}\" {{\n  url = \"http://127.0.0.1:{port}/{number}\"\n  every = \"{every}\"\n{more}}}\n"
        )
    };
    (0..count).map(block).collect()
}

/// One HTTP request on a connection of its own: the body of the answer.
pub(super) fn http(port: u16, request: &str) -> Result<String, Error> {
    let asked = || -> std::io::Result<String> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer =
        asked().map_err(|source| Error::Start { command: format!("a request to port {port}"), source })?;
    Ok(answer.split_once("\r\n\r\n").map_or(String::new(), |(_, body)| body.to_owned()))
}

pub(super) fn get(port: u16, path: &str) -> Result<String, Error> {
    http(port, &format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"))
}

/// How many looks of an agent have passed so far.
pub(super) fn passed(port: u16) -> Result<f64, Error> {
    let page = get(port, "/metrics")?;
    let of = |line: &str| {
        let (labels, value) = line.strip_prefix("lictor_probes_total{")?.rsplit_once('}')?;
        if labels.contains("status=\"passing\"") { value.trim().parse::<f64>().ok() } else { None }
    };
    Ok(page.lines().filter_map(of).sum())
}

/// How many requests an nginx of ours has answered, this one among them.
pub(super) fn answered(port: u16) -> Result<f64, Error> {
    let page = get(port, "/nginx-status")?;
    // The third line: accepted, handled, requests.
    let numbers = page.lines().nth(2).unwrap_or_default().split_whitespace().nth(2);
    let read = numbers.and_then(|number| number.parse::<f64>().ok());
    read.ok_or(Error::Answer { of: "nginx", what: page })
}

/// The smallest bound of a histogram below which a share of all observations between two
/// readings of the page lies.
pub(super) fn quantile(before: &str, after: &str, name: &str, share: f64) -> f64 {
    let read = |page: &str| -> Vec<(f64, f64)> {
        let bucket = format!("{name}_bucket{{");
        let of = |line: &str| {
            let (labels, count) = line.strip_prefix(&bucket)?.rsplit_once('}')?;
            let bound = labels.split("le=\"").nth(1)?.split('"').next()?;
            let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().ok()? };
            Some((bound, count.trim().parse().ok()?))
        };
        page.lines().filter_map(of).collect()
    };
    let (old, new) = (read(before), read(after));
    let grown: Vec<(f64, f64)> = new
        .iter()
        .map(|(bound, count)| {
            let was = old.iter().find(|(known, _)| known == bound).map_or(0.0, |(_, count)| *count);
            (*bound, count - was)
        })
        .collect();
    let total = grown.iter().map(|(_, count)| *count).fold(0.0, f64::max);
    grown.iter().find(|(_, count)| *count >= total * share).map_or(f64::NAN, |(bound, _)| *bound)
}

/// Lets the measured thing run.
pub(super) fn rest(seconds: u64) {
    thread::sleep(Duration::from_secs(seconds));
}
