//! Measures the watchers under load.
//!
//! ```text
//! watch_load rate URL WATCHERS EVERY_MS SECONDS [keep]     looks per second and their cost
//! watch_load many URL WATCHERS SECONDS [keep]              memory with many checks every 10 s
//! watch_load late URL SILENT_ADDRESS WATCHERS SECONDS      lateness when a tenth never answers
//! watch_load silent                                        a server that never answers; prints its address
//! ```
#![expect(clippy::print_stdout, reason = "an example prints what it found")]

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::time::Duration;

use lictor_agent::watch::{Stats, Watchers};
use lictor_agent::{Clock, Inbox, OnEnd, Tasks};
use lictor_config::{Family, Http, Tls, Watch, WatchKind};
use lictor_core::{CheckName, Input, Status};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

type Failed = Box<dyn Error>;

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["rate", url, watchers, every, seconds, rest @ ..] => {
            let every = Duration::from_millis(every.parse()?);
            let watches = all(watchers.parse()?, every, |_| url, rest == ["keep"])?;
            run(&watches, Duration::from_secs(2).max(every), seconds.parse()?).await
        }
        ["many", url, watchers, seconds, rest @ ..] => {
            let every = Duration::from_secs(10);
            let watches = all(watchers.parse()?, every, |_| url, rest == ["keep"])?;
            run(&watches, every, seconds.parse()?).await
        }
        ["late", url, silent, watchers, seconds] => {
            let every = Duration::from_secs(10);
            let silent = format!("http://{silent}/");
            let pick = |n: u32| if n.is_multiple_of(10) { silent.as_str() } else { *url };
            run(&all(watchers.parse()?, every, pick, false)?, every * 2, seconds.parse()?).await
        }
        ["silent"] => silent().await,
        _ => Err("rate, many, late or silent: see the example's head".into()),
    }
}

async fn silent() -> Result<(), Failed> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let mut held = Vec::new();
    loop {
        let (stream, _peer) = listener.accept().await?;
        held.push(stream);
        if held.len() == 9_000 {
            held.drain(..4_500);
        }
    }
}

fn all<'a>(
    count: u32,
    every: Duration,
    url: impl Fn(u32) -> &'a str,
    keep_alive: bool,
) -> Result<BTreeMap<CheckName, Watch>, Failed> {
    let one = |n: u32| -> Result<(CheckName, Watch), Failed> {
        let http = Http {
            url: url(n).parse()?,
            method: "GET".into(),
            headers: Vec::new(),
            body: None,
            basic_auth: None,
            bearer: None,
            status: vec![(200, 299)],
            expect_headers: Vec::new(),
            body_matches: None,
            body_lacks: None,
            json: Vec::new(),
            warn_slower: None,
            warn_expiry: Duration::from_secs(14 * 86_400),
            critical_expiry: Duration::from_secs(3 * 86_400),
            redirects: 0,
            keep_alive,
            family: Family::Any,
            max_body: 1 << 20,
            tls: Tls::default(),
        };
        let kind = WatchKind::Http(Box::new(http));
        let watch = Watch { kind, every, timeout: Duration::from_secs(5), patterns: Vec::new() };
        Ok((format!("check-{n}").parse()?, watch))
    };
    (0..count).map(one).collect()
}

/// Runs the watchers, lets them settle, and measures for so many seconds.
async fn run(watches: &BTreeMap<CheckName, Watch>, settle: Duration, seconds: u64) -> Result<(), Failed> {
    let tasks = Tasks::new();
    let (inbox, mut inputs) = Inbox::detached();
    let mut registry = Registry::default();
    let watchers = Watchers::start(watches, &tasks, inbox, Clock::fresh(), &mut registry);
    tasks.spawn("sink", OnEnd::Stop, async move {
        let mut bad = 0_u64;
        while let Some(input) = inputs.next().await {
            if let Input::Observed { check, sample } = input
                && sample.status != Status::Passing
            {
                bad += 1;
                if bad.is_power_of_two() {
                    println!("{bad} not passing; {check} {}: {}", sample.status, sample.summary);
                }
            }
        }
    });
    sleep(settle).await;
    let (begun, cpu, before) = (Instant::now(), cpu()?, watchers.stats());
    sleep(Duration::from_secs(seconds)).await;
    let (took, after) = (begun.elapsed().as_secs_f64(), watchers.stats());
    let (user, system) = self::cpu()?;
    report(took, (user - cpu.0, system - cpu.1), before, after)?;
    lateness(&registry)
}

fn report(took: f64, (user, system): (f64, f64), before: Stats, after: Stats) -> Result<(), Failed> {
    let probes = u32::try_from(after.probes - before.probes)?;
    let each = |cpu: f64| cpu * 1_000.0 / f64::from(probes.max(1));
    println!("{probes} looks in {took:.1} s: {:.0}/s", f64::from(probes) / took);
    let both = user + system;
    println!("{:.4} ms CPU each, {:.4} of them in the program itself", each(both), each(user));
    println!("{:.1} % of a core, {} skipped in all", both * 100.0 / took, after.skipped);
    println!("{} in flight, {} resident, {} at most", after.in_flight, memory("VmRSS")?, memory("VmHWM")?);
    Ok(())
}

/// User and system time of this process, seconds.
fn cpu() -> Result<(f64, f64), Failed> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or_default();
    Ok((ticks(11) / 100.0, ticks(12) / 100.0))
}

fn memory(field: &str) -> Result<String, Failed> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
    Ok(line.trim_start_matches(':').trim().to_owned())
}

fn lateness(registry: &Registry) -> Result<(), Failed> {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry)?;
    let buckets: Vec<(&str, f64)> = text
        .lines()
        .filter_map(|line| line.strip_prefix("lictor_probe_lateness_seconds_bucket{le=\""))
        .filter_map(|rest| rest.split_once("\"} "))
        .filter_map(|(bound, count)| Some((bound, count.parse().ok()?)))
        .collect();
    let all = buckets.last().map_or(1.0, |(_, count)| *count);
    for share in [0.5, 0.9, 0.99, 0.999, 1.0] {
        let bound =
            buckets.iter().find(|(_, count)| *count >= all * share).map_or("+Inf", |(bound, _)| *bound);
        println!("lateness p{} at most {bound} s", share * 100.0);
    }
    Ok(())
}
