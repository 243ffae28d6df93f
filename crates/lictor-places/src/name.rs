//! What things are called in a place.

/// Longest part of a name between two `/`, in bytes: what a folder takes, with room for what a file is called before
/// it is whole.
const PART: usize = 220;

/// Longest name, in bytes: S3 takes 1024 with the prefix.
const WHOLE: usize = 700;

/// Why nothing can be called this in any place, if so. What all places take is little enough that a name can be moved
/// from one to another: parts between `/`, none of them hidden.
pub(crate) fn fault(name: &str) -> Option<&'static str> {
    if name.len() > WHOLE {
        return Some("it is longer than 700 bytes");
    }
    if name.chars().any(|c| c.is_control() || c == '\\') {
        return Some("it has a control character or a backslash");
    }
    name.split('/').find_map(|part| match part {
        "" => Some("it is empty, or begins or ends with `/`, or has two of them in a row"),
        _ if part.starts_with('.') => Some("a part of it begins with a dot, as files do that are not whole"),
        _ if part.ends_with('.') => Some("a part of it ends with a dot, which Azure does not take"),
        _ if part.len() > PART => Some("a part of it is longer than 220 bytes"),
        _ => None,
    })
}

/// Why this cannot be what all names begin with, if so; nothing at all can.
pub(crate) fn prefix_fault(prefix: &str) -> Option<&'static str> {
    if prefix.is_empty() {
        return None;
    }
    if prefix.len() > 300 {
        return Some("is longer than 300 bytes");
    }
    if prefix.chars().any(|c| c.is_control() || c == '\\') {
        return Some("has a control character or a backslash");
    }
    let odd = |part: &str| matches!(part, "" | "." | "..");
    prefix.split('/').any(odd).then_some("begins or ends with `/`, or has a part that is empty, `.` or `..`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_be_odd_as_long_as_every_place_takes_them() {
        for name in ["a", "a b+c%20.snap", "2026/11/22/x.snap", "größe 100%.snap", "a~b*c?d#e&f=g;h:i@j"] {
            assert_eq!(fault(name), None, "{name}");
        }
        let long = "x".repeat(221);
        let longer = ["xxxx"; 200].join("/");
        for name in ["", "/a", "a/", "a//b", "..", "a/../b", ".a", "a.", "a\nb", "a\\b", &long, &longer] {
            assert!(fault(name).is_some(), "{name}");
        }
    }

    #[test]
    fn a_prefix_is_nothing_or_parts() {
        for prefix in ["", "a", "a/b", ".hidden/x"] {
            assert_eq!(prefix_fault(prefix), None, "{prefix}");
        }
        for prefix in ["/", "a/", "/a", "a//b", "..", "a/./b"] {
            assert!(prefix_fault(prefix).is_some(), "{prefix}");
        }
    }
}
