//! Go's binary form of a time.

/// A time in the form of RFC 3339; nothing if the bytes are not one: 15 bytes that begin with a 1, which no
/// text does. Seconds since the year 1, nanoseconds, and minutes east of Greenwich.
pub(super) fn rfc3339(bytes: &[u8]) -> Option<String> {
    let (&1, rest) = bytes.split_first()? else { return None };
    let (seconds, rest) = rest.split_first_chunk::<8>()?;
    let (nanos, rest) = rest.split_first_chunk::<4>()?;
    let zone = i16::from_be_bytes(rest.try_into().ok()?);
    let (seconds, nanos) = (i64::from_be_bytes(*seconds), u32::from_be_bytes(*nanos));
    // One minute west is how Go says UTC.
    let minutes = if zone == -1 { 0 } else { i64::from(zone) };
    // Up to the year 9999, and no zone is further than a day.
    if !(0..315_537_897_600).contains(&seconds) || nanos > 999_999_999 || minutes.abs() >= 24 * 60 {
        return None;
    }
    let local = (seconds + minutes * 60).max(0);
    let (year, month, day) = date(local / 86_400);
    let (hour, minute, second) = (local / 3600 % 24, local / 60 % 60, local % 60);
    let fraction = if nanos == 0 { String::new() } else { format!(".{nanos:09}") };
    let zone = match minutes {
        0 => "Z".to_owned(),
        minutes => {
            let sign = if minutes < 0 { '-' } else { '+' };
            format!("{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
        }
    };
    let fraction = fraction.trim_end_matches('0');
    Some(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}{zone}"))
}

/// The date of a day, counted from 1 January of the year 1.
fn date(day: i64) -> (i64, i64, i64) {
    // Counted from 1 March of the year 0, a leap day is the last of its year.
    let day = day + 306;
    let (era, day) = (day / 146_097, day % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (year, day) = (year + 400 * era, day - (153 * month + 2) / 5 + 1);
    if month < 10 { (year, month + 3, day) } else { (year + 1, month - 9, day) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(seconds: i64, nanos: u32, zone: i16) -> Option<String> {
        let bytes = [&[1][..], &seconds.to_be_bytes(), &nanos.to_be_bytes(), &zone.to_be_bytes()].concat();
        rfc3339(&bytes)
    }

    /// Seconds from the year 1 to 1970.
    const UNIX: i64 = 62_135_596_800;

    #[test]
    fn times_are_those_that_go_would_print() {
        for (seconds, nanos, zone, expected) in [
            (0, 0, -1, "0001-01-01T00:00:00Z"),
            (UNIX, 0, -1, "1970-01-01T00:00:00Z"),
            (UNIX + 951_782_400, 500, 0, "2000-02-29T00:00:00.0000005Z"),
            (UNIX + 951_868_799, 0, 60, "2000-03-01T00:59:59+01:00"),
            (UNIX + 1_710_350_055, 109_823_000, -240, "2024-03-13T13:14:15.109823-04:00"),
            (315_537_897_599, 999_999_999, -1, "9999-12-31T23:59:59.999999999Z"),
        ] {
            assert_eq!(time(seconds, nanos, zone).as_deref(), Some(expected));
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        assert_eq!(time(-1, 0, 0), None);
        assert_eq!(time(0, 1_000_000_000, 0), None);
        assert_eq!(time(0, 0, 1440), None);
        assert_eq!(rfc3339(b"fifteen letters"), None);
        assert_eq!(rfc3339(b"\x01"), None);
        assert_eq!(rfc3339(b""), None);
    }
}
