//! What must hold for every expression: what it gives, that it ends, and that nothing it says does harm.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use crate::{Activation, Budget, Declared, Env, EvalError, Program, Value, limits};

fn schema() -> Json {
    json!({"type": "object", "properties": {
        "replicas": {"type": "integer"}, "max": {"type": "integer"}, "name": {"type": "string", "maxLength": 20},
        "text": {"type": "string"}, "tags": {"type": "array", "items": {"type": "string"}},
        "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "ports": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port"],
            "items": {"type": "object", "properties": {"port": {"type": "integer"}, "name": {"type": "string"}}}},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "a-b": {"type": "string"}, "namespace": {"type": "string"},
        "either": {"x-kubernetes-int-or-string": true},
        "at": {"type": "string", "format": "date-time"}, "data": {"type": "string", "format": "byte"},
        "none": {"type": "integer", "nullable": true},
    }})
}

fn object() -> Json {
    json!({"replicas": 3, "max": 5, "name": "web", "text": "wörld", "tags": ["a", "b"], "set": ["x", "y"],
        "ports": [{"port": 1, "name": "one"}, {"port": 2, "name": "two"}], "labels": {"k": "v"},
        "a-b": "dash", "namespace": "ns", "none": null, "either": "50%", "at": "2024-02-29T12:00:00Z", "data": "aGk="})
}

fn env() -> Arc<Env> {
    let declared = Declared::from_openapi(&schema(), false, "self").expect("a schema that can be seen");
    Arc::new(Env::new().variable("self", declared))
}

fn run(source: &str) -> Result<bool, String> {
    let program = Program::compile(source, &env()).map_err(|e| e.to_string())?;
    let object = object();
    let activation = Activation::new().data("self", &object);
    let value = program.evaluate(&activation, &mut Budget::for_object()).map_err(|e| e.to_string())?;
    match value {
        Value::Bool(true) => Ok(true),
        value => Err(format!("{value:?}")),
    }
}

#[test]
fn rules_hold() {
    for rule in [
        "self.replicas <= self.max",
        "self.a__dash__b == 'dash' && self.__namespace__ == 'ns' && self.namespace == 'ns'",
        "self.tags.all(t, t.size() == 1) && self.tags.exists(t, t == 'b') && self.tags.exists_one(t, t == 'a')",
        "self.set == ['y', 'x'] && self.set + ['x', 'z'] == ['x', 'y', 'z']",
        "self.ports + self.ports == self.ports && (self.ports + self.ports).size() == 2",
        "self.labels.all(k, self.labels[k] == 'v') && 'k' in self.labels && !has(self.labels.x)",
        "type(self.either) == string ? self.either.endsWith('%') : self.either > 1",
        "self.at.getFullYear() == 2024 && self.at + duration('24h') > self.at && string(self.data) == 'hi'",
        "self.?labels.?x.orValue('none') == 'none' && self.tags[?9].hasValue() == false",
        "self.tags.map(t, t + '!') == ['a!', 'b!'] && self.tags.filter(t, t > 'a').size() == 1",
        "self.labels.transformMap(k, v, k + v) == {'k': 'kv'} && self.tags.transformList(i, t, i) == [0, 1]",
        "[3, 1, 2].sort() == [1, 2, 3] && ['b', 'a'].sortBy(x, x)[0] == 'a' && [1, 1].distinct() == [1]",
        "quantity('1Gi').isGreaterThan(quantity('1G')) && quantity('1').add(1) == quantity('2')",
        "cidr('10.0.0.0/8').containsIP('10.1.1.1') && ip('::1').isLoopback() && url('https://a:1/').getPort() == '1'",
        "semver('1.2.3-rc.1').isLessThan(semver('1.2.3')) && format.dns1123Label().validate('A').hasValue()",
        "'%s is %d and %.1f'.format(['a', 1, 2.5]) == 'a is 1 and 2.5' && 'abc'.matches('^[a-c]+$')",
        "dyn(1) == 1.0 && dyn(1u) == 1 && dyn('1') != 1 && [1, 2] == [1, 2] && {'a': 1} == {'a': 1}",
        "false || 1 / 1 == 1 || 1 / 0 > 0",
    ] {
        assert_eq!(run(rule), Ok(true), "{rule}");
    }
}

