//! An answer that is a list, read while it comes in and as fast as its reader wants it.

use reqwest::Response;
use tokio::time::timeout_at;

use crate::attempts::Attempts;
use crate::client::{Client, deadline_in};
use crate::error::{Call, Error};
use crate::kv::{ABSENT, NOT_CONSULS};
use crate::meta::Meta;
use crate::request::Request;
use crate::rows::Rows;

/// A list on its way. What is held of it is one row, and what the connection holds.
#[derive(Debug)]
pub(crate) struct Listing {
    client: Client,
    call: Call,
    meta: Meta,
    rows: Rows,
    /// What is still to come; `None` behind the end or an error.
    response: Option<Response>,
    over: bool,
}

impl Client {
    /// Sends a request whose answer is a list, again if no answer began.
    pub(crate) async fn list(&self, request: Request, rows: Rows) -> Result<Listing, Error> {
        let mut attempts = Attempts::of(&request, self.limits());
        let response = loop {
            match attempts.within(self.open(&request, None)).await {
                Ok(response) => break response,
                Err(error) => attempts.again(error).await?,
            }
        };
        let meta = Meta { attempts: attempts.number, ..Meta::of(response.headers()) };
        let absent = response.status().as_u16() == ABSENT;
        if absent && meta.index.is_none() {
            return Err(Error::Malformed { call: request.call, reason: NOT_CONSULS.to_owned() });
        }
        Ok(Listing {
            client: self.clone(),
            call: request.call,
            meta,
            rows,
            response: (!absent).then_some(response),
            over: absent,
        })
    }
}

impl Listing {
    pub(crate) fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Waits for the next piece and gives the rows that end in it; false behind the last one. It may be
    /// dropped while it waits and called again.
    pub(crate) async fn next(
        &mut self,
        each: impl FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<bool, Error> {
        let read = self.read(each).await;
        if !matches!(read, Ok(true)) {
            self.response = None;
            self.over = read.is_ok();
        }
        read
    }

    async fn read(&mut self, each: impl FnMut(&[u8]) -> Result<(), String>) -> Result<bool, Error> {
        let Some(response) = &mut self.response else {
            let given_up = || self.malformed("nothing was read of it after an error".to_owned());
            return if self.over { Ok(false) } else { Err(given_up()) };
        };
        let limits = self.client.limits();
        let piece = match timeout_at(deadline_in(limits.answer), response.chunk()).await {
            Ok(piece) => piece.map_err(|error| self.client.broken(&self.call, error))?,
            Err(_) => return Err(Error::TimedOut { call: self.call.clone(), limit: limits.answer }),
        };
        let Some(piece) = piece else {
            return self.rows.end().map(|()| false).map_err(|reason| self.malformed(reason));
        };
        self.rows.push(&piece, each).map_err(|reason| self.malformed(reason))?;
        if self.rows.held() > limits.answer_bytes {
            return Err(Error::TooLarge { call: self.call.clone(), limit: limits.answer_bytes });
        }
        Ok(true)
    }

    fn malformed(&self, reason: String) -> Error {
        Error::Malformed { call: self.call.clone(), reason }
    }
}
