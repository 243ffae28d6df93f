//! What it says.

/// The version of the program whose place is taken.
const VERSION: &str = "0.3.1";

/// What `version` prints.
pub fn version(lictor: &str) -> String {
    format!("{VERSION} (lictor {lictor})")
}

/// What is said when a command begins.
pub fn starting() -> String {
    format!("v{VERSION}: Starting Consul Snapshot")
}

/// What `--help` prints.
pub const USAGE: &str = "\
Usage: consul-snapshot <command>

Commands:
  backup [-once]     Take a snapshot of all that the servers of Consul know, again and again, and keep it in a bucket
  restore <path>     Put back the keys of a backup; the path is that from the root of the bucket
  version            Print the version

Environment:
  S3BUCKET, S3REGION         bucket of S3 and its region
  S3ENDPOINT                 where it is, if not where Amazon has it
  AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, or AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE
                             by what right it is used
  CONSUL_SNAPSHOT_S3_SSE     encryption by the server: AES256 or aws:kms
  CONSUL_SNAPSHOT_S3_SSE_KMS_KEY_ID
                             the key of KMS [default: that of the account]
  GCSBUCKET                  bucket of Google Cloud Storage, as well or in place of that
  GOOGLE_APPLICATION_CREDENTIALS
                             file with the key of a service account
  CONSUL_SNAPSHOT_UPLOAD_PREFIX
                             what names begin with [default: backups]
  BACKUPINTERVAL             seconds from backup to backup [default: 60]
  CRYPTO_PASSWORD            encrypt what is kept, in the format of age; decrypt what is restored
  SNAPSHOT_TMP_DIR           where one lies before it is sent [default: /tmp]
  CONSUL_HTTP_ADDR, CONSUL_HTTP_TOKEN and the others
                             how Consul is reached

This is lictor. With a block `snapshot` in its configuration, the agent does the same and more;
`lictor import consul-snapshot` prints it.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_begins_with_that_of_the_old_program() {
        assert_eq!(version("1.2.3"), "0.3.1 (lictor 1.2.3)");
        assert_eq!(starting(), "v0.3.1: Starting Consul Snapshot");
    }
}
