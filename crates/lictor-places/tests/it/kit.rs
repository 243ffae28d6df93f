//! What the tests have in common.

use std::path::PathBuf;

use lictor_places::{Place, PlaceError, Put, S3, S3Credentials, S3Encryption, S3Keys, Settings, Stored};
use lictor_testkit::buckets::{Keys, Moto};
use tempfile::TempDir;
use url::Url;

use crate::proxy::{Asked, Fate};

pub(crate) const MIB: usize = 1024 * 1024;

/// The bucket of the tests.
pub(crate) const BUCKET: &str = "kept";

/// Settings of a bucket at this address, with these keys.
pub(crate) fn s3(endpoint: Url, keys: &Keys) -> S3 {
    let keys = S3Keys { id: keys.id.clone(), secret: keys.secret.as_str().into(), session_token: None };
    S3 {
        bucket: BUCKET.to_owned(),
        prefix: "consul".to_owned(),
        region: "us-east-1".to_owned(),
        endpoint: Some(endpoint),
        path_style: true,
        credentials: S3Credentials::Keys(keys),
        encryption: S3Encryption::Bucket,
        checksum: true,
    }
}

pub(crate) fn url(address: impl std::fmt::Display) -> Url {
    format!("http://{address}").parse().unwrap()
}

pub(crate) fn place_of(settings: S3) -> Place {
    Place::new(&Settings::S3(settings)).unwrap()
}

/// A moto with the bucket, and settings of it.
pub(crate) fn moto() -> (Moto, S3) {
    let moto = Moto::start(&[BUCKET]);
    let settings = s3(url(moto.address()), moto.keys());
    (moto, settings)
}

/// Files to put.
pub(crate) struct Files(TempDir);

impl Files {
    pub(crate) fn new() -> Self {
        Self(TempDir::with_prefix("lictor-places-").unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A file of so many bytes, of which no two parts are the same.
    pub(crate) fn file(&self, name: &str, size: usize) -> (PathBuf, Vec<u8>) {
        let bytes: Vec<u8> =
            (0..size).map(|at| (at.wrapping_mul(31) ^ (at >> 12) ^ (at >> 20)).to_le_bytes()[0]).collect();
        (self.text(name, &bytes), bytes)
    }

    pub(crate) fn text(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

/// Puts a text, without a journal.
pub(crate) async fn put(
    place: &Place,
    files: &Files,
    name: &str,
    text: &str,
    how: Put,
) -> Result<Stored, PlaceError> {
    let file = files.text("text", text);
    place.put(name, &file, how, None, &|_| ()).await
}

pub(crate) async fn fetched(place: &Place, name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let size = place.fetch(name, &mut bytes).await.unwrap();
    assert_eq!(size, bytes.len() as u64);
    bytes
}

pub(crate) async fn names(place: &Place) -> Vec<String> {
    place.list().await.unwrap().into_iter().map(|kept| kept.name).collect()
}

/// Names that are odd, and that every place takes.
pub(crate) const ODD: [&str; 8] = [
    "2026/11/22/dc1.snap",
    "a b.snap",
    "a%20b.snap",
    "a+b=c&d?e#f.snap",
    "größe-日本.snap",
    "it's (1) [2] {3}~!*.snap",
    "plain",
    "tag:10:00:00;v=1,2.snap",
];

/// What holds of each place: put, listed, fetched, looked at, removed, under odd names as well; new is new.
pub(crate) async fn check_place(place: &Place) {
    let files = Files::new();
    assert_eq!(names(place).await, Vec::<String>::new());
    for name in ODD {
        let text = format!("this is {name}");
        let stored = put(place, &files, name, &text, Put::New).await.unwrap();
        assert_eq!(stored.size, text.len() as u64, "{name}");
        assert_eq!(fetched(place, name).await, text.as_bytes(), "{name}");
        assert_eq!(place.size(name).await.unwrap(), Some(text.len() as u64), "{name}");
    }
    assert_eq!(names(place).await, ODD);

    let error = put(place, &files, "plain", "another", Put::New).await.unwrap_err();
    assert!(matches!(&error, PlaceError::Exists { name, .. } if name == "plain"), "{error}");
    assert_eq!(fetched(place, "plain").await, b"this is plain");
    put(place, &files, "plain", "another", Put::Replace).await.unwrap();
    assert_eq!(fetched(place, "plain").await, b"another");
    put(place, &files, "empty", "", Put::New).await.unwrap();
    assert_eq!(fetched(place, "empty").await, b"");

    for name in ODD.iter().chain(&["empty"]) {
        place.remove(name).await.unwrap();
        assert_eq!(place.size(name).await.unwrap(), None, "{name}");
        // What is gone already is gone.
        place.remove(name).await.unwrap();
    }
    assert_eq!(names(place).await, Vec::<String>::new());
    let error = place.fetch("plain", &mut Vec::new()).await.unwrap_err();
    assert!(matches!(&error, PlaceError::NotFound { what, .. } if what.contains("plain")), "{error}");
}

/// Of two that put a new file at once exactly one is told that it did, and it is that one's that is there.
pub(crate) async fn check_race(place: &Place, size: usize) {
    let files = Files::new();
    for round in 0..5 {
        let name = format!("race-{round}");
        let bytes = |with: u8| vec![with; size];
        let (one, other) = (files.text("one", bytes(1)), files.text("other", bytes(2)));
        let (first, second) = tokio::join!(
            place.put(&name, &one, Put::New, None, &|_| ()),
            place.put(&name, &other, Put::New, None, &|_| ())
        );
        let there = fetched(place, &name).await;
        assert_eq!(there.len(), size);
        match (first, second) {
            (Ok(_), Err(PlaceError::Exists { .. })) => assert_eq!(there.first(), Some(&1)),
            (Err(PlaceError::Exists { .. }), Ok(_)) => assert_eq!(there.first(), Some(&2)),
            both => panic!("{both:?}"),
        }
        place.remove(&name).await.unwrap();
    }
}

/// Has somebody else put the same name right before an upload is completed.
pub(crate) fn overtaken_by(other: Place) -> impl Fn(&Asked) -> Fate + Send + Sync {
    move |asked| {
        if asked.completes() {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(put(&other, &Files::new(), "big", "theirs", Put::Replace)).unwrap();
        }
        Fate::Pass
    }
}

/// A large file that was to be new does not replace what somebody else put while it was sent.
pub(crate) async fn check_overtaken(place: &Place) {
    let files = Files::new();
    let (file, _) = files.file("big", 9 * MIB);
    let error = place.put("big", &file, Put::New, None, &|_| ()).await.unwrap_err();
    assert!(matches!(error, PlaceError::Exists { .. }), "{error:?}");
    assert_eq!(fetched(place, "big").await, b"theirs");
}
