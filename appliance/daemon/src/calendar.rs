//! Moments as texts that machines and people read (RFC 3339).

use std::time::Duration;

const DAY: u64 = 86_400;
/// Days from 0000-03-01 to 1970-01-01: years that begin in March have their leap day at the end.
const TO_MARCH_OF_YEAR_0: u64 = 719_468;
/// Days of 400 years, after which the calendar repeats itself, of 100 years, and of 4.
const DAYS_OF_400: u64 = 146_097;
const DAYS_OF_100: u64 = 36_524;
const DAYS_OF_4: u64 = 1_461;

/// A time since 1970 in UTC, to the microsecond.
pub fn rfc3339(since_1970: Duration) -> String {
    let (days, second) = (since_1970.as_secs() / DAY, since_1970.as_secs() % DAY);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:06}Z", since_1970.subsec_micros())
}

fn date(since_1970: u64) -> (u64, u64, u64) {
    let days = since_1970 + TO_MARCH_OF_YEAR_0;
    let (cycle, day) = (days / DAYS_OF_400, days % DAYS_OF_400);
    let leaps = day / (DAYS_OF_4 - 1) + day / (DAYS_OF_400 - 1);
    let year = (day + day / DAYS_OF_100 - leaps) / 365;
    let day = day + year / 100 - 365 * year - year / 4;
    // From March on, five months in a row have 153 days.
    let month = (5 * day + 2) / 153;
    let of_month = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (cycle * 400 + year + u64::from(month < 3), month, of_month)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(seconds: u64, expected: &str) {
        assert_eq!(rfc3339(Duration::from_secs(seconds)), format!("{expected}.000000Z"));
    }

    #[test]
    fn moments() {
        check(0, "1970-01-01T00:00:00");
        check(951_782_399, "2000-02-28T23:59:59");
        check(951_782_400, "2000-02-29T00:00:00");
        check(951_868_800, "2000-03-01T00:00:00");
        check(1_709_251_199, "2024-02-29T23:59:59");
        check(4_107_542_400, "2100-03-01T00:00:00");
        check(253_402_300_799, "9999-12-31T23:59:59");
        assert_eq!(rfc3339(Duration::from_millis(1_500)), "1970-01-01T00:00:01.500000Z");
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut before = date(0);
        for day in 1..80_000 {
            let (year, month, of_month) = date(day);
            let begins_month = of_month == 1 && (28..=31).contains(&before.2);
            let follows = match before {
                (y, m, d) if of_month == d + 1 => (y, m) == (year, month),
                (y, 12, 31) => (year, month, of_month) == (y + 1, 1, 1),
                (y, m, _) => begins_month && (y, m + 1) == (year, month),
            };
            assert!(follows, "{before:?} and {year}-{month}-{of_month}");
            before = (year, month, of_month);
        }
    }
}
