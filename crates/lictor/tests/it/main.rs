//! Tests of the program as its users start it.

mod consul;
mod crash;
mod help;
mod life;
mod node;
mod trouble;
