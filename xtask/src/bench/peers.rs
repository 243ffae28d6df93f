//! One round over all peers, some of which accept and never answer, beside a shell that asks them with
//! curl one after the other, as sentinèlla's watcher does; and how long a dead peer goes unnoticed.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::measure::RUNS;
use super::{Bed, Better, Row, bed};
use crate::error::Error;

const AGAIN: &str = "cargo xtask bench peers";

/// Peers of each comparison. One in [`HANGS`] of them never answers.
const SIZES: [u16; 3] = [20, 200, 1_000];

/// One peer in so many hangs.
const HANGS: u16 = 20;

/// Rounds of ours of which each comparison is made.
const ROUNDS: usize = 15;

/// Time limit of a look, for both: short, so that the shell comes to its end.
const LIMIT: Duration = Duration::from_millis(500);

/// Time from one round of ours to the next.
const EVERY: Duration = Duration::from_secs(1);

/// Peers that die over and over while detection is measured.
const MORTAL: u8 = 40;

/// Deaths of each of them in one measurement.
const DEATHS: usize = 3;

/// How long whatever is waited for may take.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn run(bed: &Bed<'_>) -> Result<Vec<Row>, Error> {
    let program = bed::program(bed.workspace)?;
    let mut rows = Vec::new();
    for size in SIZES {
        rows.extend(rounds(bed, &program, size)?);
    }
    rows.extend(deaths(bed, &program)?);
    Ok(rows)
}

/// What one way to ask all peers costs.
#[derive(Default)]
struct Figures {
    wall: Vec<f64>,
    cpu: Vec<f64>,
    memory: Vec<f64>,
}

fn rounds(bed: &Bed<'_>, program: &Path, size: u16) -> Result<Vec<Row>, Error> {
    let dir = bed::fresh(bed.workspace, "peers")?;
    let crowd = Crowd::start()?;
    let (ours, peer) = (ours(program, &dir, &crowd, size)?, shell(&dir, &crowd, size)?);
    let row = |what: &str, ours, peer, unit| -> Result<Row, Error> {
        let name = format!("one round over {size} peers, 5 % hang: {what}");
        Ok(Row::new(&name, bed::sample(ours, unit)?, bed::sample(peer, unit)?, Better::Less, AGAIN))
    };
    Ok(vec![
        row("wall time", ours.wall, peer.wall, "s")?,
        row("CPU", ours.cpu, peer.cpu, "ms")?,
        row("memory", ours.memory, peer.memory, "MB")?,
    ])
}

/// The rounds of an agent, timed by the peers: from the first that is asked to the last that is let go.
fn ours(program: &Path, dir: &Path, crowd: &Crowd, size: u16) -> Result<Figures, Error> {
    let peers: Vec<String> = crowd.peers(size).map(|peer| format!("\"{peer}\"")).collect();
    let agent = bed::agent(program, dir, bed::free_port()?, &block(&peers))?;
    // The first rounds open files, and record what they see first.
    for _ in 0..3 {
        crowd.round(size)?;
    }
    let before = agent.cpu_ms();
    let mut figures = Figures::default();
    for _ in 0..ROUNDS {
        figures.wall.push(crowd.round(size)?);
    }
    // In ticks of 10 ms: over all of the rounds.
    figures.cpu = vec![(agent.cpu_ms() - before) / ROUNDS as f64; RUNS];
    figures.memory = vec![agent.memory_mb(); RUNS];
    Ok(figures)
}

/// A shell that asks each peer with curl, one after the other.
fn shell(dir: &Path, crowd: &Crowd, size: u16) -> Result<Figures, Error> {
    let limit = LIMIT.as_secs_f64();
    let peers: Vec<String> = crowd.peers(size).map(|peer| peer.to_string()).collect();
    let text = format!(
        "for peer in {}; do\n  curl -s -o {}/answer --max-time {limit} -w '%{{http_code}}\\n' \"http://$peer/status\"\ndone\ntimes\n",
        peers.join(" "),
        dir.display()
    );
    let script = dir.join("round.sh");
    std::fs::write(&script, text).map_err(Error::file("write", &script))?;
    let mut figures = Figures::default();
    for _ in 0..RUNS {
        let mut command = Command::new("sh");
        command.arg(&script).stdin(Stdio::null()).stdout(Stdio::piped());
        let start = |source| Error::Start { command: "sh".into(), source };
        let begun = Instant::now();
        let mut child = command.spawn().map_err(start)?;
        let mut memory: f64 = 0.0;
        while child.try_wait().map_err(start)?.is_none() {
            memory = memory.max(bed::memory_mb(child.id()));
            thread::sleep(Duration::from_millis(20));
        }
        figures.wall.push(begun.elapsed().as_secs_f64());
        let output = child.wait_with_output().map_err(start)?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let answered = said.lines().filter(|line| *line == "200").count();
        if answered != usize::from(size - size / HANGS) {
            return Err(Error::Answer { of: "the shell", what: said });
        }
        figures.cpu.push(times(&said));
        figures.memory.push(memory);
        // Those that hang are let go of.
        crowd.round(size)?;
    }
    Ok(figures)
}

