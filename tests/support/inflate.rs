//! A decoder of DEFLATE (RFC 1951), bit by bit and written independently of any library: what a stream comes to,
//! whether it stands between two blocks where it ends, and how far back it refers.

/// What came of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inflated {
    pub text: Vec<u8>,
    /// How far back the farthest reference goes.
    pub distance_max: usize,
    /// Blocks that say that they are the last one.
    pub final_blocks: usize,
    /// Blocks of each type: stored, with fixed codes, with codes of their own.
    pub blocks: [usize; 3],
    /// Whether the last block, if there is any, was a final one.
    pub ended: bool,
}

/// Why there is no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    /// The stream ends inside a block, or inside the header of one.
    Short,
    /// It is no DEFLATE stream.
    Wrong,
    /// More than [`final_blocks_max`] final blocks with something behind them.
    TooManyFinalBlocks,
}

/// How many final blocks may stand in so many bytes of a message if something is behind them. No standard says so.
pub const fn final_blocks_max(bytes: usize) -> usize {
    4 + bytes / 256
}

/// Decodes blocks until the bytes are used up, final ones too: the next one begins at the byte behind it. References
/// may go back to `before`.
pub fn inflate(bytes: &[u8], before: &[u8]) -> (Inflated, Result<(), Bad>) {
    let mut decoder =
        Decoder { bits: Bits { bytes, at: 0 }, text: before.to_vec(), result: Inflated::default() };
    let outcome = decoder.blocks();
    let mut result = decoder.result;
    result.text = decoder.text.split_off(before.len());
    (result, outcome)
}

/// The text of a compressed message's payload (RFC 7692 section 7.2.2), of which nothing may be left open: the four
/// octets that both sides know of belong to an empty block without compression, whose first bits are the last that the
/// payload has. A final block may be the last one all the same.
pub fn inflate_message(payload: &[u8], before: &[u8]) -> Result<Inflated, Bad> {
    let (inflated, outcome) = inflate(payload, before);
    if outcome.is_ok() && inflated.ended {
        return Ok(inflated);
    }
    let tail = [payload, &[0x00, 0x00, 0xff, 0xff]].concat();
    let (whole, outcome) = inflate(&tail, before);
    outcome?;
    // A block that goes on in the octets that were cut off was no empty one.
    if whole.text == inflated.text { Ok(whole) } else { Err(Bad::Short) }
}

struct Bits<'a> {
    bytes: &'a [u8],
    /// In bits.
    at: usize,
}

impl Bits<'_> {
    fn bit(&mut self) -> Result<usize, Bad> {
        let byte = self.bytes.get(self.at / 8).ok_or(Bad::Short)?;
        let bit = byte >> (self.at % 8) & 1;
        self.at += 1;
        Ok(bit.into())
    }

    fn number(&mut self, bits: usize) -> Result<usize, Bad> {
        (0..bits).try_fold(0, |number, i| Ok(number | self.bit()? << i))
    }

    fn align(&mut self) {
        self.at = self.at.next_multiple_of(8);
    }

    fn bytes(&mut self, count: usize) -> &[u8] {
        let rest = &self.bytes[(self.at / 8).min(self.bytes.len())..];
        self.at += 8 * count.min(rest.len());
        &rest[..count.min(rest.len())]
    }

    fn is_empty(&self) -> bool {
        self.at >= 8 * self.bytes.len()
    }
}

/// A Huffman code: how many symbols there are of each length, and the symbols in the order of their codes.
struct Code {
    counts: [usize; 16],
    symbols: Vec<usize>,
}

impl Code {
    /// The code with these lengths. One that leaves something out is allowed where it has one symbol of one bit, or
    /// none at all.
    fn new(lengths: &[usize], may_be_incomplete: bool) -> Result<Self, Bad> {
        let mut counts = [0; 16];
        for &length in lengths {
            counts[length] += 1;
        }
        let used = lengths.len() - counts[0];
        counts[0] = 0;
        let mut left = 1isize;
        for count in &counts[1..] {
            left = left * 2 - *count as isize;
            if left < 0 {
                return Err(Bad::Wrong);
            }
        }
        let single = may_be_incomplete && used == counts[1];
        if left > 0 && used > 0 && !single {
            return Err(Bad::Wrong);
        }
        let mut symbols: Vec<_> =
            (0..lengths.len()).filter(|symbol| lengths[*symbol] > 0).collect();
        symbols.sort_by_key(|symbol| lengths[*symbol]);
        Ok(Self { counts, symbols })
    }

