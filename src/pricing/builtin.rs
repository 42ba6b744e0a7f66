//! OpenAI's prices. Generated from `openai.toml` by `tests/price_table.rs`; not edited by hand.

use super::price::Cell;
use crate::lane::Lane::{Batch, Flex, Priority, Standard};

pub(super) const REVISION: &str = "openai-2026-11-24-84e1eb0f";

pub(super) static MODELS: super::Table = &[
    ("chat-latest", PRICE_42),
    ("computer-use-preview", PRICE_0),
    ("computer-use-preview-2025-03-11", PRICE_0),
    ("ft:gpt-3.5-turbo", PRICE_1),
    ("ft:gpt-3.5-turbo-0125", PRICE_2),
    ("ft:gpt-3.5-turbo-0613", PRICE_2),
    ("ft:gpt-3.5-turbo-1106", PRICE_2),
    ("ft:gpt-4.1", PRICE_5),
    ("ft:gpt-4.1-2025-04-14", PRICE_5),
    ("ft:gpt-4.1-mini", PRICE_6),
    ("ft:gpt-4.1-mini-2025-04-14", PRICE_6),
    ("ft:gpt-4.1-nano", PRICE_7),
    ("ft:gpt-4.1-nano-2025-04-14", PRICE_7),
    ("ft:gpt-4o", PRICE_3),
    ("ft:gpt-4o-2024-08-06", PRICE_3),
    ("ft:gpt-4o-2024-11-20", PRICE_3),
    ("ft:gpt-4o-mini", PRICE_4),
    ("ft:gpt-4o-mini-2024-07-18", PRICE_4),
    ("ft:o4-mini", PRICE_8),
    ("ft:o4-mini-2025-04-16", PRICE_8),
    ("gpt-3.5-turbo", PRICE_9),
    ("gpt-3.5-turbo-0125", PRICE_10),
    ("gpt-3.5-turbo-1106", PRICE_11),
    ("gpt-3.5-turbo-16k", PRICE_12),
    ("gpt-4", PRICE_13),
    ("gpt-4-0613", PRICE_14),
    ("gpt-4-1106-preview", PRICE_15),
    ("gpt-4-turbo", PRICE_15),
    ("gpt-4-turbo-2024-04-09", PRICE_16),
    ("gpt-4.1", PRICE_17),
    ("gpt-4.1-2025-04-14", PRICE_17),
    ("gpt-4.1-mini", PRICE_18),
    ("gpt-4.1-mini-2025-04-14", PRICE_18),
    ("gpt-4.1-nano", PRICE_19),
    ("gpt-4.1-nano-2025-04-14", PRICE_19),
    ("gpt-4o", PRICE_20),
    ("gpt-4o-2024-05-13", PRICE_21),
    ("gpt-4o-2024-08-06", PRICE_20),
    ("gpt-4o-2024-11-20", PRICE_20),
    ("gpt-4o-audio-preview-2024-12-17", PRICE_22),
    ("gpt-4o-audio-preview-2025-06-03", PRICE_22),
    ("gpt-4o-mini", PRICE_25),
    ("gpt-4o-mini-2024-07-18", PRICE_25),
    ("gpt-4o-mini-audio-preview-2024-12-17", PRICE_26),
    ("gpt-4o-mini-search-preview", PRICE_27),
    ("gpt-4o-mini-search-preview-2025-03-11", PRICE_27),
    ("gpt-4o-search-preview", PRICE_28),
    ("gpt-4o-search-preview-2025-03-11", PRICE_28),
    ("gpt-5", PRICE_29),
    ("gpt-5-2025-08-07", PRICE_29),
    ("gpt-5-chat", PRICE_30),
    ("gpt-5-chat-latest", PRICE_30),
    ("gpt-5-codex", PRICE_30),
    ("gpt-5-mini", PRICE_52),
    ("gpt-5-mini-2025-08-07", PRICE_52),
    ("gpt-5-nano", PRICE_53),
    ("gpt-5-nano-2025-08-07", PRICE_53),
    ("gpt-5-pro", PRICE_49),
    ("gpt-5-pro-2025-10-06", PRICE_49),
    ("gpt-5-search-api", PRICE_65),
    ("gpt-5.1", PRICE_29),
    ("gpt-5.1-2025-11-13", PRICE_29),
    ("gpt-5.1-chat-latest", PRICE_30),
    ("gpt-5.1-codex", PRICE_30),
    ("gpt-5.1-codex-max", PRICE_30),
    ("gpt-5.1-codex-mini", PRICE_31),
    ("gpt-5.2", PRICE_32),
    ("gpt-5.2-2025-12-11", PRICE_32),
    ("gpt-5.2-chat-latest", PRICE_33),
    ("gpt-5.2-codex", PRICE_33),
    ("gpt-5.2-pro", PRICE_34),
    ("gpt-5.2-pro-2025-12-11", PRICE_34),
    ("gpt-5.3-chat-latest", PRICE_51),
    ("gpt-5.3-codex", PRICE_50),
    ("gpt-5.4", PRICE_45),
    ("gpt-5.4-2026-03-05", PRICE_45),
    ("gpt-5.4-mini", PRICE_47),
    ("gpt-5.4-mini-2026-03-17", PRICE_47),
    ("gpt-5.4-nano", PRICE_48),
    ("gpt-5.4-nano-2026-03-17", PRICE_48),
    ("gpt-5.4-pro", PRICE_46),
    ("gpt-5.4-pro-2026-03-05", PRICE_46),
    ("gpt-5.5", PRICE_43),
    ("gpt-5.5-2026-04-23", PRICE_43),
    ("gpt-5.5-cyber", PRICE_66),
    ("gpt-5.5-pro", PRICE_44),
    ("gpt-5.5-pro-2026-04-23", PRICE_44),
    ("gpt-5.6", PRICE_38),
    ("gpt-5.6-cyber", PRICE_41),
    ("gpt-5.6-luna", PRICE_40),
    ("gpt-5.6-sol", PRICE_38),
    ("gpt-5.6-terra", PRICE_39),
    ("gpt-6-astra", PRICE_35),
    ("gpt-6-luna", PRICE_37),
    ("gpt-6-sol", PRICE_36),
    ("gpt-6.1-sol", PRICE_68),
    ("gpt-6.1-terra", PRICE_69),
    ("gpt-audio", PRICE_23),
    ("gpt-audio-1.5", PRICE_23),
    ("gpt-audio-2025-08-28", PRICE_23),
    ("gpt-audio-mini", PRICE_24),
    ("gpt-audio-mini-2025-10-06", PRICE_24),
    ("gpt-audio-mini-2025-12-15", PRICE_24),
    ("gpt-rosalind-discovery", PRICE_67),
    ("gpt-rosalind-research", PRICE_67),
    ("o1", PRICE_54),
    ("o1-2024-12-17", PRICE_54),
    ("o1-pro", PRICE_55),
    ("o1-pro-2025-03-19", PRICE_55),
    ("o3", PRICE_56),
    ("o3-2025-04-16", PRICE_56),
    ("o3-deep-research", PRICE_57),
    ("o3-deep-research-2025-06-26", PRICE_57),
    ("o3-mini", PRICE_58),
    ("o3-mini-2025-01-31", PRICE_58),
    ("o3-pro", PRICE_59),
    ("o3-pro-2025-06-10", PRICE_59),
    ("o4-mini", PRICE_60),
    ("o4-mini-2025-04-16", PRICE_60),
    ("o4-mini-deep-research", PRICE_61),
    ("o4-mini-deep-research-2025-06-26", PRICE_61),
    ("text-embedding-3-large", PRICE_62),
    ("text-embedding-3-small", PRICE_63),
    ("text-embedding-ada-002", PRICE_64),
];

