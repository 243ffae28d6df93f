//! Draws the screen.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Cell, Clear, Paragraph, Row, Table, TableState, Wrap};

use super::feed::Tab;
use super::ink::{line, plain};
use super::screen::Screen;

/// Lines at the top that say how all stands; more are in `lictor status`.
const HEAD: usize = 6;

/// No column but the last takes more than this part of the width.
const PART: usize = 3;

const HELP: &str = "\
1 to 9, Tab   what is listed
↑ ↓ PgUp PgDn choose a line (also j k, b f)
Enter         all of it; Esc goes back
/             only lines with some text; Esc shows all
q             ends

What is shown is asked for anew whenever something happens.
`lictor remedy`, `alerts`, `silence` and `service` act.";

const DIM: Style = Style::new().add_modifier(Modifier::DIM);

pub(super) fn draw(screen: &mut Screen, frame: &mut Frame<'_>) {
    let gone = screen.gone.as_ref().map(|why| format!("\u{1b}[1;31mno answer, asking on:\u{1b}[0m {why}"));
    let head: Vec<_> = gone.iter().chain(&screen.head).take(HEAD).map(|text| line(text)).collect();
    let rows = u16::try_from(head.len()).unwrap_or(1);
    let parts = [Constraint::Length(rows), Constraint::Length(1), Constraint::Min(1), Constraint::Length(1)];
    let [top, tabs, body, bottom] = Layout::vertical(parts).areas(frame.area());
    frame.render_widget(coloured(screen, Text::from(head)), top);
    frame.render_widget(tab_line(screen), tabs);
    match screen.open_text() {
        Some(text) => draw_text(screen, &text, frame, body),
        None => draw_list(screen, frame, body),
    }
    frame.render_widget(bottom_line(screen), bottom);
    if screen.helping {
        draw_help(frame);
    }
}

/// Without colours only what is chosen stands out.
fn coloured<'a>(screen: &Screen, text: Text<'a>) -> Text<'a> {
    if screen.colours {
        return text;
    }
    let bare = |span: Span<'a>| Span::raw(span.content);
    let lines = text.lines.into_iter().map(|line| line.spans.into_iter().map(bare).collect::<Line<'a>>());
    Text::from(lines.collect::<Vec<_>>())
}

fn tab_line(screen: &Screen) -> Line<'static> {
    let mut spans = Vec::new();
    for (number, tab) in (1..).zip(Tab::ALL) {
        let style =
            if tab == screen.tab { Style::new().add_modifier(Modifier::REVERSED) } else { Style::new() };
        spans.push(Span::styled(format!("{number}"), DIM.patch(style)));
        spans.push(Span::styled(tab.name(), style));
        spans.push(Span::raw(" "));
    }
    Line::from(spans)
}

fn bottom_line(screen: &Screen) -> Line<'static> {
    if screen.typing {
        return Line::from(format!("/{}▏", screen.filter));
    }
    let keys = match (&screen.open, screen.filter.as_str()) {
        (Some(_), _) => "Esc back  ↑↓ scroll  ? help  q end".to_owned(),
        (None, "") => "Enter all of it  / filter  Tab next  ? help  q end".to_owned(),
        (None, filter) => format!("with “{filter}”  Esc all  Enter all of it  ? help  q end"),
    };
    Line::styled(keys, DIM)
}

fn draw_list(screen: &mut Screen, frame: &mut Frame<'_>, area: Rect) {
    screen.room = usize::from(area.height.saturating_sub(1));
    let total = screen.sheet.lines.len();
    let shown: Vec<_> = screen.shown().collect();
    if shown.is_empty() {
        let said = match (screen.fresh, total) {
            (false, _) => "…",
            (true, 0) => screen.tab.empty(),
            (true, _) => "nothing has this in it",
        };
        frame.render_widget(Line::styled(said, DIM), area);
        return;
    }
    let header: Vec<_> = screen.sheet.header.iter().map(|name| plain(name)).collect();
    let widths = widths(&header, &shown, usize::from(area.width));
    let rows = shown.iter().map(|one| {
        Row::new(one.cells.iter().map(|cell| Cell::from(coloured(screen, Text::from(line(cell))))))
    });
    let table = Table::new(rows, widths)
        .header(Row::new(header).style(DIM))
        .column_spacing(2)
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut state = TableState::new().with_selected(screen.chosen);
    frame.render_stateful_widget(table, area, &mut state);
}

