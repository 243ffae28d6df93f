//! `notify "sns"` against a stand-in that checks each signature by itself.

use std::collections::BTreeMap;
use std::fs;

use hmac::{Hmac, KeyInit as _, Mac as _};
use lictor_core::alert::Verdict;
use lictor_testkit::service::{Answer, Call, Service};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::notify_calls::{Rig, refused};

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const TOPIC: &str = "arn:aws:sns:eu-central-1:123456789012:ops";
const ACCEPTED: &str = "<PublishResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><PublishResult>\
                        <MessageId>94f20ce6-13c5</MessageId></PublishResult></PublishResponse>";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hmac(key: &[u8], text: &str) -> Result<Vec<u8>, String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|error| error.to_string())?;
    mac.update(text.as_bytes());
    Ok(mac.finalize().into_bytes().to_vec())
}

/// The signature that the specification wants for what `authorization` says that it signs.
fn signature(call: &Call, secret: &str) -> Result<String, String> {
    let missing = |name: &str| format!("no {name} in {call:?}");
    let header = |name: &str| call.headers.get(name).map(String::as_str).ok_or_else(|| missing(name));
    let parts = header("authorization")?.strip_prefix("AWS4-HMAC-SHA256 ").ok_or("another algorithm")?;
    let parts: BTreeMap<&str, &str> =
        parts.split(',').filter_map(|part| part.trim().split_once('=')).collect();
    let part = |name: &str| parts.get(name).copied().ok_or_else(|| missing(name));
    let (_, scope) = part("Credential")?.split_once('/').ok_or("no scope")?;
    let signed = part("SignedHeaders")?;
    let line = |name: &str| Ok(format!("{name}:{}\n", header(name)?.trim()));
    let headers = signed.split(';').map(line).collect::<Result<String, String>>()?;
    let body = hex(&Sha256::digest(&call.body));
    let canonical = format!("{}\n{}\n\n{headers}\n{signed}\n{body}", call.method, call.path);
    let canonical = hex(&Sha256::digest(canonical));
    let to_sign = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{canonical}", header("x-amz-date")?);
    let key =
        scope.split('/').try_fold(format!("AWS4{secret}").into_bytes(), |key, part| hmac(&key, part))?;
    Ok(hex(&hmac(&key, &to_sign)?))
}

/// Whether a call is signed so, and signs what it has to.
fn is_signed(call: &Call, secret: &str) -> bool {
    let said = call.headers.get("authorization").cloned().unwrap_or_default();
    let token = !call.headers.contains_key("x-amz-security-token") || said.contains("x-amz-security-token");
    let wanted = signature(call, secret).unwrap_or_else(|why| panic!("{why}"));
    token && said.contains("host;x-amz-date") && said.ends_with(&format!("Signature={wanted}"))
}

/// SNS that knows one secret.
fn sns(secret: &'static str) -> Service {
    Service::start(move |call| {
        if is_signed(call, secret) {
            Answer::new(200, ACCEPTED)
        } else {
            let why = "<ErrorResponse><Error><Type>Sender</Type><Code>SignatureDoesNotMatch</Code>\
                       <Message>The request signature we calculated does not match</Message></Error></ErrorResponse>";
            Answer::new(403, why)
        }
    })
}

fn rig(service: &Service, lines: &str) -> Rig {
    Rig::new("sns", &format!("url = \"{}\"\ntopic = \"{TOPIC}\"\n{lines}", service.url()))
}

fn keys(secret: &str) -> String {
    format!("access_key = \"AKIDEXAMPLE\"\nsecret_key = \"{secret}\"")
}

