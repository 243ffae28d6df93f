//! A service whose configuration has changed: its task ends, and another one goes on with what runs.
//!
//! A start or a stop that is under way is brought to its end first. Nothing else waits for that.

use std::sync::Arc;

use lictor_config::ClusterService;
use lictor_core::service::member::Local;
use tokio::time::timeout;
use tracing::info;

use super::board::{ENDS, ServiceView, Services};
use super::driver::Service;

/// What becomes of a service when what it has under way is over.
pub(super) enum Next {
    /// It has this configuration.
    Is(Arc<ClusterService>),
    /// This node has no part in it any more.
    Nothing,
}

impl Services {
    /// Has a service of this node be as it is wanted, if at all; what could not be done of it at once, in words. One
    /// that only ends here is started again by who asked.
    pub(super) async fn becomes(
        &self,
        view: &ServiceView,
        wanted: Option<&Arc<ClusterService>>,
    ) -> Option<String> {
        let name = view.config.name.as_str();
        let here = matches!(view.state.local, Local::Running { .. } | Local::Starting { .. });
        let runs = view.believes.is_some() || here;
        if wanted.is_none() && runs {
            return Some(format!(
                "the service {name} stays, because it runs here: `lictor service switchover {name}` or \
                 `lictor service stop {name}`, then reload again"
            ));
        }
        let next = || wanted.map_or(Next::Nothing, |config| Next::Is(Arc::clone(config)));
        let follows = format!("the service {name} follows when its start or stop is over");
        let service = match self.running().get_mut(name) {
            None => return None,
            Some(running) if running.next.is_some() => {
                running.next = Some(next());
                return Some(follows);
            }
            Some(running) if wanted == Some(&running.config) => return None,
            Some(running) => running.service.clone(),
        };
        service.finish();
        if !service.is_busy() && timeout(ENDS, service.finished()).await.is_ok() {
            self.end(name).await;
            return None;
        }
        if let Some(running) = self.running().get_mut(name) {
            running.next = Some(next());
        }
        let (services, owned) = (self.clone(), name.to_owned());
        let tasks = &self.0.means.tasks;
        drop(tasks.spawn(format!("what follows service {name}"), crate::OnEnd::Fine, async move {
            services.follow(&owned, &service).await;
        }));
        Some(follows)
    }

    /// Waits until nothing is under way, and puts the newest configuration in force.
    async fn follow(&self, name: &str, service: &Service) {
        service.finished().await;
        let _one = self.0.applying.lock().await;
        let next = self.running().get_mut(name).and_then(|running| running.next.take());
        self.end(name).await;
        if let Some(Next::Is(config)) = next {
            info!(service = name, "the service follows its configuration");
            self.start(&config).await;
        }
    }
}
