//! The process as Prometheus' client libraries report it, from `/proc/self` (proc(5)).

use std::fs;

use super::Gauges;

/// Writes what can be read; a system without `/proc` has none of it.
pub(super) fn render(gauges: &mut Gauges<'_>) {
    if let Some(stat) = fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(Stat::parse) {
        let ticks = rustix::param::clock_ticks_per_second();
        let page = rustix::param::page_size() as u64;
        gauges.typed("process_cpu_seconds", "Time on processors", "counter");
        gauges.line("process_cpu_seconds_total", &[], ratio(stat.cpu_ticks, ticks));
        gauges.family("process_resident_memory_bytes", "Memory in use");
        gauges.line("process_resident_memory_bytes", &[], stat.resident_pages.saturating_mul(page));
        gauges.family("process_threads", "Threads");
        gauges.line("process_threads", &[], stat.threads);
        if let Some(boot) = boot_seconds() {
            gauges.family("process_start_time_seconds", "When the process started");
            let started = boot + ratio(stat.start_ticks, ticks);
            gauges.line("process_start_time_seconds", &[], started);
        }
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        gauges.family("process_open_fds", "Open file descriptors");
        // One of them is the one that reads the directory.
        gauges.line("process_open_fds", &[], open.count().saturating_sub(1));
    }
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    if let Some(limit) = limit.current {
        gauges.family("process_max_fds", "File descriptors allowed");
        gauges.line("process_max_fds", &[], limit);
    }
}

#[expect(clippy::cast_precision_loss, reason = "ticks of a process are far below 2^53")]
fn ratio(ticks: u64, per_second: u64) -> f64 {
    ticks as f64 / per_second.max(1) as f64
}

/// When the machine booted, seconds since 1970.
fn boot_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// The fields of `/proc/self/stat` that are shown.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    cpu_ticks: u64,
    threads: u64,
    start_ticks: u64,
    resident_pages: u64,
}

impl Stat {
    fn parse(line: &str) -> Option<Self> {
        // The name of the program, field 2, may hold anything; it ends at the last `)`.
        let (_, rest) = line.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number.checked_sub(3)?)?.parse::<u64>().ok();
        Some(Self {
            cpu_ticks: field(14)?.saturating_add(field(15)?),
            threads: field(20)?,
            start_ticks: field(22)?,
            resident_pages: field(24)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_confuses_nothing() {
        let line =
            "7 (a) b (c) S 1 7 7 0 -1 4194560 1 2 3 4 250 50 0 0 20 0 9 0 12345 1000 77 18446744073709551615";
        let stat = Stat { cpu_ticks: 300, threads: 9, start_ticks: 12_345, resident_pages: 77 };
        assert_eq!(Stat::parse(line), Some(stat));
        assert_eq!(Stat::parse("7 (a"), None);
        assert_eq!(Stat::parse(""), None);
    }

    #[test]
    fn this_process_is_seen() {
        let mut page = String::new();
        render(&mut Gauges(&mut page));
        for name in ["process_resident_memory_bytes ", "process_open_fds ", "process_start_time_seconds "] {
            assert!(page.contains(name), "{page}");
        }
    }
}
