//! Which extents of a partition are worth a merge.

use esker_meta::Extent;

/// What a merge would gain with an extent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Benefit {
    /// Nothing: it is large, and alone in its object.
    None,
    /// Fewer requests to read it.
    Requests,
    /// That, and room in the metadata: what slices an object cannot be spilled.
    Room,
}

/// What makes a merge worth its copy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MergePolicy {
    /// Fewest extents of a merge.
    pub(crate) count: usize,
    /// Most bytes of one.
    pub(crate) bytes_max: u64,
    /// With so many extents from which something is gained, those that take room cannot wait for
    /// more beside them.
    pub(crate) urgent: usize,
    /// With more extents than so many in all, neither: the ones after them cannot be spilled before
    /// they are alone.
    pub(crate) inline: usize,
}

impl MergePolicy {
    /// The oldest run of extents that are worth a merge and together fit one object, if there is
    /// one.
    pub(crate) fn run<'a>(
        &self,
        extents: &'a [Extent],
        gain: impl Fn(&Extent) -> Benefit,
    ) -> Option<&'a [Extent]> {
        let is_large = |extent: &Extent| gain(extent) == Benefit::None;
        self.runs(extents, &is_large).find(|run| run.len() >= self.count).or_else(|| {
            let small = extents.iter().filter(|extent| !is_large(extent)).count();
            let takes_room = |run: &&[Extent]| run.iter().any(|one| gain(one) == Benefit::Room);
            if small < self.urgent && extents.len() <= self.inline {
                return None;
            }
            self.runs(extents, &is_large).find(takes_room)
        })
    }

    /// Runs between large extents, cut where they would not fit one object; one extent always does.
    fn runs<'a>(
        &self,
        extents: &'a [Extent],
        is_large: &impl Fn(&Extent) -> bool,
    ) -> impl Iterator<Item = &'a [Extent]> {
        let mut rest = extents;
        std::iter::from_fn(move || {
            let first = rest.iter().position(|extent| !is_large(extent))?;
            rest = &rest[first..];
            let mut bytes = 0;
            let fitting = rest.iter().take_while(|extent| {
                bytes += extent.bytes;
                !is_large(extent) && bytes <= self.bytes_max
            });
            let (run, later) = rest.split_at(fitting.count().max(1));
            rest = later;
            Some(run)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use esker_meta::ExtentFlags;
    use esker_types::{ObjectId, Offset, Timestamp};

    const RULE: MergePolicy = MergePolicy { count: 3, bytes_max: 100, urgent: 6, inline: 20 };

    /// What is planned for extents of these sizes: those from 50 on are alone and large, those
    /// below 10 alone and small.
    fn plan(sizes: &[u64]) -> Option<(usize, usize)> {
        let extents: Vec<_> = (0..)
            .zip(sizes)
            .map(|(at, bytes)| Extent {
                base: Offset(at),
                end: Offset(at + 1),
                object: ObjectId(1),
                bytes: *bytes,
                max_timestamp: Timestamp(0),
                flags: ExtentFlags::default(),
            })
            .collect();
        let run = RULE.run(&extents, |extent| match extent.bytes {
            50.. => Benefit::None,
            10.. => Benefit::Room,
            _ => Benefit::Requests,
        })?;
        let from = usize::try_from(run[0].base.get()).unwrap();
        Some((from, from + run.len()))
    }

    #[test]
    fn the_oldest_run_that_fits_is_merged_and_large_extents_are_left_alone() {
        assert_eq!(plan(&[]), None);
        assert_eq!(plan(&[10, 10]), None, "too few");
        assert_eq!(plan(&[10, 10, 10]), Some((0, 3)));
        assert_eq!(plan(&[10, 60, 10, 20, 30, 40, 10]), Some((2, 6)), "100 bytes fit");
        assert_eq!(plan(&[40, 40, 40, 10, 10]), Some((2, 5)), "the first two do not fit a third");
        assert_eq!(plan(&[50; 20]), None);
        assert_eq!(plan(&[1, 50, 1, 1, 1]), Some((2, 5)));
    }

    #[test]
    fn what_takes_room_between_large_extents_is_merged_alone_before_there_is_none() {
        let mixed: Vec<u64> = [10, 60].repeat(5);
        assert_eq!(plan(&mixed), None, "five can wait");
        let mixed: Vec<u64> = [60, 10].repeat(6);
        assert_eq!(plan(&mixed), Some((1, 2)));
        let first = |large: usize| [&[10][..], &vec![60; large]].concat();
        assert_eq!(plan(&first(19)), None, "one can wait");
        assert_eq!(plan(&first(20)), Some((0, 1)), "but not keep the others from being spilled");
        let alone: Vec<u64> = [60, 1].repeat(20);
        assert_eq!(plan(&alone), None, "these can be spilled");
    }
}
