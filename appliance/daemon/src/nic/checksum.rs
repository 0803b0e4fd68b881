//! Checksums that the kernel left to the hardware (`TP_STATUS_CSUMNOTREADY`, packet(7)). Between virtual interfaces there is
//! none, and a frame arrives as its sender's stack made it. They are completed here, so that the engine can verify every
//! segment that it gets.

const ETHERNET: usize = 14;
const TCP: u8 = 6;
const TCP_CHECKSUM: usize = 16;

/// Writes the checksum of the TCP segment in an Ethernet frame; leaves any other frame as it is.
pub fn complete(frame: &mut [u8]) {
    let Some(packet) = frame.get_mut(ETHERNET..) else { return };
    let Some((addresses, segment)) = segment(packet) else { return };
    let (addresses, segment) = (sum(&packet[addresses]), &mut packet[segment]);
    if segment.len() < TCP_CHECKSUM + 2 {
        return;
    }
    segment[TCP_CHECKSUM..TCP_CHECKSUM + 2].fill(0);
    let pseudo_header = addresses + u64::from(TCP) + segment.len() as u64;
    let checksum = !fold(pseudo_header + sum(segment));
    segment[TCP_CHECKSUM..TCP_CHECKSUM + 2].copy_from_slice(&checksum.to_be_bytes());
}

/// The checksum of RFC 1071 over bytes in which it is still zero.
pub fn of(bytes: &[u8]) -> u16 {
    !fold(sum(bytes))
}

/// The sum over what TCP's checksum begins with, as far as it is known before the segment's bytes: the addresses and the length.
pub fn of_pseudo_header(addresses: &[u8], segment_len: usize) -> u16 {
    fold(sum(addresses) + u64::from(TCP) + segment_len as u64)
}

type Range = std::ops::Range<usize>;

/// Where the two addresses and the TCP segment of a packet without extension headers lie.
fn segment(packet: &[u8]) -> Option<(Range, Range)> {
    let length_at = |at: usize| Some(usize::from(u16::from_be_bytes([*packet.get(at)?, *packet.get(at + 1)?])));
    let (addresses, segment, protocol) = match packet.first()? >> 4 {
        4 => {
            let header = usize::from(packet[0] & 0x0f) * 4;
            (12..20, header..length_at(2)?, *packet.get(9)?)
        }
        6 => (8..40, 40..40 + length_at(4)?, *packet.get(6)?),
        _ => return None,
    };
    let fits = segment.start >= addresses.end && segment.start <= segment.end && segment.end <= packet.len();
    (fits && protocol == TCP).then_some((addresses, segment))
}

/// The sum of RFC 1071, not yet folded.
fn sum(bytes: &[u8]) -> u64 {
    let pairs = bytes.chunks_exact(2);
    let odd = pairs.remainder().first().map_or(0, |last| u64::from(*last) << 8);
    pairs.map(|pair| u64::from(u16::from_be_bytes([pair[0], pair[1]]))).sum::<u64>() + odd
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapcopy_engine::frame::Decoder;
    use tapcopy_engine::message::LinkType;
    use tapcopy_engine::{Limits, MirrorFrame, Time};

    fn ethernet(ethertype: u16) -> Vec<u8> {
        let mut frame = vec![2; 12];
        frame.extend(ethertype.to_be_bytes());
        frame
    }

    fn tcp(payload: &[u8]) -> Vec<u8> {
        let mut segment = vec![0x1f, 0x90, 0x30, 0x39, 1, 2, 3, 4, 5, 6, 7, 8, 0x50, 0x18, 1, 0, 0xab, 0xcd, 0, 0];
        segment.extend(payload);
        segment
    }

    fn v4(payload: &[u8]) -> Vec<u8> {
        let segment = tcp(payload);
        let mut frame = ethernet(0x0800);
        frame.extend([0x45, 0]);
        frame.extend((20 + segment.len() as u16).to_be_bytes());
        frame.extend([0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        frame.extend(segment);
        frame
    }

    fn v6(payload: &[u8]) -> Vec<u8> {
        let segment = tcp(payload);
        let mut frame = ethernet(0x86dd);
        frame.extend([0x60, 0, 0, 0]);
        frame.extend((segment.len() as u16).to_be_bytes());
        frame.extend([6, 64]);
        frame.extend([0xfd; 32]);
        frame.extend(segment);
        frame
    }

    fn is_right(frame: &[u8]) -> Option<bool> {
        let wire_len = frame.len() as u32;
        let frame = MirrorFrame { captured_at: Time::ZERO, link: LinkType::Ethernet, wire_len, bytes: frame };
        Decoder::new(&Limits::default()).decode(&frame).expect("a TCP segment").checksum_ok()
    }

    #[test]
    fn a_missing_checksum_is_written() {
        for payload in [&b""[..], b"x", b"an even number of bytes!", &[0xff; 1459]] {
            for mut frame in [v4(payload), v6(payload)] {
                assert_eq!(is_right(&frame), Some(false));
                frame.extend([0; 3]);
                complete(&mut frame);
                assert_eq!(is_right(&frame), Some(true), "{} bytes", payload.len());
            }
        }
    }

    #[test]
    fn other_frames_stay_as_they_are() {
        let whole = v4(b"content");
        let mut udp = whole.clone();
        udp[ETHERNET + 9] = 17;
        let cut = (0..whole.len()).map(|length| whole[..length].to_vec());
        for frame in cut.chain([udp, ethernet(0x0806)]) {
            let mut completed = frame.clone();
            complete(&mut completed);
            assert_eq!(completed, frame);
        }
    }
}
