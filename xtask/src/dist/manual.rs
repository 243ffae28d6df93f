//! Man pages, one for each command, made of what `-h` says of it.

use std::fs;
use std::path::Path;

use crate::error::Error;
use crate::tool::Tool;

/// What the help of one command says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Help {
    /// What it does.
    about: String,
    usage: String,
    /// `Commands`, `Arguments`, `Options`: what is listed under a heading, with what is said of each.
    lists: Vec<(String, Vec<(String, String)>)>,
    /// What comes after them, as it is.
    rest: Vec<String>,
}

/// Writes `lictor.1`, `lictor-status.1` and the others into a directory, and says how many.
///
/// `date` is that of the pages, as a day.
pub(super) fn write(program: &Path, date: &str, to: &Path) -> Result<usize, Error> {
    fs::create_dir_all(to).map_err(Error::file("create", to))?;
    let mut left = vec![Vec::<String>::new()];
    let mut written = 0;
    while let Some(words) = left.pop() {
        let said = Tool::new(program).args(&words).arg("-h").env("NO_COLOR", "1").output()?;
        let help = parse(&said);
        left.extend(help.commands().map(|command| [words.as_slice(), &[command.to_owned()]].concat()));
        let name = [&["lictor".to_owned()], words.as_slice()].concat().join("-");
        let path = to.join(format!("{name}.1"));
        fs::write(&path, page(&name, &help, date)).map_err(Error::file("write", &path))?;
        written += 1;
    }
    Ok(written)
}

impl Help {
    /// The commands below it.
    fn commands(&self) -> impl Iterator<Item = &str> {
        let listed = self.lists.iter().filter(|(heading, _)| heading == "Commands");
        listed.flat_map(|(_, entries)| entries).map(|(name, _)| name.as_str()).filter(|name| *name != "help")
    }
}

/// Reads the help as clap lays it out: entries begin with a few blanks, what goes on is further in.
fn parse(text: &str) -> Help {
    /// Less than this begins an entry, more goes on with the one before.
    const DEEP: usize = 8;
    let mut help = Help::default();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next_if(|line| !line.starts_with("Usage:")) {
        join(&mut help.about, line.trim());
    }
    while let Some(line) = lines.next_if(|line| !line.is_empty()) {
        join(&mut help.usage, line.trim_start_matches("Usage:").trim());
    }
    while let Some(line) = lines.next() {
        let heading =
            line.strip_suffix(':').filter(|name| ["Commands", "Arguments", "Options"].contains(name));
        let Some(heading) = heading else {
            if !help.rest.is_empty() || !line.is_empty() {
                help.rest.push(line.to_owned());
            }
            continue;
        };
        let mut entries = Vec::<(String, String)>::new();
        while let Some(line) = lines.next_if(|line| !line.is_empty()) {
            let indent = line.len() - line.trim_start().len();
            match entries.last_mut() {
                Some((_, said)) if indent >= DEEP => join(said, line.trim()),
                Some(_) | None => {
                    let (name, said) = line.trim().split_once("  ").unwrap_or((line.trim(), ""));
                    entries.push((name.to_owned(), said.trim().to_owned()));
                }
            }
        }
        help.lists.push((heading.to_owned(), entries));
    }
    help
}

fn join(to: &mut String, more: &str) {
    if !to.is_empty() && !more.is_empty() {
        to.push(' ');
    }
    to.push_str(more);
}

/// One page, for man(7).
fn page(name: &str, help: &Help, date: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut page = format!(".TH {} 1 {date} \"lictor {version}\" Lictor\n", name.to_uppercase());
    let mut say = |line: &str| page.extend([line, "\n"]);
    say(".SH NAME");
    say(&format!("{} \\- {}", roff(name), roff(&help.about)));
    say(".SH SYNOPSIS");
    say(&roff(&help.usage));
    for (heading, entries) in &help.lists {
        say(&format!(".SH {}", heading.to_uppercase()));
        for (term, said) in entries {
            say(".TP");
            say(&format!("\\fB{}\\fR", roff(term)));
            say(&roff(&without_values(said)));
        }
    }
    if !help.rest.is_empty() {
        say(".SH NOTES\n.nf");
        for line in &help.rest {
            say(&roff(line));
        }
        say(".fi");
    }
    let parent = name.rsplit_once('-').map_or("lictor", |(parent, _)| parent);
    let below: Vec<_> = help.commands().map(|command| format!("{name}-{command}")).collect();
    let others = if below.is_empty() { vec![parent.to_owned()] } else { below };
    say(".SH SEE ALSO");
    let others: Vec<_> = others.iter().map(|other| format!("\\fB{}\\fR(1)", roff(other))).collect();
    say(&others.join(", "));
    page
}

/// `[env: NAME=VALUE]` without the value: that of the machine the page is made on.
fn without_values(said: &str) -> String {
    let mut parts = said.split("[env: ");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (variable, rest) = part.split_once(']').unwrap_or((part, ""));
        let name = variable.split_once('=').map_or(variable, |(name, _)| name);
        text.extend(["[env: ", name, "]", rest]);
    }
    text
}

/// Text that stands for itself.
fn roff(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "Show and steer runs\nof remedies\n\nUsage: lictor remedy [OPTIONS] <COMMAND>\n\n\
        Commands:\n  list  List them\n  help  Print this message\n\n\
        Options:\n      --no-color  Show no colours\n                  (also: NO_COLOR)\n  -h, --help      Print help\n\n\
        Example:\n  lictor remedy list\n";

    #[test]
    fn the_help_of_a_command_is_taken_apart() {
        let pair = |name: &str, said: &str| (name.to_owned(), said.to_owned());
        let help = parse(SAID);
        assert_eq!(help.about, "Show and steer runs of remedies");
        assert_eq!(help.usage, "lictor remedy [OPTIONS] <COMMAND>");
        assert_eq!(help.commands().collect::<Vec<_>>(), ["list"]);
        let options =
            [pair("--no-color", "Show no colours (also: NO_COLOR)"), pair("-h, --help", "Print help")];
        assert_eq!(help.lists[1], ("Options".to_owned(), options.to_vec()));
        assert_eq!(help.rest, ["Example:", "  lictor remedy list"]);
    }

    #[test]
    fn a_page_names_its_command_and_what_is_near_it() {
        let page = page("lictor-remedy", &parse(SAID), "2026-01-01");
        assert!(page.starts_with(".TH LICTOR-REMEDY 1 2026-01-01 "), "{page}");
        assert!(page.contains(".TP\n\\fB\\-\\-no\\-color\\fR\nShow no colours (also: NO_COLOR)\n"), "{page}");
        assert!(page.ends_with("\\fBlictor\\-remedy\\-list\\fR(1)\n"), "{page}");
    }

    #[test]
    fn what_a_variable_holds_here_is_left_out() {
        let said = "Where it is [env: LICTOR_HTTP_ADDR=http://here:1] [default: x] [env: USER]";
        assert_eq!(without_values(said), "Where it is [env: LICTOR_HTTP_ADDR] [default: x] [env: USER]");
    }

    #[test]
    fn text_that_looks_like_a_request_is_text() {
        assert_eq!(roff(".so /etc/passwd \\n"), "\\&.so /etc/passwd \\en");
    }
}
