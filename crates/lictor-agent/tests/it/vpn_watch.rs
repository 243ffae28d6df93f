//! VPN watchers at a stand-in for gluetun's control server, at documents of others, and with
//! programs in place of `wg` and `tailscale`.
#![cfg(test)]

use std::time::Duration;

use lictor_agent::watch::Memory;
use lictor_config::{Control, Secret, Tls, Vpn, VpnSource, Watch, WatchKind};
use lictor_core::{Sample, Status, Value};
use lictor_testkit::gluetun::{Auth, Fault, Gluetun};
use tokio::io::AsyncWriteExt as _;

use crate::watch_rig::{LONG, Rig, SHORT, number, read_request, watch};

const GRACE: Duration = Duration::from_secs(60);

const KEY: &str = "hunter2-api-key";

fn control(url: &str) -> Control {
    Control { url: url.parse().unwrap(), api_key: None, basic_auth: None, tls: Tls::default() }
}

fn of(source: VpnSource, limit: Duration) -> Watch {
    watch(WatchKind::Vpn(Box::new(Vpn { source, grace: GRACE })), limit)
}

fn asking(gluetun: &Gluetun) -> Watch {
    of(VpnSource::Gluetun(control(&gluetun.url())), LONG)
}

fn text(sample: &Sample, name: &str) -> String {
    match sample.value(&name.parse().unwrap()) {
        Some(Value::Text(text)) => text.clone(),
        Some(Value::Number(_)) | None => "-".to_owned(),
    }
}

/// `status up word raw: summary`, with `-` for what is not there.
fn shown(sample: &Sample) -> String {
    let up = number(sample, "up").map_or_else(|| "-".to_owned(), |up| up.to_string());
    let (status, word, raw) = (sample.status, text(sample, "status"), text(sample, "raw"));
    assert!(number(sample, "total_seconds").is_some(), "{sample:?}");
    assert_eq!(up == "1", status == Status::Passing, "up is 1 when it passes, and only then: {sample:?}");
    format!("{status} {up} {word} {raw}: {}", sample.summary)
}

async fn seen(rig: &Rig, watch: &Watch) -> String {
    shown(&rig.sample(watch).await)
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
    format!("http://{address}/status?token=hunter2")
}

#[tokio::test]
async fn each_word_of_gluetun_means_something() {
    let (rig, gluetun) = (Rig::new(), Gluetun::start());
    for (word, wanted) in [
        ("running", "passing 1 running running: the tunnel is up: gluetun says running"),
        ("stopped", "critical 0 stopped stopped: the tunnel is down: gluetun says stopped"),
        ("crashed", "critical 0 error crashed: the tunnel is down: gluetun says crashed"),
        ("starting", "unknown - unknown starting: gluetun says starting"),
        ("stopping", "unknown - stopped stopping: gluetun says stopping"),
        (
            "completed",
            "unknown - unknown completed: gluetun says completed: whether the tunnel is up, it does not",
        ),
        (
            "dreaming\u{1b}[2J",
            r"unknown - unknown dreaming\u{1b}[2J: gluetun says `dreaming\u{1b}[2J`, which is no status that is known",
        ),
    ] {
        gluetun.set(|gluetun| word.clone_into(&mut gluetun.status));
        assert_eq!(seen(&rig, &asking(&gluetun)).await, wanted);
    }
}

#[tokio::test]
async fn starting_for_too_long_is_critical() {
    let (rig, gluetun) = (Rig::new(), Gluetun::start());
    gluetun.set(|gluetun| "starting".clone_into(&mut gluetun.status));
    let source = VpnSource::Gluetun(control(&gluetun.url()));
    let grace = Duration::from_millis(100);
    let watch = watch(WatchKind::Vpn(Box::new(Vpn { source, grace })), LONG);
    let mut memory = Memory::default();
    let first = shown(&rig.look_again(&watch, &mut memory).await.sample.unwrap());
    assert!(first.starts_with("unknown - unknown starting"), "{first}");
    tokio::time::sleep(grace).await;
    let second = shown(&rig.look_again(&watch, &mut memory).await.sample.unwrap());
    let begins = "critical 0 unknown starting: gluetun says starting, and not up after ";
    assert!(second.starts_with(begins), "{second}");
}

#[tokio::test]
async fn who_refuses_us_is_unknown_and_the_way_out_is_told() {
    let (rig, gluetun) = (Rig::new(), Gluetun::start());
    let place = gluetun.url();
    let wanted = format!(
        "unknown - unknown -: gluetun at {place} refuses us (status 401): since 3.39.1 it wants a role in its \
         auth/config.toml that lists \"GET /v1/vpn/status\", and here the api_key or basic_auth of that role"
    );
    for auth in [
        Auth::ApiKey(KEY.to_owned()),
        Auth::Basic("me".to_owned(), "hunter2-password".to_owned()),
        Auth::Private,
    ] {
        gluetun.set(|gluetun| gluetun.auth = auth);
        assert_eq!(seen(&rig, &asking(&gluetun)).await, wanted);
    }
    gluetun.set(|gluetun| gluetun.fault = Some(Fault::Status(403, "no".to_owned())));
    assert!(seen(&rig, &asking(&gluetun)).await.contains("refuses us (status 403)"));
}

