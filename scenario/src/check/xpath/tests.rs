//! Paths that cannot be read, and documents that are made to cost much.

use std::collections::BTreeMap;

use super::eval::Evaluation;
use super::item::Item;
use super::parse::parse;
use crate::check::xml::Tree;

/// The texts of what a path finds.
pub(super) fn found(
    document: &str,
    path: &str,
    namespaces: &BTreeMap<String, String>,
) -> Result<Vec<String>, String> {
    let path = parse(path, namespaces)?;
    let tree = Tree::parse(document)?;
    let items = Evaluation::new(&tree).run(&path)?;
    let text = |item: &Item| match item {
        Item::Node(id) => tree.string(*id).to_owned(),
        Item::Atomic(value) => value.string().to_string(),
    };
    Ok(items.iter().map(text).collect())
}

/// What is wrong is told with its place, and never a panic.
#[test]
fn a_path_that_cannot_be_read_says_where() {
    for (path, told) in [
        ("//item[", "the path ends where a step or a value is expected at index 7"),
        ("", "the path ends where a step or a value is expected at index 0"),
        ("//é[@@id]", "expected a name, found \"@id]\" at index 5"),
        ("//q:item", "the prefix q is not declared at index 8"),
        ("nope()", "the function nope is not known at index 6"),
        ("count(1, 2)", "count does not take 2 arguments at index 11"),
        ("$x", "the variable $x is not bound at index 2"),
        ("namespace::*", "the axis namespace is not known at index 11"),
        ("xs:date('x')", "the type xs:date is not known at index 12"),
        ("map { 'a': 1 }", "unexpected \"{ 'a': 1 }\" at index 4"),
        ("'a", "the text has no closing ' at index 0"),
        ("matches(a, '(')", "at index 15"),
        ("1 2", "unexpected \"2\" at index 2"),
        ("(: never", "the path ends where a step or a value is expected at index 8"),
    ] {
        let error = parse(path, &BTreeMap::new()).unwrap_err();
        assert!(error.starts_with(&format!("Failed to parse xpath {path}: ")), "{error}");
        assert!(error.ends_with(told), "{error}");
    }
    let nested = format!("{}1{}", "(".repeat(10_000), ")".repeat(10_000));
    let chain = format!("1{}", "+1".repeat(10_000));
    let signs = format!("{}1", "-".repeat(10_000));
    assert!(
        parse(&nested, &BTreeMap::new()).unwrap_err().contains("100 expressions in each other")
    );
    assert!(parse(&chain, &BTreeMap::new()).unwrap_err().contains("more than 300 operators"));
    assert!(parse(&signs, &BTreeMap::new()).is_ok());
}

/// As deep as the document may be, and the path.
#[test]
fn what_is_nested_as_deep_as_allowed_does_not_need_much_stack() {
    let document = format!("{}x{}", "<a>".repeat(2_000), "</a>".repeat(2_000));
    let path = format!("{}//a{}", "(".repeat(90), ")".repeat(90));
    assert_eq!(found(&document, &path, &BTreeMap::new()).map(|all| all.len()), Ok(2_000));
    let path = format!("count(//a[last()]){}", "+1".repeat(290));
    assert_eq!(found(&document, &path, &BTreeMap::new()), Ok(vec!["2290".to_owned()]));
}

/// Each of these looks at all of the document for each of its nodes, or makes more of it than it is.
#[test]
fn no_document_takes_a_path_more_than_its_steps() {
    let flat = format!("<r>{}</r>", "<a>1000000000</a>".repeat(20_000));
    let nested = format!("{}{}", "<a>".repeat(1_900), "<b>x</b></a>".repeat(1_900));
    let tree = Tree::parse(&flat).unwrap();
    let deep = Tree::parse(&nested).unwrap();
    for (tree, path) in [
        (&tree, "//a[preceding::a]"),
        (&tree, "//a[following-sibling::a = 'x']"),
        (&tree, "//a = //a/concat('x', .)"),
        (&tree, "//a[. = //a[. = 'x']]"),
        (&tree, "for $i in //a, $j in //a return $i"),
        (&tree, "for $i in 1 to xs:integer((//a)[1]) return $i"),
        (&tree, "(1 to 100000) ! string-join(//a, ',')"),
        (&tree, "count((1 to 1000000) ! (1 to 1000000))"),
        (&tree, "//a/replace(string-join(//a, ''), '1', '22')"),
        (&deep, "//a//a//a//b"),
        (&deep, "//*/concat(., .)"),
    ] {
        let path = parse(path, &BTreeMap::new()).unwrap();
        let most = 1_000_000;
        let mut evaluation = Evaluation::within(tree, most);
        let error = evaluation.run(&path).map(|found| found.len()).unwrap_err();
        assert!(
            error == "the document takes more than 1000000 steps"
                || error == "a sequence of more than 2000000 values",
            "{path:?}: {error}"
        );
        // The last of them may be a large one: a sequence, or a text.
        assert!(evaluation.steps() < most + 5_000_000, "{path:?}: {}", evaluation.steps());
    }
}

