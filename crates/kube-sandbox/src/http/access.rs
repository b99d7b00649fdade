//! Who sends a request, and whether he may.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName, Method, header};
use serde_json::Value;

use super::path::Place;
use super::{App, Head};
use crate::engine::Target;
use crate::failure::Failure;
use crate::rbac::{Action, Authority, User};

/// The user of a request.
///
/// # Errors
/// 401 without the token that is required; 403 for requests that a browser sends on behalf of a page.
pub fn user(app: &App, headers: &HeaderMap) -> Result<User, Failure> {
    refuse_browsers(app, headers)?;
    if let Some(token) = &app.token
        && !same(bearer(headers), token)
    {
        return Err(Failure::unauthorized());
    }
    let text = |value: &axum::http::HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let name = headers
        .get("impersonate-user")
        .map(text)
        .unwrap_or_default();
    let groups: Vec<String> = headers
        .get_all("impersonate-group")
        .iter()
        .map(text)
        .collect();
    match (name.as_str(), groups.is_empty()) {
        ("", true) => Ok(User::admin()),
        ("", false) => Err(Failure::bad_request(
            "requested groups without impersonating a user",
        )),
        (name, _) => Ok(User::named(name, groups)),
    }
}

/// A page in a browser can send requests to this machine. It can't hide where it comes from, or (after its name was
/// pointed at this machine) that it means another host.
fn refuse_browsers(app: &App, headers: &HeaderMap) -> Result<(), Failure> {
    let text = |name: HeaderName| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let mut refused = Failure::bad_request("requests of web pages are not served");
    refused.code = 403;
    refused.reason = "Forbidden";
    if headers.contains_key(header::ORIGIN) {
        return Err(refused);
    }
    let host = text(header::HOST);
    if !app.loopback || host.is_empty() {
        return Ok(());
    }
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    let local = name == "localhost"
        || name
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    if local { Ok(()) } else { Err(refused) }
}

fn bearer(headers: &HeaderMap) -> &str {
    headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .unwrap_or_default()
}

/// Compares every byte, so that the time tells nothing about the token.
fn same(given: &str, token: &str) -> bool {
    given.len() == token.len()
        && given
            .bytes()
            .zip(token.bytes())
            .fold(0, |differences, (a, b)| differences | (a ^ b))
            == 0
}

/// Whether the user may do this with a resource.
///
/// # Errors
/// 403.
pub fn check(app: &App, head: &Head, place: &Place) -> Result<(), Failure> {
    if !app.rbac || head.user.is_master() || is_about_oneself(place) {
        return Ok(());
    }
    decide(app, head, action(head, place)?)
}

/// Whether the user may create the object that an apply would create.
///
/// # Errors
/// 403.
pub fn check_creation(app: &App, head: &Head, target: &Target) -> Result<(), Failure> {
    if !app.rbac || head.user.is_master() {
        return Ok(());
    }
    let action = Action {
        verb: "create".to_owned(),
        group: target.group.clone(),
        resource: target.plural.clone(),
        namespace: target.namespace.clone(),
        name: target.name.clone(),
    };
    decide(app, head, action)
}

fn decide(app: &App, head: &Head, action: Action) -> Result<(), Failure> {
    let allowed = app
        .store
        .with_objects(|objects| Authority { objects }.allows(&head.user, &action));
    if allowed {
        Ok(())
    } else {
        Err(action.refusal(&head.user))
    }
}

/// Everybody may ask what he is and may.
fn is_about_oneself(place: &Place) -> bool {
    place.plural.starts_with("selfsubject")
}

fn action(head: &Head, place: &Place) -> Result<Action, Failure> {
    let named = place.name.is_some();
    let watch = head.query.flag("watch")?;
    let verb = match (&head.method, named) {
        (&Method::GET | &Method::HEAD, _) if watch => "watch",
        (&Method::GET | &Method::HEAD, true) => "get",
        (&Method::GET | &Method::HEAD, false) => "list",
        (&Method::POST, _) => "create",
        (&Method::PUT, _) => "update",
        (&Method::PATCH, _) => "patch",
        (&Method::DELETE, true) => "delete",
        (&Method::DELETE, false) => "deletecollection",
        _ => return Err(Failure::method_not_allowed()),
    };
    let resource = match &place.subresource {
        Some(subresource) => format!("{}/{subresource}", place.plural),
        None => place.plural.clone(),
    };
    let by_selector = || {
        let selector = head.query.get("fieldSelector");
        selector
            .strip_prefix("metadata.name=")
            .filter(|name| !name.contains(','))
            .map(str::to_owned)
    };
    let name = place.name.clone().or_else(by_selector).unwrap_or_default();
    // A namespace is in itself.
    let namespace = match &place.namespace {
        Some(namespace) => namespace.clone(),
        None if place.group.is_empty() && place.plural == "namespaces" => name.clone(),
        None => String::new(),
    };
    Ok(Action {
        verb: verb.to_owned(),
        group: place.group.clone(),
        resource,
        namespace,
        name,
    })
}

/// Whether a user may do what a SubjectAccessReview asks.
pub fn reviewed(app: &App, user: &User, spec: &Value) -> bool {
    if !app.rbac {
        return true;
    }
    let text = |pointer: &str| {
        spec.pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    app.store.with_objects(|objects| {
        let authority = Authority { objects };
        if spec
            .get("nonResourceAttributes")
            .is_some_and(|value| !value.is_null())
        {
            return authority.allows_path(
                user,
                &text("/nonResourceAttributes/verb"),
                &text("/nonResourceAttributes/path"),
            );
        }
        let attribute = |name: &str| text(&format!("/resourceAttributes/{name}"));
        let resource = match attribute("subresource").as_str() {
            "" => attribute("resource"),
            subresource => format!("{}/{subresource}", attribute("resource")),
        };
        let action = Action {
            verb: attribute("verb"),
            group: attribute("group"),
            resource,
            namespace: attribute("namespace"),
            name: attribute("name"),
        };
        authority.allows(user, &action)
    })
}

/// The rules of a user in a namespace, as a SelfSubjectRulesReview shows them: with resources, then with paths.
pub fn rules(app: &App, user: &User, namespace: &str) -> (Vec<Value>, Vec<Value>) {
    let everything = [
        serde_json::json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}),
        serde_json::json!({"verbs": ["*"], "nonResourceURLs": ["*"]}),
    ];
    let rules = if !app.rbac || user.is_master() {
        everything.to_vec()
    } else {
        app.store
            .with_objects(|objects| Authority { objects }.rules(user, namespace))
    };
    rules
        .into_iter()
        .partition(|rule| rule.get("nonResourceURLs").is_none())
}
