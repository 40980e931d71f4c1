//! The board: stones, chains and their liberties, kept up to date while stones come and go.
//!
//! A chain's liberties are kept as three sums over its *pseudo-liberties* (an empty point counts
//! once for every stone of the chain that it touches): how many there are, the sum of their
//! indices, and the sum of the squares of the indices, all packed into one `u64`. A stone changes
//! the sums of a neighbouring chain by one addition, joining chains adds their sums, a chain is
//! captured when its sum is 0, and by the Cauchy–Schwarz inequality it is in atari, with the
//! liberty `sum / count`, if and only if `count × squares = sum²`.
//!
//! Around every point the eight neighbours are kept as a code of two bits each, so that eyes and
//! 3×3 patterns are looked up and never gathered.

use super::cell::{CELLS, EMPTY, Liberties, OFF, Vertex};
use super::point::{Color, MAX_SIDE, Point};
use super::zobrist;

/// A Go position without its history: stones, chains, the point that simple ko forbids.
///
/// Points may be any of 1×1 to 19×19. Rules that need the game's past (superko, passes, the end)
/// live in [`Go`](super::Go).
pub struct Board {
    width: u8,
    height: u8,
    stride: u16,
    cells: u16,
    /// The point that may not be retaken at once, or [`Vertex::NONE`].
    ko: Vertex,
    empties: u16,
    /// Stones that the last move took: the last of the empty points.
    captured: u16,
    stones: [u16; 2],
    hash: u64,
    color: [u8; CELLS],
    /// The eight neighbours, two bits each: orthogonal ones in the low byte.
    code: [u16; CELLS],
    /// The vertex that names the chain of each stone; border and empty cells name themselves.
    head: [u16; CELLS],
    /// The next stone of the same chain, in a ring.
    next: [u16; CELLS],
    /// Stones of the chain, by its head.
    size: [u16; CELLS],
    /// Liberties of the chain, by its head; of no meaning for other cells.
    liberties: [Liberties; CELLS],
    /// Empty points, in no order.
    empty: [u16; CELLS],
    /// Where each empty point stands in `empty`.
    slot: [u16; CELLS],
}

impl Clone for Board {
    fn clone(&self) -> Self {
        Self { ..*self }
    }

    /// Copies only the cells that a board of this size has.
    fn clone_from(&mut self, source: &Self) {
        if self.width != source.width || self.height != source.height {
            *self = source.clone();
            return;
        }
        self.ko = source.ko;
        self.empties = source.empties;
        self.captured = source.captured;
        self.stones = source.stones;
        self.hash = source.hash;
        let n = usize::from(source.cells).min(CELLS);
        let k = usize::from(source.empties).min(CELLS);
        self.color[..n].copy_from_slice(&source.color[..n]);
        self.code[..n].copy_from_slice(&source.code[..n]);
        self.head[..n].copy_from_slice(&source.head[..n]);
        self.next[..n].copy_from_slice(&source.next[..n]);
        self.size[..n].copy_from_slice(&source.size[..n]);
        self.liberties[..n].copy_from_slice(&source.liberties[..n]);
        self.empty[..k].copy_from_slice(&source.empty[..k]);
        self.slot[..n].copy_from_slice(&source.slot[..n]);
    }
}

impl std::fmt::Debug for Board {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for y in 0..self.height() {
            for x in 0..self.width() {
                let mark = match self.stone(Point::new(x, y)) {
                    Some(Color::Black) => "X",
                    Some(Color::White) => "O",
                    None => ".",
                };
                f.write_str(mark)?;
            }
            f.write_str("\n")?;
        }
        Ok(())
    }
}

impl PartialEq for Board {
    /// Same size, same stones, same ko.
    fn eq(&self, other: &Self) -> bool {
        self.width == other.width
            && self.height == other.height
            && self.ko == other.ko
            && self.color == other.color
    }
}

