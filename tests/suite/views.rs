//! Views that are bound by value: the same bits and the same errors as with references.

use crate::common::{
    Float, Layout,
    bits::Snapshot,
    input::{gradients, parameters, rng},
    layout::LAYOUTS,
};
use adamax::{Adamax, Error, MaxNorm, Optimizer, Slot};
use ndarray::{
    Array, Array2, ArrayD, Dimension, Ix0, Ix1, Ix2, Ix3, IxDyn, array, aview_mut1, aview1,
};

const BOUNDS: [Option<MaxNorm>; 3] =
    [None, Some(MaxNorm::Global(0.5)), Some(MaxNorm::PerTensor(0.5))];

/// A tensor in an optimizer, and how it is bound.
struct Run<A, D: Dimension> {
    optimizer: Optimizer<A>,
    slot: Slot<D>,
    x: Array<A, D>,
    by_value: bool,
}

impl<A: Float, D: Dimension> Run<A, D> {
    fn new(x: &Array<A, D>, bound: Option<MaxNorm>, by_value: bool) -> Result<Self, Error> {
        let mut optimizer = Optimizer::new(Adamax::default());
        optimizer.set_max_norm(bound)?;
        Ok(Run { slot: optimizer.register("x", x)?, optimizer, x: x.clone(), by_value })
    }

    fn step(&mut self, g: &Array<A, D>) -> Result<Snapshot<A::Word>, String> {
        let Run { optimizer, slot, x, by_value } = self;
        let bound =
            if *by_value { slot.bind_view(x.view_mut(), g.view()) } else { slot.bind(x, g) };
        optimizer.step(&mut [bound]).map_err(|error| error.to_string())?;
        Ok(Snapshot::of(x, optimizer.state(*slot).expect("own slot")))
    }
}

#[test]
fn steps_have_the_bits_of_references() -> Result<(), Error> {
    fn agree<A: Float, D: Dimension>(
        shape: &[usize],
        bounds: &[Option<MaxNorm>],
    ) -> Result<(), Error> {
        let rng = &mut rng(1);
        let (x, g) = (parameters(shape, rng), [gradients(shape, rng), gradients(shape, rng)]);
        for word in LAYOUTS.into_iter().flat_map(|x| LAYOUTS.map(|g| [x, g])) {
            let x = word[0].arrange_as::<A, D>(&x);
            for &bound in bounds {
                let what = format!("{shape:?}, {word:?}, {bound:?}");
                let mut runs = [Run::new(&x, bound, false)?, Run::new(&x, bound, true)?];
                for g in &g {
                    let mut g = word[1].arrange_as::<A, D>(g);
                    let [expected, found] = runs.each_mut().map(|run| run.step(&g));
                    assert_eq!(found, expected, "{what}");
                    // A gradient that is refused: the message names the same element.
                    if let Some(last) = g.iter_mut().last() {
                        *last = A::of(f64::NAN);
                        let [expected, found] = runs.each_mut().map(|run| run.step(&g));
                        assert!(expected.is_err(), "{what}");
                        assert_eq!(found, expected, "{what}");
                    }
                }
            }
        }
        Ok(())
    }
    fn agree_in<A: Float>() -> Result<(), Error> {
        agree::<A, Ix0>(&[], &BOUNDS)?;
        agree::<A, Ix1>(&[0], &BOUNDS)?;
        agree::<A, Ix1>(&[1], &BOUNDS)?;
        agree::<A, Ix1>(&[37], &BOUNDS)?;
        agree::<A, Ix2>(&[3, 5], &BOUNDS)?;
        agree::<A, Ix2>(&[40, 60], &[None])?;
        agree::<A, Ix3>(&[4, 1, 6], &BOUNDS)?;
        agree::<A, IxDyn>(&[7], &BOUNDS)?;
        agree::<A, IxDyn>(&[2, 0, 3], &BOUNDS)?;
        agree::<A, IxDyn>(&[2, 1, 2, 1, 3, 2], &BOUNDS)
    }
    agree_in::<f64>()?;
    agree_in::<f32>()
}

#[test]
fn other_shapes_are_refused_as_with_references() -> Result<(), Error> {
    fn agree<D: Dimension>(shapes: &[&[usize]]) -> Result<(), Error> {
        let arrays = |shape: &&[usize]| Layout::C.arrange_as::<f64, D>(&ArrayD::ones(*shape));
        let arrays: Vec<_> = shapes.iter().map(arrays).collect();
        for (registered, x) in arrays.iter().flat_map(|x| arrays.iter().map(move |y| (x, y))) {
            for g in &arrays {
                let mut messages = Vec::new();
                for by_value in [false, true] {
                    let mut run = Run::new(registered, None, by_value)?;
                    run.x = x.clone();
                    messages.push(run.step(g).err());
                }
                assert_eq!(messages[0], messages[1], "{registered:?}, {x:?}, {g:?}");
                let fits = registered.shape() == x.shape() && x.shape() == g.shape();
                assert_eq!(messages[1].is_none(), fits, "{registered:?}, {x:?}, {g:?}");
            }
        }
        Ok(())
    }
    agree::<Ix1>(&[&[3], &[4], &[0]])?;
    agree::<Ix2>(&[&[2, 3], &[3, 2], &[0, 3]])?;
    agree::<IxDyn>(&[&[], &[1], &[2], &[2, 1]])
}

/// The calls that references do not allow: temporaries in a `collect`, and numbers of a `Vec`.
#[test]
fn temporary_views() -> Result<(), Error> {
    let mut rows = Array2::<f64>::ones((3, 2));
    let slopes = array![[0.5, 0.5], [0.0, 0.0], [-0.5, -0.5]];
    let mut lists = vec![vec![1.0; 4], vec![1.0]];
    let list_slopes = lists.clone();
    let mut optimizer = Optimizer::new(Adamax::default());
    let mut row_slots = Vec::new();
    for (index, row) in rows.outer_iter().enumerate() {
        row_slots.push(optimizer.register(&format!("row {index}"), &row)?);
    }
    let mut list_slots = Vec::new();
    for (index, list) in lists.iter().enumerate() {
        list_slots.push(optimizer.register(&format!("list {index}"), &aview1(list))?);
    }

    let mut batch: Vec<_> = row_slots
        .iter()
        .zip(rows.outer_iter_mut().zip(slopes.outer_iter()))
        .map(|(slot, (row, slope))| slot.bind_view(row, slope))
        .collect();
    let lists_bound = list_slots.iter().zip(lists.iter_mut().zip(&list_slopes));
    batch.extend(lists_bound.map(|(slot, (x, g))| slot.bind_view(aview_mut1(x), aview1(g))));
    optimizer.step(&mut batch)?;
    assert!(rows[[0, 0]] < 1.0 && rows[[1, 0]] == 1.0 && rows[[2, 1]] > 1.0);
    assert!(lists.iter().flatten().all(|&x| x < 1.0));
    Ok(())
}
