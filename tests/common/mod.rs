//! What the test files share: numbers, rules, layouts, the oracle, comparisons of bits, tolerances.

#![allow(dead_code, unused_imports)] // each test file uses its part

pub(crate) mod bits;
pub(crate) mod float;
pub(crate) mod input;
pub(crate) mod layout;
pub(crate) mod model;
pub(crate) mod oracle;
pub(crate) mod rules;

pub(crate) use bits::{Bits, assert_same, assert_untouched};
pub(crate) use float::Float;
pub(crate) use input::Table;
pub(crate) use layout::Layout;
pub(crate) use model::Model;
pub(crate) use rules::Case;

// ---------------------------------------------------------------- tolerances
//
// Most tests compare bits. These are for the few that cannot.

/// Relative, for the published examples, which are decimal numbers: the decimal inputs (0.1, 0.999)
/// are rounded, and so is each of the seven operations between them and x.
pub(crate) const PUBLISHED_F64: f64 = 8.0 * f64::EPSILON;
/// The same for `f32`.
pub(crate) const PUBLISHED_F32: f32 = 8.0 * f32::EPSILON;

/// Relative, for 1 − β₁ᵗ with β₁ᵗ by t − 1 multiplications instead of square-and-multiply: both
/// round each product, and t ≤ 64. The difference of the powers, at most t·ε/2·β₁ᵗ, weighs most
/// against 1 − β₁ᵗ where t is small, so that a few ulps are all that is ever seen.
pub(crate) const SIMPLE_POWER: f64 = 1e-15;

/// Relative allowance for the bound of a step: m and u carry the rounding errors of all steps, of
/// which the recent ones count most (each fades as β₁ᵏ), and the bound itself is a rounded sum.
pub(crate) const STEP_BOUND_ROUNDING: f64 = 64.0 * f64::EPSILON;

/// How far `f32` may leave `f64` per step, in units of `f32::EPSILON` times the largest |x|: x is
/// rounded once at each step, by at most half a unit.
pub(crate) const F32_PARAMETER_UNITS_PER_STEP: f64 = 0.5;
/// The same, times α: the six rounded coefficients and as many operations that make up a step of
/// about α.
pub(crate) const F32_STEP_UNITS_PER_STEP: f64 = 16.0;