static PRICE_0: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 3000000, 12000000, [None, None, None, None], 0b11),
];

static PRICE_1: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 3000000, 6000000, [None, None, None, None], 0b11),
    Cell::new(Batch, i64::MIN, 0, 1500000, 3000000, [None, None, None, None], 0b11),
];

static PRICE_2: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 3000000, 6000000, [None, None, None, None], 0b11),
    Cell::new(Batch, i64::MIN, 0, 1500000, 3000000, [None, None, None, None], 0b0),
];

static PRICE_3: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 3750000, 15000000, [Some(1875000), None, None, None], 0b11),
];

static PRICE_4: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 300000, 1200000, [Some(150000), None, None, None], 0b11),
    Cell::new(Batch, i64::MIN, 0, 150000, 600000, [Some(75000), None, None, None], 0b11),
];

static PRICE_5: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 3000000, 12000000, [Some(750000), None, None, None], 0b0),
    Cell::new(Batch, i64::MIN, 0, 1500000, 6000000, [Some(500000), None, None, None], 0b0),
];

static PRICE_6: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 800000, 3200000, [Some(200000), None, None, None], 0b0),
    Cell::new(Batch, i64::MIN, 0, 400000, 1600000, [Some(100000), None, None, None], 0b0),
];

static PRICE_7: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 200000, 800000, [Some(50000), None, None, None], 0b0),
    Cell::new(Batch, i64::MIN, 0, 100000, 400000, [Some(25000), None, None, None], 0b0),
];

