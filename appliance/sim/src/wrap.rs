//! What a mirror may put around a frame: tags, labels and tunnels, each a layer of its own.

use crate::packet::{self, Mac, ethertype};
use crate::seed::Rng;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses of the tunnels' ends.
const NEAR_MAC: Mac = [2, 0, 0, 0, 40, 1];
const FAR_MAC: Mac = [2, 0, 0, 0, 40, 2];

/// Length of an Ethernet header.
pub const ETHERNET: usize = 14;

/// What the decoder follows (see `frame` of the engine): more tunnels than these are not drawn.
const TUNNELS_MAX: usize = 2;

/// The same of headers in front of one IP packet: more labels than these, with an Ethernet header in front of each stack and the
/// frame's own header and tag, are not drawn.
const LABELS_MAX: usize = 10;

mod protocol {
    pub const IPV4: u8 = 4;
    pub const UDP: u8 = 17;
    pub const IPV6: u8 = 41;
    pub const GRE: u8 = 47;
}

/// A GRE header's optional fields (RFC 2784, RFC 2890).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gre {
    /// A checksum, which nobody checks.
    pub checksum: bool,
    /// A key.
    pub key: bool,
    /// A sequence number.
    pub sequence: bool,
}

/// One layer around a frame. Where a layer carries an IP packet, the frame's own Ethernet header goes, unless something
/// else than IP follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// IEEE 802.1Q.
    Vlan(u16),
    /// IEEE 802.1ad: the provider's tag and the customer's.
    QinQ(u16, u16),
    /// So many labels (RFC 3032); a frame that is no IP packet as a pseudowire with a control word (RFC 4448).
    Mpls(usize),
    /// IP right within IP (RFC 2003, RFC 2473, RFC 4213).
    IpInIp {
        /// The outer version is 6.
        v6: bool,
    },
    /// RFC 2784.
    Gre(Gre),
    /// The whole frame in GRE.
    GreBridged(Gre),
    /// RFC 7348.
    Vxlan {
        /// The outer version is 6.
        v6: bool,
    },
    /// RFC 8926, with so many words of options.
    Geneve(usize),
    /// ERSPAN type I: GRE and nothing more (draft-foschiano-erspan).
    ErspanI,
    /// ERSPAN type II.
    ErspanII,
    /// ERSPAN type III.
    ErspanIII {
        /// With the optional subheader of eight bytes.
        subheader: bool,
    },
}

impl Layer {
    /// Whether it adds an IP header.
    pub fn is_tunnel(self) -> bool {
        !matches!(self, Self::Vlan(_) | Self::QinQ(..) | Self::Mpls(_))
    }

    /// How many labels it adds.
    fn labels(self) -> usize {
        if let Self::Mpls(labels) = self { labels } else { 0 }
    }

    /// Its kind in one word, for the census of what was drawn.
    pub fn word(self) -> &'static str {
        match self {
            Self::Vlan(_) => "802.1q",
            Self::QinQ(..) => "qinq",
            Self::Mpls(_) => "mpls",
            Self::IpInIp { .. } => "ip in ip",
            Self::Gre(_) => "gre",
            Self::GreBridged(_) => "gre bridged",
            Self::Vxlan { .. } => "vxlan",
            Self::Geneve(_) => "geneve",
            Self::ErspanI => "erspan i",
            Self::ErspanII => "erspan ii",
            Self::ErspanIII { .. } => "erspan iii",
        }
    }

    fn draw(rng: &mut Rng) -> Self {
        let vlan = |rng: &mut Rng| rng.between(1, 4_094) as u16;
        match rng.below(11) {
            0 => Self::Vlan(vlan(rng)),
            1 => Self::QinQ(vlan(rng), vlan(rng)),
            2 => Self::Mpls(rng.size(1, 4)),
            3 => Self::IpInIp { v6: rng.percent(30) },
            4 => Self::Gre(Gre::draw(rng)),
            5 => Self::GreBridged(Gre::draw(rng)),
            6 => Self::Vxlan { v6: rng.percent(30) },
            7 => Self::Geneve(rng.size(0, 4)),
            8 => Self::ErspanI,
            9 => Self::ErspanII,
            _ => Self::ErspanIII { subheader: rng.percent(50) },
        }
    }

    /// Puts the layer around an Ethernet frame.
    pub fn around(self, frame: Vec<u8>) -> Vec<u8> {
        match self {
            Self::Vlan(id) => tagged(frame, &[(ethertype::VLAN, id)]),
            Self::QinQ(outer, inner) => tagged(frame, &[(ethertype::QINQ, outer), (ethertype::VLAN, inner)]),
            Self::Mpls(labels) => labelled(&frame, labels),
            Self::IpInIp { v6 } => in_ip(v6, &frame),
            Self::Gre(gre) => match packet_of(&frame) {
                Some(packet) => tunnel(false, protocol::GRE, &gre.header(packet::u16_at(&frame, 12)), packet),
                None => tunnel(false, protocol::GRE, &gre.header(ethertype::BRIDGED), &frame),
            },
            Self::GreBridged(gre) => tunnel(false, protocol::GRE, &gre.header(ethertype::BRIDGED), &frame),
            Self::Vxlan { v6 } => udp(v6, 4_789, &[8, 0, 0, 0, 0, 0, 42, 0], &frame),
            Self::Geneve(words) => udp(false, 6_081, &geneve(words), &frame),
            Self::ErspanI => tunnel(false, protocol::GRE, &Gre::NONE.header(ethertype::ERSPAN), &frame),
            Self::ErspanII => tunnel(
                false,
                protocol::GRE,
                &[&Gre::NUMBERED.header(ethertype::ERSPAN)[..], &ERSPAN_II].concat(),
                &frame,
            ),
            Self::ErspanIII { subheader } => {
                let gre = Gre::NUMBERED.header(ethertype::ERSPAN_III);
                tunnel(false, protocol::GRE, &[&gre[..], &erspan_iii(subheader)].concat(), &frame)
            }
        }
    }
}

