//! What the agent hands to the shim over a pipe: it holds secrets, so it is neither an
//! argument nor a file.

use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;
use std::time::Duration;

use lictor_config::{Command, SecretError};
use lictor_core::{Change, Order};
use serde::{Deserialize, Serialize};

/// The search path of programs when the agent has none itself.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The variables of its own that the agent passes on.
pub(super) const KEPT: [&str; 3] = ["PATH", "HOME", "LANG"];

/// A job has less than this, bytes: the kernel takes no more arguments and environment
/// than some MiB anyway.
pub(super) const LARGEST: u64 = 8 * 1024 * 1024;

/// A program to run, whole.
#[derive(Serialize, Deserialize)]
pub(super) struct Job {
    /// Program and arguments; not empty.
    pub argv: Vec<String>,
    /// The whole environment.
    pub env: BTreeMap<String, String>,
    /// What must not be kept of its output.
    pub secrets: Vec<String>,
    /// Working directory.
    pub cwd: PathBuf,
    /// Time limit, milliseconds.
    pub limit_millis: u64,
    /// From TERM to KILL, milliseconds.
    pub grace_millis: u64,
}

impl Job {
    /// The job for an order, with its secrets read; `identity` is what the order is called in
    /// front of others.
    ///
    /// # Errors
    /// When a secret cannot be read, or what was captured cannot be an argument.
    pub(super) fn new(
        order: &Order,
        identity: String,
        command: &Command,
        limit: Duration,
        grace: Duration,
    ) -> Result<Self, JobError> {
        let argv = filled(order, command)?;
        let mut env = kept();
        let mut secrets = Vec::with_capacity(command.env.len());
        for (name, value) in &command.env {
            let value = value.reveal()?;
            secrets.push(value.clone());
            env.insert(name.clone(), value);
        }
        for (name, value) in order.captures.iter().filter(|(_, value)| !value.contains('\0')) {
            env.insert(format!("LICTOR_CAPTURE_{}", name.to_ascii_uppercase()), value.clone());
        }
        if let Some(Change { service, role, token }) = &order.change {
            env.insert("LICTOR_SERVICE".to_owned(), service.to_string());
            env.insert("LICTOR_ROLE".to_owned(), role.to_string());
            env.insert("LICTOR_TOKEN".to_owned(), token.to_string());
        }
        // Last: nothing takes the place of what identifies the step.
        for (name, value) in [
            ("LICTOR_STEP", identity),
            ("LICTOR_RUN", order.run.to_string()),
            ("LICTOR_TARGET", order.target.to_string()),
            ("LICTOR_REMEDY", order.remedy.to_string()),
        ] {
            env.insert(name.to_owned(), value);
        }
        Ok(Self {
            argv,
            env,
            secrets,
            cwd: command.cwd.clone().unwrap_or_else(|| PathBuf::from("/")),
            limit_millis: millis(limit),
            grace_millis: millis(grace),
        })
    }
}

