//! What name servers say of peers, and for how long it holds.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::time::Instant;
use tracing::warn;

use super::{Target, is_host};
use crate::watch::message;

/// Links of a chain of aliases that are followed within an answer.
const ALIASES: usize = 16;

/// The hosts and ports that an SRV record names, each with the addresses that came with it. Priority
/// and weight say nothing about who has to be watched.
pub(super) async fn srv(
    servers: &[SocketAddr],
    name: &str,
    deadline: Instant,
) -> Result<(Vec<Target>, Duration), String> {
    let asked = absolute(name)?;
    let answer = message(servers, &asked, RecordType::SRV, deadline).await?;
    let found = Records::of(&answer, &asked, RecordType::SRV)?;
    let mut places: BTreeMap<Name, Vec<IpAddr>> = BTreeMap::new();
    let mut ttl = found.ttl;
    for record in &answer.additionals {
        if let Some(address) = address(record) {
            places.entry(record.name.to_lowercase()).or_default().push(address);
            ttl = ttl.min(record.ttl);
        }
    }
    let mut targets = Vec::new();
    for record in found.records {
        let RData::SRV(srv) = &record.data else { continue };
        // The root stands for nobody.
        if srv.target.is_root() {
            continue;
        }
        let host = srv.target.to_lowercase().to_ascii();
        let host = host.trim_end_matches('.');
        if srv.port == 0 || !is_host(host) {
            warn!(name, host, port = srv.port, "a record names what can be no peer: it is left out");
            continue;
        }
        let addresses = places.get(&srv.target.to_lowercase());
        let addresses = addresses.into_iter().flatten().map(|ip| SocketAddr::new(*ip, srv.port)).collect();
        targets.push(Target { host: host.to_owned(), port: srv.port, addresses });
    }
    Ok((targets, seconds(ttl)))
}

/// All addresses of a name, of both kinds: half an answer is none.
pub(super) async fn addresses(
    servers: &[SocketAddr],
    name: &str,
    deadline: Instant,
) -> Result<(Vec<IpAddr>, Duration), String> {
    let (four, six) = both(servers, &absolute(name)?, deadline).await;
    let ((mut found, four), (more, six)) = (four?, six?);
    found.extend(more);
    Ok((found, seconds(four.min(six))))
}

/// Addresses of a name, of whichever kind can be had.
pub(super) async fn some_addresses(
    servers: &[SocketAddr],
    name: &str,
    deadline: Instant,
) -> Result<(Vec<IpAddr>, Duration), String> {
    let (mut found, ttl) = match both(servers, &absolute(name)?, deadline).await {
        (Ok((mut found, four)), Ok((more, six))) => {
            found.extend(more);
            (found, four.min(six))
        }
        (Ok((found, ttl)), Err(why)) | (Err(why), Ok((found, ttl))) => {
            if found.is_empty() {
                return Err(why);
            }
            (found, ttl)
        }
        (Err(why), Err(_same)) => return Err(why),
    };
    found.dedup();
    Ok((found, seconds(ttl)))
}

type Addresses = Result<(Vec<IpAddr>, u32), String>;

/// Both kinds at once.
async fn both(servers: &[SocketAddr], name: &Name, deadline: Instant) -> (Addresses, Addresses) {
    let one = async |kind| {
        let answer = message(servers, name, kind, deadline).await?;
        let found = Records::of(&answer, name, kind)?;
        Ok((found.records.into_iter().filter_map(address).collect(), found.ttl))
    };
    tokio::join!(one(RecordType::A), one(RecordType::AAAA))
}

/// The records of one kind in an answer.
struct Records<'a> {
    records: Vec<&'a Record>,
    /// The shortest on the way to them, seconds; none at all is not believed for any time.
    ttl: u32,
}

impl<'a> Records<'a> {
    /// Those of the name, or of what it is an alias of.
    fn of(answer: &'a Message, asked: &'a Name, kind: RecordType) -> Result<Self, String> {
        if answer.metadata.response_code == ResponseCode::NXDomain {
            return Err(format!("{asked} does not exist (NXDOMAIN)"));
        }
        let mut owner = asked;
        let mut ttl = u32::MAX;
        for _ in 0..ALIASES {
            let of_owner = answer.answers.iter().filter(|record| record.name == *owner);
            let records: Vec<&Record> =
                of_owner.clone().filter(|record| record.record_type() == kind).collect();
            if let Some(shortest) = records.iter().map(|record| record.ttl).min() {
                return Ok(Self { records, ttl: ttl.min(shortest) });
            }
            let alias = of_owner.clone().find_map(|record| match &record.data {
                RData::CNAME(target) => Some((&target.0, record.ttl)),
                _ => None,
            });
            match alias {
                Some((target, time)) => (owner, ttl) = (target, ttl.min(time)),
                None => break,
            }
        }
        Ok(Self { records: Vec::new(), ttl: 0 })
    }
}

fn address(record: &Record) -> Option<IpAddr> {
    match &record.data {
        RData::A(address) => Some(address.0.into()),
        RData::AAAA(address) => Some(address.0.into()),
        _ => None,
    }
}

fn absolute(name: &str) -> Result<Name, String> {
    let mut absolute =
        Name::from_utf8(name).map_err(|error| format!("`{name}` cannot be asked for: {error}"))?;
    absolute.set_fqdn(true);
    Ok(absolute)
}

fn seconds(ttl: u32) -> Duration {
    Duration::from_secs(ttl.into())
}
