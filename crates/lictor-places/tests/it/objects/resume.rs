//! Uploads that are gone on with.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use lictor_places::{Place, PlaceError, Put, S3};
use lictor_testkit::buckets::Moto;

use crate::kit::{Files, MIB, fetched, moto, names, place_of};
use crate::proxy::{Asked, Fate, Proxy};

/// A moto, a proxy in front of it that can be told to fail, and a file of seven parts with a journal.
struct Scene {
    moto: Moto,
    settings: S3,
    files: Files,
    file: PathBuf,
    bytes: Vec<u8>,
    journal: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let (moto, settings) = moto();
        let files = Files::new();
        let (file, bytes) = files.file("big", 50 * MIB + 5);
        let journal = files.path("journal");
        Self { moto, settings, files, file, bytes, journal }
    }

    fn place(&self, decide: impl Fn(&Asked) -> Fate + Send + Sync + 'static) -> (Proxy, Place) {
        let proxy = Proxy::new(self.moto.address(), decide);
        let place = place_of(S3 { endpoint: Some(proxy.url()), ..self.settings.clone() });
        (proxy, place)
    }

    async fn put(&self, place: &Place) -> Result<lictor_places::Stored, PlaceError> {
        place.put("big", &self.file, Put::New, Some(&self.journal), &|_| ()).await
    }

    /// Has an upload broken off by an end of the process when so many bytes were sent.
    fn killed_after(&self, place: Place, bytes: u64) {
        let (file, journal) = (self.file.clone(), self.journal.clone());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let sent = AtomicU64::new(0);
            runtime.block_on(async {
                let enough = std::future::poll_fn(|context| {
                    context.waker().wake_by_ref();
                    if sent.load(Ordering::SeqCst) >= bytes {
                        std::task::Poll::Ready(())
                    } else {
                        std::task::Poll::Pending
                    }
                });
                let report = |now| sent.store(now, Ordering::SeqCst);
                tokio::select! {
                    done = place.put("big", &file, Put::New, Some(&journal), &report) => panic!("{done:?}"),
                    () = enough => {}
                }
            });
            // Nothing of it gets to its end.
            runtime.shutdown_background();
        })
        .join()
        .unwrap();
    }
}

fn sent(parts: &[Asked]) -> u64 {
    parts.iter().map(|part| part.body).sum()
}

#[tokio::test]
async fn parts_that_were_sent_before_a_kill_are_not_sent_again() {
    let scene = Scene::new();
    let (proxy, place) = scene.place(|_| Fate::Pass);
    scene.killed_after(place, 24 * MIB as u64);
    assert!(scene.journal.exists());
    assert!(sent(&proxy.parts()) >= 24 * MIB as u64);
    let (proxy, place) = scene.place(|_| Fate::Pass);
    assert_eq!(names(&place).await, Vec::<String>::new());
    scene.put(&place).await.unwrap();
    let again = sent(&proxy.parts());
    assert!(again <= (26 * MIB + 5) as u64, "{again} bytes were sent again");
    assert!(fetched(&place, "big").await == scene.bytes);
    assert!(!scene.journal.exists());
}

#[tokio::test]
async fn an_upload_that_the_server_forgot_is_begun_anew() {
    let scene = Scene::new();
    let (_proxy, place) = scene.place(|_| Fate::Pass);
    scene.killed_after(place, 24 * MIB as u64);
    let note = std::fs::read_to_string(&scene.journal).unwrap();
    let upload = note.split("\"upload\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let (proxy, place) = scene.place(move |asked| {
        // moto fails over uploads that it does not know.
        let known = !asked.target.contains(&upload);
        let text =
            "<Error><Code>NoSuchUpload</Code><Message>The specified upload does not exist.</Message></Error>";
        if known { Fate::Pass } else { Fate::Answer(404, "", text.to_owned()) }
    });
    scene.put(&place).await.unwrap();
    assert!(fetched(&place, "big").await == scene.bytes);
    assert!(proxy.parts().len() >= 7);
    assert!(!scene.journal.exists());
}

#[tokio::test]
async fn the_journal_of_another_file_is_cleared_away() {
    let scene = Scene::new();
    let (_proxy, place) = scene.place(|_| Fate::Pass);
    scene.killed_after(place, 16 * MIB as u64);
    let (proxy, place) = scene.place(|_| Fate::Pass);
    let other = scene.files.text("other", "x");
    place.put("small", &other, Put::New, Some(&scene.journal), &|_| ()).await.unwrap();
    assert!(aborted(&proxy, "/big?uploadId="), "{:?}", proxy.asked());
    assert!(!scene.journal.exists());
    assert_eq!(names(&place).await, ["small"]);
}

