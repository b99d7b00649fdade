use serde_json::{Value, json};
use service_runtime::health::Health;
use service_runtime::http::Options;
use service_runtime::metrics::{Build, Metrics};

use crate::start;

#[tokio::test]
async fn readiness_is_every_gate_and_liveness_is_none() {
    let health = Health::new();
    let broker = health.gate("broker");
    let config = health.gate("config");
    let running = start(health.router(), None, Options::default()).await;
    let get = async |path: &str| {
        let response = reqwest::get(format!("http://{}{path}", running.address))
            .await
            .unwrap();
        (
            response.status().as_u16(),
            response.json::<Value>().await.unwrap(),
        )
    };

    let closed = json!({"status": "error", "message": "not ready", "checks": {"broker": "error", "config": "error"}});
    assert_eq!(get("/readyz").await, (503, closed));
    for path in ["/livez", "/healthz"] {
        assert_eq!(get(path).await, (200, json!({"status": "ok"})));
    }

    config.ready();
    broker.not_ready("no connection to broker:5672");
    let (status, body) = get("/readyz").await;
    assert_eq!(status, 503);
    assert_eq!(body["checks"], json!({"broker": "error", "config": "ok"}));
    assert_eq!(
        body["reasons"],
        json!({"broker": "no connection to broker:5672"})
    );

    broker.ready();
    assert_eq!(
        get("/readyz").await,
        (
            200,
            json!({"status": "ok", "checks": {"broker": "ok", "config": "ok"}})
        )
    );
    assert!(health.is_ready());

    health.shutting_down();
    assert_eq!(
        get("/readyz").await,
        (
            503,
            json!({"status": "error", "message": "server is shutting down"})
        )
    );
    assert_eq!(get("/livez").await.0, 200);
    running.stop().await;
}

#[tokio::test]
async fn metrics_are_open_metrics_text() {
    let metrics = Metrics::new();
    let build = Build {
        component: "sentinel".into(),
        version: "1.2.3".into(),
        commit: "abc".into(),
    };
    let up = metrics.describe("hyperfleet_sentinel", &build);
    let running = start(metrics.router(), None, Options::default()).await;
    let response = reqwest::get(format!("http://{}/metrics", running.address))
        .await
        .unwrap();
    assert_eq!(
        response.headers()["content-type"],
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    let text = response.text().await.unwrap();
    assert!(
        text.contains("hyperfleet_sentinel_up{component=\"sentinel\",version=\"1.2.3\"} 1\n"),
        "{text}"
    );
    let info = "hyperfleet_sentinel_build_info{component=\"sentinel\",version=\"1.2.3\",commit=\"abc\"} 1\n";
    assert!(text.contains(info), "{text}");
    assert!(text.ends_with("# EOF\n"));
    if cfg!(target_os = "linux") {
        for name in [
            "process_resident_memory_bytes ",
            "process_open_fds ",
            "process_cpu_seconds_total ",
        ] {
            assert!(
                text.lines().any(|line| line.starts_with(name)),
                "{name} in {text}"
            );
        }
    }
    up.set(0);
    assert!(
        metrics
            .encode()
            .contains("hyperfleet_sentinel_up{component=\"sentinel\",version=\"1.2.3\"} 0\n")
    );
    running.stop().await;
}
