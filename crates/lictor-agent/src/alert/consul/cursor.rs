//! Where in Consul's history the last answer was, and what is asked for next.

use std::time::Duration;

use lictor_consul::{Index, Query};

/// The place in the history of a list.
#[derive(Debug)]
pub(super) struct Cursor {
    seen: Index,
    waits: bool,
    complete: bool,
}

/// How an answer's index stands to the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moved {
    /// It is newer, or there is nothing to compare it with.
    Forward,
    /// It is the same: the wait was over.
    Stayed,
    /// It is older: what was read so far may be of another history. The answer is of no use.
    Back,
}

impl Cursor {
    /// Before the first answer.
    pub(super) const fn new() -> Self {
        Self { seen: Index::ZERO, waits: false, complete: true }
    }

    /// Whether the next answer must be read as a whole, and not for what changed.
    pub(super) const fn complete(&self) -> bool {
        self.complete
    }

    /// Whether the next query waits for news.
    pub(super) const fn waits(&self) -> bool {
        self.waits
    }

    /// The query with what is asked for next; one that waits does so for `wait` at most.
    pub(super) fn ask(&self, query: Query, wait: Duration) -> Query {
        if self.waits { query.index(self.seen).wait(wait) } else { query }
    }

    /// Nothing read so far can be built on: the next answer is read as a whole, at once.
    pub(super) const fn restart(&mut self) {
        *self = Self::new();
    }

    /// The same is read once more without waiting.
    pub(super) const fn again(&mut self) {
        self.waits = false;
    }

    /// Takes the index of an answer.
    pub(super) fn take(&mut self, index: Index) -> Moved {
        // An index of zero would be answered at once for ever.
        let index = index.max(Index(1));
        if !self.complete && index < self.seen {
            self.restart();
            return Moved::Back;
        }
        let moved = if index == self.seen { Moved::Stayed } else { Moved::Forward };
        *self = Self { seen: index, waits: true, complete: false };
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_secs(30);

    /// What becomes of these indexes, and whether the query after each waits.
    fn play(indexes: &[u64]) -> Vec<(Moved, bool, bool)> {
        let mut cursor = Cursor::new();
        let step = |&index: &u64| (cursor.take(Index(index)), cursor.waits(), cursor.complete());
        indexes.iter().map(step).collect()
    }

    #[test]
    fn after_an_answer_the_next_one_is_waited_for() {
        use Moved::{Forward, Stayed};
        let expected = [(Forward, true, false), (Stayed, true, false), (Forward, true, false)];
        assert_eq!(play(&[5, 5, 9]), expected);
    }

    #[test]
    fn an_index_that_goes_back_is_not_trusted_and_everything_is_read_anew() {
        use Moved::{Back, Forward};
        let expected = [(Forward, true, false), (Back, false, true), (Forward, true, false)];
        assert_eq!(play(&[40, 7, 7]), expected);
        assert_eq!(play(&[40, 7, 3]), expected, "nothing is compared with what was forgotten");
    }

    #[test]
    fn an_index_of_zero_is_waited_for_as_one() {
        let mut cursor = Cursor::new();
        cursor.take(Index::ZERO);
        assert_eq!(cursor.ask(Query::new(), WAIT), Query::new().index(Index(1)).wait(WAIT));
        assert_eq!(cursor.take(Index::ZERO), Moved::Stayed);
    }

    #[test]
    fn what_is_read_once_more_is_not_waited_for() {
        let mut cursor = Cursor::new();
        cursor.take(Index(5));
        cursor.again();
        assert_eq!((cursor.ask(Query::new(), WAIT), cursor.complete()), (Query::new(), false));
        assert_eq!(cursor.take(Index(4)), Moved::Back);
    }
}
