//! What is so on this machine.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use lictor_compat::powerconsul::{
    CheckRequest, CrontabFault, Resource, Runs, Verdict, crontab, is_enabled, service_status,
};
use lictor_core::service::Expected;
use serde_json::{Map, Value};

use super::place::Place;
use super::program::{Ended, run};

/// How long programs of the system itself may take.
const HELPER: Duration = Duration::from_secs(10);

/// What was found of a resource.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) verdict: Verdict,
    /// Whether it runs; unknown also where that was not asked.
    pub(super) runs: Runs,
    /// What there is to say of it in the line.
    pub(super) members: Map<String, Value>,
    /// Why it cannot be told.
    pub(super) trouble: Option<String>,
}

/// What a resource is called in the line.
pub(super) fn named(place: &Place, resource: &Resource) -> Map<String, Value> {
    let mut members = Map::new();
    let mut set = |name: &str, value: Value| members.insert(name.to_owned(), value);
    set("type", resource.kind().into());
    match resource {
        Resource::Service(name) => {
            set("service", name.as_str().into());
        }
        Resource::Group(names) => {
            set("services", names.clone().into());
        }
        Resource::Crontab { user, pattern } => {
            set("crontab", user.as_str().into());
            set("pattern", pattern.clone().into());
        }
        Resource::Process(args) => {
            set("nagiosScript", place.check_procs.display().to_string().into());
            set("nagiosArgs", args.as_str().into());
        }
    }
    members
}

/// Looks at a resource.
pub(super) async fn look(place: &Place, resource: &Resource, expected: Expected) -> Found {
    let mut members = named(place, resource);
    let (runs, trouble) = match resource {
        Resource::Service(name) => service(place, name).await,
        Resource::Group(names) => group(place, names, expected).await,
        Resource::Crontab { user, pattern } => {
            match of_crontab(place, user, pattern.as_deref(), expected).await {
                Ok((runs, fault)) => {
                    if let Some(fault) = fault {
                        members.insert("error".to_owned(), fault.to_string().into());
                    }
                    (runs, None)
                }
                Err(why) => (Runs::Unknown, Some(why)),
            }
        }
        Resource::Process(args) => return process(place, args, expected, members).await,
    };
    Found { verdict: verdict(expected, runs), runs, members, trouble }
}

/// What follows where it either runs or does not.
pub(super) const fn verdict(expected: Expected, runs: Runs) -> Verdict {
    match (expected, runs) {
        (Expected::Running, Runs::Yes) | (Expected::Stopped, Runs::No) => Verdict::Passing,
        (Expected::Running, Runs::No) | (Expected::Stopped, Runs::Yes) => Verdict::Critical,
        (Expected::Unknown, _) | (_, Runs::Unknown) => Verdict::Unknown,
    }
}

type Told = (Runs, Option<String>);

/// Whether a service runs: as systemd has it where that runs the machine, else as its init script says.
async fn service(place: &Place, name: &str) -> Told {
    let unit = if place.systemd { unit(place, name).await } else { Ok(None) };
    match unit {
        Ok(Some(Unit::Is(runs))) => return (runs, None),
        Ok(Some(Unit::Exited { script })) => {
            // systemd only knows that the script has ended; what it started may not run any more.
            return status(place, name, &[script.as_str(), "status"]).await;
        }
        Ok(None) => {}
        Err(why) => {
            return (Runs::Unknown, Some(format!("Failed to determine status for [{name}]: {why}")));
        }
    }
    status(place, name, &["service", name, "status"]).await
}

async fn status(place: &Place, name: &str, words: &[&str]) -> Told {
    let mut argv = vec!["env".to_owned(), "SYSTEMCTL_SKIP_REDIRECT=1".to_owned()];
    argv.extend(words.iter().map(|word| (*word).to_owned()));
    let why = match run(&argv, place.status_limit).await {
        Err(why) => why,
        Ok(ended) if ended.late => format!("no answer within {:?}", place.status_limit),
        Ok(ended) => match service_status(ended.code, &ended.stdout, &ended.stderr) {
            Runs::Unknown => "unrecognized service".to_owned(),
            runs => return (runs, None),
        },
    };
    (Runs::Unknown, Some(format!("Failed to determine status for [{name}]: {why}")))
}

enum Unit {
    Is(Runs),
    /// It is active because an init script has ended well.
    Exited {
        script: String,
    },
}

/// What systemd says of a unit; `None` if it knows none of that name. An error, in words, where it does not say.
async fn unit(place: &Place, name: &str) -> Result<Option<Unit>, String> {
    let unit = if name.contains('.') { name.to_owned() } else { format!("{name}.service") };
    let words = ["systemctl", "show", "--property=LoadState,ActiveState,SubState,SourcePath", "--", &unit];
    let ended = run(&words.map(str::to_owned), place.status_limit).await?;
    unit_of(&ended, place.status_limit)
}

