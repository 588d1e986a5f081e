//! A list that is mostly short: the first `N` items need no allocation, which counts where there is one list a row.

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Few<T, const N: usize> {
    first: [Option<T>; N],
    length: usize,
    rest: Vec<T>,
}

impl<T, const N: usize> Few<T, N> {
    #[inline]
    pub(crate) const fn new() -> Self {
        Self { first: [const { None }; N], length: 0, rest: Vec::new() }
    }

    #[inline]
    pub(crate) fn push(&mut self, item: T) {
        match self.first.get_mut(self.length) {
            Some(place) => *place = Some(item),
            None => self.rest.push(item),
        }
        self.length += 1;
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    #[inline]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.first.iter().take(self.length).flatten().chain(&self.rest)
    }
}

impl<T, const N: usize> IntoIterator for Few<T, N> {
    type Item = T;
    type IntoIter = std::iter::Chain<std::iter::Flatten<std::array::IntoIter<Option<T>, N>>, std::vec::IntoIter<T>>;

    #[inline]
    fn into_iter(self) -> Self::IntoIter {
        self.first.into_iter().flatten().chain(self.rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_keep_their_order_beyond_the_short_part() {
        let mut few = Few::<u8, 2>::new();
        for (item, length) in [(5, 1), (6, 2), (7, 3), (8, 4)] {
            few.push(item);
            assert_eq!(few.len(), length);
        }
        assert_eq!(few.iter().copied().collect::<Vec<_>>(), [5, 6, 7, 8]);
        assert_eq!(few.into_iter().collect::<Vec<_>>(), [5, 6, 7, 8]);
    }
}
