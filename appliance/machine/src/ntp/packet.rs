//! Packets of NTP (RFC 5905, section 7.3), as far as a client needs them, and what they say of the clock.

use std::time::Duration;

pub(super) const PACKET_BYTES: usize = 48;
/// No leap second, version 4, mode of a client.
const REQUEST_HEAD: u8 = 4 << 3 | 3;
const SERVER: u8 = 4;
const VERSIONS: std::ops::RangeInclusive<u8> = 3..=4;
/// The leap indicator of a server whose own clock nobody keeps.
const UNSYNCHRONISED: u8 = 3;
/// The last stratum whose clock is kept.
const LAST_STRATUM: u8 = 15;
/// The root distance in seconds beyond which a server is not believed. RFC 5905 has 1 s (section 11.2.1), but the servers of Windows say
/// of themselves that they may be off by more.
const DISTANCE_MAX: f64 = 5.0;
/// The least that a way there and back takes: clocks are not read more finely.
const DELAY_MIN: f64 = 1e-6;
/// What two clocks may drift apart while an answer is waited for, in seconds.
const DRIFT: f64 = 0.001;
/// Seconds from the beginning of 1900 to that of 1970.
const TO_UNIX: u64 = 2_208_988_800;
const FRACTION: f64 = 4_294_967_296.0;

/// A time of the wire: seconds since 1900 and 2^-32 parts of one. It begins anew every 136 years, so that only differences
/// count, which hold for 68 years either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamp(pub(super) u64);

impl Stamp {
    /// Of a time since 1970.
    pub(super) fn of(wall: Duration) -> Self {
        let fraction = (u64::from(wall.subsec_nanos()) << 32) / 1_000_000_000;
        Self((wall.as_secs().wrapping_add(TO_UNIX) << 32) | fraction)
    }

    /// Seconds from another one to this.
    pub(super) fn since(self, other: Self) -> f64 {
        self.0.wrapping_sub(other.0).cast_signed() as f64 / FRACTION
    }
}

/// A question. Its transmit time is a random number, which the answer repeats: who cannot see the question cannot forge an answer,
/// and it tells nobody our clock.
pub(super) fn question(cookie: u64) -> [u8; PACKET_BYTES] {
    let mut bytes = [0; PACKET_BYTES];
    bytes[0] = REQUEST_HEAD;
    bytes[40..].copy_from_slice(&cookie.to_be_bytes());
    bytes
}

/// Why an answer says nothing of the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// None came.
    NoAnswer,
    /// It is no answer of a server, or not to this question.
    Strange,
    /// The server asks to be left alone, with this code (RFC 5905, section 7.4).
    Kiss(String),
    /// Nobody keeps the server's own clock.
    Unsynchronised,
    /// It may be off by too much.
    TooFar,
}

impl Refusal {
    /// As a snake_case word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::NoAnswer => "no_answer",
            Self::Strange => "strange_answer",
            Self::Kiss(_) => "refused",
            Self::Unsynchronised => "unsynchronised",
            Self::TooFar => "too_far",
        }
    }
}

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    /// Seconds by which our clock is behind the server's.
    pub(super) offset: f64,
    /// Seconds that the way there and back took.
    pub(super) delay: f64,
    /// Seconds that the offset may be off at most: the way to the server, and from there to the clock that all others follow.
    pub(super) distance: f64,
    /// Steps from that clock.
    pub(super) stratum: u8,
    /// A second is added (1) or left out (2) at the end of the month.
    pub(super) leap: u8,
}

/// Reads an answer to the question with this number, which was sent at `sent` of our clock, `took` before.
///
/// # Errors
/// It cannot be believed.
pub(super) fn sample(bytes: &[u8], cookie: u64, sent: Duration, took: Duration) -> Result<Sample, Refusal> {
    let Some(bytes) = bytes.first_chunk::<PACKET_BYTES>() else { return Err(Refusal::Strange) };
    let (leap, version, mode) = (bytes[0] >> 6, bytes[0] >> 3 & 7, bytes[0] & 7);
    let stamp = |at: usize| Stamp(u64::from_be_bytes(std::array::from_fn(|byte| bytes[at + byte])));
    let (reference, origin, received, transmitted) = (stamp(16), stamp(24), stamp(32), stamp(40));
    if mode != SERVER || !VERSIONS.contains(&version) || origin != Stamp(cookie) {
        return Err(Refusal::Strange);
    }
    let stratum = bytes[1];
    if stratum == 0 {
        return Err(Refusal::Kiss(kiss(&bytes[12..16])));
    }
    if leap == UNSYNCHRONISED || stratum > LAST_STRATUM || transmitted == Stamp::default() {
        return Err(Refusal::Unsynchronised);
    }
    let short = |at: usize| f64::from(u32::from_be_bytes(std::array::from_fn(|byte| bytes[at + byte]))) / 65_536.0;
    let sent = Stamp::of(sent);
    let there = received.since(sent);
    let back = transmitted.since(sent) - took.as_secs_f64();
    let at_server = transmitted.since(received);
    let delay = (took.as_secs_f64() - at_server).max(DELAY_MIN);
    let distance = f64::midpoint(delay, short(4)) + short(8);
    // Not to be believed is a server that answers before it was asked, takes longer than the answer did to come, or has set its clock
    // after that (section 9.2).
    let is_possible = (0.0..took.as_secs_f64() + DRIFT).contains(&at_server);
    if !is_possible || transmitted.since(reference) < 0.0 || distance > DISTANCE_MAX {
        return Err(Refusal::TooFar);
    }
    Ok(Sample { offset: f64::midpoint(there, back), delay, distance, stratum, leap })
}

