//! A program whose place we take: what it must let go before we tell, and what it left in records.

use std::fmt;
use std::sync::Arc;

use futures::future::BoxFuture;
use lictor_core::Now;
use lictor_core::alert::{AlertPlan, Row, RowKey};
use tokio::sync::watch;

/// Something that must be held besides the lease: for a program that knows nothing of our lease.
pub trait Guard: Send + Sync {
    /// Whether to get hold of it, or to let it go.
    fn want(&self, wanted: bool);

    /// Whether it is held, as far as is known now: asked before each message.
    fn holds(&self) -> bool;

    /// Each change of that.
    fn changes(&self) -> watch::Receiver<bool>;

    /// Who holds it else, or why nobody can say.
    fn other(&self) -> String;
}

/// The records of that program.
pub trait Records: Send + Sync {
    /// At the beginning of a term: our rows, with what it told meanwhile or before us.
    fn take_up<'a>(
        &'a self,
        plan: &'a AlertPlan,
        ours: Vec<Row>,
        now: Now,
    ) -> BoxFuture<'a, Result<Vec<Row>, String>>;

    /// What was recorded, and what is no more, so that it finds it. It must not wait.
    fn leave(&self, rows: &[Row], gone: &[RowKey]);
}

/// Both.
#[derive(Clone)]
pub struct Predecessor {
    /// What it holds while it tells.
    pub guard: Arc<dyn Guard>,
    /// What it remembers.
    pub records: Arc<dyn Records>,
}

impl fmt::Debug for Predecessor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Predecessor").finish_non_exhaustive()
    }
}
