//! What it runs with: flags, files and environment together, and what nobody said.

use std::time::Duration;

use thiserror::Error;

use super::flags::Flags;
use super::options::{Given, Opt, level};
use crate::log::{LogLevel, facility};
use crate::reach::{Reach, Said};
use crate::stores::{Azure, Google, S3, S3Encryption, S3Rights, S3Said, Store, StoreError, with_https};

/// Everything that it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// The Consul agent.
    pub consul: Reach,
    /// Whether it goes on.
    pub mode: Mode,
    /// Whether any server may answer.
    pub stale: bool,
    /// How many stay; 0: all.
    pub retain: u32,
    /// Where they are kept; each gets every one, and there is one at least.
    pub stores: Vec<Store>,
    /// Where one lies before it is sent; `None`: in the system's temporary folder.
    pub scratch: Option<String>,
    /// What it is registered as.
    pub service: String,
    /// After how long a service is removed whose agent is gone; `None`: never.
    pub deregister_after: Option<Duration>,
    /// Whoever holds this key works.
    pub lock_key: String,
    /// After so many failures in a row another agent may try; at least 1.
    pub max_failures: u32,
    /// How much is logged.
    pub log_level: LogLevel,
    /// The number of the facility of the system log that gets it as well.
    pub syslog: Option<u8>,
    /// What has no effect or is done in another way. Each is worth a warning.
    pub remarks: Vec<String>,
}

/// Whether it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It takes one each time that so long has passed, and is registered; of several one works. Not zero.
    Daemon(Duration),
    /// It takes one and ends, without lock and registration.
    Once,
}

/// Settings that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StartError {
    /// There is no such level.
    #[error("invalid log level {0:?}: there are trace, debug, info, warn and error")]
    LogLevel(String),
    /// There is no such facility.
    #[error("invalid syslog facility {0:?}: there are LOCAL0 to LOCAL7, DAEMON, USER and others")]
    Facility(String),
    /// It was to log in.
    #[error(
        "logging in by the auth method {0:?} is not done here: leave `login` out, and give a token whose policy has acl = \"write\" with -token-file"
    )]
    Login(String),
    /// No such key can be locked.
    #[error("the lock key {0:?} cannot be locked: a key does not begin with a slash")]
    LockKey(String),
    /// A name for all snapshots that is none.
    #[error(
        "the snapshot name {0:?} is not the name of a file: no part of it is empty, `.` or `..`, and the last begins with no dot"
    )]
    StaticName(String),
    /// S3 without a region.
    #[error("the bucket `{0}` has no region: give it with -aws-s3-region")]
    Region(String),
    /// Azure without an account or its key.
    #[error("the container `{0}` needs -azure-blob-account-name and -azure-blob-account-key")]
    AzureAccount(String),
    /// No such cloud of Azure's.
    #[error(
        "invalid Azure environment {0:?}: there are AZUREPUBLICCLOUD, AZURECHINACLOUD, AZUREGERMANCLOUD and AZUREUSGOVERNMENTCLOUD"
    )]
    AzureEnvironment(String),
    /// A store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It was to go on with another datacenter.
    #[error(
        "the agent is one of `{own}`, and snapshots of `{wanted}` are taken from there only once: give -interval=0, or an agent of `{wanted}` with -http-addr"
    )]
    Remote {
        /// That which was named.
        wanted: String,
        /// That of the Consul agent.
        own: String,
    },
}

/// How the rights to a bucket can be said.
const WAYS: &str = "give -aws-access-key-id and -aws-secret-access-key, set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or \
                    AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE, or give -aws-iam-endpoint for the machine's own role";

