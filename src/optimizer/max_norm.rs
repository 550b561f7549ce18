//! The bound on the norm of the gradients.

use crate::{error::Error, rule::range};

/// A bound on the Euclidean norm of the gradients.
///
/// If the norm exceeds the bound, the step multiplies the gradients by `bound / norm`. The arrays of
/// the gradients are not written to. The norm is that of the gradients as the caller passes them,
/// before value clipping and L2 regularisation.
///
/// # Precision
/// Squares are computed in `f64`. They are added in groups of up to 512 elements, called leaves, and
/// the sums of the leaves are added exactly. So the norm has the same bits for every memory layout,
/// number of threads, instruction set, order of the tensors in a batch, and for every distribution of
/// whole tensors over processes (see [`Findings`](crate::Findings)). Leaves depend on the shape:
/// reshaping a tensor may change the last bit.
///
/// The norm is right for any finite gradients: squares that would overflow or underflow are scaled
/// first. The factor is exactly `bound / norm`. PyTorch's `clip_grad_norm_` adds a small constant to
/// the norm; this crate does not. In `f32` too the norm afterwards is the bound, to within two units in
/// the last place, even where the factor is below the numbers of `f32`. Only
/// [`NonFinite::Propagate`](crate::NonFinite::Propagate) lets gradients through that are not finite. As
/// in PyTorch and optax, a norm that is NaN makes all gradients under it NaN, and one that is infinite
/// makes them 0 and the infinite one NaN.
///
/// A bound that rounds to 0 in the precision of the tensors is an error at the step.
///
/// # Cost
/// One read of the gradients, at full speed in every gapless memory order; views with gaps are
/// slower. Finite norms prove that all gradients are finite, so the usual check for NaN and infinities
/// is left out.
///
/// # Examples
/// ```
/// use adamax::{Adamax, MaxNorm, Optimizer};
/// use ndarray::array;
///
/// // Two tensors. Their gradients have norms 3 and 4, and together 5. On the first step, u = |g|.
/// let clipped = |max_norm| {
///     let (mut a, mut b) = (array![0.0], array![0.0]);
///     let mut optimizer = Optimizer::new(Adamax::default());
///     let (slot_a, slot_b) = (optimizer.register("a", &a)?, optimizer.register("b", &b)?);
///     optimizer.set_max_norm(Some(max_norm))?;
///     optimizer.step(&mut [slot_a.bind(&mut a, &array![3.0]), slot_b.bind(&mut b, &array![4.0])])?;
///     let u = [slot_a, slot_b].map(|slot| optimizer.state(slot).unwrap().inf_norm()[[0]]);
///     Ok::<[f64; 2], adamax::Error>(u)
/// };
/// assert_eq!(clipped(MaxNorm::Global(2.5))?, [1.5, 2.0]);
/// assert_eq!(clipped(MaxNorm::PerTensor(2.5))?, [2.5, 2.5]);
/// # Ok::<(), adamax::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum MaxNorm {
    /// Bounds the norm over all gradients of a batch taken together, as PyTorch's
    /// `clip_grad_norm_` and optax's `clip_by_global_norm` do.
    #[doc(alias("clip_grad_norm_", "clip_grad_norm", "clip_by_global_norm", "global_clipnorm"))]
    Global(f64),
    /// Bounds the norm of each gradient separately, as Keras' `clipnorm` does.
    #[doc(alias("clipnorm"))]
    PerTensor(f64),
}

impl MaxNorm {
    /// Returns the bound, of either kind.
    #[must_use]
    pub fn bound(self) -> f64 {
        let (MaxNorm::Global(bound) | MaxNorm::PerTensor(bound)) = self;
        bound
    }

    /// Refuses bounds that are NaN, zero or negative.
    pub(crate) fn check(self) -> Result<(), Error> {
        range::check_positive("max norm", self.bound())
    }
}
