//! Consul's checks as answers need them: read once for all who ask at the same time, and remembered,
//! also that they could not be read.

use std::sync::Arc;
use std::time::Duration;

use lictor_consul::{Check, Client, Query};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::warn;

/// How long they are believed without being read again, or that they cannot be read.
const FRESH: Duration = Duration::from_secs(1);

/// How long they are believed while Consul cannot be asked.
const STALE: Duration = Duration::from_secs(30);

/// How long Consul may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Reads them.
pub(super) struct Checks {
    client: Client,
    /// Held while they are read: whoever comes meanwhile gets the same.
    kept: Mutex<Kept>,
}

/// When they were read; when and why that failed since.
#[derive(Default)]
struct Kept {
    read: Option<(Instant, Arc<Vec<Check>>)>,
    failed: Option<(Instant, String)>,
}

impl Checks {
    pub(super) fn new(client: &Client) -> Self {
        Self { client: client.with_attempts(1).with_time_limit(PATIENCE), kept: Mutex::default() }
    }

    /// All of them.
    ///
    /// # Errors
    /// In words, why they have not been read for long.
    pub(super) async fn all(&self) -> Result<Arc<Vec<Check>>, String> {
        let mut kept = self.kept.lock().await;
        let fresh = |at: &Instant| at.elapsed() < FRESH;
        if let Some((_, checks)) = kept.read.as_ref().filter(|(at, _)| fresh(at)) {
            return Ok(Arc::clone(checks));
        }
        if !kept.failed.as_ref().is_some_and(|(at, _)| fresh(at)) {
            match self.client.health().state(None, &Query::new()).await {
                Ok(answer) => {
                    let checks = Arc::new(answer.value);
                    *kept = Kept { read: Some((Instant::now(), Arc::clone(&checks))), failed: None };
                    return Ok(checks);
                }
                Err(why) => {
                    if kept.failed.is_none() {
                        warn!(%why, "Consul's checks cannot be read for an answer");
                    }
                    let why = format!("Consul's checks cannot be read: {why}");
                    kept.failed = Some((Instant::now(), why));
                }
            }
        }
        match (&kept.read, &kept.failed) {
            (Some((at, checks)), _) if at.elapsed() < STALE => Ok(Arc::clone(checks)),
            (_, failed) => Err(failed.as_ref().map(|(_, why)| why.clone()).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use lictor_consul::Config;
    use lictor_testkit::service::{Answer, Service};

    use super::*;

    /// Something in Consul's place that has one check, and answers nothing useful while it is away.
    fn consul(away: &Arc<AtomicBool>) -> (Service, Checks) {
        let away = Arc::clone(away);
        let service = Service::start(move |_call| {
            if away.load(Ordering::Relaxed) {
                return Answer::new(500, "No cluster leader");
            }
            let one = r#"[{"Node":"n","CheckID":"c","Name":"C","Status":"passing"}]"#;
            Answer::new(200, one).with("X-Consul-Index", 7)
        });
        let config = Config { address: service.url().parse().unwrap(), ..Config::default() };
        let checks = Checks::new(&Client::new(config).unwrap());
        (service, checks)
    }

    /// As if so much time had passed since they were read, or could not be.
    async fn pass(checks: &Checks, time: Duration) {
        let mut kept = checks.kept.lock().await;
        let Kept { read, failed } = &mut *kept;
        let times = read.iter_mut().map(|(at, _)| at).chain(failed.iter_mut().map(|(at, _)| at));
        times.for_each(|at| *at -= time);
    }

    #[tokio::test]
    async fn that_they_cannot_be_read_is_remembered_for_a_second() {
        let away = Arc::new(AtomicBool::new(true));
        let (consul, checks) = consul(&away);
        let why = checks.all().await.unwrap_err();
        assert!(why.starts_with("Consul's checks cannot be read: ") && why.contains("500"), "{why}");
        away.store(false, Ordering::Relaxed);
        assert_eq!(checks.all().await.unwrap_err(), why);
        assert_eq!(consul.calls().len(), 1, "whoever asks at once does not make it worse");
        pass(&checks, FRESH).await;
        assert_eq!(checks.all().await.unwrap().len(), 1);
        assert_eq!(consul.calls().len(), 2);
    }

    #[tokio::test]
    async fn what_was_read_is_believed_for_a_while_when_consul_is_away() {
        let away = Arc::<AtomicBool>::default();
        let (consul, checks) = consul(&away);
        assert_eq!(checks.all().await.unwrap().len(), 1);
        away.store(true, Ordering::Relaxed);
        assert_eq!((checks.all().await.unwrap().len(), consul.calls().len()), (1, 1), "it is fresh");
        pass(&checks, FRESH).await;
        assert_eq!((checks.all().await.unwrap().len(), consul.calls().len()), (1, 2), "it may be old");
        assert_eq!((checks.all().await.unwrap().len(), consul.calls().len()), (1, 2), "known to be away");
        pass(&checks, STALE).await;
        assert!(checks.all().await.is_err(), "it is too old");
        away.store(false, Ordering::Relaxed);
        pass(&checks, FRESH).await;
        assert_eq!(checks.all().await.unwrap().len(), 1);
    }
}
