//! Checksums of values by which two of them are taken for the same.

use std::hash::{BuildHasher, RandomState};

use crate::msgpack::Value;

/// Makes checksums of 128 bits: two of 64 with keys of chance, so that nobody can make two values that are
/// taken for one.
#[derive(Debug)]
pub(super) struct Keys([RandomState; 2]);

impl Keys {
    pub(super) fn new() -> Self {
        Self([RandomState::new(), RandomState::new()])
    }

    pub(super) fn parts(&self, parts: &[&[u8]]) -> u128 {
        let [high, low] = &self.0;
        u128::from(high.hash_one(parts)) << 64 | u128::from(low.hash_one(parts))
    }

    /// A value. The order of a map does not count, because Consul writes those of users as chance has it;
    /// nor do fields that say nothing, or for which `leave_out` says so.
    pub(super) fn value(&self, value: Value<'_>, leave_out: &dyn Fn(&[u8]) -> bool) -> u128 {
        match value {
            Value::Nil => 0,
            Value::Bool(value) => self.parts(&[b"b", &[value.into()]]),
            Value::Unsigned(value) => self.parts(&[b"n", &value.to_be_bytes()]),
            Value::Negative(value) => self.parts(&[b"n", &value.to_be_bytes(), b"-"]),
            Value::Float(value) => self.parts(&[b"f", &value.to_be_bytes()]),
            Value::Bytes(bytes) => self.parts(&[b"t", bytes]),
            Value::Extension(number, bytes) => self.parts(&[b"x", &number.to_be_bytes(), bytes]),
            Value::List(list) => list.fold(1, |sum, value| {
                self.parts(&[b"l", &sum.to_be_bytes(), &self.value(value, leave_out).to_be_bytes()])
            }),
            Value::Map(map) => map
                .filter(|(name, value)| !value.is_nothing() && !name.bytes().is_some_and(leave_out))
                .map(|(name, value)| {
                    let (name, value) = (self.value(name, leave_out), self.value(value, leave_out));
                    self.parts(&[b"m", &name.to_be_bytes(), &value.to_be_bytes()])
                })
                .fold(2, u128::wrapping_add),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::Data;

    fn digest(keys: &Keys, data: &Data) -> u128 {
        let mut bytes = Vec::new();
        data.write(&mut bytes);
        keys.value(Value::read(&bytes).unwrap(), &|name| name == b"Index")
    }

    #[test]
    fn the_order_of_a_map_does_not_count_and_that_of_a_list_does() {
        let keys = Keys::new();
        let (a, b) = (|| Data::text("a"), || Data::text("b"));
        let same = |one: Data, other: Data| digest(&keys, &one) == digest(&keys, &other);
        assert!(same(Data::map([("x", a()), ("y", b())]), Data::map([("y", b()), ("x", a())])));
        assert!(!same(Data::map([("x", a()), ("y", b())]), Data::map([("x", b()), ("y", a())])));
        assert!(!same(Data::List(vec![a(), b()]), Data::List(vec![b(), a()])));
        assert!(!same(Data::List(vec![a()]), a()));
    }

    #[test]
    fn what_says_nothing_and_what_is_left_out_do_not_count() {
        let keys = Keys::new();
        let one = Data::map([("x", Data::text("a")), ("Index", Data::Unsigned(3)), ("new", Data::text(""))]);
        assert_eq!(digest(&keys, &one), digest(&keys, &Data::map([("x", Data::text("a"))])));
    }
}
