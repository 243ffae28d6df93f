//! What is on the screen, and what keys do to it.

use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::feed::{Body, News, Tab, Wanted, World};
use super::ink::plain;
use crate::sheet::{About, Line, Sheet};

/// What comes after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Stay,
    Leave,
}

pub(super) struct Screen {
    pub(super) colours: bool,
    pub(super) tab: Tab,
    pub(super) head: Vec<String>,
    pub(super) sheet: Sheet,
    /// Whether the list is that of the tab: it is not until the first answer about it.
    pub(super) fresh: bool,
    /// Which line is chosen, of those that are shown.
    pub(super) chosen: usize,
    /// Only lines that have this in them are shown.
    pub(super) filter: String,
    /// Whether it is being typed.
    pub(super) typing: bool,
    pub(super) helping: bool,
    /// One thing in full, and how far its text is scrolled.
    pub(super) open: Option<Open>,
    /// Why the agent does not answer.
    pub(super) gone: Option<String>,
    /// Lines that fit, as of the last time it was drawn.
    pub(super) room: usize,
}

pub(super) struct Open {
    pub(super) about: About,
    pub(super) text: Option<String>,
    pub(super) scroll: usize,
}

impl Screen {
    pub(super) fn new(colours: bool) -> Self {
        Self {
            colours,
            tab: Tab::Checks,
            head: Vec::new(),
            sheet: Sheet::default(),
            fresh: false,
            chosen: 0,
            filter: String::new(),
            typing: false,
            helping: false,
            open: None,
            gone: None,
            room: 1,
        }
    }

    /// What the agent is to be asked for.
    pub(super) fn wanted(&self) -> Wanted {
        let about = self.open.as_ref().map(|open| open.about.clone());
        // What is all in its line is kept up to date with the list.
        Wanted { tab: self.tab, about: about.filter(|about| !matches!(about, About::Itself(_))) }
    }

    pub(super) fn hear(&mut self, news: News) {
        let World { of, head, body } = match news {
            News::World(world) => world,
            News::Gone(failure) => {
                self.gone = Some(failure.message());
                return;
            }
        };
        self.gone = None;
        self.head = head;
        // An answer to what is not wanted any more is late.
        if of != self.wanted() {
            return;
        }
        match (body, &mut self.open) {
            (Body::Text(text), Some(open)) => open.text = Some(text),
            (Body::Text(_), None) => {}
            (Body::List(sheet), _) => {
                let chosen = self.chosen_line().map(|line| line.about.clone());
                (self.sheet, self.fresh) = (sheet, true);
                let again = chosen.and_then(|about| self.shown().position(|line| line.about == about));
                self.choose(again.unwrap_or(self.chosen));
            }
        }
    }

    /// The lines that are shown.
    pub(super) fn shown(&self) -> impl Iterator<Item = &Line> {
        let wanted = self.filter.to_lowercase();
        self.sheet.lines.iter().filter(move |line| {
            wanted.is_empty() || line.cells.iter().any(|cell| plain(cell).to_lowercase().contains(&wanted))
        })
    }

    pub(super) fn chosen_line(&self) -> Option<&Line> {
        self.shown().nth(self.chosen)
    }

    /// A text for what is open: what was answered, or its line.
    pub(super) fn open_text(&self) -> Option<String> {
        let open = self.open.as_ref()?;
        if !matches!(open.about, About::Itself(_)) {
            return Some(open.text.clone().unwrap_or_else(|| "…".to_owned()));
        }
        let Some(line) = self.sheet.lines.iter().find(|line| line.about == open.about) else {
            return Some("it is not there any more".to_owned());
        };
        let width = self.sheet.header.iter().map(|name| plain(name).chars().count()).max().unwrap_or(0);
        let cells = self.sheet.header.iter().zip(&line.cells);
        let cells = cells.map(|(name, cell)| format!("{:<width$}  {cell}", plain(name)));
        let more = line.more.iter().flat_map(|more| ["", more.as_str()]).map(str::to_owned);
        Some(cells.chain(more).collect::<Vec<_>>().join("\n"))
    }

