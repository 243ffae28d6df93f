//! What the probe was told by its environment.

use std::time::Duration;

use super::env::{EnvError, PORT, timeout};

/// All that the probe was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Where it listens; 0 is any free port.
    pub port: u16,
    /// What it looks at, as it was written.
    pub urls: Vec<String>,
    /// Paths on the file systems that it shows. `None`: all that `df` shows.
    pub volumes: Option<Vec<String>>,
    /// Time limit of one look.
    pub timeout: Duration,
    /// File of those who may ask. `None`: everybody.
    pub auth_file: Option<String>,
}

impl Probe {
    /// Reads it from an environment; an empty variable is as none.
    ///
    /// # Errors
    /// The first value that is not what it should be.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, EnvError> {
        let get = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let words = |name: &str| get(name).map(|value| value.split_whitespace().map(str::to_owned).collect());
        let port = match get("PORT") {
            None => PORT,
            Some(value) => value.trim().parse().map_err(|_no_port| EnvError::Junk {
                name: "PORT",
                value,
                wanted: "a port from 0 to 65535",
            })?,
        };
        Ok(Self {
            port,
            urls: words("URLS").unwrap_or_default(),
            volumes: words("VOLUMES"),
            timeout: timeout(&get)?,
            auth_file: get("AUTH_FILE"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Probe, String> {
        let get = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Probe::read(get).map_err(|error| error.to_string())
    }

    #[test]
    fn everything_has_a_default() {
        let usual = Probe {
            port: 5_988,
            urls: Vec::new(),
            volumes: None,
            timeout: Duration::from_secs(5),
            auth_file: None,
        };
        assert_eq!(read(&[]), Ok(usual.clone()));
        let empty = ["PORT", "URLS", "VOLUMES", "TIMEOUT", "AUTH_FILE"].map(|name| (name, ""));
        assert_eq!(read(&empty), Ok(usual));
    }

    #[test]
    fn lists_are_words_however_they_are_parted() {
        let probe =
            read(&[("URLS", " http://a\n\thttp://b  c:80/x "), ("VOLUMES", "/ /srv"), ("TIMEOUT", "0.5")])
                .unwrap();
        assert_eq!(probe.urls, ["http://a", "http://b", "c:80/x"]);
        assert_eq!(probe.volumes.unwrap(), ["/", "/srv"]);
        assert_eq!(probe.timeout, Duration::from_millis(500));
        let probe = read(&[("PORT", "15988"), ("AUTH_FILE", "/etc/a b")]).unwrap();
        assert_eq!((probe.port, probe.auth_file.as_deref()), (15_988, Some("/etc/a b")));
    }

    #[test]
    fn what_cannot_be_meant_is_said() {
        assert_eq!(
            read(&[("PORT", "70000")]).unwrap_err(),
            "PORT is `70000`, which is not a port from 0 to 65535"
        );
        for junk in ["five", "0", "-1", "1e9", "5s"] {
            let why = read(&[("TIMEOUT", junk)]).unwrap_err();
            assert_eq!(why, format!("TIMEOUT is `{junk}`, which is not a number of seconds above 0"));
        }
    }
}
