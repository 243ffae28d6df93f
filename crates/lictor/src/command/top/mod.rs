//! `lictor top`: how things stand, live, on the whole terminal.

mod draw;
mod feed;
mod ink;
mod input;
mod screen;

use std::io::IsTerminal as _;

use ratatui::DefaultTerminal;
use tokio::sync::{mpsc, watch};

use self::feed::{News, Wanted};
use self::screen::{Next, Screen};
use crate::cli::Top as Args;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::Terminal;

pub(crate) async fn run(args: &Args, terminal: &Terminal) -> Result<(), Failure> {
    if !(std::io::stdout().is_terminal() && std::io::stdin().is_terminal()) {
        let failure = Failure::new(Exit::Usage, "this needs a terminal");
        return Err(
            failure.help("`lictor status --watch` shows changes anywhere, and --format json for programs")
        );
    }
    let client = Client::new(&args.agent)?;
    let mut screen = Screen::new(terminal.colours_out());
    let (want, wanted) = watch::channel(screen.wanted());
    let (news, mut heard) = mpsc::channel(1);
    let mut feed = std::pin::pin!(feed::feed(&client, wanted, news, Terminal::painted()));
    // An agent that is not there at all, or refuses, is told before the screen is taken.
    let first = tokio::select! {
        failed = &mut feed => return failed,
        first = heard.recv() => first,
    };
    if let Some(News::Gone(failure)) = first {
        return Err(failure);
    }
    first.into_iter().for_each(|news| screen.hear(news));
    let mut tty = ratatui::try_init().map_err(|error| {
        // A part of it may have been done.
        ratatui::restore();
        Failure::new(Exit::Failed, format!("cannot take over the terminal: {error}"))
    })?;
    let done = tokio::select! {
        failed = feed => failed,
        done = interact(&mut tty, &mut screen, &mut heard, &want) => done,
    };
    ratatui::restore();
    done
}

/// Shows what is heard, and does what is pressed, until somebody wants it to end.
async fn interact(
    tty: &mut DefaultTerminal,
    screen: &mut Screen,
    heard: &mut mpsc::Receiver<News>,
    want: &watch::Sender<Wanted>,
) -> Result<(), Failure> {
    let mut pressed = input::keys();
    let mut stopped = std::pin::pin!(super::stopped());
    let broken = |error: std::io::Error| Failure::new(Exit::Failed, format!("the terminal is gone: {error}"));
    loop {
        tty.draw(|frame| draw::draw(screen, frame)).map_err(broken)?;
        tokio::select! {
            news = heard.recv() => news.into_iter().for_each(|news| screen.hear(news)),
            event = pressed.recv() => match event {
                Some(Ok(event)) => if screen.press(&event) == Next::Leave { return Ok(()) },
                Some(Err(error)) => return Err(broken(error)),
                None => return Ok(()),
            },
            () = &mut stopped => return Ok(()),
        }
        let wanted = screen.wanted();
        want.send_if_modified(|now| {
            let changed = *now != wanted;
            *now = wanted;
            changed
        });
    }
}
