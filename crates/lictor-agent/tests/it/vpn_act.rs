//! `act "vpn"` against a stand-in for gluetun's control server.
#![cfg(test)]

use std::time::Duration;

use lictor_config::{Action, Control, Secret, Tls, VpnAction};
use lictor_core::Outcome;
use lictor_testkit::gluetun::{Auth, Fault, Gluetun};
use tokio::time::Instant;

use crate::act_bench::{Bench, LONG, done, failed, order, unknown};

/// A limit that is run into.
const BRIEF: Duration = Duration::from_secs(3);

const KEY: &str = "hunter2-api-key";

fn action(gluetun: &Gluetun) -> Action {
    let url = gluetun.url().parse().unwrap();
    let control = Control { url, api_key: Some(Secret::value(KEY)), basic_auth: None, tls: Tls::default() };
    Action::Vpn(Box::new(VpnAction { control }))
}

async fn act(gluetun: &Gluetun, limit: Duration) -> Outcome {
    Bench::new(action(gluetun)).act(&order(), limit).await
}

/// The orders it was given: route and wanted status.
fn orders(gluetun: &Gluetun) -> Vec<String> {
    let puts = gluetun.asked().into_iter().filter(|asked| asked.method == "PUT");
    puts.map(|put| format!("{} {}", put.path, put.body)).collect()
}

const STOP: &str = r#"/v1/vpn/status {"status":"stopped"}"#;
const START: &str = r#"/v1/vpn/status {"status":"running"}"#;

#[tokio::test]
async fn the_tunnel_is_stopped_and_started_and_then_it_runs() {
    let gluetun = Gluetun::start();
    gluetun.set(|gluetun| {
        gluetun.auth = Auth::ApiKey(KEY.to_owned());
        gluetun.blocks = Duration::from_millis(300);
        gluetun.starting = Duration::from_millis(500);
    });
    let begun = Instant::now();
    let outcome = act(&gluetun, LONG).await;
    assert!(begun.elapsed() >= Duration::from_millis(1_100), "{:?}", begun.elapsed());
    let detail = done(&outcome);
    assert!(detail.starts_with("the tunnel was stopped (stopped) and started; it runs after "), "{detail}");
    assert_eq!(orders(&gluetun), [STOP, START]);
    assert_eq!(gluetun.status(), "running");
}

#[tokio::test]
async fn it_may_be_done_again_whatever_is() {
    for status in ["stopped", "crashed", "starting"] {
        let gluetun = Gluetun::start();
        gluetun.set(|gluetun| status.clone_into(&mut gluetun.status));
        done(&act(&gluetun, LONG).await);
        assert_eq!(gluetun.status(), "running");
    }
}

#[tokio::test]
async fn a_start_that_fails_is_tried_until_it_works() {
    let gluetun = Gluetun::start();
    gluetun.set(|gluetun| gluetun.refuses_start = 2);
    done(&act(&gluetun, LONG).await);
    assert_eq!(orders(&gluetun), [STOP, START, START, START]);
}

#[tokio::test]
async fn a_tunnel_that_is_left_stopped_is_told_of() {
    let gluetun = Gluetun::start();
    gluetun.set(|gluetun| gluetun.refuses_start = u32::MAX);
    let outcome = act(&gluetun, BRIEF).await;
    let detail = failed(&outcome);
    assert!(
        detail.starts_with("the tunnel does not run after 3.0 s: it was told to stop (stopped), "),
        "{detail}"
    );
    assert!(detail.contains("status 500: the loop is gone; it may be left stopped"), "{detail}");
    assert!(orders(&gluetun).len() >= 3, "{:?}", orders(&gluetun));
}

#[tokio::test]
async fn one_that_crashes_when_it_is_started_is_a_failure() {
    let gluetun = Gluetun::start();
    gluetun.set(|gluetun| "crashed".clone_into(&mut gluetun.comes_up));
    let outcome = act(&gluetun, BRIEF).await;
    assert!(failed(&outcome).ends_with("and to start, but says crashed"), "{outcome:?}");
}

#[tokio::test]
async fn a_server_that_goes_away_in_between_leaves_it_unknown() {
    let gluetun = Gluetun::start();
    gluetun.set(|gluetun| gluetun.starting = LONG);
    let away = async {
        while orders(&gluetun).len() < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        gluetun.stop();
    };
    let (outcome, ()) = tokio::join!(act(&gluetun, BRIEF), away);
    let detail = unknown(&outcome);
    assert!(detail.contains("cannot be looked at: gluetun at http://"), "{detail}");
}

#[tokio::test]
async fn a_refusal_leaves_it_as_it_is_and_names_the_routes() {
    let gluetun = Gluetun::start();
    gluetun.set(|gluetun| gluetun.auth = Auth::Private);
    let outcome = act(&gluetun, LONG).await;
    let detail = failed(&outcome);
    assert!(detail.starts_with("the tunnel was left as it is: gluetun at http://"), "{detail}");
    assert!(detail.contains("\"PUT /v1/vpn/status\" and \"GET /v1/vpn/status\""), "{detail}");
    assert!(!detail.contains(KEY), "{detail}");
    assert_eq!(gluetun.status(), "running");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_failure() {
    let gluetun = Gluetun::start();
    gluetun.stop();
    let outcome = act(&gluetun, LONG).await;
    assert!(failed(&outcome).starts_with("the tunnel was left as it is: "), "{outcome:?}");
}

#[tokio::test]
async fn one_that_hangs_is_left_at_the_time_limit() {
    let gluetun = Gluetun::start();
    gluetun.set(|gluetun| gluetun.fault = Some(Fault::Hang));
    let begun = Instant::now();
    unknown(&act(&gluetun, BRIEF).await);
    assert!(begun.elapsed() < BRIEF + Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn an_old_gluetun_is_told_by_its_old_route_when_it_has_openvpn() {
    let gluetun = Gluetun::start();
    gluetun.set(|gluetun| gluetun.old = true);
    done(&act(&gluetun, LONG).await);
    let old = |order: &str| order.replace("/v1/vpn/", "/v1/openvpn/");
    assert_eq!(orders(&gluetun), [STOP.to_owned(), old(STOP), old(START)]);
}

#[tokio::test]
async fn an_old_gluetun_with_wireguard_is_left_as_it_is() {
    let gluetun = Gluetun::start();
    gluetun.set(|gluetun| (gluetun.old, gluetun.wireguard) = (true, true));
    let outcome = act(&gluetun, LONG).await;
    let why = "it is of before 3.31, and does not say that OpenVPN runs: bring it up to date";
    assert!(failed(&outcome).ends_with(why), "{outcome:?}");
    assert_eq!(orders(&gluetun), [STOP]);
}

#[tokio::test]
async fn the_key_appears_in_nothing_that_is_told() {
    for fault in [
        Fault::Status(500, format!("who is {KEY}?")),
        Fault::Status(400, format!("no {KEY}")),
        Fault::Body(format!(r#"{{"outcome":"{KEY}","status":"{KEY}"}}"#)),
    ] {
        let gluetun = Gluetun::start();
        gluetun.set(|gluetun| gluetun.fault = Some(fault));
        let outcome = format!("{:?} {:?}", act(&gluetun, BRIEF).await, action(&gluetun));
        assert!(!outcome.contains(KEY), "{outcome}");
    }
}
