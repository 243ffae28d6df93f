//! Programs that are run, with a time limit.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;
use tokio::time::timeout;

/// Most bytes of an output that are kept: enough for the list of all processes of a large machine.
const KEPT: usize = 16 << 20;

/// How long output is still read when the program has ended: what it started may hold it open for ever.
const AFTER: Duration = Duration::from_millis(300);

/// How a program ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// Its status; `None` if a signal or the time limit ended it.
    pub(super) code: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
    /// Whether the time limit ended it.
    pub(super) late: bool,
}

/// A program and what it started: killed when nobody waits for it any more.
struct Group(Option<Pid>);

impl Group {
    /// It has ended, and what it left behind goes on.
    fn outlive(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // That there is no such group any more is what is wanted.
            kill_process_group(group, Signal::KILL).ok();
        }
    }
}

/// Runs a program and waits for it. When it takes longer than `limit`, or is no longer waited for, it is killed with all
/// that it started.
///
/// # Errors
/// In words, if it cannot be started.
pub(super) async fn run(argv: &[String], limit: Duration) -> Result<Ended, String> {
    let Some((program, arguments)) = argv.split_first() else { return Err("no program is named".to_owned()) };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let started = command.process_group(0).kill_on_drop(true).spawn();
    let mut child = started.map_err(|why| format!("cannot start `{program}`: {why}"))?;
    let group = Group(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw));
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let status = {
        let reading = futures::future::join(drain(out, &mut stdout), drain(err, &mut stderr));
        let waiting = timeout(limit, child.wait());
        tokio::pin!(reading, waiting);
        let mut read = false;
        let status = loop {
            tokio::select! {
                status = &mut waiting => break status,
                _ = &mut reading, if !read => read = true,
            }
        };
        if !read {
            timeout(AFTER, reading).await.ok();
        }
        status
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&stdout), text(&stderr));
    match status {
        Ok(Ok(status)) => {
            group.outlive();
            Ok(Ended { code: status.code(), stdout, stderr, late: false })
        }
        Ok(Err(why)) => Err(format!("cannot tell how `{program}` ended: {why}")),
        Err(_late) => {
            drop(group);
            timeout(AFTER, child.wait()).await.ok();
            Ok(Ended { code: None, stdout, stderr, late: true })
        }
    }
}

async fn drain(pipe: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut pipe) = pipe else { return };
    let mut piece = [0; 4_096];
    while let Ok(count @ 1..) = pipe.read(&mut piece).await {
        let room = KEPT.saturating_sub(kept.len()).min(count);
        kept.extend_from_slice(piece.get(..room).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Vec<String> {
        ["/bin/sh", "-c", script].map(str::to_owned).to_vec()
    }

    #[tokio::test]
    async fn a_program_is_waited_for_and_not_what_it_left_behind() {
        let ended = run(&shell("echo out; echo err >&2; exit 3"), Duration::from_secs(20)).await.unwrap();
        assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (Some(3), "out\n", "err\n"));
        let ended = run(&shell("sleep 2 & echo out"), Duration::from_secs(20)).await.unwrap();
        assert_eq!((ended.code, ended.stdout.as_str(), ended.late), (Some(0), "out\n", false));
        let error = run(&["/no/such".to_owned()], Duration::from_secs(1)).await.unwrap_err();
        assert!(error.starts_with("cannot start `/no/such`: "), "{error}");
    }

    #[tokio::test]
    async fn what_is_no_longer_waited_for_is_ended_with_all_that_it_started() {
        let dir = tempfile::tempdir().unwrap();
        let (started, left) = (dir.path().join("started"), dir.path().join("left"));
        let script = format!("(sleep 4; touch {}) & touch {}; wait", left.display(), started.display());
        let script = shell(&script);
        let mut running = Box::pin(run(&script, Duration::from_secs(60)));
        while !started.exists() {
            assert!(timeout(Duration::from_millis(10), &mut running).await.is_err());
        }
        drop(running);
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(!left.exists(), "what it started goes on");
    }

    #[tokio::test]
    async fn bug_14_an_action_that_hangs_is_ended() {
        let ended = run(&shell("echo out; sleep 60 & wait"), Duration::from_secs(2)).await.unwrap();
        assert!(ended.late && ended.code.is_none() && ended.stdout == "out\n", "{ended:?}");
    }
}
