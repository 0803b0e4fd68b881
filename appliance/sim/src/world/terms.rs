//! What the engine is told, and how sharply a run can be checked.

use crate::checker::BOX_MAC;
use crate::fault::Faults;
use crate::plan::{Kind, Plan, ServicePlan};
use crate::truth::Rules;
use crate::verdict::Extent;
use core::time::Duration;
use tapcopy_engine::config::{Config, FarEnd, Origin, Service, Speed};

/// Which final checks apply; `patient` where the replay was given the time to catch up.
pub(super) fn extent(plan: &Plan, faults: &Faults, patient: bool) -> Extent {
    Extent {
        seen: is_seen(plan, faults),
        ordered: faults.mirror.keeps_order(),
        answered: faults.target.is_healthy() && patient,
        clean_path: is_clean(faults),
    }
}

/// Whether the engine can know every byte.
fn is_seen(plan: &Plan, faults: &Faults) -> bool {
    let undisturbed = !faults.in_box.scarce && !faults.in_box.is_disturbed();
    faults.mirror.is_lossless() && undisturbed && plan.topology.sample == 10_000
}

/// Whether the targets' link loses and delays nothing.
fn is_clean(faults: &Faults) -> bool {
    let path = faults.target_path;
    path.is_lossless() && path.reorder == 0 && path.rate.is_none() && path.jitter.is_zero()
}

/// Where production itself loses packets, a hole may stay for many retransmission time-outs; that is not the mirror's loss.
pub(super) fn tolerate_slow_holes(mut faults: Faults) -> Faults {
    if !faults.client_path.is_lossless() || !faults.origin_path.is_lossless() {
        faults.in_box.limits.hole_timeout = Duration::from_secs(600);
        faults.in_box.limits.closing_timeout = Duration::from_secs(600);
    }
    faults
}

/// How sharp the checks are that are made at every step.
pub(super) fn rules(plan: &Plan, faults: &Faults) -> Rules {
    let paths = [faults.client_path, faults.origin_path];
    Rules {
        exact: is_seen(plan, faults) && faults.mirror.keeps_order(),
        healthy: faults.target.is_healthy(),
        clean_path: is_clean(faults),
        lag: faults.in_box.limits.lag,
        disordered: paths.iter().any(|path| !path.is_lossless() || path.reorder > 0 || path.duplicate > 0),
    }
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
        }
    };
    Config {
        services: topology.services.iter().enumerate().map(service).collect(),
        pool: topology.pool.clone(),
        gateway: topology.gateway,
        far_end: FarEnd::Wire { mac: BOX_MAC, mtu: 1_500 },
        speed: topology.speed.unwrap_or(Speed::Times(1.0)),
        replay: true,
        limits: faults.in_box.limits,
    }
}
