//! What it says.

use crate::Moment;
use crate::log::LogLevel;

/// What is said at the start.
pub const RUNNING: &str = "Snapshot agent running";

/// What is said while another one works.
pub const WAITING: &str = "Waiting to obtain leadership...";

/// What is said when this one works.
pub const OBTAINED: &str = "Obtained leadership";

/// What the check is called that says that the agent is alive.
pub const CHECK_ALIVE: &str = "Consul Snapshot Agent Alive";

/// What the check is called that says that the one that works has taken snapshots.
pub const CHECK_SAVING: &str = "Consul Snapshot Agent Saving Snapshots";

/// What is said of a snapshot that is kept.
pub fn saved(nanoseconds: i64) -> String {
    format!("Saved snapshot {nanoseconds}")
}

/// A line of the log, such as `2016/11/16 21:21:13 [INFO] …`. The time is shown in its own zone.
pub fn line(at: &Moment, level: LogLevel, what: &str) -> String {
    format!("{} [{}] {what}", at.format("2006/01/02 15:04:05"), level.name())
}

/// What `-h` prints.
pub const USAGE: &str = "\
Usage: lictor snapshot agent [options]

Takes snapshots of all that the servers of Consul know, again and again, and keeps them here or in a store. Of several
such agents one works at a time. Flags and files are those of the snapshot agent of Consul Enterprise.

Files:
  -config-file=<file>         JSON with an object `snapshot_agent`; flags go before it (can be repeated)
  -config-dir=<directory>     The same of all *.json in it, by their names (can be repeated)

Snapshots:
  -interval=<duration>        How often; 0: once, without a lock, and end [default: 1h]
  -retain=<n>                 How many stay; 0: all [default: 30]
  -stale                      Take the answer of any server [default: false]
  -max-failures=<n>           After so many in a row another agent may try [default: 3]
  -lock-key=<key>             Whoever holds it works [default: consul-snapshot/lock]
  -local-scratch-path=<directory>
                              Where one lies before it is sent [default: the system's temporary directory]

The agent:
  -service=<name>             What it is registered as [default: consul-snapshot]
  -deregister-after=<duration>
                              Remove it when it is gone for so long; 0: never [default: 72h]
  -log-level=<level>          trace, debug, info, warn or error [default: info]
  -syslog                     Log to the system log as well [default: false]
  -syslog-facility=<name>     [default: LOCAL0]

Consul:
  -http-addr=<address>        The agent [default: 127.0.0.1:8500]
  -token=<token>, -token-file=<file>
  -datacenter=<name>          Another one than the agent's; only with -interval=0
  -ca-file=<file>, -ca-path=<directory>
                              Certificates of authorities
  -client-cert=<file>, -client-key=<file>
                              Our certificate and its key
  -tls-server-name=<name>     The name in the server's certificate
  -login-auth-method=<name>, -login-bearer-token=<token>, -login-bearer-token-file=<file>, -login-meta=<name=value>
                              Understood, and refused: give a token

A directory, unless one of the stores below is named:
  -local-path=<directory>     [default: .]

S3, or what speaks like it:
  -aws-s3-bucket=<name>       The bucket
  -aws-s3-region=<name>       Its region
  -aws-s3-key-prefix=<text>   What names begin with [default: consul-snapshot]
  -aws-s3-endpoint=<address>  Where it is [default: AWS_S3_ENDPOINT, or Amazon's]
  -aws-s3-force-path-style    The bucket stands in the path [default: false]
  -aws-s3-static-snapshot-name=<name>
                              One name for all; nothing is removed
  -aws-s3-server-side-encryption
                              Encryption with keys of S3 [default: false]
  -aws-s3-enable-kms, -aws-s3-kms-key=<key>
                              Encryption with a key of KMS [default: that of the account]
  -aws-access-key-id=<id>, -aws-secret-access-key=<key>, -aws-session-token=<token>
                              [default: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN]
  -aws-role-arn=<arn>, -aws-role-session-name=<name>, -aws-web-identity-token-file=<file>
                              [default: AWS_ROLE_ARN, AWS_ROLE_SESSION_NAME, AWS_WEB_IDENTITY_TOKEN_FILE]
  -aws-sts-endpoint=<address> Where the role is asked for [default: Amazon's]
  -aws-iam-endpoint=<address> Where the machine's own role is asked for. It is not, without this

Azure Blob Storage:
  -azure-blob-container-name=<name>, -azure-blob-account-name=<name>, -azure-blob-account-key=<key>
  -azure-blob-environment=<name>
                              AZUREPUBLICCLOUD, AZURECHINACLOUD, AZUREGERMANCLOUD or AZUREUSGOVERNMENTCLOUD
                              [default: AZUREPUBLICCLOUD]

Google Cloud Storage, by the key in the file that GOOGLE_APPLICATION_CREDENTIALS names:
  -gcs-bucket=<name>

A block `snapshot` in the configuration of Lictor does the same and more; `lictor import consul-snapshot-agent` prints it.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_begins_with_time_and_level() {
        let at = Moment::parse("2016-11-16T21:21:13.7+01:00").unwrap();
        assert_eq!(line(&at, LogLevel::Info, RUNNING), "2016/11/16 21:21:13 [INFO] Snapshot agent running");
        assert_eq!(saved(1_479_360_073_448_728_784), "Saved snapshot 1479360073448728784");
    }
}
