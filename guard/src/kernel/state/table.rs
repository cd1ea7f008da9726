//! A pinned table, and what is taken over from one of another version. It knows no versions, only shapes.

use std::{
    collections::HashSet,
    io,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd},
    path::PathBuf,
};

use aya::{
    maps::{MapData, MapInfo, MapType},
    util::nr_cpus,
};

use crate::kernel::{bpf, words::Words};

pub(super) struct Table {
    pub(super) path: PathBuf,
    map: MapData,
    info: MapInfo,
    kind: MapType,
    /// CPUs that have a value each: 1 if they share one.
    cpus: usize,
}

impl Table {
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let map = MapData::from_pin(&path).map_err(io::Error::other)?;
        let info = map.info().map_err(io::Error::other)?;
        let kind = info.map_type().map_err(io::Error::other)?;
        let cpus = if kind == MapType::PerCpuArray { nr_cpus().map_err(|(_, error)| error)? } else { 1 };
        Ok(Self { path, map, info, kind, cpus })
    }

    /// The kernel's number of the table, which is higher the later it was made.
    pub(super) fn number(&self) -> u32 {
        self.info.id()
    }

    pub(super) fn has_shape(&self, expected: &aya_obj::Map) -> bool {
        let info = &self.info;
        self.kind as u32 == expected.map_type()
            && info.key_size() == expected.key_size()
            && info.value_size() == expected.value_size()
            && info.max_entries() == expected.max_entries()
            && info.map_flags() == expected.map_flags()
    }

    /// Copies what another table has into a new one.
    pub(super) fn copy(&self, former: &Self) -> io::Result<()> {
        self.check_kin(former)?;
        match self.kind {
            MapType::Hash | MapType::LruHash => self.copy_hash(former),
            MapType::Array => self.copy_array(former),
            MapType::ArrayOfMaps => self.share_maps(former),
            _ => Err(unlike("its kind can't be copied")),
        }
    }

    /// Copies from another hash what this one has not.
    pub(super) fn add_missing(&self, former: &Self) -> io::Result<()> {
        self.check_kin(former)?;
        // To add what is there would be refused, but only after an LRU hash has made room for it.
        let mut there = HashSet::<Box<[u8]>>::new();
        self.for_each_batch(|keys, _, _| {
            there.extend(keys.chunks_exact(self.key_size()).map(Box::from));
            Ok(())
        })?;
        let mut own = self.value();
        former.for_each_batch(|keys, values, _| {
            for (key, value) in former.elements(keys, values).filter(|(key, _)| !there.contains(*key)) {
                fit(&mut own, value);
                bpf::add(self.fd(), key, own.as_slice())?;
            }
            Ok(())
        })
    }

    /// Sets the bits that are set in another table of words.
    pub(super) fn join<const COUNT: usize>(&self, former: &Self) -> io::Result<()> {
        self.check_kin(former)?;
        let words = Words::<COUNT>::of(self.fd())?;
        let mut word = former.value();
        for index in 0..former.info.max_entries().min(COUNT as u32) {
            former.read(index, &mut word)?;
            if let Some(bits) = word.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes)).filter(|bits| *bits != 0) {
                words.set(index as usize, bits);
            }
        }
        Ok(())
    }

    /// Takes the sums over all CPUs of each element's first two numbers away, and gives them to `add`. Nobody may be counting.
    ///
    /// Element by element, so that a kill in the midst counts nothing twice, but for the one that is being moved.
    pub(super) fn take_sums(&self, mut add: impl FnMut(u32, [u64; 2]) -> io::Result<()>) -> io::Result<()> {
        let mut values = self.value();
        let (zeros, of_one_cpu) = (self.value(), self.stride());
        for index in 0..self.info.max_entries() {
            self.read(index, &mut values)?;
            let mut sums = [0, 0];
            for value in values.chunks_exact(of_one_cpu) {
                for (sum, number) in sums.iter_mut().zip(value.as_chunks().0) {
                    *sum += u64::from_ne_bytes(*number);
                }
            }
            if sums != [0, 0] {
                add(index, sums)?;
                bpf::set(self.fd(), &index, zeros.as_slice())?;
            }
        }
        Ok(())
    }

    /// Makes elements of an array of sums zero.
    pub(super) fn clear(&self, mut indices: impl Iterator<Item = u32>) -> io::Result<()> {
        let zeros = self.value();
        indices.try_for_each(|index| bpf::set(self.fd(), &index, zeros.as_slice()))
    }

    /// Fails if nothing of another table can be taken over.
    pub(super) fn check_kin(&self, former: &Self) -> io::Result<()> {
        if self.kind == former.kind && self.key_size() == former.key_size() {
            Ok(())
        } else {
            Err(unlike("its kind or its keys are others"))
        }
    }

    fn copy_hash(&self, former: &Self) -> io::Result<()> {
        let mut own = Vec::new();
        former.for_each_batch(|keys, values, count| {
            own.resize(count * self.stride(), 0);
            for (own, (_, value)) in own.chunks_exact_mut(self.stride()).zip(former.elements(keys, values)) {
                fit(own, value);
            }
            bpf::set_batch(self.fd(), keys, &own, count)
        })
    }

    fn copy_array(&self, former: &Self) -> io::Result<()> {
        let (mut own, mut value) = (self.value(), former.value());
        for index in 0..self.info.max_entries().min(former.info.max_entries()) {
            former.read(index, &mut value)?;
            if value.iter().any(|byte| *byte != 0) {
                fit(&mut own, &value);
                bpf::set(self.fd(), &index, own.as_slice())?;
            }
        }
        Ok(())
    }

    /// Shares the maps of another array of maps, which the kernel allows if they have the shape that is expected here.
    fn share_maps(&self, former: &Self) -> io::Result<()> {
        // For userspace the value is the number of the map, and what is put in a descriptor.
        let mut number = [0; size_of::<u32>()];
        for index in 0..self.info.max_entries().min(former.info.max_entries()) {
            if bpf::look_up(former.fd(), &index, &mut number)? {
                let map = bpf::open_map(u32::from_ne_bytes(number))?;
                bpf::set(self.fd(), &index, &(map.as_raw_fd() as u32))?;
            }
        }
        Ok(())
    }

    /// Gives keys and values of a hash to `visit`, and how many.
    fn for_each_batch(&self, mut visit: impl FnMut(&[u8], &[u8], usize) -> io::Result<()>) -> io::Result<()> {
        let key_size = self.key_size();
        bpf::for_each_batch(self.fd(), key_size, self.stride(), |keys, values| {
            visit(keys, values, keys.len() / key_size)
        })
    }

    /// Takes keys and values of this table apart.
    fn elements<'a>(&self, keys: &'a [u8], values: &'a [u8]) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        keys.chunks_exact(self.key_size()).zip(values.chunks_exact(self.stride()))
    }

    fn read(&self, index: u32, value: &mut [u8]) -> io::Result<()> {
        match bpf::look_up(self.fd(), &index, value)? {
            true => Ok(()),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Room for a value; of a table per CPU, for that of every CPU.
    fn value(&self) -> Vec<u8> {
        vec![0; self.stride() * self.cpus]
    }

    fn key_size(&self) -> usize {
        self.info.key_size() as usize
    }

    /// Bytes from one CPU's value to the next one's.
    fn stride(&self) -> usize {
        let size = self.info.value_size() as usize;
        if self.kind == MapType::PerCpuArray { size.next_multiple_of(8) } else { size }
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.map.fd().as_fd()
    }
}

/// Why nothing of another table can be taken over.
pub(super) fn unlike(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, why)
}

/// Fills a value with what another has, and with zeros behind.
fn fit(own: &mut [u8], former: &[u8]) {
    let common = own.len().min(former.len());
    own[..common].copy_from_slice(&former[..common]);
    own[common..].fill(0);
}
