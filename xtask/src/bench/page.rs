//! How long the page takes with many checks, also while many of them change, beside Monit's page of the same.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::bed;
use super::measure::RUNS;
use super::{Bed, Better, Row, checks};
use crate::error::Error;

const AGAIN: &str = "cargo xtask bench page";

/// Checks on the page.
const MANY: u32 = 5_000;

/// Of these so many change each time they are looked at, which is every 10 s: 200 a second.
const CHANGING: u32 = 2_000;

/// How long it may take until each check was looked at once.
const PATIENCE: Duration = Duration::from_secs(90);

pub(super) fn run(bed: &Bed<'_>) -> Result<Vec<Row>, Error> {
    let program = bed::program(bed.workspace)?;
    let dir = bed::fresh(bed.workspace, "page")?;
    let port = bed::free_port()?;
    let _nginx = bed::nginx(&dir, port)?;

    let blocks = bed::http_checks(MANY, "10s", "  keep_alive = true\n", |_| port);
    let listen = bed::free_port()?;
    let agent = bed::agent(&program, &dir, listen, &blocks)?;
    let web = bed::free_port()?;
    let monit = checks::monit(&dir, MANY, 10, &format!("set httpd port {web} allow localhost\n"), &|_| port)?;
    looked_at(listen, f64::from(MANY))?;
    looked_at_by_monit(web)?;
    let (mut ours, mut peer) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        ours.push(takes(listen)?);
        peer.push(takes(web)?);
    }
    drop((agent, monit));

    let busy = while_they_change(&program, &dir, port)?;
    let promised = || bed::sample(vec![300.0; RUNS], "ms promised");
    let (ours, peer) = (bed::sample(ours, "ms")?, bed::sample(peer, "ms")?);
    let changing = "page of 5,000 checks, 200 change a second";
    Ok(vec![
        Row::new("page of 5,000 checks (Monit)", ours.clone(), peer, Better::Less, AGAIN),
        Row::new("page of 5,000 checks", ours, promised()?, Better::Less, AGAIN),
        Row::new(changing, bed::sample(busy, "ms")?, promised()?, Better::Less, AGAIN),
    ])
}

/// Times of the page while so many checks change, milliseconds.
fn while_they_change(program: &Path, dir: &Path, port: u16) -> Result<Vec<f64>, Error> {
    let (changing, own) = (bed::free_port()?, dir.join("changing"));
    fs::create_dir_all(&own).map_err(Error::file("create", &own))?;
    let _nginx = bed::nginx_that_changes(&own, changing)?;
    let of = |number: u32| if number < CHANGING { changing } else { port };
    let blocks = bed::http_checks(MANY, "10s", "  keep_alive = true\n", of);
    let listen = bed::free_port()?;
    let _agent = bed::agent(program, dir, listen, &blocks)?;
    looked_at(listen, f64::from(MANY - CHANGING))?;
    let before = changes(listen)?;
    let begun = Instant::now();
    let mut times = Vec::new();
    for _ in 0..RUNS {
        bed::rest(3);
        times.push(takes(listen)?);
    }
    let rate = (changes(listen)? - before) / begun.elapsed().as_secs_f64();
    if rate < 150.0 {
        return Err(Error::Verdict(format!("only {rate:.0} checks changed a second")));
    }
    Ok(times)
}

/// How often a check has changed so far.
fn changes(listen: u16) -> Result<f64, Error> {
    let page = bed::get(listen, "/metrics")?;
    let of =
        |line: &str| line.strip_prefix("lictor_transitions_total")?.rsplit_once(' ')?.1.parse::<f64>().ok();
    Ok(page.lines().filter_map(of).sum())
}

/// Waits until so many looks have passed.
fn looked_at(listen: u16, looks: f64) -> Result<(), Error> {
    let begun = Instant::now();
    while bed::passed(listen)? < looks {
        thread::sleep(Duration::from_millis(100));
        if begun.elapsed() > PATIENCE {
            return Err(Error::Verdict(format!("not all checks were looked at within {PATIENCE:?}")));
        }
    }
    Ok(())
}

/// Waits until Monit's page has all checks.
fn looked_at_by_monit(web: u16) -> Result<(), Error> {
    bed::wait_for(web)?;
    let last = format!("c{}", MANY - 1);
    let begun = Instant::now();
    while !bed::get(web, "/")?.contains(&last) {
        thread::sleep(Duration::from_millis(100));
        if begun.elapsed() > PATIENCE {
            return Err(Error::Verdict(format!("the page of Monit has no {last} within {PATIENCE:?}")));
        }
    }
    Ok(())
}

/// How long a page takes from the request to its last byte, milliseconds.
fn takes(port: u16) -> Result<f64, Error> {
    let begun = Instant::now();
    let page = bed::get(port, "/")?;
    let took = begun.elapsed();
    if page.is_empty() {
        return Err(Error::Answer { of: "the page", what: page });
    }
    Ok(took.as_secs_f64() * 1_000.0)
}
