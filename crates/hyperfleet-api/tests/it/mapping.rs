//! Conditions that the configuration maps from reports.

use hyperfleet_api::{Database, Service, domain::mapping};
use serde_json::{Value, json};

use crate::server::{Server, database, report};

fn rules(rules: Value) -> Vec<mapping::Config> {
    serde_json::from_value(rules).unwrap()
}

fn rule(type_: &str, when: &str, status: &str, reason: &str, message: &str) -> Value {
    let expression = |text: &str| json!({"expression": text});
    json!({"type": type_, "when": expression(when),
           "output": {"status": expression(status), "reason": expression(reason), "message": expression(message)}})
}

async fn server(database: Database, mapped: Value) -> Server {
    Server::with_entities(database, |entities| entities[0].conditions = rules(mapped)).await
}

#[tokio::test]
async fn reports_become_conditions_on_both_databases() {
    for database in [Database::SqliteMemory, database().await] {
        let known = "statuses.exists(s, s.adapter == 'dns')";
        let server = server(
            database,
            json!([
                rule(
                    "Zone",
                    known,
                    "statuses[0].data.zone != ''",
                    "'ZoneKnown'",
                    "'zone ' + statuses[0].data.zone + ' of ' + resource.name"
                ),
                rule(
                    "Asked",
                    "resource.spec.?region.hasValue()",
                    "'true'",
                    "''",
                    "string(resource.generation)"
                ),
                rule(
                    "Secret",
                    known,
                    "statuses[0].data.adminPassword == '***REDACTED***'",
                    "''",
                    "''"
                ),
            ]),
        )
        .await;
        let path = server.cluster("abc").await;
        assert!(server.condition(&path, "Zone").await.is_null());
        let mut body = report("dns", 1, "True");
        body["data"] = json!({"zone": "example.com", "adminPassword": "x"});
        server
            .put(&format!("{path}/statuses"), body.clone())
            .await
            .expect(201);
        let zone = server.condition(&path, "Zone").await;
        assert_eq!(
            (&zone["status"], &zone["reason"], &zone["message"]),
            (
                &json!("True"),
                &json!("ZoneKnown"),
                &json!("zone example.com of abc")
            )
        );
        assert_eq!(
            server.condition(&path, "Secret").await["status"],
            "True",
            "expressions see no secrets"
        );
        let patched = server
            .patch(&path, json!({"spec": {"region": "x"}}))
            .await
            .expect(200);
        let types: Vec<&str> = patched["status"]["conditions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c["type"].as_str().unwrap())
            .collect();
        assert_eq!(
            types,
            [
                "Reconciled",
                "LastKnownReconciled",
                "DnsSuccessful",
                "Asked",
                "Secret",
                "Zone"
            ]
        );
        let after = crate::server::condition(&patched, "Zone");
        assert_eq!(
            (&after["created_time"], &after["last_transition_time"]),
            (&zone["created_time"], &zone["last_transition_time"])
        );
        assert_eq!(after["observed_generation"], 2);

        body["conditions"][2]["status"] = json!("Unknown");
        server
            .put(&format!("{path}/statuses"), body)
            .await
            .expect(201);
        assert!(
            server.condition(&path, "Zone").await.is_null(),
            "an adapter that does not know something is invisible"
        );
    }
}

#[tokio::test]
async fn f91_a_failing_expression_refuses_the_report_and_stores_nothing() {
    let failing = "statuses.exists(s, s.adapter == 'dns' && s.data.zone == 'x')";
    for (when, status) in [("true", failing), ("'yes'", "true"), ("true", "'maybe'")] {
        let live = "resource.deleted_time == null && size(statuses) > 0";
        let when = if when == "true" {
            live
        } else {
            "size(statuses) > 0 ? dyn('yes') : dyn(false)"
        };
        let server = server(
            Database::SqliteMemory,
            json!([rule("Zone", when, status, "''", "''")]),
        )
        .await;
        let path = server.cluster("abc").await;
        let before = server.get(&path).await.body;
        let answer = server.report(&path, "dns", 1, "True").await;
        let (code, name, detail) = answer.problem();
        assert_eq!((code, name), (500, "INT-001"));
        assert!(
            detail.starts_with("Condition mapping failed: Zone: "),
            "{detail}"
        );
        assert_eq!(
            server.get(&format!("{path}/statuses")).await.body["total"],
            0,
            "rolled back"
        );
        assert_eq!(server.get(&path).await.body, before);
        // What must end, ends.
        server.delete(&path).await.expect(202);
        for adapter in ["dns", "validation"] {
            server.finalize(&path, adapter, 2).await.expect(201);
        }
        assert_eq!(server.get(&path).await.status, 404);
    }
}

#[tokio::test]
async fn long_texts_are_cut_and_mistakes_stop_the_start() {
    let long = |bytes: usize| format!("'{}'", "ä".repeat(bytes / 2));
    let mapped = json!([
        rule("Long", "true", "true", "''", &long(3000)),
        rule("Gone", "true", "true", &long(258), "''")
    ]);
    let server = server(Database::SqliteMemory, mapped).await;
    let path = server.cluster("abc").await;
    assert_eq!(
        server.condition(&path, "Long").await["message"]
            .as_str()
            .unwrap()
            .len(),
        2048
    );
    assert!(server.condition(&path, "Gone").await.is_null());

    let mut config = Server::config(Database::SqliteMemory);
    config.entities[0].conditions = rules(json!([
        rule("Reconciled", "true", "true", "''", "''"),
        rule("DnsSuccessful", "true", "true", "''", "''"),
        rule("Twice", "true", "1 +", "''", "''"),
        rule("Twice", "unknown_name", "true", "''", "''"),
        rule("", "true", "true", "''", "''"),
    ]));
    let text = Service::bind(config)
        .await
        .map(|_| ())
        .unwrap_err()
        .to_string();
    for expected in [
        "condition type \"Reconciled\" is reserved",
        "condition type \"DnsSuccessful\" is reserved",
        "condition type \"Twice\" is reserved or listed twice",
        "conditions[2] (Twice): output.status.expression: ",
        "conditions[3] (Twice): when.expression: ",
        "conditions[4] (): type must have",
    ] {
        assert!(text.contains(expected), "{expected} not in {text}");
    }
}
