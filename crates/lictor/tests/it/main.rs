//! Tests of the program as its users start it.

mod consul;
mod crash;
mod full_disk;
mod help;
mod life;
mod node;
mod trouble;
