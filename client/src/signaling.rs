//! How a client reaches its server, and starts one where there is none.
