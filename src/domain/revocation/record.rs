//! An entry as octets of one size, with a checksum: what a file of revocations consists of.

use aws_lc_rs::digest::{SHA256, digest};

use super::{Revocation, Target, TargetKind, Terms};
use crate::domain::claims::UnixTime;

/// The size of a record, in octets.
pub const RECORD_SIZE: usize = 64;

/// The octets before the checksum: kind, digest, three times.
const CONTENT_SIZE: usize = 1 + 32 + 3 * 8;

/// A target and its terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// What is revoked.
    pub target: Target,
    /// Which of its tokens, until when.
    pub terms: Terms,
}

impl From<Revocation> for Record {
    fn from(revocation: Revocation) -> Self {
        Self {
            target: revocation.target,
            terms: revocation.terms,
        }
    }
}

impl Record {
    /// As octets.
    #[must_use]
    pub fn to_octets(self) -> [u8; RECORD_SIZE] {
        let Terms {
            all_until,
            before,
            before_until,
        } = self.terms;
        let mut octets = [0; RECORD_SIZE];
        let content = [self.target.kind.index()]
            .into_iter()
            .chain(self.target.digest)
            .chain(all_until.0.to_be_bytes())
            .chain(before.0.to_be_bytes())
            .chain(before_until.0.to_be_bytes());
        for (octet, from) in octets.iter_mut().zip(content) {
            *octet = from;
        }
        if let Some((content, checksum)) = octets.split_at_mut_checked(CONTENT_SIZE) {
            for (octet, from) in checksum.iter_mut().zip(digest(&SHA256, content).as_ref()) {
                *octet = *from;
            }
        }
        octets
    }

    /// From octets; `None` unless they are a whole record.
    #[must_use]
    pub fn from_octets(octets: &[u8; RECORD_SIZE]) -> Option<Self> {
        let (content, checksum) = octets.split_at_checked(CONTENT_SIZE)?;
        if !digest(&SHA256, content).as_ref().starts_with(checksum) {
            return None;
        }
        let (kind, rest) = content.split_first()?;
        let (digest, rest) = rest.split_first_chunk::<32>()?;
        let (all_until, rest) = rest.split_first_chunk::<8>()?;
        let (before, rest) = rest.split_first_chunk::<8>()?;
        let before_until = rest.first_chunk::<8>()?;
        let time = |octets: &[u8; 8]| UnixTime(u64::from_be_bytes(*octets));
        Some(Self {
            target: Target {
                kind: *TargetKind::ALL.get(usize::from(*kind))?,
                digest: *digest,
            },
            terms: Terms {
                all_until: time(all_until),
                before: time(before),
                before_until: time(before_until),
            },
        })
    }
}
