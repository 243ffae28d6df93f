//! `act "exec"`: a program under a shim, and what became of it.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use lictor_config::Command;
use lictor_core::{Order, Outcome};
use rustix::process::Signal;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Child;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::claim::{Claim, End, Holder, Status, Stop};
use super::identity::Namer;
use super::job::{self, Job};
use super::process::{ProcessId, orphans};
use super::shim::{self, REAP};
use super::text::{end_of, printable};
use super::{CALLED_OFF, failed, unknown};
use crate::clock::boot_id;

/// What is said of an attempt at most, bytes: outcomes are stored and mirrored.
const DETAIL: usize = 4 * 1024;

/// Besides its time limit, the time from TERM to KILL and what the kernel needs for the
/// latter, a shim gets so long to start and to write.
const SLACK: Duration = Duration::from_secs(15);

/// A pipe to a shim that does not read is given up after this.
const HAND_OVER: Duration = Duration::from_secs(10);

/// How programs are run.
#[derive(Debug)]
pub(super) struct Launcher {
    /// Program and arguments of the shim; the directory of the attempt is added.
    pub shim: Vec<OsString>,
    /// Where the directories of attempts lie.
    pub root: PathBuf,
    /// From TERM to KILL.
    pub grace: Duration,
    /// What orders are called in front of others.
    pub namer: Namer,
}

/// One attempt at running a program.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    launcher: Arc<Launcher>,
    order: Order,
    claim: Claim,
    limit: Duration,
    abort: CancellationToken,
}

/// What is seen of an attempt.
enum Seen {
    /// Nobody ever claimed it.
    Nothing,
    /// It is certain that it was not started, and why.
    Never(String),
    /// It has ended.
    Ended(Status, Vec<u8>),
    /// Its shim lives.
    Running(ProcessId),
    /// Its shim has ended without a word.
    Lost(ProcessId, Vec<u8>),
    /// The machine was started anew since.
    OtherBoot(Vec<u8>),
}

impl Attempt {
    pub(super) fn new(
        launcher: Arc<Launcher>,
        order: Order,
        limit: Duration,
        abort: CancellationToken,
    ) -> Self {
        let claim = Claim::of(&launcher.root, &order);
        Self { launcher, order, claim, limit, abort }
    }

    /// Whether there is a trace of it.
    pub(super) async fn exists(&self) -> bool {
        let claim = self.claim.clone();
        blocking(move || Ok(claim.dir().exists())).await.unwrap_or(true)
    }

    /// Runs the program and waits for its end. One that was started before is not started
    /// again: then this is [`Self::inspect`].
    pub(super) async fn run(&self, command: &Command) -> Outcome {
        let claim = self.claim.clone();
        match blocking(move || claim.take()).await {
            Ok(true) => {}
            Ok(false) => return self.inspect().await,
            Err(error) => {
                let dir = self.claim.dir().display();
                return never(format!("cannot make `{dir}`: {error}"));
            }
        }
        match self.start(command).await {
            Ok(shim) => self.watch(shim).await,
            Err(reason) => self.never(reason).await,
        }
    }

    /// Has it known to the next agent that the attempt, of whatever kind, was never begun.
    pub(super) async fn refuse(&self, reason: &'static str) {
        let claim = self.claim.clone();
        let refused = blocking(move || {
            if claim.take()? {
                claim.hold(Holder::Nobody { reason: reason.to_owned() })?;
            }
            Ok(())
        });
        if let Err(error) = refused.await {
            warn!(order = %self.order, %error, "not recorded that an order was never begun");
        }
    }

    /// Finds out what became of the attempt; waits for its end if it is under way.
    pub(super) async fn inspect(&self) -> Outcome {
        match self.look().await {
            Ok(seen) => self.follow(seen).await,
            Err(error) => self.blind(&error),
        }
    }

    /// Asks the shim to stop the program; `false` when there is none.
    pub(super) async fn stop(&self) -> bool {
        match self.look().await {
            Ok(Seen::Running(shim)) => shim.signal(Signal::TERM).unwrap_or(false),
            Ok(_) | Err(_) => false,
        }
    }

    /// Starts the shim and hands it the job; an error means that the program was not
    /// started, or will not be once [`Self::never`] has been called.
    async fn start(&self, command: &Command) -> Result<Child, String> {
        let (order, command) = (self.order.clone(), command.clone());
        let (limit, grace) = (self.limit, self.launcher.grace);
        let identity = self.launcher.namer.name(&order);
        let job = blocking(move || {
            let job = Job::new(&order, identity, &command, limit, grace).map_err(io::Error::other)?;
            serde_json::to_vec(&job).map_err(io::Error::other)
        });
        let job = job.await.map_err(|error| error.to_string())?;
        if job.len() as u64 > job::LARGEST {
            return Err(format!("its arguments and environment have more than {} bytes", job::LARGEST));
        }
        let Some((program, args)) = self.launcher.shim.split_first() else {
            return Err("there is no shim".to_owned());
        };
        if self.abort.is_cancelled() {
            return Err(CALLED_OFF.to_owned());
        }
        let mut shim = tokio::process::Command::new(program);
        shim.args(args).arg(self.claim.dir()).env_clear().envs(job::kept());
        shim.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(false);
        let mut shim = shim.spawn().map_err(|error| format!("the shim cannot be started: {error}"))?;
        if let Some(mut pipe) = shim.stdin.take() {
            // What goes wrong here the shim sees as well, and ends; its end is waited for.
            timeout(HAND_OVER, pipe.write_all(&job)).await.ok();
        }
        Ok(shim)
    }

