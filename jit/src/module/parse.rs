//! Parsing and validating a module, bodies apart.
