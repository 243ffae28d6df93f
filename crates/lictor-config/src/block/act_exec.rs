//! `act "exec"`: run a program.

use lictor_core::Repeatability;

use super::watch_exec;
use crate::model::Action;
use crate::reader::Reader;
use crate::schema::Schema;

pub(super) static SCHEMA: Schema = Schema {
    doc: "Runs a program: done when it exits with status 0. It runs in a process group of its own, which \
          is ended when the time limit is over. An argument may be what a named group of the pattern captured in the \
          line that started it: `command = [\"ban\", capture.address]`. It is always one whole argument, and one that \
          begins with `-` is refused. The program also has it as `LICTOR_CAPTURE_ADDRESS`. One that \
          follows a service (`on_promote`, `on_demote`) has `LICTOR_SERVICE`, `LICTOR_ROLE` and `LICTOR_TOKEN`.",
    groups: &[watch_exec::COMMAND],
    blocks: &[],
    values: &[],
    example: r#"watch "heartbeat" "job" {
  within = "1h"
}

rule "job" {
  on = check.job == "critical"
  act "exec" {
    command = ["systemctl", "restart", "job.service"]
  }
}"#,
};

pub(super) fn decode(reader: &Reader<'_>) -> Option<(Action, Repeatability)> {
    let command = watch_exec::capturing(reader)?;
    Some((Action::Exec(command), Repeatability::Neither))
}
