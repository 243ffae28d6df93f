//! What others know the process by: signals, and the file with its id.

use std::fs;
use std::path::{Path, PathBuf};

use futures::future::select_all;
use lictor_compat::consul_replicate::Start;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::warn;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// It ends.
    End,
    /// It reads its files again.
    Reload,
}

const INT: i32 = 2;
const QUIT: i32 = 3;
const TERM: i32 = 15;

/// Signals that would end a program which does not look at them; the old one looked at all.
const NOTICED: [i32; 6] = [1, INT, QUIT, 10, 12, TERM];

/// The signals that come.
pub(super) struct Signals(Vec<(i32, Signal)>);

impl Signals {
    /// From now on none of them ends the program by itself.
    pub(super) fn new(start: &Start) -> Self {
        let mut signals = Self(Vec::new());
        NOTICED.iter().for_each(|number| signals.add(*number));
        signals.follow(start);
        signals
    }

    /// Looks also at the signals that these settings name.
    pub(super) fn follow(&mut self, start: &Start) {
        let named = [start.kill_signal, start.reload_signal];
        named
            .iter()
            .flatten()
            .filter(|named| named.can_be_caught())
            .for_each(|named| self.add(named.number()));
    }

    fn add(&mut self, number: i32) {
        if self.0.iter().any(|(known, _)| *known == number) {
            return;
        }
        match signal(SignalKind::from_raw(number)) {
            Ok(stream) => self.0.push((number, stream)),
            Err(error) => warn!(number, %error, "a signal cannot be noticed"),
        }
    }

    /// Waits for one that means something.
    pub(super) async fn next(&mut self, start: &Start) -> Asked {
        loop {
            let streams = self.0.iter_mut().map(|(number, stream)| {
                Box::pin(async move {
                    stream.recv().await;
                    *number
                })
            });
            let (number, ..) = select_all(streams).await;
            if let Some(asked) = meaning(start, number) {
                return asked;
            }
        }
    }
}

/// SIGTERM and SIGQUIT end it whatever else does, unless they are to reload.
fn meaning(start: &Start, number: i32) -> Option<Asked> {
    let is = |named: Option<lictor_compat::consul_replicate::Signal>| {
        named.is_some_and(|named| named.number() == number)
    };
    if is(start.reload_signal) {
        Some(Asked::Reload)
    } else if is(start.kill_signal) || [QUIT, TERM].contains(&number) {
        Some(Asked::End)
    } else {
        None
    }
}

/// The file with the process id. It is removed when this is dropped.
#[derive(Debug)]
pub(super) struct PidFile {
    path: Option<PathBuf>,
}

impl PidFile {
    /// Writes it, over one that was left behind.
    ///
    /// # Errors
    /// In words, why it cannot be written.
    pub(super) fn write(path: Option<&str>) -> Result<Self, String> {
        if let Some(path) = path {
            fs::write(path, std::process::id().to_string())
                .map_err(|error| format!("cannot write the pid file {path}: {error}"))?;
        }
        Ok(Self { path: path.map(PathBuf::from) })
    }

    /// Whether it is this one.
    pub(super) fn is_at(&self, path: Option<&str>) -> bool {
        self.path.as_deref() == path.map(Path::new)
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let Some(path) = &self.path else { return };
        // Another process may have written its own there meanwhile.
        if fs::read_to_string(path).is_ok_and(|text| text == std::process::id().to_string())
            && let Err(error) = fs::remove_file(path)
        {
            warn!(path = %path.display(), %error, "the pid file stays");
        }
    }
}

#[cfg(test)]
mod tests {
    use lictor_compat::consul_replicate::{Request, flags};

    use super::*;

    fn start(line: &str) -> Start {
        let Ok(Request::Run(flags)) = flags::parse(&line.split_whitespace().collect::<Vec<_>>()) else {
            panic!("{line}")
        };
        Start::new(&flags, &[], |_| None).unwrap()
    }

    #[test]
    fn signals_mean_what_they_were_given() {
        let told = start("");
        assert_eq!([1, INT, QUIT, TERM, 10].map(|number| meaning(&told, number)), {
            let (end, reload) = (Some(Asked::End), Some(Asked::Reload));
            [reload, end, end, end, None]
        });
        let told = start("-kill-signal=SIGUSR1 -reload-signal=SIGTERM");
        assert_eq!([1, INT, TERM, 10].map(|number| meaning(&told, number)), {
            [None, None, Some(Asked::Reload), Some(Asked::End)]
        });
    }

    #[test]
    fn the_pid_file_is_written_over_and_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pid");
        let name = path.to_str();
        fs::write(&path, "999999999").unwrap();
        let file = PidFile::write(name).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), std::process::id().to_string());
        assert!(file.is_at(name) && !file.is_at(None));
        drop(file);
        assert!(!path.exists());
        let why = PidFile::write(directory.path().join("nowhere/pid").to_str()).unwrap_err();
        assert!(why.starts_with("cannot write the pid file /") && why.contains("/nowhere/pid: "), "{why}");
    }

    #[test]
    fn the_pid_file_of_another_process_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pid");
        let file = PidFile::write(path.to_str()).unwrap();
        fs::write(&path, "1").unwrap();
        drop(file);
        assert!(path.exists());
    }
}
