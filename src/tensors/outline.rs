//! The names and the structure of a model's tensors, and the comparison of a model with them.

use alloc::{collections::BTreeSet, string::String, vec::Vec};
use core::fmt::Write as _;

use super::{
    leaf::Leaf,
    visit::{Key, Sink, Tensors, Visitor, VisitorMut},
};
use crate::{
    error::{Detail, Error},
    real::Real,
};

/// The tensors of a model, in the order in which it shows them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outline {
    nodes: Vec<Node>,
    names: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Node {
    /// A field or an item. An empty one has no tensors.
    Level {
        depth: usize,
        key: Key,
        empty: bool,
    },
    Tensor {
        depth: usize,
    },
}

/// A model that does not have the tensors of an outline.
#[derive(Clone, Debug)]
pub(crate) struct Misfit {
    name: String,
    fault: Fault,
    whole: Whole,
}

/// The first difference of a model and an outline.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Missing,
    Surplus,
    /// The same names in another order.
    Moved,
}

/// The value that is compared with an outline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Whole {
    Model,
    Gradients,
    /// A model whose outline is that of its averages.
    Averaged,
    /// A model to be written to, whose outline has just been taken.
    #[cfg(feature = "safetensors")]
    Written,
}

impl Outline {
    /// Writes down the tensors of a model, and returns them too. Refuses a name that occurs twice: files
    /// and optimizers find tensors by name.
    pub(crate) fn of<A: Real, T: Tensors<A> + ?Sized>(
        model: &T,
    ) -> Result<(Self, Vec<&dyn Leaf<A>>), Error> {
        let mut recorder = Recorder {
            path: Path::default(),
            open: Vec::new(),
            outline: Outline::EMPTY,
            leaves: Vec::new(),
        };
        model.visit(&mut Visitor::new(&mut recorder));
        let Recorder { outline, leaves, .. } = recorder;
        let mut names = BTreeSet::new();
        match outline.names.iter().find(|name| !names.insert(*name)) {
            Some(name) => Err(Error::from(Detail::NameTaken).in_tensor(name)),
            None => Ok((outline, leaves)),
        }
    }

    const EMPTY: Self = Outline { nodes: Vec::new(), names: Vec::new() };

    /// Returns the names of the tensors.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// Calls `each` with each tensor of a model that has this outline. Stops at the first difference.
    #[inline]
    pub(crate) fn follow<'a, A: Real, T: Tensors<A> + ?Sized>(
        &self,
        whole: Whole,
        model: &'a T,
        each: impl FnMut(&'a dyn Leaf<A>),
    ) -> Result<(), Misfit> {
        let mut follower = Follower::new(self, each);
        model.visit(&mut Visitor::new(&mut follower));
        follower.finish(whole)
    }

    /// [`follow`](Outline::follow), with tensors that can be written to.
    #[inline]
    pub(crate) fn follow_mut<'a, A: Real, T: Tensors<A> + ?Sized>(
        &self,
        whole: Whole,
        model: &'a mut T,
        each: impl FnMut(&'a mut dyn Leaf<A>),
    ) -> Result<(), Misfit> {
        let mut follower = Follower::new(self, each);
        model.visit_mut(&mut VisitorMut::new(&mut follower));
        follower.finish(whole)
    }

    /// [`follow_mut`](Outline::follow_mut), after a walk without `each`: it is called for all tensors or
    /// none, also if the model's `visit_mut` does not show what its `visit` has shown.
    pub(crate) fn write<A: Real, T: Tensors<A> + ?Sized>(
        &self,
        whole: Whole,
        model: &mut T,
        each: impl FnMut(&mut dyn Leaf<A>),
    ) -> Result<(), Misfit> {
        self.follow_mut(whole, &mut *model, |_: &mut dyn Leaf<A>| {})?;
        self.follow_mut(whole, model, each)
    }
}

/// The name of a place in a model, level by level.
#[derive(Default)]
struct Path {
    text: String,
    /// The length of the text above each level.
    above: Vec<usize>,
}

