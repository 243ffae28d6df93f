//! The command line of the probe.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;

/// `lictor probe`.
#[derive(Debug, Args)]
pub(crate) struct Probe {
    /// The port (also: PORT) [default: 5988]
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Option<u16>,
    /// Address to listen at [default: 127.0.0.1; all with a password, client certificates or --open]
    #[arg(long, value_name = "IP")]
    pub(crate) address: Option<IpAddr>,
    /// Look at this URL (can be repeated; also: URLS)
    #[arg(long = "url", value_name = "URL")]
    pub(crate) urls: Vec<String>,
    /// Show the file system that holds this path (can be repeated; also: VOLUMES) [default: all]
    #[arg(long = "volume", value_name = "PATH")]
    pub(crate) volumes: Vec<String>,
    /// Seconds that a look at a URL may take (also: TIMEOUT) [default: 5]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) timeout: Option<String>,
    /// Seconds for which a result is shown before the URL is looked at again
    #[arg(long, value_name = "SECONDS", default_value_t = 1)]
    pub(crate) fresh: u32,
    /// File with a line `user:password` for each who may ask (also: AUTH_FILE)
    #[arg(long, value_name = "FILE")]
    pub(crate) auth_file: Option<PathBuf>,
    /// Answer everybody, at all addresses
    #[arg(long)]
    pub(crate) open: bool,
    /// Speak TLS with this certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "key_file")]
    pub(crate) cert_file: Option<PathBuf>,
    /// Its key (PEM)
    #[arg(long, value_name = "FILE", requires = "cert_file")]
    pub(crate) key_file: Option<PathBuf>,
    /// Ask for a certificate of one of these authorities (PEM)
    #[arg(long, value_name = "FILE", requires = "cert_file")]
    pub(crate) client_ca_file: Option<PathBuf>,
    /// What is logged: error, warn, info, debug, trace; also per part
    #[arg(long, env = "LICTOR_LOG", default_value = "warn", value_name = "LEVEL")]
    pub(crate) log_level: String,
}
