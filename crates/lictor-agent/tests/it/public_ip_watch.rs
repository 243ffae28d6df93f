//! Public-IP watchers at a stand-in for gluetun's control server and at documents of others.
#![cfg(test)]

use std::time::Duration;

use lictor_config::{Control, IpRange, IpSource, PublicIp, Secret, Tls, Watch, WatchKind};
use lictor_core::{Sample, Status, Value};
use lictor_testkit::gluetun::{Auth, Fault, Gluetun};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use crate::watch_rig::{LONG, Rig, SHORT, number, read_request, watch};

fn control(url: &str) -> Control {
    Control { url: url.parse().unwrap(), api_key: None, basic_auth: None, tls: Tls::default() }
}

fn of(source: IpSource, forbidden: &[&str], limit: Duration) -> Watch {
    let forbidden = forbidden.iter().map(|text| IpRange::parse(text).unwrap()).collect();
    watch(WatchKind::PublicIp(Box::new(PublicIp { source, forbidden })), limit)
}

fn asking(gluetun: &Gluetun, forbidden: &[&str]) -> Watch {
    of(IpSource::Gluetun(control(&gluetun.url())), forbidden, LONG)
}

/// `status ok leak: summary`, with `-` for what is not there.
fn shown(sample: &Sample) -> String {
    let flag = |name| number(sample, name).map_or_else(|| "-".to_owned(), |is| is.to_string());
    assert!(number(sample, "total_seconds").is_some(), "{sample:?}");
    format!("{} {} {}: {}", sample.status, flag("ok"), flag("leak"), sample.summary)
}

async fn seen(rig: &Rig, watch: &Watch) -> String {
    shown(&rig.sample(watch).await)
}

fn texts(sample: &Sample) -> Vec<String> {
    let text = |(name, value): &(_, Value)| match value {
        Value::Text(text) => Some(format!("{name}={text}")),
        Value::Number(_) => None,
    };
    sample.values.iter().filter_map(text).collect()
}

/// Serves one document, whatever is asked.
async fn document(rig: &Rig, body: &'static str) -> String {
    let address = rig
        .serve(move |mut stream| async move {
            while read_request(&mut stream).await.is_some() {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                stream.write_all(head.as_bytes()).await.unwrap();
                stream.write_all(body.as_bytes()).await.unwrap();
            }
        })
        .await;
    format!("http://{address}/json")
}

fn read(url: &str, pointer: &str, forbidden: &[&str]) -> Watch {
    of(IpSource::Json { control: control(url), pointer: pointer.to_owned() }, forbidden, LONG)
}

#[tokio::test]
async fn an_address_is_told_with_all_that_is_known_of_it() {
    let (rig, gluetun) = (Rig::new(), Gluetun::start());
    let sample = rig.sample(&asking(&gluetun, &["198.51.100.0/24"])).await;
    assert_eq!(shown(&sample), "passing 1 0: others see 203.0.113.7 (Netherlands, Amsterdam)");
    let wanted = [
        "ip=203.0.113.7",
        "country=Netherlands",
        "region=Noord-Holland",
        "city=Amsterdam",
        "organization=AS64500 Example Transit",
        "timezone=Europe/Amsterdam",
        "location=52.3740,4.8897",
        "postal_code=1012",
    ];
    assert_eq!(texts(&sample), wanted);
}

#[tokio::test]
async fn a_forbidden_address_is_a_leak_at_once() {
    let (rig, gluetun) = (Rig::new(), Gluetun::start());
    let watch = asking(&gluetun, &["198.51.100.1", "203.0.113.7"]);
    let leak = "critical 0 1: LEAK: others see the forbidden address 203.0.113.7";
    assert_eq!(seen(&rig, &watch).await, leak);
    gluetun.set(|gluetun| gluetun.ip = json!({ "public_ip": "::ffff:203.0.113.7" }));
    assert_eq!(seen(&rig, &watch).await, leak);
    gluetun.set(|gluetun| gluetun.ip = json!({ "public_ip": "2001:DB8::00:7" }));
    let leak = "critical 0 1: LEAK: others see the forbidden address 2001:db8::7";
    assert_eq!(seen(&rig, &asking(&gluetun, &["2001:db8:0::/48"])).await, leak);
}

#[tokio::test]
async fn no_address_is_critical_in_the_forms_of_all_versions() {
    let (rig, gluetun) = (Rig::new(), Gluetun::start());
    let empty = "critical 0 -: the public address is empty: gluetun has none";
    for old in [false, true] {
        gluetun.set(|gluetun| {
            "stopped".clone_into(&mut gluetun.status);
            gluetun.old = old;
        });
        assert_eq!(seen(&rig, &asking(&gluetun, &["0.0.0.0/0"])).await, empty);
    }
}

