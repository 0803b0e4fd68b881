//! Frames that leave as one. Segments that follow one another on a connection are handed to the kernel as one large frame, which
//! the NIC cuts into the same segments again, or the kernel where the NIC cannot (segmentation offload). So what a frame costs on its
//! way through the kernel is paid once for many.
//!
//! What is handed over begins with a header of virtio (`struct virtio_net_hdr`, section 5.1.6 of the specification; packet(7),
//! `PACKET_VNET_HDR`), which says where to cut.

use super::checksum;

/// Bytes of virtio's header.
const VIRTUAL_BYTES: usize = 10;

const ETHERNET: usize = 14;
const TCP: u8 = 6;
const TCP_CHECKSUM: usize = 16;
const TCP_FLAGS: usize = 13;
const ACK: u8 = 0x10;
const PUSH: u8 = 0x08;
/// Longest headers: Ethernet, IPv4 or TCP with all options that there is room for.
const HEADERS_MAX: usize = ETHERNET + 60 + 60;
/// Longest IP packet.
const PACKET_MAX: usize = 65_535;

const NEEDS_CHECKSUM: u8 = 1;
const TCP_OVER_IPV4: u8 = 1;
const TCP_OVER_IPV6: u8 = 4;

/// Frames that leave as one.
pub struct Joint {
    /// How many.
    pub frames: usize,
    /// What is sent in place of the first one's headers, virtio's before it; nothing where it is one frame, as it is.
    bytes: [u8; VIRTUAL_BYTES + HEADERS_MAX],
    len: usize,
    /// Length of each frame's headers.
    headers: usize,
}

impl Joint {
    /// The first frame alone.
    pub fn of_one() -> Self {
        Self { frames: 1, bytes: [0; VIRTUAL_BYTES + HEADERS_MAX], len: VIRTUAL_BYTES, headers: 0 }
    }

    /// As many of these frames, from the first on, as can leave as one.
    pub fn of<'a>(mut frames: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let bytes = frames.next()?;
        let Some(first) = Segment::of(bytes) else { return Some(Self::of_one()) };
        let (mut last, mut count, mut content) = (first, 1, first.content().len());
        for segment in frames.map_while(Segment::of) {
            let fits = first.headers() + content + segment.content().len() <= PACKET_MAX;
            if !fits || last.content().len() != first.content().len() || !segment.follows(&last) {
                break;
            }
            (last, count, content) = (segment, count + 1, content + segment.content().len());
        }
        Some(if count == 1 { Self::of_one() } else { Self::joining(&first, &last, count, content) })
    }

    fn joining(first: &Segment<'_>, last: &Segment<'_>, frames: usize, content: usize) -> Self {
        let mut joint =
            Self { frames, len: VIRTUAL_BYTES + first.headers(), headers: first.headers(), ..Self::of_one() };
        let (virtual_header, headers) = joint.bytes[..joint.len].split_at_mut(VIRTUAL_BYTES);
        headers.copy_from_slice(&first.frame[..first.headers()]);
        let segment_len = first.headers() - first.tcp_at + content;
        let kind = if first.is_v4() { TCP_OVER_IPV4 } else { TCP_OVER_IPV6 };
        virtual_header[..2].copy_from_slice(&[NEEDS_CHECKSUM, kind]);
        let words = [first.headers(), first.content().len(), first.tcp_at, TCP_CHECKSUM];
        for (word, field) in words.into_iter().zip(virtual_header[2..].chunks_exact_mut(2)) {
            field.copy_from_slice(&(word as u16).to_ne_bytes());
        }
        let ip = &mut headers[ETHERNET..];
        let addresses = if first.is_v4() {
            ip[2..4].copy_from_slice(&((first.tcp_at - ETHERNET + segment_len) as u16).to_be_bytes());
            ip[10..12].fill(0);
            let sum = checksum::of(&ip[..first.tcp_at - ETHERNET]);
            ip[10..12].copy_from_slice(&sum.to_be_bytes());
            12..20
        } else {
            ip[4..6].copy_from_slice(&(segment_len as u16).to_be_bytes());
            8..40
        };
        // Whoever cuts adds what is not in it yet: the segment's own bytes.
        let pseudo_header = checksum::of_pseudo_header(&ip[addresses], segment_len);
        let tcp = &mut headers[first.tcp_at..];
        tcp[TCP_FLAGS] = last.frame[last.tcp_at + TCP_FLAGS];
        tcp[TCP_CHECKSUM..TCP_CHECKSUM + 2].copy_from_slice(&pseudo_header.to_be_bytes());
        joint
    }

    /// What comes before the frames' own bytes.
    pub fn head(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// What is sent of one of its frames.
    pub fn rest<'a>(&self, frame: &'a [u8]) -> &'a [u8] {
        &frame[self.headers..]
    }
}

