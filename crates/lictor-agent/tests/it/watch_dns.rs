//! DNS watchers against a name server of the test's own, and against the system's resolver.
#![cfg(test)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, MX, PTR, SOA, SRV, TXT};
use hickory_proto::rr::{Name, RData, Record};
use lictor_agent::OnEnd;
use lictor_config::{Dns, DnsRecord, Watch, WatchKind};
use lictor_core::Status;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};

use crate::watch_rig::{LONG, Rig, SHORT, number, watch};

fn dns(name: &str, record: DnsRecord, server: SocketAddr) -> Dns {
    Dns {
        name: name.into(),
        record,
        server: Some(server),
        expect: Vec::new(),
        others: true,
        warn_slower: None,
    }
}

fn of(dns: Dns) -> Watch {
    watch(WatchKind::Dns(dns), LONG)
}

fn fqdn(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

/// Answers each datagram with those that `answer` makes of it.
async fn server(rig: &Rig, answer: impl Fn(&Message) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
    serve(rig, UdpSocket::bind("127.0.0.1:0").await.unwrap(), answer)
}

fn serve(
    rig: &Rig,
    socket: UdpSocket,
    answer: impl Fn(&Message) -> Vec<Vec<u8>> + Send + 'static,
) -> SocketAddr {
    let address = socket.local_addr().unwrap();
    rig.tasks.spawn("name server", OnEnd::Fine, async move {
        let mut buffer = [0; 512];
        while let Ok((count, from)) = socket.recv_from(&mut buffer).await {
            let question = Message::from_vec(&buffer[..count]).unwrap();
            for datagram in answer(&question) {
                socket.send_to(&datagram, from).await.unwrap();
            }
        }
    });
    address
}

fn response(question: &Message) -> Message {
    let mut answer = Message::new(question.metadata.id, MessageType::Response, OpCode::Query);
    answer.add_queries(question.queries.clone());
    answer
}

fn with(question: &Message, records: Vec<Record>) -> Vec<Vec<u8>> {
    vec![response(question).add_answers(records).to_vec().unwrap()]
}

fn code(question: &Message, code: ResponseCode) -> Vec<Vec<u8>> {
    let mut answer = response(question);
    answer.metadata.response_code = code;
    vec![answer.to_vec().unwrap()]
}

/// A port that is free for both.
async fn udp_and_tcp() -> (UdpSocket, TcpListener) {
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
            return (udp, tcp);
        }
    }
}

/// The zone of the tests.
fn zone(question: &Message) -> Vec<Vec<u8>> {
    let asked = question.queries[0].name().clone();
    let record = |data| Record::from_rdata(asked.clone(), 60, data);
    let records = match asked.to_ascii().as_str() {
        "shop.example." => {
            vec![record(RData::A(A::new(192, 0, 2, 1))), record(RData::A(A::new(192, 0, 2, 2)))]
        }
        "www.example." => vec![
            record(RData::CNAME(CNAME(fqdn("shop.example.")))),
            Record::from_rdata(fqdn("shop.example."), 60, RData::A(A::new(192, 0, 2, 1))),
            Record::from_rdata(fqdn("other.example."), 60, RData::A(A::new(192, 0, 2, 99))),
        ],
        "mail.example." => vec![record(RData::MX(MX::new(10, fqdn("mx.example."))))],
        "_http._tcp.example." => vec![record(RData::SRV(SRV::new(0, 5, 8080, fqdn("a.example."))))],
        "text.example." => vec![record(RData::TXT(TXT::new(vec!["v=spf1 ".into(), "-all".into()])))],
        "1.2.0.192.in-addr.arpa." => vec![record(RData::PTR(PTR(fqdn("shop.example."))))],
        "example." => {
            let soa = SOA::new(fqdn("ns.example."), fqdn("root.example."), 2_026_112_101, 1, 2, 3, 4);
            vec![record(RData::SOA(soa))]
        }
        "empty.example." => Vec::new(),
        "fails.example." => return code(question, ResponseCode::ServFail),
        "refused.example." => return code(question, ResponseCode::Refused),
        _ => return code(question, ResponseCode::NXDomain),
    };
    with(question, records)
}

