//! The clock by NTP (RFC 5905), as a client of a few servers: those of the settings, or else those that DHCP has named.
//!
//! One thread asks all servers, one after the other, believes what most of them say (`steering`), sets the clock or lets the
//! kernel draw it, and sleeps. An answer counts only if it repeats the number of its question, comes from a server whose own clock is
//! kept, and is not too far from the root of all clocks (`packet`). Who asks to be left alone is, for an hour.
//!
//! Nothing in the box measures time by this clock: what the engine is told is monotonic.

mod packet;
mod steering;

pub use packet::Refusal;

use crate::clock::{self, Moment};
use crate::ioctl::random_number;
use packet::{PACKET_BYTES, Sample, question, sample};
use std::collections::BTreeMap;
use std::io::Result;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use steering::{Order, Steering, believed};

/// Servers that are asked; more than these say nothing new.
pub const SERVERS_MAX: usize = 8;
/// The port of NTP.
pub const PORT: u16 = 123;
/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// First and longest wait after a round in which nobody answered.
const FIRST_RETRY: Duration = Duration::from_secs(2);
const LONGEST_RETRY: Duration = Duration::from_secs(64);
/// How long a server is left alone that has asked for it.
const PENANCE: Duration = Duration::from_secs(3_600);

/// Where the servers' addresses come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// There are none.
    #[default]
    None,
    /// From the settings.
    Settings,
    /// From DHCP.
    Dhcp,
}

/// What is known of the clock, for people.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Who named the servers.
    pub origin: Origin,
    /// What came of the last question to each.
    pub servers: Vec<(SocketAddr, std::result::Result<Heard, Refusal>)>,
    /// Who was believed in the last round.
    pub believed: Option<SocketAddr>,
    /// How often the clock was set.
    pub steps: u32,
}

/// What one server said last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Heard {
    /// Seconds by which our clock was behind it.
    pub offset: f64,
    /// Seconds for the way there and back.
    pub delay: f64,
    /// Its steps from a reference clock.
    pub stratum: u8,
}

#[derive(Debug, Default)]
struct Sources {
    settings: Vec<SocketAddr>,
    dhcp: Vec<SocketAddr>,
}

impl Sources {
    fn in_force(&self) -> (Origin, &[SocketAddr]) {
        match (self.settings.is_empty(), self.dhcp.is_empty()) {
            (false, _) => (Origin::Settings, &self.settings),
            (true, false) => (Origin::Dhcp, &self.dhcp),
            (true, true) => (Origin::None, &[]),
        }
    }
}

/// Keeps the clock, once it is started.
#[derive(Debug, Default)]
pub struct Keeper {
    sources: Mutex<Sources>,
    /// Raised when the sources have changed.
    changed: Condvar,
    report: Mutex<Report>,
}

impl Keeper {
    /// Keeps the clock from now on, on a thread of its own, which waits for servers.
    ///
    /// # Errors
    /// No thread is to be had.
    pub fn start() -> Result<Arc<Self>> {
        let keeper = Arc::new(Self::default());
        let own = keeper.clone();
        std::thread::Builder::new().name("ntp".to_owned()).spawn(move || own.keep())?;
        Ok(keeper)
    }

    /// Takes these servers of the settings.
    pub fn configure(&self, servers: &[SocketAddr]) {
        self.change(|sources| servers.clone_into(&mut sources.settings));
    }

    /// Takes these servers of DHCP, for as long as the settings name none.
    pub fn offer(&self, servers: &[Ipv4Addr]) {
        let servers = servers.iter().take(SERVERS_MAX).map(|server| SocketAddr::new(IpAddr::V4(*server), PORT));
        self.change(|sources| sources.dhcp = servers.collect());
    }

