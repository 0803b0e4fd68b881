//! Frames that are cut off, mutilated or made of noise: no panic, no byte from outside the frame.

use super::{PAYLOAD, Sample, check_segment, frame, samples};
use core::time::Duration;
use tapcopy_engine::frame::{Decoder, Segment};
use tapcopy_engine::ledger::Ignored;
use tapcopy_engine::message::LinkType;
use tapcopy_engine::{Limits, MirrorFrame, Time};

/// Marsaglia's xorshift64.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        bytes.chunks_mut(8).for_each(|chunk| {
            let word = self.next().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        });
    }
}

fn payload_start(sample: &Sample) -> usize {
    let mut windows = sample.bytes.windows(PAYLOAD.len());
    windows.position(|window| window == PAYLOAD).expect("the payload is in the frame")
}

#[test]
fn a_frame_cut_off_anywhere_says_what_is_missing() {
    for sample in samples() {
        let start = payload_start(&sample);
        for len in 0..sample.bytes.len() {
            let name = format!("{} cut to {len}", sample.name);
            let cut = MirrorFrame { bytes: &sample.bytes[..len], ..frame(sample.link, &sample.bytes) };
            match Decoder::new(&Limits::default()).decode(&cut) {
                Ok(segment) => {
                    assert!(len >= start, "{name}");
                    assert_eq!(segment.payload.len(), (len - start).min(PAYLOAD.len()), "{name}");
                    check_segment(&name, &segment, &sample.expected);
                }
                Err(reason) => assert_eq!((reason, len < start), (Ignored::Truncated, true), "{name}"),
            }
        }
    }
}

#[test]
fn a_header_that_misses_one_byte_is_cut_off() {
    let bytes = super::tcp(b"").v4().ethernet().bytes;
    for len in 0..54 {
        let cut = MirrorFrame { bytes: &bytes[..len], ..frame(LinkType::Ethernet, &bytes) };
        assert_eq!(Decoder::new(&Limits::default()).decode(&cut), Err(Ignored::Truncated), "{len}");
    }
    // Where the wire had no more than this, either.
    for (len, reason) in [(13, Ignored::ShortFrame), (33, Ignored::BadIp), (53, Ignored::BadIp)] {
        let short = frame(LinkType::Ethernet, &bytes[..len]);
        assert_eq!(Decoder::new(&Limits::default()).decode(&short), Err(reason), "{len}");
    }
}

#[test]
fn a_frame_shorter_than_it_claims_is_refused() {
    for sample in samples() {
        let end = payload_start(&sample) + PAYLOAD.len();
        // Without a length in the IP header, a shorter frame is a shorter segment.
        let claims = !sample.name.contains(" length");
        for len in 0..end {
            let name = format!("{} of {len}", sample.name);
            match Decoder::new(&Limits::default()).decode(&frame(sample.link, &sample.bytes[..len])) {
                Ok(segment) => assert!(!claims && segment.payload.len() + end == len + PAYLOAD.len(), "{name}"),
                Err(reason) => assert_ne!(reason, Ignored::Truncated, "{name}"),
            }
        }
    }
}

#[test]
fn a_copy_that_the_switch_cut_off_says_what_is_missing() {
    let inner = super::v4().ethernet().bytes;
    for len in 0..inner.len() {
        let copy = super::raw(0, &inner[..len]).erspan_ii(true).v4().ethernet().bytes;
        match Decoder::new(&Limits::default()).decode(&frame(LinkType::Ethernet, &copy)) {
            Ok(segment) => assert_eq!(segment.payload.len() + segment.missing as usize, PAYLOAD.len(), "{len}"),
            Err(reason) => assert_eq!((reason, len < 54), (Ignored::Truncated, true), "{len}"),
        }
    }
}

const LINKS: [LinkType; 5] =
    [LinkType::Ethernet, LinkType::RawIp, LinkType::BsdLoopback, LinkType::LinuxSll, LinkType::LinuxSll2];

