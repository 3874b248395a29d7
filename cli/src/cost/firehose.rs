//! What Firehose would cost for the same: its formula, with nothing measured.

use super::usage::{GB, Item, Usage, real};

/// Each record is rounded up to so many bytes.
const ROUND_BYTES: f64 = 5.0 * 1024.0;

/// The least time that a stream with dynamic partitioning gathers for, in seconds.
const BUFFER_SECONDS: f64 = 60.0;

/// Events that go into buckets, as Firehose counts them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Records {
    pub(super) events: f64,
    /// Bytes of an event.
    pub(super) bytes: f64,
    /// Events in a record.
    pub(super) bundle: u32,
    /// Events a second.
    pub(super) rate: u32,
    /// Partitions.
    pub(super) tenants: u32,
}

impl Records {
    fn gb_taken_in(&self) -> f64 {
        let bundle = f64::from(self.bundle);
        let record = (self.bytes * bundle / ROUND_BYTES).ceil() * ROUND_BYTES;
        self.events / bundle * record / GB
    }

    /// A stream for each tenant and bucket.
    pub(super) fn streams(&self) -> Usage {
        let mut usage = Usage::default();
        usage.add(Item::FirehoseGb, self.gb_taken_in());
        usage
    }

    /// One stream that parts the tenants by folders of one bucket.
    pub(super) fn partitioned(&self) -> Usage {
        let mut usage = self.streams();
        let seconds = self.events / f64::from(self.rate);
        let objects = f64::from(self.tenants) * (seconds / BUFFER_SECONDS).ceil();
        usage.add(Item::FirehosePartitionedGb, self.events * self.bytes / GB);
        usage.add(Item::FirehoseObjects, objects.min(self.events));
        usage.add(Item::FirehoseJqHours, seconds / 3600.0);
        usage
    }
}

/// A GB of rows of so many bytes, made Parquet.
pub(super) fn rows(rows: u64, bytes: u64) -> Usage {
    let each = real(bytes) / real(rows.max(1));
    let gigabytes = (each / ROUND_BYTES).ceil() * ROUND_BYTES / each.max(1.0);
    let mut usage = Usage::default();
    usage.add(Item::FirehoseGb, gigabytes);
    usage.add(Item::FirehoseConvertedGb, gigabytes);
    usage
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::usage::Prices;

    #[test]
    fn a_kilobyte_is_paid_as_five() {
        let records = Records {
            events: 1_048_576.0,
            bytes: 1024.0,
            bundle: 1,
            rate: 1000,
            tenants: 10,
        };
        // 5 GB at 0.029 dollars.
        let prices = Prices::built_in().unwrap();
        let streams = prices.bill(&records.streams()).total();
        assert!((streams - 0.145).abs() < 1e-9, "{streams}");
        // And 1 GB at 0.02, 18 minutes with 10 objects each, and 1048.576 s of JQ.
        let expected = 0.145 + 0.02 + 180.0 / 1000.0 * 0.005 + 1048.576 / 3600.0 * 0.07;
        let partitioned = prices.bill(&records.partitioned()).total();
        assert!((partitioned - expected).abs() < 1e-9, "{partitioned}");
        // A hundred in a record are 100 KB, which is 20 times 5.
        let bundled = Records {
            bundle: 100,
            ..records
        };
        assert!((bundled.streams().of(Item::FirehoseGb) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_gigabyte_of_small_rows_is_more_to_firehose() {
        // Rows of 2,560 bytes: twice the bytes, taken in and converted.
        let usage = rows(100, 256_000);
        assert!((usage.of(Item::FirehoseGb) - 2.0).abs() < 1e-9);
        assert!((usage.of(Item::FirehoseConvertedGb) - 2.0).abs() < 1e-9);
    }
}
