//! The running node: watchers feed the decide loop, the loop records, then acts.

mod clock;
mod inbox;
mod task;

pub use clock::{Anchor, Clock, boot_id};
pub use inbox::{Gone, Inbox, View};
pub use task::{OnEnd, Tasks};