impl Start {
    /// Puts together what is known: flags go before files, later files before earlier ones, and all of them before the
    /// environment, which is given as a look-up.
    ///
    /// # Errors
    /// The first thing that cannot be used.
    pub fn new(
        flags: &Flags,
        files: &[Given],
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, StartError> {
        let given = files.iter().cloned().fold(Given::default(), Given::and).and(flags.given.clone());
        let variable =
            |name: &str| environment(name).map(|value| value.trim().to_owned()).filter(|v| !v.is_empty());
        if let Some(method) = given.text(Opt::LoginAuthMethod) {
            return Err(StartError::Login(method));
        }
        let mut remarks = Vec::new();
        if given.text(Opt::LicensePath).is_some() {
            remarks.push("no license is needed: license_path has no effect".to_owned());
        }
        let interval = given.time(Opt::Interval).unwrap_or(Duration::from_hours(1));
        let stores = stores(&given, &variable, &mut remarks)?;
        let deregister_after = given.time(Opt::DeregisterAfter).unwrap_or(Duration::from_hours(72));
        Ok(Self {
            consul: reach(&given, variable, &mut remarks),
            mode: if interval.is_zero() { Mode::Once } else { Mode::Daemon(interval) },
            stale: given.flag(Opt::Stale),
            retain: given.number(Opt::Retain).unwrap_or(30),
            scratch: match stores.as_slice() {
                [Store::Folder(path)] => Some(path.clone()),
                _ => given.text(Opt::ScratchPath),
            },
            stores,
            service: given.text(Opt::Service).unwrap_or_else(|| "consul-snapshot".to_owned()),
            deregister_after: Some(deregister_after).filter(|time| !time.is_zero()),
            lock_key: lock_key(&given)?,
            max_failures: given.number(Opt::MaxFailures).unwrap_or(3).max(1),
            log_level: match given.text(Opt::LogLevel) {
                Some(name) => level(&name).ok_or(StartError::LogLevel(name))?,
                None => LogLevel::Info,
            },
            syslog: syslog(&given)?,
            remarks,
        })
    }

    /// Whether it may do what it was told with a Consul agent of this datacenter: another one's snapshots are taken only once.
    ///
    /// # Errors
    /// When it was to go on with another one.
    pub fn stays_in(&self, own: &str) -> Result<(), StartError> {
        match (&self.consul.datacenter, self.mode) {
            (Some(wanted), Mode::Daemon(_)) if wanted != own => {
                Err(StartError::Remote { wanted: wanted.clone(), own: own.to_owned() })
            }
            _ => Ok(()),
        }
    }
}

fn lock_key(given: &Given) -> Result<String, StartError> {
    let key = given.text(Opt::LockKey).unwrap_or_else(|| "consul-snapshot/lock".to_owned());
    if key.starts_with('/') { Err(StartError::LockKey(key)) } else { Ok(key) }
}

fn syslog(given: &Given) -> Result<Option<u8>, StartError> {
    if !given.flag(Opt::Syslog) {
        return Ok(None);
    }
    let name = given.text(Opt::SyslogFacility).unwrap_or_else(|| "LOCAL0".to_owned());
    facility(&name).map(Some).ok_or(StartError::Facility(name))
}

fn reach(given: &Given, variable: impl Fn(&str) -> Option<String>, remarks: &mut Vec<String>) -> Reach {
    let said = Said {
        address: given.text(Opt::HttpAddr),
        datacenter: given.text(Opt::Datacenter),
        token: given.secret(Opt::Token),
        token_file: given.text(Opt::TokenFile),
        ca_file: given.text(Opt::CaFile),
        ca_dir: given.text(Opt::CaPath),
        cert_file: given.text(Opt::CertFile),
        key_file: given.text(Opt::KeyFile),
        server_name: given.text(Opt::TlsServerName),
    };
    Reach::new(said, variable, remarks)
}

/// The stores; a folder only if there is none.
fn stores(
    given: &Given,
    variable: &impl Fn(&str) -> Option<String>,
    remarks: &mut Vec<String>,
) -> Result<Vec<Store>, StartError> {
    let mut stores = Vec::new();
    match given.text(Opt::Bucket) {
        Some(bucket) => stores.push(Store::S3(s3(given, bucket, variable, remarks)?)),
        None if given.secret(Opt::AccessKey).is_some() || given.text(Opt::Region).is_some() => {
            remarks.push("S3 is not used: it has no bucket (s3_bucket, -aws-s3-bucket)".to_owned());
        }
        None => {}
    }
    match given.text(Opt::AzureContainer) {
        Some(container) => stores.push(Store::Azure(azure(given, container)?)),
        None if given.text(Opt::AzureAccount).is_some() => {
            let said = "Azure is not used: it has no container (container_name, -azure-blob-container-name)";
            remarks.push(said.to_owned());
        }
        None => {}
    }
    if let Some(bucket) = given.text(Opt::GoogleBucket) {
        let key_file = variable("GOOGLE_APPLICATION_CREDENTIALS");
        let key_file = key_file.ok_or_else(|| StoreError::GoogleRights(bucket.clone()))?;
        stores.push(Store::Google(Google { bucket, prefix: String::new(), key_file }));
    }
    let folder = given.text(Opt::LocalPath);
    if stores.is_empty() {
        return Ok(vec![Store::Folder(folder.unwrap_or_else(|| ".".to_owned()))]);
    }
    if let Some(path) = folder.filter(|path| path != ".") {
        remarks
            .push(format!("nothing is kept in {path}: another store is named, which goes before a folder"));
    }
    Ok(stores)
}

fn s3(
    given: &Given,
    bucket: String,
    variable: &impl Fn(&str) -> Option<String>,
    remarks: &mut Vec<String>,
) -> Result<S3, StartError> {
    let said = S3Said {
        access_key: given.secret(Opt::AccessKey),
        secret_key: given.secret(Opt::SecretKey),
        session_token: given.secret(Opt::SessionToken),
        role: given.text(Opt::RoleArn),
        session: given.text(Opt::RoleSession),
        token_file: given.text(Opt::WebIdentityTokenFile),
        sts: given.text(Opt::StsEndpoint),
        machine: given.text(Opt::IamEndpoint),
    };
    let rights = S3Rights::new(said, &bucket, WAYS, variable)?;
    if given.text(Opt::IamEndpoint).is_some() && !matches!(rights, S3Rights::Machine { .. }) {
        remarks.push("iam_endpoint has no effect: there are keys or a role".to_owned());
    }
    let region = given.text(Opt::Region);
    let region = region.or_else(|| variable("AWS_REGION")).or_else(|| variable("AWS_DEFAULT_REGION"));
    let endpoint = given.text(Opt::Endpoint).or_else(|| variable("AWS_S3_ENDPOINT"));
    let prefix = given.text(Opt::KeyPrefix).unwrap_or_else(|| "consul-snapshot".to_owned());
    Ok(S3 {
        region: region.ok_or_else(|| StartError::Region(bucket.clone()))?,
        bucket,
        prefix: prefix.trim_matches('/').to_owned(),
        endpoint: endpoint.map(|endpoint| with_https(&endpoint)),
        path_style: given.flag(Opt::PathStyle),
        rights,
        encryption: match (given.flag(Opt::EnableKms), given.flag(Opt::ServerSideEncryption)) {
            (true, _) => S3Encryption::Kms(given.text(Opt::KmsKey)),
            (false, true) => S3Encryption::Aes256,
            (false, false) => S3Encryption::Bucket,
        },
        file: given.text(Opt::StaticName).map(static_name).transpose()?,
    })
}

/// The name under which all are kept, from the root of the bucket.
fn static_name(name: String) -> Result<String, StartError> {
    let parts = || name.split('/');
    let odd = name.chars().any(char::is_control) || parts().any(|part| matches!(part, "" | "." | ".."));
    if odd || parts().next_back().is_some_and(|last| last.starts_with('.')) {
        return Err(StartError::StaticName(name));
    }
    Ok(name)
}

fn azure(given: &Given, container: String) -> Result<Azure, StartError> {
    let (Some(account), Some(key)) = (given.text(Opt::AzureAccount), given.secret(Opt::AzureKey)) else {
        return Err(StartError::AzureAccount(container));
    };
    let environment = given.text(Opt::AzureEnvironment).unwrap_or_else(|| "AZUREPUBLICCLOUD".to_owned());
    let suffix = match environment.to_ascii_uppercase().as_str() {
        "AZUREPUBLICCLOUD" => None,
        "AZURECHINACLOUD" => Some("core.chinacloudapi.cn"),
        "AZUREGERMANCLOUD" => Some("core.cloudapi.de"),
        "AZUREUSGOVERNMENTCLOUD" => Some("core.usgovcloudapi.net"),
        _ => return Err(StartError::AzureEnvironment(environment)),
    };
    let endpoint = suffix.map(|suffix| format!("https://{account}.blob.{suffix}"));
    Ok(Azure { account, key, container, endpoint })
}

#[cfg(test)]
#[path = "start_tests.rs"]
mod tests;
