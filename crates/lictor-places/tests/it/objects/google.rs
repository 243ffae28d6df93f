//! Google, whose XML is that of S3 but for what headers are called: moto behind a proxy that calls them as S3 does.

use lictor_places::{Google, GoogleCredentials, Place, PlaceError, Put, Settings};
use lictor_testkit::buckets::Moto;

use crate::kit::{BUCKET, Files, MIB, check_overtaken, check_place, check_race, fetched, overtaken_by, put};
use crate::proxy::{Asked, Fate, Proxy};

/// A service account of an emulator: no token is asked for.
const OPEN: &str = r#"{"type":"service_account","private_key":"","private_key_id":"","client_email":"x@y","disable_oauth":true}"#;

fn in_words_of_s3(request: bool, name: &str, value: &str) -> Option<(String, String)> {
    let name = name.to_ascii_lowercase();
    let pair = |name: &str, value: &str| Some((name.to_owned(), value.to_owned()));
    match (request, &*name) {
        (true, "authorization") => None,
        // moto wants to hear that somebody asks, and believes it.
        (true, "user-agent") => pair(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=x",
        ),
        (true, "x-goog-if-generation-match") if value == "0" => pair("if-none-match", "*"),
        (true, name) if name.starts_with("x-goog-") => pair(&name.replacen("x-goog-", "x-amz-", 1), value),
        (false, name) if name.starts_with("x-amz-") => pair(&name.replacen("x-amz-", "x-goog-", 1), value),
        (_, name) => pair(name, value),
    }
}

fn google(decide: impl Fn(&Asked) -> Fate + Send + Sync + 'static) -> (Moto, Proxy, Google) {
    let moto = Moto::start(&[BUCKET]);
    moto.let_everyone_in();
    let proxy = Proxy::translating(moto.address(), in_words_of_s3, decide);
    let settings = Google {
        bucket: BUCKET.to_owned(),
        prefix: "consul".to_owned(),
        credentials: GoogleCredentials::Json(OPEN.into()),
        endpoint: Some(proxy.url()),
    };
    (moto, proxy, settings)
}

fn place_of(settings: Google) -> Place {
    Place::new(&Settings::Google(settings)).unwrap()
}

#[tokio::test]
async fn what_is_put_in_googles_words_is_there() {
    let (_moto, _proxy, settings) = google(|_| Fate::Pass);
    let place = place_of(settings);
    assert_eq!(place.shown(), "gs://kept/consul");
    check_place(&place).await;
    check_race(&place, 1000).await;
}

#[tokio::test]
async fn a_large_file_is_sent_in_parts() {
    let (_moto, proxy, settings) = google(|_| Fate::Pass);
    let place = place_of(settings);
    let files = Files::new();
    let (file, bytes) = files.file("big", 25 * MIB + 123);
    place.put("big", &file, Put::New, None, &|_| ()).await.unwrap();
    assert_eq!(proxy.parts().len(), 6);
    let complete = proxy.asked().into_iter().find(Asked::completes).unwrap();
    assert_eq!(complete.header("x-goog-if-generation-match"), Some("0"));
    assert!(fetched(&place, "big").await == bytes);
}

#[tokio::test]
async fn an_upload_does_not_end_over_what_was_put_meanwhile() {
    let (moto, theirs, settings) = google(|_| Fate::Pass);
    let other = place_of(Google { endpoint: Some(theirs.url()), ..settings.clone() });
    let ours = Proxy::translating(moto.address(), in_words_of_s3, overtaken_by(other));
    check_overtaken(&place_of(Google { endpoint: Some(ours.url()), ..settings })).await;
}

#[tokio::test]
async fn the_machine_is_asked_for_a_token_only_where_that_is_wanted() {
    let (moto, proxy, settings) = google(|_| Fate::Pass);
    let files = Files::new();
    let metadata = Proxy::new(moto.address(), |asked| {
        let known = asked.header("metadata-flavor") == Some("Google");
        let text = r#"{"access_token":"tok","expires_in":3599,"token_type":"Bearer"}"#;
        if known { Fate::Answer(200, "", text.to_owned()) } else { Fate::Answer(403, "", String::new()) }
    });
    put(&place_of(settings.clone()), &files, "a", "x", Put::New).await.unwrap();
    assert!(metadata.asked().is_empty());
    let credentials = GoogleCredentials::Metadata { endpoint: Some(metadata.url()) };
    let place = place_of(Google { credentials, ..settings });
    proxy.forget();
    assert_eq!(fetched(&place, "a").await, b"x");
    assert_eq!(fetched(&place, "a").await, b"x");
    assert_eq!(metadata.asked().len(), 1, "a token is kept");
    let target = "/computeMetadata/v1/instance/service-accounts/default/token?scopes=";
    assert!(metadata.asked()[0].target.starts_with(target), "{:?}", metadata.asked());
    assert!(proxy.asked().iter().all(|asked| asked.header("authorization") == Some("Bearer tok")));
}

#[tokio::test]
async fn who_is_not_let_in_is_told_why() {
    let text = "<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Access denied.</Message><Details>x does not \
                have storage.objects.create access</Details></Error>";
    let (_moto, _proxy, settings) = google(move |_| Fate::Answer(403, "", text.to_owned()));
    let error = put(&place_of(settings), &Files::new(), "a", "x", Put::New).await.unwrap_err();
    assert!(matches!(error, PlaceError::Denied { .. }), "{error}");
    assert!(
        error.to_string().contains("403 AccessDenied: Access denied.; whoever asks needs the rights"),
        "{error}"
    );
}
