//! OpenAI's prices. Generated from `openai.toml` by `tests/price_table.rs`; not edited by hand.

use super::Tariff;
use super::cell::Cell;
use super::fees::{Fee, Fees};
use crate::lane::Lane::{Batch, Flex, Priority, Standard};

pub(super) const REVISION: &str = "openai-2026-11-24-fe00598e";

pub(super) static MODELS: super::Table = &[
    ("o1", Tariff { cells: PRICE_54, uplift: 0, fees: &FEES_0 }),
    ("o3", Tariff { cells: PRICE_56, uplift: 0, fees: &FEES_1 }),
    ("gpt-4", Tariff { cells: PRICE_13, uplift: 0, fees: &FEES_0 }),
    ("gpt-5", Tariff { cells: PRICE_29, uplift: 0, fees: &FEES_1 }),
    ("gpt-4o", Tariff { cells: PRICE_20, uplift: 0, fees: &FEES_2 }),
    ("o1-pro", Tariff { cells: PRICE_55, uplift: 0, fees: &FEES_0 }),
    ("o3-pro", Tariff { cells: PRICE_59, uplift: 0, fees: &FEES_3 }),
    ("gpt-4.1", Tariff { cells: PRICE_17, uplift: 0, fees: &FEES_2 }),
    ("gpt-5.1", Tariff { cells: PRICE_29, uplift: 0, fees: &FEES_1 }),
    ("gpt-5.2", Tariff { cells: PRICE_32, uplift: 0, fees: &FEES_1 }),
    ("gpt-5.4", Tariff { cells: PRICE_45, uplift: 10, fees: &FEES_3 }),
    ("gpt-5.5", Tariff { cells: PRICE_43, uplift: 10, fees: &FEES_1 }),
    ("gpt-5.6", Tariff { cells: PRICE_38, uplift: 10, fees: &FEES_1 }),
    ("o3-mini", Tariff { cells: PRICE_58, uplift: 0, fees: &FEES_0 }),
    ("o4-mini", Tariff { cells: PRICE_60, uplift: 0, fees: &FEES_1 }),
    ("ft:gpt-4o", Tariff { cells: PRICE_3, uplift: 0, fees: &FEES_0 }),
    ("gpt-5-pro", Tariff { cells: PRICE_49, uplift: 0, fees: &FEES_1 }),
    ("gpt-6-sol", Tariff { cells: PRICE_36, uplift: 10, fees: &FEES_1 }),
    ("gpt-audio", Tariff { cells: PRICE_23, uplift: 0, fees: &FEES_0 }),
    ("ft:gpt-4.1", Tariff { cells: PRICE_5, uplift: 0, fees: &FEES_0 }),
    ("ft:o4-mini", Tariff { cells: PRICE_8, uplift: 0, fees: &FEES_0 }),
    ("gpt-4-0613", Tariff { cells: PRICE_14, uplift: 0, fees: &FEES_0 }),
    ("gpt-5-chat", Tariff { cells: PRICE_30, uplift: 0, fees: &FEES_3 }),
    ("gpt-5-mini", Tariff { cells: PRICE_52, uplift: 0, fees: &FEES_1 }),
    ("gpt-5-nano", Tariff { cells: PRICE_53, uplift: 0, fees: &FEES_1 }),
    ("gpt-6-luna", Tariff { cells: PRICE_37, uplift: 10, fees: &FEES_1 }),
    ("chat-latest", Tariff { cells: PRICE_42, uplift: 0, fees: &FEES_0 }),
    ("gpt-4-turbo", Tariff { cells: PRICE_15, uplift: 0, fees: &FEES_0 }),
    ("gpt-4o-mini", Tariff { cells: PRICE_25, uplift: 0, fees: &FEES_2 }),
    ("gpt-5-codex", Tariff { cells: PRICE_30, uplift: 0, fees: &FEES_3 }),
    ("gpt-5.2-pro", Tariff { cells: PRICE_34, uplift: 0, fees: &FEES_1 }),
    ("gpt-5.4-pro", Tariff { cells: PRICE_46, uplift: 10, fees: &FEES_1 }),
    ("gpt-5.5-pro", Tariff { cells: PRICE_44, uplift: 10, fees: &FEES_1 }),
    ("gpt-5.6-sol", Tariff { cells: PRICE_38, uplift: 10, fees: &FEES_1 }),
    ("gpt-6-astra", Tariff { cells: PRICE_35, uplift: 10, fees: &FEES_1 }),
    ("gpt-6.1-sol", Tariff { cells: PRICE_69, uplift: 10, fees: &FEES_1 }),
    ("gpt-4.1-mini", Tariff { cells: PRICE_18, uplift: 0, fees: &FEES_2 }),
    ("gpt-4.1-nano", Tariff { cells: PRICE_19, uplift: 0, fees: &FEES_0 }),
    ("gpt-5.4-mini", Tariff { cells: PRICE_47, uplift: 10, fees: &FEES_1 }),
    ("gpt-5.4-nano", Tariff { cells: PRICE_48, uplift: 10, fees: &FEES_1 }),
    ("gpt-5.6-luna", Tariff { cells: PRICE_40, uplift: 10, fees: &FEES_1 }),
    ("gpt-3.5-turbo", Tariff { cells: PRICE_9, uplift: 0, fees: &FEES_0 }),
    ("gpt-5.1-codex", Tariff { cells: PRICE_30, uplift: 0, fees: &FEES_3 }),
    ("gpt-5.2-codex", Tariff { cells: PRICE_33, uplift: 0, fees: &FEES_3 }),
    ("gpt-5.3-codex", Tariff { cells: PRICE_50, uplift: 0, fees: &FEES_3 }),
    ("gpt-5.5-cyber", Tariff { cells: PRICE_67, uplift: 0, fees: &FEES_0 }),
    ("gpt-5.6-cyber", Tariff { cells: PRICE_41, uplift: 0, fees: &FEES_0 }),
    ("gpt-5.6-terra", Tariff { cells: PRICE_39, uplift: 10, fees: &FEES_1 }),
    ("gpt-6.1-terra", Tariff { cells: PRICE_70, uplift: 10, fees: &FEES_1 }),
    ("gpt-audio-1.5", Tariff { cells: PRICE_23, uplift: 0, fees: &FEES_0 }),
    ("o1-2024-12-17", Tariff { cells: PRICE_54, uplift: 0, fees: &FEES_0 }),
    ("o3-2025-04-16", Tariff { cells: PRICE_56, uplift: 0, fees: &FEES_1 }),
    ("ft:gpt-4o-mini", Tariff { cells: PRICE_4, uplift: 0, fees: &FEES_0 }),
    ("gpt-audio-mini", Tariff { cells: PRICE_24, uplift: 0, fees: &FEES_0 }),
    ("ft:gpt-4.1-mini", Tariff { cells: PRICE_6, uplift: 0, fees: &FEES_0 }),
    ("ft:gpt-4.1-nano", Tariff { cells: PRICE_7, uplift: 0, fees: &FEES_0 }),
    ("ft:gpt-3.5-turbo", Tariff { cells: PRICE_1, uplift: 0, fees: &FEES_0 }),
    ("gpt-5-2025-08-07", Tariff { cells: PRICE_29, uplift: 0, fees: &FEES_1 }),
    ("gpt-5-search-api", Tariff { cells: PRICE_66, uplift: 0, fees: &FEES_4 }),
    ("o3-deep-research", Tariff { cells: PRICE_57, uplift: 0, fees: &FEES_3 }),
    ("gpt-3.5-turbo-16k", Tariff { cells: PRICE_12, uplift: 0, fees: &FEES_0 }),
    ("gpt-4o-2024-05-13", Tariff { cells: PRICE_21, uplift: 0, fees: &FEES_2 }),
    ("gpt-4o-2024-08-06", Tariff { cells: PRICE_20, uplift: 0, fees: &FEES_2 }),
    ("gpt-4o-2024-11-20", Tariff { cells: PRICE_20, uplift: 0, fees: &FEES_2 }),
    ("gpt-5-chat-latest", Tariff { cells: PRICE_30, uplift: 0, fees: &FEES_3 }),
    ("gpt-5.1-codex-max", Tariff { cells: PRICE_30, uplift: 0, fees: &FEES_3 }),
    ("o1-pro-2025-03-19", Tariff { cells: PRICE_55, uplift: 0, fees: &FEES_0 }),
    ("o3-pro-2025-06-10", Tariff { cells: PRICE_59, uplift: 0, fees: &FEES_3 }),
    ("gpt-3.5-turbo-0125", Tariff { cells: PRICE_10, uplift: 0, fees: &FEES_0 }),
    ("gpt-3.5-turbo-1106", Tariff { cells: PRICE_11, uplift: 0, fees: &FEES_0 }),
    ("gpt-4-1106-preview", Tariff { cells: PRICE_15, uplift: 0, fees: &FEES_0 }),
    ("gpt-4.1-2025-04-14", Tariff { cells: PRICE_17, uplift: 0, fees: &FEES_2 }),
    ("gpt-5.1-2025-11-13", Tariff { cells: PRICE_29, uplift: 0, fees: &FEES_1 }),
    ("gpt-5.1-codex-mini", Tariff { cells: PRICE_31, uplift: 0, fees: &FEES_0 }),
    ("gpt-5.2-2025-12-11", Tariff { cells: PRICE_32, uplift: 0, fees: &FEES_1 }),
    ("gpt-5.4-2026-03-05", Tariff { cells: PRICE_45, uplift: 10, fees: &FEES_3 }),
    ("gpt-5.5-2026-04-23", Tariff { cells: PRICE_43, uplift: 10, fees: &FEES_1 }),
    ("o3-mini-2025-01-31", Tariff { cells: PRICE_58, uplift: 0, fees: &FEES_0 }),
    ("o4-mini-2025-04-16", Tariff { cells: PRICE_60, uplift: 0, fees: &FEES_1 }),
    ("gpt-5.1-chat-latest", Tariff { cells: PRICE_30, uplift: 0, fees: &FEES_3 }),
    ("gpt-5.2-chat-latest", Tariff { cells: PRICE_33, uplift: 0, fees: &FEES_3 }),
    ("gpt-5.3-chat-latest", Tariff { cells: PRICE_51, uplift: 0, fees: &FEES_0 }),
    ("computer-use-preview", Tariff { cells: PRICE_0, uplift: 0, fees: &FEES_0 }),
    ("ft:gpt-4o-2024-08-06", Tariff { cells: PRICE_3, uplift: 0, fees: &FEES_0 }),
    ("ft:gpt-4o-2024-11-20", Tariff { cells: PRICE_3, uplift: 0, fees: &FEES_0 }),
    ("gpt-5-pro-2025-10-06", Tariff { cells: PRICE_49, uplift: 0, fees: &FEES_1 }),
    ("gpt-audio-2025-08-28", Tariff { cells: PRICE_23, uplift: 0, fees: &FEES_0 }),
    ("ft:gpt-3.5-turbo-0125", Tariff { cells: PRICE_2, uplift: 0, fees: &FEES_0 }),
    ("ft:gpt-3.5-turbo-0613", Tariff { cells: PRICE_2, uplift: 0, fees: &FEES_0 }),
    ("ft:gpt-3.5-turbo-1106", Tariff { cells: PRICE_2, uplift: 0, fees: &FEES_0 }),
    ("ft:gpt-4.1-2025-04-14", Tariff { cells: PRICE_5, uplift: 0, fees: &FEES_0 }),
    ("ft:o4-mini-2025-04-16", Tariff { cells: PRICE_8, uplift: 0, fees: &FEES_0 }),
    ("gpt-4o-search-preview", Tariff { cells: PRICE_28, uplift: 0, fees: &FEES_5 }),
    ("gpt-5-mini-2025-08-07", Tariff { cells: PRICE_52, uplift: 0, fees: &FEES_1 }),
    ("gpt-5-nano-2025-08-07", Tariff { cells: PRICE_53, uplift: 0, fees: &FEES_1 }),
    ("gpt-rosalind-research", Tariff { cells: PRICE_68, uplift: 0, fees: &FEES_0 }),
    ("o4-mini-deep-research", Tariff { cells: PRICE_61, uplift: 0, fees: &FEES_3 }),
    ("gpt-4-turbo-2024-04-09", Tariff { cells: PRICE_16, uplift: 0, fees: &FEES_0 }),
    ("gpt-4o-mini-2024-07-18", Tariff { cells: PRICE_25, uplift: 0, fees: &FEES_2 }),
    ("gpt-5.2-pro-2025-12-11", Tariff { cells: PRICE_34, uplift: 0, fees: &FEES_1 }),
    ("gpt-5.4-pro-2026-03-05", Tariff { cells: PRICE_46, uplift: 10, fees: &FEES_1 }),
    ("gpt-5.5-pro-2026-04-23", Tariff { cells: PRICE_44, uplift: 10, fees: &FEES_1 }),
    ("gpt-rosalind-discovery", Tariff { cells: PRICE_68, uplift: 0, fees: &FEES_0 }),
    ("text-embedding-3-large", Tariff { cells: PRICE_62, uplift: 0, fees: &FEES_0 }),
    ("text-embedding-3-small", Tariff { cells: PRICE_63, uplift: 0, fees: &FEES_0 }),
    ("text-embedding-ada-002", Tariff { cells: PRICE_64, uplift: 0, fees: &FEES_0 }),
    ("gpt-4.1-mini-2025-04-14", Tariff { cells: PRICE_18, uplift: 0, fees: &FEES_2 }),
    ("gpt-4.1-nano-2025-04-14", Tariff { cells: PRICE_19, uplift: 0, fees: &FEES_0 }),
    ("gpt-5.4-mini-2026-03-17", Tariff { cells: PRICE_47, uplift: 10, fees: &FEES_1 }),
    ("gpt-5.4-nano-2026-03-17", Tariff { cells: PRICE_48, uplift: 10, fees: &FEES_1 }),
    ("ft:gpt-4o-mini-2024-07-18", Tariff { cells: PRICE_4, uplift: 0, fees: &FEES_0 }),
    ("gpt-audio-mini-2025-10-06", Tariff { cells: PRICE_24, uplift: 0, fees: &FEES_0 }),
    ("gpt-audio-mini-2025-12-15", Tariff { cells: PRICE_24, uplift: 0, fees: &FEES_0 }),
    ("text-embedding-ada-002-v2", Tariff { cells: PRICE_65, uplift: 0, fees: &FEES_0 }),
    ("ft:gpt-4.1-mini-2025-04-14", Tariff { cells: PRICE_6, uplift: 0, fees: &FEES_0 }),
    ("ft:gpt-4.1-nano-2025-04-14", Tariff { cells: PRICE_7, uplift: 0, fees: &FEES_0 }),
    ("gpt-4o-mini-search-preview", Tariff { cells: PRICE_27, uplift: 0, fees: &FEES_6 }),
    ("o3-deep-research-2025-06-26", Tariff { cells: PRICE_57, uplift: 0, fees: &FEES_3 }),
    ("computer-use-preview-2025-03-11", Tariff { cells: PRICE_0, uplift: 0, fees: &FEES_0 }),
    ("gpt-4o-audio-preview-2024-12-17", Tariff { cells: PRICE_22, uplift: 0, fees: &FEES_0 }),
    ("gpt-4o-audio-preview-2025-06-03", Tariff { cells: PRICE_22, uplift: 0, fees: &FEES_0 }),
    ("gpt-4o-search-preview-2025-03-11", Tariff { cells: PRICE_28, uplift: 0, fees: &FEES_5 }),
    ("o4-mini-deep-research-2025-06-26", Tariff { cells: PRICE_61, uplift: 0, fees: &FEES_3 }),
    ("gpt-4o-mini-audio-preview-2024-12-17", Tariff { cells: PRICE_26, uplift: 0, fees: &FEES_0 }),
    ("gpt-4o-mini-search-preview-2025-03-11", Tariff { cells: PRICE_27, uplift: 0, fees: &FEES_6 }),
];

