//! How the program ends.

/// How the program ends: scripts go by the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything was copied once, as asked for; or the version or the usage was printed.
    Ok = 0,
    /// Something that has no number of its own.
    Failed = 11,
    /// The kill signal came.
    Interrupted = 12,
    /// The flags make no sense.
    Flags = 13,
    /// It could not be begun, or something could not be copied.
    Runner = 14,
    /// A file cannot be read or used, or a setting is wrong.
    Config = 15,
}

impl Exit {
    /// Its number.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_the_old_ones() {
        let all = [Exit::Ok, Exit::Failed, Exit::Interrupted, Exit::Flags, Exit::Runner, Exit::Config];
        assert_eq!(all.map(Exit::code), [0, 11, 12, 13, 14, 15]);
    }
}
