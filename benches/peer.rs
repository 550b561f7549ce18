//! Runs steps of this crate for `benches/peers/compare.py` and `rows.py`, which compare several
//! systems.
//!
//! `peer f64|f32 propagate|default LENGTH COUNT` creates COUNT tensors with one axis of LENGTH
//! elements. With a fifth argument, it creates a table of that number of rows of LENGTH elements, of
//! which a step names COUNT, evenly spaced. Each input line is a number of steps. The program takes
//! these steps and prints the time in nanoseconds and the sum of all parameters.

mod common;

use std::{
    error::Error,
    io::{self, BufRead},
    iter,
    time::Instant,
};

use adamax::{
    Adamax, Outcome,
    ndarray::{Array, Ix1, Ix2, IxDyn},
};
use common::{Batch, Choice, Library, Number, Size, TableRows, input::shaped, unchecked};

/// The same inputs as in `job.py`. The formula is simple, so every language gives the same numbers.
fn numbers<A: Number>(step: u16, modulus: u16) -> impl Iterator<Item = A> {
    let residues = iter::successors(Some(0), move |residue| Some((residue + step) % modulus));
    residues.map(move |residue| A::of(f64::from(residue) / f64::from(modulus) - 0.5))
}

fn serve<A: Number>(rule: Adamax, length: usize, count: usize) -> Result<(), Box<dyn Error>> {
    let (mut x, mut g) = (numbers::<A>(271, 1009), numbers::<A>(733, 1013));
    if count == 1 {
        let library: Library<A, Ix1> =
            Library::new(rule, shaped(length, &mut x), shaped(length, &mut g));
        answer(library, Library::step, |library| sum([&library.x]))
    } else {
        let shape = IxDyn(&[length]);
        let mut x = iter::repeat_with(|| shaped(shape.clone(), &mut x));
        let mut g = iter::repeat_with(|| shaped(shape.clone(), &mut g));
        let (x, g) = (x.by_ref().take(count).collect(), g.by_ref().take(count).collect());
        answer(Batch::new(rule, None, x, g), Batch::step, |batch| sum(&batch.x))
    }
}

/// Steps rows of a table.
fn serve_rows<A: Number>(rule: Adamax, size: Size) -> Result<(), Box<dyn Error>> {
    let x = shaped(Ix2(size.rows, size.length), &mut numbers::<A>(271, 1009));
    let g = shaped(Ix2(size.named, size.length), &mut numbers(733, 1013));
    let table = TableRows::new(rule, x, g, Choice::Same, None);
    answer(table, TableRows::step, |table| sum([&table.x]))
}

fn answer<C>(
    mut contender: C,
    step: impl Fn(&mut C) -> Outcome,
    sum: impl Fn(&C) -> f64,
) -> Result<(), Box<dyn Error>> {
    for line in io::stdin().lock().lines() {
        let steps: u64 = line?.parse()?;
        let start = Instant::now();
        for _ in 0..steps {
            step(&mut contender);
        }
        println!("{} {}", start.elapsed().as_nanos(), sum(&contender));
    }
    Ok(())
}

fn sum<'a, A: Number, D: adamax::ndarray::Dimension + 'a>(
    arrays: impl IntoIterator<Item = &'a Array<A, D>>,
) -> f64 {
    arrays.into_iter().flatten().map(|&x| x.into()).sum()
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let (precision, rule, length, count, rows) = match arguments[..] {
        [precision, rule, length, count] => (precision, rule, length, count, None),
        [precision, rule, length, count, rows] => (precision, rule, length, count, Some(rows)),
        _ => {
            println!("nothing to do: this program is run by benches/peers/compare.py and rows.py");
            return Ok(());
        }
    };
    let rule = match rule {
        "propagate" => unchecked(),
        "default" => Adamax::default(),
        _ => return Err("the rule must be propagate or default".into()),
    };
    let (length, count) = (length.parse()?, count.parse()?);
    let rows = rows.map(str::parse).transpose()?;
    let size = rows.map(|rows| Size { rows, length, named: count });
    match (precision, size) {
        ("f64", None) => serve::<f64>(rule, length, count),
        ("f32", None) => serve::<f32>(rule, length, count),
        ("f64", Some(size)) => serve_rows::<f64>(rule, size),
        ("f32", Some(size)) => serve_rows::<f32>(rule, size),
        _ => Err("the precision must be f64 or f32".into()),
    }
}
