//! Secrets: whatever is done with tokens and signing keys, none of them is found at rest, in the log or in an error
//! response.

use std::path::Path;

use serde_json::{Value, json};

use crate::{
    client::{Client, Upload},
    orphans::Backend,
    program::{Program, TOKEN, command},
};

const USERS_TOKEN: &str = "larder_SECRETsecretSECRETsecretSECRET2NIcMd";
const MASTER: &str = "the-master-secret-of-this-test";

/// Every secret that was returned, and every error response.
#[derive(Default)]
struct Told {
    secrets: Vec<(&'static str, String)>,
    refusals: Vec<String>,
}

impl Told {
    /// Asks; the `data` of the answer, which counts as a refusal unless it is a success.
    fn ask(&mut self, program: &Program, token: &str, method: &str, path: &str, body: &Value) -> Value {
        let mut client = Client::connect(program.address, token).expect("it listens");
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let mut bytes = text.as_bytes();
        let upload = Upload::Known(bytes.len() as u64, &mut bytes);
        let answer = client.send(method, path, "application/json", upload).expect("it answers");
        let (status, headers) = (answer.status, format!("{:?}", answer.headers));
        let text = answer.text().expect("a body");
        if (200..300).contains(&status) {
            let answer: Value = serde_json::from_str(&text).unwrap_or_default();
            return answer.get("data").cloned().unwrap_or_default();
        }
        self.refusals.push(format!("{method} {status}: {headers} {text}"));
        Value::Null
    }

    fn keep(&mut self, what: &'static str, secret: &Value) -> String {
        let secret = secret.as_str().expect("it is told").to_owned();
        self.secrets.push((what, secret.clone()));
        secret
    }

