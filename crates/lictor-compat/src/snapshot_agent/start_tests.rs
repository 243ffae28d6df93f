use super::super::flags::{self, Request};
use super::*;
use crate::Secret;
use crate::stores::{RoleBy, S3Keys, S3Role};

const KEYS: &str = "-aws-access-key-id=a -aws-secret-access-key=s";

fn started(line: &str, files: &[&str], variables: &[(&str, &str)]) -> Result<Start, String> {
    let Ok(Request::Run(flags)) = flags::parse(&line.split_whitespace().collect::<Vec<_>>()) else {
        panic!("{line}")
    };
    let read = |text: &&str| Given::read("a.json", &format!("{{\"snapshot_agent\": {text}}}")).unwrap();
    let files: Vec<Given> = files.iter().filter_map(read).collect();
    let variable =
        |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    Start::new(&flags, &files, variable).map_err(|error| error.to_string())
}

fn start(line: &str) -> Start {
    started(line, &[], &[]).unwrap()
}

fn why(line: &str) -> String {
    started(line, &[], &[]).unwrap_err()
}

fn bucket(line: &str) -> S3 {
    match start(&format!("-aws-s3-bucket=b -aws-s3-region=eu-central-1 {KEYS} {line}")).stores.as_slice() {
        [Store::S3(s3)] => s3.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_nobody_says_is_as_the_manual_has_it() {
    let found = start("");
    assert_eq!(found.mode, Mode::Daemon(Duration::from_hours(1)));
    assert_eq!((found.retain, found.stale, found.max_failures), (30, false, 3));
    assert_eq!(found.stores, [Store::Folder(".".to_owned())]);
    assert_eq!(found.scratch.as_deref(), Some("."));
    assert_eq!(
        (found.service.as_str(), found.lock_key.as_str()),
        ("consul-snapshot", "consul-snapshot/lock")
    );
    assert_eq!(found.deregister_after, Some(Duration::from_hours(72)));
    assert_eq!((found.log_level, found.syslog), (LogLevel::Info, None));
    assert_eq!(found.consul.address, "http://127.0.0.1:8500");
    assert_eq!(found.remarks, [""; 0]);
}

#[test]
fn flags_go_before_files_and_later_files_before_earlier_ones() {
    let one = r#"{"token": "one", "datacenter": "dc1", "snapshot": {"retain": 1, "interval": "1m", "service": "one"}}"#;
    let other = r#"{"snapshot": {"retain": 2, "interval": "2m"}}"#;
    let variables = [("CONSUL_HTTP_TOKEN", "environment"), ("CONSUL_HTTP_ADDR", "c:1")];
    let found = started("-retain=3", &[one, other], &variables).unwrap();
    assert_eq!((found.retain, found.service.as_str()), (3, "one"));
    assert_eq!(found.mode, Mode::Daemon(Duration::from_mins(2)));
    assert_eq!(found.consul.token, Some(Secret::new("one")));
    assert_eq!(found.consul.address, "http://c:1");
    assert_eq!(found.consul.datacenter.as_deref(), Some("dc1"));
}

#[test]
fn zero_means_once_all_and_never() {
    let found = start("-interval=0 -retain=0 -deregister-after=0");
    assert_eq!((found.mode, found.retain, found.deregister_after), (Mode::Once, 0, None));
}

#[test]
fn another_datacenters_snapshots_are_taken_only_once() {
    let daemon = start("-datacenter=dc2");
    assert_eq!(daemon.stays_in("dc2"), Ok(()));
    let why = "the agent is one of `dc1`, and snapshots of `dc2` are taken from there only once: give -interval=0, or an \
               agent of `dc2` with -http-addr";
    assert_eq!(daemon.stays_in("dc1").map_err(|error| error.to_string()), Err(why.to_owned()));
    assert_eq!(start("-datacenter=dc2 -interval=0").stays_in("dc1"), Ok(()));
    assert_eq!(start("").stays_in("dc1"), Ok(()));
}

#[test]
fn a_store_goes_before_a_folder() {
    let line = format!("-aws-s3-bucket=b -aws-s3-region=r {KEYS} -local-path=/backups");
    let found = start(&line);
    assert!(matches!(found.stores.as_slice(), [Store::S3(_)]));
    assert_eq!(found.scratch, None);
    assert_eq!(
        found.remarks,
        ["nothing is kept in /backups: another store is named, which goes before a folder"]
    );
    assert_eq!(start(&format!("{line} -local-scratch-path=/s")).scratch.as_deref(), Some("/s"));
    assert_eq!(start("-local-path=/backups -local-scratch-path=/s").scratch.as_deref(), Some("/backups"));
}

#[test]
fn a_bucket_is_what_was_said_of_it() {
    let plain = bucket("");
    assert_eq!((plain.prefix.as_str(), plain.region.as_str()), ("consul-snapshot", "eu-central-1"));
    assert_eq!((plain.endpoint, plain.path_style, plain.file), (None, false, None));
    assert_eq!(plain.encryption, S3Encryption::Bucket);
    let own = bucket("-aws-s3-endpoint=minio:9000 -aws-s3-force-path-style -aws-s3-key-prefix=/a/b/");
    assert_eq!(own.endpoint.as_deref(), Some("https://minio:9000"));
    assert!(own.path_style && own.prefix == "a/b");
    assert_eq!(bucket("-aws-s3-server-side-encryption").encryption, S3Encryption::Aes256);
    assert_eq!(bucket("-aws-s3-enable-kms").encryption, S3Encryption::Kms(None));
    let kms = bucket("-aws-s3-server-side-encryption -aws-s3-enable-kms -aws-s3-kms-key=k");
    assert_eq!(kms.encryption, S3Encryption::Kms(Some("k".to_owned())));
    assert_eq!(bucket("-aws-s3-static-snapshot-name=a/latest.snap").file.as_deref(), Some("a/latest.snap"));
}

#[test]
fn by_what_right_a_bucket_is_used_is_what_was_given_or_what_the_environment_has() {
    let secret = Secret::new;
    let keys = S3Keys { access_key: secret("a"), secret_key: secret("s"), session_token: Some(secret("t")) };
    assert_eq!(bucket("-aws-session-token=t").rights, S3Rights::Keys(keys));
    let found = bucket("-aws-role-arn=arn -aws-role-session-name=me -aws-sts-endpoint=sts");
    let S3Rights::Role(S3Role { arn, session, sts, by: RoleBy::Keys(_) }) = found.rights else { panic!() };
    assert_eq!((arn.as_str(), session.as_deref(), sts.as_deref()), ("arn", Some("me"), Some("https://sts")));
    let line = "-aws-s3-bucket=b -aws-iam-endpoint=http://127.0.0.1:1";
    let variables = [("AWS_REGION", "r"), ("AWS_S3_ENDPOINT", "http://s3:1")];
    let found = started(line, &[], &variables).unwrap();
    let [Store::S3(s3)] = found.stores.as_slice() else { panic!() };
    assert_eq!((s3.region.as_str(), s3.endpoint.as_deref()), ("r", Some("http://s3:1")));
    assert_eq!(s3.rights, S3Rights::Machine { endpoint: "http://127.0.0.1:1".to_owned() });
    let remarks = start(&format!("{line} -aws-s3-region=r {KEYS}")).remarks;
    assert_eq!(remarks, ["iam_endpoint has no effect: there are keys or a role"]);
}

#[test]
fn a_cloud_of_azures_is_where_its_accounts_are() {
    let endpoint = |environment: &str| {
        let line = "-azure-blob-container-name=c -azure-blob-account-name=acc -azure-blob-account-key=k";
        let found = start(&format!("{line} {environment}"));
        let [Store::Azure(azure)] = found.stores.as_slice() else { panic!() };
        assert_eq!((azure.account.as_str(), azure.container.as_str()), ("acc", "c"));
        azure.endpoint.clone().unwrap_or_default()
    };
    assert_eq!(endpoint(""), "");
    for (environment, expected) in [
        ("AZUREPUBLICCLOUD", ""),
        ("AzureChinaCloud", "https://acc.blob.core.chinacloudapi.cn"),
        ("AZUREGERMANCLOUD", "https://acc.blob.core.cloudapi.de"),
        ("AZUREUSGOVERNMENTCLOUD", "https://acc.blob.core.usgovcloudapi.net"),
    ] {
        assert_eq!(endpoint(&format!("-azure-blob-environment={environment}")), expected);
    }
}

#[test]
fn several_stores_get_every_snapshot() {
    let line = format!("-aws-s3-bucket=b -aws-s3-region=r {KEYS} -gcs-bucket=g");
    let found = started(&line, &[], &[("GOOGLE_APPLICATION_CREDENTIALS", "/key.json")]).unwrap();
    let [Store::S3(_), Store::Google(google)] = found.stores.as_slice() else { panic!("{found:?}") };
    assert_eq!((google.bucket.as_str(), google.key_file.as_str()), ("g", "/key.json"));
}

#[test]
fn what_has_no_effect_is_told() {
    let file = r#"{"license_path": "/l", "aws_storage": {"s3_region": "r"}, "azure_blob_storage": {"account_name": "a"}}"#;
    let remarks = started("", &[file], &[("CONSUL_HTTP_SSL", "perhaps")]).unwrap().remarks;
    insta::assert_snapshot!(remarks.join("\n"), @r#"
    no license is needed: license_path has no effect
    S3 is not used: it has no bucket (s3_bucket, -aws-s3-bucket)
    Azure is not used: it has no container (container_name, -azure-blob-container-name)
    the variable CONSUL_HTTP_SSL is "perhaps", which is neither true nor false; it is left out
    "#);
}

#[test]
fn what_cannot_be_used_is_told_with_the_way_out() {
    let s3 = format!("-aws-s3-bucket=b {KEYS}");
    let azure = "-azure-blob-container-name=c -azure-blob-account-name=a";
    let lines = [
        "-log-level=loud",
        "-syslog -syslog-facility=NOBODY",
        "-login-auth-method=minikube",
        "-lock-key=/x",
        "-aws-s3-bucket=b -aws-s3-region=r",
        "-aws-s3-bucket=b -aws-s3-region=r -aws-access-key-id=a",
        "-aws-s3-bucket=b -aws-s3-region=r -aws-role-arn=arn",
        &s3,
        &format!("{s3} -aws-s3-region=r -aws-s3-static-snapshot-name=../x"),
        "-gcs-bucket=g",
        azure,
        &format!("{azure} -azure-blob-account-key=k -azure-blob-environment=MARS"),
    ];
    let told: Vec<String> = lines.iter().map(|line| why(line)).collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    invalid log level "loud": there are trace, debug, info, warn and error
    invalid syslog facility "NOBODY": there are LOCAL0 to LOCAL7, DAEMON, USER and others
    logging in by the auth method "minikube" is not done here: leave `login` out, and give a token whose policy has acl = "write" with -token-file
    the lock key "/x" cannot be locked: a key does not begin with a slash
    it is not said by what right the bucket `b` is used: give -aws-access-key-id and -aws-secret-access-key, set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE, or give -aws-iam-endpoint for the machine's own role; ~/.aws/credentials is not read, and the machine's metadata address is not asked by itself
    the secret access key is missing: the access key is worth nothing without it
    the role arn cannot be taken: give keys, set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name the file with a token of a web identity
    the bucket `b` has no region: give it with -aws-s3-region
    the snapshot name "../x" is not the name of a file: no part of it is empty, `.` or `..`, and the last begins with no dot
    it is not said by what right the bucket `g` is used: set GOOGLE_APPLICATION_CREDENTIALS to the file with the key of a service account; the machine's metadata address is not asked by itself
    the container `c` needs -azure-blob-account-name and -azure-blob-account-key
    invalid Azure environment "MARS": there are AZUREPUBLICCLOUD, AZURECHINACLOUD, AZUREGERMANCLOUD and AZUREUSGOVERNMENTCLOUD
    "#);
}

#[test]
fn levels_have_two_names_for_errors() {
    assert_eq!(start("-log-level=error").log_level, LogLevel::Err);
    assert_eq!(start("-log-level=ERR -syslog").syslog, Some(16));
}
