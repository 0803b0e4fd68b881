//! Values that are written otherwise and say the same: the same moment on two clocks, the same number after sums in another order.

/// How far apart two times may be and still be those of the same moment on two servers, in seconds.
const MOMENT: f64 = 60.0;

/// By how much two sums of the same fractions differ, as a part of the larger: a double has some 16 digits.
const ROUNDING: f64 = 1e-9;

/// Whether two values say the same.
pub(super) fn are_alike(origin: &str, target: &str) -> bool {
    is_same_moment(origin, target) || is_same_fraction(origin, target)
}

/// Whether two values are numbers of which one is no whole one, and the same but for rounding.
fn is_same_fraction(origin: &str, target: &str) -> bool {
    let read = |text: &str| text.parse::<f64>().ok();
    let (Some(one), Some(other)) = (read(origin), read(target)) else { return false };
    let is_fraction = |text: &str| text.contains(['.', 'e', 'E']);
    (is_fraction(origin) || is_fraction(target)) && (one - other).abs() <= ROUNDING * one.abs().max(other.abs())
}

/// Whether two values are times, as texts or as seconds, milli-, micro- or nanoseconds since 1970, and close to one another.
fn is_same_moment(origin: &str, target: &str) -> bool {
    match (seconds(origin), seconds(target)) {
        (Some(one), Some(other)) => (one - other).abs() <= MOMENT,
        _ => false,
    }
}

/// The seconds since 1970 that a value stands for, if it looks like a time: a number of the present century, RFC 3339, or
/// RFC 9110's dates.
fn seconds(value: &str) -> Option<f64> {
    let text = value.trim().trim_matches('"');
    if let Ok(number) = text.parse::<f64>() {
        let units = [1.0, 1e3, 1e6, 1e9];
        return units.iter().map(|unit| number / unit).find(|seconds| (1e9..4.2e9).contains(seconds));
    }
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u32>().ok();
    if bytes.get(4) == Some(&b'-') && bytes.len() >= 19 && matches!(bytes[10], b'T' | b't' | b' ') {
        let date = [number(0, 4)?, number(5, 7)?, number(8, 10)?];
        let end = text[19..].find(['Z', 'z', '+', '-']).map_or(text.len(), |end| 19 + end);
        let seconds: f64 = text.get(17..end)?.parse().ok()?;
        return Some(since_1970(date)? + f64::from(number(11, 13)? * 3_600 + number(14, 16)? * 60) + seconds);
    }
    if bytes.get(3) == Some(&b',') && bytes.len() == 29 {
        let months = "JanFebMarAprMayJunJulAugSepOctNovDec";
        let month = months.find(text.get(8..11)?).filter(|at| at % 3 == 0)? / 3 + 1;
        let time = number(17, 19)? * 3_600 + number(20, 22)? * 60 + number(23, 25)?;
        return Some(since_1970([number(12, 16)?, month as u32, number(5, 7)?])? + f64::from(time));
    }
    None
}

/// Seconds to the beginning of a day of the Gregorian calendar (years from March on, so that the leap day is the last).
fn since_1970([year, month, day]: [u32; 3]) -> Option<f64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || year < 1970 {
        return None;
    }
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    Some(f64::from(days - 719_468) * 86_400.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_no_difference() {
        assert!(is_same_fraction("0.30000000000000004", "0.3") && is_same_fraction("1e3", "1000"));
        assert!(!is_same_fraction("0.3001", "0.3") && !is_same_fraction("7", "8") && !is_same_fraction("a.b", "a.c"));
    }

    #[test]
    fn times_are_known_by_their_look() {
        for (value, expected) in [
            ("\"1970-01-01T00:00:01Z\"", 1.0),
            ("\"2024-02-29T12:00:00.5+00:00\"", 1_709_208_000.5),
            ("2024-02-29 12:00:00", 1_709_208_000.0),
            ("Thu, 29 Feb 2024 12:00:00 GMT", 1_709_208_000.0),
            ("1709208000", 1_709_208_000.0),
            ("1709208000.25", 1_709_208_000.25),
            ("1709208000250", 1_709_208_000.25),
        ] {
            assert_eq!(seconds(value), Some(expected), "{value}");
        }
        for value in ["", "12", "\"abc\"", "2024-13-01T00:00:00Z", "99999", "Thu, 29 Xyz 2024 12:00:00 GMT"] {
            assert_eq!(seconds(value), None, "{value}");
        }
        assert!(is_same_moment("1709208000", "1709208003") && !is_same_moment("1709208000", "1709211600"));
    }
}
