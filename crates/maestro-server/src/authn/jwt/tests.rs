//! Tokens made by another implementation (python-cryptography), valid until 2100: see `golden.json`.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};
use serde_json::Value;

use super::super::settings::Jwks;
use super::*;

fn golden() -> Value {
    serde_json::from_str(include_str!("golden.json")).unwrap()
}

fn bearer(token: &str) -> Bearer {
    let mut headers = HeaderMap::new();
    let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
    headers.insert(header::AUTHORIZATION, value);
    Bearer::from_headers(&headers).unwrap()
}

async fn verifier(folder: &tempfile::TempDir, keys: &Value) -> Verifier {
    let path = folder.path().join("jwks.json");
    std::fs::write(&path, keys.to_string()).unwrap();
    Verifier::open(&settings(Jwks::File(path))).await.unwrap()
}

fn settings(jwks: Jwks) -> Jwt {
    Jwt {
        jwks,
        issuer: "https://issuer.example".to_owned(),
        audiences: vec!["maestro".to_owned(), "maestro2".to_owned()],
        leeway: Duration::from_secs(30),
        user_claim: "sub".to_owned(),
        groups_claim: "groups".to_owned(),
        reload_interval: Duration::from_secs(60),
    }
}

#[tokio::test]
async fn tokens_of_every_allowed_algorithm_are_good() {
    let (folder, golden) = (tempfile::tempdir().unwrap(), golden());
    let verifier = verifier(&folder, &golden["jwks"]).await;
    for case in golden["good"].as_array().unwrap() {
        let user = verifier
            .user(&bearer(case["token"].as_str().unwrap()))
            .await;
        let user = user.unwrap_or_else(|why| panic!("{}: {why:?}", case["what"]));
        assert_eq!(user.username, "alice");
        assert_eq!(user.groups, ["admins", "devs"]);
    }
}

#[tokio::test]
async fn all_others_are_turned_away_for_their_reason() {
    let (folder, golden) = (tempfile::tempdir().unwrap(), golden());
    let verifier = verifier(&folder, &golden["jwks"]).await;
    for case in golden["bad"].as_array().unwrap() {
        let rejected = verifier
            .user(&bearer(case["token"].as_str().unwrap()))
            .await;
        let why = match rejected {
            Err(Rejected::Bad(why)) => why,
            other => panic!("{}: {other:?}", case["what"]),
        };
        assert_eq!(why, case["why"].as_str().unwrap(), "{}", case["what"]);
    }
    for token in ["x", "a.b", "a.b.c", "a.b.c.d", "..", "e30.e30.e30"] {
        assert!(verifier.user(&bearer(token)).await.is_err(), "{token}");
    }
}

#[tokio::test]
async fn claims_name_user_and_groups() {
    let (folder, golden) = (tempfile::tempdir().unwrap(), golden());
    let mut verifier = verifier(&folder, &golden["jwks"]).await;
    let claims = |text: &str| serde_json::from_str::<Map<String, Value>>(text).unwrap();
    verifier.user_claim = "email".to_owned();
    verifier.groups_claim = "https://x/roles".to_owned();
    let user = verifier
        .user_in(&claims(
            r#"{"sub":"1","email":"a@x","https://x/roles":["r",7,""]}"#,
        ))
        .unwrap();
    assert_eq!(
        (user.username.as_str(), user.groups.as_slice()),
        ("a@x", &["r".to_owned()][..])
    );
    let user = verifier
        .user_in(&claims(r#"{"email":"a@x","https://x/roles":"one"}"#))
        .unwrap();
    assert_eq!(user.groups, ["one"]);
    let user = verifier
        .user_in(&claims(r#"{"email":"a@x","groups":["no"]}"#))
        .unwrap();
    assert_eq!(user.groups, Vec::<String>::new());
    let many: Vec<String> = (0..2 * MAX_GROUPS).map(|n| n.to_string()).collect();
    let user = verifier
        .user_in(&claims(
            &serde_json::json!({"email": "a", "https://x/roles": many}).to_string(),
        ))
        .unwrap();
    assert_eq!(user.groups.len(), MAX_GROUPS);
}

#[tokio::test]
async fn key_sets_that_cant_be_used_are_said_at_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    let error = |text: Option<String>| {
        let path = path.clone();
        async move {
            if let Some(text) = text {
                std::fs::write(&path, text).unwrap();
            }
            match Verifier::open(&settings(Jwks::File(path))).await {
                Err(error) => error.to_string(),
                Ok(_) => panic!("a key set that can't be used"),
            }
        }
    };
    assert!(error(None).await.contains("--rest-jwks-file: read "));
    for (text, expected) in [
        ("", "is no JSON Web Key Set (line 1, column 0)"),
        ("{}", "is no JSON Web Key Set"),
        (r#"{"keys":[]}"#, "has no key that can be used, of 0"),
        (
            r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"#,
            "has no key that can be used, of 1",
        ),
    ] {
        let said = error(Some(text.to_owned())).await;
        assert!(said.contains(expected), "{said}");
    }
    let many = format!(r#"{{"keys":[{}]}}"#, vec!["1"; 101].join(","));
    assert!(error(Some(many)).await.contains("more than the 100"));
    let large = format!(r#"{{"keys":[], "x": "{}"}}"#, "x".repeat(1024 * 1024));
    assert!(error(Some(large)).await.contains("more than the 1048576"));
}

proptest::proptest! {
    /// Whatever is changed in a good token: it isn't good any more.
    #[test]
    fn a_changed_token_is_turned_away(which in 0usize..7, at in 0usize..2000, put in "[A-Za-z0-9_.=-]") {
        let (folder, golden) = (tempfile::tempdir().unwrap(), golden());
        let good = golden["good"][which]["token"].as_str().unwrap();
        let at = at % good.len();
        let changed = format!("{}{put}{}", &good[..at], &good[at + 1..]);
        let longer = format!("{}{put}{}", &good[..at], &good[at..]);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let verifier = verifier(&folder, &golden["jwks"]).await;
            for token in [changed, longer] {
                let judged = verifier.user(&bearer(&token)).await;
                assert!(token == good || judged.is_err(), "{token}");
            }
        });
    }
}
