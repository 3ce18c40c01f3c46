//! What becomes of a token when a real AuthFort server takes it back, at a real Envoy and a real nginx: the table of
//! `docs/revocation.md` is the table of this test.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::authfort::{AuthFort, Login, PASSWORD};
use crate::support::cases::Gateway;
use crate::support::echo::Echo;
use crate::support::gateway::Running;
use crate::support::raw;
use crate::support::server::Gatefort;

const PAGE: &str = include_str!("../../docs/revocation.md");

/// The head of the table there.
const HEAD: &str = "| The server's act | Keys alone | `authfort` | `authfort-me` | Push |";

const SECRET: &str = "a-secret-of-the-tests";

/// How long an answer is believed here.
const CACHE: Duration = Duration::from_secs(1);

/// How often a client asks that waits for its denial.
const PAUSE: Duration = Duration::from_millis(2);

/// The longest that a test waits for something that must happen; only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(30);

const GATEWAYS: [Gateway; 2] = [Gateway::EnvoyGrpc, Gateway::Nginx];

/// How a Gatefort learns what the server did: the columns of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Keys,
    Authfort,
    AuthfortMe,
    Push,
}

impl Way {
    const ALL: [Self; 4] = [Self::Keys, Self::Authfort, Self::AuthfortMe, Self::Push];

    /// The path whose rule goes this way.
    const fn path(self) -> &'static str {
        match self {
            Self::Keys | Self::Push => "/",
            Self::Authfort | Self::AuthfortMe => "/asked",
        }
    }
}

/// What a cell of the table says of a token after the act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    /// It passes, with the roles that it was issued with.
    Passes,
    /// It passes, with the roles that its user has now.
    Fresh,
    /// It is denied.
    Denied,
}

impl Cell {
    fn read(text: &str) -> Self {
        match text.trim_matches('*') {
            "passes" => Self::Passes,
            "passes, fresh roles" => Self::Fresh,
            "denied" => Self::Denied,
            other => panic!("no cell: {other}"),
        }
    }
}

/// The rows of the page.
fn rows() -> Vec<(&'static str, [Cell; 4])> {
    let (_, below) = PAGE.split_once(HEAD).expect("the page has the table");
    let rows: Vec<_> = below
        .lines()
        .skip(2)
        .map_while(|line| line.strip_prefix("| ")?.strip_suffix(" |"))
        .map(|line| {
            let cells: Vec<_> = line.split(" | ").collect();
            let [act, cells @ ..] = &cells[..] else {
                panic!("an empty row")
            };
            let cells: Vec<_> = cells.iter().map(|cell| Cell::read(cell)).collect();
            (*act, cells.try_into().expect("four cells"))
        })
        .collect();
    assert_eq!(rows.len(), 14, "{rows:?}");
    rows
}

