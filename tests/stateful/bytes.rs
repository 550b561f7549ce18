//! Bytes as a source of choices. Behind their end, every choice is the first one, so that a shorter input
//! is a simpler one.

use crate::common::{Float, Layout, layout::LAYOUTS};
use ndarray::{ArrayD, IxDyn};

/// The rest of an input.
pub(crate) struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    pub(crate) fn new(input: &'a [u8]) -> Self {
        Bytes(input)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((&first, rest)) => {
                self.0 = rest;
                first
            }
            None => 0,
        }
    }

    /// Returns a number below `limit`, which is at most 256; 0 if there is none.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::from(self.byte()) % limit.max(1)
    }

    /// Returns true once in `times` bytes, and never behind the end.
    pub(crate) fn once_in(&mut self, times: u8) -> bool {
        self.byte() % times == times - 1
    }

    pub(crate) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    /// Returns mostly the first choice.
    pub(crate) fn mostly_first<T: Clone>(&mut self, from: &[T]) -> T {
        let byte = usize::from(self.byte());
        let others = from.len() - 1;
        if byte < 224 || others == 0 { from[0].clone() } else { from[1 + byte % others].clone() }
    }

    pub(crate) fn layout(&mut self) -> Layout {
        self.pick(&LAYOUTS)
    }
}

/// The sizes of the numbers of an array.
#[derive(Clone, Copy, Debug)]
enum Size {
    /// Multiples of 1/16 below 8, many of them 0.
    Simple,
    /// From 1e-6 to 100.
    Usual,
    /// Any exponent, also subnormal numbers.
    Any,
    /// Close to the ends of the range: sums and squares overflow.
    Huge,
}

/// Numbers that are the same for the same seed.
struct Numbers(u64);

impl Numbers {
    /// Returns 64 random bits: the generator splitmix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// Returns a number in [0, 1).
    fn unit(&mut self) -> f64 {
        let bits = u32::try_from(self.next() >> 32).expect("32 bits");
        f64::from(bits) / 4_294_967_296.0
    }

    fn number<A: Float>(&mut self, size: Size) -> A {
        let largest = A::LARGEST.wide().log2();
        let magnitude = match size {
            Size::Simple => (self.unit() * 128.0).floor() / 16.0 * f64::from(self.next() % 4 != 0),
            Size::Usual => 10_f64.powf(self.unit() * 8.0 - 6.0),
            Size::Any => {
                let least = A::LEAST_SUBNORMAL.wide().log2();
                (least + self.unit() * (largest - least)).exp2()
            }
            Size::Huge => (largest - 4.0 * self.unit()).exp2(),
        };
        A::of(if self.next() % 2 == 0 { magnitude } else { -magnitude })
    }
}

/// The numbers that stand out in an array.
fn special<A: Float>() -> [A; 9] {
    let zero = A::of(0.0);
    [
        zero,
        -zero,
        A::NOT_A_NUMBER,
        A::INF,
        -A::INF,
        A::LARGEST,
        -A::LARGEST,
        A::LEAST_NORMAL,
        A::LEAST_SUBNORMAL,
    ]
}

impl Bytes<'_> {
    fn size(&mut self) -> Size {
        match self.byte() {
            0..64 => Size::Simple,
            64..240 => Size::Usual,
            240..252 => Size::Any,
            252.. => Size::Huge,
        }
    }

    /// Returns numbers in logical order: all of one size, and now and then one that stands out.
    pub(crate) fn numbers<A: Float>(&mut self, count: usize) -> Vec<A> {
        let (size, seed) = (self.size(), u64::from(self.byte()) << 8 | u64::from(self.byte()));
        let mut numbers = Numbers(seed);
        let mut values: Vec<A> = (0..count).map(|_| numbers.number(size)).collect();
        if self.once_in(10) && count > 0 {
            let place = usize::from(self.byte()) * 7 % count;
            values[place] = self.pick(&special());
        }
        values
    }

    /// Returns numbers that are finite.
    pub(crate) fn finite<A: Float>(&mut self, count: usize) -> Vec<A> {
        let finite = |value: A| if value.wide().is_finite() { value } else { A::of(0.5) };
        self.numbers(count).into_iter().map(finite).collect()
    }

    /// Returns an array of these numbers, in some layout.
    pub(crate) fn arranged<A: Float>(&mut self, values: &[A], shape: &[usize]) -> ArrayD<A> {
        self.layout().arrange(&array(values, shape))
    }

    /// Returns a shape of rank 0 to 8.
    pub(crate) fn shape(&mut self) -> Vec<usize> {
        // A giant is rare, because it costs as much as ten thousand others.
        if self.once_in(255) && self.once_in(16) {
            return vec![400, 340];
        }
        if self.once_in(24) {
            return self.pick(&LARGE).to_vec();
        }
        let rank = self.pick(&[1, 2, 3, 0, 2, 4, 5, 6, 7, 8]);
        let longest = [1, 12, 7, 4, 3, 3, 2, 2, 2][rank];
        let mut shape: Vec<_> = (0..rank).map(|_| 1 + self.below(longest)).collect();
        if rank > 0 && self.once_in(16) {
            let axis = self.below(rank);
            shape[axis] = 0;
        }
        shape
    }
}

/// Shapes of more elements than are copied to the stack, and of several leaves of a norm.
const LARGE: [&[usize]; 8] =
    [&[1200], &[40, 70], &[700, 3], &[3, 700], &[9, 10, 30], &[4, 3, 2, 2, 60], &[513], &[70, 1]];

/// Returns a row-major array.
pub(crate) fn array<A: Float>(values: &[A], shape: &[usize]) -> ArrayD<A> {
    ArrayD::from_shape_vec(IxDyn(shape), values.to_vec()).expect("one value per element")
}
