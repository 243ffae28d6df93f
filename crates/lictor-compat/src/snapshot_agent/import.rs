//! What it was told as configuration of Lictor's.

use super::flags::Flags;
use super::options::Given;
use super::start::{Mode, Start, StartError};
use crate::hcl::{Writer, quoted, span};
use crate::log::LogLevel;
use crate::stores::Store;
use crate::{reach, stores};

/// Where the key of a service account lies if nobody says.
const GOOGLE_KEY: &str = "/etc/lictor/google-key.json";

/// The blocks `consul` and `snapshot` that do what the agent did. Secrets are not printed: files are named into which they
/// belong. What the environment says of Consul stays there; of stores, that keys come from it is believed without looking.
///
/// # Errors
/// When it would not have run either.
pub fn import(flags: &Flags, files: &[Given]) -> Result<String, StartError> {
    let start = Start::new(flags, files, believed)?;
    let mut out = Writer::default();
    out.comment("Made from the settings of Consul's snapshot agent. Read it before it is used: what is marked with TODO");
    out.comment("needs a decision.");
    out.blank();
    reach::write(&start.consul, &mut out);
    out.block("snapshot \"consul\"", |out| snapshot(&start, out));
    out.comment("New snapshots are called NAME.DATACENTER.TIME.snap. Those of the old agent, consul-*.snap, are never removed.");
    if let Some(time) = start.deregister_after {
        let time = span(time);
        out.comment(&format!(
            "The service of an agent that is gone stays critical; it was removed after {time}."
        ));
    }
    if start.log_level != LogLevel::Info || start.syslog.is_some() {
        out.comment(
            "How much is logged is said by `lictor run --log-level`; the system log has it from systemd.",
        );
    }
    for remark in &start.remarks {
        out.comment(&format!("{remark}."));
    }
    Ok(out.end())
}

/// The environment of the agent, which is not known here.
fn believed(name: &str) -> Option<String> {
    match name {
        "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("believed".to_owned()),
        "GOOGLE_APPLICATION_CREDENTIALS" => Some(GOOGLE_KEY.to_owned()),
        _ => None,
    }
}

fn snapshot(start: &Start, out: &mut Writer) {
    match start.mode {
        Mode::Daemon(every) => stores::write_every(every, out),
        Mode::Once => {
            out.comment("TODO: it took one each time that something else started it: say how often here.");
            out.set("every", &quoted("1h"));
        }
    }
    if start.stale {
        out.set("stale", "true");
    }
    out.set("max_failures", &start.max_failures.to_string());
    if matches!(start.mode, Mode::Daemon(_)) {
        out.set("service", &quoted(&start.service));
        out.set("lock", &quoted(&start.lock_key));
    }
    let folder = matches!(start.stores.as_slice(), [Store::Folder(_)]);
    if let Some(path) = start.scratch.as_deref().filter(|_| !folder) {
        stores::write_path("scratch", path, out);
    }
    if !folder {
        out.comment("They hold every secret of the cluster: `encrypt { recipients = [\"age1…\"] }` keeps them from who runs the store.");
    }
    out.block("keep", |out| out.set("last", &start.retain.to_string()));
    for store in &start.stores {
        stores::write(store, out);
    }
}

#[cfg(test)]
mod tests {
    use super::super::flags::{self, Request};
    use super::*;

    fn made(line: &str, file: &str) -> String {
        let Ok(Request::Run(flags)) = flags::parse(&line.split_whitespace().collect::<Vec<_>>()) else {
            panic!("{line}")
        };
        let file = Given::read("a.json", &format!("{{\"snapshot_agent\": {file}}}")).unwrap().unwrap();
        let made = import(&flags, &[file]).unwrap();
        // The two lines with which each begins.
        made.splitn(4, '\n').last().unwrap_or_default().to_owned()
    }

