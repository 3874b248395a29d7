//! How deep in lists and objects a place in the text is.

use super::Kind;

/// The lists and objects that are open, a bit each, the innermost the lowest.
pub(super) struct Nesting {
    lists: u64,
    /// How many of the bits are in use.
    depth: u32,
    /// Full words of bits, below.
    outer: Vec<u64>,
}

impl Nesting {
    pub(super) fn new(outermost: Kind) -> Self {
        Self {
            lists: u64::from(outermost == Kind::List),
            depth: 1,
            outer: Vec::new(),
        }
    }

    pub(super) fn in_list(&self) -> bool {
        self.lists & 1 == 1
    }

    pub(super) fn enter(&mut self, kind: Kind) {
        if self.depth == u64::BITS {
            self.outer.push(self.lists);
            self.depth = 0;
        }
        self.lists = (self.lists << 1) | u64::from(kind == Kind::List);
        self.depth += 1;
    }

    /// Whether it was the outermost.
    pub(super) fn leave(&mut self) -> bool {
        self.lists >>= 1;
        self.depth -= 1;
        if self.depth == 0 {
            match self.outer.pop() {
                Some(lists) => (self.lists, self.depth) = (lists, u64::BITS),
                None => return true,
            }
        }
        false
    }
}
