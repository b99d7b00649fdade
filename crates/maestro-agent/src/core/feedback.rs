//! Values that a work reports from its objects.
//!
//! See `docs/protocol/work-agent.md`, "Feedback".

use jsonpath::{JsonPath, Kind, Missing};
use kube_access::{Gvk, object};
use manifestwork::{FeedbackRule, FeedbackRuleType, FeedbackValue, FieldValue};
use serde_json::Value;

/// The feedback rules of one manifest, parsed once.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    rules: Vec<Rule>,
    max_raw_length: usize,
}

#[derive(Debug, Clone)]
enum Rule {
    WellKnown,
    Path(Path),
}

#[derive(Debug, Clone)]
struct Path {
    name: String,
    version: String,
    path: Result<JsonPath, String>,
}

/// What the rules give for an object.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evaluated {
    /// The values that could be read.
    pub values: Vec<FeedbackValue>,
    /// What could not be read, in one text.
    pub error: Option<String>,
}

// === impl Rules ===

impl Rules {
    /// Parses rules. Raw JSON longer than `max_raw_length` bytes is an error for its value.
    pub fn new(rules: &[FeedbackRule], max_raw_length: usize) -> Self {
        let mut parsed = Vec::new();
        for rule in rules {
            match rule.type_ {
                FeedbackRuleType::WellKnownStatus => parsed.push(Rule::WellKnown),
                FeedbackRuleType::JsonPaths => {
                    parsed.extend(
                        rule.json_paths.iter().map(|path| {
                            Rule::Path(Path::new(&path.name, &path.version, &path.path))
                        }),
                    );
                }
                // Reports nothing, as the peers have it.
                FeedbackRuleType::Other(_) => {}
            }
        }
        Self {
            rules: parsed,
            max_raw_length,
        }
    }

    /// Whether there is nothing to report.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Reads the values, in the order of the rules. One that can't be read doesn't keep the others back.
    pub fn evaluate(&self, live: &Value) -> Evaluated {
        let mut values = Vec::new();
        let mut errors: Vec<String> = Vec::new();
        let mut read = |path: &Path| match path.read(live, self.max_raw_length) {
            Ok(value) => values.extend(value),
            Err(error) => errors.push(error),
        };
        let mut unknown = None;
        for rule in &self.rules {
            match rule {
                Rule::Path(path) => read(path),
                Rule::WellKnown => match well_known(live) {
                    Some(paths) => paths.iter().for_each(|(name, path)| {
                        read(&Path::new(name, "", path));
                    }),
                    None => unknown = Some(unknown_kind(live)),
                },
            }
        }
        errors.extend(unknown);
        Evaluated {
            values,
            error: aggregate(errors),
        }
    }
}

// === impl Path ===

impl Path {
    fn new(name: &str, version: &str, path: &str) -> Self {
        let parsed = JsonPath::parse_path(path).map_err(|error| match error.kind {
            Kind::Evaluation => {
                format!(
                    "failed to find value for {name} with error: {}",
                    error.message
                )
            }
            _ => format!(
                "failed to parse json path {path} of {name} with error: {}",
                error.message
            ),
        });
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            path: parsed,
        }
    }

    fn read(&self, live: &Value, max_raw_length: usize) -> Result<Option<FeedbackValue>, String> {
        let name = &self.name;
        let version = object::gvk(live).map(|gvk| gvk.version).unwrap_or_default();
        if !self.version.is_empty() && self.version != version {
            return Err(format!(
                "version set in the path {name} is not matched for the related resource"
            ));
        }
        let path = self.path.as_ref().map_err(Clone::clone)?;
        let mut groups = path.find_groups(live, Missing::Allow).map_err(|error| {
            format!(
                "failed to find value for {name} with error: {}",
                error.message
            )
        })?;
        if groups.is_empty() {
            return Ok(None);
        }
        let found = groups.swap_remove(0);
        let field_value = match found.as_slice() {
            [] => return Ok(None),
            [one] => match one.as_ref() {
                Value::Null => return Ok(None),
                Value::String(text) => FieldValue::String(text.clone()),
                Value::Bool(truth) => FieldValue::Boolean(*truth),
                Value::Number(number) if number.is_i64() => {
                    FieldValue::Integer(number.as_i64().unwrap_or_default())
                }
                raw => raw_json(name, raw, max_raw_length)?,
            },
            several => {
                let list = several.iter().map(|value| value.as_ref().clone()).collect();
                raw_json(name, &Value::Array(list), max_raw_length)?
            }
        };
        Ok(Some(FeedbackValue {
            name: name.clone(),
            field_value,
        }))
    }
}

fn raw_json(name: &str, value: &Value, max_length: usize) -> Result<FieldValue, String> {
    let text = go_compat::json::to_string_sorted(value);
    if text.len() > max_length {
        return Err(format!(
            "the length of returned json raw string for name {name} is larger than the maximum length {max_length}"
        ));
    }
    Ok(FieldValue::JsonRaw(text))
}

/// One error as it is, several in brackets, as Kubernetes aggregates them.
fn aggregate(mut errors: Vec<String>) -> Option<String> {
    match errors.len() {
        0 => None,
        1 => errors.pop(),
        _ => Some(format!("[{}]", errors.join(", "))),
    }
}

fn unknown_kind(live: &Value) -> String {
    let gvk = object::gvk(live).unwrap_or_else(|| Gvk::new("", ""));
    format!("cannot find the wellknown statuses for resource with gvk {gvk}")
}

