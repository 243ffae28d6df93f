use std::sync::mpsc;

use super::*;
use crate::{Clock, Tasks};

const GIB: u64 = 1 << 30;

fn limits() -> Disk {
    Disk {
        paths: Vec::new(),
        warn_used_percent: 85.0,
        critical_used_percent: 95.0,
        critical_available_bytes: None,
        critical_inodes_percent: 98.0,
    }
}

fn at(path: &str, used_percent: f64) -> Asked {
    (path.into(), Ok(Space { used_percent, available_bytes: GIB, inodes_used_percent: Some(10.0) }))
}

#[test]
fn the_message_and_values_are_of_the_fullest() {
    let sample = judge(&limits(), &[at("/", 40.0), at("/var", 90.125), at("/home", 50.0)]);
    assert_eq!(sample.status, Status::Warning);
    assert_eq!(sample.summary, "/var is 90.1% used, 1.0 GiB available");
    let value = |name: &str| sample.value(&name.parse().unwrap()).cloned();
    assert_eq!(value("used_percent"), Some(Value::Number(90.13)));
    assert_eq!(value("mount"), Some(Value::Text("/var".into())));
    assert_eq!(value("available_bytes:/home"), Some(Value::Number(1_073_741_824.0)));
}

#[test]
fn every_full_one_is_named() {
    let sample = judge(&limits(), &[at("/", 96.0), at("/var", 99.0), at("/home", 90.0)]);
    assert_eq!(sample.status, Status::Critical);
    assert_eq!(sample.summary, "/var is 99.0% used, 1.0 GiB available; / is 96.0% used, 1.0 GiB available");
}

#[test]
fn inodes_and_available_bytes_have_their_own_limits() {
    let full = Space { used_percent: 1.0, available_bytes: GIB, inodes_used_percent: Some(99.0) };
    let sample = judge(&limits(), &[("/".into(), Ok(full))]);
    assert_eq!(
        (sample.status, sample.summary.as_str()),
        (Status::Critical, "/ has 99.0% of its inodes used")
    );

    let least = Disk { critical_available_bytes: Some(2 * GIB), ..limits() };
    let sample = judge(&least, &[at("/", 1.0)]);
    assert_eq!(sample.summary, "/ has 1.0 GiB available, less than 2.0 GiB");
    assert_eq!(sample.status, Status::Critical);
}

#[test]
fn a_path_that_cannot_be_looked_at_is_not_a_full_disk() {
    let error = |errno| (PathBuf::from("/data"), Err(io::Error::from(errno)));
    let absent = judge(&limits(), &[at("/", 1.0), error(rustix::io::Errno::NOENT)]);
    assert_eq!(absent.summary, "/data: no such file or directory");
    assert_eq!(absent.status, Status::Unknown);
    let forbidden = judge(&limits(), &[error(rustix::io::Errno::ACCESS)]);
    assert_eq!(forbidden.status, Status::Unknown);
    let broken = judge(&limits(), &[error(rustix::io::Errno::IO)]);
    assert_eq!(broken.status, Status::Critical);
}

#[test]
fn the_figures_of_this_machine_are_those_of_df() {
    let found = space(Path::new("/")).unwrap();
    let output = std::process::Command::new("df").args(["-P", "-B1", "/"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let words: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
    let shown: f64 = words[4].trim_end_matches('%').parse().unwrap();
    // df rounds up, and others write to this disk meanwhile.
    assert!((found.used_percent - shown).abs() <= 2.0, "{found:?} {text}");
    let available: f64 = words[3].parse().unwrap();
    assert!((float(found.available_bytes) - available).abs() < available / 10.0, "{found:?} {text}");
}

#[tokio::test]
async fn a_hanging_file_system_is_named_and_holds_one_thread() {
    let world = World::new(Tasks::new(), Clock::fresh());
    let (release, released) = mpsc::channel::<()>();
    let hangs = move |path: &Path| {
        if path == Path::new("/mnt/nfs") {
            released.recv().ok();
        }
        Ok(Space { used_percent: 1.0, ..Space::default() })
    };
    let mut memory = Memory::default();
    let disk = Disk { paths: vec!["/".into(), "/mnt/nfs".into()], ..limits() };
    let pending = Box::new(ask(disk.paths.clone(), &world, hangs).unwrap());
    let limit = Duration::from_secs(1);
    let sample = wait(&disk, pending, limit, &mut memory.statvfs).await;
    assert_eq!(sample.status, Status::Critical);
    assert!(sample.summary.starts_with("/mnt/nfs has not answered for "), "{}", sample.summary);

    // The next look waits for the thread that is there.
    let again = look(&disk, limit, &mut memory, &world).await.sample.unwrap();
    assert!(again.summary.starts_with("/mnt/nfs has not answered for "), "{}", again.summary);
    drop(release);
    let sample = look(&disk, Duration::from_secs(10), &mut memory, &world).await.sample.unwrap();
    assert_eq!(sample.status, Status::Passing, "{}", sample.summary);
    assert!(memory.statvfs.is_none());
}
