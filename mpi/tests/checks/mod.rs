//! Checks that every rank of a job makes together with the others: by threads, and by MPI.
//!
//! Each rank knows the gradients of all ranks, because they are a function of rank, tensor and step. So it
//! computes for itself what one process gives.

use adamax::{
    Adamax, Checkpoint, MaxNorm, NonFinite, Optimizer, Outcome, Slot, Snapshot, State, WeightDecay,
};
use adamax_mpi::{
    Combination, Element, Error, Reduction, ShardedBound, ShardedOptimizer, ShardedSlot, Transport,
};
use ndarray::{Array, Array1, ArrayD, Axis, IxDyn, ShapeBuilder, Slice, array};
use std::{fmt::Debug, fs, path::Path};

/// A check, and its name.
pub(crate) type Check<T> = (&'static str, fn(&mut T, &Path));

/// Returns all checks. The folder is the same for all ranks, and empty.
pub(crate) fn all<T: Transport>() -> Vec<Check<T>> {
    vec![
        ("steps have the bits of one process", steps),
        ("a tensor of several windows", large),
        ("a report is that of one process", reports),
        ("combined gradients", combinations),
        ("a tree of micro-batches", trees),
        ("the engine's own sum", engine_sums),
        ("tensors that are left out", left_out),
        ("memory is divided", memory),
        ("files are those of one process, and resume", files),
        ("a bad gradient", bad_gradients),
        ("sums that overflow", overflowing_sums),
        ("policies for bad gradients", policies),
        ("a batch that one rank refuses", refused_batches),
        ("ranks that differ", differences),
        ("another precision", precisions),
        ("another call", calls),
        ("snapshots that do not fit", snapshots_that_do_not_fit),
        ("files that cannot be written or read", lost_files),
        ("broadcast", broadcasts),
        ("a communicator and its slots", slots),
    ]
}

// ---------------------------------------------------------------- a model

/// Tensors of no axis and of five, empty ones, small ones, and ones that are cut within rows.
const SHAPES: [&[usize]; 10] = [
    &[],
    &[0],
    &[3],
    &[2, 3, 4],
    &[40, 50],
    &[11, 513],
    &[3, 700],
    &[2, 0, 2],
    &[2, 3, 2, 5, 40],
    &[3_001, 3],
];

const STEPS: u32 = 3;

const BOUNDS: [Option<MaxNorm>; 3] =
    [None, Some(MaxNorm::Global(0.5)), Some(MaxNorm::PerTensor(0.25))];

/// Returns the ranks that do something wrong: the first and the last of a range.
fn culprits(first: usize, ranks: usize) -> impl Iterator<Item = usize> {
    [first, ranks - 1].into_iter().filter(move |&rank| rank >= first).take(ranks - first)
}

fn bits<A: Element>(values: impl IntoIterator<Item = A>) -> Vec<u64> {
    values.into_iter().map(|value| value.wide().to_bits()).collect()
}

/// Returns numbers of both signs and many sizes, which look random.
fn numbers<A: Element>(shape: &[usize], seed: usize) -> ArrayD<A> {
    let mut state = 0x9e37_79b9_u64.wrapping_mul(2 * seed as u64 + 1);
    Array::from_shape_simple_fn(shape, || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let unit = f64::from(u32::try_from(state >> 40).unwrap()) / f64::from(1 << 24);
        let size = 10_f64.powi(i32::try_from(state >> 33 & 7).unwrap() - 5);
        A::nearest((unit - 0.5) * size)
    })
}

fn parameter<A: Element>(tensor: usize) -> ArrayD<A> {
    numbers(SHAPES[tensor], 1000 + tensor)
}

fn gradient<A: Element>(rank: usize, tensor: usize, step: u32) -> ArrayD<A> {
    numbers(SHAPES[tensor], 17 * (rank + 1) + 131 * tensor + 1009 * step as usize)
}

/// Returns the same values in one of five memory layouts.
fn arrange<A: Element>(values: &ArrayD<A>, layout: usize) -> ArrayD<A> {
    let shape = values.shape();
    let mut array = match layout % 5 {
        0 => ArrayD::zeros(shape),
        1 => ArrayD::zeros(IxDyn(shape).f()),
        2 => {
            let axes = shape.len();
            let rolled: Vec<_> = (0..axes).map(|axis| shape[(axis + 1) % axes]).collect();
            let back: Vec<_> = (0..axes).map(|axis| (axis + axes - 1) % axes).collect();
            ArrayD::zeros(rolled).permuted_axes(back)
        }
        3 => {
            let mut wide = ArrayD::zeros(shape.iter().map(|length| 2 * length).collect::<Vec<_>>());
            wide.slice_each_axis_inplace(|_| Slice::new(0, None, 2));
            wide
        }
        _ => {
            let mut backwards = ArrayD::zeros(shape);
            (0..shape.len()).for_each(|axis| backwards.invert_axis(Axis(axis)));
            backwards
        }
    };
    array.assign(values);
    array
}

fn rules() -> [Adamax; 3] {
    let decayed = Adamax::builder().weight_decay(WeightDecay::Decoupled(0.01)).build();
    let bounded = Adamax::builder().learning_rate(0.1).bounds(-0.2, 0.3).clip_value(0.05).build();
    [Adamax::default(), decayed.unwrap(), bounded.unwrap()]
}

/// The bits of x, m and u, and t.
type Memory = ([Vec<u64>; 3], u64);

