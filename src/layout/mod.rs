//! The layout of arrays in memory: the order of their axes, their places, and blocks that are transposed.

use ndarray::{ArrayBase, Dimension, IxDyn, RawData};

pub(crate) mod order;
pub(crate) mod placement;
pub(crate) mod runs;
pub(crate) mod transpose;

/// Evaluates an expression with a view of a static dimension for 1 to 6 axes; of other ranks it stays
/// dynamic. Always `Some`. Iterators of a dynamic dimension take many times as long for each element,
/// and allocate above 4 axes.
macro_rules! with_static_dimension {
    ($view:expr, |$name:ident| $body:expr) => {{
        let view = $view;
        match view.ndim() {
            1 => $crate::layout::cast::<_, ndarray::Ix1>(view).map(|$name| $body),
            2 => $crate::layout::cast::<_, ndarray::Ix2>(view).map(|$name| $body),
            3 => $crate::layout::cast::<_, ndarray::Ix3>(view).map(|$name| $body),
            4 => $crate::layout::cast::<_, ndarray::Ix4>(view).map(|$name| $body),
            5 => $crate::layout::cast::<_, ndarray::Ix5>(view).map(|$name| $body),
            6 => $crate::layout::cast::<_, ndarray::Ix6>(view).map(|$name| $body),
            _ => {
                let $name = view;
                Some($body)
            }
        }
    }};
}
pub(crate) use with_static_dimension;

/// Converts a view to a static dimension. The caller has matched the rank.
#[inline(always)]
pub(crate) fn cast<S: RawData, D: Dimension>(view: ArrayBase<S, IxDyn>) -> Option<ArrayBase<S, D>> {
    let view = view.into_dimensionality().ok();
    debug_assert!(view.is_some(), "the rank has been compared");
    view
}

/// Returns the slice of an array that is known to be one.
///
/// Not by `unwrap_or_default`: the address and the length of an empty slice would be selected, which takes more
/// instructions than a branch that is never taken.
#[inline(always)]
pub(crate) fn known<S: Default>(slice: Option<S>) -> S {
    slice.unwrap_or_else(unknown)
}

#[cold]
#[inline(never)]
fn unknown<S: Default>() -> S {
    debug_assert!(false, "a gapless array is a slice");
    S::default()
}

/// The most axes of a memory order other than row-major. Arrays of more axes count as contiguous only
/// if they are row-major.
pub(crate) const MOST_AXES: usize = 12;
