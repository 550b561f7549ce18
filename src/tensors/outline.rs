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
    /// A field or an item, below `depth` others.
    Level {
        key: Key,
        depth: usize,
        empty: bool,
    },
    Tensor,
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
}

impl Outline {
    /// Writes down the tensors of a model, and returns them too.
    pub(crate) fn of<A: Real, T: Tensors<A> + ?Sized>(model: &T) -> (Self, Vec<&dyn Leaf<A>>) {
        let mut recorder = Recorder {
            path: Path::default(),
            open: Vec::new(),
            outline: Outline::EMPTY,
            leaves: Vec::new(),
        };
        model.visit(&mut Visitor::new(&mut recorder));
        (recorder.outline, recorder.leaves)
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
}

/// The name of a place in a model, level by level.
#[derive(Default)]
struct Path {
    text: String,
    /// The length of the text above each level.
    above: Vec<usize>,
}

impl Path {
    fn enter(&mut self, key: Key) {
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

    fn leave(&mut self) {
        self.text.truncate(self.above.pop().unwrap_or_default());
    }
}

/// Writes an outline.
struct Recorder<L> {
    path: Path,
    /// The levels that have not been left: the place of each in the outline, and the number of tensors
    /// before it.
    open: Vec<(usize, usize)>,
    outline: Outline,
    leaves: Vec<L>,
}

impl<L> Sink<L> for Recorder<L> {
    fn enter(&mut self, key: Key) {
        let Outline { nodes, names } = &mut self.outline;
        let depth = self.open.len();
        self.open.push((nodes.len(), names.len()));
        nodes.push(Node::Level { key, depth, empty: false });
        self.path.enter(key);
    }

    fn leave(&mut self) {
        let Outline { nodes, names } = &mut self.outline;
        if let Some((place, before)) = self.open.pop() {
            if let Some(Node::Level { empty, .. }) = nodes.get_mut(place) {
                *empty = names.len() == before;
            }
        }
        self.path.leave();
    }

    fn tensor(&mut self, leaf: L) {
        self.outline.nodes.push(Node::Tensor);
        self.outline.names.push(self.path.text.clone());
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
    /// The number of levels that have not been left, except for those in `unknown`.
    depth: usize,
    /// Open levels that the outline does not have. This is no difference yet: they may be empty.
    unknown: Vec<Key>,
    strayed: Option<Strayed>,
}

/// The rest of a model, from the first difference on.
struct Strayed {
    path: Path,
    names: Vec<String>,
}

impl<'o, F> Follower<'o, F> {
    fn new(outline: &'o Outline, each: F) -> Self {
        let (unknown, strayed) = (Vec::new(), None);
        Follower { outline, each, met: 0, tensors: 0, depth: 0, unknown, strayed }
    }

    /// Goes on to the next node if it is the one that `fits`. Empty levels before it do not count.
    #[inline]
    fn meets(&mut self, fits: impl Fn(&Node) -> bool) -> bool {
        let rest = self.outline.nodes.get(self.met..).unwrap_or_default();
        let empty = |node: &&Node| matches!(node, Node::Level { empty: true, .. });
        let skipped = match rest.first() {
            Some(node) if fits(node) => 0,
            _ => rest.iter().take_while(|node| empty(node) && !fits(node)).count(),
        };
        let meets = rest.get(skipped).is_some_and(fits);
        if meets {
            self.met += skipped + 1;
        }
        meets
    }

    #[cold]
    fn stray(&mut self) -> &mut Strayed {
        let (met, depth) = (self.met, self.depth);
        self.strayed.get_or_insert_with(|| {
            let mut path = Path::default();
            for node in self.outline.nodes.iter().take(met) {
                if let Node::Level { key, depth, .. } = *node {
                    while path.above.len() > depth {
                        path.leave();
                    }
                    path.enter(key);
                }
            }
            while path.above.len() > depth {
                path.leave();
            }
            self.unknown.drain(..).for_each(|key| path.enter(key));
            Strayed { path, names: Vec::new() }
        })
    }

    fn finish(self, whole: Whole) -> Result<(), Misfit> {
        let Follower { outline: Outline { names, .. }, tensors, strayed, .. } = self;
        if strayed.is_none() && tensors == names.len() {
            return Ok(());
        }
        let found = strayed.map_or_else(Vec::new, |strayed| strayed.names);
        Err(Misfit::new(whole, names.get(tensors..).unwrap_or_default(), &found))
    }
}

impl<L, F: FnMut(L)> Sink<L> for Follower<'_, F> {
    #[inline]
    fn enter(&mut self, key: Key) {
        if let Some(strayed) = &mut self.strayed {
            return strayed.path.enter(key);
        }
        let depth = self.depth;
        let fits = |node: &Node| match node {
            Node::Level { key: expected, depth: below, .. } => *below == depth && *expected == key,
            Node::Tensor => false,
        };
        if self.unknown.is_empty() && self.meets(fits) {
            self.depth += 1;
        } else {
            self.unknown.push(key);
        }
    }

    #[inline]
    fn leave(&mut self) {
        if let Some(strayed) = &mut self.strayed {
            strayed.path.leave();
        } else if self.unknown.pop().is_none() {
            self.depth = self.depth.saturating_sub(1);
        }
    }

    #[inline]
    fn tensor(&mut self, leaf: L) {
        if self.strayed.is_none()
            && self.unknown.is_empty()
            && self.meets(|node| *node == Node::Tensor)
        {
            self.tensors += 1;
            return (self.each)(leaf);
        }
        let strayed = self.stray();
        strayed.names.push(strayed.path.text.clone());
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
