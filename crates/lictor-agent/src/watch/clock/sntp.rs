//! One question to a time server (SNTP, RFC 4330): a packet each way.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::UdpSocket;

use crate::watch::fault::{Fault, Plain};
use crate::watch::look::World;

/// The length of a packet without extensions.
const PACKET: usize = 48;

/// Seconds from 1900, where NTP counts from, to 1970.
const TO_UNIX: f64 = 2_208_988_800.0;

/// Seconds after which the count begins anew: in 2036.
const ERA: f64 = 4_294_967_296.0;

/// No leap indicator, version 4, a client.
const ASK: u8 = 0b00_100_011;

/// What a server says of the clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Reading {
    /// How far the clock is behind the server's, seconds.
    pub(super) offset: f64,
    /// How long the way there and back took.
    pub(super) delay: f64,
    /// How far the server is from a reference clock.
    pub(super) stratum: u8,
}

/// Asks the first of the addresses.
pub(super) async fn ask(addresses: &[SocketAddr], world: &World) -> Result<Reading, Fault> {
    let Some(server) = addresses.first() else { return Err(Fault::unknown("there is no address to ask")) };
    let failed = |error: io::Error| {
        Fault::unknown(format!("the time server {server} cannot be asked: {}", Plain(&error)))
    };
    let local: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(local).await.map_err(failed)?;
    // From then on only what comes from there is received.
    socket.connect(server).await.map_err(failed)?;
    // Not our time: the server gives it back as it is, and nobody who does not see it can answer.
    let mark: [u8; 8] = rand::random();
    let mut question = [0; PACKET];
    question[0] = ASK;
    question[40..].copy_from_slice(&mark);
    let seconds = || f64_of(world.clock.now().wall.as_unix_millis()) / 1_000.0;
    let sent = seconds();
    socket.send(&question).await.map_err(failed)?;
    let mut answer = [0; 1_024];
    loop {
        let count = socket.recv(&mut answer).await.map_err(failed)?;
        let received = seconds();
        if let Some(read) = read(answer.get(..count).unwrap_or_default(), &mark, sent, received) {
            return read.map_err(|why| Fault::unknown(format!("the time server {server} {why}")));
        }
    }
}

/// What an answer says; `None` for one to another question.
fn read(answer: &[u8], mark: &[u8; 8], sent: f64, received: f64) -> Option<Result<Reading, String>> {
    if answer.len() < PACKET || answer.get(24..32)? != mark {
        return None;
    }
    let (first, stratum) = (*answer.first()?, *answer.get(1)?);
    if first & 0b111 != 4 {
        return None;
    }
    if stratum == 0 {
        let code: String = answer.get(12..16)?.iter().map(|byte| char::from(*byte)).collect();
        let code = crate::text::one_line(&code, 8);
        return Some(Err(format!("does not want to be asked (`{code}`)")));
    }
    if first >> 6 == 3 || stratum > 15 {
        return Some(Err("does not know the time itself".to_owned()));
    }
    let (Some(arrived), Some(left)) = (time(answer.get(32..40)?, sent), time(answer.get(40..48)?, sent))
    else {
        return Some(Err("tells no time".to_owned()));
    };
    let offset = f64::midpoint(arrived - sent, left - received);
    let delay = ((received - sent) - (left - arrived)).max(0.0);
    Some(Ok(Reading { offset, delay, stratum }))
}

/// A time of a packet as seconds since 1970, in the era that is nearest to `about`.
fn time(bytes: &[u8], about: f64) -> Option<f64> {
    let (seconds, fraction) = bytes.split_at_checked(4)?;
    let seconds = u32::from_be_bytes(seconds.try_into().ok()?);
    let fraction = u32::from_be_bytes(fraction.try_into().ok()?);
    if seconds == 0 && fraction == 0 {
        return None;
    }
    let time = f64::from(seconds) - TO_UNIX + f64::from(fraction) / ERA;
    Some(time + ((about - time) / ERA).round() * ERA)
}

/// Milliseconds as a number: exact for the next 285,000 years.
fn f64_of(millis: i64) -> f64 {
    let size = crate::watch::value::float(millis.unsigned_abs());
    if millis < 0 { -size } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: [u8; 8] = *b"question";

    /// An answer of a server whose clock showed these seconds since 1970.
    fn answer(first: u8, stratum: u8, arrived: f64, left: f64) -> Vec<u8> {
        let mut packet = vec![0; PACKET];
        packet[0] = first;
        packet[1] = stratum;
        packet[12..16].copy_from_slice(b"RATE");
        packet[24..32].copy_from_slice(&MARK);
        for (at, time) in [(32, arrived), (40, left)] {
            let since = (time + TO_UNIX).rem_euclid(ERA);
            let (whole, part) = (since.floor(), since.fract());
            let whole: u32 = format!("{whole:.0}").parse().unwrap();
            let part: u32 = format!("{:.0}", (part * ERA).floor()).parse().unwrap();
            packet[at..at + 4].copy_from_slice(&whole.to_be_bytes());
            packet[at + 4..at + 8].copy_from_slice(&part.to_be_bytes());
        }
        packet
    }

    const SERVER: u8 = 0b00_100_100;

    fn told(answer: &[u8]) -> Option<Result<Reading, String>> {
        read(answer, &MARK, 1_800_000_000.0, 1_800_000_000.2)
    }

    #[test]
    fn the_time_on_the_way_is_no_offset() {
        // Both ways took 0.1 s, and the server is 3 s ahead.
        let packet = answer(SERVER, 2, 1_800_000_003.1, 1_800_000_003.1);
        let reading = told(&packet).unwrap().unwrap();
        assert!((reading.offset - 3.0).abs() < 1e-4, "{reading:?}");
        assert!((reading.delay - 0.2).abs() < 1e-4 && reading.stratum == 2, "{reading:?}");
    }

    #[test]
    fn after_2036_the_count_begins_anew() {
        let then = 2_200_000_000.0;
        let packet = answer(SERVER, 1, then, then);
        let reading = read(&packet, &MARK, then, then).unwrap().unwrap();
        assert!(reading.offset.abs() < 1e-4, "{reading:?}");
    }

    #[test]
    fn an_answer_to_another_question_is_passed_over() {
        let mut packet = answer(SERVER, 2, 0.0, 0.0);
        packet[24] ^= 1;
        assert_eq!(told(&packet), None);
        assert_eq!(told(&packet[..47]), None);
        assert_eq!(told(&answer(ASK, 2, 0.0, 0.0)), None, "a question is no answer");
    }

    #[test]
    fn a_server_that_does_not_know_is_not_believed() {
        let now = 1_800_000_000.0;
        let why = |packet: &[u8]| told(packet).unwrap().unwrap_err();
        assert_eq!(why(&answer(SERVER, 0, now, now)), "does not want to be asked (`RATE`)");
        assert_eq!(why(&answer(SERVER | 0b1100_0000, 2, now, now)), "does not know the time itself");
        assert_eq!(why(&answer(SERVER, 16, now, now)), "does not know the time itself");
        let mut silent = answer(SERVER, 2, now, now);
        silent[40..].fill(0);
        assert_eq!(why(&silent), "tells no time");
    }
}
