//! The trait of models, and what a model shows its tensors to.

use core::ptr;

use ndarray::{ArrayBase, DataMut, Dimension};

use super::leaf::Leaf;
use crate::real::Real;

/// A model: a value that consists of tensors with names.
///
/// [`tensors!`](crate::tensors!) implements it for a struct in one line. One call then does for the
/// whole model what is else spelled out tensor by tensor:
///
/// | call | for all tensors |
/// |---|---|
/// | [`Optimizer::register_all`](crate::Optimizer::register_all), [`register_all_in`](crate::Optimizer::register_all_in) | registers them |
/// | [`Slots::bind`](crate::Slots::bind) | binds them to their gradients, for one step |
/// | [`Averages`](crate::Averages) | averages them over the steps |
/// | `Checkpoint::add_parameters`, `assign_parameters`, `add_averages`, `averages` | saves and loads them |
///
/// # What is a model
/// | type | its tensors | their names |
/// |---|---|---|
/// | a struct with [`tensors!`](crate::tensors!) | those of its fields | `field`, or `field.` and the name within the field |
/// | an array of any dimension, with elements `A`: owned, `ArcArray`, `CowArray` or a mutable view | itself | |
/// | `f64` or `f32` | itself, without axes | |
/// | `Vec<T>`, `[T; N]`, `[T]`, a tuple of up to four | those of its items | `0.`…, `1.`…, and so on |
/// | `Option<T>` | those of the value; none for `None` | as in `T` |
/// | `Box<T>`, `&mut T` | those of the value | as in `T` |
///
/// So the bias of the first of several layers is called `layers.0.bias`, as in PyTorch.
///
/// Items are named by position: after a layer is removed from a `Vec`, all later ones have other names. To
/// take over their states, copy them one by one with
/// [`set_state`](crate::Optimizer::set_state). A `Vec<f64>` is one tensor per number: write `Array1<f64>`
/// for a vector. An `ArcArray` that is shared is copied when it is bound.
///
/// A view that cannot be written to is no model. As a part of gradients it can be a `CowArray`, which is
/// made of a view without a copy: `CowArray::from(view)`.
///
/// # Other types
/// A type of yours that is no struct, such as an enum of layers, implements the trait by hand. Both
/// methods must show the same tensors in the same order. The trait has no generic methods, so a `Vec` of
/// `Box<dyn Tensors<f64>>` is a model too.
/// ```
/// use adamax::{Tensors, Visitor, VisitorMut};
/// use ndarray::{Array1, Array2};
///
/// enum Layer { Dense { weights: Array2<f64>, bias: Array1<f64> }, Scale(f64) }
///
/// impl Tensors<f64> for Layer {
///     fn visit<'a>(&'a self, visitor: &mut Visitor<'_, 'a, f64>) {
///         match self {
///             Layer::Dense { weights, bias } => {
///                 visitor.field("weights", weights);
///                 visitor.field("bias", bias);
///             }
///             Layer::Scale(scale) => visitor.field("scale", scale),
///         }
///     }
///
///     fn visit_mut<'a>(&'a mut self, visitor: &mut VisitorMut<'_, 'a, f64>) {
///         match self {
///             Layer::Dense { weights, bias } => {
///                 visitor.field("weights", weights);
///                 visitor.field("bias", bias);
///             }
///             Layer::Scale(scale) => visitor.field("scale", scale),
///         }
///     }
/// }
///
/// let layers = vec![
///     Layer::Dense { weights: Array2::ones((2, 3)), bias: Array1::zeros(2) },
///     Layer::Scale(1.0),
/// ];
/// let mut optimizer = adamax::Optimizer::new(adamax::Adamax::default());
/// let slots = optimizer.register_all(&layers)?;
/// assert!(slots.names().eq(["0.weights", "0.bias", "1.scale"]));
/// # Ok::<(), adamax::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no model with tensors of `{A}`",
    label = "not a model of `{A}`",
    note = "for a struct: `adamax::tensors!(Model {{ weights, bias }});`",
    note = "with tensors of `f32`: `adamax::tensors!(impl Tensors<f32> for Model {{ weights, bias }});`",
    note = "a field that holds no tensors is listed as `name: _`; a view that cannot be written to can be a `CowArray`",
    note = "references are models only as `&mut`, and tuples only up to four"
)]
pub trait Tensors<A: Real> {
    /// Shows all tensors to a visitor.
    fn visit<'a>(&'a self, visitor: &mut Visitor<'_, 'a, A>);

    /// Shows all tensors to a visitor that may write to them: the same ones, in the same order.
    fn visit_mut<'a>(&'a mut self, visitor: &mut VisitorMut<'_, 'a, A>);
}

