//! Protobuf bodies: handwritten bytes, and what an encoder over the same table writes.

use serde_json::json;

use super::*;
use crate::builtin::types::message;

/// A length-delimited field.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2, u8::try_from(bytes.len()).expect("short")];
    out.extend_from_slice(bytes);
    out
}

fn envelope(api_version: &str, kind: &str, raw: &[u8]) -> Bytes {
    let meta = [field(1, api_version.as_bytes()), field(2, kind.as_bytes())].concat();
    Bytes::from(
        [
            MAGIC.to_vec(),
            field(1, &meta),
            field(2, raw),
            field(3, b""),
            field(4, b""),
        ]
        .concat(),
    )
}

#[test]
fn a_config_map_is_read() {
    let metadata = [
        field(1, b"cm1"),
        field(2, b""),
        field(3, b"default"),
        field(8, b""),
    ]
    .concat();
    let entry = [field(1, b"key"), field(2, b"value")].concat();
    let raw = [field(1, &metadata), field(2, &entry)].concat();
    assert_eq!(
        decode(&envelope("v1", "ConfigMap", &raw)),
        Ok(json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "cm1", "namespace": "default"}, "data": {"key": "value"}}))
    );
}

#[test]
fn delete_options_are_read_under_any_version() {
    let preconditions = field(1, b"the-uid");
    let raw = [
        field(2, &preconditions),
        field(4, b"Background"),
        field(5, b"All"),
    ]
    .concat();
    assert_eq!(
        decode(&envelope("apps/v1", "DeleteOptions", &raw)),
        Ok(
            json!({"apiVersion": "apps/v1", "kind": "DeleteOptions", "preconditions": {"uid": "the-uid"},
            "propagationPolicy": "Background", "dryRun": ["All"]})
        )
    );
}

#[test]
fn broken_bytes_are_refused() {
    let good = envelope("v1", "ConfigMap", &field(1, &field(1, b"cm1")));
    for length in 0..good.len() {
        let _ = decode(&good.slice(..length));
    }
    assert_eq!(
        decode(&Bytes::from_static(b"{}"))
            .expect_err("no magic")
            .code,
        400
    );
    assert_eq!(
        decode(&envelope("v1", "ConfigMap", &[0x0a, 0x7f]))
            .expect_err("cut")
            .code,
        400
    );
    assert_eq!(
        decode(&envelope("example.com/v1", "Widget", b""))
            .expect_err("unknown")
            .code,
        415
    );
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let byte = u8::try_from(number & 0x7f).expect("seven bits");
        number >>= 7;
        if number == 0 {
            out.push(byte);
            return out;
        }
        out.push(byte | 0x80);
    }
}

fn bytes_field(number: u32, bytes: &[u8]) -> Vec<u8> {
    let mut out = varint(u64::from(number) << 3 | 2);
    out.extend(varint(bytes.len() as u64));
    out.extend_from_slice(bytes);
    out
}

fn number_field(number: u32, value: i64) -> Vec<u8> {
    let mut out = varint(u64::from(number) << 3);
    out.extend(varint(value.cast_unsigned()));
    out
}

/// Writes an object as Go does.
fn encode(value: &Value, name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for field in &message(name).unwrap_or_else(|| panic!("{name}")).fields {
        let Some(member) = &field.name else {
            if let Type::Message(embedded) = &field.kind {
                out.extend(bytes_field(field.number, &encode(value, embedded)));
            }
            continue;
        };
        let Some(member) = value.get(member) else {
            continue;
        };
        match (&field.kind, member) {
            (Type::List(item), Value::Array(items)) => {
                items
                    .iter()
                    .for_each(|value| out.extend(encode_value(field.number, value, item)));
            }
            (Type::Map(of), Value::Object(entries)) => {
                for (key, value) in entries {
                    let entry =
                        [bytes_field(1, key.as_bytes()), encode_value(2, value, of)].concat();
                    out.extend(bytes_field(field.number, &entry));
                }
            }
            (kind, value) => out.extend(encode_value(field.number, value, kind)),
        }
    }
    out
}

