//! Production as a mirror shows it: HTTP sessions that are kept alive, the same in every run.

use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;
use tapcopy_engine::Time;
use tapcopy_sim::packet::{Mac, TcpHeader, ethernet_ip, flag, tcp};

/// The production server.
pub const ORIGIN: SocketAddr = SocketAddr::new(core::net::IpAddr::V4(Ipv4Addr::new(10, 2, 0, 1)), 8080);

/// Largest content of a segment.
pub const SEGMENT: usize = 1_448;

const CLIENT_MAC: Mac = [2, 0, 0, 0, 0, 1];
const ORIGIN_MAC: Mac = [2, 0, 0, 0, 0, 2];

/// Between two frames: a mirror of 100,000 frames a second.
const PAUSE: Duration = Duration::from_micros(10);

/// Between two generations of sessions.
const REST: Duration = Duration::from_secs(1);

/// Requests of a session; every fourth answer is a large one.
const EXCHANGES: usize = 8;

/// How long an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// One segment.
    Small,
    /// Three segments.
    Large,
}

/// A request that asks for such an answer.
pub fn request(size: Size) -> Vec<u8> {
    let kind = if size == Size::Small { "s" } else { "l" };
    let head = "Host: shop.example\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: text/html,*/*\r\nCookie: id=5e55\r\n";
    format!("GET /{kind}/item?id=42 HTTP/1.1\r\n{head}\r\n").into_bytes()
}

/// The answer to a [`request`].
pub fn answer(request: &[u8]) -> Vec<u8> {
    let len = if request.get(5) == Some(&b's') { 300 } else { 4_000 };
    let head = "Server: nginx\r\nContent-Type: text/html\r\nConnection: keep-alive\r\n";
    let mut answer = format!("HTTP/1.1 200 OK\r\n{head}Content-Length: {len}\r\n\r\n").into_bytes();
    answer.extend((0..len).map(|at| b'a' + (at % 23) as u8));
    answer
}

/// A frame, and when the mirror shows it.
pub struct Shown {
    /// When.
    pub at: Time,
    /// The frame.
    pub bytes: Vec<u8>,
}

/// One session; it makes the frames of both its sides.
pub struct Session {
    client: SocketAddr,
    client_next: u32,
    origin_next: u32,
}

impl Session {
    /// Session number `number`, of less than 2^28; each has its own client address and port.
    pub fn new(number: u32) -> Self {
        let address = Ipv4Addr::from_bits(0x0A10_0000 + number % 4_096);
        let client = SocketAddr::new(address.into(), 1_024 + (number / 4_096) as u16);
        Self { client, client_next: number.wrapping_mul(77_777), origin_next: number.wrapping_mul(99_999) }
    }

    /// The handshake.
    pub fn open(&mut self) -> [Vec<u8>; 3] {
        [self.client(flag::SYN, &[]), self.origin(flag::SYN | flag::ACK, &[]), self.client(flag::ACK, &[])]
    }

    /// A request, and the segments of its answer with the client's acknowledgement of a long one.
    pub fn exchange(&mut self, size: Size) -> [Vec<Vec<u8>>; 2] {
        let request = request(size);
        let asked = vec![self.client(flag::PSH | flag::ACK, &request)];
        let answer = answer(&request);
        let mut answered: Vec<_> =
            answer.chunks(SEGMENT).map(|bytes| self.origin(flag::PSH | flag::ACK, bytes)).collect();
        if size == Size::Large {
            answered.push(self.client(flag::ACK, &[]));
        }
        [asked, answered]
    }

    fn close(&mut self) -> [Vec<u8>; 3] {
        let fin = flag::FIN | flag::ACK;
        [self.client(fin, &[]), self.origin(fin, &[]), self.client(flag::ACK, &[])]
    }

    fn client(&mut self, flags: u8, content: &[u8]) -> Vec<u8> {
        let ack = if flags & flag::ACK == 0 { 0 } else { self.origin_next };
        let header = TcpHeader { seq: self.client_next, ack, flags, window: 64_000, ..TcpHeader::default() };
        self.client_next = self.client_next.wrapping_add(span(flags, content));
        ethernet_ip(ORIGIN_MAC, CLIENT_MAC, &tcp(self.client, ORIGIN, 64, &header, content))
    }

    fn origin(&mut self, flags: u8, content: &[u8]) -> Vec<u8> {
        let header =
            TcpHeader { seq: self.origin_next, ack: self.client_next, flags, window: 64_000, ..TcpHeader::default() };
        self.origin_next = self.origin_next.wrapping_add(span(flags, content));
        ethernet_ip(CLIENT_MAC, ORIGIN_MAC, &tcp(ORIGIN, self.client, 64, &header, content))
    }

    /// Its whole life, in steps between which the mirror shows others.
    fn life(mut self) -> Vec<Vec<Vec<u8>>> {
        let mut steps: Vec<Vec<Vec<u8>>> = self.open().map(|frame| vec![frame]).into();
        for number in 1..=EXCHANGES {
            steps.extend(self.exchange(if number % 4 == 0 { Size::Large } else { Size::Small }));
        }
        steps.extend(self.close().map(|frame| vec![frame]));
        steps
    }
}

fn span(flags: u8, content: &[u8]) -> u32 {
    content.len() as u32 + u32::from(flags & (flag::SYN | flag::FIN) != 0)
}

/// What the mirror shows from `start` on: so many generations of so many concurrent sessions, one generation after the other.
pub fn crowd(start: Time, generations: u32, concurrent: u32) -> Vec<Vec<Shown>> {
    let mut at = start;
    let mut shown = |bytes| {
        at = at + PAUSE;
        Shown { at, bytes }
    };
    let mut generation = |first: u32| {
        let lives: Vec<_> = (first..first + concurrent).map(|number| Session::new(number).life()).collect();
        let steps = lives[0].len();
        let mut lives: Vec<_> = lives.into_iter().map(Vec::into_iter).collect();
        let mut frames = Vec::new();
        for _ in 0..steps {
            frames.extend(lives.iter_mut().filter_map(Iterator::next).flatten().map(&mut shown));
        }
        frames
    };
    let mut generations: Vec<_> = (0..generations).map(|number| generation(number * concurrent)).collect();
    for (number, generation) in generations.iter_mut().enumerate() {
        generation.iter_mut().for_each(|shown| shown.at = shown.at + REST * number as u32);
    }
    generations
}
