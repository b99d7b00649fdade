//! `get` and `describe`: one work.

use super::Context;
use crate::{
    ExitCode, Failure, cli, lookup,
    output::{self, Format, text, views},
    ui,
    usage::required,
};

pub(crate) async fn run(
    context: Context,
    flags: cli::Get,
    describe: bool,
) -> Result<ExitCode, Failure> {
    let [consumer, name] = required([("consumer", &flags.consumer), ("name", &flags.name)])?;
    let default = if describe && ui::is_terminal() {
        Format::Text
    } else {
        Format::Yaml
    };
    let format = context.format(default)?;
    let found = context
        .bounded("get", async {
            lookup::consumer(&context.client, &consumer).await?;
            let found = lookup::one(&context.client, &consumer, &name, flags.id.as_deref()).await?;
            let Some(found) = found else { return Ok(None) };
            // A single read shows more than a list.
            Ok(Some(context.client.bundles().get(&found.id).await?))
        })
        .await?;
    let Some(bundle) = found else {
        return Err(lookup::missing(&name));
    };
    match format {
        Format::Text => output::print(&text::describe(&bundle))?,
        Format::Table => output::print(&output::table(
            std::slice::from_ref(&bundle),
            jiff::Timestamp::now(),
        ))?,
        Format::Name => output::print(&format!("{}\n", bundle.work_name()))?,
        Format::ManifestWork => output::print_data(&views::reapplicable(&bundle), &Format::Yaml)?,
        format if describe => output::print_data(&views::Describe::from(&bundle), &format)?,
        format => output::print_data(&views::Get::from(&bundle), &format)?,
    }
    Ok(ExitCode::Ok)
}
