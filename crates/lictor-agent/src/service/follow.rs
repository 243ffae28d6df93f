//! A service whose configuration has changed: its task ends, and another one goes on with what runs.
//!
//! A start or a stop that is under way is brought to its end first. Nothing else waits for that.

use std::sync::Arc;

use lictor_config::ClusterService;
use lictor_core::service::member::Local;
use tokio::time::timeout;
use tracing::{info, warn};

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
        // Its lease would be nobody's, or another one beside this.
        let leaves = wanted.is_none_or(|wanted| wanted.datacenter != view.config.datacenter);
        if leaves && self.runs(name) {
            return Some(stays(name));
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
            // It may have come in the meantime.
            let came = leaves && self.runs(name);
            self.end(name).await;
            if came {
                self.start(&view.config).await;
            }
            return came.then(|| stays(name));
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
        let now =
            self.running().get_mut(name).map(|running| (running.next.take(), Arc::clone(&running.config)));
        let runs = self.runs(name);
        self.end(name).await;
        match now {
            Some((Some(Next::Is(config)), before)) if config.datacenter == before.datacenter || !runs => {
                info!(service = name, "the service follows its configuration");
                self.start(&config).await;
            }
            Some((_, before)) if runs => {
                warn!("{}", stays(name));
                self.start(&before).await;
            }
            Some(_) | None => {}
        }
    }

    /// Whether it runs here, or may for all that is known.
    fn runs(&self, name: &str) -> bool {
        self.one(name).is_some_and(|view| {
            view.believes.is_some()
                || matches!(view.state.local, Local::Running { .. } | Local::Starting { .. })
        })
    }
}

fn stays(name: &str) -> String {
    format!(
        "the service {name} stays, because it runs here: `lictor service switchover {name}` or \
         `lictor service stop {name}`, then reload again"
    )
}
