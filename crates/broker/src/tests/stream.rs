//! A stream whose other side is written down beforehand.

use esker_env::ByteStream;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What the other side does next.
#[derive(Debug)]
pub(crate) enum Step {
    /// Sends bytes.
    Send(Vec<u8>),
    /// Closes its half.
    Close,
    /// Is cut off.
    Break,
}

#[derive(Default)]
pub(crate) struct Script {
    steps: VecDeque<Step>,
    /// What was written to it.
    pub(crate) written: Vec<u8>,
    /// Most bytes that it takes at once, if it is slow.
    pub(crate) takes: Option<usize>,
    waker: Option<Waker>,
}

/// The stream, of which the test keeps the script.
#[derive(Clone, Default)]
pub(crate) struct Scripted(pub(crate) Arc<Mutex<Script>>);

impl Scripted {
    pub(crate) fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        let steps = steps.into_iter().collect();
        Self(Arc::new(Mutex::new(Script { steps, ..Script::default() })))
    }

    /// The frames that were written, without their lengths.
    pub(crate) fn frames(&self) -> Vec<Vec<u8>> {
        let mut rest = &self.0.lock().written[..];
        let mut frames = Vec::new();
        while let Some(length) = rest.first_chunk::<4>() {
            let length = usize::try_from(i32::from_be_bytes(*length)).unwrap();
            frames.push(rest[4..4 + length].to_vec());
            rest = &rest[4 + length..];
        }
        assert!(rest.is_empty(), "whole frames only");
        frames
    }
}

impl ByteStream for Scripted {
    fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut script = self.0.lock();
        if script.steps.is_empty() {
            script.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn is_closed(&self) -> bool {
        matches!(self.0.lock().steps.front(), Some(Step::Break))
    }
}

impl AsyncRead for Scripted {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut script = self.0.lock();
        match script.steps.pop_front() {
            None => {
                script.waker = Some(context.waker().clone());
                Poll::Pending
            }
            Some(Step::Send(mut bytes)) => {
                let rest = bytes.split_off(bytes.len().min(buffer.remaining()));
                buffer.put_slice(&bytes);
                if !rest.is_empty() {
                    script.steps.push_front(Step::Send(rest));
                }
                Poll::Ready(Ok(()))
            }
            Some(Step::Close) => {
                script.steps.push_front(Step::Close);
                Poll::Ready(Ok(()))
            }
            Some(Step::Break) => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
        }
    }
}

impl AsyncWrite for Scripted {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut script = self.0.lock();
        let count = script.takes.map_or(bytes.len(), |takes| takes.min(bytes.len()));
        script.written.extend(&bytes[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
