//! Request bodies: text, bytes, files (read once per thread), forms and multipart.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::rc::Rc;
use std::sync::Arc;

use super::media_types;
use super::multipart::{self, PartContent, boundary_of};
use super::spec;
use super::url::push_form_encoded;
use crate::charset::Charset;
use crate::el::Template;
use crate::expr::{Compiled, EvalCtx};
use crate::script::Sources;
use crate::script::sources::resource;
use crate::session::Session;
use crate::value::Value;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::HeaderName;

/// Different files that a thread keeps in memory.
const FILES_MAX: usize = 1_000;

/// What `processRequestBody` says is done to a body.
pub(super) fn processed(body: Bytes, processors: &[spec::BodyProcessor]) -> Bytes {
    processors.iter().fold(body, |body, processor| match processor {
        spec::BodyProcessor::Gzip => gzip(&body),
    })
}

fn gzip(body: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Writing to a Vec cannot fail.
    let written = encoder.write_all(body).and_then(|()| encoder.finish());
    written.map_or_else(|_| Bytes::copy_from_slice(body), Bytes::from)
}

/// The files of bodies, each read once per thread.
pub(super) struct BodyFiles {
    sources: Arc<dyn Sources>,
    raw: RefCell<HashMap<String, Bytes>>,
    templates: RefCell<HashMap<String, Rc<Template>>>,
}

impl BodyFiles {
    pub(super) fn new(sources: Arc<dyn Sources>) -> Rc<Self> {
        Rc::new(Self { sources, raw: RefCell::default(), templates: RefCell::default() })
    }

    fn raw(&self, path: &str) -> Result<Bytes, String> {
        if let Some(bytes) = self.raw.borrow().get(path) {
            return Ok(bytes.clone());
        }
        let bytes = resource(&*self.sources, path)?;
        let mut raw = self.raw.borrow_mut();
        if raw.len() < FILES_MAX {
            raw.insert(path.to_owned(), bytes.clone());
        }
        Ok(bytes)
    }

    fn template(&self, path: &str) -> Result<Rc<Template>, String> {
        if let Some(template) = self.templates.borrow().get(path) {
            return Ok(Rc::clone(template));
        }
        let bytes = resource(&*self.sources, path)?;
        let template = Rc::new(Template::parse(&String::from_utf8_lossy(&bytes))?);
        let mut templates = self.templates.borrow_mut();
        if templates.len() < FILES_MAX {
            templates.insert(path.to_owned(), Rc::clone(&template));
        }
        Ok(template)
    }
}

/// A body's value, compiled.
pub(super) enum BodyValue {
    Text(Compiled),
    ElFile(Compiled),
    RawFile(Compiled),
    Bytes(Compiled),
}

impl BodyValue {
    pub(super) fn compile(body: &spec::Body) -> Result<Self, String> {
        Ok(match body {
            spec::Body::Text(expr) => Self::Text(Compiled::new(expr)?),
            spec::Body::ElFile(expr) => Self::ElFile(Compiled::new(expr)?),
            spec::Body::RawFile(expr) => Self::RawFile(Compiled::new(expr)?),
            spec::Body::Bytes(expr) => Self::Bytes(Compiled::new(expr)?),
        })
    }

    /// It has a charset: the others are bytes already.
    pub(super) fn is_text(&self) -> bool {
        matches!(self, Self::Text(_) | Self::ElFile(_))
    }

    pub(super) fn build(
        &self,
        charset: Charset,
        files: &BodyFiles,
        session: &Session,
        eval: &mut EvalCtx<'_>,
    ) -> Result<Bytes, String> {
        match self {
            Self::Text(Compiled::Lit(Value::Str(text))) => {
                Ok(charset.encode(text).into_owned().into())
            }
            Self::Text(expr) => Ok(written(text_of(expr, session, eval)?, charset)),
            Self::ElFile(path) => {
                let template = files.template(&text_of(path, session, eval)?)?;
                let mut out = String::new();
                template.eval_into(&mut out, session, eval)?;
                Ok(written(out, charset))
            }
            Self::RawFile(path) => files.raw(&text_of(path, session, eval)?),
            Self::Bytes(expr) => bytes_of(&expr.eval(session, eval)?),
        }
    }
}

/// In UTF-8 it is what it was.
fn written(text: String, charset: Charset) -> Bytes {
    match charset {
        Charset::Utf8 => text.into(),
        other => other.encode(&text).into_owned().into(),
    }
}

