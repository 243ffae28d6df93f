//! Public IP: the address under which others see us, as somebody reports it, and whether it is one
//! that they must never see.
//!
//! Whoever cannot be asked, or names no address, leaves it *unknown*: never a leak.

use std::net::IpAddr;
use std::sync::LazyLock;
use std::time::Duration;

use lictor_config::{Control, IpRange, IpSource, PublicIp, Watch};
use lictor_core::{Sample, Span, Status, ValueName};
use serde_json::Value;
use tokio::time::{Instant, timeout};

use super::look::Look;
use super::value::{self, Measured as _};
use super::vpn::explain;
use crate::control::Server;

/// Where a gluetun tells it.
const ROUTE: &str = "/v1/publicip/ip";

/// Of each detail, characters that are kept.
const DETAIL: usize = 128;

/// What is told of an address besides, under the names that the usual services have for it.
static DETAILS: [(&LazyLock<ValueName>, &[&str]); 8] = [
    (&value::COUNTRY, &["country", "country_name", "countryName", "country_code"]),
    (&value::REGION, &["region", "region_name", "regionName"]),
    (&value::CITY, &["city"]),
    (&value::ORGANIZATION, &["organization", "organisation", "org", "isp", "asn_org", "as", "company"]),
    (&value::HOSTNAME, &["hostname", "mullvad_exit_ip_hostname", "reverse"]),
    (&value::TIMEZONE, &["timezone", "time_zone"]),
    (&value::LOCATION, &["location", "loc"]),
    (&value::POSTAL_CODE, &["postal_code", "postal", "zip_code", "zip"]),
];

/// Names of an address, for a pointer that leads to an object.
const ADDRESS: [&str; 4] = ["ip", "public_ip", "query", "ip_address"];

pub(super) async fn look(public_ip: &PublicIp, watch: &Watch) -> Look {
    let begun = Instant::now();
    let limit = watch.timeout;
    let mut sample = match timeout(limit, told(&public_ip.source, limit)).await {
        Ok(Ok(told)) => judge(&told, &public_ip.forbidden),
        Ok(Err(why)) => Sample::new(Status::Unknown, why),
        Err(_late) => {
            Sample::new(Status::Unknown, format!("nobody has told the public address within {}", Span(limit)))
        }
    };
    sample.seconds(&value::TOTAL_SECONDS, begun.elapsed());
    Look::new(sample)
}

/// What a source told.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    /// Empty when it said that there is none.
    address: String,
    details: Vec<(usize, String)>,
    by: String,
}

async fn told(source: &IpSource, limit: Duration) -> Result<Told, String> {
    let deadline = Instant::now() + limit;
    let open = |control: &Control| {
        let control = control.clone();
        async move {
            let opened = Server::open(&control, limit.mul_f64(0.75)).await;
            opened.map_err(|why| format!("the public address cannot be asked for: {why}"))
        }
    };
    match source {
        IpSource::Gluetun(control) => {
            let server = open(control).await?;
            let answer = server.get(ROUTE, deadline).await;
            let answer = answer.map_err(|silent| explain(&server, ROUTE, &silent.why))?;
            // Before 3.34 there is no such key while there is no address.
            let address = match answer.get("public_ip") {
                None | Some(Value::Null) if answer.is_object() => "",
                Some(Value::String(address)) => address,
                Some(_) | None => return Err(format!("gluetun at {} told no address", server.place())),
            };
            let address = server.shown(address, DETAIL);
            Ok(Told { address, details: details(&server, &[&answer]), by: "gluetun".to_owned() })
        }
        IpSource::Json { control, pointer } => {
            let server = open(control).await?;
            let place = server.place();
            let document = server.document(deadline).await;
            let document = document
                .map_err(|silent| format!("the document of {place} cannot be read: {}", silent.why))?;
            let address = address(&document, pointer)
                .ok_or_else(|| format!("the document of {place} has no text at {pointer}"))?;
            let address = server.shown(address, DETAIL);
            // What belongs to the address stands beside it; elsewhere it is the next best.
            let beside = pointer.rsplit_once('/').and_then(|(parent, _)| document.pointer(parent));
            let within = document.pointer(pointer);
            let places: Vec<&Value> = within.into_iter().chain(beside).chain([&document]).collect();
            Ok(Told { address, details: details(&server, &places), by: place })
        }
    }
}

/// The text that a pointer leads to, or the address in the object that it leads to.
fn address<'a>(document: &'a Value, pointer: &str) -> Option<&'a str> {
    let found = document.pointer(pointer)?;
    let inside = || ADDRESS.iter().find_map(|name| found.get(name)).and_then(Value::as_str);
    found.as_str().or_else(inside)
}

/// What is told besides, by its place in [`DETAILS`]; the first place that has it wins.
fn details(server: &Server, places: &[&Value]) -> Vec<(usize, String)> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(server.shown(text, DETAIL)),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    let detail = |names: &[&str]| {
        let mut found = places.iter().flat_map(|place| names.iter().filter_map(|name| place.get(name)));
        found.find_map(|value| text(value).filter(|text| !text.is_empty()))
    };
    let all = DETAILS.iter().enumerate();
    all.filter_map(|(place, (_, names))| Some((place, detail(names)?))).collect()
}

