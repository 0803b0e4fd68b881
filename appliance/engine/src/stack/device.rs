//! A smoltcp device that holds one packet in and at most one out, and a glance at a packet's TCP header.

use crate::frame::Endpoint;
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use smoltcp::wire::{IPV6_HEADER_LEN, IpProtocol, IpVersion, Ipv4Packet, Ipv6Packet, TcpOption, TcpPacket};

/// Most by which a window can be shifted (RFC 7323, section 2.3).
const SCALE_MAX: u8 = 14;

/// One poll's worth of device.
pub struct OnePacket<'a> {
    arriving: Option<&'a [u8]>,
    answer: &'a mut Vec<u8>,
    leaving: &'a mut Vec<u8>,
    mtu: usize,
}

impl<'a> OnePacket<'a> {
    /// `arriving` is received, what answers it goes to `answer`, what else is sent to `leaving`.
    pub fn new(arriving: Option<&'a [u8]>, answer: &'a mut Vec<u8>, leaving: &'a mut Vec<u8>, mtu: usize) -> Self {
        Self { arriving, answer, leaving, mtu }
    }
}

impl Device for OnePacket<'_> {
    type RxToken<'t>
        = Arriving<'t>
    where
        Self: 't;
    type TxToken<'t>
        = Leaving<'t>
    where
        Self: 't;

    fn receive(&mut self, _: Instant) -> Option<(Arriving<'_>, Leaving<'_>)> {
        Some((Arriving(self.arriving.take()?), Leaving(self.answer)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Leaving<'_>> {
        self.leaving.is_empty().then_some(Leaving(self.leaving))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.mtu;
        capabilities
    }
}

/// The packet that arrives.
pub struct Arriving<'a>(&'a [u8]);

impl RxToken for Arriving<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(self.0)
    }
}

/// Room for a packet that leaves.
pub struct Leaving<'a>(&'a mut Vec<u8>);

impl TxToken for Leaving<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        self.0.clear();
        self.0.resize(len, 0);
        write(self.0)
    }
}

/// What the stack needs to know of a packet before smoltcp sees it.
#[derive(Clone, Copy, Debug)]
pub struct Outline {
    /// Sender.
    pub source: Endpoint,
    /// Receiver.
    pub destination: Endpoint,
    /// Whether it is a reset.
    pub rst: bool,
    /// Whether it opens a connection, or answers one that does.
    pub syn: bool,
    /// Sequence number behind the segment.
    pub end: u32,
    /// Sequence numbers that it takes: content, SYN, FIN.
    pub span: usize,
    /// Bytes of content.
    pub content: usize,
    /// The window, as it stands there.
    pub window: u16,
    /// Of one that opens a connection: what its sender can do.
    pub offer: Option<Offer>,
}

/// What one side says of itself when a connection is opened (RFC 9293, section 3.7.1; RFC 7323; RFC 2018).
#[derive(Clone, Copy, Debug, Default)]
pub struct Offer {
    /// Longest segment that it takes, if it says so.
    pub segment_max: Option<u16>,
    /// By how many bits its windows are shifted, if they can be.
    pub scale: Option<u8>,
    /// Whether it understands selective acknowledgements.
    pub selective: bool,
}

impl Offer {
    fn of(mut options: &[u8]) -> Self {
        let mut offer = Self::default();
        while let Ok((rest, option)) = TcpOption::parse(options) {
            options = rest;
            match option {
                TcpOption::EndOfList => break,
                TcpOption::MaxSegmentSize(len) => offer.segment_max = Some(len),
                TcpOption::WindowScale(bits) => offer.scale = Some(bits.min(SCALE_MAX)),
                TcpOption::SackPermitted => offer.selective = true,
                _ => {}
            }
        }
        offer
    }
}

impl Outline {
    /// The outline of an unfragmented TCP packet.
    pub fn of(packet: &[u8]) -> Option<Self> {
        // smoltcp looks at the first byte without asking whether there is one.
        packet.first()?;
        match IpVersion::of_packet(packet).ok()? {
            IpVersion::Ipv4 => {
                let ip = Ipv4Packet::new_checked(packet).ok()?;
                let whole = !ip.more_frags() && ip.frag_offset() == 0 && ip.next_header() == IpProtocol::Tcp;
                let tcp = TcpPacket::new_checked(ip.payload()).ok().filter(|_| whole)?;
                Some(Self::with(ip.src_addr().into(), ip.dst_addr().into(), &tcp))
            }
            IpVersion::Ipv6 => {
                let ip = Ipv6Packet::new_checked(packet).ok()?;
                let tcp = TcpPacket::new_checked(ip.payload()).ok().filter(|_| ip.next_header() == IpProtocol::Tcp)?;
                Some(Self::with(ip.src_addr().into(), ip.dst_addr().into(), &tcp))
            }
        }
    }

    fn with(source: core::net::IpAddr, destination: core::net::IpAddr, tcp: &TcpPacket<&[u8]>) -> Self {
        let span = tcp.segment_len();
        Self {
            source: Endpoint::new(source, tcp.src_port()),
            destination: Endpoint::new(destination, tcp.dst_port()),
            rst: tcp.rst(),
            syn: tcp.syn(),
            end: (tcp.seq_number() + span).0 as u32,
            span,
            content: tcp.payload().len(),
            window: tcp.window_len(),
            offer: tcp.syn().then(|| Offer::of(tcp.options())),
        }
    }
}

/// Where in a TCP header the sequence number stands, and where the acknowledgement (RFC 9293, section 3.1).
pub const NUMBER: usize = 4;
pub const ACKNOWLEDGEMENT: usize = 8;

/// Where the checksum stands.
const CHECKSUM: usize = 16;

/// Adds `more` to the `field` of the segment in a packet that has an outline. Its checksum is as right or wrong as it was
/// (RFC 1624, section 3).
pub fn add(packet: &mut [u8], field: usize, more: u32) {
    if more == 0 {
        return;
    }
    let at = if packet[0] >> 4 == 4 { usize::from(packet[0] & 15) * 4 } else { IPV6_HEADER_LEN };
    let segment = &mut packet[at..];
    let word = |segment: &[u8], at: usize| u16::from_be_bytes([segment[at], segment[at + 1]]);
    let halves = |value: u32| (value >> 16) + (value & 0xffff);
    let before = u32::from(word(segment, field)) << 16 | u32::from(word(segment, field + 2));
    let after = before.wrapping_add(more);
    let sum = u32::from(!word(segment, CHECKSUM)) + halves(!before) + halves(after);
    segment[field..field + 4].copy_from_slice(&after.to_be_bytes());
    segment[CHECKSUM..CHECKSUM + 2].copy_from_slice(&(!(halves(halves(sum)) as u16)).to_be_bytes());
}