/// The model on one rank.
struct Sharded<'t, A, T> {
    optimizer: ShardedOptimizer<A, &'t mut T>,
    slots: Vec<ShardedSlot<IxDyn>>,
    x: Vec<ArrayD<A>>,
    layout: usize,
}

impl<'t, A: Element, T: Transport> Sharded<'t, A, T> {
    fn new(transport: &'t mut T, rules: &[Adamax], layout: usize) -> Self {
        let x: Vec<_> = (0..SHAPES.len()).map(parameter).collect();
        let mut optimizer = ShardedOptimizer::new(transport, rules[0]);
        let groups: Vec<_> = rules.iter().map(|&rule| optimizer.add_group(rule)).collect();
        let x: Vec<_> = x.iter().enumerate().map(|(i, x)| arrange(x, layout + i)).collect();
        let register = |(i, x): (usize, &ArrayD<A>)| {
            optimizer.register_in(groups[i % groups.len()], &format!("tensor {i}"), x).unwrap()
        };
        let slots = x.iter().enumerate().map(register).collect();
        Sharded { optimizer, slots, x, layout }
    }

    fn gradients(&self, step: u32) -> Vec<ArrayD<A>> {
        let rank = self.optimizer.rank();
        let layout = |i: usize| self.layout + 2 * i + rank;
        (0..SHAPES.len()).map(|i| arrange(&gradient(rank, i, step), layout(i))).collect()
    }

    fn bind<'a>(
        slots: &[ShardedSlot<IxDyn>],
        x: &'a mut [ArrayD<A>],
        g: &'a [ArrayD<A>],
    ) -> Vec<ShardedBound<'a, A>> {
        x.iter_mut().zip(g).zip(slots).map(|((x, g), slot)| slot.bind(x, g)).collect()
    }

    fn step(&mut self, step: u32) -> Result<Outcome, Error> {
        let g = self.gradients(step);
        self.optimizer.step(&mut Self::bind(&self.slots, &mut self.x, &g))
    }

    /// Everything that a step may change on this rank.
    fn state(&self) -> Vec<Memory> {
        let of = |(slot, x): (&ShardedSlot<IxDyn>, &ArrayD<A>)| {
            let state = self.optimizer.part_state(*slot).unwrap();
            let [m, u] = [state.first_moment(), state.inf_norm()].map(|a| bits(a.iter().copied()));
            ([bits(x.iter().copied()), m, u], state.steps())
        };
        self.slots.iter().zip(&self.x).map(of).collect()
    }
}

/// The same model in one process.
struct Alone<A> {
    optimizer: Optimizer<A>,
    slots: Vec<Slot<IxDyn>>,
    x: Vec<ArrayD<A>>,
    ranks: usize,
}

impl<A: Element> Alone<A> {
    fn new(ranks: usize, rules: &[Adamax]) -> Self {
        let x: Vec<_> = (0..SHAPES.len()).map(parameter).collect();
        let mut optimizer = Optimizer::new(rules[0]);
        let groups: Vec<_> = rules.iter().map(|&rule| optimizer.add_group(rule)).collect();
        let register = |(i, x): (usize, &ArrayD<A>)| {
            optimizer.register_in(groups[i % groups.len()], &format!("tensor {i}"), x).unwrap()
        };
        let slots = x.iter().enumerate().map(register).collect();
        Alone { optimizer, slots, x, ranks }
    }

    /// Adds the gradients in the order of the ranks.
    fn sums(&self, step: u32) -> Vec<ArrayD<A>> {
        let sum = |i| {
            let mut sum = gradient(0, i, step);
            for rank in 1..self.ranks {
                sum.zip_mut_with(&gradient(rank, i, step), |sum: &mut A, g| *sum += *g);
            }
            sum
        };
        (0..SHAPES.len()).map(sum).collect()
    }

    fn bind<'a>(
        slots: &[Slot<IxDyn>],
        x: &'a mut [ArrayD<A>],
        g: &'a [ArrayD<A>],
    ) -> Vec<adamax::Bound<'a, A>> {
        x.iter_mut().zip(g).zip(slots).map(|((x, g), slot)| slot.bind(x, g)).collect()
    }

    fn step(&mut self, step: u32) {
        let g = self.sums(step);
        self.optimizer.step(&mut Self::bind(&self.slots, &mut self.x, &g)).unwrap();
    }
}

fn assert_same_bits<A: Element, T: Transport>(
    what: impl Debug,
    sharded: &mut Sharded<'_, A, T>,
    alone: &Alone<A>,
) {
    let snapshot = sharded.optimizer.snapshot().unwrap();
    assert_same_snapshots(&what, &snapshot, &alone.optimizer.snapshot());
    for (i, (found, expected)) in sharded.x.iter().zip(&alone.x).enumerate() {
        let [found, expected] = [found, expected].map(|x| bits(x.iter().copied()));
        assert!(found == expected, "parameter {i}, {what:?}");
        let slot = sharded.slots[i];
        let (part, state) =
            (sharded.optimizer.part(slot).unwrap(), sharded.optimizer.part_state(slot).unwrap());
        let whole = alone.optimizer.state(alone.slots[i]).unwrap();
        assert_eq!(state.steps(), whole.steps());
        for (own, whole) in
            [(state.first_moment(), whole.first_moment()), (state.inf_norm(), whole.inf_norm())]
        {
            let whole: Vec<A> = whole.iter().copied().collect();
            let own = bits(own.iter().copied());
            assert!(own == bits(whole[part.range()].iter().copied()), "moments {i}, {what:?}");
        }
    }
}

