//! Arrays, numbers and containers as models.

use alloc::{boxed::Box, vec::Vec};

use ndarray::{ArrayBase, DataMut, Dimension};

use super::visit::{Tensors, Visitor, VisitorMut};
use crate::real::Real;

/// Owned arrays, shared arrays, arrays of either kind (`CowArray`), and mutable views.
impl<A: Real, S: DataMut<Elem = A>, D: Dimension> Tensors<A> for ArrayBase<S, D> {
    fn visit<'a>(&'a self, visitor: &mut Visitor<'_, 'a, A>) {
        visitor.array(self);
    }

    fn visit_mut<'a>(&'a mut self, visitor: &mut VisitorMut<'_, 'a, A>) {
        visitor.array(self);
    }
}

/// A number is a tensor without axes.
impl Tensors<f32> for f32 {
    fn visit<'a>(&'a self, visitor: &mut Visitor<'_, 'a, f32>) {
        visitor.number(self);
    }

    fn visit_mut<'a>(&'a mut self, visitor: &mut VisitorMut<'_, 'a, f32>) {
        visitor.number(self);
    }
}

/// A number is a tensor without axes.
impl Tensors<f64> for f64 {
    fn visit<'a>(&'a self, visitor: &mut Visitor<'_, 'a, f64>) {
        visitor.number(self);
    }

    fn visit_mut<'a>(&'a mut self, visitor: &mut VisitorMut<'_, 'a, f64>) {
        visitor.number(self);
    }
}

/// The names are those of the value. `None` has no tensors.
impl<A: Real, T: Tensors<A>> Tensors<A> for Option<T> {
    fn visit<'a>(&'a self, visitor: &mut Visitor<'_, 'a, A>) {
        if let Some(tensors) = self {
            tensors.visit(visitor);
        }
    }

    fn visit_mut<'a>(&'a mut self, visitor: &mut VisitorMut<'_, 'a, A>) {
        if let Some(tensors) = self {
            tensors.visit_mut(visitor);
        }
    }
}

/// The items are called `0`, `1`, …
impl<A: Real, T: Tensors<A>> Tensors<A> for [T] {
    fn visit<'a>(&'a self, visitor: &mut Visitor<'_, 'a, A>) {
        self.iter().enumerate().for_each(|(index, item)| visitor.item(index, item));
    }

    fn visit_mut<'a>(&'a mut self, visitor: &mut VisitorMut<'_, 'a, A>) {
        self.iter_mut().enumerate().for_each(|(index, item)| visitor.item(index, item));
    }
}

/// Implements [`Tensors`] for types that lend another one.
macro_rules! by_reference {
    ($($(#[$about:meta])* [$($generics:tt)*] $owner:ty => $inner:ty;)*) => {$(
        $(#[$about])*
        impl<A: Real, $($generics)*> Tensors<A> for $owner {
            fn visit<'a>(&'a self, visitor: &mut Visitor<'_, 'a, A>) {
                let inner: &$inner = self;
                inner.visit(visitor);
            }

            fn visit_mut<'a>(&'a mut self, visitor: &mut VisitorMut<'_, 'a, A>) {
                let inner: &mut $inner = self;
                inner.visit_mut(visitor);
            }
        }
    )*};
}

by_reference! {
    /// The items are called `0`, `1`, …
    [T: Tensors<A>] Vec<T> => [T];
    /// The items are called `0`, `1`, …
    [T: Tensors<A>, const N: usize] [T; N] => [T];
    /// The names are those of the value, which may be a `dyn Tensors`.
    [T: Tensors<A> + ?Sized] Box<T> => T;
    /// The names are those of the value.
    [T: Tensors<A> + ?Sized] &mut T => T;
}

/// Implements [`Tensors`] for a tuple.
macro_rules! tuple {
    ($($item:ident $index:tt),*) => {
        /// The items are called `0`, `1`, …
        impl<A: Real, $($item: Tensors<A>),*> Tensors<A> for ($($item,)*) {
            fn visit<'a>(&'a self, visitor: &mut Visitor<'_, 'a, A>) {
                $(visitor.item($index, &self.$index);)*
            }

            fn visit_mut<'a>(&'a mut self, visitor: &mut VisitorMut<'_, 'a, A>) {
                $(visitor.item($index, &mut self.$index);)*
            }
        }
    };
}

tuple!(T 0);
tuple!(T 0, U 1);
tuple!(T 0, U 1, V 2);
tuple!(T 0, U 1, V 2, W 3);