    pub(super) fn press(&mut self, event: &Event) -> Next {
        let Event::Key(key) = event else { return Next::Stay };
        if key.kind == KeyEventKind::Release {
            return Next::Stay;
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return Next::Leave;
        }
        if self.helping {
            self.helping = false;
        } else if self.typing {
            self.write(key);
        } else if key.code == KeyCode::Char('q') {
            return Next::Leave;
        } else if self.open.is_some() {
            self.read(key);
        } else {
            self.walk(key);
        }
        Next::Stay
    }

    /// Keys while the filter is typed.
    fn write(&mut self, key: &KeyEvent) {
        match key.code {
            KeyCode::Char(c) => self.filter.push(c),
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Enter => self.typing = false,
            KeyCode::Esc => {
                self.filter.clear();
                self.typing = false;
            }
            _ => return,
        }
        self.chosen = 0;
    }

    /// Keys while one thing is open.
    fn read(&mut self, key: &KeyEvent) {
        let page = self.room.max(2) - 1;
        let Some(open) = &mut self.open else { return };
        match key.code {
            KeyCode::Esc | KeyCode::Backspace | KeyCode::Left | KeyCode::Char('h') => self.open = None,
            KeyCode::Up | KeyCode::Char('k') => open.scroll = open.scroll.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => open.scroll += 1,
            KeyCode::PageUp | KeyCode::Char('b') => open.scroll = open.scroll.saturating_sub(page),
            KeyCode::PageDown | KeyCode::Char(' ' | 'f') => open.scroll += page,
            KeyCode::Home | KeyCode::Char('g') => open.scroll = 0,
            // Drawing takes it back to where the text ends.
            KeyCode::End | KeyCode::Char('G') => open.scroll = usize::MAX / 2,
            KeyCode::Char('?') => self.helping = true,
            _ => {}
        }
    }

    /// Keys in a list.
    fn walk(&mut self, key: &KeyEvent) {
        let page = self.room.max(2) - 1;
        let at = Tab::ALL.iter().position(|tab| *tab == self.tab).unwrap_or(0);
        let last = Tab::ALL.len() - 1;
        match key.code {
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Up | KeyCode::Char('k') => self.choose(self.chosen.saturating_sub(1)),
            KeyCode::Down | KeyCode::Char('j') => self.choose(self.chosen + 1),
            KeyCode::PageUp | KeyCode::Char('b') => self.choose(self.chosen.saturating_sub(page)),
            KeyCode::PageDown | KeyCode::Char(' ' | 'f') => self.choose(self.chosen + page),
            KeyCode::Home | KeyCode::Char('g') => self.choose(0),
            KeyCode::End | KeyCode::Char('G') => self.choose(usize::MAX),
            KeyCode::Tab | KeyCode::Right | KeyCode::Char('l') => {
                self.turn(if at == last { 0 } else { at + 1 });
            }
            KeyCode::BackTab | KeyCode::Left | KeyCode::Char('h') => {
                self.turn(at.checked_sub(1).unwrap_or(last));
            }
            KeyCode::Char(c @ '1'..='9') => self.turn(usize::from(c as u8 - b'1')),
            KeyCode::Char('/') => self.typing = true,
            KeyCode::Char('?') => self.helping = true,
            KeyCode::Enter => {
                let about = self.chosen_line().map(|line| line.about.clone());
                self.open = about.map(|about| Open { about, text: None, scroll: 0 });
            }
            _ => {}
        }
    }

    fn choose(&mut self, line: usize) {
        let last = self.shown().count().saturating_sub(1);
        self.chosen = line.min(last);
    }

