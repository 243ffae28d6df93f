//! What shows who asks and does not last: it is asked for when it is needed, kept, and replaced in time.

pub(crate) mod machine;
pub(crate) mod sts;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::wire::fault::Fault;

/// How long before its end something is replaced: a request that is under way has at least this long.
const BEFORE: Duration = Duration::from_secs(300);

/// Something that lasts for a while. The lock is held while it is asked for, so that it is asked for once.
pub(crate) struct Kept<T>(Mutex<Option<(Arc<T>, Instant)>>);

impl<T> Kept<T> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// What is kept, or what `ask` gives: the thing, and how long it lasts.
    pub(crate) async fn get(
        &self,
        ask: impl Future<Output = Result<(T, Duration), Fault>> + Send,
    ) -> object_store::Result<Arc<T>> {
        let mut kept = self.0.lock().await;
        if let Some((thing, until)) = &*kept
            && Instant::now() < *until
        {
            return Ok(Arc::clone(thing));
        }
        // From before it was made, so that a slow answer makes it older and not younger.
        let begun = Instant::now();
        let (thing, lasts) = ask
            .await
            .map_err(|fault| object_store::Error::Generic { store: "login", source: Box::new(fault) })?;
        let thing = Arc::new(thing);
        // What lasts for a moment is asked for again each time.
        let until = begun + lasts.saturating_sub(BEFORE);
        *kept = Some((Arc::clone(&thing), until));
        Ok(thing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_lasts_is_asked_for_again_before_its_end() {
        let kept = Kept::new();
        let ask = |number: u32| kept.get(async move { Ok((number, Duration::from_secs(3600))) });
        assert_eq!(*ask(1).await.unwrap(), 1);
        tokio::time::advance(Duration::from_secs(3299)).await;
        assert_eq!(*ask(2).await.unwrap(), 1);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(*ask(3).await.unwrap(), 3);
    }
}
