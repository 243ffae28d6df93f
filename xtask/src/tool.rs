//! Running other programs: no standard input, a deadline, and an error that names the command.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::process;

/// How long a command may take unless it says otherwise.
const DEADLINE: Duration = Duration::from_secs(120);

/// How long a pipe may stay open after the command itself has ended: a
/// grandchild that kept it must not hold us up.
const LINGER: Duration = Duration::from_secs(2);

/// How many bytes of a quiet command's output are kept for its error.
const KEPT: usize = 8 * 1024;

/// One program with its arguments, to be run once.
#[derive(Debug)]
pub(crate) struct Tool {
    command: Command,
    deadline: Duration,
}

impl Tool {
    /// Names the program; it is looked up in PATH.
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        command.stdin(Stdio::null());
        Self { command, deadline: DEADLINE }
    }

    /// The cargo that runs us, or the one in PATH.
    pub(crate) fn cargo() -> Self {
        Self::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")))
    }

    /// Adds one argument.
    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Adds several arguments.
    pub(crate) fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(mut self, args: I) -> Self {
        self.command.args(args);
        self
    }

    /// Sets a variable of the program's environment.
    pub(crate) fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Takes a variable out of the program's environment.
    pub(crate) fn without_env(mut self, name: impl AsRef<OsStr>) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Runs the program in this directory.
    pub(crate) fn dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Ends the program, and all it started, after this long.
    pub(crate) fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The command as one would type it, without its environment.
    pub(crate) fn line(&self) -> String {
        let program = Path::new(self.command.get_program());
        let mut line = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
        for arg in self.command.get_args() {
            line.push(' ');
            line.push_str(&arg.to_string_lossy());
        }
        line
    }

    /// Runs it with our own standard output and error.
    pub(crate) fn run(mut self) -> Result<(), Error> {
        let child = self.spawn()?;
        let status = self.wait(child)?;
        self.check(status, "")
    }

    /// Runs it quietly; its output is shown only in the error.
    pub(crate) fn quiet(self) -> Result<(), Error> {
        self.output().map(drop)
    }

    /// Runs it and returns its standard output; standard error is shown only in the error.
    pub(crate) fn output(mut self) -> Result<String, Error> {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.spawn()?;
        let stdout = read_to_end(child.stdout.take());
        let stderr = read_to_end(child.stderr.take());
        let status = self.wait(child)?;
        let stdout = stdout.recv_timeout(LINGER).unwrap_or_default();
        let stderr = stderr.recv_timeout(LINGER).unwrap_or_default();
        let said = if stderr.is_empty() { &stdout } else { &stderr };
        self.check(status, said)?;
        Ok(stdout)
    }

    /// Runs it, passing its output on line by line, and returns the lines that `keep` chooses.
    ///
    /// The lines come back in both cases: a failed test run has a closing line too.
    pub(crate) fn forward(mut self, keep: fn(&str) -> bool) -> (Vec<String>, Result<(), Error>) {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = match self.spawn() {
            Ok(child) => child,
            Err(error) => return (Vec::new(), Err(error)),
        };
        let stdout = pass_on(child.stdout.take(), std::io::stdout(), keep);
        let stderr = pass_on(child.stderr.take(), std::io::stderr(), keep);
        let result = self.wait(child).and_then(|status| self.check(status, ""));
        let mut kept = stdout.recv_timeout(LINGER).unwrap_or_default();
        kept.extend(stderr.recv_timeout(LINGER).unwrap_or_default());
        (kept, result)
    }

    fn spawn(&mut self) -> Result<Child, Error> {
        self.command.spawn().map_err(|source| Error::Start { command: self.line(), source })
    }

    fn wait(&self, mut child: Child) -> Result<ExitStatus, Error> {
        let started = Instant::now();
        let mut pause = Duration::from_millis(1);
        loop {
            if let Some(status) =
                child.try_wait().map_err(|source| Error::Start { command: self.line(), source })?
            {
                return Ok(status);
            }
            if started.elapsed() >= self.deadline {
                process::end_tree(&mut child);
                return Err(Error::Late { command: self.line(), seconds: self.deadline.as_secs() });
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }

    fn check(&self, status: ExitStatus, said: &str) -> Result<(), Error> {
        if status.success() {
            return Ok(());
        }
        Err(Error::Failed { command: self.line(), status: status.to_string(), said: tail(said) })
    }
}

/// Reads a pipe to its end on a thread, so that neither pipe fills up unread.
fn read_to_end(pipe: Option<impl Read + Send + 'static>) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe
            && pipe.read_to_end(&mut bytes).is_err()
        {
            bytes.extend_from_slice(b" (the pipe broke here)");
        }
        // Nobody listens any more once the deadline has passed.
        drop(sender.send(String::from_utf8_lossy(&bytes).into_owned()));
    });
    receiver
}

