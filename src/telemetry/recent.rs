//! Recent decisions, each with its steps: for whoever asks why a request did not pass.
//!
//! Bounded in number and in bytes, and in how many a second are taken at all: a flood costs no more than a
//! quiet hour. No token, no query, no header, and of claims what an [onlooker](Reader::Onlooker) may see.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::domain::explanation::{Explanation, Reader, Step};

/// How many refusals a second are kept, at most. Explaining one takes less than a tenth of a millisecond, the
/// mean of the table of cases in a debug build: this is less than a hundredth of a core, and more than anybody reads.
const REFUSALS: u32 = 100;

/// How many allows a second are kept, at most: enough to see what passes, at next to no cost.
const ALLOWS: u32 = 10;

/// How many bytes of refusals, and how many of allows, are kept at most: about a thousand of the usual size.
const MAX_BYTES: usize = 4 << 20;

/// How many refusals, and how many allows, are kept unless `decisions.keep` says otherwise.
pub const DEFAULT_KEEP: usize = 1000;

/// One decision as it is kept: a redacted case that can be looked at, and decided again by other rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// Its number, from 0, in the order in which decisions were kept.
    pub number: u64,
    /// When it was made (RFC 3339).
    pub time: String,
    /// The door that asked.
    pub door: Cow<'static, str>,
    /// The id under which the gateway and the log know the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The trace that it belongs to, where traces are made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// The request; absent if it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RecordedRequest>,
    /// Whose token it was: the digest that the decision log shows, for a token that verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// How long it took, in microseconds.
    pub took_us: u64,
    /// How it was decided.
    #[serde(flatten)]
    pub explanation: Explanation,
}

/// A request as it is kept: what rules match on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedRequest {
    /// The method.
    pub method: String,
    /// The host, normalised.
    pub host: String,
    /// The path, normalised, without its query.
    pub path: String,
    /// The client's address, where the gateway says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
}

/// Which of the kept decisions are wanted; what is absent does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The request's id.
    pub request_id: Option<String>,
    /// The trace's id.
    pub trace_id: Option<String>,
    /// The reason's code.
    pub reason: Option<String>,
    /// The rule: its number, its name or its path.
    pub rule: Option<String>,
    /// The subject's digest.
    pub subject: Option<String>,
    /// `allow`, `deny` or `unavailable`.
    pub verdict: Option<String>,
    /// The door.
    pub door: Option<String>,
}

/// The kept decisions of the process: refusals and allows apart, so that what passes does not displace
/// what people look for.
#[derive(Debug)]
pub(super) struct Recent {
    refusals: Lane,
    allows: Lane,
    next: AtomicU64,
}

#[derive(Debug)]
struct Lane {
    /// How many may still be taken in this second.
    permits: AtomicU32,
    rate: u32,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    entries: VecDeque<(usize, Arc<Recorded>)>,
    bytes: usize,
}

impl Default for Recent {
    fn default() -> Self {
        Self {
            refusals: Lane::new(REFUSALS),
            allows: Lane::new(ALLOWS),
            next: AtomicU64::new(0),
        }
    }
}

impl Recent {
    /// Whether a decision is to be kept. Reads one number where no more are taken in this second.
    pub(super) fn takes(&self, allowed: bool) -> bool {
        let permits = &self.lane(allowed).permits;
        permits.load(Ordering::Relaxed) > 0
            && permits
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                    left.checked_sub(1)
                })
                .is_ok()
    }

    /// A new second.
    pub(super) fn refill(&self) {
        for lane in [&self.refusals, &self.allows] {
            lane.permits.store(lane.rate, Ordering::Relaxed);
        }
    }

    /// Keeps a decision, at most so many of its kind; its number is given here.
    pub(super) fn keep(&self, recorded: Recorded, most: usize) {
        let allowed = recorded.explanation.verdict == "allow";
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let weight = recorded.weight();
        let recorded = Arc::new(Recorded { number, ..recorded });
        let mut kept = self.lane(allowed).lock();
        kept.bytes += weight;
        kept.entries.push_back((weight, recorded));
        while (kept.entries.len() > most || kept.bytes > MAX_BYTES)
            && let Some((weight, _)) = kept.entries.pop_front()
        {
            kept.bytes -= weight;
        }
    }

    /// The newest of those wanted, newest first.
    pub(super) fn find(&self, wanted: &Wanted, limit: usize) -> Vec<Arc<Recorded>> {
        let mut found: Vec<_> = [&self.refusals, &self.allows]
            .into_iter()
            .flat_map(|lane| {
                let kept = lane.lock();
                let entries = kept.entries.iter().rev().map(|(_, recorded)| recorded);
                let fitting = entries.filter(|recorded| wanted.fits(recorded));
                fitting.take(limit).map(Arc::clone).collect::<Vec<_>>()
            })
            .collect();
        found.sort_unstable_by_key(|recorded| std::cmp::Reverse(recorded.number));
        found.truncate(limit);
        found
    }

    const fn lane(&self, allowed: bool) -> &Lane {
        if allowed {
            &self.allows
        } else {
            &self.refusals
        }
    }
}

impl Lane {
    fn new(rate: u32) -> Self {
        Self {
            permits: AtomicU32::new(rate),
            rate,
            kept: Mutex::default(),
        }
    }

