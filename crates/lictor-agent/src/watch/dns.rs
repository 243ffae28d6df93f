//! DNS: a name has an answer, and the expected one.
//!
//! A named server is asked directly, one question at a time, so that nothing cached and no
//! search list comes between. Without one, addresses come from the system's own resolver
//! (getaddrinfo) and other records from the servers in `/etc/resolv.conf`.

mod question;

pub(crate) use question::message;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use lictor_config::{Dns, DnsRecord, Family};
use lictor_core::{Sample, Span, Status};
use tokio::time::timeout;

use super::fault::{Fault, Plain, Stage};
use super::look::{Look, World};
use super::resolve::RESOLV_CONF;
use super::value::{self, Measured as _};

/// Answers that are told of in a message.
const SHOWN: usize = 4;

/// What a name was found to lead to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    /// The answers as text, in the order they came.
    answers: Vec<String>,
    /// Of a zone.
    serial: Option<u32>,
}

pub(super) async fn look(dns: &Dns, limit: Duration, world: &World) -> Look {
    let mut stage = Stage::start();
    let ended = match timeout(limit, find(dns, limit, world, &mut stage)).await {
        Ok(ended) => ended,
        Err(_late) => Err(stage.late(limit)),
    };
    let total = stage.started().elapsed();
    let mut sample = match ended {
        Ok(found) => {
            let mut sample = judge(dns, &found, total);
            sample.count(&value::ANSWERS, found.answers.len() as u64);
            if let Some(serial) = found.serial {
                sample.number(&value::SERIAL, f64::from(serial));
            }
            sample
        }
        Err(fault) => fault.into_sample(),
    };
    sample.seconds(&value::TOTAL_SECONDS, total);
    Look::new(sample)
}

async fn find(dns: &Dns, limit: Duration, world: &World, stage: &mut Stage) -> Result<Found, Fault> {
    let deadline = stage.started() + limit;
    let by_system = match dns.record {
        DnsRecord::A => Some(Family::V4),
        DnsRecord::Aaaa => Some(Family::V6),
        DnsRecord::Cname
        | DnsRecord::Mx
        | DnsRecord::Ns
        | DnsRecord::Ptr
        | DnsRecord::Srv
        | DnsRecord::Txt
        | DnsRecord::Soa => None,
    };
    match (dns.server, by_system) {
        (Some(server), _) => question::ask(&[server], &dns.name, dns.record, deadline, stage).await,
        (None, Some(family)) => {
            stage.enter(format!("looking up {}", dns.name));
            let addresses = world.resolver.addresses(&dns.name, 0, family).await?;
            Ok(Found {
                answers: addresses.iter().map(|address| address.ip().to_string()).collect(),
                serial: None,
            })
        }
        (None, None) => question::ask(&system_servers()?, &dns.name, dns.record, deadline, stage).await,
    }
}

/// The name servers of this machine.
///
/// # Errors
/// In words, when it cannot be found out which they are.
pub(crate) fn name_servers() -> Result<Vec<SocketAddr>, String> {
    system_servers().map_err(|fault| fault.message)
}

/// The name servers of this machine, as resolv.conf(5) has it: at most three, this machine
/// itself when there is none.
fn system_servers() -> Result<Vec<SocketAddr>, Fault> {
    match std::fs::read_to_string(RESOLV_CONF) {
        Ok(text) => Ok(servers(&text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(servers("")),
        Err(error) => Err(Fault::unknown(format!("cannot read {RESOLV_CONF}: {}", Plain(&error)))),
    }
}

fn servers(text: &str) -> Vec<SocketAddr> {
    let named = |line: &str| {
        let mut words = line.split_whitespace();
        let address = words.next().filter(|word| *word == "nameserver").and_then(|_| words.next())?;
        let scoped = address.split('%').next().unwrap_or_default();
        scoped.parse::<IpAddr>().ok()
    };
    let mut found: Vec<SocketAddr> =
        text.lines().filter_map(named).take(3).map(|address| SocketAddr::new(address, 53)).collect();
    if found.is_empty() {
        found.push(SocketAddr::from(([127, 0, 0, 1], 53)));
    }
    found
}

fn judge(dns: &Dns, found: &Found, total: Duration) -> Sample {
    let name = &dns.name;
    let all = shown(&found.answers);
    let missing: Vec<String> = dns
        .expect
        .iter()
        .filter(|wanted| !found.answers.iter().any(|got| equal(got, wanted)))
        .cloned()
        .collect();
    if !missing.is_empty() {
        return Sample::new(Status::Critical, format!("{name} is {all}, without {}", shown(&missing)));
    }
    if !dns.others {
        let unwanted: Vec<String> = found
            .answers
            .iter()
            .filter(|got| !dns.expect.iter().any(|wanted| equal(got, wanted)))
            .cloned()
            .collect();
        if !unwanted.is_empty() {
            let message = format!("{name} is {all}; {} is not expected", shown(&unwanted));
            return Sample::new(Status::Critical, message);
        }
    }
    match dns.warn_slower.filter(|limit| total > *limit) {
        Some(limit) => {
            let message = format!("{name} took {}, longer than {}", Span(total), Span(limit));
            Sample::new(Status::Warning, message)
        }
        None => Sample::new(Status::Passing, format!("{name} is {all}")),
    }
}

fn shown(answers: &[String]) -> String {
    let first: Vec<&str> = answers.iter().take(SHOWN).map(String::as_str).collect();
    let more = answers.len().saturating_sub(SHOWN);
    let and = if more == 0 { String::new() } else { format!(" and {more} more") };
    first.join(", ") + &and
}

/// Whether two answers are the same: addresses in value, names without regard to case and a final dot.
fn equal(got: &str, wanted: &str) -> bool {
    if let (Ok(got), Ok(wanted)) = (got.parse::<IpAddr>(), wanted.parse::<IpAddr>()) {
        return got == wanted;
    }
    let bare = |text: &str| text.strip_suffix('.').unwrap_or(text).to_owned();
    bare(got).eq_ignore_ascii_case(&bare(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_servers_are_read_as_the_c_library_reads_them() {
        let text = "# nameserver 192.0.2.9\nsearch example\nnameserver 192.0.2.1\nnameserver\tfe80::1%eth0\n\
                    nameserver x\noptions ndots:2\nnameserver 192.0.2.2\nnameserver 192.0.2.3\n";
        let found: Vec<String> = servers(text).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["192.0.2.1:53", "[fe80::1]:53", "192.0.2.2:53"]);
        assert_eq!(servers("").first().unwrap().to_string(), "127.0.0.1:53");
    }

    #[test]
    fn answers_are_compared_by_meaning() {
        assert!(equal("2001:db8::1", "2001:DB8:0::1"));
        assert!(equal("10 Mail.Example.", "10 mail.example"));
        assert!(!equal("192.0.2.1", "192.0.2.10"));
    }
}
