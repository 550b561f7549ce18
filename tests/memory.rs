//! Views that are larger than the memory: refused, and nothing changes.

use adamax::{Adamax, Average, Error, ErrorKind, Optimizer, State, check_gradient};
use ndarray::{ArrayView, IxDyn, aview0};

/// More bytes than an allocation may have, and fewer, but more than any machine has.
const LENGTHS: [usize; 2] = [isize::MAX as usize / 4, isize::MAX as usize / 64];

/// Calls a function with views of one number repeated, in several shapes.
fn for_giants(mut run: impl FnMut(ArrayView<'_, f64, IxDyn>) -> Result<(), Error>) {
    for length in LENGTHS {
        for shape in [vec![length], vec![length / 3, 3], vec![1, length, 1], vec![3, 1, length / 3]]
        {
            run(aview0(&0.0).broadcast(shape).unwrap()).unwrap();
        }
    }
}

fn assert_refused<T>(result: Result<T, Error>, shape: &[usize], place: &str) {
    let error = result.err().expect("refused");
    let message = format!("{place}parameter of shape {shape:?} is too large for the memory");
    assert_eq!(error.to_string(), message);
    assert_eq!((error.kind(), error.array()), (ErrorKind::Memory, Some("parameter")));
    assert_eq!(error.found_shape(), Some(shape));
}

#[test]
fn a_giant_is_not_registered() {
    let mut optimizer = Optimizer::<f64>::new(Adamax::default());
    for_giants(|giant| {
        let before = optimizer.snapshot();
        assert_refused(optimizer.register("w", &giant), giant.shape(), "tensor `w`: ");
        let group = optimizer.default_group();
        assert_refused(optimizer.register_in(group, "w", &giant), giant.shape(), "tensor `w`: ");
        assert_eq!(optimizer.snapshot(), before);
        Ok(())
    });
    optimizer.register("w", &ndarray::array![1.0]).expect("the name is free");
}

/// No step takes the state of a giant.
#[test]
fn the_state_of_a_giant_is_empty() {
    for_giants(|giant| {
        let state = State::zeros_like(&giant);
        assert_eq!((state.inf_norm().shape(), state.steps()), (&[0][..], 0));
        let error = state.with_layout_of(&giant).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Shape);
        let mut x = ndarray::array![1.0];
        let g = x.clone();
        let error = Adamax::default().step(&mut State::zeros_like(&giant), &mut x, &g);
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Shape);
        Ok(())
    });
}

#[test]
fn a_giant_has_no_average() {
    for_giants(|giant| {
        assert_refused(Average::new(0.9, &giant), giant.shape(), "");
        Ok(())
    });
}

/// At once: nobody waits until all elements have been looked at.
#[test]
fn the_gradient_of_a_giant_is_not_checked() {
    for_giants(|giant| {
        assert_refused(check_gradient(&giant, &giant, |_| 0.0), giant.shape(), "");
        Ok(())
    });
}

/// An axis of length 0 makes any shape small.
#[test]
fn a_giant_without_elements_is_small() -> Result<(), Error> {
    let empty = ArrayView::<f64, _>::from_shape((0, LENGTHS[1]), &[]).unwrap();
    let mut optimizer = Optimizer::new(Adamax::default());
    let slot = optimizer.register("empty", &empty)?;
    assert_eq!(optimizer.state(slot).unwrap().inf_norm().shape(), empty.shape());
    assert_eq!(Average::new(0.9, &empty)?.mean().shape(), empty.shape());
    assert_eq!(check_gradient(&empty, &empty, |_| 0.0)?.deviation(), 0.0);
    Ok(())
}

/// Also with `{:#?}`, which prints every element of an array of ndarray.
#[test]
fn a_large_state_is_printed_in_short() {
    let state = State::zeros_like(&ndarray::Array2::<f64>::zeros((1000, 1000)));
    for text in [format!("{state:?}"), format!("{state:#?}"), format!("{state:.3?}")] {
        assert!(text.len() < 5_000, "{} bytes", text.len());
        assert!(text.contains("..., "), "{text}");
    }
    let small = State::zeros_like(&ndarray::array![0.0, 0.0]);
    let text =
        "State { m: [0.0, 0.0], shape=[2], strides=[1], layout=CFcf (0xf), dynamic ndim=1, u: ";
    assert!(format!("{small:?}").starts_with(text), "{small:?}");
    assert!(format!("{small:.2?}").contains("m: [0.00, 0.00]"), "{small:.2?}");
}
