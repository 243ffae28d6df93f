//! What `service NAME status` says.

/// Whether a service runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runs {
    /// It runs.
    Yes,
    /// It does not.
    No,
    /// It cannot be told.
    Unknown,
}

/// Words of init scripts and upstart for what runs.
const RUNNING: [&str; 3] = ["is running", "start/running", "currently running"];

/// Words for what does not, from scripts that end with 0 all the same.
const STOPPED: [&str; 5] = ["not running", "not currently running", "is stopped", "is dead", "stop/waiting"];

/// Judges an exit status and output. The status counts as the LSB defines it: 0 runs, 1 to 3 do not, anything else is
/// unknown; the words count where it leaves a doubt.
#[must_use]
pub fn service_status(code: Option<i32>, stdout: &str, stderr: &str) -> Runs {
    let said = stdout.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|words| said.contains(words));
    let stopped = has(&STOPPED);
    // A script that tells of several daemons says both; "not currently running" holds the words of its opposite.
    let rest = STOPPED.iter().fold(said.clone(), |said, words| said.replace(words, ""));
    let runs = RUNNING.iter().any(|words| rest.contains(words));
    // What `service` itself says of a script that does not exist ends with the code of "dead, with a pid file".
    if stderr.contains("unrecognized service") || stdout.contains("unrecognized service") {
        return Runs::Unknown;
    }
    match code {
        Some(0) if stopped && !runs => Runs::No,
        Some(0) => Runs::Yes,
        Some(1 | 2) => Runs::No,
        _ if runs && !stopped => Runs::Yes,
        Some(3) => Runs::No,
        _ if stopped => Runs::No,
        _ => Runs::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bug_11_the_status_counts_as_the_lsb_defines_it() {
        let of = |code| service_status(Some(code), "", "");
        assert_eq!([0, 1, 2, 3, 4].map(of), [Runs::Yes, Runs::No, Runs::No, Runs::No, Runs::Unknown]);
        assert_eq!(service_status(Some(1), "apache2 is dead but pid file exists", ""), Runs::No);
        assert_eq!(service_status(None, "", ""), Runs::Unknown);
    }

    #[test]
    fn a_service_that_does_not_exist_is_not_taken_for_stopped() {
        assert_eq!(service_status(Some(1), "", "x: unrecognized service"), Runs::Unknown);
        assert_eq!(service_status(Some(4), "", "Unit x.service could not be found."), Runs::Unknown);
    }

    #[test]
    fn words_count_where_the_status_leaves_a_doubt() {
        assert_eq!(service_status(Some(0), "mysql start/running, process 7", ""), Runs::Yes);
        assert_eq!(service_status(Some(0), "mysql stop/waiting", ""), Runs::No);
        assert_eq!(service_status(Some(0), " * apache2 is NOT running.", ""), Runs::No);
        assert_eq!(service_status(Some(0), "svcgssd is stopped\nnfsd (pid 7) is running...", ""), Runs::Yes);
        assert_eq!(service_status(Some(0), "it is not currently running", ""), Runs::No);
        assert_eq!(service_status(Some(3), "it is currently running", ""), Runs::Yes);
        assert_eq!(service_status(Some(3), "it is not currently running", ""), Runs::No);
        assert_eq!(service_status(Some(150), "x is running", ""), Runs::Yes);
    }
}
