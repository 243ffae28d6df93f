//! The demonstration service: a web server of few lines that can be killed and started
//! again. It is a process of its own, so that breaking it is real.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use lictor_agent::Clock;

use crate::output::Terminal;

/// How long a start may take until the service answers.
const START: Duration = Duration::from_secs(5);

/// `demo-service (serve|start|stop) DIR PORT`.
pub(crate) fn main(args: &[OsString]) -> ExitCode {
    let words: Vec<_> = args.iter().filter_map(|arg| arg.to_str()).collect();
    let done = match words.as_slice() {
        ["serve", dir, port] => port.parse().map_or_else(|_odd| usage(), |port| serve(Path::new(dir), port)),
        ["start", dir, port] => port.parse().map_or_else(|_odd| usage(), |port| start(Path::new(dir), port)),
        ["stop", dir] => stop(Path::new(dir)),
        _ => usage(),
    };
    match done {
        Ok(said) => {
            // Nobody reads it: then nobody misses it.
            drop(Terminal::data(&said));
            ExitCode::SUCCESS
        }
        Err(error) => {
            Terminal::new(true).say(&format!("error: demonstration service: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn usage() -> io::Result<String> {
    Err(io::Error::other("usage: lictor demo-service (serve|start) DIR PORT, or stop DIR"))
}

/// Where it writes its process id.
pub(crate) fn pid_file(dir: &Path) -> PathBuf {
    dir.join("demo.pid")
}

/// The process id of the running service, if it runs.
pub(crate) fn running(dir: &Path) -> Option<u32> {
    let pid: u32 = fs::read_to_string(pid_file(dir)).ok()?.trim().parse().ok()?;
    // The number may by now be that of another program.
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words: Vec<_> = line.split(|byte| *byte == 0).collect();
    (words.contains(&b"demo-service".as_slice()) && words.contains(&b"serve".as_slice())).then_some(pid)
}

/// Starts the service in the background, in place of one that runs already.
pub(crate) fn start(dir: &Path, port: u16) -> io::Result<String> {
    stop(dir)?;
    let program = std::env::current_exe()?;
    let child = Command::new(program)
        .args(["demo-service", "serve"])
        .arg(dir)
        .arg(port.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()?;
    let clock = Clock::fresh();
    let begun = clock.boot();
    while clock.boot().since(begun) < START {
        if running(dir) == Some(child.id()) && TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(format!("started, process {}", child.id()));
        }
        pause();
    }
    Err(io::Error::other(format!("it does not answer on port {port} after {}s", START.as_secs())))
}

/// Ends the running service, if there is one.
pub(crate) fn stop(dir: &Path) -> io::Result<String> {
    let Some(pid) = running(dir) else { return Ok("it does not run".to_owned()) };
    let number = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    let Some(number) = number else { return Err(io::Error::other("its process id is no process id")) };
    rustix::process::kill_process(number, rustix::process::Signal::KILL)?;
    let clock = Clock::fresh();
    let begun = clock.boot();
    while running(dir) == Some(pid) {
        if clock.boot().since(begun) > START {
            return Err(io::Error::other(format!("process {pid} does not end")));
        }
        pause();
    }
    Ok(format!("stopped, process {pid}"))
}

#[expect(clippy::disallowed_methods, reason = "a small synchronous program of its own")]
fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}

fn serve(dir: &Path, port: u16) -> io::Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    let pid = std::process::id();
    let fresh = dir.join("demo.pid.new");
    fs::write(&fresh, format!("{pid}\n"))?;
    fs::rename(&fresh, pid_file(dir))?;
    for connection in listener.incoming() {
        // A visitor that breaks off is no concern of the next one.
        drop(connection.and_then(|stream| answer(stream, pid)));
    }
    Ok(String::new())
}

fn answer(mut stream: TcpStream, pid: u32) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.set_write_timeout(Some(Duration::from_secs(1)))?;
    let mut request: Vec<u8> = Vec::new();
    let mut part = [0_u8; 1_024];
    while request.len() < 16_384 && !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let count = stream.read(&mut part)?;
        if count == 0 {
            return Ok(());
        }
        request.extend(part.iter().take(count));
    }
    let body = format!("The demonstration service is well. To break it: kill {pid}\n");
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}
