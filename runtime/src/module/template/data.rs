//! [`InitialData`]: the contents that the memories of a module start with, as an image that all
//! instances share.
//!
//! The segments that are [certain](super::placed) are laid out in a few runs a memory. What holds little
//! data in much space has no runs: its certain segments are copied, as all others are.

use super::constants::Constants;
use super::placed::{Active, Placed, place};
use crate::entities::FirstContents;
use seqfault_jit::module::{DataMode, DataSegment, ModuleInfo};
use seqfault_mm::{Image, PAGE_SIZE, Region};
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// Most runs of a memory: each takes up to two of the system's mappings in each instance.
const MAX_RUNS: usize = 4;
/// Segments that are at most so far from each other belong to one run.
const NEAR: usize = 64 << 10;
/// A run may be larger than twice its data by this much.
const MAX_WASTE: usize = 128 << 10;

/// What the memories of a module start with.
pub(crate) struct InitialData {
    /// How many segments are certain: these, the first ones, are applied in every instance.
    certain: usize,
    /// The active ones of them, in order.
    placed: Box<[Placed]>,
    /// The runs of each memory that the module defines, ascending.
    runs: Box<[Box<[Run]>]>,
    /// Bytes of all runs together.
    len: usize,
    /// Made for the first instance.
    image: OnceLock<Image>,
    /// Tells the image apart from those of other modules, as long as this module lives.
    mark: Arc<()>,
}

/// What a memory of a module starts with.
#[derive(Clone, Copy)]
pub(crate) struct InitialMemory<'a> {
    pub(super) data: &'a InitialData,
    pub(super) info: &'a ModuleInfo,
    pub(super) bytes: &'a [u8],
    /// The number of the memory among the defined ones.
    pub(super) defined: usize,
}

impl InitialMemory<'_> {
    /// How the contents are told apart from others.
    pub(crate) fn contents(self) -> FirstContents {
        FirstContents::Data(Arc::downgrade(&self.data.mark), self.defined)
    }

    /// Makes a fresh memory start with it. Whether that was possible.
    pub(crate) fn attach(self, region: &Region) -> bool {
        self.data.attach(self.info, self.bytes, self.defined, region)
    }
}

/// A part of the image, whole host pages.
struct Run {
    /// Where in the memory.
    range: Range<usize>,
    /// Where in the image.
    offset: usize,
}

impl InitialData {
    pub(super) fn new(info: &ModuleInfo, constants: &Constants) -> InitialData {
        let (certain, placed) = place(&info.data, constants, |segment| {
            let DataMode::Active { memory, offset } = &segment.mode else { return None };
            let defined = memory.checked_sub(info.num_imported_memories as u32);
            let ty = info.memories[*memory as usize];
            let room = u128::from(ty.minimum) << ty.page_size_log2;
            Some(Active { defined, offset, len: segment.range.len(), room })
        });
        let mut len = 0;
        let runs = info.memories[info.num_imported_memories..]
            .iter()
            .enumerate()
            .map(|(defined, _)| {
                let own = placed.iter().filter(|placed| placed.defined as usize == defined);
                let ranges = own.map(|placed| {
                    placed.start..placed.start + info.data[placed.segment as usize].range.len()
                });
                let runs = lay_out(ranges.filter(|range| !range.is_empty()).collect());
                runs.into_iter()
                    .map(|range| {
                        let run = Run { offset: len, range };
                        len += run.range.len();
                        run
                    })
                    .collect()
            })
            .collect();
        InitialData {
            certain,
            placed: placed.into(),
            runs,
            len,
            image: OnceLock::new(),
            mark: Arc::default(),
        }
    }

    /// Whether a memory has any in an image.
    pub(super) fn is_in_image(&self, defined: usize) -> bool {
        !self.runs[defined].is_empty()
    }

    /// The module is about to be dropped: no memory starts with this any more. Whether any ever did.
    pub(super) fn retire(&mut self) -> bool {
        self.mark = Arc::default();
        self.image.get().is_some()
    }

    /// How many segments, from the first on, are certain to be applied.
    pub(crate) fn certain(&self) -> usize {
        self.certain
    }