impl Board {
    /// An empty board; sides are held within 1 and [`MAX_SIDE`].
    pub(crate) fn new(width: usize, height: usize) -> Self {
        let width = width.clamp(1, MAX_SIDE);
        let height = height.clamp(1, MAX_SIDE);
        let stride = width + 1;
        let cells = (height + 2) * stride + 1;
        let mut board = Self {
            width: width as u8,
            height: height as u8,
            stride: stride as u16,
            cells: cells as u16,
            ko: Vertex::NONE,
            empties: 0,
            captured: 0,
            stones: [0; 2],
            hash: 0,
            color: [OFF; CELLS],
            code: [0; CELLS],
            head: std::array::from_fn(|v| v as u16),
            next: std::array::from_fn(|v| v as u16),
            size: [0; CELLS],
            liberties: [Liberties::ZERO; CELLS],
            empty: [0; CELLS],
            slot: [0; CELLS],
        };
        for y in 0..height {
            for x in 0..width {
                let v = board.vertex(Point::new(x, y));
                board.color[v.at()] = EMPTY;
                board.insert_empty(v);
            }
        }
        for slot in 0..board.empties {
            let v = Vertex(board.empty[usize::from(slot)]);
            let mut code = 0;
            for (direction, neighbour) in board.around(v).into_iter().enumerate() {
                code |= u16::from(board.color[neighbour.at()]) << (2 * direction);
            }
            board.code[v.at()] = code;
        }
        board
    }

    /// Columns.
    pub fn width(&self) -> usize {
        usize::from(self.width)
    }

    /// Rows.
    pub fn height(&self) -> usize {
        usize::from(self.height)
    }

    /// Points of the board.
    pub fn area(&self) -> usize {
        self.width() * self.height()
    }

    /// Whether the board has this point.
    pub fn contains(&self, point: Point) -> bool {
        point.x < self.width && point.y < self.height
    }

    /// The stone on a point; `None` where it is empty or outside the board.
    pub fn stone(&self, point: Point) -> Option<Color> {
        if !self.contains(point) {
            return None;
        }
        match self.color[self.vertex(point).at()] {
            1 => Some(Color::Black),
            2 => Some(Color::White),
            _ => None,
        }
    }

    /// Stones of a colour on the board.
    pub fn stones(&self, color: Color) -> usize {
        usize::from(self.stones[color.index()])
    }

    /// The Zobrist hash of the stones (not of the player to move).
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// The point that simple ko forbids now.
    pub fn ko(&self) -> Option<Point> {
        (self.ko != Vertex::NONE).then(|| self.point(self.ko))
    }

    /// The liberties of the chain on a point; 0 where no stone stands.
    pub fn liberties(&self, point: Point) -> usize {
        if self.stone(point).is_none() {
            return 0;
        }
        self.count_liberties(self.vertex(point), usize::MAX)
    }

    /// The stones of the chain on a point; empty where no stone stands.
    pub fn chain(&self, point: Point) -> Vec<Point> {
        if self.stone(point).is_none() {
            return Vec::new();
        }
        self.chain_stones(self.vertex(point)).map(|v| self.point(v)).collect()
    }

    /// The cell of a point of the board.
    #[inline]
    pub(crate) fn vertex(&self, point: Point) -> Vertex {
        Vertex((u16::from(point.y) + 1) * self.stride + u16::from(point.x) + 1)
    }

    /// The point of a cell of the board.
    #[inline]
    pub(crate) fn point(&self, vertex: Vertex) -> Point {
        let index = vertex.0 - self.stride - 1;
        Point { x: (index % self.stride) as u8, y: (index / self.stride) as u8 }
    }

    /// The cell of a point numbered row by row from the top left.
    #[inline]
    pub(crate) fn vertex_of(&self, index: usize) -> Vertex {
        let width = usize::from(self.width);
        Vertex(((index / width + 1) * usize::from(self.stride) + index % width + 1) as u16)
    }

    /// The number of a cell's point, row by row from the top left.
    #[inline]
    pub(crate) fn index_of(&self, vertex: Vertex) -> usize {
        let point = self.point(vertex);
        usize::from(point.y) * usize::from(self.width) + usize::from(point.x)
    }

