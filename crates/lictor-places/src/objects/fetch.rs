//! Reading an object to its end.

use futures::TryStreamExt as _;
use object_store::path::Path as Key;
use object_store::{GetOptions, GetRange};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::time::sleep;

use super::{Objects, refused};
use crate::error::PlaceError;
use crate::wire::Pauses;

/// How far it is.
#[derive(Debug, Default)]
struct State {
    /// Size in bytes and tag, once the first answer has told them.
    whole: Option<(u64, Option<String>)>,
    written: u64,
}

/// Why an answer was not read to its end.
enum Broken {
    /// It is over.
    For(PlaceError),
    /// There may be more when it is asked for again.
    Until(PlaceError),
}

pub(super) async fn fetch(
    objects: &Objects,
    name: &str,
    to: &mut (impl AsyncWrite + Unpin + Send),
) -> Result<u64, PlaceError> {
    let tried = format!("fetch `{name}`");
    let key = objects.key(name, &tried)?;
    let mut state = State::default();
    let mut pauses = Pauses::default();
    loop {
        let before = state.written;
        let error = match once(objects, &key, name, &tried, &mut state, to).await {
            Ok(()) => break,
            Err(Broken::For(error)) => return Err(error),
            Err(Broken::Until(error)) => error,
        };
        if state.written > before {
            pauses = Pauses::default();
        }
        // Without a tag it could be something else that goes on there.
        let known = state.written == 0 || state.whole.as_ref().is_some_and(|(_, tag)| tag.is_some());
        match pauses.next() {
            Some(pause) if known && error.is_temporary() => sleep(pause).await,
            _ => return Err(error),
        }
    }
    to.flush().await.map_err(|source| PlaceError::unwritten(objects.shown(), &tried, &source))?;
    Ok(state.written)
}

/// Asks once for what is still missing.
async fn once(
    objects: &Objects,
    key: &Key,
    name: &str,
    tried: &str,
    state: &mut State,
    to: &mut (impl AsyncWrite + Unpin + Send),
) -> Result<(), Broken> {
    let mut options = GetOptions::default();
    if state.written > 0 {
        options.range = Some(GetRange::Offset(state.written));
        options.if_match = state.whole.as_ref().and_then(|(_, tag)| tag.clone());
    }
    let changed = || PlaceError::Changed {
        place: objects.shown().to_owned(),
        tried: tried.to_owned(),
        what: format!("`{name}`"),
    };
    // Whoever asks for it has tried often enough already.
    let found = objects.store.get_opts(key, options).await.map_err(|error| {
        Broken::For(if refused(&error, &[412]) {
            changed()
        } else {
            objects.told(&error, tried, &format!("`{name}`"))
        })
    })?;
    let seen = (found.meta.size, found.meta.e_tag.clone());
    let size = match &state.whole {
        Some(whole) if *whole != seen => return Err(Broken::For(changed())),
        Some((size, _)) => *size,
        None => state.whole.insert(seen).0,
    };
    let mut stream = found.into_stream();
    loop {
        let piece = stream.try_next().await;
        let Some(piece) = piece.map_err(|error| Broken::Until(objects.told(&error, tried, name)))? else {
            break;
        };
        state.written += piece.len() as u64;
        to.write_all(&piece)
            .await
            .map_err(|source| Broken::For(PlaceError::unwritten(objects.shown(), tried, &source)))?;
    }
    if state.written == size {
        return Ok(());
    }
    let why = format!("it ended after {} of {size} bytes", state.written);
    let (place, tried) = (objects.shown().to_owned(), tried.to_owned());
    Err(Broken::Until(PlaceError::Cut { place, tried, why }))
}
