//! The user that the environment names, and their token.

use std::path::Path;

use crate::{
    client::{Client, Upload},
    program::{Ended, Program, TOKEN, command, run},
};

const FIRST: &str = "larder_0123456789abcdefghijklmnopqrst3j70pI";

/// Starts a gateway in `folder` with this user and this token.
fn serve(folder: &Path, user: &str, token: &str) -> Program {
    let mut command = command(folder, &["serve", "--listen", "127.0.0.1:0"]);
    command.env("LARDER_TOKEN", TOKEN).env("LARDER_LOG", "trace");
    command.env("LARDER_USER", user).env("LARDER_USER_TOKEN", token);
    Program::start(command)
}

/// Runs a gateway that must fail to start.
fn refused(folder: &Path, variables: &[(&str, &str)]) -> Ended {
    let mut command = command(folder, &["serve", "--listen", "127.0.0.1:0"]);
    let ended = run({
        command.env("LARDER_TOKEN", TOKEN).envs(variables.iter().copied());
        command
    });
    assert!(!ended.status.success(), "it started");
    ended
}

fn ask(program: &Program, token: &str, method: &str, path: &str) -> (u16, serde_json::Value) {
    let mut client = Client::connect(program.address, token).expect("it listens");
    let answer = client.send(method, path, "application/json", Upload::None).expect("it answers");
    let (status, text) = (answer.status, answer.text().expect("a body"));
    (status, serde_json::from_str(&text).unwrap_or_default())
}

fn username(program: &Program, token: &str) -> (u16, String) {
    let (status, answer) = ask(program, token, "GET", "/v2/users/me");
    (status, answer["data"]["username"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn the_user_of_the_environment_is_there_from_the_start_on_with_the_token_set_last() {
    let folder = tempfile::tempdir().expect("a folder");
    let baker = (200, "baker".to_owned());
    // As an operator makes one, without a server.
    let generated = run(command(folder.path(), &["token", "generate"]));
    let [second] = generated.stdout.as_slice() else { panic!("{:?} {}", generated.stdout, generated.stderr) };
    assert!(generated.status.success() && second.starts_with("larder_") && second.len() == 43, "{second}");
    let mut logged = String::new();
    for _ in 0..2 {
        let program = serve(folder.path(), "baker", FIRST);
        assert_eq!(username(&program, FIRST), baker);
        let (_, tokens) = ask(&program, TOKEN, "GET", "/larder/v1/tokens?username=baker");
        assert_eq!(
            (&tokens["data"]["count"], &tokens["data"]["items"][0]["name"]),
            (&1.into(), &"from the environment".into())
        );
        logged += &program.stop().stderr;
    }
    let program = serve(folder.path(), "baker", FIRST);
    let (status, made) = ask(&program, FIRST, "POST", "/larder/v1/tokens");
    assert_eq!(status, 201, "{made}");
    let own = made["data"]["token"].as_str().expect("it is shown").to_owned();
    logged += &program.stop().stderr;

    let program = serve(folder.path(), "baker", second);
    assert_eq!(username(&program, second), baker);
    assert_eq!(username(&program, FIRST).0, 401, "the one before is revoked");
    assert_eq!(username(&program, &own), baker, "the other tokens stay");
    assert_eq!(ask(&program, TOKEN, "GET", "/larder/v1/tokens?username=baker").1["data"]["count"], 2);
    logged += &program.stop().stderr;

    let program = serve(folder.path(), "cook", second);
    assert_eq!(username(&program, second), (200, "cook".to_owned()));
    assert_eq!(ask(&program, TOKEN, "GET", "/larder/v1/tokens?username=baker").1["data"]["count"], 1);
    logged += &program.stop().stderr;
    assert!(!logged.contains(FIRST) && !logged.contains(second.as_str()), "a token is in the log");

    let taken = refused(folder.path(), &[("LARDER_USER", "cook"), ("LARDER_USER_TOKEN", &own)]);
    assert!(taken.stderr.contains("LARDER_USER_TOKEN") && taken.stderr.contains("another user"), "{}", taken.stderr);
    assert!(!taken.stderr.contains(&own), "{}", taken.stderr);
}

#[test]
fn a_user_of_the_environment_who_cannot_be_is_refused_in_words() {
    let folder = tempfile::tempdir().expect("a folder");
    for (variables, said) in [
        (&[("LARDER_USER", "baker"), ("LARDER_USER_TOKEN", "too-short-secret")][..], "larder token generate"),
        (&[("LARDER_USER", "a/b")], "not a username"),
        (&[("LARDER_USER_TOKEN", FIRST)], "set LARDER_USER, too"),
        (&[("LARDER_USER", "baker"), ("LARDER_USER_TOKEN", FIRST), ("LARDER_TOKEN", FIRST)], "another user"),
    ] {
        let ended = refused(folder.path(), variables);
        assert!(ended.stderr.contains(said), "{said}: {}", ended.stderr);
        assert!(!ended.stderr.contains(FIRST) && !ended.stderr.contains("too-short"), "{}", ended.stderr);
    }
}
