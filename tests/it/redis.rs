//! Replicas that tell each other over a real Redis, and what befalls it.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::authfort::AuthFort;
use crate::support::gateway;
use crate::support::raw;
use crate::support::redis::{PASSWORD, Redis, STREAM};
use crate::support::revoking::{Home, Server, now, revoke};
use crate::support::server::Gatefort;
use crate::support::tokens::ISSUER;

/// How long anything may take on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(30);

/// Long enough for a busy machine, short enough to wait for.
const MAX_LAG: &str = "2s";

/// Replicas of one deployment.
struct Deployment {
    home: Home,
    redis: Redis,
}

impl Deployment {
    fn new() -> Self {
        Self {
            home: Home::new(),
            redis: Redis::start(),
        }
    }

    /// What a replica's configuration says of revocation; `more` goes to `fan_out`.
    fn revocation(&self, more: &str) -> String {
        let url = self.redis.url();
        format!(
            "revocation: {{secret_file: @DIR@/secret, fan_out: {{\
             redis: {{url: '{url}', password: '{PASSWORD}'}}, max_lag: {MAX_LAG}{more}}}}}\n\
             log: {{decisions: off}}"
        )
    }

    /// A replica that keeps nothing.
    fn replica(&self) -> Server {
        self.home.start_with(&self.revocation(""))
    }

    /// A replica for which `/strict` demands that it follows, alive and perhaps not ready.
    fn strict(&self, more: &str) -> Server {
        let rules = "[{path: /strict, allow: authenticated, revocations: required}, \
                     {path: /**, allow: authenticated, revocations: best_effort}]";
        let revocation = self.revocation(more);
        self.home.start_as(&revocation, rules, "/healthz")
    }

    fn token(&self, subject: &str) -> String {
        self.home.token(&json!({"sub": subject}))
    }
}

fn item(subject: &str) -> Value {
    json!({"iss": ISSUER, "sub": subject, "until": now() + 600})
}

/// Revokes a subject; whether the answer says that the stream has it.
fn end(server: &Server, subject: &str) -> String {
    let answer = server.revoke(&json!([item(subject)]));
    answer["fan_out"].as_str().unwrap().to_owned()
}

fn fan_out(server: &Server) -> Value {
    server.status()["fan_out"].clone()
}

/// Waits until something holds; how long it took.
fn wait_for(what: &str, holds: impl Fn() -> bool) -> Duration {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "{what}");
        thread::sleep(Duration::from_millis(2));
    }
    started.elapsed()
}

#[expect(
    clippy::print_stdout,
    reason = "figures, for whoever asks with --nocapture"
)]
fn report(figure: &str) {
    println!("{figure}");
}

/// Asks every replica, each in its own thread, until it refuses; the result is when the last one did.
///
/// Returns once each has allowed the token.
fn when_all_refuse(replicas: &Arc<[Server; 3]>, token: &str) -> JoinHandle<Instant> {
    for replica in replicas.iter() {
        assert_eq!(replica.ask(token), 200);
    }
    let (replicas, token) = (Arc::clone(replicas), token.to_owned());
    thread::spawn(move || {
        thread::scope(|scope| {
            let asking = replicas.each_ref().map(|replica| {
                let token = &token;
                scope.spawn(move || {
                    wait_until_refused(replica, token);
                    Instant::now()
                })
            });
            let refused = asking.map(|asking| asking.join().unwrap());
            refused.into_iter().max().unwrap()
        })
    })
}

/// Says how long it took until the last replica refused, and that it is soon enough.
fn judge(from: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let [median, late] = [50, 99].map(|part| times[times.len() * part / 100]);
    report(&format!(
        "{from} to the last of three replicas' first denial: median {median:?}, p99 {late:?}"
    ));
    assert!(median < Duration::from_millis(50), "{median:?}");
    // The tail is the machine's: tests beside this one take both of its processors.
    assert!(late < Duration::from_millis(500), "{late:?}");
}

fn wait_until_refused(server: &Server, token: &str) -> Duration {
    wait_for("the token is still accepted", || server.ask(token) == 401)
}

fn is_ready(server: &Server) -> bool {
    let request = raw::get("/readyz", &[]);
    raw::exchange(server.admin(), &request).is_ok_and(|answer| answer.status() == 200)
}

