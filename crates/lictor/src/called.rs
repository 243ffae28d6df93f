//! By which name this program was called: those of the programs that it replaces are links to it, and commands of it.

use std::ffi::OsString;
use std::path::Path;

/// The arguments after a name, if the program was called by it, or as a command of this one.
pub(crate) fn by_name<'a>(args: &'a [OsString], name: &str) -> Option<&'a [OsString]> {
    as_program(args, name).or_else(|| match args {
        [_, word, rest @ ..] if word == name => Some(rest),
        _ => None,
    })
}

/// The arguments after the program's name, if that is what its file is called.
pub(crate) fn as_program<'a>(args: &'a [OsString], name: &str) -> Option<&'a [OsString]> {
    match args {
        [program, rest @ ..] if Path::new(program).file_name().is_some_and(|is| is == name) => Some(rest),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_file_or_the_first_word() {
        let args = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        let rest = |words: &[&str]| by_name(&args(words), "watcher").map(<[_]>::len);
        assert_eq!(rest(&["/usr/bin/watcher", "-once"]), Some(1));
        assert_eq!(rest(&["lictor", "watcher"]), Some(0));
        assert_eq!(rest(&["lictor", "import", "watcher"]), None);
        assert_eq!(rest(&["lictor"]), None);
        assert_eq!(rest(&[]), None);
    }
}