    fn decode(&self, bits: &mut Bits<'_>) -> Result<usize, Bad> {
        if self.symbols.is_empty() {
            bits.bit()?;
            return Err(Bad::Wrong);
        }
        let (mut code, mut first, mut index) = (0, 0, 0);
        for count in &self.counts[1..] {
            code |= bits.bit()?;
            if code < first + count {
                return Ok(self.symbols[index + code - first]);
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        Err(Bad::Wrong)
    }
}

const LENGTHS: [usize; 29] = [
    3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131,
    163, 195, 227, 258,
];
const LENGTH_BITS: [usize; 29] =
    [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
const DISTANCES: [usize; 30] = [
    1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537,
    2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577,
];
/// The order in which the lengths of the code for the lengths of the codes stand.
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

struct Decoder<'a> {
    bits: Bits<'a>,
    text: Vec<u8>,
    result: Inflated,
}

impl Decoder<'_> {
    fn blocks(&mut self) -> Result<(), Bad> {
        while !self.bits.is_empty() {
            if self.result.ended && self.result.final_blocks > final_blocks_max(self.bits.at / 8) {
                return Err(Bad::TooManyFinalBlocks);
            }
            let last = self.bits.bit()? == 1;
            self.result.ended = false;
            let kind = self.bits.number(2)?;
            match kind {
                0 => self.stored()?,
                1 => {
                    let mut lengths = [8; 288];
                    lengths[144..256].fill(9);
                    lengths[256..280].fill(7);
                    self.symbols(&Code::new(&lengths, false)?, &Code::new(&[5; 32], false)?)?;
                }
                2 => {
                    let (literals, distances) = self.codes()?;
                    self.symbols(&literals, &distances)?;
                }
                _ => return Err(Bad::Wrong),
            }
            self.result.blocks[kind] += 1;
            if last {
                self.result.final_blocks += 1;
                self.result.ended = true;
                self.bits.align();
            }
        }
        Ok(())
    }

    fn stored(&mut self) -> Result<(), Bad> {
        self.bits.align();
        let length = self.bits.number(16)?;
        if self.bits.number(16)? != length ^ 0xFFFF {
            return Err(Bad::Wrong);
        }
        let bytes = self.bits.bytes(length).to_vec();
        self.text.extend(&bytes);
        if bytes.len() == length { Ok(()) } else { Err(Bad::Short) }
    }

    fn codes(&mut self) -> Result<(Code, Code), Bad> {
        let literals = 257 + self.bits.number(5)?;
        let distances = 1 + self.bits.number(5)?;
        let count = 4 + self.bits.number(4)?;
        if literals > 286 || distances > 30 {
            return Err(Bad::Wrong);
        }
        let mut of_lengths = [0; 19];
        for symbol in &ORDER[..count] {
            of_lengths[*symbol] = self.bits.number(3)?;
        }
        let of_lengths = Code::new(&of_lengths, false)?;
        let mut lengths: Vec<usize> = Vec::new();
        while lengths.len() < literals + distances {
            let symbol = match of_lengths.symbols.is_empty() {
                // zlib goes on with lengths of 0, in which nothing ends a block.
                true => self.bits.number(1).map(|_| 0)?,
                false => of_lengths.decode(&mut self.bits)?,
            };
            let (length, times) = match symbol {
                16 => {
                    let times = 3 + self.bits.number(2)?;
                    (*lengths.last().ok_or(Bad::Wrong)?, times)
                }
                17 => (0, 3 + self.bits.number(3)?),
                18 => (0, 11 + self.bits.number(7)?),
                length => (length, 1),
            };
            lengths.extend(std::iter::repeat_n(length, times));
        }
        if lengths.len() > literals + distances || lengths[256] == 0 {
            return Err(Bad::Wrong);
        }
        let (literals, distances) = lengths.split_at(literals);
        Ok((Code::new(literals, true)?, Code::new(distances, true)?))
    }

    fn symbols(&mut self, literals: &Code, distances: &Code) -> Result<(), Bad> {
        loop {
            match literals.decode(&mut self.bits)? {
                literal @ 0..256 => self.text.push(literal as u8),
                256 => return Ok(()),
                symbol => {
                    let which = symbol - 257;
                    let length = LENGTHS.get(which).ok_or(Bad::Wrong)?;
                    let length = length + self.bits.number(LENGTH_BITS[which])?;
                    let which = distances.decode(&mut self.bits)?;
                    let distance = DISTANCES.get(which).ok_or(Bad::Wrong)?;
                    let distance = distance + self.bits.number((which / 2).saturating_sub(1))?;
                    let start = self.text.len().checked_sub(distance).ok_or(Bad::Wrong)?;
                    self.result.distance_max = self.result.distance_max.max(distance);
                    for at in start..start + length {
                        self.text.push(self.text[at]);
                    }
                }
            }
        }
    }
}
