//! Each template and what Gatling 3.16.0 made of it (Pebble 4.1).

use super::*;
use crate::value::Value;

fn session() -> Session {
    let mut session = Session::new("s".into(), 0);
    let attributes = r#"{"a":"x","n":3,"f":false,"d":1.5,"l":["p","q"],"e":[],"m":{"k":"v"},
        "nest":{"a":[{"b":1}]}}"#;
    let Value::Map(attributes) = serde_json::from_str(attributes).unwrap() else { return session };
    for (name, value) in attributes.iter() {
        session.set(name.clone(), value.clone());
    }
    session
}

const TEMPLATES: &[(&str, &str)] = &[
    ("{{ a }}|{{ missing }}|{{ m.k }}|{{ m['k'] }}|{{ l[0] }}|{{ l | length }}", "x||v|v|p|2"),
    (
        "{% for x in l %}{{ loop.index }}{{ loop.first }}{{ loop.last }}{{ loop.length }}\
             {{ loop.revindex }}={{ x }};{% endfor %}",
        "0truefalse21=p;1falsetrue20=q;",
    ),
    ("{% for x in e %}a{% else %}none{% endfor %}", "none"),
    ("{% if a == 'x' %}1{% elseif n > 2 and not f %}2{% else %}3{% endif %}", "1"),
    ("{% if a == 'y' %}1{% elseif n > 2 and not f %}2{% else %}3{% endif %}", "2"),
    ("{{ n + 1 }} {{ n * 2 }} {{ n / 2 }} {{ n % 2 }} {{ 1.5 + 1 }} {{ a ~ n }}", "4 6 1 1 2.5 x3"),
    ("{{ a | upper }} {{ 'ab cd' | capitalize }} {{ 'ab cd' | title }}", "X Ab cd Ab Cd"),
    ("{{ missing | default('d') }} {{ '  t ' | trim }}|{{ l | join(',') }}", "d t|p,q"),
    ("{{ n > 2 ? 'y' : 'n' }} {{ l contains 'q' }} {{ missing is null }}", "y true true"),
    ("{{ e is empty }} {{ n is even }} {{ n is odd }} {{ a equals 'x' }}", "true false true true"),
    ("{{ a is not null }} {{ m is map }} {{ zz is defined }}", "true true false"),
    ("{% set z = 4 %}{{ z }}{# c #}{{- ' x ' -}}  end", "4 x end"),
    (
        "{{ '<b>' }} {{ l }} {{ m }} {{ n }} {{ d }} {{ true }} {{ null }}",
        "<b> [p, q] {k=v} 3 1.5 true ",
    ),
    (
        "{% for i in range(1,3) %}{{ i }}{% endfor %} {% for i in 1..3 %}{{ i }}{% endfor %}",
        "123 123",
    ),
    ("{{ max(1,5) }} {{ min(3,2) }} {{ 'abc' | replace({'b':'X'}) }}", "5 2 aXc"),
    ("{{ 'abcdef' | slice(1,3) }} {{ 'abcdefgh' | abbreviate(5) }} {{ -3 | abs }}", "bc ab... 3"),
    ("{{ l | sort }} {{ l | reverse }} {{ 'a b&c' | urlencode }}", "[p, q] [q, p] a+b%26c"),
    ("{% verbatim %}{{ x }}{% endverbatim %}", "{{ x }}"),
    ("{% macro hi(n='w') %}hi {{ n }}{% endmacro %}{{ hi('a') }}{{ hi() }}", "hi ahi w"),
    ("{{ 'a' }}\n{% if true %}\nq\n{% endif %}\nz", "aq\nz"),
    ("{% for e in m %}{{ e.key }}={{ e.value }}{% endfor %}", "k=v"),
    ("{{ 1 == 1.0 }} {{ n == '3' }} {{ [1,2] }} {{ {'a':1} }}", "true false [1, 2] {a=1}"),
    ("{{ l.size }} {{ a.length }} {{ a.toUpperCase() }} {{ l.size() }} {{ a.nope }}", "2 1 X 2 "),
    (
        "{% filter upper %}abc{% endfilter %} {{ not f }} {{ 'it\\'s' }} {{ \"x #{n}\" }}",
        "ABC true it's x 3",
    ),
    ("{% for i in 3..1 %}{{ i }}{% endfor %} {{ l | length > 1 }} {{ (1 + 2) * 3 }}", " true 9"),
    ("{{ 2 * 3 + 4 }} {{ -n }} {{ not f and f }} {{ 5 - 7 }}", "10 -3 false -2"),
    ("{% set q = [1,2,3] %}{% for i in q %}{{ i }}{% endfor %} {{ q[1] }} {{ i }}", "123 2 "),
    ("{{ n / 2.0 }} {{ 2.0 }} {{ nest.a[0].b }}", "1.5 2.0 1"),
    (
        "{{ '<a>\"\\'' | escape }} {{ missing | upper }} [{{ missing | length }}]",
        "&lt;a&gt;&quot;&#39;  [0]",
    ),
    ("a {%- if true -%} b {%- endif -%} c", "abc"),
    (
        "{{ l | join }} {{ 'x' ~ 1.0 ~ true }} {{ null ~ 'a' }} {{ '' | default('z') }}",
        "pq x1.0true a z",
    ),
    ("{% block b %}B{% endblock %}{% autoescape true %}{{ '<' }}{% endautoescape %}", "B<"),
    (
        "{# a {{ x }} #}b{{ 'q' | upper ~ 'r' }} {{ n | abs + 1 }} {{ m.get('k') }} {{ l[7] }}",
        "bQr 4 v ",
    ),
    ("{% if missing %}t{% else %}u{% endif %}", "u"),
];

