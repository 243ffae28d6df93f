//! Where the program is: whose machine, what it was told, and where things lie.

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lictor_compat::powerconsul::{Conf, datacenter};
use lictor_consul::{Client, Config};
use lictor_core::service::Patience;

/// Time limit of one request to Consul: one that does not answer must not hold up a check.
const REQUEST: Duration = Duration::from_secs(5);

/// What this process was told by its environment and its files.
#[derive(Debug)]
pub(crate) struct Place {
    /// What Consul calls this node.
    pub(crate) host: String,
    pub(crate) conf: Conf,
    pub(crate) client: Client,
    pub(crate) logs: PathBuf,
    /// Where is remembered what was so in the last look.
    pub(crate) memory: PathBuf,
    pub(crate) crontabs: PathBuf,
    pub(crate) check_procs: PathBuf,
    /// A lock file that is older is left aside; `None`: it counts however old it is.
    pub(crate) noop_max_age: Option<Duration>,
    /// How long an action may take.
    pub(crate) action_limit: Duration,
    /// How long a check may take in all.
    pub(crate) check_limit: Duration,
    /// How long the status of a service may take.
    pub(crate) status_limit: Duration,
    pub(crate) patience: Patience,
    /// Whether systemd runs this machine.
    pub(crate) systemd: bool,
    consul_config: PathBuf,
}

impl Place {
    /// With this configuration.
    ///
    /// # Errors
    /// In words, if a variable cannot be used.
    pub(crate) fn new(conf: Conf) -> Result<Self, String> {
        let mut config = Config::from_env(text).map_err(|why| why.to_string())?;
        config.limits.answer = REQUEST;
        config.limits.attempts = 2;
        let client = Client::new(config).map_err(|why| why.to_string())?;
        let usual = Patience::USUAL;
        let max_age = seconds("POWERCONSUL_NOOP_MAX_AGE", 900)?;
        Ok(Self {
            host: text("POWERCONSUL_NODE").unwrap_or_else(host_name),
            client,
            logs: path("POWERCONSUL_LOG_DIR", "/var/log/powerconsul"),
            memory: path("POWERCONSUL_STATE_DIR", "/run/powerconsul"),
            crontabs: path("POWERCONSUL_CRONTABS", "/var/spool/cron/crontabs"),
            check_procs: path("POWERCONSUL_CHECK_PROCS", "/usr/lib/nagios/plugins/check_procs"),
            noop_max_age: Some(max_age).filter(|age| !age.is_zero()),
            action_limit: seconds("POWERCONSUL_ACTION_TIMEOUT", 60)?,
            check_limit: seconds("POWERCONSUL_CHECK_TIMEOUT", 25)?,
            status_limit: seconds("POWERCONSUL_STATUS_TIMEOUT", 20)?,
            patience: Patience {
                lasting: seconds("POWERCONSUL_SWAP_AFTER", usual.lasting.as_secs())?,
                ..usual
            },
            systemd: Path::new("/run/systemd/system").is_dir(),
            consul_config: match &conf.consul_config {
                Some(named) => PathBuf::from(named),
                None => path("POWERCONSUL_CONSUL_CONFIG", "/etc/consul/config.json"),
            },
            conf,
        })
    }

    /// This node's datacenter: as Consul's configuration has it, or as the agent says.
    ///
    /// # Errors
    /// In words, if neither says it.
    pub(crate) async fn datacenter(&self) -> Result<String, String> {
        let named = match fs::read_to_string(&self.consul_config) {
            Ok(text) => datacenter(&text)
                .map_err(|why| format!("Failed to parse Consul agent configuration: {why}"))?,
            Err(why) if why.kind() == ErrorKind::NotFound => None,
            Err(why) => {
                let shown = self.consul_config.display();
                return Err(format!("Failed to parse Consul agent configuration: {shown}: {why}"));
            }
        };
        match named {
            // Consul has them in small letters, however they were written.
            Some(name) => Ok(name.to_lowercase()),
            None => {
                let info = self.client.agent().info().await;
                let info = info.map_err(|why| format!("Failed to ask the Consul agent: {why}"))?;
                Ok(info.config.datacenter)
            }
        }
    }
}

/// The file with the local configuration.
pub(crate) fn conf_path() -> PathBuf {
    // Consul may start its checks without a home.
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    PathBuf::from(home.unwrap_or_else(|| OsString::from("/root"))).join(".powerconsul.conf")
}

/// The local configuration.
///
/// # Errors
/// In the old words, if there is none, or it cannot be used.
pub(crate) fn conf() -> Result<Conf, String> {
    conf_if_any()?.ok_or_else(|| {
        "You must create a local configuration file using: powerconsul config bootstrap <options>".to_owned()
    })
}

/// The local configuration, if there is one.
///
/// # Errors
/// In the old words, if it cannot be read or used. That is not as if there were none.
pub(crate) fn conf_if_any() -> Result<Option<Conf>, String> {
    let path = conf_path();
    let wrong = |why: &dyn std::fmt::Display| format!("Failed to parse local configuration: {why}");
    match fs::read_to_string(&path) {
        Ok(text) => Conf::read(&text).map(Some).map_err(|why| wrong(&why)),
        Err(why) if matches!(why.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(why) => Err(wrong(&format_args!("{}: {why}", path.display()))),
    }
}

fn text(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn path(name: &str, usual: &str) -> PathBuf {
    std::env::var_os(name)
        .filter(|value| !value.is_empty())
        .map_or_else(|| PathBuf::from(usual), PathBuf::from)
}

fn seconds(name: &str, usual: u64) -> Result<Duration, String> {
    let Some(value) = text(name) else { return Ok(Duration::from_secs(usual)) };
    let number =
        value.parse().map_err(|_none| format!("{name} is `{value}`, which is no number of seconds"))?;
    Ok(Duration::from_secs(number))
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