pub(super) fn text_of(
    expr: &Compiled,
    session: &Session,
    eval: &mut EvalCtx<'_>,
) -> Result<String, String> {
    let mut out = String::new();
    expr.eval_into(&mut out, session, eval)?;
    Ok(out)
}

/// Bytes, text, or a list of numbers (Java's are signed).
pub(super) fn bytes_of(value: &Value) -> Result<Bytes, String> {
    match value {
        Value::Bytes(bytes) => Ok(Bytes::copy_from_slice(bytes)),
        Value::Str(text) => Ok(Bytes::copy_from_slice(text.as_bytes())),
        Value::List(items) => items
            .iter()
            .map(|item| match item {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "-128 to 255 are the two readings of one byte"
                )]
                Value::Int(number @ -128..=255) => Ok(*number as u8),
                other => Err(format!("{other} is not a byte")),
            })
            .collect::<Result<Vec<u8>, String>>()
            .map(Bytes::from),
        other => Err(format!("can't cast value {other} of type {} into bytes", other.type_name())),
    }
}

/// Query or form parameters, compiled.
pub(super) enum ParamValue {
    One(Compiled, Compiled),
    Many(Compiled, Vec<Compiled>),
    ManyExpr(Compiled, Compiled),
    Map(Vec<(String, Compiled)>),
    MapExpr(Compiled),
}

impl ParamValue {
    pub(super) fn compile(param: &spec::Param) -> Result<Self, String> {
        let list = |exprs: &[crate::expr::Expr]| {
            exprs.iter().map(Compiled::new).collect::<Result<Vec<_>, _>>()
        };
        Ok(match param {
            spec::Param::One { name, value } => {
                Self::One(Compiled::new(name)?, Compiled::new(value)?)
            }
            spec::Param::Many { name, values } => Self::Many(Compiled::new(name)?, list(values)?),
            spec::Param::ManyExpr { name, values } => {
                Self::ManyExpr(Compiled::new(name)?, Compiled::new(values)?)
            }
            spec::Param::Map(pairs) => Self::Map(
                pairs
                    .iter()
                    .map(|(name, value)| Ok((name.clone(), Compiled::new(value)?)))
                    .collect::<Result<_, String>>()?,
            ),
            spec::Param::MapExpr(expr) => Self::MapExpr(Compiled::new(expr)?),
        })
    }

    /// Appends the names and values.
    pub(super) fn resolve(
        &self,
        out: &mut Vec<(String, String)>,
        session: &Session,
        eval: &mut EvalCtx<'_>,
    ) -> Result<(), String> {
        match self {
            Self::One(name, value) => {
                let name = text_of(name, session, eval)?;
                out.push((name, text_of(value, session, eval)?));
            }
            Self::Many(name, values) => {
                let name = text_of(name, session, eval)?;
                for value in values {
                    out.push((name.clone(), text_of(value, session, eval)?));
                }
            }
            Self::ManyExpr(name, values) => {
                let name = text_of(name, session, eval)?;
                push_values(out, &name, &values.eval(session, eval)?);
            }
            Self::Map(pairs) => {
                for (name, value) in pairs {
                    push_values(out, name, &value.eval(session, eval)?);
                }
            }
            Self::MapExpr(expr) => match expr.eval(session, eval)? {
                Value::Map(entries) => {
                    entries.iter().for_each(|(name, value)| push_values(out, name, value));
                }
                other => {
                    let kind = other.type_name();
                    return Err(format!("can't cast value {other} of type {kind} into map"));
                }
            },
        }
        Ok(())
    }
}

fn push_values(out: &mut Vec<(String, String)>, name: &str, value: &Value) {
    match value {
        Value::List(items) => {
            out.extend(items.iter().map(|item| (name.to_owned(), item.to_string())));
        }
        single => out.push((name.to_owned(), single.to_string())),
    }
}

/// `a=1&b=2`, encoded in that charset; none: as they are.
pub(super) fn form_text(params: &[(String, String)], encode: Option<Charset>) -> String {
    let mut out = String::new();
    for (index, (name, value)) in params.iter().enumerate() {
        if index > 0 {
            out.push('&');
        }
        if let Some(charset) = encode {
            push_form_encoded(&mut out, name, charset);
            out.push('=');
            push_form_encoded(&mut out, value, charset);
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "{name}={value}");
        }
    }
    out
}