static PRICE_0: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 3000000, 12000000, [None, None, None, None, None, None, None], 0b11),
];

static PRICE_1: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 3000000, 6000000, [None, None, None, None, None, None, None], 0b11),
    Cell::new(Batch, i64::MIN, 0, 1500000, 3000000, [None, None, None, None, None, None, None], 0b11),
];

static PRICE_2: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 3000000, 6000000, [None, None, None, None, None, None, None], 0b11),
    Cell::new(Batch, i64::MIN, 0, 1500000, 3000000, [None, None, None, None, None, None, None], 0b0),
];

static PRICE_3: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 3750000, 15000000, [Some(1875000), None, None, None, None, None, None], 0b11),
];

static PRICE_4: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 300000, 1200000, [Some(150000), None, None, None, None, None, None], 0b11),
    Cell::new(Batch, i64::MIN, 0, 150000, 600000, [Some(75000), None, None, None, None, None, None], 0b11),
];

static PRICE_5: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 3000000, 12000000, [Some(750000), None, None, None, None, None, None], 0b0),
    Cell::new(Batch, i64::MIN, 0, 1500000, 6000000, [Some(500000), None, None, None, None, None, None], 0b0),
];

static PRICE_6: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 800000, 3200000, [Some(200000), None, None, None, None, None, None], 0b0),
    Cell::new(Batch, i64::MIN, 0, 400000, 1600000, [Some(100000), None, None, None, None, None, None], 0b0),
];