/// The values that are reported for a well-known kind, by exact group, version and kind.
fn well_known(live: &Value) -> Option<&'static [(&'static str, &'static str)]> {
    let (api_version, kind) = (object::api_version(live)?, object::kind(live)?);
    Some(match (api_version, kind) {
        ("apps/v1", "Deployment") => &[
            ("ReadyReplicas", ".status.readyReplicas"),
            ("Replicas", ".status.replicas"),
            ("AvailableReplicas", ".status.availableReplicas"),
        ],
        ("apps/v1", "DaemonSet") => &[
            ("NumberReady", ".status.numberReady"),
            ("DesiredNumberScheduled", ".status.desiredNumberScheduled"),
            ("NumberAvailable", ".status.numberAvailable"),
        ],
        ("batch/v1", "Job") => &[
            (
                "JobComplete",
                ".status.conditions[?(@.type==\"Complete\")].status",
            ),
            ("JobSucceeded", ".status.succeeded"),
        ],
        ("v1", "Pod") => &[
            (
                "PodReady",
                ".status.conditions[?(@.type==\"Ready\")].status",
            ),
            ("PodPhase", ".status.phase"),
        ],
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use manifestwork::JsonPathRule;
    use serde_json::json;

    use super::*;

    fn paths(list: &[(&str, &str, &str)]) -> Vec<FeedbackRule> {
        let json_paths = list
            .iter()
            .map(|(name, version, path)| JsonPathRule {
                name: (*name).to_owned(),
                version: (*version).to_owned(),
                path: (*path).to_owned(),
            })
            .collect();
        vec![FeedbackRule {
            type_: FeedbackRuleType::JsonPaths,
            json_paths,
        }]
    }

    fn evaluate(rules: &[FeedbackRule], live: &Value) -> Evaluated {
        Rules::new(rules, 1024).evaluate(live)
    }

    fn deployment() -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
            "status": {"replicas": 2, "readyReplicas": 1, "ratio": 0.5, "ok": true, "none": null,
                       "conditions": [{"type": "Cond1", "status": "True"}, {"type": "Cond3", "status": "True"}, {"type": "Ready", "status": "False"}]},
        })
    }

    #[test]
    fn each_type_of_value() {
        let got = evaluate(
            &paths(&[
                ("i", "", ".status.replicas"),
                ("s", "", ".metadata.name"),
                ("b", "", ".status.ok"),
                ("f", "", ".status.ratio"),
                ("l", "", ".status.conditions[?(@.type==\"Ready\")]"),
                ("n", "", ".status.none"),
                ("m", "", ".status.missing.deep"),
                (
                    "several",
                    "",
                    ".status.conditions[?(@.status==\"True\")].type",
                ),
            ]),
            &deployment(),
        );
        assert_eq!(got.error, None);
        let value = |name: &str| {
            got.values
                .iter()
                .find(|value| value.name == name)
                .map(|value| value.field_value.clone())
        };
        assert_eq!(value("i"), Some(FieldValue::Integer(2)));
        assert_eq!(value("s"), Some(FieldValue::String("d".into())));
        assert_eq!(value("b"), Some(FieldValue::Boolean(true)));
        assert_eq!(value("f"), Some(FieldValue::JsonRaw("0.5".into())));
        let raw = r#"{"status":"False","type":"Ready"}"#;
        assert_eq!(value("l"), Some(FieldValue::JsonRaw(raw.into())));
        assert_eq!(
            value("several"),
            Some(FieldValue::JsonRaw(r#"["Cond1","Cond3"]"#.into()))
        );
        assert_eq!(value("n"), None);
        assert_eq!(value("m"), None);
    }

    #[test]
    fn an_error_does_not_keep_the_other_values_back() {
        let got = evaluate(
            &paths(&[
                ("a", "v1beta1", ".status.replicas"),
                ("b", "", "status"),
                ("c", "v1", ".status.replicas"),
            ]),
            &deployment(),
        );
        assert_eq!(got.values.len(), 1);
        assert_eq!(
            got.error.unwrap(),
            "[version set in the path a is not matched for the related resource, \
             failed to find value for b with error: unrecognized identifier status]"
        );
    }

    #[test]
    fn raw_json_has_a_limit_and_go_escapes() {
        let live = json!({"apiVersion": "v1", "kind": "X", "status": {"text": "<a&b>"}});
        let rules = paths(&[("status", "", ".status")]);
        let got = evaluate(&rules, &live);
        let raw = "{\"text\":\"\\u003ca\\u0026b\\u003e\"}";
        assert_eq!(got.values[0].field_value, FieldValue::JsonRaw(raw.into()));
        let got = Rules::new(&rules, 10).evaluate(&live);
        assert!(got.values.is_empty());
        assert!(
            got.error
                .unwrap()
                .ends_with("larger than the maximum length 10")
        );
    }

    #[test]
    fn well_known_values_of_known_kinds_only() {
        let rules = [FeedbackRule {
            type_: FeedbackRuleType::WellKnownStatus,
            json_paths: vec![],
        }];
        let got = evaluate(&rules, &deployment());
        let names: Vec<_> = got.values.iter().map(|value| value.name.as_str()).collect();
        assert_eq!(names, ["ReadyReplicas", "Replicas"]);
        let other = json!({"apiVersion": "extensions/v1", "kind": "Deployment"});
        let got = evaluate(&rules, &other);
        assert_eq!(
            got.error.unwrap(),
            "cannot find the wellknown statuses for resource with gvk extensions/v1, Kind=Deployment"
        );
    }
}
