//! The norm of a gradient, seen through the public interface: the words of [`Findings`], and the
//! factor by which a step has multiplied a gradient of 1.

use crate::common::{
    Float, Layout, assert_same,
    input::{gradients, rng, shaped},
    layout::LAYOUTS,
    model::name,
};
use adamax::{Adamax, Error, Findings, MaxNorm, Optimizer, Outcome};
use ndarray::{ArrayD, IxDyn, array};
use std::any::type_name;

const SEED: u64 = 8;
const BOUND: f64 = 1e-3;

/// Shapes of ranks 0 to 7 with every way of cutting them into leaves: short rows and long ones, rows
/// of one leaf and of one element more, axes of length 0 and 1.
const SHAPES: [&[usize]; 42] = [
    &[],
    &[0],
    &[1],
    &[63],
    &[511],
    &[512],
    &[513],
    &[3000],
    &[0, 600],
    &[600, 0],
    &[1, 1],
    &[1, 700],
    &[700, 1],
    &[1000, 3],
    &[3, 1000],
    &[2, 257],
    &[5, 512],
    &[9, 513],
    &[7, 1100],
    &[33, 64],
    &[17, 63],
    &[9, 2049],
    &[5, 0, 7],
    &[1, 800, 1],
    &[3, 1, 600],
    &[40, 50, 2],
    &[5, 7, 70],
    &[70, 3, 5],
    &[2, 9, 600],
    &[64, 32, 3, 3],
    &[1, 33, 1, 65],
    &[3, 4, 5, 60],
    &[60, 5, 4, 3],
    &[2, 3, 4, 5, 6],
    &[8, 1, 8, 1, 8],
    &[3, 0, 1, 2, 1],
    &[2, 3, 4, 5, 6, 7],
    &[7, 1, 5, 1, 3, 20],
    &[3, 2, 3, 2, 3, 2, 3],
    &[2, 1, 2, 70, 1, 2, 9],
    &[1, 1, 1, 1, 1, 1, 1],
    &[2, 2, 2, 2, 2, 2, 130],
];

fn numbers<A: Float>(shapes: &[&[usize]]) -> Vec<ArrayD<A>> {
    let rng = &mut rng(SEED);
    shapes.iter().map(|&shape| gradients(shape, rng)).collect()
}

fn optimizer<A: Float>(max_norm: MaxNorm) -> Result<Optimizer<A>, Error> {
    // With β₁ = 0 the first moment after a step is the gradient that the step used.
    let mut optimizer = Optimizer::new(Adamax::builder().beta1(0.0).build()?);
    optimizer.set_max_norm(Some(max_norm))?;
    Ok(optimizer)
}

