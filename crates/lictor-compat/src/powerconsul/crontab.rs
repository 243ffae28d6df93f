//! What a user's crontab says.

use thiserror::Error;

/// Why a crontab is not as it should be, in the old words.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CrontabFault {
    /// There is none.
    #[error("Crontab file not found: {0}")]
    Missing(String),
    /// It belongs to somebody else.
    #[error("Incorrect permissions \"{found}\" for {user} crontab, expected \"{user}:crontab\"")]
    Owner {
        /// Whose it should be.
        user: String,
        /// User and group it belongs to.
        found: String,
    },
    /// Nothing in it is what is looked for.
    #[error("Failed to find pattern [{pattern}] in crontab: {path}")]
    Pattern {
        /// What is looked for.
        pattern: String,
        /// The file.
        path: String,
    },
    /// Nothing in it would be run.
    #[error("Crontab only contains comment lines: {0}")]
    Empty(String),
    /// It should be off.
    #[error("Crontab is enabled: {0}")]
    Enabled(String),
}

/// Whether something is run by a crontab: a line that is no comment, and not blank, and has the pattern in it. A line
/// that only sets a variable is run by nobody.
#[must_use]
pub fn is_enabled(text: &str, pattern: Option<&str>) -> bool {
    jobs(text).any(|line| pattern.is_none_or(|pattern| line.contains(pattern)))
}

/// What is wrong with a crontab that should be on, if something is. `owner` is user and group of the file.
#[must_use]
pub fn crontab(
    path: &str,
    user: &str,
    pattern: Option<&str>,
    owner: &str,
    text: &str,
) -> Option<CrontabFault> {
    if owner != format!("{user}:crontab") {
        return Some(CrontabFault::Owner { user: user.to_owned(), found: owner.to_owned() });
    }
    if jobs(text).next().is_none() {
        return Some(CrontabFault::Empty(path.to_owned()));
    }
    let pattern = pattern.filter(|_| !is_enabled(text, pattern))?;
    Some(CrontabFault::Pattern { pattern: pattern.to_owned(), path: path.to_owned() })
}

fn jobs(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#') && !is_setting(line))
}

/// Whether a line is `NAME = value`.
fn is_setting(line: &str) -> bool {
    let Some((name, _)) = line.split_once('=') else { return false };
    let name = name.trim().trim_matches(['"', '\'']);
    let begins = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    begins && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(pattern: Option<&str>, owner: &str, text: &str) -> Option<String> {
        crontab("/c/me", "me", pattern, owner, text).map(|fault| fault.to_string())
    }

    #[test]
    fn bug_20_blank_lines_and_comments_run_nothing() {
        let empty = Some("Crontab only contains comment lines: /c/me".to_owned());
        assert_eq!(fault(None, "me:crontab", "\n\n"), empty);
        assert_eq!(fault(None, "me:crontab", "# * * * * * x\nMAILTO = root\n"), empty);
        let text = "# * * * * * backup\n@daily clean --mode=all\n";
        assert_eq!(fault(None, "me:crontab", text), None);
        assert_eq!(fault(Some("clean"), "me:crontab", text), None);
        let missing = "Failed to find pattern [backup] in crontab: /c/me";
        assert_eq!(fault(Some("backup"), "me:crontab", text).as_deref(), Some(missing));
        assert!(is_enabled(text, Some("clean")) && !is_enabled(text, Some("backup")));
    }

    #[test]
    fn a_crontab_of_somebody_else_is_told() {
        let error = "Incorrect permissions \"root:root\" for me crontab, expected \"me:crontab\"";
        assert_eq!(fault(None, "root:root", "* * * * * x").as_deref(), Some(error));
    }
}
