//! Why a qBittorrent did not do what was asked of it.

use std::fmt;

use crate::remote::{Answer, Failed};

/// What stands in the way, in words that name the cause and, where there is one, the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// It is not reached, or does not answer as a working server does.
    Down(String),
    /// It answers, but not to us, or is no qBittorrent: what is to be mended is a setting.
    Barred(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Down(why) | Self::Barred(why) => f.write_str(why),
        }
    }
}

/// Errors of the operating system that say that *we* lack something: files, memory, permission.
const OURS: [&str; 6] = ["24", "23", "12", "105", "13", "1"];

impl Problem {
    pub(super) fn barred(why: impl Into<String>) -> Self {
        Self::Barred(why.into())
    }

    /// There is no answer.
    pub(super) fn of(failed: &Failed) -> Self {
        let text = match failed {
            Failed::TooLarge => {
                return Self::barred("qBittorrent's answer is larger than what is read of one");
            }
            Failed::Unsent(text) | Failed::Unanswered(text) => text,
        };
        let why = plain(text);
        let ours = OURS.iter().any(|number| text.contains(&format!("(os error {number})")));
        if ours || text.contains("certificate") {
            return Self::Barred(format!("cannot ask qBittorrent: {why}"));
        }
        Self::Down(format!("qBittorrent cannot be reached: {why}"))
    }

    /// An answer that is the same whatever was asked; `None`: it is for the asker to judge.
    pub(super) fn of_status(answer: &Answer, host: &str) -> Option<Self> {
        match answer.status {
            300..=399 => Some(Self::barred(format!(
                "status {}: qBittorrent's URL leads elsewhere; configure the one it leads to",
                answer.status
            ))),
            401 => Some(Self::barred(format!(
                "qBittorrent refuses the host name `{host}` (status 401): set `host` to a name it knows, map its \
                 port to the same number, or switch its host header validation off"
            ))),
            // A proxy before it says so when it is away.
            500.. => Some(Self::Down(format!("qBittorrent answers with status {}", answer.status))),
            _ => None,
        }
    }

    /// Something was answered that a qBittorrent does not answer.
    pub(super) fn strange(what: &str, answer: &Answer) -> Self {
        Self::Barred(format!(
            "what answers is no qBittorrent of version 4.1 or later: status {} to {what}",
            answer.status
        ))
    }

    /// An answer that could not be read.
    pub(super) fn unread(what: &str) -> Self {
        Self::Barred(format!(
            "what answers is no qBittorrent of version 4.1 or later: its answer to {what} cannot be read"
        ))
    }
}

/// The last of a chain of causes, without its number, in lower case.
fn plain(text: &str) -> String {
    let last = text.rsplit(": ").next().unwrap_or_default();
    let last = last.split(" (os error").next().unwrap_or_default();
    let mut chars = last.chars();
    match (chars.next(), chars.next()) {
        (Some(first), Some(second)) if first.is_uppercase() && second.is_lowercase() => {
            first.to_lowercase().chain([second]).chain(chars).collect()
        }
        _ => last.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unsent(text: &str) -> String {
        format!("{:?}", Problem::of(&Failed::Unsent(text.to_owned())))
    }

    #[test]
    fn a_refused_connection_is_its_fault_and_a_lack_of_files_is_ours() {
        assert_eq!(
            unsent("error sending request: tcp connect error: Connection refused (os error 111)"),
            r#"Down("qBittorrent cannot be reached: connection refused")"#
        );
        assert_eq!(
            unsent("error sending request: tcp open error: Too many open files (os error 24)"),
            r#"Barred("cannot ask qBittorrent: too many open files")"#
        );
        assert_eq!(
            unsent("client error (Connect): invalid peer certificate: Expired"),
            r#"Barred("cannot ask qBittorrent: expired")"#
        );
        assert_eq!(
            unsent("error sending request: dns error: Name or service not known"),
            r#"Down("qBittorrent cannot be reached: name or service not known")"#
        );
    }
}
