//! One client connection, run to completion on its shard.
//!
//! Answers leave in the order of their requests. Produce requests overlap: the next one is read while earlier ones wait
//! for the disk. Any other request runs alone, after everything before it was answered, so that a client that pipelines
//! sees the effects of its requests in order.
//!
//! *Memory.* An idle connection owns no buffer. A frame is read only after its length was taken from the request budget;
//! batches are cut out of it without copying. The first read of a burst expects frames like the last one, so that
//! requests that wait in the socket arrive together, and a large one in memory of its size from its first byte on.
//!
//! *Cancellation.* Dropping a connection drops its running request. What was appended stays appended.

use crate::broker::Broker;
use crate::call::{PendingResponse, Response};
use crate::client_info::ClientInfo;
use crate::dispatch;
use crate::protocol_violation::ProtocolViolation;
use crate::read_buffer::{READ_BYTES, ReadBuffer};
use bytes::BytesMut;
use esker_env::{BoxFuture, ByteStream, Permit, SendQueue, poll_again_later};
use esker_types::MonoTime;
use esker_wire::ApiKey;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio_util::io::poll_read_buf;

/// Produce requests of one connection that may wait for the disk at once.
const OVERLAP_MAX: usize = 64;
/// Most bytes sent before the other connections of the shard have had their turn: a large answer is copied into the
/// socket for a millisecond or two, and a small one must not wait for several of these.
const SENT_MAX: usize = 256 << 10;
/// Unsent bytes after which nothing more is answered until the client reads.
const UNSENT_MAX: usize = 1 << 20;

pub(crate) struct Connection {
    broker: Arc<Broker>,
    client: Arc<ClientInfo>,
    stream: Box<dyn ByteStream>,
    buffer: ReadBuffer,
    /// Permit of what was set aside ahead of knowing the frames that come.
    ahead: Option<Permit>,
    /// Permit of the frame that is being received, and the wait for it.
    permit: Option<Permit>,
    permit_wait: Option<BoxFuture<'static, Permit>>,
    slots: VecDeque<(PendingResponse, Option<Permit>)>,
    unsent: SendQueue,
    /// Bytes that may be sent in this turn.
    may_send: usize,
    /// Reading rests until then: the client was told to slow down.
    muted: Option<BoxFuture<'static, ()>>,
    /// Whether the last request was a Produce: only those wait for the device.
    produces: bool,
    /// The wait for the device to take what was appended.
    room: Option<BoxFuture<'static, ()>>,
    /// Closes the connection when nothing happens for long.
    idle: Option<BoxFuture<'static, ()>>,
    last_active: MonoTime,
    closing: bool,
}

/// Why a connection ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The client closed it.
    ByClient,
    /// Nothing happened for `connections.max.idle.ms`.
    Idle,
    /// The client broke the protocol: what it did.
    Protocol(ProtocolViolation),
    /// The network failed.
    Network(io::Error),
}

impl Connection {
    pub(crate) fn new(
        broker: Arc<Broker>,
        client: Arc<ClientInfo>,
        stream: Box<dyn ByteStream>,
    ) -> Self {
        let last_active = broker.env().clock.now();
        Self {
            broker,
            client,
            stream,
            buffer: ReadBuffer::default(),
            ahead: None,
            permit: None,
            permit_wait: None,
            slots: VecDeque::new(),
            unsent: SendQueue::default(),
            may_send: SENT_MAX,
            muted: None,
            produces: false,
            room: None,
            idle: None,
            last_active,
            closing: false,
        }
    }

    /// Moves finished answers from the front of the queue to the send buffer.
    fn collect_answers(&mut self, context: &mut Context<'_>) -> Result<bool, Ended> {
        let mut progress = false;
        while self.unsent.bytes() < UNSENT_MAX
            && let Some((slot, _)) = self.slots.front_mut()
        {
            let Poll::Ready(answer) = slot.poll(context) else { break };
            self.slots.pop_front();
            progress = true;
            match answer {
                Response::Frame { segments, throttle } => {
                    self.unsent.push(segments);
                    if !throttle.is_zero() {
                        self.muted = Some(self.broker.env().clock.sleep(throttle));
                    }
                }
                Response::Nothing => {}
                Response::Close(violation) => return Err(Ended::Protocol(violation)),
            }
        }
        Ok(progress)
    }

    fn send(&mut self, context: &mut Context<'_>) -> Result<bool, Ended> {
        if self.may_send == 0 {
            return Ok(false);
        }
        let sent = self.unsent.poll_send(&mut *self.stream, context, self.may_send);
        let sent = sent.map_err(|error| match error.kind() {
            io::ErrorKind::WriteZero => Ended::ByClient,
            _ => Ended::Network(error),
        })?;
        self.may_send -= sent;
        if self.may_send == 0 {
            poll_again_later(&*self.broker.env().spawner, context);
        }
        Ok(sent > 0)
    }

    /// Whether the device keeps up with producers.
    fn has_room(&mut self, context: &mut Context<'_>) -> bool {
        let uncommitted = self.broker.engine().uncommitted();
        if !self.produces || (self.room.is_none() && uncommitted.has_room()) {
            return true;
        }
        let uncommitted = Arc::clone(uncommitted);
        let wait = self
            .room
            .get_or_insert_with(|| Box::pin(async move { uncommitted.wait_for_room().await }));
        let has_room = wait.as_mut().poll(context).is_ready();
        if has_room {
            self.room = None;
        }
        has_room
    }

