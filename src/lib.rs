//! The language that clients, servers and the browser page speak.
