//! Roles: keys that are given for an hour.

use lictor_places::{PlaceError, Put, S3, S3Credentials};

use crate::kit::{Files, fetched, moto, place_of, put};
use crate::proxy::{Fate, Proxy};

#[tokio::test]
async fn a_role_is_taken_with_keys_once() {
    let (moto, settings) = moto();
    let files = Files::new();
    let S3Credentials::Keys(keys) = settings.credentials.clone() else { unreachable!("the kit gives keys") };
    let sts = Proxy::new(moto.address(), |_| Fate::Pass);
    let credentials = S3Credentials::Role {
        role_arn: moto.role().to_owned(),
        session_name: "lictor".to_owned(),
        external_id: Some("e".to_owned()),
        sts_endpoint: Some(sts.url()),
        keys,
    };
    let place = place_of(S3 { credentials, ..settings });
    put(&place, &files, "a", "x", Put::New).await.unwrap();
    assert_eq!(fetched(&place, "a").await, b"x");
    assert_eq!(sts.asked().len(), 1, "keys are kept");
    let asked = &sts.asked()[0];
    assert!(asked.header("authorization").unwrap().contains("/us-east-1/sts/aws4_request"), "{asked:?}");
}

#[tokio::test]
async fn a_role_is_taken_with_a_token_that_is_in_no_address() {
    let (moto, settings) = moto();
    let files = Files::new();
    let token_file = files.text("token", "the.web.token\n");
    // moto has a signature of this, too, where it has one of anything.
    moto.let_everyone_in();
    let sts = Proxy::new(moto.address(), |_| Fate::Pass);
    let seen = Proxy::new(moto.address(), |_| Fate::Pass);
    let credentials = S3Credentials::WebIdentity {
        role_arn: moto.role().to_owned(),
        session_name: "lictor".to_owned(),
        token_file,
        sts_endpoint: Some(sts.url()),
    };
    let place = place_of(S3 { credentials, endpoint: Some(seen.url()), ..settings });
    put(&place, &files, "a", "x", Put::New).await.unwrap();
    assert_eq!(fetched(&place, "a").await, b"x");
    for asked in seen.asked() {
        let signed = asked.header("authorization").unwrap();
        assert!(signed.contains("Credential=ASIA") && signed.contains("x-amz-security-token"), "{signed}");
    }
    let asked = sts.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!((&*asked[0].target, asked[0].header("authorization")), ("/", None));
    assert!(asked[0].start.contains("WebIdentityToken=the.web.token"), "{}", asked[0].start);
}

#[tokio::test]
async fn a_role_that_is_not_given_is_told_of() {
    let (moto, settings) = moto();
    let files = Files::new();
    let text = "<ErrorResponse><Error><Type>Sender</Type><Code>InvalidIdentityToken</Code><Message>No OpenIDConnect \
                provider found</Message></Error></ErrorResponse>";
    let sts = Proxy::new(moto.address(), |_| Fate::Answer(400, "", text.to_owned()));
    let identity = |token_file| S3Credentials::WebIdentity {
        role_arn: moto.role().to_owned(),
        session_name: "lictor".to_owned(),
        token_file,
        sts_endpoint: Some(sts.url()),
    };
    let place = place_of(S3 { credentials: identity(files.text("token", "t")), ..settings.clone() });
    let error = put(&place, &files, "a", "x", Put::New).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "s3://kept/consul: cannot put `a`: refused: no credentials to be had: 400 InvalidIdentityToken: No OpenIDConnect \
         provider found; look at the file with the token, and whom the role trusts"
    );
    assert!(!error.is_temporary());
    let place = place_of(S3 { credentials: identity(files.path("missing")), ..settings });
    let error = put(&place, &files, "a", "x", Put::New).await.unwrap_err().to_string();
    assert!(error.contains("missing: No such file"), "{error}");
}

#[tokio::test]
async fn the_machine_is_asked_for_its_role_only_where_that_is_wanted() {
    let (moto, settings) = moto();
    let files = Files::new();
    // What the documentation of the service says that it answers.
    let role = format!(
        "{{\"Code\":\"Success\",\"AccessKeyId\":\"{}\",\"SecretAccessKey\":\"{}\",\"Token\":\"t\",\
         \"Expiration\":\"2099-01-01T00:00:00Z\"}}",
        moto.keys().id,
        moto.keys().secret
    );
    let metadata = Proxy::new(moto.address(), move |asked| {
        let text = match &*asked.target {
            "/latest/api/token" if asked.method == "PUT" => "machine-token".to_owned(),
            _ if asked.header("x-aws-ec2-metadata-token") != Some("machine-token") => {
                return Fate::Answer(401, "", String::new());
            }
            "/latest/meta-data/iam/security-credentials/" => "the-role".to_owned(),
            "/latest/meta-data/iam/security-credentials/the-role" => role.clone(),
            _ => return Fate::Answer(404, "", String::new()),
        };
        Fate::Answer(200, "", text)
    });
    let with_keys = place_of(settings.clone());
    put(&with_keys, &files, "a", "x", Put::New).await.unwrap();
    assert_eq!(metadata.asked().len(), 0);
    let credentials = S3Credentials::Metadata { endpoint: Some(metadata.url()) };
    // The token goes with each request.
    let seen = Proxy::new(moto.address(), |asked| match asked.header("x-amz-security-token") {
        Some("t") => Fate::Answer(403, "", "<Error><Code>AccessDenied</Code></Error>".to_owned()),
        _ => Fate::Answer(500, "", String::new()),
    });
    let place = place_of(S3 { credentials, endpoint: Some(seen.url()), ..settings });
    let error = place.list().await.unwrap_err();
    assert!(matches!(error, PlaceError::Denied { .. }), "{error}");
    assert_eq!(metadata.asked().len(), 3);
}
