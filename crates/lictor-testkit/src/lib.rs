//! Real servers, stand-ins and the simulator. For tests only: nothing here is part of the program.

pub mod consul;
pub mod ports;
pub mod process;
pub mod sim;
pub mod wait;
