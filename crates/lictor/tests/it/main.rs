//! Tests of the program as its users start it.

mod crash;
mod help;
mod life;
mod node;
mod trouble;
