//! From a validated function body to CLIF.
