//! A smoltcp device that holds one packet in and at most one out, and a glance at a packet's TCP header.

use crate::frame::Endpoint;
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use smoltcp::wire::{IpAddress, IpProtocol, IpVersion, Ipv4Packet, Ipv6Packet, TcpPacket, TcpSeqNumber};

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
        }
    }
}

/// Gives the segment in a packet, which smoltcp has written, another sequence number.
#[cold]
pub fn renumber(packet: &mut [u8], number: u32) {
    match IpVersion::of_packet(packet) {
        Ok(IpVersion::Ipv4) => {
            let mut ip = Ipv4Packet::new_unchecked(packet);
            let ends = (ip.src_addr().into(), ip.dst_addr().into());
            set_number(ip.payload_mut(), ends, number);
        }
        Ok(IpVersion::Ipv6) => {
            let mut ip = Ipv6Packet::new_unchecked(packet);
            let ends = (ip.src_addr().into(), ip.dst_addr().into());
            set_number(ip.payload_mut(), ends, number);
        }
        Err(_) => {}
    }
}

fn set_number(segment: &mut [u8], (source, destination): (IpAddress, IpAddress), number: u32) {
    let mut tcp = TcpPacket::new_unchecked(segment);
    tcp.set_seq_number(TcpSeqNumber(number as i32));
    tcp.fill_checksum(&source, &destination);
}