/// One part of a multipart body, compiled.
pub(super) struct PartValue {
    name: Option<Compiled>,
    body: BodyValue,
    content_type: Option<Compiled>,
    charset: Option<Charset>,
    disposition: Option<Compiled>,
    file_name: Option<Compiled>,
    content_id: Option<Compiled>,
    transfer_encoding: Option<String>,
    headers: Vec<[Compiled; 2]>,
}

impl PartValue {
    pub(super) fn compile(part: &spec::Part) -> Result<Self, String> {
        let optional =
            |expr: &Option<crate::expr::Expr>| expr.as_ref().map(Compiled::new).transpose();
        let charset = part.charset.as_deref().map(|name| {
            Charset::named(name)
                .ok_or_else(|| format!("charset({name:?}): there is no such charset"))
        });
        Ok(Self {
            name: optional(&part.name)?,
            body: BodyValue::compile(&part.body)?,
            content_type: optional(&part.content_type)?,
            charset: charset.transpose()?,
            disposition: optional(&part.disposition_type)?,
            file_name: optional(&part.file_name)?,
            content_id: optional(&part.content_id)?,
            transfer_encoding: part.transfer_encoding.clone(),
            headers: part
                .headers
                .iter()
                .map(|it| Ok([it.name.compiled()?, Compiled::new(&it.value)?]))
                .collect::<Result<_, String>>()?,
        })
    }

    fn build(
        &self,
        files: &BodyFiles,
        session: &Session,
        eval: &mut EvalCtx<'_>,
    ) -> Result<PartContent, String> {
        let mut text = |expr: &Option<Compiled>| {
            expr.as_ref().map(|it| text_of(it, session, eval)).transpose()
        };
        let (name, disposition_type) = (text(&self.name)?, text(&self.disposition)?);
        let mut file_name = text(&self.file_name)?;
        let (content_type, content_id) = (text(&self.content_type)?, text(&self.content_id)?);
        if let BodyValue::RawFile(path) = &self.body
            && file_name.is_none()
        {
            let path = text_of(path, session, eval)?;
            file_name = path.rsplit('/').next().map(str::to_owned);
        }
        let mut headers = Vec::with_capacity(self.headers.len());
        for [name, value] in &self.headers {
            let name = text_of(name, session, eval)?;
            if HeaderName::from_bytes(name.as_bytes()).is_err() {
                return Err(format!("{name:?} is no name of a header"));
            }
            let value = text_of(value, session, eval)?.replace(['\r', '\n'], " ");
            headers.push((name, value));
        }
        let (content_type, charset) = self.kind(content_type, file_name.as_deref());
        let written = self.charset.unwrap_or(Charset::Utf8);
        let body = self.body.build(written, files, session, eval)?;
        Ok(PartContent {
            name,
            file_name,
            disposition_type,
            content_type,
            charset,
            transfer_encoding: self.transfer_encoding.clone(),
            content_id,
            headers,
            body,
        })
    }

    /// Text has no type unless given one, and then a charset; what has the name of a file is typed by
    /// that.
    fn kind(
        &self,
        given: Option<String>,
        file_name: Option<&str>,
    ) -> (Option<String>, Option<Charset>) {
        if self.body.is_text() && file_name.is_none() {
            return (given, Some(self.charset.unwrap_or(Charset::Utf8)));
        }
        let kind =
            given.unwrap_or_else(|| media_types::of_file(file_name.unwrap_or_default()).to_owned());
        (Some(kind), self.charset)
    }
}

/// The boundary that the user's own content type names, or one of 35 letters and digits.
pub(super) fn boundary(content_type: Option<&str>, eval: &mut EvalCtx<'_>) -> String {
    content_type.and_then(boundary_of).map_or_else(|| multipart::boundary(eval.rng), str::to_owned)
}

/// Form parameters before parts.
pub(super) fn multipart(
    boundary: &str,
    params: &[(String, String)],
    parts: &[PartValue],
    files: &BodyFiles,
    session: &Session,
    eval: &mut EvalCtx<'_>,
) -> Result<Bytes, String> {
    let parts = parts
        .iter()
        .map(|part| part.build(files, session, eval))
        .collect::<Result<Vec<_>, String>>()?;
    Ok(multipart::encode(boundary, params, &parts).into())
}
