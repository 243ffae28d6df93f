//! The text of what a monitor stands for.

use std::fmt::Write as _;

use lictor_core::{CheckName, LeaseName, RemedyName, StepName};

use crate::model::{Monitor, Phase};
use crate::reader::Reader;
use crate::units::Written;

/// A wait without end.
const FOREVER: &str = "3650d";

/// What the text is written from.
pub(super) struct Facts<'r> {
    pub(super) reader: &'r Reader<'r>,
    pub(super) name: &'r str,
    pub(super) has_vpn: bool,
    pub(super) has_ip: bool,
    pub(super) cures: Vec<&'static str>,
    pub(super) lease: Option<String>,
}

impl Facts<'_> {
    fn span(&self, name: &str) -> Written {
        Written(self.reader.duration(name))
    }

    fn check(&self, part: &str) -> String {
        format!("{}-{part}", self.name)
    }

    /// Holds while nothing is wrong by the latest look of each watcher, `firewalled` aside.
    fn steady(&self) -> String {
        let mut parts = vec![format!("value[\"{}\"].stable == 1", self.check("qbittorrent"))];
        if self.has_vpn {
            parts.push(format!("value[\"{}\"].up == 1", self.check("vpn")));
        }
        if self.has_ip {
            parts.push(format!("value[\"{}\"].ok == 1", self.check("ip")));
        }
        parts.join(" && ")
    }

    /// Holds while nobody sees a forbidden address.
    fn no_leak(&self) -> String {
        let mut parts = vec![format!("value[\"{}\"].leak == 0", self.check("qbittorrent"))];
        if self.has_ip {
            parts.push(format!("value[\"{}\"].leak == 0", self.check("ip")));
        }
        parts.join(" && ")
    }

    fn quoted(text: &str) -> String {
        let mut quoted = String::from("\"");
        for c in text.chars() {
            match c {
                '"' | '\\' => quoted.extend(['\\', c]),
                '\n' => quoted.push_str("\\n"),
                '$' | '%' => quoted.extend([c, c].into_iter().take(if text.contains(&format!("{c}{{")) {
                    2
                } else {
                    1
                })),
                c => quoted.push(c),
            }
        }
        quoted.push('"');
        quoted
    }

    fn texts(&self, name: &str) -> String {
        let texts = self.reader.texts(name);
        let quoted: Vec<String> = texts.iter().map(|text| Self::quoted(&text.is)).collect();
        format!("[{}]", quoted.join(", "))
    }
}

/// The steps of the cures: each with its name and its act.
fn cure_steps(facts: &Facts<'_>) -> Vec<(String, String)> {
    let last = facts.cures.len().saturating_sub(1);
    let act = |cure: &str| match cure {
        "port_bounce" => {
            "act \"qbittorrent\" {\n      copy = \"qbittorrent\"\n      bounce_port = true\n    }"
        }
        "vpn_restart" => "act \"vpn\" {\n      copy = \"vpn access\"\n    }",
        "task_restart" => "act \"nomad\" {\n      copy = \"nomad tasks\"\n    }",
        "allocation_replace" => "act \"nomad\" {\n      copy = \"nomad\"\n      how = \"replace\"\n    }",
        _ => "act \"nomad\" {\n      copy = \"nomad\"\n    }",
    };
    let name = |(index, cure): (usize, &&'static str)| {
        // The last one has the name of the phase, which is the one that is repeated.
        let name =
            if index == last { "restarting_nomad".to_owned() } else { format!("{cure}-{}", index + 1) };
        (name, act(cure).to_owned())
    };
    facts.cures.iter().enumerate().map(name).collect()
}

/// Writes all of it.
pub(super) fn write(facts: &Facts<'_>) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    write_watchers(facts, &mut out)?;
    write_leak(facts, &mut out)?;
    write_remedy(facts, &mut out)?;
    Ok(out)
}

