//! How far the first copy is, for whoever sits at the terminal.

use std::convert::Infallible;
use std::future::pending;
use std::io::{self, IsTerminal as _};
use std::time::Duration;

use lictor_agent::replicate::{Copies, CopyView};
use tokio::time::{Instant, interval};

use crate::busy::{EVERY, Line};

/// Shows how far it is until everything was copied once, and then nothing more. When it is dropped, the line is empty.
pub(crate) async fn show(copies: &[Copies]) -> Infallible {
    if !io::stderr().is_terminal() {
        return pending().await;
    }
    let begun = Instant::now();
    let mut ticks = interval(EVERY);
    let line = Line;
    loop {
        ticks.tick().await;
        let all: Vec<CopyView> = copies.iter().flat_map(Copies::all).collect();
        if all.iter().all(|copy| copy.state.latest.is_some()) {
            drop(line);
            return pending().await;
        }
        line.write(&words(written(&all), begun.elapsed()));
    }
}

/// Makes place for something else; it is shown again soon.
pub(crate) fn clear() {
    if io::stderr().is_terminal() {
        drop(Line);
    }
}

fn written(copies: &[CopyView]) -> u64 {
    copies.iter().map(|copy| copy.state.tally.written).sum()
}

fn words(keys: u64, took: Duration) -> String {
    let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).max(1);
    let rate = keys.saturating_mul(1000) / millis;
    format!("{keys} keys copied, {rate} a second")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_how_many_and_how_fast() {
        assert_eq!(words(5_000, Duration::from_millis(2_500)), "5000 keys copied, 2000 a second");
        assert_eq!(words(0, Duration::ZERO), "0 keys copied, 0 a second");
    }
}
