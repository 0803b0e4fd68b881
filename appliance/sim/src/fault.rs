//! Which kinds of fault exist in a run.

use crate::link::Netem;
use crate::plan::BEGIN;
use crate::seed::Rng;
use crate::shape::Shape;
use core::time::Duration;
use tapcopy_engine::{Limits, Time};

/// All of them. The default is a good world.
#[derive(Clone, Debug)]
pub struct Faults {
    /// Between each client and the switch.
    pub client_path: Netem,
    /// Between the switch and each origin.
    pub origin_path: Netem,
    /// Of the mirror.
    pub mirror: MirrorFaults,
    /// Between the box and the targets.
    pub target_path: Netem,
    /// Of the servers under test.
    pub target: TargetFaults,
    /// In the box.
    pub in_box: BoxFaults,
    /// Largest packet of clients and origins. A mirror on a host with segmentation offload shows packets far beyond the
    /// link's own.
    pub production_mtu: usize,
    /// The far end is a rehearsal: no server under test, but the origins' own answers.
    pub rehearsal: bool,
    /// Whether the run ends with the order to finish; otherwise by the engine's own time limits.
    pub finish: bool,
}

/// Faults of the mirror.
#[derive(Clone, Debug, Default)]
pub struct MirrorFaults {
    /// Bursts of loss: chance of a beginning, of a thousand frames, and the most frames in one.
    pub bursts: Option<(u64, u64)>,
    /// Every frame twice, so long after the first; the copy may have crossed a router (other TTL) or be tagged.
    pub double: Option<(Duration, bool, Option<u16>)>,
    /// One direction (true: the clients') comes later than the other by this.
    pub skew: Option<(bool, Duration)>,
    /// The most bytes of a frame that the mirror shows.
    pub snaplen: Option<usize>,
    /// Only this direction (true: the clients') is shown.
    pub one_way: Option<bool>,
    /// Nothing is shown before this time.
    pub starts_at: Option<Time>,
    /// TCP checksums are wrong, as with checksum offload on the mirrored machine.
    pub bad_checksums: bool,
    /// Tags of the clients' and of the origins' frames.
    pub vlan: (Option<u16>, Option<u16>),
    /// How long the mirror NIC's driver holds a frame.
    pub latency: Duration,
    /// The clients' frames and the origins' come in on a NIC each, which hands on what it has at these intervals: their stamps
    /// are right, but their order is not.
    pub nics: Option<(Duration, Duration)>,
    /// How its frames look.
    pub shape: Shape,
    /// Behind the SYN of a session it shows a segment of the one before on the same addresses again.
    pub late_copies: bool,
    /// It shows sessions as if clients said their first words with their SYN.
    pub fast_open: bool,
}

/// Faults of the servers under test; chances are of a hundred connections, unless said otherwise.
#[derive(Clone, Debug, Default)]
pub struct TargetFaults {
    /// Answers changed, of a hundred.
    pub alters: u64,
    /// Closes after a few answers.
    pub early_close: u64,
    /// Resets before, within or after an answer.
    pub resets: u64,
    /// Closes within an answer.
    pub cuts: u64,
    /// Takes a request behind a few answers and closes without a byte of answer, as a server whose patience with an idle
    /// connection ends just then.
    pub swallows: u64,
    /// Reads and never answers.
    pub mute: u64,
    /// Works so much longer on each answer, and pauses within.
    pub slow: Option<Duration>,
    /// Does not read for so long: the window closes.
    pub stalls: Option<Duration>,
    /// Refuses connections within these times.
    pub refuses: Option<(Time, Time)>,
    /// Takes no packet within these times.
    pub black_hole: Option<(Time, Time)>,
    /// Not even ARP is answered within these times.
    pub dark: Option<(Time, Time)>,
}

/// Faults in the box.
#[derive(Clone, Debug)]
pub struct BoxFaults {
    /// The engine's bounds.
    pub limits: Limits,
    /// Whether a table or queue may reach its bound.
    pub scarce: bool,
    /// The pool has no address at all.
    pub barren: bool,
    /// Orders during the run.
    pub orders: Vec<(Time, Order)>,
}

/// An order during the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The kill switch.
    Stop,
    /// And back.
    Start,
    /// The same settings again: nothing may change.
    ConfigureSame,
    /// Half of the clients, other bounds.
    ConfigureOther,
    /// Other addresses of the box.
    ConfigurePool,
    /// The last service is gone.
    ConfigureServices,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            client_path: Netem::delayed(Duration::from_micros(200)),
            origin_path: Netem::delayed(Duration::from_micros(100)),
            mirror: MirrorFaults::default(),
            target_path: Netem::delayed(Duration::from_micros(50)),
            target: TargetFaults::default(),
            in_box: BoxFaults { limits: Limits::default(), scarce: false, barren: false, orders: Vec::new() },
            production_mtu: 1_500,
            rehearsal: false,
            finish: true,
        }
    }
}

