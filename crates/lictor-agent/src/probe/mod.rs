//! The probe: what a node answers about itself, to its peers and to whoever may ask.
//!
//! ```text
//! connection ─▶ request ─▶ users: who may ask? ─▶ page ◀── looks (URLs), volumes, checks, mesh
//! ```
//!
//! It has a listener of its own: it is shown to more people than the page, and its bytes are those that
//! other programs know. Nothing that a client does makes more looks than one at each URL at a time.

mod answer;
mod keeper;
mod looks;
mod request;
mod seats;
mod serve;
mod tls;
mod users;
mod volumes;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lictor_config::{Probe, ProbeTls};
use lictor_core::{CheckName, Status};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info};

pub use answer::MeshAnswer;
pub use looks::{Looking, Target, Told};
pub use request::{HEAD, is_whole};
pub use serve::bind;
pub use users::check_users;

pub(crate) use keeper::Keeper;

use crate::{Inbox, OnEnd, Tasks};
use answer::{Answer, Entry};
use looks::Looks;
use request::{Asked, Page, Request};
use tls::Certificate;
use users::{Users, Verdict};
use volumes::Volumes;

/// How long an answer may take in all: peers wait 5 s, so it is with them before they give up, however
/// much hangs.
const PATIENCE: Duration = Duration::from_secs(4);

/// How long the engine may take to say how the checks stand.
const VIEW: Duration = Duration::from_secs(2);

/// How long requests under way may take when it stops.
const FAREWELL: Duration = Duration::from_secs(6);

/// What a probe shows, and to whom.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The URLs, in this order.
    pub targets: Vec<Target>,
    /// When they are looked at.
    pub looking: Looking,
    /// Time limit of one look.
    pub timeout: Duration,
    /// Paths on the file systems that are shown. `None`: all that `df` shows.
    pub volumes: Option<Vec<PathBuf>>,
    /// Checks of the agent that are shown after the URLs.
    pub checks: Vec<CheckName>,
    /// File of those who may ask. `None`: everybody.
    pub auth_file: Option<PathBuf>,
    /// TLS. `None`: plain.
    pub tls: Option<ProbeTls>,
    /// How requests are taken.
    pub manner: Manner,
}

/// How requests are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Several over a connection, GET and HEAD, any query.
    Usual,
    /// One over a connection, GET of the bare paths; anything else is not found.
    Literal,
}

impl Manner {
    const fn is_literal(self) -> bool {
        matches!(self, Self::Literal)
    }
}

impl From<&Probe> for Settings {
    fn from(probe: &Probe) -> Self {
        Self {
            targets: probe.urls.iter().cloned().map(Target::from).collect(),
            looking: Looking::Every(probe.fresh),
            timeout: probe.timeout,
            volumes: probe.volumes.clone(),
            checks: probe.checks.clone(),
            auth_file: probe.auth_file.clone(),
            tls: probe.tls.clone(),
            manner: Manner::Usual,
        }
    }
}

/// What this node sees of its peers now; `None` when it watches none.
pub type Mesh = Arc<dyn Fn() -> Option<MeshAnswer> + Send + Sync>;

/// Where a probe has it from.
#[derive(Clone)]
pub struct Sources {
    /// The engine, for checks.
    pub inbox: Option<Inbox>,
    /// What the node sees of its peers; shown to those who ask for it.
    pub mesh: Mesh,
    /// Is told of each look at a URL.
    pub told: Told,
}

impl Sources {
    /// Nothing but what a probe finds by itself.
    pub fn none() -> Self {
        Self { inbox: None, mesh: Arc::new(|| None), told: Arc::new(|_, _| {}) }
    }
}

/// What every request is answered from.
pub struct Site {
    looks: Looks,
    volumes: Volumes,
    checks: Vec<CheckName>,
    users: Option<Users>,
    certificate: Option<Certificate>,
    manner: Manner,
    inbox: Option<Inbox>,
    mesh: Mesh,
}

impl Site {
    /// One that shows this.
    ///
    /// # Errors
    /// In words, when the certificate cannot be used.
    pub fn new(settings: Settings, sources: Sources, tasks: &Tasks) -> Result<Self, String> {
        let Settings { targets, looking, timeout, volumes, checks, auth_file, tls, manner } = settings;
        let Sources { inbox, mesh, told } = sources;
        Ok(Self {
            certificate: tls.map(|files| Certificate::new(files, tasks.clone())).transpose()?,
            looks: Looks::new(targets, looking, timeout, told, tasks.clone()),
            volumes: Volumes::new(volumes, tasks.clone()),
            users: auth_file.map(Users::new),
            checks,
            manner,
            inbox,
            mesh,
        })
    }

    /// Answers the one request whose head this is, as it goes over the wire; the connection ends then.
    pub async fn once(&self, head: &[u8]) -> Vec<u8> {
        let (answer, bodiless) = if head.len() > HEAD {
            (Answer::TooLarge, false)
        } else {
            self.answer(&Request::parse(head)).await
        };
        answer.bytes(bodiless, true)
    }

