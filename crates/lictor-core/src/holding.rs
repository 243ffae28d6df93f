//! Who holds a lease.

use std::fmt;

/// Who holds a lease, for all that this node knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holding {
    /// This node.
    Ours,
    /// Another node.
    Other {
        /// Its name.
        node: String,
    },
    /// Nobody can say: the shared records cannot be reached, or nobody has had it long enough.
    Unknown {
        /// Why.
        why: String,
    },
}

impl fmt::Display for Holding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ours => f.write_str("this node holds it"),
            Self::Other { node } => write!(f, "{node} holds it"),
            Self::Unknown { why } => write!(f, "it is not known who holds it: {why}"),
        }
    }
}
