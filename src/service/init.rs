//! `gatefort init`: a first configuration, from what an issuer says of itself, and the gateway's that fits it.

use std::path::{Path, PathBuf};

use clap::Args;
use url::Url;

use super::config::{ConfigErrors, Environment};
use super::output::{self, OutputError};
use super::reload::Loaded;
use super::snippets::{self, GenError, Places, Product};
use crate::verify::clock::{Clock, SystemClock};
use crate::verify::settings::HttpSettings;
use crate::verify::survey::{Survey, SurveyError};

/// `gatefort init`.
#[derive(Debug, Clone, Args)]
pub(super) struct InitArguments {
    /// The issuer's URL: its metadata is read. An AuthFort server, which has none, is known by its keys.
    #[arg(
        long,
        value_name = "URL",
        required_unless_present = "authfort",
        conflicts_with = "authfort"
    )]
    issuer: Option<Url>,
    /// The URL of an AuthFort server.
    #[arg(long, value_name = "URL")]
    authfort: Option<Url>,
    /// Who the tokens must be for (`aud`); may be repeated.
    #[arg(long, value_name = "AUDIENCE")]
    audience: Vec<String>,
    /// Writes this gateway's configuration too.
    #[arg(long, value_enum)]
    gateway: Option<Product>,
    #[command(flatten)]
    places: Places,
    /// The folder to write into.
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    output: PathBuf,
    /// Certificates to trust (PEM) besides the system's; goes into the configuration.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Overwrites what is there.
    #[arg(long)]
    force: bool,
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub(super) enum InitError {
    /// The issuer cannot be looked at.
    #[error("{0}")]
    Survey(#[from] SurveyError),
    /// It is not said whom its tokens are for.
    #[error(
        "say who the tokens must be for with --audience: a token for another service must not pass here"
    )]
    NoAudience,
    /// What an issuer says would not make a configuration.
    #[error("what the issuer says of itself makes no good configuration:\n{0}")]
    Config(#[from] ConfigErrors),
    /// The gateway's configuration cannot be made.
    #[error("{0}")]
    Gen(#[from] GenError),
    /// A file cannot be written.
    #[error("{0}")]
    Output(#[from] OutputError),
}

/// The name of the configuration.
const FILE: &str = "gatefort.yaml";

/// Looks at the issuer and writes; gives the files and what to do next.
pub(super) async fn run(arguments: &InitArguments) -> Result<String, InitError> {
    let text = configuration(arguments).await?;
    let file = arguments.output.join(FILE);
    // Before anything is written: what is written is good.
    let loaded = Loaded::of_text(&text, &file, &Environment::Process)?;
    let mut files = vec![(file.clone(), text)];
    if let Some(product) = arguments.gateway {
        let folder = arguments.output.join(product.word());
        let written = snippets::files(product, Path::new(FILE), &loaded, &arguments.places)
            .map_err(GenError::from)?;
        files.extend(
            written
                .into_iter()
                .map(|file| (folder.join(file.name), file.text)),
        );
    }
    let texts: Vec<_> = files
        .iter()
        .map(|(file, text)| (file.clone(), text.as_str()))
        .collect();
    output::write_files(&texts, arguments.force)?;
    let names: Vec<String> = files
        .iter()
        .map(|(file, _)| file.display().to_string())
        .collect();
    let file = file.display();
    Ok(format!(
        "wrote {}\n\nnext: write your rules into {file}, then\n  gatefort check --online -c {file}\n  gatefort serve -c {file}\n",
        names.join(", ")
    ))
}

/// The text of a configuration for the issuer.
async fn configuration(arguments: &InitArguments) -> Result<String, InitError> {
    let http = HttpSettings {
        ca_file: arguments.ca_file.clone(),
        ..HttpSettings::default()
    };
    let now = SystemClock.now();
    if let Some(url) = &arguments.authfort {
        let survey = Survey::of_keys(authfort_keys(url), &http, now).await?;
        return Ok(text(&authfort(&survey, arguments)));
    }
    let Some(url) = &arguments.issuer else {
        return Err(InitError::NoAudience);
    };
    match survey(url, &http).await {
        Ok(survey) if arguments.audience.is_empty() => {
            drop(survey);
            Err(InitError::NoAudience)
        }
        Ok(survey) => Ok(text(&discovered(&survey, arguments))),
        Err(error) if error.is_not_found() => {
            // No metadata: an AuthFort server has none, and its key set at a place of its own.
            let keys = Survey::of_keys(authfort_keys(url), &http, now).await;
            keys.map(|survey| text(&authfort(&survey, arguments)))
                .map_err(|_unread| error.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// The issuer under its exact name: many end in a slash that people leave away.
async fn survey(url: &Url, http: &HttpSettings) -> Result<Survey, SurveyError> {
    let now = SystemClock.now();
    let bare = url.as_str().trim_end_matches('/');
    let first = Survey::of_issuer(url, bare, http, now).await;
    match first {
        Ok(survey) => Ok(survey),
        Err(error) => {
            let slashed = Survey::of_issuer(url, &format!("{bare}/"), http, now).await;
            slashed.map_err(|_second| error)
        }
    }
}

fn authfort_keys(url: &Url) -> Url {
    let mut keys = url.clone();
    keys.set_path(&format!(
        "{}/.well-known/jwks.json",
        url.path().trim_end_matches('/')
    ));
    keys
}

/// A text in quotes, as YAML reads JSON's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn discovered(survey: &Survey, arguments: &InitArguments) -> String {
    let issuer = quoted(survey.issuer.as_deref().unwrap_or_default());
    let audiences: Vec<String> = arguments
        .audience
        .iter()
        .map(|audience| quoted(audience))
        .collect();
    let mut entry = format!(
        "  # Its keys are found through its own URL; today they are at\n  # {}\n  - issuer: {issuer}    # the exact `iss` of its tokens\n    audiences: [{}]    # a token for another service is refused\n",
        survey.jwks_url,
        audiences.join(", ")
    );
    if !survey.algorithms.is_empty() {
        entry.push_str(&format!(
            "    # It says that it signs with: {}\n",
            plain(&survey.algorithms.join(", "))
        ));
    }
    entry.push_str(&ca_file(arguments));
    if let Some(endpoint) = &survey.introspection {
        entry.push_str(&format!(
            "    # Bans and logouts before a token ends: ask the issuer, with credentials of your own (RFC 7662).\n    # introspection:\n    #   url: {}\n    #   client_id: gatefort\n    #   secret_file: /run/secrets/introspection\n",
            plain(endpoint)
        ));
    }
    entry
}

fn authfort(survey: &Survey, arguments: &InitArguments) -> String {
    let url = quoted(survey.jwks_url.as_str());
    format!(
        "  # An AuthFort server. Its default `iss` is the word \"authfort\": see `jwt_issuer` there.\n  - issuer: authfort\n    profile: authfort    # demands what its access tokens carry; refuses its other JWTs\n    jwks_url: {url}\n{}",
        ca_file(arguments)
    )
}

fn ca_file(arguments: &InitArguments) -> String {
    arguments.ca_file.as_ref().map_or_else(String::new, |file| {
        format!("    ca_file: {}\n", quoted(&file.display().to_string()))
    })
}

/// What may stand in a comment: one line of visible characters.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

fn text(issuer: &str) -> String {
    format!(
        "# Written by gatefort init. What each setting means: the README and docs/.\n#\n#   gatefort check --online -c {FILE}     every mistake at once, and whether the issuer answers\n#   gatefort serve -c {FILE}\n\nlisten:\n  grpc: 127.0.0.1:9191    # Envoy ext_authz over gRPC\n  http: 127.0.0.1:9192    # nginx, Traefik, Caddy, HAProxy, Envoy over HTTP\n  admin: 127.0.0.1:9193   # health, metrics, status; keep it private\n\nissuers:\n{issuer}\n# The first rule that matches decides; nothing matches = denied.\nrules:\n  - path: /health\n    allow: anyone           # never looks at the token\n  # - path: /admin/**\n  #   require: {{roles: [admin]}}\n  - path: /**\n    allow: authenticated\n\n# What the application is told, and the claim that it is read from.\nidentity:\n  X-Auth-User: sub\n  X-Auth-Email: email\n  X-Auth-Roles: roles\n"
    )
}