    /// What is known at present.
    pub fn report(&self) -> Report {
        self.report.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut Sources)) {
        change(&mut self.sources());
        self.changed.notify_all();
    }

    fn sources(&self) -> MutexGuard<'_, Sources> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self) {
        let (mut steering, mut client, mut retry) = (Steering::default(), Client::default(), FIRST_RETRY);
        loop {
            let (origin, servers) = {
                let sources = self.sources();
                let (origin, servers) = sources.in_force();
                (origin, servers.to_vec())
            };
            let heard = client.ask_all(&servers);
            let is_kept = self.steer(&mut steering, origin, &servers, heard);
            let wait = if is_kept { steering.interval() } else { retry };
            retry = if is_kept { FIRST_RETRY } else { (retry * 2).min(LONGEST_RETRY) };
            if self.wait(&servers, wait) {
                retry = FIRST_RETRY;
            }
        }
    }

    /// Waits until it is time to ask again, or there are other servers, which it tells.
    fn wait(&self, servers: &[SocketAddr], time: Duration) -> bool {
        let is_same = |sources: &mut Sources| sources.in_force().1 == servers;
        let sources = self.sources();
        if servers.is_empty() {
            drop(self.changed.wait_while(sources, is_same));
            return true;
        }
        let waited = self.changed.wait_timeout_while(sources, time, is_same).unwrap_or_else(PoisonError::into_inner);
        !waited.1.timed_out()
    }

    /// Does to the clock what the answers ask for; whether it is known what time it is.
    fn steer(
        &self,
        steering: &mut Steering,
        origin: Origin,
        servers: &[SocketAddr],
        heard: Vec<std::result::Result<Sample, Refusal>>,
    ) -> bool {
        let good: Vec<(SocketAddr, Sample)> =
            servers.iter().zip(&heard).filter_map(|(server, heard)| Some((*server, *heard.as_ref().ok()?))).collect();
        let samples: Vec<Sample> = good.iter().map(|(_, sample)| *sample).collect();
        let believed = believed(&samples).map(|index| good[index]);
        let stepped = believed.is_some_and(|(server, sample)| obey(steering.judge(&sample), steering, server, &sample));
        let shown = |sample: Sample| Heard { offset: sample.offset, delay: sample.delay, stratum: sample.stratum };
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        if good.len() > 1 && believed.is_none() && report.believed.is_some() {
            log::warn!("the time servers contradict each other, and none is believed");
        }
        report.origin = origin;
        report.servers = servers.iter().copied().zip(heard.into_iter().map(|heard| heard.map(shown))).collect();
        report.believed = believed.map(|(server, _)| server);
        report.steps += u32::from(stepped);
        believed.is_some()
    }
}

/// Does it; whether the clock was set.
fn obey(order: Order, steering: &Steering, server: SocketAddr, sample: &Sample) -> bool {
    let (done, has_stepped) = match order {
        Order::Step(offset) => (clock::step(offset, sample.distance), true),
        Order::Slew(offset) => (clock::slew(offset, steering.time_constant(), sample.distance, sample.leap), false),
        Order::Wait => return false,
    };
    match done {
        Ok(()) if has_stepped => log::info!("the clock was set by {:.3} s, after {server}", sample.offset),
        Ok(()) => log::debug!("the clock is drawn by {:.6} s, after {server}", sample.offset),
        Err(fault) => log::error!("the clock cannot be set: {fault}"),
    }
    has_stepped
}

/// Who asks the servers.
#[derive(Default)]
struct Client {
    /// Who has asked to be left alone, since when, and in which words.
    penitent: BTreeMap<SocketAddr, (Moment, String)>,
}

impl Client {
    fn ask_all(&mut self, servers: &[SocketAddr]) -> Vec<std::result::Result<Sample, Refusal>> {
        self.penitent.retain(|_, (since, _)| since.elapsed() < PENANCE);
        servers.iter().map(|server| self.ask(*server)).collect()
    }

    fn ask(&mut self, server: SocketAddr) -> std::result::Result<Sample, Refusal> {
        if let Some((_, code)) = self.penitent.get(&server) {
            return Err(Refusal::Kiss(code.clone()));
        }
        let heard = ask(server, PATIENCE);
        if let Err(Refusal::Kiss(code)) = &heard {
            log::warn!("the time server {server} asks to be left alone ({code}), and is for an hour");
            self.penitent.insert(server, (Moment::now(), code.clone()));
        }
        heard
    }
}