static PRICE_8: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 4000000, 16000000, [Some(1000000), None, None, None], 0b0),
    Cell::new(Batch, i64::MIN, 0, 2000000, 8000000, [Some(500000), None, None, None], 0b0),
];

static PRICE_9: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 500000, 1500000, [None, None, None, None], 0b11),
    Cell::new(Batch, i64::MIN, 0, 250000, 750000, [None, None, None, None], 0b0),
];

static PRICE_10: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 500000, 1500000, [None, None, None, None], 0b11),
    Cell::new(Batch, i64::MIN, 0, 250000, 750000, [None, None, None, None], 0b11),
];

static PRICE_11: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 1000000, 2000000, [None, None, None, None], 0b11),
    Cell::new(Batch, i64::MIN, 0, 1000000, 2000000, [None, None, None, None], 0b0),
];

static PRICE_12: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 3000000, 4000000, [None, None, None, None], 0b11),
];

static PRICE_13: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 30000000, 60000000, [None, None, None, None], 0b11),
    Cell::new(Batch, i64::MIN, 0, 15000000, 30000000, [None, None, None, None], 0b0),
];

static PRICE_14: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 30000000, 60000000, [None, None, None, None], 0b11),
    Cell::new(Batch, i64::MIN, 0, 15000000, 30000000, [None, None, None, None], 0b11),
];

static PRICE_15: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 10000000, 30000000, [None, None, None, None], 0b11),
    Cell::new(Batch, i64::MIN, 0, 5000000, 15000000, [None, None, None, None], 0b0),
];

static PRICE_16: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 10000000, 30000000, [None, None, None, None], 0b11),
    Cell::new(Batch, i64::MIN, 0, 5000000, 15000000, [None, None, None, None], 0b11),
];

static PRICE_17: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 2000000, 8000000, [Some(500000), None, None, None], 0b111),
    Cell::new(Batch, i64::MIN, 0, 1000000, 4000000, [Some(1000000), None, None, None], 0b11),
    Cell::new(Priority, i64::MIN, 0, 3500000, 14000000, [Some(875000), None, None, None], 0b111),
];

static PRICE_18: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 400000, 1600000, [Some(100000), None, None, None], 0b111),
    Cell::new(Batch, i64::MIN, 0, 200000, 800000, [Some(200000), None, None, None], 0b11),
    Cell::new(Priority, i64::MIN, 0, 700000, 2800000, [Some(175000), None, None, None], 0b111),
];

static PRICE_19: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 100000, 400000, [Some(25000), None, None, None], 0b111),
    Cell::new(Batch, i64::MIN, 0, 50000, 200000, [Some(50000), None, None, None], 0b11),
    Cell::new(Priority, i64::MIN, 0, 200000, 800000, [Some(50000), None, None, None], 0b111),
];

static PRICE_20: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 2500000, 10000000, [Some(1250000), None, None, None], 0b111),
    Cell::new(Batch, i64::MIN, 0, 1250000, 5000000, [Some(1250000), None, None, None], 0b11),
    Cell::new(Priority, i64::MIN, 0, 4250000, 17000000, [Some(2125000), None, None, None], 0b111),
];

static PRICE_21: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 5000000, 15000000, [None, None, None, None], 0b11),
    Cell::new(Batch, i64::MIN, 0, 2500000, 7500000, [None, None, None, None], 0b11),
    Cell::new(Priority, i64::MIN, 0, 8750000, 26250000, [None, None, None, None], 0b11),
];

static PRICE_22: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 2500000, 10000000, [None, None, Some(40000000), Some(80000000)], 0b11),
];

static PRICE_23: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 2500000, 10000000, [None, None, Some(32000000), Some(64000000)], 0b110011),
];

static PRICE_24: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 600000, 2400000, [None, None, Some(10000000), Some(20000000)], 0b110011),
];

