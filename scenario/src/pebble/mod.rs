//! Pebble templates, as `PebbleStringBody` and `PebbleFileBody` have them: output, conditions, loops,
//! variables, macros, filters and tests of <https://pebbletemplates.io/>, over a user's attributes.
//! Nothing is escaped, a missing variable is empty, and what one template may reach outside itself
//! (`include`, `extends`, `import`) is refused when it is parsed, as are unknown tags and filters.
//!
//! Pure: no file, no clock. Loops are bounded, so that a template cannot hang its thread.

mod expression;
mod filters;
mod parse;
mod render;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::session::Session;

/// Nested blocks and brackets of one template.
const DEPTH_MAX: u32 = 64;
/// Passes of all loops, and calls of macros, of one rendering.
const PASSES_MAX: u32 = 1_000_000;
/// Bytes that one rendering may write.
const OUTPUT_BYTES_MAX: usize = 64 << 20;

/// A parsed template; cheap to clone.
#[derive(Clone, Debug)]
pub struct Template {
    nodes: Arc<Vec<parse::Node>>,
}

impl Template {
    /// # Errors
    /// What is wrong, with the line: `Unexpected tag name "nope" (template, line 1)`.
    pub fn parse(text: &str) -> Result<Self, String> {
        Ok(Self { nodes: Arc::new(parse::template(text)?) })
    }

    /// # Errors
    /// What cannot be computed, with the line it is in.
    pub fn render(&self, session: &Session) -> Result<String, String> {
        render::render(&self.nodes, session)
    }
}
