package compact

// Index finds slots by the hash of their values, with one access to memory that
// is usually cold. It is a table with open addressing (linear probing); the values
// must be compared, as different values can have one hash. The zero
// value is an empty index. It has no lock of its own.
type Index struct {
	// buckets hold the upper half of the hash and the slot, 0 for none. Their
	// number is a power of two.
	buckets []uint64
	count   int
}

const minBuckets = 16

// Len is the number of slots in the index.
func (x *Index) Len() int { return x.count }

func (x *Index) mask() uint64 { return uint64(len(x.buckets)) - 1 }

// slotIn is the lower half of a bucket.
func slotIn(bucket uint64) uint32 { return uint32(bucket) } //nolint:gosec // that half is meant

// Find returns the slot with the hash for which is returns true, 0 if there is none.
func (x *Index) Find(hash uint64, is func(slot uint32) bool) uint32 {
	if x.count == 0 {
		return 0
	}
	mask := x.mask()
	for i := hash & mask; x.buckets[i] != 0; i = (i + 1) & mask {
		if bucket := x.buckets[i]; bucket>>32 == hash>>32 && is(slotIn(bucket)) {
			return slotIn(bucket)
		}
	}
	return 0
}

// Add adds a slot that is not in the index.
func (x *Index) Add(hash uint64, slot uint32, hashOf func(slot uint32) uint64) {
	if (x.count+1)*4 > len(x.buckets)*3 {
		x.grow(hashOf)
	}
	x.put(hash, slot)
	x.count++
}

func (x *Index) put(hash uint64, slot uint32) {
	mask := x.mask()
	i := hash & mask
	for x.buckets[i] != 0 {
		i = (i + 1) & mask
	}
	x.buckets[i] = hash>>32<<32 | uint64(slot)
}

// grow doubles the table. Buckets have half of a hash only, so the slots are asked
// for the whole of it.
func (x *Index) grow(hashOf func(slot uint32) uint64) {
	old := x.buckets
	x.buckets = make([]uint64, max(2*len(old), minBuckets))
	for _, bucket := range old {
		if bucket != 0 {
			x.put(hashOf(slotIn(bucket)), slotIn(bucket))
		}
	}
}

// Remove removes a slot; its value must not have changed yet.
func (x *Index) Remove(hash uint64, slot uint32, hashOf func(slot uint32) uint64) {
	if x.count == 0 {
		return
	}
	mask := x.mask()
	i := hash & mask
	for slotIn(x.buckets[i]) != slot {
		if x.buckets[i] == 0 {
			return
		}
		i = (i + 1) & mask
	}
	x.count--
	// Whatever was pushed past this bucket moves back, so that no search ends here.
	for j := i; ; {
		x.buckets[i] = 0
		for {
			j = (j + 1) & mask
			if x.buckets[j] == 0 {
				return
			}
			home := hashOf(slotIn(x.buckets[j])) & mask
			if (j-home)&mask >= (j-i)&mask {
				break
			}
		}
		x.buckets[i] = x.buckets[j]
		i = j
	}
}
