//! Process: the wanted number of processes is there, found by pid file, command line or name.

mod pidfile;
mod table;

use std::time::Duration;

use lictor_config::{Process, ProcessBy};
use lictor_core::{Sample, Status};
use tokio::time::timeout;

pub(super) use pidfile::Sighting;
pub(crate) use pidfile::pid_in_file;
pub(super) use table::ProcessTable;
use table::Running;

use super::disk::Size;
use super::fault::{Fault, Stage};
use super::look::{Look, Memory, World};
use super::value::{self, Measured as _, float};

pub(super) async fn look(process: &Process, limit: Duration, memory: &mut Memory, world: &World) -> Look {
    let mut stage = Stage::start();
    stage.enter("reading /proc");
    let found = async {
        let all = world.processes.read().await?;
        Ok(match &process.by {
            ProcessBy::PidFile(path) => {
                vec![pidfile::find(path, &all, &mut memory.pid)?.clone()]
            }
            ProcessBy::CommandLine(pattern) => all
                .iter()
                .filter(|one| !one.is_us && !one.command.is_empty() && pattern.is_match(&one.command))
                .cloned()
                .collect(),
            ProcessBy::Name(name) => {
                all.iter().filter(|one| !one.is_us && one.name == *name).cloned().collect::<Vec<_>>()
            }
        })
    };
    let sample = match timeout(limit, found).await {
        Ok(Ok(found)) => judge(process, &found),
        Ok(Err(fault)) => no_process(fault),
        Err(_late) => Fault::unknown(stage.late_message(limit)).into_sample(),
    };
    Look::new(sample)
}

fn no_process(fault: Fault) -> Sample {
    let none = fault.status == Status::Critical;
    let mut sample = fault.into_sample();
    if none {
        sample.number(&value::COUNT, 0.0);
    }
    sample
}

fn judge(process: &Process, found: &[Running]) -> Sample {
    let count = u32::try_from(found.len()).unwrap_or(u32::MAX);
    let memory: u64 = found.iter().map(|one| one.memory_bytes).sum();
    let what = match &process.by {
        ProcessBy::PidFile(path) => format!("of {}", path.display()),
        ProcessBy::CommandLine(pattern) => format!("matching /{pattern}/"),
        ProcessBy::Name(name) => format!("named {name}"),
    };
    let processes = if count == 1 { "process" } else { "processes" };
    let (status, summary) = if count < process.at_least {
        (Status::Critical, format!("{count} {processes} {what}, wanted at least {}", process.at_least))
    } else if let Some(most) = process.at_most.filter(|most| count > *most) {
        (Status::Critical, format!("{count} {processes} {what}, wanted at most {most}"))
    } else if let Some(most) = process.warn_memory_bytes.filter(|most| memory > *most) {
        (
            Status::Warning,
            format!("{count} {processes} {what} with {} of memory, over {}", Size(memory), Size(most)),
        )
    } else {
        (Status::Passing, format!("{count} {processes} {what}, {} of memory", Size(memory)))
    };
    let mut sample = Sample::new(status, summary);
    sample.number(&value::COUNT, f64::from(count));
    sample.number(&value::MEMORY_BYTES, float(memory));
    if let [only] = found {
        sample.count(&value::PID, only.pid.into());
    }
    sample
}
