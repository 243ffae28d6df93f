//! The names of the values that watchers report, and how numbers become values.

use std::sync::LazyLock;
use std::time::Duration;

use lictor_core::{Sample, Value, ValueName};

macro_rules! names {
    ($($name:ident = $text:literal;)*) => {$(
        pub(super) static $name: LazyLock<ValueName> = LazyLock::new(|| known($text));
    )*};
}

names! {
    ACTIVE = "active";
    ALERT = "alert";
    ANSWERS = "answers";
    AVAILABLE_BYTES = "available_bytes";
    AVAILABLE_PERCENT = "available_percent";
    BEHIND_SECONDS = "behind_seconds";
    BODY_BYTES = "body_bytes";
    CELSIUS = "celsius";
    CERTIFICATE_DAYS = "certificate_days";
    CITY = "city";
    CONNECTED = "connected";
    CONNECTION = "connection";
    CONNECT_SECONDS = "connect_seconds";
    CORES = "cores";
    COUNT = "count";
    COUNTRY = "country";
    CUT = "cut";
    DELAY_SECONDS = "delay_seconds";
    DHT_NODES = "dht_nodes";
    DNS_SECONDS = "dns_seconds";
    EXISTS = "exists";
    EXIT_STATUS = "exit_status";
    FILES = "files";
    FIREWALLED = "firewalled";
    FIRING = "firing";
    FIRST_BYTE_SECONDS = "first_byte_seconds";
    GAPS = "gaps";
    HANDSHAKE_AGE_SECONDS = "handshake_age_seconds";
    HIGHEST = "highest";
    HOSTNAME = "hostname";
    INODES_USED_PERCENT = "inodes_used_percent";
    INVOCATION = "invocation";
    IP = "ip";
    LEAK = "leak";
    LINES = "lines";
    LISTENING = "listening";
    LOAD1 = "load1";
    LOAD15 = "load15";
    LOAD5 = "load5";
    LOCATION = "location";
    LOWEST = "lowest";
    MATCHED = "matched";
    MEMORY_BYTES = "memory_bytes";
    MISSING = "missing";
    MOUNT = "mount";
    OFFSET_SECONDS = "offset_seconds";
    OK = "ok";
    ORGANIZATION = "organization";
    PER_CORE = "per_core";
    PID = "pid";
    POSTAL_CODE = "postal_code";
    PRESSURE_FULL_PERCENT = "pressure_full_percent";
    PRESSURE_PERCENT = "pressure_percent";
    RAW = "raw";
    REGION = "region";
    RESTARTS = "restarts";
    RESULT = "result";
    RUNNING = "running";
    RX_BYTES = "rx_bytes";
    SCORE = "score";
    SENSOR = "sensor";
    SENSORS = "sensors";
    SERIAL = "serial";
    SERIES = "series";
    SILENT_SECONDS = "silent_seconds";
    SKIPPED = "skipped";
    STABLE = "stable";
    STALE = "stale";
    STATE = "state";
    STATUS = "status";
    STRATUM = "stratum";
    SUB_STATE = "sub_state";
    SUPPRESSED = "suppressed";
    SYNCHRONIZED = "synchronized";
    TIMEZONE = "timezone";
    TLS_SECONDS = "tls_seconds";
    TORRENTS = "torrents";
    TOTAL_BYTES = "total_bytes";
    TOTAL_SECONDS = "total_seconds";
    TRACKERS_FAILING = "trackers_failing";
    TRACKER_FAILING = "tracker_failing";
    TRACKER_TORRENTS = "tracker_torrents";
    TRACKER_WORKING = "tracker_working";
    TX_BYTES = "tx_bytes";
    UP = "up";
    USED_BYTES = "used_bytes";
    USED_PERCENT = "used_percent";
    VALUE = "value";
    VERSION = "version";
}

fn known(text: &str) -> ValueName {
    ValueName::new(text).unwrap_or_else(|error| unreachable!("{text}: {error}"))
}

/// A text made into a value's name: what a name may not hold becomes `_`. `None` for an empty one.
pub(super) fn named(text: &str) -> Option<ValueName> {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || "_-.:@/".contains(c) { c } else { '_' };
    ValueName::new(&text.chars().take(128).map(allowed).collect::<String>()).ok()
}

/// Adds values to a sample.
pub(super) trait Measured {
    /// Adds a number.
    fn number(&mut self, name: &LazyLock<ValueName>, number: f64);
    /// Adds a whole number; exact below 2^53.
    fn count(&mut self, name: &LazyLock<ValueName>, count: u64);
    /// Adds a text.
    fn text(&mut self, name: &LazyLock<ValueName>, text: impl Into<String>);
    /// Adds 1 for yes and 0 for no.
    fn flag(&mut self, name: &LazyLock<ValueName>, is: bool) {
        self.number(name, if is { 1.0 } else { 0.0 });
    }
    /// Adds a duration in seconds.
    fn seconds(&mut self, name: &LazyLock<ValueName>, time: Duration) {
        self.number(name, time.as_secs_f64());
    }
}

impl Measured for Sample {
    fn number(&mut self, name: &LazyLock<ValueName>, number: f64) {
        self.values.push((LazyLock::force(name).clone(), Value::Number(number)));
    }

    fn count(&mut self, name: &LazyLock<ValueName>, count: u64) {
        self.number(name, float(count));
    }

    fn text(&mut self, name: &LazyLock<ValueName>, text: impl Into<String>) {
        self.values.push((LazyLock::force(name).clone(), Value::Text(text.into())));
    }
}

/// A count as a number; exact below 2^53.
pub(super) fn float(count: u64) -> f64 {
    let high = u32::try_from(count >> 32).unwrap_or(u32::MAX);
    let low = u32::try_from(count & u64::from(u32::MAX)).unwrap_or(u32::MAX);
    f64::from(high) * 4_294_967_296.0 + f64::from(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_label_becomes_a_name() {
        assert_eq!(named("free space /var").unwrap().as_str(), "free_space_/var");
        assert_eq!(named(&"x".repeat(500)).unwrap().as_str().len(), 128);
        assert_eq!(named(""), None);
    }

    #[test]
    fn counts_become_numbers_exactly() {
        assert_eq!(float(0), 0.0);
        assert_eq!(float((1 << 53) - 1), 9_007_199_254_740_991.0);
    }
}