#[tokio::test]
async fn a_name_has_its_addresses() {
    let rig = Rig::new();
    let server = server(&rig, zone).await;
    let sample = rig.sample(&of(dns("shop.example", DnsRecord::A, server))).await;
    assert_eq!(sample.status, Status::Passing);
    assert_eq!(sample.summary, "shop.example is 192.0.2.1, 192.0.2.2");
    assert_eq!(number(&sample, "answers"), Some(2.0));
    assert!(number(&sample, "total_seconds").unwrap() > 0.0);
}

#[tokio::test]
async fn every_type_of_record_is_shown_as_the_configuration_writes_it() {
    let rig = Rig::new();
    let server = server(&rig, zone).await;
    for (name, record, wanted) in [
        ("www.example", DnsRecord::A, "192.0.2.1"),
        ("www.example.", DnsRecord::Cname, "shop.example."),
        ("mail.example", DnsRecord::Mx, "10 mx.example."),
        ("_http._tcp.example", DnsRecord::Srv, "0 5 8080 a.example."),
        ("text.example", DnsRecord::Txt, "v=spf1 -all"),
        ("192.0.2.1", DnsRecord::Ptr, "shop.example."),
    ] {
        let found = rig.see(&of(dns(name, record, server))).await;
        assert_eq!(found, format!("passing: {name} is {wanted}"));
        let expecting = Dns { expect: vec![wanted.into()], others: false, ..dns(name, record, server) };
        let found = rig.see(&of(expecting)).await;
        assert!(found.starts_with("passing"), "{found}");
    }
    let sample = rig.sample(&of(dns("example", DnsRecord::Soa, server))).await;
    assert_eq!(number(&sample, "serial"), Some(2_026_112_101.0));
}

#[tokio::test]
async fn what_is_not_answered_as_wanted_is_critical() {
    let rig = Rig::new();
    let server = server(&rig, zone).await;
    for (name, record, wanted) in [
        ("gone.example", DnsRecord::A, format!("gone.example does not exist, says {server} (NXDOMAIN)")),
        ("empty.example", DnsRecord::A, format!("empty.example has no A record, says {server}")),
        ("shop.example", DnsRecord::Mx, format!("shop.example has no MX record, says {server}")),
        (
            "fails.example",
            DnsRecord::A,
            format!("{server} could not find out about fails.example (SERVFAIL)"),
        ),
        (
            "refused.example",
            DnsRecord::A,
            format!("{server} refuses to answer about refused.example (REFUSED)"),
        ),
    ] {
        let found = rig.see(&of(dns(name, record, server))).await;
        assert_eq!(found, format!("critical: {wanted}"));
    }
}

#[tokio::test]
async fn answers_are_compared_with_those_expected() {
    let rig = Rig::new();
    let server = server(&rig, zone).await;
    let see = async |expect: &[&str], others| {
        let expect = expect.iter().map(|text| (*text).to_owned()).collect();
        rig.see(&of(Dns { expect, others, ..dns("shop.example", DnsRecord::A, server) })).await
    };
    let all = "192.0.2.1, 192.0.2.2";
    assert_eq!(see(&["192.0.2.2"], true).await, format!("passing: shop.example is {all}"));
    assert_eq!(
        see(&["192.0.2.2"], false).await,
        format!("critical: shop.example is {all}; 192.0.2.1 is not expected")
    );
    assert_eq!(see(&["192.0.2.1", "192.0.2.2"], false).await, format!("passing: shop.example is {all}"));
    assert_eq!(
        see(&["192.0.2.3"], true).await,
        format!("critical: shop.example is {all}, without 192.0.2.3")
    );
}

#[tokio::test]
async fn a_silent_server_is_asked_again_and_left_at_the_time_limit() {
    let rig = Rig::new();
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let server = server(&rig, move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        Vec::new()
    })
    .await;
    let limited = watch(WatchKind::Dns(dns("shop.example", DnsRecord::A, server)), SHORT);
    let found = rig.see(&limited).await;
    assert_eq!(found, format!("critical: the answer of {server} about shop.example took longer than 300ms"));
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_lost_datagram_is_no_fault() {
    let rig = Rig::new();
    let asked = AtomicUsize::new(0);
    let server =
        server(
            &rig,
            move |question| {
                if asked.fetch_add(1, Ordering::SeqCst) == 0 { Vec::new() } else { zone(question) }
            },
        )
        .await;
    let patient = watch(WatchKind::Dns(dns("shop.example", DnsRecord::A, server)), Duration::from_secs(3));
    let found = rig.see(&patient).await;
    assert!(found.starts_with("passing: "), "{found}");
}

