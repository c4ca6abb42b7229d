//! A connection that is driven by polling: frames out in large vectored writes, answers in by large reads.

use bytes::Bytes;
use esker_env::{ByteStream, SendQueue};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, ReadBuf};

/// Memory for answers until one needs more.
const RECEIVE_BYTES: usize = 64 << 10;
/// Largest answer that is read.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// One connection.
pub(crate) struct Pipe {
    stream: Box<dyn ByteStream>,
    unsent: SendQueue,
    /// All of it is initialized; answers lie at `begin..end`.
    received: Vec<u8>,
    begin: usize,
    end: usize,
}

impl Pipe {
    pub(crate) fn new(stream: Box<dyn ByteStream>) -> Self {
        let received = vec![0; RECEIVE_BYTES];
        Self { stream, unsent: SendQueue::default(), received, begin: 0, end: 0 }
    }

    /// Adds a frame to what is sent by the next [`Pipe::poll_send`].
    pub(crate) fn push(&mut self, segments: impl IntoIterator<Item = Bytes>) {
        self.unsent.push(segments);
    }

    /// Whether everything was handed to the kernel.
    pub(crate) fn is_sent(&self) -> bool {
        self.unsent.is_empty()
    }

    /// Sends what can be sent now; whether anything was.
    pub(crate) fn poll_send(&mut self, context: &mut Context<'_>) -> io::Result<bool> {
        Ok(self.unsent.poll_send(&mut *self.stream, context, usize::MAX)? > 0)
    }

    /// The next answer without its length. It is gone with the next call.
    pub(crate) fn poll_answer(&mut self, context: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        loop {
            let have = self.end - self.begin;
            let mut wanted = 4;
            if let Some(prefix) = self.received[self.begin..self.end].first_chunk::<4>() {
                let len = usize::try_from(i32::from_be_bytes(*prefix)).unwrap_or(usize::MAX);
                if len > ANSWER_BYTES_MAX {
                    let problem = format!("an answer of {len} bytes");
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, problem)));
                }
                wanted += len;
                if have >= wanted {
                    let answer = self.begin + 4..self.begin + wanted;
                    self.begin += wanted;
                    return Poll::Ready(Ok(&self.received[answer]));
                }
            }
            if have == 0 {
                (self.begin, self.end) = (0, 0);
            } else if self.begin + wanted > self.received.len() {
                self.received.copy_within(self.begin..self.end, 0);
                (self.begin, self.end) = (0, have);
            }
            if wanted > self.received.len() {
                self.received.resize(wanted, 0);
            }
            let mut buffer = ReadBuf::new(&mut self.received[self.end..]);
            std::task::ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
            match buffer.filled().len() {
                0 => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                read => self.end += read,
            }
        }
    }
}
