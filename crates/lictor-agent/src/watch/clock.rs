//! Clock: whether something keeps it in step, or how far off it is by a time server.
//!
//! What the kernel knows is only told by a system call that has no safe wrapper here, so systemd is
//! asked, which makes that call; where there is no systemd a time server says more anyway.

mod sntp;

use std::time::Duration;

use lictor_config::{ClockSource, Command, Family, HostClock};
use lictor_core::{Sample, Span, Status};
use tokio::time::timeout;

use super::exec::program::{self, Ended};
use super::fault::{Fault, Stage};
use super::look::{Look, World};
use super::value::{self, Measured as _};
use crate::text::one_line;
use sntp::Reading;

/// What is read of what a program prints, bytes.
const OUTPUT: usize = 4 * 1024;

/// Of what it printed, characters that are shown.
const SAID: usize = 200;

pub(super) async fn look(clock: &HostClock, limit: Duration, world: &World) -> Look {
    let found = match &clock.source {
        ClockSource::Program(argv) => ask_program(argv, limit, world).await,
        ClockSource::Server { host, port } => {
            let mut stage = Stage::start();
            let asked = async {
                stage.enter(format!("looking up {host}"));
                let addresses = world.resolver.addresses(host, *port, Family::Any).await?;
                stage.enter(format!("the answer of the time server {host}:{port}"));
                sntp::ask(&addresses, world).await
            };
            match timeout(limit, asked).await {
                Ok(Ok(reading)) => Ok(judge(clock, host, &reading)),
                Ok(Err(fault)) => Err(fault),
                Err(_late) => Err(stage.late(limit)),
            }
        }
    };
    // Whoever cannot be asked says nothing about the clock.
    Look::new(found.unwrap_or_else(|fault| Fault { status: Status::Unknown, ..fault }.into_sample()))
}

fn judge(clock: &HostClock, host: &str, reading: &Reading) -> Sample {
    let off = reading.offset.abs();
    let way = if reading.offset < 0.0 { "ahead of" } else { "behind" };
    let what = format!("the clock is {} {way} {host}", Span(Duration::from_secs_f64(off)));
    let (status, limit) = if off > clock.critical_offset_seconds {
        (Status::Critical, Some(clock.critical_offset_seconds))
    } else if off > clock.warn_offset_seconds {
        (Status::Warning, Some(clock.warn_offset_seconds))
    } else {
        (Status::Passing, None)
    };
    let more =
        limit.map_or(String::new(), |limit| format!(", more than {}", Span(Duration::from_secs_f64(limit))));
    let mut sample = Sample::new(status, format!("{what}{more}"));
    sample.number(&value::OFFSET_SECONDS, reading.offset);
    sample.number(&value::DELAY_SECONDS, reading.delay);
    sample.number(&value::STRATUM, f64::from(reading.stratum));
    sample
}

async fn ask_program(argv: &[String], limit: Duration, world: &World) -> Result<Sample, Fault> {
    let command = Command { argv: argv.to_vec(), captured: Vec::new(), env: Vec::new(), cwd: None };
    let ended = program::run_reading(&command, limit, OUTPUT, world).await?;
    Ok(told(argv.first().map_or("", String::as_str), &ended, limit))
}

fn told(name: &str, ended: &Ended, limit: Duration) -> Sample {
    let Some(status) = ended.status else {
        return Sample::new(Status::Unknown, format!("`{name}` took longer than {}", Span(limit)));
    };
    let said = |text: &str| one_line(text, SAID);
    if !status.success() {
        let why = said(&ended.output.stderr);
        return Sample::new(Status::Unknown, format!("`{name}` does not say it ({status}): {why}"));
    }
    let (status, summary, kept) = match ended.output.stdout.trim() {
        "yes" => (Status::Passing, "the clock is kept in step", true),
        "no" => (Status::Warning, "nothing keeps the clock in step", false),
        other => {
            let summary = format!("`{name}` prints neither `yes` nor `no` but `{}`", said(other));
            return Sample::new(Status::Unknown, summary);
        }
    };
    let mut sample = Sample::new(status, summary);
    sample.flag(&value::SYNCHRONIZED, kept);
    sample
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> HostClock {
        let source = ClockSource::Program(Vec::new());
        HostClock { source, warn_offset_seconds: 0.5, critical_offset_seconds: 5.0 }
    }

    fn judged(offset: f64) -> String {
        let sample = judge(&settings(), "ntp", &Reading { offset, delay: 0.01, stratum: 2 });
        format!("{}: {}", sample.status, sample.summary)
    }

    #[test]
    fn too_far_off_is_not_passing_in_either_direction() {
        assert_eq!(judged(0.25), "passing: the clock is 250ms behind ntp");
        assert_eq!(judged(-0.75), "warning: the clock is 750ms ahead of ntp, more than 500ms");
        assert_eq!(judged(60.0), "critical: the clock is 1m behind ntp, more than 5s");
    }

    async fn asked(argv: &[&str]) -> String {
        let tasks = crate::Tasks::new();
        let world = World::new(tasks, crate::Clock::fresh());
        let source = ClockSource::Program(argv.iter().map(|word| (*word).to_owned()).collect());
        let clock = HostClock { source, ..settings() };
        let sample = look(&clock, Duration::from_secs(20), &world).await.sample.unwrap();
        format!("{}: {}", sample.status, sample.summary)
    }

    #[tokio::test]
    async fn what_the_program_says_is_taken_and_all_else_is_unknown() {
        assert_eq!(asked(&["/bin/echo", "yes"]).await, "passing: the clock is kept in step");
        assert_eq!(asked(&["/bin/echo", "no"]).await, "warning: nothing keeps the clock in step");
        let odd = asked(&["/bin/echo", "maybe"]).await;
        assert_eq!(odd, "unknown: `/bin/echo` prints neither `yes` nor `no` but `maybe`");
        let failed = asked(&["/bin/sh", "-c", "echo yes; echo no bus >&2; exit 1"]).await;
        assert_eq!(failed, "unknown: `/bin/sh` does not say it (exit status: 1): no bus");
        let absent = asked(&["/nonexistent/timedatectl"]).await;
        assert!(absent.starts_with("unknown: "), "{absent}");
    }
}