/// Calls `visit` with an optimizer and a batch of these gradients.
fn with_batch<A: Float, R>(
    max_norm: MaxNorm,
    gradients: &[ArrayD<A>],
    visit: impl FnOnce(&mut Optimizer<A>, &mut [adamax::Bound<'_, A>]) -> Result<R, Error>,
) -> Result<R, Error> {
    let mut optimizer = optimizer(max_norm)?;
    let mut xs: Vec<ArrayD<A>> = gradients.iter().map(|g| ArrayD::zeros(g.shape())).collect();
    let mut batch = Vec::new();
    for (i, (x, g)) in xs.iter_mut().zip(gradients).enumerate() {
        batch.push(optimizer.register(&name(i), x)?.bind(x, g));
    }
    visit(&mut optimizer, &mut batch)
}

/// Returns what a check of these gradients has found.
fn found<A: Float>(max_norm: MaxNorm, gradients: &[ArrayD<A>]) -> Result<Findings, Error> {
    with_batch(max_norm, gradients, |optimizer, batch| Ok(Findings::of(&optimizer.check(batch))))
}

/// Returns the factor by which these findings multiply a gradient, in `f64` whatever the precision of
/// the gradients was.
fn factor(max_norm: MaxNorm, found: &Findings) -> Result<f64, Error> {
    let (mut x, one) = (array![0.0], array![1.0]);
    let mut optimizer = optimizer(max_norm)?;
    let slot = optimizer.register("one", &x)?;
    let mut batch = [slot.bind(&mut x, &one)];
    assert_eq!(optimizer.check(&mut batch)?.apply_agreed(found)?, Outcome::Applied);
    Ok(optimizer.state(slot).expect("own slot").first_moment()[[0]])
}

/// Both kinds of bounds: one sum for the batch, and one for each tensor.
const KINDS: [MaxNorm; 2] = [MaxNorm::Global(BOUND), MaxNorm::PerTensor(BOUND)];

// ---------------------------------------------------------------- layouts, threads and order

#[test]
fn layouts_do_not_change_a_bit_of_a_norm() -> Result<(), Error> {
    fn same<A: Float>() -> Result<(), Error> {
        let row_major = numbers::<A>(&SHAPES);
        for max_norm in KINDS {
            let expected = found(max_norm, &row_major)?;
            for layout in LAYOUTS {
                let other: Vec<_> = row_major.iter().map(|g| layout.arrange(g)).collect();
                let what = format!("{} {max_norm:?} {}", layout.letter(), type_name::<A>());
                let found = found(max_norm, &other)?;
                assert_eq!(found.to_words(), expected.to_words(), "{what}");
                assert_eq!(found, expected, "{what}");
            }
        }
        Ok(())
    }
    same::<f64>()?;
    same::<f32>()
}

/// A step, which may take the norm without an exact sum, uses the norm that a check has found.
#[test]
fn a_step_uses_the_norm_that_a_check_finds() -> Result<(), Error> {
    fn same<A: Float>() -> Result<(), Error> {
        for shape in SHAPES {
            let g = &numbers::<A>(&[shape])[0];
            if g.is_empty() {
                continue;
            }
            for max_norm in KINDS {
                let factor = A::of(factor(max_norm, &found(max_norm, std::slice::from_ref(g))?)?);
                let expected = g.mapv(|value| factor * value);
                for layout in LAYOUTS {
                    let g = layout.arrange(g);
                    let mut x = ArrayD::zeros(shape);
                    let mut optimizer = optimizer(max_norm)?;
                    let slot = optimizer.register("x", &x)?;
                    optimizer.step(&mut [slot.bind(&mut x, &g)])?;
                    let m = optimizer.state(slot).expect("own slot").first_moment();
                    // A subnormal moment is 0.
                    let m = m.mapv(|value| value + A::of(0.0));
                    let what = format!("{shape:?} {} {max_norm:?}", layout.letter());
                    assert_same(what, &m, &expected.mapv(normal));
                }
            }
        }
        Ok(())
    }
    same::<f64>()?;
    same::<f32>()
}

/// Replaces subnormal numbers and −0 by 0, as a step does.
fn normal<A: Float>(value: A) -> A {
    if value.wide().abs() < A::LEAST_NORMAL.wide() { A::of(0.0) } else { value }
}

#[test]
fn the_order_of_tensors_does_not_change_a_bit_of_a_norm() -> Result<(), Error> {
    let gradients = numbers::<f32>(&SHAPES);
    let expected = found(KINDS[0], &gradients)?;
    for shift in 0..SHAPES.len() {
        let mut other = gradients.clone();
        other.rotate_left(shift);
        if shift % 2 == 1 {
            other.reverse();
        }
        assert_eq!(found(KINDS[0], &other)?.to_words(), expected.to_words(), "shift {shift}");
    }
    Ok(())
}

#[cfg(feature = "rayon")]
#[test]
fn threads_do_not_change_a_bit_of_a_norm() -> Result<(), Error> {
    // Most are long enough to be split. All together are enough for several threads.
    const SHAPES: [&[usize]; 9] = [
        &[40_001],
        &[30, 1],
        &[131, 150],
        &[3, 17_000],
        &[17_000, 3],
        &[64, 32, 3, 3],
        &[33, 513],
        &[2, 3, 4, 5, 6, 70],
        &[2, 2, 2, 2, 2, 2, 600],
    ];
    fn same<A: Float>() -> Result<(), Error> {
        let row_major = numbers::<A>(&SHAPES);
        let expected = [found(KINDS[0], &row_major)?, found(KINDS[1], &row_major)?];
        let pools = [2, 5].map(|threads| {
            rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads")
        });
        for layout in LAYOUTS {
            let other: Vec<_> = row_major.iter().map(|g| layout.arrange(g)).collect();
            for (pool, (max_norm, expected)) in pools
                .iter()
                .flat_map(|pool| KINDS.iter().zip(&expected).map(move |kind| (pool, kind)))
            {
                let found = pool.install(|| {
                    with_batch(*max_norm, &other, |optimizer, batch| {
                        Ok(Findings::of(&optimizer.par_check(batch)))
                    })
                })?;
                let what = format!("{pool:?}, {}, {max_norm:?}", layout.letter());
                assert_eq!(found.to_words(), expected.to_words(), "{what}");
            }
        }
        Ok(())
    }
    same::<f64>()?;
    same::<f32>()
}

// ---------------------------------------------------------------- precision

/// The true norm as `root`·2^`exponent`, from a sum of squares in about twice the precision.
struct TrueNorm {
    root: f64,
    exponent: i32,
}

impl TrueNorm {
    fn of<A: Float>(gradients: &[ArrayD<A>]) -> Self {
        let values = || gradients.iter().flatten().map(|value| value.wide());
        let largest = values().fold(0.0, |largest: f64, value| largest.max(value.abs()));
        if largest == 0.0 {
            return TrueNorm { root: 0.0, exponent: 0 };
        }
        let exponent = largest.log2().floor().clamp(-1074.0, 1023.0);
        #[allow(clippy::cast_possible_truncation)] // a small integer
        let exponent = exponent as i32;
        let (mut high, mut low) = (0.0, 0.0);
        for value in values() {
            // Exact, unless the square is too small to count.
            let value = scaled(value, -exponent);
            let square = value * value;
            let rest = value.mul_add(value, -square);
            let sum: f64 = high + square;
            low += rest + if high >= square { high - sum + square } else { square - sum + high };
            high = sum;
        }
        TrueNorm { root: (high + low).sqrt(), exponent }
    }

    /// A bound of at most half of the norm, and at least as large as the smallest number.
    fn bound<A: Float>(&self) -> f64 {
        scaled(self.root / 2.0, self.exponent).clamp(A::LEAST_SUBNORMAL.wide(), f64::MAX)
    }

    /// Returns the factor from this norm to a bound that it exceeds.
    fn factor(&self, bound: f64) -> f64 {
        scaled(bound, -self.exponent) / self.root
    }
}

/// Multiplies by 2^`exponent`, in steps without an overflow of their own.
fn scaled(mut value: f64, mut exponent: i32) -> f64 {
    while exponent != 0 {
        let part = exponent.clamp(-1000, 1000);
        value *= 2_f64.powi(part);
        exponent -= part;
    }
    value
}

/// The relative error of a norm in units of ε/2, the largest error of one rounding. In a leaf of 512,
/// a square is rounded once, and takes part in at most 31 additions to its lane and 4 of lanes. Leaves
/// are added exactly, and the sum is rounded once. The square root halves these 37, and adds 1.
const NORM_ROUNDINGS: f64 = 19.5;
/// The same for the test: the true sum, its root, and the two divisions.
const TEST_ROUNDINGS: f64 = 3.5;

fn assert_precise<A: Float>(what: &str, gradients: &[ArrayD<A>]) -> Result<f64, Error> {
    let norm = TrueNorm::of(gradients);
    let bound = norm.bound::<A>();
    let max_norm = MaxNorm::Global(bound);
    let found = factor(max_norm, &found(max_norm, gradients)?)?;
    let error = (found / norm.factor(bound) - 1.0).abs() / (f64::EPSILON / 2.0);
    assert!(error <= NORM_ROUNDINGS + TEST_ROUNDINGS, "{what}: {error} roundings");
    Ok(error)
}

#[test]
fn a_norm_has_the_error_of_one_leaf() -> Result<(), Error> {
    fn precise<A: Float>() -> Result<(), Error> {
        let gradients = numbers::<A>(&SHAPES);
        for g in gradients.iter().filter(|g| !g.is_empty()) {
            assert_precise(&format!("{:?}", g.shape()), std::slice::from_ref(g))?;
        }
        assert_precise("all", &gradients)?;
        // Squares that are all rounded in the same direction.
        let third = ArrayD::from_elem(IxDyn(&[100_000]), A::of(1.0 / 3.0));
        assert_precise("thirds", &[third])?;
        Ok(())
    }
    precise::<f64>()?;
    precise::<f32>()
}

/// Values whose squares are out of range, alone and among others of any size.
#[test]
fn gradients_of_extreme_sizes_have_a_precise_norm() -> Result<(), Error> {
    fn precise<A: Float>(sizes: &[f64]) -> Result<(), Error> {
        let lengths = [1, 2, 17, 512, 513, 2000];
        for &size in sizes {
            for length in lengths {
                let g: ArrayD<A> = gradients(vec![length], &mut rng(SEED));
                let of_size = g.mapv(|value| A::of(value.wide().signum() * size));
                assert_precise(&format!("{length} times {size:e}"), &[of_size])?;
            }
            for &other in sizes {
                for at in [0, 511, 512, 1099] {
                    let what = format!("{size:e} at {at} among {other:e}");
                    let mut g = ArrayD::from_elem(IxDyn(&[1100]), A::of(other));
                    g[[at]] = A::of(-size);
                    let values: Vec<A> = g.iter().copied().collect();
                    assert_precise(&what, &[Layout::F.arrange(&shaped(&values, &[2, 550]))])?;
                    assert_precise(&what, &[Layout::F.arrange(&shaped(&values, &[11, 100]))])?;
                    assert_precise(&what, &[g])?;
                    // In another tensor.
                    let mut zeros = ArrayD::zeros(IxDyn(&[1100]));
                    zeros[[at]] = A::of(-size);
                    let others = ArrayD::from_elem(IxDyn(&[5]), A::of(other));
                    assert_precise(&what, &[zeros, others])?;
                }
            }
        }
        Ok(())
    }
    let smallest = f64::from_bits(1);
    precise::<f64>(&[
        1.0,
        1e-300,
        1e300,
        smallest,
        3e-320,
        f64::MIN_POSITIVE,
        f64::MAX,
        1e154,
        1.4e154,
        1e-135,
        1e-136,
        1e-154,
        1e-162,
    ])?;
    let smallest = f64::from(f32::from_bits(1));
    precise::<f32>(&[1.0, 1e-38, smallest, 1e-40, f64::from(f32::MAX), 1e19, 1e-23])
}

#[test]
fn zeros_have_no_norm() -> Result<(), Error> {
    for shape in SHAPES {
        let zeros: ArrayD<f64> = ArrayD::zeros(shape);
        let minus = zeros.mapv(|zero| -zero);
        for g in [zeros, minus] {
            let max_norm = MaxNorm::Global(f64::from_bits(1));
            assert_eq!(factor(max_norm, &found(max_norm, &[g])?)?, 1.0, "{shape:?}");
        }
    }
    let none: &[ArrayD<f64>] = &[];
    assert_eq!(factor(KINDS[0], &found(KINDS[0], none)?)?, 1.0);
    Ok(())
}

/// Zeros add nothing, however many there are and wherever they stand.
#[test]
fn zeros_around_a_value_do_not_change_its_norm() -> Result<(), Error> {
    for size in [1.0, f64::from_bits(1), f64::MIN_POSITIVE, 1e-200, 1e200, f64::MAX] {
        let alone = ArrayD::from_elem(IxDyn(&[]), size);
        let expected = found(KINDS[0], &[alone])?;
        for shape in SHAPES.into_iter().filter(|shape| !shape.contains(&0)) {
            let length: usize = shape.iter().product();
            for at in [0, length / 2, length - 1] {
                let mut g = ArrayD::zeros(shape);
                *g.iter_mut().nth(at).expect("an element") = -size;
                for layout in [Layout::C, Layout::Permuted, Layout::Stepped] {
                    let found = found(KINDS[0], &[layout.arrange(&g)])?;
                    assert_eq!(
                        found.to_words(),
                        expected.to_words(),
                        "{size:e} at {at} of {shape:?}"
                    );
                }
            }
        }
    }
    Ok(())
}
