package compact

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// The index does what a map does, with hashes that collide in every way.
func TestIndexIsAMap(t *testing.T) {
	for name, hash := range map[string]func(n uint32) uint64{
		"spread":     func(n uint32) uint64 { return uint64(n) * 0x9e3779b97f4a7c15 },
		"one bucket": func(n uint32) uint64 { return uint64(n) << 32 },
		"one tag":    func(n uint32) uint64 { return uint64(n % 8) },
		"all as one": func(uint32) uint64 { return 42 },
		"at the end": func(n uint32) uint64 { return ^uint64(0) - uint64(n%4) },
	} {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 2))
			var index Index
			var slots Slab[uint32] // what is at a slot is its own key
			hashOf := func(slot uint32) uint64 { return hash(*slots.At(slot)) }
			known := make(map[uint32]uint32) // key → slot
			for range 4000 {
				key := random.Uint32N(300)
				slot, there := known[key]
				found := index.Find(hash(key), func(p uint32) bool { return *slots.At(p) == key })
				if found != slot || there != (found != 0) {
					t.Fatalf("key %d is at %d, found at %d", key, slot, found)
				}
				if there {
					index.Remove(hash(key), slot, hashOf)
					slots.Give(slot)
					delete(known, key)
					continue
				}
				slot = slots.Take()
				*slots.At(slot) = key
				index.Add(hash(key), slot, hashOf)
				known[key] = slot
			}
			for key, slot := range known {
				if found := index.Find(hash(key), func(p uint32) bool { return *slots.At(p) == key }); found != slot {
					t.Errorf("key %d is at %d, found at %d", key, slot, found)
				}
			}
			if index.Len() != len(known) {
				t.Errorf("%d slots, want %d", index.Len(), len(known))
			}
		})
	}
}

func TestRemovingWhatIsNotThereChangesNothing(t *testing.T) {
	var index Index
	hashOf := func(slot uint32) uint64 { return uint64(slot) }
	index.Remove(1, 1, hashOf)
	index.Add(1, 1, hashOf)
	index.Remove(2, 2, hashOf)
	index.Remove(1, 2, hashOf)
	if index.Len() != 1 || index.Find(1, func(uint32) bool { return true }) != 1 {
		t.Error("the slot is gone")
	}
}

func TestSlabReusesSlots(t *testing.T) {
	var slab Slab[int]
	taken := make(map[uint32]bool)
	for range 3 * chunkSize {
		slot := slab.Take()
		if slot == 0 || taken[slot] || *slab.At(slot) != 0 {
			t.Fatalf("slot %d", slot)
		}
		taken[slot] = true
		*slab.At(slot) = int(slot)
	}
	for slot := range taken {
		if *slab.At(slot) != int(slot) {
			t.Fatalf("slot %d has %d", slot, *slab.At(slot))
		}
		slab.Give(slot)
	}
	if slot := slab.Take(); !taken[slot] || *slab.At(slot) != 0 {
		t.Errorf("slot %d with %d after all were given back", slot, *slab.At(slot))
	}
}

// A slot that is given back twice must not be taken by two.
func TestAFreeSlotCannotBeFreed(t *testing.T) {
	var slab Slab[int]
	slot := slab.Take()
	for range 3 {
		slab.Give(slot)
		slab.Give(1 << 30)
	}
	if slab.Taken(slot) || slab.Taken(1<<30) {
		t.Error("a free slot is said to be taken")
	}
	if one, two := slab.Take(), slab.Take(); one == two || !slab.Taken(one) || !slab.Taken(two) || slab.Len() != 2 {
		t.Errorf("slots %d and %d", one, two)
	}
}

// Slots of a class have its remainder, those given back as well, and belong to
// nobody else.
func TestClassesOfASlabAreApart(t *testing.T) {
	const classes = 7
	var slab Slab[int]
	var class [classes]Class
	if slab.Reaches(0) {
		t.Error("an empty slab reaches slot 0")
	}
	owner := make(map[uint32]uint32)
	random := rand.New(rand.NewPCG(1, 2))
	for range 20 * chunkSize {
		n := random.Uint32N(classes)
		slot := slab.TakeFrom(&class[n], n, classes)
		if _, taken := owner[slot]; taken || slot == 0 || slot%classes != n || !slab.Reaches(slot) || *slab.At(slot) != 0 {
			t.Fatalf("slot %d for class %d", slot, n)
		}
		if random.IntN(2) == 0 {
			*slab.At(slot) = 1
			slab.GiveTo(&class[n], slot)
			continue
		}
		owner[slot] = n
	}
	if slab.Reaches(1 << 30) {
		t.Error("it reaches everything")
	}
}

func BenchmarkIndexFind(b *testing.B) {
	for _, n := range []uint32{1_000, 1_000_000} {
		var index Index
		hash := func(n uint32) uint64 { return uint64(n) * 0x9e3779b97f4a7c15 }
		for slot := uint32(1); slot <= n; slot++ {
			index.Add(hash(slot), slot, hash)
		}
		known := make(map[[16]byte]uint32, n)
		key := func(n uint32) (k [16]byte) {
			k[0], k[1], k[2], k[3] = byte(n), byte(n>>8), byte(n>>16), byte(n>>24)
			return k
		}
		for slot := uint32(1); slot <= n; slot++ {
			known[key(slot)] = slot
		}
		random := rand.New(rand.NewPCG(1, 2))
		b.Run(fmt.Sprintf("index, %d slots", n), func(b *testing.B) {
			for b.Loop() {
				slot := 1 + random.Uint32N(n)
				if index.Find(hash(slot), func(p uint32) bool { return p == slot }) != slot {
					b.Fatal("not found")
				}
			}
		})
		b.Run(fmt.Sprintf("map, %d slots", n), func(b *testing.B) {
			for b.Loop() {
				slot := 1 + random.Uint32N(n)
				if known[key(slot)] != slot {
					b.Fatal("not found")
				}
			}
		})
	}
}