static PRICE_25: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 150000, 600000, [Some(75000), None, None, None], 0b111),
    Cell::new(Batch, i64::MIN, 0, 75000, 300000, [Some(75000), None, None, None], 0b11),
    Cell::new(Priority, i64::MIN, 0, 250000, 1000000, [Some(125000), None, None, None], 0b111),
];

static PRICE_26: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 150000, 600000, [None, None, Some(10000000), Some(20000000)], 0b11),
];

static PRICE_27: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 150000, 600000, [Some(75000), None, None, None], 0b111),
    Cell::new(Batch, i64::MIN, 0, 75000, 300000, [Some(75000), None, None, None], 0b11),
    Cell::new(Priority, i64::MIN, 0, 250000, 1000000, [Some(125000), None, None, None], 0b0),
];

static PRICE_28: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 2500000, 10000000, [Some(1250000), None, None, None], 0b11),
    Cell::new(Batch, i64::MIN, 0, 1250000, 5000000, [Some(1250000), None, None, None], 0b0),
];

static PRICE_29: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 1250000, 10000000, [Some(125000), None, None, None], 0b111),
    Cell::new(Batch, i64::MIN, 0, 625000, 5000000, [Some(62500), None, None, None], 0b111),
    Cell::new(Flex, i64::MIN, 0, 625000, 5000000, [Some(62500), None, None, None], 0b111),
    Cell::new(Priority, i64::MIN, 0, 2500000, 20000000, [Some(250000), None, None, None], 0b111),
];

static PRICE_30: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 1250000, 10000000, [Some(125000), None, None, None], 0b111),
    Cell::new(Batch, i64::MIN, 0, 625000, 5000000, [Some(625000), None, None, None], 0b0),
    Cell::new(Flex, i64::MIN, 0, 625000, 5000000, [Some(62500), None, None, None], 0b0),
    Cell::new(Priority, i64::MIN, 0, 2500000, 20000000, [Some(250000), None, None, None], 0b0),
];

static PRICE_31: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 250000, 2000000, [Some(25000), None, None, None], 0b111),
];

static PRICE_32: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 1750000, 14000000, [Some(175000), None, None, None], 0b111),
    Cell::new(Batch, i64::MIN, 0, 875000, 7000000, [Some(87500), None, None, None], 0b111),
    Cell::new(Flex, i64::MIN, 0, 875000, 7000000, [Some(87500), None, None, None], 0b111),
    Cell::new(Priority, i64::MIN, 0, 3500000, 28000000, [Some(350000), None, None, None], 0b111),
];

static PRICE_33: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 1750000, 14000000, [Some(175000), None, None, None], 0b111),
    Cell::new(Batch, i64::MIN, 0, 875000, 7000000, [Some(875000), None, None, None], 0b0),
    Cell::new(Flex, i64::MIN, 0, 875000, 7000000, [Some(87500), None, None, None], 0b0),
    Cell::new(Priority, i64::MIN, 0, 3500000, 28000000, [Some(350000), None, None, None], 0b0),
];

static PRICE_34: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 21000000, 168000000, [None, None, None, None], 0b11),
    Cell::new(Batch, i64::MIN, 0, 10500000, 84000000, [None, None, None, None], 0b11),
];

static PRICE_35: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 10000000, 50000000, [Some(1000000), Some(12500000), None, None], 0b1111),
    Cell::new(Standard, i64::MIN, 272000, 20000000, 75000000, [Some(2000000), Some(25000000), None, None], 0b1111),
    Cell::new(Batch, i64::MIN, 0, 5000000, 25000000, [Some(500000), Some(6250000), None, None], 0b1111),
    Cell::new(Batch, i64::MIN, 272000, 10000000, 37500000, [Some(1000000), Some(12500000), None, None], 0b1111),
    Cell::new(Flex, i64::MIN, 0, 5000000, 25000000, [Some(500000), Some(6250000), None, None], 0b1111),
    Cell::new(Flex, i64::MIN, 272000, 10000000, 37500000, [Some(1000000), Some(12500000), None, None], 0b1111),
    Cell::new(Priority, i64::MIN, 0, 20000000, 100000000, [Some(2000000), Some(25000000), None, None], 0b1111),
    Cell::new(Priority, i64::MIN, 272000, 40000000, 150000000, [Some(4000000), Some(50000000), None, None], 0b1111),
];

