//! A batch with its arrays, bound in the ways that a user can bind it: arrays and views, of dynamic and of
//! static dimensions.

use super::{Precision, forecast::Entry};
use adamax::{Bound, Optimizer, RowSlot, Slot};
use ndarray::{ArrayD, ArrayView, ArrayViewMut, Dimension, Ix1, Ix2, Ix3, Ix4, IxDyn};

/// An element of a batch, with the arrays that are lent for it.
pub(crate) struct Planned<A> {
    pub(crate) entry: Entry<A>,
    pub(crate) key: Key<IxDyn>,
    pub(crate) g: ArrayD<A>,
    /// The parameter, if it is not that of the user.
    pub(crate) spare: Option<ArrayD<A>>,
    pub(crate) way: Way,
}

/// The way in which arrays are bound.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    /// With the number of axes in the type, if there are one to four.
    pub(crate) is_static: bool,
    /// As views that are taken by value.
    pub(crate) by_value: bool,
}

#[derive(Clone)]
pub(crate) enum Key<D> {
    Tensor(Slot<D>),
    Rows(RowSlot<D>),
}

/// Arrays with their key.
pub(crate) struct Lent<'a, A, D> {
    key: Key<D>,
    x: ArrayViewMut<'a, A, D>,
    g: ArrayView<'a, A, D>,
    indices: &'a [usize],
    by_value: bool,
}

/// Arrays of any dimension.
pub(crate) enum AnyLent<'a, A> {
    Dynamic(Lent<'a, A, IxDyn>),
    One(Lent<'a, A, Ix1>),
    Two(Lent<'a, A, Ix2>),
    Three(Lent<'a, A, Ix3>),
    Four(Lent<'a, A, Ix4>),
}

impl<A: Precision> Planned<A> {
    /// Lends the arrays. `optimizer` knows the keys of static dimensions.
    pub(crate) fn lend<'a>(
        &'a mut self,
        optimizer: &Optimizer<A>,
        name: Option<&str>,
        own: Option<&'a mut ArrayD<A>>,
    ) -> AnyLent<'a, A> {
        let x = match &mut self.spare {
            Some(spare) => spare.view_mut(),
            None => own.expect("the parameter of the user").view_mut(),
        };
        let lent = Lent {
            key: self.key.clone(),
            x,
            g: self.g.view(),
            indices: self.entry.rows.as_deref().unwrap_or_default(),
            by_value: self.way.by_value,
        };
        let same_axes = lent.x.ndim() == lent.g.ndim();
        let Some(name) = name.filter(|_| self.way.is_static && same_axes) else {
            return AnyLent::Dynamic(lent);
        };
        match lent.x.ndim() {
            1 => lent.with_static(optimizer, name, AnyLent::One),
            2 => lent.with_static(optimizer, name, AnyLent::Two),
            3 => lent.with_static(optimizer, name, AnyLent::Three),
            4 => lent.with_static(optimizer, name, AnyLent::Four),
            _ => AnyLent::Dynamic(lent),
        }
    }
}

impl<'a, A: Precision> Lent<'a, A, IxDyn> {
    /// Gives the arrays a static dimension, if their tensor has as many axes.
    fn with_static<D: Dimension>(
        self,
        optimizer: &Optimizer<A>,
        name: &str,
        wrap: fn(Lent<'a, A, D>) -> AnyLent<'a, A>,
    ) -> AnyLent<'a, A> {
        let key = match self.key {
            Key::Tensor(_) => optimizer.slot(name).map(Key::Tensor),
            Key::Rows(_) => optimizer.row_slot(name).map(Key::Rows),
        };
        let Some(key) = key else { return AnyLent::Dynamic(self) };
        let Lent { x, g, indices, by_value, .. } = self;
        let x = x.into_dimensionality().expect("as many axes");
        let g = g.into_dimensionality().expect("as many axes");
        wrap(Lent { key, x, g, indices, by_value })
    }
}

impl<A: Precision, D: Dimension> Lent<'_, A, D> {
    fn bind(&mut self) -> Bound<'_, A> {
        let Lent { key, x, g, indices, by_value } = self;
        match (key, *by_value) {
            (Key::Tensor(slot), false) => slot.bind(x, g),
            (Key::Tensor(slot), true) => slot.bind_view(x.view_mut(), g.view()),
            (Key::Rows(rows), false) => rows.bind(x, indices, g),
            (Key::Rows(rows), true) => rows.bind_view(x.view_mut(), indices, g.view()),
        }
    }
}

impl<A: Precision> AnyLent<'_, A> {
    pub(crate) fn bind(&mut self) -> Bound<'_, A> {
        match self {
            AnyLent::Dynamic(lent) => lent.bind(),
            AnyLent::One(lent) => lent.bind(),
            AnyLent::Two(lent) => lent.bind(),
            AnyLent::Three(lent) => lent.bind(),
            AnyLent::Four(lent) => lent.bind(),
        }
    }
}