fn judge(told: &Told, forbidden: &[IpRange]) -> Sample {
    let Told { address, details, by } = told;
    if address.trim().is_empty() {
        // What others see now is not known, so whether it leaks is not either.
        let mut sample = Sample::new(Status::Critical, format!("the public address is empty: {by} has none"));
        sample.flag(&value::OK, false);
        return sample;
    }
    let parsed = address.trim().parse::<IpAddr>().map(|address| address.to_canonical());
    let Some(ip) = parsed.ok().filter(|ip| !ip.is_unspecified()) else {
        return Sample::new(Status::Unknown, format!("{by} names `{address}`, which is no address"));
    };
    let leak = forbidden.iter().any(|range| range.contains(ip));
    let place = details.iter().filter(|(at, _)| matches!(at, 0 | 2)).map(|(_, text)| text.as_str());
    let place: Vec<&str> = place.collect();
    let mut sample = if leak {
        Sample::new(Status::Critical, format!("LEAK: others see the forbidden address {ip}"))
    } else if place.is_empty() {
        Sample::new(Status::Passing, format!("others see {ip}"))
    } else {
        Sample::new(Status::Passing, format!("others see {ip} ({})", place.join(", ")))
    };
    sample.flag(&value::LEAK, leak);
    sample.flag(&value::OK, !leak);
    sample.text(&value::IP, ip.to_string());
    for (at, text) in details {
        if let Some((name, _)) = DETAILS.get(*at) {
            sample.text(name, text.clone());
        }
    }
    sample
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn judged(address: &str, forbidden: &[&str]) -> String {
        let told = Told { address: address.to_owned(), details: Vec::new(), by: "gluetun".to_owned() };
        let forbidden: Vec<IpRange> = forbidden.iter().map(|text| IpRange::parse(text).unwrap()).collect();
        let sample = judge(&told, &forbidden);
        let value = |name| sample.value(name).map_or("-".to_owned(), ToString::to_string);
        let (ok, leak, ip) = (value(&value::OK), value(&value::LEAK), value(&value::IP));
        format!("{} ok={ok} leak={leak} ip={ip}: {}", sample.status, sample.summary)
    }

    #[test]
    fn an_address_that_may_be_seen_passes() {
        let wanted = "passing ok=1 leak=0 ip=198.51.100.4: others see 198.51.100.4";
        assert_eq!(judged("198.51.100.4", &["203.0.113.0/24"]), wanted);
        assert_eq!(judged(" 198.51.100.4\n", &[]), wanted);
    }

    #[test]
    fn a_forbidden_address_is_a_leak_however_it_is_written() {
        let leak =
            |ip: &str| format!("critical ok=0 leak=1 ip={ip}: LEAK: others see the forbidden address {ip}");
        assert_eq!(judged("203.0.113.7", &["198.51.100.1", "203.0.113.7"]), leak("203.0.113.7"));
        assert_eq!(judged("::ffff:203.0.113.7", &["203.0.113.0/24"]), leak("203.0.113.7"));
        assert_eq!(judged("203.0.113.7", &["::ffff:203.0.113.7"]), leak("203.0.113.7"));
        assert_eq!(judged("2001:DB8:0:0::7", &["2001:db8::7"]), leak("2001:db8::7"));
        assert!(judged("2001:db8::8", &["2001:db8::7"]).starts_with("passing"));
    }

    #[test]
    fn no_address_is_critical_and_no_leak() {
        let wanted = "critical ok=0 leak=- ip=-: the public address is empty: gluetun has none";
        assert_eq!(judged("", &["0.0.0.0/0"]), wanted);
        assert_eq!(judged(" ", &[]), wanted);
    }

    #[test]
    fn what_is_no_address_is_unknown() {
        for text in ["nobody", "203.0.113.7:80", "0.0.0.0", "203.0.113.700"] {
            let wanted = format!("unknown ok=- leak=- ip=-: gluetun names `{text}`, which is no address");
            assert_eq!(judged(text, &["0.0.0.0/0"]), wanted);
        }
    }

    async fn server() -> Server {
        let control = Control {
            url: "http://127.0.0.1:1".parse().unwrap(),
            api_key: None,
            basic_auth: None,
            tls: lictor_config::Tls::default(),
        };
        Server::open(&control, Duration::from_secs(1)).await.unwrap()
    }

    fn named(details: &[(usize, String)]) -> Vec<String> {
        let name = |at: usize| LazyLock::force(DETAILS[at].0).as_str();
        details.iter().map(|(at, text)| format!("{}={text}", name(*at))).collect()
    }

    #[tokio::test]
    async fn details_are_found_under_their_usual_names_and_cut() {
        let document = json!({
            "ip": "198.51.100.4", "country": "", "country_name": "Sweden", "city": "Malm\u{f6}\u{202e}",
            "org": "x".repeat(500), "loc": "55.6,13.0", "postal": 21_120, "mullvad_exit_ip": true,
        });
        let found = named(&details(&server().await, &[&document]));
        let long = format!("organization={}\u{2026}", "x".repeat(DETAIL));
        let wanted =
            ["country=Sweden", r"city=Malmö\u{202e}", &long, "location=55.6,13.0", "postal_code=21120"];
        assert_eq!(found, wanted);
    }

    #[test]
    fn the_address_is_where_the_pointer_leads() {
        let document = json!({ "data": { "ip": "198.51.100.4" }, "query": "203.0.113.7", "n": 4 });
        assert_eq!(address(&document, "/data/ip"), Some("198.51.100.4"));
        assert_eq!(address(&document, "/data"), Some("198.51.100.4"));
        assert_eq!(address(&document, ""), Some("203.0.113.7"));
        assert_eq!(address(&document, "/n"), None);
        assert_eq!(address(&document, "/ip"), None);
    }
}
