//! One journalctl: started with little around it, read with limits, ended with all it started.

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::time::timeout;

use crate::journal::{Decoder, Record};
use crate::watch::fault::Plain;
use crate::watch::look::cut;

/// Read at once: as much as a pipe holds.
const PIECE: usize = 64 * 1024;

/// Of what it says of itself, bytes that are kept.
const SAID: usize = 4 * 1024;

/// Of that, bytes that are shown.
const SHOWN: usize = 300;

/// Between the end of its output and its own.
const ENDS: Duration = Duration::from_secs(2);

/// A running journalctl. Dropped, it is killed with all it started.
#[derive(Debug)]
pub(super) struct Journalctl {
    name: String,
    child: Child,
    stdout: ChildStdout,
    stderr: Option<ChildStderr>,
    said: Vec<u8>,
    piece: Vec<u8>,
}

impl Journalctl {
    pub(super) fn start(
        command: &[String],
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Result<Self, String> {
        let name = command.first().cloned().unwrap_or_default();
        let mut builder = std::process::Command::new(&name);
        builder.args(command.get(1..).unwrap_or_default()).args(arguments).env_clear();
        for variable in ["PATH", "HOME"] {
            if let Some(value) = std::env::var_os(variable) {
                builder.env(variable, value);
            }
        }
        // What it says is read by us.
        builder.env("LC_ALL", "C.UTF-8").env("SYSTEMD_COLORS", "0");
        builder.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let failed = |error: &io::Error| format!("cannot start `{name}`: {}", Plain(error));
        let mut builder = Command::from(builder);
        let mut child = builder.kill_on_drop(true).spawn().map_err(|error| failed(&error))?;
        let stderr = child.stderr.take();
        let stdout = child.stdout.take().ok_or_else(|| failed(&io::Error::other("no output")))?;
        Ok(Self { name, child, stdout, stderr, said: Vec::new(), piece: vec![0; PIECE] })
    }

    /// The next piece of its output; empty at the end. May be given up at any time.
    pub(super) async fn read(&mut self) -> Result<&[u8], String> {
        let Self { name, stdout, stderr, said, piece, .. } = self;
        let mut aside = [0; 1_024];
        let count = loop {
            tokio::select! {
                biased;
                // First, so that what it has to say of its permissions is known with its first record.
                count = hear(stderr.as_mut(), &mut aside), if stderr.is_some() => match count {
                    Ok(0) | Err(_) => *stderr = None,
                    Ok(count) => {
                        let room = SAID.saturating_sub(said.len()).min(count);
                        said.extend_from_slice(aside.get(..room).unwrap_or_default());
                    }
                },
                count = stdout.read(piece) => break count,
            }
        };
        let count = count.map_err(|error| format!("cannot read from `{name}`: {}", Plain(&error)))?;
        Ok(piece.get(..count).unwrap_or_default())
    }

    /// Waits for its end, which its output has come to, and says how it was: `Err` with the reason when
    /// it was not a good one.
    pub(super) async fn ended(mut self) -> Result<(), String> {
        let mut rest = [0; SAID];
        if let Some(Ok(count)) = match self.stderr.as_mut() {
            Some(stderr) => timeout(ENDS, stderr.read(&mut rest)).await.ok(),
            None => None,
        } {
            self.said.extend_from_slice(rest.get(..count).unwrap_or_default());
        }
        let said = self.said();
        let status = timeout(ENDS, self.child.wait()).await;
        let Ok(Ok(status)) = status else { return Err(format!("`{}` closed its output", self.name)) };
        if status.success() {
            return Ok(());
        }
        let said = if said.is_empty() { String::new() } else { format!(": {said}") };
        Err(format!("`{}` ended with {status}{said}", self.name))
    }

    /// What it says of itself, as one line.
    pub(super) fn said(&self) -> String {
        let text = String::from_utf8_lossy(&self.said);
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let printable: String =
            lines.join(" ").chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        cut(&printable, SHOWN).to_owned()
    }
}

impl Drop for Journalctl {
    fn drop(&mut self) {
        // Not waited for yet, so the number is still its own.
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // No such group any more is what we want.
            kill_process_group(pid, Signal::KILL).ok();
        }
    }
}

async fn hear(stderr: Option<&mut ChildStderr>, aside: &mut [u8]) -> io::Result<usize> {
    match stderr {
        Some(stderr) => stderr.read(aside).await,
        None => std::future::pending().await,
    }
}

/// The first record that journalctl gives, and what it says of itself; it is ended then.
pub(super) async fn first(
    command: &[String],
    arguments: Vec<String>,
    limit: Duration,
) -> Result<(Option<Record>, String), String> {
    let asked = async {
        let mut running = Journalctl::start(command, arguments)?;
        let (mut decoder, mut found) = (Decoder::new(), None);
        loop {
            let piece = running.read().await?;
            if piece.is_empty() {
                let said = running.said();
                return running.ended().await.map(|()| (None, said));
            }
            let each = &mut |record: &Record| {
                if found.is_none() {
                    found = Some(record.clone());
                }
            };
            decoder.read(piece, each).map_err(|garbage| garbage.to_string())?;
            if let Some(record) = found {
                return Ok((Some(record), running.said()));
            }
        }
    };
    let late = || {
        format!(
            "`{}` gave no answer within {}",
            command.first().map_or("", String::as_str),
            lictor_core::Span(limit)
        )
    };
    timeout(limit, asked).await.unwrap_or_else(|_late| Err(late()))
}