fn write_watchers(facts: &Facts<'_>, out: &mut String) -> std::fmt::Result {
    let reader = facts.reader;
    let group = Facts::quoted(facts.name);
    let schedule = format!(
        "  every = \"{}\"\n  timeout = \"{}\"\n  fail_after = {}\n  pass_after = {}\n  grace = \"{}\"\n  group = {group}\n",
        facts.span("every"),
        facts.span("timeout"),
        reader.count_or_default("fail_after"),
        reader.count_or_default("pass_after"),
        facts.span("startup_grace"),
    );
    let forbidden = facts.texts("forbidden");
    let mut members = vec!["qbittorrent"];
    writeln!(out, "watch \"qbittorrent\" \"{}\" {{", facts.check("qbittorrent"))?;
    writeln!(out, "  copy = \"qbittorrent\"")?;
    if let Some(tracker) = reader.text("tracker") {
        writeln!(out, "  tracker = {}", Facts::quoted(&tracker))?;
    }
    writeln!(out, "  tracker_alone = \"{}\"", reader.word("tracker_alone").unwrap_or("warning"))?;
    writeln!(out, "  strict = {}", reader.flag("strict"))?;
    writeln!(out, "  firewalled_grace = \"{}\"", facts.span("firewalled_grace"))?;
    writeln!(out, "  forbidden = {forbidden}\n{schedule}}}\n")?;
    if facts.has_vpn {
        members.push("vpn");
        writeln!(out, "watch \"vpn\" \"{}\" {{\n  copy = \"vpn\"", facts.check("vpn"))?;
        writeln!(out, "  tell_changes = [\"status\"]\n{schedule}}}\n")?;
    }
    if facts.has_ip {
        members.push("ip");
        writeln!(out, "watch \"public_ip\" \"{}\" {{\n  copy = \"public_ip\"", facts.check("ip"))?;
        writeln!(out, "  forbidden = {forbidden}\n  tell_changes = [\"ip\"]\n{schedule}}}\n")?;
    }
    let all: Vec<String> = members.iter().map(|part| format!("check[\"{}\"]", facts.check(part))).collect();
    writeln!(out, "check \"{}\" {{\n  all = [{}]\n  group = {group}\n}}\n", facts.name, all.join(", "))
}

/// A leak is answered at once: everything is stopped, whatever else is under way.
fn write_leak(facts: &Facts<'_>, out: &mut String) -> std::fmt::Result {
    let mut seen = vec![format!("value[\"{}\"].leak == 1", facts.check("qbittorrent"))];
    if facts.has_ip {
        seen.push(format!("value[\"{}\"].leak == 1", facts.check("ip")));
    }
    writeln!(out, "remedy \"{}-leak\" {{\n  on = {}", facts.name, seen.join(" || "))?;
    writeln!(out, "  cooldown = \"0s\"\n  give_up_after = 0\n  deadline = \"{FOREVER}\"")?;
    lease(facts, out)?;
    let tag = tag(facts, OF_LEAK);
    writeln!(out, "\n  step \"stopping_torrents\" {{\n    act \"qbittorrent\" {{")?;
    writeln!(out, "      copy = \"qbittorrent\"\n      stop = \"all\"\n{tag}    }}")?;
    writeln!(
        out,
        "    timeout = \"{}\"\n    attempts = 1000\n    backoff = \"1s\"",
        facts.span("stop_timeout")
    )?;
    writeln!(out, "    backoff_max = \"10s\"\n    on_failure = \"park\"\n  }}\n")?;
    write_wait("waiting_for_stability", facts, FOREVER, "", out)?;
    write_start(&["stopping_torrents"], &tag, facts, out)?;
    writeln!(out, "}}\n")
}