/// Version 1, no flags, session 7, port index 3.
const ERSPAN_II: [u8; 8] = [0x10, 1, 0, 7, 0, 0, 0, 3];

/// Version 2, a stamp, frame type Ethernet; the last bit tells of the subheader of eight bytes.
fn erspan_iii(subheader: bool) -> Vec<u8> {
    let mut header = vec![0x20, 1, 0, 7, 1, 2, 3, 4, 0, 0, 0, u8::from(subheader)];
    header.resize(if subheader { 20 } else { 12 }, 0);
    header
}

impl Gre {
    const NONE: Self = Self { checksum: false, key: false, sequence: false };
    const NUMBERED: Self = Self { checksum: false, key: false, sequence: true };

    fn draw(rng: &mut Rng) -> Self {
        Self { checksum: rng.percent(30), key: rng.percent(50), sequence: rng.percent(30) }
    }

    fn header(self, ethertype: u16) -> Vec<u8> {
        let flags = u16::from(self.checksum) << 15 | u16::from(self.key) << 13 | u16::from(self.sequence) << 12;
        let fields = [self.checksum, self.key, self.sequence].iter().filter(|field| **field).count();
        let mut header = [flags.to_be_bytes(), ethertype.to_be_bytes()].concat();
        header.resize(4 + 4 * fields, 7);
        header
    }
}

/// The layers around the frames of one direction, the innermost first.
pub fn draw(rng: &mut Rng) -> Vec<Layer> {
    let mut layers: Vec<Layer> = Vec::new();
    for _ in 0..rng.size(1, 3) {
        let layer = Layer::draw(rng);
        let tunnels = layers.iter().filter(|layer| layer.is_tunnel()).count();
        let labels = layers.iter().map(|layer| layer.labels()).sum::<usize>() + layer.labels();
        if (!layer.is_tunnel() || tunnels < TUNNELS_MAX) && labels <= LABELS_MAX {
            layers.push(layer);
        }
    }
    layers
}

/// The IP packet of a frame without tags, without the padding behind it.
fn packet_of(frame: &[u8]) -> Option<&[u8]> {
    let packet = &frame[ETHERNET..];
    let len = match packet::u16_at(frame, 12) {
        ethertype::IPV4 => usize::from(packet::u16_at(packet, 2)),
        ethertype::IPV6 => 40 + usize::from(packet::u16_at(packet, 4)),
        _ => return None,
    };
    packet.get(..len)
}

fn tagged(mut frame: Vec<u8>, tags: &[(u16, u16)]) -> Vec<u8> {
    let bytes = tags.iter().flat_map(|(ethertype, id)| [ethertype.to_be_bytes(), id.to_be_bytes()].concat());
    frame.splice(12..12, bytes);
    frame
}

fn labelled(frame: &[u8], labels: usize) -> Vec<u8> {
    let mut payload: Vec<u8> = (1..=labels).flat_map(|label| [0, 1, u8::from(label == labels), 64]).collect();
    match packet_of(frame) {
        Some(packet) => payload.extend_from_slice(packet),
        None => {
            payload.extend_from_slice(&[0; 4]);
            payload.extend_from_slice(frame);
        }
    }
    packet::ethernet(FAR_MAC, NEAR_MAC, ethertype::MPLS, &payload)
}