fn assert_same_snapshots<A: Element>(
    what: impl Debug,
    found: &Snapshot<A>,
    expected: &Snapshot<A>,
) {
    assert_eq!(found, expected, "{what:?}");
    for name in expected.names() {
        let moments = |snapshot: &Snapshot<A>| {
            let state: &State<A> = snapshot.state(name).unwrap();
            [state.first_moment(), state.inf_norm()].map(|a| bits(a.iter().copied()))
        };
        assert!(moments(found) == moments(expected), "{name}, {what:?}");
    }
}

// ---------------------------------------------------------------- bits

fn steps<T: Transport>(transport: &mut T, _: &Path) {
    fn check<A: Element, T: Transport>(transport: &mut T) {
        let ranks = transport.size();
        for (number, max_norm) in BOUNDS.into_iter().enumerate() {
            for layout in [0, number + 1] {
                let mut sharded = Sharded::<A, T>::new(transport, &rules(), layout);
                let mut alone = Alone::<A>::new(ranks, &rules());
                sharded.optimizer.set_max_norm(max_norm).unwrap();
                alone.optimizer.set_max_norm(max_norm).unwrap();
                for step in 0..STEPS {
                    let scale = 1.0 / f64::from(step + 1);
                    sharded.optimizer.set_lr_scale(scale).unwrap();
                    alone.optimizer.set_lr_scale(scale).unwrap();
                    assert_eq!(sharded.step(step).unwrap(), Outcome::Applied);
                    alone.step(step);
                }
                assert_same_bits((max_norm, layout, ranks), &mut sharded, &alone);
            }
        }
    }
    check::<f64, T>(transport);
    check::<f32, T>(transport);
}

/// A tensor that takes several messages between each two ranks; and one small tensor for each rank, so that a
/// message is sent from one tensor and another one is received in the next.
fn large<T: Transport>(transport: &mut T, _: &Path) {
    let (rank, ranks) = (transport.rank(), transport.size());
    let one_large = vec![[50_000 * ranks.min(3), 3]];
    let small = vec![[10, 3]; ranks];
    for (shapes, layout) in [(&one_large, 0), (&one_large, 1), (&small, 0), (&small, 1)] {
        let (mut alone, mut sharded) = (
            Optimizer::new(Adamax::default()),
            ShardedOptimizer::new(&mut *transport, Adamax::default()),
        );
        // Sums of whole numbers have no rounding.
        let of = |rank: usize, shape: &[usize; 2]| {
            let mut place = 0_u32;
            Array::from_shape_simple_fn(*shape, || {
                place += 1;
                f32::from(u16::try_from(place * (2 + u32::try_from(rank).unwrap()) % 31).unwrap())
                    - 15.0
            })
            .into_dyn()
        };
        let mut expected = Vec::new();
        let (mut slots, mut params, mut gradients) = (Vec::new(), Vec::new(), Vec::new());
        for (number, shape) in shapes.iter().enumerate() {
            let mut sum = of(0, shape);
            (1..ranks).for_each(|rank| sum += &of(rank, shape));
            // Parameters of different tensors differ.
            let start = f32::from(u16::try_from(number + 1).unwrap());
            let mut x = ArrayD::<f32>::from_elem(&shape[..], start);
            params.push(arrange(&x, layout));
            gradients.push(arrange(&of(rank, shape), layout));
            let name = number.to_string();
            let slot = alone.register(&name, &x).unwrap();
            alone.step(&mut [slot.bind(&mut x, &sum)]).unwrap();
            slots.push(sharded.register(&name, &x).unwrap());
            expected.push(x);
        }
        let arrays = params.iter_mut().zip(&gradients);
        let mut batch: Vec<_> =
            slots.iter().zip(arrays).map(|(slot, (x, g))| slot.bind(x, g)).collect();
        sharded.step(&mut batch).unwrap();
        for (x, expected) in params.iter().zip(expected) {
            assert!(bits(x.iter().copied()) == bits(expected), "{shapes:?}, layout {layout}");
        }
    }
}

fn reports<T: Transport>(transport: &mut T, _: &Path) {
    let ranks = transport.size();
    for max_norm in BOUNDS {
        let mut sharded = Sharded::<f32, T>::new(transport, &rules(), 1);
        let mut alone = Alone::<f32>::new(ranks, &rules());
        sharded.optimizer.set_max_norm(max_norm).unwrap();
        alone.optimizer.set_max_norm(max_norm).unwrap();
        for step in 0..STEPS {
            let g = sharded.gradients(step);
            let batch = &mut Sharded::<_, T>::bind(&sharded.slots, &mut sharded.x, &g);
            let found = sharded.optimizer.step_with_report(batch).unwrap();
            let g = alone.sums(step);
            let batch = &mut Alone::bind(&alone.slots, &mut alone.x, &g);
            let expected = alone.optimizer.step_with_report(batch).unwrap();
            assert_eq!(found, expected, "{max_norm:?}");
        }
        assert_same_bits(max_norm, &mut sharded, &alone);
    }
}