#[test]
fn errors_read_as_upstream_writes_them() {
    for (source, message) in [
        ("self.x", "ERROR: <input>:1:5: undefined field 'x'\n | self.x\n | ....^"),
        ("x", "ERROR: <input>:1:1: undeclared reference to 'x' (in container '')\n | x\n | ^"),
        (
            "self.max == 'a'",
            "ERROR: <input>:1:10: found no matching overload for '_==_' applied to '(int, string)'\n | self.max == 'a'\n | .........^",
        ),
        ("(1", "ERROR: <input>:1:3: Syntax error: missing ')' at '<EOF>'\n | (1\n | ..^"),
        ("'é' + x", "ERROR: <input>:1:7: undeclared reference to 'x' (in container '')\n | 'é' + x\n | .．....^"),
        ("has(1)", "ERROR: <input>:1:5: invalid argument to has() macro\n | has(1)\n | ....^"),
        ("[1, 'a'] == []", "ERROR: <input>:1:5: expected type 'int' but found 'string'\n | [1, 'a'] == []\n | ....^"),
        ("self.labels.x == ''", "no such key: x"),
        ("self.none == 1", "no such key: none"),
        ("has(self.none)", "Bool(false)"),
        ("['y', 'x'] == self.set", "Bool(false)"),
        ("self.tags[7] == ''", "index out of bounds: 7"),
        ("1 / (self.max - 5) > 0", "division by zero"),
        ("9223372036854775807 + self.max > 0", "integer overflow"),
        ("int(self.name) > 0", "type conversion error from 'string' to 'int'"),
        ("dyn(self.name) + 1 == 1", "no such overload"),
    ] {
        assert_eq!(run(source), Err(message.to_owned()), "{source}");
    }
}

#[test]
fn estimates_follow_the_bounds_of_the_schema() {
    let env = env();
    let estimate = |source| Program::compile(source, &env).expect("compiles").max_cost();
    assert_eq!(estimate("self.replicas <= self.max"), 5);
    assert_eq!(estimate("self.name.startsWith('a')"), 3);
    assert_eq!(estimate("self.name.contains(self.name)"), 68);
    assert!(estimate("self.tags.all(t, self.tags.all(u, t != u))") > limits::RULE_ESTIMATE);
}

#[test]
fn evaluation_ends_when_it_costs_too_much() {
    let program = "lists.range(4000).all(a, lists.range(4000).all(b, a + b >= 0))";
    let program = Program::compile(program, &env()).expect("compiles");
    let mut budget = Budget::new(limits::EVALUATION_COST);
    assert_eq!(program.evaluate(&Activation::new(), &mut budget).unwrap_err(), EvalError::CostLimit);
    assert!(budget.is_exhausted());
    assert_eq!(EvalError::CostLimit.to_string(), "operation cancelled: actual cost limit exceeded");
}

#[test]
fn depth_has_a_limit_and_what_is_below_it_runs() {
    let nested = |open: &str, inner: &str, close: &str, n| open.repeat(n) + inner + &close.repeat(n);
    for source in [
        nested("(", "true", ")", 249),
        nested("[true].all(x, ", "x", ")", 200),
        nested("!(", "true", ")", 248),
        format!("{} > 0", "1+".repeat(240) + "1"),
        format!("{}.size() == 1", "'a'".to_owned() + &".trim()".repeat(240)),
        "true&&".repeat(9000) + "true",
    ] {
        assert_eq!(run(&source), Ok(true), "{}", &source[..40]);
    }
    for source in [nested("(", "true", ")", 300), "1+".repeat(300) + "1", "a".to_owned() + &".a".repeat(300)] {
        assert!(run(&source).unwrap_err().contains("exceeded"));
    }
    assert!(run(&("optional.of(1)".to_owned() + &".optMap(x, x)".repeat(60))).unwrap_err().contains("exceeded"));
    let types = "[1]".to_owned() + &".map(x, {x: x})".repeat(40);
    assert!(run(&types).is_err());
}

