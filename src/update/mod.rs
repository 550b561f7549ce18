//! How the four arrays of a step are walked in lock-step, whatever their layouts.
//!
//! Arrays that share one memory order, whatever it is, are one long lane. Others are brought into an
//! order of axes that suits them and handed on plane by plane.

pub(crate) mod coefficients;
pub(crate) mod contiguous;
pub(crate) mod pair;
mod plane;
mod tile_buffer;

use ndarray::{ArrayRef, ArrayView, ArrayViewMut, Axis, Dimension, Ix2, IxDyn, LayoutRef, Zip};

use self::{coefficients::Coefficients, contiguous::Lane, plane::Plane, tile_buffer::Stage};
use crate::{
    par::{Divisible, Fork},
    real::Real,
};

/// Steps every element of four arrays of one shape.
#[inline]
pub(crate) fn update<A: Real, D: Dimension, E: Dimension>(
    fork: impl Fork,
    k: &Coefficients<A>,
    x: &mut ArrayRef<A, D>,
    g: &ArrayRef<A, D>,
    m: &mut ArrayRef<A, E>,
    u: &mut ArrayRef<A, E>,
) {
    // The standard layout first: it is the cheapest to recognise.
    if let (Some(x), Some(g), Some(m), Some(u)) =
        (x.as_slice_mut(), g.as_slice(), m.as_slice_mut(), u.as_slice_mut())
    {
        update_lane(fork, k, Lane { x, g, m, u });
        return;
    }
    let one_order =
        x.strides() == g.strides() && x.strides() == m.strides() && x.strides() == u.strides();
    if one_order {
        if let (Some(x), Some(g), Some(m), Some(u)) = (
            x.as_slice_memory_order_mut(),
            g.as_slice_memory_order(),
            m.as_slice_memory_order_mut(),
            u.as_slice_memory_order_mut(),
        ) {
            update_lane(fork, k, Lane { x, g, m, u });
            return;
        }
    }
    let (x, g) = (x.view_mut().into_dyn(), g.view().into_dyn());
    let views = Views::new(x, g, m.view_mut().into_dyn(), u.view_mut().into_dyn());
    fork.each(views, |views| views.update(k));
}

/// Steps every element of a lane.
#[inline(always)]
pub(crate) fn update_lane<A: Real>(fork: impl Fork, k: &Coefficients<A>, lane: Lane<'_, A>) {
    if fork.splits(lane.len()) {
        fork.each(lane, |lane| contiguous::update(k, lane));
    } else {
        // Not by way of a closure, which is not always inlined: this is the path of small steps.
        contiguous::update(k, lane);
    }
}

/// Moves every element of `mean` by `weight` of its way to that of `value`, of the same shape.
pub(crate) fn approach<A: Real, D: Dimension, E: Dimension>(
    weight: A,
    mean: &mut ArrayRef<A, D>,
    value: &ArrayRef<A, E>,
) {
    if mean.strides() == value.strides() {
        if let (Some(mean), Some(value)) =
            (mean.as_slice_memory_order_mut(), value.as_slice_memory_order())
        {
            contiguous::approach(weight, mean, value);
            return;
        }
    }
    // All of one dimension type, so that `Zip` takes them.
    Zip::from(&mut mean.view_mut().into_dyn())
        .and(&value.view().into_dyn())
        .for_each(|mean, value| *mean = coefficients::approach(weight, *mean, *value));
}

/// The four arrays of a step, to be cut into pieces and walked.
#[expect(clippy::large_enum_variant, reason = "there are as many as threads and halvings")]
pub(crate) enum Walk<'a, A> {
    Lane(Lane<'a, A>),
    Views(Views<'a, A>),
}

impl<A: Real> Walk<'_, A> {
    /// Steps every element.
    pub(crate) fn update(self, k: &Coefficients<A>) {
        match self {
            Walk::Lane(lane) => contiguous::update(k, lane),
            Walk::Views(views) => views.update(k),
        }
    }
}

impl<A: Real> Divisible for Walk<'_, A> {
    fn len(&self) -> usize {
        match self {
            Walk::Lane(lane) => lane.len(),
            Walk::Views(views) => views.len(),
        }
    }

    fn halves(self) -> Result<(Self, Self), Self> {
        match self {
            Walk::Lane(lane) => {
                lane.halves().map(|(a, b)| (Walk::Lane(a), Walk::Lane(b))).map_err(Walk::Lane)
            }
            Walk::Views(views) => {
                views.halves().map(|(a, b)| (Walk::Views(a), Walk::Views(b))).map_err(Walk::Views)
            }
        }
    }
}

impl<A: Real> Divisible for Lane<'_, A> {
    #[inline]
    fn len(&self) -> usize {
        self.x.len()
    }

    fn halves(self) -> Result<(Self, Self), Self> {
        let middle = self.x.len() / 2;
        let (x, x2) = self.x.split_at_mut(middle);
        let (g, g2) = self.g.split_at(middle);
        let (m, m2) = self.m.split_at_mut(middle);
        let (u, u2) = self.u.split_at_mut(middle);
        Ok((Lane { x, g, m, u }, Lane { x: x2, g: g2, m: m2, u: u2 }))
    }
}

/// Four views of one shape, their axes in an order in which they are walked well.
pub(crate) struct Views<'a, A> {
    x: ArrayViewMut<'a, A, IxDyn>,
    g: ArrayView<'a, A, IxDyn>,
    m: ArrayViewMut<'a, A, IxDyn>,
    u: ArrayViewMut<'a, A, IxDyn>,
}

