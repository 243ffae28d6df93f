//! Tests of consistency in the manner of Jepsen: clients work on a system while faults are done to it, everything
//! they do is written down, and the history is judged afterwards.
//!
//! ```
//! use lictor_jepsen::history::{Format, History};
//!
//! let text = r#"
//! {"index":0,"time":10,"process":0,"type":"invoke","f":"write","key":"a","value":1}
//! {"index":1,"time":20,"process":0,"type":"ok","f":"write","key":"a","value":1}
//! "#;
//! let history = History::parse(text, Format::Json)?;
//! assert_eq!(history.calls().len(), 1);
//! # Ok::<(), lictor_jepsen::history::HistoryError>(())
//! ```
//!
//! The [history] is a total order of what was begun and what came of it. What judges it does no I/O.

pub mod check;
pub mod command;
pub mod dice;
pub mod history;
pub mod live;
pub mod report;
pub mod sim;
