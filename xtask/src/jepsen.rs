//! `cargo xtask jepsen`: runs of `lictor-jepsen` on real servers, and on agents of Lictor itself, each with the verdict that is
//! expected of it.

mod runs;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use self::runs::{LICTOR, RUNS, Run};
use crate::error::Error;
use crate::lint::cargo;
use crate::setup::{self, Host, Tools, consul};
use crate::stages::Stages;
use crate::suites::Need;
use crate::tool::Tool;
use crate::workspace::Workspace;

/// How long the clients of a run work, unless it is said.
pub(crate) const SECONDS: u64 = 60;

/// What boots hosts.
const NSPAWN: &str = "LICTOR_NSPAWN_BIN";

/// Where the summaries stand.
const PAGE: &str = "docs/jepsen.md";

/// Runs of one target, and where their summary stands.
struct Part {
    runs: &'static [Run],
    /// What is around the summary.
    begin: &'static str,
    end: &'static str,
}

/// Of Consul's servers, and of Lictor's agents.
const PARTS: [Part; 2] = [
    Part {
        runs: RUNS,
        begin: "<!-- the last long run: `cargo xtask jepsen --long` writes it -->",
        end: "<!-- end of the last long run -->",
    },
    Part {
        runs: LICTOR,
        begin: "<!-- the last long run of Lictor: `cargo xtask jepsen --long --only lictor` writes it -->",
        end: "<!-- end of the last long run of Lictor -->",
    },
];

/// Time for all but what the clients do: servers start, settle and are judged.
const BESIDES: Duration = Duration::from_secs(10 * 60);

/// What is asked for.
pub(crate) struct Plan {
    /// All of them, on five servers, and a summary in the documentation.
    pub(crate) long: bool,
    /// What all that is drawn begins with.
    pub(crate) seed: Option<u64>,
    /// Only those with this in their names, which begin with `consul: ` or `lictor: `.
    pub(crate) only: Option<String>,
    /// How long the clients of each work.
    pub(crate) seconds: u64,
}

/// What came of a run.
#[derive(Debug)]
struct Came {
    verdict: String,
    /// What the first check said of that verdict.
    why: String,
    /// How many calls happened, did not, and nobody knows of.
    calls: [u64; 3],
    /// What was drawn began with that.
    seed: u64,
    command: String,
}

/// Makes them one after the other.
pub(crate) fn jepsen(workspace: &Workspace, plan: &Plan) -> Result<(), Error> {
    let host = Host::here();
    let tools = setup::setup(workspace, &host)?;
    for need in [Need::Tool("LICTOR_CONSUL_BIN"), Need::Tool("LICTOR_IP_BIN")] {
        if let Some(why) = need.unmet(&host, &tools) {
            return Err(Error::Verdict(why));
        }
    }
    // Its own, or what a person has named.
    let found = tools.found.iter().find(|(variable, _)| *variable == "LICTOR_CONSUL_BIN");
    let consul = found.map_or_else(|| consul::path(workspace), |(_, path)| path.clone());
    let all = || PARTS.iter().flat_map(|part| part.runs);
    let chosen: Vec<&Run> = all().filter(|run| plan.chooses(run)).collect();
    if chosen.is_empty() {
        let names: Vec<&str> = all().map(|run| run.name).collect();
        return Err(Error::Verdict(format!("there is no such run; there are: {}", names.join("; "))));
    }
    for need in chosen.iter().flat_map(|run| run.needs()) {
        if let Some(why) = need.unmet(&host, &tools) {
            return Err(Error::Verdict(why));
        }
    }
    let seed = plan.seed.unwrap_or_else(|| u64::from(std::process::id()));
    println!("seed {seed}");
    build(workspace, chosen.iter().any(|run| run.args.contains("--target lictor")))?;
    let dir = workspace.target().join("jepsen").join(if plan.long { "long" } else { "short" });
    let mut stages = Stages::start();
    for run in chosen {
        stages.run(run.name, || {
            let came = run.make(workspace, &consul, &tools, plan, seed, &dir)?;
            let told = format!("{}: {}", came.verdict, came.why);
            if run.is_met_by(&came.verdict) {
                Ok(told)
            } else {
                Err(Error::Verdict(format!("{told}, where {} was expected", run.expected)))
            }
        });
    }
    println!("kept in {}", dir.display());
    if plan.long {
        summarize(workspace, &dir, &consul::version(&consul)?)?;
    }
    stages.close(false)
}

