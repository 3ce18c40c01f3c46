//! What is asked of a gateway, and what the answers mean.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use http::StatusCode;

use super::paths::families;
use super::{Finding, Outcome};
use crate::service::client::{Answer, AskError, Client, Question};

/// Asks one gateway.
#[derive(Debug)]
pub(super) struct Prober {
    pub(super) client: Client,
    /// A path that needs a token.
    pub(super) target: String,
    /// A path that needs none.
    pub(super) open: Option<String>,
    /// A token that may pass.
    pub(super) token: Option<String>,
    /// The identity headers, in lower case.
    pub(super) identity: Vec<String>,
    /// Whether an application that does not echo is a finding.
    pub(super) demands_echo: bool,
}

/// What a client would say to be somebody; no application writes it by itself.
const MARK: &str = "gatefort-probe-b6d1f0";

const UNASKED: &str = "the gateway does not ask about this path, or lets pass what it gets no answer for: \
    wire the path (auth_request, ext_authz, forwardAuth, forward_auth) as `gatefort gen` writes it, with \
    `failure_mode_allow: false` (Envoy) or `failOpen: false`, and see that a rule requires a token there";
const UNVERIFIED: &str = "a token that nobody signed passes: the rule says `allow: anyone`, or something before \
    Gatefort answers; look at the decision log for this path";
const TWO_PATHS: &str = "gateway, Gatefort and application must read one path: forward the path that was judged, as \
    `gatefort gen` writes it (nginx: `merge_slashes off` and no URI in proxy_pass; Envoy: `normalize_path`, \
    `merge_slashes`, `path_with_escaped_slashes_action: REJECT_REQUEST`; Traefik: `encodedCharacters`)";
const STEERED: &str = "a client tells which request is judged: Traefik `trustForwardHeader: false` and no \
    `forwardedHeaders.insecure`; nginx sets X-Original-Method and X-Original-URI itself; each gateway asks at its own \
    endpoint";
const SPOOFED: &str = "a client names itself: the gateway must set or remove every identity header on every route, as \
    `gatefort gen` writes it (nginx: `proxy_set_header` for each; Traefik: `authResponseHeaders`; Caddy: \
    `copy_headers`; Envoy: `early_header_mutation`)";
const ALIASED: &str = "names with `_` or `.` reach the application, and CGI, WSGI and PHP read them as `-`: drop them at \
    the gateway (nginx: `underscores_in_headers off`; Envoy: `headers_with_underscores_action: DROP_HEADER`; Traefik: \
    `aliasHeadersStrategy: delete`; Caddy: `request_header -*_*`; HAProxy: `del-header [_.] -m reg`)";
const CLAIMED: &str = "the application gets to hear of another path, method or host than was judged: remove these \
    headers at the gateway, as `gatefort gen` writes it";
const HOP: &str = "the client's `Connection` field makes a hop drop the identity header: refuse or drop such a field at \
    the gateway, as `gatefort gen` writes it";
const TWICE: &str = "two credentials pass, and who counts depends on who reads: let Gatefort see both (no \
    `authRequestHeaders`; `allowed_headers` with every place of `token.from`)";
const NO_ECHO: &str = "the answer does not hold the header fields that were sent: let the application at this path show \
    them, or leave `--echo` away";
const REFUSED: &str =
    "the token does not pass here: take one that may; `gatefort explain` tells why";

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

/// A request that passes, to send with something more; and what the application answers to it.
#[derive(Debug)]
struct Carrier {
    question: Question,
    plain: String,
    echoes: bool,
}

/// The state of everything that was found so far.
#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(
        &mut self,
        check: &'static str,
        outcome: Outcome,
        saw: impl Into<String>,
        fix: &'static str,
    ) {
        self.0.push(Finding {
            check,
            outcome,
            saw: saw.into(),
            fix: (outcome == Outcome::Fail).then_some(fix),
        });
    }

    fn unknown(&mut self, checks: &[&'static str], why: &str) {
        for check in checks {
            self.add(check, Outcome::Unknown, why, "");
        }
    }
}