/// The examples of AWS's own test suite of Signature Version 4.
#[test]
fn the_stand_in_signs_as_the_specification_does() {
    let example = |method: &str, signed: &str, body: &str| {
        let said = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders={signed}, \
             Signature=0"
        );
        let headers = [
            ("authorization", said.as_str()),
            ("content-type", "application/x-www-form-urlencoded"),
            ("host", "example.amazonaws.com"),
            ("x-amz-date", "20150830T123600Z"),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let call = Call {
            method: method.to_owned(),
            path: "/".to_owned(),
            query: BTreeMap::new(),
            headers,
            body: body.to_owned(),
        };
        signature(&call, SECRET).unwrap()
    };
    assert_eq!(
        example("GET", "host;x-amz-date", ""),
        "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
    );
    assert_eq!(
        example("POST", "content-type;host;x-amz-date", "Param1=value1"),
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"
    );
}

#[tokio::test]
async fn what_is_published_is_signed_for_its_region() {
    let service = sns(SECRET);
    let rig = rig(&service, &keys(SECRET));
    assert_eq!(rig.send(&rig.message(false)).await, Verdict::Accepted);
    let call = service.calls().remove(0);
    assert_eq!((call.method.as_str(), call.path.as_str()), ("POST", "/"));
    assert!(call.headers["authorization"].contains("/eu-central-1/sns/aws4_request"), "{call:?}");
    assert!(!call.headers.contains_key("x-amz-security-token"), "{call:?}");
    let fields: BTreeMap<_, _> = url_fields(&call.body);
    assert_eq!((fields["Action"].as_str(), fields["Version"].as_str()), ("Publish", "2010-03-31"));
    assert_eq!(
        (fields["TopicArn"].as_str(), fields["Subject"].as_str()),
        (TOPIC, "CRITICAL: test of this notifier")
    );
    assert!(fields["Message"].starts_with("CRITICAL: test of this notifier, since"), "{fields:?}");
    assert!(!fields.contains_key("MessageGroupId"), "{fields:?}");
}

#[tokio::test]
async fn a_wrong_secret_is_refused_for_good_and_not_shown() {
    let service = sns(SECRET);
    let (why, for_good, _) = refused(&rig(&service, &keys("another-secret")).try_it().await);
    assert!(for_good && why.contains("SignatureDoesNotMatch") && !why.contains("another-secret"), "{why}");
    assert_eq!(service.calls().len(), 1);
}

#[tokio::test]
async fn credentials_that_were_renewed_are_read_again() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("credentials");
    let write = |file: &std::path::Path, secret: &str| {
        let text = format!(
            "[ops]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = {secret}\naws_session_token = t/{secret}\n"
        );
        fs::write(file, text).unwrap();
    };
    write(&file, "old");
    let path = file.clone();
    // They are renewed while the first request is under way.
    let service = Service::start(move |call| {
        if is_signed(call, "old") {
            write(&path, SECRET);
            return Answer::new(
                403,
                "<ErrorResponse><Error><Code>ExpiredToken</Code></Error></ErrorResponse>",
            );
        }
        assert!(is_signed(call, SECRET), "{call:?}");
        assert_eq!(call.headers["x-amz-security-token"], format!("t/{SECRET}"));
        Answer::new(200, ACCEPTED)
    });
    let lines = format!("credentials_file = \"{}\"\nprofile = \"ops\"", file.display());
    assert_eq!(rig(&service, &lines).try_it().await, Verdict::Accepted);
    assert_eq!(service.calls().len(), 2);
    let gone = rig(&service, "credentials_file = \"/nowhere/credentials\"").try_it().await;
    let (why, for_good, _) = refused(&gone);
    assert!(!for_good && why.starts_with("never sent: cannot read the credentials of AWS"), "{why}");
}

#[tokio::test]
async fn too_much_at_once_is_tried_again() {
    let service = Service::start(|_call| {
        Answer::new(400, "<ErrorResponse><Error><Code>Throttling</Code></Error></ErrorResponse>")
    });
    let (why, for_good, _) = refused(&rig(&service, &keys(SECRET)).try_it().await);
    assert!(!for_good && why.contains("Throttling"), "{why}");
}

fn url_fields(body: &str) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(body.as_bytes()).into_owned().collect()
}