#[test]
fn data_that_is_missing_is_told_from_data_that_is_null() {
    let env = Arc::new(Env::new().optional_variable("old", Declared::int()));
    let program = Program::compile("old.hasValue() ? old.value() == 1 : true", &env).expect("compiles");
    assert!(program.uses("old") && !program.uses("self"));
    let one = json!(1);
    for (old, held) in [(None, true), (Some(&one), true)] {
        let activation = Activation::new().optional_data("old", old);
        assert_eq!(program.evaluate(&activation, &mut Budget::for_object()).unwrap().as_bool(), Some(held));
    }
}

#[test]
fn patches_are_made_of_objects_named_by_their_paths() {
    let env = Arc::new(Env::new().patches());
    let json = |source: &str| {
        let program = Program::compile(source, &env).expect("compiles");
        let value = program.evaluate(&Activation::new(), &mut Budget::for_object()).expect("a value");
        (value.to_json().expect("JSON"), value.misnamed())
    };
    let (object, misnamed) =
        json("Object{spec: Object.spec{replicas: 3, ?paused: optional.none(), labels: {'a': 'b'}}}");
    assert_eq!(object, json!({"spec": {"replicas": 3, "labels": {"a": "b"}}}));
    assert!(misnamed.is_empty());
    let (_, misnamed) = json("Object{spec: Object.status{replicas: 3}}");
    let message = r#"unexpected type name "Object.status", expected "Object.spec", which matches field name path from root Object type"#;
    assert_eq!(misnamed, [message]);
    let (patch, _) = json("[JSONPatch{op: 'add', path: '/a/' + jsonpatch.escapeKey('b/c'), value: {'x': 1}}]");
    assert_eq!(patch, json!([{"op": "add", "path": "/a/b~1c", "value": {"x": 1}}]));
    assert!(Program::compile("JSONPatch{op: 1}", &env).is_err());
    assert!(Program::compile("Object{}", &Arc::new(Env::new())).is_err());
}

#[derive(Debug)]
struct OnlyPods;

impl crate::Authorizer for OnlyPods {
    fn decide(&self, attributes: &crate::Attributes) -> crate::Decision {
        let allowed = attributes.resource == "pods" && attributes.verb == "get";
        crate::Decision { allowed, reason: format!("asked in {}", attributes.namespace), error: None }
    }
}

#[test]
fn rights_are_asked_of_whoever_brings_them() {
    let env = Arc::new(Env::new().value("authorizer", crate::Type::Opaque(crate::Opaque::Authorizer)));
    let authorizer = OnlyPods;
    let question = crate::Thing::Question(Arc::new(crate::Question::new(&authorizer)));
    for (source, held) in [
        ("authorizer.group('').resource('pods').namespace('ns').check('get').allowed()", true),
        ("authorizer.group('').resource('pods').namespace('ns').check('get').reason() == 'asked in ns'", true),
        ("authorizer.group('').resource('nodes').check('get').allowed()", false),
        ("authorizer.serviceAccount('ns', 'sa').path('/healthz').check('get').errored()", false),
    ] {
        let program = Program::compile(source, &env).expect("compiles");
        let activation = Activation::new().value("authorizer", Value::Thing(question.clone()));
        let mut budget = Budget::for_object();
        assert_eq!(program.evaluate(&activation, &mut budget).unwrap().as_bool(), Some(held), "{source}");
        assert!(limits::OBJECT_COST - budget.left() > 350_000);
    }
}

