//! Servers that fail, and connections that break.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lictor_places::{Place, PlaceError, Put, S3};
use lictor_testkit::buckets::{Keys, Moto};

use crate::kit::{BUCKET, Files, MIB, fetched, moto, names, place_of, put, s3};
use crate::proxy::{Asked, Fate, Proxy};

const BUSY: &str =
    "<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>";

/// A place on moto behind a proxy.
fn behind(decide: impl Fn(&Asked) -> Fate + Send + Sync + 'static) -> (Moto, Proxy, Place) {
    let (moto, settings) = moto();
    let proxy = Proxy::new(moto.address(), decide);
    let place = place_of(S3 { endpoint: Some(proxy.url()), ..settings });
    (moto, proxy, place)
}

/// A place of which nobody knows more than a proxy that makes up its answers.
fn made_up(decide: impl Fn(&Asked) -> Fate + Send + Sync + 'static) -> (Proxy, Place) {
    let proxy = Proxy::new(([127, 0, 0, 1], 1).into(), decide);
    let keys = Keys { id: "id".to_owned(), secret: "secret".to_owned() };
    let place = place_of(s3(proxy.url(), &keys));
    (proxy, place)
}

/// So once for each request that this is true of.
fn once(which: impl Fn(&Asked) -> bool, fate: Fate) -> impl Fn(&Asked) -> Fate {
    let seen = Mutex::new(BTreeSet::new());
    move |asked| {
        let new = which(asked) && seen.lock().unwrap().insert((asked.method.clone(), asked.target.clone()));
        if new { fate.clone() } else { Fate::Pass }
    }
}

#[tokio::test]
async fn what_fails_once_is_tried_again() {
    let (_moto, proxy, place) = behind(once(|_| true, Fate::Answer(500, "", BUSY.to_owned())));
    let files = Files::new();
    put(&place, &files, "a", "x", Put::New).await.unwrap();
    let (file, bytes) = files.file("big", 9 * MIB);
    place.put("big", &file, Put::New, None, &|_| ()).await.unwrap();
    assert_eq!(names(&place).await, ["a", "big"]);
    assert!(fetched(&place, "big").await == bytes);
    assert_eq!(place.size("a").await.unwrap(), Some(1));
    place.remove("a").await.unwrap();
    assert_eq!(place.size("a").await.unwrap(), None);
    assert_eq!(proxy.parts().len(), 4);
}