/// Builds what makes the runs, and Lictor if it is tested.
fn build(workspace: &Workspace, lictor: bool) -> Result<(), Error> {
    let build =
        cargo(workspace).args(["build", "--release", "--package", "lictor-jepsen"]).deadline(BESIDES * 3);
    if !lictor {
        return build.run();
    }
    // So that a fault can be planted where a run asks for one. `cargo xtask dist` refuses such a program.
    build.args(["--package", "lictor", "--features", "lictor/test-faults"]).run()?;
    // Nobody is to find it where the program lies that people run.
    let built = workspace.target().join("release/lictor");
    let kept = for_tests(workspace);
    fs::create_dir_all(workspace.target().join("jepsen")).map_err(Error::file("make", &kept))?;
    fs::rename(&built, &kept).map_err(Error::file("move", &built))
}

impl Plan {
    fn chooses(&self, run: &Run) -> bool {
        (self.long || run.short) && self.only.as_ref().is_none_or(|only| run.called().contains(only.as_str()))
    }

    /// Five servers, or three when it is to be short.
    const fn nodes(&self) -> u64 {
        if self.long { 5 } else { 3 }
    }
}

impl Run {
    /// Its name with what it tests before it.
    fn called(&self) -> String {
        if self.name.starts_with("lictor: ") {
            self.name.to_owned()
        } else {
            format!("consul: {}", self.name)
        }
    }

    /// How many seconds each fault is at work and there is none, so that each of them comes up; none if it is said.
    fn interval(&self, seconds: u64) -> Option<u64> {
        let mut words = self.args.split(' ');
        if words.clone().any(|word| word == "--interval") {
            return None;
        }
        let faults = words.find(|word| *word == "--nemesis").and_then(|_| words.next())?.split(',').count();
        Some((seconds / (2 * faults as u64)).clamp(3, 10))
    }

    fn make(
        &self,
        workspace: &Workspace,
        consul: &Path,
        tools: &Tools,
        plan: &Plan,
        seed: u64,
        runs: &Path,
    ) -> Result<Came, Error> {
        let dir = fresh(&self.place(runs))?;
        let seconds = self.seconds.unwrap_or(plan.seconds);
        let mut tool = Tool::new(workspace.target().join("release/lictor-jepsen"))
            .arg("run")
            .args(["--nodes", &plan.nodes().to_string(), "--time", &seconds.to_string()])
            .args(["--seed", &seed.to_string()])
            // What is said twice counts as it is said last.
            .args(self.args.split(' '))
            .args(self.interval(seconds).map(|interval| format!("--interval={interval}")))
            .arg("--dir")
            .arg(&dir)
            .env("LICTOR_CONSUL_BIN", consul)
            .env("LICTOR_BIN", for_tests(workspace))
            .deadline(BESIDES + Duration::from_secs(seconds));
        for (variable, path) in &tools.found {
            if *variable == NSPAWN {
                tool = tool.env(variable, path);
            }
        }
        println!("{}", tool.line());
        let ended = tool.run();
        // Its exit code says the same; without a verdict it says why there is none.
        match self.came(runs)? {
            Some(came) => Ok(came),
            None => ended.and(Err(Error::Answer { of: "lictor-jepsen", what: "no verdict".to_owned() })),
        }
    }

    /// What a machine must have for it besides.
    fn needs(&self) -> &'static [Need] {
        // Those have hosts that are booted.
        if self.args.contains("--workload failover") {
            &[Need::Root, Need::Tool(NSPAWN), Need::Tool("LICTOR_DBUS_BIN")]
        } else {
            &[]
        }
    }

    /// Where it is kept.
    fn place(&self, runs: &Path) -> PathBuf {
        let word = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        runs.join(self.name.replace(", ", "-").chars().map(word).collect::<String>())
    }

    /// What came of it when it was last made.
    fn came(&self, runs: &Path) -> Result<Option<Came>, Error> {
        let dir = self.place(runs);
        let verdict = dir.join("verdict.json");
        if !verdict.is_file() {
            return Ok(None);
        }
        Came::of(&read(&verdict)?, &read(&dir.join("run.json"))?).map(Some)
    }
}

