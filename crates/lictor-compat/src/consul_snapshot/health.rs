//! What it answers about itself: by a key of Consul that says when the last backup was begun.

use lictor_core::Wall;

/// The key; its value is seconds since 1970 as text.
pub const KEY: &str = "service/consul-snapshot/lastbackup";

/// The port on which it answers, on all addresses.
pub const PORT: u16 = 5001;

/// Where it answers.
pub const PATH: &str = "/health";

/// A backup that is older is as bad as none, seconds.
const OLDEST: i64 = 3_600;

/// The value of [`KEY`] after a backup that was begun then.
pub fn value(begun: Wall) -> String {
    begun.as_unix_millis().div_euclid(1_000).to_string()
}

/// The status and the text of an answer, by the value of [`KEY`] if there is one. What cannot be read is no backup.
pub fn answer(stored: Option<&[u8]>, now: Wall) -> (u16, String) {
    let Some(stored) = stored else {
        return (500, format!("no backup is known: {KEY} is not there, or cannot be read\n"));
    };
    let Some(begun) = std::str::from_utf8(stored).ok().and_then(|text| text.parse::<i64>().ok()) else {
        return (500, format!("when the last backup was is not known: {KEY} holds no number of seconds\n"));
    };
    let ago = now.as_unix_millis().div_euclid(1_000).saturating_sub(begun);
    if ago > OLDEST {
        return (500, format!("the last backup was {ago} seconds ago, which is more than an hour\n"));
    }
    (200, format!("Last backup {ago} seconds ago"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Wall = Wall::from_unix_millis(1_793_610_307_999);

    fn answered(stored: &str) -> (u16, String) {
        answer(Some(stored.as_bytes()), NOW)
    }

    #[test]
    fn a_backup_of_the_last_hour_is_well() {
        assert_eq!(answered(&value(NOW)), (200, "Last backup 0 seconds ago".to_owned()));
        assert_eq!(answered("1793606707"), (200, "Last backup 3600 seconds ago".to_owned()));
        // The clock of who wrote it is ahead.
        assert_eq!(answered("1793610310"), (200, "Last backup -3 seconds ago".to_owned()));
    }

    #[test]
    fn an_old_one_and_none_are_not() {
        let (status, why) = answered("1793606706");
        assert_eq!(
            (status, why.as_str()),
            (500, "the last backup was 3601 seconds ago, which is more than an hour\n")
        );
        assert_eq!(answer(None, NOW).0, 500);
        for junk in ["", "soon", "1793610307.5", "-9223372036854775809"] {
            assert_eq!(answered(junk).0, 500, "{junk}");
        }
        assert_eq!(answered("-9223372036854775808").0, 500);
        assert_eq!(answer(Some(b"\xff"), NOW).0, 500);
    }

    #[test]
    fn the_value_is_the_second_in_which_it_was_begun() {
        assert_eq!(value(NOW), "1793610307");
    }
}
