//! `cargo xtask fuzz`: drives the fuzz targets of `fuzz/`.

use std::time::Duration;

use crate::error::Error;
use crate::lint::{BUILD, cargo};
use crate::tool::Tool;
use crate::workspace::Workspace;

/// Which targets, for how long, and how to repeat a run.
pub(crate) struct Plan<'a> {
    /// Only this one.
    pub(crate) target: Option<&'a str>,
    /// Time for each.
    pub(crate) each: Duration,
    /// Without one the driver takes one of its own and prints it.
    pub(crate) seed: Option<u64>,
}

/// Builds the driver and runs it.
pub(crate) fn fuzz(workspace: &Workspace, plan: &Plan<'_>) -> Result<String, Error> {
    drive(cargo(workspace).args(["run", "--quiet", "--package", "lictor-fuzz", "--"]), workspace, plan)
}

/// Runs the driver that was built with the tests: built by itself it would have other
/// features of other crates, and half of those would be built once more.
pub(crate) fn fuzz_as_built(workspace: &Workspace, plan: &Plan<'_>) -> Result<String, Error> {
    drive(Tool::new(workspace.target().join("debug/lictor-fuzz")), workspace, plan)
}

fn drive(driver: Tool, workspace: &Workspace, plan: &Plan<'_>) -> Result<String, Error> {
    let mut driver = driver
        .arg("run")
        .args(["--seconds", &plan.each.as_secs().to_string()])
        .arg("--corpus")
        .arg(workspace.root().join("fuzz/corpus"))
        .arg("--failures")
        .arg(workspace.target().join("fuzz-failures"))
        // A run over many targets is as long as they are many; each bounds itself.
        .deadline(BUILD + plan.each * 100);
    if let Some(seed) = plan.seed {
        driver = driver.args(["--seed", &seed.to_string()]);
    }
    if let Some(target) = plan.target {
        driver = driver.arg(target);
    }
    let (lines, result) = driver.forward(|line| line.contains(" inputs"));
    result.map(|()| format!("{} targets, {} s each", lines.len(), plan.each.as_secs()))
}
