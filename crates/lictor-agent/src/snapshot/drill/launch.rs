//! What stands between us and a program that must not outlive us: this program again, which binds itself to the
//! life of who started it and then becomes that program.
//!
//! It has no runtime and no threads, and is one step: `… PARENT PROGRAM [ARG]…`, where PARENT is the number of the process
//! that starts it. What it sets holds for the program, too: the kernel kills it when the thread that started it is
//! gone (so that has to be one that waits for it), it can get no more rights than we have (without that, one
//! with capabilities of its own would be unbound from us), it leaves no core, its files are its own, and when memory is
//! short it is the first to go.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use rustix::fs::Mode;
use rustix::process::{
    Pid, Resource, Rlimit, Signal, getppid, nice, set_parent_process_death_signal, setrlimit, umask,
};
use rustix::thread::set_no_new_privs;

/// The word by which this program is told to call [`main`].
pub const WORD: &str = "drill-server";

/// Everything else on the machine comes before it.
const NICE: i32 = 10;

/// The highest there is: memory is taken from it first.
const OOM_SCORE: &str = "1000";

/// Why the program did not run.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The command line.
    #[error("usage: PARENT PROGRAM [ARG]…; it is for drills of snapshots, which start it themselves")]
    Usage,
    /// Who started it is gone already.
    #[error("who started it, process {parent}, is gone")]
    Orphan {
        /// Its number.
        parent: i32,
    },
    /// It cannot be bound to who started it.
    #[error("cannot {what}: {why}")]
    Bind {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        why: io::Error,
    },
    /// The program.
    #[error("`{}` cannot be run: {why}", program.display())]
    Run {
        /// Which.
        program: PathBuf,
        /// Why.
        why: io::Error,
    },
}

/// Becomes the program; comes back only if that fails. `args` are those after the word by which it is known.
///
/// Call it first of all, before threads, a runtime or anything else exists.
pub fn main(args: impl Iterator<Item = OsString>) -> LaunchError {
    match bound(args) {
        Ok(mut command) => {
            let program = command.get_program().into();
            LaunchError::Run { program, why: command.exec() }
        }
        Err(error) => error,
    }
}

/// The program that is to be run, when this process ends with who started it.
fn bound(mut args: impl Iterator<Item = OsString>) -> Result<Command, LaunchError> {
    let parent = args.next().and_then(|word| word.to_str()?.parse::<i32>().ok());
    let (Some(parent), Some(program)) = (parent, args.next()) else { return Err(LaunchError::Usage) };
    let cannot = |what| move |why: rustix::io::Errno| LaunchError::Bind { what, why: why.into() };
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(cannot("be bound to who started it"))?;
    // Who died before that line was not noticed by the kernel.
    if getppid().map(Pid::as_raw_pid) != Some(parent) {
        return Err(LaunchError::Orphan { parent });
    }
    set_no_new_privs(true).map_err(cannot("do without more rights"))?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })
        .map_err(cannot("do without a core"))?;
    umask(Mode::RWXG | Mode::RWXO);
    // Both are only kind to others, and a container may forbid them.
    nice(NICE).ok();
    fs::write("/proc/self/oom_score_adj", OOM_SCORE).ok();
    let mut command = Command::new(program);
    command.args(args);
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(words: &[&str]) -> String {
        match bound(words.iter().map(OsString::from)) {
            Ok(command) => format!("{command:?}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_command_line_that_is_wrong_binds_nothing() {
        for words in [&[][..], &["1"], &["x", "true"], &["", "true"]] {
            assert!(refused(words).starts_with("usage: PARENT PROGRAM"), "{words:?}");
        }
    }

    #[test]
    fn who_started_it_must_be_there() {
        let nobody = i32::MAX.to_string();
        assert_eq!(refused(&[&nobody, "true"]), format!("who started it, process {nobody}, is gone"));
    }
}
