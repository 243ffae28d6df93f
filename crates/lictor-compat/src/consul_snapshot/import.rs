//! An environment file as configuration of Lictor's.

use thiserror::Error;

use super::start::{Start, StartError};
use crate::hcl::{Writer, quoted};
use crate::sentinella::variables;
use crate::{reach, stores};

/// By which the file is known.
const KNOWN: [&str; 2] = ["S3BUCKET", "GCSBUCKET"];

/// Where the key of a service account lies if nobody says.
const GOOGLE_KEY: &str = "/etc/lictor/google-key.json";

/// Why a file cannot become configuration.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ImportError {
    /// It is no environment of this program.
    #[error("it has neither S3BUCKET nor GCSBUCKET")]
    Nothing,
    /// The program would not have run either.
    #[error(transparent)]
    Value(#[from] StartError),
}

/// The blocks `consul` and `snapshot` that do what the program did of which this file, lines `NAME=value`, was the environment.
/// Secrets are not printed: files are named into which they belong.
///
/// # Errors
/// When it is the environment of something else, or a value cannot be used.
pub fn import(text: &str) -> Result<String, ImportError> {
    let found = variables(text);
    if !KNOWN.iter().any(|name| found.contains_key(*name)) {
        return Err(ImportError::Nothing);
    }
    let keys = ["AWS_ACCESS_KEY_ID", "AWS_ROLE_ARN"].iter().any(|name| found.contains_key(*name));
    let start = Start::new(|name| match name {
        // What is missing may stand elsewhere.
        "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" if !keys => Some("believed".to_owned()),
        "GOOGLE_APPLICATION_CREDENTIALS" => {
            Some(found.get(name).cloned().unwrap_or_else(|| GOOGLE_KEY.to_owned()))
        }
        "ACCEPTANCE_TEST" => None,
        name => found.get(name).cloned(),
    })?;
    let mut out = Writer::default();
    out.comment("Made from an environment of consul-snapshot. Read it before it is used: what is marked with TODO needs a");
    out.comment("decision.");
    out.blank();
    reach::write(&start.consul, &mut out);
    out.block("snapshot \"consul\"", |out| snapshot(&start, out));
    out.comment("What is kept is not a list of keys but a snapshot of all that the servers know: its token needs acl = \"write\".");
    out.comment(
        "New ones are called NAME.DATACENTER.TIME.snap. Those of consul-snapshot are never removed, and",
    );
    out.comment("`lictor snapshot` reads them.");
    out.comment("The agent's own /metrics says how old the newest is; nothing answers at :5001/health, and no key says when it was.");
    Ok(out.end())
}

