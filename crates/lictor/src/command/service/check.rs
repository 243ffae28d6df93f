//! `lictor service check`: what `powerconsul check` is under its old name.

use lictor_compat::powerconsul::{CheckRequest, Resource, Verdict};
use regex::Regex;

use crate::cli::{Check, CheckArgs};
use crate::exit::{Exit, Failure};
use crate::output::Terminal;
use crate::powerconsul::{Place, Told, check, conf_if_any, misused_line};

pub(super) async fn run(what: &Check, terminal: &Terminal) -> Result<(), Failure> {
    let (resource, common) = match what {
        Check::Service { service, common } => (Resource::Service(service.clone()), common),
        Check::Servicegroup { service, common } => {
            if service.iter().any(|name| name.trim().is_empty()) {
                return Err(misused("--service: a name is empty"));
            }
            (Resource::Group(service.clone()), common)
        }
        Check::Crontab { user, pattern, common } => {
            (Resource::Crontab { user: user.clone(), pattern: pattern.clone() }, common)
        }
        Check::Process { nagiosargs, common } => (Resource::Process(nagiosargs.clone()), common),
    };
    let request = request(resource, common)?;
    let told = match place(common) {
        Ok(place) => check(&place, &request).await,
        Err(why) => {
            let members = [("type".to_owned(), request.resource.kind().into())];
            Told::trouble(members.into_iter().collect(), false, why)
        }
    };
    if let Some(why) = &told.trouble {
        terminal.say(why);
    }
    Terminal::data(&told.line)?;
    // The codes that Consul and Nagios have for it, whatever they mean elsewhere.
    match told.verdict {
        Verdict::Passing => Ok(()),
        Verdict::Warning | Verdict::Unknown => Err(Failure::Said(Exit::Failed)),
        Verdict::Critical => Err(Failure::Said(Exit::Usage)),
    }
}

/// Arguments that make no sense: nobody is to take that for a fault of the service.
fn misused(why: &str) -> Failure {
    // A reader that has left is no failure.
    drop(Terminal::data(&misused_line(why)));
    Failure::new(Exit::Usage, why)
}

/// Here, where the old configuration is no more than a default.
fn place(common: &CheckArgs) -> Result<Place, String> {
    let mut conf = conf_if_any()?.unwrap_or_default();
    conf.cluster_key = common.cluster_key.clone().or(conf.cluster_key);
    Place::new(conf)
}

fn request(resource: Resource, common: &CheckArgs) -> Result<CheckRequest, Failure> {
    let pattern = common.procre.as_ref().map(|written| Regex::new(&format!("^(?:{written})")));
    let wrong = |why: regex::Error| {
        let why = why.to_string();
        misused(&format!("--procre: {}", why.lines().last().unwrap_or_default().trim()))
    };
    Ok(CheckRequest {
        resource,
        consul_service: common.consulservice.clone(),
        noop_file: common.noopfile.clone(),
        process_text: common.procstr.clone(),
        process_pattern: pattern.transpose().map_err(wrong)?,
        update: common.updatekv,
    })
}
