//! Code that the test files share: numbers, rules, layouts, the oracle, comparisons of bits, and
//! tolerances.

#![allow(dead_code, unused_imports)] // each test file uses only a part

pub(crate) mod bits;
pub(crate) mod float;
pub(crate) mod input;
pub(crate) mod layout;
pub(crate) mod model;
pub(crate) mod oracle;
pub(crate) mod pinned;
pub(crate) mod rules;

pub(crate) use bits::{Bits, assert_same, assert_untouched};
pub(crate) use float::Float;
pub(crate) use input::Table;
pub(crate) use layout::Layout;
pub(crate) use model::Model;
pub(crate) use rules::Case;

use proptest::test_runner::{Config, RngSeed};
use std::path::Path;

/// The settings of properties: the same cases in each run.
pub(crate) fn repeatable(seed: u64) -> Config {
    Config {
        cases: 256,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        ..Config::default()
    }
}

/// Returns the folder of the repository. The package in `tests/targets` compiles tests of this folder, too,
/// and has its own folder below.
pub(crate) fn repository() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = package.ancestors().find(|folder| folder.join("tests/common").is_dir());
    root.expect("a package with tests")
}

/// Panics without a message, which would stand in the output of the tests.
pub(crate) fn panic_quietly() -> ! {
    std::panic::resume_unwind(Box::new("a panic of the user"))
}

/// Returns a number as error messages show it: with an exponent where this is shorter.
pub(crate) fn shown(value: f64) -> String {
    let whole = value.trunc() == value && value.abs() < 1e16;
    if whole { format!("{value}") } else { format!("{value:?}") }
}

// ---------------------------------------------------------------- tolerances
//
// Most tests compare bits. The few tests that cannot do so use these tolerances.

/// Relative tolerance for the published examples, which are decimal numbers. The decimal inputs
/// (0.1, 0.999) are rounded, and so is each of the seven operations that compute x.
pub(crate) const PUBLISHED_F64: f64 = 8.0 * f64::EPSILON;
/// The same for `f32`.
pub(crate) const PUBLISHED_F32: f32 = 8.0 * f32::EPSILON;

/// Relative tolerance for 1 − β₁ᵗ, if β₁ᵗ is computed by t − 1 multiplications instead of
/// square-and-multiply. Both round each product, and t ≤ 64. The powers differ by at most
/// t·ε/2·β₁ᵗ. Relative to 1 − β₁ᵗ this is largest for small t, and never more than a few ulps.
pub(crate) const SIMPLE_POWER: f64 = 1e-15;

/// Relative tolerance for the bound of a step. m and u contain the rounding errors of all steps,
/// which decay as β₁ᵏ, and the bound itself is a rounded sum.
pub(crate) const STEP_BOUND_ROUNDING: f64 = 64.0 * f64::EPSILON;

/// Allowed deviation of `f32` from `f64` per step, in units of `f32::EPSILON` times the largest
/// |x|. Each step rounds x once, by at most half a unit.
pub(crate) const F32_PARAMETER_UNITS_PER_STEP: f64 = 0.5;
/// The same in units of `f32::EPSILON` times α. A step has a length of about α and is computed from
/// six rounded coefficients in six rounded operations.
pub(crate) const F32_STEP_UNITS_PER_STEP: f64 = 16.0;