/// Copies a pipe to one of our own outputs, line by line, until it ends.
fn pass_on(
    pipe: Option<impl Read + Send + 'static>,
    mut to: impl Write + Send + 'static,
    keep: fn(&str) -> bool,
) -> mpsc::Receiver<Vec<String>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        let mut line = Vec::new();
        let mut pipe = pipe.map(BufReader::new);
        while let Some(pipe) = &mut pipe
            && pipe.read_until(b'\n', &mut line).is_ok_and(|read| read > 0)
        {
            // Whoever reads us may have gone; the program still runs to its end.
            drop(to.write_all(&line).and_then(|()| to.flush()));
            let plain = without_colour(&String::from_utf8_lossy(&line));
            if keep(&plain) {
                kept.push(plain.trim().to_owned());
            }
            line.clear();
        }
        drop(sender.send(kept));
    });
    receiver
}

/// A line without the escape sequences that colour it (`ESC [ … m`).
fn without_colour(line: &str) -> String {
    let mut parts = line.split('\u{1b}');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str(part.split_once('m').map_or(part, |(_, rest)| rest));
    }
    plain
}

/// The end of an output, set apart from the sentence before it.
fn tail(said: &str) -> String {
    let said = said.trim();
    if said.is_empty() {
        return String::new();
    }
    let from = said.len().saturating_sub(KEPT);
    let from = (from..said.len()).find(|&at| said.is_char_boundary(at)).unwrap_or(0);
    format!(":\n{}", said.get(from..).unwrap_or(said))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_command_is_named_with_its_status_and_what_it_said() {
        let error = Tool::new("sh").args(["-c", "echo no such thing >&2; exit 3"]).output().unwrap_err();
        assert_eq!(
            error.to_string(),
            "`sh -c echo no such thing >&2; exit 3`: exit status: 3:\nno such thing"
        );
    }

    #[test]
    fn a_command_that_is_not_there_is_named() {
        let error = Tool::new("no-such-program-here").quiet().unwrap_err();
        assert!(error.to_string().starts_with("cannot run `no-such-program-here`"), "{error}");
    }

    #[test]
    fn a_command_past_its_deadline_is_ended_with_all_it_started() {
        let dir = tempfile::tempdir().unwrap();
        let pid_file = dir.path().join("pid");
        let script = format!("sleep 600 & echo $! > {}; wait", pid_file.display());
        let started = Instant::now();
        let error = Tool::new("sh").args(["-c", &script]).deadline(Duration::from_secs(2)).run().unwrap_err();
        assert!(matches!(error, Error::Late { .. }), "{error}");
        assert!(started.elapsed() < Duration::from_secs(30));
        let grandchild: u32 = std::fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
        let gone = (0..500).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            !process::is_running(grandchild)
        });
        assert!(gone, "the grandchild outlived the deadline");
    }

    #[test]
    fn output_larger_than_a_pipe_is_read_whole() {
        let text = Tool::new("sh")
            .args(["-c", "head -c 300000 /dev/zero | tr '\\0' x; echo e >&2"])
            .output()
            .unwrap();
        assert_eq!(text.len(), 300_000);
    }

    #[test]
    fn chosen_lines_come_back_without_their_colour_even_from_a_failed_command() {
        let script = "printf 'one\\n\\033[32;1m  Summary\\033[0m 3 passed\\n' >&2; exit 4";
        let (kept, result) = Tool::new("sh").args(["-c", script]).forward(|line| line.contains("Summary"));
        assert_eq!(kept, ["Summary 3 passed"]);
        assert!(result.unwrap_err().to_string().contains("exit status: 4"));
    }
}
