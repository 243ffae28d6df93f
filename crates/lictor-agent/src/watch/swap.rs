//! Swap: how much of it is used, and whether what should be active is.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use lictor_config::Swap;
use lictor_core::{Sample, Status};

use super::disk::Size;
use super::fault::Fault;
use super::look::Look;
use super::pressure::{self, round};
use super::value::{self, Measured as _, float};

pub(super) fn look(swap: &Swap) -> Look {
    Look::new(see(swap, Path::new("/proc")).unwrap_or_else(Fault::into_sample))
}

/// A file or device in use.
#[derive(Debug, PartialEq, Eq)]
struct Area {
    path: PathBuf,
    size: u64,
    used: u64,
}

fn see(swap: &Swap, root: &Path) -> Result<Sample, Fault> {
    let table = pressure::read(root, "swaps")?;
    let areas: Option<Vec<Area>> = table.lines().skip(1).map(area).collect();
    let areas = areas.ok_or_else(|| Fault::unknown("/proc/swaps has a line that is not understood"))?;
    let (total, used) =
        (areas.iter().map(|area| area.size).sum::<u64>(), areas.iter().map(|area| area.used).sum::<u64>());
    let missing: Vec<String> = swap
        .paths
        .iter()
        .filter(|path| !areas.iter().any(|area| is(&area.path, path)))
        .map(|path| path.display().to_string())
        .collect();
    let percent = (total > 0).then(|| float(used) * 100.0 / float(total));
    let what = match percent {
        None => "no swap is active".to_owned(),
        Some(percent) => format!("{percent:.1}% of the swap used, {} of {}", Size(used), Size(total)),
    };
    let over = |limit: f64| percent.is_some_and(|percent| percent > limit);
    let (status, summary) = if !missing.is_empty() {
        (Status::Critical, format!("not active as swap: {}; {what}", missing.join(", ")))
    } else if swap.present && areas.is_empty() {
        (Status::Critical, what)
    } else if over(swap.critical_used_percent) {
        (Status::Critical, format!("{what}: more than {}%", swap.critical_used_percent))
    } else if over(swap.warn_used_percent) {
        (Status::Warning, format!("{what}: more than {}%", swap.warn_used_percent))
    } else {
        (Status::Passing, what)
    };
    let mut sample = Sample::new(status, summary);
    sample.number(&value::ACTIVE, float(areas.len() as u64));
    sample.number(&value::MISSING, float(missing.len() as u64));
    sample.count(&value::TOTAL_BYTES, total);
    sample.count(&value::USED_BYTES, used);
    if let Some(percent) = percent {
        sample.number(&value::USED_PERCENT, round(percent));
    }
    Ok(sample)
}

/// Whether an area is the one that is meant: its path, or another name of the same file.
fn is(active: &Path, meant: &Path) -> bool {
    active == meant || std::fs::canonicalize(meant).is_ok_and(|real| active == real)
}

/// A line of the table: path, type, size, used, priority, in KiB.
fn area(line: &str) -> Option<Area> {
    // A file that was removed while it is in use is told so, and takes no other place.
    let line = line.replacen("\\040(deleted)", "", 1);
    let mut fields = line.split_ascii_whitespace();
    let path = PathBuf::from(OsString::from_vec(unescaped(fields.next()?)));
    let mut kilobytes = fields.skip(1).map(|field| field.parse::<u64>().ok()?.checked_mul(1_024));
    let (size, used) = (kilobytes.next()??, kilobytes.next()??);
    Some(Area { path, size, used })
}

/// A path as the kernel writes it: blanks and the like as `\040`.
fn unescaped(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let code = bytes.get(at + 1..at + 4).filter(|_| *byte == b'\\');
        let code = code.and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 4;
            }
            None => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::pressure::tests::tree;

    const HEAD: &str = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";

    fn settings() -> Swap {
        Swap { warn_used_percent: 80.0, critical_used_percent: 95.0, present: false, paths: Vec::new() }
    }

    fn seen(settings: &Swap, lines: &str) -> String {
        let dir = tree(&[("swaps", &format!("{HEAD}{lines}"))]);
        let sample = see(settings, dir.path()).unwrap_or_else(Fault::into_sample);
        format!("{}: {}", sample.status, sample.summary)
    }

    const HALF: &str = "/swapfile                               file\t\t1048576\t\t524288\t\t-2\n";

    #[test]
    fn the_share_that_is_used_is_judged() {
        assert_eq!(seen(&settings(), HALF), "passing: 50.0% of the swap used, 512.0 MiB of 1.0 GiB");
        let tight = Swap { warn_used_percent: 40.0, ..settings() };
        assert!(seen(&tight, HALF).starts_with("warning: 50.0%"));
        let full = Swap { critical_used_percent: 49.0, ..settings() };
        assert!(seen(&full, HALF).ends_with("more than 49%"));
    }

    #[test]
    fn no_swap_is_only_critical_where_there_should_be_some() {
        assert_eq!(seen(&settings(), ""), "passing: no swap is active");
        assert_eq!(seen(&Swap { present: true, ..settings() }, ""), "critical: no swap is active");
    }

    #[test]
    fn a_swap_file_that_is_gone_is_missed_although_there_is_other_swap() {
        let wanted = Swap { paths: vec!["/var/swap file".into()], ..settings() };
        let found = seen(&wanted, HALF);
        assert!(found.starts_with("critical: not active as swap: /var/swap file; 50.0%"), "{found}");
        let there = format!("/var/swap\\040file file 1024 0 -3\n{HALF}");
        assert!(seen(&wanted, &there).starts_with("passing: "), "{}", seen(&wanted, &there));
    }

    #[test]
    fn what_is_not_understood_is_unknown() {
        assert!(seen(&settings(), "/swapfile file many\n").starts_with("unknown: "));
        assert!(see(&settings(), Path::new("/nonexistent")).is_err());
        see(&settings(), Path::new("/proc")).unwrap();
    }
}
