//! Open files: as many as the system gives, and how many looks that allows at once.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// Looks under way at once when nothing else limits them. One look holds a few tens of
/// kilobytes while it waits, so this bounds what hanging targets can cost.
const IN_FLIGHT: usize = 8_192;

/// Files kept free for everything but looks: the store, the listener, its clients, actions.
const RESERVED: u64 = 256;

/// How many files may be open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OpenFiles {
    /// Before the limit was raised: what programs we start are given, since many of them
    /// look at every possible number or cannot use large ones.
    pub(super) original: Rlimit,
    /// Now.
    pub(super) limit: u64,
}

impl OpenFiles {
    /// Raises the soft limit of this process to the hard one.
    pub(super) fn raise() -> Self {
        let original = getrlimit(Resource::Nofile);
        let raised = Rlimit { current: original.maximum, maximum: original.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            warn!(%error, "cannot raise the limit of open files");
        }
        Self { original, limit: getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX) }
    }

    /// How many looks may be under way at once. A look has two files open at most: a socket,
    /// or the two outputs of a program.
    pub(super) fn looks(self) -> usize {
        let files = usize::try_from(self.limit.saturating_sub(RESERVED)).unwrap_or(usize::MAX);
        (files / 2).clamp(1, IN_FLIGHT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(limit: u64) -> usize {
        OpenFiles { original: Rlimit { current: None, maximum: None }, limit }.looks()
    }

    #[test]
    fn looks_leave_files_for_the_rest_of_the_agent() {
        assert_eq!(allowed(u64::MAX), 8_192);
        assert_eq!(allowed(1_024), 384);
        assert_eq!(allowed(10), 1);
    }

    #[test]
    fn the_soft_limit_is_raised_to_the_hard_one() {
        let files = OpenFiles::raise();
        assert_eq!(Some(files.limit), Some(files.original.maximum.unwrap_or(u64::MAX)));
    }
}
