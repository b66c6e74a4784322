//! The typed client of the REST API, for the command line and the tests.