impl Prober {
    /// Asks everything.
    ///
    /// # Errors
    /// Nobody answers to the first question.
    pub(super) async fn run(&self) -> Result<Vec<Finding>, AskError> {
        let mut findings = Findings::default();
        let plain = self.client.ask(&Question::get(&self.target)).await?;
        let closed = self.no_token(&plain, &mut findings);
        self.nobody(closed, &mut findings).await;
        let with_token = self.with_token(&mut findings).await;
        self.two_credentials(with_token.is_some(), &mut findings)
            .await;
        let mut carriers: Vec<Carrier> = with_token.into_iter().collect();
        if let Some(open) = &self.open {
            carriers.extend(self.carrier(Question::get(open)).await);
        }
        self.as_seen_by_the_application(&carriers, &mut findings)
            .await;
        Ok(findings.0)
    }

    /// The first question; gives whether the path is closed to nobody.
    fn no_token(&self, plain: &Answer, findings: &mut Findings) -> bool {
        let status = plain.status;
        let saw = format!("{} without a token: {}", self.target, status.as_u16());
        let closed = !status.is_success();
        let outcome = match status {
            _ if status.is_success() => Outcome::Fail,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Outcome::Pass,
            _ if status.is_redirection() => Outcome::Pass,
            // Nobody passed, but nobody was asked for a token either.
            _ => Outcome::Unknown,
        };
        findings.add("no_token", outcome, saw, UNASKED);
        closed
    }

    /// What must not pass without a good token.
    async fn nobody(&self, closed: bool, findings: &mut Findings) {
        let target = &self.target;
        let bearer =
            |token: &str| Question::get(target).with("Authorization", &format!("Bearer {token}"));
        let mut asked: Vec<(&'static str, Vec<Question>, &'static str)> = vec![
            (
                "junk_token",
                vec![bearer("junk"), bearer("a.b.c")],
                UNVERIFIED,
            ),
            (
                "alg_none",
                self.unsigned().iter().map(|token| bearer(token)).collect(),
                UNVERIFIED,
            ),
            (
                "other_methods",
                ["HEAD", "get", "TRACE"]
                    .map(|method| Question::get(target).method(method))
                    .into(),
                UNASKED,
            ),
            (
                "method_override",
                [
                    "X-HTTP-Method-Override",
                    "X-HTTP-Method",
                    "X-Method-Override",
                ]
                .map(|name| Question::get(target).with(name, "OPTIONS"))
                .into(),
                STEERED,
            ),
            (
                "identity_alone",
                self.identity
                    .iter()
                    .map(|name| Question::get(target).with(name, MARK))
                    .collect(),
                UNASKED,
            ),
        ];
        for family in families(target, self.open.as_deref()) {
            let questions = family
                .targets
                .iter()
                .map(|target| Question::get(target))
                .collect();
            asked.push((family.name, questions, TWO_PATHS));
        }
        for (check, questions, fix) in asked {
            if closed {
                self.refused(check, &questions, fix, findings).await;
            } else {
                findings.unknown(&[check], "the path is open without a token");
            }
        }
        match &self.open {
            Some(open) if closed => {
                self.refused("steering", &self.steering(open), STEERED, findings)
                    .await
            }
            Some(_) => findings.unknown(&["steering"], "the path is open without a token"),
            None => findings.unknown(&["steering"], "needs --open PATH, a path without a token"),
        }
    }

    /// The guarded path, with the words of every dialect that say it is the open one.
    fn steering(&self, open: &str) -> Vec<Question> {
        let target = &self.target;
        let mut questions: Vec<Question> = [
            "X-Forwarded-Uri",
            "X-Original-URI",
            "X-Rewrite-URL",
            "X-Forwarded-Path",
        ]
        .map(|name| Question::get(target).with(name, open))
        .into();
        questions.push(
            Question::get(target).with("X-Original-URL", &format!("http://{}{open}", self.client)),
        );
        questions.push(Question::get(target).with("x_forwarded_uri", open));
        questions.push(Question::get(target).with("X-Envoy-Original-Path", open));
        for name in ["X-Forwarded-Method", "X-Original-Method"] {
            questions.push(Question::get(target).with(name, "OPTIONS"));
        }
        questions
    }

