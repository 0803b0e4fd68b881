//! TCP segments (RFC 9293).

use super::endpoint::Endpoint;
use super::ip::{self, Packet};
use super::link::Labels;
use super::view::{View, be16, be32};
use super::wrapping::Wrappings;
use crate::ledger::Ignored;
use core::fmt;
use core::ops::BitOr;

/// The control bits of a TCP header.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Flags(u8);

impl Flags {
    /// No bit.
    pub const NONE: Self = Self(0);
    /// The sender has no more data.
    pub const FIN: Self = Self(0x01);
    /// Synchronise sequence numbers: a session opens.
    pub const SYN: Self = Self(0x02);
    /// The session is reset.
    pub const RST: Self = Self(0x04);
    /// Hand the data on at once.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgement number has a meaning.
    pub const ACK: Self = Self(0x10);
    /// The urgent pointer has a meaning.
    pub const URG: Self = Self(0x20);

    /// The bits as they stand in the header, those of congestion notification included.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// The byte of the header.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether all bits of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether FIN is set.
    pub const fn fin(self) -> bool {
        self.contains(Self::FIN)
    }

    /// Whether SYN is set.
    pub const fn syn(self) -> bool {
        self.contains(Self::SYN)
    }

    /// Whether RST is set.
    pub const fn rst(self) -> bool {
        self.contains(Self::RST)
    }

    /// Whether PSH is set.
    pub const fn psh(self) -> bool {
        self.contains(Self::PSH)
    }

    /// Whether ACK is set.
    pub const fn ack(self) -> bool {
        self.contains(Self::ACK)
    }

    /// Whether URG is set.
    pub const fn urg(self) -> bool {
        self.contains(Self::URG)
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, rhs: Self) -> Self {
        Self(self.0 | rhs.0)
    }
}

/// The letters of the bits that are set, as scenarios write them (`SA`), or a dot.
impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters = "SFRPAU".chars().zip([Self::SYN, Self::FIN, Self::RST, Self::PSH, Self::ACK, Self::URG]);
        let set: String = letters.filter(|(_, flag)| self.contains(*flag)).map(|(letter, _)| letter).collect();
        f.write_str(if set.is_empty() { "." } else { &set })
    }
}

/// What the two sides agree on when a session opens; read from SYN segments only, otherwise empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpOptions {
    /// The largest segment that the sender takes, in bytes of payload.
    pub mss: Option<u16>,
    /// Bits by which the sender's windows are shifted, 14 at most (RFC 7323).
    pub window_scale: Option<u8>,
    /// Whether the sender takes selective acknowledgements (RFC 2018).
    pub sack_permitted: bool,
}

impl TcpOptions {
    /// Reads as far as the options make sense: an option that runs over the header's end hides what follows it.
    #[cold]
    fn parse(mut rest: &[u8]) -> Self {
        let mut options = Self::default();
        while let [kind, tail @ ..] = rest {
            rest = match (kind, tail) {
                (0, _) => break,
                (1, _) => tail,
                (_, [len, ..]) if (2..=rest.len()).contains(&usize::from(*len)) => {
                    let (option, after) = rest.split_at(usize::from(*len));
                    options.take(option);
                    after
                }
                _ => break,
            };
        }
        options
    }

    fn take(&mut self, option: &[u8]) {
        match *option {
            [2, 4, high, low] => self.mss = Some(u16::from_be_bytes([high, low])),
            [3, 3, shift] => self.window_scale = Some(shift.min(14)),
            [4, 2] => self.sack_permitted = true,
            _ => {}
        }
    }
}

/// One TCP segment as the mirror showed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// The sender.
    pub source: Endpoint,
    /// The receiver.
    pub destination: Endpoint,
    /// The IPv4 identification; 0 in IPv6, and where the sender leaves it so.
    pub ip_id: u16,
    /// The outermost 802.1Q id. Information only: one side of a flow may be tagged and the other not.
    pub vlan: Option<u16>,
    /// Sequence number of the first payload byte, or of the SYN.
    pub seq: u32,
    /// The acknowledgement number as it stands; without ACK it has no meaning.
    pub ack: u32,
    /// The control bits.
    pub flags: Flags,
    /// The window as it stands, not scaled.
    pub window: u16,
    /// The urgent pointer; 0 without URG.
    pub urgent: u16,
    /// The captured part of the payload.
    pub payload: &'a [u8],
    /// Payload bytes after `payload` that the capture cut off.
    pub missing: u32,
    /// What a SYN offers.
    pub options: TcpOptions,
    /// The source of the innermost Ethernet header; the link layer's address in a cooked capture.
    pub source_mac: Option<[u8; 6]>,
    /// What else lay around the packet.
    pub wrappings: Wrappings,
    /// The TCP header with its options.
    pub header: &'a [u8],
}

