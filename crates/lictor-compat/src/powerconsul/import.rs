//! What users of powerconsul have, as configuration of Lictor's.

use serde_json::Value;
use thiserror::Error;

use super::cli::Resource;
use super::conf::{Conf, ConfError};
use super::definition::{Finding, MEMBERS, findings};
use super::pycall::{CallError, Wrapper, wrapper};
use crate::hcl::{Writer, list, quoted};

/// A file.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its name, for messages.
    pub name: String,
    /// What it holds.
    pub text: String,
}

/// What was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The configuration.
    pub text: String,
    /// How many services are in it.
    pub services: usize,
}

/// Why a file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("cannot use `{file}`: {why}")]
pub struct ImportError {
    file: String,
    why: Why,
}

#[derive(Clone, Debug, PartialEq, Eq, Error)]
enum Why {
    #[error("it is no init script, no .powerconsul.conf and no configuration of Consul ({0})")]
    Kind(String),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Conf(#[from] ConfError),
}

/// A service, from whatever says something of it.
#[derive(Clone, Debug, Default)]
struct Service {
    /// The wrapper; the name of the service in Consul if there is none.
    name: Option<String>,
    consul_service: String,
    /// Local services in order.
    local: Vec<String>,
    noop_file: Option<String>,
    /// Checks that exchange the roles.
    update: bool,
    /// Other resources that are checked.
    others: Vec<String>,
}

#[derive(Default)]
struct Found {
    services: Vec<Service>,
    conf: Option<Conf>,
    triggers: bool,
    remarks: Vec<String>,
}

/// Configuration that says what these files do.
///
/// # Errors
/// The first file that is none of those which can be read, with the place.
pub fn import(sources: &[Source]) -> Result<Imported, ImportError> {
    let mut found = Found::default();
    for source in sources {
        let read = found.read(source);
        read.map_err(|why| ImportError { file: source.name.clone(), why })?;
    }
    Ok(Imported { services: found.services.len(), text: found.written() })
}

impl Found {
    fn read(&mut self, source: &Source) -> Result<(), Why> {
        let text = source.text.trim_start();
        if text.contains("PowerConsul_Service") && !text.starts_with('{') {
            self.wrapper(wrapper(&source.text)?);
            return Ok(());
        }
        let value: Value = serde_json::from_str(text).map_err(|why| Why::Kind(why.to_string()))?;
        let has = |names: &[&str]| names.iter().any(|name| value.get(name).is_some());
        if has(&["serviceFilter", "clusterKey", "subVars", "noopTriggers"]) {
            self.conf = Some(Conf::read(&source.text)?);
        } else if has(&MEMBERS) {
            for finding in findings(&value) {
                self.finding(finding);
            }
        } else {
            return Err(Why::Kind("it has none of their members".to_owned()));
        }
        Ok(())
    }

    fn service(&mut self, consul_service: &str) -> &mut Service {
        let known = self.services.iter().position(|service| service.consul_service == consul_service);
        let at = known.unwrap_or_else(|| {
            let consul_service = consul_service.to_owned();
            self.services.push(Service { consul_service, ..Service::default() });
            self.services.len() - 1
        });
        &mut self.services[at]
    }

    fn wrapper(&mut self, wrapper: Wrapper) {
        let service = self.service(&wrapper.consul_service);
        service.name = Some(wrapper.name);
        // The wrapper knows all of them, and their order.
        service.local = wrapper.local_services;
        service.noop_file = wrapper.noop_lockfile.or(service.noop_file.take());
    }

    fn finding(&mut self, finding: Finding) {
        match finding {
            Finding::Check(check) => {
                let service = self.service(&check.consul_service);
                service.update |= check.update;
                service.noop_file = service.noop_file.take().or(check.noop_file);
                let names = match check.resource {
                    Resource::Service(name) => vec![name],
                    Resource::Group(names) => names,
                    Resource::Crontab { user, .. } => {
                        service.others.push(format!("the crontab of {user}"));
                        Vec::new()
                    }
                    Resource::Process(args) => {
                        service.others.push(format!("check_procs {args}"));
                        Vec::new()
                    }
                };
                if service.name.is_none() {
                    for name in names {
                        if !service.local.contains(&name) {
                            service.local.push(name);
                        }
                    }
                }
            }
            Finding::Wrapper { name, consul_service } => {
                let service = self.service(&consul_service);
                service.name.get_or_insert(name);
            }
            Finding::Triggers => self.triggers = true,
            Finding::Unread { command, why } => {
                self.remarks.push(format!("`{command}` cannot be read: {why}"));
            }
        }
    }