fn combinations<T: Transport>(transport: &mut T, _: &Path) {
    let ranks = transport.size();
    let number = f64::from(u32::try_from(ranks).unwrap());
    let all = [(Combination::Mean, number), (Combination::DividedBy(0.3), 0.3)];
    for (combination, divisor) in all {
        let mut sharded = Sharded::<f64, T>::new(transport, &rules(), 3);
        let mut alone = Alone::<f64>::new(ranks, &rules());
        sharded.optimizer.set_combination(combination).unwrap();
        assert_eq!(sharded.optimizer.combination(), combination);
        for step in 0..STEPS {
            sharded.step(step).unwrap();
            let g: Vec<_> = alone.sums(step).iter().map(|sum| sum.mapv(|g| g / divisor)).collect();
            let batch = &mut Alone::bind(&alone.slots, &mut alone.x, &g);
            alone.optimizer.step(batch).unwrap();
        }
        assert_same_bits(combination, &mut sharded, &alone);
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let refused = sharded.optimizer.set_combination(Combination::DividedBy(bad));
            assert!(matches!(refused, Err(Error::Refused { .. })), "{bad}");
            assert_eq!(sharded.optimizer.combination(), combination);
        }
    }
    // Finite in double precision only.
    let mut single = ShardedOptimizer::<f32, _>::new(transport, Adamax::default());
    for bad in [1e-60, 1e60] {
        assert!(single.set_combination(Combination::DividedBy(bad)).is_err());
    }
}

/// Four micro-batches, on 1, 2 or 4 ranks, give the same bits.
fn trees<T: Transport>(transport: &mut T, _: &Path) {
    const MICRO: usize = 4;
    let (rank, ranks) = (transport.rank(), transport.size());
    if MICRO % ranks != 0 {
        return;
    }
    let own = MICRO / ranks;
    let mut sharded = Sharded::<f32, T>::new(transport, &rules(), 0);
    sharded.optimizer.set_reduction(Reduction::Tree);
    let mut alone = Alone::<f32>::new(MICRO, &rules());
    for step in 0..STEPS {
        let add = |mut a: ArrayD<f32>, b: &ArrayD<f32>| {
            a.zip_mut_with(b, |a, b| *a += *b);
            a
        };
        let expected: Vec<_> = (0..SHAPES.len())
            .map(|i| {
                let g = |micro| gradient(micro, i, step);
                add(add(g(0), &g(1)), &add(g(2), &g(3)))
            })
            .collect();
        alone.optimizer.step(&mut Alone::bind(&alone.slots, &mut alone.x, &expected)).unwrap();
        let g: Vec<_> = (0..SHAPES.len())
            .map(|i| {
                let mut micro: Vec<ArrayD<f32>> =
                    (0..own).map(|micro| gradient(rank * own + micro, i, step)).collect();
                let mut slices: Vec<_> =
                    micro.iter_mut().map(|g| g.as_slice_mut().unwrap()).collect();
                adamax_mpi::sum_in_tree(&mut slices);
                micro.swap_remove(0)
            })
            .collect();
        let batch = &mut Sharded::<_, T>::bind(&sharded.slots, &mut sharded.x, &g);
        sharded.optimizer.step(batch).unwrap();
    }
    assert_same_bits("tree", &mut sharded, &alone);
}

/// The order of the engine's sum is unknown, but all ranks have the same parameters.
fn engine_sums<T: Transport>(transport: &mut T, _: &Path) {
    /// A sum of 7 numbers may differ by a few units in the last place, and so may a step.
    const TOLERANCE: f64 = 1e-9;
    let ranks = transport.size();
    let mut sharded = Sharded::<f64, T>::new(transport, &[Adamax::default()], 2);
    let mut alone = Alone::<f64>::new(ranks, &[Adamax::default()]);
    sharded.optimizer.set_reduction(Reduction::Engine);
    for step in 0..STEPS {
        sharded.step(step).unwrap();
        alone.step(step);
    }
    for (found, expected) in sharded.x.iter().zip(&alone.x) {
        let near = found.iter().zip(expected).all(|(a, b)| (a - b).abs() < TOLERANCE);
        assert!(near, "the engine's sum is a sum");
    }
    let own: Vec<f64> = sharded.x.iter().flatten().copied().collect();
    let mut first = Array1::from(own.clone());
    sharded.optimizer.broadcast(&mut first).unwrap();
    assert_eq!(bits(first), bits(own), "all ranks have the parameters of rank 0");
}

fn left_out<T: Transport>(transport: &mut T, _: &Path) {
    let ranks = transport.size();
    let mut sharded = Sharded::<f64, T>::new(transport, &rules(), 0);
    let mut alone = Alone::<f64>::new(ranks, &rules());
    let batches: [&[usize]; 4] = [&[4, 0, 9], &[], &[9, 8, 1, 2], &[5]];
    for (step, chosen) in (0..).zip(batches) {
        let (g, sums) = (sharded.gradients(step), alone.sums(step));
        let mut x: Vec<_> = sharded.x.iter_mut().map(Some).collect();
        let mut batch: Vec<_> =
            chosen.iter().map(|&i| sharded.slots[i].bind(x[i].take().unwrap(), &g[i])).collect();
        sharded.optimizer.step(&mut batch).unwrap();
        let mut x: Vec<_> = alone.x.iter_mut().map(Some).collect();
        let mut batch: Vec<_> =
            chosen.iter().map(|&i| alone.slots[i].bind(x[i].take().unwrap(), &sums[i])).collect();
        alone.optimizer.step(&mut batch).unwrap();
    }
    assert_same_bits("left out", &mut sharded, &alone);
}

