//! What a configuration takes from outside its files.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::tz::TimeZone;

/// The environment as the decoder asks for it; a map will do for tests.
pub trait Env {
    /// The environment variable of that name, if it is set and UTF-8.
    fn var(&self, name: &str) -> Option<String>;

    /// The name of this host.
    fn host_name(&self) -> Option<String> {
        None
    }

    /// The time zone of this host.
    fn time_zone(&self) -> TimeZone {
        TimeZone::UTC
    }

    /// Whether the file is known not to exist.
    fn is_missing(&self, _path: &Path) -> bool {
        false
    }
}

/// The environment of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessEnv;

impl Env for ProcessEnv {
    fn var(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn host_name(&self) -> Option<String> {
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
        Some(name.trim().to_owned()).filter(|name| !name.is_empty())
    }

    fn time_zone(&self) -> TimeZone {
        TimeZone::system()
    }

    fn is_missing(&self, path: &Path) -> bool {
        matches!(path.try_exists(), Ok(false))
    }
}

impl Env for BTreeMap<String, String> {
    fn var(&self, name: &str) -> Option<String> {
        self.get(name).cloned()
    }
}