    fn written(&self) -> String {
        let mut out = Writer::default();
        out.comment("Made from what powerconsul had. Read it before it is used: what is marked with TODO");
        out.comment("needs a decision.");
        out.blank();
        for remark in &self.remarks {
            out.comment(&format!("TODO: {remark}."));
        }
        let conf = self.conf.clone().unwrap_or_default();
        if self.triggers || !conf.sub_vars.is_empty() || !conf.noop_triggers.is_empty() {
            out.comment("TODO: commands from Consul (triggers/…) are run only under the old name: make rules of them.");
            for (name, value) in &conf.sub_vars {
                out.comment(&format!("  @{name} stands for {}", quoted(value)));
            }
        }
        if let Some(filter) = &conf.service_filter {
            out.comment(&format!(
                "TODO: only nodes whose names begin with {} counted.",
                quoted(filter.as_str())
            ));
        }
        for service in &self.services {
            out.blank();
            self::service(service, &conf, &mut out);
        }
        out.end()
    }
}

/// The block of one service.
fn service(service: &Service, conf: &Conf, out: &mut Writer) {
    let name = service.name.as_ref().unwrap_or(&service.consul_service);
    for other in &service.others {
        out.comment(&format!("TODO: {other} was checked for it too: make a watcher of it."));
    }
    if conf.noop_triggers.contains(&service.consul_service) {
        out.comment("No triggers were run for it (noopTriggers).");
    }
    if service.local.is_empty() {
        out.comment("TODO: which units it has is in none of the files.");
    }
    out.block(&format!("service {}", quoted(name)), |out| {
        out.set("consul_service", &quoted(&service.consul_service));
        if let Some(key) = &conf.cluster_key {
            out.set("cluster_key", &quoted(key));
        }
        let unit = |name: &String| {
            quoted(&if name.contains('.') { name.clone() } else { format!("{name}.service") })
        };
        let units: Vec<String> = service.local.iter().map(unit).collect();
        if !units.is_empty() {
            out.set("units", &list(&units));
        }
        if let Some(file) = &service.noop_file {
            out.set("noop_file", &quoted(file));
        }
        if service.update {
            out.comment(
                "TODO: its check exchanged the roles by itself (-U): decide about automatic failover.",
            );
        }
    });
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn source(name: &str, text: &str) -> Source {
        Source { name: name.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn what_was_found_becomes_blocks() {
        let script = "#!/usr/bin/env python\nPowerConsul_Service.process(name='myservice', consul_service='my',\n\
            local_services=['apache2', 'mysql'], noop_lockfile='/var/lock/my.lock')";
        let conf = r#"{"clusterKey": "cluster/production", "subVars": {"@ENV": "prod"}, "serviceFilter": "production"}"#;
        let definition = r#"{"service": {"name": "web", "checks": [
            {"script": "/usr/bin/env powerconsul check servicegroup -s nginx,php -S web -U -F /run/web"},
            {"script": "/usr/bin/env powerconsul check crontab -u www -S web"}]},
            "watches": [{"type": "checks", "state": "critical", "handler": "powerconsul watch critical"}]}"#;
        let made = import(&[
            source("a", definition),
            source("/etc/init.d/myservice", script),
            source(".powerconsul.conf", conf),
        ])
        .unwrap();
        assert_eq!(made.services, 2);
        assert_snapshot!(made.text, @r#"
        # Made from what powerconsul had. Read it before it is used: what is marked with TODO
        # needs a decision.

        # TODO: commands from Consul (triggers/…) are run only under the old name: make rules of them.
        #   @ENV stands for "prod"
        # TODO: only nodes whose names begin with "production" counted.

        # TODO: the crontab of www was checked for it too: make a watcher of it.
        service "web" {
          consul_service = "web"
          cluster_key    = "cluster/production"
          units          = ["nginx.service", "php.service"]
          noop_file      = "/run/web"
          # TODO: its check exchanged the roles by itself (-U): decide about automatic failover.
        }

        service "myservice" {
          consul_service = "my"
          cluster_key    = "cluster/production"
          units          = ["apache2.service", "mysql.service"]
          noop_file      = "/var/lock/my.lock"
        }
        "#);
    }

    #[test]
    fn a_file_that_is_none_of_those_is_told() {
        let error = |text: &str| import(&[source("x", text)]).unwrap_err().to_string();
        assert_eq!(
            error("#!/bin/sh\n"),
            "cannot use `x`: it is no init script, no .powerconsul.conf and no configuration of Consul (expected value at line 1 column 1)"
        );
        assert_eq!(
            error("{}"),
            "cannot use `x`: it is no init script, no .powerconsul.conf and no configuration of Consul (it has none of their members)"
        );
        assert_eq!(
            error("\n\nPowerConsul_Service.process(name)"),
            "cannot use `x`: line 3: `name` must be written out here: a text"
        );
        assert_eq!(error(r#"{"clusterKey": 1}"#), "cannot use `x`: `clusterKey` is no text");
    }
}
