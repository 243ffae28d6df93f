//! Telling a service by HTTP.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use lictor_config::{Notifier, Service};
use lictor_core::Wall;
use lictor_core::alert::{Message, Verdict};
use tokio::time::{Instant, timeout_at};

use super::exchange::{Outcome, exchange, never};
use super::request::{Request, Revealed, requests};
use super::signature;
use crate::remote::{Reach, aside, place};

/// The clients of one notifier, by the server they go to.
#[derive(Debug, Default)]
pub(super) struct Clients(Mutex<BTreeMap<String, Reach>>);

/// Tells a service of a message. When it does not let us in and a secret has changed meanwhile, it
/// is told once more.
pub(super) async fn tell(
    notifier: &Notifier,
    service: &Service,
    message: &Message,
    clients: &Clients,
    now: Wall,
) -> Verdict {
    let deadline = Instant::now() + notifier.timeout;
    let mut revealed = match reveal(service, deadline).await {
        Ok(revealed) => revealed,
        Err(why) => return never(why).verdict,
    };
    let mut tried = attempt(notifier, service, message, clients, &revealed, deadline, now).await;
    if matches!(tried.status, Some(401 | 403))
        && let Ok(again) = reveal(service, deadline).await
        && again != revealed
    {
        revealed = again;
        tried = attempt(notifier, service, message, clients, &revealed, deadline, now).await;
    }
    tried.verdict
}

async fn reveal(service: &Service, deadline: Instant) -> Result<Revealed, String> {
    let service = service.clone();
    let read = aside(move || Revealed::read(&service));
    timeout_at(deadline, read)
        .await
        .unwrap_or_else(|_late| Err("the secrets could not be read in time".to_owned()))
}

async fn attempt(
    notifier: &Notifier,
    service: &Service,
    message: &Message,
    clients: &Clients,
    revealed: &Revealed,
    deadline: Instant,
    now: Wall,
) -> Outcome {
    let requests = match requests(notifier, service, message, revealed) {
        Ok(requests) => requests,
        Err(why) => return never(why),
    };
    let one = |requests: Vec<Request>| async move {
        let mut last = None;
        for mut request in requests {
            if let Err(why) = signature::add(&mut request, revealed, now) {
                return Some(never(why));
            }
            let outcome = send(service, &request, clients, revealed, deadline, notifier.timeout, now).await;
            let accepted = outcome.verdict == Verdict::Accepted;
            last = Some(outcome);
            if !accepted {
                break;
            }
        }
        last
    };
    let outcomes = join_all(requests.into_iter().map(one)).await.into_iter().flatten();
    let nothing = Outcome { verdict: Verdict::Accepted, status: None, unsent: false };
    outcomes.reduce(worse).unwrap_or(nothing)
}

/// Of several places that must all take it, how it went in all.
fn worse(one: Outcome, other: Outcome) -> Outcome {
    use Verdict::{Accepted, Refused, Unclear};
    let first = match (&one.verdict, &other.verdict) {
        (Accepted, _) => false,
        (_, Accepted) | (Unclear { .. }, Refused { .. }) => true,
        (Refused { .. }, Unclear { .. }) => false,
        (Refused { for_good, .. }, Refused { .. }) => !for_good,
        (Unclear { .. }, Unclear { .. }) => true,
    };
    // For good only where none may take it later.
    if first { one } else { other }
}

pub(super) async fn send(
    service: &Service,
    request: &Request,
    clients: &Clients,
    revealed: &Revealed,
    deadline: Instant,
    limit: Duration,
    now: Wall,
) -> Outcome {
    let server = place(&request.url);
    // So that "not connected in time" is told from "not answered in time".
    let connect = limit.mul_f64(0.6);
    let reach = match clients.known(&server) {
        Some(reach) => reach,
        None => {
            let made = Reach::through(&request.url, &service.tls, connect, service.proxy.as_ref());
            match timeout_at(deadline, made).await {
                Ok(Ok(reach)) => clients.keep(&server, reach),
                Ok(Err(why)) => return never(why),
                Err(_late) => return never(format!("{server} could not be looked up in time")),
            }
        }
    };
    let outcome = exchange(&reach, request, &revealed.secrets, deadline, limit, now).await;
    if outcome.unsent {
        // A certificate or an address may have changed.
        clients.forget(&server);
    }
    outcome
}

impl Clients {
    fn known(&self, server: &str) -> Option<Reach> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(server).cloned()
    }

    fn keep(&self, server: &str, reach: Reach) -> Reach {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(server.to_owned(), reach.clone());
        reach
    }

    fn forget(&self, server: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(server);
    }
}
