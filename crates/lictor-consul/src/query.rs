//! The options of a read.

use std::time::Duration;

use crate::meta::Index;

/// The longest time a server holds a blocking query.
const MAX_WAIT: Duration = Duration::from_mins(10);

/// How long a server holds a blocking query that does not say.
const DEFAULT_WAIT: Duration = Duration::from_mins(5);

/// How sure an answer must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consistency {
    /// The leader answers without asking the others. It can be wrong for a moment around the loss of
    /// a leader, and for seconds after all servers restarted: then an answer may have only a part of
    /// what there is. Good for waiting, not for deciding.
    #[default]
    Default,
    /// The leader makes sure that it still leads. What this answer says was so.
    Consistent,
    /// Any server answers, however far behind it is, also without a leader.
    Stale,
    /// The agent answers from its cache if it has the answer. Health and catalog only.
    Cached,
}

/// The options of a read. An empty one asks the client's datacenter with the client's consistency.
///
/// ```
/// # use std::time::Duration;
/// # use lictor_consul::{Index, Query};
/// let wait = Query::new().index(Index(17)).wait(Duration::from_secs(30));
/// let sure = Query::new().consistent().datacenter("dc2");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    pub(crate) index: Option<Index>,
    pub(crate) wait: Option<Duration>,
    pub(crate) consistency: Option<Consistency>,
    pub(crate) datacenter: Option<String>,
    pub(crate) filter: Option<String>,
    pub(crate) near: Option<String>,
}

impl Query {
    /// No options.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Blocks until there is something newer than `index`, or the [`wait`](Self::wait) has passed.
    /// With [`Index::ZERO`] it does not block.
    #[must_use]
    pub fn index(mut self, index: Index) -> Self {
        self.index = (index != Index::ZERO).then_some(index);
        self
    }

    /// How long a blocking query is held without news: 5 minutes if unset, 10 at most. The server
    /// adds up to a sixteenth.
    #[must_use]
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = Some(wait.min(MAX_WAIT));
        self
    }

    /// Asks with this consistency.
    #[must_use]
    pub fn consistency(mut self, consistency: Consistency) -> Self {
        self.consistency = Some(consistency);
        self
    }

    /// Asks with [`Consistency::Consistent`].
    #[must_use]
    pub fn consistent(self) -> Self {
        self.consistency(Consistency::Consistent)
    }

    /// Asks with [`Consistency::Stale`].
    #[must_use]
    pub fn stale(self) -> Self {
        self.consistency(Consistency::Stale)
    }

    /// Asks this datacenter.
    #[must_use]
    pub fn datacenter(mut self, datacenter: impl Into<String>) -> Self {
        self.datacenter = Some(datacenter.into());
        self
    }

    /// Keeps only what this expression selects, for example `"web" in ServiceTags`. Health, catalog
    /// and agent only.
    #[must_use]
    pub fn filter(mut self, expression: impl Into<String>) -> Self {
        self.filter = Some(expression.into());
        self
    }

    /// Sorts by the round trip from this node; `_agent` is the agent's own. Health and catalog only.
    #[must_use]
    pub fn near(mut self, node: impl Into<String>) -> Self {
        self.near = Some(node.into());
        self
    }

    /// The longest time the server may hold this query: nothing unless it blocks.
    pub(crate) fn held(&self) -> Duration {
        match self.index {
            None => Duration::ZERO,
            Some(_) => {
                let wait = self.wait.unwrap_or(DEFAULT_WAIT);
                wait + wait / 16
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_query_with_an_index_is_held() {
        let minute = Duration::from_mins(1);
        assert_eq!(Query::new().wait(minute).held(), Duration::ZERO);
        let zero = Query::new().index(Index::ZERO).wait(minute);
        assert_eq!(zero.held(), Duration::ZERO);
    }

    #[test]
    fn the_servers_own_sixteenth_is_counted() {
        let held = |query: Query| query.index(Index(1)).held().as_millis();
        assert_eq!(held(Query::new().wait(Duration::from_secs(16))), 17_000);
        assert_eq!(held(Query::new()), 318_750);
        assert_eq!(held(Query::new().wait(Duration::MAX)), 637_500);
    }
}
