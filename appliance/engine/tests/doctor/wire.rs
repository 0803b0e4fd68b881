//! Sessions as a mirror shows them: frames that a test can drop, tag, cut or show twice before they are examined.

use tapcopy_engine::doctor::{Examination, Finding, Intake, Kind, Report};
use tapcopy_engine::message::LinkType;
use tapcopy_engine::{MirrorFrame, Time};

pub const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub const SERVER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
const CLIENT: [u8; 4] = [10, 0, 0, 11];
const SERVER: [u8; 4] = [10, 0, 0, 1];
pub const SYN: u8 = 0x02;
pub const ACK: u8 = 0x10;
const FIN: u8 = 0x01;
pub const SEGMENT: usize = 1_448;

/// A frame on its way to the mirror.
#[derive(Clone)]
pub struct Shot {
    /// In microseconds.
    pub at: u64,
    pub from_server: bool,
    pub content: usize,
    pub bytes: Vec<u8>,
    pub wire_len: usize,
}

impl Shot {
    pub fn tag(&mut self, vlan: u8) {
        self.bytes.splice(12..12, [0x81, 0x00, 0, vlan]);
        self.wire_len += 4;
    }

    pub fn cut(&mut self, len: usize) {
        self.bytes.truncate(len);
    }
}

/// One session: opening, so many requests of 200 bytes with answers of three segments, closing. Segments are 1 ms apart,
/// sessions too; all carry time stamps.
pub struct Talk {
    shots: Vec<Shot>,
    port: u16,
    at: u64,
    sent: [u32; 2],
}

impl Talk {
    pub fn new(port: u16, at: u64) -> Self {
        // The client's numbers wrap within the session.
        Self { shots: Vec::new(), port, at, sent: [u32::MAX - 100, 77_000] }
    }

    pub fn say(&mut self, from_server: bool, flags: u8, content: &[u8]) -> &mut Self {
        let (me, other) = (usize::from(from_server), usize::from(!from_server));
        let mut options = vec![];
        if flags & SYN != 0 {
            options.extend([2, 4, 5, 180, 1, 1]);
        } else {
            options.extend([1, 1]);
        }
        options.extend([8, 10]);
        options.extend((self.at as u32 / 1_000 + 5_000_000).to_be_bytes());
        options.extend([0; 4]);
        options.resize(options.len().next_multiple_of(4), 0);
        let ports = if from_server { [80, self.port] } else { [self.port, 80] };
        let mut tcp: Vec<u8> = ports.iter().flat_map(|port| port.to_be_bytes()).collect();
        tcp.extend(self.sent[me].to_be_bytes());
        tcp.extend(if flags & ACK != 0 { self.sent[other] } else { 0 }.to_be_bytes());
        tcp.extend([(5 + options.len() as u8 / 4) << 4, flags, 1, 0, 0, 0, 0, 0]);
        tcp.extend(options);
        tcp.extend(content);
        self.sent[me] = self.sent[me].wrapping_add(content.len() as u32 + u32::from(flags & (SYN | FIN) != 0));
        let bytes = ethernet(from_server, tcp);
        self.shots.push(Shot { at: self.at, from_server, content: content.len(), wire_len: bytes.len(), bytes });
        self.at += 1_000;
        self
    }

    pub fn open(&mut self) -> &mut Self {
        self.say(false, SYN, b"").say(true, SYN | ACK, b"").say(false, ACK, b"")
    }

    pub fn request(&mut self) -> &mut Self {
        let mut request = b"GET /x HTTP/1.1\r\n\r\n".to_vec();
        request.resize(200, b' ');
        let mut answer = b"HTTP/1.1 200 OK\r\n".to_vec();
        answer.resize(SEGMENT, b'.');
        self.say(false, ACK, &request).say(true, ACK, b"");
        for _ in 0..3 {
            self.say(true, ACK, &answer).say(false, ACK, b"");
        }
        self
    }

    pub fn close(&mut self) -> Vec<Shot> {
        self.say(false, FIN | ACK, b"").say(true, FIN | ACK, b"").say(false, ACK, b"");
        std::mem::take(&mut self.shots)
    }
}

fn ethernet(from_server: bool, mut tcp: Vec<u8>) -> Vec<u8> {
    let (source, destination) = if from_server { (SERVER, CLIENT) } else { (CLIENT, SERVER) };
    let pseudo = [&source[..], &destination[..], &[0, 6], &(tcp.len() as u16).to_be_bytes()].concat();
    let checksum = !sum(&[pseudo, tcp.clone()].concat());
    tcp[16..18].copy_from_slice(&checksum.to_be_bytes());
    let mut frame = if from_server { [CLIENT_MAC, SERVER_MAC] } else { [SERVER_MAC, CLIENT_MAC] }.concat();
    frame.extend([0x08, 0x00, 0x45, 0]);
    frame.extend((20 + tcp.len() as u16).to_be_bytes());
    frame.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
    frame.extend(source);
    frame.extend(destination);
    frame.extend(tcp);
    frame
}

/// The sum of RFC 1071; both parts have an even length, or the last byte is odd.
pub fn sum(bytes: &[u8]) -> u16 {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    let mut sum: u32 = bytes.chunks(2).map(word).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// Ten sessions of ten requests each, one after the other.
pub fn sound() -> Vec<Shot> {
    let mut shots = Vec::new();
    for n in 0..10 {
        let mut talk = Talk::new(40_000 + n, u64::from(n) * 100_000);
        talk.open();
        for _ in 0..10 {
            talk.request();
        }
        shots.extend(talk.close());
    }
    shots
}

/// What the doctor says of the frames.
pub fn examine(shots: &[Shot]) -> Report {
    examine_with(shots, vec![], Intake::default())
}

pub fn examine_with(shots: &[Shot], own: Vec<[u8; 6]>, intake: Intake) -> Report {
    let mut examination = Examination::new(own, 1);
    for shot in shots {
        let captured_at = Time::from_micros(1_000_000_000 + shot.at);
        let (wire_len, bytes) = (shot.wire_len as u32, &shot.bytes[..]);
        examination.take(&MirrorFrame { captured_at, link: LinkType::Ethernet, wire_len, bytes });
    }
    examination.report(intake)
}

/// The one finding of this kind.
#[track_caller]
pub fn found(report: &Report, kind: Kind) -> &Finding {
    let found = report.findings.iter().find(|finding| finding.finding == kind);
    found.unwrap_or_else(|| panic!("no {}: {:#?}", kind.word(), report.findings))
}

pub fn kinds(report: &Report) -> Vec<&'static str> {
    report.findings.iter().map(|finding| finding.finding.word()).collect()
}
