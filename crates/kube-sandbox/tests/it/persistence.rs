//! Data files: nothing that was answered is lost, also when the process is killed.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use kube_sandbox::{Config, Data, Service};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::support::{
    CONFIG_MAPS, CRDS, DEADLINE, Sandbox, WIDGETS, config_map, widget, widget_crd,
};

fn on(file: &Path) -> Config {
    Config {
        data: Data::File(file.to_owned()),
        ..Config::default()
    }
}

fn revision(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap()
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data.db");
    let api = Sandbox::with(on(&file)).await;
    api.post(CRDS, &widget_crd()).await.expect(201);
    let mut held = widget("held");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    api.post(WIDGETS, &held).await.expect(201);
    let deleting = api
        .delete(&format!("{WIDGETS}/held"), &json!({}))
        .await
        .expect(200);
    let kept = api
        .apply(&format!("{CONFIG_MAPS}/kept"), "m", &config_map("kept"))
        .await
        .expect(201);
    api.post(CONFIG_MAPS, &config_map("gone")).await.expect(201);
    let last = api
        .delete(&format!("{CONFIG_MAPS}/gone"), &json!({}))
        .await
        .expect(200);
    assert_eq!(last["status"], "Success");
    let list = api.get(CONFIG_MAPS).await.expect(200);
    api.stop().await;

    let api = Sandbox::with(on(&file)).await;
    assert_eq!(
        api.get(&format!("{CONFIG_MAPS}/kept")).await.expect(200),
        kept
    );
    assert_eq!(
        api.get(&format!("{WIDGETS}/held")).await.expect(200),
        deleting
    );
    let after = api.get(CONFIG_MAPS).await.expect(200);
    assert_eq!(after, list, "also the resourceVersion of the list");
    // A watch that was up to date continues, an older one starts over.
    let mut watch = api
        .watch(&format!(
            "{CONFIG_MAPS}?watch=true&resourceVersion={}",
            revision(&after)
        ))
        .await;
    api.get(&format!(
        "{CONFIG_MAPS}?watch=true&resourceVersion={}",
        revision(&kept)
    ))
    .await
    .refused(410, "Expired");
    let next = api.post(CONFIG_MAPS, &config_map("next")).await.expect(201);
    assert!(revision(&next) > revision(&after));
    assert_eq!(watch.seen().await, ("ADDED".to_owned(), "next".to_owned()));
    api.merge(
        &format!("{WIDGETS}/held"),
        &json!({"metadata": {"finalizers": null}}),
    )
    .await
    .expect(200);
    api.stop().await;

    let api = Sandbox::with(on(&file)).await;
    api.get(&format!("{WIDGETS}/held"))
        .await
        .refused(404, "NotFound");
}

#[tokio::test]
async fn a_file_belongs_to_one_sandbox() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data.db");
    let api = Sandbox::with(on(&file)).await;
    let error = Service::bind(on(&file)).await.err().unwrap().to_string();
    assert!(error.contains("in use by another process"), "{error}");
    api.stop().await;
    Service::bind(on(&file)).await.unwrap();
    let junk = folder.path().join("junk.db");
    std::fs::write(
        &junk,
        "this is no database, whatever its name says".repeat(100),
    )
    .unwrap();
    let error = Service::bind(on(&junk)).await.err().unwrap().to_string();
    assert!(
        error.starts_with(&format!("open {}: ", junk.display())),
        "{error}"
    );
    let missing = folder.path().join("no/such/folder/data.db");
    assert!(Service::bind(on(&missing)).await.is_err());
}

/// The server of [`a_killed_sandbox_loses_nothing`], run as a process of its own.
#[tokio::test]
#[ignore = "a server for other tests, which set KUBE_SANDBOX_TEST_FILE"]
async fn server() {
    let Ok(file) = std::env::var("KUBE_SANDBOX_TEST_FILE") else {
        return;
    };
    let file = PathBuf::from(file);
    let service = Service::bind(on(&file)).await.unwrap();
    let address = file.with_extension("address");
    std::fs::write(file.with_extension("tmp"), service.url()).unwrap();
    std::fs::rename(file.with_extension("tmp"), address).unwrap();
    service.run(CancellationToken::new()).await.unwrap();
}

struct Process {
    child: Child,
    url: String,
}

impl Process {
    async fn start(file: &Path) -> Self {
        let address = file.with_extension("address");
        let _ = std::fs::remove_file(&address);
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "persistence::server"])
            .env("KUBE_SANDBOX_TEST_FILE", file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let url = testkit::eventually("the server's address", DEADLINE, async || {
            std::fs::read_to_string(&address).ok()
        })
        .await;
        Self { child, url }
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[tokio::test]
async fn a_killed_sandbox_loses_nothing() {
    service_runtime::install_crypto_provider();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data.db");
    let http = reqwest::Client::builder()
        .timeout(Duration::from_secs(20))
        .build()
        .unwrap();
    let mut expected: std::collections::BTreeMap<String, Value> = std::collections::BTreeMap::new();
    let mut highest = 0;
    for round in 0..4 {
        let process = Process::start(&file).await;
        let list: Value = http
            .get(format!("{}{CONFIG_MAPS}", process.url))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        let found: std::collections::BTreeMap<String, Value> = list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| {
                (
                    item["metadata"]["name"].as_str().unwrap().to_owned(),
                    item.clone(),
                )
            })
            .collect();
        for (name, object) in &expected {
            assert_eq!(found.get(name), Some(object), "round {round}");
        }
        assert!(revision(&list) >= highest, "resourceVersions never go back");
        expected = found;

        // Writers that are cut off in the middle: what was answered counts.
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..4 {
            let (http, url) = (http.clone(), process.url.clone());
            writers.spawn(async move {
                let mut answered = Vec::new();
                for index in 0..10_000 {
                    let body = config_map(&format!("r{round}-w{writer}-{index}"));
                    let Ok(response) = http
                        .post(format!("{url}{CONFIG_MAPS}"))
                        .json(&body)
                        .send()
                        .await
                    else {
                        break;
                    };
                    let Ok(object) = response.json::<Value>().await else {
                        break;
                    };
                    answered.push(object);
                }
                answered
            });
        }
        let (probe, url) = (http.clone(), process.url.clone());
        testkit::eventually("twenty objects of this round", DEADLINE, async || {
            let list: Value = probe
                .get(format!("{url}{CONFIG_MAPS}"))
                .send()
                .await
                .ok()?
                .json()
                .await
                .ok()?;
            let mark = format!("r{round}-");
            let count = list["items"]
                .as_array()?
                .iter()
                .filter(|item| {
                    item["metadata"]["name"]
                        .as_str()
                        .unwrap()
                        .starts_with(&mark)
                })
                .count();
            (count >= 20).then_some(())
        })
        .await;
        process.kill();
        while let Some(answered) = writers.join_next().await {
            for object in answered.unwrap() {
                highest = highest.max(revision(&object));
                expected.insert(
                    object["metadata"]["name"].as_str().unwrap().to_owned(),
                    object,
                );
            }
        }
    }
    assert!(expected.len() >= 80);
}