static PRICE_7: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 200000, 800000, [Some(50000), None, None, None, None, None, None], 0b0),
    Cell::new(Batch, i64::MIN, 0, 100000, 400000, [Some(25000), None, None, None, None, None, None], 0b0),
];

static PRICE_8: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 4000000, 16000000, [Some(1000000), None, None, None, None, None, None], 0b0),
    Cell::new(Batch, i64::MIN, 0, 2000000, 8000000, [Some(500000), None, None, None, None, None, None], 0b0),
];

static PRICE_9: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 500000, 1500000, [None, None, None, None, None, None, None], 0b11),
    Cell::new(Batch, i64::MIN, 0, 250000, 750000, [None, None, None, None, None, None, None], 0b0),
];

static PRICE_10: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 500000, 1500000, [None, None, None, None, None, None, None], 0b11),
    Cell::new(Batch, i64::MIN, 0, 250000, 750000, [None, None, None, None, None, None, None], 0b11),
];

static PRICE_11: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 1000000, 2000000, [None, None, None, None, None, None, None], 0b11),
    Cell::new(Batch, i64::MIN, 0, 1000000, 2000000, [None, None, None, None, None, None, None], 0b0),
];

static PRICE_12: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 3000000, 4000000, [None, None, None, None, None, None, None], 0b11),
];

