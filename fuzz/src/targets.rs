//! The table of targets. A new one is a function here and a line in [`TARGETS`];
//! what it starts from lies in `fuzz/corpus/NAME/`.

mod compat;
mod config;
mod consul;
mod planted;
mod snapshot;
mod wire;

use crate::Error;

/// Something that takes any bytes.
#[derive(Debug)]
pub(crate) struct Target {
    /// What one types, and the name of its corpus directory.
    pub(crate) name: &'static str,
    /// What it parses.
    pub(crate) about: &'static str,
    /// Words of its language, put in here and there.
    pub(crate) dictionary: &'static [&'static str],
    /// Parses; any panic is a fault.
    pub(crate) run: fn(&[u8]),
}

/// What `run` without a name drives.
pub(crate) const TARGETS: &[Target] = &[
    config::HCL,
    config::JSON,
    consul::TARGET,
    wire::TARGET,
    compat::TEMPLATE,
    compat::KEYS,
    compat::REPLICATE,
    snapshot::TARGET,
];

/// The target of this name; those with planted faults can be named as well.
pub(crate) fn find(name: &str) -> Result<&'static Target, Error> {
    TARGETS.iter().chain(planted::TARGETS).find(|target| target.name == name).ok_or_else(|| {
        Error::UnknownTarget {
            name: name.to_owned(),
            known: TARGETS.iter().map(|target| target.name).collect::<Vec<_>>().join(", "),
        }
    })
}
