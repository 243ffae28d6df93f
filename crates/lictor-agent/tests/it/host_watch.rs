//! What this machine says of itself, and its clock beside that of a time server.
#![cfg(test)]

use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use lictor_core::Status;

use crate::watch_rig::{Rig, number, told};
use crate::whole_rig::watch_of;

/// Longer than an answer takes here.
const SOON: Duration = Duration::from_secs(8);

/// Seconds from 1900 to 1970.
const TO_UNIX: f64 = 2_208_988_800.0;

#[tokio::test]
async fn this_machine_says_how_it_is() {
    let rig = Rig::new();
    let see = async |kind: &str, lines: &str| {
        rig.sample(&watch_of(&format!("watch \"{kind}\" \"x\" {{\n{lines}\n}}\n"))).await
    };
    let memory = see("memory", "").await;
    let available = number(&memory, "available_percent").unwrap();
    assert!(
        available > 0.0 && available <= 100.0 && memory.summary.contains("% of the memory available"),
        "{memory:?}"
    );
    let used = number(&memory, "used_percent").unwrap();
    assert!((available + used - 100.0).abs() < 0.02, "{memory:?}");
    let tight = see("memory", "warn_available = \"100%\"\ncritical_available = \"100%\"").await;
    assert_eq!(tight.status, Status::Critical, "{tight:?}");
    let load = see("load", "warn_per_core = 1000\ncritical_per_core = 1000").await;
    assert_eq!(load.status, Status::Passing, "{load:?}");
    assert!(number(&load, "cores").unwrap() >= 1.0 && number(&load, "load5").is_some(), "{load:?}");
    let swap = see("swap", "").await;
    assert!(swap.status != Status::Unknown && number(&swap, "active").is_some(), "{swap:?}");
    let missing = see("swap", "paths = [\"/nonexistent/swapfile\"]").await;
    assert!(told(&missing).starts_with("critical: not active as swap: /nonexistent/swapfile"), "{missing:?}");
    // With sensors there is a temperature, without any nobody knows.
    let temperature = see("temperature", "").await;
    let known = number(&temperature, "celsius").is_some();
    assert_eq!(known, temperature.status != Status::Unknown, "{temperature:?}");
}

/// A time server on a thread: it answers each packet with what `answer` makes of it.
fn time_server(answer: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    // A test that is over leaves no packet behind, and its process ends the thread.
    thread::spawn(move || {
        let mut packet = [0; 512];
        while let Ok((count, from)) = socket.recv_from(&mut packet) {
            for answer in answer(&packet[..count]) {
                socket.send_to(&answer, from).unwrap();
            }
        }
    });
    address
}

/// The answer of a server whose clock is so many seconds ahead.
fn answer(question: &[u8], ahead: f64) -> Vec<u8> {
    let now = Timestamp::now().as_duration().as_secs_f64() + TO_UNIX + ahead;
    let mut packet = vec![0; 48];
    packet[0] = 0b00_100_100;
    packet[1] = 2;
    packet[24..32].copy_from_slice(&question[40..48]);
    let whole: u32 = format!("{:.0}", now.floor()).parse().unwrap();
    let part: u32 = format!("{:.0}", (now.fract() * 4_294_967_295.0).floor()).parse().unwrap();
    for at in [32, 40] {
        packet[at..at + 4].copy_from_slice(&whole.to_be_bytes());
        packet[at + 4..at + 8].copy_from_slice(&part.to_be_bytes());
    }
    packet
}

#[tokio::test]
async fn the_clock_is_compared_with_that_of_a_time_server() {
    let rig = Rig::new();
    let see = async |server: SocketAddr, limit: Duration| {
        let block = format!(
            "watch \"clock\" \"x\" {{\n server = \"{server}\"\n timeout = \"{}ms\"\n}}\n",
            limit.as_millis()
        );
        rig.sample(&watch_of(&block)).await
    };
    let right = see(time_server(|question| vec![answer(question, 0.0)]), SOON).await;
    assert!(
        right.status == Status::Passing && number(&right, "offset_seconds").unwrap().abs() < 0.5,
        "{right:?}"
    );
    assert_eq!(number(&right, "stratum"), Some(2.0));
    let late = see(time_server(|question| vec![answer(question, 60.0)]), SOON).await;
    assert!(
        late.status == Status::Critical && late.summary.contains(" behind 127.0.0.1, more than 5s"),
        "{late:?}"
    );
    let early = see(time_server(|question| vec![answer(question, -2.0)]), SOON).await;
    assert!(
        early.status == Status::Warning && early.summary.contains(" ahead of 127.0.0.1, more than 500ms"),
        "{early:?}"
    );
    // Somebody else's answer, and garbage, are passed over; the right one comes after them.
    let noisy = time_server(|question| {
        let mut forged = answer(question, 3_600.0);
        forged[24] ^= 1;
        vec![forged, b"garbage".to_vec(), answer(question, 0.0)]
    });
    assert_eq!(see(noisy, SOON).await.status, Status::Passing);
    let silent = see(time_server(|_question| Vec::new()), Duration::from_millis(300)).await;
    assert!(told(&silent).starts_with("unknown: ") && silent.summary.contains("300ms"), "{silent:?}");
    let gone = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = see(gone, SOON).await;
    assert!(told(&refused).starts_with("unknown: the time server 127.0.0.1:"), "{refused:?}");
}
