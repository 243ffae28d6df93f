//! The integration tests of the agent, in one binary.

mod act_bench;
mod act_exec;
mod act_http;
mod act_restart;
