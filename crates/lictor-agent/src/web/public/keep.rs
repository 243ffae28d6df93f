//! The status page of an agent over reloads.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lictor_config::StatusPage;
use lictor_core::Span;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::site::Site;
use super::{Sources, router};
use crate::web::{Limits, beside};
use crate::{OnEnd, Tasks};

/// Time between two attempts to show a page whose address cannot be had.
const AGAIN: Duration = Duration::from_secs(10);

/// Keeps the status page of an agent as its configuration wants it.
pub(crate) struct Keeper {
    seat: Arc<Mutex<Seat>>,
    tasks: Tasks,
    /// Cancelled when what is tried again is not wanted any more.
    wanted: CancellationToken,
    again: Duration,
}

/// What is shown, and what it takes to show something.
struct Seat {
    sources: Sources,
    limits: Limits,
    tasks: Tasks,
    running: Option<Running>,
}

/// A page that is shown.
struct Running {
    page: Arc<StatusPage>,
    /// Where it really is.
    address: SocketAddr,
    site: Arc<Site>,
    stop: CancellationToken,
    accepting: JoinHandle<()>,
}

impl Keeper {
    /// One that shows nothing yet.
    pub(crate) fn new(sources: Sources, limits: Limits, tasks: Tasks) -> Self {
        let seat = Seat { sources, limits, tasks: tasks.clone(), running: None };
        Self { seat: Arc::new(Mutex::new(seat)), tasks, wanted: CancellationToken::new(), again: AGAIN }
    }

    /// Shows what this says. If that cannot be, what was shown before is; if that was nothing, it is tried again until
    /// it works or something else is wanted.
    ///
    /// # Errors
    /// In words, what cannot be.
    pub(crate) async fn apply(&mut self, page: Option<&Arc<StatusPage>>) -> Result<(), String> {
        self.wanted.cancel();
        let mut seat = self.seat.lock().await;
        let applied = seat.apply(page).await;
        let (Err(why), Some(page), None) = (&applied, page, &seat.running) else { return applied };
        self.wanted = CancellationToken::new();
        let again = try_again(Arc::clone(&self.seat), Arc::clone(page), self.again, self.wanted.clone());
        drop(self.tasks.spawn("status page again", OnEnd::Fine, again));
        Err(format!("{why}; none is shown, and it is tried again every {}", Span(self.again)))
    }

    /// Where it is.
    #[cfg(test)]
    pub(super) async fn address(&self) -> Option<SocketAddr> {
        self.seat.lock().await.running.as_ref().map(|running| running.address)
    }

    /// The same with another time between two attempts.
    #[cfg(test)]
    pub(super) fn trying_each(self, again: Duration) -> Self {
        Self { again, ..self }
    }
}

/// Tries to show a page until it is shown or not wanted any more.
async fn try_again(
    seat: Arc<Mutex<Seat>>,
    page: Arc<StatusPage>,
    pause: Duration,
    unwanted: CancellationToken,
) {
    loop {
        tokio::select! {
            () = unwanted.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        let mut seat = seat.lock().await;
        if unwanted.is_cancelled() {
            return;
        }
        match seat.apply(Some(&page)).await {
            Ok(()) => return,
            Err(why) => debug!(error = why, "the status page is still not shown"),
        }
    }
}

impl Seat {
    /// Shows what this says. If that cannot be, what was shown before is.
    async fn apply(&mut self, page: Option<&Arc<StatusPage>>) -> Result<(), String> {
        let Some(page) = page else {
            if let Some(running) = self.running.take() {
                running.end().await;
                info!("the status page is not wanted any more");
            }
            return Ok(());
        };
        if let Some(running) = self.running.as_mut().filter(|running| running.page.address == page.address) {
            if running.page != *page {
                running.site.change(Arc::clone(page));
                running.page = Arc::clone(page);
            }
            return Ok(());
        }
        let site = Arc::new(Site::new(Arc::clone(page), self.sources.clone(), self.tasks.clone()));
        // One listener at the same port may be in the way of the other.
        let same = |running: &mut Running| running.address.port() == page.address.port();
        let before = self.running.take_if(same);
        let old = before.as_ref().map(|running| (Arc::clone(&running.page), Arc::clone(&running.site)));
        if let Some(running) = before {
            running.end().await;
        }
        match self.show(page, site) {
            Ok(running) => {
                if let Some(before) = self.running.replace(running) {
                    before.end().await;
                }
                Ok(())
            }
            Err(why) => {
                let Some((page, site)) = old else { return Err(why) };
                match self.show(&page, site) {
                    Ok(running) => self.running = Some(running),
                    Err(worse) => return Err(format!("{why}; nor at the address of before: {worse}")),
                }
                Err(why)
            }
        }
    }

    fn show(&self, page: &Arc<StatusPage>, site: Arc<Site>) -> Result<Running, String> {
        let failed = |error: std::io::Error| format!("cannot listen at {}: {error}", page.address);
        let listener: TcpListener = crate::probe::bind(page.address).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let stop = self.tasks.stopping().child_token();
        let accept = beside(listener, router(Arc::clone(&site)), self.limits, &self.tasks, stop.clone());
        let accepting = self.tasks.spawn_draining("status page", OnEnd::Fine, accept);
        info!(%address, "the status page is ready");
        Ok(Running { page: Arc::clone(page), address, site, stop, accepting })
    }
}

impl Running {
    /// Lets go of the address and of who is connected. Who is being answered is answered, and nothing more.
    async fn end(self) {
        self.stop.cancel();
        // It ends at once; if it had panicked, it is gone as well.
        let _gone = self.accepting.await;
    }
}