fn configuration(issuer: &AuthFort, way: &str) -> String {
    let rules = if way.contains("introspection") {
        "  - {path: /asked, allow: authenticated, introspect: true}\n"
    } else {
        ""
    };
    format!(
        "
listen: {{grpc: '@GRPC@', http: '@HTTP@', admin: '@ADMIN@'}}
deadline: 20s
issuers:
  - issuer: authfort
    profile: authfort
    jwks_url: {}
{way}rules:
{rules}  - {{path: /**, allow: authenticated}}
identity: {{X-Auth-User: sub, X-Auth-Email: email, X-Auth-Roles: roles}}
",
        issuer.jwks_url()
    )
}

/// Something that the server does, to a user of its own unless an earlier act was done to the same.
struct Act {
    user: &'static str,
    action: &'static str,
    /// What the server must know for it.
    body: fn(&Login) -> Value,
    /// The row about the token that the user has.
    row: &'static str,
    /// The row about the token of another session of the user, or the token that a refresh brings.
    other: Option<&'static str>,
}

const ROLE: &str = "editor";

fn user(login: &Login) -> Value {
    json!({"user_id": login.user_id})
}

const ACTS: [Act; 11] = [
    Act {
        user: "ann",
        action: "ban",
        body: user,
        row: "ban",
        other: None,
    },
    Act {
        user: "ann",
        action: "unban",
        body: user,
        row: "unban: a token from before the ban",
        other: None,
    },
    Act {
        user: "bob",
        action: "add-role",
        body: |login| json!({"user_id": login.user_id, "role": "reader"}),
        row: "role added or removed",
        other: None,
    },
    Act {
        user: "carl",
        action: "remove-role",
        body: |login| json!({"user_id": login.user_id, "role": ROLE, "immediate": false}),
        row: "the same with `immediate=False`",
        other: None,
    },
    Act {
        user: "dora",
        action: "revoke-session",
        body: |login| json!({"session_id": login.session_id}),
        row: "one session revoked: its token",
        other: Some("one session revoked: another session's token"),
    },
    Act {
        user: "eve",
        action: "revoke-all-sessions",
        body: user,
        row: "all sessions revoked",
        other: None,
    },
    Act {
        user: "finn",
        action: "logout",
        body: |login| json!({"refresh_token": login.refresh_token}),
        row: "logout: its token",
        other: Some("logout: another session's token"),
    },
    Act {
        user: "gwen",
        action: "change-password",
        body: |login| json!({"user_id": login.user_id, "old": PASSWORD, "new": "another horse battery"}),
        row: "password changed",
        other: None,
    },
    Act {
        user: "hugo",
        action: "enable-mfa",
        body: user,
        row: "second factor set up",
        other: None,
    },
    Act {
        user: "ida",
        action: "delete",
        body: user,
        row: "user deleted",
        other: None,
    },
    Act {
        user: "jack",
        action: REFRESH,
        body: user,
        row: "session refreshed (no revocation): the old token",
        other: Some("session refreshed (no revocation): the new token"),
    },
];

/// What a user does alone, and no operator.
const REFRESH: &str = "refresh";

/// The server, three Gateforts that learn of its acts in four ways, and each one's gateways.
struct Rig {
    issuer: AuthFort,
    /// Keys alone and `authfort`; `authfort-me`; push.
    _gateforts: [Gatefort; 3],
    gateways: [[Arc<Running>; 2]; 3],
    upstream: Echo,
}

/// What a gateway's client and the application see of a request.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Upstream { roles: String },
    Client(u16),
}

impl Rig {
    async fn start() -> Self {
        let issuer = AuthFort::start(&["--introspect-secret", SECRET]);
        // Its first user gives it its first key.
        issuer.sign_up("root@example.com").await;
        let asked = |how: &str| {
            let cache = CACHE.as_secs();
            format!(
                "    introspection: {{timeout: 10s, cache: {cache}s, cache_inactive: 1s, {how}}}\n"
            )
        };
        let introspect = issuer.url("/auth/introspect");
        let gateforts = [
            asked(&format!("url: '{introspect}', secret: {SECRET}")),
            asked(&format!(
                "url: '{}', protocol: authfort-me",
                issuer.url("/auth/me")
            )),
            format!("revocation: {{secret: {SECRET}}}\n"),
        ]
        .map(|way| Gatefort::start(&configuration(&issuer, &way), "/readyz"));
        let upstream = Echo::start();
        let gateways = gateforts.each_ref().map(|gatefort| {
            let behind = gatefort.behind(upstream.port());
            GATEWAYS.map(|kind| Arc::new(Running::start(kind, behind, &[])))
        });
        let forward = json!({
            "admin_url": format!("http://127.0.0.1:{}", gateforts[2].admin),
            "secret": SECRET,
        });
        issuer.control("forward", &forward).await;
        Self {
            issuer,
            _gateforts: gateforts,
            gateways,
            upstream,
        }
    }

    /// Signs up a user for each act, whose token has the one role.
    async fn editors(&self) -> BTreeMap<&'static str, Login> {
        let mut users = BTreeMap::new();
        for name in ACTS.iter().map(|act| act.user).chain(["bystander"]) {
            if let Entry::Vacant(place) = users.entry(name) {
                let login = self.issuer.sign_up(&format!("{name}@example.com")).await;
                let role = json!({"user_id": login.user_id, "role": ROLE});
                self.issuer.control("add-role", &role).await;
                place.insert(login);
            }
        }
        // Where roles are pushed, a token of the second in which they changed is refused.
        tokio::time::sleep(Duration::from_secs(1)).await;
        for (name, login) in &mut users {
            *login = self.issuer.log_in(&format!("{name}@example.com")).await;
        }
        users
    }

    fn gateways(&self, way: Way) -> &[Arc<Running>; 2] {
        &self.gateways[match way {
            Way::Keys | Way::Authfort => 0,
            Way::AuthfortMe => 1,
            Way::Push => 2,
        }]
    }

    /// What becomes of a token there. An outage is no verdict: it is asked again.
    fn ask(&self, way: Way, gateway: &Running, token: &str) -> Seen {
        let begun = Instant::now();
        loop {
            self.upstream.take();
            let status = ask(gateway, way.path(), token);
            if status == 200 {
                let reached = self.upstream.take();
                let roles = reached
                    .last()
                    .and_then(|request| request.header("x-auth-roles"));
                return Seen::Upstream {
                    roles: roles.unwrap_or_default().to_owned(),
                };
            }
            if status != 503 || begun.elapsed() > PATIENCE {
                return Seen::Client(status);
            }
        }
    }

    /// Asserts what becomes of a token everywhere.
    fn see(&self, what: &str, token: &str, cells: [Cell; 4], issued: &str, fresh: &str) {
        for (way, cell) in Way::ALL.into_iter().zip(cells) {
            for gateway in self.gateways(way) {
                let expected = match cell {
                    Cell::Denied => Seen::Client(401),
                    Cell::Passes => Seen::Upstream {
                        roles: issued.to_owned(),
                    },
                    Cell::Fresh => Seen::Upstream {
                        roles: fresh.to_owned(),
                    },
                };
                let seen = self.ask(way, gateway, token);
                assert_eq!(seen, expected, "{what}: {way:?} at {:?}", gateway.kind);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stdout, reason = "it measures; `--nocapture` shows what")]
async fn the_table_of_the_page_holds_at_envoy_and_nginx() {
    let rig = Rig::start().await;
    let rows = rows();
    let cells = |row: &str| {
        let found = rows.iter().find(|(name, _)| *name == row);
        found.unwrap_or_else(|| panic!("no row {row}")).1
    };
    let users = rig.editors().await;
    let bystander = &users["bystander"];
    let mut report = String::new();
    let mut done = Vec::new();
    for act in &ACTS {
        let login = &users[act.user];
        let token = &login.access_token;
        let mut other = None;
        if act.other.is_some() && act.action != REFRESH {
            let email = format!("{}@example.com", act.user);
            other = Some(rig.issuer.log_in(&email).await.access_token);
        }
        let is_first = !done.contains(&act.user);
        if is_first {
            for token in [Some(token), other.as_ref()].into_iter().flatten() {
                rig.see("before", token, [Cell::Passes; 4], ROLE, ROLE);
            }
        }
        let clients: Vec<_> = Way::ALL
            .into_iter()
            .zip(cells(act.row))
            .filter(|(_, cell)| *cell == Cell::Denied && is_first)
            .flat_map(|(way, _)| rig.gateways(way).each_ref().map(|gateway| (way, gateway)))
            .map(|(way, gateway)| (way, gateway.kind, until_denied(gateway, way, token)))
            .collect();
        let committed = if act.action == REFRESH {
            other = Some(rig.issuer.refresh(login).await);
            Instant::now()
        } else {
            rig.issuer.timed(act.action, &(act.body)(login)).await
        };
        let answered = Instant::now();
        // The server told us before it answered: the very next request is denied.
        if cells(act.row)[3] == Cell::Denied {
            for gateway in rig.gateways(Way::Push) {
                let seen = rig.ask(Way::Push, gateway, token);
                assert_eq!(seen, Seen::Client(401), "{} at {:?}", act.row, gateway.kind);
            }
        }
        for (way, gateway, client) in clients {
            let denied = client.join().expect("a client is denied in the end");
            let after = denied.saturating_duration_since(committed);
            report += &format!("{} | {way:?} | {gateway:?} | {after:?}\n", act.row);
        }
        // From now on no answer that was given before the act is believed.
        tokio::time::sleep_until((answered + CACHE).into()).await;
        // The one act that changes the roles of a token that passes takes the only role away.
        rig.see(act.row, token, cells(act.row), ROLE, "");
        if let (Some(row), Some(other)) = (act.other, &other) {
            rig.see(row, other, cells(row), ROLE, "");
        }
        rig.see(
            "nobody else",
            &bystander.access_token,
            [Cell::Passes; 4],
            ROLE,
            ROLE,
        );
        done.push(act.user);
    }
    let again = rig.issuer.log_in("ann@example.com").await;
    rig.see(
        "a login after the ban",
        &again.access_token,
        [Cell::Passes; 4],
        ROLE,
        ROLE,
    );
    let covered = ACTS.iter().flat_map(|act| [Some(act.row), act.other]);
    assert_eq!(
        covered.flatten().count(),
        rows.len(),
        "a row without an act"
    );
    println!("From the server's commit to the first denial that a client saw:\n{report}");
}

/// Asks without pause until the token is denied; when that was.
fn until_denied(gateway: &Arc<Running>, way: Way, token: &str) -> JoinHandle<Instant> {
    let (gateway, token) = (Arc::clone(gateway), token.to_owned());
    thread::spawn(move || {
        let begun = Instant::now();
        while ask(&gateway, way.path(), &token) != 401 {
            assert!(begun.elapsed() < PATIENCE, "{way:?} at {:?}", gateway.kind);
            thread::sleep(PAUSE);
        }
        Instant::now()
    })
}

/// What a gateway answers. Blocks for as long as it takes: milliseconds.
fn ask(gateway: &Running, path: &str, token: &str) -> u16 {
    let authorization = format!("Bearer {token}");
    let request = raw::get(path, &[("Authorization", &authorization)]);
    raw::exchange(gateway.address, &request)
        .unwrap_or_else(|error| panic!("{error}\n{}", gateway.output()))
        .status()
}
