//! `list`: the works of a consumer.

use maestro_client::Bundle;
use manifestwork::{ConditionStatus, conditions};

use super::Context;
use crate::{
    ExitCode, Failure, cli, lookup,
    output::{self, Format, text, views},
    ui,
    usage::required,
};

pub(crate) async fn run(context: Context, flags: cli::List) -> Result<ExitCode, Failure> {
    let [consumer] = required([("consumer", &flags.consumer)])?;
    let default = if ui::is_terminal() {
        Format::Text
    } else {
        Format::Yaml
    };
    let format = context.format(default)?;
    let mut bundles = context
        .bounded("list", async {
            lookup::consumer(&context.client, &consumer).await?;
            Ok(context
                .client
                .bundles()
                .of_consumer(&consumer)?
                .all()
                .await?)
        })
        .await?;
    bundles.retain(|bundle| {
        flags
            .filter
            .as_deref()
            .is_none_or(|filter| matches(bundle, filter))
            && flags
                .status
                .as_deref()
                .is_none_or(|wanted| has(bundle, wanted))
    });
    bundles.sort_by(|one, other| {
        one.work_name()
            .cmp(other.work_name())
            .then_with(|| one.id.cmp(&other.id))
    });
    match format {
        Format::Text => output::print(&text::list(&bundles, &consumer, flags.filter.as_deref()))?,
        Format::Table => output::print(&output::table(&bundles, jiff::Timestamp::now()))?,
        Format::Name => {
            let names: String = bundles
                .iter()
                .map(|bundle| format!("{}\n", bundle.work_name()))
                .collect();
            output::print(&names)?;
        }
        Format::ManifestWork => {
            let works: Vec<_> = bundles.iter().map(views::reapplicable).collect();
            output::print_data(&works, &Format::Yaml)?;
        }
        format => {
            let items: Vec<views::ListItem> = bundles.iter().map(views::ListItem::from).collect();
            output::print_data(&items, &format)?;
        }
    }
    Ok(ExitCode::Ok)
}

/// `part`, `Kind/part`, `Kind/namespace/part` or `Kind/`, without regard to case.
fn matches(bundle: &Bundle, filter: &str) -> bool {
    let contains = |text: &str, part: &str| text.to_lowercase().contains(&part.to_lowercase());
    let names = views::names(&bundle.manifests);
    let parts: Vec<&str> = filter.splitn(3, '/').collect();
    match parts.as_slice() {
        [part] => {
            contains(bundle.work_name(), part)
                || names.iter().any(|name| contains(&name.name, part))
        }
        [kind, ""] => names
            .iter()
            .any(|name| name.kind.eq_ignore_ascii_case(kind)),
        [kind, part] => {
            contains(bundle.work_name(), part)
                || names
                    .iter()
                    .any(|name| name.kind.eq_ignore_ascii_case(kind) && contains(&name.name, part))
        }
        [kind, namespace, part] => {
            contains(bundle.work_name(), part)
                || names.iter().any(|name| {
                    name.kind.eq_ignore_ascii_case(kind)
                        && contains(&name.namespace, namespace)
                        && contains(&name.name, part)
                })
        }
        _ => true,
    }
}

/// `Condition` or `Condition=Status`.
fn has(bundle: &Bundle, wanted: &str) -> bool {
    let (name, status) = wanted.split_once('=').unwrap_or((wanted, "True"));
    let status = ConditionStatus::from(status);
    let found = bundle
        .status
        .as_ref()
        .map(|found| conditions::status_of(&found.conditions, name));
    found.unwrap_or(ConditionStatus::Unknown) == status
}
