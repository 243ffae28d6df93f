//! `lictor import`: the configuration of another program as ours.

use std::io::Read as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lictor_compat::consul_alerts::{Settings, import};
use lictor_compat::snapshot_agent::{Request, flags};
use lictor_compat::{consul_snapshot, powerconsul, sentinella, snapshot_agent};
use lictor_config::{ProcessEnv, parse_in};
use serde::Deserialize;

use super::status::count;
use crate::busy::Busy;
use crate::cli::{Import, ImportConsulAlerts, ImportPowerconsul};
use crate::exit::{Exit, Failure};
use crate::output::Terminal;
use crate::snapshot_agent::files;

/// Largest export that is read, bytes: Consul's values have at most 512 KiB.
const LARGEST: u64 = 64 << 20;

/// A key as `consul kv export` writes it.
#[derive(Deserialize)]
struct Exported {
    key: String,
    value: Option<String>,
}

pub(crate) async fn run(command: &Import, terminal: &Terminal) -> Result<(), Failure> {
    let (text, read) = match command {
        Import::ConsulAlerts(args) => consul_alerts(args).await?,
        Import::Sentinella(args) => sentinella(&args.file)?,
        Import::Powerconsul(args) => powerconsul(args)?,
        Import::ConsulReplicate(args) => consul_replicate(&args.arguments)?,
        Import::ConsulSnapshotAgent(args) => snapshot_agent(&args.arguments)?,
        Import::ConsulSnapshot(args) => consul_snapshot(&args.file)?,
    };
    Terminal::data(text.trim_end())?;
    let decisions = text.lines().filter(|line| line.trim_start().starts_with("# TODO")).count();
    let secrets = text.lines().filter(|line| line.ends_with("# SECRET")).count();
    terminal.say(&format!(
        "{read} read; {} marked TODO, {} marked SECRET",
        count(decisions, "place is", "places are"),
        count(secrets, "value is", "values are"),
    ));
    if matches!(command, Import::Powerconsul(_)) {
        return Ok(());
    }
    if let Err(failure) = parse_in("imported.hcl", &text, &ProcessEnv) {
        terminal.say("what was printed needs work before it is a valid configuration:");
        return Err(Failure::Config(Box::new(failure)));
    }
    Ok(())
}

/// The configuration, and what it was made from.
async fn consul_alerts(args: &ImportConsulAlerts) -> Result<(String, String), Failure> {
    let pairs = match &args.file {
        Some(file) => exported(file)?,
        None => {
            let _busy = Busy::with("asking Consul for the keys");
            stored(args).await?
        }
    };
    let below = |key: &&(String, Vec<u8>)| key.0.starts_with(&args.prefix);
    let found = pairs.iter().filter(below).count();
    if found == 0 {
        let message = format!("there is no key below `{}`", args.prefix);
        let help = "look with `consul kv get -keys`; what the token may not read is left out without a word";
        return Err(Failure::new(Exit::NotFound, message).help(help));
    }
    let pairs = pairs.iter().map(|(key, value)| (key.as_str(), value.as_slice()));
    let text = import(&Settings::read(&args.prefix, pairs), None);
    Ok((text, count(found, "key", "keys")))
}

fn sentinella(file: &Path) -> Result<(String, String), Failure> {
    let shown = file.display();
    let failed =
        |why: &dyn std::fmt::Display| Failure::new(Exit::Failed, format!("cannot read `{shown}`: {why}"));
    let written = text(file).map_err(|why| failed(&why))?;
    let made = sentinella::import(&written).map_err(|why| {
        let help = "it has lines NAME=value, as systemd's EnvironmentFile= has them";
        Failure::new(Exit::Failed, format!("cannot use `{shown}`: {why}")).help(help)
    })?;
    Ok((made, count(sentinella::variables(&written).len(), "variable", "variables")))
}

