//! The integration tests: one binary. `tidy` holds the house rules; the others run real processes.

mod tidy;
