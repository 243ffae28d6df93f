//! A certificate authority for one test, made by Consul itself.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::binary;

/// The files of a fresh authority with one server and one client certificate (`dc1`; the server's
/// names are `server.dc1.consul`, `localhost` and 127.0.0.1).
#[derive(Clone, Debug)]
pub struct Certificates {
    /// The authority's certificate, PEM.
    pub ca: PathBuf,
    /// The server's certificate, PEM.
    pub server: PathBuf,
    /// The server's private key, PEM.
    pub server_key: PathBuf,
    /// A client's certificate, PEM.
    pub client: PathBuf,
    /// The client's private key, PEM.
    pub client_key: PathBuf,
}

impl Certificates {
    /// Makes them in `dir`, which must have none yet.
    ///
    /// # Panics
    /// If the `consul` program cannot make them.
    #[must_use]
    pub fn make(dir: &Path) -> Self {
        run(dir, &["ca", "create"]);
        run(dir, &["cert", "create", "-server", "-dc", "dc1"]);
        run(dir, &["cert", "create", "-client", "-dc", "dc1"]);
        Self {
            ca: dir.join("consul-agent-ca.pem"),
            server: dir.join("dc1-server-consul-0.pem"),
            server_key: dir.join("dc1-server-consul-0-key.pem"),
            client: dir.join("dc1-client-consul-0.pem"),
            client_key: dir.join("dc1-client-consul-0-key.pem"),
        }
    }
}

fn run(dir: &Path, arguments: &[&str]) {
    let output = Command::new(binary::find())
        .arg("tls")
        .args(arguments)
        .current_dir(dir)
        .output()
        .unwrap_or_else(|error| panic!("cannot run consul: {error}"));
    assert!(output.status.success(), "consul tls {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}
