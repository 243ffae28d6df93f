//! Where the programs are that a run needs.

use std::fs;
use std::path::{Path, PathBuf};

/// The whole path of a program that was named.
pub(super) fn whole(named: &Path) -> Result<PathBuf, String> {
    let whole = fs::canonicalize(named).ok().filter(|program| program.is_file());
    whole.ok_or_else(|| format!("at {}", named.display()))
}

/// A program that is found by its name.
pub(super) fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|program| program.is_file())
}
