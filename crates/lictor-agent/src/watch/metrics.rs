//! What is counted about looks.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use lictor_config::WatchKind;
use lictor_core::Status;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Upper bounds, seconds.
const DURATION: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
const LATENESS: [f64; 13] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 10.0, 60.0];

/// The kinds, in the order of [`Kind`].
const KINDS: [&str; 22] = [
    "http",
    "tcp",
    "dns",
    "exec",
    "disk",
    "process",
    "heartbeat",
    "qbittorrent",
    "vpn",
    "public_ip",
    "prometheus",
    "redis",
    "webhook",
    "memory",
    "swap",
    "load",
    "temperature",
    "clock",
    "file",
    "stream",
    "journal",
    "unit",
];

/// The place of a kind among the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind(usize);

impl Kind {
    pub(super) const fn of(kind: &WatchKind) -> Self {
        Self(match kind {
            WatchKind::Http(_) => 0,
            WatchKind::Tcp(_) => 1,
            WatchKind::Dns(_) => 2,
            WatchKind::Exec(_) => 3,
            WatchKind::Disk(_) => 4,
            WatchKind::Process(_) => 5,
            WatchKind::Heartbeat(_) => 6,
            WatchKind::Qbittorrent(_) => 7,
            WatchKind::Vpn(_) => 8,
            WatchKind::PublicIp(_) => 9,
            WatchKind::Prometheus(_) => 10,
            WatchKind::Redis(_) => 11,
            WatchKind::Webhook(_) => 12,
            WatchKind::Memory(_) => 13,
            WatchKind::Swap(_) => 14,
            WatchKind::Load(_) => 15,
            WatchKind::Temperature(_) => 16,
            WatchKind::Clock(_) => 17,
            WatchKind::File(_) => 18,
            WatchKind::Stream(_) => 19,
            WatchKind::Journal(_) => 20,
            WatchKind::Unit(_) => 21,
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfKind {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfResult {
    kind: &'static str,
    status: &'static str,
}

/// The metrics of all watchers. Counting takes no lock but a histogram's own.
#[derive(Debug)]
pub(super) struct Metrics {
    /// By kind and status.
    probes: Vec<[Counter; Status::ALL.len()]>,
    durations: Vec<Histogram>,
    pub(super) lateness: Histogram,
    pub(super) in_flight: Gauge,
    pub(super) skipped: Counter,
    /// Not among those exported: the ledger's entries are counted.
    pub(super) restarts: Counter,
    pub(super) watchers: Gauge,
    /// All looks that brought a result.
    total: AtomicU64,
}

impl Metrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let probes = Family::<OfResult, Counter>::default();
        let durations = Family::<OfKind, Histogram>::new_with_constructor(|| Histogram::new(DURATION));
        let lateness = Histogram::new(LATENESS);
        let metrics = Self {
            probes: KINDS
                .map(|kind| {
                    Status::ALL.map(|status| {
                        let labels = OfResult { kind, status: status.as_str() };
                        probes.get_or_create(&labels).clone()
                    })
                })
                .into(),
            durations: KINDS.map(|kind| durations.get_or_create(&OfKind { kind }).clone()).into(),
            lateness: lateness.clone(),
            in_flight: Gauge::default(),
            skipped: Counter::default(),
            restarts: Counter::default(),
            watchers: Gauge::default(),
            total: AtomicU64::new(0),
        };
        registry.register("lictor_probes", "Looks by what they brought", probes);
        registry.register("lictor_probe_duration_seconds", "How long looks took", durations);
        registry.register(
            "lictor_probe_lateness_seconds",
            "How much later than planned looks began; a skipped one counts with the time it was late",
            lateness,
        );
        registry.register("lictor_probes_in_flight", "Looks under way", metrics.in_flight.clone());
        registry.register(
            "lictor_probes_skipped",
            "Looks left out because the one before was not over",
            metrics.skipped.clone(),
        );
        registry.register("lictor_watchers", "Watchers that run", metrics.watchers.clone());
        metrics
    }

    /// Counts a look that brought a result.
    pub(super) fn looked(&self, kind: Kind, status: Status, took: Duration) {
        use std::sync::atomic::Ordering;
        self.total.fetch_add(1, Ordering::Relaxed);
        if let Some(histogram) = self.durations.get(kind.0) {
            histogram.observe(took.as_secs_f64());
        }
        let place = Status::ALL.iter().position(|known| *known == status).unwrap_or_default();
        if let Some(counter) = self.probes.get(kind.0).and_then(|of_kind| of_kind.get(place)) {
            counter.inc();
        }
    }

    pub(super) fn stats(&self) -> Stats {
        Stats {
            watchers: self.watchers.get(),
            probes: self.total.load(std::sync::atomic::Ordering::Relaxed),
            in_flight: self.in_flight.get(),
            skipped: self.skipped.get(),
            restarts: self.restarts.get(),
        }
    }
}

/// What the watchers have done since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Watchers that run.
    pub watchers: i64,
    /// Looks that brought a result.
    pub probes: u64,
    /// Looks under way.
    pub in_flight: i64,
    /// Looks left out because the one before was not over.
    pub skipped: u64,
    /// Watchers that were restarted because they ended or went quiet.
    pub restarts: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_have_the_names_and_labels_that_are_documented() {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        metrics.looked(Kind(1), Status::Critical, Duration::from_millis(3));
        metrics.lateness.observe(0.003);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "lictor_probes_total{kind=\"tcp\",status=\"critical\"} 1",
            "lictor_probes_total{kind=\"tcp\",status=\"passing\"} 0",
            "lictor_probe_duration_seconds_bucket{le=\"0.005\",kind=\"tcp\"} 1",
            "lictor_probe_lateness_seconds_bucket{le=\"0.005\"} 1",
            "lictor_probes_in_flight 0",
            "lictor_probes_skipped_total 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
        assert_eq!(metrics.stats().probes, 1);
    }
}
