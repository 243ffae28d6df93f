//! What a machine says of itself: memory, swap, load, temperatures, its clock.

use std::path::PathBuf;

use regex::Regex;

/// `watch "memory"`: what is available of it, and how long tasks wait for it.
#[derive(Clone, Debug, PartialEq)]
pub struct HostMemory {
    /// Less available than this is a warning, percent.
    pub warn_available_percent: f64,
    /// Less available than this is critical, percent.
    pub critical_available_percent: f64,
    /// Less available than this is critical, bytes.
    pub critical_available_bytes: Option<u64>,
    /// Pressure limits.
    pub pressure: Pressure,
}

/// The share of the last minute in which tasks waited for want of something, percent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pressure {
    /// More than this is a warning.
    pub warn_percent: Option<f64>,
    /// More than this is critical.
    pub critical_percent: Option<f64>,
}

/// `watch "swap"`: whether there is some, and how much is used.
#[derive(Clone, Debug, PartialEq)]
pub struct Swap {
    /// More used than this is a warning, percent.
    pub warn_used_percent: f64,
    /// More used than this is critical, percent.
    pub critical_used_percent: f64,
    /// Whether it is critical that no swap is active.
    pub present: bool,
    /// Files or devices that must be active.
    pub paths: Vec<PathBuf>,
}

/// `watch "load"`: how many tasks run or wait.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    /// The average of how many minutes is judged.
    pub minutes: LoadMinutes,
    /// More for each processor than this is a warning.
    pub warn_per_core: f64,
    /// More for each processor than this is critical.
    pub critical_per_core: f64,
    /// More than this in all is a warning.
    pub warn: Option<f64>,
    /// More than this in all is critical.
    pub critical: Option<f64>,
    /// Pressure limits.
    pub pressure: Pressure,
}

/// One of the three averages that a system keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadMinutes {
    /// Of one minute.
    One,
    /// Of five.
    Five,
    /// Of fifteen.
    Fifteen,
}

/// `watch "temperature"`: the sensors of this machine.
#[derive(Clone, Debug)]
pub struct Temperature {
    /// Only sensors whose name matches.
    pub sensors: Option<Regex>,
    /// More than this is a warning, °C.
    pub warn_celsius: f64,
    /// More than this is critical, °C.
    pub critical_celsius: f64,
}

/// `watch "clock"`: whether the clock is right.
#[derive(Clone, Debug, PartialEq)]
pub struct HostClock {
    /// Who says so.
    pub source: ClockSource,
    /// More off than this is a warning, seconds.
    pub warn_offset_seconds: f64,
    /// More off than this is critical, seconds.
    pub critical_offset_seconds: f64,
}

/// Who says whether a clock is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClockSource {
    /// A program that prints `yes` when the kernel's clock is kept in step.
    Program(Vec<String>),
    /// A time server, which is asked (SNTP).
    Server {
        /// Host name or address.
        host: String,
        /// Port.
        port: u16,
    },
}
