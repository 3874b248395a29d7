//! Parquet's encoding of small numbers: runs of equal ones, and groups of eight packed bits.
//!
//! Source: <https://parquet.apache.org/docs/file-format/data-pages/encodings/>, "Run Length
//! Encoding / Bit-Packing Hybrid".

/// Numbers that are packed together.
const GROUP: usize = 8;

/// The bits that numbers up to `greatest` need.
pub(super) fn width(greatest: u32) -> u32 {
    u32::BITS - greatest.leading_zeros()
}

/// Appends the numbers, each of at most so many bits.
pub(super) fn encode<N: Copy + Eq + Into<u32>>(numbers: &[N], width: u32, out: &mut Vec<u8>) {
    let mut rest = numbers;
    while let Some(first) = rest.first() {
        let run = rest.iter().take_while(|number| *number == first).count();
        if run >= GROUP {
            push_varint(run << 1, out);
            let bytes = (*first).into().to_le_bytes();
            out.extend(bytes.iter().take(width.div_ceil(8) as usize));
            rest = rest.get(run..).unwrap_or_default();
        } else {
            let (packed, after) = rest.split_at(packed_length(rest));
            push_varint((packed.len().div_ceil(GROUP) << 1) | 1, out);
            for group in packed.chunks(GROUP) {
                pack(group, width, out);
            }
            rest = after;
        }
    }
}

/// How many numbers to pack: whole groups up to the next run, or all that are left.
fn packed_length<N: Copy + Eq>(numbers: &[N]) -> usize {
    let mut length = GROUP;
    while let Some(group) = numbers.get(length..length + GROUP) {
        if group
            .windows(2)
            .all(|pair| matches!(pair, [a, b] if a == b))
        {
            return length;
        }
        length += GROUP;
    }
    numbers.len()
}

/// Packs a group of eight, or fewer and zeros at the end, the first number in the lowest bits.
fn pack<N: Copy + Into<u32>>(group: &[N], width: u32, out: &mut Vec<u8>) {
    let (mut bits, mut held) = (0u64, 0);
    for index in 0..GROUP {
        let number = group.get(index).map_or(0, |number| (*number).into());
        bits |= u64::from(number) << held;
        held += width;
        while held >= 8 {
            let [byte, ..] = bits.to_le_bytes();
            out.push(byte);
            bits >>= 8;
            held -= 8;
        }
    }
}

fn push_varint(mut number: usize, out: &mut Vec<u8>) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads the encoding as the specification says it, byte by byte.
    fn decode(mut bytes: &[u8], width: u32, count: usize) -> Vec<u32> {
        let mut numbers = Vec::new();
        while numbers.len() < count {
            let mut header = 0usize;
            let mut shift = 0;
            loop {
                let (byte, rest) = bytes.split_first().unwrap();
                bytes = rest;
                header |= usize::from(byte & 0x7f) << shift;
                shift += 7;
                if byte & 0x80 == 0 {
                    break;
                }
            }
            if header & 1 == 0 {
                let (value, rest) = bytes.split_at(width.div_ceil(8) as usize);
                bytes = rest;
                let mut whole = [0; 4];
                whole[..value.len()].copy_from_slice(value);
                numbers.extend(std::iter::repeat_n(u32::from_le_bytes(whole), header >> 1));
            } else {
                let length = (header >> 1) * width as usize;
                let (packed, rest) = bytes.split_at(length);
                bytes = rest;
                let bit = |index: usize| u32::from(packed[index / 8] >> (index % 8) & 1);
                for start in (0..length * 8).step_by(width as usize) {
                    numbers.push((0..width as usize).map(|i| bit(start + i) << i).sum());
                }
            }
        }
        assert!(bytes.is_empty(), "{} bytes are left", bytes.len());
        assert!(numbers.len() < count + GROUP, "padding beyond a group");
        numbers.truncate(count);
        numbers
    }

    #[test]
    fn a_long_run_takes_a_few_bytes() {
        let mut out = Vec::new();
        encode(&vec![1u8; 20_000], 1, &mut out);
        assert_eq!(out, [0xc0, 0xb8, 0x02, 1]);
    }

    proptest! {
        #[test]
        fn numbers_come_back(
            runs in proptest::collection::vec((any::<u32>(), 1usize..20), 0..40),
            width in 1u32..=20,
        ) {
            let numbers: Vec<u32> = runs
                .iter()
                .flat_map(|(number, length)| std::iter::repeat_n(number & ((1 << width) - 1), *length))
                .collect();
            let mut out = Vec::new();
            encode(&numbers, width, &mut out);
            prop_assert_eq!(decode(&out, width, numbers.len()), numbers);
        }

        #[test]
        fn the_width_is_the_least_that_holds_the_number(greatest: u32) {
            let width = width(greatest);
            prop_assert!(u64::from(greatest) < 1 << width);
            prop_assert!(width == 0 || u64::from(greatest) >= 1 << (width - 1));
        }
    }
}