#[tokio::test]
async fn a_file_that_was_written_to_is_another_one() {
    let scene = Scene::new();
    let (_proxy, place) = scene.place(|_| Fate::Pass);
    scene.killed_after(place, 16 * MIB as u64);
    let (_, bytes) = scene.files.file("big", 20 * MIB);
    let (proxy, place) = scene.place(|_| Fate::Pass);
    scene.put(&place).await.unwrap();
    assert!(aborted(&proxy, "/big?uploadId="));
    assert!(fetched(&place, "big").await == bytes);
}

#[tokio::test]
async fn what_is_given_up_leaves_no_parts_and_no_journal() {
    let scene = Scene::new();
    let (proxy, place) = scene.place(|asked| {
        if asked.is_part() && asked.target.contains("partNumber=5") {
            return Fate::Answer(403, "", "<Error><Code>AccessDenied</Code></Error>".to_owned());
        }
        Fate::Pass
    });
    let error = scene.put(&place).await.unwrap_err();
    assert!(matches!(error, PlaceError::Denied { .. }), "{error}");
    assert!(aborted(&proxy, "/big?uploadId="));
    assert!(!scene.journal.exists());
}

#[tokio::test]
async fn what_fails_for_a_while_keeps_its_journal_and_without_one_leaves_no_parts() {
    let scene = Scene::new();
    let fails = |asked: &Asked| {
        if asked.is_part() && asked.target.contains("partNumber=5") {
            return Fate::Answer(503, "", "<Error><Code>SlowDown</Code></Error>".to_owned());
        }
        Fate::Pass
    };
    let (proxy, place) = scene.place(fails);
    let error = scene.put(&place).await.unwrap_err();
    assert!(matches!(error, PlaceError::Server { .. }) && scene.journal.exists(), "{error}");
    assert!(!aborted(&proxy, "/big?uploadId="));
    let error = place.put("big", &scene.file, Put::New, None, &|_| ()).await.unwrap_err();
    assert!(error.is_temporary() && aborted(&proxy, "/big?uploadId="), "{error}");
}

#[tokio::test]
async fn an_upload_that_was_complete_before_a_kill_is_known_again() {
    let scene = Scene::new();
    let down = Arc::new(AtomicBool::new(false));
    let (proxy, place) = scene.place({
        let down = Arc::clone(&down);
        move |asked| {
            // From the moment on that it is complete nobody hears anything.
            if asked.completes() && !down.swap(true, Ordering::SeqCst) {
                return Fate::CutAnswer;
            }
            if down.load(Ordering::SeqCst) { Fate::Answer(503, "", String::new()) } else { Fate::Pass }
        }
    });
    let error = scene.put(&place).await.unwrap_err();
    assert!(error.is_temporary() && scene.journal.exists(), "{error}");
    down.store(false, Ordering::SeqCst);
    proxy.forget();
    let (proxy, place) = scene.place(|_| Fate::Pass);
    scene.put(&place).await.unwrap();
    assert_eq!(proxy.parts().len(), 0);
    assert!(!scene.journal.exists());
    assert!(fetched(&place, "big").await == scene.bytes);
}

#[tokio::test]
async fn a_file_that_changes_while_it_is_sent_is_not_put() {
    let scene = Scene::new();
    let file = scene.file.clone();
    let (proxy, place) = scene.place(move |asked| {
        if asked.is_part() && asked.target.contains("partNumber=7") {
            touch(&file);
        }
        Fate::Pass
    });
    let error = scene.put(&place).await.unwrap_err();
    assert!(matches!(error, PlaceError::Changed { .. }), "{error}");
    assert!(aborted(&proxy, "/big?uploadId="));
    assert_eq!(names(&place).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_journal_that_cannot_be_written_stops_nothing() {
    let scene = Scene::new();
    let (_proxy, place) = scene.place(|_| Fate::Pass);
    let nowhere = Path::new("/does/not/exist/journal");
    place.put("big", &scene.file, Put::New, Some(nowhere), &|_| ()).await.unwrap();
    assert!(fetched(&place, "big").await == scene.bytes);
}

fn aborted(proxy: &Proxy, target: &str) -> bool {
    proxy.asked().iter().any(|asked| asked.method == "DELETE" && asked.target.contains(target))
}

fn touch(file: &Path) {
    let file = std::fs::OpenOptions::new().append(true).open(file).unwrap();
    std::io::Write::write_all(&mut &file, b"x").unwrap();
}