impl Faults {
    /// What differs from a good world, in words.
    pub fn words(&self) -> String {
        let (mine, good) = (format!("{self:?}"), format!("{:?}", Self::default()));
        let parts = |text: &str| text.split(", ").map(str::to_owned).collect::<Vec<_>>();
        let good = parts(&good);
        let differing: Vec<_> = parts(&mine).into_iter().filter(|part| !good.contains(part)).collect();
        differing.join(", ")
    }

    /// Draws which kinds exist. One run in five is without fault, so that the sharpest checks apply to every workload.
    pub fn draw(rng: &mut Rng) -> Self {
        let mut faults = Self { finish: rng.percent(75), ..Self::default() };
        faults.client_path.delay = rng.micros(20, 30_000);
        faults.origin_path.delay = rng.micros(10, 2_000);
        faults.target_path.delay = rng.micros(10, 2_000);
        faults.mirror.latency = rng.micros(0, 1_000);
        if !faults.finish {
            faults.in_box.limits.idle_timeout = Duration::from_secs(rng.between(40, 200));
        }
        if rng.percent(20) {
            return faults;
        }
        if rng.percent(35) {
            faults.client_path = hurt(faults.client_path, rng);
            faults.origin_path = hurt(faults.origin_path, rng);
        }
        if rng.percent(45) {
            faults.mirror.draw(rng);
        }
        if rng.percent(25) {
            faults.target_path = hurt(faults.target_path, rng);
        }
        if rng.percent(45) {
            faults.target.draw(rng);
        }
        if rng.percent(20) {
            faults.in_box.draw(rng);
        }
        faults
    }
}

impl Faults {
    /// Draws what else there is, from a generator of its own: what [`Faults::draw`] draws of a seed stays as it is.
    pub fn draw_more(&mut self, rng: &mut Rng) {
        if rng.percent(35) {
            let wrong_checksums = self.mirror.bad_checksums;
            self.mirror.shape.draw(wrong_checksums, &mut rng.fork());
        }
        if rng.percent(15) {
            self.production_mtu = rng.pick(&[600, 1_280, 9_000, 64_000, 64_000]);
        }
        if rng.percent(6) {
            self.mirror.nics = Some((rng.micros(10, 5_000), rng.micros(10, 5_000)));
        }
        if rng.percent(10) {
            self.in_box.draw_more(rng);
        }
        self.rehearsal = rng.percent(6);
        if self.rehearsal {
            (self.target, self.target_path) = (TargetFaults::default(), Self::default().target_path);
        }
    }
}

impl Faults {
    /// Draws, from a generator of its own as well, what servers under test do to connections that are used again, and whether
    /// sequence numbers wrap, which disturbs nothing else and must be seen often.
    pub fn draw_last(&mut self, rng: &mut Rng) {
        if rng.percent(8) {
            // No want: the rest is compared by its hash.
            self.in_box.limits.body_bytes = rng.size(0, 500);
        }
        if !self.rehearsal {
            self.target.swallows = rng.maybe(12, |rng| rng.between(30, 90)).unwrap_or(0);
        }
        self.mirror.shape.near_wrap |= rng.percent(25);
        if rng.percent(40) {
            // No want either: connections sleep and wake.
            self.in_box.limits.awake_connections = rng.size(0, 3);
        }
    }
}

fn hurt(good: Netem, rng: &mut Rng) -> Netem {
    Netem {
        loss: rng.maybe(60, |rng| rng.between(1, 50)).unwrap_or(0),
        duplicate: rng.maybe(30, |rng| rng.between(1, 30)).unwrap_or(0),
        reorder: rng.maybe(30, |rng| rng.between(1, 80)).unwrap_or(0),
        jitter: rng.maybe(40, |rng| rng.micros(1, 5_000)).unwrap_or(Duration::ZERO),
        rate: rng.maybe(25, |rng| rng.between(2_000_000, 100_000_000)),
        ..good
    }
}

impl MirrorFaults {
    /// Whether the mirror shows every byte.
    pub fn is_lossless(&self) -> bool {
        self.bursts.is_none() && self.snaplen.is_none() && self.one_way.is_none() && self.starts_at.is_none()
    }

    /// Whether the mirror shows every byte of one direction, and nothing of the other.
    pub fn shows_all_of_one_way(&self) -> bool {
        self.one_way.is_some() && Self { one_way: None, ..self.clone() }.is_lossless()
    }

    /// Whether the mirror shows both directions, and no frame cut off.
    pub fn shows_whole_frames(&self) -> bool {
        self.snaplen.is_none() && self.one_way.is_none()
    }

