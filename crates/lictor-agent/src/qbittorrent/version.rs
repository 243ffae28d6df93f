//! Versions of the WebUI's interface, and what differs between them.

use std::cmp::Ordering;

/// The first version that says `stop` and `start` where older ones say `pause` and `resume`.
const STOP_AND_START: ApiVersion = ApiVersion([2, 11, 0]);

/// A version of the interface, such as 2.8.19: what `app/webapiVersion` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ApiVersion([u32; 3]);

impl ApiVersion {
    /// Reads `2.8.19`, also with fewer numbers or something after them; `None` when it is no version.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut numbers = [0; 3];
        let mut words = text.trim().splitn(4, '.');
        for (at, number) in numbers.iter_mut().enumerate() {
            let word = match words.next() {
                Some(word) => word,
                None if at > 0 => break,
                None => return None,
            };
            let digits: String = word.chars().take_while(char::is_ascii_digit).take(9).collect();
            *number = digits.parse().ok()?;
            if digits.len() < word.len() {
                // Such as `3-beta`: nothing that counts comes after it.
                break;
            }
        }
        Some(Self(numbers))
    }

    /// How torrents are stopped and started in this version.
    pub(super) fn names(self) -> Names {
        match self.cmp(&STOP_AND_START) {
            Ordering::Less => Names::PauseAndResume,
            Ordering::Equal | Ordering::Greater => Names::StopAndStart,
        }
    }
}

/// What stopping and starting torrents is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    StopAndStart,
    PauseAndResume,
}

impl Names {
    pub(super) const fn stop(self) -> &'static str {
        match self {
            Self::StopAndStart => "torrents/stop",
            Self::PauseAndResume => "torrents/pause",
        }
    }

    pub(super) const fn start(self) -> &'static str {
        match self {
            Self::StopAndStart => "torrents/start",
            Self::PauseAndResume => "torrents/resume",
        }
    }

    pub(super) const fn other(self) -> Self {
        match self {
            Self::StopAndStart => Self::PauseAndResume,
            Self::PauseAndResume => Self::StopAndStart,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> ApiVersion {
        ApiVersion::parse(text).unwrap()
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(version("2.8.19") > version("2.8.4"));
        assert!(version("2.11") > version("2.9.3"));
        assert_eq!(version("2.11"), version("2.11.0"));
        assert_eq!(version("2.15.1\n"), ApiVersion([2, 15, 1]));
        assert_eq!(version("2.12.3-beta.4"), ApiVersion([2, 12, 3]));
    }

    #[test]
    fn the_names_of_calls_follow_the_version() {
        let known = [
            ("2.0.0", "torrents/pause"),
            ("2.8.19", "torrents/pause"),
            ("2.9.3", "torrents/pause"),
            ("2.10.9", "torrents/pause"),
            ("2.11.0", "torrents/stop"),
            ("2.11.2", "torrents/stop"),
            ("2.15.1", "torrents/stop"),
            ("3.0.0", "torrents/stop"),
        ];
        for (text, stop) in known {
            assert_eq!(version(text).names().stop(), stop, "{text}");
        }
        assert_eq!(version("2.8.19").names().start(), "torrents/resume");
        assert_eq!(version("2.8.19").names().other().start(), "torrents/start");
    }

    #[test]
    fn what_is_no_version() {
        for text in ["", "v4.5.2", "<html>", "-", ".1"] {
            assert_eq!(ApiVersion::parse(text), None, "{text}");
        }
    }
}
