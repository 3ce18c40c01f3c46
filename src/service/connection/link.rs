//! A connection's bytes: tells when some arrive, and sends those of answers that are made together in one write.
//! A peer that floods us is read no further.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::{Flood, Frames};
use super::watch::Activity;

/// How much is held back at most: some dozens of answers. Beyond that whoever writes waits for the peer.
const MOST_HELD: usize = 64 * 1024;

/// A transport that whoever drives the connection shares with whoever speaks HTTP on it.
///
/// HTTP/2 writes after each answer. While requests are multiplexed, what it writes is held until
/// [`Self::settle`], once the connection has nothing more to do: with 8 checks under way on each connection,
/// one write for up to 8 answers.
#[derive(Debug)]
pub(super) struct Link<T> {
    ends: Arc<Mutex<Ends<T>>>,
    activity: Arc<Activity>,
}

#[derive(Debug)]
struct Ends<T> {
    io: T,
    /// Read, and given back.
    unread: Vec<u8>,
    /// Written, and not sent.
    held: BytesMut,
    /// Whether anything is held, or may still be held by `io`.
    unsent: bool,
    /// Whether the last write was taken as a whole, so that what follows stands between frames.
    whole: bool,
    frames: Frames,
    /// Whether the peer floods us.
    flooded: bool,
}

impl<T> Link<T> {
    pub(super) fn new(io: T, activity: &Arc<Activity>) -> Self {
        let ends = Ends {
            io,
            unread: Vec::new(),
            held: BytesMut::new(),
            unsent: false,
            whole: true,
            frames: Frames::new(activity.start()),
            flooded: false,
        };
        Self {
            ends: Arc::new(Mutex::new(ends)),
            activity: Arc::clone(activity),
        }
    }

    /// Gives back what was read last, for whoever reads next.
    pub(super) fn unread(&self, bytes: Vec<u8>) {
        self.ends().unread = bytes;
    }

    /// Never contended: both sides belong to one task.
    fn ends(&self) -> MutexGuard<'_, Ends<T>> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: AsyncWrite + Unpin> Link<T> {
    /// Sends what is held, as far as the peer takes it; the connection's task is woken to go on.
    ///
    /// # Errors
    /// The peer floods us: it is told so, if it listens, and nothing is left to do but to close.
    pub(super) fn settle(&self, cx: &mut Context<'_>) -> Result<(), Flood> {
        let mut ends = self.ends();
        if ends.flooded {
            // One attempt: whoever takes no answers cannot be told.
            let _told = ends.calm(cx);
            return Err(Flood);
        }
        // An error meets whoever reads or writes next.
        let _sent = ends.send(cx);
        Ok(())
    }
}

impl<T: AsyncWrite + Unpin> Ends<T> {
    /// Holds some bytes, if there is room for them.
    fn hold(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.held.len() + bytes.len() > MOST_HELD {
            ready!(self.send(cx))?;
        }
        self.unsent = true;
        self.held.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    /// Says GOAWAY.
    fn calm(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.whole {
            let [a, b, c, d] = self.frames.last_stream().to_be_bytes();
            // RFC 9113 §6.8: eight octets of type 7, the last stream, and ENHANCE_YOUR_CALM (§7).
            let goaway = [0, 0, 8, 7, 0, 0, 0, 0, 0, a, b, c, d, 0, 0, 0, 11];
            self.held.extend_from_slice(&goaway);
            self.unsent = true;
        }
        self.send(cx)
    }

    fn send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.unsent {
            return Poll::Ready(Ok(()));
        }
        while !self.held.is_empty() {
            match ready!(Pin::new(&mut self.io).poll_write(cx, &self.held)) {
                Ok(0) => return self.broken(io::ErrorKind::WriteZero.into()),
                Ok(sent) => self.held.advance(sent),
                Err(error) => return self.broken(error),
            }
        }
        let flushed = ready!(Pin::new(&mut self.io).poll_flush(cx));
        self.unsent = false;
        Poll::Ready(flushed)
    }

    /// There is nobody to hold anything for.
    fn broken(&mut self, error: io::Error) -> Poll<io::Result<()>> {
        self.held.clear();
        self.unsent = false;
        Poll::Ready(Err(error))
    }
}

impl<T> Clone for Link<T> {
    fn clone(&self) -> Self {
        Self {
            ends: Arc::clone(&self.ends),
            activity: Arc::clone(&self.activity),
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Link<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let mut ends = self.ends();
        if ends.flooded {
            // Whoever drives the connection ends it.
            return Poll::Pending;
        }
        if !ends.unread.is_empty() {
            let count = ends.unread.len().min(buffer.remaining());
            buffer.put_slice(ends.unread.get(..count).unwrap_or_default());
            ends.unread.drain(..count);
            return Poll::Ready(Ok(()));
        }
        ready!(Pin::new(&mut ends.io).poll_read(cx, buffer))?;
        let read = buffer.filled().get(before..).unwrap_or_default();
        if read.is_empty() {
            return Poll::Ready(Ok(()));
        }
        self.activity.bytes_read();
        if ends.frames.read(read) == Err(Flood) {
            ends.flooded = true;
            buffer.set_filled(before);
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Link<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut ends = self.ends();
        let written = if self.activity.is_multiplexed() {
            ends.hold(cx, bytes)
        } else {
            Pin::new(&mut ends.io).poll_write(cx, bytes)
        };
        ends.whole = matches!(written, Poll::Ready(Ok(length)) if length == bytes.len());
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut ends = self.ends();
        if self.activity.is_multiplexed() {
            // `settle` follows, when all is written.
            Poll::Ready(Ok(()))
        } else {
            Pin::new(&mut ends.io).poll_flush(cx)
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut ends = self.ends();
        ready!(ends.send(cx))?;
        Pin::new(&mut ends.io).poll_shutdown(cx)
    }
}
