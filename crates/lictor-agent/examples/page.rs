//! Serves a made-up node, for working on the page: `cargo run --example page [PORT] [WHAT]`,
//! where WHAT is `bad` (the default), `good`, `empty`, `mute` or a number of checks.

use std::sync::Arc;
use std::time::Duration;

use lictor_agent::{Clock, OnEnd, Tasks, web};
use lictor_config::Listen;
use lictor_core::{Event, Status, What};

#[path = "../tests/it/web_clustered.rs"]
#[expect(clippy::unwrap_used, reason = "it is made for the tests, which ask for more")]
mod web_clustered;
#[path = "../tests/it/web_copying.rs"]
#[expect(clippy::unwrap_used, reason = "it is made for the tests, which ask for more")]
mod web_copying;
#[path = "../tests/it/web_desk.rs"]
#[expect(dead_code, clippy::unwrap_used, reason = "it is made for the tests, which ask for more")]
mod web_desk;
#[path = "../tests/it/web_world.rs"]
#[expect(dead_code, clippy::unwrap_used, reason = "it is made for the tests, which ask for more")]
mod web_world;
use web_desk::DeskStandin;
use web_world::World;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "it is a tool for a terminal")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let port: u16 = arguments.next().as_deref().unwrap_or("0").parse()?;
    let what = arguments.next().unwrap_or_else(|| "bad".to_owned());
    let now = Clock::fresh().now();
    let now = lictor_core::Now { boot: web_world::noon().boot, ..now };
    let (view, past) = match what.as_str() {
        "bad" => web_world::bad_day(now),
        "good" => {
            let (mut view, past) = web_world::bad_day(now);
            for check in view.checks.values_mut() {
                *check = web_world::check(now, Status::Passing, 7_000, "HTTP 200 in 8ms");
            }
            view.incidents.retain(|_, incident| incident.closed.is_some());
            view.runs.retain(|_, run| run.ended());
            view.floods.clear();
            (view, past)
        }
        "empty" => (web_world::empty(now), Vec::new()),
        "mute" => {
            let (mut view, past) = web_world::bad_day(now);
            let why = "no space left on device (os error 28)".to_owned();
            view.cannot_record = Some((why, web_world::before(now, 400)));
            let mut plan = (*view.plan).clone();
            plan.mode = lictor_core::Mode::Observe;
            view.plan = Arc::new(plan);
            let hostile: lictor_core::CheckName = web_world::name("hostile");
            view.checks.insert(hostile, web_world::check(now, Status::Critical, 9, web_world::HOSTILE));
            (view, past)
        }
        count => (web_world::many(now, count.parse()?), Vec::new()),
    };
    let desk = if what == "bad" { DeskStandin::busy() } else { DeskStandin::idle() };
    let world = World::with_desk(view, past, desk);
    if what == "bad" {
        let mut copies = vec![web_copying::copy(web_copying::holding())];
        copies.push(web_copying::copy(web_copying::copied()));
        world.copies.set(copies);
        world.snapshots.set(vec![web_copying::block(web_copying::taken())]);
    }
    let listen = Listen {
        address: ([127, 0, 0, 1], port).into(),
        token: std::env::var("LICTOR_TOKEN").ok().map(lictor_config::Secret::value),
        allowed_hosts: Vec::new(),
    };
    let listener = web::bind(&listen)?;
    println!("http://{}/", listener.local_addr()?);
    let tasks = Tasks::new();
    web::serve(listener, world.state(listen, web::Limits::default()), &tasks);
    let telling = Arc::clone(&world);
    tasks.spawn("events", OnEnd::Fine, async move {
        loop {
            tokio::time::sleep(Duration::from_secs(5)).await;
            let what = What::Commanded { command: "something, so that the page moves".to_owned() };
            telling.append(Event { at: Clock::fresh().now(), incident: None, run: None, what });
        }
    });
    tokio::signal::ctrl_c().await?;
    tasks.drain(Duration::from_secs(3)).await;
    Ok(())
}