    #[test]
    fn an_agent_without_settings_has_the_same_ones() {
        insta::assert_snapshot!(made("", "{}"), @r#"
        consul {}

        snapshot "consul" {
          every        = "1h"
          max_failures = 3
          service      = "consul-snapshot"
          lock         = "consul-snapshot/lock"
          keep {
            last = 30
          }
          place "folder" "folder" {
            # TODO: it was ".", in the folder in which the program was started.
            path = "/var/backups/consul"
          }
        }

        # New snapshots are called NAME.DATACENTER.TIME.snap. Those of the old agent, consul-*.snap, are never removed.
        # The service of an agent that is gone stays critical; it was removed after 72h.
        "#);
    }

    #[test]
    fn a_bucket_is_carried_over_without_its_secrets() {
        let file = r#"{
            "http_addr": "https://consul:8501", "token": "geheim", "datacenter": "dc2", "ca_path": "/etc/ca",
            "license_path": "/l", "log": {"enable_syslog": true},
            "snapshot": {"interval": "30m", "retain": 0, "stale": true, "deregister_after": "0", "max_failures": 5,
                "local_scratch_path": "/var/tmp"},
            "aws_storage": {"access_key_id": "geheim", "secret_access_key": "geheim", "session_token": "geheim",
                "s3_region": "eu-central-1", "s3_bucket": "b", "s3_endpoint": "http://minio:9000",
                "s3_force_path_style": true, "s3_enable_kms": true, "s3_kms_key": "k",
                "role_arn": "arn:aws:iam::1:role/x"}
        }"#;
        let made = made("-aws-s3-static-snapshot-name=latest.snap", file);
        assert!(!made.contains("geheim"), "{made}");
        insta::assert_snapshot!(made, @r#"
        consul {
          address = "https://consul:8501"
          # TODO: write the token into this file.
          token_file = "/etc/lictor/consul-token"
          datacenter = "dc2"
          # TODO: put the certificates of "/etc/ca" into one file.
          ca_file = "/etc/lictor/consul-ca.pem"
        }

        snapshot "consul" {
          every        = "30m"
          stale        = true
          max_failures = 5
          service      = "consul-snapshot"
          lock         = "consul-snapshot/lock"
          scratch      = "/var/tmp"
          # They hold every secret of the cluster: `encrypt { recipients = ["age1…"] }` keeps them from who runs the store.
          keep {
            last = 0
          }
          place "s3" "s3" {
            bucket     = "b"
            file       = "latest.snap"
            region     = "eu-central-1"
            endpoint   = "http://minio:9000"
            path_style = true
            encryption = "kms"
            kms_key    = "k"
            role       = "arn:aws:iam::1:role/x"
            # TODO: write the keys into these files.
            access_key_file    = "/etc/lictor/s3-access-key"
            secret_key_file    = "/etc/lictor/s3-secret-key"
            session_token_file = "/etc/lictor/s3-session-token"
            # What was sent is read again, which needs s3:GetObject; `read_back = false` does without.
          }
        }

        # New snapshots are called NAME.DATACENTER.TIME.snap. Those of the old agent, consul-*.snap, are never removed.
        # How much is logged is said by `lictor run --log-level`; the system log has it from systemd.
        # no license is needed: license_path has no effect.
        "#);
    }

    #[test]
    fn what_the_environment_says_stays_there() {
        let file = r#"{"snapshot": {"interval": "0"}, "google_storage": {"bucket": "g"},
            "aws_storage": {"s3_region": "r", "s3_bucket": "b"},
            "azure_blob_storage": {"container_name": "c", "account_name": "a", "account_key": "geheim",
                "environment": "AZURECHINACLOUD"}}"#;
        let made = made("-token-file=/run/token", file);
        assert!(!made.contains("geheim") && !made.contains("believed"), "{made}");
        insta::assert_snapshot!(made, @r#"
        consul {
          token_file = "/run/token"
        }

        snapshot "consul" {
          # TODO: it took one each time that something else started it: say how often here.
          every        = "1h"
          max_failures = 3
          # They hold every secret of the cluster: `encrypt { recipients = ["age1…"] }` keeps them from who runs the store.
          keep {
            last = 30
          }
          place "s3" "s3" {
            bucket = "b"
            prefix = "consul-snapshot"
            region = "r"
            # TODO: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of the agent's environment are used; or name a `role` with a
            # `token_file`, or set `machine_role = true` if the machine's own role was used.
            # What was sent is read again, which needs s3:GetObject; `read_back = false` does without.
          }
          place "azure" "azure" {
            account   = "a"
            container = "c"
            endpoint  = "https://a.blob.core.chinacloudapi.cn"
            # TODO: write the key of the account into this file.
            key_file = "/etc/lictor/azure-key"
          }
          place "google" "google" {
            bucket = "g"
            # TODO: the file that GOOGLE_APPLICATION_CREDENTIALS names; or `machine_account = true`, which was used without it.
            key_file = "/etc/lictor/google-key.json"
          }
        }

        # New snapshots are called NAME.DATACENTER.TIME.snap. Those of the old agent, consul-*.snap, are never removed.
        # The service of an agent that is gone stays critical; it was removed after 72h.
        "#);
    }
}
