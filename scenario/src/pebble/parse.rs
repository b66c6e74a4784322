//! From a template's text to its nodes: text, output, tags. Trims blanks where a tag asks for it
//! (`{{-`, `-%}`) and drops the one line end after a tag, as Pebble does.

use super::DEPTH_MAX;
use super::expression::{Expr, Reader};

#[derive(Debug, PartialEq)]
pub(super) enum Node {
    Text(String),
    Output { line: u32, expr: Expr },
    If { line: u32, branches: Vec<(Expr, Vec<Self>)>, or_else: Vec<Self> },
    For { line: u32, name: String, over: Expr, body: Vec<Self>, or_else: Vec<Self> },
    Set { line: u32, name: String, value: Expr },
    Filtered { line: u32, filters: Vec<(String, Vec<Expr>)>, body: Vec<Self> },
    Macro { name: String, parameters: Vec<(String, Option<Expr>)>, body: Vec<Self> },
    Block(Vec<Self>),
}

/// A piece of the text.
enum Piece<'a> {
    Text(String),
    Output(&'a str),
    Tag(&'a str),
}

/// # Errors
/// What is wrong, with its line.
pub(super) fn template(text: &str) -> Result<Vec<Node>, String> {
    let mut parser = Parser { pieces: pieces(text)?, at: 0, depth: 0 };
    let (nodes, end) = parser.nodes(&[])?;
    match end {
        None => Ok(nodes),
        Some((line, tag)) => Err(at(line, &format!("Unexpected tag name \"{tag}\""))),
    }
}

pub(super) fn at(line: u32, message: &str) -> String {
    format!("{message} (template, line {line})")
}

fn line_of(text: &str, offset: usize) -> u32 {
    let ends = text.as_bytes()[..offset].iter().filter(|byte| **byte == b'\n').count();
    u32::try_from(ends + 1).unwrap_or(u32::MAX)
}

/// Cuts the text at `{{ }}`, `{% %}` and `{# #}`.
fn pieces(text: &str) -> Result<Vec<(u32, Piece<'_>)>, String> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut trim_start = false;
    while start < text.len() {
        let open = ["{{", "{%", "{#"].iter().filter_map(|it| text[start..].find(it)).min();
        let end = open.map_or(text.len(), |open| start + open);
        let mut literal = &text[start..end];
        if trim_start {
            literal = literal.trim_start();
        }
        if text[end..].get(2..).is_some_and(|rest| rest.starts_with('-')) {
            literal = literal.trim_end();
        }
        if !literal.is_empty() {
            pieces.push((line_of(text, start), Piece::Text(literal.to_owned())));
        }
        if end == text.len() {
            break;
        }
        let line = line_of(text, end);
        let (inner, after) = delimited(text, end).map_err(|message| at(line, &message))?;
        trim_start = inner.ends_with('-');
        let content = inner.strip_prefix('-').unwrap_or(inner);
        let content = content.strip_suffix('-').unwrap_or(content).trim();
        start = after;
        match &text[end..end + 2] {
            "{{" => pieces.push((line, Piece::Output(content))),
            "{%" if content == "verbatim" => {
                start = verbatim(text, start, &mut pieces).map_err(|it| at(line, &it))?;
            }
            "{%" => pieces.push((line, Piece::Tag(content))),
            _ => {}
        }
        // One line end after any tag is not written.
        start += ["\r\n", "\n"]
            .iter()
            .find(|it| text[start..].starts_with(**it))
            .map_or(0, |it| it.len());
    }
    Ok(pieces)
}

/// The inside of the tag that opens at `open`, and where it ends; texts inside may hold its close.
fn delimited(text: &str, open: usize) -> Result<(&str, usize), String> {
    let close = match &text[open..open + 2] {
        "{{" => "}}",
        "{%" => "%}",
        _ => "#}",
    };
    let inner = &text[open + 2..];
    let mut quote = None;
    let mut braces = 0_u32;
    let mut previous = ' ';
    for (offset, char) in inner.char_indices() {
        match quote {
            Some(open) if char == open && previous != '\\' => quote = None,
            Some(_) => {}
            None if braces == 0 && inner[offset..].starts_with(close) => {
                return Ok((&inner[..offset], open + 2 + offset + 2));
            }
            None if close == "#}" => {}
            None => match char {
                '"' | '\'' => quote = Some(char),
                '{' => braces += 1,
                '}' => braces = braces.saturating_sub(1),
                _ => {}
            },
        }
        previous = char;
    }
    Err(format!("expected \"{close}\" before the end of the template"))
}

fn verbatim<'a>(
    text: &'a str,
    start: usize,
    pieces: &mut Vec<(u32, Piece<'a>)>,
) -> Result<usize, String> {
    let mut from = start;
    while let Some(open) = text[from..].find("{%") {
        let open = from + open;
        let (inner, after) = delimited(text, open)?;
        if inner.trim_matches(['-', ' ', '\t', '\n']) == "endverbatim" {
            pieces.push((line_of(text, start), Piece::Text(text[start..open].to_owned())));
            return Ok(after);
        }
        from = open + 2;
    }
    Err("Pebble was looking for the \"endverbatim\" tag".to_owned())
}

struct Parser<'a> {
    pieces: Vec<(u32, Piece<'a>)>,
    at: usize,
    depth: u32,
}

type End = Option<(u32, String)>;

impl Parser<'_> {
    /// Nodes up to one of the tags `until`, which is consumed: its rest is left in `self.at - 1`.
    fn nodes(&mut self, until: &[&str]) -> Result<(Vec<Node>, End), String> {
        self.depth += 1;
        let mut nodes = Vec::new();
        while let Some((line, piece)) = self.pieces.get(self.at) {
            let line = *line;
            if self.depth > DEPTH_MAX {
                return Err(at(line, &format!("blocks are nested deeper than {DEPTH_MAX}")));
            }
            self.at += 1;
            match piece {
                Piece::Text(text) => nodes.push(Node::Text(text.clone())),
                Piece::Output(inner) => {
                    let expr = whole(inner).map_err(|it| at(line, &it))?;
                    nodes.push(Node::Output { line, expr });
                }
                Piece::Tag(inner) => {
                    let inner = *inner;
                    let mut reader = Reader::new(inner);
                    let name = reader.name().map_err(|it| at(line, &it))?;
                    if until.contains(&name.as_str()) || is_end(&name) {
                        self.depth -= 1;
                        return Ok((nodes, Some((line, name))));
                    }
                    nodes.push(self.tag(line, &name, &mut reader)?);
                }
            }
        }
        self.depth -= 1;
        Ok((nodes, None))
    }

    fn tag(&mut self, line: u32, name: &str, rest: &mut Reader<'_>) -> Result<Node, String> {
        let here = |message: String| at(line, &message);
        match name {
            "if" => self.branches(line, rest),
            "for" => {
                let name = rest.name().map_err(here)?;
                rest.expect("in").map_err(here)?;
                let over =
                    rest.expression().and_then(|it| rest.end().map(|()| it)).map_err(here)?;
                let (body, end) = self.nodes(&["else", "endfor"])?;
                let or_else = if closes(end, "else") {
                    self.until(line, "endfor")?
                } else {
                    self.closed("endfor")?;
                    Vec::new()
                };
                Ok(Node::For { line, name, over, body, or_else })
            }
            "set" => {
                let name = rest.name().map_err(here)?;
                rest.expect("=").map_err(here)?;
                let value =
                    rest.expression().and_then(|it| rest.end().map(|()| it)).map_err(here)?;
                Ok(Node::Set { line, name, value })
            }
            "filter" => {
                let mut filters = vec![rest.filter().map_err(here)?];
                while rest.eat("|") {
                    filters.push(rest.filter().map_err(here)?);
                }
                rest.end().map_err(here)?;
                Ok(Node::Filtered { line, filters, body: self.until(line, "endfilter")? })
            }
            "macro" => {
                let (name, parameters) = signature(rest).map_err(here)?;
                Ok(Node::Macro { name, parameters, body: self.until(line, "endmacro")? })
            }
            "block" => {
                rest.name().map_err(here)?;
                Ok(Node::Block(self.until(line, "endblock")?))
            }
            // Nothing is escaped in a request's body, whatever the template asks for.
            "autoescape" => Ok(Node::Block(self.until(line, "endautoescape")?)),
            "include" | "extends" | "import" | "from" | "embed" | "cache" | "parallel"
            | "flush" => Err(here(format!("the tag \"{name}\" is not available in Onrush"))),
            _ => Err(here(format!("Unexpected tag name \"{name}\""))),
        }
    }

    fn branches(&mut self, line: u32, first: &mut Reader<'_>) -> Result<Node, String> {
        let condition =
            |rest: &mut Reader<'_>| rest.expression().and_then(|it| rest.end().map(|()| it));
        let mut branches = Vec::new();
        let mut when = condition(first).map_err(|it| at(line, &it))?;
        loop {
            let (body, end) = self.nodes(&["elseif", "else", "endif"])?;
            branches.push((when, body));
            let Some((at_line, name)) = end else {
                let message =
                    "Unexpected end of template. Pebble was looking for the \"endif\" tag";
                return Err(at(line, message));
            };
            match name.as_str() {
                "elseif" => {
                    let Some((_, Piece::Tag(inner))) = self.pieces.get(self.at - 1) else {
                        return Err(at(at_line, "Unexpected tag name \"elseif\""));
                    };
                    let mut rest = Reader::new(inner);
                    rest.name().map_err(|it| at(at_line, &it))?;
                    when = condition(&mut rest).map_err(|it| at(at_line, &it))?;
                }
                "else" => {
                    let or_else = self.until(line, "endif")?;
                    return Ok(Node::If { line, branches, or_else });
                }
                "endif" => return Ok(Node::If { line, branches, or_else: Vec::new() }),
                _ => return Err(at(at_line, &format!("Unexpected tag name \"{name}\""))),
            }
        }
    }

    /// The nodes up to the tag `close`.
    fn until(&mut self, line: u32, close: &str) -> Result<Vec<Node>, String> {
        let (body, end) = self.nodes(&[close])?;
        match end {
            Some((_, name)) if name == close => Ok(body),
            Some((line, name)) => Err(at(line, &format!("Unexpected tag name \"{name}\""))),
            None => Err(at(
                line,
                &format!("Unexpected end of template. Pebble was looking for the \"{close}\" tag"),
            )),
        }
    }

    /// The tag that ended the last nodes was `close`.
    fn closed(&self, close: &str) -> Result<(), String> {
        match self.pieces.get(self.at - 1) {
            Some((line, Piece::Tag(inner))) => {
                let name = Reader::new(inner).name().unwrap_or_default();
                if name == close {
                    return Ok(());
                }
                if self.at == self.pieces.len() && !is_end(&name) {
                    let text = "Unexpected end of template. Pebble was looking for the";
                    return Err(at(*line, &format!("{text} \"{close}\" tag")));
                }
                Err(at(*line, &format!("Unexpected tag name \"{name}\"")))
            }
            Some((line, _)) => Err(at(
                *line,
                &format!("Unexpected end of template. Pebble was looking for the \"{close}\" tag"),
            )),
            None => Err(at(1, &format!("Pebble was looking for the \"{close}\" tag"))),
        }
    }
}

fn closes(end: End, name: &str) -> bool {
    end.is_some_and(|(_, found)| found == name)
}

/// Tags that only ever close or continue another.
fn is_end(name: &str) -> bool {
    name.starts_with("end") || name == "else" || name == "elseif"
}

fn whole(inner: &str) -> Result<Expr, String> {
    let mut reader = Reader::new(inner);
    let expr = reader.expression()?;
    reader.end()?;
    Ok(expr)
}

type Parameters = Vec<(String, Option<Expr>)>;

/// `name(a, b='x')`.
fn signature(rest: &mut Reader<'_>) -> Result<(String, Parameters), String> {
    let name = rest.name()?;
    rest.expect("(")?;
    let mut parameters = Vec::new();
    while !rest.eat(")") {
        if !parameters.is_empty() {
            rest.expect(",")?;
        }
        let parameter = rest.name()?;
        let default = if rest.eat("=") { Some(rest.expression()?) } else { None };
        parameters.push((parameter, default));
    }
    rest.end()?;
    Ok((name, parameters))
}