impl<A: Real> Divisible for Views<'_, A> {
    fn len(&self) -> usize {
        self.x.len()
    }

    /// Along the outermost axis that is more than one long.
    fn halves(self) -> Result<(Self, Self), Self> {
        let Some(axis) = self.x.shape().iter().position(|&length| length > 1).map(Axis) else {
            return Err(self);
        };
        let middle = self.x.len_of(axis) / 2;
        let (x, x2) = self.x.split_at(axis, middle);
        let (g, g2) = self.g.split_at(axis, middle);
        let (m, m2) = self.m.split_at(axis, middle);
        let (u, u2) = self.u.split_at(axis, middle);
        Ok((Views { x, g, m, u }, Views { x: x2, g: g2, m: m2, u: u2 }))
    }
}

impl<'a, A: Real> Views<'a, A> {
    /// Of arrays of one shape.
    pub(crate) fn new(
        x: ArrayViewMut<'a, A, IxDyn>,
        g: ArrayView<'a, A, IxDyn>,
        m: ArrayViewMut<'a, A, IxDyn>,
        u: ArrayViewMut<'a, A, IxDyn>,
    ) -> Self {
        let mut views = Views { x, g, m, u };
        if !views.x.is_empty() {
            views.sort_axes();
            views = views.merge_axes();
            views.choose_plane();
        }
        views
    }

    fn layouts(&mut self) -> [&mut LayoutRef<A, IxDyn>; 4] {
        [self.x.as_mut(), self.g.as_mut(), self.m.as_mut(), self.u.as_mut()]
    }

    fn swap_axes(&mut self, a: usize, b: usize) {
        if a != b {
            for layout in self.layouts() {
                layout.swap_axes(a, b);
            }
        }
    }

    /// Brings the axes into the parameter's memory order, outermost first, none running backwards.
    fn sort_axes(&mut self) {
        let axes = self.x.ndim();
        for axis in (0..axes).map(Axis) {
            if self.x.stride_of(axis) < 0 {
                for layout in self.layouts() {
                    layout.invert_axis(axis);
                }
            }
        }
        for position in 0..axes {
            let outermost =
                (position..axes).max_by_key(|&axis| (self.x.stride_of(Axis(axis)), axes - axis));
            self.swap_axes(position, outermost.unwrap_or(position));
        }
    }

    /// Makes one axis of those that follow each other without a gap in all four arrays, and drops
    /// axes of length 1.
    fn merge_axes(mut self) -> Self {
        let axes = self.x.ndim();
        let mut into = Axis(axes.saturating_sub(1));
        for take in (0..axes.saturating_sub(1)).rev().map(Axis) {
            let Ok(length) = isize::try_from(self.x.len_of(into)) else { continue };
            let gapless = self
                .layouts()
                .into_iter()
                .all(|layout| layout.stride_of(take) == layout.stride_of(into) * length);
            if gapless {
                for layout in self.layouts() {
                    layout.merge_axes(take, into);
                }
            } else {
                into = take;
            }
        }
        for axis in (0..axes).rev().map(Axis) {
            if self.x.len_of(axis) == 1 {
                self = self.index(axis);
            }
        }
        self
    }

    /// The views at index 0 of an axis.
    fn index(self, axis: Axis) -> Self {
        Views {
            x: self.x.index_axis_move(axis, 0),
            g: self.g.index_axis_move(axis, 0),
            m: self.m.index_axis_move(axis, 0),
            u: self.u.index_axis_move(axis, 0),
        }
    }

    /// Makes the last two axes those along which memory is read: the parameter's innermost, which
    /// is last already, and before it that of an array in another order, if there is one.
    fn choose_plane(&mut self) {
        let Some(last) = self.x.ndim().checked_sub(1) else { return };
        let other = self.layouts().into_iter().find_map(|layout| {
            let stride = |axis: usize| layout.stride_of(Axis(axis)).unsigned_abs();
            (0..last).min_by_key(|&axis| stride(axis)).filter(|&axis| stride(axis) < stride(last))
        });
        if let Some(axis) = other {
            self.swap_axes(axis, last - 1);
        }
    }

    /// Steps every element, plane by plane, a plane being spanned by the last two axes.
    fn update(mut self, k: &Coefficients<A>) {
        if self.x.is_empty() {
            return;
        }
        while self.x.ndim() < 2 {
            self = self.insert_axis();
        }
        let mut stages = [
            Stage::for_rows_of(&self.x),
            Stage::for_rows_of(&self.g),
            Stage::for_rows_of(&self.m),
            Stage::for_rows_of(&self.u),
        ];
        self.update_inner(k, &mut stages);
    }

    fn insert_axis(self) -> Self {
        Views {
            x: self.x.insert_axis(Axis(0)),
            g: self.g.insert_axis(Axis(0)),
            m: self.m.insert_axis(Axis(0)),
            u: self.u.insert_axis(Axis(0)),
        }
    }

    fn update_inner(self, k: &Coefficients<A>, stages: &mut [Stage<A>; 4]) {
        let Views { mut x, g, mut m, mut u } = self;
        if x.ndim() == 2 {
            if let (Ok(x), Ok(g), Ok(m), Ok(u)) = (
                x.into_dimensionality::<Ix2>(),
                g.into_dimensionality::<Ix2>(),
                m.into_dimensionality::<Ix2>(),
                u.into_dimensionality::<Ix2>(),
            ) {
                Plane { x, g, m, u }.update(k, stages);
            }
            return;
        }
        let outer = Axis(0);
        let x = x.axis_iter_mut(outer);
        let (m, u) = (m.axis_iter_mut(outer), u.axis_iter_mut(outer));
        for (((x, g), m), u) in x.zip(g.axis_iter(outer)).zip(m).zip(u) {
            Views { x, g, m, u }.update_inner(k, stages);
        }
    }
}
