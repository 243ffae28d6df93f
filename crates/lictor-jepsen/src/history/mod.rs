//! What was done and what came of it, in one total order.
//!
//! # The format
//!
//! A line of JSON for each entry, in the order in which they were written; the names are those of Jepsen:
//!
//! ```json
//! {"index":7,"time":1520000,"process":3,"type":"invoke","f":"cas","key":"k1","value":[1,2],"node":"n2"}
//! {"index":9,"time":1730000,"process":3,"type":"ok","f":"cas","key":"k1","value":[1,2],"node":"n2","latency_ns":210000}
//! {"index":10,"time":1800000,"process":"nemesis","type":"info","f":"start-partition","value":["n1"]}
//! ```
//!
//! | field | meaning |
//! |---|---|
//! | `index` | position in the total order, from 0 and growing |
//! | `time` | nanoseconds since the run began, of a clock that never steps back |
//! | `process` | a client, which does one thing at a time, or `"nemesis"`, which does the faults |
//! | `type` | `invoke` before the call; `ok` it happened, `fail` it did not, `info` nobody knows |
//! | `f`, `key`, `value` | what is done, on what, with what; of `ok` the value is what was found |
//! | `node` | whom the client talked to |
//! | `error` | why it is `fail` or `info` |
//! | `latency_ns` | how long the call took |
//! | `consul_index` | the `ModifyIndex` that came with the answer |
//!
//! A process whose call ended as `info` is *retired*: what it began may still happen, so the client goes on under
//! another number. The same in EDN, with `:f`, `:type` and such as keywords, is what Jepsen's own tools take.
//!
//! # What the values are
//!
//! | `f` | value |
//! |---|---|
//! | `read` | of `ok` what was found, `null` if nothing |
//! | `write` | what is written |
//! | `cas` | `[expected, new]` |
//! | `add` | an element of a set; `read` of a set finds a list |
//! | `txn` | `[["append", key, element], ["r", key, null or list], …]` |
//! | `acquire`, `release` | the session; a `consul_index` of an `ok` is the fencing token |
//! | `expire` | a session that ends; left open if that is by itself and nobody knows when |
//! | `active` | whatever; from its beginning to its end something is active |
//! | `store` | a fencing token that something was done under |
//! | `raise`, `resolve` | none; the key is what is wrong from then on, or right |
//! | `told` | `"firing"` or `"resolved"`; the key is what somebody was told of |
//! | `run`, `step` | a run of a remedy; `[run, number of the step]` |
//! | `final`, `expected` | a state of something at a place; the one that it should have |
//! | `start-…`, `stop-…` of the nemesis | any; between them lies a window of a fault |

mod edn;
mod op;
mod pair;
mod reader;
mod text;
mod writer;

pub use edn::EdnError;
pub use op::{Kind, Op, Process};
pub use pair::{Call, History, HistoryError, Malformed, Window};
pub use reader::{Format, ReadError, read, read_path};
pub use writer::{WriteError, Writer};

#[cfg(test)]
mod tests;
