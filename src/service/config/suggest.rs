//! "Did you mean": the known name that a mistyped one is nearest to.

/// Names that people bring from elsewhere, and what they are called here.
const SYNONYMS: &[(&str, &str)] = &[
    ("access", "allow"),
    ("alg", "algorithms"),
    ("algs", "algorithms"),
    ("aud", "audiences"),
    ("claim_headers", "identity"),
    ("condition", "when"),
    ("expression", "when"),
    ("groups", "roles"),
    ("headers", "identity"),
    ("iss", "issuer"),
    ("jwks_uri", "jwks_url"),
    ("jwksuri", "jwks_url"),
    ("leeway", "clock_skew"),
    ("policies", "rules"),
    ("providers", "issuers"),
    ("remote_jwks", "jwks_url"),
    ("routes", "rules"),
    ("local_jwks", "jwks"),
    ("scope", "scopes"),
    ("typ", "token_type"),
    ("everyone", "anyone"),
    ("public", "anyone"),
    ("required", "authenticated"),
    ("url", "jwks_url"),
    ("warning", "warn"),
];

/// The known name that was probably meant, if one is near enough to be worth saying.
pub(super) fn nearest<'k>(written: &str, known: &[&'k str]) -> Option<&'k str> {
    let folded = written.to_ascii_lowercase().replace('-', "_");
    if let Some(same) = known
        .iter()
        .find(|name| name.to_ascii_lowercase().replace('-', "_") == folded)
    {
        return Some(same);
    }
    if let Some((_, here)) = SYNONYMS.iter().find(|(elsewhere, _)| *elsewhere == folded)
        && let Some(name) = known.iter().find(|name| *name == here)
    {
        return Some(name);
    }
    // A third of the letters may be wrong: more would suggest names that share nothing but length.
    let tolerance = (folded.chars().count() / 3).max(1);
    known
        .iter()
        .map(|name| (distance(&folded, &name.to_ascii_lowercase()), *name))
        .filter(|(distance, _)| *distance <= tolerance)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// How many letters must be inserted, removed, replaced or swapped with their neighbour
/// (optimal string alignment). Long inputs are "far": nobody mistypes a name of a hundred letters.
fn distance(left: &str, right: &str) -> usize {
    const LONGEST: usize = 64;
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    if left.len().max(right.len()) > LONGEST {
        return usize::MAX;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    let mut previous_left = None;
    for (row, &l) in left.iter().enumerate() {
        let mut current = Vec::with_capacity(above.len());
        let mut beside = row + 1;
        current.push(beside);
        let mut previous_right = None;
        for (column, &r) in right.iter().enumerate() {
            let at = |line: &[usize], index: usize| line.get(index).copied().unwrap_or(usize::MAX);
            let mut best = (at(&above, column) + usize::from(l != r))
                .min(at(&above, column + 1) + 1)
                .min(beside + 1);
            if previous_left == Some(r) && previous_right == Some(l) {
                best = best.min(at(&before, column - 1) + 1);
            }
            current.push(best);
            beside = best;
            previous_right = Some(r);
        }
        before = std::mem::replace(&mut above, current);
        previous_left = Some(l);
    }
    above.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_insertions_removals_replacements_and_swaps() {
        for (left, right, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("audience", "audiences", 1),
            ("RS265", "RS256", 1),
            ("ab", "ba", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(left, right), expected, "{left} {right}");
        }
    }

    #[test]
    fn nearest_finds_typos_synonyms_and_other_spellings_and_nothing_far() {
        let known = [
            "issuer",
            "audiences",
            "algorithms",
            "jwks_url",
            "clock_skew",
        ];
        assert_eq!(nearest("audience", &known), Some("audiences"));
        assert_eq!(nearest("jwks_uri", &known), Some("jwks_url"));
        assert_eq!(nearest("leeway", &known), Some("clock_skew"));
        assert_eq!(nearest("clock-skew", &known), Some("clock_skew"));
        assert_eq!(nearest("Issuer", &known), Some("issuer"));
        assert_eq!(nearest("banana", &known), None);
        assert_eq!(nearest(&"a".repeat(100_000), &known), None);
    }
}