    /// The orthogonal neighbours: above, left, right, below.
    #[inline]
    pub(crate) fn near(&self, v: Vertex) -> [Vertex; 4] {
        let s = self.stride;
        [Vertex(v.0 - s), Vertex(v.0 - 1), Vertex(v.0 + 1), Vertex(v.0 + s)]
    }

    /// The eight neighbours in the order of the codes: orthogonal ones, then diagonals.
    #[inline]
    pub(crate) fn around(&self, v: Vertex) -> [Vertex; 8] {
        let s = self.stride;
        [
            Vertex(v.0 - s),
            Vertex(v.0 - 1),
            Vertex(v.0 + 1),
            Vertex(v.0 + s),
            Vertex(v.0 - s - 1),
            Vertex(v.0 - s + 1),
            Vertex(v.0 + s - 1),
            Vertex(v.0 + s + 1),
        ]
    }

    /// [`EMPTY`], 1 for Black, 2 for White, [`OFF`].
    #[inline]
    pub(crate) fn cell(&self, v: Vertex) -> u8 {
        self.color[v.at()]
    }

    /// The codes of the eight neighbours.
    #[inline]
    pub(crate) fn code(&self, v: Vertex) -> u16 {
        self.code[v.at()]
    }

    /// The vertex that names a stone's chain.
    #[inline]
    pub(crate) fn head(&self, v: Vertex) -> Vertex {
        Vertex(self.head[v.at()])
    }

    /// Stones of a stone's chain.
    #[inline]
    pub(crate) fn chain_size(&self, v: Vertex) -> usize {
        usize::from(self.size[self.head(v).at()])
    }

    /// Pseudo-liberties of a stone's chain.
    #[inline]
    pub(crate) fn pseudo(&self, v: Vertex) -> Liberties {
        self.liberties[self.head(v).at()]
    }

    /// Whether the stone's chain has one liberty only.
    #[inline]
    pub(crate) fn in_atari(&self, v: Vertex) -> bool {
        self.pseudo(v).single()
    }

    /// Empty points, in no order.
    #[inline]
    pub(crate) fn empty_points(&self) -> &[u16] {
        &self.empty[..usize::from(self.empties).min(CELLS)]
    }

    /// The points of the stones that the last move took from its opponent, until empty points
    /// are exchanged.
    #[inline]
    pub(crate) fn captured_points(&self) -> &[u16] {
        let empty = self.empty_points();
        &empty[empty.len().saturating_sub(usize::from(self.captured))..]
    }

    /// The empty point in a place of [`Board::empty_points`].
    #[inline]
    pub(crate) fn empty_at(&self, slot: usize) -> Vertex {
        Vertex(self.empty[slot & (CELLS - 1)])
    }

    /// Exchanges two places of [`Board::empty_points`].
    #[inline]
    pub(crate) fn swap_empty(&mut self, a: usize, b: usize) {
        let (a, b) = (a & (CELLS - 1), b & (CELLS - 1));
        let (v, w) = (self.empty[a], self.empty[b]);
        self.empty[a] = w;
        self.empty[b] = v;
        self.slot[usize::from(w) & (CELLS - 1)] = a as u16;
        self.slot[usize::from(v) & (CELLS - 1)] = b as u16;
    }

    #[inline]
    pub(crate) fn ko_vertex(&self) -> Vertex {
        self.ko
    }

    /// Sets the point that simple ko forbids.
    pub(crate) fn set_ko(&mut self, v: Vertex) {
        self.ko = v;
    }

    /// Lifts the ban of simple ko and forgets what was taken, as a pass does.
    #[inline]
    pub(crate) fn clear_ko(&mut self) {
        self.ko = Vertex::NONE;
        self.captured = 0;
    }

