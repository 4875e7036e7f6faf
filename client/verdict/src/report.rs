//! What came of it, for machines and for people.