static PRICE_13: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 30000000, 60000000, [None, None, None, None, None, None, None], 0b11),
    Cell::new(Batch, i64::MIN, 0, 15000000, 30000000, [None, None, None, None, None, None, None], 0b0),
];

static PRICE_14: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 30000000, 60000000, [None, None, None, None, None, None, None], 0b11),
    Cell::new(Batch, i64::MIN, 0, 15000000, 30000000, [None, None, None, None, None, None, None], 0b11),
];

static PRICE_15: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 10000000, 30000000, [None, None, None, None, None, None, None], 0b11),
    Cell::new(Batch, i64::MIN, 0, 5000000, 15000000, [None, None, None, None, None, None, None], 0b0),
];

static PRICE_16: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 10000000, 30000000, [None, None, None, None, None, None, None], 0b11),
    Cell::new(Batch, i64::MIN, 0, 5000000, 15000000, [None, None, None, None, None, None, None], 0b11),
];

static PRICE_17: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 2000000, 8000000, [Some(500000), None, None, None, None, None, None], 0b111),
    Cell::new(Batch, i64::MIN, 0, 1000000, 4000000, [Some(1000000), None, None, None, None, None, None], 0b11),
    Cell::new(Priority, i64::MIN, 0, 3500000, 14000000, [Some(875000), None, None, None, None, None, None], 0b111),
];

static PRICE_18: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 400000, 1600000, [Some(100000), None, None, None, None, None, None], 0b111),
    Cell::new(Batch, i64::MIN, 0, 200000, 800000, [Some(200000), None, None, None, None, None, None], 0b11),
    Cell::new(Priority, i64::MIN, 0, 700000, 2800000, [Some(175000), None, None, None, None, None, None], 0b111),
];

static PRICE_19: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 100000, 400000, [Some(25000), None, None, None, None, None, None], 0b111),
    Cell::new(Batch, i64::MIN, 0, 50000, 200000, [Some(50000), None, None, None, None, None, None], 0b11),
    Cell::new(Priority, i64::MIN, 0, 200000, 800000, [Some(50000), None, None, None, None, None, None], 0b111),
];

static PRICE_20: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 2500000, 10000000, [Some(1250000), None, None, None, None, None, None], 0b111),
    Cell::new(Batch, i64::MIN, 0, 1250000, 5000000, [Some(1250000), None, None, None, None, None, None], 0b11),
    Cell::new(Priority, i64::MIN, 0, 4250000, 17000000, [Some(2125000), None, None, None, None, None, None], 0b111),
];

static PRICE_21: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 5000000, 15000000, [None, None, None, None, None, None, None], 0b11),
    Cell::new(Batch, i64::MIN, 0, 2500000, 7500000, [None, None, None, None, None, None, None], 0b11),
    Cell::new(Priority, i64::MIN, 0, 8750000, 26250000, [None, None, None, None, None, None, None], 0b11),
];

static PRICE_22: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 2500000, 10000000, [None, None, None, Some(40000000), Some(80000000), None, None], 0b11),
];

static PRICE_23: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 2500000, 10000000, [None, None, None, Some(32000000), Some(64000000), None, None], 0b1100011),
];

static PRICE_24: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 600000, 2400000, [None, None, None, Some(10000000), Some(20000000), None, None], 0b1100011),
];

static PRICE_25: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 150000, 600000, [Some(75000), None, None, None, None, None, None], 0b111),
    Cell::new(Batch, i64::MIN, 0, 75000, 300000, [Some(75000), None, None, None, None, None, None], 0b11),
    Cell::new(Priority, i64::MIN, 0, 250000, 1000000, [Some(125000), None, None, None, None, None, None], 0b111),
];

static PRICE_26: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 150000, 600000, [None, None, None, Some(10000000), Some(20000000), None, None], 0b11),
];

static PRICE_27: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 150000, 600000, [Some(75000), None, None, None, None, None, None], 0b111),
    Cell::new(Batch, i64::MIN, 0, 75000, 300000, [Some(75000), None, None, None, None, None, None], 0b11),
    Cell::new(Priority, i64::MIN, 0, 250000, 1000000, [Some(125000), None, None, None, None, None, None], 0b0),
];

static PRICE_28: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 2500000, 10000000, [Some(1250000), None, None, None, None, None, None], 0b11),
    Cell::new(Batch, i64::MIN, 0, 1250000, 5000000, [Some(1250000), None, None, None, None, None, None], 0b0),
];

static PRICE_29: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 1250000, 10000000, [Some(125000), None, None, None, None, None, None], 0b111),
    Cell::new(Batch, i64::MIN, 0, 625000, 5000000, [Some(62500), None, None, None, None, None, None], 0b111),
    Cell::new(Flex, i64::MIN, 0, 625000, 5000000, [Some(62500), None, None, None, None, None, None], 0b111),
    Cell::new(Priority, i64::MIN, 0, 2500000, 20000000, [Some(250000), None, None, None, None, None, None], 0b111),
];

static PRICE_30: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 1250000, 10000000, [Some(125000), None, None, None, None, None, None], 0b111),
    Cell::new(Batch, i64::MIN, 0, 625000, 5000000, [Some(62500), None, None, None, None, None, None], 0b0),
    Cell::new(Flex, i64::MIN, 0, 625000, 5000000, [Some(62500), None, None, None, None, None, None], 0b0),
    Cell::new(Priority, i64::MIN, 0, 2500000, 20000000, [Some(250000), None, None, None, None, None, None], 0b0),
];