/// As wide as the content, but for what is too wide; the last one has what is left.
fn widths(header: &[String], shown: &[&crate::sheet::Line], room: usize) -> Vec<Constraint> {
    let last = header.len().saturating_sub(1);
    let wide = |text: &str| Line::raw(text).width();
    (0..header.len())
        .map(|column| {
            let cells = shown.iter().filter_map(|line| line.cells.get(column)).map(|cell| wide(&plain(cell)));
            let widest = cells.chain(header.get(column).map(|name| wide(name))).max().unwrap_or(0);
            match u16::try_from(widest.min(room / PART)) {
                Ok(width) if column < last => Constraint::Length(width),
                _ => Constraint::Fill(1),
            }
        })
        .collect()
}

fn draw_text(screen: &mut Screen, text: &str, frame: &mut Frame<'_>, area: Rect) {
    screen.room = usize::from(area.height);
    let lines: Vec<_> = text.lines().map(|text| line(&text.replace('\t', "    "))).collect();
    let text = coloured(screen, Text::from(lines));
    let paragraph = Paragraph::new(text).wrap(Wrap { trim: false });
    let end = paragraph.line_count(area.width).saturating_sub(usize::from(area.height));
    let Some(open) = &mut screen.open else { return };
    open.scroll = open.scroll.min(end);
    let scroll = u16::try_from(open.scroll).unwrap_or(u16::MAX);
    frame.render_widget(paragraph.scroll((scroll, 0)), area);
}

fn draw_help(frame: &mut Frame<'_>) {
    let area = frame.area();
    let (width, height) = (62.min(area.width), 11.min(area.height));
    let place = Rect::new((area.width - width) / 2, (area.height - height) / 2, width, height);
    frame.render_widget(Clear, place);
    let block = ratatui::widgets::Block::bordered().title(" Keys ");
    frame.render_widget(Paragraph::new(HELP).block(block).wrap(Wrap { trim: false }), place);
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::crossterm::event::KeyCode;

    use super::super::screen::tests::{checks, press};
    use super::*;

    fn drawn(screen: &mut Screen, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(screen, frame)).unwrap();
        let buffer = terminal.backend().buffer();
        let rows = buffer.content().chunks(usize::from(width));
        let rows = rows.map(|row| row.iter().map(ratatui::buffer::Cell::symbol).collect::<String>());
        rows.map(|row| row.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn eighty_columns_are_enough() {
        let mut screen = Screen::new(true);
        screen.hear(checks(&["bad-disk", "db", "web"]));
        insta::assert_snapshot!(drawn(&mut screen, 80, 10), @r"
        web1: 2 of 3 checks pass
        1 open incident
        1Checks 2Incidents 3Remedies 4Runs 5Alerts 6Services 7Peers 8Copies 9Events
        CHECK     STATUS    FOR  LAST RESULT
        bad-disk  critical  2h   bad-disk was looked at
        db        passing   2h   db was looked at
        web       passing   2h   web was looked at


        Enter all of it  / filter  Tab next  ? help  q end
        ");
    }

    #[test]
    fn a_text_ends_where_it_ends() {
        let mut screen = Screen::new(false);
        screen.hear(checks(&["a"]));
        press(&mut screen, KeyCode::Enter);
        screen.open.as_mut().unwrap().text = Some((0..30).map(|line| format!("line {line}\n")).collect());
        press(&mut screen, KeyCode::End);
        let end = drawn(&mut screen, 40, 10);
        assert!(end.contains("line 29") && end.contains("line 24") && !end.contains("line 23"), "{end}");
        press(&mut screen, KeyCode::Up);
        assert!(!drawn(&mut screen, 40, 10).contains("line 29"));
    }

    #[test]
    fn no_window_is_too_small() {
        for (width, height) in [(1, 1), (3, 2), (20, 3), (80, 4)] {
            let mut screen = Screen::new(true);
            screen.hear(checks(&["bad-disk", "db", "web"]));
            drawn(&mut screen, width, height);
            press(&mut screen, KeyCode::Char('?'));
            drawn(&mut screen, width, height);
            press(&mut screen, KeyCode::Enter);
            press(&mut screen, KeyCode::Enter);
            drawn(&mut screen, width, height);
        }
    }
}