impl Path {
    /// Leaves all levels but `depth` ones.
    fn back_to(&mut self, depth: usize) {
        if let Some(&length) = self.above.get(depth) {
            self.text.truncate(length);
            self.above.truncate(depth);
        }
    }

    fn enter(&mut self, depth: usize, key: Key) {
        self.back_to(depth);
        let dot = if self.above.is_empty() { "" } else { "." };
        self.above.push(self.text.len());
        // Writing to a string does not fail.
        _ = match key {
            Key::Field(name) => {
                write!(self.text, "{dot}{}", name.strip_prefix("r#").unwrap_or(name))
            }
            Key::Item(index) => write!(self.text, "{dot}{index}"),
        };
    }

    fn name(&mut self, depth: usize) -> String {
        self.back_to(depth);
        self.text.clone()
    }
}

/// Writes an outline.
struct Recorder<L> {
    path: Path,
    /// The places in the outline of the levels above the present one.
    open: Vec<usize>,
    outline: Outline,
    leaves: Vec<L>,
}

impl<L> Sink<L> for Recorder<L> {
    fn enter(&mut self, depth: usize, key: Key) {
        self.open.truncate(depth);
        self.open.push(self.outline.nodes.len());
        self.outline.nodes.push(Node::Level { depth, key, empty: true });
        self.path.enter(depth, key);
    }

    fn tensor(&mut self, depth: usize, leaf: L) {
        let Outline { nodes, names } = &mut self.outline;
        self.open.truncate(depth);
        for &place in &self.open {
            if let Some(Node::Level { empty, .. }) = nodes.get_mut(place) {
                *empty = false;
            }
        }
        nodes.push(Node::Tensor { depth });
        names.push(self.path.name(depth));
        self.leaves.push(leaf);
    }
}

/// Compares a model with an outline. Nothing is allocated and no name is written as long as they agree.
struct Follower<'o, F> {
    outline: &'o Outline,
    each: F,
    /// The number of nodes that have been met.
    met: usize,
    /// The number of tensors among them.
    tensors: usize,
    difference: Option<Difference>,
}

/// The part of a model that the outline does not have at this place.
enum Difference {
    /// Levels, with their depths. This is no fault yet: they may be empty.
    Levels(Vec<(usize, Key)>),
    /// A tensor. The names of all tensors from this one on are written down.
    Tensors(Path, Vec<String>),
}

impl<'o, F> Follower<'o, F> {
    fn new(outline: &'o Outline, each: F) -> Self {
        Follower { outline, each, met: 0, tensors: 0, difference: None }
    }

    /// Goes on to the next node if it is the one that `fits`.
    #[inline]
    fn meets(&mut self, fits: impl Fn(&Node) -> bool) -> bool {
        let meets = self.outline.nodes.get(self.met).is_some_and(fits);
        self.met += usize::from(meets);
        meets
    }

    /// [`meets`](Follower::meets), where empty levels of the outline do not count. `at` is the depth of the
    /// node that is looked for.
    #[cold]
    fn meets_later(&mut self, at: usize, fits: impl Fn(&Node) -> bool) -> bool {
        let rest = self.outline.nodes.iter().skip(self.met);
        // A level above ends the one that the model is in.
        let empty =
            |node: &Node| matches!(node, Node::Level { depth, empty: true, .. } if *depth >= at);
        let skipped = rest.take_while(|node| empty(node) && !fits(node)).count();
        let before = self.met;
        self.met += skipped;
        let meets = self.meets(fits);
        if !meets {
            self.met = before;
        }
        meets
    }

    /// Enters a level that is not the next node.
    #[cold]
    fn enter_unknown(&mut self, depth: usize, key: Key) {
        match &mut self.difference {
            Some(Difference::Tensors(path, _)) => return path.enter(depth, key),
            Some(Difference::Levels(levels)) => {
                levels.retain(|&(above, _)| above < depth);
                if !levels.is_empty() {
                    return levels.push((depth, key));
                }
            }
            None => {}
        }
        let known = self.meets_later(depth, |node| node.is_level(depth, key));
        self.difference = (!known).then(|| Difference::Levels(Vec::from([(depth, key)])));
    }