fn in_ip(v6: bool, frame: &[u8]) -> Vec<u8> {
    match (packet_of(frame), packet::u16_at(frame, 12)) {
        (Some(packet), ethertype::IPV4) => tunnel(v6, protocol::IPV4, &[], packet),
        (Some(packet), _) => tunnel(v6, protocol::IPV6, &[], packet),
        (None, _) => tunnel(v6, protocol::GRE, &Gre::NONE.header(ethertype::BRIDGED), frame),
    }
}

fn udp(v6: bool, port: u16, header: &[u8], payload: &[u8]) -> Vec<u8> {
    let len = (8 + header.len() + payload.len()) as u16;
    // The source port is a hash of the inner flow; a checksum of zero is none (RFC 6935 for IPv6).
    let fields = [51_234_u16.to_be_bytes(), port.to_be_bytes(), len.to_be_bytes(), [0, 0]].concat();
    tunnel(v6, protocol::UDP, &[&fields, header].concat(), payload)
}

fn geneve(words: usize) -> Vec<u8> {
    let mut header = vec![words as u8, 0];
    header.extend_from_slice(&ethertype::BRIDGED.to_be_bytes());
    header.extend_from_slice(&[0, 0, 42, 0]);
    header.resize(8 + 4 * words, 0);
    header
}

fn tunnel(v6: bool, protocol: u8, header: &[u8], payload: &[u8]) -> Vec<u8> {
    let (near, far): (IpAddr, IpAddr) = match v6 {
        true => (Ipv6Addr::new(0xFD99, 0, 0, 0, 0, 0, 0, 1).into(), Ipv6Addr::new(0xFD99, 0, 0, 0, 0, 0, 0, 2).into()),
        false => (Ipv4Addr::new(192, 0, 2, 1).into(), Ipv4Addr::new(192, 0, 2, 2).into()),
    };
    let packet = packet::ip(near, far, protocol, 64, &[header, payload].concat());
    packet::ethernet_ip(FAR_MAC, NEAR_MAC, &packet)
}

#[cfg(test)]
mod tests {
    use super::{Gre, Layer};
    use crate::packet::{self, TcpHeader, flag};
    use core::net::SocketAddr;
    use tapcopy_engine::frame::Decoder;
    use tapcopy_engine::message::LinkType;
    use tapcopy_engine::{Limits, MirrorFrame, Time};

    fn decodes(layers: &[Layer]) -> bool {
        let addresses = [("10.0.0.1:1000", "10.0.0.2:80"), ("[fd00::1]:1000", "[fd00::2]:80")];
        addresses.iter().all(|(src, dst)| {
            let (src, dst): (SocketAddr, SocketAddr) = (src.parse().unwrap(), dst.parse().unwrap());
            let header = TcpHeader { seq: 7, flags: flag::ACK, ..TcpHeader::default() };
            let frame = packet::ethernet_ip([2; 6], [4; 6], &packet::tcp(src, dst, 64, &header, b"hello"));
            let bytes = layers.iter().fold(frame, |frame, layer| layer.around(frame));
            let frame = MirrorFrame {
                captured_at: Time::ZERO,
                link: LinkType::Ethernet,
                wire_len: bytes.len() as u32,
                bytes: &bytes,
            };
            let mut decoder = Decoder::new(&Limits::default());
            decoder.decode(&frame).is_ok_and(|segment| segment.seq == 7 && segment.payload == b"hello")
        })
    }

    #[test]
    fn every_layer_on_every_layer_is_followed() {
        let gre = Gre { checksum: true, key: true, sequence: true };
        let layers = [
            Layer::Vlan(5),
            Layer::QinQ(6, 7),
            Layer::Mpls(1),
            Layer::Mpls(3),
            Layer::IpInIp { v6: false },
            Layer::IpInIp { v6: true },
            Layer::Gre(gre),
            Layer::Gre(Gre::NONE),
            Layer::GreBridged(gre),
            Layer::Vxlan { v6: false },
            Layer::Vxlan { v6: true },
            Layer::Geneve(0),
            Layer::Geneve(3),
            Layer::ErspanI,
            Layer::ErspanII,
            Layer::ErspanIII { subheader: false },
            Layer::ErspanIII { subheader: true },
        ];
        for inner in layers {
            assert!(decodes(&[inner]), "{inner:?}");
            for outer in layers {
                assert!(decodes(&[inner, outer]), "{inner:?} in {outer:?}");
            }
        }
    }
}
