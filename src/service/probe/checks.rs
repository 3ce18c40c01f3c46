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
pub(super) const MARK: &str = "gatefort-probe-b6d1f0";

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
const TWICE: &str = "two credentials pass, and who counts depends on who reads: let Gatefort see both (no \
    `authRequestHeaders`; `allowed_headers` with every place of `token.from`)";
const REFUSED: &str =
    "the token does not pass here: take one that may; `gatefort explain` tells why";

/// A request that passes, to send with something more; and what the application answers to it.
#[derive(Debug)]
pub(super) struct Carrier {
    pub(super) question: Question,
    pub(super) plain: String,
    pub(super) echoes: bool,
}

/// The state of everything that was found so far.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    pub(super) fn add(
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

    pub(super) fn unknown(&mut self, checks: &[&'static str], why: &str) {
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