/// What `times` of a shell printed, all of it, milliseconds: `0m0.01s` four times.
fn times(said: &str) -> f64 {
    let one = |word: &str| {
        let (minutes, seconds) = word.strip_suffix('s')?.split_once('m')?;
        Some(minutes.parse::<f64>().ok()? * 60.0 + seconds.parse::<f64>().ok()?)
    };
    said.split_whitespace().filter_map(one).sum::<f64>() * 1_000.0
}

fn block(peers: &[String]) -> String {
    format!(
        "peers {{\n  static = [{}]\n  every = \"{}ms\"\n  timeout = \"{}ms\"\n  fail_after = 1\n  \
         # Addresses of loopback would be taken for our own.\n  own = [\"192.0.2.1\"]\n}}\n",
        peers.join(", "),
        EVERY.as_millis(),
        LIMIT.as_millis()
    )
}

/// The answer of every peer that is well.
const WELL: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 42\r\nConnection: close\r\n\r\n\
                      {\"checks\":[],\"summary\":{\"total\":0,\"ok\":0}}";

/// Peers on one port, each at an address of its own.
struct Crowd {
    port: u16,
    /// When each look began and ended.
    looks: Receiver<(Instant, Instant)>,
}

impl Crowd {
    fn start() -> Result<Self, Error> {
        let io = |source| Error::Start { command: "the listener of the peers".into(), source };
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).map_err(io)?;
        let port = listener.local_addr().map_err(io)?.port();
        let (note, looks) = channel();
        // As many as keep the queue of the kernel short.
        for _ in 0..4 {
            let (listener, note) = (listener.try_clone().map_err(io)?, note.clone());
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    looked_at(stream, &note);
                }
            });
        }
        Ok(Self { port, looks })
    }

    fn peers(&self, count: u16) -> impl Iterator<Item = SocketAddrV4> {
        let port = self.port;
        (0..count).map(move |number| {
            let [high, low] = number.to_be_bytes();
            SocketAddrV4::new(Ipv4Addr::new(127, 1, high, low), port)
        })
    }

    /// Waits until each of so many was looked at once, and gives the seconds from the first to the last.
    fn round(&self, count: u16) -> Result<f64, Error> {
        let mut looks = Vec::new();
        for _ in 0..count {
            let look = self.looks.recv_timeout(PATIENCE);
            looks.push(look.map_err(|_late| Error::Answer {
                of: "a round",
                what: format!("{} of {count} looks", looks.len()),
            })?);
        }
        let first = looks.iter().map(|(begun, _)| *begun).min();
        let last = looks.iter().map(|(_, ended)| *ended).max();
        Ok(first.zip(last).map_or(f64::NAN, |(first, last)| (last - first).as_secs_f64()))
    }
}

/// Answers a look, or leaves it without an answer until who looks has given up.
fn looked_at(mut stream: TcpStream, note: &Sender<(Instant, Instant)>) {
    let begun = Instant::now();
    let number = match stream.local_addr() {
        Ok(std::net::SocketAddr::V4(own)) => {
            let [.., high, low] = own.ip().octets();
            u16::from_be_bytes([high, low])
        }
        Ok(_) | Err(_) => return,
    };
    let mut part = [0; 4_096];
    if number.is_multiple_of(HANGS) {
        let note = note.clone();
        thread::spawn(move || {
            while stream.read(&mut part).is_ok_and(|count| count > 0) {}
            // Nobody waits for it when the benchmark is over.
            note.send((begun, Instant::now())).ok();
        });
        return;
    }
    if stream.read(&mut part).is_ok_and(|count| count > 0) && stream.write_all(WELL).is_ok() {
        note.send((begun, Instant::now())).ok();
    }
}