    fn turn(&mut self, to: usize) {
        let Some(&tab) = Tab::ALL.get(to) else { return };
        if tab != self.tab {
            (self.tab, self.fresh, self.chosen) = (tab, false, 0);
            self.sheet = Sheet::default();
            self.filter.clear();
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use ratatui::crossterm::event::KeyEvent;

    use super::*;

    pub(in super::super) fn checks(names: &[&str]) -> News {
        let line = |name: &&str| {
            let status = if name.starts_with("bad") {
                "\u{1b}[31mcritical\u{1b}[0m"
            } else {
                "\u{1b}[32mpassing\u{1b}[0m"
            };
            let cells =
                [(*name).to_owned(), status.to_owned(), "2h".to_owned(), format!("{name} was looked at")];
            (About::Check((*name).to_owned()), cells)
        };
        let sheet = Sheet::new(["CHECK", "STATUS", "FOR", "LAST RESULT"], names.iter().map(line));
        let of = Wanted { tab: Tab::Checks, about: None };
        let head =
            vec!["\u{1b}[1mweb1: 2 of 3 checks pass\u{1b}[0m".to_owned(), "1 open incident".to_owned()];
        News::World(World { of, head, body: Body::List(sheet) })
    }

    pub(in super::super) fn press(screen: &mut Screen, code: KeyCode) -> Next {
        screen.press(&Event::Key(KeyEvent::new(code, KeyModifiers::NONE)))
    }

    fn chosen(screen: &Screen) -> &About {
        &screen.chosen_line().unwrap().about
    }

    fn check(name: &str) -> About {
        About::Check(name.to_owned())
    }

    #[test]
    fn what_is_chosen_stays_so_when_others_come_before_it() {
        let mut screen = Screen::new(true);
        screen.hear(checks(&["a", "b", "c"]));
        press(&mut screen, KeyCode::Down);
        assert_eq!(chosen(&screen), &check("b"));
        screen.hear(checks(&["bad", "a", "b", "c"]));
        assert_eq!(chosen(&screen), &check("b"));
        screen.hear(checks(&["bad"]));
        assert_eq!(chosen(&screen), &check("bad"), "it is gone: the nearest one is");
        screen.hear(checks(&[]));
        assert!(screen.chosen_line().is_none());
    }

    #[test]
    fn only_what_fits_the_filter_is_shown() {
        let mut screen = Screen::new(true);
        screen.hear(checks(&["bad", "web", "db"]));
        press(&mut screen, KeyCode::Char('/'));
        for c in "CRIT".chars() {
            press(&mut screen, KeyCode::Char(c));
        }
        press(&mut screen, KeyCode::Enter);
        assert_eq!(screen.shown().count(), 1);
        press(&mut screen, KeyCode::Esc);
        assert_eq!(screen.shown().count(), 3);
        // Colours are no text.
        press(&mut screen, KeyCode::Char('/'));
        press(&mut screen, KeyCode::Char('['));
        assert_eq!(screen.shown().count(), 0);
        assert_eq!(press(&mut screen, KeyCode::Char('q')), Next::Stay, "it is typed");
    }

    #[test]
    fn one_thing_is_opened_and_asked_for_and_left_again() {
        let mut screen = Screen::new(true);
        screen.hear(checks(&["a", "b"]));
        press(&mut screen, KeyCode::Enter);
        assert_eq!(screen.wanted().about, Some(check("a")));
        screen.hear(checks(&["late"]));
        assert_eq!(screen.sheet.lines.len(), 2, "an answer to an earlier question is late");
        let of = screen.wanted();
        screen.hear(News::World(World { of, head: Vec::new(), body: Body::Text("all of it".to_owned()) }));
        assert_eq!(screen.open_text().as_deref(), Some("all of it"));
        press(&mut screen, KeyCode::Esc);
        assert_eq!(screen.wanted(), Wanted { tab: Tab::Checks, about: None });
        assert_eq!(press(&mut screen, KeyCode::Char('q')), Next::Leave);
    }

    #[test]
    fn tabs_are_reached_by_number_and_round_about() {
        let mut screen = Screen::new(true);
        press(&mut screen, KeyCode::BackTab);
        assert_eq!(screen.tab, Tab::Events);
        press(&mut screen, KeyCode::Tab);
        assert_eq!(screen.tab, Tab::Checks);
        press(&mut screen, KeyCode::Char('5'));
        assert_eq!((screen.tab, screen.fresh), (Tab::Alerts, false));
    }
}
