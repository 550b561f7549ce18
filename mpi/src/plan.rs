//! The division of the elements of a batch among the ranks.

use core::ops::Range;

use adamax::Part;

/// The elements of one tensor that each rank owns: a run of the row-major order, or nothing.
///
/// The parts of tensor number k are given to the ranks in turn: rank r owns part (r + k) mod `size`. A
/// tensor of one block has only one part that is not empty, so small tensors are spread over all ranks.
#[derive(Clone, Debug)]
pub(crate) struct Owners {
    /// Ranks that own something, in ascending order.
    runs: Vec<(usize, Range<usize>)>,
}

impl Owners {
    /// Divides tensor number `number`. Also returns the part of `rank`.
    pub(crate) fn new(
        shape: &[usize],
        number: usize,
        rank: usize,
        size: usize,
    ) -> Result<(Self, Part), adamax::Error> {
        let part =
            |rank: usize| Part::new(shape, (rank + number % size.max(1)) % size.max(1), size);
        let mut runs = Vec::new();
        for rank in 0..size {
            let range = part(rank)?.range();
            if !range.is_empty() {
                runs.push((rank, range));
            }
        }
        Ok((Owners { runs }, part(rank)?))
    }

    /// Returns the run of a rank.
    pub(crate) fn of(&self, rank: usize) -> Range<usize> {
        let found = self.runs.binary_search_by_key(&rank, |(rank, _)| *rank);
        found.ok().and_then(|at| self.runs.get(at)).map_or(0..0, |(_, run)| run.clone())
    }
}

/// A run of a tensor of the batch, at a place among all elements of the batch that its rank owns.
#[derive(Clone, Debug)]
struct Run {
    place: usize,
    elements: Range<usize>,
    offset: usize,
}

/// A part of a run that lies in a window.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Piece {
    /// The place of the tensor in the batch.
    pub(crate) place: usize,
    /// The elements in the row-major order of the tensor.
    pub(crate) run: Range<usize>,
    /// The elements in the window.
    pub(crate) within: Range<usize>,
}

/// The division of a batch. For each rank, the elements that it owns stand one after the other, in the
/// order of the batch.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// The numbers of the tensors of the batch, for which the plan was made.
    tensors: Vec<usize>,
    /// The runs of all ranks, those of rank 0 first.
    runs: Vec<Run>,
    /// The first run of each rank, and the number of runs.
    first: Vec<usize>,
    /// The number of elements of each rank.
    lengths: Vec<usize>,
    /// The run of this rank in each tensor of the batch.
    own: Vec<Range<usize>>,
}

impl Plan {
    /// Makes the plan anew, unless it is for these tensors.
    pub(crate) fn make<'t>(
        &mut self,
        tensors: impl Iterator<Item = (usize, &'t Owners)> + Clone,
        rank: usize,
        size: usize,
    ) {
        if !self.first.is_empty()
            && tensors.clone().map(|(n, _)| n).eq(self.tensors.iter().copied())
        {
            return;
        }
        self.tensors.clear();
        self.tensors.extend(tensors.clone().map(|(number, _)| number));
        self.own.clear();
        self.own.extend(tensors.clone().map(|(_, owners)| owners.of(rank)));

        let mut all: Vec<(usize, Run)> = Vec::new();
        for (place, (_, owners)) in tensors.enumerate() {
            let run = |(rank, run): &(usize, Range<usize>)| {
                (*rank, Run { place, elements: run.clone(), offset: 0 })
            };
            all.extend(owners.runs.iter().map(run));
        }
        all.sort_by_key(|(rank, _)| *rank);
        (self.lengths, self.first) = (vec![0; size], Vec::with_capacity(size + 1));
        for rank in 0..=size {
            self.first.push(all.partition_point(|(of, _)| *of < rank));
        }
        self.runs = all
            .into_iter()
            .map(|(rank, run)| {
                let mut run = run;
                if let Some(length) = self.lengths.get_mut(rank) {
                    run.offset = *length;
                    *length += run.elements.len();
                }
                run
            })
            .collect();
    }

    /// Returns the number of elements of the batch that a rank owns.
    pub(crate) fn length(&self, rank: usize) -> usize {
        self.lengths.get(rank).copied().unwrap_or_default()
    }

    /// Returns the largest number of elements that a rank owns.
    pub(crate) fn longest(&self) -> usize {
        self.lengths.iter().copied().max().unwrap_or_default()
    }

    /// Returns the run of this rank in each tensor of the batch.
    pub(crate) fn own(&self) -> &[Range<usize>] {
        &self.own
    }

