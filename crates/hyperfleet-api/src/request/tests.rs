use proptest::prelude::*;

use super::*;

fn refused<T: std::fmt::Debug>(result: Result<T>) -> (Code, String) {
    let rejection = result.unwrap_err();
    (rejection.code, rejection.detail)
}

fn create(body: &str) -> (Code, String) {
    refused(NewResource::parse(body.as_bytes()))
}

fn patch(body: &str) -> (Code, String) {
    refused(ResourcePatch::parse(body.as_bytes()))
}

#[test]
fn what_can_t_be_read_is_malformed() {
    for body in ["", "  \n"] {
        assert_eq!(
            create(body),
            (
                Code::Malformed,
                "Request body is required but was empty".into()
            )
        );
    }
    for body in ["{", "[]", "\"x\"", "{\"a\":1e999}", "nope"] {
        let (code, text) = create(body);
        assert!(
            code == Code::Malformed && text.starts_with("Invalid request format: "),
            "{text}"
        );
    }
}

#[test]
fn wrong_types_are_named_with_their_path() {
    let invalid = |text: &str| (Code::Validation, text.to_owned());
    assert_eq!(
        create(r#"{"name":1}"#),
        invalid("field 'name' must be a string")
    );
    assert_eq!(
        create(r#"{"spec":[]}"#),
        invalid("field 'spec' must be an object")
    );
    assert_eq!(
        create(r#"{"labels":[]}"#),
        invalid("field 'labels' must be an object")
    );
    assert_eq!(
        create(r#"{"labels":{"a":1}}"#),
        invalid("field 'labels.a' must be a string")
    );
    assert_eq!(
        create(r#"{"references":{"w":{}}}"#),
        invalid("field 'references.w' must be an array")
    );
    assert_eq!(
        create(r#"{"references":{"w":[{"id":1}]}}"#),
        invalid("field 'references.w[0].id' must be a string")
    );
    assert_eq!(
        create(r#"{"spec":{"a":["\u0000"]}}"#),
        invalid("field 'spec.a[0]' must not contain NUL characters")
    );
    let report = |body: &str| refused(report(body.as_bytes()));
    assert_eq!(
        report(r#"{"conditions":{}}"#),
        invalid("field 'conditions' must be an array")
    );
    assert_eq!(
        report(r#"{"conditions":[{"type":"A","status":true}]}"#),
        invalid("field 'conditions[0].status' must be a string")
    );
    assert_eq!(
        report(r#"{"observed_generation":"1"}"#),
        invalid("field 'observed_generation' must be a number")
    );
    assert_eq!(
        report(r#"{"observed_generation":1.5}"#),
        invalid("field 'observed_generation' must be a 32-bit integer")
    );
    assert_eq!(report(r#"{"observed_time":""}"#).0, Code::Malformed);
}

#[test]
fn a_patch_must_know_its_members_and_change_something() {
    assert_eq!(
        patch(r#"{"name":"x"}"#),
        (
            Code::Malformed,
            "Invalid request format: unknown field \"name\"".into()
        )
    );
    for body in ["{}", r#"{"spec":null}"#] {
        assert_eq!(
            patch(body),
            (
                Code::BadRequest,
                "at least one field must be provided for update".into()
            )
        );
    }
    assert_eq!(
        patch(r#"{"labels":[]}"#).1,
        "field 'labels' must be an object"
    );
    assert_eq!(
        ResourcePatch::parse(br#"{"references":{}}"#)
            .unwrap()
            .references,
        Some(References::new())
    );
}

#[test]
fn a_forced_deletion_needs_a_reason() {
    for body in ["{}", r#"{"reason":" "}"#] {
        assert_eq!(refused(reason(body.as_bytes())).1, "reason is required");
    }
    let body = |length| format!(r#"{{"reason":"{}"}}"#, "r".repeat(length));
    assert_eq!(
        refused(reason(body(1025).as_bytes())).1,
        "reason must be at most 1024 characters"
    );
    assert!(reason(body(1024).as_bytes()).is_ok());
}

proptest! {
    #[test]
    fn no_body_panics(body: Vec<u8>, text in r#"[\[{"a-z:,0-9}\]\\u]{0,60}"#) {
        for body in [body.as_slice(), text.as_bytes()] {
            let _ = (NewResource::parse(body), ResourcePatch::parse(body), report(body), reason(body));
        }
    }
}
