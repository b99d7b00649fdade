use super::*;

fn unknown(text: &str) -> Error {
    from_status(&Status::new(Code::Unknown, text), "maestro:8090", "w")
}

#[test]
fn upstream_texts_with_code_unknown_are_told_apart() {
    for (text, reason) in [
        (
            "failed to create resource: maestro-6: This Resource already exists",
            "AlreadyExists",
        ),
        (
            "failed to update resource: maestro-6: the resource version is not the latest, the latest version: 12",
            "Conflict",
        ),
        (
            "failed to update resource: maestro-6: the resource is under deletion, id: x",
            "Conflict",
        ),
        (
            "failed to get resource: maestro-7: Resource with id='x' not found",
            "NotFound",
        ),
        (
            "failed to create resource: maestro-8: the manifest bundle in the resource is invalid, kind: Required value: field not set",
            "Invalid",
        ),
        (
            "failed to create resource: maestro-9: Unable to create Resource: ERROR: insert or update on table \"resources\" violates foreign key constraint \"fk_resources_consumers\" (SQLSTATE 23503)",
            "ConsumerNotFound",
        ),
        (
            "failed to create resource: maestro-9: Unable to create Resource: connection reset",
            "InternalError",
        ),
        (
            "unauthorized to publish the event from source s",
            "Forbidden",
        ),
        (
            "unauthorized to subscribe the event from source s",
            "Forbidden",
        ),
        ("token not authenticated", "Unauthorized"),
        (
            "failed to authorize the request: review failed",
            "ServiceUnavailable",
        ),
        (
            "failed to decode cloudevent: failed to get clustername extension: invalid CloudEvents value: <nil>",
            "Invalid",
        ),
        (
            "failed to parse cloud event type x, unsupported cloudevents type format: x",
            "Invalid",
        ),
        ("unsupported action dance", "Invalid"),
        ("something new", "InternalError"),
    ] {
        assert_eq!(unknown(text).status_reason(), reason, "{text}");
    }
}

#[test]
fn codes_tell_what_texts_don_t() {
    for (code, reason, retryable) in [
        (Code::NotFound, "NotFound", false),
        (Code::AlreadyExists, "AlreadyExists", false),
        (Code::Aborted, "Conflict", false),
        (Code::InvalidArgument, "Invalid", false),
        (Code::PermissionDenied, "Forbidden", false),
        (Code::Unauthenticated, "Unauthorized", false),
        (Code::Unavailable, "ServiceUnavailable", true),
        (Code::ResourceExhausted, "ServiceUnavailable", true),
        (Code::DeadlineExceeded, "ServiceUnavailable", true),
        (Code::OutOfRange, "RequestEntityTooLarge", false),
        (Code::Unimplemented, "InternalError", false),
        (Code::Internal, "InternalError", true),
    ] {
        let error = from_status(&Status::new(code, "text"), "maestro:8090", "w");
        assert_eq!(
            (error.status_reason(), error.is_retryable()),
            (reason, retryable),
            "{code:?}"
        );
    }
}

#[test]
fn a_conflict_tells_the_latest_version_and_a_missing_consumer_its_name() {
    let text = "failed to update resource: maestro-6: the resource version is not the latest, the latest version: 12";
    assert!(matches!(
        unknown(text),
        Error::Conflict {
            latest: Some(12),
            ..
        }
    ));
    let ours = "failed to create resource: maestro-9: Unable to create Resource: consumer \"c1\" is not registered (fk_resources_consumers)";
    assert!(matches!(unknown(ours), Error::ConsumerNotFound { consumer } if consumer == "c1"));
}

#[test]
fn typed_errors_are_read_whatever_the_code() {
    let typed = |reason: &str, code: i32, message: &str| {
        unknown(&format!(
            r#"{{"ErrStatus":{{"metadata":{{}},"status":"Failure","message":"{message}","reason":"{reason}","code":{code}}}}}"#
        ))
    };
    assert_eq!(
        typed("Conflict", 409, "changed").status_reason(),
        "Conflict"
    );
    assert_eq!(typed("NotFound", 404, "gone").status_reason(), "NotFound");
    assert_eq!(typed("Forbidden", 403, "no").to_string(), "no");
    assert!(matches!(
        typed(
            "Conflict",
            409,
            "maestro-6: the resource is under deletion, id: x"
        ),
        Error::Deleting { .. }
    ));
    assert!(typed("", 503, "later").is_retryable());
    assert_eq!(
        unknown("{}").status_reason(),
        "InternalError",
        "what a Go error looks like as JSON"
    );
}

#[test]
fn a_404_is_gone_only_if_maestro_says_so() {
    let rest =
        |status, body: &str| from_http(status, body.as_bytes(), "http://m:8000", "works", "w");
    assert!(
        rest(
            404,
            r#"{"code":"maestro-7","reason":"Resource with id='w' not found"}"#
        )
        .is_not_found()
    );
    for body in [
        "",
        "<html>",
        "{}",
        r#"{"code":"maestro-404","reason":"The requested resource '/x' doesn't exist"}"#,
    ] {
        assert!(matches!(rest(404, body), Error::Protocol { .. }), "{body}");
    }
    assert_eq!(
        rest(500, r#"{"code":"maestro-9","reason":"Unable to list"}"#).to_string(),
        "Unable to list"
    );
    assert!(
        rest(503, "").is_retryable()
            && rest(500, "").is_retryable()
            && !rest(400, "").is_retryable()
    );
    assert_eq!(rest(401, "").status_reason(), "Unauthorized");
}

#[test]
fn f48b_a_connection_that_broke_is_worth_another_try_and_a_failure_of_the_server_is_told_as_such() {
    let broken =
        |kind: std::io::ErrorKind| Status::from_error(Box::new(std::io::Error::from(kind)));
    for status in [
        broken(std::io::ErrorKind::ConnectionReset),
        broken(std::io::ErrorKind::BrokenPipe),
        broken(std::io::ErrorKind::UnexpectedEof),
    ] {
        let error = from_status(&status, "a:1", "w");
        assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    }
    let said = Status::internal("stream closed because of a broken pipe");
    let error = from_status(&said, "a:1", "w");
    assert!(matches!(error, Error::Internal { .. }), "{error:?}");
}