    /// Returns the names of the secrets in `text`.
    fn found_in<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = &'static str> + 'a {
        let found = |secret: &str| text.windows(secret.len()).any(|bytes| bytes == secret.as_bytes());
        self.secrets.iter().filter(move |(_, secret)| found(secret)).map(|(what, _)| *what)
    }
}

/// Makes tokens and signing keys, uses them rightly and wrongly, and ends some.
fn use_secrets(program: &Program, admin: &str) -> Told {
    const TOKENS: &str = "/larder/v1/tokens";
    let (mut told, nothing) = (Told::default(), Value::Null);
    told.keep("the admin's token", &admin.into());
    told.keep("the token of the environment", &USERS_TOKEN.into());
    told.ask(program, admin, "POST", "/larder/v1/users", &json!({ "username": "cook" }));
    let cook = json!({ "username": "cook" });
    let made = told.ask(program, admin, "POST", TOKENS, &cook);
    let valid = told.keep("a valid token", &made["token"]);
    let made = told.ask(program, admin, "POST", TOKENS, &cook);
    let revoked = told.keep("a revoked token", &made["token"]);
    let id = made["id"].as_str().expect("an id");
    told.ask(program, &revoked, "GET", "/v2/users/me", &nothing);
    told.ask(program, admin, "DELETE", &format!("{TOKENS}/{id}?username=cook"), &nothing);
    let store = told.ask(program, USERS_TOKEN, "POST", "/v2/key-value-stores?name=pantry", &nothing);
    told.keep("a signing key that was rotated", &store["urlSigningSecretKey"]);
    let id = store["id"].as_str().expect("an id").to_owned();
    let path = format!("/v2/key-value-stores/{id}");
    told.ask(program, USERS_TOKEN, "POST", &format!("/larder/v1/stores/{id}/signing-key/rotate"), &nothing);
    let store = told.ask(program, USERS_TOKEN, "GET", &path, &nothing);
    told.keep("a signing key", &store["urlSigningSecretKey"]);
    told.ask(program, USERS_TOKEN, "PUT", &format!("{path}/records/a"), &json!("flour"));
    let keys = told.ask(program, USERS_TOKEN, "GET", &format!("{path}/keys"), &nothing);
    let link = keys["items"][0]["recordPublicUrl"].as_str().expect("a link").to_owned();
    let signature = told.keep("a signature", &link.split("signature=").nth(1).expect("it is signed").into());
    told.ask(program, USERS_TOKEN, "GET", &format!("{path}/records/a?signature={signature}"), &nothing);
    for token in [admin, USERS_TOKEN, &valid, &revoked] {
        for (method, target) in [
            ("GET", format!("{path}/records/missing?token={token}")),
            ("GET", format!("{path}/records/b?signature={signature}&token={token}")),
            ("GET", format!("{path}/keys?limit=x&token={token}")),
            ("PATCH", format!("{path}?token={token}")),
            ("GET", format!("/v2/nowhere?token={token}")),
            ("GET", format!("/nowhere?token={token}")),
            ("PUT", format!("{path}/records/a%2Fb?token={token}")),
            ("POST", format!("{TOKENS}?token={token}")),
            ("DELETE", format!("{TOKENS}/none?token={token}")),
            // Mistakes of clients: in the path, where none belongs.
            ("DELETE", format!("{TOKENS}/{token}")),
            ("GET", format!("{path}/records/{USERS_TOKEN}")),
            ("GET", format!("/v2/users/me%3Ftoken={token}")),
            ("GET", format!("/https%3A%2F%2Fcook%3A{token}%40larder%2Fv2")),
            ("GET", format!("{path}/records/a&signature={signature}")),
            ("POST", format!("/v2/key-value-stores?name=..&token={token}")),
        ] {
            for shown in ["", token] {
                told.ask(program, shown, method, &target, &json!(["neither"]));
            }
        }
    }
    assert!(told.refusals.len() > 60, "{} were refused", told.refusals.len());
    told
}

/// Serves with a user of the environment, talkative.
fn started(mut command: std::process::Command) -> Program {
    command.env("LARDER_LOG", "trace").env("LARDER_USER", "baker").env("LARDER_USER_TOKEN", USERS_TOKEN);
    Program::start(command)
}

/// Holds the log and the refusals to having no secret in them.
fn is_silent(told: &Told, logged: &str) {
    assert!(logged.contains("larder::audit"), "what was done is not in the log");
    assert!(logged.contains("larder::access: request method=DELETE"), "requests are not in the log");
    assert_eq!(told.found_in(logged.as_bytes()).collect::<Vec<_>>(), Vec::<&str>::new(), "in the log");
    for refusal in &told.refusals {
        assert_eq!(told.found_in(refusal.as_bytes()).collect::<Vec<_>>(), Vec::<&str>::new(), "in {refusal}");
    }
}

/// Returns the secrets found in a backend: the object, and the secret.
fn at_rest(told: &Told, backend: &Backend) -> Vec<(String, &'static str)> {
    let objects = backend.objects();
    assert!(objects.iter().any(|(key, _)| key.starts_with("larder/auth/tokens/")), "tokens are kept");
    let found = |(key, bytes): &(String, Vec<u8>)| {
        let text = [key.as_bytes(), b"\n", bytes].concat();
        told.found_in(&text).map(|what| (key.clone(), what)).collect::<Vec<_>>()
    };
    objects.iter().flat_map(found).collect()
}

/// Returns every file below a folder.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn a_folder_its_log_and_its_refusals_tell_no_secret_but_the_admins_own_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = started(command(folder.path(), &["serve", "--listen", "127.0.0.1:0"]));
    let kept = folder.path().join("larder-data/admin-token");
    let admin = std::fs::read_to_string(&kept).expect("it is kept").trim().to_owned();
    let told = use_secrets(&program, &admin);
    is_silent(&told, &program.stop().stderr);
    assert_eq!(at_rest(&told, &Backend::folder(folder.path())), []);
    for file in files(folder.path()) {
        let found: Vec<_> = told.found_in(&std::fs::read(&file).expect("a file")).collect();
        let allowed: &[&str] = if file == kept { &["the admin's token"] } else { &[] };
        assert_eq!(found, allowed, "{}", file.display());
    }
}

#[test]
fn a_master_secret_that_is_given_is_kept_nowhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = command(folder.path(), &["serve", "--listen", "127.0.0.1:0"]);
    command.env("LARDER_TOKEN", TOKEN).env("LARDER_SECRET", MASTER);
    let program = started(command);
    let mut told = use_secrets(&program, TOKEN);
    told.keep("the master secret", &MASTER.into());
    is_silent(&told, &program.stop().stderr);
    let backend = Backend::folder(folder.path());
    assert_eq!(at_rest(&told, &backend), []);
    assert!(backend.objects().iter().all(|(key, _)| key != "larder/auth/master-secret"), "one was made");
    drop(backend);
    for file in files(folder.path()) {
        let found: Vec<_> = told.found_in(&std::fs::read(&file).expect("a file")).collect();
        assert!(found.is_empty(), "{}: {found:?}", file.display());
    }
}

#[cfg(feature = "s3")]
#[test]
fn a_bucket_its_log_and_its_refusals_tell_no_secret() {
    let (folder, prefix) = (tempfile::tempdir().expect("a folder"), crate::bucket::own_prefix("secrets"));
    let mut command = crate::bucket::before_bucket(folder.path(), &prefix);
    command.env("LARDER_TOKEN", TOKEN).env("LARDER_SECRET", MASTER).env("LARDER_LEADER", "self");
    let program = started(command);
    let mut told = use_secrets(&program, TOKEN);
    told.keep("the master secret", &MASTER.into());
    is_silent(&told, &program.stop().stderr);
    assert_eq!(at_rest(&told, &Backend::bucket(&prefix)), []);
}
