//! Rules that never decide anything, because an earlier one matches whatever they match.

use super::index::{HostMap, PathTree, patterns};
use super::{HostPattern, Rule, RuleId, RuleMode};

/// How many steps the search may take: enough for ten thousand ordinary rules,
/// few enough that ten thousand on one path do not take minutes.
const MAX_STEPS: usize = 4_000_000;

/// Each rule that one earlier rule hides completely, with the first that does.
///
/// Sound: what is reported can never match. Not complete: several rules that hide one only together are not looked for.
pub(super) fn shadowed(rules: &[Rule]) -> Vec<(RuleId, RuleId)> {
    let mut hidden = Vec::new();
    let mut seen = HostMap::<PathTree<Vec<(u32, &Rule)>>>::default();
    let mut steps = 0;
    for (place, rule) in (0..).zip(rules) {
        let mut by = None;
        // Who hides the rule matches its first host pattern too.
        for tree in seen.covering(rule.hosts.first()) {
            tree.covering(rule.path.segments(), rule.path.tail(), &mut |earlier| {
                steps += 1;
                for (earlier, candidate) in earlier {
                    steps += 1;
                    if steps > MAX_STEPS || by.is_some_and(|by| by <= *earlier) {
                        break;
                    }
                    if covers_methods(candidate, rule) && covers_hosts(candidate, rule) {
                        by = Some(*earlier);
                    }
                }
            });
        }
        match by {
            // What it would hide, the rule that hides it hides as well.
            Some(by) => hidden.push((RuleId(place), RuleId(by))),
            // Nor does one hide others that never matches itself.
            None if rule.mode == RuleMode::Shadow => {}
            None => {
                for pattern in patterns(&rule.hosts) {
                    seen.at_mut(pattern)
                        .at_mut(&rule.path, place)
                        .push((place, rule));
                }
            }
        }
        if steps > MAX_STEPS {
            break;
        }
    }
    hidden
}

fn covers_methods(earlier: &Rule, later: &Rule) -> bool {
    earlier.methods.is_empty()
        || (!later.methods.is_empty()
            && later
                .methods
                .iter()
                .all(|method| earlier.methods.contains(method)))
}

fn covers_hosts(earlier: &Rule, later: &Rule) -> bool {
    let covered = |host: &HostPattern| earlier.hosts.iter().any(|pattern| pattern.covers(host));
    earlier.hosts.is_empty() || (!later.hosts.is_empty() && later.hosts.iter().all(covered))
}
