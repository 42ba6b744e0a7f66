use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::attribution::Attribution;
use crate::budget::{Budget, Budgets, Each};
use crate::ledger::InMemoryLedger;
use crate::money::Usd;
use crate::pricing::Cost;
use crate::report::tests::{entry, report};

/// FIPS 180-4, for texts shorter than 512 MiB.
fn sha256(text: &[u8]) -> [u8; 32] {
    let primes = || (2_u64..).filter(|n| (2..*n).take_while(|d| d * d <= *n).all(|d| n % d != 0));
    // The first 32 bits of the fractional part of a root, found in integers.
    let root_bits = |prime: u64, root: u32| -> u32 {
        let wanted = u128::from(prime) << (32 * root);
        let (mut low, mut high) = (0_u128, 1_u128 << 37);
        while high - low > 1 {
            let middle = u128::midpoint(low, high);
            if middle.pow(root) <= wanted {
                low = middle;
            } else {
                high = middle;
            }
        }
        u32::try_from(low & 0xffff_ffff).unwrap()
    };
    let mut state: Vec<u32> = primes().take(8).map(|prime| root_bits(prime, 2)).collect();
    let keys: Vec<u32> = primes().take(64).map(|prime| root_bits(prime, 3)).collect();
    let mut message = text.to_vec();
    message.push(0x80);
    while message.len() % 64 != 56 {
        message.push(0);
    }
    message.extend_from_slice(&(text.len() as u64 * 8).to_be_bytes());
    for block in message.as_chunks::<64>().0 {
        let mut words: Vec<u32> = block
            .as_chunks::<4>()
            .0
            .iter()
            .map(|word| u32::from_be_bytes(*word))
            .collect();
        for at in 16..64 {
            let (a, b) = (words[at - 15], words[at - 2]);
            let a = a.rotate_right(7) ^ a.rotate_right(18) ^ (a >> 3);
            let b = b.rotate_right(17) ^ b.rotate_right(19) ^ (b >> 10);
            words.push(
                words[at - 16]
                    .wrapping_add(a)
                    .wrapping_add(words[at - 7])
                    .wrapping_add(b),
            );
        }
        let mut s = state.clone();
        for (key, word) in keys.iter().zip(&words) {
            let sum = s[4].rotate_right(6) ^ s[4].rotate_right(11) ^ s[4].rotate_right(25);
            let choice = (s[4] & s[5]) ^ (!s[4] & s[6]);
            let one = s[7]
                .wrapping_add(sum)
                .wrapping_add(choice)
                .wrapping_add(*key)
                .wrapping_add(*word);
            let sum = s[0].rotate_right(2) ^ s[0].rotate_right(13) ^ s[0].rotate_right(22);
            let two = sum.wrapping_add((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
            s.rotate_right(1);
            s[0] = one.wrapping_add(two);
            s[4] = s[4].wrapping_add(one);
        }
        state
            .iter_mut()
            .zip(s)
            .for_each(|(sum, word)| *sum = sum.wrapping_add(word));
    }
    let bytes: Vec<u8> = state.into_iter().flat_map(u32::to_be_bytes).collect();
    bytes.try_into().unwrap()
}

#[test]
fn the_policy_names_the_hash_of_the_script() {
    let empty = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    assert_eq!(STANDARD.encode(sha256(b"")), empty);
    assert_eq!(STANDARD.encode(sha256(SCRIPT.as_bytes())), SCRIPT_HASH);
    #[cfg(feature = "dashboard")]
    assert_eq!(
        STANDARD.encode(sha256(live::SCRIPT.as_bytes())),
        live::SCRIPT_HASH
    );
}

#[test]
fn the_script_can_stand_in_a_page() {
    assert!(!SCRIPT.contains("</") && !SCRIPT.contains("<!--"));
    #[cfg(feature = "dashboard")]
    assert!(!live::SCRIPT.contains("</") && !live::SCRIPT.contains("<!--"));
    assert!(!STYLE.contains("</"));
}

/// The columns of a page's cells, and the sum of one.
fn cells<'a>(page: &'a str, column: &str) -> (Vec<&'a str>, i128) {
    let (_, cells) = page
        .split_once("<script type=\"text/csv\" id=\"cells\">\n")
        .unwrap();
    let mut lines = cells.split_once("</script>").unwrap().0.lines();
    let columns: Vec<_> = lines.next().unwrap().split(',').collect();
    let at = columns.iter().position(|name| *name == column).unwrap();
    let number = |line: &str| line.split(',').nth(at).unwrap_or_default().parse().unwrap_or(0);
    (columns, lines.map(number).sum::<i128>())
}

#[tokio::test]
async fn a_page_has_the_cells_of_its_chart_only_if_there_are_too_many() {
    let of = |features: usize, models: usize| {
        let numbers = (0..features * models).map(|number| {
            let name = format!("f{}", number / models);
            let mut entry = entry(
                Some(&name),
                Cost::Priced(Usd::from_pico(number.try_into().unwrap())),
            );
            entry.served_model = Some(format!("m{}", number % models).into());
            entry
        });
        report(numbers.collect())
    };
    for (features, models, keys) in [
        (100, 100, &["period", "feature", "model", "lane", "calls"][..]),
        (101, 100, &["period", "feature", "calls"]),
        // What tables have no row for is one cell.
        (600, 1, &["period", "feature", "model", "lane", "calls"]),
    ] {
        let report = of(features, models).await;
        let page = report.to_html();
        let (columns, cost) = cells(&page, "cost");
        assert_eq!(columns[..keys.len()], *keys);
        assert_eq!(cost, report.total().cost.as_pico());
        assert_eq!(cells(&page, "calls").1, i128::from(report.total().calls));
    }
}

#[tokio::test]
async fn limits_beyond_the_400th_are_counted() {
    let usd = Usd::from_dollars;
    let budgets = Budgets::builder()
        .with_budget(Budget::new("users", usd(1_450)).for_each(Each::User))
        .build()
        .unwrap();
    for user in 1..=1_450 {
        let whom = Attribution::default().with_user(format!("u-{user}"));
        budgets.spend(&whom, None, &Cost::Priced(usd(user)), None);
    }
    let builder = Report::builder().with_budgets(budgets.status().await.unwrap());
    let page = builder.of(&InMemoryLedger::new()).await.unwrap().to_html();
    assert_eq!(page.matches("<bdi>users</bdi>").count(), 400);
    assert!(page.contains("<bdi>u-1450</bdi>") && !page.contains("<bdi>u-1</bdi>"));
    assert!(page.contains("<p class=\"note\">1,050 more, of which less is used, are left out.</p>"));
}
