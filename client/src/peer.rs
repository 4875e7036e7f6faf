//! The boundary to the WebRTC engine: nothing outside names its types.
