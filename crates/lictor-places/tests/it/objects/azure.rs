//! Azure, on Azurite.

use std::time::Duration;

use lictor_places::{Azure, AzureCredentials, Place, PlaceError, Put, Settings};
use lictor_testkit::buckets::Azurite;
use object_store::azure::{AzureAccessKey, AzureAuthorizer, AzureCredential};
use object_store::client::HttpRequestBody;

use crate::kit::{
    BUCKET, Files, MIB, check_overtaken, check_place, check_race, fetched, names, overtaken_by, put, url,
};
use crate::proxy::{Fate, Proxy};

/// An Azurite with a container, and settings of it.
async fn azurite() -> (Azurite, Azure) {
    let azurite = Azurite::start();
    let endpoint = format!("{}/{}", azurite.address(), Azurite::ACCOUNT);
    let mut request = http::Request::put(format!("http://{endpoint}/{BUCKET}?restype=container"))
        .header("content-length", "0")
        .body(HttpRequestBody::empty())
        .unwrap();
    let key = AzureCredential::AccessKey(AzureAccessKey::try_new(Azurite::KEY).unwrap());
    AzureAuthorizer::new(&key, Azurite::ACCOUNT).try_authorize(&mut request).unwrap();
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().unwrap();
    let sent = client.put(request.uri().to_string()).headers(request.headers().clone()).send().await.unwrap();
    assert_eq!(sent.status(), 201, "{:?}", sent.text().await);
    let settings = Azure {
        account: Azurite::ACCOUNT.to_owned(),
        container: BUCKET.to_owned(),
        prefix: "consul".to_owned(),
        credentials: AzureCredentials::Key(Azurite::KEY.into()),
        endpoint: Some(url(endpoint)),
    };
    (azurite, settings)
}

fn place_of(settings: Azure) -> Place {
    Place::new(&Settings::Azure(settings)).unwrap()
}

/// The same, through a proxy.
fn through(proxy: &Proxy, settings: &Azure) -> Azure {
    let endpoint = proxy.url().join(Azurite::ACCOUNT).unwrap();
    Azure { endpoint: Some(endpoint), ..settings.clone() }
}

#[tokio::test]
async fn what_is_put_on_azurite_is_there() {
    let (_azurite, settings) = azurite().await;
    let place = place_of(settings);
    assert_eq!(place.shown(), "azure://devstoreaccount1/kept/consul");
    check_place(&place).await;
}

#[tokio::test]
async fn of_two_that_put_a_new_blob_one_wins() {
    let (_azurite, settings) = azurite().await;
    let place = place_of(settings);
    check_race(&place, 1000).await;
    check_race(&place, 9 * MIB).await;
}

#[tokio::test]
async fn a_large_file_is_sent_in_blocks_and_is_new_or_replaces() {
    let (azurite, settings) = azurite().await;
    let proxy = Proxy::new(azurite.address(), |_| Fate::Pass);
    let place = place_of(through(&proxy, &settings));
    let files = Files::new();
    let (file, bytes) = files.file("big", 25 * MIB + 123);
    place.put("big", &file, Put::New, None, &|_| ()).await.unwrap();
    assert_eq!(proxy.parts().len(), 6);
    let complete = proxy.asked().into_iter().find(crate::proxy::Asked::completes).unwrap();
    assert_eq!(complete.header("if-none-match"), Some("*"));
    assert!(fetched(&place, "big").await == bytes);
    let (other, others) = files.file("other", 9 * MIB);
    let error = place.put("big", &other, Put::New, None, &|_| ()).await.unwrap_err();
    assert!(matches!(error, PlaceError::Exists { .. }), "{error}");
    place.put("big", &other, Put::Replace, None, &|_| ()).await.unwrap();
    assert!(fetched(&place, "big").await == others);
}

#[tokio::test]
async fn an_upload_does_not_end_over_what_was_put_meanwhile() {
    let (azurite, settings) = azurite().await;
    let proxy = Proxy::new(azurite.address(), overtaken_by(place_of(settings.clone())));
    check_overtaken(&place_of(through(&proxy, &settings))).await;
}

#[tokio::test]
async fn blocks_that_were_sent_are_not_sent_again() {
    let (azurite, settings) = azurite().await;
    let files = Files::new();
    let (file, bytes) = files.file("big", 33 * MIB);
    let journal = files.path("journal");
    let proxy = Proxy::new(azurite.address(), |asked| {
        if asked.completes() { Fate::Answer(503, "", String::new()) } else { Fate::Pass }
    });
    let place = place_of(through(&proxy, &settings));
    let error = place.put("big", &file, Put::New, Some(&journal), &|_| ()).await.unwrap_err();
    assert!(error.is_temporary() && journal.exists(), "{error}");
    let proxy = Proxy::new(azurite.address(), |_| Fate::Pass);
    let place = place_of(through(&proxy, &settings));
    // Another place as it is shown is the same here: only the address differs.
    place.put("big", &file, Put::New, Some(&journal), &|_| ()).await.unwrap();
    assert_eq!(proxy.parts().len(), 0);
    assert!(!journal.exists());
    assert!(fetched(&place, "big").await == bytes);
}

