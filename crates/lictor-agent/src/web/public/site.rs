//! What every request is answered from: made in a task of its own, so that who leaves breaks nothing off and who comes
//! takes part in it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex as Lock, PoisonError};
use std::time::Duration;

use lictor_config::StatusPage;
use lictor_core::CheckName;
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, timeout};

use super::Sources;
use super::closed::Closed;
use super::paper::Papers;
use super::shown::Shown;
use crate::web::history::Archive;
use crate::{OnEnd, Tasks};

/// How old what is shown may be, and how long it is not tried again when it could not be made.
const FRESH: Duration = Duration::from_secs(5);

/// How long a request waits for it.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long it may take to be made.
const LONGEST: Duration = Duration::from_secs(60);

/// How long the desk of the alerts may take to say what is under maintenance.
const DESK: Duration = Duration::from_secs(5);

/// What every request is answered from.
pub(super) struct Site {
    desk: Lock<Desk>,
    sources: Sources,
    archive: Archive,
    closed: Mutex<Closed>,
    tasks: Tasks,
}

/// What is to be shown and what is.
struct Desk {
    page: Arc<StatusPage>,
    made: Option<Made>,
    /// What is being made of which page.
    under_way: Option<(Arc<StatusPage>, watch::Receiver<Option<Made>>)>,
}

/// What was made of a page.
#[derive(Clone)]
struct Made {
    of: Arc<StatusPage>,
    at: Instant,
    /// Nothing when the agent does not say how things stand.
    papers: Option<Arc<Papers>>,
}

impl Site {
    pub(super) fn new(page: Arc<StatusPage>, sources: Sources, tasks: Tasks) -> Self {
        let archive = Archive::new(Arc::clone(&sources.history));
        let desk = Lock::new(Desk { page, made: None, under_way: None });
        Self { desk, archive, sources, closed: Mutex::default(), tasks }
    }

    /// Shows something else from now on. It waits for nobody.
    pub(super) fn change(&self, page: Arc<StatusPage>) {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner).page = page;
    }

    /// All that is shown. Nothing when the agent does not say how things stand.
    pub(super) async fn papers(self: &Arc<Self>) -> Option<Arc<Papers>> {
        let mut coming = match self.fresh() {
            Ok(made) => return made.papers,
            Err(coming) => coming,
        };
        let made = timeout(PATIENCE, coming.wait_for(Option::is_some)).await.ok()?.ok()?;
        made.as_ref().and_then(|made| made.papers.clone())
    }

    /// What was made lately, or where it will be told.
    fn fresh(self: &Arc<Self>) -> Result<Made, watch::Receiver<Option<Made>>> {
        let mut desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
        let page = Arc::clone(&desk.page);
        let of_it = |made: &&Made| Arc::ptr_eq(&made.of, &page) && made.at.elapsed() < FRESH;
        if let Some(made) = desk.made.as_ref().filter(of_it) {
            return Ok(made.clone());
        }
        // One whose maker is gone says nothing any more.
        let comes = |of: &Arc<StatusPage>, coming: &watch::Receiver<Option<Made>>| {
            Arc::ptr_eq(of, &page) && coming.has_changed().is_ok()
        };
        if let Some((_, coming)) = desk.under_way.as_ref().filter(|(of, coming)| comes(of, coming)) {
            return Err(coming.clone());
        }
        let (tell, coming) = watch::channel(None);
        desk.under_way = Some((Arc::clone(&page), coming.clone()));
        drop(desk);
        let work = Arc::clone(self).make(page, tell);
        drop(self.tasks.spawn("status page papers", OnEnd::Fine, work));
        Err(coming)
    }

    async fn make(self: Arc<Self>, of: Arc<StatusPage>, tell: watch::Sender<Option<Made>>) {
        let papers = timeout(LONGEST, self.print(&of)).await.ok().flatten().map(Arc::new);
        let made = Made { of, at: Instant::now(), papers };
        {
            let mut desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
            // What was made of a page that is not wanted any more goes to who waits for it, and to nobody else.
            if Arc::ptr_eq(&desk.page, &made.of) {
                desk.made = Some(made.clone());
                desk.under_way = None;
            }
        }
        tell.send_replace(Some(made));
    }

    async fn print(&self, page: &StatusPage) -> Option<Papers> {
        let view = self.sources.source.view().await.ok()?;
        let desk = timeout(DESK, self.sources.alerts.view()).await.ok().and_then(Result::ok);
        let windows = self.sources.past.windows(desk.as_deref(), view.at);
        let wanted: BTreeSet<CheckName> =
            page.groups.iter().flat_map(|group| group.checks.iter().cloned()).collect();
        let mut closed = self.closed.lock().await;
        let whole = closed.read_on(&self.archive, &wanted).await;
        let shown = Shown::gather(page, &view, &windows, &self.sources, &closed, !whole);
        drop(closed);
        tokio::task::spawn_blocking(move || Papers::print(&shown)).await.ok()?
    }
}
