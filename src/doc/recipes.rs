//! Recipes: small programs for common tasks.
//!
//! To run one, put it into `fn main() -> Result<(), Box<dyn std::error::Error>> { … Ok(()) }`.
//!
//! - [A learning rate that warms up and decays](#a-learning-rate-that-warms-up-and-decays)
//! - [Other settings on a schedule](#other-settings-on-a-schedule)
//! - [A schedule and a plateau](#a-schedule-and-a-plateau)
//! - [Different rules for weights and biases](#different-rules-for-weights-and-biases)
//! - [A learning rate for each layer](#a-learning-rate-for-each-layer)
//! - [Any number of layers](#any-number-of-layers)
//! - [A whole model](#a-whole-model)
//! - [Several models in one optimizer](#several-models-in-one-optimizer)
//! - [Gradient accumulation](#gradient-accumulation)
//! - [A frozen part of an array](#a-frozen-part-of-an-array)
//! - [A model that changes during a run](#a-model-that-changes-during-a-run)
//! - [Bounds for each element](#bounds-for-each-element)
//! - [Complex parameters](#complex-parameters)
//! - [Counting skipped steps](#counting-skipped-steps)
//! - [Early stopping with the best parameters](#early-stopping-with-the-best-parameters)
//! - [Averaged parameters](#averaged-parameters)
//! - [Resuming a run](#resuming-a-run)
//! - Parameters of other types:
//!   [slices and `Vec`](#slices-and-vec),
//!   [arrays of mixed ranks](#arrays-of-mixed-ranks),
//!   [nalgebra](#matrices-of-nalgebra), [faer](#matrices-of-faer),
//!   [ndarray 0.16](#arrays-of-ndarray-016)
//!
//! # A learning rate that warms up and decays
//! A [`Schedule`](crate::schedule::Schedule) is a function of the step. Its value multiplies the
//! learning rate of every group.
//! ```
//! use adamax::{Adamax, Optimizer, schedule::Schedule};
//! use ndarray::array;
//!
//! let mut x = array![3.0_f64, -2.0];
//! let mut optimizer = Optimizer::new(Adamax::builder().learning_rate(0.1).build()?);
//! let slot = optimizer.register("x", &x)?;
//!
//! let schedule = Schedule::cosine(180, 0.0)?.warm_up(20, 0.05)?;
//! for t in 0..200 {
//!     let gradient = x.mapv(f64::signum);                         // of Σ |x|; never small
//!     optimizer.set_lr_scale(schedule.scale(t))?;
//!     optimizer.step(&mut [slot.bind(&mut x, &gradient)])?;
//! }
//! assert!(x.iter().all(|x| x.abs() < 1e-3));                      // at a constant rate: 1e-2
//! # assert_eq!([schedule.scale(0), schedule.scale(20), schedule.scale(200)], [0.05, 1.0, 0.0]);
//! # Ok::<(), adamax::Error>(())
//! ```
//!
//! # Other settings on a schedule
//! A schedule is a number for each step, so it can give any setting. The state does not depend on the
//! rule: [`Optimizer::set_rule`](crate::Optimizer::set_rule) replaces it before each step.
//!
//! PyTorch's `OneCycleLR` and `CyclicLR` move β₁ against the learning rate, unless `cycle_momentum` is
//! off. This program takes the steps of `OneCycleLR(optimizer, max_lr=0.1, total_steps=60)` with all
//! of its defaults, and lets the weight decay fall with the learning rate.
//! ```
//! use adamax::{Adamax, Optimizer, WeightDecay, schedule::Schedule};
//! use ndarray::array;
//!
//! let mut x = array![3.0_f64, -2.0];
//! let mut optimizer = Optimizer::new(Adamax::pytorch());
//! let slot = optimizer.register("x", &x)?;
//! let group = optimizer.default_group();
//!
//! let steps = 60;
//! let (base, max) = (0.85, 0.95);                                 // of `base_momentum`, `max_momentum`
//! let cycle = Schedule::one_cycle(steps, 0.3, 1.0 / 25.0, 1.0 / 25e4)?;
//! let learning_rate = cycle.clone().scaled(0.1)?;
//! let beta1 = Schedule::one_cycle(steps, 0.3, max / base, max / base)?.scaled(base)?;
//! let weight_decay = cycle.scaled(0.01)?;
//! for t in 0..steps {
//!     let rule = Adamax::pytorch()
//!         .to_builder()
//!         .learning_rate(learning_rate.scale(t))
//!         .beta1(beta1.scale(t))
//!         .weight_decay(WeightDecay::Decoupled(weight_decay.scale(t)))
//!         .build()?;
//!     optimizer.set_rule(group, rule)?;
//!     let gradient = &x * 2.0;
//!     optimizer.step(&mut [slot.bind(&mut x, &gradient)])?;
//! }
//! assert_eq!([0, 17, 59].map(|t| beta1.scale(t)), [0.95, 0.85, 0.95]);
//! # assert_eq!(learning_rate.scale(17), 0.1);
//! # assert!(x.iter().all(|x| x.abs() < 1.0), "{x}");
//! # Ok::<(), adamax::Error>(())
//! ```
//!
//! # A schedule and a plateau
//! A schedule follows the step, a [`ReduceOnPlateau`](crate::schedule::ReduceOnPlateau) the loss. Their
//! factors multiply each other.
//! ```
//! use adamax::{Adamax, Optimizer, schedule::{ReduceOnPlateau, Schedule}};
//! use ndarray::array;
//!
//! let mut x = array![3.0_f64, -2.0];
//! let mut optimizer = Optimizer::new(Adamax::new(0.5)?);
//! let slot = optimizer.register("x", &x)?;
//!
//! let warm_up = Schedule::linear(20, 0.05, 1.0)?;
//! let mut plateau = ReduceOnPlateau::builder().factor(0.5).patience(10).build()?;
//! for t in 0..300 {
//!     let (loss, gradient) = (x.mapv(f64::abs).sum(), x.mapv(f64::signum));
//!     let scale = warm_up.scale(t) * plateau.observe(loss);
//!     optimizer.set_lr_scale(scale)?;
//!     optimizer.step(&mut [slot.bind(&mut x, &gradient)])?;
//! }
//! assert!(plateau.scale() < 0.01);                                // the loss stopped falling
//! assert!(x.iter().all(|x| x.abs() < 1e-3));
//! # Ok::<(), adamax::Error>(())
//! ```
//!
//! # Different rules for weights and biases
//! A [`Group`](crate::Group) is a set of tensors with a rule of their own. Here, weights decay and
//! biases do not.
//! ```
//! use adamax::{Adamax, Optimizer, WeightDecay};
//! use ndarray::{Array1, Array2};
//!
//! let mut weights = Array2::<f64>::ones((2, 3));
//! let mut bias = Array1::<f64>::ones(2);
//!
//! let rule = Adamax::builder().weight_decay(WeightDecay::Decoupled(0.1)).build()?;
//! let mut optimizer = Optimizer::new(rule);
//! let plain = optimizer.add_group(rule.to_builder().weight_decay(WeightDecay::None).build()?);
//! let weights_slot = optimizer.register("weights", &weights)?;
//! let bias_slot = optimizer.register_in(plain, "bias", &bias)?;
//!
//! let (no_weights, no_bias) = (Array2::zeros((2, 3)), Array1::zeros(2));
//! optimizer.step(&mut [
//!     weights_slot.bind(&mut weights, &no_weights),
//!     bias_slot.bind(&mut bias, &no_bias),
//! ])?;
//! assert!(weights.iter().all(|&weight| weight < 1.0));            // although the gradient is 0
//! assert!(bias.iter().all(|&bias| bias == 1.0));
//! # Ok::<(), adamax::Error>(())
//! ```
//!
//! # A learning rate for each layer
//! Each group has a rule of its own, and so a learning rate of its own. Here the last layer learns at
//! 0.01, and each layer at 0.8 times the rate of the next one (layer-wise decay, for fine-tuning). A
//! schedule scales all of them.
//! ```
//! use adamax::{Adamax, Optimizer};
//! use ndarray::Array2;
//!
//! let mut layers = vec![Array2::<f64>::ones((2, 2)); 3];
//! let mut optimizer = Optimizer::new(Adamax::default());
//! let (mut slots, mut learning_rate) = (Vec::new(), 0.01);
//! for (depth, layer) in layers.iter().enumerate().rev() {         // the last layer first
//!     let group = optimizer.add_group(Adamax::new(learning_rate)?);
//!     slots.push(optimizer.register_in(group, &format!("layers.{depth}"), layer)?);
//!     learning_rate *= 0.8;
//! }
//! slots.reverse();
//!
//! let gradients = layers.clone();
//! let pairs = layers.iter_mut().zip(&gradients);
//! let mut batch: Vec<_> = slots.iter().zip(pairs).map(|(slot, (x, g))| slot.bind(x, g)).collect();
//! optimizer.step(&mut batch)?;
//! for (layer, learning_rate) in layers.iter().zip([0.0064, 0.008, 0.01]) {
//!     let step = 1.0 - layer[[0, 0]];                             // the first one: α
//!     assert!((step - learning_rate).abs() < 1e-9);
//! }
//! # Ok::<(), adamax::Error>(())
//! ```
//!
//! # Any number of layers
//! Slots are values: keep those of one type in a `Vec`. Bound slots have one type for arrays of all
//! dimensions, so a batch can be a `Vec` too.
//! ```
//! use adamax::{Adamax, Error, Optimizer, Slot};
//! use ndarray::{Array1, Array2, Ix1, Ix2};
//!
//! struct Layer { weights: Array2<f64>, bias: Array1<f64> }
//! struct Slots { weights: Slot<Ix2>, bias: Slot<Ix1> }
//!
//! let widths = [4, 3, 3, 1];                                      // for example from a file
//! let layer = |pair: &[usize]| Layer {
//!     weights: Array2::ones((pair[1], pair[0])),
//!     bias: Array1::ones(pair[1]),
//! };
//! let mut layers: Vec<_> = widths.windows(2).map(layer).collect();
//!
//! let mut optimizer = Optimizer::new(Adamax::default());
//! let register = |(index, layer): (usize, &Layer)| -> Result<Slots, Error> {
//!     Ok(Slots {
//!         weights: optimizer.register(&format!("layers.{index}.weights"), &layer.weights)?,
//!         bias: optimizer.register(&format!("layers.{index}.bias"), &layer.bias)?,
//!     })
//! };
//! let slots: Vec<_> = layers.iter().enumerate().map(register).collect::<Result<_, _>>()?;
//!
//! let gradients: Vec<_> = widths.windows(2).map(layer).collect();
//! let mut batch = Vec::new();
//! for ((slots, layer), gradient) in slots.iter().zip(&mut layers).zip(&gradients) {
//!     batch.push(slots.weights.bind(&mut layer.weights, &gradient.weights));
//!     batch.push(slots.bias.bind(&mut layer.bias, &gradient.bias));
//! }
//! optimizer.step(&mut batch)?;                                    // all of them, or none
//! assert_eq!(batch.len(), 6);
//! for layer in &layers {
//!     assert!(layer.weights.iter().chain(&layer.bias).all(|&x| x < 1.0));
//! }
//! # Ok::<(), Error>(())
//! ```
//!
//! # A whole model
//! [`tensors!`](crate::tensors!) lists the fields of a struct once. Then one call registers, binds or
//! averages all tensors of a model. A field that is forgotten does not compile.
//! ```
//! use adamax::{Adamax, Averages, Optimizer, WeightDecay};
//! use ndarray::{Array1, Array2};
//!
//! #[derive(Clone)]
//! struct Layer { weights: Array2<f64>, bias: Array1<f64> }
//! #[derive(Clone)]
//! struct Model { layers: Vec<Layer>, scale: f64, name: &'static str }
//! adamax::tensors!(Layer { weights, bias });
//! adamax::tensors!(Model { layers, scale, name: _ });             // no tensors in `name`
//!
//! let layer = |n, m| Layer { weights: Array2::ones((m, n)), bias: Array1::zeros(m) };
//! let mut model = Model { layers: vec![layer(4, 3), layer(3, 1)], scale: 1.0, name: "small" };
//!
//! let rule = Adamax::builder().weight_decay(WeightDecay::Decoupled(1e-4)).build()?;
//! let mut optimizer = Optimizer::new(rule);
//! let decayed = optimizer.default_group();
//! let plain = optimizer.add_group(rule.to_builder().weight_decay(WeightDecay::None).build()?);
//! let slots = optimizer
//!     .register_all_in(&model, |name| if name.ends_with("weights") { decayed } else { plain })?;
//! let mut averages = Averages::new(0.99, &model)?;
//! for _ in 0..10 {
//!     let gradients = model.clone();                              // of ½·Σ x²
//!     optimizer.step(&mut slots.bind(&mut model, &gradients))?;
//!     averages.update(&model)?;
//! }
//! averages.assign_to(&mut model)?;
//! assert!(model.layers[0].weights[[0, 0]] < 1.0 && model.scale < 1.0);
//! # assert_eq!(model.name, "small");
//! # Ok::<(), adamax::Error>(())
//! ```
//! `Checkpoint::add_parameters` and `add_averages` save a model, and `assign_parameters` and `averages`
//! load it.
//!
//! # Several models in one optimizer
//! The names of all tensors of an optimizer differ. A struct of models puts a field in front of the names.
//! Its fields may be references.
//! ```
//! use adamax::{Adamax, Optimizer};
//! use ndarray::Array1;
//!
//! struct Network { weights: Array1<f64> }
//! struct Pair<'a> { encoder: &'a mut Network, decoder: &'a mut Network }
//! adamax::tensors!(Network { weights });
//! adamax::tensors!(Pair<'_> { encoder, decoder });
//!
//! let network = || Network { weights: Array1::ones(3) };
//! let (mut encoder, mut decoder) = (network(), network());
//! let mut gradients = (network(), network());
//!
//! let mut optimizer = Optimizer::new(Adamax::default());
//! let mut pair = Pair { encoder: &mut encoder, decoder: &mut decoder };
//! let slots = optimizer.register_all(&pair)?;
//! assert!(slots.names().eq(["encoder.weights", "decoder.weights"]));
//! let gradients = Pair { encoder: &mut gradients.0, decoder: &mut gradients.1 };
//! optimizer.step(&mut slots.bind(&mut pair, &gradients))?;
//! assert!(decoder.weights[0] < 1.0);
//! # Ok::<(), adamax::Error>(())
//! ```
//!
//! # Gradient accumulation
//! If a batch does not fit into memory, add up the gradients of its parts and step with their mean.
//! ```
//! use adamax::{Adamax, State};
//! use ndarray::{Array1, ArrayView1, ArrayView2, Axis, array};
//!
//! /// Returns the gradient of the mean squared error.
//! fn gradient(x: &Array1<f64>, inputs: ArrayView2<f64>, targets: ArrayView1<f64>) -> Array1<f64> {
//!     inputs.t().dot(&(inputs.dot(x) - targets)) * (2.0 / targets.len() as f64)
//! }
//! let inputs = array![[1.0, 2.0], [0.5, -1.0], [3.0, 0.0], [-1.0, 1.5]];
//! let targets = array![1.0, 2.0, 3.0, 4.0];
//!
//! let mut x = Array1::zeros(2);
//! let (rule, mut state) = (Adamax::default(), State::zeros_like(&x));
//! let mut sum = Array1::zeros(2);
//! let rows = Axis(0);
//! for (inputs, targets) in inputs.axis_chunks_iter(rows, 2).zip(targets.axis_chunks_iter(rows, 2)) {
//!     sum += &gradient(&x, inputs, targets);
//! }
//! sum /= 2.0;                                                     // the number of minibatches
//! rule.step(&mut state, &mut x, &sum)?;                           // then: sum.fill(0.0)
//!
//! let mut at_once = Array1::zeros(2);
//! let whole = gradient(&at_once, inputs.view(), targets.view());
//! rule.step(&mut State::zeros_like(&at_once), &mut at_once, &whole)?;
//! assert_eq!(x, at_once);
//! # assert_eq!(sum, whole);
//! # Ok::<(), adamax::Error>(())
//! ```
//!
//! # A frozen part of an array
//! Register and step a slice of the array. The entries outside the slice have no state and never
//! change. (To freeze whole tensors, leave them out of the batch.)
//! ```
//! use adamax::{Adamax, Optimizer};
//! use ndarray::{Array2, s};
//!
//! let mut embeddings = Array2::<f64>::ones((5, 2));
//! let free = s![2.., ..];                                         // the first two rows are frozen
//! let mut optimizer = Optimizer::new(Adamax::default());
//! let slot = optimizer.register("embeddings", &embeddings.slice(free))?;
//!
//! let gradient = Array2::ones((5, 2));
//! optimizer.step(&mut [slot.bind(&mut embeddings.slice_mut(free), &gradient.slice(free))])?;
//! assert!(embeddings.slice(s![..2, ..]).iter().all(|&x| x == 1.0));
//! assert!(embeddings.slice(free).iter().all(|&x| x < 1.0));
//! # Ok::<(), adamax::Error>(())
//! ```
//!
//! # A model that changes during a run
//! Fine-tuning often begins with a frozen body and a new head, and thaws the body later. A tensor moves
//! to another group with [`move_to`](crate::Optimizer::move_to). In a group with learning rate 0, its
//! moments go on, and its gradient counts in the norm. PyTorch leaves frozen tensors out of the step. So can
//! you: leave them out of the batch, or bind a model with [`bind_where`](crate::Slots::bind_where). A layer of another shape is a new
//! tensor: [`remove`](crate::Optimizer::remove) the old one, and register the new one, with the same name
//! if you like. [`set_state`](crate::Optimizer::set_state) resets the moments of one tensor.
//! [`step_all`](crate::Optimizer::step_all) makes sure that the batch forgets none.
//! ```
//! use adamax::{Adamax, Optimizer, State};
//! use ndarray::Array2;
//!
//! let (mut body, mut head) = (Array2::<f64>::ones((4, 3)), Array2::<f64>::ones((10, 4)));
//! let mut optimizer = Optimizer::new(Adamax::default());
//! let frozen = optimizer.add_group(Adamax::builder().learning_rate(0.0).build()?);
//! let body_slot = optimizer.register_in(frozen, "body", &body)?;
//! let head_slot = optimizer.register("head", &head)?;
//! let (g_body, g_head) = (&body * 0.5, &head * 0.5);
//! optimizer.step_all(&mut [
//!     body_slot.bind(&mut body, &g_body),
//!     head_slot.bind(&mut head, &g_head),
//! ])?;
//! assert_eq!(body[[0, 0]], 1.0);                                  // frozen
//!
//! // A head for 2 classes in place of 10. The slot of the old one is refused from now on.
//! optimizer.remove(head_slot)?;
//! let mut head = Array2::<f64>::ones((2, 4));
//! let head_slot = optimizer.register("head", &head)?;
//!
//! // The body is trained from now on. Its moments come from steps of the old head: start anew.
//! optimizer.move_to(body_slot, optimizer.default_group())?;
//! optimizer.set_state(body_slot, &State::zeros_like(&body))?;
//!
//! let g_head = &head * 0.5;
//! optimizer.step_all(&mut [
//!     body_slot.bind(&mut body, &g_body),
//!     head_slot.bind(&mut head, &g_head),
//! ])?;
//! assert!(body[[0, 0]] < 1.0);
//! assert!(optimizer.tensors().all(|(_, _, state)| state.steps() == 1));
//! # Ok::<(), adamax::Error>(())
//! ```
//! A snapshot knows the tensors and the groups of its time. To restore it, first register the same tensors
//! in the same groups. If the model has other tensors now, use
//! [`restore_matching`](crate::Optimizer::restore_matching). If one has another shape now, such as a head
//! for other classes, restore the model as it was, and change it afterwards.
//!
//! After a change, the [`Slots`](crate::Slots) of a whole model are out of date:
//! [`Optimizer::slots`](crate::Optimizer::slots) returns new ones.
//!
//! # Bounds for each element
//! [`bounds`](crate::AdamaxBuilder::bounds) keeps all entries of a tensor between two numbers. If each
//! entry has bounds of its own, clamp the parameter after the step. This is the same projection, but
//! takes a second pass. (`clamp` panics if a bound is NaN, or a lower bound is above its upper one.) The
//! solver for argmin does all this by itself: `AdamaxSolver::with_bounds`.
//!
//! A report does not know of the clamp: for an entry at a bound, `max_step` stays near α. So compare the
//! parameter with a copy from before the step, as here. A phase that can go around a full circle is better
//! wrapped than bounded, because it would stop at the end of its range.
//! ```
//! use adamax::{Adamax, State};
//! use ndarray::{Zip, array};
//!
//! // A rate, a phase, and a constant. A fixed entry has equal bounds.
//! let (lower, upper) = (array![0.0, -3.2, 2.5], array![f64::INFINITY, 3.2, 2.5]);
//! let target = array![-1.0, 2.0, 0.0];
//! let mut x = array![0.5_f64, 0.0, 2.5];
//! let (rule, mut state) = (Adamax::new(0.05)?, State::zeros_like(&x));
//! let mut before = x.clone();
//! loop {
//!     let gradient = (&x - &target) * 2.0;                        // of |x − target|²
//!     before.assign(&x);
//!     rule.step(&mut state, &mut x, &gradient)?;
//!     let mut max_step = 0.0_f64;
//!     Zip::from(&mut x).and(&lower).and(&upper).and(&before).for_each(|x, &lower, &upper, &before| {
//!         *x = x.clamp(lower, upper);
//!         max_step = max_step.max((*x - before).abs());
//!     });
//!     if max_step < 1e-6 {
//!         break;
//!     }
//! }
//! assert_eq!((x[0], x[2]), (0.0, 2.5));
//! assert!((x[1] - 2.0).abs() < 1e-3);
//! # Ok::<(), adamax::Error>(())
//! ```
//!
//! # Complex parameters
//! Treat real and imaginary parts as separate parameters, as PyTorch does. `split_complex` returns
//! views of them, without a copy. The gradient of a real loss f is ∂f/∂re + i·∂f/∂im.
//! ```
//! use adamax::{Adamax, Optimizer};
//! use ndarray::{Array1, array};
//! use num_complex::Complex;
//!
//! let target = array![Complex::new(0.5, -0.25), Complex::new(-1.0, 2.0)];
//! let mut z = Array1::<Complex<f64>>::zeros(2);
//!
//! let mut optimizer = Optimizer::new(Adamax::builder().learning_rate(0.05).build()?);
//! let parts = z.view().split_complex();
//! let (re, im) = (optimizer.register("z.re", &parts.re)?, optimizer.register("z.im", &parts.im)?);
//! for _ in 0..500 {
//!     let gradient = (&z - &target) * 2.0;                        // of Σ |z − target|²
//!     let gradient = gradient.view().split_complex();
//!     let mut parts = z.view_mut().split_complex();
//!     optimizer.step(&mut [
//!         re.bind(&mut parts.re, &gradient.re),
//!         im.bind(&mut parts.im, &gradient.im),
//!     ])?;
//! }
//! assert!((z - target).iter().all(|difference| difference.norm() < 1e-6));
//! # Ok::<(), adamax::Error>(())
//! ```
//!
//! # Counting skipped steps
//! With [`NonFinite::Skip`](crate::NonFinite::Skip), a gradient with NaN or infinities changes
//! nothing. There is no limit on consecutive skips, so count them and stop after too many.
//! ```
//! use adamax::{Adamax, NonFinite, Optimizer, Outcome};
//! use ndarray::array;
//!
//! let mut x = array![1.0, 1.0];
//! let mut optimizer = Optimizer::new(Adamax::builder().non_finite(NonFinite::Skip).build()?);
//! let slot = optimizer.register("x", &x)?;
//!
//! let (mut skipped, mut in_a_row) = (Vec::new(), 0);
//! for t in 0..10 {
//!     let spike = if t == 3 { f64::INFINITY } else { 1.0 };
//!     let gradient = array![0.5, spike];
//!     if optimizer.step(&mut [slot.bind(&mut x, &gradient)])? == Outcome::Skipped {
//!         skipped.push(t);
//!         in_a_row += 1;
//!         if in_a_row == 5 {
//!             break;                                              // report an error
//!         }
//!     } else {
//!         in_a_row = 0;
//!     }
//! }
//! assert_eq!(skipped, [3]);
//! assert_eq!(optimizer.state(slot).unwrap().steps(), 9);          // t counts no skipped step
//! # assert!(x.iter().all(|x| (x - (1.0 - 9.0 * 0.002)).abs() < 1e-6));
//! # Ok::<(), adamax::Error>(())
//! ```
//!
//! # Early stopping with the best parameters
//! A model that learns its training data too well gets worse on other data. Observe the loss of a
//! validation set with a [`Stop`](crate::Stop): it says when that loss is the best so far, and when it has
//! stopped improving. The parameters of the best loss are yours to keep. If your function returns the loss
//! together with the gradient, observe it before the step, which moves the parameters.
//! ```
//! use adamax::{Adamax, Optimizer, Stop, schedule::Threshold};
//! use ndarray::{Array1, Array2, array};
//!
//! // Polynomials of degree 5. The training set has noise in its values.
//! let powers = |points: &Array1<f64>| {
//!     Array2::from_shape_fn((points.len(), 6), |(i, k)| points[i].powi(k as i32))
//! };
//! let (train, valid) = (Array1::linspace(-1.0, 1.0, 8), Array1::linspace(-0.9, 0.9, 7));
//! let noise = array![0.3, -0.3, 0.3, -0.3, 0.3, -0.3, 0.3, -0.3];
//! let (targets, expected) = (train.mapv(f64::sin) + noise, valid.mapv(f64::sin));
//! let (train, valid) = (powers(&train), powers(&valid));
//!
//! let mut x = Array1::<f64>::zeros(6);
//! let mut optimizer = Optimizer::new(Adamax::builder().learning_rate(0.01).build()?);
//! let slot = optimizer.register("x", &x)?;
//! let mut stop = Stop::builder().patience(50).threshold(Threshold::Absolute(0.0)).build()?;
//! let mut best = x.clone();
//! let loss = |x: &Array1<f64>| (valid.dot(x) - &expected).mapv(|error| error * error).sum();
//! for _ in 0..5_000 {
//!     let gradient = train.t().dot(&(train.dot(&x) - &targets)) * 2.0;
//!     optimizer.step(&mut [slot.bind(&mut x, &gradient)])?;
//!
//!     let verdict = stop.observe(loss(&x));
//!     if verdict.is_best() {
//!         best.assign(&x);                                        // no allocation
//!     }
//!     if verdict.reason().is_some() {
//!         break;
//!     }
//! }
//! assert_eq!(stop.best(), Some(loss(&best)));
//! assert!(loss(&best) < loss(&x));
//! # assert!(stop.reason().is_some() && optimizer.state(slot).unwrap().steps() < 4_000);
//! # Ok::<(), adamax::Error>(())
//! ```
//! A loss of minibatches is noisy: smooth it with
//! [`smoothing`](crate::StopBuilder::smoothing). A resumed run needs the `Stop` and the best parameters too:
//! a `Checkpoint` keeps them by `add_value("stop", &stop)` and `add_parameter("best", &best)`.
//!
//! # Averaged parameters
//! An [`Average`](crate::Average) of the parameters over the last steps is less noisy than the
//! current parameters. The run itself does not change.
//! ```
//! use adamax::{Adamax, Average, State};
//! use ndarray::array;
//!
//! let mut x = array![1.0_f64];
//! let (rule, mut state) = (Adamax::builder().learning_rate(0.05).build()?, State::zeros_like(&x));
//! let mut average = Average::new(0.98, &x)?;
//! for t in 0..400 {
//!     let noise = if t % 10 < 5 { 1.5 } else { -1.5 };
//!     let gradient = &x * 2.0 + noise;                            // of x², with noise
//!     rule.step(&mut state, &mut x, &gradient)?;
//!     average.update(&x)?;
//! }
//! let last = x.clone();
//! average.assign_to(&mut x)?;                                     // to evaluate, or at the end
//! assert!(x[0].abs() < 0.5 * last[0].abs());
//! # Ok::<(), adamax::Error>(())
//! ```
//! [`Average::equal`](crate::Average::equal) gives all updates the same weight: start it late in the
//! run. For `f32` parameters and a slow decay, keep the average
//! [in `f64`](crate::Average::in_f64).
//!
//! # Resuming a run
//! A [`Snapshot`](crate::Snapshot) holds the whole state of an optimizer, but not the parameters. A
//! `Checkpoint` (feature `safetensors`) holds both, with averages and values of your own such as the step
//! number, in one file. A crash cannot leave the file half written, and the numbers keep their bits.
//!
//! **Settings come from the file**: rules with their learning rates and bounds, the norm bound and the
//! learning-rate scale. To go on with other settings, call `set_rule` and `set_max_norm` after `restore`.
#![cfg_attr(feature = "safetensors", doc = "```")]
#![cfg_attr(not(feature = "safetensors"), doc = "```ignore")]
//! use adamax::{Adamax, Checkpoint, Error, Optimizer, Slot, schedule::Schedule};
//! use ndarray::{Array1, Ix1, array};
//! use std::path::Path;
//!
//! fn start(x: &Array1<f64>) -> Result<(Optimizer, Slot<Ix1>), Error> {
//!     let mut optimizer = Optimizer::new(Adamax::default());
//!     let slot = optimizer.register("x", x)?;
//!     Ok((optimizer, slot))
//! }
//! /// Goes on from the file if there is one. Saves every ten steps.
//! fn run(path: &Path, end: u64) -> Result<Array1<f64>, Error> {
//!     let mut x = array![1.0, -3.0];
//!     let (mut optimizer, slot) = start(&x)?;
//!     let mut t: u64 = 0;
//!     if path.exists() {
//!         let saved = Checkpoint::load(path)?;
//!         saved.assign_parameter("x", &mut x)?;
//!         optimizer.restore(saved.snapshot())?;
//!         t = saved.value("t")?;
//!     }
//!     let schedule = Schedule::inverse_time(10, 1.0)?;
//!     while t < end {
//!         let gradient = x.mapv(|x| 4.0 * x * x * x);             // of Σ x⁴
//!         optimizer.set_lr_scale(schedule.scale(t))?;
//!         optimizer.step(&mut [slot.bind(&mut x, &gradient)])?;
//!         t += 1;
//!         if t % 10 == 0 {
//!             Checkpoint::new(optimizer.snapshot())
//!                 .add_parameter("x", &x)?
//!                 .add_value("t", &t)?
//!                 .save(path)?;
//!         }
//!     }
//!     Ok(x)
//! }
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("run.safetensors");
//! run(&path, 67)?;                                                // stops; 60 steps are saved
//! let resumed = run(&path, 100)?;
//!
//! let uninterrupted = run(&folder.path().join("other.safetensors"), 100)?;
//! assert_eq!(resumed, uninterrupted);                             // bit for bit
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//! If the model has changed in between,
//! [`Optimizer::restore_matching`](crate::Optimizer::restore_matching) restores the tensors that have kept
//! their names, and returns the names of the others. With the feature `serde`, a snapshot can be written
//! in any format.
//!
//! # Slices and `Vec`
//! A program that keeps its numbers in a `Vec` or in a slice goes on doing so.
//! [`aview1`](ndarray::aview1) and [`aview_mut1`](ndarray::aview_mut1) view them as arrays, and
//! [`Slot::bind_view`](crate::Slot::bind_view) takes the views by value.
//! ```
//! use adamax::{Adamax, Error, Optimizer, Slot};
//! use ndarray::{Ix1, aview_mut1, aview1};
//!
//! struct Fit { numbers: Vec<f64>, optimizer: Optimizer, slot: Slot<Ix1> }
//!
//! impl Fit {
//!     fn new(numbers: Vec<f64>) -> Result<Fit, Error> {
//!         let mut optimizer = Optimizer::new(Adamax::builder().learning_rate(0.05).build()?);
//!         Ok(Fit { slot: optimizer.register("numbers", &aview1(&numbers))?, optimizer, numbers })
//!     }
//!
//!     fn step(&mut self, gradient: &[f64]) -> Result<(), Error> {
//!         let Fit { numbers, optimizer, slot } = self;
//!         optimizer.step(&mut [slot.bind_view(aview_mut1(numbers), aview1(gradient))])?;
//!         Ok(())
//!     }
//! }
//! let mut fit = Fit::new(vec![1.0, -2.0, 3.0])?;
//! for _ in 0..200 {
//!     let gradient: Vec<_> = fit.numbers.iter().map(|x| 2.0 * x).collect();   // of Σ x²
//!     fit.step(&gradient)?;
//! }
//! assert!(fit.numbers.iter().all(|x| x.abs() < 0.1));
//! # Ok::<(), Error>(())
//! ```
//!
//! # Arrays of mixed ranks
//! A `Vec` holds arrays of one type. Arrays of different ranks have one type as arrays of a dynamic
//! dimension, `ArrayD`. Those that must keep their types are viewed so for a step: `into_dyn` of a view
//! copies nothing.
//! ```
//! use adamax::{Adamax, Optimizer, Slot};
//! use ndarray::{Array1, Array2, Array4, ArrayViewMutD, IxDyn};
//!
//! let mut kernels = Array4::<f64>::ones((2, 1, 3, 3));
//! let (mut weights, mut bias) = (Array2::<f64>::ones((3, 2)), Array1::<f64>::ones(3));
//! let (g_kernels, g_weights, g_bias) = (kernels.clone(), weights.clone(), bias.clone());
//!
//! let mut optimizer = Optimizer::new(Adamax::default());
//! let mut slots: Vec<Slot<IxDyn>> = Vec::new();
//! let named =
//!     [("kernels", kernels.view().into_dyn()), ("weights", weights.view().into_dyn()), ("bias", bias.view().into_dyn())];
//! for (name, view) in named {
//!     slots.push(optimizer.register(name, &view)?);
//! }
//!
//! let views: Vec<ArrayViewMutD<f64>> =
//!     vec![kernels.view_mut().into_dyn(), weights.view_mut().into_dyn(), bias.view_mut().into_dyn()];
//! let gradients =
//!     [g_kernels.view().into_dyn(), g_weights.view().into_dyn(), g_bias.view().into_dyn()];
//! let pairs = views.into_iter().zip(gradients);
//! let mut batch: Vec<_> =
//!     slots.iter().zip(pairs).map(|(slot, (view, gradient))| slot.bind_view(view, gradient)).collect();
//! optimizer.step(&mut batch)?;
//! assert!(kernels[[1, 0, 2, 2]] < 1.0 && weights[[0, 0]] < 1.0 && bias[0] < 1.0);
//! # Ok::<(), adamax::Error>(())
//! ```
//! A struct of arrays needs nothing of this: see [a whole model](#a-whole-model).
//!
//! # Matrices of nalgebra
//! A step goes element by element. So a matrix can be one long vector, if the gradient has its numbers in
//! the same order. Those of a `DMatrix`, `SMatrix` or `DVector` are a slice.
//! ```
//! use adamax::{Adamax, Optimizer};
//! use nalgebra::{DMatrix, Vector3};
//! use ndarray::{aview_mut1, aview1};
//!
//! let mut matrix = DMatrix::<f64>::identity(2, 2);
//! let mut vector = Vector3::<f64>::new(1.0, -2.0, 3.0);
//!
//! let mut optimizer = Optimizer::new(Adamax::builder().learning_rate(0.05).build()?);
//! let matrix_slot = optimizer.register("matrix", &aview1(matrix.as_slice()))?;
//! let vector_slot = optimizer.register("vector", &aview1(vector.as_slice()))?;
//! for _ in 0..200 {
//!     let (g_matrix, g_vector) = (&matrix * 2.0, vector * 2.0);   // of Σ x²
//!     optimizer.step(&mut [
//!         matrix_slot.bind_view(aview_mut1(matrix.as_mut_slice()), aview1(g_matrix.as_slice())),
//!         vector_slot.bind_view(aview_mut1(vector.as_mut_slice()), aview1(g_vector.as_slice())),
//!     ])?;
//! }
//! assert!(matrix.norm() < 0.1 && vector.norm() < 0.1);
//! # Ok::<(), adamax::Error>(())
//! ```
//!
//! # Matrices of faer
//! The columns of a `Mat` are slices, with gaps between them. So each column is a tensor. This program was
//! run with faer 0.24. It is not one of the tests, because faer takes as long to compile as a quarter of them.
//! ```ignore
//! use adamax::{Adamax, Optimizer};
//! use faer::Mat;
//! use ndarray::{aview_mut1, aview1};
//!
//! let mut x = Mat::<f64>::from_fn(3, 4, |i, j| (i + j) as f64);
//! let mut optimizer = Optimizer::new(Adamax::builder().learning_rate(0.05).build()?);
//! let mut slots = Vec::new();
//! for j in 0..x.ncols() {
//!     slots.push(optimizer.register(&format!("x.{j}"), &aview1(x.col_as_slice(j)))?);
//! }
//! for _ in 0..500 {
//!     let gradient = &x * faer::Scale(2.0);                       // of Σ x²
//!     let mut batch = Vec::new();
//!     for ((slot, x), j) in slots.iter().zip(x.col_iter_mut()).zip(0..) {
//!         // The columns of a `Mat` are always contiguous.
//!         if let Some(x) = x.try_as_col_major_mut() {
//!             let g = gradient.col_as_slice(j);
//!             batch.push(slot.bind_view(aview_mut1(x.as_slice_mut()), aview1(g)));
//!         }
//!     }
//!     optimizer.step(&mut batch)?;
//! }
//! assert!(x.norm_l2() < 0.1);
//! # Ok::<(), adamax::Error>(())
//! ```
//!
//! # Arrays of ndarray 0.16
//! Types of two releases of ndarray are different types, also if they have the same names. The compiler
//! says so where such an array is registered or bound:
//! ```text
//! expected `&ArrayRef<_, _>`, found `&ArrayBase<OwnedRepr<f64>, …>`
//! ```
//! Both releases hand out slices. The parameter and its gradient must have the same memory order.
//! ```
//! use adamax::{Adamax, Optimizer};
//! use ndarray::{aview_mut1, aview1};
//! use ndarray_016::Array2;                                        // of another crate, for example
//!
//! let mut x = Array2::<f64>::ones((2, 3));
//! let not_contiguous = "an array with gaps is no slice";
//!
//! let mut optimizer = Optimizer::new(Adamax::builder().learning_rate(0.05).build()?);
//! let slot = optimizer.register("x", &aview1(x.as_slice().ok_or(not_contiguous)?))?;
//! for _ in 0..100 {
//!     let gradient = &x * 2.0;                                    // of Σ x²
//!     let gradient = aview1(gradient.as_slice().ok_or(not_contiguous)?);
//!     let parameter = aview_mut1(x.as_slice_mut().ok_or(not_contiguous)?);
//!     optimizer.step(&mut [slot.bind_view(parameter, gradient)])?;
//! }
//! assert!(x.iter().all(|x| x.abs() < 0.1));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//! `as_slice` wants row-major arrays; for others there is `as_slice_memory_order`.
