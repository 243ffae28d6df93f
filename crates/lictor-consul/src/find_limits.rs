//! How much a transaction and a value may be, found out.

use serde_json::Value;

use crate::client::Client;
use crate::config::Limits;
use crate::error::Error;
use crate::operation::Operation;
use crate::query::Query;

/// More operations than any Consul takes in one transaction.
const TOO_MANY: usize = 1024;

/// A key that nobody has. It is only asked for, and only if so many operations are no mistake.
const NOBODYS: &str = "no-such-key";

impl Client {
    /// The client's limits, with those of transactions and values as the agent that is asked has them:
    /// it checks what it is sent, wherever that goes then. For [`with_limits`](Self::with_limits).
    ///
    /// How many operations a transaction may have is found by reading with more than are allowed, in one
    /// transaction that changes nothing. The sizes are what the agent says of itself; those it does not
    /// tell, or not to this token, stay as the client has them.
    ///
    /// # Errors
    /// If there is no usable answer.
    pub async fn find_limits(&self) -> Result<Limits, Error> {
        let sized = self.find_sizes().await?;
        let transaction_operations = self.find_operations().await?;
        Ok(Limits { transaction_operations, ..sized })
    }

    async fn find_sizes(&self) -> Result<Limits, Error> {
        let limits = *self.limits();
        let info = match self.agent().info().await {
            Ok(info) => info,
            Err(error) if error.is_denied() => return Ok(limits),
            Err(error) => return Err(error),
        };
        let bytes = |name: &str| {
            let bytes = info.debug_config.get(name).and_then(Value::as_u64);
            bytes.filter(|&bytes| bytes > 0).map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX))
        };
        let (value, transaction) = (bytes("KVMaxValueSize"), bytes("TxnMaxReqLen"));
        Ok(Limits {
            value_bytes: value.unwrap_or(limits.value_bytes),
            // The larger of the two counts, and older versions have only the first.
            transaction_bytes: transaction.max(value).unwrap_or(limits.transaction_bytes),
            ..limits
        })
    }

    async fn find_operations(&self) -> Result<usize, Error> {
        let limits = *self.limits();
        let asking = self.with_limits(Limits {
            transaction_operations: TOO_MANY,
            transaction_bytes: usize::MAX,
            ..limits
        });
        let reads = vec![Operation::get(NOBODYS); TOO_MANY];
        match asking.txn().run_with(&reads, &Query::new().stale()).await {
            Ok(_) | Err(Error::RolledBack { .. }) => Ok(TOO_MANY),
            Err(Error::Status { status: 413, message, .. }) => {
                Ok(allowed(&message).unwrap_or(limits.transaction_operations))
            }
            Err(error) => Err(error),
        }
    }
}

/// The number that Consul names when there are too many operations.
fn allowed(message: &str) -> Option<usize> {
    let (_, numbers) = message.split_once("too many operations (")?;
    let (_, most) = numbers.split_once('>')?;
    let most = most.split(')').next()?.trim().parse().ok()?;
    (1..TOO_MANY).contains(&most).then_some(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_read_from_consuls_words() {
        for (words, most) in [
            ("Transaction contains too many operations (1024 > 64)", Some(64)),
            ("Transaction contains too many operations (1024 > 128)\n", Some(128)),
            ("Transaction contains too many operations (1024 > 0)", None),
            ("Transaction contains too many operations (1024 > 4096)", None),
            ("Transaction contains too many operations", None),
            ("Request body(34816 bytes) too large, max size: 1024 bytes.", None),
            ("", None),
        ] {
            assert_eq!(allowed(words), most, "{words}");
        }
    }
}
