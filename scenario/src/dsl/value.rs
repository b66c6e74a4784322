//! What may stand where the graph has an expression.

use std::time::Duration;

use crate::expr::Expr;
use crate::value::Value;

/// A value, or a text with the expression language in it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no value and no expression",
    label = "expected a text (with `#{{…}}`, an expression), a number, a bool or a `Duration`",
    note = "a closure cannot stand here: the graph travels as JSON to the nodes that run it; use \
            the expression language or `set_in_session`, or write the simulation as a script"
)]
pub trait IntoExpr {
    fn into_expr(self) -> Expr;
}

impl IntoExpr for Expr {
    fn into_expr(self) -> Expr {
        self
    }
}

impl IntoExpr for &str {
    fn into_expr(self) -> Expr {
        if self.contains("#{") { Expr::El(self.to_owned()) } else { Expr::str(self) }
    }
}

impl IntoExpr for String {
    fn into_expr(self) -> Expr {
        self.as_str().into_expr()
    }
}

impl IntoExpr for bool {
    fn into_expr(self) -> Expr {
        Expr::Lit(Value::Bool(self))
    }
}

impl IntoExpr for i64 {
    fn into_expr(self) -> Expr {
        Expr::Lit(Value::Int(self))
    }
}

impl IntoExpr for i32 {
    fn into_expr(self) -> Expr {
        i64::from(self).into_expr()
    }
}

impl IntoExpr for u32 {
    fn into_expr(self) -> Expr {
        i64::from(self).into_expr()
    }
}

impl IntoExpr for f64 {
    fn into_expr(self) -> Expr {
        Expr::Lit(Value::Double(self))
    }
}

/// Seconds, as in a script.
impl IntoExpr for Duration {
    fn into_expr(self) -> Expr {
        match i64::try_from(self.as_secs()) {
            Ok(seconds) if self.subsec_nanos() == 0 => seconds.into_expr(),
            _ => self.as_secs_f64().into_expr(),
        }
    }
}
