//! Times in frames: RFC 3339, UTC, six decimals (`2026-01-31T12:00:00.123456Z`), from and to microseconds since the Unix epoch.
//! The proleptic Gregorian calendar; no leap seconds, as in Unix time.

/// The bytes of a time in a frame.
pub const LENGTH: usize = 27;

const US_PER_SECOND: u64 = 1_000_000;
const SECONDS_PER_DAY: u64 = 86_400;
/// The last microsecond of the year 9999, beyond which the format has no room.
const LAST_US: u64 = 253_402_300_799_999_999;

/// Appends the time to a frame. Times after the year 9999 are written as its last microsecond.
pub fn write(out: &mut Vec<u8>, time_us: u64) {
    let time_us = time_us.min(LAST_US);
    let seconds = time_us / US_PER_SECOND;
    let (year, month, day) = civil_from_days(seconds / SECONDS_PER_DAY);
    let of_day = seconds % SECONDS_PER_DAY;
    let fields = [
        (year, 4, b'-'),
        (month, 2, b'-'),
        (day, 2, b'T'),
        (of_day / 3600, 2, b':'),
        (of_day / 60 % 60, 2, b':'),
        (of_day % 60, 2, b'.'),
        (time_us % US_PER_SECOND, 6, b'Z'),
    ];
    for (value, width, end) in fields {
        digits(out, value, width);
        out.push(end);
    }
}

/// The time as text.
pub fn format(time_us: u64) -> String {
    let mut out = Vec::with_capacity(LENGTH);
    write(&mut out, time_us);
    out.into_iter().map(char::from).collect()
}

/// Reads what [`write()`] writes; `None` for anything else, other valid RFC 3339 included.
pub fn parse(text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    if bytes.len() != LENGTH {
        return None;
    }
    let mut values = [0u64; 7];
    let mut rest = bytes;
    for (value, (width, end)) in
        values
            .iter_mut()
            .zip([(4, b'-'), (2, b'-'), (2, b'T'), (2, b':'), (2, b':'), (2, b'.'), (6, b'Z')])
    {
        let (field, after) = rest.split_at_checked(width)?;
        for byte in field {
            *value = *value * 10 + u64::from(byte.is_ascii_digit().then(|| byte - b'0')?);
        }
        rest = after.strip_prefix(&[end])?;
    }
    let [year, month, day, hour, minute, second, micros] = values;
    if year < 1970 || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = days_from_civil(year, month, day);
    // A day that the month does not have comes back as another date.
    (civil_from_days(days) == (year, month, day)).then_some(())?;
    Some((days * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second) * US_PER_SECOND + micros)
}

fn digits(out: &mut Vec<u8>, value: u64, width: u32) {
    for place in (0..width).rev() {
        out.push(b'0' + (value / 10u64.pow(place) % 10) as u8);
    }
}

/// Year, month, day of a day since 1970-01-01 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms"). Years start in
/// March there, so that the leap day is the last day of a year; an era is 400 years of 146,097 days.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// The inverse of [`civil_from_days`] for dates from 1970 on. Impossible months and days give some other day, never a panic.
fn days_from_civil(year: u64, month: u64, day: u64) -> u64 {
    let year = year - u64::from(month <= 2);
    let (era, year_of_era) = (year / 400, year % 400);
    let month_from_march = (month + 9) % 12;
    let of_year = (153 * month_from_march + 2) / 5 + day.saturating_sub(1);
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    (era * 146_097 + of_era).saturating_sub(719_468)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_times_are_written_as_rfc_3339() {
        let table = [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00.000000Z"),
            (951_868_799_999_999, "2000-02-29T23:59:59.999999Z"),
            (1_769_860_800_123_456, "2026-01-31T12:00:00.123456Z"),
            (4_107_542_400_000_000, "2100-03-01T00:00:00.000000Z"),
            (u64::MAX, "9999-12-31T23:59:59.999999Z"),
        ];
        for (time_us, text) in table {
            assert_eq!(format(time_us), text);
            assert_eq!(parse(text), Some(time_us.min(LAST_US)));
        }
    }

    #[test]
    fn other_text_is_refused() {
        for text in [
            "",
            "2026-02-29T00:00:00.000000Z",
            "2026-13-01T00:00:00.000000Z",
            "2026-00-01T00:00:00.000000Z",
            "2026-01-00T00:00:00.000000Z",
            "2026-01-01T24:00:00.000000Z",
            "1969-12-31T00:00:00.000000Z",
            "2026-01-01T00:00:00.00000éZ",
            "2026-01-01T00:00:00.0000000",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_time_is_read_back(time_us in 0..=LAST_US) {
            prop_assert_eq!(parse(&format(time_us)), Some(time_us));
        }
    }
}
