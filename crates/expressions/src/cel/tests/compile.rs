use super::*;

#[test]
fn compile_errors_have_positions_and_hints() {
    let environment = Environment::adapter().variables(["cluster", "resources", "x"]);
    for (expression, line, column, kind, message, hint) in [
        (
            "cluster.a &&",
            1,
            13,
            Kind::Syntax,
            "mismatched input '<EOF>'",
            None,
        ),
        (
            "cluster.a ===",
            1,
            13,
            Kind::Syntax,
            "token recognition error at: '='",
            Some("equality is written `==`"),
        ),
        (
            "x = 1",
            1,
            3,
            Kind::Syntax,
            "token recognition error at: '= '",
            Some("equality is written `==`"),
        ),
        ("(x", 1, 3, Kind::Syntax, "missing ')' at '<EOF>'", None),
        (
            "resources.hc.status.v ?? ''",
            1,
            24,
            Kind::Syntax,
            "extraneous input '?'",
            Some("`??` is not CEL; write `resources.hc.status.?v.orValue('')`"),
        ),
        (
            "x != nil",
            1,
            6,
            Kind::UndeclaredName,
            "undeclared reference to 'nil'",
            Some("write `null`, or has() to ask whether a field is there"),
        ),
        (
            "x\n  && clutser.b",
            2,
            6,
            Kind::UndeclaredName,
            "undeclared reference to 'clutser'",
            Some("did you mean `cluster`?"),
        ),
        (
            "'é' == y",
            1,
            8,
            Kind::UndeclaredName,
            "undeclared reference to 'y'",
            None,
        ),
        (
            "x.lenght()",
            1,
            3,
            Kind::UnknownFunction,
            "undeclared reference to function 'lenght'",
            None,
        ),
        (
            "x.length()",
            1,
            3,
            Kind::UnknownFunction,
            "undeclared reference to function 'length'",
            Some("write x.size()"),
        ),
        (
            "x.startswith('a')",
            1,
            3,
            Kind::UnknownFunction,
            "undeclared reference to function 'startswith'",
            Some("did you mean `startsWith`?"),
        ),
        (
            "tojson(x)",
            1,
            1,
            Kind::UnknownFunction,
            "undeclared reference to function 'tojson'",
            Some("write toJson(x)"),
        ),
        (
            "x.toJson()",
            1,
            3,
            Kind::Arguments,
            "'toJson' is a function, not a method",
            Some("write `toJson(x)`"),
        ),
        (
            "contains(x, 'a')",
            1,
            1,
            Kind::Arguments,
            "'contains' is a method, not a function",
            Some("write `x.contains(…)`"),
        ),
        (
            "triState(true)",
            1,
            1,
            Kind::Arguments,
            "triState() takes 2 arguments, got 1",
            None,
        ),
        (
            "size(x, x)",
            1,
            1,
            Kind::Arguments,
            "size() takes 1 argument, got 2",
            None,
        ),
        (
            "x.map(e)",
            1,
            3,
            Kind::Arguments,
            "map() takes 2 or 3 arguments, got 1",
            None,
        ),
        (
            "has(x)",
            1,
            5,
            Kind::Syntax,
            "invalid argument to has() macro",
            None,
        ),
        (
            "x and x",
            1,
            3,
            Kind::Syntax,
            "mismatched input 'and'",
            Some("and is written `&&`"),
        ),
        (
            "x?.y",
            1,
            5,
            Kind::Syntax,
            "mismatched input '<EOF>'",
            Some("optional selection is written `a.?b`"),
        ),
        (
            "x[?(@.k=='v')]",
            1,
            5,
            Kind::Syntax,
            "token recognition error at: '@'",
            Some("filters are written `list.filter(e, e.key == 'value')[0]`"),
        ),
        (
            "{{ .x }}",
            1,
            7,
            Kind::Syntax,
            "",
            Some("templates are not expanded in expressions; use the name itself"),
        ),
        (
            "'abc",
            1,
            1,
            Kind::Syntax,
            "token recognition error at: ''abc'",
            Some(
                "text is not closed, or has an escape that CEL doesn't know (write r'…' for raw text)",
            ),
        ),
        (
            "Foo{a: 1}",
            1,
            4,
            Kind::UnknownFunction,
            "unknown type 'Foo'",
            Some("a map is written `{'key': value}`"),
        ),
        (
            "[1].map(c, d.x)",
            1,
            12,
            Kind::UndeclaredName,
            "undeclared reference to 'd'",
            None,
        ),
    ] {
        let error = environment.compile(expression).expect_err(expression);
        assert!(
            error.message.contains(message),
            "{expression}: {}",
            error.message
        );
        assert_eq!(
            (error.line, error.column, error.kind, error.hint.as_deref()),
            (line, column, kind, hint),
            "{expression}: {error}"
        );
        assert!(error.kind.is_compilation());
    }
    let error = Environment::adapter()
        .compile("a &&")
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "CEL parse error for expression \"a &&\": failed to parse expression: 1:5: mismatched input '<EOF>'"
    );
    // Without declared names, only what can never be a name is refused.
    assert!(Environment::adapter().compile("whatever.x").is_ok());
    assert!(Environment::adapter().compile("x == nil").is_err());
}

#[test]
fn references_are_names_from_outside_only() {
    let program = Environment::adapter()
        .compile("resources.?hc.status['ready'] == names.filter(n, n == other)[0] && has(resources.hc.x) && type(names) == list && optional.of(z).hasValue()")
        .unwrap();
    assert_eq!(
        program.free_identifiers(),
        ["names", "other", "resources", "z"]
    );
    let paths: Vec<String> = program
        .references()
        .iter()
        .map(|reference| reference.path.join("/"))
        .collect();
    assert_eq!(
        paths,
        [
            "resources/hc/status/ready",
            "names",
            "other",
            "resources/hc/x",
            "names",
            "z"
        ]
    );
    assert_eq!(
        (program.references()[1].line, program.references()[1].column),
        (1, 34)
    );
}
