//! The four arrays of a step, as one structure.

use core::slice;

use ndarray::{ArrayView, ArrayViewMut, Axis, IxDyn, LayoutRef, aview_mut1, aview1};

use crate::{layout::order::Order, par::Split};

/// The operands of a step: x, m and u, which are written, and g, which is only read. `W` and `R` are
/// the forms in which they are held: slices, views, tiles, buffers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Operands<W, R> {
    pub(crate) x: W,
    pub(crate) g: R,
    pub(crate) m: W,
    pub(crate) u: W,
}

/// Slices of one length whose elements belong together.
pub(crate) type Slices<'a, A> = Operands<&'a mut [A], &'a [A]>;

/// Views of one shape.
pub(crate) type Views<'a, A, D> = Operands<ArrayViewMut<'a, A, D>, ArrayView<'a, A, D>>;

/// Slices of a parameter and its gradient.
pub(crate) struct Gapless<'a, A> {
    pub(crate) x: &'a mut [A],
    pub(crate) g: &'a [A],
    pub(crate) shape: Shape<'a>,
    pub(crate) x_order: Order,
    pub(crate) g_order: Order,
}

/// The shape of a parameter and its gradient.
#[derive(Clone, Copy)]
pub(crate) enum Shape<'a> {
    /// That of an array that is borrowed for as long as its elements.
    Borrowed(&'a [usize]),
    /// That of a view of one axis that was taken by value, and is gone.
    Length(usize),
}

const _: () = assert!(size_of::<Shape<'_>>() <= 16, "a batch of many small tensors is small");

impl Shape<'_> {
    #[inline(always)]
    pub(crate) fn as_slice(&self) -> &[usize] {
        match self {
            Shape::Borrowed(shape) => shape,
            Shape::Length(length) => slice::from_ref(length),
        }
    }
}

/// Views of a parameter and its gradient.
pub(crate) struct Gapped<'a, A> {
    pub(crate) x: ArrayViewMut<'a, A, IxDyn>,
    pub(crate) g: ArrayView<'a, A, IxDyn>,
    /// The orders of both, if they have no gaps after all: views that were taken by value.
    pub(crate) gapless: Option<[Order; 2]>,
}

impl<A> Default for Gapped<'_, A> {
    /// Returns views without elements.
    fn default() -> Self {
        let (x, g) = (aview_mut1(&mut []).into_dyn(), aview1(&[]).into_dyn());
        Gapped { x, g, gapless: None }
    }
}

impl<W, R> Operands<W, R> {
    /// Changes the form of the operands.
    #[inline(always)]
    pub(crate) fn map<V, S>(
        self,
        mut written: impl FnMut(W) -> V,
        read: impl FnOnce(R) -> S,
    ) -> Operands<V, S> {
        Operands { x: written(self.x), g: read(self.g), m: written(self.m), u: written(self.u) }
    }

    /// Borrows the operands.
    #[inline(always)]
    pub(crate) fn as_mut(&mut self) -> Operands<&mut W, &mut R> {
        Operands { x: &mut self.x, g: &mut self.g, m: &mut self.m, u: &mut self.u }
    }

    /// Pairs each operand with one of another structure.
    #[inline(always)]
    pub(crate) fn zip<V, S>(self, other: Operands<V, S>) -> Operands<(W, V), (R, S)> {
        Operands {
            x: (self.x, other.x),
            g: (self.g, other.g),
            m: (self.m, other.m),
            u: (self.u, other.u),
        }
    }
}

impl<W, R, V, S> Operands<(W, R), (V, S)> {
    /// Separates pairs.
    #[inline(always)]
    pub(crate) fn unzip(self) -> (Operands<W, V>, Operands<R, S>) {
        let Operands { x, g, m, u } = self;
        (Operands { x: x.0, g: g.0, m: m.0, u: u.0 }, Operands { x: x.1, g: g.1, m: m.1, u: u.1 })
    }
}

impl<W, R> Operands<Option<W>, Option<R>> {
    /// Returns the operands if all of them are there.
    #[inline(always)]
    pub(crate) fn transpose(self) -> Option<Operands<W, R>> {
        Some(Operands { x: self.x?, g: self.g?, m: self.m?, u: self.u? })
    }
}

impl<T> Operands<T, T> {
    /// Returns the operands as an array, the parameter first.
    #[inline(always)]
    pub(crate) fn into_array(self) -> [T; 4] {
        [self.x, self.g, self.m, self.u]
    }
}

impl<A> Slices<'_, A> {
    /// Borrows the slices.
    #[inline(always)]
    pub(crate) fn reborrow(&mut self) -> Slices<'_, A> {
        self.as_mut().map(|slice| &mut **slice, |slice| *slice)
    }

    /// Cuts each slice before the element at `middle`.
    #[inline(always)]
    pub(crate) fn split_at(self, middle: usize) -> (Self, Self) {
        self.map(|slice| slice.split_at_mut(middle), |slice| slice.split_at(middle)).unzip()
    }
}

impl<A: Send + Sync> Split for Slices<'_, A> {
    #[inline]
    fn len(&self) -> usize {
        self.x.len()
    }

    fn split(self) -> Result<(Self, Self), Self> {
        let middle = self.x.len() / 2;
        Ok(self.split_at(middle))
    }
}

impl<A> Views<'_, A, IxDyn> {
    /// Returns the layouts, the parameter's first.
    pub(crate) fn layouts(&mut self) -> [&mut LayoutRef<A, IxDyn>; 4] {
        self.as_mut().map(AsMut::as_mut, AsMut::as_mut).into_array()
    }

    /// Removes an axis: only the elements at its index 0 are left.
    pub(crate) fn remove_axis(&mut self, axis: Axis) {
        self.as_mut()
            .map(|view| view.index_axis_inplace(axis, 0), |view| view.index_axis_inplace(axis, 0));
    }

    /// Adds an axis of length 1, outermost.
    pub(crate) fn insert_axis(self) -> Self {
        self.map(|view| view.insert_axis(Axis(0)), |view| view.insert_axis(Axis(0)))
    }
}

impl<A: Send + Sync> Split for Views<'_, A, IxDyn> {
    fn len(&self) -> usize {
        self.x.len()
    }

    /// Splits the outermost axis that is longer than 1.
    fn split(self) -> Result<(Self, Self), Self> {
        let Some(axis) = self.x.shape().iter().position(|&length| length > 1).map(Axis) else {
            return Err(self);
        };
        let middle = self.x.len_of(axis) / 2;
        Ok(self.map(|view| view.split_at(axis, middle), |view| view.split_at(axis, middle)).unzip())
    }
}