/// Peers die at every moment of the time between two rounds: every second one is refused from then on, every other
/// one hangs. How long until a notifier's address has the message of it.
fn deaths(bed: &Bed<'_>, program: &Path) -> Result<Vec<Row>, Error> {
    let dir = bed::fresh(bed.workspace, "peers-dead")?;
    let io = |source| Error::Start { command: "a stand-in of the peers".into(), source };
    let told = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(io)?;
    let hook = told.local_addr().map_err(io)?.port();
    let port = bed::free_port()?;
    let peers: Vec<SocketAddrV4> =
        (1..=MORTAL).map(|number| SocketAddrV4::new(Ipv4Addr::new(127, 2, 0, number), port)).collect();
    let listeners: Result<Vec<_>, _> = peers.iter().map(TcpListener::bind).collect();
    let listeners = listeners.map_err(io)?;
    let quoted: Vec<String> = peers.iter().map(|peer| format!("\"{peer}\"")).collect();
    let (words, heard): (Vec<_>, Vec<_>) = peers.iter().map(|_| channel()).unzip();
    let named = quoted.clone();
    thread::spawn(move || {
        for stream in told.incoming().flatten() {
            let Ok(message) = message(stream) else { continue };
            let now = Instant::now();
            for (name, word) in named.iter().zip(&words) {
                if message.contains(name.as_str()) {
                    word.send(now).ok();
                }
            }
        }
    });
    let blocks = block(&quoted)
        + &format!(
            "notify \"http\" \"hook\" {{\n  url = \"http://127.0.0.1:{hook}/\"\n}}\n\
             route \"dead\" {{\n  source = \"peers\"\n  status = [\"critical\"]\n  resolved = false\n  to = [\"hook\"]\n  \
             group_by = [\"peer\"]\n  group_wait = \"0s\"\n  group_interval = \"0s\"\n}}\n"
        );
    let results = Arc::new(Mutex::new(vec![Vec::new(); RUNS]));
    let mortals = listeners.into_iter().zip(heard).zip(peers).enumerate();
    let mortals: Vec<_> = mortals
        .map(|(number, ((listener, heard), address))| {
            let results = Arc::clone(&results);
            thread::spawn(move || lives(number, address, listener, &heard, &results))
        })
        .collect();
    let _agent = bed::agent(program, &dir, bed::free_port()?, &blocks)?;
    for mortal in mortals {
        mortal.join().map_err(|_panic| Error::Verdict("a peer panicked".into()))?.map_err(io)?;
    }
    let results = std::mem::take(&mut *results.lock().unwrap_or_else(PoisonError::into_inner));
    let share = |share: usize| {
        let of = |mut times: Vec<Duration>| {
            times.sort_unstable();
            let at = times.get(times.len() * share / 100).copied();
            at.map_or(f64::NAN, |time| time.as_secs_f64() * 1_000.0)
        };
        bed::sample(results.iter().cloned().map(of).collect(), "ms")
    };
    let wanted = (EVERY + LIMIT).as_secs_f64() * 1_000.0;
    let row = |percentile, ours| -> Result<Row, Error> {
        let name = format!("peer dead to request of the notifier, every 1 s, limit 0.5 s, {percentile}");
        let wanted = bed::sample(vec![wanted; RUNS], "ms (wanted: one interval and one limit)")?;
        Ok(Row::new(&name, ours, wanted, Better::Less, AGAIN))
    };
    Ok(vec![row("p50", share(50)?)?, row("p99", share(99)?)?])
}

/// A peer that lives until it was looked at twice and a while more, dies, and lives again when that was told.
fn lives(
    number: usize,
    address: SocketAddrV4,
    listener: TcpListener,
    heard: &Receiver<Instant>,
    results: &Mutex<Vec<Vec<Duration>>>,
) -> std::io::Result<()> {
    let mut listener = Some(listener);
    for death in 0..RUNS * DEATHS {
        let open = match listener.take() {
            Some(open) => open,
            None => TcpListener::bind(address)?,
        };
        open.set_nonblocking(true)?;
        for _ in 0..2 {
            answer_one(&open, Instant::now() + PATIENCE)?;
        }
        // Evenly over the time between two rounds, and another moment for each peer and each death.
        let place = (number * RUNS * DEATHS + death) as f64 * 0.618_034;
        let end = Instant::now() + EVERY.mul_f64(place.fract());
        while Instant::now() < end {
            answer_one(&open, end).ok();
        }
        while heard.try_recv().is_ok() {}
        let died = Instant::now();
        if (number + death).is_multiple_of(2) {
            drop(open);
        } else {
            listener = Some(open);
        }
        let told = heard.recv_timeout(PATIENCE).map_err(std::io::Error::other)?;
        let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of) = results.get_mut(death / DEATHS) {
            of.push(told.saturating_duration_since(died));
        }
    }
    Ok(())
}

/// Answers whoever looks first, until `end`.
fn answer_one(listener: &TcpListener, end: Instant) -> std::io::Result<()> {
    loop {
        match listener.accept() {
            Ok((mut stream, _)) => {
                stream.set_nonblocking(false)?;
                stream.set_read_timeout(Some(LIMIT))?;
                let mut part = [0; 4_096];
                // One that gave up while this peer was dead sends nothing more.
                if stream.read(&mut part).is_ok_and(|count| count > 0) && stream.write_all(WELL).is_ok() {
                    return Ok(());
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock && Instant::now() < end => {
                thread::sleep(Duration::from_millis(2));
            }
            Err(error) => return Err(error),
        }
    }
}

/// Takes one message of the notifier and accepts it.
fn message(stream: TcpStream) -> std::io::Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().map_err(std::io::Error::other)?;
        }
        if line == "\r\n" || line.is_empty() {
            break;
        }
    }
    let mut body = String::new();
    reader.by_ref().take(length).read_to_string(&mut body)?;
    reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_of_a_shell_are_added_up() {
        assert_eq!(times("200\n0m0.010000s 0m0.020000s\n1m0.5s 0m0.000000s\n"), 60_530.0);
    }
}