fn write_remedy(facts: &Facts<'_>, out: &mut String) -> std::fmt::Result {
    let reader = facts.reader;
    writeln!(out, "remedy \"{}\" {{\n  on = check[\"{0}\"] == \"critical\"", facts.name)?;
    writeln!(out, "  cooldown = \"{}\"\n  give_up_after = 0", facts.span("cooldown"))?;
    // What was stopped must not be forgotten, however long it takes.
    writeln!(out, "  deadline = \"{FOREVER}\"")?;
    lease(facts, out)?;
    let recovered = format!("check[\"{}\"] == \"passing\"", facts.name);
    let (which, tag) = (which(facts), tag(facts, ""));
    let proceed = reader.flag("proceed_if_stop_fails");
    let cures = cure_steps(facts);
    let first = cures.first().map_or("restarting_nomad", |(name, _)| name.as_str());
    writeln!(out, "\n  step \"stopping_torrents\" {{\n    act \"qbittorrent\" {{")?;
    writeln!(out, "      copy = \"qbittorrent\"\n{which}{tag}    }}")?;
    writeln!(
        out,
        "    timeout = \"{}\"\n    attempts = 5\n    backoff = \"2s\"",
        facts.span("stop_timeout")
    )?;
    if proceed {
        writeln!(out, "    on_failure = step[\"{first}\"]\n    on_failure_visits = 1000\n  }}\n")?;
    } else {
        writeln!(out, "    on_failure = \"park\"\n  }}\n")?;
    }
    let attempts = reader.count_or_default("max_attempts").get();
    let after = match reader.word("on_give_up") {
        Some("start") => Some("no_leak"),
        Some("leave") => None,
        _ => Some("given_up"),
    };
    // Where a failed attempt leads: back to the last cure, as often as there are attempts left.
    let (left, then) = (attempts - 1, after.unwrap_or("left_alone"));
    let again = format!(
        "    on_failure = step.restarting_nomad\n    on_failure_visits = {left}\n    on_failure_then = step.{then}\n"
    );
    for (index, (name, act)) in cures.iter().enumerate() {
        let last = index + 1 == cures.len();
        writeln!(
            out,
            "  step \"{name}\" {{\n    {act}\n    timeout = \"{}\"",
            facts.span("restart_timeout")
        )?;
        // What nobody knows restarts nothing, neither at first nor when an hour did not come.
        let word = if reader.flag("cancel_if_recovered") { "!= \"critical\"" } else { "== \"unknown\"" };
        writeln!(out, "    skip_when = check[\"{}\"] {word}", facts.name)?;
        if last {
            writeln!(out, "    backoff = \"{}\"", facts.span("backoff"))?;
            let most = reader.duration("backoff_max").max(reader.duration("backoff"));
            writeln!(out, "    backoff_max = \"{}\"\n{again}  }}\n", Written(most))?;
        } else {
            let next = cures.get(index + 1).map_or("restarting_nomad", |(name, _)| name.as_str());
            let on = format!("    on_failure = step[\"{next}\"]\n    on_failure_visits = 1000\n");
            writeln!(out, "{on}  }}\n")?;
            writeln!(out, "  step \"after_{name}\" {{\n    wait_for = {recovered}")?;
            writeln!(out, "    deadline = \"{}\"\n    next = step.stopping_late", facts.span("cure_wait"))?;
            writeln!(out, "{on}  }}\n")?;
        }
    }
    // What could not be stopped before, and came back running.
    writeln!(out, "  step \"stopping_late\" {{\n    act \"qbittorrent\" {{")?;
    writeln!(
        out,
        "      copy = \"qbittorrent\"\n{which}      unless_done = step.stopping_torrents\n{tag}    }}"
    )?;
    writeln!(
        out,
        "    timeout = \"{}\"\n    attempts = 100\n    backoff = \"5s\"",
        facts.span("stop_timeout")
    )?;
    writeln!(out, "    backoff_max = \"30s\"\n{again}  }}\n")?;
    let timeout = facts.span("stability_timeout").to_string();
    let next = "    next = step.no_leak\n";
    write_wait("waiting_for_stability", facts, &timeout, &format!("{next}{again}"), out)?;
    match after {
        Some("given_up") => {
            writeln!(out, "  step \"given_up\" {{\n    wait_for = {}", facts.steady())?;
            writeln!(
                out,
                "    hold = \"{}\"\n    deadline = \"{FOREVER}\"\n  }}\n",
                facts.span("stability_required")
            )?;
        }
        None => {
            // What is waited for never holds: a person decides.
            writeln!(out, "  step \"left_alone\" {{")?;
            writeln!(out, "    wait_for = {recovered} && check[\"{}\"] == \"critical\"", facts.name)?;
            writeln!(out, "    deadline = \"1s\"\n    on_failure = \"park\"\n  }}\n")?;
        }
        Some(_) => {}
    }
    // Whichever way leads here, nothing runs where others see what they must not.
    writeln!(out, "  step \"no_leak\" {{\n    wait_for = {}", facts.no_leak())?;
    writeln!(out, "    deadline = \"{FOREVER}\"\n  }}\n")?;
    write_start(&["stopping_torrents", "stopping_late"], &tag, facts, out)?;
    writeln!(out, "}}")
}