/// Pieces that expressions are made of, so that random ones are often well formed.
fn piece() -> impl Strategy<Value = String> {
    let words = [
        "self",
        ".name",
        ".tags",
        ".labels",
        ".all(x, ",
        "x",
        ")",
        "(",
        " + ",
        " && ",
        "1",
        "'a'",
        "[",
        "]",
        "{",
        "}",
        ":",
        ",",
        " ? ",
        " == ",
        " in ",
        ".map(y, ",
        "size(",
        "-",
        "!",
        "null",
        ".?",
        "[?",
        ".matches('",
        "(a*)*",
        "')",
        "0x",
        "1e9",
        "b'\\xff'",
        "r'",
        "\"\"\"",
        "\\",
        "\n",
        "é",
        "// ",
        "true",
        ".exists(",
        "duration('1h')",
        ".format(['",
        "%s",
        "Foo{",
    ];
    prop_oneof![
        8 => prop::sample::select(words.to_vec()).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_does_harm(pieces in prop::collection::vec(piece(), 0..40)) {
        let source = pieces.concat();
        if let Ok(program) = Program::compile(&source, &env()) {
            let object = object();
            let activation = Activation::new().data("self", &object);
            let (_, cost) = program.measure(&activation, 100_000);
            prop_assert!(cost <= 100_000 + limits::OBJECT_COST);
        }
    }

    #[test]
    fn numbers_keep_their_laws(a in any::<i64>(), b in any::<i64>()) {
        let object = json!({"replicas": a, "max": b});
        let env = env();
        let value = |source: &str| {
            let program = Program::compile(source, &env).expect("compiles");
            let value = program.evaluate(&Activation::new().data("self", &object), &mut Budget::for_object());
            value.map(|value| match value { Value::Int(n) => Some(n), Value::Bool(b) => Some(b.into()), _ => None })
        };
        prop_assert_eq!(value("self.replicas + self.max").ok().flatten(), a.checked_add(b));
        prop_assert_eq!(value("self.replicas * self.max").ok().flatten(), a.checked_mul(b));
        prop_assert_eq!(value("self.replicas / self.max").ok().flatten(), a.checked_div(b));
        prop_assert_eq!(value("self.replicas < self.max").ok().flatten(), Some((a < b).into()));
        prop_assert_eq!(value("int(string(self.replicas)) == self.replicas").ok().flatten(), Some(1));
    }
}

#[test]
fn composed_variables_run_once_and_only_when_asked_for() {
    let compile = |source: &str, env: &Arc<Env>| Program::compile(source, env).unwrap();
    let known = |names: &[&str]| {
        let fields = names.iter().map(|name| ((*name).to_owned(), crate::Declared::dynamic()));
        let variables = crate::Declared::object(crate::Struct::new("v", fields));
        Arc::new(Env::new().variable("object", crate::Declared::dynamic()).variable("variables", variables))
    };
    let one = compile("object.n.map(x, x * 2)", &known(&[]));
    let two = compile("variables.one.size() + 1", &known(&["one"]));
    let bad = compile("object.nope", &known(&[]));
    let env = known(&["one", "two", "bad"]);
    let object = serde_json::json!({"n": [1, 2, 3]});
    let variables = [("one", &one), ("two", &two), ("bad", &bad)];
    let cost = |source: &str| {
        let (program, mut budget) = (compile(source, &env), crate::Budget::new(1000));
        let activation = Activation::new().data("object", &object).composed("variables", variables);
        let value = program.evaluate(&activation, &mut budget).map(|value| value.to_json().unwrap());
        (value.map_err(|error| error.to_string()), 1000 - budget.left())
    };
    assert_eq!(cost("variables.two").0, Ok(serde_json::json!(4)));
    assert!(cost("variables.two == 4 && variables.one[0] == 2").1 < 2 * cost("variables.two == 4").1);
    let why = "composited variable \"bad\" fails to evaluate: no such key: nope";
    assert_eq!(cost("variables.bad == 1").0, Err(why.to_owned()));
    assert_eq!(cost("true || variables.bad == 1").0, Ok(serde_json::json!(true)));
}
