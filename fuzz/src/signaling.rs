//! The client's own files.

#[path = "../../client/src/signaling/gather.rs"]
pub(crate) mod gather;

pub(crate) mod copied {
    #[path = "../../../../client/src/signaling/copied/text.rs"]
    pub(crate) mod text;
}

pub(crate) mod http {
    #[path = "../../../../client/src/signaling/http/link.rs"]
    pub(crate) mod link;
}

pub(crate) mod program {
    #[path = "../../../../client/src/signaling/program/line.rs"]
    pub(crate) mod line;
}

pub(crate) mod whip {
    #[path = "../../../../client/src/signaling/whip/generation.rs"]
    pub(crate) mod generation;
}
