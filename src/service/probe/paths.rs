//! Ways to write a guarded path that a gateway, a policy and an application may read differently.

/// One family of ways.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) targets: Vec<String>,
}

/// Every family, for a guarded path; the detours lead through an open one.
pub(super) fn families(guarded: &str, open: Option<&str>) -> Vec<Family> {
    let guarded = guarded.split('?').next().unwrap_or(guarded);
    let detour = open
        .map_or("/gatefort-probe", |open| {
            open.split('?').next().unwrap_or(open)
        })
        .trim_end_matches('/');
    let bare = guarded.trim_start_matches('/');
    let inner = bare.replacen('/', "%2f", 1);
    let mut families = vec![
        family(
            "dot_segments",
            [format!("{detour}/..{guarded}"), format!("/.{guarded}")],
        ),
        family(
            "encoded_dots",
            [
                format!("{detour}/%2e%2e{guarded}"),
                format!("{detour}/.%2E{guarded}"),
                format!("{detour}/%252e%252e{guarded}"),
            ],
        ),
        family(
            "encoded_slash",
            [
                format!("{detour}%2f..%2f{bare}"),
                format!("{detour}/..%2F{bare}"),
                format!("{detour}/..%5c{bare}"),
                format!("/{inner}"),
            ],
        ),
        family(
            "double_slash",
            [format!("/{guarded}"), guarded.replacen('/', "//", 2)],
        ),
        family(
            "semicolon",
            [
                format!("{detour};/..{guarded}"),
                format!("{detour}/..;{guarded}"),
                format!("{guarded};gatefort=probe"),
            ],
        ),
    ];
    if let Some(first) = bare.bytes().next().filter(u8::is_ascii_alphabetic) {
        let rest = bare.get(1..).unwrap_or_default();
        families.push(family("encoded_letter", [format!("/%{first:02x}{rest}")]));
    }
    families
}

fn family<const N: usize>(name: &'static str, targets: [String; N]) -> Family {
    Family {
        name,
        targets: targets.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detours_lead_through_the_open_path() {
        let targets: Vec<String> = families("/app/x?q", Some("/health/"))
            .into_iter()
            .flat_map(|family| family.targets)
            .collect();
        for wanted in [
            "/health/../app/x",
            "/health/%2e%2e/app/x",
            "/health%2f..%2fapp/x",
            "/app%2fx",
            "//app/x",
            "/health;/../app/x",
            "/%61pp/x",
        ] {
            assert!(
                targets.contains(&wanted.to_owned()),
                "{wanted}: {targets:?}"
            );
        }
        // Every one of them can be sent.
        for target in targets {
            assert!(target.parse::<http::Uri>().is_ok(), "{target}");
        }
    }
}
