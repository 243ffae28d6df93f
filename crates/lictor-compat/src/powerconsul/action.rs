//! Actions: what is run when a check fails, as it lies in Consul.

use std::collections::BTreeMap;

/// What is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A script, given to its interpreter as a file.
    Script {
        /// The interpreter.
        interpreter: String,
        /// Its argument before the file.
        argument: Option<String>,
        /// The script.
        text: String,
    },
    /// A program with its arguments, without a shell.
    Command(Vec<String>),
}

impl Action {
    /// The action that a text is, after `@NAME` was replaced in it; `None` if it is blank.
    #[must_use]
    pub fn read(text: &str, vars: &BTreeMap<String, String>) -> Option<Self> {
        let text = substituted(text, vars);
        let Some(line) = text.strip_prefix("#!") else {
            let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
            return (!words.is_empty()).then_some(Self::Command(words));
        };
        // As the kernel reads it: everything after the interpreter is one argument.
        let line = line.lines().next().unwrap_or_default().trim();
        let (interpreter, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        let argument = Some(rest.trim()).filter(|rest| !rest.is_empty()).map(str::to_owned);
        let interpreter = if interpreter.is_empty() { "/bin/sh" } else { interpreter };
        Some(Self::Script { interpreter: interpreter.to_owned(), argument, text })
    }

    /// What the log calls it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Script { .. } => "script",
            Self::Command(_) => "command",
        }
    }
}

/// The text with `@NAME` replaced by what it stands for: the longest name that is there as a whole. What was put in
/// is not looked at again.
fn substituted(text: &str, vars: &BTreeMap<String, String>) -> String {
    let mut names: Vec<&String> = vars.keys().filter(|name| !name.is_empty()).collect();
    names.sort_by_key(|name| std::cmp::Reverse(name.len()));
    let mut done = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('@') {
        done.push_str(before);
        let found = names.iter().find_map(|name| {
            let behind = after.strip_prefix(name.as_str())?;
            is_whole(name, behind).then(|| (vars.get(*name).map_or("", String::as_str), behind))
        });
        match found {
            Some((value, behind)) => {
                done.push_str(value);
                rest = behind;
            }
            None => {
                done.push('@');
                rest = after;
            }
        }
    }
    done + rest
}

/// Whether a name does not go on behind it.
fn is_whole(name: &str, behind: &str) -> bool {
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    !(name.ends_with(is_word) && behind.starts_with(is_word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vars() -> BTreeMap<String, String> {
        let pairs = [("ENV", "prod"), ("ENVIRONMENT", "@ENV"), ("a-b", "x y")];
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    #[test]
    fn bug_14_a_name_is_replaced_only_as_a_whole() {
        let done = |text: &str| substituted(text, &vars());
        assert_eq!(done("@ENV @ENVIRONMENT @ENVY me@ENV.x @"), "prod @ENV @ENVY meprod.x @");
        assert_eq!(done("@a-b/@ENV_"), "x y/@ENV_");
        assert_eq!(substituted("@ENV", &BTreeMap::new()), "@ENV");
    }

    #[test]
    fn a_text_is_a_script_or_a_command() {
        let read = |text: &str| Action::read(text, &vars());
        let words = ["service", "apache2-prod", "restart"].map(str::to_owned).to_vec();
        assert_eq!(read("service apache2-@ENV  restart\n"), Some(Action::Command(words)));
        assert_eq!(read(" \n"), None);
        let script = |interpreter: &str, argument: Option<&str>, text: &str| {
            let (interpreter, argument) = (interpreter.to_owned(), argument.map(str::to_owned));
            Some(Action::Script { interpreter, argument, text: text.to_owned() })
        };
        assert_eq!(read("#!/bin/bash\necho @ENV"), script("/bin/bash", None, "#!/bin/bash\necho prod"));
        let text = "#! /usr/bin/env -S perl -w\r\n1";
        assert_eq!(read(text), script("/usr/bin/env", Some("-S perl -w"), text));
    }
}