#[tokio::test]
async fn what_is_not_the_answer_to_our_question_is_ignored() {
    let rig = Rig::new();
    let server = server(&rig, |question| {
        let mut forged = response(question);
        forged.metadata.id = question.metadata.id.wrapping_add(1);
        forged.add_answer(Record::from_rdata(fqdn("shop.example."), 60, RData::A(A::new(203, 0, 113, 6))));
        let mut other = Message::new(question.metadata.id, MessageType::Response, OpCode::Query);
        other.metadata.response_code = ResponseCode::NXDomain;
        other
            .add_query(hickory_proto::op::Query::query(fqdn("x.example."), hickory_proto::rr::RecordType::A));
        let garbage = vec![0xff; 40];
        let mut all = vec![garbage, forged.to_vec().unwrap(), other.to_vec().unwrap()];
        all.extend(zone(question));
        all
    })
    .await;
    let found = rig.see(&of(dns("shop.example", DnsRecord::A, server))).await;
    assert_eq!(found, "passing: shop.example is 192.0.2.1, 192.0.2.2");
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_fetched_over_tcp() {
    let rig = Rig::new();
    let (socket, listener) = udp_and_tcp().await;
    let server = serve(&rig, socket, |question| {
        let mut cut = response(question);
        cut.metadata.truncation = true;
        vec![cut.to_vec().unwrap()]
    });
    rig.tasks.spawn("name server over TCP", OnEnd::Fine, async move {
        let (mut stream, _peer) = listener.accept().await.unwrap();
        let mut question = vec![0; stream.read_u16().await.unwrap().into()];
        stream.read_exact(&mut question).await.unwrap();
        let question = Message::from_vec(&question).unwrap();
        let many =
            (0..100).map(|n| Record::from_rdata(fqdn("shop.example."), 60, RData::A(A::new(192, 0, 2, n))));
        let answer = with(&question, many.collect()).remove(0);
        stream.write_u16(u16::try_from(answer.len()).unwrap()).await.unwrap();
        stream.write_all(&answer).await.unwrap();
    });
    let sample = rig.sample(&of(dns("shop.example", DnsRecord::A, server))).await;
    assert_eq!(number(&sample, "answers"), Some(100.0), "{}", sample.summary);
    let wanted = "shop.example is 192.0.2.0, 192.0.2.1, 192.0.2.2, 192.0.2.3 and 96 more";
    assert_eq!(sample.summary, wanted);
}

#[tokio::test]
async fn a_port_where_no_server_is_refuses() {
    let rig = Rig::new();
    let server = SocketAddr::from(([127, 0, 0, 1], lictor_testkit::ports::free()));
    let found = rig.see(&of(dns("shop.example", DnsRecord::A, server))).await;
    assert_eq!(found, format!("critical: cannot ask {server}: connection refused"));
}

#[tokio::test]
async fn a_chain_of_aliases_without_end_ends() {
    let rig = Rig::new();
    let server = server(&rig, |question| {
        let alias = |from: &str, to: &str| Record::from_rdata(fqdn(from), 60, RData::CNAME(CNAME(fqdn(to))));
        with(question, vec![alias("a.example.", "b.example."), alias("b.example.", "a.example.")])
    })
    .await;
    let found = rig.see(&of(dns("a.example", DnsRecord::A, server))).await;
    assert_eq!(found, format!("critical: a.example has no A record, says {server}"));
}

#[tokio::test]
async fn without_a_server_the_system_is_asked() {
    let rig = Rig::new();
    let local = Dns {
        name: "localhost".into(),
        record: DnsRecord::A,
        server: None,
        expect: vec!["127.0.0.1".into()],
        others: false,
        warn_slower: None,
    };
    assert_eq!(rig.see(&of(local.clone())).await, "passing: localhost is 127.0.0.1");
    let slow = Dns { warn_slower: Some(Duration::ZERO), ..local };
    let found = rig.see(&of(slow)).await;
    assert!(found.starts_with("warning: localhost took "), "{found}");
}

#[tokio::test]
async fn a_name_that_cannot_be_is_our_own_fault() {
    let rig = Rig::new();
    let server = server(&rig, zone).await;
    let long = format!("{}.example", "x".repeat(64));
    let found = rig.see(&of(dns(&long, DnsRecord::A, server))).await;
    assert!(found.starts_with("unknown: "), "{found}");
}
