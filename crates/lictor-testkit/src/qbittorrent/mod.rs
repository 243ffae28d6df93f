//! A real qBittorrent without a window, and a stand-in for versions that cannot be had here.

mod api;
mod http;
mod modern;
mod server;

pub use modern::{Modern, Told};
pub use server::{Options, PASSWORD, Server, USER};