fn memory<T: Transport>(transport: &mut T, _: &Path) {
    const BLOCK: usize = 512;
    let ranks = transport.size();
    let shapes: [&[&[usize]]; 3] = [&SHAPES, &[&[1_000_003]], &[&[30, 30][..]; 64]];
    for shapes in shapes {
        let mut optimizer = ShardedOptimizer::<f32, _>::new(&mut *transport, Adamax::default());
        let mut own = 0;
        for (i, shape) in shapes.iter().enumerate() {
            let x = ArrayD::<f32>::zeros(*shape);
            let slot = optimizer.register(&format!("{i}"), &x).unwrap();
            let state = optimizer.part_state(slot).unwrap();
            let moments = state.first_moment().len() + state.inf_norm().len();
            assert!(moments <= 2 * (x.len() / ranks + BLOCK), "{shape:?}");
            own += moments / 2;
        }
        let total: usize = shapes.iter().map(|shape| shape.iter().product::<usize>()).sum();
        assert_eq!(optimizer.own_parameters(), own);
        assert!(own <= total / ranks + BLOCK * shapes.len());
        let rank = optimizer.rank();
        println!("moments of {own} of {total} parameters on rank {rank} of {ranks}");
        // Together, the ranks have each moment once.
        let mut owned = vec![0; ranks];
        let word = u64::try_from(own).unwrap();
        optimizer.transport_mut().all_gather(&[word], &mut owned).unwrap();
        assert_eq!(owned.iter().sum::<u64>(), u64::try_from(total).unwrap());
    }
}

// ---------------------------------------------------------------- files

fn files<T: Transport>(transport: &mut T, folder: &Path) {
    let (rank, ranks) = (transport.rank(), transport.size());
    let max_norm = Some(MaxNorm::Global(0.5));
    let mut alone = Alone::<f32>::new(ranks, &rules());
    alone.optimizer.set_max_norm(max_norm).unwrap();
    let mut sharded = Sharded::<f32, T>::new(transport, &rules(), 1);
    sharded.optimizer.set_max_norm(max_norm).unwrap();
    for step in 0..2 {
        sharded.step(step).unwrap();
        alone.step(step);
    }
    // State files of one process and of all ranks are the same, so any number of ranks reads them.
    let path = folder.join("sharded.safetensors");
    let own_path = folder.join(format!("alone {rank}.safetensors"));
    sharded.optimizer.save(&path).unwrap();
    alone.optimizer.snapshot().save(&own_path).unwrap();
    assert!(fs::read(&path).unwrap() == fs::read(&own_path).unwrap(), "the same bytes");

    let whole = sharded.optimizer.snapshot_on_root().unwrap();
    assert_eq!(whole.is_some(), rank == 0);
    if let Some(whole) = whole {
        assert_same_snapshots("on rank 0", &whole, &alone.optimizer.snapshot());
    }

    // With parameters.
    let full = folder.join("full.safetensors");
    let x = &sharded.x;
    let save = |snapshot: Snapshot<f32>| {
        let mut checkpoint = Checkpoint::new(snapshot);
        for (i, x) in x.iter().enumerate() {
            checkpoint.add_parameter(&format!("tensor {i}"), x)?;
        }
        checkpoint.save(&full)
    };
    sharded.optimizer.save_with(save).unwrap();
    let before = sharded.x.clone();
    let Sharded { optimizer, .. } = sharded;
    drop(optimizer);
    let checkpoint = Checkpoint::<f32>::load(&full).unwrap();

    // A new run, from the file and from the checkpoint; other settings are overwritten.
    for from_file in [true, false] {
        let mut resumed = Sharded::<f32, T>::new(&mut *transport, &[rules()[0]; 3], 2);
        if from_file {
            resumed.optimizer.load(&path).unwrap();
        } else {
            resumed.optimizer.restore(checkpoint.snapshot()).unwrap();
        }
        for (i, (x, before)) in resumed.x.iter_mut().zip(&before).enumerate() {
            x.assign(before);
            checkpoint.assign_parameter(&format!("tensor {i}"), x).unwrap();
        }
        let mut continued = Alone::<f32>::new(ranks, &rules());
        continued.optimizer.restore(&Snapshot::load(&own_path).unwrap()).unwrap();
        continued.x.clone_from(&alone.x);
        for step in 2..4 {
            resumed.step(step).unwrap();
            continued.step(step);
        }
        assert_same_bits("resumed", &mut resumed, &continued);
    }
}

fn lost_files<T: Transport>(transport: &mut T, folder: &Path) {
    let (rank, ranks) = (transport.rank(), transport.size());
    let mut sharded = Sharded::<f64, T>::new(transport, &rules(), 0);
    sharded.step(0).unwrap();
    let before = sharded.state();
    let nowhere = folder.join("no such folder").join("file");
    for error in [
        sharded.optimizer.save(&nowhere).unwrap_err(),
        sharded.optimizer.load(&nowhere).unwrap_err(),
    ] {
        assert_eq!(error.rank(), Some(0));
        assert!(error.to_string().contains("no such folder"), "{error}");
    }
    // Only the last rank does not find its file.
    let path = folder.join("state.safetensors");
    sharded.optimizer.save(&path).unwrap();
    sharded.step(1).unwrap();
    let after = sharded.state();
    assert!(before != after);
    let own = if rank + 1 == ranks { &nowhere } else { &path };
    let error = sharded.optimizer.load(own).unwrap_err();
    assert_eq!(error.rank(), Some(ranks - 1), "{error}");
    assert!(sharded.state() == after);
    sharded.step(2).unwrap();
}