fn unit_of(ended: &Ended, limit: Duration) -> Result<Option<Unit>, String> {
    let failed = |why: &str| Err(format!("systemctl: {why}"));
    if ended.late {
        return failed(&format!("no answer within {limit:?}"));
    }
    let said = |wanted: &str| {
        let mut pairs = ended.stdout.lines().filter_map(|line| line.split_once('='));
        pairs.find(|(name, _)| *name == wanted).map(|(_, value)| value)
    };
    match (ended.code, said("LoadState")) {
        (Some(0), Some("not-found")) => return Ok(None),
        (Some(0), Some(_)) => {}
        (Some(0), None) => return failed("it does not say whether there is such a unit"),
        (code, _) => {
            let how = code.map_or_else(|| "it was killed".to_owned(), |code| format!("it ended with {code}"));
            let said = ended.stderr.trim();
            return failed(if said.is_empty() { &how } else { said });
        }
    }
    let script = said("SourcePath").filter(|path| path.starts_with("/etc/init.d/"));
    Ok(Some(match (said("ActiveState"), said("SubState"), script) {
        (Some("active"), Some("exited"), Some(script)) => Unit::Exited { script: script.to_owned() },
        (Some("active" | "reloading" | "refreshing"), ..) => Unit::Is(Runs::Yes),
        (Some(_), ..) => Unit::Is(Runs::No),
        (None, ..) => return failed("it does not say how the unit is"),
    }))
}

/// All must run; but where none should, one that does is enough to say that they do.
async fn group(place: &Place, names: &[String], expected: Expected) -> Told {
    let mut found = Vec::new();
    let mut trouble = None;
    for name in names {
        let (runs, why) = service(place, name).await;
        found.push(runs);
        trouble = trouble.or(why);
    }
    let any = |runs| found.contains(&runs);
    let runs = if expected == Expected::Stopped {
        if any(Runs::Yes) { Runs::Yes } else { one(any(Runs::Unknown), Runs::No) }
    } else if any(Runs::No) {
        Runs::No
    } else {
        one(any(Runs::Unknown), Runs::Yes)
    };
    (runs, trouble.filter(|_| runs == Runs::Unknown))
}

const fn one(unknown: bool, runs: Runs) -> Runs {
    if unknown { Runs::Unknown } else { runs }
}

/// Whether a crontab is on, and what is wrong with it. An error, in words, where that cannot be told.
async fn of_crontab(
    place: &Place,
    user: &str,
    pattern: Option<&str>,
    expected: Expected,
) -> Result<(Runs, Option<CrontabFault>), String> {
    let path = place.crontabs.join(user);
    let shown = path.display().to_string();
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(why) if why.kind() == ErrorKind::NotFound => {
            return Ok((Runs::No, (expected != Expected::Stopped).then_some(CrontabFault::Missing(shown))));
        }
        Err(why) => return Err(format!("Failed to read crontab: {shown}: {why}")),
    };
    let text = String::from_utf8_lossy(&text);
    if expected == Expected::Stopped {
        let enabled = is_enabled(&text, pattern);
        let fault = enabled.then_some(CrontabFault::Enabled(shown));
        return Ok((if enabled { Runs::Yes } else { Runs::No }, fault));
    }
    let owner =
        owner(&shown).await.map_err(|why| format!("Failed to tell whose crontab {shown} is: {why}"))?;
    Ok(match crontab(&shown, user, pattern, &owner, &text) {
        Some(fault) => (Runs::No, Some(fault)),
        None => (Runs::Yes, None),
    })
}

/// User and group of a file, by whatever knows the names of this machine.
async fn owner(path: &str) -> Result<String, String> {
    let words = ["stat", "-c", "%U:%G", "--", path].map(str::to_owned);
    let ended = run(&words, HELPER).await?;
    match ended.code {
        Some(0) => Ok(ended.stdout.trim().to_owned()),
        _ if ended.late => Err(format!("no answer within {HELPER:?}")),
        _ => Err(ended.stderr.trim().to_owned()),
    }
}

async fn process(place: &Place, args: &str, expected: Expected, mut members: Map<String, Value>) -> Found {
    let script = place.check_procs.display().to_string();
    let unknown = |members, why: String| Found {
        verdict: Verdict::Unknown,
        runs: Runs::Unknown,
        members,
        trouble: Some(why),
    };
    if !place.check_procs.is_file() {
        return unknown(members, format!("Unable to location Nagios process check script: {script}"));
    }
    let mut argv = vec![script.clone()];
    argv.extend(args.split(' ').filter(|word| !word.is_empty()).map(str::to_owned));
    let ended = match run(&argv, place.status_limit).await {
        Ok(ended) => ended,
        Err(why) => return unknown(members, format!("Failed to run Nagios check [{script}]: {why}")),
    };
    members.insert("nagiosOutput".to_owned(), ended.stdout.trim_end().into());
    let code = match ended.code {
        Some(code @ 0..=2) => code,
        code => {
            let said = [ended.stderr.trim(), ended.stdout.trim()].into_iter().find(|said| !said.is_empty());
            let why = match (ended.late, said, code) {
                (true, ..) => format!("no answer within {:?}", place.status_limit),
                (false, Some(said), _) => said.to_owned(),
                (false, None, Some(code)) => format!("it ended with {code}"),
                (false, None, None) => "it was killed".to_owned(),
            };
            return unknown(members, format!("Failed to run Nagios check [{script}]: {why}"));
        }
    };
    let verdict = match (expected, code) {
        (Expected::Unknown, _) => Verdict::Unknown,
        (Expected::Running, 0) | (Expected::Stopped, 2) => Verdict::Passing,
        (Expected::Running, 1) => Verdict::Warning,
        (Expected::Running | Expected::Stopped, _) => Verdict::Critical,
    };
    let runs = if code == 2 { Runs::No } else { Runs::Yes };
    Found { verdict, runs, members, trouble: None }
}