static PRICE_31: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 250000, 2000000, [Some(25000), None, None, None, None, None, None], 0b111),
];

static PRICE_32: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 1750000, 14000000, [Some(175000), None, None, None, None, None, None], 0b111),
    Cell::new(Batch, i64::MIN, 0, 875000, 7000000, [Some(87500), None, None, None, None, None, None], 0b111),
    Cell::new(Flex, i64::MIN, 0, 875000, 7000000, [Some(87500), None, None, None, None, None, None], 0b111),
    Cell::new(Priority, i64::MIN, 0, 3500000, 28000000, [Some(350000), None, None, None, None, None, None], 0b111),
];

static PRICE_33: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 1750000, 14000000, [Some(175000), None, None, None, None, None, None], 0b111),
    Cell::new(Batch, i64::MIN, 0, 875000, 7000000, [Some(87500), None, None, None, None, None, None], 0b0),
    Cell::new(Flex, i64::MIN, 0, 875000, 7000000, [Some(87500), None, None, None, None, None, None], 0b0),
    Cell::new(Priority, i64::MIN, 0, 3500000, 28000000, [Some(350000), None, None, None, None, None, None], 0b0),
];

static PRICE_34: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 21000000, 168000000, [None, None, None, None, None, None, None], 0b11),
    Cell::new(Batch, i64::MIN, 0, 10500000, 84000000, [None, None, None, None, None, None, None], 0b11),
];

static PRICE_35: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 10000000, 50000000, [Some(1000000), Some(12500000), Some(25000000), None, None, None, None], 0b1111),
    Cell::new(Standard, i64::MIN, 272000, 20000000, 75000000, [Some(2000000), Some(25000000), Some(50000000), None, None, None, None], 0b1111),
    Cell::new(Batch, i64::MIN, 0, 5000000, 25000000, [Some(500000), Some(6250000), Some(12500000), None, None, None, None], 0b1111),
    Cell::new(Batch, i64::MIN, 272000, 10000000, 37500000, [Some(1000000), Some(12500000), Some(25000000), None, None, None, None], 0b1111),
    Cell::new(Flex, i64::MIN, 0, 5000000, 25000000, [Some(500000), Some(6250000), Some(12500000), None, None, None, None], 0b1111),
    Cell::new(Flex, i64::MIN, 272000, 10000000, 37500000, [Some(1000000), Some(12500000), Some(25000000), None, None, None, None], 0b1111),
    Cell::new(Priority, i64::MIN, 0, 20000000, 100000000, [Some(2000000), Some(25000000), Some(50000000), None, None, None, None], 0b1111),
    Cell::new(Priority, i64::MIN, 272000, 40000000, 150000000, [Some(4000000), Some(50000000), Some(100000000), None, None, None, None], 0b1111),
];

static PRICE_36: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 2000000, 10000000, [Some(200000), Some(2500000), Some(5000000), None, None, None, None], 0b1111),
    Cell::new(Standard, i64::MIN, 272000, 4000000, 15000000, [Some(400000), Some(5000000), Some(10000000), None, None, None, None], 0b1111),
    Cell::new(Batch, i64::MIN, 0, 1000000, 5000000, [Some(100000), Some(1250000), Some(2500000), None, None, None, None], 0b1111),
    Cell::new(Batch, i64::MIN, 272000, 2000000, 7500000, [Some(200000), Some(2500000), Some(5000000), None, None, None, None], 0b1111),
    Cell::new(Flex, i64::MIN, 0, 1000000, 5000000, [Some(100000), Some(1250000), Some(2500000), None, None, None, None], 0b1111),
    Cell::new(Flex, i64::MIN, 272000, 2000000, 7500000, [Some(200000), Some(2500000), Some(5000000), None, None, None, None], 0b1111),
    Cell::new(Priority, i64::MIN, 0, 4000000, 20000000, [Some(400000), Some(5000000), Some(10000000), None, None, None, None], 0b1111),
    Cell::new(Priority, i64::MIN, 272000, 8000000, 30000000, [Some(800000), Some(10000000), Some(20000000), None, None, None, None], 0b1111),
];

static PRICE_37: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 100000, 500000, [Some(10000), Some(125000), Some(250000), None, None, None, None], 0b1111),
    Cell::new(Standard, i64::MIN, 272000, 200000, 750000, [Some(20000), Some(250000), Some(500000), None, None, None, None], 0b1111),
    Cell::new(Batch, i64::MIN, 0, 50000, 250000, [Some(5000), Some(62500), Some(125000), None, None, None, None], 0b1111),
    Cell::new(Batch, i64::MIN, 272000, 100000, 375000, [Some(10000), Some(125000), Some(250000), None, None, None, None], 0b1111),
    Cell::new(Flex, i64::MIN, 0, 50000, 250000, [Some(5000), Some(62500), Some(125000), None, None, None, None], 0b1111),
    Cell::new(Flex, i64::MIN, 272000, 100000, 375000, [Some(10000), Some(125000), Some(250000), None, None, None, None], 0b1111),
    Cell::new(Priority, i64::MIN, 0, 200000, 1000000, [Some(20000), Some(250000), Some(500000), None, None, None, None], 0b1111),
    Cell::new(Priority, i64::MIN, 272000, 400000, 1500000, [Some(40000), Some(500000), Some(1000000), None, None, None, None], 0b1111),
];

