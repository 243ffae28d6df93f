//! Memory: what the kernel says is available to programs.

use std::path::Path;

use lictor_config::HostMemory;
use lictor_core::{Sample, Status};

use super::disk::Size;
use super::fault::Fault;
use super::look::Look;
use super::pressure::{self, round};
use super::value::{self, Measured as _, float};

pub(super) fn look(memory: &HostMemory) -> Look {
    Look::new(see(memory, Path::new("/proc")).unwrap_or_else(Fault::into_sample))
}

fn see(memory: &HostMemory, root: &Path) -> Result<Sample, Fault> {
    let text = pressure::read(root, "meminfo")?;
    let bytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        let kilobytes: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
        kilobytes.checked_mul(1_024)
    };
    let (Some(total), Some(available)) =
        (bytes("MemTotal").filter(|total| *total > 0), bytes("MemAvailable"))
    else {
        return Err(Fault::unknown("/proc/meminfo tells neither MemTotal nor MemAvailable, or not both"));
    };
    let percent = float(available) * 100.0 / float(total);
    let what = format!("{percent:.1}% of the memory available, {} of {}", Size(available), Size(total));
    let least = memory.critical_available_bytes.filter(|least| available < *least);
    let (status, summary) = if percent < memory.critical_available_percent {
        (Status::Critical, format!("{what}: less than {}%", memory.critical_available_percent))
    } else if let Some(least) = least {
        (Status::Critical, format!("{what}: less than {}", Size(least)))
    } else if percent < memory.warn_available_percent {
        (Status::Warning, format!("{what}: less than {}%", memory.warn_available_percent))
    } else {
        (Status::Passing, what)
    };
    let mut sample = Sample::new(status, summary);
    sample.number(&value::AVAILABLE_PERCENT, round(percent));
    sample.number(&value::USED_PERCENT, round(100.0 - percent));
    sample.count(&value::AVAILABLE_BYTES, available);
    sample.count(&value::TOTAL_BYTES, total);
    let waiting = pressure::waiting(root, "memory");
    let finding = pressure::judge(&memory.pressure, waiting, "memory", &mut sample);
    pressure::add(&mut sample, finding);
    Ok(sample)
}

#[cfg(test)]
mod tests {
    use lictor_config::Pressure;

    use super::*;
    use crate::watch::pressure::tests::{BUSY, tree};

    fn settings() -> HostMemory {
        HostMemory {
            warn_available_percent: 10.0,
            critical_available_percent: 5.0,
            critical_available_bytes: None,
            pressure: Pressure::default(),
        }
    }

    fn seen(settings: &HostMemory, meminfo: &str) -> String {
        let dir = tree(&[("meminfo", meminfo), ("pressure/memory", BUSY)]);
        let sample = see(settings, dir.path()).unwrap_or_else(Fault::into_sample);
        format!("{}: {}", sample.status, sample.summary)
    }

    fn with(available: u64) -> String {
        format!("MemTotal:        1000000 kB\nMemFree:  1 kB\nMemAvailable:   {available} kB\n")
    }

    #[test]
    fn less_than_a_limit_is_not_passing() {
        assert_eq!(
            seen(&settings(), &with(500_000)),
            "passing: 50.0% of the memory available, 488.3 MiB of 976.6 MiB"
        );
        let found = seen(&settings(), &with(99_000));
        assert_eq!(found, "warning: 9.9% of the memory available, 96.7 MiB of 976.6 MiB: less than 10%");
        assert!(seen(&settings(), &with(49_000)).starts_with("critical: 4.9%"));
        let bytes = HostMemory { critical_available_bytes: Some(1 << 30), ..settings() };
        let found = seen(&bytes, &with(500_000));
        assert!(found.starts_with("critical: ") && found.ends_with("less than 1.0 GiB"), "{found}");
    }

    #[test]
    fn pressure_is_judged_where_it_has_limits() {
        let pressed = Pressure { warn_percent: Some(10.0), critical_percent: Some(20.0) };
        let found = seen(&HostMemory { pressure: pressed, ..settings() }, &with(500_000));
        assert!(found.starts_with("critical: tasks waited for memory during 25.5%"), "{found}");
    }

    #[test]
    fn what_the_kernel_does_not_tell_is_unknown() {
        for text in ["", "MemTotal: 1000 kB\n", "MemTotal: 0 kB\nMemAvailable: 0 kB\n", "MemTotal: many kB\n"]
        {
            assert!(seen(&settings(), text).starts_with("unknown: "), "{text}");
        }
        let missing = see(&settings(), Path::new("/nonexistent")).unwrap_err();
        assert_eq!(missing.status, Status::Unknown);
        assert!(missing.message.starts_with("cannot read /nonexistent/meminfo"), "{}", missing.message);
    }

    #[test]
    fn this_machine_says_how_it_is() {
        let sample = see(&settings(), Path::new("/proc")).unwrap();
        assert!(sample.value(&value::AVAILABLE_PERCENT).is_some(), "{sample:?}");
    }
}