    /// Waits for a shim of our own to end and says what it left behind.
    async fn watch(&self, mut shim: Child) -> Outcome {
        let pid = shim.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
        let deadline = self.patience();
        let ended = async {
            tokio::select! {
                ended = shim.wait() => return ended,
                () = self.abort.cancelled() => {}
            }
            // Ours and not waited for: the number is still its own.
            if let Some(pid) = pid {
                rustix::process::kill_process(pid, Signal::TERM).ok();
            }
            shim.wait().await
        };
        let code = match timeout_at(deadline, ended).await {
            Ok(Ok(status)) => status.code(),
            Ok(Err(error)) => return unknown(format!("its shim cannot be waited for: {error}")),
            Err(_late) => return self.late(),
        };
        let not_started = code == Some(i32::from(shim::NOT_STARTED));
        match self.look().await {
            Ok(Seen::Ended(status, output)) => judge(&status, &output),
            Ok(Seen::Lost(..)) if not_started => never("its shim could not record anything".to_owned()),
            Ok(Seen::Lost(_, output)) if code == Some(i32::from(shim::LOST)) => {
                unknown(detail("its end could not be recorded; is the disk full?", &output))
            }
            Ok(Seen::Nothing) => unknown("the directory of the attempt has vanished".to_owned()),
            Ok(seen) => self.follow(seen).await,
            Err(error) if not_started => never(error.to_string()),
            Err(error) => self.blind(&error),
        }
    }

    /// Follows an attempt from what is seen of it to its outcome.
    async fn follow(&self, seen: Seen) -> Outcome {
        match seen {
            Seen::Nothing => never("there is no trace of it".to_owned()),
            Seen::Never(reason) => never(reason),
            Seen::Ended(status, output) => judge(&status, &output),
            Seen::OtherBoot(output) => unknown(detail("the machine went down while it ran", &output)),
            Seen::Lost(shim, output) => self.lost(shim, &output).await,
            Seen::Running(shim) => {
                let ended = async {
                    tokio::select! {
                        () = shim.ended() => return,
                        () = self.abort.cancelled() => {}
                    }
                    shim.signal(Signal::TERM).ok();
                    shim.ended().await;
                };
                if timeout_at(self.patience(), ended).await.is_err() {
                    return self.late();
                }
                match self.look().await {
                    Ok(Seen::Ended(status, output)) => judge(&status, &output),
                    Ok(Seen::Lost(shim, output)) => self.lost(shim, &output).await,
                    Ok(_) => unknown("its shim has ended and left nothing behind".to_owned()),
                    Err(error) => self.blind(&error),
                }
            }
        }
    }

    /// The shim was killed. Nothing more can be learned, but what it had started may
    /// still run: it is held to the time limit, so that it never runs beside a repetition.
    async fn lost(&self, shim: ProcessId, output: &[u8]) -> Outcome {
        const OFTEN: Duration = Duration::from_millis(200);
        let left = async || {
            let (launcher, order) = (Arc::clone(&self.launcher), self.order.clone());
            let find = move || Ok(orphans(shim, |variable| launcher.namer.marks(variable, &order)));
            blocking(find).await.unwrap_or_default()
        };
        if left().await.is_empty() {
            return unknown(detail("its shim was killed; how it ended is lost", output));
        }
        let gone = async || {
            while !left().await.is_empty() {
                sleep(OFTEN).await;
            }
        };
        tokio::select! {
            () = gone() => {}
            () = sleep(self.limit) => {}
            () = self.abort.cancelled() => {}
        }
        for (signal, patience) in [(Signal::TERM, self.launcher.grace), (Signal::KILL, REAP)] {
            for process in left().await {
                process.signal(signal).ok();
            }
            timeout(patience, gone()).await.ok();
        }
        unknown(detail("its shim was killed while it ran; how it ended is lost", output))
    }

    /// Makes it certain that nothing is started under the claim, and says so.
    async fn never(&self, reason: String) -> Outcome {
        let claim = self.claim.clone();
        let held = blocking(move || claim.hold(Holder::Nobody { reason }));
        match held.await {
            Ok(Holder::Nobody { reason }) => never(reason),
            Ok(Holder::Shim { .. }) => self.inspect().await,
            Err(error) => self.blind(&error),
        }
    }

    async fn look(&self) -> io::Result<Seen> {
        let claim = self.claim.clone();
        blocking(move || look(&claim)).await
    }

    /// When a shim must have ended.
    fn patience(&self) -> Instant {
        Instant::now() + self.limit + self.launcher.grace + REAP + SLACK
    }

    fn late(&self) -> Outcome {
        unknown(format!("its shim has not ended {} s after the time limit", (REAP + SLACK).as_secs()))
    }