#[test]
fn what_one_replica_is_told_all_refuse_within_fifty_milliseconds() {
    const COUNT: usize = 120;
    let deployment = Deployment::new();
    let replicas = Arc::new([(); 3].map(|()| deployment.replica()));
    let mut times: Vec<Duration> = Vec::new();
    for number in 0..COUNT {
        let subject = format!("user{number}");
        let token = deployment.token(&subject);
        let items = json!([item(&subject)]);
        let denied = when_all_refuse(&replicas, &token);
        let act = Instant::now();
        replicas[number % 3].revoke(&items);
        times.push(denied.join().unwrap() - act);
    }
    judge("from the call", times);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_authfort_server_tells_one_replica_all_refuse() {
    const COUNT: usize = 30;
    let issuer = AuthFort::start(&[]);
    // The server makes its key with the first user.
    issuer.sign_up("ann@example.com").await;
    let deployment = Deployment::new();
    let configuration = format!(
        "listen: {{grpc: off, http: '@HTTP@', admin: '@ADMIN@'}}\n\
         issuers: [{{issuer: authfort, profile: authfort, jwks_url: '{}'}}]\n\
         {}\n\
         rules: [{{path: /**, allow: authenticated}}]\n",
        issuer.jwks_url(),
        deployment.home.placed(&deployment.revocation("")),
    );
    let replicas = Arc::new([(); 3].map(|()| {
        Server::new(
            Gatefort::start(&configuration, "/readyz"),
            &deployment.home.secret,
        )
    }));
    let told = json!({
        "admin_url": format!("http://{}", replicas[0].admin()),
        "secret": deployment.home.secret,
    });
    issuer.control("forward", &told).await;
    let mut times = Vec::new();
    for _ in 0..COUNT {
        let login = issuer.log_in("ann@example.com").await;
        let denied = when_all_refuse(&replicas, &login.access_token);
        let session = json!({"session_id": login.session_id});
        let act = issuer.timed("revoke-session", &session).await;
        times.push(denied.join().unwrap().saturating_duration_since(act));
    }
    judge("from AuthFort's commit", times);
}

#[test]
fn a_replica_knows_what_it_missed_before_it_is_ready() {
    let deployment = Deployment::new();
    let with_file = deployment
        .revocation("")
        .replace("fan_out", "file: @DIR@/kept, fan_out");
    let teller = deployment.replica();
    let mut kept = deployment.home.start_with(&with_file);
    let first = deployment.token("first");
    assert_eq!(end(&teller, "first"), "written");
    wait_until_refused(&kept, &first);
    kept.process.kill();
    let missed = json!(
        (0..200)
            .map(|n| item(&format!("missed{n}")))
            .collect::<Vec<_>>()
    );
    assert_eq!(teller.revoke(&missed)["fan_out"], "written");
    for replica in [deployment.home.start_with(&with_file), deployment.replica()] {
        assert_eq!(replica.ask(&deployment.token("missed199")), 401);
        assert_eq!(replica.ask(&first), 401);
        assert_eq!(replica.status()["entries"], 201);
        assert_eq!(replica.ask(&deployment.token("other")), 200);
    }
}

#[test]
fn a_redis_that_is_gone_costs_nothing_but_time() {
    let mut deployment = Deployment::new();
    let replicas = [deployment.replica(), deployment.replica()];
    let [teller, hearer] = &replicas;
    let [before, during] = ["before", "during"].map(|subject| deployment.token(subject));
    assert_eq!(end(teller, "before"), "written");
    wait_until_refused(hearer, &before);
    deployment.redis.kill();
    assert_eq!(end(teller, "during"), "pending");
    assert_eq!(teller.ask(&during), 401, "in force where it was told");
    assert_eq!(hearer.ask(&during), 200);
    assert_eq!(hearer.ask(&before), 401, "the list goes on to work");
    assert_eq!(fan_out(teller)["pending"], true);
    wait_for("it is not behind", || fan_out(hearer)["following"] == false);
    assert_eq!(fan_out(hearer)["connected"], false);
    assert_eq!(fan_out(hearer)["last_error"], "refused");
    assert!(is_ready(hearer), "who has followed once stays ready");
    deployment.redis.restart();
    let took = wait_until_refused(hearer, &during);
    report(&format!("told {took:?} after Redis was back"));
    wait_for("it does not recover", || {
        fan_out(teller)["pending"] == false && fan_out(hearer)["following"] == true
    });
    assert!(fan_out(hearer)["last_error"].is_null());
}

#[test]
fn an_emptied_redis_is_filled_by_those_who_know() {
    let mut deployment = Deployment::new();
    let one = deployment.replica();
    let other = deployment.replica();
    end(&one, "ann");
    end(&other, "bob");
    let [ann, bob] = ["ann", "bob"].map(|subject| deployment.token(subject));
    for replica in [&one, &other] {
        wait_until_refused(replica, &ann);
        wait_until_refused(replica, &bob);
    }
    // A newcomer has nothing but the stream.
    let check = |deployment: &Deployment, how: &str| {
        let emptied = Instant::now();
        let newcomer = deployment.replica();
        for token in [&ann, &bob] {
            wait_until_refused(&newcomer, token);
        }
        report(&format!("{how}: filled within {:?}", emptied.elapsed()));
    };
    deployment.redis.restart_empty();
    check(&deployment, "restarted without its data");
    let () = deployment.redis.command(&["FLUSHALL"]);
    // What is revoked at once must not hide that it was emptied.
    end(&one, "cat");
    check(&deployment, "flushed");
    let () = deployment.redis.command(&["DEL", STREAM]);
    check(&deployment, "deleted");
    let _: usize = deployment
        .redis
        .command(&["XTRIM", STREAM, "MAXLEN", "=", "0"]);
    check(&deployment, "cut");
}

#[test]
fn a_redis_that_does_not_answer_is_one_that_is_gone() {
    let deployment = Deployment::new();
    let [teller, hearer] = [deployment.replica(), deployment.replica()];
    let token = deployment.token("ann");
    deployment.redis.pause();
    let asked = Instant::now();
    assert_eq!(end(&teller, "ann"), "pending");
    let took = asked.elapsed();
    report(&format!("answered after {took:?}"));
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(teller.ask(&token), 401);
    assert_eq!(hearer.ask(&token), 200);
    wait_for("it is not behind", || {
        fan_out(&hearer)["following"] == false
    });
    deployment.redis.resume();
    wait_until_refused(&hearer, &token);
}

#[test]
fn junk_in_the_stream_is_counted_and_passed_over() {
    let deployment = Deployment::new();
    let [teller, hearer] = [deployment.replica(), deployment.replica()];
    let large = "x".repeat(1 << 20);
    for fields in [
        &["records", "too short"][..],
        &["records", &large],
        &["other", "field"],
        &["records", "", "more", "fields"],
    ] {
        let words = [&["XADD", STREAM, "*"], fields].concat();
        let _: String = deployment.redis.command(&words);
    }
    assert_eq!(end(&teller, "ann"), "written");
    wait_until_refused(&hearer, &deployment.token("ann"));
    assert_eq!(fan_out(&hearer)["skipped"], 4);
    assert_eq!(hearer.status()["entries"], 1);
    assert_eq!(hearer.ask(&deployment.token("bob")), 200);
    // One that is started now has the same to read.
    assert_eq!(deployment.replica().ask(&deployment.token("ann")), 401);
}

#[test]
fn a_stream_that_grows_long_is_written_anew_and_stays_whole() {
    const COUNT: usize = 400;
    let deployment = Deployment::new();
    let short = deployment.revocation(", max_len: 100");
    let [one, other] = [(); 2].map(|()| deployment.home.start_with(&short));
    for number in 0..COUNT {
        let teller = if number % 2 == 0 { &one } else { &other };
        assert_eq!(end(teller, &format!("user{number}")), "written");
    }
    wait_for("it is never written anew", || {
        deployment.redis.length() <= 100
    });
    report(&format!(
        "{COUNT} revocations in {} entries",
        deployment.redis.length()
    ));
    let newcomer = deployment.replica();
    assert_eq!(newcomer.status()["entries"], COUNT);
    // Whoever may not cut does not add to it either.
    let rights = |rule: &str| -> String {
        let words = ["ACL", "SETUSER", "gatefort", rule];
        deployment.redis.command(&words)
    };
    rights("-xtrim");
    for number in 0..150 {
        end(&newcomer, &format!("late{number}"));
    }
    let length = deployment.redis.length();
    let clumsy = deployment.home.start_with(&short);
    wait_for("it does not say so", || {
        fan_out(&clumsy)["last_error"] == "auth"
    });
    assert_eq!(deployment.redis.length(), length);
    rights("+xtrim");
    wait_for("it does not recover", || deployment.redis.length() <= 100);
    wait_for("it goes on to complain", || {
        fan_out(&clumsy)["last_error"].is_null()
    });
    for server in [&one, &other] {
        wait_for("they differ", || server.status()["entries"] == COUNT + 150);
    }
}

#[test]
fn who_must_follow_and_cannot_gives_no_verdict_within_max_lag() {
    let mut deployment = Deployment::new();
    let [strict, teller] = [(); 2].map(|()| deployment.strict(", mode: required"));
    wait_for("it is never ready", || {
        is_ready(&strict) && is_ready(&teller)
    });
    let [ann, bob] = ["ann", "bob"].map(|subject| deployment.token(subject));
    assert_eq!(strict.ask_for("/strict", &ann), 200);
    deployment.redis.pause();
    let stopped = Instant::now();
    wait_for("it goes on to allow", || {
        strict.ask_for("/strict", &ann) == 503
    });
    let took = stopped.elapsed();
    report(&format!("no verdict {took:?} after Redis fell silent"));
    // The last word of Redis may be a moment old when it falls silent; a busy machine asks late.
    assert!(took < Duration::from_secs(4), "{took:?}");
    assert_eq!(strict.denied("revocations_behind"), 1);
    assert_eq!(strict.ask(&ann), 200, "a rule that does not demand it");
    assert_eq!(strict.ask_for("/strict", "junk"), 401, "a bad token is bad");
    assert!(is_ready(&strict));
    let answer = revoke(
        teller.admin(),
        &deployment.home.secret,
        &json!([item("bob")]),
    )
    .unwrap();
    assert_eq!(answer.status(), 503);
    let answer: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(answer["error"], "not_spread");
    assert_eq!(teller.ask(&bob), 401, "in force all the same");
    deployment.redis.resume();
    wait_for("it does not recover", || {
        strict.ask_for("/strict", &ann) == 200
    });
    wait_until_refused(&strict, &bob);
    // A replica that never followed is not ready, and gives no verdict where it must follow.
    deployment.redis.kill();
    let newcomer = deployment.strict(", mode: required");
    assert!(!is_ready(&newcomer));
    assert_eq!(newcomer.ask_for("/strict", &ann), 503);
    assert_eq!(newcomer.ask(&ann), 200);
    deployment.redis.restart();
    wait_for("it does not become ready", || is_ready(&newcomer));
    assert_eq!(newcomer.ask(&bob), 401);
    assert_eq!(newcomer.ask_for("/strict", &ann), 200);
}

#[test]
fn who_is_not_let_in_says_so_and_goes_on_alone() {
    let deployment = Deployment::new();
    let _: String =
        deployment
            .redis
            .command(&["ACL", "SETUSER", "gatefort", "resetpass", ">another"]);
    // Ready after `max_lag` although it never followed: its own list works.
    let server = deployment.replica();
    assert_eq!(fan_out(&server)["last_error"], "auth");
    assert_eq!(end(&server, "ann"), "pending");
    assert_eq!(server.ask(&deployment.token("ann")), 401);
    assert_eq!(server.ask(&deployment.token("bob")), 200);
    let _: String =
        deployment
            .redis
            .command(&["ACL", "SETUSER", "gatefort", &format!(">{PASSWORD}")]);
    wait_for("it is not told", || deployment.redis.length() == 1);
    // Who may not write follows all the same.
    let _: String = deployment
        .redis
        .command(&["ACL", "SETUSER", "gatefort", "-xadd"]);
    let reader = deployment.replica();
    assert_eq!(reader.ask(&deployment.token("ann")), 401);
    assert_eq!(end(&reader, "bob"), "pending");
    wait_for("it does not say so", || {
        fan_out(&reader)["last_error"] == "auth"
    });
    assert_eq!(fan_out(&reader)["following"], true);
    let _: String = deployment
        .redis
        .command(&["ACL", "SETUSER", "gatefort", "+xadd"]);
    wait_until_refused(&server, &deployment.token("bob"));
    for replica in [server, reader] {
        let log = replica.process.stop();
        assert!(!log.contains(PASSWORD) && !log.contains("half%25"), "{log}");
    }
}

#[test]
fn over_tls_the_server_must_be_the_one_that_ca_file_names() {
    let certified = |name: &str| rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let [server, stranger] = ["127.0.0.1", "127.0.0.1"].map(certified);
    let home = Home::new();
    let path = |name: &str| home.folder.path().join(name);
    std::fs::write(path("redis.pem"), server.cert.pem()).unwrap();
    std::fs::write(path("redis.key"), server.signing_key.serialize_pem()).unwrap();
    std::fs::write(path("stranger.pem"), stranger.cert.pem()).unwrap();
    let folder = home.folder.path().display();
    let [port] = gateway::free_ports();
    let _redis = Redis::start_with(&format!(
        "tls-port {port}\ntls-cert-file {folder}/redis.pem\ntls-key-file {folder}/redis.key\ntls-auth-clients no"
    ));
    for (ca_file, follows) in [("redis.pem", true), ("stranger.pem", false)] {
        let server = home.start_with(&format!(
            "revocation: {{secret_file: @DIR@/secret, fan_out: {{redis: {{\
             url: 'rediss://gatefort@127.0.0.1:{port}', password: '{PASSWORD}', ca_file: '@DIR@/{ca_file}'}}, \
             max_lag: {MAX_LAG}}}}}"
        ));
        assert_eq!(fan_out(&server)["following"], follows, "{ca_file}");
        let answer = end(&server, "ann");
        assert_eq!(answer == "written", follows, "{ca_file}");
    }
}
