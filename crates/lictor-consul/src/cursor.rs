//! Where in Consul's history a loop of blocking queries is.

use crate::meta::Index;

/// Where a loop of blocking queries is, and what the index of each answer says.
///
/// [`Watch`](crate::Watch) has one. A loop of one's own, whose answers are read in pieces, goes
/// like this, with a pause between two queries, since a server need not hold them. Whatever of it is broken
/// off or fails, nothing is lost.
///
/// ```no_run
/// # async fn example(client: lictor_consul::Client) -> Result<(), lictor_consul::Error> {
/// # use lictor_consul::{Cursor, Query};
/// # use std::time::Duration;
/// let mut cursor = Cursor::new();
/// loop {
///     tokio::time::sleep(Duration::from_millis(50)).await;
///     let query = Query::new().index(cursor.index());
///     let mut rows = client.kv().rows("app/", &query).await.inspect_err(|_| cursor.failed())?;
///     let Some(cause) = cursor.answered(rows.meta().index) else { continue };
///     println!("{cause:?}");
///     while rows.next(|row| println!("{}", row.key)).await.inspect_err(|_| cursor.failed())? {}
///     cursor.finished();
/// }
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Cursor {
    /// The index of the last answer; zero before the first.
    seen: Index,
    /// Whether there is an index to wait for.
    waits: bool,
    /// What the next answer is taken as even if its index is the last one.
    due: Option<Cause>,
    hashed: bool,
}

/// Why an answer is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It is the first.
    First,
    /// The index moved forward.
    Changed,
    /// It is the first after an error. Whether something changed is not known.
    Recovered,
    /// The index went back: a snapshot was restored, the cluster is another, or a server that is
    /// behind answered. What was derived from indexes so far means nothing.
    WentBack,
}

impl Default for Cursor {
    fn default() -> Self {
        Self::new()
    }
}

impl Cursor {
    /// Before the first answer.
    #[must_use]
    pub const fn new() -> Self {
        Self { seen: Index::ZERO, waits: false, due: Some(Cause::First), hashed: false }
    }

    /// Takes the index for a hash, which does not go back: for [events](crate::Events).
    #[must_use]
    pub fn hashed(self) -> Self {
        Self { hashed: true, ..self }
    }

    /// What the next query waits to get past; [`Index::ZERO`] if it does not wait.
    #[must_use]
    pub fn index(&self) -> Index {
        if self.waits && self.due.is_none() { self.seen } else { Index::ZERO }
    }

    /// The index of the last answer; [`Index::ZERO`] before the first.
    #[must_use]
    pub const fn seen(&self) -> Index {
        self.seen
    }

    /// Takes the index of an answer to the query for [`index`](Self::index). `None`: the answer is of no
    /// use, and the next query is sent. Otherwise it is to be read, and why;
    /// [`finished`](Self::finished) follows when it was.
    ///
    /// An answer without an index is always read; who asks on is the one to pause.
    pub fn answered(&mut self, index: Option<Index>) -> Option<Cause> {
        let waited = self.index() != Index::ZERO;
        // An index of zero would be answered at once for ever.
        let Some(index) = index.map(|index| index.max(Index(1))) else {
            self.waits = false;
            return Some(*self.due.get_or_insert(Cause::Changed));
        };
        self.waits = true;
        let last = std::mem::replace(&mut self.seen, index);
        if index < last && !self.hashed {
            self.due = Some(Cause::WentBack);
            if waited {
                // The servers may have changed while this was held: read what there is now.
                return None;
            }
        } else if index != last {
            self.due.get_or_insert(Cause::Changed);
        }
        self.due
    }

    /// Takes that the last answer was read as a whole. Without this it is asked for again, without
    /// waiting.
    pub fn finished(&mut self) {
        self.due = None;
    }

    /// Takes that there was no answer, or that it broke off. The next query does not wait.
    pub fn failed(&mut self) {
        self.due = match self.due {
            None | Some(Cause::Changed) => Some(Cause::Recovered),
            due @ Some(Cause::First | Cause::Recovered | Cause::WentBack) => due,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What happens to an answer.
    enum Then {
        /// It comes, and is read.
        At(u64),
        /// It comes, and is not read to its end: the reader went away.
        Dropped(u64),
        /// It comes and breaks off.
        Broken(u64),
        NoIndex,
        /// None comes.
        Fails,
    }

    use Then::{At, Broken, Dropped, Fails, NoIndex};

    fn play(mut cursor: Cursor, script: &[Then]) -> String {
        let mut said = Vec::new();
        for then in script {
            let asked = cursor.index();
            let answer = match *then {
                At(index) | Dropped(index) | Broken(index) => cursor.answered(Some(Index(index))),
                NoIndex => cursor.answered(None),
                Fails => None,
            };
            match then {
                At(_) | NoIndex if answer.is_some() => cursor.finished(),
                Broken(_) | Fails => cursor.failed(),
                At(_) | NoIndex | Dropped(_) => {}
            }
            let answer = answer.map_or("-".to_owned(), |cause| format!("{cause:?}"));
            said.push(format!("{asked} {answer}"));
        }
        said.join(", ")
    }

    fn played(script: &[Then]) -> String {
        play(Cursor::new(), script)
    }

    #[test]
    fn an_index_that_stays_is_waited_for_again() {
        assert_eq!(played(&[At(5), At(5), At(9), At(9)]), "0 First, 5 -, 5 Changed, 9 -");
    }

    #[test]
    fn an_index_that_goes_back_is_read_anew_without_waiting() {
        assert_eq!(played(&[At(40), At(7), At(7), At(8)]), "0 First, 40 -, 0 WentBack, 7 Changed");
        let hashed = Cursor::new().hashed();
        assert_eq!(play(hashed, &[At(40), At(7), At(7)]), "0 First, 40 Changed, 7 -");
    }

    #[test]
    fn an_answer_that_was_not_read_to_its_end_is_asked_for_again_for_the_same_reason() {
        assert_eq!(played(&[Dropped(5), Broken(5), At(5), At(5)]), "0 First, 0 First, 0 First, 5 -");
        assert_eq!(
            played(&[At(5), Dropped(6), At(6), Broken(7), At(7)]),
            "0 First, 5 Changed, 0 Changed, 6 Changed, 0 Recovered"
        );
        assert_eq!(
            played(&[At(9), At(3), Broken(3), Fails, Dropped(4), At(4), At(5)]),
            "0 First, 9 -, 0 WentBack, 0 -, 0 WentBack, 0 WentBack, 4 Changed"
        );
    }

    #[test]
    fn after_an_error_it_is_not_known_what_changed() {
        assert_eq!(
            played(&[At(5), Fails, Fails, At(5), Fails, At(2)]),
            "0 First, 5 -, 0 -, 0 Recovered, 5 -, 0 WentBack"
        );
    }

    #[test]
    fn neither_an_index_of_zero_nor_none_is_waited_for() {
        assert_eq!(
            played(&[At(0), At(0), NoIndex, NoIndex, At(1)]),
            "0 First, 1 -, 1 Changed, 0 Changed, 0 -"
        );
    }
}