static PRICE_36: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 2000000, 10000000, [Some(200000), Some(2500000), None, None], 0b1111),
    Cell::new(Standard, i64::MIN, 272000, 4000000, 15000000, [Some(400000), Some(5000000), None, None], 0b1111),
    Cell::new(Batch, i64::MIN, 0, 1000000, 5000000, [Some(100000), Some(1250000), None, None], 0b1111),
    Cell::new(Batch, i64::MIN, 272000, 2000000, 7500000, [Some(200000), Some(2500000), None, None], 0b1111),
    Cell::new(Flex, i64::MIN, 0, 1000000, 5000000, [Some(100000), Some(1250000), None, None], 0b1111),
    Cell::new(Flex, i64::MIN, 272000, 2000000, 7500000, [Some(200000), Some(2500000), None, None], 0b1111),
    Cell::new(Priority, i64::MIN, 0, 4000000, 20000000, [Some(400000), Some(5000000), None, None], 0b1111),
    Cell::new(Priority, i64::MIN, 272000, 8000000, 30000000, [Some(800000), Some(10000000), None, None], 0b1111),
];

static PRICE_37: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 100000, 500000, [Some(10000), Some(125000), None, None], 0b1111),
    Cell::new(Standard, i64::MIN, 272000, 200000, 750000, [Some(20000), Some(250000), None, None], 0b1111),
    Cell::new(Batch, i64::MIN, 0, 50000, 250000, [Some(5000), Some(62500), None, None], 0b1111),
    Cell::new(Batch, i64::MIN, 272000, 100000, 375000, [Some(10000), Some(125000), None, None], 0b1111),
    Cell::new(Flex, i64::MIN, 0, 50000, 250000, [Some(5000), Some(62500), None, None], 0b1111),
    Cell::new(Flex, i64::MIN, 272000, 100000, 375000, [Some(10000), Some(125000), None, None], 0b1111),
    Cell::new(Priority, i64::MIN, 0, 200000, 1000000, [Some(20000), Some(250000), None, None], 0b1111),
    Cell::new(Priority, i64::MIN, 272000, 400000, 1500000, [Some(40000), Some(500000), None, None], 0b1111),
];

static PRICE_38: &[Cell] = &[
    Cell::new(Standard, 1787270400000, 0, 4000000, 20000000, [Some(400000), Some(5000000), None, None], 0b1111),
    Cell::new(Standard, 1787270400000, 272000, 8000000, 30000000, [Some(800000), Some(10000000), None, None], 0b1111),
    Cell::new(Batch, 1787270400000, 0, 2000000, 10000000, [Some(200000), Some(2500000), None, None], 0b1111),
    Cell::new(Batch, 1787270400000, 272000, 4000000, 15000000, [Some(400000), Some(5000000), None, None], 0b1111),
    Cell::new(Flex, 1787270400000, 0, 2000000, 10000000, [Some(200000), Some(2500000), None, None], 0b1111),
    Cell::new(Flex, 1787270400000, 272000, 4000000, 15000000, [Some(400000), Some(5000000), None, None], 0b1111),
    Cell::new(Priority, 1787270400000, 0, 8000000, 40000000, [Some(800000), Some(10000000), None, None], 0b1111),
    Cell::new(Priority, 1787270400000, 272000, 16000000, 60000000, [Some(1600000), Some(20000000), None, None], 0b1111),
    Cell::new(Standard, i64::MIN, 0, 5000000, 30000000, [Some(500000), Some(6250000), None, None], 0b0),
    Cell::new(Standard, i64::MIN, 272000, 10000000, 45000000, [Some(1000000), Some(12500000), None, None], 0b0),
];

static PRICE_39: &[Cell] = &[
    Cell::new(Standard, 1785369600000, 0, 2000000, 12000000, [Some(200000), Some(2500000), None, None], 0b1111),
    Cell::new(Standard, 1785369600000, 272000, 4000000, 18000000, [Some(400000), Some(5000000), None, None], 0b1111),
    Cell::new(Batch, 1785369600000, 0, 1000000, 6000000, [Some(100000), Some(1250000), None, None], 0b1111),
    Cell::new(Batch, 1785369600000, 272000, 2000000, 9000000, [Some(200000), Some(2500000), None, None], 0b1111),
    Cell::new(Flex, 1785369600000, 0, 1000000, 6000000, [Some(100000), Some(1250000), None, None], 0b1111),
    Cell::new(Flex, 1785369600000, 272000, 2000000, 9000000, [Some(200000), Some(2500000), None, None], 0b1111),
    Cell::new(Priority, 1785369600000, 0, 4000000, 24000000, [Some(400000), Some(5000000), None, None], 0b1111),
    Cell::new(Priority, 1785369600000, 272000, 8000000, 36000000, [Some(800000), Some(10000000), None, None], 0b1111),
    Cell::new(Standard, i64::MIN, 0, 2500000, 15000000, [Some(250000), Some(3125000), None, None], 0b0),
    Cell::new(Standard, i64::MIN, 272000, 5000000, 22500000, [Some(500000), Some(6250000), None, None], 0b0),
];

