//! Card numbers (ISO/IEC 7812-1): 13 to 19 digits whose check digit is right, together or in groups.

use super::cover;

/// Digits of a card number.
const DIGITS: std::ops::RangeInclusive<usize> = 13..=19;

pub fn mask(bytes: &mut [u8]) {
    let mut at = 0;
    while let Some(start) = bytes[at..].iter().position(u8::is_ascii_digit).map(|offset| at + offset) {
        let is_fraction = start >= 2 && bytes[start - 1] == b'.' && bytes[start - 2].is_ascii_digit();
        let group_end = super::find(bytes, start, |byte| !byte.is_ascii_digit());
        let end = if is_fraction { None } else { card_end(bytes, start) };
        if let Some(end) = end {
            cover(&mut bytes[start..end]);
        }
        at = end.unwrap_or(group_end);
    }
}

/// The end of the longest card number that begins here and ends with a group.
fn card_end(bytes: &[u8], start: usize) -> Option<usize> {
    let (mut digits, mut found, mut at) = (Vec::new(), None, start);
    loop {
        let end = super::find(bytes, at, |byte| !byte.is_ascii_digit());
        if digits.len() + (end - at) > *DIGITS.end() {
            return found;
        }
        digits.extend(bytes[at..end].iter().map(|digit| digit - b'0'));
        if is_card(&digits) {
            found = Some(end);
        }
        let goes_on = matches!(bytes.get(end), Some(b' ' | b'-')) && bytes.get(end + 1).is_some_and(u8::is_ascii_digit);
        if !goes_on {
            return found;
        }
        at = end + 1;
    }
}

/// Whether an issuer may have given this number: none begins with 0, and with 1 only airlines' cards, of 15 digits, so that
/// times in milliseconds are not taken for cards.
fn is_card(digits: &[u8]) -> bool {
    let is_issued = match digits.first() {
        Some(0) | None => false,
        Some(1) => digits.len() == 15,
        Some(_) => DIGITS.contains(&digits.len()),
    };
    is_issued && luhn(digits) == 0
}

/// The Luhn sum (ISO/IEC 7812-1, annex B), of which 0 is right.
fn luhn(digits: &[u8]) -> u32 {
    let double = |digit: u32| if digit > 4 { 2 * digit - 9 } else { 2 * digit };
    let value = |(place, digit): (usize, &u8)| if place % 2 == 1 { double((*digit).into()) } else { (*digit).into() };
    digits.iter().rev().enumerate().map(value).sum::<u32>() % 10
}
