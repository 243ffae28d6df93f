//! The store as a whole, against real files and real servers.

#[cfg(test)]
mod acts;
#[cfg(test)]
mod bounds;
#[cfg(test)]
mod consul;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod copy;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod full;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod mirror;
#[cfg(test)]
mod model;
#[cfg(test)]
mod node;
#[cfg(test)]
mod past;
#[cfg(test)]
mod support;
