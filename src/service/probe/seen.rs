//! What only the application can tell: whether what a client says of itself gets through to it.

use super::Outcome;
use super::checks::{Carrier, Findings, MARK, Prober};

const SPOOFED: &str = "a client names itself: the gateway must set or remove every identity header on every route, as \
    `gatefort gen` writes it (nginx: `proxy_set_header` for each; Traefik: `authResponseHeaders`; Caddy: \
    `copy_headers`; Envoy: `early_header_mutation`)";
const ALIASED: &str = "names with `_` or `.` reach the application, and CGI, WSGI and PHP read them as `-`: drop them at \
    the gateway (nginx: `underscores_in_headers off`; Envoy: `headers_with_underscores_action: DROP_HEADER`; Traefik: \
    `aliasHeadersStrategy: delete`; Caddy: `request_header -*_*`; HAProxy: `del-header [_.] -m reg`; Apache: gatefort.lua)";
const CLAIMED: &str = "the application gets to hear of another path, method or host than was judged: remove these \
    headers at the gateway, as `gatefort gen` writes it";
const HOP: &str = "the client's `Connection` field makes a hop drop the identity header: refuse or drop such a field at \
    the gateway, as `gatefort gen` writes it";
const NO_ECHO: &str = "the answer does not hold the header fields that were sent: let the application at this path show \
    them, or leave `--echo` away";

/// What applications take for the real path, method or host.
const CLAIMS: [&str; 8] = [
    "X-Original-URL",
    "X-Original-URI",
    "X-Original-Method",
    "X-Rewrite-URL",
    "X-Forwarded-Uri",
    "X-Forwarded-Method",
    "X-Forwarded-Prefix",
    "Forwarded",
];

impl Prober {
    /// What only the application can tell.
    pub(super) async fn as_seen_by_the_application(
        &self,
        carriers: &[Carrier],
        findings: &mut Findings,
    ) {
        const CHECKS: [&str; 4] = [
            "spoofed_identity",
            "spoofed_alias",
            "client_claims",
            "hop_by_hop",
        ];
        if carriers.is_empty() {
            return findings.unknown(
                &CHECKS,
                "needs --token-file or --open, for a request that passes",
            );
        }
        let echoing: Vec<&Carrier> = carriers.iter().filter(|carrier| carrier.echoes).collect();
        if self.demands_echo && echoing.len() < carriers.len() {
            findings.add(
                "echo",
                Outcome::Fail,
                "the application does not show what it gets",
                NO_ECHO,
            );
        }
        if echoing.is_empty() {
            return findings.unknown(
                &CHECKS,
                "the application does not show what it gets (see --echo)",
            );
        }
        let spoofed = self
            .identity
            .iter()
            .flat_map(|name| [name.clone(), name.to_ascii_uppercase()]);
        self.hidden(
            "spoofed_identity",
            &echoing,
            spoofed.collect(),
            SPOOFED,
            findings,
        )
        .await;
        self.hidden("spoofed_alias", &echoing, self.aliases(), ALIASED, findings)
            .await;
        self.hidden(
            "client_claims",
            &echoing,
            CLAIMS.map(str::to_owned).into(),
            CLAIMED,
            findings,
        )
        .await;
        self.hop_by_hop(&echoing, findings).await;
    }

    /// Every other way to write the identity headers' names that some application reads alike.
    fn aliases(&self) -> Vec<String> {
        let names = self.identity.iter().filter(|name| name.contains('-'));
        names
            .flat_map(|name| {
                [
                    name.replace('-', "_"),
                    name.replace('-', "."),
                    name.replacen('-', "_", 1),
                    name.replace('-', "_").to_ascii_uppercase(),
                ]
            })
            .collect()
    }

    /// The application must not see what a client says under these names.
    async fn hidden(
        &self,
        check: &'static str,
        carriers: &[&Carrier],
        names: Vec<String>,
        fix: &'static str,
        findings: &mut Findings,
    ) {
        for carrier in carriers {
            for name in &names {
                let question = carrier.question.clone().with(name, MARK);
                let answer = self.client.ask(&question).await;
                if answer
                    .is_ok_and(|answer| answer.status.is_success() && answer.body.contains(MARK))
                {
                    let saw = format!(
                        "at {} the application saw the client's {name}",
                        question.target
                    );
                    return findings.add(check, Outcome::Fail, saw, fix);
                }
            }
        }
        let places: Vec<&str> = carriers
            .iter()
            .map(|carrier| carrier.question.target.as_str())
            .collect();
        findings.add(
            check,
            Outcome::Pass,
            format!("not seen at {}", places.join(" and ")),
            fix,
        );
    }

    /// Identity must arrive although the client's `Connection` names its header (RFC 9110 §7.6.1).
    async fn hop_by_hop(&self, carriers: &[&Carrier], findings: &mut Findings) {
        let mut compared = false;
        for carrier in carriers {
            let told = self
                .identity
                .iter()
                .filter(|name| carrier.plain.contains(name.as_str()));
            for name in told {
                compared = true;
                let question = carrier
                    .question
                    .clone()
                    .with("Connection", &format!("close, {name}"));
                let Ok(answer) = self.client.ask(&question).await else {
                    continue;
                };
                if answer.status.is_success()
                    && !answer.body.to_ascii_lowercase().contains(name.as_str())
                {
                    let saw = format!("`Connection: {name}` removed {name}");
                    return findings.add("hop_by_hop", Outcome::Fail, saw, HOP);
                }
            }
        }
        if compared {
            findings.add(
                "hop_by_hop",
                Outcome::Pass,
                "identity arrives, or the request is refused",
                HOP,
            );
        } else {
            findings.unknown(
                &["hop_by_hop"],
                "no request of a known caller showed an identity header",
            );
        }
    }
}
