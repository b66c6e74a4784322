//! A pattern made ready once: at load where it is a literal, else when it is first seen, in a
//! bounded cache that is never waited for.

use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex};

use crate::expr::{Compiled, Expr};
use crate::value::Value;

/// Ready forms of one dynamic pattern; when more are seen, it starts anew.
const CACHED_MAX: usize = 256;

type Compile<T> = Box<dyn Fn(&str) -> Result<T, String> + Send + Sync>;

pub(super) struct Pattern<T> {
    source: Compiled,
    literal: Option<T>,
    compile: Compile<T>,
    cache: Mutex<HashMap<Box<str>, Arc<T>>>,
}

impl<T> Pattern<T> {
    /// # Errors
    /// A literal pattern that cannot be compiled.
    pub(super) fn new(
        expr: &Expr,
        compile: impl Fn(&str) -> Result<T, String> + Send + Sync + 'static,
    ) -> Result<Self, String> {
        let source = Compiled::new(expr)?;
        let literal = match &source {
            Compiled::Lit(Value::Str(text)) => Some(compile(text)?),
            Compiled::Lit(other) => Some(compile(&other.to_string())?),
            Compiled::El(_) | Compiled::Fn(_) | Compiled::Pebble(_) => None,
        };
        Ok(Self { source, literal, compile: Box::new(compile), cache: Mutex::default() })
    }

    pub(super) fn source(&self) -> &Compiled {
        &self.source
    }

    pub(super) fn is_dynamic(&self) -> bool {
        self.literal.is_none()
    }

    /// The ready form; `text` is what the source evaluated to.
    pub(super) fn get(&self, text: &str) -> Result<Ready<'_, T>, String> {
        if let Some(literal) = &self.literal {
            return Ok(Ready::Literal(literal));
        }
        // Another thread may hold the cache for a moment: compiling again beats waiting.
        let Ok(mut cache) = self.cache.try_lock() else {
            return Ok(Ready::Shared(Arc::new((self.compile)(text)?)));
        };
        if let Some(known) = cache.get(text) {
            return Ok(Ready::Shared(Arc::clone(known)));
        }
        let made = Arc::new((self.compile)(text)?);
        if cache.len() >= CACHED_MAX {
            cache.clear();
        }
        cache.insert(text.into(), Arc::clone(&made));
        Ok(Ready::Shared(made))
    }
}

impl<T> fmt::Debug for Pattern<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pattern").field(&self.source).finish()
    }
}

pub(super) enum Ready<'a, T> {
    Literal(&'a T),
    Shared(Arc<T>),
}

impl<T> Deref for Ready<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Self::Literal(literal) => literal,
            Self::Shared(shared) => shared,
        }
    }
}
