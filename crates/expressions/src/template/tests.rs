use gotmpl::MissingKey;
use proptest::prelude::*;
use serde_json::{Map, json};

use super::*;

fn now() -> Timestamp {
    "2026-03-05T21:07:09.5Z".parse().unwrap()
}

fn render(text: &str, data: &Value) -> Result<String, Error> {
    Template::parse("t", text)?.render_at(data, now())
}

/// What Go's text/template makes of the same text and data; `tests/golden/templates.go` writes the file.
#[test]
fn renders_what_go_renders() {
    let golden: Value =
        serde_json::from_str(include_str!("../../tests/golden/templates.json")).unwrap();
    let mut wrong = Vec::new();
    for case in golden["cases"].as_array().unwrap() {
        let text = case["template"].as_str().unwrap();
        match (render(text, &golden["data"]), case["output"].as_str()) {
            (Ok(ours), Some(theirs)) if ours == theirs => {}
            (Err(_), None) => {}
            (ours, theirs) => wrong.push(format!(
                "{text}\n  go:   {theirs:?} {}\n  ours: {ours:?}",
                case["error"]
            )),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn errors_have_gos_words_and_a_position() {
    let data = json!({"s": "x", "n": 3, "l": ["a"], "m": {"a": null}, "nil": null});
    for (text, line, column, kind, message) in [
        (
            "line1\nline2 {{ .missing }}",
            2,
            10,
            Kind::MissingKey,
            "map has no entry for key \"missing\"",
        ),
        (
            "{{ .m.missing.deeper }}",
            1,
            4,
            Kind::MissingKey,
            "map has no entry for key \"missing\"",
        ),
        (
            "{{ .missing | default \"x\" }}",
            1,
            4,
            Kind::MissingKey,
            "map has no entry for key \"missing\"",
        ),
        (
            "{{ .m.a.b }}",
            1,
            4,
            Kind::Execution,
            "nil pointer evaluating interface {}.b",
        ),
        (
            "{{ .s.b }}",
            1,
            4,
            Kind::Execution,
            "can't evaluate field b in type string",
        ),
        (
            "{{ lower .n }}",
            1,
            4,
            Kind::Execution,
            "error calling lower: wrong type for value; expected string; got int",
        ),
        (
            "{{ lower .nil }}",
            1,
            4,
            Kind::Execution,
            "error calling lower: invalid value; expected string",
        ),
        (
            "{{ index .l 5 }}",
            1,
            4,
            Kind::Execution,
            "error calling index: index out of range: 5",
        ),
        (
            "{{ eq .s 3 }}",
            1,
            4,
            Kind::Execution,
            "error calling eq: incompatible types for comparison",
        ),
        (
            "{{ required \"set s2\" .nil }}",
            1,
            4,
            Kind::Execution,
            "error calling required: set s2",
        ),
        (
            "a\n{{ if .b }}",
            2,
            1,
            Kind::Syntax,
            "unexpected end of template: {{if}} is not closed by {{end}}",
        ),
        ("é{{ end }}", 1, 2, Kind::Syntax, "unexpected {{end}}"),
        ("{{ else }}", 1, 1, Kind::Syntax, "unexpected {{else}}"),
        (
            "{{ .s | nofunc }}",
            1,
            9,
            Kind::Syntax,
            "function \"nofunc\" not defined",
        ),
        (
            "{{ toYaml .s }}",
            1,
            4,
            Kind::Syntax,
            "function \"toYaml\" not defined (write toJson; JSON is YAML)",
        ),
        (
            "{{ tojson .s }}",
            1,
            4,
            Kind::Syntax,
            "function \"tojson\" not defined (did you mean toJson?)",
        ),
        (
            "{{ lower }}",
            1,
            4,
            Kind::Syntax,
            "wrong number of args for lower: want 1 got 0",
        ),
        (
            "{{ .s | replace \"a\" }}",
            1,
            9,
            Kind::Syntax,
            "wrong number of args for replace: want 3 got 2",
        ),
        ("{{ $x }}", 1, 4, Kind::Syntax, "undefined variable \"$x\""),
        (
            "{{ $x = 1 }}",
            1,
            4,
            Kind::Syntax,
            "undefined variable \"$x\"",
        ),
        (
            "{{ break }}",
            1,
            1,
            Kind::Syntax,
            "{{break}} outside {{range}}",
        ),
        (
            "{{ template \"x\" }}",
            1,
            1,
            Kind::Syntax,
            "template \"x\" not defined",
        ),
        ("{{ .s", 1, 1, Kind::Syntax, "unclosed action"),
        (
            "{{ \"a }}",
            1,
            4,
            Kind::Syntax,
            "unterminated quoted string",
        ),
        (
            "{{ .s .n }}",
            1,
            7,
            Kind::Syntax,
            "can't give argument to non-function: a value is not a function",
        ),
        (
            "{{ \"x\" | .s }}",
            1,
            10,
            Kind::Syntax,
            "non executable command in pipeline stage 2: a value is not a function",
        ),
        (
            "{{ .s # }}",
            1,
            7,
            Kind::Syntax,
            "unexpected character U+0023 '#' in action",
        ),
    ] {
        let error = render(text, &data).expect_err(text);
        assert_eq!(
            (error.line, error.column, error.kind, error.message.as_str()),
            (line, column, kind, message),
            "{text}"
        );
    }
    let error = render("x\n  {{ .missing }}", &data)
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "template: t:2:6: executing \"t\" at <.missing>: map has no entry for key \"missing\""
    );
    let error = render("{{ if }}", &data).unwrap_err().to_string();
    assert_eq!(error, "template: t:1:7: missing value for if");
}

#[test]
fn integers_stay_integers() {
    let data = json!({"million": 1_000_000, "float": 1_000_000.0, "huge": 18_446_744_073_709_551_615_u64, "half": 2.5, "tiny": 1e-7});
    for (text, output) in [
        (
            "{{ .million }} {{ .float }} {{ .huge }} {{ .half }} {{ .tiny }}",
            "1000000 1000000 18446744073709551615 2.5 1e-07",
        ),
        (
            "{{ string .float }} {{ printf \"%v %d %g\" .float .million .float }}",
            "1000000 1000000 1000000 1e+06",
        ),
        (
            "{{ eq .million .float }} {{ lt .half .million }} {{ eq .million 1000000.0 }}",
            "true true true",
        ),
        (
            "{{ int \"42\" }} {{ int \"x\" }} {{ int \"3.7\" }} {{ int 2.9 }} {{ int64 .million }} {{ int true }}",
            "42 0 0 2 1000000 0",
        ),
        (
            "{{ float \"2.5\" }} {{ float64 3 }} {{ float \"x\" }}",
            "2.5 3 0",
        ),
    ] {
        assert_eq!(render(text, &data).as_deref(), Ok(output), "{text}");
    }
}

#[test]
fn functions_of_ours() {
    let data = json!({"s": "a\nb", "m": {"x": [1, "<"]}, "secret": "aGVsbG8=", "time": "2026-01-02T03:04:05Z"});
    for (text, output) in [
        ("{{ toJson .m }}", r#"{"x":[1,"\u003c"]}"#),
        ("{{ (fromJson \"{\\\"a\\\":[5]}\").a }}", "[5]"),
        ("{{ range fromJson \"[1,2]\" }}{{ . }};{{ end }}", "1;2;"),
        (
            "{{ range $k, $v := fromJson \"{\\\"b\\\":1,\\\"a\\\":2}\" }}{{ $k }}{{ $v }}{{ end }}",
            "a2b1",
        ),
        (
            "{{ b64enc \"hello\" }} {{ .secret | b64dec }}",
            "aGVsbG8= hello",
        ),
        (
            "{{ trunc 3 \"abcdef\" }} {{ trunc -2 \"abcdef\" }} {{ trunc 99 \"é\" }}",
            "abc ef é",
        ),
        (
            "x:{{ .s | nindent 2 }}|{{ indent 1 .s }}",
            "x:\n  a\n  b| a\n b",
        ),
        ("{{ required \"needed\" .s | printf \"%q\" }}", "\"a\\nb\""),
        (
            "{{ title \"hello WORLD foo_bar don't a.b x-y\" }}",
            "Hello World Foo_bar Don't A.b X-Y",
        ),
        (
            "{{ date \"02 Jan 2006\" .time }} {{ dateFormat \"2006\" now }}",
            "02 Jan 2026 2026",
        ),
        ("{{ now }}", "2026-03-05 21:07:09.5 +0000 UTC"),
        ("{{ now | toJson }}", "\"2026-03-05T21:07:09.5Z\""),
        ("{{ if eq now now }}same{{ end }}", "same"),
    ] {
        assert_eq!(render(text, &data).as_deref(), Ok(output), "{text}");
    }
    let error = render("{{ b64dec \"secret!\" }}", &data).unwrap_err();
    assert_eq!(error.message, "error calling b64dec: text is not base64");
    assert!(
        Template::parse("t", "no {actions} here")
            .unwrap()
            .is_plain()
    );
    assert!(!Template::parse("t", "{{ .x }}").unwrap().is_plain());
}

#[test]
fn references_are_the_names_at_the_root() {
    let text = "{{ .a.b | lower }}{{ if .c }}{{ $.d }}{{ else }}{{ .e }}{{ end }}{{ range $i, $v := .list }}{{ .inner }}{{ $.f }}{{ $v.g }}{{ else }}{{ .h }}{{ end }}\n\
        {{ with .w }}{{ .inner }}{{ end }}{{ define \"d\" }}{{ .inner }}{{ $.inner }}{{ end }}{{ template \"d\" .j }}{{ printf \"%s\" (index .k 0) }}";
    let template = Template::parse("t", text).unwrap();
    let paths: Vec<String> = template
        .references()
        .iter()
        .map(|reference| reference.path.join("."))
        .collect();
    assert_eq!(
        paths,
        ["a.b", "c", "d", "e", "list", "f", "h", "w", "j", "k"]
    );
    assert_eq!(
        (
            template.references()[0].line,
            template.references()[0].column
        ),
        (1, 4)
    );
    assert_eq!(template.references()[7].line, 2);
}

#[test]
fn rendering_is_bounded() {
    let list: Vec<u32> = (0..2_000).collect();
    let data = json!({"l": list, "s": "x".repeat(100_000)});
    for text in [
        "{{ range .l }}{{ range $.l }}{{ range $.l }}{{ end }}{{ end }}{{ end }}",
        "{{ range 9000000000000000000 }}{{ end }}",
        "{{ range .l }}{{ $.s }}{{ end }}",
        "{{ define \"r\" }}{{ template \"r\" . }}{{ end }}{{ template \"r\" . }}",
        "{{ define \"a\" }}{{ if . }}{{ with . }}{{ template \"a\" . }}{{ end }}{{ end }}{{ end }}{{ template \"a\" . }}",
        "{{ $x := .s }}{{ range .l }}{{ $x = print $x $x }}{{ end }}",
        "{{ range .l }}{{ printf \"%10000d\" 5 }}{{ end }}",
    ] {
        assert_eq!(
            render(text, &data).expect_err(text).kind,
            Kind::Limit,
            "{text}"
        );
    }
    for text in ["{{ replace .s \"x\" .s }}", "{{ indent 100000000 .s }}"] {
        assert_eq!(
            render(text, &data).expect_err(text).kind,
            Kind::Execution,
            "{text}"
        );
    }
    assert_eq!(
        render("{{ printf \"%99999999d\" 5 }}", &data).unwrap(),
        "%!(BADWIDTH)5"
    );
    let large = "x".repeat(MAX_TEMPLATE_BYTES + 1);
    assert_eq!(Template::parse("t", &large).unwrap_err().kind, Kind::Limit);
    for deep in [
        format!(
            "{}{}",
            "{{ if 1 }}".repeat(1_000),
            "{{ end }}".repeat(1_000)
        ),
        format!("{{{{ {}1{} }}}}", "(".repeat(1_000), ")".repeat(1_000)),
        "{{ if 1 }}{{ else if 2 }}".repeat(500),
        format!(
            "{{{{ if 1 }}}}{}{{{{ end }}}}",
            "{{ else if 2 }}".repeat(500)
        ),
        format!(
            "{}{}",
            "{{ block \"x\" . }}".repeat(500),
            "{{ end }}".repeat(500)
        ),
    ] {
        assert!(Template::parse("t", &deep).is_err());
    }
    let chain = format!(
        "{{{{ if 0 }}}}{}{{{{ end }}}}",
        "{{ else if 0 }}".repeat(30)
    );
    assert_eq!(render(&chain, &data).unwrap(), "");
}

fn to_gotmpl(value: &Value) -> gotmpl::Value {
    match value {
        Value::Null => gotmpl::Value::Nil,
        Value::Bool(value) => gotmpl::Value::Bool(*value),
        Value::Number(number) => match number.as_i64() {
            Some(value) => gotmpl::Value::Int(value),
            None => gotmpl::Value::Float(number.as_f64().unwrap()),
        },
        Value::String(text) => gotmpl::Value::String(text.as_str().into()),
        Value::Array(items) => gotmpl::Value::List(items.iter().map(to_gotmpl).collect()),
        Value::Object(map) => gotmpl::Value::Map(
            map.iter()
                .map(|(key, value)| (key.as_str().into(), to_gotmpl(value)))
                .collect::<std::collections::BTreeMap<_, _>>()
                .into(),
        ),
    }
}

/// Pieces of templates that are balanced and use no null, where the oracle differs from Go.
fn piece() -> impl Strategy<Value = String> {
    let operand = prop_oneof![
        Just(".s"),
        Just(".n"),
        Just(".l"),
        Just(".m.a"),
        Just("$.s"),
        Just("\"lit\""),
        Just("7"),
        Just("true"),
        Just("(len .l)"),
        Just("(printf \"%d\" .n)"),
    ];
    let action = (operand.clone(), operand.clone(), 0..16_u8).prop_map(|(a, b, kind)| match kind {
        0 => format!("{{{{ {a} }}}}"),
        1 => format!("{{{{- {a} -}}}}"),
        2 => format!("{{{{ printf \"%v|%q\" {a} .s }}}}"),
        3 => format!("{{{{ {a} | printf \"%s-%v\" .s }}}}"),
        4 => format!("{{{{ print {a} {b} }}}}"),
        5 => format!("{{{{ println {a} {b} }}}}"),
        6 => format!("{{{{ and {a} {b} }}}}"),
        7 => format!("{{{{ or {a} {b} }}}}"),
        8 => format!("{{{{ not {a} }}}}"),
        9 => "{{ index .l 1 }}".to_owned(),
        10 => "{{ len .s }}{{ len .m }}".to_owned(),
        11 => format!("{{{{ html {a} }}}}"),
        12 => "{{ $v := .n }}{{ $v }}{{ $v = .s }}{{ $v }}".to_owned(),
        13 => "{{ eq .s \"lit\" .s }}{{ lt .n 5 }}{{ ne .n 3 }}".to_owned(),
        14 => "{{/* comment */}}".to_owned(),
        _ => format!("{{{{ slice .l 1 2 }}}}{{{{ {b} }}}}"),
    });
    let leaf = prop_oneof!["[a-z \n]{0,6}", action];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let body = prop::collection::vec(inner, 0..3).prop_map(|parts| parts.concat());
        (body.clone(), body, 0..7_u8).prop_map(|(then, other, kind)| match kind {
            0 => format!("{{{{ if .n }}}}{then}{{{{ else }}}}{other}{{{{ end }}}}"),
            1 => format!("{{{{ if eq .s \"x\" }}}}{then}{{{{ else if .t }}}}{other}{{{{ end }}}}"),
            2 => format!("{{{{ with .m }}}}{{{{ .a }}}}{{{{ end }}}}{then}{other}"),
            3 => format!("{{{{ range .l }}}}{{{{ . }}}},{{{{ else }}}}{other}{{{{ end }}}}{then}"),
            4 => format!("{{{{ range $i, $v := .l }}}}{{{{ $i }}}}={{{{ $v }}}}{{{{ if eq $i 1 }}}}{{{{ break }}}}{{{{ end }}}}{{{{ end }}}}{then}"),
            5 => format!("{{{{ range $k, $v := .m }}}}{{{{ $k }}}}={{{{ $v }}}};{{{{ end }}}}{other}"),
            _ => format!("{{{{ with .empty }}}}{then}{{{{ else }}}}{other}{{{{ end }}}}"),
        })
    })
}

proptest! {
    #[test]
    fn agrees_with_another_engine(pieces in prop::collection::vec(piece(), 0..5), s in "[a-z<&]{0,6}", n in -20_i64..20, l in prop::collection::vec("[a-c]{1,2}", 2..4)) {
        let text = pieces.concat();
        let data = json!({"s": s, "n": n, "l": l, "m": {"a": s, "b": n}, "t": true, "empty": ""});
        let ours = render(&text, &data).map_err(|error| error.to_string());
        let theirs = gotmpl::Template::new("t").missing_key(MissingKey::Error).parse(&text).unwrap().execute_to_string(&to_gotmpl(&data));
        prop_assert_eq!(ours.ok(), theirs.ok(), "{}", text);
    }

    #[test]
    fn text_without_actions_is_untouched(text in "[^{]*") {
        prop_assert_eq!(render(&text, &Value::Null), Ok(text));
    }

    #[test]
    fn arbitrary_text_never_panics(text in ".*") {
        let _ = render(&text, &json!({"a": 1}));
    }

    #[test]
    fn template_like_text_never_panics(
        text in "(\\{\\{|\\}\\}|\\{\\{-|-\\}\\}| |\n|\\.a|\\.|\\$|\\$x|:=|=|,|\\||\\(|\\)|\"s\"|`r`|'c'|1|-1\\.5|if|else|end|range|with|define \"d\"|template \"d\"|block \"d\"|break|nil|true|lower|printf|eq|index|/\\*|\\*/){0,24}",
    ) {
        match Template::parse("t", &text) {
            Ok(template) => {
                let _ = template.render_at(&json!({"a": [1, {"b": null}]}), now());
            }
            Err(error) => prop_assert!(error.line >= 1 && error.column >= 1),
        }
    }

    #[test]
    fn formats_never_panic(pattern in "(%|[-+# 0]|[0-9]{1,3}|\\*|\\.|[vsdqxXobcUeEfgGtTz]|é){0,12}", n in any::<i64>(), f in any::<f64>(), s in "\\PC{0,6}") {
        let mut data = Map::new();
        data.insert("p".to_owned(), Value::from(pattern));
        data.insert("n".to_owned(), Value::from(n));
        data.insert("f".to_owned(), json!(f));
        data.insert("s".to_owned(), Value::from(s));
        let _ = render("{{ printf .p .n .f .s }}", &Value::Object(data));
    }
}