fn snapshots_that_do_not_fit<T: Transport>(transport: &mut T, _: &Path) {
    let (rank, ranks) = (transport.rank(), transport.size());
    let mut sharded = Sharded::<f64, T>::new(transport, &rules(), 0);
    sharded.step(0).unwrap();
    let good = sharded.optimizer.snapshot().unwrap();
    let other = |register: &dyn Fn(&mut Optimizer<f64>)| {
        let mut optimizer = Optimizer::new(rules()[0]);
        for rule in rules() {
            let _ = optimizer.add_group(rule);
        }
        register(&mut optimizer);
        optimizer.snapshot()
    };
    let missing = other(&|_| {});
    let shape = other(&|optimizer| {
        optimizer.register("tensor 2", &Array1::zeros(4)).unwrap();
    });
    let before = sharded.state();
    for (bad, expected) in [(&missing, "tensor 0"), (&shape, "[4]")] {
        for culprit in culprits(0, ranks) {
            let own = if rank == culprit { bad } else { &good };
            let error = sharded.optimizer.restore(own).unwrap_err();
            assert_eq!(error.rank(), Some(culprit), "{error}");
            assert!(error.to_string().contains(expected), "{error}");
            assert!(sharded.state() == before);
        }
    }
    // Each fits, but they are not the same.
    if ranks > 1 {
        sharded.step(1).unwrap();
        let newer = sharded.optimizer.snapshot().unwrap();
        let before = sharded.state();
        for culprit in culprits(0, ranks) {
            let own = if rank == culprit { &good } else { &newer };
            let error = sharded.optimizer.restore(own).unwrap_err();
            assert!(matches!(error, Error::Differs { .. }), "{error}");
            assert!(error.to_string().contains("snapshot"), "{error}");
            assert!(sharded.state() == before);
        }
    }
    sharded.optimizer.restore(&good).unwrap();
    sharded.step(2).unwrap();
}

// ---------------------------------------------------------------- errors

fn bad_gradients<T: Transport>(transport: &mut T, _: &Path) {
    let (rank, ranks) = (transport.rank(), transport.size());
    for max_norm in BOUNDS {
        let mut sharded = Sharded::<f64, T>::new(transport, &rules(), 0);
        sharded.optimizer.set_max_norm(max_norm).unwrap();
        sharded.step(0).unwrap();
        let before = sharded.state();
        let good = sharded.gradients(1);
        for culprit in culprits(0, ranks) {
            for (tensor, index) in
                [(0, vec![]), (5, vec![10, 512]), (8, vec![1, 2, 0, 3, 7]), (9, vec![3_000, 1])]
            {
                for (value, shown) in [(f64::NAN, "NaN"), (f64::NEG_INFINITY, "-inf")] {
                    let mut g = good.clone();
                    if rank == culprit {
                        g[tensor][&index[..]] = value;
                        // A later one is not the first.
                        g[9][[3_000, 2]] = value;
                    }
                    let batch = &mut Sharded::<_, T>::bind(&sharded.slots, &mut sharded.x, &g);
                    let error = sharded.optimizer.step(batch).unwrap_err();
                    let expected = format!(
                        "rank {culprit}: tensor `tensor {tensor}`: gradient is {shown} at index {index:?}"
                    );
                    assert_eq!(error.to_string(), expected);
                    assert_eq!(error.rank(), Some(culprit));
                    assert_eq!(error.tensor(), Some(&*format!("tensor {tensor}")));
                    assert!(sharded.state() == before);
                }
            }
        }
        // Afterwards, all go on.
        sharded.step(1).unwrap();
    }
}

fn overflowing_sums<T: Transport>(transport: &mut T, _: &Path) {
    let ranks = transport.size();
    if ranks == 1 {
        return;
    }
    let mut sharded = Sharded::<f32, T>::new(transport, &rules(), 0);
    let mut g = sharded.gradients(0);
    g[6][[2, 699]] = f32::MAX;
    let before = sharded.state();
    let batch = &mut Sharded::<_, T>::bind(&sharded.slots, &mut sharded.x, &g);
    let error = sharded.optimizer.step(batch).unwrap_err();
    let text = error.to_string();
    let expected = "tensor `tensor 6`: combined gradient is inf at index [2, 699]";
    assert!(text.ends_with(expected), "{text}");
    assert!(sharded.state() == before);
}

fn policies<T: Transport>(transport: &mut T, _: &Path) {
    let (rank, ranks) = (transport.rank(), transport.size());
    for policy in [NonFinite::Skip, NonFinite::Propagate] {
        let rules = rules().map(|rule| rule.to_builder().non_finite(policy).build().unwrap());
        for max_norm in BOUNDS {
            for culprit in culprits(0, ranks) {
                let mut sharded = Sharded::<f64, T>::new(&mut *transport, &rules, 0);
                let mut alone = Alone::<f64>::new(ranks, &rules);
                sharded.optimizer.set_max_norm(max_norm).unwrap();
                alone.optimizer.set_max_norm(max_norm).unwrap();
                let mut g = sharded.gradients(0);
                let mut sums = alone.sums(0);
                sums[4][[39, 49]] = f64::NAN;
                if rank == culprit {
                    g[4][[39, 49]] = f64::NAN;
                }
                let batch = &mut Sharded::<_, T>::bind(&sharded.slots, &mut sharded.x, &g);
                let found = sharded.optimizer.step_with_report(batch).unwrap();
                let batch = &mut Alone::bind(&alone.slots, &mut alone.x, &sums);
                let expected = alone.optimizer.step_with_report(batch).unwrap();
                let figures = |report: adamax::Report| {
                    let norms = [report.gradient_norm(), report.clip_factor()];
                    let maxima = [report.max_gradient(), report.max_step()];
                    (report.outcome(), [norms, maxima].map(|pair| pair.map(f64::to_bits)))
                };
                assert_eq!(figures(found), figures(expected), "{policy:?}, {max_norm:?}");
                // The bits of NaN depend on the machine.
                for (found, expected) in sharded.x.iter().zip(&alone.x) {
                    let same = |(a, b): (&f64, &f64)| {
                        a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan()
                    };
                    assert!(found.iter().zip(expected).all(same), "{policy:?}, {max_norm:?}");
                }
                let snapshot = sharded.optimizer.snapshot();
                if policy == NonFinite::Propagate {
                    let error = snapshot.unwrap_err();
                    assert!(error.to_string().contains("NaN"), "{error}");
                } else {
                    assert_eq!(snapshot.unwrap(), alone.optimizer.snapshot());
                }
            }
        }
    }
}