    fn blind(&self, error: &io::Error) -> Outcome {
        unknown(format!("cannot look at `{}`: {error}", self.claim.dir().display()))
    }
}

/// Looks at an attempt. One that was claimed and not yet begun is ended for good: an
/// agent that looks has nothing under way that could still begin it.
fn look(claim: &Claim) -> io::Result<Seen> {
    if let Some(status) = claim.status()? {
        return Ok(Seen::Ended(status, claim.output()));
    }
    if !claim.dir().try_exists()? {
        return Ok(Seen::Nothing);
    }
    let reason = "it was given up before it had begun".to_owned();
    let holder = match claim.holder()? {
        Some(holder) => holder,
        None => claim.hold(Holder::Nobody { reason })?,
    };
    let (process, boot) = match holder {
        Holder::Nobody { reason } => return Ok(Seen::Never(reason)),
        Holder::Shim { process, boot_id } => (process, boot_id),
    };
    if boot != boot_id()? {
        return Ok(match claim.status()? {
            Some(status) => Seen::Ended(status, claim.output()),
            None => Seen::OtherBoot(claim.output()),
        });
    }
    if process.alive() {
        return Ok(Seen::Running(process));
    }
    // It may have ended since we looked for the status first.
    Ok(match claim.status()? {
        Some(status) => Seen::Ended(status, claim.output()),
        None => Seen::Lost(process, claim.output()),
    })
}

/// It is certain that it was not begun.
pub(super) fn never(reason: String) -> Outcome {
    Outcome::NotStarted { detail: format!("was never started: {reason}") }
}

/// Whether a claim can be removed without anything being lost that still goes on.
pub(super) fn is_over(claim: &Claim) -> bool {
    matches!(
        look(claim),
        Ok(Seen::Nothing | Seen::Never(_) | Seen::Ended(..) | Seen::Lost(..) | Seen::OtherBoot(_))
    )
}

/// What the end of a program means for its step.
fn judge(status: &Status, output: &[u8]) -> Outcome {
    let took = format!("after {}.{} s", status.millis / 1_000, status.millis / 100 % 10);
    let how = match &status.end {
        End::NotStarted(reason) => return failed(format!("was never started: {reason}")),
        End::Exited(code) => format!("exit status {code}"),
        End::Signal(signal) => format!("ended by {}", signal_name(*signal)),
        End::Stuck => "still there after KILL".to_owned(),
    };
    match (status.stopped, &status.end) {
        (Some(Stop::Limit), _) => {
            unknown(detail(&format!("stopped at its time limit {took}: {how}"), output))
        }
        (Some(Stop::Abort), _) => unknown(detail(&format!("stopped on request {took}: {how}"), output)),
        (None, End::Exited(0)) => Outcome::Done { detail: detail(&format!("{how} {took}"), output) },
        (None, End::Stuck) => unknown(detail(&how, output)),
        (None, _) => failed(detail(&format!("{how} {took}"), output)),
    }
}

/// One line that says how it ended, then the end of what it said.
fn detail(how: &str, output: &[u8]) -> String {
    let said = printable(output);
    if said.is_empty() {
        return end_of(how, DETAIL);
    }
    let room = DETAIL.saturating_sub(how.len() + 1);
    format!("{how}\n{}", end_of(&said, room))
}

/// The name of a signal by signal(7) for x86 and ARM.
fn signal_name(number: i32) -> String {
    let name = match number {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        10 => "SIGUSR1",
        11 => "SIGSEGV",
        12 => "SIGUSR2",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        other => return format!("signal {other}"),
    };
    name.to_owned()
}

/// Does something that waits for the disk where it holds up nobody.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(end: End, stopped: Option<Stop>) -> Outcome {
        judge(&Status { end, stopped, millis: 1_250 }, b"last words\n")
    }

    #[test]
    fn only_an_end_of_its_own_is_done_or_failed() {
        let detail = "exit status 0 after 1.2 s\nlast words".to_owned();
        assert_eq!(judged(End::Exited(0), None), Outcome::Done { detail });
        let detail = "exit status 3 after 1.2 s\nlast words".to_owned();
        assert_eq!(judged(End::Exited(3), None), Outcome::Failed { detail });
        let detail = "ended by SIGSEGV after 1.2 s\nlast words".to_owned();
        assert_eq!(judged(End::Signal(11), None), Outcome::Failed { detail });
        for end in [End::Exited(0), End::Exited(1), End::Signal(15), End::Stuck] {
            for stopped in [Stop::Limit, Stop::Abort] {
                let outcome = judged(end.clone(), Some(stopped));
                assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
            }
        }
    }

    #[test]
    fn what_is_kept_of_a_long_output_is_its_end_within_four_kibibytes() {
        let output = format!("{}the end", "x".repeat(20_000));
        let text = detail("exit status 1 after 0.0 s", output.as_bytes());
        assert!(text.len() <= DETAIL, "{}", text.len());
        assert!(text.starts_with("exit status 1 after 0.0 s\n\u{2026}x") && text.ends_with("the end"));
    }
}