static PRICE_40: &[Cell] = &[
    Cell::new(Standard, 1785369600000, 0, 200000, 1200000, [Some(20000), Some(250000), None, None], 0b1111),
    Cell::new(Standard, 1785369600000, 272000, 400000, 1800000, [Some(40000), Some(500000), None, None], 0b1111),
    Cell::new(Batch, 1785369600000, 0, 100000, 600000, [Some(10000), Some(125000), None, None], 0b1111),
    Cell::new(Batch, 1785369600000, 272000, 200000, 900000, [Some(20000), Some(250000), None, None], 0b1111),
    Cell::new(Flex, 1785369600000, 0, 100000, 600000, [Some(10000), Some(125000), None, None], 0b1111),
    Cell::new(Flex, 1785369600000, 272000, 200000, 900000, [Some(20000), Some(250000), None, None], 0b1111),
    Cell::new(Priority, 1785369600000, 0, 400000, 2400000, [Some(40000), Some(500000), None, None], 0b1111),
    Cell::new(Priority, 1785369600000, 272000, 800000, 3600000, [Some(80000), Some(1000000), None, None], 0b1111),
    Cell::new(Standard, i64::MIN, 0, 1000000, 6000000, [Some(100000), Some(1250000), None, None], 0b0),
    Cell::new(Standard, i64::MIN, 272000, 2000000, 9000000, [Some(200000), Some(2500000), None, None], 0b0),
];

static PRICE_41: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 12500000, 75000000, [Some(1250000), Some(15625000), None, None], 0b1111),
    Cell::new(Standard, i64::MIN, 272000, 25000000, 112500000, [Some(2500000), Some(31250000), None, None], 0b0),
];

static PRICE_42: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 5000000, 30000000, [Some(500000), None, None, None], 0b111),
];

static PRICE_43: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 5000000, 30000000, [Some(500000), None, None, None], 0b111),
    Cell::new(Standard, i64::MIN, 272000, 10000000, 45000000, [Some(1000000), None, None, None], 0b111),
    Cell::new(Batch, i64::MIN, 0, 2500000, 15000000, [Some(250000), None, None, None], 0b111),
    Cell::new(Batch, i64::MIN, 272000, 5000000, 22500000, [Some(500000), None, None, None], 0b111),
    Cell::new(Flex, i64::MIN, 0, 2500000, 15000000, [Some(250000), None, None, None], 0b111),
    Cell::new(Flex, i64::MIN, 272000, 5000000, 22500000, [Some(500000), None, None, None], 0b111),
    Cell::new(Priority, i64::MIN, 0, 12500000, 75000000, [Some(1250000), None, None, None], 0b111),
];

static PRICE_44: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 30000000, 180000000, [None, None, None, None], 0b11),
    Cell::new(Standard, i64::MIN, 272000, 60000000, 270000000, [None, None, None, None], 0b11),
    Cell::new(Batch, i64::MIN, 0, 15000000, 90000000, [None, None, None, None], 0b11),
    Cell::new(Batch, i64::MIN, 272000, 30000000, 135000000, [None, None, None, None], 0b0),
    Cell::new(Flex, i64::MIN, 0, 15000000, 90000000, [None, None, None, None], 0b11),
];

