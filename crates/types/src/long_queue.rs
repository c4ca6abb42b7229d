//! A queue that may become long.

use std::collections::VecDeque;

/// Elements of a piece.
const PIECE: usize = 256;
/// An empty queue keeps room for so many.
const SHORT: usize = 64;

/// A queue that grows and shrinks by pieces. No push moves all that is in it: for half a million elements that would hold
/// the thread up for tens of milliseconds. A short one takes as little memory as a [`VecDeque`].
#[derive(Debug, Clone)]
pub struct LongQueue<T> {
    /// All but the first and the last are full, and none but the only one is empty.
    pieces: VecDeque<VecDeque<T>>,
}

impl<T> Default for LongQueue<T> {
    fn default() -> Self {
        Self { pieces: VecDeque::new() }
    }
}

impl<T> LongQueue<T> {
    /// Elements in it.
    #[must_use]
    pub fn len(&self) -> usize {
        let (first, last) = (self.pieces.front(), self.pieces.back());
        match (first, last, self.pieces.len()) {
            (Some(first), Some(last), 2..) => {
                first.len() + (self.pieces.len() - 2) * PIECE + last.len()
            }
            (first, ..) => first.map_or(0, VecDeque::len),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.front().is_none()
    }

    /// The oldest.
    #[must_use]
    pub fn front(&self) -> Option<&T> {
        self.pieces.front()?.front()
    }

    /// The newest.
    #[must_use]
    pub fn back(&self) -> Option<&T> {
        self.pieces.back()?.back()
    }

    /// Adds the newest.
    pub fn push_back(&mut self, element: T) {
        let is_longer = !self.pieces.is_empty();
        match self.pieces.back_mut() {
            Some(last) if last.len() < PIECE => last.push_back(element),
            _ => {
                // The first piece grows as it is needed: most queues stay short.
                let mut piece = VecDeque::with_capacity(if is_longer { PIECE } else { 0 });
                piece.push_back(element);
                self.pieces.push_back(piece);
            }
        }
    }

    /// Takes the oldest.
    pub fn pop_front(&mut self) -> Option<T> {
        let first = self.pieces.front_mut()?;
        let element = first.pop_front();
        if first.is_empty() && self.pieces.len() > 1 {
            self.pieces.pop_front();
        }
        element
    }

    /// The piece and the place in it of the element at `index`.
    fn place(&self, index: usize) -> (usize, usize) {
        let first = self.pieces.front().map_or(0, VecDeque::len);
        match index.checked_sub(first) {
            None => (0, index),
            Some(behind) => (1 + behind / PIECE, behind % PIECE),
        }
    }

    /// The element at `index`, counted from the oldest.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&T> {
        let (piece, place) = self.place(index);
        self.pieces.get(piece)?.get(place)
    }

    /// The element at `index`, counted from the oldest.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        let (piece, place) = self.place(index);
        self.pieces.get_mut(piece)?.get_mut(place)
    }

    /// Elements from `index` on, the oldest first.
    pub fn iter_from(&self, index: usize) -> impl Iterator<Item = &T> {
        let (piece, place) = self.place(index);
        let first = self.pieces.get(piece).filter(|piece| place < piece.len());
        let rest = self.pieces.range((piece + 1).min(self.pieces.len())..);
        first.into_iter().flat_map(move |piece| piece.range(place..)).chain(rest.flatten())
    }

    /// All elements, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.iter_from(0)
    }

    /// How many elements at the front satisfy `is_before`, which those behind them do not.
    pub fn partition_point(&self, mut is_before: impl FnMut(&T) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.get(middle) {
                Some(element) if is_before(element) => low = middle + 1,
                _ => high = middle,
            }
        }
        low
    }

    /// Gives the memory of an empty queue back if it is not a short one's.
    pub fn shrink_if_empty(&mut self) {
        if self.is_empty() && self.pieces.front().is_some_and(|only| only.capacity() > SHORT) {
            self.pieces = VecDeque::new();
        }
    }
}

impl<T> FromIterator<T> for LongQueue<T> {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        let mut queue = Self::default();
        elements.into_iter().for_each(|element| queue.push_back(element));
        queue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_behaves_as_a_queue_of_one_piece() {
        let (mut queue, mut model) = (LongQueue::default(), VecDeque::new());
        // Grows to several pieces, shrinks to none, grows again, with pushes and pops in turns.
        for (pushes, pops, rounds) in
            [(7, 3, 400), (2, 9, 300), (1, 1, 600), (300, 1, 5), (0, 700, 4)]
        {
            for _ in 0..rounds {
                for _ in 0..pushes {
                    let next = model.back().map_or(0, |last| last + 2);
                    queue.push_back(next);
                    model.push_back(next);
                }
                for _ in 0..pops {
                    assert_eq!(queue.pop_front(), model.pop_front());
                }
                let len = model.len();
                assert_eq!((queue.len(), queue.is_empty()), (len, model.is_empty()));
                assert_eq!((queue.front(), queue.back()), (model.front(), model.back()));
                for index in [0, 1, len / 2, len.saturating_sub(1), len, len + PIECE] {
                    assert_eq!(queue.get(index), model.get(index), "{index} of {len}");
                    assert_eq!(queue.get_mut(index), model.get_mut(index), "{index} of {len}");
                    let from = model.range(index.min(len)..);
                    assert!(queue.iter_from(index).eq(from), "from {index} of {len}");
                    let wanted = model.get(index).copied().unwrap_or(i32::MAX);
                    for wanted in [wanted, wanted - 1] {
                        let found = queue.partition_point(|element| *element < wanted);
                        assert_eq!(found, model.partition_point(|element| *element < wanted));
                    }
                }
            }
            assert!(queue.iter().eq(&model));
        }
        queue.shrink_if_empty();
        assert_eq!((queue.len(), queue.pieces.capacity()), (0, 0));
    }

    #[test]
    fn a_long_queue_is_made_of_pieces_that_never_grow() {
        let queue: LongQueue<usize> = (0..10 * PIECE).collect();
        assert!(queue.pieces.iter().all(|piece| piece.capacity() == PIECE));
    }
}