    /// The answer, within [`PATIENCE`], and whether it goes without its body.
    async fn answer(&self, request: &Request) -> (Answer, bool) {
        let deadline = Instant::now() + PATIENCE;
        let asked = match self.manner {
            Manner::Usual => request.asked(),
            Manner::Literal => request.asked_literally(),
        };
        let bodiless = match asked {
            Asked::Page { bodiless, .. } | Asked::Nothing { bodiless } => bodiless,
            Asked::WrongMethod | Asked::Junk => false,
        };
        // Before anything else: who may not ask is not told what there is.
        let verdict = match &self.users {
            Some(users) => users.verdict(request.shown.as_deref()).await,
            None => Verdict::Welcome,
        };
        let answer = match (verdict, asked) {
            (Verdict::Unknown, _) => Answer::Unavailable,
            (Verdict::Welcome | Verdict::Refused, Asked::Junk) => Answer::Junk,
            (Verdict::Refused, _) => Answer::Unauthorized,
            (Verdict::Welcome, Asked::Page { page, .. }) => {
                Answer::Page(self.page(page, request, deadline).await)
            }
            (Verdict::Welcome, Asked::Nothing { .. }) => Answer::NotFound,
            (Verdict::Welcome, Asked::WrongMethod) => Answer::WrongMethod,
        };
        (answer, bodiless)
    }

    async fn page(&self, page: Page, request: &Request, deadline: Instant) -> String {
        match page {
            Page::Status => {
                let mesh = if request.wants_mesh { (self.mesh)() } else { None };
                answer::status(&self.entries(deadline).await, mesh.as_ref())
            }
            Page::Disk => answer::disk(&self.volumes.look(deadline).await),
            Page::All => {
                let (entries, volumes) = tokio::join!(self.entries(deadline), self.volumes.look(deadline));
                answer::all(&answer::status(&entries, None), &answer::disk(&volumes))
            }
        }
    }

    /// The URLs, then the checks.
    async fn entries(&self, deadline: Instant) -> Vec<Entry> {
        let (mut entries, checks) = tokio::join!(self.looks.entries(deadline), self.checks(deadline));
        entries.extend(checks);
        entries
    }

    async fn checks(&self, deadline: Instant) -> Vec<Entry> {
        if self.checks.is_empty() {
            return Vec::new();
        }
        let deadline = deadline.min(Instant::now() + VIEW);
        let view = match &self.inbox {
            Some(inbox) => timeout_at(deadline, inbox.view()).await.ok().and_then(Result::ok),
            None => None,
        };
        let entry = |name: &CheckName| {
            let url = format!("check:{name}");
            let status = view.as_ref().and_then(|view| Some(view.checks.get(name)?.status));
            match status {
                Some(Status::Passing | Status::Warning) => Entry { url, code: 200, took: Duration::ZERO },
                Some(Status::Critical | Status::Unknown) | None => Entry::failed(url),
            }
        };
        self.checks.iter().map(entry).collect()
    }
}

/// Serves until `stop`.
fn serve(listener: Arc<TcpListener>, site: Site, stop: &CancellationToken, tasks: &Tasks) {
    let site = Arc::new(site);
    let (keeps, ends) = (Arc::clone(&site), stop.clone());
    tasks.spawn("looks of the probe", OnEnd::Fine, async move {
        tokio::select! { () = ends.cancelled() => {}, () = keeps.looks.keep() => {} }
    });
    tasks.spawn_draining("probe", OnEnd::Fine, serve::accept(listener, site, stop.clone(), tasks.clone()));
}

/// A probe without the rest of an agent.
pub struct Server(Tasks);

impl Server {
    /// Starts to answer.
    ///
    /// # Errors
    /// In words, when the certificate cannot be used.
    pub fn start(listener: TcpListener, settings: Settings, sources: Sources) -> Result<Self, String> {
        let tasks = Tasks::new();
        let site = Site::new(settings, sources, &tasks)?;
        serve(Arc::new(listener), site, &tasks.stopping(), &tasks);
        Ok(Self(tasks))
    }

    /// Answers until INT, QUIT or TERM comes, then ends in order; `false` when something did not.
    pub async fn until_stopped(self) -> bool {
        use tokio::signal::unix::{SignalKind, signal};
        let signals = [SignalKind::interrupt(), SignalKind::quit(), SignalKind::terminate()].map(signal);
        if let [Ok(mut interrupt), Ok(mut quit), Ok(mut terminate)] = signals {
            let stopping = self.0.stopping();
            tokio::select! {
                _ = interrupt.recv() => debug!("interrupted"),
                _ = quit.recv() => debug!("told to quit"),
                _ = terminate.recv() => debug!("told to end"),
                () = stopping.cancelled() => {}
            }
        } else {
            error!("cannot listen for signals");
        }
        let in_order = self.0.drain(FAREWELL).await;
        info!("the probe has ended");
        in_order
    }
}

#[cfg(test)]
mod tests;
