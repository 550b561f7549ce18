//! Parts of tensors, which several processes hold together.

use alloc::boxed::Box;

use ndarray::{ArrayRef, Ix1};

use super::{
    Optimizer,
    slot::{Group, Slot},
};
use crate::{
    error::{Error, Role},
    real::Real,
    reduce::part::Part,
};

impl<A: Real> Optimizer<A> {
    /// Registers a part of a tensor as a vector. Otherwise like [`register_in`](Optimizer::register_in).
    ///
    /// The elements of the vector are those of the part, in row-major order. The norm of its gradient is
    /// added as in the whole tensor: [`Findings`](crate::Findings) of all parts, joined, have the bits
    /// that one process gives. An error about an element has the index in the whole tensor. Everything
    /// else is that of a vector: its shape, its state, and its entry in a snapshot.
    ///
    /// # Errors
    /// After an error nothing has changed, and the name is free.
    /// - [`ErrorKind::Shape`](crate::ErrorKind::Shape) if `param` does not have the length of the part;
    /// - those of [`register_in`](Optimizer::register_in).
    ///
    /// # Allocation
    /// As [`register`](Optimizer::register), and a copy of the part.
    ///
    /// # Examples
    /// ```
    /// use adamax::{Adamax, Optimizer, Part};
    /// use ndarray::{Array1, Array2, aview_mut1, aview1};
    ///
    /// // The second of two processes, and its part of a matrix: rows 3 and 4 of five.
    /// let mut matrix = Array2::<f64>::zeros((5, 400));
    /// let part = Part::new(matrix.shape(), 1, 2)?;
    /// assert_eq!(part.range(), 800..2000);
    /// let x = &mut matrix.as_slice_mut().unwrap()[part.range()];
    /// let mut optimizer = Optimizer::new(Adamax::default());
    /// let group = optimizer.default_group();
    /// let slot = optimizer.register_part(group, "matrix", &part, &aview1(x))?;
    ///
    /// let mut g = Array1::ones(part.len());
    /// optimizer.step(&mut [slot.bind_view(aview_mut1(x), g.view())])?;
    /// g[850] = f64::NAN;
    /// let refused = optimizer.step(&mut [slot.bind_view(aview_mut1(x), g.view())]).unwrap_err();
    /// assert_eq!(refused.to_string(), "tensor `matrix`: gradient is NaN at index [4, 50]");
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn register_part(
        &mut self,
        group: Group,
        name: &str,
        part: &Part,
        param: &ArrayRef<A, Ix1>,
    ) -> Result<Slot<Ix1>, Error> {
        if param.len() != part.len() {
            let error = Error::shape((Role::Parameter, param.shape()), (Role::Part, &[part.len()]));
            return Err(error.in_tensor(name));
        }
        let slot = self.register_in(group, name, param)?;
        self.tensors.own_mut(slot)?.part = Some(Box::new(part.clone()));
        Ok(slot)
    }
}