/// A visitor of the tensors of a model, which [`Tensors::visit`] gets.
///
/// The tensors live for `'a`, and longer than the visit.
pub struct Visitor<'v, 'a, A> {
    sink: &'v mut dyn Sink<&'a dyn Leaf<A>>,
    depth: usize,
}

/// A visitor that may write to the tensors of a model, which [`Tensors::visit_mut`] gets.
pub struct VisitorMut<'v, 'a, A> {
    sink: &'v mut dyn Sink<&'a mut dyn Leaf<A>>,
    depth: usize,
}

/// One level of a name.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Key {
    Field(&'static str),
    Item(usize),
}

impl PartialEq for Key {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            // Mostly it is the same constant. Then its letters need not be compared.
            (Key::Field(a), Key::Field(b)) => ptr::eq::<str>(*a, *b) || a == b,
            (Key::Item(a), Key::Item(b)) => a == b,
            _ => false,
        }
    }
}

/// The other side of a visitor. `depth` is the number of fields and items above.
pub(crate) trait Sink<L> {
    /// Goes down to a field or an item. What was entered at this depth before has been left.
    fn enter(&mut self, depth: usize, key: Key);
    fn tensor(&mut self, depth: usize, leaf: L);
}

impl<'v, 'a, A: Real> Visitor<'v, 'a, A> {
    pub(crate) fn new(sink: &'v mut dyn Sink<&'a dyn Leaf<A>>) -> Self {
        Visitor { sink, depth: 0 }
    }

    /// Visits a field. Its tensors get names that begin with `name`.
    pub fn field<T: Tensors<A> + ?Sized>(&mut self, name: &'static str, tensors: &'a T) {
        self.level(Key::Field(name), tensors);
    }

    /// Visits an item of a sequence. The names of its tensors begin with `index`.
    pub fn item<T: Tensors<A> + ?Sized>(&mut self, index: usize, tensors: &'a T) {
        self.level(Key::Item(index), tensors);
    }

    fn level<T: Tensors<A> + ?Sized>(&mut self, key: Key, tensors: &'a T) {
        self.sink.enter(self.depth, key);
        self.depth += 1;
        tensors.visit(self);
        self.depth -= 1;
    }

    /// Visits an array.
    pub fn array<S, D>(&mut self, array: &'a ArrayBase<S, D>)
    where
        S: DataMut<Elem = A>,
        D: Dimension,
    {
        self.sink.tensor(self.depth, array);
    }

    /// Visits a number, which is a tensor without axes.
    pub fn number(&mut self, number: &'a A) {
        self.sink.tensor(self.depth, number);
    }
}

impl<'v, 'a, A: Real> VisitorMut<'v, 'a, A> {
    pub(crate) fn new(sink: &'v mut dyn Sink<&'a mut dyn Leaf<A>>) -> Self {
        VisitorMut { sink, depth: 0 }
    }

    /// Visits a field, as [`Visitor::field`] does.
    pub fn field<T: Tensors<A> + ?Sized>(&mut self, name: &'static str, tensors: &'a mut T) {
        self.level(Key::Field(name), tensors);
    }

    /// Visits an item of a sequence, as [`Visitor::item`] does.
    pub fn item<T: Tensors<A> + ?Sized>(&mut self, index: usize, tensors: &'a mut T) {
        self.level(Key::Item(index), tensors);
    }

    fn level<T: Tensors<A> + ?Sized>(&mut self, key: Key, tensors: &'a mut T) {
        self.sink.enter(self.depth, key);
        self.depth += 1;
        tensors.visit_mut(self);
        self.depth -= 1;
    }

    /// Visits an array.
    pub fn array<S, D>(&mut self, array: &'a mut ArrayBase<S, D>)
    where
        S: DataMut<Elem = A>,
        D: Dimension,
    {
        self.sink.tensor(self.depth, array);
    }

    /// Visits a number, which is a tensor without axes.
    pub fn number(&mut self, number: &'a mut A) {
        self.sink.tensor(self.depth, number);
    }
}