#[test]
fn templates_give_what_gatling_gives() {
    for (template, expected) in TEMPLATES {
        let found = Template::parse(template).and_then(|it| it.render(&session()));
        assert_eq!(found.as_deref(), Ok(*expected), "{template}");
    }
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    for (template, expected) in [
        ("a\n{{ 'x' | nosuch }}", "Filter [nosuch] does not exist. (template, line 2)"),
        ("{% nope %}", "Unexpected tag name \"nope\" (template, line 1)"),
        ("{% include 'x' %}", "the tag \"include\" is not available in Onrush (template, line 1)"),
        ("{{ a. }}", "expected a name, found \"\" (template, line 1)"),
        ("{{ }}", "Unexpected end of the tag (template, line 1)"),
        ("a {{ a", "expected \"}}\" before the end of the template (template, line 1)"),
        (
            "{% if a %}",
            "Unexpected end of template. Pebble was looking for the \"endif\" tag (template, line 1)",
        ),
        (
            "{% for a in b %}x",
            "Unexpected end of template. Pebble was looking for the \"endfor\" tag (template, line 1)",
        ),
        ("{% endfor %}", "Unexpected tag name \"endfor\" (template, line 1)"),
    ] {
        assert_eq!(Template::parse(template).err().as_deref(), Some(expected), "{template}");
    }
    let deep = format!("{{{{ {}1{} }}}}", "(".repeat(100), ")".repeat(100));
    assert!(Template::parse(&deep).unwrap_err().contains("nested deeper than 64"));
    for (template, expected) in [
        (
            "{% if l %}t{% endif %}",
            "Wrong operand(s) type in conditional expression (template, line 1)",
        ),
        ("{{ hi() }}", "Function or Macro [hi] does not exist. (template, line 1)"),
        ("{{ 1 / 0 }}", "1 / 0 has no result (template, line 1)"),
        (
            "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
            "macros call each other more than 64 deep (template, line 1)",
        ),
    ] {
        let found = Template::parse(template).unwrap().render(&session()).unwrap_err();
        assert!(found.starts_with(expected), "{template}: {found}");
    }
    let endless = "{% for a in 1..2000 %}{% for b in 1..2000 %}{% endfor %}{% endfor %}";
    let found = Template::parse(endless).unwrap().render(&session()).unwrap_err();
    assert!(found.contains("takes more than 1000000 turns"), "{found}");
}
