//! `bodyString()`, `bodyBytes()`, `bodyLength()`, `md5()`, `sha1()`: the decoded body as a whole.
//! Error texts never show the value.

use std::fmt::Write as _;
use std::ops::ControlFlow;

use sha1::Digest;

use super::{Extractor, Failure, Kind, Prepared, Scope, Texts};
use crate::value::Value;

#[derive(Debug)]
pub(super) enum Body {
    String,
    Bytes,
    Length,
    Md5,
    Sha1,
}

impl Extractor for Body {
    fn scope(&self) -> Scope {
        Scope::Body
    }

    fn kind(&self) -> Kind {
        match self {
            Self::String | Self::Md5 | Self::Sha1 => Kind::Text,
            Self::Bytes => Kind::Bytes,
            Self::Length => Kind::Int,
        }
    }

    fn name(&self, _texts: &Texts<'_>) -> String {
        match self {
            Self::String => "bodyString",
            Self::Bytes => "bodyBytes",
            Self::Length => "bodyLength",
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
        }
        .to_owned()
    }

    fn hides_value(&self) -> bool {
        true
    }

    fn visit(
        &self,
        response: &Prepared<'_>,
        _texts: &Texts<'_>,
        each: &mut dyn FnMut(Value) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        let body = response.view().body();
        let _ = each(match self {
            Self::String => Value::from(response.text()),
            Self::Bytes => Value::Bytes(body.into()),
            Self::Length => Value::Int(i64::try_from(body.len()).unwrap_or(i64::MAX)),
            Self::Md5 => Value::from(hex(&md5::Md5::digest(body))),
            Self::Sha1 => Value::from(hex(&sha1::Sha1::digest(body))),
        });
        Ok(())
    }
}

fn hex(digest: &[u8]) -> String {
    let mut out = String::with_capacity(digest.len() * 2);
    for byte in digest {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
    }
    out
}
