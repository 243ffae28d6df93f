//! What is pressed.

use std::io;
use std::time::Duration;

use ratatui::crossterm::event::{self, Event};
use tokio::sync::mpsc;

/// So long after it is not listened to any more its thread ends.
const LOOK: Duration = Duration::from_millis(250);

/// Keys and changes of the window's size, as they come.
pub(super) fn keys() -> mpsc::Receiver<io::Result<Event>> {
    let (say, said) = mpsc::channel(16);
    std::thread::spawn(move || {
        while !say.is_closed() {
            let event = match event::poll(LOOK) {
                Ok(false) => continue,
                Ok(true) => event::read(),
                Err(error) => Err(error),
            };
            let broken = event.is_err();
            if say.blocking_send(event).is_err() || broken {
                return;
            }
        }
    });
    said
}
