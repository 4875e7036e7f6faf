//! Kinds of metrics: plain atomics in arrays, one place for each value of a label.

use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::label::Label;

/// A counter for each value of one label.
#[derive(Clone, Debug)]
pub(crate) struct By<L>(Arc<[AtomicU64]>, PhantomData<fn(L)>);

impl<L: Label> Default for By<L> {
    fn default() -> Self {
        Self(zeros(L::ALL.len()), PhantomData)
    }
}

impl<L: Label> By<L> {
    /// Counts one more.
    pub(crate) fn inc(&self, label: L) {
        self.add(label, 1);
    }

    /// Counts this many more.
    pub(crate) fn add(&self, label: L, more: u64) {
        add(&self.0, label.index(), more);
    }

    #[cfg(test)]
    pub(crate) fn get(&self, label: L) -> u64 {
        self.0[label.index()].load(Ordering::Relaxed)
    }
}

impl<L: Label> EncodeMetric for By<L> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (label, count) in L::ALL.iter().zip(&*self.0) {
            let labels = [(L::NAME, label.text())];
            let count = count.load(Ordering::Relaxed);
            encoder
                .encode_family(&labels)?
                .encode_counter::<NoLabelSet, _, u64>(&count, None)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Counter
    }
}

/// A counter for each pair of values of two labels.
#[derive(Clone, Debug)]
pub(crate) struct By2<A, B>(Arc<[AtomicU64]>, PhantomData<fn(A, B)>);

impl<A: Label, B: Label> Default for By2<A, B> {
    fn default() -> Self {
        Self(zeros(A::ALL.len() * B::ALL.len()), PhantomData)
    }
}

impl<A: Label, B: Label> By2<A, B> {
    /// Counts one more.
    pub(crate) fn inc(&self, a: A, b: B) {
        add(&self.0, a.index() * B::ALL.len() + b.index(), 1);
    }

    #[cfg(test)]
    pub(crate) fn get(&self, a: A, b: B) -> u64 {
        self.0[a.index() * B::ALL.len() + b.index()].load(Ordering::Relaxed)
    }
}

impl<A: Label, B: Label> EncodeMetric for By2<A, B> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let pairs = A::ALL
            .iter()
            .flat_map(|a| B::ALL.iter().map(move |b| (a, b)));
        for ((a, b), count) in pairs.zip(&*self.0) {
            let labels = [(A::NAME, a.text()), (B::NAME, b.text())];
            let count = count.load(Ordering::Relaxed);
            encoder
                .encode_family(&labels)?
                .encode_counter::<NoLabelSet, _, u64>(&count, None)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Counter
    }
}

/// The highest value that was ever seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Highest(Arc<AtomicU64>);

impl Highest {
    /// Takes note of a value; one that is no record costs a read.
    pub(crate) fn seen(&self, value: usize) {
        let value = u64::try_from(value).unwrap_or(u64::MAX);
        if value > self.0.load(Ordering::Relaxed) {
            self.0.fetch_max(value, Ordering::Relaxed);
        }
    }
}

impl EncodeMetric for Highest {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        encoder.encode_gauge(&self.0.load(Ordering::Relaxed))
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}

/// A value that goes up and down.
#[derive(Clone, Debug, Default)]
pub(crate) struct Level(Arc<AtomicU64>);

impl Level {
    /// One that stands at a value.
    pub(crate) fn at(value: u64) -> Self {
        Self(Arc::new(AtomicU64::new(value)))
    }

    /// Sets it.
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// One of the parts of which it is the sum was that much and is this much.
    pub(crate) fn change(&self, before: u64, after: u64) {
        // It wraps where it shrinks, and so the sum is right.
        let more = after.wrapping_sub(before);
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// Where it stands.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl EncodeMetric for Level {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        encoder.encode_gauge(&self.0.load(Ordering::Relaxed))
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}

/// A level for each region of a cluster; none before they are named.
#[derive(Clone, Debug, Default)]
pub(crate) struct ByRegion(Arc<OnceLock<Vec<(String, AtomicU64)>>>);

impl ByRegion {
    /// Names them, in their order; once.
    pub(super) fn name(&self, names: &[&str]) {
        let zero = |name: &&str| ((*name).to_owned(), AtomicU64::new(0));
        self.0.get_or_init(|| names.iter().map(zero).collect());
    }

    /// Sets one of them.
    pub(crate) fn set(&self, region: usize, value: u64) {
        if let Some((_, level)) = self.0.get().and_then(|all| all.get(region)) {
            level.store(value, Ordering::Relaxed);
        }
    }
}

impl EncodeMetric for ByRegion {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (region, level) in self.0.get().into_iter().flatten() {
            let labels = [("region", region.as_str())];
            let level = level.load(Ordering::Relaxed);
            encoder.encode_family(&labels)?.encode_gauge(&level)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}

fn zeros(n: usize) -> Arc<[AtomicU64]> {
    (0..n).map(|_| AtomicU64::new(0)).collect()
}

fn add(counts: &[AtomicU64], at: usize, more: u64) {
    if let Some(count) = counts.get(at) {
        count.fetch_add(more, Ordering::Relaxed);
    }
}