fn snapshot(start: &Start, out: &mut Writer) {
    stores::write_every(start.every, out);
    if start.scratch != "/tmp" {
        stores::write_path("scratch", &start.scratch, out);
    }
    out.comment(
        "Nothing was ever removed. Say what stays: `last = 30`, with `daily`, `weekly` and `monthly`.",
    );
    out.block("keep", |out| out.set("last", "0"));
    if start.password.is_some() {
        out.block("encrypt", |out| {
            out.comment("TODO: write CRYPTO_PASSWORD into this file; or name `recipients`, so that no machine has the key.");
            out.set("passphrase_file", &quoted("/etc/lictor/snapshot-passphrase"));
        });
    } else {
        out.comment("They hold every secret of the cluster: `encrypt { recipients = [\"age1…\"] }` keeps them from who runs the store.");
    }
    for store in &start.stores {
        stores::write(store, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(text: &str) -> String {
        match import(text) {
            // The two lines with which each begins.
            Ok(made) => made.splitn(4, '\n').last().unwrap_or_default().to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn an_environment_is_carried_over_without_its_secrets() {
        let made = made(
            "S3BUCKET=b\nS3REGION=eu-central-1\nS3ENDPOINT=http://minio:9000\nAWS_ACCESS_KEY_ID=geheim\n\
             AWS_SECRET_ACCESS_KEY=geheim\nGCSBUCKET=g\nBACKUPINTERVAL=5\nCRYPTO_PASSWORD='geheim'\n\
             SNAPSHOT_TMP_DIR=/var/tmp\nCONSUL_HTTP_ADDR=https://c:8501\nCONSUL_HTTP_TOKEN=geheim\n\
             CONSUL_HTTP_AUTH=me:geheim\nCONSUL_HTTP_SSL_VERIFY=0\nCONSUL_SNAPSHOT_S3_SSE=AES256\n",
        );
        assert!(!made.contains("geheim"), "{made}");
        insta::assert_snapshot!(made, @r#"
        consul {
          address = "https://c:8501"
          # TODO: write the token into this file.
          token_file = "/etc/lictor/consul-token"
          insecure   = true
          # TODO: a user and a password (CONSUL_HTTP_AUTH) cannot be given: use a token.
        }

        snapshot "consul" {
          # TODO: it was each 5s, which is too often: each has a server write all that it knows.
          every   = "10s"
          scratch = "/var/tmp"
          # Nothing was ever removed. Say what stays: `last = 30`, with `daily`, `weekly` and `monthly`.
          keep {
            last = 0
          }
          encrypt {
            # TODO: write CRYPTO_PASSWORD into this file; or name `recipients`, so that no machine has the key.
            passphrase_file = "/etc/lictor/snapshot-passphrase"
          }
          place "s3" "s3" {
            bucket     = "b"
            prefix     = "backups"
            region     = "eu-central-1"
            endpoint   = "http://minio:9000"
            path_style = true
            encryption = "aes256"
            # TODO: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of the agent's environment are used; or name a `role` with a
            # `token_file`, or set `machine_role = true` if the machine's own role was used.
            # What was sent is read again, which needs s3:GetObject; `read_back = false` does without.
          }
          place "google" "google" {
            bucket = "g"
            prefix = "backups"
            # TODO: the file that GOOGLE_APPLICATION_CREDENTIALS names; or `machine_account = true`, which was used without it.
            key_file = "/etc/lictor/google-key.json"
          }
        }

        # What is kept is not a list of keys but a snapshot of all that the servers know: its token needs acl = "write".
        # New ones are called NAME.DATACENTER.TIME.snap. Those of consul-snapshot are never removed, and
        # `lictor snapshot` reads them.
        # The agent's own /metrics says how old the newest is; nothing answers at :5001/health, and no key says when it was.
        "#);
    }

    #[test]
    fn what_is_not_in_the_file_is_believed_to_be_elsewhere() {
        insta::assert_snapshot!(made("S3BUCKET=b\nS3REGION=r\nBACKUPINTERVAL=3600"), @r#"
        consul {}

        snapshot "consul" {
          every = "1h"
          # Nothing was ever removed. Say what stays: `last = 30`, with `daily`, `weekly` and `monthly`.
          keep {
            last = 0
          }
          # They hold every secret of the cluster: `encrypt { recipients = ["age1…"] }` keeps them from who runs the store.
          place "s3" "s3" {
            bucket = "b"
            prefix = "backups"
            region = "r"
            # TODO: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of the agent's environment are used; or name a `role` with a
            # `token_file`, or set `machine_role = true` if the machine's own role was used.
            # What was sent is read again, which needs s3:GetObject; `read_back = false` does without.
          }
        }

        # What is kept is not a list of keys but a snapshot of all that the servers know: its token needs acl = "write".
        # New ones are called NAME.DATACENTER.TIME.snap. Those of consul-snapshot are never removed, and
        # `lictor snapshot` reads them.
        # The agent's own /metrics says how old the newest is; nothing answers at :5001/health, and no key says when it was.
        "#);
    }

    #[test]
    fn a_file_of_something_else_and_junk_are_told() {
        assert_eq!(made("PATH=/bin\n"), "it has neither S3BUCKET nor GCSBUCKET");
        assert_eq!(
            made("GCSBUCKET=g\nBACKUPINTERVAL=soon"),
            "BACKUPINTERVAL is \"soon\", which is no number of seconds above 0"
        );
    }
}
