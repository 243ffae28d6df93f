//! Where it listens, where another one may run, and where its state lies.

use std::fs::DirBuilder;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lictor_compat::consul_alerts::run::Place;
use lictor_config::{Env as _, ProcessEnv};
use tokio::net::{TcpListener, lookup_host};
use tracing::warn;

/// The port of the agent's own interface, if it is free.
const PORT: u16 = 8510;

/// Where its keys lie in Consul: below what the old program was allowed to write.
pub(super) const PREFIX: &str = "consul-alerts/lictor/";

/// The address at which a listener of `given` is reached from this machine.
pub(super) fn reachable(given: &str) -> String {
    match given.rsplit_once(':') {
        Some(("" | "0.0.0.0", port)) => format!("127.0.0.1:{port}"),
        Some(("[::]", port)) => format!("[::1]:{port}"),
        _ => given.to_owned(),
    }
}

/// A client for another instance on this machine.
pub(super) fn client(limit: Duration) -> Result<reqwest::Client, String> {
    let client = reqwest::Client::builder().no_proxy().timeout(limit).connect_timeout(limit);
    client.build().map_err(|error| error.to_string())
}

/// Whether an instance answers there.
pub(super) async fn is_taken(given: &str) -> bool {
    let Ok(client) = client(Duration::from_secs(2)) else { return false };
    let asked = client.get(format!("http://{}/v1/info", reachable(given))).send().await;
    asked.is_ok_and(|answer| answer.status().as_u16() == 201)
}

/// Listens there; of a name, at the IPv4 address first.
pub(super) async fn listen(given: &str) -> io::Result<TcpListener> {
    let mut addresses: Vec<SocketAddr> = match given.rsplit_once(':') {
        Some(("", port)) => {
            let port = port.parse().map_err(io::Error::other)?;
            vec![(std::net::Ipv6Addr::UNSPECIFIED, port).into(), (Ipv4Addr::UNSPECIFIED, port).into()]
        }
        _ => {
            let mut found: Vec<_> = lookup_host(given).await?.collect();
            found.sort_by_key(SocketAddr::is_ipv6);
            found
        }
    };
    addresses.dedup();
    let mut failed = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match TcpListener::bind(address).await {
            Ok(listener) => return Ok(listener),
            // Another one has it: the next address would only hide that.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// Where the agent is that does the work, and the listener of its own interface; `alert_addr` tells
/// instances of one machine apart.
pub(super) fn of(alert_addr: &str) -> io::Result<(Place, TcpListener)> {
    let port = alert_addr.rsplit_once(':').map_or(alert_addr, |(_, port)| port);
    let port: String = port.chars().filter(char::is_ascii_alphanumeric).collect();
    let host = ProcessEnv.host_name().unwrap_or_else(|| "localhost".to_owned());
    let listener = own_listener()?;
    let place = Place {
        node: format!("{host}-{port}"),
        state_dir: state_dir(&port)?.display().to_string(),
        listen: listener.local_addr()?.to_string(),
        prefix: PREFIX.to_owned(),
    };
    Ok((place, listener))
}

/// At the usual port, or where one is free: several may start at once.
fn own_listener() -> io::Result<TcpListener> {
    let at = |port| std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let listener = at(PORT).or_else(|_taken| at(0))?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// The old program kept nothing on the disk, so that there may be no directory for it. It is that of
/// systemd, or else the first of the usual ones that can be written to.
fn state_dir(port: &str) -> io::Result<PathBuf> {
    let env = |name: &str| ProcessEnv.var(name).filter(|value| !value.is_empty());
    if let Some(given) = env("STATE_DIRECTORY") {
        return Ok(given.split(':').next().unwrap_or(&given).into());
    }
    let name = format!("consul-alerts-{port}");
    let home = || Some(PathBuf::from(env("HOME")?).join(".local/state"));
    let own = env("XDG_STATE_HOME").map(PathBuf::from).or_else(home);
    let uid = rustix::process::getuid().as_raw();
    let places = [
        Some(Path::new("/var/lib/lictor").join(&name)),
        own.map(|dir| dir.join("lictor").join(&name)),
        Some(std::env::temp_dir().join(format!("lictor-{uid}-{name}"))),
    ];
    let mut failed = io::Error::from(io::ErrorKind::NotFound);
    for place in places.into_iter().flatten().filter(|place| place.is_absolute()) {
        match usable(&place, uid) {
            Ok(()) => {
                if place.starts_with(std::env::temp_dir()) {
                    warn!(
                        state_dir = %place.display(),
                        "what is still to be told is lost when this machine restarts: no other directory can be \
                         written to; STATE_DIRECTORY names one"
                    );
                }
                return Ok(place);
            }
            Err(error) => failed = io::Error::new(error.kind(), format!("{}: {error}", place.display())),
        }
    }
    Err(failed)
}

/// Makes the directory, which must be ours and no link: in a directory for everybody somebody else
/// may have been there first.
fn usable(place: &Path, uid: u32) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(place)?;
    let found = std::fs::symlink_metadata(place)?;
    if !found.is_dir() || found.uid() != uid {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to somebody else"));
    }
    rustix::fs::access(place, rustix::fs::Access::WRITE_OK).map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_of_all_addresses_is_reached_at_this_machine() {
        for (given, reached) in [
            ("0.0.0.0:9000", "127.0.0.1:9000"),
            (":9000", "127.0.0.1:9000"),
            ("[::]:9000", "[::1]:9000"),
            ("localhost:9000", "localhost:9000"),
            ("10.0.0.1:80", "10.0.0.1:80"),
        ] {
            assert_eq!(reachable(given), reached);
        }
    }

    #[test]
    fn a_directory_that_is_a_link_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let uid = rustix::process::getuid().as_raw();
        let real = dir.path().join("real");
        usable(&real, uid).unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        assert!(usable(&link, uid).is_err());
        assert!(usable(&real, uid + 1).is_err());
    }

    #[tokio::test]
    async fn a_name_is_listened_at_by_its_first_address() {
        let listener = listen("localhost:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(listener.local_addr().unwrap().is_ipv4());
        let taken = listen(&format!("localhost:{port}")).await.unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
        assert!(listen("localhost").await.is_err() && listen(":x").await.is_err());
    }
}