/// Decodes; a segment's slices lie in the frame, unless the packet was put together from pieces.
fn decode_noise(decoder: &mut Decoder, input: &MirrorFrame<'_>) -> bool {
    let frame = input.bytes.as_ptr_range();
    let before = decoder.fragment_bytes();
    let decoded = match decoder.decode(input) {
        Ok(segment) => {
            let inside = |bytes: &[u8]| frame.start <= bytes.as_ptr() && bytes.as_ptr_range().end <= frame.end;
            assert!(before > 0 || (inside(segment.payload) && inside(segment.header)), "{input:?}");
            assert!(segment.header.len() >= 20 && segment.payload.len() <= 65_535, "{input:?}");
            // The sum runs over all bytes.
            segment.checksum_ok();
            true
        }
        Err(_) => false,
    };
    assert!(decoder.fragment_bytes() <= 1 << 16, "{input:?}");
    decoded
}

fn small_decoder() -> Decoder {
    Decoder::new(&Limits { fragment_bytes: 1 << 16, fragment_timeout: Duration::from_millis(1), ..Limits::default() })
}

#[test]
fn noise_does_no_harm() {
    let mut noise = Noise(0x7a9c_0f1e_55d1_3b27);
    let mut decoder = small_decoder();
    let mut bytes = [0; 256];
    let mut decoded = 0;
    for round in 0..1_000_000u64 {
        noise.fill(&mut bytes);
        let bytes = &mut bytes[..noise.below(257)];
        // Half of it looks like IPv4 or IPv6 at first sight, or else little noise would come past the first header.
        let link = LINKS[noise.below(LINKS.len())];
        if let (LinkType::RawIp, [first, .., _]) = (link, &mut *bytes) {
            *first = if round % 2 == 0 { 0x45 } else { 0x60 };
        }
        let wire_len = (bytes.len() + noise.below(2) * noise.below(70_000)) as u32;
        let captured_at = Time::from_micros(round);
        decoded += usize::from(decode_noise(&mut decoder, &MirrorFrame { captured_at, link, wire_len, bytes }));
    }
    assert!(decoded > 0, "no noise came past the last header: the test is blind");
}

#[test]
fn mutilated_frames_do_no_harm() {
    let mut noise = Noise(0x1234_5678_9abc_def1);
    let mut decoder = small_decoder();
    let samples = samples();
    let mut decoded = 0;
    for round in 0..1_000_000u64 {
        let sample = &samples[noise.below(samples.len())];
        let mut bytes = sample.bytes.clone();
        for _ in 0..=noise.below(4) {
            let at = noise.below(bytes.len());
            bytes[at] = [0, 0xff, bytes[at] ^ (1 << noise.below(8)), noise.next() as u8][noise.below(4)];
        }
        bytes.truncate(if noise.below(4) == 0 { noise.below(bytes.len()) } else { bytes.len() });
        let wire_len = (bytes.len() + [0, 0, noise.below(100), noise.below(70_000)][noise.below(4)]) as u32;
        let captured_at = Time::from_micros(round);
        let input = MirrorFrame { captured_at, link: sample.link, wire_len, bytes: &bytes };
        decoded += usize::from(decode_noise(&mut decoder, &input));
    }
    assert!((100_000..950_000).contains(&decoded), "{decoded}");
}

#[test]
fn the_short_way_agrees_with_the_long_one() {
    // The bare packet takes the long way.
    let mut noise = Noise(0x0dd0_cafe_1357_9bdf);
    let plain = [super::v4().ethernet().bytes, super::v4().tag(0x8100, 7).ethernet().bytes];
    let mut decoded = 0;
    for round in 0..300_000 {
        let mut bytes = plain[round % 2].clone();
        let ip = 14 + 4 * (round % 2);
        for _ in 0..=noise.below(2) {
            let at = ip + noise.below(40);
            bytes[at] = noise.next() as u8;
        }
        if bytes[ip] >> 4 != 4 {
            continue;
        }
        let (mut short, mut long) = (small_decoder(), small_decoder());
        let short = short.decode(&frame(LinkType::Ethernet, &bytes));
        decoded += usize::from(short.is_ok());
        let unlabelled = short.map(|segment| Segment { vlan: None, source_mac: None, ..segment });
        assert_eq!(unlabelled, long.decode(&frame(LinkType::RawIp, &bytes[ip..])));
    }
    assert!((100_000..290_000).contains(&decoded), "{decoded}");
}
