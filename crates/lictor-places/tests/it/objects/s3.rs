//! S3, on moto and s3rver. Both check signatures.

use lictor_places::{Place, PlaceError, Put, S3, S3Credentials, S3Encryption, S3Keys, Settings};
use lictor_testkit::buckets::{Keys, Moto, S3rver};

use crate::kit::{
    BUCKET, Files, MIB, check_overtaken, check_place, check_race, fetched, moto, names, overtaken_by,
    place_of, put, s3, url,
};
use crate::proxy::{Asked, Fate, Proxy};

#[tokio::test]
async fn what_is_put_on_moto_is_there() {
    let (_moto, settings) = moto();
    let place = place_of(settings);
    assert_eq!(place.shown(), "s3://kept/consul");
    check_place(&place).await;
}

#[tokio::test]
async fn what_is_put_on_s3rver_is_there() {
    let server = S3rver::start(BUCKET);
    let place = place_of(s3(url(server.address()), &server.keys()));
    check_place(&place).await;
    let files = Files::new();
    let (file, bytes) = files.file("big", 20 * MIB + 7);
    place.put("big", &file, Put::New, None, &|_| ()).await.unwrap();
    assert!(fetched(&place, "big").await == bytes);
}

#[tokio::test]
async fn of_two_that_put_a_new_object_one_wins() {
    let (_moto, settings) = moto();
    let place = place_of(settings);
    check_race(&place, 1000).await;
}

#[tokio::test]
async fn an_upload_does_not_end_over_what_was_put_meanwhile() {
    let (moto, settings) = moto();
    let proxy = Proxy::new(moto.address(), overtaken_by(place_of(settings.clone())));
    check_overtaken(&place_of(S3 { endpoint: Some(proxy.url()), ..settings })).await;
    let aborted = |asked: &Asked| asked.method == "DELETE" && asked.target.contains("uploadId=");
    assert!(proxy.asked().iter().any(aborted), "its parts are gone");
}

#[tokio::test]
async fn a_large_file_is_sent_in_parts_and_is_new_or_replaces() {
    let (moto, settings) = moto();
    let proxy = Proxy::new(moto.address(), |_| Fate::Pass);
    let place = place_of(S3 { endpoint: Some(proxy.url()), ..settings });
    let files = Files::new();
    let (file, bytes) = files.file("big", 25 * MIB + 123);
    let heard = std::sync::Mutex::new(Vec::new());
    let stored =
        place.put("big", &file, Put::New, None, &|sent| heard.lock().unwrap().push(sent)).await.unwrap();
    assert_eq!(stored.size, bytes.len() as u64);
    assert!(stored.etag.is_some());
    assert_eq!(proxy.parts().len(), 6);
    let heard = heard.into_inner().unwrap();
    assert!(heard.is_sorted() && heard.len() == 6 && heard.last() == Some(&stored.size), "{heard:?}");
    assert!(fetched(&place, "big").await == bytes);

    proxy.forget();
    let (other, others) = files.file("other", 9 * MIB);
    let error = place.put("big", &other, Put::New, None, &|_| ()).await.unwrap_err();
    assert!(matches!(error, PlaceError::Exists { .. }), "{error}");
    assert_eq!(proxy.parts().len(), 0, "it was looked before anything was sent");
    place.put("big", &other, Put::Replace, None, &|_| ()).await.unwrap();
    assert!(fetched(&place, "big").await == others);
}

#[tokio::test]
async fn a_listing_goes_over_all_pages_and_no_further_than_the_prefix() {
    let (_moto, settings) = moto();
    let files = Files::new();
    let beside = place_of(S3 { prefix: "consul2".to_owned(), ..settings.clone() });
    put(&beside, &files, "not-ours", "x", Put::New).await.unwrap();
    let place = place_of(settings.clone());
    for chunk in 0..41 {
        let many = (0..25).map(|number| {
            let name = format!("{:04}", chunk * 25 + number);
            let (place, file) = (place.clone(), files.text(&name, "x"));
            async move { place.put(&name, &file, Put::Replace, None, &|_| ()).await.map(drop) }
        });
        futures::future::try_join_all(many).await.unwrap();
    }
    let listed = names(&place).await;
    assert_eq!(listed.len(), 1025);
    assert_eq!((&*listed[0], &*listed[1024]), ("0000", "1024"));
    let all = place_of(S3 { prefix: String::new(), ..settings });
    assert_eq!(names(&all).await.len(), 1026);
}

