//! Consul's checks as a source of alerts, with servers that answer what none should.
#![cfg(test)]

use std::time::Duration;

use lictor_agent::alert::consul::Timing;

use crate::alert_consul_rig::{Act, StandIn, Taker, hasty, impatient, list};

const STATE: &str = "health/state/any";

/// Takes the reports of a server that does this.
async fn taker(acts: &[Act]) -> (Taker, StandIn) {
    let server = StandIn::start(acts).await;
    let taker = Taker::of(impatient(&server.url), &["dc1"], hasty());
    (taker, server)
}

fn good(index: u64, checks: &[(&str, &str)]) -> Act {
    Act::List(index, list(checks))
}

const A: (&str, &str) = ("a", "passing");
const B: (&str, &str) = ("b", "warning");

#[tokio::test(flavor = "multi_thread")]
async fn after_a_whole_list_only_changes_are_asked_for_and_told() {
    let acts = [good(10, &[A, B]), good(11, &[A, ("b", "critical")]), good(12, &[A, ("b", "critical")])];
    let (mut taker, server) = taker(&acts).await;
    taker.until(|taker| taker.status("/b") == "critical").await;
    assert_eq!(taker.said(), ["complete 2", "consul/dc1/n/_/b critical"]);
    server.then(good(13, &[("b", "critical")]));
    taker.until(|taker| taker.now.len() == 1).await;
    assert_eq!(taker.said(), ["-consul/dc1/n/_/a"], "an index that moved without a change is not told");
    let wait = "wait=2000ms";
    assert_eq!(
        server.asked()[..4],
        [
            format!("{STATE}?dc=dc1&consistent"),
            format!("{STATE}?index=10&dc=dc1&{wait}"),
            format!("{STATE}?index=11&dc=dc1&{wait}"),
            format!("{STATE}?index=12&dc=dc1&{wait}"),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_goes_back_is_not_trusted() {
    let (mut taker, server) = taker(&[good(900, &[A, B]), good(12, &[A]), good(12, &[A, B])]).await;
    taker.take().await;
    taker.take().await;
    assert_eq!(taker.said(), ["complete 2", "complete 2"], "the answer from before is of no use");
    let asked = server.asked();
    assert_eq!(asked[2], format!("{STATE}?dc=dc1&consistent"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_is_told_when_it_lasts_and_everything_is_read_anew() {
    let fault = Act::Status(500, "No cluster leader");
    let (mut taker, server) = taker(&[good(5, &[A, B]), fault.clone(), good(6, &[A, B])]).await;
    taker.take().await;
    taker.take().await;
    assert_eq!(taker.said(), ["complete 2", "complete 2"], "a short one is not told");

    for _ in 0..8 {
        server.then(fault.clone());
    }
    taker.take().await;
    assert_eq!(taker.said(), ["lost consul/dc1: GET /v1/health/state/any: 500: No cluster leader"]);
    server.then(good(7, &[B]));
    taker.take().await;
    assert_eq!(taker.said(), ["complete 1"], "the same reason is told once");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_senseless_answer_is_taken_for_a_list() {
    let whole = list(&[A, B]);
    let half = whole.get(..80).unwrap();
    let cut =
        format!("HTTP/1.1 200 OK\r\nX-Consul-Index: 6\r\nContent-Length: {}\r\n\r\n{}", whole.len(), half);
    let chunked = "HTTP/1.1 200 OK\r\nX-Consul-Index: 6\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[{\"No";
    let huge = format!("[{}]", vec![r#"{"Node":"n","CheckID":"c","Status":"passing"}"#; 30_000].join(","));
    let unlisted =
        format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{whole}", whole.len());
    for (act, told) in [
        (Act::Raw(cut), "the connection broke"),
        (Act::Raw(chunked.to_owned()), "the connection broke"),
        (Act::Raw("SSH-2.0-OpenSSH\r\n".to_owned()), "the connection broke"),
        (Act::List(6, "<html>Bad gateway</html>".to_owned()), "unexpected `<`"),
        (Act::List(6, "{}".to_owned()), "unexpected `{`"),
        (Act::List(6, r#"[{"Node":"n"}]"#.to_owned()), "missing field"),
        (Act::List(6, r#"[{"Node":"n","CheckID":7,"Status":"passing"}]"#.to_owned()), "invalid type"),
        (Act::List(6, half.to_owned()), "the list is cut off"),
        (Act::List(6, huge), "larger than 1048576 bytes"),
        (Act::Raw(unlisted), "without an index"),
        (Act::Status(404, "404 page not found"), "404: 404 page not found"),
        (Act::Status(301, ""), "301"),
    ] {
        let (mut taker, server) = taker(&[good(5, &[A, B])]).await;
        taker.take().await;
        for _ in 0..8 {
            server.then(act.clone());
        }
        taker.take().await;
        assert!(taker.lost.as_ref().unwrap().contains(told), "{told}: {:?}", taker.lost);
        assert_eq!(taker.now.len(), 2, "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_is_given_up_and_told() {
    let head = "HTTP/1.1 200 OK\r\nX-Consul-Index: 6\r\nContent-Length: 1000\r\n\r\n[{\"Node\":";
    for bytes in ["", head] {
        let hang = Act::Hang(bytes.to_owned());
        let (mut taker, server) = taker(&[good(5, &[A, B]), hang, good(9, &[A])]).await;
        taker.take().await;
        taker.take().await;
        let lost = taker.lost.clone().unwrap();
        assert!(lost.ends_with("no whole answer within 2.625s"), "{lost}");
        taker.take().await;
        assert_eq!(taker.said().len(), 3);
        assert_eq!((taker.lost.clone(), taker.now.len()), (None, 1));
        drop(server);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_list_is_never_believed() {
    let nodes = r#"[{"ID":"","Node":"n","Address":"127.0.0.1"}]"#;
    let empty = || Act::List(6, "[]".to_owned());
    let (mut taker, server) = taker(&[
        good(5, &[A, B]),
        empty(),
        Act::List(6, nodes.to_owned()),
        empty(),
        Act::List(7, "null".to_owned()),
    ])
    .await;
    taker.take().await;
    taker.take().await;
    let said = taker.said();
    assert!(
        said[1].starts_with("lost consul/dc1: Consul shows no check at all, but 1 nodes: the token needs"),
        "{said:?}"
    );
    server.then(good(8, &[A]));
    taker.take().await;
    assert_eq!(taker.said(), ["complete 1"]);
    let asked = server.asked();
    assert_eq!(asked[2], "catalog/nodes?dc=dc1&consistent");
    assert!(asked[3..6].iter().all(|line| *line == format!("{STATE}?dc=dc1&consistent")), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_begins_to_leave_something_out_is_not_believed() {
    let filtered = |index, checks: &[_]| Act::Filtered(index, list(checks));
    let (mut taker, server) = taker(&[good(5, &[A, B]), filtered(6, &[A]), filtered(6, &[A])]).await;
    taker.take().await;
    taker.take().await;
    let said = taker.said();
    assert!(said[1].starts_with("lost consul/dc1: Consul no longer shows the token everything"), "{said:?}");
    server.then(good(7, &[A]));
    taker.take().await;
    assert_eq!(taker.said(), ["complete 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_always_saw_a_part_only_is_fine() {
    let filtered = |index, checks: &[_]| Act::Filtered(index, list(checks));
    let (mut taker, _server) = taker(&[filtered(5, &[A, B]), filtered(6, &[A])]).await;
    taker.until(|taker| taker.now.len() == 1).await;
    assert_eq!(taker.said(), ["complete 2", "-consul/dc1/n/_/b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_never_holds_is_not_asked_as_fast_as_it_answers() {
    let same = good(5, &[A]);
    let acts = vec![same; 60];
    let (mut taker, server) = taker(&acts).await;
    taker.take().await;
    taker.silent(Duration::from_secs(2)).await;
    let asked = server.asked().len();
    assert!(asked <= 12, "{asked} requests");
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_that_come_in_a_storm_are_read_together() {
    let server = StandIn::start(&[]).await;
    for index in 5..60 {
        server.then(good(index, &[A, ("b", if index % 2 == 0 { "passing" } else { "critical" })]));
    }
    let gap = Duration::from_millis(200);
    let mut taker = Taker::of(impatient(&server.url), &["dc1"], Timing { gap, ..hasty() });
    taker.take().await;
    let begun = tokio::time::Instant::now();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let most = usize::try_from(begun.elapsed().as_millis() / gap.as_millis()).unwrap() + 2;
    let asked = server.asked().len();
    assert!(asked <= most, "{asked} requests, at most {most}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_answer_is_good_enough_where_that_is_wanted() {
    let server = StandIn::start(&[good(5, &[A]), good(6, &[B])]).await;
    let mut taker = Taker::with(impatient(&server.url), &["dc1"], |source| source.timed(hasty()).stale());
    taker.until(|taker| taker.status("/b") == "warning").await;
    assert_eq!(
        server.asked()[..2],
        [format!("{STATE}?dc=dc1&stale"), format!("{STATE}?index=5&dc=dc1&wait=2000ms&stale")]
    );
}
