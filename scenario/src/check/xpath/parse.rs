//! Reading a path: XPath 3.1's grammar without function items, maps and arrays. What is not there is
//! told by its name when the simulation is loaded.

use std::collections::BTreeMap;

use super::ast::{
    Arithmetic, Axis, Call, Compared, Comparison, Expr, Loop, NameTest, NodeOrder, NodeTest,
    Optional, Set, Start, Step,
};
use super::functions;
use super::item::Type;
use super::places::{anywhere, made_of};
use super::reader::Reader;

/// Of expressions in each other: what is nested is evaluated so.
const NESTING_MAX: usize = 100;
/// Of a path: a chain of them is as deep as it is long.
const OPERATORS_MAX: usize = 300;
const SCHEMA: &str = "http://www.w3.org/2001/XMLSchema";
const FUNCTIONS: &str = "http://www.w3.org/2005/xpath-functions";

type Parsed<T = Expr> = Result<T, String>;
/// What an operator makes of two.
type Made = Box<dyn Fn(Expr, Expr) -> Expr>;

/// # Errors
/// What is wrong with it, and where.
pub(super) fn parse(path: &str, namespaces: &BTreeMap<String, String>) -> Parsed {
    let mut parser = Parser {
        reader: Reader::new(path),
        namespaces,
        variables: Vec::new(),
        nesting: 0,
        operators: 0,
    };
    let expr = parser.sequence();
    let expr = expr.and_then(|expr| match parser.reader.is_at_end() {
        true => Ok(expr),
        false => Err(format!("unexpected {}", parser.reader.seen())),
    });
    let at = parser.reader.index();
    expr.map_err(|reason| format!("Failed to parse xpath {path}: {reason} at index {at}"))
}

pub(super) struct Parser<'a> {
    pub(super) reader: Reader<'a>,
    pub(super) namespaces: &'a BTreeMap<String, String>,
    variables: Vec<(String, String)>,
    nesting: usize,
    operators: usize,
}

fn pair(left: Expr, right: Expr) -> Box<[Expr; 2]> {
    Box::new([left, right])
}

