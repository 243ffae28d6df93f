//! `cargo xtask fuzz`: drives the fuzz targets of `fuzz/`.

use std::time::Duration;

use crate::error::Error;
use crate::lint::{BUILD, cargo};
use crate::workspace::Workspace;

/// Builds the driver and runs one target, or all, each for this long.
///
/// Without a seed the driver takes one of its own and prints it.
pub(crate) fn fuzz(
    workspace: &Workspace,
    target: Option<&str>,
    each: Duration,
    seed: Option<u64>,
) -> Result<String, Error> {
    let mut driver = cargo(workspace)
        .args(["run", "--quiet", "--package", "lictor-fuzz", "--", "run"])
        .args(["--seconds", &each.as_secs().to_string()])
        .arg("--corpus")
        .arg(workspace.root().join("fuzz/corpus"))
        .arg("--failures")
        .arg(workspace.target().join("fuzz-failures"))
        // A run over many targets is as long as they are many; each bounds itself.
        .deadline(BUILD + each * 100);
    if let Some(seed) = seed {
        driver = driver.args(["--seed", &seed.to_string()]);
    }
    if let Some(target) = target {
        driver = driver.arg(target);
    }
    let (lines, result) = driver.forward(|line| line.contains(" inputs"));
    result.map(|()| format!("{} targets, {} s each", lines.len(), each.as_secs()))
}