    /// Whether the next request may be taken up.
    fn may_accept(&mut self, context: &mut Context<'_>) -> bool {
        if let Some(muted) = &mut self.muted {
            if muted.as_mut().poll(context).is_pending() {
                return false;
            }
            self.muted = None;
        }
        if !self.has_room(context) {
            return false;
        }
        let alone = self.slots.iter().any(|(slot, _)| slot.is_exclusive());
        !self.closing
            && !alone
            && self.slots.len() < OVERLAP_MAX
            && self.unsent.bytes() < UNSENT_MAX
    }

    /// Makes room for the first read of a burst.
    fn set_aside(&mut self) {
        let expected = self.buffer.begin_burst();
        if expected > READ_BYTES {
            self.ahead = self.broker.request_memory().try_acquire(expected);
        }
        let room = if self.ahead.is_some() { expected } else { READ_BYTES.min(expected) };
        self.buffer.received.reserve(room);
    }

    /// Takes the permit of a frame out of what was set aside, where it needs one.
    fn take_permit_from_ahead(&mut self, len: usize) {
        if self.permit.is_none() && len > READ_BYTES {
            self.permit = self.ahead.as_mut().and_then(|ahead| ahead.split(len));
        }
    }

    /// Waits for the permit of a frame, where it needs one.
    fn wait_for_permit(&mut self, context: &mut Context<'_>, len: usize) -> Poll<()> {
        self.take_permit_from_ahead(len);
        if self.permit.is_some() || len <= READ_BYTES {
            return Poll::Ready(());
        }
        // Who waits holds nothing that others wait for.
        self.ahead = None;
        let broker = &self.broker;
        let wait = self.permit_wait.get_or_insert_with(|| {
            let budget = broker.request_memory().clone();
            Box::pin(async move { budget.acquire(len).await })
        });
        self.permit = Some(ready!(wait.as_mut().poll(context)));
        self.permit_wait = None;
        Poll::Ready(())
    }

    /// Reads until a whole frame is there. `Ready(None)` when the client closed.
    fn receive(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<BytesMut>, Ended>> {
        loop {
            let frame_len = self.buffer.frame_len(self.broker.options().request_bytes_max);
            if let Some(len) = frame_len.map_err(Ended::Protocol)? {
                if self.buffer.has(len) {
                    self.take_permit_from_ahead(len);
                    let frame = self.buffer.take(len);
                    if self.buffer.received.is_empty() {
                        self.ahead = None;
                    }
                    return Poll::Ready(Ok(Some(frame)));
                }
                ready!(self.wait_for_permit(context, len));
                self.buffer.make_room(len);
            } else if self.buffer.received.is_empty() {
                ready!(self.stream.poll_read_ready(context)).map_err(Ended::Network)?;
                self.set_aside();
            } else {
                self.buffer.received.reserve(READ_BYTES);
            }
            let stream = Pin::new(&mut self.stream);
            match ready!(poll_read_buf(stream, context, &mut self.buffer.received)) {
                Ok(0) => return Poll::Ready(Ok(None)),
                Ok(_) => self.buffer.was_read(),
                Err(error) => return Poll::Ready(Err(Ended::Network(error))),
            }
        }
    }

    /// Does what can be done now.
    fn turn(&mut self, context: &mut Context<'_>) -> Result<(), Ended> {
        loop {
            let mut progress = self.collect_answers(context)?;
            progress |= self.send(context)?;
            if self.may_accept(context) {
                match self.receive(context) {
                    Poll::Ready(Ok(Some(frame))) => {
                        let permit = self.permit.take();
                        self.produces = frame.starts_with(&ApiKey::Produce.code().to_be_bytes());
                        let slot = dispatch::start(&self.broker, &self.client, frame);
                        self.slots.push_back((slot, permit));
                        progress = true;
                    }
                    Poll::Ready(Ok(None)) => {
                        // A half-closed client may still read what it asked for.
                        self.closing = true;
                        progress = true;
                    }
                    Poll::Ready(Err(ended)) => return Err(ended),
                    Poll::Pending => {}
                }
            } else if !self.closing && (self.room.is_some() || !self.slots.is_empty()) {
                // A parked request must not outlive its client.
                let readable = self.stream.poll_read_ready(context).is_ready();
                if readable && self.stream.is_closed() {
                    return Err(Ended::ByClient);
                }
            }
            if self.closing && self.slots.is_empty() && self.unsent.is_empty() {
                return Err(Ended::ByClient);
            }
            if !progress {
                return Ok(());
            }
            self.last_active = self.broker.env().clock.now();
        }
    }

    /// Watches for a connection on which nothing happens.
    fn check_idle(&mut self, context: &mut Context<'_>) -> Result<(), Ended> {
        let Some(limit) = self.broker.options().connection_idle_max else { return Ok(()) };
        let clock = &self.broker.env().clock;
        loop {
            let last = self.last_active;
            let idle = self.idle.get_or_insert_with(|| clock.sleep_until(last.plus(limit)));
            if idle.as_mut().poll(context).is_pending() {
                return Ok(());
            }
            self.idle = None;
            if clock.now().since(self.last_active) >= limit && self.slots.is_empty() {
                return Err(Ended::Idle);
            }
            if !self.slots.is_empty() {
                self.last_active = clock.now();
            }
        }
    }
}

impl Future for Connection {
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Ended> {
        let this = &mut *self;
        this.may_send = SENT_MAX;
        match this.turn(context).and_then(|()| this.check_idle(context)) {
            Ok(()) => Poll::Pending,
            Err(ended) => Poll::Ready(ended),
        }
    }
}
