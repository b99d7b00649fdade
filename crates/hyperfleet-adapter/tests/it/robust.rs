//! Documents that people have edited badly: whatever is in them, loading answers; it never panics.

use hyperfleet_adapter::{Loader, Source};
use proptest::prelude::*;

use crate::support::{DEPLOYMENT_MAESTRO, adapters};

fn documents() -> Vec<String> {
    ["seed", "upstream-style", "controlplane"]
        .iter()
        .map(|name| std::fs::read_to_string(adapters().join(name).join("task.yaml")).unwrap())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn edited_task_configs_load_or_say_where_they_are_wrong(
        which in 0usize..3,
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0u8..6, "[a-z{}\\[\\]:.?&|'\" -]{0,6}"), 1..6),
    ) {
        let mut lines: Vec<String> = documents()[which].lines().map(str::to_owned).collect();
        for (place, kind, text) in edits {
            if lines.is_empty() {
                break;
            }
            let index = place.index(lines.len());
            let other = place.index(lines.len() / 2 + 1);
            match kind {
                0 => drop(lines.remove(index)),
                1 => lines.insert(index, text),
                2 => lines[index].push_str(&text),
                3 => lines.swap(index, other),
                4 => lines[index] = lines[index].replace(':', ": -"),
                _ => lines[index] = lines[index].trim_start().to_owned(),
            }
        }
        let deployment = format!("{DEPLOYMENT_MAESTRO}legacy_params: {{pullSecretName: p, publicZoneId: z, managementClusterName: m}}\n");
        let loader = Loader::new(Source::text("adapter.yaml", deployment), Source::text("task.yaml", lines.join("\n")));
        if let Err(error) = loader.load() {
            prop_assert!(error.problems().count() > 0);
            prop_assert!(error.to_string().contains("task.yaml"), "{error}");
        }
    }

    #[test]
    fn any_text_is_answered(text in "\\PC{0,200}") {
        let _ = Loader::new(Source::text("a", text.clone()), Source::text("t", text)).load();
    }
}
