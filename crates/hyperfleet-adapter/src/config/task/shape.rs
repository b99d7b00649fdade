//! A YAML value with templates and computed leaves, compiled once.

use serde_json::{Map, Value};

use super::super::read::Reader;
use super::super::tree::Kind;
use super::names::Names;
use super::{How, read};
use crate::lang::{FieldPath, Text};

/// Deepest nesting; YAML itself is bounded as well.
const MAX_DEPTH: usize = 100;

/// The compiled value.
#[derive(Debug, Clone)]
pub(crate) enum Shape {
    Fixed(Value),
    Text(Text),
    List(Vec<Shape>),
    /// Keys are templates too.
    Map(Vec<(Text, Shape)>),
    Computed(Box<Computed>),
}

/// A leaf `{expression | field, default}` of a payload.
#[derive(Debug, Clone)]
pub(crate) struct Computed {
    pub(crate) how: How,
    pub(crate) default: Option<Value>,
    /// Where it stands in the file, for warnings.
    pub(crate) path: String,
}

/// What to do with `{expression: …}` and `{field: …}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaves {
    /// They are ordinary maps (manifests).
    Plain,
    /// They are computed (payloads).
    Computed,
}

/// Compiles a value; problems are reported and leave a null behind.
pub(crate) fn compile(reader: &Reader<'_>, leaves: Leaves, names: &Names) -> Shape {
    compile_at(reader, leaves, names, 0)
}

fn compile_at(reader: &Reader<'_>, leaves: Leaves, names: &Names, depth: usize) -> Shape {
    if depth > MAX_DEPTH {
        reader.semantic(format!("nested deeper than {MAX_DEPTH} levels"));
        return Shape::Fixed(Value::Null);
    }
    match &reader.node.kind {
        Kind::Text(_) => match read::template(reader, names) {
            Some(text) if text.is_plain() => Shape::Fixed(Value::String(text.source().to_owned())),
            Some(text) => Shape::Text(text),
            None => Shape::Fixed(Value::Null),
        },
        Kind::List(_) => Shape::List(
            reader
                .items()
                .iter()
                .map(|item| compile_at(item, leaves, names, depth + 1))
                .collect(),
        ),
        Kind::Map(entries) => {
            if leaves == Leaves::Computed
                && let Some(computed) = computed(reader, names)
            {
                return Shape::Computed(Box::new(computed));
            }
            let mut map = Vec::with_capacity(entries.len());
            for entry in entries {
                let Some(child) = reader.get_any(&entry.key) else {
                    continue;
                };
                let key = read::key_template(reader, entry, names);
                map.push((key, compile_at(&child, leaves, names, depth + 1)));
            }
            Shape::Map(map)
        }
        _ => Shape::Fixed(reader.json()),
    }
}

/// A map with a non-empty text `expression` or `field`.
fn computed(reader: &Reader<'_>, names: &Names) -> Option<Computed> {
    let text = |key: &str| {
        reader.get(key).filter(|child| {
            child
                .node
                .as_text()
                .is_some_and(|text| !text.trim().is_empty())
        })
    };
    let default = reader.get_any("default").map(|child| child.json());
    let path = reader.path.clone();
    if let Some(child) = text("expression") {
        let how = match read::expression(&child, names, read::Scope::Everything) {
            Some(expression) => How::Expression(expression),
            None => How::Field(FieldPath::nothing()),
        };
        return Some(Computed { how, default, path });
    }
    let child = text("field")?;
    let how = How::Field(read::field_path(&child).unwrap_or_else(FieldPath::nothing));
    Some(Computed { how, default, path })
}

/// Why a shape can't be rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RenderError(pub(crate) String);

impl Shape {
    /// Renders templates with `data` as root and asks `compute` for computed leaves.
    pub(crate) fn render(
        &self,
        data: &Value,
        compute: &mut dyn FnMut(&Computed) -> Result<Value, RenderError>,
    ) -> Result<Value, RenderError> {
        match self {
            Self::Fixed(value) => Ok(value.clone()),
            Self::Text(text) => text.render(data).map(Value::String).map_err(RenderError),
            Self::List(items) => items
                .iter()
                .map(|item| item.render(data, compute))
                .collect::<Result<Vec<_>, _>>()
                .map(Value::Array),
            Self::Map(entries) => {
                let mut map = Map::new();
                for (key, value) in entries {
                    map.insert(
                        key.render(data).map_err(RenderError)?,
                        value.render(data, compute)?,
                    );
                }
                Ok(Value::Object(map))
            }
            Self::Computed(computed) => compute(computed),
        }
    }

    /// Renders a shape that was compiled without computed leaves.
    pub(crate) fn render_plain(&self, data: &Value) -> Result<Value, RenderError> {
        self.render(data, &mut |computed| {
            Err(RenderError(format!("{} is computed", computed.path)))
        })
    }
}
