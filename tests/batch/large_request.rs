//! A request that is far too large, in a process whose memory is nobody else's.

use bytes::Bytes;
use thrifty::Endpoint;
use thrifty::batch::{BatchCollector, BatchPolicy, BatchableRequest, InvalidRequest};

use super::Echo;
use super::bad_requests::invalid;
use super::fake::FakeApi;

const CHILD: &str = "THRIFTY_TEST_LARGE_REQUEST";
const NAME: &str = "large_request::a_request_of_300_mb_is_refused_at_once_without_being_read_or_held";
const SIZE: usize = 300 << 20;

/// A request of 300 MB, of which there is 1 MB.
struct Large(Box<serde_json::value::RawValue>);

impl serde::Serialize for Large {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(std::iter::repeat_n(&self.0, 300))
    }
}

impl BatchableRequest for Large {
    type Response = Echo;

    fn endpoint() -> Endpoint {
        Endpoint::ChatCompletions
    }
}

/// The most memory that this process had so far, in kB.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}

/// The child is this test again.
#[tokio::test]
async fn a_request_of_300_mb_is_refused_at_once_without_being_read_or_held() {
    if std::env::var_os(CHILD).is_none() {
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", NAME])
            .env(CHILD, "1")
            .output()
            .unwrap();
        assert!(child.status.success(), "{child:?}");
        return;
    }
    let collector = BatchCollector::builder(FakeApi::default()).build();
    let before = peak();
    // Pages that nobody touches are not there. It is no JSON: whoever read it would refuse it for that.
    let raw = Bytes::from(vec![0; SIZE]);
    let refused = invalid(collector.enqueue_raw(Endpoint::ChatCompletions, raw).await);
    assert!(
        matches!(refused, InvalidRequest::TooLarge { bytes, .. } if bytes >= SIZE),
        "{refused}"
    );

    let policy = BatchPolicy::default().with_max_bytes((4 << 20).try_into().unwrap());
    let small = BatchCollector::builder(FakeApi::default())
        .with_policy(policy)
        .build();
    let megabyte = serde_json::value::to_raw_value(&"x".repeat(1 << 20)).unwrap();
    let refused = invalid(small.enqueue(&Large(megabyte)).await);
    assert!(
        matches!(refused, InvalidRequest::TooLarge { bytes, .. } if bytes >= SIZE),
        "{refused}"
    );
    let grown = peak() - before;
    assert!(grown < 40_000, "{grown} kB");
}
