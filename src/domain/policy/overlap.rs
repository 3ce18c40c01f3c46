//! Rules about narrower hosts that a laxer rule about wider ones overtakes.

use super::host::HostPattern;
use super::pattern::{PathPattern, Segment, Tail};
use super::{Access, Rule, RuleId, RuleMode};

/// How many pairs of rules are looked at: those of a file that a person wrote, in well under a second.
const MOST_PAIRS: usize = 1_000_000;

/// Each rule whose narrower hosts an earlier rule covers with a wildcard and lets in more easily on some of its
/// paths, with the first that does.
///
/// What is written for `admin.example.com` is meant to be the word about it; a rule for `*.example.com` before it
/// that asks less decides there too. Rules that name every host, one path alone, or preflights (OPTIONS) alone are
/// meant to be everywhere. What is hidden whole, `shadowed` in the order of the rules, is told already.
pub(super) fn overtaken(rules: &[Rule], shadowed: &[(RuleId, RuleId)]) -> Vec<(RuleId, RuleId)> {
    let is_hidden = |id: RuleId| {
        shadowed
            .binary_search_by_key(&id, |(hidden, _)| *hidden)
            .is_ok()
    };
    let in_force = || {
        let all = (0..).map(RuleId).zip(rules);
        all.filter(|(_, rule)| rule.mode == RuleMode::Enforce)
    };
    let wide: Vec<_> = in_force().filter(|(_, rule)| is_wide(rule)).collect();
    let mut pairs = 0;
    let mut found = Vec::new();
    for (id, rule) in in_force().filter(|(id, rule)| !rule.hosts.is_empty() && !is_hidden(*id)) {
        let earlier = wide.iter().take_while(|(other, _)| other.0 < id.0);
        for (taker, wider) in earlier {
            pairs += 1;
            if pairs > MOST_PAIRS {
                return found;
            }
            if wider.overtakes(rule) {
                found.push((id, *taker));
                break;
            }
        }
    }
    found
}

/// Whether a rule may overtake others unmeant: about many hosts and paths, and not only for preflights.
fn is_wide(rule: &Rule) -> bool {
    rule.path.tail() == Tail::Rest
        && rule.hosts.iter().any(HostPattern::is_wildcard)
        && !matches!(rule.methods.as_slice(), [method] if **method == *"OPTIONS")
}

impl Rule {
    fn overtakes(&self, narrower: &Self) -> bool {
        self.asks() < narrower.asks()
            && narrower.hosts.iter().any(|host| {
                // Who names the host itself means it.
                !self.hosts.contains(host) && self.hosts.iter().any(|wide| wide.covers(host))
            })
            && (self.methods.is_empty()
                || narrower.methods.is_empty()
                || self
                    .methods
                    .iter()
                    .any(|method| narrower.methods.contains(method)))
            && self.path.overlaps(&narrower.path)
    }

    /// How much a rule asks, as far as that can be compared.
    fn asks(&self) -> u8 {
        match self.access {
            Access::Anyone => 0,
            Access::Optional => 1,
            Access::Authenticated if self.require.is_empty() => 2,
            Access::Authenticated => 3,
        }
    }
}

impl PathPattern {
    /// Whether some path matches both.
    fn overlaps(&self, other: &Self) -> bool {
        let (this, that) = (self.segments(), other.segments());
        let alike = this.iter().zip(that).all(|pair| match pair {
            (Segment::Literal(one), Segment::Literal(other)) => one == other,
            (Segment::Any, Segment::Literal(literal))
            | (Segment::Literal(literal), Segment::Any) => !literal.is_empty(),
            (Segment::Any, Segment::Any) => true,
        });
        let reaches = |shorter: &Self, longer: &[Segment]| {
            shorter.segments().len() == longer.len() || shorter.tail() == Tail::Rest
        };
        alike
            && if this.len() <= that.len() {
                reaches(self, that)
            } else {
                reaches(other, this)
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_overlap_where_one_path_matches_both() {
        let pattern = |text| PathPattern::parse(text).unwrap();
        for (one, other, expected) in [
            ("/**", "/admin", true),
            ("/static/**", "/**", true),
            ("/static/**", "/admin/**", false),
            ("/static/**", "/static", true),
            ("/*/x", "/a/*", true),
            ("/*/x", "/a/y", false),
            ("/a/b", "/a", false),
            ("/a/b/**", "/a", false),
            ("/a/b/**", "/a/**", true),
        ] {
            let (one, other) = (pattern(one), pattern(other));
            assert_eq!(one.overlaps(&other), expected, "{one} {other}");
            assert_eq!(other.overlaps(&one), expected, "{other} {one}");
        }
    }
}
