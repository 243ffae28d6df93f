//! What the kernel tells of a machine in small files under /proc, and what it counts as pressure
//! (PSI): the share of time in which tasks waited for want of something.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use lictor_config::Pressure;
use lictor_core::{Sample, Status};

use super::fault::Fault;
use super::value::{self, Measured as _};

/// Of such a file, bytes that are read.
const SIZE: u64 = 64 * 1024;

/// Shares of the last minute, percent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Waiting {
    /// In which some task waited.
    pub(super) some: f64,
    /// In which all of them waited; not told of processors.
    pub(super) full: Option<f64>,
}

/// Of a file with a line for each processor and interrupt.
const LARGE: u64 = 4 * 1024 * 1024;

/// Reads a small file of the kernel's.
pub(super) fn read(root: &Path, name: &str) -> Result<String, Fault> {
    read_up_to(root, name, SIZE)
}

/// Reads one that grows with the machine.
pub(super) fn read_whole(root: &Path, name: &str) -> Result<String, Fault> {
    read_up_to(root, name, LARGE)
}

fn read_up_to(root: &Path, name: &str, most: u64) -> Result<String, Fault> {
    let path = root.join(name);
    let failed = |error| Fault::io(format_args!("cannot read {}", path.display()), &error);
    let mut text = String::new();
    let file = File::open(&path).map_err(failed).map_err(as_unknown)?;
    file.take(most).read_to_string(&mut text).map_err(failed).map_err(as_unknown)?;
    Ok(text)
}

/// That the kernel does not tell is no verdict on the machine.
fn as_unknown(fault: Fault) -> Fault {
    Fault { status: Status::Unknown, ..fault }
}

/// What is counted for `memory` or `cpu`; `None` for a kernel that does not.
pub(super) fn waiting(root: &Path, what: &str) -> Option<Waiting> {
    let text = read(root, &format!("pressure/{what}")).ok()?;
    let average = |kind: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(kind))?;
        let field = line.split_ascii_whitespace().find_map(|field| field.strip_prefix("avg60="))?;
        field.parse::<f64>().ok().filter(|share| share.is_finite())
    };
    Some(Waiting { some: average("some ")?, full: average("full ") })
}

/// The verdict on it, and adds it to the values. Limits without anything to compare are no data.
pub(super) fn judge(
    limits: &Pressure,
    waiting: Option<Waiting>,
    of: &str,
    sample: &mut Sample,
) -> Option<(Status, String)> {
    let Some(waiting) = waiting else {
        let wanted = limits.warn_percent.is_some() || limits.critical_percent.is_some();
        let message = || format!("this kernel does not count pressure on {of} (CONFIG_PSI, psi=1)");
        return wanted.then(|| (Status::Unknown, message()));
    };
    sample.number(&value::PRESSURE_PERCENT, waiting.some);
    if let Some(full) = waiting.full.filter(|_| of == "memory") {
        sample.number(&value::PRESSURE_FULL_PERCENT, full);
    }
    let beyond = |limit: Option<f64>| limit.filter(|limit| waiting.some > *limit);
    let told = |limit: f64| {
        format!("tasks waited for {of} during {:.1}% of the last minute, more than {limit}%", waiting.some)
    };
    match (beyond(limits.critical_percent), beyond(limits.warn_percent)) {
        (Some(limit), _) => Some((Status::Critical, told(limit))),
        (None, Some(limit)) => Some((Status::Warning, told(limit))),
        (None, None) => None,
    }
}

/// Adds a finding to a sample: the worse one leads.
pub(super) fn add(sample: &mut Sample, finding: Option<(Status, String)>) {
    let Some((status, message)) = finding else { return };
    sample.summary = if status > sample.status {
        format!("{message}; {}", sample.summary)
    } else {
        format!("{}; {message}", sample.summary)
    };
    sample.status = sample.status.max(status);
}

/// To two decimals: more would make every look a different value.
pub(super) fn round(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A directory with these files, in the place of /proc or /sys.
    pub(in crate::watch) fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        dir
    }

    pub(in crate::watch) const BUSY: &str = "some avg10=80.00 avg60=25.50 avg300=3.00 total=123\n\
                                             full avg10=1.00 avg60=2.25 avg300=0.00 total=12\n";

    #[test]
    fn the_average_of_a_minute_is_read() {
        let dir = tree(&[("pressure/memory", BUSY)]);
        let found = waiting(dir.path(), "memory");
        assert_eq!(found, Some(Waiting { some: 25.5, full: Some(2.25) }));
        assert_eq!(waiting(dir.path(), "cpu"), None);
        let garbage = tree(&[("pressure/memory", "some avg60=nan\n")]);
        assert_eq!(waiting(garbage.path(), "memory"), None);
    }

    #[test]
    fn limits_that_cannot_be_compared_are_no_data() {
        let limits = Pressure { warn_percent: Some(20.0), critical_percent: None };
        let mut sample = Sample::new(Status::Passing, "fine");
        assert_eq!(judge(&Pressure::default(), None, "memory", &mut sample), None);
        let finding = judge(&limits, None, "memory", &mut sample);
        add(&mut sample, finding);
        assert_eq!(sample.status, Status::Unknown);
        assert!(sample.summary.ends_with("; fine"), "{}", sample.summary);
    }

    #[test]
    fn more_than_a_limit_is_told_with_it() {
        let limits = Pressure { warn_percent: Some(20.0), critical_percent: Some(50.0) };
        let mut sample = Sample::new(Status::Passing, "fine");
        let finding = judge(&limits, Some(Waiting { some: 25.5, full: None }), "memory", &mut sample);
        add(&mut sample, finding);
        let wanted = "tasks waited for memory during 25.5% of the last minute, more than 20%; fine";
        assert_eq!((sample.status, sample.summary.as_str()), (Status::Warning, wanted));
    }
}