fn lease(facts: &Facts<'_>, out: &mut String) -> std::fmt::Result {
    facts.lease.as_ref().map_or(Ok(()), |lease| writeln!(out, "  lease = {}", Facts::quoted(lease)))
}

/// Each remedy has a tag of its own: what one has stopped the other does not start.
const OF_LEAK: &str = "-leak";

fn tag(facts: &Facts<'_>, suffix: &str) -> String {
    facts
        .reader
        .text("tag")
        .or_else(|| facts.reader.default("tag").map(str::to_owned))
        .map_or_else(String::new, |tag| format!("      tag = {}\n", Facts::quoted(&format!("{tag}{suffix}"))))
}

fn which(facts: &Facts<'_>) -> String {
    facts.reader.text("tracker").map_or_else(
        || "      stop = \"all\"\n".to_owned(),
        |tracker| format!("      stop = \"tracker\"\n      tracker = {}\n", Facts::quoted(&tracker)),
    )
}

fn write_wait(
    name: &str,
    facts: &Facts<'_>,
    deadline: &str,
    on_failure: &str,
    out: &mut String,
) -> std::fmt::Result {
    writeln!(out, "  step \"{name}\" {{\n    wait_for = {}", facts.steady())?;
    writeln!(out, "    hold = \"{}\"\n    deadline = \"{deadline}\"", facts.span("stability_required"))?;
    writeln!(out, "{on_failure}  }}\n")
}

fn write_start(steps: &[&str], tag: &str, facts: &Facts<'_>, out: &mut String) -> std::fmt::Result {
    let steps: Vec<String> = steps.iter().map(|step| format!("step.{step}")).collect();
    writeln!(out, "  step \"restarting_torrents\" {{\n    act \"qbittorrent\" {{")?;
    writeln!(out, "      copy = \"qbittorrent\"\n      start = [{}]", steps.join(", "))?;
    write!(out, "{tag}")?;
    writeln!(out, "      reannounce = {}\n    }}", facts.reader.flag("reannounce"))?;
    writeln!(
        out,
        "    timeout = \"{}\"\n    attempts = 20\n    backoff = \"5s\"",
        facts.span("start_timeout")
    )?;
    writeln!(out, "    backoff_max = \"2m\"\n    on_failure = \"park\"\n  }}")
}

/// What the agent needs to know of it, beside the blocks it stands for.
pub(super) fn monitor(facts: &Facts<'_>) -> Option<Monitor> {
    let reader = facts.reader;
    let check = |part: &str| CheckName::new(&facts.check(part)).ok();
    let step = |name: &str| StepName::new(name).ok();
    let mut phases = vec![(step("stopping_torrents")?, Phase::StoppingTorrents)];
    for (name, _) in cure_steps(facts) {
        phases.push((step(&name)?, Phase::RestartingNomad));
        phases.push((step(&format!("after_{name}"))?, Phase::RestartingNomad));
    }
    for name in ["stopping_late", "waiting_for_stability", "no_leak"] {
        phases.push((step(name)?, Phase::WaitingForStability));
    }
    phases.push((step("restarting_torrents")?, Phase::RestartingTorrents));
    let prefix = reader.text("prefix").unwrap_or_else(|| "qbitcheck/connection_monitor/".to_owned());
    let lease = match &facts.lease {
        Some(lease) => Some(LeaseName::new(lease).ok()?),
        None => None,
    };
    Some(Monitor {
        name: facts.name.to_owned(),
        prefix: format!("{}/", prefix.trim_matches('/')),
        retain: reader.duration("retain"),
        instances: reader.whole("instances").and_then(|n| u32::try_from(n).ok()).unwrap_or(1),
        act_without_consul: reader.flag("act_without_consul"),
        every: reader.duration("every"),
        stability: reader.duration("stability_required"),
        check: CheckName::new(facts.name).ok()?,
        vpn: if facts.has_vpn { check("vpn") } else { None },
        ip: if facts.has_ip { check("ip") } else { None },
        remedy: RemedyName::new(facts.name).ok()?,
        leak: RemedyName::new(&format!("{}-leak", facts.name)).ok()?,
        lease,
        phases,
        backoff: reader.duration("backoff"),
        expansion: String::new(),
    })
}
