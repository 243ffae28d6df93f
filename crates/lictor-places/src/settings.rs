//! Where a place is and who may use it: plain values, which [`Place::new`](crate::Place::new) checks.

use std::fmt;
use std::path::PathBuf;

use url::Url;

/// Text that is never printed: `Debug` shows three asterisks, and there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(String);

impl Hidden {
    /// Takes the text as it is.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that sends or signs with it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden(***)")
    }
}

impl From<&str> for Hidden {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Hidden {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// One place of any kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settings {
    /// A folder of this machine, or one that is mounted.
    Folder(Folder),
    /// Amazon S3, or something that speaks its protocol.
    S3(S3),
    /// A container of Azure Blob Storage.
    Azure(Azure),
    /// A bucket of Google Cloud Storage.
    Google(Google),
}

/// A folder. It is made, for its owner alone, if there is the folder that it is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// Where it is, absolute.
    pub path: PathBuf,
}

/// A bucket of S3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3 {
    /// Its name.
    pub bucket: String,
    /// What all names there begin with, without the `/` at its end; empty for none.
    pub prefix: String,
    /// The region that it is in, such as `eu-central-1`; what a compatible server wants, often `us-east-1`.
    pub region: String,
    /// A compatible server, `http://` or `https://`; Amazon's own of the region if there is none.
    pub endpoint: Option<Url>,
    /// Whether the bucket is asked for in the path and not in the host. Most compatible servers want that.
    pub path_style: bool,
    /// Who asks.
    pub credentials: S3Credentials,
    /// How the server is to encrypt what it keeps.
    pub encryption: S3Encryption,
    /// Whether the server is asked to check and keep a SHA-256 of each upload. Each request is signed over such a sum
    /// anyway; a compatible server that refuses the header needs `false`.
    pub checksum: bool,
}

/// Who asks S3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum S3Credentials {
    /// Keys.
    Keys(S3Keys),
    /// A token in a file, which STS takes for a role (`AssumeRoleWithWebIdentity`): what a Kubernetes cluster gives.
    WebIdentity {
        /// The role.
        role_arn: String,
        /// What the session is called in logs there.
        session_name: String,
        /// The file; it is read anew each time.
        token_file: PathBuf,
        /// The STS to ask; Amazon's own of the region if there is none.
        sts_endpoint: Option<Url>,
    },
    /// A role that keys may take (`AssumeRole`).
    Role {
        /// The role.
        role_arn: String,
        /// What the session is called in logs there.
        session_name: String,
        /// What the role's owner wants to hear from others, if they do.
        external_id: Option<String>,
        /// The STS to ask; Amazon's own of the region if there is none.
        sts_endpoint: Option<Url>,
        /// The keys.
        keys: S3Keys,
    },
    /// The role of the machine, which its metadata service knows (IMDSv2). It is never asked but for this.
    Metadata {
        /// Where that service is; `http://169.254.169.254` if there is none.
        endpoint: Option<Url>,
    },
}

/// Keys of S3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Keys {
    /// The access key id.
    pub id: String,
    /// The secret access key.
    pub secret: Hidden,
    /// What goes with keys that are not for ever.
    pub session_token: Option<Hidden>,
}

/// How S3 is to encrypt what it keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum S3Encryption {
    /// As the bucket says.
    #[default]
    Bucket,
    /// With keys of S3 (`AES256`).
    Sse,
    /// With a key of KMS: this one, or that of the account.
    Kms(Option<String>),
}

/// A container of Azure Blob Storage. Parts of an upload that was given up are removed by Azure itself, after a week:
/// nobody else can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Azure {
    /// The storage account.
    pub account: String,
    /// The container.
    pub container: String,
    /// What all names there begin with, without the `/` at its end; empty for none.
    pub prefix: String,
    /// Who asks.
    pub credentials: AzureCredentials,
    /// Where the account is, such as `https://ACCOUNT.blob.core.chinacloudapi.cn`, or
    /// `http://127.0.0.1:10000/devstoreaccount1` of Azurite; the public cloud if there is none.
    pub endpoint: Option<Url>,
}

/// Who asks Azure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AzureCredentials {
    /// A key of the account, as it is shown: base64.
    Key(Hidden),
    /// A shared access signature: `sv=…&sig=…`.
    Sas(Hidden),
    /// A client of Entra with its secret.
    ClientSecret {
        /// The tenant.
        tenant: String,
        /// The client's id.
        client: String,
        /// Its secret.
        secret: Hidden,
        /// Who gives out tokens; `https://login.microsoftonline.com` if there is none.
        authority: Option<Url>,
    },
    /// A token in a file, which Entra takes for a client: what a Kubernetes cluster gives.
    WorkloadIdentity {
        /// The tenant.
        tenant: String,
        /// The client's id.
        client: String,
        /// The file; it is read anew each time.
        token_file: PathBuf,
        /// Who gives out tokens; `https://login.microsoftonline.com` if there is none.
        authority: Option<Url>,
    },
    /// The identity of the machine, which its metadata service knows. It is never asked but for this.
    Managed {
        /// Which of several identities, by the client's id.
        client: Option<String>,
        /// Where that service is; `http://169.254.169.254/metadata/identity/oauth2/token` if there is none.
        endpoint: Option<Url>,
    },
}

/// A bucket of Google Cloud Storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Google {
    /// Its name.
    pub bucket: String,
    /// What all names there begin with, without the `/` at its end; empty for none.
    pub prefix: String,
    /// Who asks.
    pub credentials: GoogleCredentials,
    /// Where it is; `https://storage.googleapis.com` if there is none.
    pub endpoint: Option<Url>,
}

/// Who asks Google.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GoogleCredentials {
    /// The file with the key of a service account.
    ServiceAccountFile(PathBuf),
    /// What is in such a file.
    Json(Hidden),
    /// The service account of the machine, which its metadata service knows. It is never asked but for this.
    Metadata {
        /// Where that service is; `http://metadata.google.internal` if there is none.
        endpoint: Option<Url>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_is_in_no_output_of_the_settings() {
        let keys = S3Keys { id: "AKID".to_owned(), secret: "hunter2".into(), session_token: None };
        let shown = format!("{:?}", S3Credentials::Keys(keys));
        assert!(
            shown.contains("AKID") && shown.contains("Hidden(***)") && !shown.contains("hunter2"),
            "{shown}"
        );
    }
}