    /// The certain segments of a memory that the module defines, in order, with their addresses.
    pub(crate) fn of_memory(&self, defined: usize) -> impl Iterator<Item = (u32, u64)> + '_ {
        let own = self.placed.iter().filter(move |placed| placed.defined as usize == defined);
        own.map(|placed| (placed.segment, placed.start as u64))
    }

    /// Makes a fresh memory start with its certain segments. Whether that was possible; otherwise
    /// they must be copied.
    pub(crate) fn attach(
        &self,
        info: &ModuleInfo,
        bytes: &[u8],
        defined: usize,
        region: &Region,
    ) -> bool {
        let runs = &self.runs[defined];
        if runs.is_empty() {
            return false;
        }
        let Some(image) = self.image(info, bytes) else { return false };
        runs.iter().all(|run| {
            let part = image.part(run.offset..run.offset + run.range.len());
            part.and_then(|part| region.attach_image(run.range.start, &part)).is_ok()
        })
    }

    /// The image; `None` if the system has no room for it now.
    fn image(&self, info: &ModuleInfo, bytes: &[u8]) -> Option<&Image> {
        if self.image.get().is_none() {
            let pieces = self.placed.iter().filter_map(|placed| {
                let runs = &self.runs[placed.defined as usize];
                let next = runs.partition_point(|run| run.range.start <= placed.start);
                let run = &runs[next.checked_sub(1)?];
                let DataSegment { range, .. } = &info.data[placed.segment as usize];
                Some((run.offset + (placed.start - run.range.start), &bytes[range.clone()]))
            });
            let pieces = pieces.filter(|(_, bytes)| !bytes.is_empty());
            // If another thread is faster, its image is taken.
            let _ = self.image.set(Image::from_pieces(self.len, pieces).ok()?);
        }
        self.image.get()
    }
}

/// The runs for the ranges that segments fill; none if they would be too many, or hold too little.
fn lay_out(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_by_key(|range| range.start);
    let mut runs: Vec<(Range<usize>, usize)> = Vec::new();
    for range in ranges {
        let pages = range.start / PAGE_SIZE * PAGE_SIZE..range.end.next_multiple_of(PAGE_SIZE);
        match runs.last_mut() {
            Some((run, data)) if pages.start <= run.end + NEAR => {
                run.end = run.end.max(pages.end);
                *data += range.len();
            }
            _ => runs.push((pages, range.len())),
        }
    }
    // A run at the start of a memory takes a mapping less than one near it.
    if let Some((first, _)) = runs.first_mut()
        && first.start <= NEAR
    {
        first.start = 0;
    }
    let thrifty = |(run, data): &(Range<usize>, usize)| run.len() <= 2 * data + MAX_WASTE;
    match runs.len() <= MAX_RUNS && runs.iter().all(thrifty) {
        true => runs.into_iter().map(|(run, _)| run).collect(),
        false => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The runs for ranges that are given by their start and length, by their first and last page.
    fn pages(ranges: &[(usize, usize)]) -> Vec<(usize, usize)> {
        let runs = lay_out(ranges.iter().map(|&(start, len)| start..start + len).collect());
        let page = |at: usize| {
            assert!(at.is_multiple_of(PAGE_SIZE));
            at / PAGE_SIZE
        };
        runs.into_iter().map(|run| (page(run.start), page(run.end))).collect()
    }

    #[test]
    fn segments_that_are_near_each_other_are_one_run_of_whole_pages() {
        assert_eq!(pages(&[(1024, 900), (1924, 8000)]), [(0, 3)]);
        let far = 50 * PAGE_SIZE + 1;
        assert_eq!(pages(&[(far, 1), (1, 1)]), [(0, 1), (50, 51)]);
        assert_eq!(pages(&[(far, PAGE_SIZE)]), [(50, 52)]);
        assert_eq!(pages(&[(5, 1), (PAGE_SIZE, NEAR), (7, 1)]), [(0, 17)]);
        assert_eq!(pages(&[(PAGE_SIZE, 1)]), [(0, 2)]);
        assert_eq!(pages(&[]), []);
    }

    #[test]
    fn what_is_sparse_has_no_runs() {
        let every = |step: usize, count: usize| -> Vec<Range<usize>> {
            (0..count).map(|n| n * step..n * step + 1).collect()
        };
        assert_eq!(lay_out(every(1 << 20, MAX_RUNS)).len(), MAX_RUNS);
        assert_eq!(lay_out(every(1 << 20, MAX_RUNS + 1)).len(), 0);
        assert_eq!(lay_out(every(NEAR, 2)).len(), 1);
        assert_eq!(lay_out(every(NEAR, 3)).len(), 0, "a byte in 64 KiB");
    }
}
