use insta::assert_snapshot;
use lictor_core::snapshot::Keep;

use super::*;
use crate::model::{S3Credentials, S3Encryption};
use crate::testing::{mistakes, parsed, warnings};

const KEY: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

fn snapshot(lines: &str) -> Snapshot {
    let text = format!("consul {{}}\nsnapshot \"consul\" {{\n{lines}\n}}");
    Arc::unwrap_or_clone(parsed(&text).config.snapshots.into_values().next().unwrap())
}

const HERE: &str = "place \"folder\" \"here\" {\n path = \"/b\"\n}";

#[test]
fn a_folder_is_enough() {
    let found = snapshot(HERE);
    assert_eq!(found.when, When::Every(HOUR));
    assert_eq!(found.max_age, Some(3 * HOUR));
    assert_eq!((found.max_change, found.max_failures), (50, 3));
    let [place] = found.places.as_slice() else { panic!() };
    assert_eq!(place.keep, Keep { last: 30, ..Keep::ALL });
    assert!(place.read_back && place.file.is_none());
    assert_eq!(place.at, PlaceKind::Folder("/b".into()));
}

#[test]
fn times_of_a_calendar_and_what_stays_are_said_for_all_places_or_for_one() {
    let found = snapshot(&format!(
        "cron = \"0 3 * * *\"\ntimezone = \"UTC\"\nkeep {{\n last = 2\n daily = 7\n}}\n{HERE}\n\
         place \"folder\" \"there\" {{\n path = \"/c\"\n keep {{ last = 0 }}\n}}\n\
         place \"folder\" \"one\" {{\n path = \"/d\"\n file = \"consul/latest.snap\"\n}}"
    ));
    let at = |time: &str| time.parse::<jiff::Timestamp>().unwrap();
    assert_eq!(found.when.after(at("2026-11-22T04:00:00Z")), Some(at("2026-11-23T03:00:00Z")));
    assert_eq!(found.max_age, Some(25 * HOUR));
    let keeps: Vec<Keep> = found.places.iter().map(|place| place.keep).collect();
    let all = Keep { last: 2, daily: 7, ..Keep::ALL };
    assert_eq!(keeps, [all, Keep::ALL, all]);
    assert_eq!(found.places[2].file.as_deref(), Some("consul/latest.snap"));
}

