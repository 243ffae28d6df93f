use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;
use crate::tar::{BLOCK, header};

const KV: &str = r#"[{"Key":"a","CreateIndex":1,"ModifyIndex":2,"LockIndex":0,"Flags":42,"Value":"MQ==","Session":""},
{"Key":"b/ü","Flags":0,"Value":null},{"Key":"c","Value":"/w=="}]"#;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

fn sum(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

/// A backup's files, in the order in which that program packs them.
fn files(kv: &str) -> Vec<(String, String)> {
    let meta = format!(
        r#"{{"ACLSha256":"{}","ConsulSnapshotVersion":"0.3.1","EndTime":6,"KVSha256":"{}","NodeName":"n1","PQSha256":"{}","StartTime":5}}"#,
        sum("null"),
        sum(KV),
        sum("[{},{}]"),
    );
    let folder = "host.consul.snapshot.5";
    vec![
        (format!("{folder}/consul.acl.5.json"), "null".to_owned()),
        (format!("{folder}/consul.kv.5.json"), kv.to_owned()),
        (format!("{folder}/consul.pq.5.json"), "[{},{}]".to_owned()),
        (format!("{folder}/meta.json"), meta),
    ]
}

fn backup(files: &[(String, String)]) -> Vec<u8> {
    let mut tar = Vec::new();
    for (name, content) in files {
        tar.extend_from_slice(&header(name, content.len() as u64, 0));
        tar.extend_from_slice(content.as_bytes());
        tar.resize(tar.len().next_multiple_of(BLOCK), 0);
    }
    // As GNU tar does: Consul would refuse it, consul-snapshot does not.
    tar.resize(tar.len().next_multiple_of(10240), 0);
    gzip(&tar)
}

type Found = Vec<(String, Vec<u8>, u64)>;

fn read_bytes(bytes: &[u8], password: Option<&Password>) -> Result<(Backup, Found), BackupError> {
    let source = Source::from_bytes(bytes)?;
    let mut found = Vec::new();
    let backup = read(&source, password, &Limits::default(), |pair| {
        found.push((pair.key.into_owned(), pair.value, pair.flags));
    })?;
    Ok((backup, found))
}

fn expected() -> Found {
    vec![
        ("a".to_owned(), b"1".to_vec(), 42),
        ("b/ü".to_owned(), Vec::new(), 0),
        ("c".to_owned(), b"\xff".to_vec(), 0),
    ]
}

#[test]
fn keys_of_a_backup_are_given_with_value_and_flags() {
    let bytes = backup(&files(KV));
    assert_eq!(Source::from_bytes(&bytes[..]).unwrap().shape(), Shape::ConsulSnapshot);
    let (backup, found) = read_bytes(&bytes, None).unwrap();
    assert_eq!(found, expected());
    assert_eq!((backup.keys, backup.queries, backup.tokens), (3, 2, 0));
    let meta = backup.meta.unwrap();
    assert_eq!(
        (meta.node_name.as_str(), meta.start_time, meta.consul_snapshot_version.as_str()),
        ("n1", 5, "0.3.1")
    );
}

#[test]
fn a_list_in_gzip_is_a_backup_of_the_first_version() {
    let bytes = gzip(KV.as_bytes());
    assert_eq!(Source::from_bytes(&bytes[..]).unwrap().shape(), Shape::ConsulSnapshotV1);
    let (backup, found) = read_bytes(&bytes, None).unwrap();
    assert_eq!((found, backup.meta), (expected(), None));
}

#[test]
fn an_encrypted_backup_is_read_with_its_password() {
    let password = Password::new("p");
    let bytes = crypt::encrypt(&backup(&files(KV)), &password);
    assert_eq!(Source::from_bytes(&bytes[..]).unwrap().shape(), Shape::Encrypted);
    assert!(matches!(read_bytes(&bytes, None), Err(BackupError::NoPassword)));
    assert_eq!(read_bytes(&bytes, Some(&password)).unwrap().1, expected());
}

#[test]
fn a_sum_that_is_wrong_is_seen_although_that_program_never_looks() {
    let changed = backup(&files(&KV.replace("MQ==", "Mg==")));
    assert!(matches!(read_bytes(&changed, None), Err(BackupError::Sum { part: KEYS })));
}

#[test]
fn a_file_that_is_missing_or_comes_twice_is_told() {
    for (left_out, part) in [(0, TOKENS), (1, KEYS), (2, QUERIES), (3, META)] {
        let mut files = files(KV);
        files.remove(left_out);
        let result = read_bytes(&backup(&files), None);
        assert!(matches!(&result, Err(BackupError::Missing { part: found }) if *found == part), "{result:?}");
    }
    let mut files = files(KV);
    files.insert(2, files[1].clone());
    assert!(matches!(read_bytes(&backup(&files), None), Err(BackupError::Twice { part: KEYS })));
}

#[test]
fn a_backup_that_is_cut_anywhere_is_refused() {
    let bytes = backup(&files(KV));
    for length in 0..bytes.len() {
        assert!(read_bytes(&bytes[..length], None).is_err(), "cut at {length}");
    }
}

#[test]
fn a_list_of_something_else_and_a_value_that_is_no_base64_are_refused() {
    for list in ["[1]", "{}", "[{\"Key\":\"a\",\"Value\":\"?\"}]", "[] more", "[", "[{}]"] {
        let result = read_bytes(&gzip(format!("[{list}").trim_start_matches('[').as_bytes()), None);
        assert!(result.is_err(), "{list}");
        let mut files = files(KV);
        files[1].1 = list.to_owned();
        assert!(read_bytes(&backup(&files), None).is_err(), "{list}");
    }
}

#[test]
fn an_entry_without_an_end_takes_no_memory() {
    let long = format!("[{{\"Key\":\"{}", "a".repeat(1 << 20));
    let source = Source::from_bytes(gzip(long.as_bytes())).unwrap();
    let limits = Limits { record: 1 << 16, ..Limits::default() };
    let error = read(&source, None, &limits, |_| {}).unwrap_err();
    assert!(error.to_string().contains("an entry is larger than 65536 bytes"), "{error}");
}
