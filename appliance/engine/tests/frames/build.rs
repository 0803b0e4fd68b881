//! Frames put together from the inside out: `tcp(b"hello").v4().vlan(7).ethernet()`.

pub const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub const ORIGIN_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
pub const CLIENT_V4: [u8; 4] = [10, 1, 2, 3];
pub const ORIGIN_V4: [u8; 4] = [10, 1, 2, 4];
pub const CLIENT_V6: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
pub const ORIGIN_V6: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
pub const SEQ: u32 = 0x8000_0001;
pub const ACK: u32 = 0x0102_0304;
pub const WINDOW: u16 = 0xfedc;

/// Bytes, and how the layer below names them.
#[derive(Clone)]
pub struct Layers {
    pub bytes: Vec<u8>,
    pub ethertype: u16,
    pub protocol: u8,
}

/// A TCP segment with PSH and ACK set.
pub fn tcp(payload: &[u8]) -> Layers {
    tcp_with(0x18, 0, &[], payload)
}

/// A TCP segment; the options' length is a multiple of 4. The checksum is filled in by the IP layer.
pub fn tcp_with(flags: u8, urgent: u16, options: &[u8], payload: &[u8]) -> Layers {
    let mut bytes = vec![0x9c, 0x40, 0, 80];
    bytes.extend(SEQ.to_be_bytes());
    bytes.extend(ACK.to_be_bytes());
    bytes.extend([((20 + options.len()) / 4 * 16) as u8, flags]);
    bytes.extend(WINDOW.to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(urgent.to_be_bytes());
    bytes.extend(options);
    bytes.extend(payload);
    Layers { bytes, ethertype: 0, protocol: 6 }
}

/// Anything else.
pub fn raw(protocol: u8, bytes: &[u8]) -> Layers {
    Layers { bytes: bytes.to_vec(), ethertype: 0, protocol }
}

impl Layers {
    /// Behind a header whose own name below is given.
    pub fn behind(self, header: &[u8], ethertype: u16, protocol: u8) -> Self {
        Self { bytes: [header, &self.bytes].concat(), ethertype, protocol }
    }

    pub fn v4(self) -> Self {
        self.v4_with(&[])
    }

    pub fn v4_with(mut self, options: &[u8]) -> Self {
        fill_checksum(&mut self, &CLIENT_V4, &ORIGIN_V4);
        self.v4_piece(7, 0x4000, options)
    }

    /// An IPv4 header without a look at the payload; `fragment` holds flags and offset.
    pub fn v4_piece(self, id: u16, fragment: u16, options: &[u8]) -> Self {
        let mut header = vec![0x45 + (options.len() / 4) as u8, 0];
        header.extend(((20 + options.len() + self.bytes.len()) as u16).to_be_bytes());
        header.extend(id.to_be_bytes());
        header.extend(fragment.to_be_bytes());
        header.extend([64, self.protocol, 0, 0]);
        header.extend(CLIENT_V4);
        header.extend(ORIGIN_V4);
        header.extend(options);
        self.behind(&header, 0x0800, 4)
    }

    pub fn v6(mut self) -> Self {
        fill_checksum(&mut self, &CLIENT_V6, &ORIGIN_V6);
        self.v6_plain(ORIGIN_V6)
    }

    /// An IPv6 header without a look at the payload.
    pub fn v6_plain(self, destination: [u8; 16]) -> Self {
        let mut header = vec![0x60, 0, 0, 0];
        header.extend((self.bytes.len() as u16).to_be_bytes());
        header.extend([self.protocol, 64]);
        header.extend(CLIENT_V6);
        header.extend(destination);
        self.behind(&header, 0x86dd, 41)
    }

    /// An IPv6 extension header of `8 * units + 8` bytes, whose bytes from the third on begin with `data`. The TCP
    /// checksum is filled in here, since the IP header no longer sees it.
    pub fn extension(mut self, protocol: u8, units: u8, data: &[u8]) -> Self {
        fill_checksum(&mut self, &CLIENT_V6, &ORIGIN_V6);
        let mut header = vec![self.protocol, units];
        header.extend(data);
        header.resize(8 + 8 * usize::from(units), 0);
        self.behind(&header, 0, protocol)
    }

    /// RFC 4302 with a 12-byte check value: 24 bytes.
    pub fn authentication(mut self, ends: (&[u8], &[u8])) -> Self {
        fill_checksum(&mut self, ends.0, ends.1);
        let mut header = vec![self.protocol, 4];
        header.resize(24, 0xaa);
        self.behind(&header, 0, 51)
    }

    /// The fragment header of a piece.
    pub fn v6_piece(self, id: u32, offset: usize, more: bool) -> Self {
        let mut header = vec![self.protocol, 0];
        header.extend((offset as u16 | u16::from(more)).to_be_bytes());
        header.extend(id.to_be_bytes());
        self.behind(&header, 0, 44)
    }

    pub fn ethernet(self) -> Self {
        let header = [&ORIGIN_MAC[..], &CLIENT_MAC, &self.ethertype.to_be_bytes()].concat();
        self.behind(&header, 0x6558, 143)
    }

    pub fn tag(self, tpid: u16, id: u16) -> Self {
        let header = [(0xe000 | id).to_be_bytes(), self.ethertype.to_be_bytes()].concat();
        self.behind(&header, tpid, 0)
    }

    pub fn mpls(self) -> Self {
        let bottom = u8::from(self.ethertype != 0x8847);
        self.behind(&[0, 0x12, 0x30 | bottom, 64], 0x8847, 137)
    }

    pub fn pppoe(self) -> Self {
        let len = (self.bytes.len() as u16 + 2).to_be_bytes();
        let protocol = if self.ethertype == 0x0800 { 0x21 } else { 0x57 };
        self.behind(&[0x11, 0, 0, 9, len[0], len[1], 0, protocol], 0x8864, 0)
    }

    /// 802.3 with LLC and SNAP; the length takes the EtherType's place.
    pub fn snap(self) -> Self {
        let [high, low] = self.ethertype.to_be_bytes();
        let len = self.bytes.len() as u16 + 8;
        self.behind(&[0xaa, 0xaa, 3, 0, 0, 0, high, low], len, 0)
    }

    /// GRE with the optional words that the flags ask for, and a protocol of its own.
    pub fn gre_of(self, flags: u16, ethertype: u16) -> Self {
        let mut header = [flags.to_be_bytes(), ethertype.to_be_bytes()].concat();
        header.resize(4 + 4 * (flags & 0xb000).count_ones() as usize, 0x55);
        self.behind(&header, 0, 47)
    }

    pub fn gre(self, flags: u16) -> Self {
        let ethertype = self.ethertype;
        self.gre_of(flags, ethertype)
    }

    pub fn erspan_i(self) -> Self {
        self.gre_of(0, 0x88be)
    }

    pub fn erspan_ii(self, truncated: bool) -> Self {
        let flags = if truncated { 4 } else { 0 };
        self.behind(&[0x10, 7, flags, 1, 0, 0, 0, 0], 0, 0).gre_of(0x1000, 0x88be)
    }

    pub fn erspan_iii(self, subheader: bool, frame_type: u8) -> Self {
        let mut header = vec![0x20, 7, 0, 1, 1, 2, 3, 4, 0, 0, frame_type << 2, u8::from(subheader)];
        header.resize(if subheader { 20 } else { 12 }, 0x77);
        self.behind(&header, 0, 0).gre_of(0x1000, 0x22eb)
    }

    pub fn udp(self, port: u16) -> Self {
        let mut header = vec![0xc0, 0x01];
        header.extend(port.to_be_bytes());
        header.extend((self.bytes.len() as u16 + 8).to_be_bytes());
        header.extend([0, 0]);
        self.behind(&header, 0, 17)
    }

    pub fn vxlan(self, port: u16) -> Self {
        self.behind(&[8, 0, 0, 0, 0, 0, 42, 0], 0, 0).udp(port)
    }

    /// VXLAN's generic protocol extension, with these flags and next protocol.
    pub fn vxlan_gpe(self, flags: u8, next: u8) -> Self {
        self.behind(&[flags, 0, 0, next, 0, 0, 42, 0], 0, 0).udp(4790)
    }

    /// The options' length is a multiple of 4.
    pub fn geneve(self, options: &[u8]) -> Self {
        let mut header = vec![(options.len() / 4) as u8, 0];
        header.extend(self.ethertype.to_be_bytes());
        header.extend([0, 0, 42, 0]);
        header.extend(options);
        self.behind(&header, 0, 0).udp(6081)
    }

    /// Linux cooked capture, either version.
    pub fn sll(self) -> Vec<u8> {
        let mut header = vec![0, 0, 0, 1, 0, 6];
        header.extend(CLIENT_MAC);
        header.extend([0, 0]);
        header.extend(self.ethertype.to_be_bytes());
        [header, self.bytes].concat()
    }

    pub fn sll2(self) -> Vec<u8> {
        let mut header = self.ethertype.to_be_bytes().to_vec();
        header.extend([0, 0, 0, 0, 0, 3, 0, 1, 0, 6]);
        header.extend(CLIENT_MAC);
        header.extend([0, 0]);
        [header, self.bytes].concat()
    }

    /// Cuts the payload into pieces of `len` bytes; gives offset, bytes and whether more follow.
    pub fn cut(&self, len: usize) -> Vec<(usize, Self, bool)> {
        let pieces = self.bytes.chunks(len).enumerate().map(|(index, bytes)| {
            let more = index * len + bytes.len() < self.bytes.len();
            (index * len, Self { bytes: bytes.to_vec(), ..*self }, more)
        });
        pieces.collect()
    }

    /// The pieces of an IPv4 packet in Ethernet frames.
    pub fn v4_pieces(mut self, id: u16, len: usize) -> Vec<Vec<u8>> {
        fill_checksum(&mut self, &CLIENT_V4, &ORIGIN_V4);
        let frame = |(offset, piece, more): (usize, Self, bool)| {
            piece.v4_piece(id, (offset / 8) as u16 | (u16::from(more) << 13), &[]).ethernet().bytes
        };
        self.cut(len).into_iter().map(frame).collect()
    }

    /// The pieces of an IPv6 packet in Ethernet frames.
    pub fn v6_pieces(mut self, id: u32, len: usize) -> Vec<Vec<u8>> {
        fill_checksum(&mut self, &CLIENT_V6, &ORIGIN_V6);
        let frame = |(offset, piece, more): (usize, Self, bool)| {
            piece.v6_piece(id, offset, more).v6_plain(ORIGIN_V6).ethernet().bytes
        };
        self.cut(len).into_iter().map(frame).collect()
    }
}

/// Fills in a TCP segment's checksum, unless it has one.
fn fill_checksum(layers: &mut Layers, source: &[u8], destination: &[u8]) {
    let bytes = &mut layers.bytes;
    if layers.protocol != 6 || bytes.len() < 20 || bytes[16..18] != [0, 0] {
        return;
    }
    let mut all = [source, destination, &[0, 6], &(bytes.len() as u32).to_be_bytes(), bytes].concat();
    all.resize(all.len().next_multiple_of(2), 0);
    let mut sum: u32 = all.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1])).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    bytes[16..18].copy_from_slice(&(!(sum as u16)).to_be_bytes());
}
