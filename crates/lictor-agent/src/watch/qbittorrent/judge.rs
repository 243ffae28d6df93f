//! What is seen of a qBittorrent as a result.

use std::time::Duration;

use lictor_config::Qbittorrent;
use lictor_core::{Sample, Span, Status};

use super::ask::{Seen, TrackerSeen};
use crate::qbittorrent::Connection;
use crate::watch::look::worst;
use crate::watch::value::{self, Measured as _};

/// One thing to say.
type Finding = (Status, String);

/// The result; `firewalled` is how long it has been.
pub(super) fn judge(settings: &Qbittorrent, seen: &Seen, firewalled: Option<Duration>) -> Sample {
    let leak = leak(settings, seen);
    let mut findings = vec![connection(settings, seen, firewalled.unwrap_or_default())];
    findings.extend(leak.clone());
    findings.extend(seen.tracker.as_ref().map(|tracker| of_tracker(settings, tracker)));
    // The worst first; of one rank in the order above.
    findings.sort_by_key(|(status, _)| std::cmp::Reverse(*status));
    let status = worst(Status::Passing, findings.iter().map(|(status, _)| *status));
    let told: Vec<&str> = findings.iter().map(|(_, text)| text.as_str()).collect();
    let mut sample = Sample::new(status, told.join("; "));
    values(&mut sample, seen, leak.is_some());
    sample
}

fn connection(settings: &Qbittorrent, seen: &Seen, firewalled: Duration) -> Finding {
    let torrents = format!("{} of {} torrents run", seen.running, seen.torrents);
    match seen.connection {
        Connection::Connected => (Status::Passing, format!("connected, {torrents}")),
        Connection::Disconnected => (
            Status::Critical,
            "disconnected: it has no open port (is its network interface there?)".to_owned(),
        ),
        Connection::Firewalled if !settings.strict => (Status::Passing, format!("firewalled, {torrents}")),
        Connection::Firewalled => {
            let status = if firewalled < settings.grace { Status::Unknown } else { Status::Critical };
            let since = Span(firewalled);
            (status, format!("firewalled for {since}: nobody from outside has reached its port, {torrents}"))
        }
    }
}

fn leak(settings: &Qbittorrent, seen: &Seen) -> Option<Finding> {
    let forbidden = |address| settings.forbidden.iter().any(|range| range.contains(address));
    let address = seen.external.iter().find(|address| forbidden(**address))?;
    Some((
        Status::Critical,
        format!("others see it as {address}, which they must never: it does not use its tunnel"),
    ))
}

fn of_tracker(settings: &Qbittorrent, tracker: &TrackerSeen) -> Finding {
    let TrackerSeen { name, torrents, working, failing, others } = tracker;
    if *torrents == 0 {
        return (Status::Passing, format!("no torrent of {name} runs, so it is not looked at"));
    }
    if *working > 0 {
        return (Status::Passing, format!("{name} works"));
    }
    if *failing == 0 {
        return (Status::Passing, format!("{name} has not answered yet"));
    }
    if others.working == 0 && others.failing > 0 {
        return (
            Status::Critical,
            format!("no tracker of any torrent works, {name} and {} others", others.failing),
        );
    }
    let status = if settings.tracker_critical { Status::Critical } else { Status::Warning };
    let alone = if others.working > 0 { ", others do" } else { "" };
    (status, format!("{name} does not work{alone}"))
}

fn values(sample: &mut Sample, seen: &Seen, leak: bool) {
    let listening = seen.connection != Connection::Disconnected;
    // One for the time that the look took.
    sample
        .values
        .reserve_exact(10 + usize::from(seen.dht_nodes.is_some()) + 4 * usize::from(seen.tracker.is_some()));
    sample.flag(&value::STABLE, listening && !leak);
    sample.flag(&value::CONNECTED, seen.connection == Connection::Connected);
    sample.flag(&value::FIREWALLED, seen.connection == Connection::Firewalled);
    sample.flag(&value::LISTENING, listening);
    sample.flag(&value::LEAK, leak);
    sample.count(&value::TORRENTS, number(seen.torrents));
    sample.count(&value::RUNNING, number(seen.running));
    if let Some(nodes) = seen.dht_nodes {
        sample.count(&value::DHT_NODES, nodes);
    }
    if let Some(tracker) = &seen.tracker {
        sample.count(&value::TRACKER_TORRENTS, number(tracker.torrents));
        sample.count(&value::TRACKER_WORKING, number(tracker.working));
        sample.count(&value::TRACKER_FAILING, number(tracker.failing));
        let ours = usize::from(tracker.working == 0 && tracker.failing > 0);
        sample.count(&value::TRACKERS_FAILING, number(ours + tracker.others.failing));
    }
    let word = match seen.connection {
        Connection::Connected => "connected",
        Connection::Firewalled => "firewalled",
        Connection::Disconnected => "disconnected",
    };
    sample.text(&value::CONNECTION, word);
    sample.text(&value::VERSION, seen.version.clone());
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
