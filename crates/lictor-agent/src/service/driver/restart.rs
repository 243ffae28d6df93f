//! A restart of the units where they run, under the token under which they do.

use std::sync::Arc;

use futures::future::{BoxFuture, pending};
use lictor_core::service::member::Local;
use tokio::sync::oneshot;
use tracing::info;

use super::Driver;

/// Somebody who wants the units here restarted.
pub(super) type Restart = oneshot::Sender<Result<(), String>>;

/// Restarts asked for and not yet begun.
pub(super) const RESTARTS: usize = 4;

impl Driver {
    /// Begins a restart of the units here, or says why not.
    pub(super) fn restarts(&mut self, asks: Restart) {
        if asks.is_closed() {
            // Whoever asked waits no more.
            return;
        }
        let local = self.shared.state.borrow().local;
        let Some(token) = self.shared.believes() else {
            drop(asks.send(Err("the service does not run on this node".to_owned())));
            return;
        };
        if local != (Local::Running { token: Some(token) }) {
            drop(
                asks.send(Err("the service is not running here: it is being started or stopped".to_owned())),
            );
            return;
        }
        info!(service = self.shared.name, token, "the service here is restarted");
        let (units, shared) = (Arc::clone(&self.units), Arc::clone(&self.shared));
        let work = Box::pin(async move {
            let believes = |token| shared.believes() == Some(token);
            units.restart(token, &believes).await
        });
        self.restart = Some((work, asks));
    }
}

/// The end of a restart, if one is under way.
pub(super) async fn restarted(
    restart: &mut Option<(BoxFuture<'static, Result<(), String>>, Restart)>,
) -> Result<(), String> {
    match restart {
        Some((work, _)) => work.await,
        None => pending().await,
    }
}
