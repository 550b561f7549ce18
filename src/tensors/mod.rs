//! A whole model: the tensors of a struct, with the names of its fields.

mod kinds;
pub(crate) mod leaf;
pub(crate) mod outline;
pub(crate) mod visit;

/// Makes a struct a model: implements [`Tensors`](crate::Tensors) for it.
///
/// ```
/// # struct Model { weights: ndarray::Array2<f64>, bias: f64, name: String }
/// adamax::tensors!(Model { weights, bias, name: _ });
/// ```
/// - List **all fields**. A field that holds no tensors is followed by `: _`. A field that is missing in
///   the list does not compile, so no tensor is forgotten.
/// - The tensors are of **`f64`**. For others ("expected `f64`, found `f32`"), write the whole line:
///   `tensors!(impl Tensors<f32> for Model { weights, bias });`
/// - **Parameters** of the struct are named as in any `impl`:
///   `tensors!(impl<A: Real> Tensors<A> for Model<A> { weights, bias });`. The lifetime of views can be
///   `'_`. If a field is a single number of type `A`, the parameter is `A: Real + Tensors<A>`.
///
/// # Examples
/// ```
/// use adamax::{Adamax, Optimizer, Real, WeightDecay};
/// use ndarray::{Array1, Array2};
///
/// struct Layer<A> { weights: Array2<A>, bias: Option<Array1<A>> }
/// struct Model { layers: Vec<Layer<f32>>, scale: f32, name: String }
///
/// adamax::tensors!(impl<A: Real> Tensors<A> for Layer<A> { weights, bias });
/// adamax::tensors!(impl Tensors<f32> for Model { layers, scale, name: _ });
///
/// let layer = || Layer { weights: Array2::ones((2, 2)), bias: Some(Array1::zeros(2)) };
/// let model = || Model { layers: vec![layer(), layer()], scale: 1.0, name: "two layers".into() };
/// let (mut model, gradients) = (model(), model());
///
/// let mut optimizer = Optimizer::new(Adamax::default());
/// let slots = optimizer.register_all(&model)?;
/// assert!(slots.names().eq([
///     "layers.0.weights", "layers.0.bias", "layers.1.weights", "layers.1.bias", "scale",
/// ]));
/// optimizer.step(&mut slots.bind(&mut model, &gradients))?;
/// assert!(model.scale < 1.0);
/// # Ok::<(), adamax::Error>(())
/// ```
/// A forgotten field:
/// ```compile_fail,E0027
/// struct Model { weights: ndarray::Array2<f64>, bias: ndarray::Array1<f64> }
///
/// adamax::tensors!(Model { weights });        // pattern does not mention field `bias`
/// ```
/// A field that holds no tensors:
/// ```compile_fail,E0277
/// struct Model { weights: ndarray::Array2<f64>, name: String }
///
/// adamax::tensors!(Model { weights, name });  // `String` is no model with tensors of `f64`
/// ```
#[macro_export]
macro_rules! tensors {
    (impl < $($rest:tt)*) => {
        $crate::tensors!(@parameters [] $($rest)*);
    };
    (impl Tensors < $($rest:tt)*) => {
        $crate::tensors!(@parameters [] > Tensors < $($rest)*);
    };
    (@parameters [$($parameters:tt)*] > Tensors < $real:ty > for $($model:tt)*) => {
        $crate::tensors!(@model [$($parameters)*] [$real] $($model)*);
    };
    // Two brackets that close are one token.
    (@parameters [$($parameters:tt)*] >> Tensors $($rest:tt)*) => {
        $crate::tensors!(@parameters [$($parameters)* >] > Tensors $($rest)*);
    };
    (@parameters [$($parameters:tt)*] $next:tt $($rest:tt)*) => {
        $crate::tensors!(@parameters [$($parameters)* $next] $($rest)*);
    };
    // The name of the struct and its arguments are apart: a pattern takes the name alone.
    (@model [$($parameters:tt)*] [$real:ty] $model:tt $($rest:tt)*) => {
        $crate::tensors!(@arguments [$($parameters)*] [$real] $model [] $($rest)*);
    };
    (
        @arguments [$($parameters:tt)*] [$real:ty] $model:tt [$($arguments:tt)*] $fields:tt
    ) => {
        $crate::tensors!(
            @impl [$($parameters)*] [$real] $model [$($arguments)*] $fields $fields
        );
    };
    (
        @arguments [$($parameters:tt)*] [$real:ty] $model:tt [$($arguments:tt)*]
        $next:tt $($rest:tt)+
    ) => {
        $crate::tensors!(
            @arguments [$($parameters)*] [$real] $model [$($arguments)* $next] $($rest)+
        );
    };
    // The pattern consists of the caller's own tokens (`tt`, not `ident`). Only then does the compiler name
    // the field that is missing.
    (
        @impl [$($parameters:tt)*] [$real:ty] $model:tt [$($arguments:tt)*] $fields:tt
        { $($field:ident $(: $nothing:tt)?),* $(,)? }
    ) => {
        impl<$($parameters)*> $crate::Tensors<$real> for $model $($arguments)* {
            fn visit<'adamax_tensors>(
                &'adamax_tensors self,
                visitor: &mut $crate::Visitor<'_, 'adamax_tensors, $real>,
            ) {
                let $model $fields = self;
                $($crate::tensors!(@field visitor $field $($nothing)?);)*
                _ = visitor;
            }

            fn visit_mut<'adamax_tensors>(
                &'adamax_tensors mut self,
                visitor: &mut $crate::VisitorMut<'_, 'adamax_tensors, $real>,
            ) {
                let $model $fields = self;
                $($crate::tensors!(@field visitor $field $($nothing)?);)*
                _ = visitor;
            }
        }
    };
    (@field $visitor:ident $field:ident) => {
        $visitor.field(::core::stringify!($field), $field);
    };
    (@field $visitor:ident $field:ident _) => {};
    (@ $($anything:tt)*) => {
        ::core::compile_error!(
            "list the fields of a struct: `tensors!(Model { weights, bias, name: _ });`; \
             tuple structs and enums implement `adamax::Tensors` by hand"
        );
    };
    ($($model:tt)*) => {
        $crate::tensors!(@model [] [f64] $($model)*);
    };
}