/// The code of a refusal: four letters, or what is shown in their place.
fn kiss(code: &[u8]) -> String {
    code.iter().map(|byte| if byte.is_ascii_graphic() { char::from(*byte) } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COOKIE: u64 = 0x0123_4567_89ab_cdef;
    const SENT: Duration = Duration::from_secs(1_700_000_000);
    const TOOK: Duration = Duration::from_millis(30);

    /// A server whose clock is ahead by `ahead` answers what came after 10 ms, 5 ms later.
    fn answer(ahead: Duration) -> [u8; PACKET_BYTES] {
        let mut bytes = [0; PACKET_BYTES];
        (bytes[0], bytes[1]) = (4 << 3 | SERVER, 2);
        let mut put = |at: usize, stamp: Stamp| bytes[at..at + 8].copy_from_slice(&stamp.0.to_be_bytes());
        let at = |millis| Stamp::of(SENT + ahead + Duration::from_millis(millis));
        put(16, at(0));
        put(24, Stamp(COOKIE));
        put(32, at(10));
        put(40, at(15));
        // 20 ms from the root and back, 1/64 s uncertain.
        bytes[4..8].copy_from_slice(&1_311_u32.to_be_bytes());
        bytes[8..12].copy_from_slice(&1_024_u32.to_be_bytes());
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Sample, Refusal> {
        sample(bytes, COOKIE, SENT, TOOK)
    }

    #[track_caller]
    fn is_near(value: f64, expected: f64) {
        assert!((value - expected).abs() < 1e-4, "{value} is not {expected}");
    }

    #[test]
    fn an_answer_tells_offset_and_distance() {
        for ahead in [0, 3, 1_000_000_000] {
            let read = read(&answer(Duration::from_secs(ahead))).unwrap();
            // 10 ms there, 15 ms back: half of the difference is taken for an offset.
            is_near(read.offset, ahead as f64 - 0.002_5);
            is_near(read.delay, 0.025);
            is_near(read.distance, 0.0125 + 0.01 + 1.0 / 64.0);
            assert_eq!((read.stratum, read.leap), (2, 0));
        }
    }

    #[test]
    fn an_era_ends_without_anybody_noticing() {
        // 2036-02-07 06:28:16, as of RFC 5905, section 6.
        let last = Duration::from_secs(2_085_978_495);
        is_near(Stamp::of(last + Duration::from_millis(1_500)).since(Stamp::of(last)), 1.5);
        is_near(Stamp::of(last).since(Stamp::of(last + Duration::from_secs(2))), -2.0);
    }

    #[test]
    fn a_question_carries_its_number_and_nothing_of_ours() {
        let bytes = question(COOKIE);
        assert_eq!((bytes[0], &bytes[40..]), (0x23, &COOKIE.to_be_bytes()[..]));
        assert!(bytes[1..40].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn what_cannot_be_believed_is_refused() {
        let with = |change: fn(&mut [u8])| {
            let mut bytes = answer(Duration::ZERO);
            change(&mut bytes);
            read(&bytes).unwrap_err()
        };
        assert_eq!(with(|bytes| bytes[24] ^= 1), Refusal::Strange, "the answer to another question");
        assert_eq!(with(|bytes| bytes[0] = 4 << 3 | 3), Refusal::Strange, "a question");
        assert_eq!(with(|bytes| bytes[0] = 1 << 3 | SERVER), Refusal::Strange, "an old version");
        assert_eq!(with(|bytes| bytes[0] |= 3 << 6), Refusal::Unsynchronised);
        assert_eq!(with(|bytes| bytes[1] = 16), Refusal::Unsynchronised);
        assert_eq!(with(|bytes| bytes[40..48].fill(0)), Refusal::Unsynchronised);
        let kiss = |bytes: &mut [u8]| {
            bytes[1] = 0;
            bytes[12..16].copy_from_slice(b"RAT\0");
        };
        assert_eq!(with(kiss), Refusal::Kiss("RAT?".to_owned()));
        assert_eq!(with(|bytes| bytes[9] = 5), Refusal::TooFar, "a root dispersion of more than 5 s");
        assert_eq!(with(|bytes| bytes[32] ^= 1), Refusal::TooFar, "sent years before or after it was received");
        assert_eq!(with(|bytes| bytes[40] ^= 1), Refusal::TooFar, "received years before or after it was sent");
        let later = |bytes: &mut [u8]| {
            let later = Stamp::of(SENT + Duration::from_secs(1));
            bytes[16..24].copy_from_slice(&later.0.to_be_bytes());
        };
        assert_eq!(with(later), Refusal::TooFar, "set after it was sent");
        for length in 0..PACKET_BYTES {
            assert_eq!(read(&answer(Duration::ZERO)[..length]), Err(Refusal::Strange));
        }
        let unfit = [Refusal::NoAnswer, Refusal::Strange, Refusal::Unsynchronised, Refusal::TooFar];
        let words: std::collections::BTreeSet<&str> = unfit.iter().map(Refusal::word).collect();
        assert_eq!(words.len(), unfit.len());
    }
}