/// What pages and APIs are asked for costs about as much as there is of them.
#[test]
fn an_ordinary_path_takes_few_steps() {
    let order = |it: usize| {
        format!("<order id='{it}'><customer>C{it}</customer><total cur='EUR'>{it}</total></order>")
    };
    let document: String = (0..300).map(order).collect();
    let tree = Tree::parse(&format!("<orders>{document}</orders>")).unwrap();
    for (path, most) in [
        ("//order[@id='7']/total", 10_000),
        ("//customer", 10_000),
        ("/orders/order[5]/total/@cur", 2_000),
        ("count(//order[total > 100])", 15_000),
        ("string-join(//order/@id, ',')", 20_000),
        ("(//order)[last()]//total", 10_000),
    ] {
        let path = parse(path, &BTreeMap::new()).unwrap();
        let mut evaluation = Evaluation::new(&tree);
        assert!(evaluation.run(&path).is_ok());
        assert!(evaluation.steps() < most, "{path:?}: {}", evaluation.steps());
    }
}

#[test]
fn places_are_of_the_step_unless_brackets_say_otherwise() {
    let document = "<r><l><i>1</i><i>2</i></l><l><i>3</i></l></r>";
    for (path, texts) in [
        ("//i[1]", vec!["1", "3"]),
        ("(//i)[1]", vec!["1"]),
        ("//i[position() < 2]", vec!["1", "3"]),
        ("//i[last()]", vec!["2", "3"]),
        ("//i[count(../i) = 2]", vec!["1", "2"]),
        ("//i[../i[2]]", vec!["1", "2"]),
        ("//i[if (. = '3') then 1 else 2]", vec!["2", "3"]),
        ("//i[number(.)]", vec!["1", "2"]),
        ("/r/l[i[. = 3]]/i", vec!["3"]),
        ("//l[2]//i", vec!["3"]),
    ] {
        let texts: Vec<String> = texts.into_iter().map(str::to_owned).collect();
        assert_eq!(found(document, path, &BTreeMap::new()), Ok(texts), "{path}");
    }
}

/// The least of all whole numbers has no negative, and doubles do not tell large ones apart.
#[test]
fn numbers_that_do_not_fit_are_an_error() {
    let least = "-170141183460469231731687303715884105727";
    for path in [
        format!("{least} - 1"),
        format!("-({least} - 1)"),
        format!("xs:integer('{}8')", least.trim_end_matches('7')),
        format!("abs({least} * 2)"),
        format!("{least} idiv 0"),
        "170141183460469231731687303715884105728".to_owned(),
        "1e300 idiv 1".to_owned(),
    ] {
        assert!(found("<r/>", &path, &BTreeMap::new()).is_err(), "{path}");
    }
    let values = found(
        "<r/>",
        "distinct-values((9007199254740993, 9007199254740992, 1, 1.0, 1e0, '1'))",
        &BTreeMap::new(),
    );
    let kept = ["9007199254740993", "9007199254740992", "1", "1"].map(str::to_owned).to_vec();
    assert_eq!(values, Ok(kept));
    let sorted = found("<r/>", "sort((2, 1e0, 0.5, xs:double('NaN')))", &BTreeMap::new());
    assert_eq!(sorted, Ok(["NaN", "0.5", "1", "2"].map(str::to_owned).to_vec()));
}
