//! What a server has after a restore, beside what the snapshot has.

use std::fmt;
use std::ops::ControlFlow;

use lictor_snapshot::archive::Limits;
use lictor_snapshot::diff::{self, How, What};
use lictor_snapshot::inspect::Inspection;
use lictor_snapshot::source::ReadError;
use lictor_snapshot::{Kind, Source};
use serde::Serialize;

use super::original::{Added, Original};
use crate::text::one_line;

/// Differences that are named.
const NAMED: usize = 10;

/// Characters of a name that are shown.
const SHOWN: usize = 200;

/// How many of one sort of things there were, and are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// What they are: `key`, `token`; of what is only counted by records, its kind, such as `FederationState`.
    pub what: String,
    /// How many the snapshot has.
    pub in_snapshot: u64,
    /// How many of these were compared one by one, and had to be there as they were.
    pub compared: u64,
    /// How many the server had when it was saved again.
    pub afterwards: u64,
}

/// Something that is not as it was, and should be. Its name, and nothing that it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What became of it.
    pub became: Became,
    /// What it is, such as `key`.
    pub what: &'static str,
    /// What it is called, in one line.
    pub name: String,
}

/// What became of a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Became {
    /// It is gone.
    Lost,
    /// It is another one.
    Changed,
    /// It is there, and the snapshot does not have it.
    Added,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { became, what, name } = self;
        let became = match became {
            Became::Lost => "lost",
            Became::Changed => "changed",
            Became::Added => "added",
        };
        write!(f, "{what} `{name}` ({became})")
    }
}

/// What a comparison found.
#[derive(Debug)]
pub(super) struct Comparison {
    pub(super) counted: Vec<Counted>,
    /// How many differ that should not.
    pub(super) differing: u64,
    /// The first of them.
    pub(super) first: Vec<Difference>,
}

/// Compares what was saved again with the snapshot. `own`: the secret of the token that the drill gave the server.
pub(super) fn compare(
    source: &Source,
    original: &Original,
    after: &Source,
    own: &[u8],
    version: (u16, u16),
) -> Result<Comparison, ReadError> {
    let (mut then, mut added) = (Inspection::new(None), Added::new());
    after.read(&Limits::default(), |record| {
        then.add(record);
        added.see(record, own, original);
        ControlFlow::Continue(())
    })?;
    let rules = original.rules(added, version);
    let (mut differing, mut first) = (0_u64, Vec::new());
    let summary = diff::compare(source, after, &Limits::default(), |change| {
        let (became, fine) = match change.how {
            How::Added => (Became::Added, rules.may_be_new(change.what, &change.name)),
            How::Removed => (Became::Lost, rules.may_change(change.what, &change.name)),
            How::Changed(_) => (Became::Changed, rules.may_change(change.what, &change.name)),
        };
        if !fine {
            differing += 1;
            if first.len() < NAMED {
                let name = one_line(&String::from_utf8_lossy(&change.name), SHOWN);
                first.push(Difference { became, what: change.what.name(), name });
            }
        }
        ControlFlow::Continue(())
    })?;
    let things = What::ALL.into_iter().map(|what| {
        let totals = summary.of(what);
        let in_snapshot = totals.same + totals.changed + totals.removed;
        let left_out = if rules.compares(what) { original.changing(what) } else { in_snapshot };
        Counted {
            what: what.name().to_owned(),
            in_snapshot,
            compared: in_snapshot.saturating_sub(left_out),
            afterwards: totals.same + totals.changed + totals.added,
        }
    });
    let kinds = (0..=u8::MAX).map(Kind::new).filter(|kind| !diff::compares(*kind)).map(|kind| Counted {
        what: kind.to_string(),
        in_snapshot: original.inspection.of(kind).count,
        compared: 0,
        afterwards: then.of(kind).count,
    });
    let counted =
        things.chain(kinds).filter(|counted| counted.in_snapshot + counted.afterwards > 0).collect();
    Ok(Comparison { counted, differing, first })
}
