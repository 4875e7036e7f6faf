//! Datagrams on their way to the engine that did not come by a socket of its own.

use std::collections::VecDeque;
use std::io::IoSliceMut;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::task::Context;

use futures_util::task::AtomicWaker;
use webrtc::runtime::RecvMeta;

/// Datagrams that nobody has read; more are dropped, as the system does.
const ARRIVED: usize = 1_024;

/// See the module. One task reads it.
#[derive(Debug, Default)]
pub(super) struct Arrived {
    datagrams: Mutex<VecDeque<(SocketAddr, Vec<u8>)>>,
    reader: AtomicWaker,
}

impl Arrived {
    pub(super) fn push(&self, from: SocketAddr, datagram: &[u8]) {
        let mut datagrams = self
            .datagrams
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if datagrams.len() < ARRIVED {
            datagrams.push_back((from, datagram.to_vec()));
        }
        drop(datagrams);
        self.reader.wake();
    }

    /// Whom to wake when something comes.
    pub(super) fn register(&self, cx: &Context<'_>) {
        self.reader.register(cx.waker());
    }

    /// Takes what there is; tells how many buffers were filled.
    pub(super) fn read(&self, bufs: &mut [IoSliceMut<'_>], metas: &mut [RecvMeta]) -> usize {
        let mut datagrams = self
            .datagrams
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut filled = 0;
        for (buffer, meta) in bufs.iter_mut().zip(metas) {
            let Some((from, datagram)) = datagrams.pop_front() else {
                break;
            };
            let length = datagram.len().min(buffer.len());
            buffer[..length].copy_from_slice(&datagram[..length]);
            *meta = RecvMeta::default();
            meta.addr = from;
            meta.len = length;
            meta.stride = length.max(1);
            filled += 1;
        }
        filled
    }
}