/// A batch of one rank: slots, parameters and gradients.
type Members<A> = Vec<(ShardedSlot<IxDyn>, ArrayD<A>, ArrayD<A>)>;

/// A mistake of one rank, with a foreign slot and an array of another shape; and the error that all get.
type Fault = (fn(&mut Members<f64>, ShardedSlot<IxDyn>, ArrayD<f64>), &'static str, Vec<usize>);

fn refused_batches<T: Transport>(transport: &mut T, _: &Path) {
    let (rank, ranks) = (transport.rank(), transport.size());
    let foreign = {
        let mut other = ShardedOptimizer::<f64, _>::new(&mut *transport, Adamax::default());
        other.register("other", &ArrayD::zeros(vec![3])).unwrap()
    };
    let mut sharded = Sharded::<f64, T>::new(transport, &rules(), 0);
    sharded.step(0).unwrap();
    let before = sharded.state();
    let wrong = |shape: &[usize]| ArrayD::<f64>::zeros(shape);
    let faults: [Fault; 4] = [
        (
            |members, _, wrong| members[2].2 = wrong,
            "tensor `tensor 2`: gradient has shape [4], but parameter has shape [3]",
            vec![4],
        ),
        (
            |members, _, wrong| (members[3].1, members[3].2) = (wrong.clone(), wrong),
            "tensor `tensor 3`: parameter has shape [2, 4, 3], but the registered shape is [2, 3, 4]",
            vec![2, 4, 3],
        ),
        (
            |members, _, _| members.push(members[4].clone()),
            "tensor `tensor 4`: comes twice in one batch",
            vec![],
        ),
        (
            |members, foreign, _| members[2].0 = foreign,
            "slot at index 2 of the batch belongs to another optimizer",
            vec![],
        ),
    ];
    for (fault, expected, shape) in faults {
        for culprit in culprits(0, ranks) {
            let g = sharded.gradients(1);
            let mut members: Members<f64> = sharded
                .slots
                .iter()
                .zip(&sharded.x)
                .zip(&g)
                .map(|((slot, x), g)| (*slot, x.clone(), g.clone()))
                .collect();
            if rank == culprit {
                fault(&mut members, foreign, wrong(&shape));
            }
            let given = members.clone();
            let mut batch: Vec<_> =
                members.iter_mut().map(|(slot, x, g)| slot.bind(x, g)).collect();
            let error = sharded.optimizer.step(&mut batch).unwrap_err();
            drop(batch);
            assert_eq!(error.to_string(), format!("rank {culprit}: {expected}"));
            assert!(
                members.iter().zip(&given).all(|(a, b)| a.1 == b.1),
                "no parameter has changed"
            );
            assert!(sharded.state() == before);
        }
    }
    sharded.step(1).unwrap();
}

/// Something that one rank does differently.
type Change<T> = fn(&mut Sharded<'_, f64, T>);

fn differences<T: Transport>(transport: &mut T, _: &Path) {
    let (rank, ranks) = (transport.rank(), transport.size());
    if ranks == 1 {
        return;
    }
    let settings: [(Change<T>, &str); 8] = [
        (|s| s.optimizer.set_lr_scale(0.5).unwrap(), "learning rate scale 0.5"),
        (
            |s| s.optimizer.set_max_norm(Some(MaxNorm::Global(2.0))).unwrap(),
            "max norm Some(Global(2.0))",
        ),
        (|s| s.optimizer.set_reduction(Reduction::Tree), "reduction Tree"),
        (|s| s.optimizer.set_combination(Combination::Mean).unwrap(), "combination Mean"),
        (
            |s| {
                let group = s.optimizer.default_group();
                s.optimizer.set_rule(group, Adamax::keras()).unwrap();
            },
            "for group 0 the rule",
        ),
        (|s| _ = s.optimizer.add_group(Adamax::keras()), "for group 4 the rule"),
        (
            |s| {
                s.slots.swap(4, 5);
                s.x.swap(4, 5);
            },
            "tensor `tensor 5` of shape [11, 513]",
        ),
        (
            |s| {
                s.slots.pop();
                s.x.pop();
            },
            "nothing more",
        ),
    ];
    for (change, expected) in settings {
        for culprit in culprits(1, ranks) {
            let mut sharded = Sharded::<f64, T>::new(&mut *transport, &rules(), 0);
            sharded.step(0).unwrap();
            if rank == culprit {
                change(&mut sharded);
            }
            let before = sharded.state();
            let mut g = sharded.gradients(1);
            if g.len() > sharded.x.len() || sharded.x[4].shape() != g[4].shape() {
                g = sharded.x.clone();
            }
            let batch = &mut Sharded::<_, T>::bind(&sharded.slots, &mut sharded.x, &g);
            let error = sharded.optimizer.step(batch).unwrap_err();
            let Error::Differs { rank, found, .. } = &error else { panic!("{error}") };
            assert_eq!(*rank, culprit, "{error}");
            assert!(found.contains(expected), "{error}");
            assert!(sharded.state() == before);
        }
    }
    // Names and shapes are different from the beginning.
    for culprit in culprits(1, ranks) {
        for (name, shape) in [("other", [4, 3]), ("weights", [3, 4])] {
            let (name, shape) = if rank == culprit { (name, shape) } else { ("weights", [4, 3]) };
            let mut optimizer = ShardedOptimizer::<f64, _>::new(&mut *transport, Adamax::default());
            let mut x = ArrayD::zeros(&shape[..]);
            let slot = optimizer.register(name, &x).unwrap();
            let g = x.clone();
            let error = optimizer.step(&mut [slot.bind(&mut x, &g)]).unwrap_err();
            assert_eq!(error.rank(), Some(culprit), "{error}");
            assert_eq!(optimizer.steps(slot), Some(0));
        }
    }
}

fn precisions<T: Transport>(transport: &mut T, _: &Path) {
    fn attempt<A: Element, T: Transport>(transport: &mut T) -> Error {
        let mut optimizer = ShardedOptimizer::<A, _>::new(transport, Adamax::default());
        let mut x = ArrayD::<A>::zeros(vec![3]);
        let slot = optimizer.register("x", &x).unwrap();
        let g = x.clone();
        optimizer.step(&mut [slot.bind(&mut x, &g)]).unwrap_err()
    }
    let (rank, ranks) = (transport.rank(), transport.size());
    for culprit in culprits(1, ranks) {
        let error = if rank == culprit {
            attempt::<f32, T>(transport)
        } else {
            attempt::<f64, T>(transport)
        };
        assert_eq!(
            error.to_string(),
            format!("rank {culprit} has elements of type f32, but rank 0 has elements of type f64")
        );
    }
}

fn calls<T: Transport>(transport: &mut T, folder: &Path) {
    let (rank, ranks) = (transport.rank(), transport.size());
    if ranks == 1 {
        return;
    }
    let mut sharded = Sharded::<f64, T>::new(transport, &rules(), 0);
    let good = sharded.optimizer.snapshot().unwrap();
    let before = sharded.state();
    for call in 0..5 {
        let result = if rank == 0 {
            sharded.step(0).map(drop)
        } else {
            match call {
                0 => sharded.optimizer.snapshot().map(drop),
                1 => sharded.optimizer.save(folder.join("not written")),
                2 => sharded.optimizer.restore(&good),
                3 => sharded.optimizer.broadcast(&mut array![1.0]),
                _ => {
                    let g = sharded.gradients(0);
                    let batch = &mut Sharded::<_, T>::bind(&sharded.slots, &mut sharded.x, &g);
                    sharded.optimizer.step_with_report(batch).map(drop)
                }
            }
        };
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Differs { rank: 1, .. }), "{error}");
        assert!(error.to_string().ends_with("but rank 0 has a step"), "{error}");
        assert!(sharded.state() == before);
    }
    sharded.step(0).unwrap();
}