    /// The stones of a chain, starting anywhere in it.
    pub(crate) fn chain_stones(&self, v: Vertex) -> impl Iterator<Item = Vertex> + '_ {
        let mut at = Some(v);
        std::iter::from_fn(move || {
            let stone = at?;
            let next = Vertex(self.next[stone.at()]);
            at = (next != v).then_some(next);
            Some(stone)
        })
    }

    /// Whether a neighbour is empty.
    #[inline]
    pub(crate) fn has_empty_neighbour(&self, v: Vertex) -> bool {
        let code = self.code(v);
        (code | code >> 1) & 0x55 != 0x55
    }

    /// Whether all orthogonal neighbours are stones of this colour or outside the board.
    #[inline]
    pub(crate) fn is_surrounded(&self, v: Vertex, color: Color) -> bool {
        let mask = 0x55 << color.index();
        self.code(v) & mask == mask
    }

    /// Whether the empty point is a true eye as far as its eight neighbours tell: surrounded, and
    /// the opponent has no more than one diagonal, none at the edge.
    #[inline]
    pub(crate) fn is_eye(&self, v: Vertex, color: Color) -> bool {
        if !self.is_surrounded(v, color) {
            return false;
        }
        let diagonals = self.code(v) >> 8;
        let low = diagonals & 0x55;
        let high = diagonals >> 1 & 0x55;
        let enemies = match color {
            Color::Black => high & !low,
            Color::White => low & !high,
        };
        let edge = low & high != 0;
        enemies.count_ones() + u32::from(edge) < 2
    }

    /// Whether a stone on an empty point would be captured at once with its chain (it neither
    /// captures nor keeps a liberty).
    #[inline]
    pub(crate) fn is_suicide(&self, v: Vertex, color: Color) -> bool {
        if self.has_empty_neighbour(v) {
            return false;
        }
        let own = color.cell();
        for n in self.near(v) {
            let cell = self.cell(n);
            if cell == OFF {
                continue;
            }
            // A friend with another liberty keeps the stone alive; an enemy without one dies.
            if (cell == own) != self.in_atari(n) {
                return false;
            }
        }
        true
    }

    /// Whether a suicide removes the stone alone, so that the position stays as it is.
    #[inline]
    pub(crate) fn is_lone_suicide(&self, v: Vertex, color: Color) -> bool {
        let own = color.cell();
        self.near(v).into_iter().all(|n| self.cell(n) != own) && self.is_suicide(v, color)
    }

    /// The hash of the stones after a move that need not be legal.
    pub(crate) fn hash_after(&self, v: Vertex, color: Color) -> u64 {
        let mut hash = self.hash ^ zobrist::stone(v, color);
        if self.has_empty_neighbour(v) && !self.touches_atari(v) {
            return hash;
        }
        let (own, other) = (color.cell(), color.opponent().cell());
        let near = self.near(v);
        let remove = |hash: &mut u64, of: u8, owner: Color| {
            let mut done = [Vertex::NONE; 4];
            let mut any = false;
            for (i, n) in near.into_iter().enumerate() {
                if self.cell(n) == of && self.in_atari(n) && !done.contains(&self.head(n)) {
                    done[i] = self.head(n);
                    any = true;
                    for stone in self.chain_stones(n) {
                        *hash ^= zobrist::stone(stone, owner);
                    }
                }
            }
            any
        };
        let captured = remove(&mut hash, other, color.opponent());
        if !captured && self.is_suicide(v, color) {
            remove(&mut hash, own, color);
            hash ^= zobrist::stone(v, color);
        }
        hash
    }

    /// Whether one of the chains around a point is in atari.
    #[inline]
    pub(crate) fn touches_atari(&self, v: Vertex) -> bool {
        self.near(v).into_iter().any(|n| matches!(self.cell(n), 1 | 2) && self.in_atari(n))
    }

    /// Puts a stone on an empty point, takes off what it captures, or its own chain where it
    /// captures nothing and has no liberty. Returns the number of stones taken.
    #[inline]
    pub(crate) fn play(&mut self, v: Vertex, color: Color) -> usize {
        let own = color.cell();
        let enclosed = self.is_surrounded(v, color.opponent());
        self.clear_ko();
        self.put(v, color);

        let liberty = Liberties::new(v);
        let near = self.near(v);
        let mut liberties = Liberties::ZERO;
        for n in near {
            self.liberties[self.head(n).at()].remove(liberty);
            if self.cell(n) == EMPTY {
                liberties.add(Liberties::new(n));
            }
        }
        self.liberties[v.at()] = liberties;
        self.size[v.at()] = 1;

        let mut captured = 0;
        let mut last = Vertex::NONE;
        for n in near {
            let cell = self.cell(n);
            if cell == own {
                if self.head(n) != self.head(v) {
                    self.join(v, n);
                }
            } else if cell == own ^ 3 && self.pseudo(n) == Liberties::ZERO {
                captured += self.capture(n, color.opponent());
                last = n;
            }
        }
        if captured == 0 {
            if self.pseudo(v) == Liberties::ZERO {
                return self.capture(v, color);
            }
        } else if captured == 1 && enclosed {
            self.ko = last;
        }
        self.captured = captured as u16;
        captured
    }

    /// Writes a stone into colours, codes, hash and the list of empty points.
    #[inline]
    fn put(&mut self, v: Vertex, color: Color) {
        self.color[v.at()] = color.cell();
        self.stones[color.index()] += 1;
        self.hash ^= zobrist::stone(v, color);
        self.flip_codes(v, color);
        self.empties -= 1;
        let slot = usize::from(self.slot[v.at()]) & (CELLS - 1);
        let moved = self.empty[usize::from(self.empties) & (CELLS - 1)];
        self.empty[slot] = moved;
        self.slot[usize::from(moved) & (CELLS - 1)] = slot as u16;
    }

    #[inline]
    fn insert_empty(&mut self, v: Vertex) {
        self.slot[v.at()] = self.empties;
        self.empty[usize::from(self.empties) & (CELLS - 1)] = v.0;
        self.empties += 1;
    }

    /// Switches the stone of `v` on or off in the codes of its neighbours.
    #[inline]
    fn flip_codes(&mut self, v: Vertex, color: Color) {
        let cell = u16::from(color.cell());
        // The neighbour in direction `d` sees `v` in the opposite direction.
        for (direction, n) in self.around(v).into_iter().enumerate() {
            let opposite = if direction < 4 { 3 - direction } else { 11 - direction };
            self.code[n.at()] ^= cell << (2 * opposite);
        }
    }

    /// Joins two chains of one colour: the smaller takes the name of the larger.
    #[inline]
    fn join(&mut self, a: Vertex, b: Vertex) {
        let (mut into, mut from) = (self.head(a), self.head(b));
        if self.size[into.at()] < self.size[from.at()] {
            std::mem::swap(&mut into, &mut from);
        }
        self.size[into.at()] += self.size[from.at()];
        let liberties = self.liberties[from.at()];
        self.liberties[into.at()].add(liberties);
        let mut stone = from;
        loop {
            self.head[stone.at()] = into.0;
            stone = Vertex(self.next[stone.at()]);
            if stone == from {
                break;
            }
        }
        self.next.swap(into.at(), from.at());
    }

    /// Takes a chain off the board and gives its points back as liberties.
    fn capture(&mut self, v: Vertex, color: Color) -> usize {
        let mut stone = v;
        let mut count = 0;
        loop {
            let next = Vertex(self.next[stone.at()]);
            self.color[stone.at()] = EMPTY;
            self.hash ^= zobrist::stone(stone, color);
            self.flip_codes(stone, color);
            self.insert_empty(stone);
            // Cells of the chain itself gather what is overwritten when a stone comes back.
            let liberty = Liberties::new(stone);
            for n in self.near(stone) {
                let head = self.head(n).at();
                self.liberties[head].add(liberty);
            }
            count += 1;
            self.head[stone.at()] = stone.0;
            self.next[stone.at()] = stone.0;
            stone = next;
            if stone == v {
                break;
            }
        }
        self.stones[color.index()] -= count;
        usize::from(count)
    }
}