static PRICE_45: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 2500000, 15000000, [Some(250000), None, None, None], 0b111),
    Cell::new(Standard, i64::MIN, 272000, 5000000, 22500000, [Some(500000), None, None, None], 0b111),
    Cell::new(Batch, i64::MIN, 0, 1250000, 7500000, [Some(130000), None, None, None], 0b111),
    Cell::new(Batch, i64::MIN, 272000, 2500000, 11250000, [Some(250000), None, None, None], 0b111),
    Cell::new(Flex, i64::MIN, 0, 1250000, 7500000, [Some(130000), None, None, None], 0b111),
    Cell::new(Flex, i64::MIN, 272000, 2500000, 11250000, [Some(250000), None, None, None], 0b111),
    Cell::new(Priority, i64::MIN, 0, 5000000, 30000000, [Some(500000), None, None, None], 0b111),
];

static PRICE_46: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 30000000, 180000000, [None, None, None, None], 0b11),
    Cell::new(Standard, i64::MIN, 272000, 60000000, 270000000, [None, None, None, None], 0b11),
    Cell::new(Batch, i64::MIN, 0, 15000000, 90000000, [None, None, None, None], 0b11),
    Cell::new(Batch, i64::MIN, 272000, 30000000, 135000000, [None, None, None, None], 0b11),
    Cell::new(Flex, i64::MIN, 0, 15000000, 90000000, [None, None, None, None], 0b11),
    Cell::new(Flex, i64::MIN, 272000, 30000000, 135000000, [None, None, None, None], 0b11),
];

static PRICE_47: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 750000, 4500000, [Some(75000), None, None, None], 0b111),
    Cell::new(Batch, i64::MIN, 0, 375000, 2250000, [Some(37500), None, None, None], 0b111),
    Cell::new(Flex, i64::MIN, 0, 375000, 2250000, [Some(37500), None, None, None], 0b111),
    Cell::new(Priority, i64::MIN, 0, 1500000, 9000000, [Some(150000), None, None, None], 0b111),
];

static PRICE_48: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 200000, 1250000, [Some(20000), None, None, None], 0b111),
    Cell::new(Batch, i64::MIN, 0, 100000, 625000, [Some(10000), None, None, None], 0b111),
    Cell::new(Flex, i64::MIN, 0, 100000, 625000, [Some(10000), None, None, None], 0b111),
];

static PRICE_49: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 15000000, 120000000, [None, None, None, None], 0b11),
    Cell::new(Batch, i64::MIN, 0, 7500000, 60000000, [None, None, None, None], 0b11),
];

static PRICE_50: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 1750000, 14000000, [Some(175000), None, None, None], 0b111),
    Cell::new(Priority, i64::MIN, 0, 3500000, 28000000, [Some(350000), None, None, None], 0b111),
];

static PRICE_51: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 1750000, 14000000, [Some(175000), None, None, None], 0b111),
];

static PRICE_52: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 250000, 2000000, [Some(25000), None, None, None], 0b111),
    Cell::new(Batch, i64::MIN, 0, 125000, 1000000, [Some(12500), None, None, None], 0b111),
    Cell::new(Flex, i64::MIN, 0, 125000, 1000000, [Some(12500), None, None, None], 0b111),
    Cell::new(Priority, i64::MIN, 0, 450000, 3600000, [Some(45000), None, None, None], 0b111),
];

static PRICE_53: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 50000, 400000, [Some(5000), None, None, None], 0b111),
    Cell::new(Batch, i64::MIN, 0, 25000, 200000, [Some(2500), None, None, None], 0b111),
    Cell::new(Flex, i64::MIN, 0, 25000, 200000, [Some(2500), None, None, None], 0b111),
];

static PRICE_54: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 15000000, 60000000, [Some(7500000), None, None, None], 0b111),
    Cell::new(Batch, i64::MIN, 0, 7500000, 30000000, [Some(7500000), None, None, None], 0b11),
];

static PRICE_55: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 150000000, 600000000, [None, None, None, None], 0b11),
    Cell::new(Batch, i64::MIN, 0, 75000000, 300000000, [None, None, None, None], 0b11),
];

static PRICE_56: &[Cell] = &[
    Cell::new(Standard, 1749513600000, 0, 2000000, 8000000, [Some(500000), None, None, None], 0b111),
    Cell::new(Batch, 1749513600000, 0, 1000000, 4000000, [Some(1000000), None, None, None], 0b11),
    Cell::new(Flex, 1749513600000, 0, 1000000, 4000000, [Some(250000), None, None, None], 0b111),
    Cell::new(Priority, 1749513600000, 0, 3500000, 14000000, [Some(875000), None, None, None], 0b111),
    Cell::new(Standard, i64::MIN, 0, 10000000, 40000000, [Some(500000), None, None, None], 0b0),
];

