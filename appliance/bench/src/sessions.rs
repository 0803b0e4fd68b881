//! What many sessions cost: a packet of one among many, the set-up of one, the memory of one.

use crate::figures::cpu_nanos;
use crate::production::{Session, Size, request};
use crate::tape::Live;
use crate::{memory, target};
use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;
use tapcopy_engine::frame::Endpoint;
use tapcopy_engine::stack::{ConnectionId, Stack};
use tapcopy_engine::{Limits, Time};
use tapcopy_sim::seed::Rng;

const MTU: usize = 1_500;
const SILENCE: Duration = Duration::from_secs(30);

/// Connections that something is done with before the clock goes on.
const BATCH: usize = 64;

/// Exchanges that are measured, each on a connection drawn from all.
const EXCHANGES: usize = 16_384;

/// Connections that are set up anew: no more than the stack keeps sockets for.
const RECYCLED: usize = 4_000;

/// Connections to the servers under test.
struct Connections {
    stack: Stack<usize>,
    ids: Vec<ConnectionId>,
    now: Time,
    /// Packets that the stack has sent, one after the other, each with its length.
    sent: (Vec<u8>, Vec<usize>),
    packets: usize,
}

impl Connections {
    fn open(count: usize) -> Self {
        let now = Time::from_millis(1_000);
        let stack = Stack::new(now, MTU, &Limits::default(), 7);
        let mut connections = Self { stack, ids: Vec::new(), now, sent: Default::default(), packets: 0 };
        while connections.ids.len() < count {
            for number in connections.ids.len()..count.min(connections.ids.len() + BATCH) {
                connections.connect(number);
            }
            connections.send_all();
            let answers = connections.answers();
            connections.take(&answers);
        }
        connections
    }

    fn connect(&mut self, number: usize) {
        let remote = Endpoint::from(target::TARGET);
        let id = self.stack.connect(local(number), remote, SILENCE, number);
        self.ids.push(id);
    }

    fn send_all(&mut self) {
        self.sent.0.clear();
        self.sent.1.clear();
        while let Some((_, packet)) = self.stack.poll_packet(self.now) {
            self.sent.0.extend_from_slice(packet);
            self.sent.1.push(packet.len());
        }
        self.packets += self.sent.1.len();
    }

    fn answers(&self) -> Vec<Vec<u8>> {
        let mut rest = &self.sent.0[..];
        let packets = self.sent.1.iter().map(|len| {
            let (packet, behind) = rest.split_at(*len);
            rest = behind;
            packet
        });
        packets.flat_map(target::answer_packet).collect()
    }

    /// Takes packets, reads what they brought, and sends what is due.
    fn take(&mut self, packets: &[Vec<u8>]) {
        for packet in packets {
            self.stack.handle_packet(self.now, packet);
        }
        self.packets += packets.len();
        while let Some((id, _)) = self.stack.poll_event() {
            self.stack.receive(id, |bytes| {
                core::hint::black_box(bytes);
            });
        }
        self.stack.handle_timeout(self.now);
        self.send_all();
    }
}

fn local(number: usize) -> Endpoint {
    let address = Ipv4Addr::from_bits(0x0A40_0000 + (number / 32_768) as u32);
    SocketAddr::new(address.into(), 16_384 + (number % 32_768) as u16).into()
}

/// What the stack spends on a packet, sent or received, where `count` connections are open and any may be next.
pub fn packet_nanos(count: usize) -> f64 {
    let mut connections = Connections::open(count);
    let mut rng = Rng::new(7);
    let request = request(Size::Small);
    connections.packets = 0;
    let mut spent = 0.0;
    for _ in 0..EXCHANGES / BATCH {
        connections.now = connections.now + Duration::from_millis(1);
        let drawn: Vec<_> = (0..BATCH).map(|_| connections.ids[rng.below(count as u64) as usize]).collect();
        spent += cpu_nanos(|| {
            for id in &drawn {
                assert_eq!(connections.stack.send(*id, &request), request.len(), "a connection takes a request");
            }
            connections.send_all();
        });
        let answers = connections.answers();
        assert!(answers.len() > BATCH / 2, "the target answers requests");
        spent += cpu_nanos(|| connections.take(&answers));
    }
    spent / connections.packets as f64
}

/// What it takes to set a connection up whose socket was another's before.
pub fn set_up_nanos() -> f64 {
    let mut connections = Connections::open(RECYCLED);
    for id in core::mem::take(&mut connections.ids) {
        connections.stack.reset(id);
        connections.stack.release(connections.now, id);
    }
    connections.send_all();
    let spent = cpu_nanos(|| (0..RECYCLED).for_each(|number| connections.connect(number)));
    spent / RECYCLED as f64
}

/// Bytes of memory that a session takes in the whole engine.
pub struct Held {
    /// Open, and nothing was said.
    pub idle: f64,
    /// Silent, after one exchange.
    pub after_exchange: f64,
}

impl Held {
    /// Of so many sessions, in a process of its own: what was freed before would be there to be used again.
    pub fn measure(count: usize) -> Self {
        let program = std::env::current_exe().expect("Linux tells where the program is");
        let done = std::process::Command::new(program).args(["held", &count.to_string()]).output();
        let told = done.expect("the program runs").stdout;
        let told = String::from_utf8(told).expect("it tells numbers");
        let mut numbers = told.split_whitespace().map(|number| number.parse().expect("it tells numbers"));
        let mut next = || numbers.next().expect("it tells two");
        Self { idle: next(), after_exchange: next() }
    }

    /// Looks at the memory of this process. Every session has its second exchange when all have had the first, so that none
    /// of them has warm buffers by chance.
    pub fn look(count: usize) -> Self {
        let mut live = Live::holding(count);
        let mut sessions: Vec<_> = (0..count as u32).map(Session::new).collect();
        let before = memory::resident();
        let mut each = |act: &mut dyn FnMut(&mut Session) -> Vec<Vec<u8>>| {
            for session in &mut sessions {
                act(session).into_iter().for_each(|frame| live.show(frame));
                live.wait(Duration::from_micros(10));
            }
            live.wait(Duration::from_secs(2));
            memory::resident().saturating_sub(before) as f64 / count as f64
        };
        let idle = each(&mut |session| session.open().into());
        let after_exchange = each(&mut |session| session.exchange(Size::Small).concat());
        each(&mut |session| session.exchange(Size::Large).concat());
        live.check(2 * count as u64);
        Self { idle, after_exchange }
    }
}
