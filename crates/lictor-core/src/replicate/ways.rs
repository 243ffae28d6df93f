//! Which copies write to the same keys, and which come back to where they began.

use std::collections::BTreeSet;

/// So many ways are followed one after the other. Records of other nodes may name any, and a longer ring of
/// datacenters there is not.
const LONGEST: usize = 32;

/// In so many places is looked for a way back.
const PLACES: usize = 4_096;

/// Where the keys of one prefix are copied to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Way {
    /// What it is called.
    pub name: String,
    /// The datacenter of the source.
    pub from: String,
    /// What the keys begin with there.
    pub source: String,
    /// The datacenter of the destination.
    pub to: String,
    /// What stands there instead.
    pub destination: String,
    /// What the keys begin with at the source that are left alone.
    pub excludes: Vec<String>,
}

/// Whether some key can begin with both.
pub fn overlap(one: &str, other: &str) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

impl Way {
    /// Whether both write to some key.
    pub fn collides(&self, other: &Self) -> bool {
        self.to == other.to && (self.writes_all(other) || other.writes_all(self))
    }

    /// Whether it may write to all keys that the other one writes to.
    fn writes_all(&self, other: &Self) -> bool {
        let within = other.destination.strip_prefix(self.destination.as_str());
        within.is_some_and(|rest| !self.leaves(&format!("{}{rest}", self.source)))
    }

    /// The ways, beginning with this one, by which what it copies comes back to what it copies. Gives up on rings that nobody has.
    pub fn comes_back<'a>(&'a self, others: &'a [Self]) -> Option<Vec<&'a Self>> {
        let mut gone = BTreeSet::new();
        let mut path = vec![self];
        self.search(&self.to, &self.destination, others, &mut path, &mut gone).then_some(path)
    }

    fn search<'a>(
        &self,
        at: &str,
        keys: &str,
        others: &'a [Self],
        path: &mut Vec<&'a Self>,
        gone: &mut BTreeSet<(String, String)>,
    ) -> bool {
        if at == self.from && overlap(keys, &self.source) && !self.leaves(keys) {
            return true;
        }
        if !gone.insert((at.to_owned(), keys.to_owned())) || gone.len() > PLACES || path.len() > LONGEST {
            return false;
        }
        for way in others.iter().filter(|way| way.from == at && !way.leaves(keys)) {
            let copied = match keys.strip_prefix(way.source.as_str()) {
                Some(rest) => format!("{}{rest}", way.destination),
                None if way.source.starts_with(keys) => way.destination.clone(),
                None => continue,
            };
            path.push(way);
            if self.search(&way.to, &copied, others, path, gone) {
                return true;
            }
            path.pop();
        }
        false
    }

    /// Whether all keys that begin so are left alone.
    fn leaves(&self, keys: &str) -> bool {
        self.excludes.iter().any(|exclude| keys.starts_with(exclude.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `source@from:destination@to`, and what is excluded after `!`.
    fn way(text: &str) -> Way {
        let mut parts = text.split('!');
        let (one, other) = parts.next().unwrap().split_once(':').unwrap();
        let ((source, from), (destination, to)) =
            (one.split_once('@').unwrap(), other.split_once('@').unwrap());
        Way {
            name: text.to_owned(),
            from: from.into(),
            source: source.into(),
            to: to.into(),
            destination: destination.into(),
            excludes: parts.map(str::to_owned).collect(),
        }
    }

    fn back(new: &str, others: &[&str]) -> Option<String> {
        let (new, others) = (way(new), others.iter().copied().map(way).collect::<Vec<_>>());
        let path = new.comes_back(&others)?;
        Some(path.into_iter().map(|way| way.name.clone()).collect::<Vec<_>>().join(" > "))
    }

    #[test]
    fn there_and_back_is_found() {
        assert_eq!(back("g/@a:g/@b", &["g/@b:g/@a"]).unwrap(), "g/@a:g/@b > g/@b:g/@a");
        assert_eq!(back("g/@a:copy/@a", &[]), None);
        assert_eq!(back("g/@a:g/copy/@a", &[]).unwrap(), "g/@a:g/copy/@a");
    }

    #[test]
    fn three_in_a_ring_are_found_and_three_in_a_row_are_not() {
        assert!(back("g/@a:g/@b", &["g/@b:g/@c", "g/@c:g/@a"]).is_some());
        assert_eq!(back("g/@a:g/@b", &["g/@b:g/@c", "g/@a:g/@c"]), None);
        // Each has its own and the others' under their names.
        assert_eq!(back("g/@a:from-a/@b", &["g/@b:from-b/@a", "g/@b:from-b/@c"]), None);
    }

    #[test]
    fn a_part_of_it_that_comes_back_is_enough_and_what_is_excluded_does_not() {
        assert!(back("g/@a:g/@b", &["g/x/@b:g/x/@a"]).is_some());
        assert!(back("g/x/@a:g/x/@b", &["g/@b:g/@a"]).is_some());
        assert_eq!(back("g/x/@a:g/x/@b", &["g/@b:g/@a!g/x/"]), None);
        assert_eq!(back("g/@a:g/@b!g/", &["g/@b:g/@a"]), None);
    }

    #[test]
    fn copies_that_write_to_the_same_keys_collide() {
        let collides = |one, other| way(one).collides(&way(other));
        assert!(collides("a/@a:foo@b", "c/@a:foobar/@b"));
        assert!(collides("a/@a:x@b", "c/@c:x@b"));
        assert!(!collides("a/@a:foo/@b", "c/@a:foobar/@b"));
        assert!(!collides("a/@a:x@b", "a/@a:x@c"));
    }

    #[test]
    fn what_one_leaves_alone_is_the_others() {
        let collides = |one, other| (way(one).collides(&way(other)), way(other).collides(&way(one)));
        assert_eq!(collides("a/@a:x/@b!a/y/", "c/@c:x/y/@b"), (false, false));
        assert_eq!(collides("a/@a:x/@b!a/y/z/", "c/@c:x/y/@b"), (true, true));
        assert_eq!(collides("a/@a:x/@b", "c/@c:x/y/@b!c/"), (true, true));
    }

    #[test]
    fn a_web_in_which_nothing_comes_back_is_left_in_time() {
        // Each time round the keys have another name, and of names there is no end.
        let web: Vec<String> = (0..10).flat_map(|n| [format!("@b:{n}/@d"), format!("@d:{n}/@b")]).collect();
        let web: Vec<&str> = web.iter().map(String::as_str).collect();
        assert_eq!(back("a/@a:a/@b", &web), None);
    }
}