    /// Whether the mirror shows the order in which both directions passed.
    pub fn keeps_order(&self) -> bool {
        self.skew.is_none() && self.nics.is_none()
    }

    fn draw(&mut self, rng: &mut Rng) {
        for _ in 0..rng.size(1, 2) {
            match rng.below(8) {
                0 | 1 => self.bursts = Some((rng.between(1, 30), rng.between(1, 12))),
                2 => {
                    self.double =
                        Some((rng.micros(0, 400), rng.percent(50), rng.maybe(30, |rng| rng.below(4_000) as u16)))
                }
                3 => self.skew = Some((rng.percent(50), rng.micros(10, 60_000))),
                4 => self.snaplen = Some(rng.size(60, 1_400)),
                5 => self.one_way = Some(rng.percent(80)),
                6 => self.starts_at = Some(Time::from_millis(rng.between(10, 2_500)) + BEGIN),
                _ => {
                    self.bad_checksums = rng.percent(50);
                    self.vlan =
                        (rng.maybe(60, |rng| rng.below(4_000) as u16), rng.maybe(60, |rng| rng.below(4_000) as u16));
                }
            }
        }
    }
}

impl TargetFaults {
    /// Whether the servers answer every request in good time, if not always the same.
    pub fn is_healthy(&self) -> bool {
        self.early_close + self.swallows == 0 && self.only_closes()
    }

    /// Whether they do nothing worse than to close between two answers.
    pub fn only_closes(&self) -> bool {
        let chances = self.resets + self.cuts + self.mute;
        let windows = [self.refuses, self.black_hole, self.dark];
        chances == 0 && self.slow.is_none() && self.stalls.is_none() && windows.iter().all(Option::is_none)
    }

    fn draw(&mut self, rng: &mut Rng) {
        for _ in 0..rng.size(1, 2) {
            let window =
                (Time::from_millis(rng.below(1_500)) + BEGIN, Time::from_millis(rng.between(1_500, 9_000)) + BEGIN);
            match rng.below(12) {
                0..=2 => self.alters = rng.between(5, 60),
                3 => self.early_close = rng.between(10, 80),
                4 => self.resets = rng.between(10, 80),
                5 => self.cuts = rng.between(10, 80),
                6 => self.mute = rng.between(10, 60),
                7 => self.slow = Some(rng.micros(1_000, 3_000_000)),
                8 => self.stalls = Some(rng.micros(100_000, 8_000_000)),
                9 => self.refuses = Some(window),
                10 => self.black_hole = Some(window),
                _ => self.dark = Some(window),
            }
        }
    }
}

impl BoxFaults {
    /// Whether orders may keep a request from its replay.
    pub fn is_disturbed(&self) -> bool {
        self.orders.iter().any(|(_, order)| *order != Order::ConfigureSame)
    }

    fn draw(&mut self, rng: &mut Rng) {
        if rng.percent(60) {
            self.scarce = true;
            starve(&mut self.limits, rng);
        }
        if rng.percent(50) {
            let order = rng.pick(&[Order::Stop, Order::ConfigureSame, Order::ConfigureSame, Order::ConfigureOther]);
            let at = Time::from_millis(rng.between(1, 2_500)) + BEGIN;
            self.orders.push((at, order));
            if order == Order::Stop && rng.percent(70) {
                self.orders.push((at + Duration::from_millis(rng.between(50, 1_500)), Order::Start));
            }
        }
    }
}

impl BoxFaults {
    fn draw_more(&mut self, rng: &mut Rng) {
        match rng.below(5) {
            0 => self.barren = true,
            1 => self.limits.transmit_frames = rng.size(1, 4),
            2 => self.limits.socket_bytes = rng.size(256, 4_000),
            3 => self.orders.push((Time::from_millis(rng.between(1, 2_500)) + BEGIN, Order::ConfigurePool)),
            _ => self.orders.push((Time::from_millis(rng.between(1, 2_500)) + BEGIN, Order::ConfigureServices)),
        }
    }
}

fn starve(limits: &mut Limits, rng: &mut Rng) {
    for _ in 0..rng.size(1, 3) {
        match rng.below(10) {
            0 => limits.sessions = rng.size(1, 5),
            1 => limits.stream_ahead_bytes = rng.size(1, 5_000),
            2 => limits.ahead_bytes = rng.size(1, 5_000),
            3 => limits.outbox_bytes = rng.size(1, 5_000),
            4 => limits.outboxes_bytes = rng.size(1, 10_000),
            5 => limits.request_held_bytes = rng.size(1, 2_000),
            6 => limits.exchanges = rng.size(1, 3),
            7 => limits.head_bytes = rng.size(40, 200),
            8 => limits.body_bytes = rng.size(1, 2_000),
            _ => limits.bodies_bytes = rng.size(1, 5_000),
        }
    }
}
