//! Programs of this machine that do the harness's work on networks and disks.

use std::io;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

/// Where they are: the search path of whoever starts a run may lack the directories for root.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// How long one may take. Making a file system takes longest.
const LIMIT: Duration = Duration::from_secs(60);

/// Why a program of this machine did not do what was wanted of it.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// It cannot be started.
    #[error("cannot run `{what}`: {source} ({})", package(what))]
    Start {
        /// The program and what it was given.
        what: String,
        /// Why.
        source: io::Error,
    },
    /// It did not end in time, and was ended.
    #[error("`{what}` took longer than {LIMIT:?}")]
    Slow {
        /// The program and what it was given.
        what: String,
    },
    /// It failed.
    #[error("`{what}` failed: {said}")]
    Failed {
        /// The program and what it was given.
        what: String,
        /// What it wrote to its standard error.
        said: String,
    },
}

/// Runs a program with this input, and gives what it wrote.
///
/// # Errors
/// If it cannot be run, takes too long, or fails.
pub(super) async fn run(program: &str, args: &[&str], input: &str) -> Result<String, ToolError> {
    let what = || [&[program], args].concat().join(" ");
    let output = match timeout(LIMIT, output(program, args, input)).await {
        Ok(output) => output.map_err(|source| ToolError::Start { what: what(), source })?,
        Err(_) => return Err(ToolError::Slow { what: what() }),
    };
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let mut said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
    if said.is_empty() {
        said = output.status.to_string();
    }
    Err(ToolError::Failed { what: what(), said })
}

async fn output(program: &str, args: &[&str], input: &str) -> io::Result<Output> {
    let mut command = Command::new(program);
    command.args(args).env_clear().env("PATH", PATH).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not read its input says by its status whether that matters.
        match stdin.write_all(input.as_bytes()).await {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    child.wait_with_output().await
}

/// What to install for a program that is missing.
fn package(what: &str) -> &'static str {
    match what.split(' ').next() {
        Some("ip" | "tc") => "it is part of iproute2",
        Some("perl") => "it is part of perl",
        Some("mkfs.ext4") => "it is part of e2fsprogs",
        _ => "it is part of util-linux",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_program_says_is_given_back() {
        assert_eq!(run("cat", &[], "hello").await.unwrap(), "hello");
    }

    #[tokio::test]
    async fn a_program_that_fails_is_named_with_its_words() {
        let error = run("sh", &["-c", "echo no >&2; exit 3"], "").await.unwrap_err();
        assert_eq!(error.to_string(), "`sh -c echo no >&2; exit 3` failed: no");
    }

    #[tokio::test]
    async fn one_that_is_missing_is_named() {
        let error = run("no-such-program", &[], "").await.unwrap_err().to_string();
        assert!(error.starts_with("cannot run `no-such-program`: No such file"), "{error}");
    }
}
