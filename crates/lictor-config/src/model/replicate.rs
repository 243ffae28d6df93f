//! What is copied from one datacenter of Consul to others.

use std::time::Duration;

use lictor_core::ReplicateName;
use lictor_core::replicate::{Exclude, Limit, Locks, Prefix, Way};

/// `replicate "NAME" { … }`: keys of Consul that other datacenters have too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replicate {
    /// Its name, the same on all nodes.
    pub name: ReplicateName,
    /// What is copied.
    pub prefixes: Vec<Prefix>,
    /// The datacenters it is copied to; none: that of the agent of the block `consul`.
    pub to: Vec<String>,
    /// Keys that are left alone, by their names at the source.
    pub excludes: Vec<Exclude>,
    /// Whether a key that only a destination has is deleted.
    pub delete: bool,
    /// How many keys may be deleted at a time without a person.
    pub limit: Limit,
    /// How far apart the two answers of the source are on which a delete rests.
    pub confirm: Duration,
    /// A key of the source that its token must be able to read for anything to be deleted.
    pub canary: Option<String>,
    /// Whether a copy that somebody else has changed is put right, also when the source has not changed since.
    pub repair: bool,
    /// What becomes of locks and semaphores.
    pub locks: Locks,
    /// How long the source must be quiet before its changes are copied, and how long they may wait for that at most.
    pub wait: Option<(Duration, Duration)>,
    /// How old an answer of the source may be that is not its leader's; `None`: the leader is asked.
    pub max_stale: Option<Duration>,
    /// Transactions that are under way at a time.
    pub parallel: usize,
    /// Whether nothing is written, only told.
    pub dry_run: bool,
    /// The service of Consul under which it says how it stands.
    pub service: Option<String>,
    /// How long it waits after a failure, twice as long after each one that follows, and at most.
    pub pauses: (Duration, Duration),
    /// Deletes that a person has approved of before they are held back, by their names.
    pub approved: Vec<String>,
    /// How the program that was replaced notes what was copied.
    pub notes: Option<Notes>,
}

impl Replicate {
    /// The pauses unless something else is said.
    pub const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));

    /// Where its keys go: prefix by prefix, each to one datacenter after the other. `own`: the datacenter that is meant where
    /// none is named.
    pub fn ways(&self, own: &str) -> Vec<Way> {
        let own = [own.to_owned()];
        let to = if self.to.is_empty() { own.as_slice() } else { &self.to };
        let begins = |exclude: &Exclude| match exclude {
            Exclude::Prefix(prefix) => Some(prefix.clone()),
            Exclude::Contains(_) | Exclude::Matches(_) => None,
        };
        let excludes: Vec<String> = self.excludes.iter().filter_map(begins).collect();
        let way = |prefix: &Prefix, to: &String| Way {
            name: self.name.to_string(),
            from: prefix.datacenter.clone(),
            source: prefix.source.clone(),
            to: to.clone(),
            destination: prefix.destination.clone(),
            excludes: excludes.clone(),
        };
        self.prefixes.iter().flat_map(|prefix| to.iter().map(move |to| way(prefix, to))).collect()
    }
}

/// Notes as consul-replicate has them: one for each prefix, in the destination. It then neither holds a lease nor keeps
/// records of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notes {
    /// What the keys of all notes begin with; nothing there is ever copied over or deleted.
    pub directory: String,
    /// The key of the note of each prefix, in their order.
    pub keys: Vec<String>,
}
