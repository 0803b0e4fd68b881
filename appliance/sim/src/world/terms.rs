//! What the engine is told, and how sharply a run can be checked.

use crate::checker::BOX_MAC;
use crate::fault::{Faults, MirrorFaults, Order};
use crate::plan::{Kind, Plan, ServicePlan};
use crate::selection;
use crate::truth::Rules;
use crate::verdict::Extent;
use core::net::IpAddr;
use core::time::Duration;
use tapcopy_engine::config::{Addressing, Config, FarEnd, Mode, Origin, PoolRange, Sample, Service, Speed};
use tapcopy_engine::{Limits, Time};

/// The most bytes of a frame before its payload, with all that a mirror puts around it.
const HEADERS_MAX: usize = 400;

/// A buffer of the box's in which an answer of some dozen KiB takes more than a few round trips.
const SMALL_SOCKET: usize = 4_096;

/// How far behind a pool's range the next one begins.
const NEXT_RANGE: u8 = 30;

/// Which final checks apply; `patient` where the replay was given the time to catch up.
pub(super) fn extent(plan: &Plan, faults: &Faults, patient: bool) -> Extent {
    Extent {
        seen: is_seen(plan, faults),
        all_begun: faults.mirror.is_lossless() && faults.mirror.keeps_order() && is_free(plan, faults),
        ordered: faults.mirror.keeps_order(),
        answered: faults.target.is_healthy() && patient,
        only_closes: faults.target.only_closes() && patient,
        kept: if is_seen(plan, faults) { faults.in_box.limits.body_bytes as u64 } else { 0 },
        clean_path: is_clean(faults),
        rehearsed: faults.rehearsal,
        started_at: started_at(&faults.in_box.orders),
        one_way: faults.mirror.one_way,
        plain: is_known(plan, faults)
            && faults.mirror.shows_whole_frames()
            && faults.mirror.keeps_order()
            && !is_disordered(faults)
            && !faults.rehearsal,
        all_of_one_way: !faults.rehearsal && is_known(plan, faults) && faults.mirror.shows_all_of_one_way(),
    }
}

/// When an order began replay again that one had stopped, where no other has stopped any.
fn started_at(orders: &[(Time, Order)]) -> Option<Time> {
    let stops = |order: &Order| matches!(order, Order::Stop | Order::Start | Order::ConfigurePool);
    match orders.iter().filter(|(_, order)| stops(order)).collect::<Vec<_>>()[..] {
        [(_, Order::Stop), (at, Order::Start)] => Some(*at),
        _ => None,
    }
}

/// Whether the engine can know every byte.
fn is_seen(plan: &Plan, faults: &Faults) -> bool {
    faults.mirror.is_lossless() && is_known(plan, faults)
}

/// Whether neither bound nor order keeps the engine from dealing with what it sees.
fn is_known(plan: &Plan, faults: &Faults) -> bool {
    let undisturbed = !faults.in_box.scarce && !faults.in_box.barren && !faults.in_box.is_disturbed();
    undisturbed && plan.topology.sample == 10_000 && plan.topology.sessions_per_second.is_none()
}

/// Whether neither bound nor order has a say in which sessions a cap lets through: new settings fill it anew.
fn is_free(plan: &Plan, faults: &Faults) -> bool {
    !faults.in_box.scarce && faults.in_box.orders.is_empty() && plan.topology.sample == 10_000
}

/// Whether nothing is lost or delayed between box and targets.
fn is_clean(faults: &Faults) -> bool {
    // A rehearsal's target says what the origin said, when it said it: production's path is its own.
    if faults.rehearsal && is_disordered(faults) {
        return false;
    }
    let path = faults.target_path;
    let roomy = faults.in_box.limits.transmit_frames >= Limits::default().transmit_frames;
    roomy && path.is_lossless() && path.reorder == 0 && path.rate.is_none() && path.jitter.is_zero()
}

/// Where production itself loses packets, a hole may stay for many retransmission time-outs; that is not the mirror's loss.
pub(super) fn tolerate_slow_holes(mut faults: Faults) -> Faults {
    if !faults.client_path.is_lossless() || !faults.origin_path.is_lossless() {
        faults.in_box.limits.hole_timeout = Duration::from_secs(600);
        faults.in_box.limits.closing_timeout = Duration::from_secs(600);
    }
    faults
}

/// Where the way to the targets loses packets, six of a kind are not lost in a row by chance in a million sessions, but four
/// are: a target is waited for as long as six take.
pub(super) fn tolerate_losses(mut faults: Faults) -> Faults {
    if !faults.target_path.is_lossless() {
        faults.in_box.limits.connect_timeout = Duration::from_secs(40);
        faults.in_box.limits.answer_timeout = Duration::from_secs(60);
    }
    faults
}