static PRICE_57: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 10000000, 40000000, [Some(2500000), None, None, None], 0b111),
];

static PRICE_58: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 1100000, 4400000, [Some(550000), None, None, None], 0b111),
    Cell::new(Batch, i64::MIN, 0, 550000, 2200000, [Some(550000), None, None, None], 0b11),
];

static PRICE_59: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 20000000, 80000000, [None, None, None, None], 0b11),
    Cell::new(Batch, i64::MIN, 0, 10000000, 40000000, [None, None, None, None], 0b11),
];

static PRICE_60: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 1100000, 4400000, [Some(275000), None, None, None], 0b111),
    Cell::new(Batch, i64::MIN, 0, 550000, 2200000, [Some(550000), None, None, None], 0b11),
    Cell::new(Flex, i64::MIN, 0, 550000, 2200000, [Some(138000), None, None, None], 0b111),
    Cell::new(Priority, i64::MIN, 0, 2000000, 8000000, [Some(500000), None, None, None], 0b111),
];

static PRICE_61: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 2000000, 8000000, [Some(500000), None, None, None], 0b111),
];

static PRICE_62: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 130000, 0, [None, None, None, None], 0b11),
    Cell::new(Batch, i64::MIN, 0, 65000, 0, [None, None, None, None], 0b10),
];

static PRICE_63: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 20000, 0, [None, None, None, None], 0b11),
    Cell::new(Batch, i64::MIN, 0, 10000, 0, [None, None, None, None], 0b10),
];

static PRICE_64: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 100000, 0, [None, None, None, None], 0b11),
];

static PRICE_65: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 1250000, 10000000, [Some(125000), None, None, None], 0b111),
];

static PRICE_66: &[Cell] = &[
    Cell::new(Standard, 1792368000000, 0, 12500000, 75000000, [Some(1250000), None, None, None], 0b111),
    Cell::new(Standard, i64::MIN, 0, 12500000, 75000000, [None, None, None, None], 0b0),
];

static PRICE_67: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 5000000, 25000000, [Some(500000), None, None, None], 0b111),
];

static PRICE_68: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 2000000, 10000000, [Some(100000), Some(2500000), None, None], 0b1111),
    Cell::new(Standard, i64::MIN, 272000, 4000000, 15000000, [Some(200000), Some(5000000), None, None], 0b1111),
    Cell::new(Batch, i64::MIN, 0, 1000000, 5000000, [Some(50000), Some(1250000), None, None], 0b1111),
    Cell::new(Batch, i64::MIN, 272000, 2000000, 7500000, [Some(100000), Some(2500000), None, None], 0b1111),
    Cell::new(Flex, i64::MIN, 0, 1000000, 5000000, [Some(50000), Some(1250000), None, None], 0b1111),
    Cell::new(Flex, i64::MIN, 272000, 2000000, 7500000, [Some(100000), Some(2500000), None, None], 0b1111),
    Cell::new(Priority, i64::MIN, 0, 4000000, 20000000, [Some(200000), Some(5000000), None, None], 0b1111),
    Cell::new(Priority, i64::MIN, 272000, 8000000, 30000000, [Some(400000), Some(10000000), None, None], 0b1111),
];

static PRICE_69: &[Cell] = &[
    Cell::new(Standard, i64::MIN, 0, 1000000, 5000000, [Some(50000), Some(1250000), None, None], 0b1111),
    Cell::new(Standard, i64::MIN, 272000, 2000000, 7500000, [Some(100000), Some(2500000), None, None], 0b1111),
    Cell::new(Batch, i64::MIN, 0, 500000, 2500000, [Some(25000), Some(625000), None, None], 0b1111),
    Cell::new(Batch, i64::MIN, 272000, 1000000, 3750000, [Some(50000), Some(1250000), None, None], 0b1111),
    Cell::new(Flex, i64::MIN, 0, 500000, 2500000, [Some(25000), Some(625000), None, None], 0b1111),
    Cell::new(Flex, i64::MIN, 272000, 1000000, 3750000, [Some(50000), Some(1250000), None, None], 0b1111),
    Cell::new(Priority, i64::MIN, 0, 2000000, 10000000, [Some(100000), Some(2500000), None, None], 0b1111),
    Cell::new(Priority, i64::MIN, 272000, 4000000, 15000000, [Some(200000), Some(5000000), None, None], 0b1111),
];