    /// A lock whose holder panicked guards plain values: they are as good as before.
    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wanted {
    fn fits(&self, recorded: &Recorded) -> bool {
        let same = |wanted: &Option<String>, seen: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| seen == Some(wanted))
        };
        let explanation = &recorded.explanation;
        same(&self.request_id, recorded.request_id.as_deref())
            && same(&self.trace_id, recorded.trace_id.as_deref())
            && same(&self.reason, Some(&explanation.reason))
            && same(&self.subject, recorded.subject.as_deref())
            && same(&self.verdict, Some(&explanation.verdict))
            && same(&self.door, Some(&recorded.door))
            && self.rule.as_deref().is_none_or(|wanted| {
                explanation.rule.as_deref().is_some_and(|rule| {
                    rule == wanted
                        || rule.split(' ').next() == Some(wanted)
                        || rule.contains(&format!("`{wanted}`"))
                })
            })
    }
}

impl Recorded {
    /// About how many bytes it takes.
    fn weight(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let request = self.request.as_ref().map_or(0, |request| {
            request.method.len() + request.host.len() + request.path.len() + text(&request.client)
        });
        size_of::<Self>()
            + request
            + text(&self.request_id)
            + text(&self.trace_id)
            + text(&self.explanation.rule)
            + text(&self.explanation.issuer)
            + self.explanation.steps.iter().map(weight_of).sum::<usize>()
    }
}

fn weight_of(step: &Step) -> usize {
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    size_of::<Step>()
        + step.text.len()
        + text(&step.expected)
        + text(&step.seen)
        + step.steps.iter().map(weight_of).sum::<usize>()
}

/// For whom what is kept is explained.
pub(super) const READER: Reader = Reader::Onlooker;

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(verdict: &'static str, id: &str, text: usize) -> Recorded {
        Recorded {
            number: 0,
            time: "T".to_owned(),
            door: "ext_authz".into(),
            request_id: Some(id.to_owned()),
            trace_id: None,
            request: None,
            subject: Some("5ub".to_owned()),
            took_us: 7,
            explanation: Explanation {
                verdict: verdict.into(),
                reason: "roles_missing".into(),
                rule: Some("3 `admin` (/admin/**)".to_owned()),
                issuer: None,
                steps: vec![Step::passed("request", "x".repeat(text))],
            },
        }
    }

    fn ids(recent: &Recent, wanted: &Wanted, limit: usize) -> Vec<String> {
        let found = recent.find(wanted, limit);
        found
            .iter()
            .filter_map(|one| one.request_id.clone())
            .collect()
    }

    #[test]
    fn the_newest_stay_and_allows_displace_no_refusal() {
        let recent = Recent::default();
        for id in ["a", "b", "c"] {
            recent.keep(recorded("deny", id, 1), 2);
        }
        for id in ["d", "e", "f"] {
            recent.keep(recorded("allow", id, 1), 2);
        }
        assert_eq!(ids(&recent, &Wanted::default(), 9), ["f", "e", "c", "b"]);
        assert_eq!(ids(&recent, &Wanted::default(), 3), ["f", "e", "c"]);
        assert_eq!(recent.find(&Wanted::default(), 1)[0].number, 5);
        recent.keep(recorded("deny", "g", 1), 0);
        assert_eq!(ids(&recent, &Wanted::default(), 9), ["f", "e"]);
    }

    #[test]
    fn what_is_kept_is_bounded_in_bytes() {
        let recent = Recent::default();
        for _ in 0..10 {
            recent.keep(recorded("deny", "big", MAX_BYTES / 4), 1000);
        }
        assert_eq!(recent.find(&Wanted::default(), 100).len(), 3);
        assert!(recent.refusals.lock().bytes <= MAX_BYTES);
    }

    #[test]
    fn a_second_takes_so_many_and_no_more() {
        let recent = Recent::default();
        let taken = |allowed| (0..1000).filter(|_| recent.takes(allowed)).count();
        assert_eq!((taken(false), taken(true)), (100, 10));
        assert_eq!((taken(false), taken(true)), (0, 0));
        recent.refill();
        assert_eq!((taken(false), taken(true)), (100, 10));
    }

    #[test]
    fn each_filter_narrows() {
        let recent = Recent::default();
        recent.keep(recorded("deny", "a", 1), 9);
        recent.keep(recorded("allow", "b", 1), 9);
        let text = |text: &str| Some(text.to_owned());
        let none = Wanted::default;
        for (wanted, expected) in [
            (
                Wanted {
                    request_id: text("a"),
                    ..none()
                },
                1,
            ),
            (
                Wanted {
                    request_id: text("x"),
                    ..none()
                },
                0,
            ),
            (
                Wanted {
                    reason: text("roles_missing"),
                    ..none()
                },
                2,
            ),
            (
                Wanted {
                    reason: text("roles"),
                    ..none()
                },
                0,
            ),
            (
                Wanted {
                    rule: text("3"),
                    ..none()
                },
                2,
            ),
            (
                Wanted {
                    rule: text("admin"),
                    ..none()
                },
                2,
            ),
            (
                Wanted {
                    rule: text("adm"),
                    ..none()
                },
                0,
            ),
            (
                Wanted {
                    subject: text("5ub"),
                    ..none()
                },
                2,
            ),
            (
                Wanted {
                    subject: text("5"),
                    ..none()
                },
                0,
            ),
            (
                Wanted {
                    verdict: text("deny"),
                    ..none()
                },
                1,
            ),
            (
                Wanted {
                    door: text("ext_authz"),
                    ..none()
                },
                2,
            ),
            (
                Wanted {
                    door: text("forward_auth"),
                    ..none()
                },
                0,
            ),
        ] {
            assert_eq!(recent.find(&wanted, 9).len(), expected, "{wanted:?}");
        }
    }

    #[test]
    fn what_is_kept_is_read_back() {
        let one = recorded("deny", "a", 1);
        let json = serde_json::to_string(&one).unwrap();
        assert_eq!(serde_json::from_str::<Recorded>(&json).unwrap(), one);
    }
}
