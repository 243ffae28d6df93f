//! Waiting for changes, done right.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures::stream::{self, Stream};
use tokio::time::{Instant, sleep_until};

use crate::backoff::Backoff;
use crate::client::{Client, deadline_in};
use crate::cursor::{Cause, Cursor};
use crate::error::Error;
use crate::kv::Pair;
use crate::meta::{Answer, Meta};
use crate::query::Query;

/// The pauses after errors.
const AFTER_ERRORS: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));

/// Waits for changes of one thing by blocking queries, for as long as it is asked to.
///
/// - Each [`next`](Self::next) gives a change or an error, so that its user sees an outage when it
///   begins. The first call after an error pauses, longer each time; the first answer after it is given
///   whether or not something changed.
/// - After an error, and when the index went back, everything is read anew without waiting.
/// - A request ends by itself when the server does not: after its wait, a sixteenth more and the
///   client's time limit.
/// - Two requests are at least [`at_most_every`](Self::at_most_every) apart. What changes in between is seen at
///   once by the later one.
///
/// An answer is given when the index moved, which it may without a change of what was asked for: compare.
/// An index that went back while no request was held is noticed when the next one's wait is over, which
/// is why that is 1 minute unless the query says otherwise.
///
/// ```no_run
/// # async fn example(client: lictor_consul::Client) {
/// # use lictor_consul::{Query, Status, Watch};
/// let mut watch = Watch::new(client, Query::new(), |client, query| async move {
///     client.health().state(Some(&Status::Critical), &query).await
/// });
/// loop {
///     match watch.next().await {
///         Ok(change) => println!("{:?}: {} critical", change.cause, change.value.len()),
///         Err(error) => println!("{error}"),
///     }
/// }
/// # }
/// ```
pub struct Watch<T> {
    client: Client,
    query: Query,
    fetch: Fetch<T>,
    gap: Duration,
    cursor: Cursor,
    /// When the next request may be sent.
    not_before: Instant,
    pauses: Backoff,
}

/// An answer a [`Watch`] gives.
#[derive(Clone, Debug)]
pub struct Change<T> {
    /// The value.
    pub value: T,
    /// What came with it.
    pub meta: Meta,
    /// Why it is given.
    pub cause: Cause,
}

type Fetch<T> = Box<dyn FnMut(Client, Query) -> Fetching<T> + Send>;

type Fetching<T> = Pin<Box<dyn Future<Output = Result<Answer<T>, Error>> + Send>>;

impl<T> Watch<T> {
    /// A watch of what `fetch` gives for a query. It is called with `query` and the index and wait of
    /// the moment, and a client that sends each request once.
    #[must_use]
    pub fn new<F, Fut>(client: Client, query: Query, mut fetch: F) -> Self
    where
        F: FnMut(Client, Query) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Answer<T>, Error>> + Send + 'static,
    {
        let query = match query.wait {
            Some(_) => query,
            None => query.wait(DEFAULT_WAIT),
        };
        Self {
            client: client.with_attempts(1),
            query,
            fetch: Box::new(move |client, query| Box::pin(fetch(client, query))),
            gap: Duration::from_millis(50),
            cursor: Cursor::new(),
            not_before: Instant::now(),
            pauses: AFTER_ERRORS,
        }
    }

    /// How far apart requests are at least: 50 ms unless set. A longer one joins many changes into
    /// one answer and delays only the second of two changes.
    #[must_use]
    pub fn at_most_every(mut self, gap: Duration) -> Self {
        self.gap = gap;
        self
    }

    /// Takes the index for a hash, which does not go back: for [events](crate::Events).
    #[must_use]
    pub fn hashed(mut self) -> Self {
        self.cursor = self.cursor.hashed();
        self
    }

    /// The next change, or the error that keeps it from being seen.
    ///
    /// It may be dropped and called again without losing anything.
    ///
    /// # Errors
    /// If a request failed. Calling again goes on, after a pause.
    pub async fn next(&mut self) -> Result<Change<T>, Error> {
        loop {
            sleep_until(self.not_before).await;
            let query = self.query.clone().index(self.cursor.index());
            let fetched = (self.fetch)(self.client.clone(), query).await;
            let answer = match fetched {
                Ok(answer) => answer,
                Err(error) => {
                    self.not_before = deadline_in(self.pauses.next());
                    self.cursor.failed();
                    return Err(error);
                }
            };
            self.pauses.reset();
            self.not_before = deadline_in(self.gap);
            if let Some(cause) = self.cursor.answered(answer.meta.index) {
                self.cursor.finished();
                return Ok(Change { value: answer.value, meta: answer.meta, cause });
            }
        }
    }

    /// The watch as a stream, which never ends.
    pub fn into_stream(self) -> impl Stream<Item = Result<Change<T>, Error>> + Send
    where
        T: Send + 'static,
    {
        stream::unfold(self, async |mut watch| Some((watch.next().await, watch)))
    }
}

impl Watch<Vec<Pair>> {
    /// A watch of all keys that begin with `prefix`.
    #[must_use]
    pub fn list(client: Client, prefix: impl Into<String>, query: Query) -> Self {
        let prefix = prefix.into();
        Self::new(client, query, move |client, query| {
            let prefix = prefix.clone();
            async move { client.kv().list(&prefix, &query).await }
        })
    }
}