impl Came {
    fn of(judgement: &Value, made: &Value) -> Result<Self, Error> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let outcomes = judgement["outcomes"].as_array().map_or(&[][..], Vec::as_slice);
        let verdict = text(&judgement["verdict"]);
        let worst = outcomes.iter().find(|outcome| outcome["verdict"] == judgement["verdict"]);
        let worst =
            worst.ok_or_else(|| Error::Answer { of: "lictor-jepsen", what: judgement.to_string() })?;
        // As `12 ok, 3 fail, 4 info` of each kind of call.
        let stats = outcomes.iter().find(|outcome| outcome["check"] == "stats");
        let facts = stats.and_then(|stats| stats["facts"].as_array()).into_iter().flatten();
        let mut calls = [0; 3];
        for fact in facts {
            let name = text(&fact[0]);
            if name.starts_with("during ") || name.starts_with("without ") {
                continue;
            }
            for (sum, part) in calls.iter_mut().zip(text(&fact[1]).split(", ")) {
                let number = part.split(' ').next().and_then(|number| number.parse::<u64>().ok());
                *sum += number.unwrap_or_default();
            }
        }
        let (seed, command) = (made["seed"].as_u64().unwrap_or_default(), text(&made["command"]));
        Ok(Self { verdict, why: text(&worst["summary"]), calls, seed, command })
    }
}

/// Puts a summary of the last runs of each target into the documentation, if there is one of each.
fn summarize(workspace: &Workspace, runs: &Path, version: &str) -> Result<(), Error> {
    for part in &PARTS {
        let mut rows = Vec::new();
        let mut missing = None;
        for run in part.runs {
            match run.came(runs)? {
                Some(came) => rows.push((run, came)),
                None => missing = Some(run.name),
            }
        }
        match missing {
            Some(name) => println!("no summary is written of the part in which `{name}` was never made"),
            None => {
                write(&workspace.root().join(PAGE), part, &summary(&rows, version))?;
                println!("the summary is in {PAGE}");
            }
        }
    }
    Ok(())
}

/// The summary, as Markdown.
fn summary(rows: &[(&Run, Came)], version: &str) -> String {
    let wrong = rows.iter().filter(|(run, came)| !run.is_met_by(&came.verdict)).count();
    let calls: u64 = rows.iter().flat_map(|(_, came)| came.calls).sum();
    let seeds: BTreeSet<u64> = rows.iter().map(|(_, came)| came.seed).collect();
    let seeds: Vec<String> = seeds.iter().map(u64::to_string).collect();
    let mut text = format!(
        "Consul {version}, seed {}: {} runs with {calls} calls, {} of them as expected.\n\n\
         | run | what is done | ok / fail / info | expected | verdict | why |\n|---|---|---|---|---|---|\n",
        seeds.join(", "),
        rows.len(),
        rows.len() - wrong,
    );
    for (run, came) in rows {
        let [ok, fail, info] = came.calls;
        let verdict = &came.verdict;
        // What was not expected is to be seen at once.
        let verdict = if run.is_met_by(verdict) { verdict.clone() } else { format!("**{verdict}**") };
        text.extend([format!(
            "| {} | `{}` | {ok} / {fail} / {info} | {} | {verdict} | {} |\n",
            run.name, run.args, run.expected, came.why
        )]);
    }
    if let Some((_, came)) = rows.first() {
        text.extend([format!("\nThe first one whole: `{}`.\n", came.command)]);
    }
    text
}

/// Puts the summary of a part where the last one stands.
fn write(path: &Path, part: &Part, summary: &str) -> Result<(), Error> {
    let (begin, end) = (part.begin, part.end);
    let page = fs::read_to_string(path).map_err(Error::file("read", path))?;
    let parts = page.split_once(begin).and_then(|(before, rest)| Some((before, rest.split_once(end)?.1)));
    let (before, after) = parts.ok_or_else(|| {
        Error::Verdict(format!("{} has no `{begin}` and `{end}` to put the summary between", path.display()))
    })?;
    let page = format!("{before}{begin}\n\n{summary}\n{end}{after}");
    fs::write(path, page).map_err(Error::file("write", path))
}

/// A place for a directory that is not there: what was there is removed.
fn fresh(dir: &Path) -> Result<PathBuf, Error> {
    if dir.exists() {
        fs::remove_dir_all(dir).map_err(Error::file("remove", dir))?;
    }
    Ok(dir.to_owned())
}

fn read(path: &Path) -> Result<Value, Error> {
    let text = fs::read_to_string(path).map_err(Error::file("read", path))?;
    serde_json::from_str(&text)
        .map_err(|error| Error::Answer { of: "lictor-jepsen", what: format!("{}: {error}", path.display()) })
}