#[tokio::test]
async fn a_server_that_always_fails_is_given_up_in_time() {
    let (proxy, place) = made_up(|_| Fate::Answer(500, "", BUSY.to_owned()));
    let files = Files::new();
    let begun = tokio::time::Instant::now();
    let error = put(&place, &files, "a", "x", Put::Replace).await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    assert!(matches!(error, PlaceError::Server { .. }) && error.is_temporary(), "{error:?}");
    assert_eq!(
        error.to_string(),
        "s3://kept/consul: cannot put `a`: the server fails: 500 InternalError: We encountered an internal error."
    );
    let puts = proxy.asked().iter().filter(|asked| asked.method == "PUT").count();
    assert_eq!(puts, 5, "once, and four times again");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stands_still_is_given_up() {
    let (_proxy, place) = made_up(|_| Fate::Stall);
    let error = place.list().await.unwrap_err();
    assert!(matches!(error, PlaceError::TimedOut { seconds: 30, .. }) && error.is_temporary(), "{error:?}");
    assert_eq!(error.to_string(), "s3://kept/consul: cannot list what is there: nothing moved for 30 s");
}

#[tokio::test]
async fn nobody_who_listens_is_told_of() {
    let free = lictor_testkit::ports::free();
    let keys = Keys { id: "id".to_owned(), secret: "secret".to_owned() };
    let place = place_of(s3(format!("http://127.0.0.1:{free}").parse().unwrap(), &keys));
    let error = place.list().await.unwrap_err();
    assert!(matches!(error, PlaceError::Unreachable { .. }) && error.is_temporary(), "{error:?}");
    assert!(error.to_string().contains("Connection refused"), "{error}");
}

#[tokio::test]
async fn a_part_that_is_cut_is_sent_again_and_no_other() {
    let cut = AtomicUsize::new(0);
    let (_moto, proxy, place) = behind(move |asked| {
        let second = asked.is_part() && asked.target.contains("partNumber=2");
        if second && cut.fetch_add(1, Ordering::SeqCst) == 0 {
            Fate::CutRequest(3_000_000)
        } else {
            Fate::Pass
        }
    });
    let files = Files::new();
    let (file, bytes) = files.file("big", 25 * MIB);
    place.put("big", &file, Put::New, None, &|_| ()).await.unwrap();
    assert!(fetched(&place, "big").await == bytes);
    let parts = proxy.parts();
    assert_eq!(parts.len(), 6);
    assert_eq!(parts.iter().filter(|part| part.body < 5 * MIB as u64).count(), 1);
}

#[tokio::test]
async fn an_upload_of_which_the_answer_was_lost_is_known_again() {
    let files = Files::new();
    let (file, bytes) = files.file("big", 9 * MIB);
    let (_moto, _proxy, place) = behind(once(Asked::completes, Fate::CutAnswer));
    place.put("big", &file, Put::New, None, &|_| ()).await.unwrap();
    assert!(fetched(&place, "big").await == bytes);

    let (_moto, proxy, place) = behind(once(|asked| asked.method == "PUT", Fate::CutAnswer));
    put(&place, &files, "a", "x", Put::New).await.unwrap();
    assert_eq!(fetched(&place, "a").await, b"x");
    assert_eq!(proxy.asked().iter().filter(|asked| asked.method == "PUT").count(), 2);
    let error = put(&place, &files, "a", "x", Put::New).await.unwrap_err();
    assert!(matches!(error, PlaceError::Exists { .. }), "the same content is not the same upload: {error}");
}

#[tokio::test]
async fn a_fetch_that_is_cut_goes_on_where_it_was() {
    let files = Files::new();
    let (file, bytes) = files.file("big", 9 * MIB);
    let left = AtomicUsize::new(7);
    let (_moto, proxy, place) = behind(move |asked| {
        let cuts = asked.method == "GET"
            && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if cuts { Fate::CutAfter(MIB) } else { Fate::Pass }
    });
    place.put("big", &file, Put::New, None, &|_| ()).await.unwrap();
    assert!(fetched(&place, "big").await == bytes);
    let gets: Vec<Asked> = proxy.asked().into_iter().filter(|asked| asked.method == "GET").collect();
    assert_eq!(gets.len(), 8);
    let ranges: BTreeSet<_> = gets.iter().filter_map(|get| get.header("range")).collect();
    assert!(
        ranges.len() == 7 && ranges.iter().any(|range| range.starts_with("bytes=7340032-")),
        "{ranges:?}"
    );
}

#[tokio::test]
async fn a_fetch_that_is_cut_for_ever_is_an_error_and_no_short_file() {
    let files = Files::new();
    let (file, _) = files.file("big", 9 * MIB);
    let (_moto, _proxy, place) = behind(|asked| match (&*asked.method, asked.header("range")) {
        ("GET", None) => Fate::CutAfter(MIB),
        ("GET", Some(_)) => Fate::CutAfter(0),
        _ => Fate::Pass,
    });
    place.put("big", &file, Put::New, None, &|_| ()).await.unwrap();
    let error = place.fetch("big", &mut Vec::new()).await.unwrap_err();
    assert!(matches!(error, PlaceError::Cut { .. }) && error.is_temporary(), "{error:?}");
}

#[tokio::test]
async fn a_fetch_does_not_go_on_with_something_else() {
    let (moto, settings) = moto();
    let files = Files::new();
    let direct = place_of(settings.clone());
    let (file, _) = files.file("big", 5 * MIB);
    direct.put("big", &file, Put::New, None, &|_| ()).await.unwrap();
    let proxy = Proxy::new(moto.address(), |asked| {
        if asked.method == "GET" && asked.header("range").is_none() {
            Fate::CutAfter(MIB)
        } else {
            Fate::Pass
        }
    });
    let place = place_of(S3 { endpoint: Some(proxy.url()), ..settings });
    let other = files.text("other", vec![7; 5 * MIB]);
    // The first piece that arrives has the object replaced.
    let mut sink = Replacing { direct, other, bytes: Vec::new(), replaced: None };
    let error = place.fetch("big", &mut sink).await.unwrap_err();
    assert!(sink.replaced.is_none(), "it was replaced meanwhile");
    assert!(sink.bytes.len() < 5 * MIB, "{} bytes of two objects", sink.bytes.len());
    assert!(matches!(error, PlaceError::Changed { .. } | PlaceError::Cut { .. }), "{error:?}");
}

/// Something to write to that replaces what is read as soon as a part of it was.
struct Replacing {
    direct: Place,
    other: std::path::PathBuf,
    bytes: Vec<u8>,
    replaced: Option<std::pin::Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl tokio::io::AsyncWrite for Replacing {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        if self.bytes.is_empty() && self.replaced.is_none() {
            let (direct, other) = (self.direct.clone(), self.other.clone());
            self.replaced = Some(Box::pin(async move {
                direct.put("big", &other, Put::Replace, None, &|_| ()).await.unwrap();
            }));
        }
        if let Some(replaced) = &mut self.replaced {
            std::task::ready!(replaced.as_mut().poll(context));
            self.replaced = None;
        }
        self.bytes.extend_from_slice(bytes);
        std::task::Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn poll_shutdown(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_wrong_clock_is_told_of() {
    let text = "<Error><Code>RequestTimeTooSkewed</Code><Message>The difference between the request time and the current \
                time is too large.</Message></Error>";
    let (_proxy, place) =
        made_up(|_| Fate::Answer(403, "Date: Sun, 22 Nov 2026 10:00:00 GMT\r\n", text.to_owned()));
    let error = place.list().await.unwrap_err();
    assert!(matches!(error, PlaceError::Clock { .. }) && !error.is_temporary(), "{error:?}");
    let shown = error.to_string();
    assert!(shown.contains("the clock of this machine is") && shown.ends_with("by NTP"), "{shown}");
}

#[tokio::test]
async fn a_place_without_room_is_told_of() {
    let text = "<Error><Code>XMinioStorageFull</Code><Message>Storage backend has reached its limit.</Message></Error>";
    let (_proxy, place) = made_up(|_| Fate::Answer(507, "", text.to_owned()));
    let error = put(&place, &Files::new(), "a", "x", Put::Replace).await.unwrap_err();
    assert!(matches!(error, PlaceError::NoSpace { .. }), "{error:?}");
}

#[tokio::test]
async fn a_success_that_is_none_is_tried_again() {
    let text = format!("<?xml version=\"1.0\"?>\n{BUSY}");
    let (_moto, proxy, place) = behind(once(Asked::completes, Fate::Answer(200, "", text)));
    let files = Files::new();
    let (file, bytes) = files.file("big", 9 * MIB);
    place.put("big", &file, Put::New, None, &|_| ()).await.unwrap();
    assert!(fetched(&place, "big").await == bytes);
    assert_eq!(proxy.asked().iter().filter(|asked| asked.completes()).count(), 2);
}

#[tokio::test]
async fn another_region_is_named_and_nothing_is_sent_there() {
    let (proxy, place) = made_up(|_| {
        Fate::Answer(
            301,
            "x-amz-bucket-region: eu-west-1\r\nLocation: http://127.0.0.1:1/\r\n",
            String::new(),
        )
    });
    let error = place.list().await.unwrap_err();
    assert!(error.to_string().contains("the bucket is in `eu-west-1`"), "{error}");
    assert_eq!((proxy.asked().len(), BUCKET), (1, "kept"));
}

#[tokio::test]
async fn who_may_only_write_can_put_and_replaces_nothing() {
    let (_proxy, place) = made_up(|asked| match &*asked.method {
        "PUT" if asked.target.ends_with("/new") => Fate::Answer(200, "ETag: \"x\"\r\n", String::new()),
        "PUT" => Fate::Answer(412, "", "<Error><Code>PreconditionFailed</Code></Error>".to_owned()),
        _ => Fate::Answer(403, "", "<Error><Code>AccessDenied</Code></Error>".to_owned()),
    });
    let files = Files::new();
    let stored = put(&place, &files, "new", "xyz", Put::New).await.unwrap();
    assert_eq!((stored.size, stored.etag.as_deref()), (3, Some("\"x\"")));
    let error = put(&place, &files, "taken", "xyz", Put::New).await.unwrap_err();
    assert!(matches!(error, PlaceError::Exists { .. }), "{error:?}");
}
