//! Finding the first rule that matches at a cost that does not grow with the number of rules.
//!
//! Rules lie in a tree of path segments per host pattern. A request walks the trees of the few patterns its host can
//! match, and of each only the branches that its segments name and that hold an earlier rule than the best found so far.

use std::collections::HashMap;

use super::host::{Shape, domains_above};
use super::pattern::{Segment, Tail};
use super::{HostPattern, PathPattern, Rule};
use crate::domain::request::{Host, RequestContext};

/// No rule: greater than every rule's place.
const NONE: u32 = u32::MAX;

/// The rules of a set, by host and path.
pub(super) struct Index(HostMap<PathTree<Methods>>);

impl Index {
    /// Indexes those rules that count, in the order written.
    pub(super) fn new(rules: &[Rule], counts: impl Fn(&Rule) -> bool) -> Self {
        let mut hosts = HostMap::<PathTree<Methods>>::default();
        for (place, rule) in (0..NONE).zip(rules).filter(|(_, rule)| counts(rule)) {
            for pattern in patterns(&rule.hosts) {
                hosts
                    .at_mut(pattern)
                    .at_mut(&rule.path, place)
                    .add(&rule.methods, place);
            }
        }
        Self(hosts)
    }

    /// The place of the first rule that matches.
    pub(super) fn find(&self, request: &RequestContext<'_>) -> Option<u32> {
        let (method, path) = (request.method.as_str(), &request.path);
        let mut first = NONE;
        for tree in self.0.matching(&request.host) {
            first = tree.first(path.segments(), method, first);
        }
        (first != NONE).then_some(first)
    }
}

/// A rule's host patterns; `None` for a rule about every host.
pub(super) fn patterns(hosts: &[HostPattern]) -> impl Iterator<Item = Option<&HostPattern>> {
    let everything = hosts.is_empty().then_some(None);
    everything.into_iter().chain(hosts.iter().map(Some))
}

/// Something for each host pattern.
#[derive(Default)]
pub(super) struct HostMap<T> {
    any: T,
    exact: HashMap<Box<str>, T>,
    under: HashMap<Box<str>, T>,
}

impl<T: Default> HostMap<T> {
    /// What belongs to a pattern.
    pub(super) fn at_mut(&mut self, pattern: Option<&HostPattern>) -> &mut T {
        match pattern.map(|pattern| &pattern.0) {
            None => &mut self.any,
            Some(Shape::Exact(host)) => self.exact.entry(host.clone()).or_default(),
            Some(Shape::Under(domain)) => self.under.entry(domain.clone()).or_default(),
        }
    }

    /// What belongs to the patterns that match a host.
    fn matching<'m>(&'m self, host: &'m Host<'_>) -> impl Iterator<Item = &'m T> {
        let exact = self.exact.get(host.as_str());
        std::iter::once(&self.any)
            .chain(exact)
            .chain(self.above(host.as_str()))
    }

    /// What belongs to the patterns that match every host that a pattern matches.
    pub(super) fn covering<'m>(
        &'m self,
        pattern: Option<&'m HostPattern>,
    ) -> impl Iterator<Item = &'m T> {
        let (same, above) = match pattern.map(|pattern| &pattern.0) {
            None => (None, None),
            Some(Shape::Exact(host)) => (self.exact.get(host), Some(self.above(host))),
            Some(Shape::Under(domain)) => (self.under.get(domain), Some(self.above(domain))),
        };
        std::iter::once(&self.any)
            .chain(same)
            .chain(above.into_iter().flatten())
    }

    fn above<'m>(&'m self, name: &'m str) -> impl Iterator<Item = &'m T> {
        // Most configurations have no `*.`: then no label is hashed.
        let name = if self.under.is_empty() { "" } else { name };
        domains_above(name).filter_map(|domain| self.under.get(domain))
    }
}

/// Something for each path pattern.
pub(super) struct PathTree<T> {
    literals: HashMap<Box<str>, Self>,
    any: Option<Box<Self>>,
    end: T,
    rest: T,
    /// The earliest rule at or below this node.
    earliest: u32,
}

impl<T: Default> Default for PathTree<T> {
    fn default() -> Self {
        Self {
            literals: HashMap::new(),
            any: None,
            end: T::default(),
            rest: T::default(),
            earliest: NONE,
        }
    }
}

impl<T: Default> PathTree<T> {
    /// What belongs to a pattern, for the rule at a place.
    pub(super) fn at_mut(&mut self, pattern: &PathPattern, place: u32) -> &mut T {
        let mut node = self;
        node.earliest = node.earliest.min(place);
        for segment in pattern.segments() {
            node = match segment {
                Segment::Literal(literal) => node.literals.entry(literal.clone()).or_default(),
                Segment::Any => node.any.get_or_insert_default(),
            };
            node.earliest = node.earliest.min(place);
        }
        match pattern.tail() {
            Tail::End => &mut node.end,
            Tail::Rest => &mut node.rest,
        }
    }

    /// Shows what belongs to the patterns that match every path of a pattern with these segments and tail.
    pub(super) fn covering(&self, segments: &[Segment], tail: Tail, see: &mut impl FnMut(&T)) {
        see(&self.rest);
        match (segments.split_first(), tail) {
            (None, Tail::End) => see(&self.end),
            (None, Tail::Rest) => {}
            (Some((Segment::Literal(literal), others)), _) => {
                if let Some(node) = self.literals.get(literal) {
                    node.covering(others, tail, see);
                }
                if let Some(node) = self.any.as_ref().filter(|_| !literal.is_empty()) {
                    node.covering(others, tail, see);
                }
            }
            (Some((Segment::Any, others)), _) => {
                if let Some(node) = &self.any {
                    node.covering(others, tail, see);
                }
            }
        }
    }
}

impl PathTree<Methods> {
    /// The earlier of `best` and the first rule that matches. Recursive: as deep as the longest pattern.
    fn first<'p>(
        &self,
        mut segments: impl Iterator<Item = &'p str> + Clone,
        method: &str,
        best: u32,
    ) -> u32 {
        if self.earliest >= best {
            return best;
        }
        let best = best.min(self.rest.first(method));
        let Some(segment) = segments.next() else {
            return best.min(self.end.first(method));
        };
        let best = match self.literals.get(segment) {
            Some(node) => node.first(segments.clone(), method, best),
            None => best,
        };
        match &self.any {
            Some(node) if !segment.is_empty() => node.first(segments, method, best),
            _ => best,
        }
    }
}

/// The first rule for each method, among rules of one host and path pattern.
#[derive(Default)]
struct Methods {
    any: Option<u32>,
    /// In the order of the methods.
    exact: Vec<(Box<str>, u32)>,
}

impl Methods {
    /// Adds a later rule.
    fn add(&mut self, methods: &[Box<str>], place: u32) {
        if methods.is_empty() {
            self.any.get_or_insert(place);
        }
        for method in methods {
            if let Err(at) = self.position(method) {
                self.exact.insert(at, (method.clone(), place));
            }
        }
    }

    /// The first rule for a method.
    fn first(&self, method: &str) -> u32 {
        let exact = self
            .position(method)
            .ok()
            .and_then(|at| self.exact.get(at))
            .map_or(NONE, |(_, place)| *place);
        exact.min(self.any.unwrap_or(NONE))
    }

    fn position(&self, method: &str) -> Result<usize, usize> {
        self.exact
            .binary_search_by(|(known, _)| (**known).cmp(method))
    }
}
