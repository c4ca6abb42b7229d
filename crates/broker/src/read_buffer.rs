//! Where the bytes of a connection arrive: frames are cut out of them where they lie.
//!
//! An idle connection owns no memory. The first read of a burst expects frames like the last one, so that requests that
//! wait in the socket arrive together, and a large one in memory of its size from its first byte on.

use crate::protocol_violation::ProtocolViolation;
use bytes::{Buf, BytesMut};

/// What is read at once while nothing is known of the next frame. Needs no permit.
pub(crate) const READ_BYTES: usize = 16 << 10;
/// Least that is read at once.
const READ_BYTES_MIN: usize = 1 << 10;
/// Most bytes that are set aside for several frames at once, and for a single one whose length is a guess.
const AHEAD_MAX: usize = 64 << 10;
const GUESS_MAX: usize = 1 << 20;
/// The part of its memory that a frame has to fill to stay where it was read.
const KEPT_SHARE: usize = 4;
/// Room beyond what is expected, and this part of a frame, for the next one is rarely of just the same length: a read that
/// fills everything means that more was there.
const SLACK_BYTES: usize = 64;
const SLACK_SHARE: usize = 64;
/// Bytes of the length in front of each frame.
const LENGTH: usize = 4;

/// Bytes that came and were not taken, and what is expected of the next ones.
#[derive(Debug, Default)]
pub(crate) struct ReadBuffer {
    pub(crate) received: BytesMut,
    /// Length of the last frame, its length field included: what is expected of the next one.
    last_frame: usize,
    burst: Burst,
}

/// What came since the buffer was last empty.
#[derive(Debug, Default)]
struct Burst {
    frames: usize,
    /// A read found more than there was room for.
    filled: bool,
}

impl ReadBuffer {
    /// Length of the frame at the front, without its length field, once that is known.
    pub(crate) fn frame_len(&self, max: usize) -> Result<Option<usize>, ProtocolViolation> {
        let Some(prefix) = self.received.first_chunk::<LENGTH>() else { return Ok(None) };
        let len = i32::from_be_bytes(*prefix);
        match usize::try_from(len) {
            Ok(len) if len <= max => Ok(Some(len)),
            _ => Err(ProtocolViolation::RequestSize(len)),
        }
    }

    /// Bytes to make room for before the first read of a burst: for as many frames as the last one brought. Not for more,
    /// because a batch that stays in memory keeps the whole of it.
    pub(crate) fn begin_burst(&mut self) -> usize {
        let frames = (self.burst.frames + usize::from(self.burst.filled)).max(1);
        self.burst = Burst::default();
        match self.last_frame {
            0 => READ_BYTES,
            one => {
                let slack = SLACK_BYTES + one / SLACK_SHARE;
                let most = AHEAD_MAX.max((one + slack).min(GUESS_MAX));
                (one * frames + slack).clamp(READ_BYTES_MIN, most)
            }
        }
    }

    /// Whether a frame of `len` bytes is there.
    pub(crate) fn has(&self, len: usize) -> bool {
        self.received.len() >= LENGTH + len
    }

    /// Makes room for what is missing of a frame: large ones arrive in memory of just their size.
    pub(crate) fn make_room(&mut self, len: usize) {
        self.received.reserve(LENGTH + len - self.received.len());
    }

    /// Notes a read.
    pub(crate) fn was_read(&mut self) {
        self.burst.filled |= self.received.len() == self.received.capacity();
    }

    /// Cuts off the frame at the front.
    pub(crate) fn take(&mut self, len: usize) -> BytesMut {
        self.received.advance(LENGTH);
        let room = self.received.capacity();
        let mut frame = self.received.split_to(len);
        self.last_frame = LENGTH + len;
        self.burst.frames += 1;
        if self.received.is_empty() {
            // A short frame where a long one was expected must not keep the room of that.
            if len < room / KEPT_SHARE {
                frame = BytesMut::from(&frame[..]);
            }
            // Idle connections own no buffer.
            self.received = BytesMut::new();
        }
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A buffer into which a frame of so many bytes came.
    fn with(lens: &[usize], room: usize) -> ReadBuffer {
        let mut buffer = ReadBuffer::default();
        buffer.received.reserve(room);
        for len in lens {
            buffer.received.extend(i32::try_from(*len).unwrap().to_be_bytes());
            buffer.received.extend(std::iter::repeat_n(7_u8, *len));
        }
        buffer.was_read();
        buffer
    }

    #[test]
    fn a_length_is_known_from_four_bytes_on() {
        let mut buffer = ReadBuffer::default();
        for byte in [0, 0, 1] {
            buffer.received.extend([byte]);
            assert_eq!(buffer.frame_len(1000).unwrap(), None);
        }
        buffer.received.extend([2]);
        assert_eq!(buffer.frame_len(1000).unwrap(), Some(258));
        assert!(!buffer.has(258));
    }

    #[test]
    fn lengths_that_are_none_are_told() {
        let mut buffer = ReadBuffer::default();
        buffer.received.extend((-1_i32).to_be_bytes());
        let told = buffer.frame_len(1000).unwrap_err();
        assert!(matches!(told, ProtocolViolation::RequestSize(-1)));
        let buffer = with(&[1001], 0);
        assert!(matches!(
            buffer.frame_len(1000).unwrap_err(),
            ProtocolViolation::RequestSize(1001)
        ));
        assert_eq!(buffer.frame_len(1001).unwrap(), Some(1001));
    }

    #[test]
    fn frames_are_cut_off_one_by_one_and_an_empty_buffer_owns_nothing() {
        let mut buffer = with(&[3, 5], 100);
        assert_eq!(buffer.take(3), [7; 3][..]);
        assert_eq!(buffer.frame_len(10).unwrap(), Some(5));
        assert_eq!(buffer.take(5), [7; 5][..]);
        assert_eq!(buffer.received.capacity(), 0);
    }

    #[test]
    fn a_short_frame_does_not_keep_the_room_of_a_long_one() {
        let mut buffer = with(&[10], 100_000);
        assert!(buffer.take(10).capacity() < 1000);
        let mut buffer = with(&[90_000], 100_000);
        assert!(buffer.take(90_000).capacity() >= 90_000, "a long one stays where it is");
    }

    #[test]
    fn a_burst_expects_what_the_last_one_brought() {
        let mut buffer = ReadBuffer::default();
        assert_eq!(buffer.begin_burst(), READ_BYTES, "nothing is known");
        let mut buffer = with(&[2000, 2000, 2000], 100_000);
        for _ in 0..3 {
            buffer.take(2000);
        }
        let three = 3 * 2004;
        assert!((three..three + 200).contains(&buffer.begin_burst()));
        assert!((2004..2200).contains(&buffer.begin_burst()), "and then one");
    }

    #[test]
    fn what_is_set_aside_is_bounded() {
        let mut buffer = with(&[40_000; 10], 0);
        for _ in 0..10 {
            buffer.take(40_000);
        }
        assert_eq!(buffer.begin_burst(), AHEAD_MAX, "of several frames");
        let mut buffer = with(&[5 << 20], 0);
        buffer.take(5 << 20);
        assert_eq!(buffer.begin_burst(), GUESS_MAX, "of one");
        let mut buffer = with(&[10], 0);
        buffer.take(10);
        assert_eq!(buffer.begin_burst(), READ_BYTES_MIN);
    }

    #[test]
    fn room_is_made_for_just_what_is_missing() {
        let mut buffer = ReadBuffer::default();
        buffer.received.extend(100_000_i32.to_be_bytes());
        buffer.make_room(100_000);
        assert!((100_004..=100_100).contains(&buffer.received.capacity()));
    }
}