/// How sharp the checks are that are made at every step.
pub(super) fn rules(plan: &Plan, faults: &Faults) -> Rules {
    let prompt = match plan.topology.addressing.mode {
        Mode::Pool => Duration::from_secs(1),
        // A client on the link is asked for before its address is used.
        Mode::Preserve => Duration::from_secs(2),
    };
    Rules {
        exact: is_seen(plan, faults) && faults.mirror.keeps_order(),
        healthy: faults.target.is_healthy(),
        clean_path: is_clean(faults),
        lag: faults.in_box.limits.lag,
        haste: faults.in_box.limits.haste,
        prompt,
        prompt_connected: match faults.in_box.limits.socket_bytes < SMALL_SOCKET {
            true => prompt,
            false => Duration::from_millis(200),
        },
        legible: is_legible(faults),
        roomy: has_room(faults),
        unbroken: is_unbroken(faults),
        disordered: is_disordered(faults),
    }
}

/// Whether every frame that the mirror shows can be read, as far as to know where its bytes lie, and none is forged.
fn is_legible(faults: &Faults) -> bool {
    let MirrorFaults { snaplen, ref shape, .. } = faults.mirror;
    snaplen.is_none_or(|len| len >= HEADERS_MAX && shape.pieces.is_none()) && shape.noise == 0
}

/// Whether the box has room for every session.
fn has_room(faults: &Faults) -> bool {
    faults.in_box.limits.sessions >= Limits::default().sessions
}

/// Whether the mirror also shows all of them, in their order, to a box that has room for every session.
fn is_unbroken(faults: &Faults) -> bool {
    let mirror = MirrorFaults { snaplen: None, ..faults.mirror.clone() };
    has_room(faults) && is_legible(faults) && mirror.is_lossless() && mirror.keeps_order() && !is_disordered(faults)
}

/// Whether production's bytes may pass the switch out of their order.
fn is_disordered(faults: &Faults) -> bool {
    let paths = [faults.client_path, faults.origin_path];
    paths.iter().any(|path| !path.is_lossless() || path.reorder > 0 || path.duplicate > 0)
}

/// The settings as an order changes them.
pub(super) fn reordered(mut config: Config, order: Order) -> Config {
    match order {
        Order::Stop | Order::Start | Order::ConfigureSame => {}
        Order::ConfigureOther => {
            config.limits.sessions = (config.limits.sessions / 2).max(1);
            config.limits.exchanges = 64;
            config.services.iter_mut().for_each(|service| service.sample = 5_000);
        }
        Order::ConfigurePool => config.addressing.pool.iter_mut().for_each(move_range),
        Order::ConfigureServices => drop(config.services.pop()),
    }
    config
}

/// The range behind, in the same subnet.
fn move_range(range: &mut PoolRange) {
    let moved = |address: IpAddr| match address {
        IpAddr::V4(address) => IpAddr::V4((u32::from(address) + u32::from(NEXT_RANGE)).into()),
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) + u128::from(NEXT_RANGE)).into()),
    };
    (range.first, range.last) = (moved(range.first), moved(range.last));
}

/// The engine's settings.
pub(super) fn config(plan: &Plan, faults: &Faults) -> Config {
    let topology = &plan.topology;
    let service = |(number, service): (usize, &ServicePlan)| {
        let origins = topology.origins.iter().filter(|origin| origin.service == number);
        let targets = topology.targets.iter().filter(|target| target.service == number);
        Service {
            name: format!("service-{number}-{}", if service.kind == Kind::Http { "http" } else { "raw" }),
            origins: match service.any_address {
                true => origins.take(1).map(|origin| Origin::AnyAddress(origin.address.port())).collect(),
                false => origins.map(|origin| Origin::Address(origin.address)).collect(),
            },
            targets: targets.map(|target| target.address).collect(),
            protocol: service.protocol,
            pacing: service.pacing,
            sample: topology.sample,
            copies: topology.copies,
            mirror_to: topology.mirror_to,
            selection: selection::selection(plan, service.kind).into(),
            sessions_per_second: topology.sessions_per_second,
            rules: Default::default(),
        }
    };
    Config {
        services: topology.services.iter().enumerate().map(service).collect(),
        addressing: match faults.in_box.barren {
            true => Addressing { gateway: topology.addressing.gateway, ..Addressing::default() },
            false => topology.addressing.clone(),
        },
        far_end: match faults.rehearsal {
            true => FarEnd::Rehearsal,
            false => FarEnd::Wire { mac: BOX_MAC, mtu: 1_500, vlan: None },
        },
        share: Default::default(),
        speed: topology.speed.unwrap_or(Speed::Times(1.0)),
        replay: true,
        contents: Some(Sample { per_million: 300_000 }),
        limits: faults.in_box.limits,
    }
}
