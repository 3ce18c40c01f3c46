//! A look at the heads of HTTP/2's frames as they come in: a peer that sends them without asking anything is found out.
//!
//! h2 bounds resets, heads and empty data, but answers every PING and SETTINGS for as long as they come.

use std::time::Duration;

use tokio::time::Instant;

/// What begins every HTTP/2 connection (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame's head (RFC 9113 §4.1): three octets of length, then the type; the last four are the stream.
const HEAD: usize = 9;

/// Frames that carry requests (RFC 9113 §6): h2 itself bounds what may be wrong with them.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;

/// How many frames that carry no request a peer may send in [`PERIOD`]: gateways ping once in seconds, and what
/// they say at the start of a connection are some ten frames.
const BUDGET: u32 = 1000;
const PERIOD: Duration = Duration::from_secs(10);

/// How many of them come with a request at most. Two window updates and gRPC's ping that measures the bandwidth are usual.
const PER_REQUEST: u32 = 16;

/// Whether a peer's frames are in reasonable proportion to what it asks.
#[derive(Debug)]
pub(super) struct Frames {
    at: At,
    left: u32,
    /// When the budget was last whole.
    since: Instant,
    last_stream: u32,
}

/// What the next octet belongs to.
#[derive(Debug, Clone, Copy)]
enum At {
    /// The preface, of which so much has come.
    Preface(usize),
    /// A frame's head, of which so much has come.
    Head(usize, [u8; HEAD]),
    /// A frame's content, of which so much is to come.
    Content(usize),
    /// Nothing of ours: HTTP/1.
    Elsewhere,
}

/// More frames than the budget has.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Flood;

impl Frames {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            at: At::Preface(0),
            left: BUDGET,
            since: now,
            last_stream: 0,
        }
    }

    /// The last stream that the peer has opened.
    pub(super) const fn last_stream(&self) -> u32 {
        self.last_stream
    }

    /// Octets have come.
    ///
    /// # Errors
    /// The peer floods us.
    pub(super) fn read(&mut self, mut bytes: &[u8]) -> Result<(), Flood> {
        while !bytes.is_empty() {
            match self.at {
                At::Elsewhere => return Ok(()),
                At::Preface(come) => {
                    let missing = PREFACE.get(come..).unwrap_or_default();
                    let (some, rest) = bytes.split_at(missing.len().min(bytes.len()));
                    self.at = if !missing.starts_with(some) {
                        At::Elsewhere
                    } else if some.len() == missing.len() {
                        At::Head(0, [0; HEAD])
                    } else {
                        At::Preface(come + some.len())
                    };
                    bytes = rest;
                }
                At::Content(left) => {
                    let some = left.min(bytes.len());
                    bytes = bytes.get(some..).unwrap_or_default();
                    self.at = match left - some {
                        0 => At::Head(0, [0; HEAD]),
                        left => At::Content(left),
                    };
                }
                At::Head(come, mut head) => {
                    // As it nearly always comes.
                    if come == 0
                        && let Some((whole, rest)) = bytes.split_first_chunk()
                    {
                        bytes = rest;
                        self.at = self.begin(*whole)?;
                        continue;
                    }
                    let missing = head.get_mut(come..).unwrap_or_default();
                    let (some, rest) = bytes.split_at(missing.len().min(bytes.len()));
                    for (place, octet) in missing.iter_mut().zip(some) {
                        *place = *octet;
                    }
                    bytes = rest;
                    let come = come + some.len();
                    self.at = if come == HEAD {
                        self.begin(head)?
                    } else {
                        At::Head(come, head)
                    };
                }
            }
        }
        Ok(())
    }

    /// A frame begins.
    fn begin(&mut self, head: [u8; HEAD]) -> Result<At, Flood> {
        let [a, b, c, kind, _flags, stream @ ..] = head;
        match kind {
            DATA | CONTINUATION => {}
            HEADERS => {
                self.left = BUDGET.min(self.left + PER_REQUEST);
                // The first bit is reserved.
                self.last_stream = self
                    .last_stream
                    .max(u32::from_be_bytes(stream) & (u32::MAX >> 1));
            }
            _ => self.spend()?,
        }
        let length = u32::from_be_bytes([0, a, b, c]);
        Ok(match usize::try_from(length) {
            Ok(0) | Err(_) => At::Head(0, [0; HEAD]),
            Ok(length) => At::Content(length),
        })
    }

    fn spend(&mut self) -> Result<(), Flood> {
        if let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            return Ok(());
        }
        // The clock is read once for a thousand frames.
        let now = Instant::now();
        if now - self.since < PERIOD {
            return Err(Flood);
        }
        (self.left, self.since) = (BUDGET, now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PING: u8 = 6;
    const WINDOW_UPDATE: u8 = 8;

    fn frame(kind: u8, stream: u32, length: usize) -> Vec<u8> {
        let mut frame = vec![0, 0, u8::try_from(length).unwrap(), kind, 0];
        frame.extend(stream.to_be_bytes());
        frame.resize(HEAD + length, 0xff);
        frame
    }

    fn begun() -> Frames {
        let mut frames = Frames::new(Instant::now());
        frames.read(PREFACE).unwrap();
        frames
    }

    #[test]
    fn a_flood_is_found_out_however_it_is_cut() {
        let flood = [
            PREFACE.to_vec(),
            frame(PING, 0, 8).repeat(BUDGET as usize + 1),
        ]
        .concat();
        for size in [1, 2, 7, 9, 17, 1000, flood.len()] {
            let mut frames = Frames::new(Instant::now());
            let mut chunks = flood.chunks(size);
            let found = chunks.position(|chunk| frames.read(chunk).is_err());
            // With the last frame's head.
            assert_eq!(found, Some((flood.len() - 8 - 1) / size), "{size}");
        }
    }

    #[test]
    fn requests_pay_for_what_comes_with_them() {
        let mut frames = begun();
        let request = [
            frame(HEADERS, 1, 40),
            frame(DATA, 1, 200),
            frame(WINDOW_UPDATE, 0, 4).repeat(2),
            frame(PING, 0, 8),
        ]
        .concat();
        for _ in 0..10 * BUDGET {
            frames.read(&request).unwrap();
        }
        let few = [frame(HEADERS, 3, 40), frame(PING, 0, 8).repeat(17)].concat();
        let all = (0..=BUDGET).position(|_| frames.read(&few).is_err());
        assert_eq!(all, Some((BUDGET - PER_REQUEST) as usize));
        assert_eq!(frames.last_stream(), 3);
    }

    #[test]
    fn whoever_pings_now_and_then_does_so_for_ever() {
        let mut frames = begun();
        let pings = frame(PING, 0, 8).repeat(BUDGET as usize);
        for _ in 0..100 {
            frames.read(&pings).unwrap();
            frames.since -= PERIOD;
        }
        frames.since += PERIOD;
        assert_eq!(frames.read(&pings), Err(Flood));
    }

    #[test]
    fn what_is_no_http_2_is_left_alone() {
        for start in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"PRI * HTTP/2.0\r\n\r\nXX",
            b"PRO",
        ] {
            let mut frames = Frames::new(Instant::now());
            frames.read(start).unwrap();
            frames
                .read(&frame(PING, 0, 8).repeat(3 * BUDGET as usize))
                .unwrap();
        }
    }
}
