//! `cargo xtask test`: everything that must hold before a change goes in.

use std::time::Duration;

use crate::docs;
use crate::error::Error;
use crate::fuzz::{self, Plan};
use crate::lint::{self, cargo};
use crate::setup::{self, Host, Tools};
use crate::stages::Stages;
use crate::suites::Choice;
use crate::tool::Tool;
use crate::workspace::Workspace;

/// Time for all tests; each has its own, shorter limit.
const TESTS: Duration = Duration::from_secs(45 * 60);

/// The word in the names of tests that run one at a time where nextest is not there to see to it.
const SERIAL: &str = "cluster";

/// How long each fuzz target is driven in a test run.
const FUZZ: Duration = Duration::from_secs(5);

/// Runs everything up to a tier; fails when something had to be left out, unless `partial`.
pub(crate) fn test(workspace: &Workspace, tier: u8, partial: bool) -> Result<(), Error> {
    let host = Host::here();
    let mut stages = Stages::start();
    println!("building in {}", workspace.target().display());

    let mut tools = Tools::default();
    stages.run("setup", || {
        tools = setup::setup(workspace, &host)?;
        Ok(format!("{} tools", tools.found.len()))
    });
    let choice = Choice::of(tier, &host, &tools);
    for (suite, why) in &choice.left_out {
        stages.left_out(suite.name, why.clone());
    }

    lint::run(&mut stages, workspace);

    let runner = Runner { workspace, choice: &choice, environment: environment(&host, &tools) };
    let mut closing = Vec::new();
    let built = stages.run("build of the tests", || runner.build());
    if built {
        stages.run("tests", || {
            let (lines, result) = runner.run();
            closing = lines;
            result.map(|()| closing.join("; "))
        });
        let plan = Plan { target: None, each: FUZZ, seed: None };
        stages.run("fuzz", || fuzz::fuzz_as_built(workspace, &plan));
    }
    stages.run("documentation tests", || {
        let test = runner.hermetic(cargo(workspace)).args(["test", "--workspace", "--doc", "--quiet"]);
        test.run().map(|()| String::new())
    });
    stages.run("documentation", || docs::document(workspace).map(|()| String::new()));

    let verdict = stages.close(partial);
    for line in &closing {
        println!("{line}");
    }
    verdict
}

/// What tests learn of the machine: where each tool is, and whether they may use root's rights.
pub(crate) fn environment(host: &Host, tools: &Tools) -> Vec<(String, String)> {
    let mut environment: Vec<(String, String)> = tools
        .found
        .iter()
        .map(|(variable, path)| ((*variable).to_owned(), path.display().to_string()))
        .collect();
    if host.is_root() {
        environment.push(("LICTOR_TEST_ROOT".to_owned(), "1".to_owned()));
    }
    // A snapshot that differs fails; it is never rewritten by a run.
    environment.push(("INSTA_UPDATE".to_owned(), "no".to_owned()));
    environment
}

/// Runs the tests with nextest, or with cargo alone where that is not installed.
struct Runner<'a> {
    workspace: &'a Workspace,
    choice: &'a Choice,
    environment: Vec<(String, String)>,
}

