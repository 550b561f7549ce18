//! Parameters and gradients of any type whose elements can be iterated, as arrays.
//!
//! Arrays of ndarray 0.17 and vectors are recognised by their type, and used where they are. Elements
//! of other types are copied to a buffer, and back after a step. (The compiler cannot choose between two
//! implementations by a bound, so the type is asked for at run time. The answer is a constant.)

use alloc::vec::Vec;
use core::any::Any;

use ndarray::{
    ArcArray, Array, ArrayRef, ArrayView, ArrayViewMut, Ix0, Ix1, Ix2, Ix3, Ix4, Ix5, Ix6, IxDyn,
    aview_mut1, aview1,
};

use crate::real::Real;

/// A type whose elements can be iterated for reading.
pub(super) trait Readable<A>: Any {
    fn elements<'a>(&'a self) -> impl Iterator<Item = &'a A>
    where
        A: 'a;
}

/// A type whose elements can be iterated for reading and for writing, in one order.
pub(super) trait Values<A>: Readable<A> {
    fn elements_mut<'a>(&'a mut self) -> impl Iterator<Item = &'a mut A>
    where
        A: 'a;
}

impl<A: 'static, P: 'static> Readable<A> for P
where
    for<'a> &'a P: IntoIterator<Item = &'a A>,
{
    fn elements<'a>(&'a self) -> impl Iterator<Item = &'a A>
    where
        A: 'a,
    {
        self.into_iter()
    }
}

impl<A: 'static, P: 'static> Values<A> for P
where
    for<'a> &'a P: IntoIterator<Item = &'a A>,
    for<'a> &'a mut P: IntoIterator<Item = &'a mut A>,
{
    fn elements_mut<'a>(&'a mut self) -> impl Iterator<Item = &'a mut A>
    where
        A: 'a,
    {
        self.into_iter()
    }
}

/// Returns the values as an array, which may be a copy in `buffer`.
pub(super) fn read<'a, A: Real, P: Readable<A>>(
    values: &'a P,
    buffer: &'a mut Vec<A>,
) -> ArrayView<'a, A, IxDyn> {
    if let Some(array) = view(values) {
        return array;
    }
    fill(buffer, values);
    aview1(buffer).into_dyn()
}

/// Calls `f` with the values as an array, which may be a copy in `buffer` that is written back.
pub(super) fn write<A: Real, P: Values<A>, R>(
    values: &mut P,
    buffer: &mut Vec<A>,
    f: impl FnOnce(&mut ArrayRef<A, IxDyn>) -> R,
) -> R {
    if let Some(mut array) = view_mut(values) {
        return f(&mut array);
    }
    fill(buffer, values);
    let result = f(&mut aview_mut1(buffer).into_dyn());
    values.elements_mut().zip(buffer).for_each(|(to, from)| *to = *from);
    result
}

fn fill<A: Real, P: Readable<A>>(buffer: &mut Vec<A>, values: &P) {
    let mut elements = values.elements();
    // Overwriting takes half the time of appending.
    let kept = buffer.iter_mut().zip(&mut elements).map(|(to, from)| *to = *from).count();
    buffer.truncate(kept);
    buffer.extend(elements);
}

/// Returns from the function with a view of `$values`, if these are an array.
macro_rules! return_view_of_array {
    ($values:ident.$downcast:ident.$view:ident) => {
        return_view_of_array!($values.$downcast.$view: Ix0 Ix1 Ix2 Ix3 Ix4 Ix5 Ix6 IxDyn);
    };
    ($values:ident.$downcast:ident.$view:ident: $($dimension:ident)*) => {
        $(
            return_view_of_array!($values.$downcast.$view => Array<A, $dimension>);
            return_view_of_array!($values.$downcast.$view => ArcArray<A, $dimension>);
        )*
    };
    ($values:ident.$downcast:ident.$view:ident => $array:ty) => {
        if $values.is::<$array>() {
            return $values.$downcast::<$array>().map(|array| array.$view().into_dyn());
        }
    };
}

/// Returns a view of the values if they are an array of ndarray 0.17 or a `Vec`.
fn view<A: Real>(values: &impl Any) -> Option<ArrayView<'_, A, IxDyn>> {
    let values: &dyn Any = values;
    return_view_of_array!(values.downcast_ref.view);
    values.downcast_ref::<Vec<A>>().map(|vec| aview1(vec).into_dyn())
}

/// Returns a view of the values if they are an array of ndarray 0.17 or a `Vec`.
fn view_mut<A: Real>(values: &mut impl Any) -> Option<ArrayViewMut<'_, A, IxDyn>> {
    let values: &mut dyn Any = values;
    return_view_of_array!(values.downcast_mut.view_mut);
    values.downcast_mut::<Vec<A>>().map(|vec| aview_mut1(vec).into_dyn())
}