fn encode_value(number: u32, value: &Value, kind: &Type) -> Vec<u8> {
    let text = || value.as_str().expect("text");
    let inner = match kind {
        Type::Bool => return number_field(number, value.as_bool().expect("a boolean").into()),
        Type::Int32 | Type::Int64 => {
            return number_field(number, value.as_i64().expect("a number"));
        }
        Type::String => text().as_bytes().to_vec(),
        Type::Bytes => STANDARD.decode(text()).expect("base64"),
        Type::Time | Type::MicroTime => {
            let time: Timestamp = text().parse().expect("a time");
            [
                number_field(1, time.as_second()),
                number_field(2, time.subsec_nanosecond().into()),
            ]
            .concat()
        }
        Type::Quantity => bytes_field(1, text().as_bytes()),
        Type::IntOrString => match value.as_i64() {
            Some(value) => [
                number_field(1, 0),
                number_field(2, value),
                bytes_field(3, b""),
            ]
            .concat(),
            None => [
                number_field(1, 1),
                number_field(2, 0),
                bytes_field(3, text().as_bytes()),
            ]
            .concat(),
        },
        Type::Raw | Type::Fields | Type::Json => bytes_field(1, value.to_string().as_bytes()),
        Type::Schema => encode(value, "apiextensions.JSONSchemaProps"),
        Type::Message(name) => match (name.rsplit('.').next().unwrap_or_default(), value) {
            ("JSONSchemaPropsOrBool", Value::Bool(allowed)) => number_field(1, (*allowed).into()),
            ("JSONSchemaPropsOrBool", schema) => {
                [number_field(1, 1), encode_value(2, schema, &Type::Schema)].concat()
            }
            ("JSONSchemaPropsOrArray" | "JSONSchemaPropsOrStringArray", Value::Array(items)) => {
                let of = if items.iter().all(Value::is_string) {
                    Type::String
                } else {
                    Type::Schema
                };
                items
                    .iter()
                    .flat_map(|item| encode_value(2, item, &of))
                    .collect()
            }
            ("JSONSchemaPropsOrArray" | "JSONSchemaPropsOrStringArray", schema) => {
                encode_value(1, schema, &Type::Schema)
            }
            _ => encode(value, name),
        },
        other => panic!("{other:?} is not written alone"),
    };
    bytes_field(number, &inner)
}

#[track_caller]
fn survives(api_version: &str, table_name: &str, object: Value) {
    let kind = table_name.rsplit('.').next().expect("a kind");
    let mut expected = object.clone();
    expected["apiVersion"] = api_version.into();
    expected["kind"] = kind.into();
    assert_eq!(
        decode(&envelope_of(
            api_version,
            kind,
            &encode(&object, table_name)
        )),
        Ok(expected)
    );
}

fn envelope_of(api_version: &str, kind: &str, raw: &[u8]) -> Bytes {
    let meta = [
        bytes_field(1, api_version.as_bytes()),
        bytes_field(2, kind.as_bytes()),
    ]
    .concat();
    Bytes::from([MAGIC.to_vec(), bytes_field(1, &meta), bytes_field(2, raw)].concat())
}

#[test]
fn objects_of_every_shape_survive() {
    survives(
        "v1",
        "core.Pod",
        json!({"metadata": {"name": "p", "labels": {"a": "b"}, "creationTimestamp": "2026-01-02T03:04:05Z",
                "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "u", "controller": false}]},
            "spec": {"automountServiceAccountToken": false, "nodeSelector": {"x": "y"},
                "containers": [{"name": "c", "image": "i", "args": ["-v", "5"],
                    "ports": [{"containerPort": 8080, "protocol": "TCP"}],
                    "env": [{"name": "E", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
                    "resources": {"limits": {"cpu": "100m", "memory": "1Gi"}},
                    "livenessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 5}}],
                "volumes": [{"name": "v", "emptyDir": {}}, {"name": "w", "configMap": {"name": "cm"}}]}}),
    );
    survives(
        "v1",
        "core.Service",
        json!({"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80, "targetPort": "http"}, {"port": 81, "targetPort": 8081}]}}),
    );
    survives(
        "v1",
        "core.Secret",
        json!({"metadata": {"name": "s"}, "data": {"k": "AAEC/w=="}, "immutable": true}),
    );
    survives(
        "coordination.k8s.io/v1",
        "coordination.Lease",
        json!({"metadata": {"name": "l"}, "spec": {"holderIdentity": "me", "leaseDurationSeconds": -1,
            "renewTime": "2026-01-02T03:04:05.678901Z"}}),
    );
    survives(
        "authorization.k8s.io/v1",
        "authorization.SubjectAccessReview",
        json!({"spec": {"user": "u", "groups": ["g"], "resourceAttributes": {"verb": "get", "resource": "pods"}}}),
    );
}

#[test]
fn definitions_survive_with_their_schemas() {
    let schema = json!({"type": "object", "required": ["spec"], "properties": {
        "spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "default": {"a": [1, null]},
            "properties": {
                "list": {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}, "x-kubernetes-list-type": "set"},
                "map": {"type": "object", "additionalProperties": {"type": "integer", "format": "int32"}},
                "any": {"type": "object", "additionalProperties": true},
                "either": {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": true}}}}});
    survives(
        "apiextensions.k8s.io/v1",
        "apiextensions.CustomResourceDefinition",
        json!({"metadata": {"name": "things.example.com"}, "spec": {
            "group": "example.com", "scope": "Namespaced", "names": {"plural": "things", "kind": "Thing", "shortNames": ["t"]},
            "versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": schema},
                "additionalPrinterColumns": [{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}]}]}}),
    );
}