#[tokio::test]
async fn who_cannot_or_will_not_tell_leaves_it_unknown() {
    let (rig, gluetun) = (Rig::new(), Gluetun::start());
    let hasty = of(IpSource::Gluetun(control(&gluetun.url())), &["0.0.0.0/0"], SHORT);
    for (fault, why) in [
        (Fault::Status(502, "bad gateway".to_owned()), "status 502: bad gateway"),
        (Fault::Status(404, String::new()), "has no /v1/publicip/ip: is it a gluetun?"),
        (Fault::Body("203.0.113.7".to_owned()), "the answer is not JSON"),
        (Fault::Body("[]".to_owned()), "told no address"),
        (Fault::Body(r#"{"public_ip":7}"#.to_owned()), "told no address"),
        (Fault::Body(r#"{"public_ip":"nobody"}"#.to_owned()), "gluetun names `nobody`, which is no address"),
        (Fault::Cut, "does not say: "),
        (Fault::Hang, ""),
    ] {
        gluetun.set(|gluetun| gluetun.fault = Some(fault));
        let begun = tokio::time::Instant::now();
        let found = seen(&rig, &hasty).await;
        assert!(found.starts_with("unknown - -: ") && found.contains(why), "{found}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
    gluetun.stop();
    let found = seen(&rig, &hasty).await;
    assert!(found.starts_with("unknown - -: ") && found.contains("cannot be reached"), "{found}");
}

#[tokio::test]
async fn a_refusal_names_the_route_and_no_key() {
    let (rig, gluetun) = (Rig::new(), Gluetun::start());
    gluetun.set(|gluetun| gluetun.auth = Auth::ApiKey("the-right-one".to_owned()));
    let keyed = |key: &str| Control { api_key: Some(Secret::value(key)), ..control(&gluetun.url()) };
    let wrong = of(IpSource::Gluetun(keyed("hunter2-api-key")), &[], LONG);
    let sample = rig.sample(&wrong).await;
    assert_eq!(sample.status, Status::Unknown);
    assert!(sample.summary.contains("\"GET /v1/publicip/ip\""), "{}", sample.summary);
    assert!(!format!("{sample:?} {wrong:?}").contains("hunter2"), "{sample:?}");
    let right = of(IpSource::Gluetun(keyed("the-right-one")), &[], LONG);
    assert!(seen(&rig, &right).await.starts_with("passing"));
}

#[tokio::test]
async fn documents_of_other_services_are_understood() {
    let rig = Rig::new();
    let mullvad = document(
        &rig,
        r#"{"ip":"198.51.100.4","country":"Sweden","city":"Malm\u00f6","longitude":13.0,"mullvad_exit_ip":true,
            "mullvad_exit_ip_hostname":"se-mma-wg-001","organization":"Example AB"}"#,
    );
    let sample = rig.sample(&read(&mullvad.await, "/ip", &[])).await;
    assert_eq!(shown(&sample), "passing 1 0: others see 198.51.100.4 (Sweden, Malmö)");
    let wanted = ["ip=198.51.100.4", "country=Sweden", "city=Malmö", "organization=Example AB"];
    assert_eq!(texts(&sample)[..4], wanted);
    assert_eq!(texts(&sample)[4], "hostname=se-mma-wg-001");

    let nested = document(&rig, r#"{"data":{"query":"203.0.113.7","isp":"Home"},"isp":"Other"}"#).await;
    let sample = rig.sample(&read(&nested, "/data/query", &["203.0.113.7"])).await;
    assert_eq!(shown(&sample), "critical 0 1: LEAK: others see the forbidden address 203.0.113.7");
    assert_eq!(texts(&sample), ["ip=203.0.113.7", "organization=Home"]);
    let place = nested.trim_end_matches("/json");
    let found = seen(&rig, &read(&nested, "/ip", &["203.0.113.7"])).await;
    assert_eq!(found, format!("unknown - -: the document of {place} has no text at /ip"));
    let empty = document(&rig, r#"{"ip":""}"#).await;
    let place = empty.trim_end_matches("/json");
    let found = seen(&rig, &read(&empty, "/ip", &["203.0.113.7"])).await;
    assert_eq!(found, format!("critical 0 -: the public address is empty: {place} has none"));
}

#[tokio::test]
async fn what_a_document_says_is_cleaned_and_cut() {
    let rig = Rig::new();
    let url = document(
        &rig,
        r#"{"ip":"198.51.100.4","country":"\u001b[2J\u202ex\ny","city":"
0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"}"#,
    );
    let url = url.await;
    let sample = rig.sample(&read(&url, "/ip", &[])).await;
    // A raw line break is no JSON.
    assert_eq!(sample.status, Status::Unknown, "{sample:?}");
    let url = document(&rig, r#"{"ip":"198.51.100.4","country":"\u001b[2J\u202ex\ny"}"#).await;
    let sample = rig.sample(&read(&url, "/ip", &[])).await;
    assert_eq!(texts(&sample), ["ip=198.51.100.4", r"country=\u{1b}[2J\u{202e}x y"]);
}
