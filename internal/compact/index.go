package compact

// Index finds places by the hash of what is there, with one access to memory that
// is usually cold. It is a table with open addressing (linear probing); what is at
// a place must be compared, as different things can have one hash. The zero
// value is an empty index. It has no lock of its own.
type Index struct {
	// slots hold the upper half of the hash and the place, 0 for none. Their
	// number is a power of two.
	slots []uint64
	count int
}

const minSlots = 16

// Len is the number of places in the index.
func (x *Index) Len() int { return x.count }

func (x *Index) mask() uint64 { return uint64(len(x.slots)) - 1 }

// placeIn is the lower half of a slot.
func placeIn(slot uint64) uint32 { return uint32(slot) } //nolint:gosec // that half is meant

// Find returns the place with the hash that is says yes to, 0 if there is none.
func (x *Index) Find(hash uint64, is func(place uint32) bool) uint32 {
	if x.count == 0 {
		return 0
	}
	mask := x.mask()
	for i := hash & mask; x.slots[i] != 0; i = (i + 1) & mask {
		if slot := x.slots[i]; slot>>32 == hash>>32 && is(placeIn(slot)) {
			return placeIn(slot)
		}
	}
	return 0
}

// Add adds a place that is not in the index.
func (x *Index) Add(hash uint64, place uint32, hashOf func(place uint32) uint64) {
	if (x.count+1)*4 > len(x.slots)*3 {
		x.grow(hashOf)
	}
	x.put(hash, place)
	x.count++
}

func (x *Index) put(hash uint64, place uint32) {
	mask := x.mask()
	i := hash & mask
	for x.slots[i] != 0 {
		i = (i + 1) & mask
	}
	x.slots[i] = hash>>32<<32 | uint64(place)
}

// grow doubles the table. Slots have half of a hash only, so the places are asked
// for the whole of it.
func (x *Index) grow(hashOf func(place uint32) uint64) {
	old := x.slots
	x.slots = make([]uint64, max(2*len(old), minSlots))
	for _, slot := range old {
		if slot != 0 {
			x.put(hashOf(placeIn(slot)), placeIn(slot))
		}
	}
}

// Remove removes a place; what is there must not have changed yet.
func (x *Index) Remove(hash uint64, place uint32, hashOf func(place uint32) uint64) {
	if x.count == 0 {
		return
	}
	mask := x.mask()
	i := hash & mask
	for placeIn(x.slots[i]) != place {
		if x.slots[i] == 0 {
			return
		}
		i = (i + 1) & mask
	}
	x.count--
	// Whatever was pushed past this slot moves back, so that no search ends here.
	for j := i; ; {
		x.slots[i] = 0
		for {
			j = (j + 1) & mask
			if x.slots[j] == 0 {
				return
			}
			home := hashOf(placeIn(x.slots[j])) & mask
			if (j-home)&mask >= (j-i)&mask {
				break
			}
		}
		x.slots[i] = x.slots[j]
		i = j
	}
}