    /// Returns the part of a window that lies within the elements of a rank.
    pub(crate) fn clip(&self, rank: usize, window: &Range<usize>) -> Range<usize> {
        let length = self.length(rank);
        window.start.min(length)..window.end.min(length)
    }

    /// Returns the pieces of a window of the elements of a rank.
    pub(crate) fn pieces(&self, rank: usize, window: Range<usize>) -> impl Iterator<Item = Piece> {
        let range = self.first.get(rank).zip(self.first.get(rank + 1)).map(|(&a, &b)| a..b);
        let runs = range.and_then(|range| self.runs.get(range)).unwrap_or_default();
        let begin = runs.partition_point(|run| run.offset + run.elements.len() <= window.start);
        let runs = runs.get(begin..).unwrap_or_default();
        let end = window.end;
        runs.iter().take_while(move |run| run.offset < end).map(
            move |Run { place, elements, offset }| {
                let from = window.start.max(*offset);
                let to = window.end.min(offset + elements.len());
                let run = elements.start + (from - offset)..elements.start + (to - offset);
                Piece { place: *place, run, within: from - window.start..to - window.start }
            },
        )
    }

    /// Returns the piece that fills a window of the elements of a rank, if it is one.
    pub(crate) fn single(&self, rank: usize, window: &Range<usize>) -> Option<Piece> {
        let first = self.pieces(rank, window.clone()).next()?;
        (first.within == (0..window.len())).then_some(first)
    }
}

/// Cuts the elements of a rank into windows, which are exchanged one after the other.
pub(crate) fn windows(length: usize, most: usize) -> impl Iterator<Item = Range<usize>> {
    let most = most.max(1);
    (0..length.div_ceil(most)).map(move |i| i * most..length.min((i + 1) * most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_element_of_a_batch_has_one_owner() {
        let shapes: [&[usize]; 6] = [&[5000], &[], &[0], &[3], &[7, 300], &[40, 40]];
        for size in [1, 2, 3, 4, 7] {
            let owners: Vec<_> = shapes
                .iter()
                .enumerate()
                .map(|(number, shape)| Owners::new(shape, number, 0, size).expect("a shape").0)
                .collect();
            let mut plan = Plan::default();
            let batch = [4, 0, 1, 2, 5, 3];
            plan.make(batch.into_iter().map(|number| (number, &owners[number])), 0, size);
            for most in [1, 7, 100, 10_000] {
                let mut seen: Vec<Vec<u32>> =
                    batch.iter().map(|&n| vec![0; shapes[n].iter().product()]).collect();
                for window in windows(plan.longest(), most) {
                    for rank in 0..size {
                        let window = plan.clip(rank, &window);
                        let mut filled = 0;
                        for piece in plan.pieces(rank, window.clone()) {
                            assert_eq!(piece.within.start, filled);
                            assert_eq!(piece.within.len(), piece.run.len());
                            assert!(!piece.run.is_empty());
                            filled = piece.within.end;
                            piece.run.for_each(|at| seen[piece.place][at] += 1);
                        }
                        assert_eq!(filled, window.len());
                        let pieces: Vec<_> = plan.pieces(rank, window.clone()).collect();
                        let single = plan.single(rank, &window);
                        assert_eq!(single.is_some(), pieces.len() == 1);
                        assert!(single.is_none_or(|single| single == pieces[0]));
                    }
                }
                assert!(seen.iter().flatten().all(|&count| count == 1), "{size}, {most}");
            }
            for (place, &number) in batch.iter().enumerate() {
                assert_eq!(plan.own()[place], owners[number].of(0));
            }
        }
    }

    #[test]
    fn small_tensors_are_spread_over_all_ranks() {
        let size = 4;
        let mut counts = [0; 4];
        for number in 0..100 {
            let (owners, _) = Owners::new(&[20, 20], number, 0, size).expect("a shape");
            (0..size).for_each(|rank| counts[rank] += owners.of(rank).len());
        }
        assert_eq!(counts, [10_000; 4]);
    }

    #[test]
    fn a_plan_is_made_anew_for_other_tensors() {
        let owners = [10, 20].map(|length| Owners::new(&[length], 0, 0, 1).expect("a shape").0);
        let mut plan = Plan::default();
        plan.make([(0, &owners[0])].into_iter(), 0, 1);
        assert_eq!(plan.length(0), 10);
        plan.make([(1, &owners[1])].into_iter(), 0, 1);
        assert_eq!(plan.length(0), 20);
        plan.make([].into_iter(), 0, 1);
        assert_eq!(plan.length(0), 0);
    }
}
