//! What a benchmark ran on: figures mean little without it.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Instant;

use crate::bench::measure::{Sample, measure};
use crate::error::Error;

/// Writes of one measurement of the disk.
const WRITES: u32 = 200;

/// Prints the processors, the memory, the kernel, and how long the disk takes to make a write durable.
pub(crate) fn describe(dir: &Path) -> Result<(), Error> {
    let cpu = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".to_owned());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = field("/proc/meminfo", "MemTotal").unwrap_or_default();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    println!("{cores} x {cpu}, {memory} memory, Linux {}", kernel.trim());
    println!(
        "fdatasync of 4 KiB under {}: p50 {}, p99 {}",
        dir.display(),
        sync_time(dir, 50)?,
        sync_time(dir, 99)?
    );
    Ok(())
}

/// The given percentile of the time of a 4 KiB write followed by `fdatasync`, in milliseconds.
pub(super) fn sync_time(dir: &Path, percentile: usize) -> Result<Sample, Error> {
    fs::create_dir_all(dir).map_err(Error::file("create", dir))?;
    let path = dir.join("fdatasync.measure");
    let mut file = File::create(&path).map_err(Error::file("create", &path))?;
    let sample = measure("ms", || {
        let mut times = (0..WRITES)
            .map(|_| sync_once(&mut file))
            .collect::<Result<Vec<_>, _>>()
            .map_err(Error::file("write", &path))?;
        times.sort_by(f64::total_cmp);
        let at = (times.len() * percentile / 100).min(times.len() - 1);
        Ok(times.get(at).copied().unwrap_or(f64::NAN))
    });
    fs::remove_file(&path).map_err(Error::file("remove", &path))?;
    sample
}

fn sync_once(file: &mut File) -> std::io::Result<f64> {
    let started = Instant::now();
    // In place: what is measured is the flush, not the growing of a file.
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&[0x5a; 4096])?;
    file.sync_data()?;
    Ok(started.elapsed().as_secs_f64() * 1000.0)
}

/// The value of the first `name : value` line.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