fn powerconsul(args: &ImportPowerconsul) -> Result<(String, String), Failure> {
    let source = |path: &std::path::PathBuf| {
        let name = path.display().to_string();
        let text = text(path);
        let text = text.map_err(|why| Failure::new(Exit::Failed, format!("cannot read `{name}`: {why}")))?;
        Ok(powerconsul::Source { name, text })
    };
    let sources: Vec<_> = args.paths.iter().map(source).collect::<Result<_, Failure>>()?;
    let made = powerconsul::import(&sources);
    let made = made.map_err(|why| Failure::new(Exit::Failed, why.to_string()))?;
    Ok((
        made.text,
        format!(
            "{} with {}",
            count(sources.len(), "file", "files"),
            count(made.services, "service", "services")
        ),
    ))
}

fn snapshot_agent(arguments: &[String]) -> Result<(String, String), Failure> {
    let flags = match flags::parse(arguments) {
        Ok(Request::Run(flags)) => flags,
        // Clap takes that for its own, unless it stands behind `--`.
        Ok(Request::Help) => {
            let help = "`lictor import consul-snapshot-agent --help` says how it is used";
            return Err(Failure::new(Exit::Usage, "there is nothing to be read").help(help));
        }
        Err(why) => return Err(Failure::new(Exit::Usage, why.to_string())),
    };
    let failed = |why: String| Failure::new(Exit::Failed, why);
    let files = files::read(&flags.configs).map_err(failed)?;
    let made = snapshot_agent::import(&flags, &files).map_err(|why| failed(why.to_string()))?;
    Ok((made, count(files.len(), "file", "files")))
}

fn consul_replicate(arguments: &[String]) -> Result<(String, String), Failure> {
    let (start, files) = crate::consul_replicate::told(arguments)?;
    Ok((lictor_compat::consul_replicate::import(&start), count(files, "file", "files")))
}

fn consul_snapshot(file: &Path) -> Result<(String, String), Failure> {
    let shown = file.display();
    let failed =
        |why: &dyn std::fmt::Display| Failure::new(Exit::Failed, format!("cannot read `{shown}`: {why}"));
    let written = text(file).map_err(|why| failed(&why))?;
    let made = consul_snapshot::import(&written).map_err(|why| {
        let help = "it has lines NAME=value, as systemd's EnvironmentFile= has them";
        Failure::new(Exit::Failed, format!("cannot use `{shown}`: {why}")).help(help)
    })?;
    Ok((made, count(sentinella::variables(&written).len(), "variable", "variables")))
}

/// What a file holds, or what comes from the standard input.
fn text(file: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    if file.as_os_str() == "-" {
        std::io::stdin().take(LARGEST).read_to_string(&mut text)?;
    } else {
        std::fs::File::open(file)?.take(LARGEST).read_to_string(&mut text)?;
    }
    Ok(text)
}

fn exported(file: &Path) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let shown = file.display();
    let failed = |why: &dyn std::fmt::Display| {
        Failure::new(Exit::Failed, format!("cannot read `{shown}`: {why}"))
            .help("`consul kv export consul-alerts/ > FILE` writes such a file")
    };
    let text = text(file).map_err(|why| failed(&why))?;
    let keys: Vec<Exported> = serde_json::from_str(&text).map_err(|why| failed(&why))?;
    let pair = |key: Exported| {
        let value = STANDARD.decode(key.value.unwrap_or_default());
        value
            .map(|value| (key.key.clone(), value))
            .map_err(|why| failed(&format!("value of `{}`: {why}", key.key)))
    };
    keys.into_iter().map(pair).collect()
}

async fn stored(args: &ImportConsulAlerts) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let (client, shown) = super::consul(args.http_addr.as_deref(), None)?;
    let listed = client.kv().list(&args.prefix, &lictor_consul::Query::new()).await;
    let listed = listed.map_err(|why| {
        Failure::new(Exit::Unreachable, format!("cannot read Consul at {shown}: {why}"))
            .help("set CONSUL_HTTP_ADDR and CONSUL_HTTP_TOKEN as for the consul program, or give --file")
    })?;
    Ok(listed.value.into_iter().map(|pair| (pair.key, pair.value.to_vec())).collect())
}
