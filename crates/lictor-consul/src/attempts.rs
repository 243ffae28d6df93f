//! Sending a request again, as far as that is allowed.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};
use tracing::debug;

use crate::backoff::Backoff;
use crate::client::deadline_in;
use crate::config::Limits;
use crate::error::{Call, Error};
use crate::request::Request;

/// The pauses between two attempts of a request.
const PAUSE: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));

/// The attempts of one request, which share one time limit.
pub(crate) struct Attempts<'a> {
    call: &'a Call,
    limit: Duration,
    deadline: Instant,
    pauses: Backoff,
    most: u32,
    /// The number of the attempt that is made; the first is 1.
    pub(crate) number: u32,
}

impl<'a> Attempts<'a> {
    pub(crate) fn of(request: &'a Request, limits: &Limits) -> Self {
        let limit = request.held.saturating_add(limits.answer);
        Self {
            call: &request.call,
            limit,
            deadline: deadline_in(limit),
            pauses: PAUSE,
            most: limits.attempts,
            number: 1,
        }
    }

    /// One attempt, until the time limit.
    pub(crate) async fn within<T>(&self, once: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        match timeout_at(self.deadline, once).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Error::TimedOut { call: self.call.clone(), limit: self.limit }),
        }
    }

    /// Waits until there may be another attempt after this error.
    ///
    /// # Errors
    /// This one, if there may be none.
    pub(crate) async fn again(&mut self, error: Error) -> Result<(), Error> {
        let pause = self.pauses.next();
        let in_time = Instant::now() + pause < self.deadline;
        if self.number >= self.most || !in_time || !error.is_repeatable() {
            return Err(error);
        }
        debug!(attempt = self.number, ?pause, %error, "consul request is sent again");
        sleep(pause).await;
        self.number += 1;
        Ok(())
    }
}