/// A TCP segment with content that may be one of several, in its frame.
#[derive(Clone, Copy)]
struct Segment<'a> {
    frame: &'a [u8],
    tcp_at: usize,
    content_at: usize,
}

impl<'a> Segment<'a> {
    fn of(frame: &'a [u8]) -> Option<Self> {
        let word = |at: usize| Some(usize::from(u16::from_be_bytes([*frame.get(at)?, *frame.get(at + 1)?])));
        let is_ethertype = |kind: u16| frame[12..ETHERNET] == kind.to_be_bytes();
        let (tcp_at, protocol, end) = match frame.get(ETHERNET)? >> 4 {
            4 if is_ethertype(0x0800) => {
                // "Don't fragment", and no fragment.
                let whole = word(ETHERNET + 6)? & 0xbfff == 0;
                let at = ETHERNET + usize::from(frame[ETHERNET] & 15) * 4;
                (at, *frame.get(ETHERNET + 9).filter(|_| whole)?, ETHERNET + word(ETHERNET + 2)?)
            }
            6 if is_ethertype(0x86dd) => {
                (ETHERNET + 40, *frame.get(ETHERNET + 6)?, ETHERNET + 40 + word(ETHERNET + 4)?)
            }
            _ => return None,
        };
        let content_at = tcp_at + usize::from(frame.get(tcp_at + 12)? >> 4) * 4;
        let may_be_one = *frame.get(tcp_at + TCP_FLAGS)? & !PUSH == ACK;
        let is_whole = protocol == TCP && end == frame.len() && content_at >= tcp_at + 20 && content_at < end;
        (may_be_one && is_whole).then_some(Self { frame, tcp_at, content_at })
    }

    fn is_v4(&self) -> bool {
        self.frame[ETHERNET] >> 4 == 4
    }

    fn headers(&self) -> usize {
        self.content_at
    }

