//! Prefixes whose destinations meet.

use lictor_core::replicate::Prefix;

use super::note;
use super::start::StartError;

/// The prefixes, each once. One whose destination lies in another one's, and notes that lie in a destination, are left
/// alone by who else writes there; that is remarked.
///
/// # Errors
/// When two write to the same keys, share a note, or when one writes among the notes.
pub(super) fn looked_at(
    given: Vec<Prefix>,
    status_dir: &str,
    remarks: &mut Vec<String>,
) -> Result<Vec<Prefix>, StartError> {
    let mut prefixes: Vec<Prefix> = Vec::new();
    for prefix in given {
        if prefixes.contains(&prefix) {
            remarks.push(format!("the prefix `{prefix}` is given more than once; it is copied once"));
            continue;
        }
        if let Some(other) = prefixes.iter().find(|other| other.destination == prefix.destination) {
            let (one, other) = (other.to_string(), prefix.to_string());
            return Err(StartError::SameDestination { one, other, destination: prefix.destination });
        }
        let key = note::key(status_dir, &prefix);
        if let Some(other) = prefixes.iter().find(|other| note::key(status_dir, other) == key) {
            return Err(StartError::SameNote { one: other.to_string(), other: prefix.to_string() });
        }
        if prefix.destination.starts_with(status_dir) {
            let (prefix, status_dir) = (prefix.to_string(), status_dir.to_owned());
            return Err(StartError::AmongNotes { prefix, status_dir });
        }
        prefixes.push(prefix);
    }
    for outer in &prefixes {
        let Prefix { destination, .. } = outer;
        for inner in prefixes.iter().filter(|inner| *inner != outer) {
            if inner.destination.starts_with(destination.as_str()) {
                remarks.push(format!(
                    "`{inner}` writes inside `{destination}`, to which `{outer}` writes; the latter leaves keys alone \
                     that begin with `{}`",
                    inner.destination
                ));
            }
        }
        if status_dir.starts_with(destination.as_str()) {
            remarks.push(format!(
                "the statuses below `{status_dir}` lie inside `{destination}`, to which `{outer}` writes; they are \
                 neither written over nor deleted"
            ));
        }
    }
    Ok(prefixes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(prefixes: &[&str]) -> Result<(Vec<String>, Vec<String>), String> {
        let given = prefixes.iter().map(|text| text.parse().unwrap()).collect();
        let mut remarks = Vec::new();
        let found = looked_at(given, "statuses/", &mut remarks).map_err(|error| error.to_string())?;
        Ok((found.iter().map(ToString::to_string).collect(), remarks))
    }

    #[test]
    fn prefixes_that_do_not_meet_are_taken_as_they_are() {
        let (found, remarks) = look(&["a/@dc1", "b/@dc1:c/", "a/@dc1:d/"]).unwrap();
        assert_eq!(found, ["a/@dc1:a/", "b/@dc1:c/", "a/@dc1:d/"]);
        assert_eq!(remarks, [""; 0]);
    }

    #[test]
    fn a_prefix_that_is_given_twice_is_copied_once() {
        let (found, remarks) = look(&["a@dc1", "/a@dc1:a"]).unwrap();
        assert_eq!(found, ["a@dc1:a"]);
        assert_eq!(remarks, ["the prefix `a@dc1:a` is given more than once; it is copied once"]);
    }

    #[test]
    fn a_destination_inside_another_one_is_left_alone_by_it() {
        let (_, remarks) = look(&["a@dc1:foo", "b@dc1:foobar/"]).unwrap();
        let said = "`b@dc1:foobar/` writes inside `foo`, to which `a@dc1:foo` writes; the latter leaves keys alone that \
                    begin with `foobar/`";
        assert_eq!(remarks, [said]);
    }

    #[test]
    fn notes_inside_a_destination_are_left_alone() {
        let (_, remarks) = look(&["a@dc1:stat"]).unwrap();
        let said = "the statuses below `statuses/` lie inside `stat`, to which `a@dc1:stat` writes; they are neither \
                    written over nor deleted";
        assert_eq!(remarks, [said]);
        assert!(look(&["a@dc1:statuses/x"]).unwrap_err().contains("lies in the status directory"));
    }

    #[test]
    fn two_that_write_to_the_same_keys_are_refused() {
        let why = "the prefixes `a@dc1:x` and `a@dc2:x` both write to `x`: each would delete what the other one copies";
        assert_eq!(look(&["a@dc1:x", "a@dc2:x"]), Err(why.to_owned()));
    }

    #[test]
    fn two_with_one_note_are_refused() {
        assert!(look(&["a-b@dc1:c", "a@dc1:b-c"]).unwrap_err().contains("would share one status"));
    }
}