/// Why there is no job.
#[derive(Debug, thiserror::Error)]
pub(super) enum JobError {
    /// A secret cannot be read.
    #[error("{0}")]
    Secret(#[from] SecretError),
    /// It was not started by a line, or by one without this group.
    #[error("nothing was captured as `{0}`: no line started this run")]
    Nothing(String),
    /// What was captured would be taken for an option, or is no argument.
    #[error("what was captured as `{name}` cannot be an argument: it {why}")]
    Unfit {
        /// The group.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// The arguments with what was captured in their places, each one whole argument.
fn filled(order: &Order, command: &Command) -> Result<Vec<String>, JobError> {
    let mut argv = command.argv.clone();
    for (at, name) in &command.captured {
        let value = order.captures.get(name).ok_or_else(|| JobError::Nothing(name.clone()))?;
        let why = match value.as_str() {
            "" => Some("is empty"),
            value if value.starts_with('-') => Some("begins with `-`, which programs take for an option"),
            value if value.contains('\0') => Some("has a zero byte"),
            _ => None,
        };
        if let Some(why) = why {
            return Err(JobError::Unfit { name: name.clone(), why });
        }
        if let Some(argument) = argv.get_mut(*at) {
            argument.clone_from(value);
        }
    }
    Ok(argv)
}

/// PATH, HOME and LANG as the agent has them.
pub(super) fn kept() -> BTreeMap<String, String> {
    let mut env: BTreeMap<String, String> =
        KEPT.iter().filter_map(|name| Some(((*name).to_owned(), env::var(name).ok()?))).collect();
    env.entry("PATH".to_owned()).or_insert_with(|| PATH.to_owned());
    env
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lictor_config::Secret;
    use lictor_core::{ActionName, Boot, Notes, RemedyName, Role, RunId, ServiceName, StepName, Target};

    use super::*;

    /// The job of `restart FIXED {unit}` after a line with these groups.
    fn job(captures: &[(&str, &str)]) -> Result<Job, String> {
        after(captures, None)
    }

    fn after(captures: &[(&str, &str)], change: Option<Change>) -> Result<Job, String> {
        let captures = captures.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let order = Order {
            run: RunId(1),
            step: StepName::new("s").unwrap(),
            attempt: 1,
            action: Some(ActionName::new("a").unwrap()),
            target: Target::new("t").unwrap(),
            remedy: RemedyName::new("r").unwrap(),
            definition: "d".to_owned(),
            lease: None,
            notes: Notes::default(),
            captures: Arc::new(captures.collect()),
            change,
            since: Boot::default(),
        };
        let command = Command {
            argv: ["restart", "FIXED", ""].map(str::to_owned).to_vec(),
            captured: vec![(2, "unit".to_owned())],
            env: vec![("LICTOR_TOKEN".to_owned(), Secret::value("written"))],
            cwd: None,
        };
        let (limit, grace) = (Duration::from_secs(60), Duration::from_secs(5));
        Job::new(&order, "node.1/r1/s/1".to_owned(), &command, limit, grace)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn what_a_line_says_is_one_whole_argument_whatever_it_says() {
        for hostile in ["a; reboot", "$(reboot)", "a\nb", "%s%n", "a b", "\u{1b}[2J", "'\"`"] {
            let job = job(&[("unit", hostile)]).unwrap();
            assert_eq!(job.argv, ["restart", "FIXED", hostile]);
            assert_eq!(job.env["LICTOR_CAPTURE_UNIT"], hostile);
        }
    }

    #[test]
    fn what_a_line_says_cannot_become_an_option_or_nothing() {
        for unfit in ["--now", "-", "", "a\0b"] {
            let why = job(&[("unit", unfit)]).err().unwrap();
            assert!(why.starts_with("what was captured as `unit` cannot be an argument: it "), "{why}");
        }
        let why = job(&[("other", "x")]).err().unwrap();
        assert_eq!(why, "nothing was captured as `unit`: no line started this run");
    }

    #[test]
    fn one_that_follows_a_service_knows_which_and_under_what_token() {
        let found = |job: &Job| {
            ["SERVICE", "ROLE", "TOKEN"].map(|name| job.env.get(&format!("LICTOR_{name}")).cloned())
        };
        let role = Role::Active { token: 7 };
        let change = Change { service: ServiceName::new("web").unwrap(), role, token: 7 };
        let words = |words: [&str; 3]| words.map(|word| Some(word.to_owned()));
        let hostile = [("unit", "x"), ("token", "9"), ("service", "other")];
        let job = after(&hostile, Some(change.clone())).unwrap();
        assert_eq!(found(&job), words(["web", "active", "7"]));
        let job = after(&hostile, Some(Change { role: Role::Standby, ..change })).unwrap();
        assert_eq!(found(&job), words(["web", "standby", "7"]));
        assert_eq!(found(&after(&hostile, None).unwrap()), [None, None, Some("written".to_owned())]);
    }

    #[test]
    fn a_line_cannot_name_itself_another_step() {
        let job = job(&[("unit", "x"), ("step", "other")]).unwrap();
        assert_eq!(job.env["LICTOR_STEP"], "node.1/r1/s/1");
    }
}
