//! Load: how many tasks run or wait, for each processor and in all.

use std::path::Path;

use lictor_config::{Load, LoadMinutes};
use lictor_core::{Sample, Status};

use super::fault::Fault;
use super::look::Look;
use super::pressure::{self, round};
use super::value::{self, Measured as _};

pub(super) fn look(load: &Load) -> Look {
    Look::new(see(load, Path::new("/proc")).unwrap_or_else(Fault::into_sample))
}

fn see(load: &Load, root: &Path) -> Result<Sample, Fault> {
    let text = pressure::read(root, "loadavg")?;
    let mut numbers = text.split_ascii_whitespace().map(|field| field.parse::<f64>().ok());
    let mut next = || numbers.next().flatten().filter(|number| number.is_finite());
    let (Some(one), Some(five), Some(fifteen)) = (next(), next(), next()) else {
        return Err(Fault::unknown("/proc/loadavg does not begin with three numbers"));
    };
    let cores = cores(root)?;
    let (judged, minutes) = match load.minutes {
        LoadMinutes::One => (one, "1 minute"),
        LoadMinutes::Five => (five, "5 minutes"),
        LoadMinutes::Fifteen => (fifteen, "15 minutes"),
    };
    let per_core = judged / f64::from(cores);
    let processors = if cores == 1 { "processor" } else { "processors" };
    let what = format!("load {judged} over {minutes}, {per_core:.2} for each of {cores} {processors}");
    let each = |limit: f64| (per_core > limit).then(|| format!("more than {limit} for each"));
    let all =
        |limit: Option<f64>| limit.filter(|limit| judged > *limit).map(|limit| format!("more than {limit}"));
    let critical = each(load.critical_per_core).or_else(|| all(load.critical));
    let (status, summary) = match (critical, each(load.warn_per_core).or_else(|| all(load.warn))) {
        (Some(why), _) => (Status::Critical, format!("{what}: {why}")),
        (None, Some(why)) => (Status::Warning, format!("{what}: {why}")),
        (None, None) => (Status::Passing, what),
    };
    let mut sample = Sample::new(status, summary);
    sample.number(&value::LOAD1, one);
    sample.number(&value::LOAD5, five);
    sample.number(&value::LOAD15, fifteen);
    sample.number(&value::PER_CORE, round(per_core));
    sample.number(&value::CORES, f64::from(cores));
    let waiting = pressure::waiting(root, "cpu");
    let finding = pressure::judge(&load.pressure, waiting, "processors", &mut sample);
    pressure::add(&mut sample, finding);
    Ok(sample)
}

/// The processors that are on.
fn cores(root: &Path) -> Result<u32, Fault> {
    let text = pressure::read_whole(root, "stat")?;
    let is_core = |line: &&str| {
        line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    let count = u32::try_from(text.lines().filter(is_core).count()).unwrap_or(u32::MAX);
    if count == 0 { Err(Fault::unknown("/proc/stat names no processor")) } else { Ok(count) }
}

#[cfg(test)]
mod tests {
    use lictor_config::Pressure;

    use super::*;
    use crate::watch::pressure::tests::{BUSY, tree};

    fn settings() -> Load {
        Load {
            minutes: LoadMinutes::Five,
            warn_per_core: 2.0,
            critical_per_core: 5.0,
            warn: None,
            critical: None,
            pressure: Pressure::default(),
        }
    }

    const STAT: &str = "cpu  1 2 3\ncpu0 1 2 3\ncpu1 1 2 3\nintr 4\ncpufreq 9\n";

    fn seen(settings: &Load, loadavg: &str) -> String {
        let dir = tree(&[("loadavg", loadavg), ("stat", STAT), ("pressure/cpu", BUSY)]);
        let sample = see(settings, dir.path()).unwrap_or_else(Fault::into_sample);
        format!("{}: {}", sample.status, sample.summary)
    }

    #[test]
    fn the_load_is_shared_by_the_processors() {
        let found = seen(&settings(), "9.00 3.00 1.00 1/100 77\n");
        assert_eq!(found, "passing: load 3 over 5 minutes, 1.50 for each of 2 processors");
        let now = Load { minutes: LoadMinutes::One, ..settings() };
        let found = seen(&now, "9.00 3.00 1.00 1/100 77\n");
        assert_eq!(
            found,
            "warning: load 9 over 1 minute, 4.50 for each of 2 processors: more than 2 for each"
        );
        assert!(seen(&settings(), "0 10.5 0 1/1 1\n").starts_with("critical: "));
    }

    #[test]
    fn a_limit_for_all_of_it_counts_as_well() {
        let all = Load { warn: Some(2.5), critical: Some(4.0), ..settings() };
        assert!(seen(&all, "0 3.00 0 1/1 1\n").ends_with(": more than 2.5"));
        assert!(seen(&all, "0 4.10 0 1/1 1\n").starts_with("critical: "));
        let pressed = Pressure { warn_percent: Some(20.0), critical_percent: None };
        let found = seen(&Load { pressure: pressed, ..settings() }, "0 1 0 1/1 1\n");
        assert!(found.starts_with("warning: tasks waited for processors"), "{found}");
    }

    #[test]
    fn what_the_kernel_does_not_tell_is_unknown() {
        for text in ["", "1.0 2.0\n", "a b c\n", "nan nan nan\n"] {
            assert!(seen(&settings(), text).starts_with("unknown: "), "{text}");
        }
        see(&settings(), Path::new("/proc")).unwrap();
    }
}