#[tokio::test]
async fn the_key_or_the_password_is_shown_and_appears_nowhere() {
    let (rig, gluetun) = (Rig::new(), Gluetun::start());
    let mut keyed = control(&gluetun.url());
    keyed.api_key = Some(Secret::value(KEY));
    gluetun.set(|gluetun| gluetun.auth = Auth::ApiKey(KEY.to_owned()));
    let watch = of(VpnSource::Gluetun(keyed.clone()), LONG);
    assert!(seen(&rig, &watch).await.starts_with("passing"));
    assert_eq!(gluetun.asked()[0].api_key.as_deref(), Some(KEY));
    // Neither when it is repeated to us.
    for fault in [
        Fault::Status(500, format!("who is {KEY}?")),
        Fault::Body(format!(r#"{{"status":"{KEY}"}}"#)),
        Fault::Body(format!("not JSON: {KEY}")),
        Fault::Redirect(format!("http://{KEY}.example/")),
    ] {
        gluetun.set(|gluetun| gluetun.fault = Some(fault));
        let sample = rig.sample(&watch).await;
        assert_eq!(sample.status, Status::Unknown);
        let all = format!("{sample:?} {watch:?}");
        assert!(!all.contains(KEY), "{all}");
    }
    let basic = Some(("me".to_owned(), Secret::value("hunter2-password")));
    gluetun.set(|gluetun| {
        gluetun.fault = None;
        gluetun.auth = Auth::Basic("me".to_owned(), "hunter2-password".to_owned());
    });
    let watch = of(VpnSource::Gluetun(Control { basic_auth: basic, ..keyed }), LONG);
    assert!(seen(&rig, &watch).await.starts_with("passing"));
}

#[tokio::test]
async fn a_server_that_is_away_is_never_critical() {
    let (rig, gluetun) = (Rig::new(), Gluetun::start());
    gluetun.stop();
    let found = seen(&rig, &asking(&gluetun)).await;
    // Asked three times: it does not work.
    let begins = format!("unknown - error -: gluetun at {} cannot be reached: ", gluetun.url());
    assert!(found.starts_with(&begins) && found.to_lowercase().contains("connection refused"), "{found}");
    let hasty = of(VpnSource::Gluetun(control(&gluetun.url())), SHORT);
    let found = seen(&rig, &hasty).await;
    assert!(found.starts_with("unknown - unknown -"), "asked once only: {found}");
    gluetun.resume();
    assert!(seen(&rig, &hasty).await.starts_with("passing"));
}

#[tokio::test]
async fn a_server_that_comes_back_in_a_moment_is_asked_again() {
    let (rig, gluetun) = (Rig::new(), Gluetun::start());
    gluetun.stop();
    let watch = asking(&gluetun);
    let (found, ()) = tokio::join!(seen(&rig, &watch), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        gluetun.resume();
    });
    assert!(found.starts_with("passing"), "{found}");
}

#[tokio::test]
async fn a_server_that_hangs_is_left_at_the_time_limit() {
    let (rig, gluetun) = (Rig::new(), Gluetun::start());
    gluetun.set(|gluetun| gluetun.fault = Some(Fault::Hang));
    let begun = tokio::time::Instant::now();
    let found = seen(&rig, &of(VpnSource::Gluetun(control(&gluetun.url())), SHORT)).await;
    assert!(found.starts_with("unknown - unknown -: "), "{found}");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn what_makes_no_sense_is_unknown() {
    let (rig, gluetun) = (Rig::new(), Gluetun::start());
    let huge = "x".repeat(70_000);
    for (fault, word, why) in [
        (Fault::Body("<html>".to_owned()), "unknown", "does not say: the answer is not JSON: "),
        (Fault::Body("{}".to_owned()), "unknown", "does not say: the answer has no `status`"),
        (Fault::Body(r#"{"status":7}"#.to_owned()), "unknown", "does not say: the answer has no `status`"),
        (Fault::Body(huge), "unknown", "does not say: the answer is larger than 64 KiB"),
        (Fault::Status(500, "oh\nno\n".to_owned()), "error", "does not say: status 500: oh no"),
        (Fault::Status(418, String::new()), "unknown", "does not say: status 418"),
        (Fault::Cut, "unknown", "does not say: "),
    ] {
        gluetun.set(|gluetun| gluetun.fault = Some(fault));
        let found = seen(&rig, &of(VpnSource::Gluetun(control(&gluetun.url())), SHORT)).await;
        let begins = format!("unknown - {word} -: gluetun at {} {why}", gluetun.url());
        assert!(found.starts_with(&begins), "{found}");
    }
}

#[tokio::test]
async fn an_old_gluetun_is_asked_by_its_old_route_and_that_is_remembered() {
    let (rig, gluetun) = (Rig::new(), Gluetun::start());
    gluetun.set(|gluetun| gluetun.old = true);
    let (watch, mut memory) = (asking(&gluetun), Memory::default());
    for _ in 0..2 {
        let found = shown(&rig.look_again(&watch, &mut memory).await.sample.unwrap());
        assert!(found.starts_with("passing 1 running running"), "{found}");
    }
    let paths: Vec<String> = gluetun.asked().into_iter().map(|asked| asked.path).collect();
    assert_eq!(paths, ["/v1/vpn/status", "/v1/openvpn/status", "/v1/openvpn/status"]);
    gluetun.set(|gluetun| "stopped".clone_into(&mut gluetun.status));
    let found = shown(&rig.look_again(&watch, &mut memory).await.sample.unwrap());
    assert!(found.starts_with("critical 0 stopped stopped"), "it did run: {found}");
}

#[tokio::test]
async fn an_old_gluetun_that_never_ran_openvpn_may_have_wireguard() {
    let (rig, gluetun) = (Rig::new(), Gluetun::start());
    gluetun.set(|gluetun| (gluetun.old, gluetun.wireguard) = (true, true));
    let found = seen(&rig, &asking(&gluetun)).await;
    let why = "gluetun says stopped, but one before 3.31 always does with WireGuard: bring it up to date";
    assert_eq!(found, format!("unknown - unknown stopped: {why}"));
}

#[tokio::test]
async fn a_gluetun_that_was_brought_up_to_date_is_not_taken_for_stopped() {
    let (rig, gluetun) = (Rig::new(), Gluetun::start());
    gluetun.set(|gluetun| gluetun.old = true);
    let (watch, mut memory) = (asking(&gluetun), Memory::default());
    rig.look_again(&watch, &mut memory).await;
    gluetun.set(|gluetun| (gluetun.old, gluetun.wireguard) = (false, true));
    let found = shown(&rig.look_again(&watch, &mut memory).await.sample.unwrap());
    assert!(found.starts_with("passing 1 running running"), "{found}");
}

#[tokio::test]
async fn a_redirect_is_followed_on_the_same_server_only() {
    let (rig, gluetun) = (Rig::new(), Gluetun::start());
    gluetun.set(|gluetun| gluetun.fault = Some(Fault::Redirect("/v1/openvpn/status".to_owned())));
    let found = seen(&rig, &asking(&gluetun)).await;
    assert!(found.starts_with("passing"), "{found}");
    let other = Gluetun::start();
    let elsewhere = format!("{}/v1/openvpn/status", other.url());
    gluetun.set(|gluetun| gluetun.fault = Some(Fault::Redirect(elsewhere)));
    let found = seen(&rig, &asking(&gluetun)).await;
    let why = format!("status 301: it redirects to another server, {}: name that one", other.url());
    assert!(found.starts_with("unknown") && found.ends_with(&why), "{found}");
    assert_eq!(other.asked(), []);
}

#[tokio::test]
async fn a_redirect_without_end_is_left() {
    let (rig, gluetun) = (Rig::new(), Gluetun::start());
    // Leads to where it came from, by another name of it.
    gluetun.set(|gluetun| gluetun.fault = Some(Fault::Redirect("/v1/vpn/status?again".to_owned())));
    let found = seen(&rig, &asking(&gluetun)).await;
    assert!(found.ends_with("does not say: it redirects more than 3 times"), "{found}");
    assert_eq!(gluetun.asked().len(), 4);
}

#[tokio::test]
async fn a_document_is_up_when_the_pointer_leads_to_a_wanted_value() {
    let rig = Rig::new();
    let url = document(&rig, r#"{"vpn":{"status":"Connected","ok":true,"n":2,"none":null}}"#).await;
    let place = url.split("/status").next().unwrap().to_owned();
    let source = |pointer: &str, up: &[&str]| VpnSource::Json {
        control: control(&url),
        pointer: pointer.to_owned(),
        up: up.iter().map(|up| (*up).to_owned()).collect(),
    };
    let see = async |pointer: &str, up: &[&str]| seen(&rig, &of(source(pointer, up), LONG)).await;
    let up = |pointer: &str, raw: &str| {
        format!("passing 1 running {raw}: the tunnel is up: {pointer} of {place} is {raw}")
    };
    assert_eq!(see("/vpn/status", &["running", "Connected"]).await, up("/vpn/status", "Connected"));
    assert_eq!(see("/vpn/ok", &["true"]).await, up("/vpn/ok", "true"));
    assert_eq!(see("/vpn/n", &["2"]).await, up("/vpn/n", "2"));
    let down =
        format!("critical 0 stopped Connected: the tunnel is down: /vpn/status of {place} is Connected");
    assert_eq!(see("/vpn/status", &["running"]).await, down);
    for nothing in ["/vpn", "/vpn/none", "/gone"] {
        let why = format!("the document of {place} has no text, number or truth at {nothing}");
        assert_eq!(see(nothing, &["running"]).await, format!("unknown - unknown -: {why}"));
    }
}

#[tokio::test]
async fn a_document_that_cannot_be_read_is_unknown_and_its_address_stays_secret() {
    let rig = Rig::new();
    let url = document(&rig, "up").await;
    let source = VpnSource::Json { control: control(&url), pointer: "/up".into(), up: vec!["1".into()] };
    let found = seen(&rig, &of(source, LONG)).await;
    assert!(found.starts_with("unknown - unknown -: the document of http://127.0.0.1:"), "{found}");
    assert!(
        found.contains("cannot be read: the answer is not JSON") && !found.contains("hunter2"),
        "{found}"
    );
}

fn shell(script: &str) -> Vec<String> {
    ["/bin/sh", "-c", script].map(str::to_owned).to_vec()
}

fn wireguard(command: Vec<String>, interface: Option<&str>) -> Watch {
    let interface = interface.map(str::to_owned);
    of(VpnSource::WireGuard { command, interface, handshake: Duration::from_secs(190) }, LONG)
}

#[tokio::test]
async fn a_young_handshake_is_up_and_an_old_one_is_not() {
    let rig = Rig::new();
    let dump = |ago: u32| {
        let interface = r"printf 'wg0\tPRIVATE-KEY\tpublic\t51820\toff\n'";
        let peer = r"printf 'wg0\tpeer\tPRESHARED-KEY\t203.0.113.9:51820\t0.0.0.0/0\t%s\t1500\t900\t25\n'";
        shell(&format!("{interface}; {peer} $(($(date +%s) - {ago}))"))
    };
    let sample = rig.sample(&wireguard(dump(20), Some("wg0"))).await;
    assert_eq!(sample.status, Status::Passing, "{}", sample.summary);
    assert!((20.0..25.0).contains(&number(&sample, "handshake_age_seconds").unwrap()), "{sample:?}");
    assert_eq!((number(&sample, "rx_bytes"), number(&sample, "tx_bytes")), (Some(1500.0), Some(900.0)));
    assert_eq!((text(&sample, "status"), number(&sample, "up")), ("running".to_owned(), Some(1.0)));

    let sample = rig.sample(&wireguard(dump(400), None)).await;
    assert_eq!(sample.status, Status::Critical, "{}", sample.summary);
    assert!(number(&sample, "handshake_age_seconds").unwrap() >= 400.0);
    assert!(!format!("{sample:?}").contains("-KEY"), "{sample:?}");
    let found = seen(&rig, &wireguard(dump(20), Some("wg1"))).await;
    let why = "the tunnel is down: there is no WireGuard interface `wg1`";
    assert_eq!(found, format!("critical 0 stopped -: {why}"));
}

#[tokio::test]
async fn a_program_that_cannot_be_run_or_fails_is_unknown() {
    let rig = Rig::new();
    let absent = vec!["/nonexistent/wg".to_owned()];
    let found = seen(&rig, &wireguard(absent, None)).await;
    let why = "cannot start `/nonexistent/wg`: no such file or directory";
    assert_eq!(found, format!("unknown - unknown -: {why}"));
    let found = seen(&rig, &wireguard(shell("echo Operation not permitted >&2; exit 1"), None)).await;
    assert_eq!(found, "unknown - unknown -: `/bin/sh` failed: Operation not permitted");
    let slow = of(VpnSource::Tailscale { command: shell("exec sleep 60") }, SHORT);
    let found = seen(&rig, &slow).await;
    assert_eq!(found, "unknown - unknown -: `/bin/sh` took longer than 300ms and was ended");
}

#[tokio::test]
async fn a_tailnet_of_any_size_is_read() {
    let rig = Rig::new();
    let peers = r#"yes '"nodekey:0123456789abcdef":{"Online":true},' | head -n 20000"#;
    let script = format!(
        r#"printf '{{"BackendState":"Running","Self":{{"Online":true}},"Peer":{{'; {peers}; printf '"z":{{}}}}}}'"#
    );
    let found = seen(&rig, &of(VpnSource::Tailscale { command: shell(&script) }, LONG)).await;
    assert_eq!(found, "passing 1 running Running: the tunnel is up: tailscale says Running");
}
