//! Long lists of checks, row by row: what is held at once is one row.

use tokio::time::timeout_at;

use crate::client::deadline_in;
use crate::error::Error;
use crate::health::{Check, Health};
use crate::meta::{Answer, Meta};
use crate::query::Query;
use crate::request::Request;
use crate::rows::Rows;

impl Health<'_> {
    /// Gives every check there is to `each`, as its row of JSON, while the answer comes in; read one
    /// with [`Check::from_row`]. Nothing is asked a second time: some rows may have been given when
    /// this fails.
    ///
    /// # Errors
    /// If there is no usable answer, or `each` finds fault with a row.
    pub async fn each(
        self,
        query: &Query,
        mut each: impl FnMut(&[u8]) -> Result<(), String> + Send,
    ) -> Result<Answer<()>, Error> {
        let client = self.client();
        let request = Request::get("/v1/health/state/any").query(query, client.consistency());
        let call = &request.call;
        let (limit, most) =
            (request.held.saturating_add(client.limits().answer), client.limits().answer_bytes);
        let reading = async {
            let mut response = client.open(&request, None).await?;
            let meta = Meta::of(response.headers());
            let (mut rows, mut length) = (Rows::new(), 0_usize);
            let malformed = |reason| Error::Malformed { call: call.clone(), reason };
            while let Some(chunk) = response.chunk().await.map_err(|error| client.broken(call, error))? {
                length = length.saturating_add(chunk.len());
                if length > most {
                    return Err(Error::TooLarge { call: call.clone(), limit: most });
                }
                rows.push(&chunk, &mut each).map_err(malformed)?;
            }
            rows.end().map_err(malformed)?;
            Ok(Answer { value: (), meta })
        };
        match timeout_at(deadline_in(limit), reading).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::TimedOut { call: call.clone(), limit }),
        }
    }
}

impl Check {
    /// Reads one row that [`Health::each`] gave.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn from_row(row: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(row).map_err(|error| error.to_string())
    }
}
