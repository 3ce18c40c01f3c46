//! `gatefort test`: what it runs, what it says, and what its exit code answers.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use tempfile::TempDir;

use crate::support::tools;

fn gatefort() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatefort"));
    command.stdin(Stdio::null()).env_remove("GATEFORT_CONFIG");
    command
}

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Issuers of every kind, none of whose files, secrets and endpoints is there.
const CONFIG: &str = "\
listen: {http: 127.0.0.1:1, grpc: off, admin: off}
issuers:
  - issuer: https://a.example
    audiences: [orders]
    jwks_file: /nowhere/jwks.json
    ca_file: /nowhere/ca.pem
    introspection: {url: 'https://a.example/introspect', client_id: us, secret: '${NOT_SET}'}
  - {issuer: authfort, profile: authfort, jwks_url: 'https://auth.example/jwks'}
  - {issuer: https://at.example, audiences: any, token_type: at+jwt, algorithms: [EdDSA, ES384, PS256]}
  - {issuer: https://hs.example, audiences: [orders], algorithms: [HS256, HS512], secret_file: /nowhere/secret}
  - issuer: https://opaque.example
    audiences: [orders]
    opaque: true
    opaque_prefix: gf_
    introspection: {url: 'https://opaque.example/introspect', client_id: us, secret_file: /nowhere/secret}
rules:
  - {name: open, path: /open, allow: anyone}
  - {name: asked, path: /asked/**, require: {roles: [admin]}, introspect: true}
  - {name: tenant, path: /tenant, hosts: [t.example], require: {claims: {tenant: acme}}}
  - {name: local, path: /local, require: {when: 'request.client_ip == \"192.0.2.7\" && request.headers[\"x-a\"] == \"1, 2\"'}}
  - {path: /**, allow: authenticated}
identity: {X-User: sub, X-Roles: roles}
";

pub(crate) const GOOD: &str = r#"
issuer: https://a.example
cases:
  - {name: open, request: {path: /open}, expect: {verdict: allow, rule: open, status: 200, headers: {X-User: ~}}}
  - {name: none, request: {path: /x}, expect: {verdict: deny, reason: token_missing, status: 401, rule: 5}}
  - {name: some, request: {path: /x}, token: {claims: {sub: ann}}, expect: {verdict: allow, reason: allowed, headers: {X-User: ann, X-Roles: ~}}}
  - {name: no subject, request: {path: /x}, token: {claims: {sub: ~}}, expect: {verdict: allow, headers: {X-User: ~}}}
  - {name: expired, request: {path: /x}, token: {expired: true}, expect: {verdict: deny, reason: token_expired}}
  - {name: forged, request: {path: /x}, token: {signature: wrong}, expect: {verdict: deny, reason: signature_invalid}}
  - {name: unknown key, request: {path: /x}, token: {kid: other}, expect: {verdict: deny, reason: kid_unknown}}
  - {name: forbidden algorithm, request: {path: /x}, token: {alg: HS256}, expect: {verdict: deny, reason: algorithm_forbidden}}
  - {name: no access token, request: {path: /x}, token: {typ: logout+jwt}, expect: {verdict: deny, reason: token_type_mismatch}}
  - {name: text, request: {path: /x}, token: {raw: a.b.c}, expect: {verdict: deny, reason: token_malformed}}
  - {name: another issuer, request: {path: /x}, token: {claims: {iss: 'https://evil.example'}}, expect: {verdict: deny, reason: issuer_unknown}}
  - {name: authfort, request: {path: /x}, token: {issuer: authfort, claims: {sub: bob, roles: [a, b]}}, expect: {verdict: allow, headers: {X-User: bob, X-Roles: "a,b"}}}
  - {name: at+jwt, request: {path: /x}, token: {issuer: 'https://at.example'}, expect: {verdict: allow}}
  - {name: at+jwt as JWT, request: {path: /x}, token: {issuer: 'https://at.example', typ: JWT}, expect: {verdict: deny, reason: token_type_mismatch}}
  - {name: at+jwt by ES384, request: {path: /x}, token: {issuer: 'https://at.example', alg: ES384}, expect: {verdict: allow}}
  - {name: at+jwt by PS256, request: {path: /x}, token: {issuer: 'https://at.example', alg: PS256}, expect: {verdict: allow}}
  - {name: HS256, request: {path: /x}, token: {issuer: 'https://hs.example'}, expect: {verdict: allow}}
  - {name: HS512, request: {path: /x}, token: {issuer: 'https://hs.example', alg: HS512}, expect: {verdict: allow}}
  - {name: nobody answers, request: {path: /asked/x}, token: {claims: {roles: [admin]}}, expect: {verdict: unavailable, reason: introspection_unreachable, status: 503}}
  - {name: active, request: {path: /asked/x}, token: {claims: {roles: [admin]}}, introspection: {active: true}, expect: {verdict: allow, rule: asked}}
  - {name: no longer, request: {path: /asked/x}, token: {claims: {roles: [admin]}}, introspection: {active: true, roles: []}, expect: {verdict: deny, reason: roles_missing}}
  - {name: inactive, request: {path: /asked/x}, token: {claims: {roles: [admin]}}, introspection: {active: false}, expect: {verdict: deny, reason: token_inactive, status: 401}}
  - {name: opaque, request: {path: /x}, token: {issuer: 'https://opaque.example', opaque: true, claims: {sub: eve}}, introspection: {active: true}, expect: {verdict: allow, headers: {X-User: eve}}}
  - {name: opaque and inactive, request: {path: /x}, token: {issuer: 'https://opaque.example', opaque: true}, introspection: {active: false}, expect: {verdict: deny, reason: token_inactive}}
  - {name: tenant, request: {path: /tenant, host: T.example:443}, token: {claims: {tenant: [acme, b]}}, expect: {verdict: allow, rule: tenant}}
  - {name: local, request: {path: '/local?a=b', client: 192.0.2.7, headers: {X-A: [1, '2']}}, token: {claims: {}}, expect: {verdict: allow, rule: local}}
  - {name: alias, request: {path: /x, headers: {X_User: root}}, expect: {verdict: deny, reason: header_alias, status: 400}}
  - {name: dots, request: {path: /a/../open}, expect: {verdict: deny, reason: path_ambiguous, status: 400}}
  - {name: refused, request: {path: /x}, token: {refused: keys_unavailable}, expect: {verdict: unavailable, reason: keys_unavailable}}
  - {name: refused where nobody looks, request: {path: /open}, token: {refused: token_expired}, expect: {verdict: allow}}
  - {name: unread where nobody looks, request: {path: /open}, token: unread, expect: {verdict: allow}}
"#;

struct Files {
    folder: TempDir,
}

impl Files {
    fn new(config: &str, cases: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("c.yaml"), config).unwrap();
        fs::write(folder.path().join("cases.yaml"), cases).unwrap();
        Self { folder }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = gatefort();
        command
            .args(["test", "-c", "c.yaml", "cases.yaml"])
            .args(arguments)
            .current_dir(self.folder.path());
        command
    }

    fn run(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        said(&self.command(arguments).output().unwrap())
    }
}

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn every_kind_of_case_comes_out_as_the_server_decides() {
    let (code, shown, errors) = Files::new(CONFIG, GOOD).run(&["--require-coverage"]);
    assert_eq!(code, Some(0), "{shown}{errors}");
    assert!(
        shown.ends_with("ok: 31 passed, 0 failed; 5 of 5 rules matched\n"),
        "{shown}"
    );
}

#[test]
fn the_example_of_deploy_passes_and_reaches_every_rule() {
    let output = gatefort()
        .args(["test", "--require-coverage", "-c"])
        .arg(root("deploy/gatefort.yaml"))
        .arg(root("deploy/gatefort.cases.yaml"))
        .output()
        .unwrap();
    let (code, shown, errors) = said(&output);
    assert_eq!(code, Some(0), "{shown}{errors}");
}

/// Each is wanted otherwise than it comes out.
const FAILING: &str = r#"
issuer: https://a.example
cases:
  - {name: verdict, request: {path: /x}, expect: {verdict: allow}}
  - {name: reason, request: {path: /x}, expect: {verdict: deny, reason: token_expired}}
  - {name: rule, request: {path: /open}, expect: {verdict: allow, rule: tenant}}
  - {name: status, request: {path: /x}, expect: {verdict: deny, status: 403}}
  - {name: value, request: {path: /x}, token: {claims: {sub: ann}}, expect: {verdict: allow, headers: {X-User: bob}}}
  - {name: absence, request: {path: /x}, token: {claims: {sub: ann}}, expect: {verdict: allow, headers: {X-User: ~}}}
  - {name: no such header, request: {path: /x}, token: {claims: {sub: ann}}, expect: {verdict: allow, headers: {X-Usr: ~}}}
  - {name: "no issuer <&\"'> \e[1m", request: {path: /x}, token: {issuer: nobody}, expect: {verdict: allow}}
  - {name: unread, request: {path: /x}, token: unread, expect: {verdict: allow}}
"#;

#[test]
fn a_case_that_fails_says_why() {
    let files = Files::new(CONFIG, FAILING);
    let (code, shown, errors) = files.run(&["--junit", "junit.xml"]);
    assert_eq!(code, Some(1), "{shown}{errors}");
    for part in [
        "  FAIL  verdict  (cases.yaml:4)\n        verdict: wanted allow, got deny\n        decided: deny, token_missing, by rule 5 `/**`\n        DENY  token_missing  rule 5 `/**`\n",
        "        reason: wanted token_expired, got token_missing\n",
        "        rule: wanted tenant, got 1 `open`\n",
        "        status: wanted 403, got 401\n",
        "        header x-user: wanted `bob`, got `ann`\n",
        "        header x-user: wanted none, got `ann`\n",
        "        header x-usr: wanted none, got no identity header of this name\n",
        "cannot say: the configuration has no issuer `nobody`: it has https://a.example, authfort",
        "cannot say: the rule looks at the token, and nobody has looked at it",
        "rule 2 `asked` never matched\nrule 3 `tenant` never matched\nrule 4 `local` never matched\n",
        "FAILED: 0 passed, 9 failed; 2 of 5 rules matched\n",
    ] {
        assert!(shown.contains(part), "{part}\n--- is not in\n{shown}");
    }
    assert!(
        !shown.contains('\u{1b}'),
        "a name drives the terminal: {shown:?}"
    );
    // What a CI system's parser makes of the file.
    let script = "import sys, xml.etree.ElementTree as E\n\
        root = E.parse(sys.argv[1]).getroot()\n\
        for suite in root: print(suite.get('name'), suite.get('tests'), suite.get('failures'))\n\
        for case in root.iter('testcase'): print(case.get('line'), case.get('name'), '|', case.find('failure').get('message'))\n\
        print('steps', sum('[token_missing]' in (failure.text or '') for failure in root.iter('failure')))\n";
    let output = Command::new(tools::find("python"))
        .args(["-c", script, "junit.xml"])
        .current_dir(files.folder.path())
        .output()
        .unwrap();
    let (_, read, errors) = said(&output);
    assert!(
        read.starts_with("cases.yaml 9 9\n4 verdict | verdict: wanted allow, got deny\n"),
        "{read}{errors}"
    );
    let told = shown.matches("[token_missing]").count();
    assert!(
        told > 0 && read.ends_with(&format!("steps {told}\n")),
        "{told}: {read}"
    );
    assert!(
        read.contains("no issuer <&\"'> \u{fffd}[1m | cannot say"),
        "{read}"
    );
}

#[test]
fn a_rule_that_no_case_reaches_fails_where_that_is_asked() {
    let cases = "cases: [{name: open, request: {path: /open}, expect: {verdict: allow}}]";
    let files = Files::new(CONFIG, cases);
    assert_eq!(files.run(&[]).0, Some(0));
    let (code, shown, _) = files.run(&["--require-coverage", "--junit", "j.xml"]);
    assert_eq!(code, Some(1), "{shown}");
    assert!(
        shown.contains("rule 5 `/**` never matched\nFAILED: 1 passed, 0 failed; 1 of 5"),
        "{shown}"
    );
    let xml = fs::read_to_string(files.folder.path().join("j.xml")).unwrap();
    assert!(xml.contains("rule 5 `/**` never matched"), "{xml}");
}

#[test]
fn a_filter_chooses_cases_by_name() {
    let files = Files::new(CONFIG, GOOD);
    let (code, shown, _) = files.run(&["--filter", "opaque"]);
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("2 passed, 0 failed"), "{shown}");
    assert_eq!(files.run(&["--filter", "nothing like it"]).0, Some(2));
}

#[test]
fn files_that_are_wrong_are_no_answer() {
    let mistaken = GOOD.replace("status: 401, rule: 5", "sttus: 401");
    let (code, _, errors) = Files::new(CONFIG, &mistaken).run(&[]);
    assert_eq!(code, Some(2));
    assert!(
        errors.contains("unknown key `sttus`, did you mean `status`?\n  --> cases.yaml:5:"),
        "{errors}"
    );
    let config = CONFIG.replace("allow: anyone", "allow: everyone");
    let (code, _, errors) = Files::new(&config, GOOD).run(&[]);
    assert_eq!(code, Some(2));
    assert!(errors.contains("--> c.yaml:"), "{errors}");
    let files = Files::new(CONFIG, GOOD);
    fs::remove_file(files.folder.path().join("cases.yaml")).unwrap();
    assert_eq!(files.run(&[]).0, Some(2));
    assert_eq!(
        Files::new(CONFIG, GOOD)
            .run(&["--junit", "no/such/folder.xml"])
            .0,
        Some(2)
    );
}

#[test]
fn a_watch_runs_again_when_a_file_changes() {
    let files = Files::new(CONFIG, GOOD);
    let mut child = files
        .command(&["--watch"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let (send, lines) = channel();
    std::thread::spawn(move || {
        for line in stdout.lines().map_while(Result::ok) {
            let _gone = send.send(line);
        }
    });
    let wait_for = |part: &str| {
        while let Ok(line) = lines.recv_timeout(Duration::from_secs(60)) {
            if line.contains(part) {
                return true;
            }
        }
        false
    };
    let path = |name: &str| files.folder.path().join(name);
    let mut seen = vec![wait_for("31 passed, 0 failed")];
    fs::write(path("c.yaml"), CONFIG.replace("[admin]", "[root]")).unwrap();
    seen.push(wait_for("FAILED: 30 passed, 1 failed"));
    fs::write(path("cases.yaml"), "cases: [").unwrap();
    seen.push(wait_for("--> cases.yaml:"));
    fs::write(path("cases.yaml"), FAILING).unwrap();
    seen.push(wait_for("FAILED: 0 passed, 9 failed"));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(seen, [true; 4]);
}

/// The page's example is run as it is shown, with the very output.
#[test]
fn the_page_is_true() {
    let page = fs::read_to_string(root("docs/policy-tests.md")).unwrap();
    let block = |name: &str| {
        let (_, rest) = page
            .split_once(&format!("{name}:\n\n```"))
            .unwrap_or_else(|| panic!("{name}"));
        let (_, rest) = rest.split_once('\n').unwrap();
        rest.split_once("```").unwrap().0.to_owned()
    };
    let folder = tempfile::tempdir().unwrap();
    for name in ["gatefort.yaml", "cases.yaml"] {
        fs::write(folder.path().join(name), block(&format!("`{name}`"))).unwrap();
    }
    let command = block("It answers");
    let (line, wanted) = command.split_once('\n').unwrap();
    let arguments = line.strip_prefix("$ gatefort ").unwrap().split(' ');
    let output = gatefort()
        .args(arguments)
        .current_dir(folder.path())
        .output()
        .unwrap();
    let (code, shown, errors) = said(&output);
    assert_eq!((code, &*shown), (Some(1), wanted), "{errors}");
}
