//! The known name that a mistyped one is nearest to.

/// Names looked at in one search.
const SEARCHED: usize = 10_000;

/// The nearest of the known names, if one is near enough to be meant.
pub(crate) fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed: Vec<char> = typed.chars().take(64).collect();
    let allowed = match typed.len() {
        0 => return None,
        1..=2 => 1,
        3..=5 => 2,
        _ => 3,
    };
    let near = |name: &&str| {
        let length = name.chars().count();
        length.abs_diff(typed.len()) <= allowed && length > allowed
    };
    let candidates = known.into_iter().take(SEARCHED).filter(near);
    let rated = candidates.map(|name| (distance(&typed, name), name));
    rated.filter(|(distance, _)| *distance <= allowed).min().map(|(_, name)| name)
}

/// `did you mean …?` for the nearest name, otherwise a list of what is known.
pub(crate) fn suggestion<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let mut known: Vec<&str> = known.into_iter().collect();
    if let Some(name) = nearest(typed, known.iter().copied()) {
        return Some(format!("did you mean `{name}`?"));
    }
    known.sort_unstable();
    known.dedup();
    match known.len() {
        0 => None,
        1..=24 => Some(format!("known here: {}", list(&known))),
        more => Some(format!("known here: {} and {} more", list(known.get(..12)?), more - 12)),
    }
}

fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// Edits between the two: insertions, deletions, replacements, and swaps of neighbours.
fn distance(typed: &[char], name: &str) -> usize {
    let name: Vec<char> = name.chars().collect();
    let width = name.len() + 1;
    let mut before: Vec<usize> = vec![0; width];
    let mut above: Vec<usize> = (0..width).collect();
    for (row, typed_char) in typed.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, name_char) in name.iter().enumerate() {
            let replaced = above[column] + usize::from(typed_char != name_char);
            let mut least = replaced.min(above[column + 1] + 1).min(current[column] + 1);
            let swapped =
                row > 0 && column > 0 && *typed_char == name[column - 1] && typed[row - 1] == *name_char;
            if swapped {
                least = least.min(before[column - 1] + 1);
            }
            current.push(least);
        }
        before = std::mem::replace(&mut above, current);
    }
    above.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_the_name_that_was_meant() {
        let known = ["fail_after", "pass_after", "every", "timeout", "url"];
        assert_eq!(nearest("fail_afer", known), Some("fail_after"));
        assert_eq!(nearest("fialafter", known), Some("fail_after"));
        assert_eq!(nearest("evrey", known), Some("every"));
        assert_eq!(nearest("ulr", known), Some("url"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest("", known), None);
    }

    #[test]
    fn without_a_near_name_the_known_ones_are_listed() {
        assert_eq!(suggestion("zzzzzz", ["b", "a", "a"]).unwrap(), "known here: `a`, `b`");
        assert_eq!(suggestion("zzzzzz", []), None);
        let many: Vec<String> = (0..40).map(|n| format!("name-number-{n}")).collect();
        let text = suggestion("q", many.iter().map(String::as_str)).unwrap();
        assert!(text.ends_with("and 28 more"), "{text}");
    }
}