impl Parser<'_> {
    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.nesting >= NESTING_MAX {
            return Err(format!("more than {NESTING_MAX} expressions in each other"));
        }
        self.nesting += 1;
        let parsed = parse(self);
        self.nesting -= 1;
        parsed
    }

    fn operator(&mut self) -> Parsed<()> {
        self.operators += 1;
        match self.operators > OPERATORS_MAX {
            true => Err(format!("more than {OPERATORS_MAX} operators")),
            false => Ok(()),
        }
    }

    /// A chain of operators that take two.
    fn chain(
        &mut self,
        operand: fn(&mut Self) -> Parsed,
        mut operator: impl FnMut(&mut Reader<'_>) -> Option<Made>,
    ) -> Parsed {
        let mut expr = operand(self)?;
        while let Some(make) = operator(&mut self.reader) {
            self.operator()?;
            expr = make(expr, operand(self)?);
        }
        Ok(expr)
    }

    /// `a, b`
    fn sequence(&mut self) -> Parsed {
        let first = self.single()?;
        if !self.reader.symbol(",") {
            return Ok(first);
        }
        let mut all = vec![first, self.single()?];
        while self.reader.symbol(",") {
            all.push(self.single()?);
        }
        Ok(Expr::Sequence(all))
    }

    fn single(&mut self) -> Parsed {
        self.deeper(|it| {
            for (word, kind) in [("for", Loop::For), ("some", Loop::Some), ("every", Loop::Every)] {
                if it.reader.word_before(word, "$") {
                    return it.looping(kind);
                }
            }
            if it.reader.word_before("let", "$") {
                return it.binding();
            }
            if it.reader.word_before("if", "(") {
                return it.condition();
            }
            it.or()
        })
    }

    fn variable(&mut self) -> Parsed<(String, String)> {
        self.reader.expect("$")?;
        let (prefix, local) = self.reader.qualified_name()?;
        Ok((self.uri_of(&prefix, "")?, local))
    }

    /// `for $a in x, $b in y return z`
    fn looping(&mut self, kind: Loop) -> Parsed {
        let name = self.variable()?;
        self.reader.expect_word("in")?;
        let over = self.single()?;
        self.variables.push(name);
        let body = self.deeper(|it| {
            if it.reader.symbol(",") {
                return it.looping(kind);
            }
            it.reader.expect_word(if kind == Loop::For { "return" } else { "satisfies" })?;
            it.single()
        });
        self.variables.pop();
        Ok(Expr::Loop(kind, Box::new(over), Box::new(body?)))
    }

    fn binding(&mut self) -> Parsed {
        let name = self.variable()?;
        self.reader.expect(":=")?;
        let value = self.single()?;
        self.variables.push(name);
        let body = self.deeper(|it| {
            if it.reader.symbol(",") {
                return it.binding();
            }
            it.reader.expect_word("return")?;
            it.single()
        });
        self.variables.pop();
        Ok(Expr::Let(Box::new(value), Box::new(body?)))
    }

    fn condition(&mut self) -> Parsed {
        self.reader.expect("(")?;
        let test = self.sequence()?;
        self.reader.expect(")")?;
        self.reader.expect_word("then")?;
        let then = self.single()?;
        self.reader.expect_word("else")?;
        Ok(Expr::If(Box::new([test, then, self.single()?])))
    }

    /// Operands with a word between them.
    fn words(
        &mut self,
        word: &str,
        operand: fn(&mut Self) -> Parsed,
        make: fn(Vec<Expr>) -> Expr,
    ) -> Parsed {
        let mut all = vec![operand(self)?];
        while self.reader.word(word) {
            all.push(operand(self)?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { make(all) })
    }

    fn or(&mut self) -> Parsed {
        self.words("or", Self::and, Expr::Or)
    }

    fn and(&mut self) -> Parsed {
        self.words("and", Self::comparison, Expr::And)
    }

    fn comparison(&mut self) -> Parsed {
        use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
        let left = self.concat()?;
        let order = [("<<", NodeOrder::Before), (">>", NodeOrder::After)];
        for (symbol, order) in order {
            if self.reader.symbol(symbol) {
                return Ok(Expr::NodeOrder(order, pair(left, self.concat()?)));
            }
        }
        if self.reader.word("is") {
            return Ok(Expr::NodeOrder(NodeOrder::Is, pair(left, self.concat()?)));
        }
        let all = [
            ("!=", "ne", NotEqual),
            ("<=", "le", LessOrEqual),
            (">=", "ge", GreaterOrEqual),
            ("=", "eq", Equal),
            ("<", "lt", Less),
            (">", "gt", Greater),
        ];
        for (symbol, word, comparison) in all {
            let compared = match () {
                () if symbol == "=" && self.reader.is_before("=>") => continue,
                () if self.reader.symbol(symbol) => Compared::General,
                () if self.reader.word(word) => Compared::Value,
                () => continue,
            };
            return Ok(Expr::Compare(compared, comparison, pair(left, self.concat()?)));
        }
        Ok(left)
    }

    fn concat(&mut self) -> Parsed {
        let mut all = vec![self.range()?];
        while self.reader.symbol("||") {
            all.push(self.range()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Expr::Concat(all) })
    }

    fn range(&mut self) -> Parsed {
        let from = self.additive()?;
        if self.reader.word("to") {
            return Ok(Expr::Range(pair(from, self.additive()?)));
        }
        Ok(from)
    }

    fn additive(&mut self) -> Parsed {
        self.chain(Self::multiplicative, |reader| {
            let made = match () {
                () if reader.symbol("+") => Arithmetic::Add,
                () if reader.symbol("-") => Arithmetic::Subtract,
                () => return None,
            };
            Some(Box::new(move |left, right| Expr::Arithmetic(made, pair(left, right))))
        })
    }

    fn multiplicative(&mut self) -> Parsed {
        self.chain(Self::union, |reader| {
            let made = match () {
                () if reader.symbol("*") => Arithmetic::Multiply,
                () if reader.word("div") => Arithmetic::Divide,
                () if reader.word("idiv") => Arithmetic::WholeDivide,
                () if reader.word("mod") => Arithmetic::Remainder,
                () => return None,
            };
            Some(Box::new(move |left, right| Expr::Arithmetic(made, pair(left, right))))
        })
    }

    fn union(&mut self) -> Parsed {
        self.chain(Self::intersect, |reader| {
            let bar = !reader.is_before("||") && reader.symbol("|");
            (bar || reader.word("union")).then(|| {
                let make = |left, right| Expr::Set(Set::Union, pair(left, right));
                Box::new(make) as Made
            })
        })
    }

    fn intersect(&mut self) -> Parsed {
        self.chain(Self::instance, |reader| {
            let made = match () {
                () if reader.word("intersect") => Set::Intersect,
                () if reader.word("except") => Set::Except,
                () => return None,
            };
            Some(Box::new(move |left, right| Expr::Set(made, pair(left, right))))
        })
    }

    /// `x instance of t`, `treat as`, `castable as`, `cast as`
    fn instance(&mut self) -> Parsed {
        let mut expr = self.arrow()?;
        if self.reader.words("castable", "as") {
            let (to, optional) = self.single_type()?;
            expr = Expr::Castable(Box::new(expr), to, optional);
        } else if self.reader.words("cast", "as") {
            let (to, optional) = self.single_type()?;
            expr = Expr::Cast(Box::new(expr), to, optional);
        }
        if self.reader.words("treat", "as") {
            expr = Expr::Treat(Box::new(expr), self.sequence_type()?);
        }
        if self.reader.words("instance", "of") {
            expr = Expr::InstanceOf(Box::new(expr), self.sequence_type()?);
        }
        Ok(expr)
    }

    fn single_type(&mut self) -> Parsed<(Type, Optional)> {
        let (prefix, local) = self.reader.qualified_name()?;
        let to = self.atomic_type(&prefix, &local)?;
        Ok((to, Optional(self.reader.symbol("?"))))
    }

    pub(super) fn atomic_type(&self, prefix: &str, local: &str) -> Parsed<Type> {
        let known = match self.uri_of(prefix, "")?.as_str() {
            SCHEMA => Type::named(local),
            _ => None,
        };
        known.ok_or_else(|| format!("the type {prefix}:{local} is not known"))
    }

    /// `x => f(y)`
    fn arrow(&mut self) -> Parsed {
        let mut expr = self.unary()?;
        while self.reader.symbol("=>") {
            self.operator()?;
            let (prefix, local) = self.reader.qualified_name()?;
            self.reader.expect("(")?;
            expr = self.call(&prefix, &local, Some(expr))?;
        }
        Ok(expr)
    }

    fn unary(&mut self) -> Parsed {
        let (mut signs, mut negative) = (false, false);
        loop {
            if self.reader.symbol("-") {
                (signs, negative) = (true, !negative);
            } else if self.reader.symbol("+") {
                signs = true;
            } else {
                break;
            }
        }
        let expr = self.each()?;
        Ok(match (signs, negative) {
            (_, true) => Expr::Negate(Box::new(expr)),
            // A sign makes a number of it, too.
            (true, false) => Expr::Negate(Box::new(Expr::Negate(Box::new(expr)))),
            (false, false) => expr,
        })
    }

    /// `a ! b`
    fn each(&mut self) -> Parsed {
        self.chain(Self::path, |reader| {
            (!reader.is_before("!=") && reader.symbol("!")).then(|| {
                let make = |left, right| Expr::Each(pair(left, right));
                Box::new(make) as Made
            })
        })
    }

    fn path(&mut self) -> Parsed {
        let mut steps = Vec::new();
        let start = if self.reader.symbol("//") {
            steps.push(anywhere());
            steps.push(self.step()?);
            Start::Root
        } else if self.reader.symbol("/") {
            if self.reader.begins_step() {
                steps.push(self.step()?);
            }
            Start::Root
        } else {
            steps.push(self.step()?);
            Start::Context
        };
        if !steps.is_empty() {
            loop {
                if self.reader.symbol("//") {
                    steps.push(anywhere());
                } else if !self.reader.symbol("/") {
                    break;
                }
                steps.push(self.step()?);
            }
        }
        Ok(made_of(start, steps))
    }

    fn step(&mut self) -> Parsed<Step> {
        if let Some((axis, test)) = self.axis_step()? {
            let predicates = self.predicates()?;
            return Ok(Step::Axis { axis, test, predicates });
        }
        let primary = self.primary()?;
        let predicates = self.predicates()?;
        Ok(Step::Expr(match predicates.is_empty() {
            true => primary,
            false => Expr::Filter(Box::new(primary), predicates),
        }))
    }

    /// Nothing where a value begins.
    fn axis_step(&mut self) -> Parsed<Option<(Axis, NodeTest)>> {
        if self.reader.symbol("..") {
            return Ok(Some((Axis::Parent, NodeTest::Any)));
        }
        if self.reader.symbol("@") {
            return Ok(Some((Axis::Attribute, self.node_test(Axis::Attribute)?)));
        }
        if let Some(name) = self.reader.axis_name() {
            let Some(axis) = Axis::named(name) else {
                return Err(format!("the axis {name} is not known"));
            };
            return Ok(Some((axis, self.node_test(axis)?)));
        }
        match self.reader.begins_name() {
            true if !self.reader.begins_call() || self.reader.begins_kind_test() => {
                let test = self.node_test(Axis::Child)?;
                let of_attributes = matches!(test, NodeTest::Attribute(_));
                let axis = if of_attributes { Axis::Attribute } else { Axis::Child };
                Ok(Some((axis, test)))
            }
            _ => Ok(None),
        }
    }

    fn predicates(&mut self) -> Parsed<Vec<Expr>> {
        let mut all = Vec::new();
        while self.reader.symbol("[") {
            all.push(self.sequence()?);
            self.reader.expect("]")?;
        }
        Ok(all)
    }

    fn primary(&mut self) -> Parsed {
        if let Some(literal) = self.reader.literal()? {
            return Ok(Expr::Literal(literal));
        }
        if self.reader.is_before("$") {
            let name = self.variable()?;
            let bound = self.variables.iter().rposition(|bound| *bound == name);
            return bound
                .map(Expr::Variable)
                .ok_or_else(|| format!("the variable ${} is not bound", name.1));
        }
        if self.reader.symbol("(") {
            if self.reader.symbol(")") {
                return Ok(Expr::Sequence(Vec::new()));
            }
            let expr = self.sequence()?;
            self.reader.expect(")")?;
            return Ok(expr);
        }
        if self.reader.symbol(".") {
            return Ok(Expr::Context);
        }
        if self.reader.begins_call() {
            let (prefix, local) = self.reader.qualified_name()?;
            self.reader.expect("(")?;
            return self.call(&prefix, &local, None);
        }
        Err(match self.reader.is_at_end() {
            true => "the path ends where a step or a value is expected".to_owned(),
            false => format!("unexpected {}", self.reader.seen()),
        })
    }

    /// What follows the opening bracket of a call.
    fn call(&mut self, prefix: &str, local: &str, first: Option<Expr>) -> Parsed {
        let mut arguments: Vec<Expr> = first.into_iter().collect();
        if !self.reader.symbol(")") {
            loop {
                arguments.push(self.single()?);
                if !self.reader.symbol(",") {
                    break;
                }
            }
            self.reader.expect(")")?;
        }
        let count = arguments.len();
        match self.uri_of(prefix, FUNCTIONS)?.as_str() {
            FUNCTIONS => {
                let function = functions::named(local, count)?;
                let regex = functions::literal_regex(function, &arguments)?;
                Ok(Expr::Call(Call { function, arguments, regex }))
            }
            SCHEMA if count == 1 => {
                let to = self.atomic_type(prefix, local)?;
                Ok(Expr::Cast(Box::new(arguments.remove(0)), to, Optional(true)))
            }
            _ => Err(format!("the function {prefix}:{local} is not known")),
        }
    }

    /// Of a prefix; without one it is `default`.
    pub(super) fn uri_of(&self, prefix: &str, default: &str) -> Parsed<String> {
        if prefix.is_empty() {
            return Ok(default.to_owned());
        }
        if let Some(uri) = prefix.strip_prefix("Q{") {
            return Ok(uri.to_owned());
        }
        let known = match prefix {
            "xml" => Some("http://www.w3.org/XML/1998/namespace"),
            "xs" => Some(SCHEMA),
            "xsl" => Some("http://www.w3.org/1999/XSL/Transform"),
            "fn" => Some(FUNCTIONS),
            _ => None,
        };
        let given = self.namespaces.get(prefix).map(String::as_str);
        let uri = given.or(known).map(str::to_owned);
        uri.ok_or_else(|| format!("the prefix {prefix} is not declared"))
    }
}

impl Parser<'_> {
    pub(super) fn name_test(&mut self, axis: Axis) -> Parsed<NameTest> {
        let (prefix, local) = self.reader.wildcard_name()?;
        let local = (local != "*").then(|| local.into());
        if prefix == "*" || (prefix.is_empty() && local.is_none()) {
            return Ok(NameTest { local, uri: None });
        }
        let default = match axis {
            Axis::Attribute => "",
            _ => self.namespaces.get("").map_or("", String::as_str),
        };
        Ok(NameTest { local, uri: Some(self.uri_of(&prefix, default)?.into()) })
    }
}
