//! Archives of a real Consul 1.8.7, damaged ones, and ones made by chance.
#![expect(clippy::unwrap_used, reason = "a helper that cannot go on has failed its test")]

mod damage;
mod fixture;
mod folder;
mod pack;
mod property;
mod real_age;
mod refused;
mod seal;
