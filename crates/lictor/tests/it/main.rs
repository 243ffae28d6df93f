//! Tests of the program as its users start it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod alerts;
mod alerts_long;
mod backtest;
mod clock;
mod consul;
mod consul_alerts;
mod consul_alerts_limits;
mod consul_alerts_move;
mod consul_replicate;
mod crash;
mod flaky;
mod fleet;
mod full_disk;
mod help;
mod host;
mod import;
mod journal_host;
mod life;
mod log_file;
mod mesh;
mod monitor;
mod monitor_faults;
mod monitor_play;
mod node;
mod notifiers;
mod packaging;
mod peers;
mod powerconsul;
mod powerconsul_act;
mod powerconsul_limits;
mod probe;
mod rule_test;
mod service;
mod service_host;
mod site;
mod together;
mod together_long;
mod together_secured;
mod trouble;
mod watcher;
mod webhook;
mod wire;
