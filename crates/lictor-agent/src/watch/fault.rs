//! Why a look found nothing good: the target's fault is critical, what keeps us from looking is unknown.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::time::Duration;

use lictor_core::{Sample, Span, Status};
use rustix::io::Errno;
use tokio::time::Instant;

/// The end of a look that found no answer to judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) status: Status,
    pub(super) message: String,
}

impl Fault {
    /// The target did something wrong.
    pub(super) fn critical(message: impl Into<String>) -> Self {
        Self { status: Status::Critical, message: message.into() }
    }

    /// Something on our side keeps us from looking.
    pub(super) fn unknown(message: impl Into<String>) -> Self {
        Self { status: Status::Unknown, message: message.into() }
    }

    /// An error of the operating system: ours when it is about our own means, else the target's.
    pub(super) fn io(attempt: impl fmt::Display, error: &io::Error) -> Self {
        let status = if is_ours(error) { Status::Unknown } else { Status::Critical };
        Self { status, message: format!("{attempt}: {}", Plain(error)) }
    }

    pub(super) fn into_sample(self) -> Sample {
        Sample::new(self.status, self.message)
    }
}

/// Whether an error says that *we* lack something: files, memory, local ports, permission.
pub(super) fn is_ours(error: &io::Error) -> bool {
    let ours = [
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOMEM,
        Errno::NOBUFS,
        Errno::AGAIN,
        Errno::ADDRNOTAVAIL,
        Errno::AFNOSUPPORT,
        Errno::ACCESS,
        Errno::PERM,
    ];
    Errno::from_io_error(error).is_some_and(|errno| ours.contains(&errno))
}

/// An error of the operating system as part of a sentence: without its number, in lower case.
pub(super) struct Plain<'a>(pub(super) &'a io::Error);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        let text = text.split(" (os error").next().unwrap_or_default();
        let mut chars = text.chars();
        let (first, second) = (chars.next(), chars.next());
        match (first, second) {
            (Some(first), Some(second)) if first.is_uppercase() && second.is_lowercase() => {
                write!(f, "{}{second}{}", first.to_lowercase(), chars.as_str())
            }
            _ => f.write_str(text),
        }
    }
}

/// What a look is doing, to be named when its time is over.
#[derive(Debug)]
pub(super) struct Stage {
    started: Instant,
    entered: Instant,
    doing: Cow<'static, str>,
}

impl Stage {
    pub(super) fn start() -> Self {
        let now = Instant::now();
        Self { started: now, entered: now, doing: Cow::Borrowed("the look") }
    }

    /// Enters a stage and says when it began.
    pub(super) fn enter(&mut self, doing: impl Into<Cow<'static, str>>) -> Instant {
        self.entered = Instant::now();
        self.doing = doing.into();
        self.entered
    }

    /// When the look began.
    pub(super) const fn started(&self) -> Instant {
        self.started
    }

    /// The fault of having come no further within the limit.
    pub(super) fn late(&self, limit: Duration) -> Fault {
        Fault::critical(self.late_message(limit))
    }

    /// Says which stage was not over in time, and how much time it had when that was not all.
    pub(super) fn late_message(&self, limit: Duration) -> String {
        let before = self.entered.duration_since(self.started);
        if before * 10 < limit {
            return format!("{} took longer than {}", self.doing, Span(limit));
        }
        let left = limit.saturating_sub(before);
        format!("{} took longer than {}, the rest of {}", self.doing, Span(left), Span(limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_ours_is_no_verdict_on_the_target() {
        let full = io::Error::from(Errno::MFILE);
        let fault = Fault::io("cannot connect to 127.0.0.1:80", &full);
        assert_eq!(fault.status, Status::Unknown);
        assert_eq!(fault.message, "cannot connect to 127.0.0.1:80: too many open files");
    }

    #[test]
    fn a_refused_connection_is_the_targets_fault() {
        let refused = io::Error::from(Errno::CONNREFUSED);
        let fault = Fault::io("cannot connect to 127.0.0.1:80", &refused);
        assert_eq!(fault.status, Status::Critical);
        assert_eq!(fault.message, "cannot connect to 127.0.0.1:80: connection refused");
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_look_names_the_stage_and_the_time_it_had() {
        let limit = Duration::from_secs(5);
        let mut stage = Stage::start();
        stage.enter("connect to 127.0.0.1:80");
        assert_eq!(stage.late_message(limit), "connect to 127.0.0.1:80 took longer than 5s");
        tokio::time::advance(Duration::from_secs(2)).await;
        stage.enter("the answer of http://shop/");
        assert_eq!(
            stage.late_message(limit),
            "the answer of http://shop/ took longer than 3s, the rest of 5s"
        );
    }
}