/// Asks a server once. What is no answer to the question is not taken for one; the last of it is what is told.
fn ask(server: SocketAddr, patience: Duration) -> std::result::Result<Sample, Refusal> {
    let unreachable = |_| Refusal::NoAnswer;
    let own: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((own, 0)).map_err(unreachable)?;
    // From here on the kernel takes nothing but what comes from this address and port.
    socket.connect(server).map_err(unreachable)?;
    let cookie = random_number();
    let sent = Moment::now();
    socket.send(&question(cookie)).map_err(unreachable)?;
    let mut last = Refusal::NoAnswer;
    loop {
        let left = patience.saturating_sub(sent.elapsed());
        if left.is_zero() || socket.set_read_timeout(Some(left)).is_err() {
            return Err(last);
        }
        let mut bytes = [0; PACKET_BYTES];
        let Ok(length) = socket.recv(&mut bytes) else { return Err(last) };
        match sample(&bytes[..length], cookie, sent.wall(), sent.elapsed()) {
            Err(Refusal::Strange) => last = Refusal::Strange,
            answer => return answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use packet::Stamp;

    /// A server that sends these answers to its first question: of each, whether it repeats the number, and its stratum.
    fn server(answers: &'static [(bool, u8)]) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        std::thread::spawn(move || {
            let mut asked = [0; PACKET_BYTES];
            let (_, client) = socket.recv_from(&mut asked).unwrap();
            for (is_honest, stratum) in answers {
                let now = Stamp::of(Moment::now().wall() + Duration::from_secs(5)).0.to_be_bytes();
                let mut answer = [0; PACKET_BYTES];
                (answer[0], answer[1]) = (4 << 3 | 4, *stratum);
                answer[24..32].copy_from_slice(&asked[40..]);
                answer[24] ^= u8::from(!is_honest);
                for at in [16, 32, 40] {
                    answer[at..at + 8].copy_from_slice(&now);
                }
                socket.send_to(&answer, client).unwrap();
            }
        });
        address
    }

    #[test]
    fn a_server_is_asked_and_a_forged_answer_passed_over() {
        let sample = ask(server(&[(false, 1), (true, 3)]), PATIENCE).unwrap();
        assert!((sample.offset - 5.0).abs() < 1.0 && sample.stratum == 3, "{sample:?}");
        assert_eq!(ask(server(&[(false, 1)]), Duration::from_millis(50)), Err(Refusal::Strange));
        assert_eq!(ask(server(&[]), Duration::from_millis(50)), Err(Refusal::NoAnswer));
    }

    #[test]
    fn who_asks_to_be_left_alone_is() {
        let (mut client, server) = (Client::default(), server(&[(true, 0), (true, 1)]));
        let kiss = Err(Refusal::Kiss("????".to_owned()));
        assert_eq!([client.ask_all(&[server]), client.ask_all(&[server])], [vec![kiss.clone()], vec![kiss]]);
    }

    #[test]
    fn servers_of_the_settings_come_before_those_of_dhcp() {
        let keeper = Keeper::default();
        let named: SocketAddr = "192.0.2.1:124".parse().unwrap();
        assert_eq!(keeper.sources().in_force(), (Origin::None, &[][..]));
        keeper.offer(&[Ipv4Addr::new(192, 0, 2, 9)]);
        assert_eq!(keeper.sources().in_force(), (Origin::Dhcp, &["192.0.2.9:123".parse().unwrap()][..]));
        assert!(keeper.wait(&[], Duration::ZERO), "there are others now");
        keeper.configure(&[named]);
        assert_eq!(keeper.sources().in_force(), (Origin::Settings, &[named][..]));
        assert!(!keeper.wait(&[named], Duration::ZERO), "they are the same");
    }

    #[test]
    fn a_round_without_a_majority_moves_nothing_and_is_told() {
        let (keeper, mut steering) = (Keeper::default(), Steering::default());
        let servers: [SocketAddr; 2] = ["192.0.2.1:123".parse().unwrap(), "192.0.2.2:123".parse().unwrap()];
        let sample = |offset| Ok(Sample { offset, delay: 0.01, distance: 0.1, stratum: 2, leap: 0 });
        assert!(!keeper.steer(&mut steering, Origin::Dhcp, &servers, vec![sample(0.0), sample(9.0)]));
        assert!(!keeper.steer(&mut steering, Origin::Dhcp, &servers, vec![Err(Refusal::NoAnswer); 2]));
        let report = keeper.report();
        assert_eq!((report.origin, report.believed, report.steps), (Origin::Dhcp, None, 0));
        assert_eq!(report.servers, servers.map(|server| (server, Err(Refusal::NoAnswer))));
    }
}
