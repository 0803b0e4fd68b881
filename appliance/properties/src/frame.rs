//! The frame decoder, with all link types and encapsulations.

use crate::shown::Shown;
use arbitrary::Unstructured;
use tapcopy_engine::frame::{Decoder, Segment, Wrapping};
use tapcopy_engine::ledger::Ignored;
use tapcopy_engine::message::LinkType;
use tapcopy_engine::{Limits, MirrorFrame, Time};

/// Few, so that the bound is met.
const FRAGMENT_BYTES: usize = 16 << 10;
/// Length of an Ethernet header.
const ETHERNET: usize = 14;

/// Shows the frames of the input to one decoder, and each of them to fresh ones.
pub fn check(bytes: &[u8]) {
    let mut input = Unstructured::new(bytes);
    let (mut decoder, mut twin) = (decoder(), decoder());
    let mut now = Time::from_millis(1);
    while !input.is_empty() {
        let Ok(shown) = Shown::take(&mut input) else { return };
        now = now + shown.pause;
        let frame = shown.at(now);
        let segment = decoder.decode(&frame);
        assert_eq!(segment, twin.decode(&frame), "two decoders that saw the same frames");
        if let Ok(segment) = &segment {
            segment.checksum_ok();
        }
        assert!(decoder.fragment_bytes() <= FRAGMENT_BYTES, "{} bytes of fragments", decoder.fragment_bytes());
        check_alone(&frame);
    }
}

fn decoder() -> Decoder {
    Decoder::new(&Limits { fragment_bytes: FRAGMENT_BYTES, ..Limits::default() })
}

/// A frame of which a fresh decoder can make a segment holds all of it.
fn check_alone(frame: &MirrorFrame<'_>) {
    let mut fresh = decoder();
    let segment = fresh.decode(frame);
    if let Ok(segment) = &segment {
        assert!(lies_within(segment.payload, frame.bytes), "a payload from elsewhere");
        assert!(lies_within(segment.header, frame.bytes), "a header from elsewhere");
        let len = segment.header.len() + segment.payload.len() + segment.missing as usize;
        // A switch may have cut the frame off before it wrapped it.
        let is_whole = !segment.wrappings.contains(Wrapping::Erspan);
        assert!(len <= frame.wire_len as usize || !is_whole, "{len} bytes in a frame of {}", frame.wire_len);
    }
    check_cut(frame, &segment);
    check_without_ethernet(frame, &segment);
}

fn lies_within(inner: &[u8], outer: &[u8]) -> bool {
    inner.is_empty()
        || (outer.as_ptr_range().start <= inner.as_ptr() && inner.as_ptr_range().end <= outer.as_ptr_range().end)
}

/// Of a frame that the capture cut off earlier, no more is seen, and what is missing is known.
fn check_cut(frame: &MirrorFrame<'_>, whole: &Result<Segment<'_>, Ignored>) {
    let Some((last, _)) = frame.bytes.split_last() else { return };
    let bytes = &frame.bytes[..usize::from(*last) * frame.bytes.len() / 256];
    let cut = MirrorFrame { bytes, ..*frame };
    let (mut fresh, mut twin) = (decoder(), decoder());
    let Ok(seen) = fresh.decode(&cut) else { return };
    let Ok(whole) = whole else { panic!("a beginning of what is {whole:?} gives {:?}", twin.decode(&cut)) };
    assert!(whole.payload.starts_with(seen.payload), "other bytes");
    let (payload, missing) = (seen.payload, seen.missing);
    assert_eq!(payload.len() + missing as usize, whole.payload.len() + whole.missing as usize, "another length");
    assert_eq!(Segment { payload, missing, ..*whole }, seen, "another segment");
}

/// The short way through the decoder, for plain Ethernet and IPv4, leads where the long one does.
fn check_without_ethernet(frame: &MirrorFrame<'_>, segment: &Result<Segment<'_>, Ignored>) {
    let is_plain = matches!(frame.bytes.get(ETHERNET - 2..=ETHERNET), Some([0x08, 0x00, 0x40..=0x4f]));
    if frame.link != LinkType::Ethernet || !is_plain {
        return;
    }
    let wire_len = frame.wire_len - ETHERNET as u32;
    let packet = MirrorFrame { link: LinkType::RawIp, bytes: &frame.bytes[ETHERNET..], wire_len, ..*frame };
    let mut fresh = decoder();
    let other = fresh.decode(&packet).map(|inner| Segment { source_mac: inner.source_mac.or(mac(frame)), ..inner });
    assert_eq!(*segment, other, "with and without its Ethernet header");
}

fn mac(frame: &MirrorFrame<'_>) -> Option<[u8; 6]> {
    frame.bytes[6..].first_chunk().copied()
}
