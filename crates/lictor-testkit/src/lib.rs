//! Real servers, stand-ins and the simulator. For tests only: nothing here is part of the program.

pub mod consul;
pub mod gluetun;
pub mod nomad;
pub mod ports;
pub mod process;
pub mod qbittorrent;
pub mod sim;
mod standin;
pub mod torrent;
pub mod tracker;
pub mod wait;
