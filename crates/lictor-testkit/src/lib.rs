//! Real servers, stand-ins and the simulator. For tests only: nothing here is part of the program.

pub mod alertmanager;
pub mod browser;
pub mod buckets;
pub mod consul;
mod daemon;
pub mod dns;
pub mod gluetun;
pub mod host;
pub mod influxdb;
pub mod journal;
pub mod net;
pub mod nomad;
pub mod ports;
pub mod process;
pub mod prometheus;
pub mod qbittorrent;
pub mod redis;
pub mod service;
pub mod sim;
pub mod smtp;
mod standin;
pub mod torrent;
pub mod tracker;
pub mod wait;
