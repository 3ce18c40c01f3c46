//! The chart and the manifests of `deploy/`, held against the published schemas of their kinds.
//!
//! No cluster is needed or used: Helm renders, and what it renders has to be what the API servers take.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::support::tools;

fn deploy(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy")
        .join(below)
}

fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new(tools::find(program))
        .args(arguments)
        .env("GATEFORT_TEST_NODE", tools::folder().join("node"))
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// What the chart renders with these settings.
fn rendered(settings: &[&str]) -> Output {
    let chart = deploy("helm/gatefort");
    let mut arguments = vec!["template", "gatefort", chart.to_str().unwrap()];
    arguments.extend(["--namespace", "gatefort"]);
    for setting in settings {
        arguments.extend(["--set", setting]);
    }
    run("helm", &arguments)
}

/// Holds manifests against the schemas of their kinds.
fn assert_valid(files: &[PathBuf]) {
    let check = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/kubernetes/check.mjs");
    let mut arguments = vec![check.to_str().unwrap()];
    arguments.extend(files.iter().map(|file| file.to_str().unwrap()));
    let output = run("node", &arguments);
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn every_choice_of_the_chart_renders_valid_manifests() {
    let folder = TempDir::new().unwrap();
    let choices: [&[&str]; 4] = [
        &[],
        &["serviceMonitor.enabled=true", "autoscaling.inFlight=50"],
        &[
            "autoscaling.enabled=false",
            "podDisruptionBudget.enabled=false",
            "networkPolicy.enabled=false",
            "preStopSeconds=0",
        ],
        &[
            "existingConfigMap=rules",
            "secrets[0].name=introspection",
            "secrets[0].secret=idp",
            "imagePullSecrets[0]=registry",
            "podAnnotations.team=platform",
            "serviceAccount.annotations.team=platform",
            "nodeSelector.zone=a",
            "tolerations[0].operator=Exists",
        ],
    ];
    let mut files = Vec::new();
    for (index, settings) in choices.iter().enumerate() {
        let output = rendered(settings);
        assert!(output.status.success(), "{}", said(&output));
        let file = folder.path().join(format!("{index}.yaml"));
        fs::write(&file, &output.stdout).unwrap();
        files.push(file);
    }
    assert_valid(&files);
    let text = |index: usize| fs::read_to_string(&files[index]).unwrap();
    assert!(text(1).contains("gatefort_decisions_in_flight"));
    assert!(text(1).contains("kind: ServiceMonitor"));
    for absent in [
        "HorizontalPodAutoscaler",
        "PodDisruptionBudget",
        "NetworkPolicy",
        "lifecycle",
    ] {
        assert!(text(0).contains(absent), "{absent}");
        assert!(!text(2).contains(absent), "{absent}");
    }
    assert!(!text(3).contains("kind: ConfigMap"));
    assert!(text(3).contains("configMap: {name: rules}"));
    assert!(text(3).contains("mountPath: /run/secrets/introspection"));
}

#[test]
fn a_misspelt_value_is_refused() {
    let output = rendered(&["replica=3"]);
    assert!(!output.status.success());
    assert!(
        said(&output).contains("replica is not allowed"),
        "{}",
        said(&output)
    );
}

#[test]
fn the_plain_manifests_are_what_the_chart_renders() {
    let output = rendered(&[]);
    let rendered = String::from_utf8(output.stdout).unwrap();
    let written = fs::read_to_string(deploy("kubernetes/gatefort.yaml")).unwrap();
    let (comment, manifests) = written.split_once("---\n").unwrap();
    assert!(
        comment.lines().all(|line| line.starts_with('#')),
        "{comment}"
    );
    assert!(
        manifests == rendered.trim_start_matches("---\n"),
        "deploy/kubernetes/gatefort.yaml is not what the chart renders; its first lines say how to make it"
    );
}

#[test]
fn the_charts_own_configuration_is_good() {
    let output = rendered(&[]);
    let text = String::from_utf8(output.stdout).unwrap();
    let (_, rest) = text.split_once("  gatefort.yaml: |\n").unwrap();
    let (configuration, _) = rest.split_once("\n---\n").unwrap();
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("gatefort.yaml");
    let lines: Vec<&str> = configuration
        .lines()
        .map(|line| line.strip_prefix("    ").unwrap_or(line))
        .collect();
    fs::write(&file, lines.join("\n")).unwrap();
    let check = Command::new(env!("CARGO_BIN_EXE_gatefort"))
        .args(["check", "-c"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(check.status.success(), "{}", said(&check));
}

#[test]
fn the_manifests_for_gateways_are_valid() {
    let files: Vec<PathBuf> = fs::read_dir(deploy("kubernetes/gateways"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(!files.is_empty());
    assert_valid(&files);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        assert!(
            !text.to_lowercase().contains("failopen: true"),
            "{}",
            file.display()
        );
    }
}

/// Everything that a gateway's template can say.
const RICH: &str = "
identity: {X-Auth-User: sub, Remote-Groups: roles}
forward_token: false
token: {from: [authorization, {header: x-jwt}, {cookie: session}]}
issuers: [{issuer: https://id.example.com, audiences: any}]
rules: [{path: /**, allow: authenticated}]
";

/// What `gatefort gen` writes, for a configuration with much to say and for one with little.
#[test]
fn generated_manifests_are_valid() {
    const PLAIN: &str = "rules: [{path: /health, allow: anyone}]\n";
    const HOSTS: &[&str] = &["--host", "a.example.com", "--host", "b.example.com"];
    let folder = TempDir::new().unwrap();
    let mut files = Vec::new();
    for (name, text, options) in [("plain", PLAIN, &[][..]), ("rich", RICH, HOSTS)] {
        let configuration = folder.path().join(format!("{name}.yaml"));
        fs::write(&configuration, text).unwrap();
        for kind in GENERATED {
            let into = folder.path().join(name);
            let output = Command::new(env!("CARGO_BIN_EXE_gatefort"))
                .args(["gen", kind, "-c"])
                .arg(&configuration)
                .arg("-o")
                .arg(&into)
                .args(options)
                .output()
                .unwrap();
            assert!(output.status.success(), "{}", said(&output));
            files.push(into.join(format!("{kind}.yaml")));
        }
    }
    assert_valid(&files);
}

/// What `gatefort gen` writes for a cluster, the files named after it.
const GENERATED: [&str; 5] = [
    "envoy-gateway",
    "gateway-api",
    "ingress-nginx",
    "istio",
    "traefik-crd",
];

#[test]
fn the_generated_manifests_of_deploy_are_what_gen_writes() {
    let mut stale = Vec::new();
    for kind in GENERATED {
        let output = Command::new(env!("CARGO_BIN_EXE_gatefort"))
            .args(["gen", kind, "-c"])
            .arg(deploy("gatefort.yaml"))
            .output()
            .unwrap();
        let kept = deploy(&format!("kubernetes/gateways/{kind}.yaml"));
        if fs::read(&kept).unwrap() != output.stdout {
            stale.push(format!(
                "gatefort gen {kind} -c deploy/gatefort.yaml -o deploy/kubernetes/gateways --force"
            ));
        }
    }
    assert!(stale.is_empty(), "\n{}", stale.join("\n"));
}