/// The program with the faults that a run may ask for.
fn for_tests(workspace: &Workspace) -> PathBuf {
    workspace.target().join("jepsen/lictor-for-tests")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn came(verdict: &str) -> Came {
        let judgement = json!({"verdict": verdict, "outcomes": [
            {"check": "register", "verdict": verdict, "summary": "so it is", "facts": [["keys", "3"]]},
            {"check": "stats", "verdict": "valid", "summary": "fine", "facts": [
                ["read", "10 ok, 2 fail, 0 info"], ["write", "5 ok, 0 fail, 1 info"], ["during kill-all", "9 ok, 9 fail, 9 info"],
                ["without a fault", "9 ok, 9 fail, 9 info"]
            ]}
        ]});
        Came::of(&judgement, &json!({"command": "lictor-jepsen run", "seed": 7})).unwrap()
    }

    #[test]
    fn what_came_of_a_run_is_its_verdict_the_reason_and_each_call_once() {
        let came = came("invalid");
        assert_eq!(
            (came.verdict.as_str(), came.why.as_str(), came.calls),
            ("invalid", "so it is", [15, 2, 1])
        );
    }

    #[test]
    fn what_was_not_expected_stands_out_in_the_summary() {
        let text = summary(&[(&RUNS[0], came("valid")), (&RUNS[1], came("invalid"))], "1.8");
        assert!(
            text.starts_with("Consul 1.8, seed 7: 2 runs with 36 calls, 1 of them as expected."),
            "{text}"
        );
        assert!(text.contains("| 15 / 2 / 1 | valid | valid | so it is |"), "{text}");
        assert!(text.contains("| valid | **invalid** |"), "{text}");
    }

    #[test]
    fn what_nobody_promises_may_be_found_or_not_and_has_to_be_known() {
        let run = RUNS.iter().find(|run| run.name == "default reads, leader paused").unwrap();
        let met = ["valid", "invalid", "unknown"].map(|verdict| run.is_met_by(verdict));
        assert_eq!(met, [true, true, false]);
        assert!(!RUNS[0].is_met_by("invalid"));
    }

    #[test]
    fn a_summary_takes_the_place_of_the_last_one() {
        let dir = tempfile::tempdir().unwrap();
        let page = dir.path().join("page.md");
        let [Part { begin, end, .. }, Part { begin: second, end: its_end, .. }] = &PARTS;
        let rest = format!("rest\n{second}\nthat\n{its_end}\n");
        fs::write(&page, format!("# A\n{begin}\nold\n{end}\n{rest}")).unwrap();
        write(&page, &PARTS[0], "new\n").unwrap();
        assert_eq!(fs::read_to_string(&page).unwrap(), format!("# A\n{begin}\n\nnew\n\n{end}\n{rest}"));
        fs::write(&page, "# A\n").unwrap();
        let refused = write(&page, &PARTS[1], "new\n").unwrap_err().to_string();
        assert!(refused.contains("to put the summary between"), "{refused}");
    }

    #[test]
    fn each_fault_of_a_run_comes_up() {
        let named = |name| RUNS.iter().find(|run| run.name == name).unwrap();
        assert_eq!(named("register, no fault").interval(60), None);
        assert_eq!(named("register, kills").interval(60), Some(7));
        assert_eq!(named("stale reads").interval(60), Some(10));
        assert_eq!(named("leaders").interval(60), None, "it is said");
    }

    #[test]
    fn each_run_is_named_once_and_the_few_have_valid_and_invalid_ones() {
        let all = || PARTS.iter().flat_map(|part| part.runs);
        let mut names: Vec<&str> = all().map(|run| run.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all().count());
        let places: BTreeSet<PathBuf> = all().map(|run| run.place(Path::new("runs"))).collect();
        assert_eq!(places.len(), all().count());
        assert!(places.contains(Path::new("runs/register-all-killed")), "{places:?}");
        for part in &PARTS {
            let few = |expected| part.runs.iter().filter(|run| run.short && run.expected == expected).count();
            assert!(few("valid") > 0 && few("invalid") > 0);
        }
    }

    #[test]
    fn one_of_the_two_targets_can_be_chosen() {
        let plan = |only: &str| Plan { long: true, seed: None, only: Some(only.to_owned()), seconds: 1 };
        for (only, runs) in [("consul: ", RUNS), ("lictor: ", LICTOR)] {
            let plan = plan(only);
            let chosen: Vec<&str> = PARTS
                .iter()
                .flat_map(|part| part.runs)
                .filter(|run| plan.chooses(run))
                .map(|run| run.name)
                .collect();
            assert_eq!(chosen, runs.iter().map(|run| run.name).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_is_called_after_lictor_tests_lictor() {
        let wrong = |run: &&Run| run.name.starts_with("lictor: ") != run.args.contains("--target lictor");
        let wrong = PARTS.iter().flat_map(|part| part.runs).find(wrong).map(|run| run.name);
        assert_eq!(wrong, None);
    }
}
