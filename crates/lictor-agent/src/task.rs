//! The one place that spawns: every task has a name, ends when told to, and its end
//! has a meaning.

use std::fmt;
use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, error};

/// The tasks of one agent. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
}

/// What it means that a task ended although nobody told it to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnEnd {
    /// It was done.
    Fine,
    /// The agent cannot go on without it: everything stops.
    Stop,
}

impl Tasks {
    /// No tasks yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancelled when the tasks must end.
    pub fn stopping(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Runs `work` until it ends or the agent stops; it is dropped at its next await
    /// when the agent stops, so it must not need to tidy up.
    pub fn spawn<F>(&self, name: impl fmt::Display + Send + 'static, on_end: OnEnd, work: F) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = self.stop.clone();
        self.spawn_draining(name, on_end, async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = work => {}
            }
        })
    }

    /// Runs `work`, which watches [`Tasks::stopping`] itself and ends soon after it.
    pub fn spawn_draining<F>(
        &self,
        name: impl fmt::Display + Send + 'static,
        on_end: OnEnd,
        work: F,
    ) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = self.stop.clone();
        let guard = Ended { name: name.to_string(), on_end, stop, clean: false };
        #[expect(clippy::disallowed_methods, reason = "this is the task module")]
        tokio::spawn(self.tracker.track_future(async move {
            let mut guard = guard;
            work.await;
            guard.clean = true;
        }))
    }

    /// Runs `work` on a thread of its own and hands its result back: for calls that may hang in
    /// the kernel for ever. Neither the runtime nor [`Tasks::drain`] waits for it; the thread ends
    /// with its work or with the process. The result is lost if `work` panics.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn on_thread<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<oneshot::Receiver<T>> {
        let (answer, answered) = oneshot::channel();
        // Nobody may be waiting any more: then the result is of no use.
        let work = move || drop(answer.send(work()));
        std::thread::Builder::new().name(name.to_owned()).spawn(work)?;
        Ok(answered)
    }

    /// Tells every task to end and waits for them; `false` when some had not by `limit`.
    pub async fn drain(&self, limit: Duration) -> bool {
        self.stop.cancel();
        self.tracker.close();
        tokio::time::timeout(limit, self.tracker.wait()).await.is_ok()
    }
}

/// Notices the end of a task, also by a panic.
struct Ended {
    name: String,
    on_end: OnEnd,
    stop: CancellationToken,
    clean: bool,
}

impl Drop for Ended {
    fn drop(&mut self) {
        if self.stop.is_cancelled() {
            return;
        }
        match (self.clean, self.on_end) {
            (true, OnEnd::Fine) => debug!(task = self.name, "task ended"),
            (false, OnEnd::Fine) => error!(task = self.name, "task panicked or was aborted"),
            (_, OnEnd::Stop) => {
                error!(task = self.name, "a task the agent cannot do without ended; stopping");
                self.stop.cancel();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_drain_ends_every_task() {
        let tasks = Tasks::new();
        tasks.spawn("sleeper", OnEnd::Stop, tokio::time::sleep(Duration::from_secs(3_600)));
        assert!(tasks.drain(Duration::from_secs(1)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_a_needed_task_stops_all() {
        let tasks = Tasks::new();
        tasks.spawn("needed", OnEnd::Stop, async {});
        tokio::time::timeout(Duration::from_secs(1), tasks.stopping().cancelled()).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_of_a_needed_task_stops_all() {
        let tasks = Tasks::new();
        tasks.spawn("needed", OnEnd::Stop, async { panic!("planted") });
        tokio::time::timeout(Duration::from_secs(1), tasks.stopping().cancelled()).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_does_not_end_is_told_of() {
        let tasks = Tasks::new();
        tasks.spawn_draining("stubborn", OnEnd::Fine, std::future::pending());
        assert!(!tasks.drain(Duration::from_secs(1)).await);
    }
}