#[tokio::test]
async fn who_is_not_let_in_is_told_why() {
    let (_moto, settings) = moto();
    let files = Files::new();
    let S3Credentials::Keys(right) = settings.credentials.clone() else { unreachable!("the kit gives keys") };
    let wrong_secret = S3Keys { secret: "wrong".into(), ..right.clone() };
    let wrong_id = S3Keys { id: "AKIAWRONG".to_owned(), ..right };
    for (keys, code, way) in [
        (wrong_secret, "SignatureDoesNotMatch", "the secret is not the one of this id"),
        (wrong_id, "InvalidAccessKeyId", "look at the id of the key"),
    ] {
        let place = place_of(S3 { credentials: S3Credentials::Keys(keys), ..settings.clone() });
        for error in [
            put(&place, &files, "a", "x", Put::New).await.unwrap_err(),
            put(&place, &files, "a", "x", Put::Replace).await.unwrap_err(),
            place.list().await.unwrap_err(),
            place.fetch("a", &mut Vec::new()).await.unwrap_err(),
            place.remove("a").await.unwrap_err(),
        ] {
            let text = error.to_string();
            assert!(matches!(error, PlaceError::Denied { .. }) && !error.is_temporary(), "{text}");
            assert!(text.starts_with("s3://kept/consul: cannot ") && text.contains(code), "{text}");
            assert!(text.contains(way) && !text.contains("wrong-secret"), "{text}");
        }
        assert!(matches!(place.size("a").await, Err(PlaceError::Denied { .. })));
    }
}

#[tokio::test]
async fn a_bucket_that_is_missing_is_named() {
    let (_moto, settings) = moto();
    let files = Files::new();
    let place = place_of(S3 { bucket: "missing".to_owned(), ..settings });
    for error in [
        put(&place, &files, "a", "x", Put::New).await.unwrap_err(),
        place.list().await.unwrap_err(),
        place.fetch("a", &mut Vec::new()).await.unwrap_err(),
    ] {
        assert!(matches!(&error, PlaceError::NotFound { what, .. } if what == "the bucket"), "{error}");
    }
}

#[tokio::test]
async fn the_server_is_asked_to_encrypt_what_it_keeps() {
    let (moto, settings) = moto();
    let files = Files::new();
    let proxy = Proxy::new(moto.address(), |_| Fate::Pass);
    let settings = S3 { endpoint: Some(proxy.url()), ..settings };
    let (big, bytes) = files.file("big", 9 * MIB);
    for (encryption, kind, key) in [
        (S3Encryption::Bucket, None, None),
        (S3Encryption::Sse, Some("AES256"), None),
        (S3Encryption::Kms(None), Some("aws:kms"), None),
        (S3Encryption::Kms(Some("alias/mine".to_owned())), Some("aws:kms"), Some("alias/mine")),
    ] {
        proxy.forget();
        let place = place_of(S3 { encryption, ..settings.clone() });
        put(&place, &files, "small", "x", Put::Replace).await.unwrap();
        place.put("big", &big, Put::Replace, None, &|_| ()).await.unwrap();
        assert!(fetched(&place, "big").await == bytes);
        let makes = |method: &str, query: &str| {
            let asked = proxy.asked();
            asked.into_iter().find(|asked| asked.method == method && asked.target.ends_with(query)).unwrap()
        };
        for asked in [makes("PUT", "/small"), makes("POST", "?uploads=")] {
            assert_eq!(asked.header("x-amz-server-side-encryption"), kind, "{}", asked.target);
            assert_eq!(asked.header("x-amz-server-side-encryption-aws-kms-key-id"), key, "{}", asked.target);
        }
        // What is not asked to be kept must not be asked to be encrypted: Amazon refuses it.
        let others = proxy.asked().into_iter().filter(|asked| asked.method != "PUT" || asked.is_part());
        for asked in others.filter(|asked| !asked.target.ends_with("?uploads=")) {
            assert_eq!(
                asked.header("x-amz-server-side-encryption"),
                None,
                "{} {}",
                asked.method,
                asked.target
            );
        }
    }
}

#[tokio::test]
async fn sums_are_sent_where_they_are_wanted() {
    let (moto, settings) = moto();
    let files = Files::new();
    let proxy = Proxy::new(moto.address(), |_| Fate::Pass);
    for checksum in [true, false] {
        proxy.forget();
        let place = place_of(S3 { endpoint: Some(proxy.url()), checksum, ..settings.clone() });
        put(&place, &files, "a", "x", Put::Replace).await.unwrap();
        let asked = proxy.asked();
        let put = asked.iter().find(|asked| asked.method == "PUT").unwrap();
        assert_eq!(put.header("x-amz-checksum-sha256").is_some(), checksum);
        let sum = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
        assert_eq!(
            put.header("x-amz-content-sha256"),
            Some(sum),
            "it is signed over its content all the same"
        );
    }
}

#[tokio::test]
async fn nothing_is_sent_without_tls_but_where_the_address_says_so() {
    let moto = Moto::start(&[BUCKET]);
    // STS has an address of its own, which is not that of the bucket.
    let settings = s3("https://127.0.0.1:1".parse().unwrap(), moto.keys());
    let place = Place::new(&Settings::S3(settings)).unwrap();
    let error = place.list().await.unwrap_err();
    assert!(matches!(error, PlaceError::Unreachable { .. }) && error.is_temporary(), "{error}");
    let keys = Keys { id: "id".to_owned(), secret: "secret".to_owned() };
    let tls =
        S3 { endpoint: Some(format!("https://{}", moto.address()).parse().unwrap()), ..s3(url("x"), &keys) };
    let error = place_of(tls).list().await.unwrap_err();
    assert!(matches!(error, PlaceError::Unreachable { .. }), "{error}");
}