#[tokio::test]
async fn a_cut_fetch_goes_on_where_it_was() {
    let (azurite, settings) = azurite().await;
    let files = Files::new();
    let (file, bytes) = files.file("big", 5 * MIB);
    place_of(settings.clone()).put("big", &file, Put::New, None, &|_| ()).await.unwrap();
    let proxy = Proxy::new(azurite.address(), |asked| {
        if asked.header("range").is_none() { Fate::CutAfter(2 * MIB) } else { Fate::Pass }
    });
    let place = place_of(through(&proxy, &settings));
    assert!(fetched(&place, "big").await == bytes);
    assert_eq!(proxy.asked().len(), 2);
}

#[tokio::test]
async fn who_is_not_let_in_is_told_why() {
    let (_azurite, settings) = azurite().await;
    let files = Files::new();
    let wrong = AzureCredentials::Key("d3Jvbmc=".into());
    let place = place_of(Azure { credentials: wrong, ..settings.clone() });
    let error = put(&place, &files, "a", "x", Put::New).await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, PlaceError::Denied { .. }), "{text}");
    assert!(text.contains("look at") || text.contains("403"), "{text}");
    let place = place_of(Azure { container: "missing".to_owned(), ..settings });
    let error = place.list().await.unwrap_err();
    assert!(matches!(&error, PlaceError::NotFound { what, .. } if what == "the container"), "{error}");
}

#[tokio::test]
async fn tokens_are_asked_for_as_the_settings_say() {
    let (azurite, settings) = azurite().await;
    let files = Files::new();
    let text = r#"{"access_token":"tok","token_type":"Bearer","expires_in":3600,"expires_on":"4070908800"}"#;
    let login = Proxy::new(azurite.address(), |_| Fate::Answer(200, "", text.to_owned()));
    let seen = Proxy::new(azurite.address(), |asked| {
        let let_in = asked.header("authorization") == Some("Bearer tok");
        let list = "<?xml version=\"1.0\"?><EnumerationResults><Blobs/><NextMarker/></EnumerationResults>";
        if let_in { Fate::Answer(200, "", list.to_owned()) } else { Fate::Answer(403, "", String::new()) }
    });
    let (tenant, client) = ("the-tenant".to_owned(), "the-client".to_owned());
    let authority = Some(login.url());
    let secret = AzureCredentials::ClientSecret {
        tenant: tenant.clone(),
        client: client.clone(),
        secret: "s3cret".into(),
        authority: authority.clone(),
    };
    let token_file = files.text("token", "federated");
    let workload =
        AzureCredentials::WorkloadIdentity { tenant, client: client.clone(), token_file, authority };
    let machine = AzureCredentials::Managed { client: Some(client), endpoint: Some(login.url()) };
    for (credentials, method, target, said) in [
        (secret, "POST", "/the-tenant/oauth2/v2.0/token", "client_secret=s3cret"),
        (workload, "POST", "/the-tenant/oauth2/v2.0/token", "client_assertion=federated"),
        (machine, "GET", "/?api-version=2019-08-01&resource=https", ""),
    ] {
        login.forget();
        let place = place_of(Azure { credentials, ..through(&seen, &settings) });
        assert_eq!(login.asked().len(), 0);
        assert_eq!(names(&place).await, Vec::<String>::new());
        assert_eq!(names(&place).await, Vec::<String>::new());
        let asked = login.asked();
        assert_eq!(asked.len(), 1, "a token is kept");
        assert!(asked[0].method == method && asked[0].target.starts_with(target), "{asked:?}");
        assert!(asked[0].start.contains(said), "{asked:?}");
    }
}

#[tokio::test]
async fn a_shared_access_signature_goes_with_each_request_and_is_in_no_message() {
    let (azurite, settings) = azurite().await;
    let proxy = Proxy::new(azurite.address(), |_| Fate::Pass);
    let sas = "sv=2024-01-01&ss=b&srt=co&sp=rl&se=2099-01-01T00:00:00Z&sig=c2VjcmV0";
    let place =
        place_of(Azure { credentials: AzureCredentials::Sas(sas.into()), ..through(&proxy, &settings) });
    let error = place.list().await.unwrap_err();
    assert!(matches!(error, PlaceError::Denied { .. }), "{error}");
    assert!(proxy.asked()[0].target.contains("sig=c2VjcmV0"));
    assert!(
        !error.to_string().contains("c2VjcmV0") && !format!("{error:?}").contains("c2VjcmV0"),
        "{error:?}"
    );
}