static PRICE_38: &[Cell] = &[
    Cell::new(Standard, 1787270400000, 0, 4000000, 20000000, [Some(400000), Some(5000000), Some(10000000), None, None, None, None], 0b1111),
    Cell::new(Standard, 1787270400000, 272000, 8000000, 30000000, [Some(800000), Some(10000000), Some(20000000), None, None, None, None], 0b1111),
    Cell::new(Batch, 1787270400000, 0, 2000000, 10000000, [Some(200000), Some(2500000), Some(5000000), None, None, None, None], 0b1111),
    Cell::new(Batch, 1787270400000, 272000, 4000000, 15000000, [Some(400000), Some(5000000), Some(10000000), None, None, None, None], 0b1111),
    Cell::new(Flex, 1787270400000, 0, 2000000, 10000000, [Some(200000), Some(2500000), Some(5000000), None, None, None, None], 0b1111),
    Cell::new(Flex, 1787270400000, 272000, 4000000, 15000000, [Some(400000), Some(5000000), Some(10000000), None, None, None, None], 0b1111),
    Cell::new(Priority, 1787270400000, 0, 8000000, 40000000, [Some(800000), Some(10000000), Some(20000000), None, None, None, None], 0b1111),
    Cell::new(Priority, 1787270400000, 272000, 16000000, 60000000, [Some(1600000), Some(20000000), Some(40000000), None, None, None, None], 0b1111),
    Cell::new(Standard, i64::MIN, 0, 5000000, 30000000, [Some(500000), Some(6250000), None, None, None, None, None], 0b0),
    Cell::new(Standard, i64::MIN, 272000, 10000000, 45000000, [Some(1000000), Some(12500000), None, None, None, None, None], 0b0),
];

static PRICE_39: &[Cell] = &[
    Cell::new(Standard, 1785369600000, 0, 2000000, 12000000, [Some(200000), Some(2500000), Some(5000000), None, None, None, None], 0b1111),
    Cell::new(Standard, 1785369600000, 272000, 4000000, 18000000, [Some(400000), Some(5000000), Some(10000000), None, None, None, None], 0b1111),
    Cell::new(Batch, 1785369600000, 0, 1000000, 6000000, [Some(100000), Some(1250000), Some(2500000), None, None, None, None], 0b1111),
    Cell::new(Batch, 1785369600000, 272000, 2000000, 9000000, [Some(200000), Some(2500000), Some(5000000), None, None, None, None], 0b1111),
    Cell::new(Flex, 1785369600000, 0, 1000000, 6000000, [Some(100000), Some(1250000), Some(2500000), None, None, None, None], 0b1111),
    Cell::new(Flex, 1785369600000, 272000, 2000000, 9000000, [Some(200000), Some(2500000), Some(5000000), None, None, None, None], 0b1111),
    Cell::new(Priority, 1785369600000, 0, 4000000, 24000000, [Some(400000), Some(5000000), Some(10000000), None, None, None, None], 0b1111),
    Cell::new(Priority, 1785369600000, 272000, 8000000, 36000000, [Some(800000), Some(10000000), Some(20000000), None, None, None, None], 0b1111),
    Cell::new(Standard, i64::MIN, 0, 2500000, 15000000, [Some(250000), Some(3125000), None, None, None, None, None], 0b0),
    Cell::new(Standard, i64::MIN, 272000, 5000000, 22500000, [Some(500000), Some(6250000), None, None, None, None, None], 0b0),
];

static PRICE_40: &[Cell] = &[
    Cell::new(Standard, 1785369600000, 0, 200000, 1200000, [Some(20000), Some(250000), Some(500000), None, None, None, None], 0b1111),
    Cell::new(Standard, 1785369600000, 272000, 400000, 1800000, [Some(40000), Some(500000), Some(1000000), None, None, None, None], 0b1111),
    Cell::new(Batch, 1785369600000, 0, 100000, 600000, [Some(10000), Some(125000), Some(250000), None, None, None, None], 0b1111),
    Cell::new(Batch, 1785369600000, 272000, 200000, 900000, [Some(20000), Some(250000), Some(500000), None, None, None, None], 0b1111),
    Cell::new(Flex, 1785369600000, 0, 100000, 600000, [Some(10000), Some(125000), Some(250000), None, None, None, None], 0b1111),
    Cell::new(Flex, 1785369600000, 272000, 200000, 900000, [Some(20000), Some(250000), Some(500000), None, None, None, None], 0b1111),
    Cell::new(Priority, 1785369600000, 0, 400000, 2400000, [Some(40000), Some(500000), Some(1000000), None, None, None, None], 0b1111),
    Cell::new(Priority, 1785369600000, 272000, 800000, 3600000, [Some(80000), Some(1000000), Some(2000000), None, None, None, None], 0b1111),
    Cell::new(Standard, i64::MIN, 0, 1000000, 6000000, [Some(100000), Some(1250000), None, None, None, None, None], 0b0),
    Cell::new(Standard, i64::MIN, 272000, 2000000, 9000000, [Some(200000), Some(2500000), None, None, None, None, None], 0b0),
];

static PRICE_41: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 12500000, 75000000, [Some(1250000), Some(15625000), Some(31250000), None, None, None, None], 0b1111),
    Cell::new(Standard, i64::MIN, 272000, 25000000, 112500000, [Some(2500000), Some(31250000), None, None, None, None, None], 0b0),
];

static PRICE_42: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 5000000, 30000000, [Some(500000), None, None, None, None, None, None], 0b111),
];

static PRICE_43: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 5000000, 30000000, [Some(500000), None, None, None, None, None, None], 0b111),
    Cell::new(Standard, i64::MIN, 272000, 10000000, 45000000, [Some(1000000), None, None, None, None, None, None], 0b111),
    Cell::new(Batch, i64::MIN, 0, 2500000, 15000000, [Some(250000), None, None, None, None, None, None], 0b111),
    Cell::new(Batch, i64::MIN, 272000, 5000000, 22500000, [Some(500000), None, None, None, None, None, None], 0b111),
    Cell::new(Flex, i64::MIN, 0, 2500000, 15000000, [Some(250000), None, None, None, None, None, None], 0b111),
    Cell::new(Flex, i64::MIN, 272000, 5000000, 22500000, [Some(500000), None, None, None, None, None, None], 0b111),
    Cell::new(Priority, i64::MIN, 0, 12500000, 75000000, [Some(1250000), None, None, None, None, None, None], 0b111),
];

static PRICE_44: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 30000000, 180000000, [None, None, None, None, None, None, None], 0b11),
    Cell::new(Standard, i64::MIN, 272000, 60000000, 270000000, [None, None, None, None, None, None, None], 0b11),
    Cell::new(Batch, i64::MIN, 0, 15000000, 90000000, [None, None, None, None, None, None, None], 0b11),
    Cell::new(Batch, i64::MIN, 272000, 30000000, 135000000, [None, None, None, None, None, None, None], 0b0),
    Cell::new(Flex, i64::MIN, 0, 15000000, 90000000, [None, None, None, None, None, None, None], 0b11),
];

