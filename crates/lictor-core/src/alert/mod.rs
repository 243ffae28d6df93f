//! Alerts: what is wrong, who is to be told, and who was told.

mod desk;
mod message;
mod plan;
mod row;
mod step;
mod subject;

pub use desk::{Desk, Mute};
pub use message::{Failing, Gone, Item, Message, Occasion, Over, Tells, Verdict};
pub use plan::{
    AlertPlan, Batching, Inhibition, Matcher, Matchers, NotifierPlan, Pattern, Route, ServicePlan, TAG,
    Threshold,
};
pub use row::{Acknowledged, Case, Counters, Delivery, Ended, Rest, Sending, Silence, Told, Used};
pub use step::{Command, Deliveries, Due, Input, Output, Row, RowKey};
pub use subject::{Report, Source, Subject, SubjectKey, digest, label, text};
