//! The environment of the `consul` program.

use std::fs;
use std::path::PathBuf;

use crate::config::{Auth, Config, ConfigError};
use crate::secret::Secret;

impl Config {
    /// Reads the variables the `consul` program reads, with its meaning:
    ///
    /// | variable | meaning |
    /// |---|---|
    /// | `CONSUL_HTTP_ADDR` | the [`Address`](crate::Address) |
    /// | `CONSUL_HTTP_TOKEN` | the token |
    /// | `CONSUL_HTTP_TOKEN_FILE` | a file with the token; goes before `CONSUL_HTTP_TOKEN` |
    /// | `CONSUL_HTTP_AUTH` | `USER` or `USER:PASSWORD` |
    /// | `CONSUL_HTTP_SSL` | true: https, also if the address says http |
    /// | `CONSUL_HTTP_SSL_VERIFY` | false: take any certificate |
    /// | `CONSUL_CACERT`, `CONSUL_CAPATH` | file or directory of trusted authorities |
    /// | `CONSUL_CLIENT_CERT`, `CONSUL_CLIENT_KEY` | the client's certificate and key |
    /// | `CONSUL_TLS_SERVER_NAME` | the name in the server's certificate |
    /// | `CONSUL_NAMESPACE`, `CONSUL_PARTITION` | namespace and partition |
    ///
    /// `variable` gives the value of a name, so that a caller may read a map instead; an empty value
    /// counts as unset. Proxy variables are not read: Consul is reached directly.
    ///
    /// # Errors
    /// If a value cannot be what it should be, or the token's file cannot be read.
    pub fn from_env(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let read = |name: &str| variable(name).filter(|value| !value.is_empty());
        let path = |name: &str| read(name).map(PathBuf::from);

        let mut config = Self::default();
        if let Some(address) = read("CONSUL_HTTP_ADDR") {
            config.address = address.parse()?;
        }
        if boolean("CONSUL_HTTP_SSL", read)? == Some(true) {
            config.address = config.address.with_https();
        }
        config.token = match path("CONSUL_HTTP_TOKEN_FILE") {
            Some(path) => Some(token_in(path)?),
            None => read("CONSUL_HTTP_TOKEN").map(Secret::new),
        };
        config.auth = read("CONSUL_HTTP_AUTH").map(|text| auth(&text));
        config.namespace = read("CONSUL_NAMESPACE");
        config.partition = read("CONSUL_PARTITION");
        config.tls.skip_verify = boolean("CONSUL_HTTP_SSL_VERIFY", read)? == Some(false);
        config.tls.ca_file = path("CONSUL_CACERT");
        config.tls.ca_dir = path("CONSUL_CAPATH");
        config.tls.client_cert = path("CONSUL_CLIENT_CERT");
        config.tls.client_key = path("CONSUL_CLIENT_KEY");
        config.tls.server_name = read("CONSUL_TLS_SERVER_NAME");
        Ok(config)
    }
}

/// The spellings Go's `strconv.ParseBool` takes.
fn boolean(name: &'static str, read: impl Fn(&str) -> Option<String>) -> Result<Option<bool>, ConfigError> {
    match read(name).as_deref() {
        None => Ok(None),
        Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(Some(true)),
        Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(Some(false)),
        Some(other) => {
            Err(ConfigError::Variable { name, reason: format!("must be true or false, not `{other}`") })
        }
    }
}

fn token_in(path: PathBuf) -> Result<Secret, ConfigError> {
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(source) => return Err(ConfigError::File { path, source }),
    };
    match text.trim() {
        "" => Err(ConfigError::Content { path, expected: "token" }),
        token => Ok(Secret::new(token)),
    }
}

fn auth(text: &str) -> Auth {
    match text.split_once(':') {
        Some((user, password)) => Auth { user: user.to_owned(), password: Some(Secret::new(password)) },
        None => Auth { user: text.to_owned(), password: None },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn with(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let map: BTreeMap<&str, &str> = variables.iter().copied().collect();
        Config::from_env(|name| map.get(name).map(|&value| value.to_owned()))
    }

    #[test]
    fn an_empty_environment_gives_the_defaults() {
        let config = with(&[("CONSUL_HTTP_ADDR", "")]).unwrap();
        assert_eq!(config.address.to_string(), "http://127.0.0.1:8500");
        assert!(config.token.is_none() && config.auth.is_none());
        assert!(!config.tls.skip_verify);
    }

    #[test]
    fn every_variable_has_its_place() {
        let config = with(&[
            ("CONSUL_HTTP_ADDR", "consul.example:8501"),
            ("CONSUL_HTTP_SSL", "1"),
            ("CONSUL_HTTP_SSL_VERIFY", "false"),
            ("CONSUL_HTTP_TOKEN", "t0ken"),
            ("CONSUL_HTTP_AUTH", "me:pa:ss"),
            ("CONSUL_CACERT", "/ca.pem"),
            ("CONSUL_CAPATH", "/ca"),
            ("CONSUL_CLIENT_CERT", "/c.pem"),
            ("CONSUL_CLIENT_KEY", "/k.pem"),
            ("CONSUL_TLS_SERVER_NAME", "server.dc1.consul"),
            ("CONSUL_NAMESPACE", "team"),
            ("CONSUL_PARTITION", "part"),
        ])
        .unwrap();
        assert_eq!(config.address.to_string(), "https://consul.example:8501");
        assert_eq!(config.token.as_ref().unwrap().expose(), "t0ken");
        let auth = config.auth.as_ref().unwrap();
        assert_eq!(auth.user, "me");
        assert_eq!(auth.password.as_ref().unwrap().expose(), "pa:ss");
        assert!(config.tls.skip_verify);
        assert_eq!(config.tls.ca_file, Some("/ca.pem".into()));
        assert_eq!(config.tls.ca_dir, Some("/ca".into()));
        assert_eq!(config.tls.client_cert, Some("/c.pem".into()));
        assert_eq!(config.tls.client_key, Some("/k.pem".into()));
        assert_eq!(config.tls.server_name.as_deref(), Some("server.dc1.consul"));
        assert_eq!(config.namespace.as_deref(), Some("team"));
        assert_eq!(config.partition.as_deref(), Some("part"));
        let printed = format!("{config:?}");
        assert!(!printed.contains("t0ken") && !printed.contains("pa:ss"));
    }

    #[test]
    fn the_tokens_file_goes_before_the_token() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        fs::write(&file, "from-file\n").unwrap();
        let named = file.to_str().unwrap();
        let config = with(&[("CONSUL_HTTP_TOKEN", "direct"), ("CONSUL_HTTP_TOKEN_FILE", named)]).unwrap();
        assert_eq!(config.token.unwrap().expose(), "from-file");

        fs::write(&file, " \n").unwrap();
        let error = with(&[("CONSUL_HTTP_TOKEN_FILE", named)]).unwrap_err();
        assert_eq!(error.to_string(), format!("{named} holds no token"));
        fs::remove_file(&file).unwrap();
        let error = with(&[("CONSUL_HTTP_TOKEN_FILE", named)]).unwrap_err();
        assert!(error.to_string().starts_with("cannot read "));
    }

    #[test]
    fn a_switch_that_is_neither_on_nor_off_is_refused() {
        let error = with(&[("CONSUL_HTTP_SSL", "yes")]).unwrap_err();
        assert_eq!(error.to_string(), "the variable CONSUL_HTTP_SSL must be true or false, not `yes`");
    }
}