// ---------------------------------------------------------------- the rest

fn broadcasts<T: Transport>(transport: &mut T, _: &Path) {
    let (rank, ranks) = (transport.rank(), transport.size());
    let mut optimizer = ShardedOptimizer::<f64, _>::new(transport, Adamax::default());
    for layout in 0..5 {
        for tensor in 0..SHAPES.len() {
            let of = |rank: usize| gradient::<f64>(rank, tensor, 7);
            let mut x = arrange(&of(rank), layout + rank);
            optimizer.broadcast(&mut x).unwrap();
            assert_eq!(x, of(0));
        }
    }
    if ranks > 1 {
        let mut x = Array1::from_elem(3 + rank, 1.0);
        let error = optimizer.broadcast(&mut x).unwrap_err();
        assert_eq!(
            error.to_string(),
            "rank 1 has a parameter of shape [4], but rank 0 has a parameter of shape [3]"
        );
        assert!(x.iter().all(|&x| x == 1.0));
    }
}

fn slots<T: Transport>(transport: &mut T, _: &Path) {
    let foreign = {
        let mut other = ShardedOptimizer::<f64, _>::new(&mut *transport, Adamax::default());
        other.register("x", &array![0.0]).unwrap()
    };
    let (rank, size) = (transport.rank(), transport.size());
    let mut optimizer = ShardedOptimizer::<f64, _>::new(transport, Adamax::default());
    assert_eq!((optimizer.rank(), optimizer.size()), (rank, size));
    let slot = optimizer.register("x", &array![0.0]).unwrap();
    assert_ne!(slot, foreign);
    assert!(optimizer.part(foreign).is_none() && optimizer.steps(foreign).is_none());
    assert_eq!(optimizer.steps(slot), Some(0));
    let taken = optimizer.register("x", &array![0.0]).unwrap_err();
    assert!(matches!(taken, Error::Local(_)));
    assert_eq!(taken.tensor(), Some("x"));
    // The name of a refused tensor is free, and it has left no place.
    let y = optimizer.register("y", &array![0.0, 1.0]).unwrap();
    let (mut x, mut y_values) = (array![0.0], array![0.0, 1.0]);
    let (g, h) = (array![1.0], array![1.0, 1.0]);
    optimizer.step(&mut [y.bind(&mut y_values, &h), slot.bind(&mut x, &g)]).unwrap();
    assert!(x[0] < 0.0 && y_values[1] < 1.0);
}