impl Watch<Option<Pair>> {
    /// A watch of one key, which need not exist.
    #[must_use]
    pub fn key(client: Client, key: impl Into<String>, query: Query) -> Self {
        let key = key.into();
        Self::new(client, query, move |client, query| {
            let key = key.clone();
            async move { client.kv().get(&key, &query).await }
        })
    }
}

impl<T> fmt::Debug for Watch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("client", &self.client)
            .field("query", &self.query)
            .field("cursor", &self.cursor)
            .finish_non_exhaustive()
    }
}

/// How long a request is held without news. Shorter than Consul's 5 minutes: within this time and the
/// client's limit, a connection that died silently is noticed.
const DEFAULT_WAIT: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex};

    use http::Method;

    use super::*;
    use crate::config::Config;
    use crate::error::Call;
    use crate::meta::Index;

    /// What a server would do: an index after some time, or an error.
    #[derive(Clone, Copy)]
    enum Then {
        Index(u64),
        NoIndex,
        Error,
    }

    /// Plays answers to a watch and writes down what it asked for and gave.
    async fn play(script: &[Then], hashed: bool) -> String {
        let left: VecDeque<Then> = script.iter().copied().collect();
        let left = Arc::new(Mutex::new(left));
        let said = Arc::new(Mutex::new(Vec::new()));
        let client = Client::new(Config::default()).unwrap();
        let (answers, asked) = (Arc::clone(&left), Arc::clone(&said));
        let mut watch = Watch::new(client, Query::new(), move |_, query: Query| {
            let then = answers.lock().unwrap().pop_front();
            let index = query.index.unwrap_or_default();
            asked.lock().unwrap().push(format!("asks {index}"));
            async move {
                let index = match then.unwrap() {
                    Then::Index(index) => Some(Index(index)),
                    Then::NoIndex => None,
                    Then::Error => return Err(broken()),
                };
                Ok(Answer { value: (), meta: Meta { index, ..Meta::default() } })
            }
        });
        if hashed {
            watch = watch.hashed();
        }
        while !left.lock().unwrap().is_empty() {
            let gave = match watch.next().await {
                Ok(change) => format!("{:?} at {}", change.cause, watch.cursor.seen()),
                Err(_) => "error".to_owned(),
            };
            said.lock().unwrap().push(gave);
        }
        let said = said.lock().unwrap();
        said.join(", ")
    }

    fn broken() -> Error {
        Error::TimedOut {
            call: Call { method: Method::GET, path: "/".to_owned(), writes: false },
            limit: Duration::ZERO,
        }
    }

    use Then::{Error as Fails, Index as At, NoIndex};

    #[tokio::test(start_paused = true)]
    async fn only_a_moved_index_is_given() {
        assert_eq!(
            play(&[At(5), At(5), At(5), At(9)], false).await,
            "asks 0, First at 5, asks 5, asks 5, asks 5, Changed at 9"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_index_that_goes_back_is_read_anew_without_waiting() {
        assert_eq!(
            play(&[At(40), At(7), At(7), At(8)], false).await,
            "asks 0, First at 40, asks 40, asks 0, WentBack at 7, asks 7, Changed at 8"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_index_that_goes_back_and_forth_is_still_told() {
        assert_eq!(
            play(&[At(40), At(7), At(41), At(8), At(8)], false).await,
            "asks 0, First at 40, asks 40, asks 0, WentBack at 41, asks 41, asks 0, WentBack at 8"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_hash_does_not_go_back() {
        assert_eq!(play(&[At(40), At(7)], true).await, "asks 0, First at 40, asks 40, Changed at 7");
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_seen_when_it_begins_and_when_it_ends() {
        assert_eq!(
            play(&[At(5), Fails, Fails, At(5), At(6)], false).await,
            "asks 0, First at 5, asks 5, error, asks 0, error, asks 0, Recovered at 5, asks 5, \
             Changed at 6"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_index_that_goes_back_during_an_outage_is_told_as_that() {
        assert_eq!(
            play(&[At(5), Fails, At(2), At(3), At(1), Fails, At(1)], false).await,
            "asks 0, First at 5, asks 5, error, asks 0, WentBack at 2, asks 2, Changed at 3, \
             asks 3, asks 0, error, asks 0, WentBack at 1"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn neither_index_zero_nor_none_makes_it_spin() {
        let begun = Instant::now();
        assert_eq!(
            play(&[At(0), At(0), NoIndex, NoIndex], false).await,
            "asks 0, First at 1, asks 1, asks 1, Changed at 1, asks 0, Changed at 1"
        );
        assert_eq!(begun.elapsed(), Duration::from_millis(150));
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_while_errors_last() {
        let begun = Instant::now();
        play(&[Fails; 12], false).await;
        let lasted = begun.elapsed();
        // Eleven pauses of 0.1 s doubling to 10 s, of each a half at least.
        let whole = Duration::from_millis(100 + 200 + 400 + 800 + 1600 + 3200 + 6400 + 4 * 10_000);
        assert!(whole / 2 <= lasted && lasted <= whole + Duration::from_millis(11));
    }
}
