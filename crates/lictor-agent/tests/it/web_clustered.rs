//! The clustered services of a made-up node.

use std::sync::Mutex;

use futures::future::BoxFuture;
use lictor_agent::service::{AskError, Asking, Made, Pause, ServiceView};
use lictor_agent::web::Clustered;
use lictor_core::service::operation::{Operation, Phase};

/// The services of a made-up node.
#[derive(Default)]
pub(crate) struct ServicesStandin {
    pub(crate) views: Mutex<Vec<ServiceView>>,
    pub(crate) asked: Mutex<Vec<Asking>>,
    /// What else was done.
    pub(crate) did: Mutex<Vec<String>>,
    /// What is answered in place of all that.
    pub(crate) refuses: Mutex<Option<AskError>>,
}

impl ServicesStandin {
    fn did(&self, what: String) -> Result<(), AskError> {
        if let Some(error) = self.refuses.lock().unwrap().clone() {
            return Err(error);
        }
        self.did.lock().unwrap().push(what);
        Ok(())
    }
}

impl Clustered for ServicesStandin {
    fn all(&self) -> Vec<ServiceView> {
        self.views.lock().unwrap().clone()
    }

    fn one(&self, name: &str) -> Option<ServiceView> {
        self.all().into_iter().find(|view| view.config.name.as_str() == name)
    }

    fn ask<'a>(&'a self, name: &'a str, asking: Asking) -> BoxFuture<'a, Result<Operation, AskError>> {
        Box::pin(async move {
            self.did(format!("ask {name}"))?;
            self.asked.lock().unwrap().push(asking.clone());
            let Asking { id, what, from, by, deadline } = asking;
            Ok(Operation { id, what, from, by, deadline, phase: Phase::Asked })
        })
    }

    fn restart<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move { self.did(format!("restart {name}")).map_err(|error| error.to_string()) })
    }

    fn pause<'a>(&'a self, name: &'a str, pause: &'a Pause) -> BoxFuture<'a, Result<(), AskError>> {
        let Pause { until, by, why } = pause;
        Box::pin(
            async move { self.did(format!("pause {name} until {} by {by}: {why}", until.as_unix_millis())) },
        )
    }

    fn resume<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), AskError>> {
        Box::pin(async move { self.did(format!("resume {name}")) })
    }

    fn init<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Made, AskError>> {
        Box::pin(async move { self.did(format!("init {name}")).map(|()| Made::New) })
    }
}
