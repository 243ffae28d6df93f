//! The checks that run no test: formatting, clippy, dependency policy.

use std::time::Duration;

use crate::error::Error;
use crate::policy;
use crate::stages::Stages;
use crate::tool::Tool;
use crate::workspace::Workspace;

/// Time for a cold build of everything on two slow cores.
pub(crate) const BUILD: Duration = Duration::from_secs(30 * 60);

/// `cargo xtask lint`.
pub(crate) fn lint(workspace: &Workspace) -> Result<(), Error> {
    let mut stages = Stages::start();
    run(&mut stages, workspace);
    stages.close(false)
}

/// Runs the lint stages, the cheapest first.
pub(crate) fn run(stages: &mut Stages, workspace: &Workspace) {
    stages.run("format", || cargo(workspace).args(["fmt", "--all", "--check"]).run().map(|()| String::new()));
    stages.run("dependencies", || policy::check(workspace));
    stages.run("clippy", || {
        cargo(workspace)
            .args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])
            .run()
            .map(|()| String::new())
    });
}

/// Cargo in the workspace, with time enough for a cold build.
pub(crate) fn cargo(workspace: &Workspace) -> Tool {
    Tool::cargo().dir(workspace.root()).deadline(BUILD)
}