static PRICE_45: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 2500000, 15000000, [Some(250000), None, None, None, None, None, None], 0b111),
    Cell::new(Standard, i64::MIN, 272000, 5000000, 22500000, [Some(500000), None, None, None, None, None, None], 0b111),
    Cell::new(Batch, i64::MIN, 0, 1250000, 7500000, [Some(130000), None, None, None, None, None, None], 0b111),
    Cell::new(Batch, i64::MIN, 272000, 2500000, 11250000, [Some(250000), None, None, None, None, None, None], 0b111),
    Cell::new(Flex, i64::MIN, 0, 1250000, 7500000, [Some(130000), None, None, None, None, None, None], 0b111),
    Cell::new(Flex, i64::MIN, 272000, 2500000, 11250000, [Some(250000), None, None, None, None, None, None], 0b111),
    Cell::new(Priority, i64::MIN, 0, 5000000, 30000000, [Some(500000), None, None, None, None, None, None], 0b111),
];

static PRICE_46: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 30000000, 180000000, [None, None, None, None, None, None, None], 0b11),
    Cell::new(Standard, i64::MIN, 272000, 60000000, 270000000, [None, None, None, None, None, None, None], 0b11),
    Cell::new(Batch, i64::MIN, 0, 15000000, 90000000, [None, None, None, None, None, None, None], 0b11),
    Cell::new(Batch, i64::MIN, 272000, 30000000, 135000000, [None, None, None, None, None, None, None], 0b11),
    Cell::new(Flex, i64::MIN, 0, 15000000, 90000000, [None, None, None, None, None, None, None], 0b11),
    Cell::new(Flex, i64::MIN, 272000, 30000000, 135000000, [None, None, None, None, None, None, None], 0b11),
];

static PRICE_47: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 750000, 4500000, [Some(75000), None, None, None, None, None, None], 0b111),
    Cell::new(Batch, i64::MIN, 0, 375000, 2250000, [Some(37500), None, None, None, None, None, None], 0b111),
    Cell::new(Flex, i64::MIN, 0, 375000, 2250000, [Some(37500), None, None, None, None, None, None], 0b111),
    Cell::new(Priority, i64::MIN, 0, 1500000, 9000000, [Some(150000), None, None, None, None, None, None], 0b111),
];

static PRICE_48: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 200000, 1250000, [Some(20000), None, None, None, None, None, None], 0b111),
    Cell::new(Batch, i64::MIN, 0, 100000, 625000, [Some(10000), None, None, None, None, None, None], 0b111),
    Cell::new(Flex, i64::MIN, 0, 100000, 625000, [Some(10000), None, None, None, None, None, None], 0b111),
];

static PRICE_49: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 15000000, 120000000, [None, None, None, None, None, None, None], 0b11),
    Cell::new(Batch, i64::MIN, 0, 7500000, 60000000, [None, None, None, None, None, None, None], 0b11),
];

static PRICE_50: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 1750000, 14000000, [Some(175000), None, None, None, None, None, None], 0b111),
    Cell::new(Priority, i64::MIN, 0, 3500000, 28000000, [Some(350000), None, None, None, None, None, None], 0b111),
];

static PRICE_51: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 1750000, 14000000, [Some(175000), None, None, None, None, None, None], 0b111),
];

static PRICE_52: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 250000, 2000000, [Some(25000), None, None, None, None, None, None], 0b111),
    Cell::new(Batch, i64::MIN, 0, 125000, 1000000, [Some(12500), None, None, None, None, None, None], 0b111),
    Cell::new(Flex, i64::MIN, 0, 125000, 1000000, [Some(12500), None, None, None, None, None, None], 0b111),
    Cell::new(Priority, i64::MIN, 0, 450000, 3600000, [Some(45000), None, None, None, None, None, None], 0b111),
];

static PRICE_53: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 50000, 400000, [Some(5000), None, None, None, None, None, None], 0b111),
    Cell::new(Batch, i64::MIN, 0, 25000, 200000, [Some(2500), None, None, None, None, None, None], 0b111),
    Cell::new(Flex, i64::MIN, 0, 25000, 200000, [Some(2500), None, None, None, None, None, None], 0b111),
];

static PRICE_54: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 15000000, 60000000, [Some(7500000), None, None, None, None, None, None], 0b111),
    Cell::new(Batch, i64::MIN, 0, 7500000, 30000000, [Some(7500000), None, None, None, None, None, None], 0b11),
];

static PRICE_55: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 150000000, 600000000, [None, None, None, None, None, None, None], 0b11),
    Cell::new(Batch, i64::MIN, 0, 75000000, 300000000, [None, None, None, None, None, None, None], 0b11),
];

static PRICE_56: &[Cell] = &[
    Cell::new(Standard, 1749513600000, 0, 2000000, 8000000, [Some(500000), None, None, None, None, None, None], 0b111),
    Cell::new(Batch, 1749513600000, 0, 1000000, 4000000, [Some(1000000), None, None, None, None, None, None], 0b11),
    Cell::new(Flex, 1749513600000, 0, 1000000, 4000000, [Some(250000), None, None, None, None, None, None], 0b111),
    Cell::new(Priority, 1749513600000, 0, 3500000, 14000000, [Some(875000), None, None, None, None, None, None], 0b111),
    Cell::new(Standard, i64::MIN, 0, 10000000, 40000000, [Some(500000), None, None, None, None, None, None], 0b0),
];

static PRICE_57: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 10000000, 40000000, [Some(2500000), None, None, None, None, None, None], 0b111),
];

static PRICE_58: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 1100000, 4400000, [Some(550000), None, None, None, None, None, None], 0b111),
    Cell::new(Batch, i64::MIN, 0, 550000, 2200000, [Some(550000), None, None, None, None, None, None], 0b11),
];

static PRICE_59: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 20000000, 80000000, [None, None, None, None, None, None, None], 0b11),
    Cell::new(Batch, i64::MIN, 0, 10000000, 40000000, [None, None, None, None, None, None, None], 0b11),
];

