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
		"one slot":   func(n uint32) uint64 { return uint64(n) << 32 },
		"one tag":    func(n uint32) uint64 { return uint64(n % 8) },
		"all as one": func(uint32) uint64 { return 42 },
		"at the end": func(n uint32) uint64 { return ^uint64(0) - uint64(n%4) },
	} {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 2))
			var index Index
			var places Slab[uint32] // what is at a place is its own key
			hashOf := func(place uint32) uint64 { return hash(*places.At(place)) }
			known := make(map[uint32]uint32) // key → place
			for range 4000 {
				key := random.Uint32N(300)
				place, there := known[key]
				found := index.Find(hash(key), func(p uint32) bool { return *places.At(p) == key })
				if found != place || there != (found != 0) {
					t.Fatalf("key %d is at %d, found at %d", key, place, found)
				}
				if there {
					index.Remove(hash(key), place, hashOf)
					places.Give(place)
					delete(known, key)
					continue
				}
				place = places.Take()
				*places.At(place) = key
				index.Add(hash(key), place, hashOf)
				known[key] = place
			}
			for key, place := range known {
				if found := index.Find(hash(key), func(p uint32) bool { return *places.At(p) == key }); found != place {
					t.Errorf("key %d is at %d, found at %d", key, place, found)
				}
			}
			if index.Len() != len(known) {
				t.Errorf("%d places, want %d", index.Len(), len(known))
			}
		})
	}
}

func TestRemovingWhatIsNotThereChangesNothing(t *testing.T) {
	var index Index
	hashOf := func(place uint32) uint64 { return uint64(place) }
	index.Remove(1, 1, hashOf)
	index.Add(1, 1, hashOf)
	index.Remove(2, 2, hashOf)
	index.Remove(1, 2, hashOf)
	if index.Len() != 1 || index.Find(1, func(uint32) bool { return true }) != 1 {
		t.Error("the place is gone")
	}
}

func TestSlabGivesPlacesAgain(t *testing.T) {
	var slab Slab[int]
	taken := make(map[uint32]bool)
	for range 3 * chunkSize {
		place := slab.Take()
		if place == 0 || taken[place] || *slab.At(place) != 0 {
			t.Fatalf("place %d", place)
		}
		taken[place] = true
		*slab.At(place) = int(place)
	}
	for place := range taken {
		if *slab.At(place) != int(place) {
			t.Fatalf("place %d has %d", place, *slab.At(place))
		}
		slab.Give(place)
	}
	if place := slab.Take(); !taken[place] || *slab.At(place) != 0 {
		t.Errorf("place %d with %d after all were given back", place, *slab.At(place))
	}
}

// A place that is given back twice must not be taken by two.
func TestAFreePlaceCannotBeFreed(t *testing.T) {
	var slab Slab[int]
	place := slab.Take()
	for range 3 {
		slab.Give(place)
		slab.Give(1 << 30)
	}
	if slab.Taken(place) || slab.Taken(1<<30) {
		t.Error("a free place is said to be taken")
	}
	if one, two := slab.Take(), slab.Take(); one == two || !slab.Taken(one) || !slab.Taken(two) || slab.Len() != 2 {
		t.Errorf("places %d and %d", one, two)
	}
}

// Places of a class have its remainder, those given back as well, and belong to
// nobody else.
func TestClassesOfASlabAreApart(t *testing.T) {
	const classes = 7
	var slab Slab[int]
	var class [classes]Class
	if slab.Reaches(0) {
		t.Error("an empty slab reaches place 0")
	}
	owner := make(map[uint32]uint32)
	random := rand.New(rand.NewPCG(1, 2))
	for range 20 * chunkSize {
		n := random.Uint32N(classes)
		place := slab.TakeFrom(&class[n], n, classes)
		if _, taken := owner[place]; taken || place == 0 || place%classes != n || !slab.Reaches(place) || *slab.At(place) != 0 {
			t.Fatalf("place %d for class %d", place, n)
		}
		if random.IntN(2) == 0 {
			*slab.At(place) = 1
			slab.GiveTo(&class[n], place)
			continue
		}
		owner[place] = n
	}
	if slab.Reaches(1 << 30) {
		t.Error("it reaches everything")
	}
}

func BenchmarkIndexFind(b *testing.B) {
	for _, n := range []uint32{1_000, 1_000_000} {
		var index Index
		hash := func(n uint32) uint64 { return uint64(n) * 0x9e3779b97f4a7c15 }
		for place := uint32(1); place <= n; place++ {
			index.Add(hash(place), place, hash)
		}
		known := make(map[[16]byte]uint32, n)
		key := func(n uint32) (k [16]byte) {
			k[0], k[1], k[2], k[3] = byte(n), byte(n>>8), byte(n>>16), byte(n>>24)
			return k
		}
		for place := uint32(1); place <= n; place++ {
			known[key(place)] = place
		}
		random := rand.New(rand.NewPCG(1, 2))
		b.Run(fmt.Sprintf("index, %d places", n), func(b *testing.B) {
			for b.Loop() {
				place := 1 + random.Uint32N(n)
				if index.Find(hash(place), func(p uint32) bool { return p == place }) != place {
					b.Fatal("not found")
				}
			}
		})
		b.Run(fmt.Sprintf("map, %d places", n), func(b *testing.B) {
			for b.Loop() {
				place := 1 + random.Uint32N(n)
				if known[key(place)] != place {
					b.Fatal("not found")
				}
			}
		})
	}
}
