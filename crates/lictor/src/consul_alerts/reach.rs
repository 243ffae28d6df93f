//! Reaching Consul, and others through proxies.

use std::time::Duration;

use lictor_compat::consul_alerts::{Consul, PREFIX as KEYS, Start};
use lictor_consul::{Auth, Client, Config, Operation, Secret, Tls};
use tokio::time::sleep;
use tracing::{error, warn};
use url::Url;

/// How often Consul is tried before that is given up, and how far apart.
const ATTEMPTS: u32 = 4;
pub(super) const PAUSE: Duration = Duration::from_secs(10);

/// How long it may take to see what the token may.
const PROBE: Duration = Duration::from_secs(5);

/// A client of the Consul that it was told of.
pub(super) fn client(start: &Start) -> Result<Client, String> {
    let Consul { address, verify, login, .. } = &start.consul;
    let path = |name: &Option<String>| name.as_ref().map(Into::into);
    let auth = login.as_ref().map(|(user, password)| Auth {
        user: user.clone(),
        password: Some(password.expose()).filter(|text| !text.is_empty()).map(Secret::new),
    });
    let config = Config {
        address: address.parse().map_err(|error| format!("{error}"))?,
        token: token(start)?,
        auth,
        datacenter: start.datacenter.clone(),
        tls: Tls {
            ca_file: path(&start.consul.ca_file),
            ca_dir: None,
            client_cert: path(&start.consul.cert_file),
            client_key: path(&start.consul.key_file),
            server_name: start.consul.server_name.clone(),
            skip_verify: !verify,
        },
        ..Config::default()
    };
    Client::new(config).map_err(|error| error.to_string())
}

/// The token, from its file as that is now.
pub(super) fn token(start: &Start) -> Result<Option<Secret>, String> {
    let Consul { token, token_file, .. } = &start.consul;
    let token = match (token, token_file) {
        (Some(token), _) => Some(token.expose().to_owned()),
        (None, Some(file)) => {
            Some(lictor_config::Secret::file(file).reveal().map_err(|error| error.to_string())?)
        }
        (None, None) => None,
    };
    Ok(token.map(Secret::new))
}

/// Says so when our own keys may not be written: then nobody is told of anything.
pub(super) async fn probe(client: &Client, prefix: &str) {
    let key = format!("{prefix}probe");
    let operations = [Operation::set(key.clone(), ""), Operation::delete(key)];
    let client = client.with_attempts(1).with_time_limit(PROBE);
    match client.txn().run(&operations).await {
        Ok(_) => {}
        Err(why) if why.is_denied() => error!(
            "nobody is told of alerts: the token for Consul may not write the keys below {prefix}; its policy \
             needs `write` for that key prefix, as `key_prefix \"{KEYS}\" {{ policy = \"write\" }}` gives it: {why}"
        ),
        Err(why) => warn!("whether the keys below {prefix} may be written is not known: {why}"),
    }
}

/// Waits until Consul has a leader, with this pause between two attempts.
///
/// # Errors
/// In words, what the last attempt met.
pub(super) async fn leader(client: &Client, address: &str, pause: Duration) -> Result<(), String> {
    let client = client.with_attempts(1);
    let mut attempt = 1;
    loop {
        let why = match client.status().leader().await {
            Ok(Some(_)) => return Ok(()),
            Ok(None) => "it has no leader".to_owned(),
            Err(error) => error.to_string(),
        };
        if attempt == ATTEMPTS {
            return Err(format!("Consul at {address} cannot be used: {why}"));
        }
        warn!(
            address,
            attempt,
            of = ATTEMPTS,
            again_in_seconds = pause.as_secs(),
            "Consul cannot be used yet: {why}"
        );
        sleep(pause).await;
        attempt += 1;
    }
}

/// The proxy for an address, as the environment of Go's programs names it.
pub(super) fn proxy(url: &str, environment: impl Fn(&str) -> Option<String>) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let read = |name: &str| {
        let found = environment(name).or_else(|| environment(&name.to_lowercase()));
        found.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    };
    let proxy = read(if url.scheme() == "https" { "HTTPS_PROXY" } else { "HTTP_PROXY" })?;
    let host = url.host_str()?.trim_matches(['[', ']']);
    let is_here = host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    let with_port = format!("{host}:{}", url.port_or_known_default().unwrap_or_default());
    let left_out = |entry: &str| {
        let suffix = entry.trim_start_matches('.');
        let below = host.strip_suffix(suffix).is_some_and(|rest| rest.ends_with('.'));
        entry == "*" || entry == with_port || below || (host == suffix && !entry.starts_with('.'))
    };
    let direct = read("NO_PROXY").unwrap_or_default();
    let mut direct = direct.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    if is_here || direct.any(left_out) {
        return None;
    }
    Some(if proxy.contains("://") { proxy } else { format!("http://{proxy}") })
}

#[cfg(test)]
mod tests {
    use lictor_compat::consul_alerts::Start;
    use lictor_compat::consul_alerts::cli::Options;

    use super::*;

    #[tokio::test]
    async fn consul_is_tried_four_times() {
        let options = Options { consul_addr: Some("127.0.0.1:1".to_owned()), ..Options::default() };
        let client = client(&Start::new(&options, None, |_| None)).unwrap();
        let (pause, begun) = (Duration::from_millis(20), tokio::time::Instant::now());
        let why = leader(&client, "127.0.0.1:1", pause).await.unwrap_err();
        assert!(why.starts_with("Consul at 127.0.0.1:1 cannot be used: "), "{why}");
        assert!(begun.elapsed() >= pause * 3);
    }

    #[test]
    fn proxies_are_those_of_the_environment() {
        let found = |url: &str| {
            proxy(url, |name| match name {
                "HTTPS_PROXY" => Some("proxy:3128".to_owned()),
                "http_proxy" => Some("http://plain:80".to_owned()),
                "NO_PROXY" => Some("intern.example, .only.example,10.0.0.1,odd:8080".to_owned()),
                _ => None,
            })
        };
        assert_eq!(found("https://hooks.slack.com/x").as_deref(), Some("http://proxy:3128"));
        assert_eq!(found("http://a.example/").as_deref(), Some("http://plain:80"));
        for direct in [
            "https://intern.example",
            "https://a.intern.example",
            "http://a.only.example",
            "http://10.0.0.1",
            "http://odd:8080/x",
            "http://localhost:1",
            "http://[::1]:1",
        ] {
            assert_eq!(found(direct), None, "{direct}");
        }
        assert!(found("http://only.example").is_some() && found("http://xintern.example").is_some());
        assert_eq!(proxy("https://a", |_| None), None);
    }
}