fn s3(lines: &str) -> crate::model::S3 {
    let text = format!(
        "encrypt {{ recipients = [\"{KEY}\"] }}\nplace \"s3\" \"far\" {{\n bucket = \"b\"\n prefix = \"/consul/\"\n{lines}\n}}"
    );
    match &snapshot(&text).places[0].at {
        PlaceKind::S3(s3) => s3.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn by_what_right_a_bucket_is_used_is_always_said() {
    let plain = s3("");
    assert_eq!((plain.prefix.as_str(), plain.region.as_str()), ("consul", "us-east-1"));
    assert!(!plain.path_style && plain.endpoint.is_none());
    assert_eq!(plain.credentials, S3Credentials::Environment);
    let own = s3("endpoint = \"http://127.0.0.1:9000\"\naccess_key_file = \"/a\"\nsecret_key_file = \"/s\"");
    assert!(own.path_style);
    assert!(matches!(own.credentials, S3Credentials::Keys(keys) if keys.session_token.is_none()));
    let role = s3("role = \"arn:aws:iam::1:role/x\"\nsts = \"https://sts.example\"");
    assert!(
        matches!(role.credentials, S3Credentials::Role { keys: None, session, .. } if session == "lictor")
    );
    let web = s3("role = \"arn:aws:iam::1:role/x\"\ntoken_file = \"/t\"");
    assert!(matches!(web.credentials, S3Credentials::WebIdentity { .. }));
    let machine = s3("machine_role = true");
    assert_eq!(machine.credentials, S3Credentials::Machine { endpoint: None });
    assert_eq!(s3("encryption = \"aes256\"").encryption, S3Encryption::Aes256);
    let kms = s3("encryption = \"kms\"\nkms_key = \"k\"");
    assert_eq!(kms.encryption, S3Encryption::Kms(Some("k".into())));
}

#[test]
fn its_mistakes() {
    assert_snapshot!(mistakes(&format!(r#"
snapshot "a" {{
  every = "1h"
  cron  = "0 3 * * *"
}}
snapshot "b.c" {{
  max_age = "30m"
  lock    = "/x"
  encrypt {{
    recipients = ["age1x", "{KEY}"]
    passphrase_file = "/p"
  }}
  place "folder" "x" {{ path = "/b" }}
  place "folder" "x" {{ path = "/b" }}
  place "ftp" "y" {{}}
}}
snapshot "d" {{
  encrypt {{ recipients = ["age1x"] }}
  drill {{ every = "1d" }}
  place "folder" "x" {{
    path = "/b"
    file = "../x"
    keep {{
      last  = 0
      daily = 3
    }}
  }}
  place "s3" "s" {{
    secret_key_file = "/s"
    metadata        = "http://x/"
    kms_key         = "k"
    token_file      = "/t"
  }}
  place "azure" "a" {{
    account   = "a"
    container = "c"
  }}
  place "azure" "b" {{
    account   = "a"
    container = "c"
    key_file  = "/k"
    sas_file  = "/s"
  }}
  place "google" "g" {{
    bucket = "b"
  }}
}}
"#)), @r#"
    2:1: the snapshots are kept nowhere (add place "folder" "NAME" { path = "/var/backups/consul" }) [LIC0203]
    2:1: snapshots are taken of Consul, and none is named (add a block consul { }) [LIC0207]
    4:11: `every` and `cron` exclude each other (the other one: x.hcl:3:11) [LIC0207]
    6:1: snapshots are taken of Consul, and none is named (add a block consul { }) [LIC0207]
    6:10: the name of snapshots has letters, digits, `_` and `-`, not '.' [LIC0303]
    7:13: each snapshot becomes so old before the next one is taken (make `max_age` longer than `every`) [LIC0207]
    8:13: `/x` is no key that can be locked (write it without a `/` at its beginning) [LIC0310]
    9:3: `recipients` and `passphrase` exclude each other (the other one: x.hcl:10:18) [LIC0207]
    14:18: the place `x` is defined twice (first here: x.hcl:13:18) [LIC0204]
    15:9: unknown kind `ftp` of `place` (known here: `azure`, `folder`, `google`, `s3`) [LIC0208]
    17:1: snapshots are taken of Consul, and none is named (add a block consul { }) [LIC0207]
    18:27: `age1x` is no public key of age (write what `age-keygen` prints as the public key: age1…) [LIC0311]
    19:3: no snapshot can be tried: they are encrypted to keys that this machine does not have (add `identity_file`, or try them elsewhere by `lictor snapshot drill`) [LIC0207]
    22:12: `../x` is not the name of a file [LIC0303]
    23:5: `file` and `keep` exclude each other (the other one: x.hcl:22:12) [LIC0207]
    23:5: all are kept: the other rules mean nothing (set `last` to 1 or more) [LIC0207]
    28:3: `bucket` of `place "s3" "s"` is missing (add `bucket = …`, text in quotes) [LIC0203]
    28:3: `secret_key` needs `access_key` [LIC0207]
    30:23: `metadata` needs `machine_role` [LIC0207]
    31:23: `kms_key` needs `encryption = "kms"` [LIC0207]
    32:23: `token_file` needs `role` [LIC0207]
    34:3: it is not said by what right the container is used (add `key_file`, `sas_file`, `client_secret_file` or `machine_identity`) [LIC0203]
    38:3: `key` and `sas` exclude each other (the other one: x.hcl:38:3) [LIC0207]
    44:3: it is not said by what right the bucket is used (add `key_file` or `machine_account`) [LIC0203]
    "#);
}

#[test]
fn what_leaves_the_machine_in_clear_text_is_told() {
    let text = "consul {}\nsnapshot \"c\" {\n place \"s3\" \"far\" {\n  bucket = \"b\"\n }\n}";
    assert!(warnings(text).contains("gets every secret of the cluster in clear text"));
    assert_eq!(warnings(&format!("consul {{}}\nsnapshot \"c\" {{\n{HERE}\n}}")), "");
}

#[test]
fn what_can_be_read_nowhere_cannot_be_tried() {
    let with = |drill: &str| {
        format!(
            "consul {{}}\nsnapshot \"c\" {{\n encrypt {{ recipients = [\"{KEY}\"] }}\n drill {{ {drill} }}\n{HERE}\n}}"
        )
    };
    assert!(mistakes(&with("every = \"1d\"")).contains("no snapshot can be tried"));
    let found = parsed(&with("identity_file = \"/k\""));
    let drill = found.config.snapshots.values().next().unwrap().drill.clone().unwrap();
    assert_eq!((drill.when, drill.limit), (When::Every(DAY), Duration::from_secs(600)));
}