    fn content(&self) -> &'a [u8] {
        &self.frame[self.content_at..]
    }

    fn number(&self) -> u32 {
        let at = self.tcp_at + 4;
        u32::from_be_bytes([self.frame[at], self.frame[at + 1], self.frame[at + 2], self.frame[at + 3]])
    }

    /// Whether it is what `before` would have gone on with.
    fn follows(&self, before: &Self) -> bool {
        let is_next = self.number() == before.number().wrapping_add(before.content().len() as u32);
        let is_first_pushed = before.frame[before.tcp_at + TCP_FLAGS] & PUSH != 0;
        let is_no_longer = self.content().len() <= before.content().len();
        is_next && is_no_longer && !is_first_pushed && self.headers() == before.headers() && self.is_like(before)
    }

    /// Whether the headers say the same, but for lengths, the packet's and the segment's number, PSH and checksums.
    fn is_like(&self, other: &Self) -> bool {
        let ip_differs = if self.is_v4() { [2..6, 10..12] } else { [4..6, 0..0] };
        let tcp_differs = [4..8, TCP_FLAGS..TCP_FLAGS + 1, TCP_CHECKSUM..TCP_CHECKSUM + 2];
        let mut may_differ = [false; HEADERS_MAX];
        let at = |base: usize, range: std::ops::Range<usize>| base + range.start..base + range.end;
        ip_differs.into_iter().for_each(|range| may_differ[at(ETHERNET, range)].fill(true));
        tcp_differs.into_iter().for_each(|range| may_differ[at(self.tcp_at, range)].fill(true));
        let pairs = self.frame[..self.headers()].iter().zip(&other.frame[..other.headers()]);
        pairs.zip(&may_differ).all(|((mine, its), may)| *may || mine == its)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const CONTENT: usize = 100;

    /// A segment as the box's stack writes it.
    fn frame(is_v4: bool, number: u32, flags: u8, content: &[u8]) -> Vec<u8> {
        let mut frame = vec![2; 12];
        let segment_len = 20 + content.len();
        match is_v4 {
            true => {
                frame.extend([0x08, 0, 0x45, 0]);
                frame.extend((20 + segment_len as u16).to_be_bytes());
                frame.extend([0, 0, 0x40, 0, 64, TCP, 0, 0]);
                frame.extend(Ipv4Addr::new(10, 0, 0, 1).octets());
                frame.extend(Ipv4Addr::new(10, 0, 0, 2).octets());
                let sum = checksum::of(&frame[ETHERNET..]);
                frame[ETHERNET + 10..ETHERNET + 12].copy_from_slice(&sum.to_be_bytes());
            }
            false => {
                frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
                frame.extend((segment_len as u16).to_be_bytes());
                frame.extend([TCP, 64]);
                frame.extend([0xfd; 32]);
            }
        }
        frame.extend([0x1f, 0x90, 0, 80]);
        frame.extend(number.to_be_bytes());
        frame.extend([1, 2, 3, 4, 0x50, flags, 1, 0, 0, 0, 0, 0]);
        frame.extend(content);
        checksum::complete(&mut frame);
        frame
    }

    /// What a NIC makes of it.
    fn cut(joint: &Joint, frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let (virtual_header, headers) = joint.head().split_at(VIRTUAL_BYTES);
        let word = |at: usize| usize::from(u16::from_ne_bytes([virtual_header[at], virtual_header[at + 1]]));
        let content: Vec<u8> = frames[..joint.frames].iter().flat_map(|frame| joint.rest(frame)).copied().collect();
        let (headers_len, content_len, tcp_at) = (word(2), word(4), word(6));
        assert_eq!((headers.len(), word(8)), (headers_len, TCP_CHECKSUM));
        let is_v4 = virtual_header[1] == TCP_OVER_IPV4;
        let segment_len = headers_len - tcp_at + content.len();
        let addresses = if is_v4 { ETHERNET + 12..ETHERNET + 20 } else { ETHERNET + 8..ETHERNET + 40 };
        let sum = checksum::of_pseudo_header(&headers[addresses], segment_len);
        assert_eq!(headers[tcp_at + TCP_CHECKSUM..][..2], sum.to_be_bytes(), "the sum that is added to");
        let (len_at, counted) = if is_v4 { (2, headers_len - ETHERNET) } else { (4, headers_len - tcp_at) };
        assert_eq!(headers[ETHERNET + len_at..][..2], ((counted + content.len()) as u16).to_be_bytes());
        let count = content.chunks(content_len).count();
        let number = u32::from_be_bytes(headers[tcp_at + 4..tcp_at + 8].try_into().expect("four bytes"));
        let pieces = content.chunks(content_len).enumerate().map(|(index, piece)| {
            let flags = headers[tcp_at + TCP_FLAGS] & if index + 1 < count { !PUSH } else { 0xff };
            frame(is_v4, number.wrapping_add((index * content_len) as u32), flags, piece)
        });
        pieces.collect()
    }

    fn joined(frames: &[Vec<u8>]) -> Joint {
        Joint::of(frames.iter().map(Vec::as_slice)).expect("there is a frame")
    }

    #[test]
    fn segments_that_follow_one_another_are_joined_and_cut_into_the_same() {
        for is_v4 in [true, false] {
            let number = |index: u32| (u32::MAX - 150).wrapping_add(index * CONTENT as u32);
            let mut frames: Vec<_> =
                (0..6).map(|index| frame(is_v4, number(index), ACK, &[index as u8; CONTENT])).collect();
            frames.push(frame(is_v4, number(6), ACK | PUSH, b"the end"));
            frames.push(frame(is_v4, number(6).wrapping_add(7), ACK, b"another"));
            let joint = joined(&frames);
            assert_eq!(joint.frames, 7);
            assert_eq!(cut(&joint, &frames), frames[..7]);
        }
    }

    #[test]
    fn a_joint_is_no_longer_than_a_packet_may_be() {
        let content = [7; 1_460];
        let frames: Vec<_> = (0..64).map(|index| frame(true, index * 1_460, ACK, &content)).collect();
        assert_eq!(joined(&frames).frames, 44);
    }

    #[test]
    fn others_leave_as_they_are() {
        let first = frame(true, 1_000, ACK, &[1; CONTENT]);
        let next = frame(true, 1_000 + CONTENT as u32, ACK, &[2; CONTENT]);
        assert_eq!(joined(&[first.clone(), next.clone()]).frames, 2);
        let changed = |at: usize, to: u8| {
            let mut frame = next.clone();
            frame[at] = to;
            frame
        };
        let tcp = ETHERNET + 20;
        let strangers = [
            changed(0, 9),
            changed(ETHERNET + 1, 8),
            changed(ETHERNET + 6, 0x20),
            changed(ETHERNET + 19, 9),
            changed(tcp + 1, 9),
            changed(tcp + 7, 9),
            changed(tcp + 11, 9),
            changed(tcp + 13, ACK | 1),
            changed(tcp + 15, 9),
            frame(true, 1_000 + CONTENT as u32, ACK, &[2; CONTENT + 1]),
            frame(true, 1_000 + CONTENT as u32, ACK, b""),
            frame(false, 1_000 + CONTENT as u32, ACK, &[2; CONTENT]),
            next[..next.len() - 1].to_vec(),
            vec![0; 60],
            Vec::new(),
        ];
        for stranger in strangers {
            assert_eq!(joined(&[first.clone(), stranger.clone()]).frames, 1, "{stranger:?}");
            assert_eq!(joined(&[stranger.clone(), next.clone()]).frames, 1, "{stranger:?}");
        }
        let pushed = frame(true, 1_000, ACK | PUSH, &[1; CONTENT]);
        let joint = joined(&[pushed.clone(), next]);
        assert_eq!((joint.frames, joint.head(), joint.rest(&pushed)), (1, &[0; VIRTUAL_BYTES][..], &pushed[..]));
    }
}