/// Why what is expected counts as so, whatever is so: planned work is under way.
#[derive(Debug, Default)]
pub(super) struct Noop {
    /// What says so, in words.
    pub(super) counts: Option<String>,
    /// What says so no longer, or cannot be looked at.
    pub(super) expired: Option<String>,
}

pub(super) async fn noop(place: &Place, request: &CheckRequest) -> Noop {
    let mut noop = Noop::default();
    if let Some(path) = &request.noop_file {
        match (fs::metadata(path), place.noop_max_age) {
            (Err(why), _) if matches!(why.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
            (Err(why), _) => noop.expired = Some(format!("{path} cannot be looked at: {why}")),
            (Ok(_), None) => noop.counts = Some(path.clone()),
            (Ok(file), Some(most)) => match age(&file, jiff::Timestamp::now()) {
                Some(age) if age <= most => {
                    noop.counts = Some(format!("{path}, for {} s more", (most - age).as_secs()));
                }
                Some(age) => {
                    let age = age.as_secs();
                    noop.expired = Some(format!("{path} is {age} s old and does not count any more"));
                }
                None => noop.expired = Some(format!("{path} is of the future and does not count")),
            },
        }
    }
    if noop.counts.is_none() && (request.process_text.is_some() || request.process_pattern.is_some()) {
        match process_line(request).await {
            Ok(found) => noop.counts = found.map(|line| format!("process {line}")),
            Err(why) => noop.expired = Some(format!("the processes cannot be listed: {why}")),
        }
    }
    noop
}

/// How old a lock file is: since its time of modification, and where that lies in the future since it was last touched,
/// or it would count for ever. `None` where that lies in the future too.
fn age(file: &fs::Metadata, now: jiff::Timestamp) -> Option<Duration> {
    let since = |time: jiff::Timestamp| Duration::try_from(now.duration_since(time)).ok();
    let modified = jiff::Timestamp::try_from(file.modified().ok()?).ok().and_then(since);
    modified.or_else(|| jiff::Timestamp::from_second(file.ctime()).ok().and_then(since))
}

/// The process that is looked for, shortened.
async fn process_line(request: &CheckRequest) -> Result<Option<String>, String> {
    let words = ["ps", "auxww"].map(str::to_owned);
    let ended = run(&words, HELPER).await?;
    if ended.late {
        return Err(format!("no answer within {HELPER:?}"));
    }
    // Neither this process nor the shell that started it.
    let own = |line: &str| line.contains("powerconsul") || line.contains("service check");
    let wanted = |line: &str| {
        let text = request.process_text.as_ref().is_some_and(|text| line.contains(text));
        text || request.process_pattern.as_ref().is_some_and(|pattern| pattern.is_match(line))
    };
    let command = |line: &str| line.split_whitespace().skip(10).collect::<Vec<_>>().join(" ");
    let found = ended.stdout.lines().find(|line| !own(line) && wanted(line));
    Ok(found.map(|line| command(line).chars().take(80).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What follows from an end of `systemctl`: whether there is such a unit, or why that cannot be told.
    fn unit_after(code: Option<i32>, stdout: &str, late: bool) -> Result<Option<Runs>, String> {
        let stderr = "Failed to connect to bus\n".to_owned();
        let ended = Ended { code, stdout: stdout.to_owned(), stderr, late };
        let unit = unit_of(&ended, Duration::from_secs(20))?;
        Ok(unit.map(|unit| match unit {
            Unit::Is(runs) => runs,
            Unit::Exited { .. } => Runs::Unknown,
        }))
    }

    #[test]
    fn a_systemctl_that_fails_or_hangs_does_not_say_that_there_is_no_such_unit() {
        assert_eq!(unit_after(Some(0), "LoadState=not-found\n", false), Ok(None));
        let active = "LoadState=loaded\nActiveState=active\nSubState=running\n";
        assert_eq!(unit_after(Some(0), active, false), Ok(Some(Runs::Yes)));
        let error = |code, stdout, late| unit_after(code, stdout, late).unwrap_err();
        assert_eq!(error(Some(1), "", false), "systemctl: Failed to connect to bus");
        assert_eq!(error(None, "", true), "systemctl: no answer within 20s");
        assert_eq!(error(None, active, false), "systemctl: Failed to connect to bus");
        let silent = error(Some(0), "", false);
        assert_eq!(silent, "systemctl: it does not say whether there is such a unit");
        let half = error(Some(0), "LoadState=loaded\n", false);
        assert_eq!(half, "systemctl: it does not say how the unit is");
    }
}
