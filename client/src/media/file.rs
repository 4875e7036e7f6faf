//! Files that are read as sources: one file per container.