    /// Tokens that nobody signed: with the claims of the real one where there is one.
    fn unsigned(&self) -> Vec<String> {
        let real = self
            .token
            .as_deref()
            .and_then(|token| token.split('.').nth(1));
        let made = BASE64_URL_SAFE_NO_PAD
            .encode(r#"{"iss":"https://issuer.example","sub":"root","exp":4102444800}"#);
        let claims = real.unwrap_or(&made);
        ["none", "None", "NONE"]
            .map(|algorithm| {
                let header = BASE64_URL_SAFE_NO_PAD
                    .encode(format!(r#"{{"alg":"{algorithm}","typ":"JWT"}}"#));
                format!("{header}.{claims}.")
            })
            .into()
    }

    /// None of the questions may be answered with success. A connection that ends instead is a refusal.
    async fn refused(
        &self,
        check: &'static str,
        questions: &[Question],
        fix: &'static str,
        findings: &mut Findings,
    ) {
        let mut statuses = Vec::new();
        for question in questions {
            if let Ok(answer) = self.client.ask(question).await {
                if answer.status.is_success() {
                    let saw = format!("{} passed with {}", shown(question), answer.status.as_u16());
                    return findings.add(check, Outcome::Fail, saw, fix);
                }
                let status = answer.status.as_str().to_owned();
                if !statuses.contains(&status) {
                    statuses.push(status);
                }
            }
        }
        let saw = if statuses.is_empty() {
            "refused without an answer".to_owned()
        } else {
            format!("refused: {}", statuses.join(", "))
        };
        findings.add(check, Outcome::Pass, saw, fix);
    }

    /// Whether the token passes; what to send more with.
    async fn with_token(&self, findings: &mut Findings) -> Option<Carrier> {
        let Some(token) = &self.token else {
            findings.unknown(&["token"], "needs --token-file");
            return None;
        };
        let question =
            Question::get(&self.target).with("Authorization", &format!("Bearer {token}"));
        match self.client.ask(&question).await {
            Ok(answer) if answer.status.is_success() => {
                findings.add(
                    "token",
                    Outcome::Pass,
                    format!("passes: {}", answer.status.as_u16()),
                    REFUSED,
                );
                self.carrier(question).await
            }
            Ok(answer) => {
                findings.add(
                    "token",
                    Outcome::Fail,
                    format!("refused: {}", answer.status.as_u16()),
                    REFUSED,
                );
                None
            }
            Err(error) => {
                findings.unknown(&["token"], &error.to_string());
                None
            }
        }
    }

    async fn two_credentials(&self, passes: bool, findings: &mut Findings) {
        let Some(token) = self.token.as_ref().filter(|_| passes) else {
            return findings.unknown(
                &["two_credentials"],
                "needs --token-file with a token that passes",
            );
        };
        let bearer = format!("Bearer {token}");
        let twice = Question::get(&self.target)
            .with("Authorization", &bearer)
            .with("Authorization", &bearer);
        let joined =
            Question::get(&self.target).with("Authorization", &format!("{bearer}, {bearer}"));
        self.refused("two_credentials", &[twice, joined], TWICE, findings)
            .await;
    }

    /// A request that passes, and whether the application shows what it got.
    async fn carrier(&self, question: Question) -> Option<Carrier> {
        let plain = self.client.ask(&question).await.ok()?;
        let marked = self
            .client
            .ask(&question.clone().with("X-Gatefort-Probe", MARK))
            .await
            .ok()?;
        plain.status.is_success().then_some(Carrier {
            question,
            plain: plain.body.to_ascii_lowercase(),
            echoes: marked.body.contains(MARK),
        })
    }

    /// What only the application can tell.
    async fn as_seen_by_the_application(&self, carriers: &[Carrier], findings: &mut Findings) {
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

/// A request in short, without credentials.
fn shown(question: &Question) -> String {
    let fields = question.headers.iter().map(|(name, value)| {
        if name.eq_ignore_ascii_case("authorization") {
            format!("{name}: ...")
        } else {
            format!("{name}: {value}")
        }
    });
    let fields: Vec<String> = fields.collect();
    let mut text = format!("{} {}", question.method, question.target);
    if !fields.is_empty() {
        text.push_str(&format!(" with {}", fields.join(", ")));
    }
    text
}