impl Segment<'_> {
    /// Whether the TCP checksum is right; `None` where it cannot be told, because bytes are missing.
    ///
    /// A capture taken on the sender itself shows segments before their checksum is filled in.
    pub fn checksum_ok(&self) -> Option<bool> {
        if self.missing > 0 {
            return None;
        }
        let sum = self.pseudo_header_sum() + sum_words(self.header) + sum_words(self.payload);
        Some(sum != 0 && sum.is_multiple_of(0xffff))
    }

    /// Whether the checksum was left for the sender's NIC to finish: the field is empty or holds the sum of the
    /// pseudo-header alone.
    pub fn checksum_unfinished(&self) -> bool {
        let field = self.header.get(16..).and_then(<[u8]>::first_chunk).map_or(0, |field| u16::from_ne_bytes(*field));
        field == 0 || self.pseudo_header_sum() % 0xffff == u64::from(field) % 0xffff
    }

    /// The prefix of a mapped IPv4 address adds 0xffff, which is zero here: both versions' pseudo-headers sum alike.
    fn pseudo_header_sum(&self) -> u64 {
        let len = self.header.len() + self.payload.len();
        sum_words(self.source.octets())
            + sum_words(self.destination.octets())
            + sum_words(&(len as u64).to_be_bytes())
            + sum_words(&[0, ip::TCP])
    }
}

/// The sum of the 16-bit words, the last one filled up with zero. Modulo 0xffff it is the one's complement sum, which
/// comes out the same, but for the order of its two bytes, in either byte order and from words of any length (RFC 1071).
#[inline]
fn sum_words(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks();
    let last = match *rest {
        [a] => [a, 0, 0, 0],
        [a, b] => [a, b, 0, 0],
        [a, b, c] => [a, b, c, 0],
        _ => [0; 4],
    };
    let word = |bytes: [u8; 4]| u64::from(u32::from_ne_bytes(bytes));
    words.iter().map(|bytes| word(*bytes)).sum::<u64>() + word(last)
}

/// Reads the header of a packet's segment.
#[inline(always)]
pub(super) fn open<'a>(packet: &Packet<'a>, labels: Labels) -> Result<Segment<'a>, Ignored> {
    let fixed = packet.body.head::<20>(Ignored::BadTcp)?;
    let header_len = usize::from(fixed[12] >> 4) * 4;
    if header_len < 20 {
        return Err(Ignored::BadTcp);
    }
    let payload = packet.body.skip(header_len, Ignored::BadTcp)?;
    let header = &packet.body.bytes[..header_len];
    let syn = Flags(fixed[13]).syn();
    let options = if syn { TcpOptions::parse(&header[20..]) } else { TcpOptions::default() };
    let from = From { source: packet.source, destination: packet.destination, id: packet.id };
    Ok(segment(from, fixed, header, payload, options, labels))
}

/// What the IP header says of a segment.
pub(super) struct From {
    pub source: [u8; 16],
    pub destination: [u8; 16],
    pub id: u16,
}

/// A segment out of its parts: what IP says of it, its header's fixed part, its header and its payload.
#[inline(always)]
pub(super) fn segment<'a>(
    from: From,
    fixed: &[u8; 20],
    header: &'a [u8],
    payload: View<'a>,
    options: TcpOptions,
    labels: Labels,
) -> Segment<'a> {
    let flags = Flags(fixed[13]);
    Segment {
        source: Endpoint::from_octets(from.source, be16(fixed, 0)),
        destination: Endpoint::from_octets(from.destination, be16(fixed, 2)),
        ip_id: from.id,
        vlan: labels.vlan,
        seq: be32(fixed, 4),
        ack: be32(fixed, 8),
        flags,
        window: be16(fixed, 14),
        urgent: if flags.urg() { be16(fixed, 18) } else { 0 },
        payload: payload.bytes,
        missing: u32::try_from(payload.missing).unwrap_or(u32::MAX),
        options,
        source_mac: labels.source_mac,
        wrappings: labels.wrappings,
        header,
    }
}