    /// Meets a tensor that is not the next node. Returns true if it is the next tensor after all.
    #[cold]
    fn is_next_tensor(&mut self, depth: usize) -> bool {
        let mut unknown = Vec::new();
        match &mut self.difference {
            Some(Difference::Tensors(path, names)) => {
                names.push(path.name(depth));
                return false;
            }
            Some(Difference::Levels(levels)) => {
                levels.retain(|&(above, _)| above < depth);
                unknown = core::mem::take(levels);
            }
            None => {}
        }
        if unknown.is_empty() && self.meets_later(depth, |node| *node == Node::Tensor { depth }) {
            self.difference = None;
            return true;
        }
        let mut path = Path::default();
        for node in self.outline.nodes.iter().take(self.met) {
            if let Node::Level { depth, key, .. } = *node {
                path.enter(depth, key);
            }
        }
        for (depth, key) in unknown {
            path.enter(depth, key);
        }
        let names = Vec::from([path.name(depth)]);
        self.difference = Some(Difference::Tensors(path, names));
        false
    }

    fn finish(self, whole: Whole) -> Result<(), Misfit> {
        let Follower { outline: Outline { names, .. }, tensors, difference, .. } = self;
        let found = match difference {
            Some(Difference::Tensors(_, found)) => found,
            _ if tensors == names.len() => return Ok(()),
            _ => Vec::new(),
        };
        Err(Misfit::new(whole, names.get(tensors..).unwrap_or_default(), &found))
    }
}

impl Node {
    #[inline]
    fn is_level(&self, at: usize, expected: Key) -> bool {
        matches!(self, Node::Level { depth, key, .. } if *depth == at && *key == expected)
    }
}

impl<L, F: FnMut(L)> Sink<L> for Follower<'_, F> {
    #[inline]
    fn enter(&mut self, depth: usize, key: Key) {
        if self.difference.is_some() || !self.meets(|node| node.is_level(depth, key)) {
            self.enter_unknown(depth, key);
        }
    }

    #[inline]
    fn tensor(&mut self, depth: usize, leaf: L) {
        let next = self.difference.is_none() && self.meets(|node| *node == Node::Tensor { depth });
        if next || self.is_next_tensor(depth) {
            self.tensors += 1;
            (self.each)(leaf);
        }
    }
}

impl Misfit {
    /// Finds the first difference of two lists of names: those that were expected, and those of a model,
    /// both without the first ones, which agree.
    #[cold]
    fn new(whole: Whole, expected: &[String], found: &[String]) -> Self {
        let not_in = |names: &[String]| {
            let names: BTreeSet<_> = names.iter().cloned().collect();
            move |name: &&String| !names.contains(*name)
        };
        let surplus = found.iter().find(not_in(expected)).map(|name| (name, Fault::Surplus));
        let missing = || expected.iter().find(not_in(found)).map(|name| (name, Fault::Missing));
        let moved = || expected.first().map(|name| (name, Fault::Moved));
        let (name, fault) = surplus.or_else(missing).or_else(moved).unzip();
        let (name, fault) = (name.cloned().unwrap_or_default(), fault.unwrap_or(Fault::Moved));
        Misfit { name, fault, whole }
    }
}

impl From<&Misfit> for Error {
    #[cold]
    fn from(Misfit { name, fault, whole }: &Misfit) -> Self {
        let (place, made) = match whole {
            Whole::Model => ("the model", "registered"),
            Whole::Gradients => ("the gradients", "registered"),
            Whole::Averaged => ("the model", "averaged"),
            #[cfg(feature = "safetensors")]
            Whole::Written => ("`visit_mut`", "in `visit`"),
        };
        let detail = match fault {
            Fault::Missing => Detail::Missing { made, place },
            Fault::Surplus => Detail::Surplus { made, place },
            Fault::Moved => Detail::Moved { made, place },
        };
        Error::from(detail).in_tensor(name)
    }
}

impl From<Misfit> for Error {
    fn from(misfit: Misfit) -> Self {
        Error::from(&misfit)
    }
}