static PRICE_60: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 1100000, 4400000, [Some(275000), None, None, None, None, None, None], 0b111),
    Cell::new(Batch, i64::MIN, 0, 550000, 2200000, [Some(550000), None, None, None, None, None, None], 0b11),
    Cell::new(Flex, i64::MIN, 0, 550000, 2200000, [Some(138000), None, None, None, None, None, None], 0b111),
    Cell::new(Priority, i64::MIN, 0, 2000000, 8000000, [Some(500000), None, None, None, None, None, None], 0b111),
];

static PRICE_61: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 2000000, 8000000, [Some(500000), None, None, None, None, None, None], 0b111),
];

static PRICE_62: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 130000, 0, [None, None, None, None, None, None, None], 0b11),
    Cell::new(Batch, i64::MIN, 0, 65000, 0, [None, None, None, None, None, None, None], 0b10),
];

static PRICE_63: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 20000, 0, [None, None, None, None, None, None, None], 0b11),
    Cell::new(Batch, i64::MIN, 0, 10000, 0, [None, None, None, None, None, None, None], 0b10),
];

static PRICE_64: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 100000, 0, [None, None, None, None, None, None, None], 0b11),
];

static PRICE_65: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 100000, 0, [None, None, None, None, None, None, None], 0b11),
    Cell::new(Batch, i64::MIN, 0, 50000, 0, [None, None, None, None, None, None, None], 0b10),
];

static PRICE_66: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 1250000, 10000000, [Some(125000), None, None, None, None, None, None], 0b111),
];

static PRICE_67: &[Cell] = &[
    Cell::new(Standard, 1792368000000, 0, 12500000, 75000000, [Some(1250000), None, None, None, None, None, None], 0b111),
    Cell::new(Standard, i64::MIN, 0, 12500000, 75000000, [None, None, None, None, None, None, None], 0b0),
];

static PRICE_68: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 5000000, 25000000, [Some(500000), None, None, None, None, None, None], 0b111),
];

static PRICE_69: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 2000000, 10000000, [Some(100000), Some(2500000), Some(5000000), None, None, None, None], 0b1111),
    Cell::new(Standard, i64::MIN, 272000, 4000000, 15000000, [Some(200000), Some(5000000), Some(10000000), None, None, None, None], 0b1111),
    Cell::new(Batch, i64::MIN, 0, 1000000, 5000000, [Some(50000), Some(1250000), Some(2500000), None, None, None, None], 0b1111),
    Cell::new(Batch, i64::MIN, 272000, 2000000, 7500000, [Some(100000), Some(2500000), Some(5000000), None, None, None, None], 0b1111),
    Cell::new(Flex, i64::MIN, 0, 1000000, 5000000, [Some(50000), Some(1250000), Some(2500000), None, None, None, None], 0b1111),
    Cell::new(Flex, i64::MIN, 272000, 2000000, 7500000, [Some(100000), Some(2500000), Some(5000000), None, None, None, None], 0b1111),
    Cell::new(Priority, i64::MIN, 0, 4000000, 20000000, [Some(200000), Some(5000000), Some(10000000), None, None, None, None], 0b1111),
    Cell::new(Priority, i64::MIN, 272000, 8000000, 30000000, [Some(400000), Some(10000000), Some(20000000), None, None, None, None], 0b1111),
];

static PRICE_70: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 1000000, 5000000, [Some(50000), Some(1250000), Some(2500000), None, None, None, None], 0b1111),
    Cell::new(Standard, i64::MIN, 272000, 2000000, 7500000, [Some(100000), Some(2500000), Some(5000000), None, None, None, None], 0b1111),
    Cell::new(Batch, i64::MIN, 0, 500000, 2500000, [Some(25000), Some(625000), Some(1250000), None, None, None, None], 0b1111),
    Cell::new(Batch, i64::MIN, 272000, 1000000, 3750000, [Some(50000), Some(1250000), Some(2500000), None, None, None, None], 0b1111),
    Cell::new(Flex, i64::MIN, 0, 500000, 2500000, [Some(25000), Some(625000), Some(1250000), None, None, None, None], 0b1111),
    Cell::new(Flex, i64::MIN, 272000, 1000000, 3750000, [Some(50000), Some(1250000), Some(2500000), None, None, None, None], 0b1111),
    Cell::new(Priority, i64::MIN, 0, 2000000, 10000000, [Some(100000), Some(2500000), Some(5000000), None, None, None, None], 0b1111),
    Cell::new(Priority, i64::MIN, 272000, 4000000, 15000000, [Some(200000), Some(5000000), Some(10000000), None, None, None, None], 0b1111),
];

static FEES_0: Fees = Fees::new([None, Some(Fee::new(2500000000, 2500000000, false)), Some(Fee::new(0, 30000000000, false)), None]);
static FEES_1: Fees = Fees::new([Some(Fee::new(10000000000, 10000000000, true)), Some(Fee::new(2500000000, 2500000000, false)), Some(Fee::new(0, 30000000000, false)), None]);
static FEES_2: Fees = Fees::new([Some(Fee::new(10000000000, 25000000000, false)), Some(Fee::new(2500000000, 2500000000, false)), Some(Fee::new(0, 30000000000, false)), None]);
static FEES_3: Fees = Fees::new([Some(Fee::new(10000000000, 10000000000, false)), Some(Fee::new(2500000000, 2500000000, false)), Some(Fee::new(0, 30000000000, false)), None]);
static FEES_4: Fees = Fees::new([None, Some(Fee::new(2500000000, 2500000000, false)), Some(Fee::new(0, 30000000000, false)), Some(Fee::new(10000000000, 10000000000, false))]);
static FEES_5: Fees = Fees::new([None, Some(Fee::new(2500000000, 2500000000, false)), Some(Fee::new(0, 30000000000, false)), Some(Fee::new(25000000000, 25000000000, false))]);
static FEES_6: Fees = Fees::new([None, Some(Fee::new(2500000000, 2500000000, false)), Some(Fee::new(0, 30000000000, false)), Some(Fee::new(10000000000, 25000000000, false))]);