impl Runner<'_> {
    fn build(&self) -> Result<String, Error> {
        // The same command that will run them, so that nothing is built twice.
        if has_nextest() {
            let build = cargo(self.workspace).args(["nextest", "run", "--workspace", "--no-run"]);
            return build.run().map(|()| String::new());
        }
        println!("nextest is not installed; `cargo test` runs the tests, without a time limit for each");
        let build = cargo(self.workspace).args(["test", "--workspace", "--all-targets", "--no-run"]);
        build.run().map(|()| "without nextest".to_owned())
    }

    /// Runs them; the lines that close the run come back too.
    fn run(&self) -> (Vec<String>, Result<(), Error>) {
        if has_nextest() {
            return self.nextest().forward(|line| line.trim_start().starts_with("Summary ["));
        }
        let mut counts = Vec::new();
        for pass in self.cargo_passes() {
            let (lines, result) = pass.forward(|line| line.starts_with("test result: "));
            counts.extend(lines);
            if result.is_err() {
                return (vec![sum(&counts)], result);
            }
        }
        (vec![sum(&counts)], Ok(()))
    }

    fn nextest(&self) -> Tool {
        let run = cargo(self.workspace).args(["nextest", "run", "--workspace"]).deadline(TESTS);
        self.hermetic(match self.choice.filterset() {
            Some(filterset) => run.arg("--filterset").arg(filterset),
            None => run,
        })
    }

    /// Unit tests side by side, integration tests side by side, then those that want the machine for themselves.
    fn cargo_passes(&self) -> Vec<Tool> {
        let test = |targets: &[&str]| {
            let test = cargo(self.workspace).args(["test", "--workspace", "--no-fail-fast"]).args(targets);
            self.hermetic(test.deadline(TESTS))
        };
        let skip =
            |test: Tool, words: &[&str]| words.iter().fold(test, |test, word| test.args(["--skip", word]));

        let unit = self.choice.skipped().map(|suite| suite.words.unit);
        let unit = unit.fold(test(&["--lib", "--bins"]).arg("--"), skip);

        let packages = self.choice.skipped().flat_map(|suite| suite.words.packages);
        let integration =
            packages.fold(test(&["--test", "*"]), |test, package| test.args(["--exclude", package]));
        let words = self.choice.skipped().map(|suite| suite.words.integration);
        let integration = words.fold(integration.args(["--", "--skip", SERIAL]), skip);

        let mut passes = vec![unit, integration];
        if !self.choice.skipped().any(|suite| suite.words.integration.contains(&SERIAL)) {
            passes.push(test(&["--test", "*"]).args(["--", SERIAL, "--test-threads=1"]));
        }
        passes
    }

    fn hermetic(&self, tool: Tool) -> Tool {
        hermetic(&self.environment, tool)
    }
}

/// Gives tests what they may know, and keeps from them what would make runs differ from
/// machine to machine: the user's Consul settings and proxies.
pub(crate) fn hermetic(environment: &[(String, String)], tool: Tool) -> Tool {
    let foreign =
        std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).filter(|name| is_foreign(name));
    let tool = foreign.fold(tool, Tool::without_env);
    environment.iter().fold(tool, |tool, (name, value)| tool.env(name, value))
}

/// How the variables begin that say how many seeds the simulator walks through.
const SIMULATOR: &str = "lictor_sim_";

/// Variables that some client library of ours would obey.
fn is_foreign(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let ours = lower.starts_with("lictor_") && !lower.starts_with(SIMULATOR);
    ours || lower.starts_with("consul_") || lower.ends_with("_proxy")
}

fn has_nextest() -> bool {
    Tool::cargo().args(["nextest", "--version"]).quiet().is_ok()
}

/// Adds up cargo's own closing lines, one of each test program:
/// `test result: ok. 14 passed; 0 failed; 0 ignored; …`.
fn sum(lines: &[String]) -> String {
    let count = |what: &str| -> u64 {
        let of_line = |line: &String| {
            let counts = line.split_once(". ")?.1;
            counts.split("; ").find_map(|part| part.strip_suffix(what)?.trim().parse::<u64>().ok())
        };
        lines.iter().filter_map(of_line).sum()
    };
    format!(
        "Summary: {} passed, {} failed, {} ignored",
        count(" passed"),
        count(" failed"),
        count(" ignored")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_lines_of_all_test_programs_are_added_up() {
        let lines = [
            "test result: ok. 14 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.36s",
            "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 9 filtered out; finished in 1.20s",
        ]
        .map(str::to_owned);
        assert_eq!(sum(&lines), "Summary: 17 passed, 2 failed, 1 ignored");
    }

    #[test]
    fn settings_of_the_user_are_kept_from_the_tests() {
        assert!(["CONSUL_HTTP_ADDR", "https_proxy", "NO_PROXY", "LICTOR_CONFIG"].into_iter().all(is_foreign));
        assert!(!["PATH", "HOME", "CARGO_TARGET_DIR", "CI", "LICTOR_SIM_SEEDS"].into_iter().any(is_foreign));
    }
}
