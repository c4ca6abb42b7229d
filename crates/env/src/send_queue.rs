//! Bytes that wait to be sent over a stream, without copying them together.

use crate::ByteStream;
use bytes::{Buf, Bytes};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Slices handed to the kernel in one write.
const SLICES_MAX: usize = 64;

/// What is still to be sent, in order.
#[derive(Debug, Default)]
pub struct SendQueue {
    parts: VecDeque<Bytes>,
    bytes: usize,
}

impl SendQueue {
    /// Adds a frame's parts behind everything else.
    pub fn push(&mut self, parts: impl IntoIterator<Item = Bytes>) {
        for part in parts {
            self.bytes += part.len();
            self.parts.push_back(part);
        }
    }

    /// Bytes that wait.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether everything was handed to the kernel.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Sends what can be sent now, at most `most` bytes, in large vectored writes. Answers how many were.
    ///
    /// # Errors
    /// The stream's; [`io::ErrorKind::WriteZero`] when it takes nothing any more.
    pub fn poll_send(
        &mut self,
        stream: &mut dyn ByteStream,
        context: &mut Context<'_>,
        most: usize,
    ) -> io::Result<usize> {
        let mut total = 0;
        while !self.parts.is_empty() && total < most {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let mut count = 0;
            let mut room = most - total;
            for (slice, part) in slices.iter_mut().zip(&self.parts) {
                if room == 0 {
                    break;
                }
                let part = &part[..part.len().min(room)];
                *slice = IoSlice::new(part);
                room -= part.len();
                count += 1;
            }
            let mut sent =
                match Pin::new(&mut *stream).poll_write_vectored(context, &slices[..count])? {
                    Poll::Pending => break,
                    Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Poll::Ready(sent) => sent,
                };
            total += sent;
            self.bytes -= sent;
            while let Some(front) = self.parts.front_mut() {
                if sent < front.len() {
                    front.advance(sent);
                    break;
                }
                sent -= front.len();
                self.parts.pop_front();
            }
        }
        Ok(total)
    }
}
