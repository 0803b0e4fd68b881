//! Reassembly against the model, for thousands of seeds.

use std::panic::catch_unwind;
use tapcopy_engine::Limits;
use tapcopy_properties::reassembly::{Choices, Faults, check_dialogue};

/// A small generator (xorshift64*), so that a failing seed can be run again anywhere.
struct Random(u64);

impl Choices for Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % bound.max(1)
    }
}

fn check(seeds: u64, faults: Faults) {
    for seed in 0..seeds {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let run = move || check_dialogue(&mut random, faults, &Limits::default());
        assert!(catch_unwind(run).is_ok(), "seed {seed} with {faults:?}");
    }
}

#[test]
fn in_order_without_faults() {
    check(200, Faults::default());
}

#[test]
fn doubled_shuffled_and_overlapping_segments_lose_nothing() {
    check(2_000, Faults { twice: 20, swap: 30, overlap: 20, ..Faults::default() });
}

#[test]
fn what_is_lost_becomes_a_gap_and_nothing_else_moves() {
    check(2_000, Faults { loss: 10, twice: 10, swap: 20, overlap: 10, ..Faults::default() });
}

#[test]
fn what_is_cut_off_or_late_becomes_a_gap_unless_it_is_shown_in_time() {
    check(1_000, Faults { loss: 5, twice: 10, swap: 20, overlap: 10, cut: 10, pause: 5 });
}
