// Package compact keeps many small values in memory without pointers. The garbage
// collector looks into everything that holds a pointer; with a million sessions in
// maps of pointers that costs every request more than the gateway does
// (docs/performance.md). Here it finds one object in a thousand values, and
// nothing in it to look at. A lookup touches as little memory as it can.
package compact

import (
	"cmp"
	"math/bits"
	"sync/atomic"
)

// chunkSize is how many values a Slab takes from the heap at once.
const chunkSize = 1024

// Slab keeps values of one size at numbered places. T must not hold pointers.
// Places are found without a lock; everything else needs one. The zero value is
// an empty slab.
type Slab[T any] struct {
	chunks atomic.Pointer[[]*[chunkSize]T]
	taken  []uint64 // a bit for each place, so that none is given back twice
	all    Class
}

// Class is a share of the places of a Slab: those with one remainder, so that a
// place says itself whose it is. The zero value has given out none.
type Class struct {
	free []uint32 // places given back
	next uint32
}

func (c *Class) take(remainder, classes uint32) uint32 {
	if n := len(c.free); n > 0 {
		place := c.free[n-1]
		c.free = c.free[:n-1]
		return place
	}
	if c.next == 0 { // 0 is no place
		c.next = cmp.Or(remainder, classes)
	}
	place := c.next
	c.next += classes
	return place
}

// At returns the value at a place that was taken. The pointer stays good until
// the place is given back.
func (s *Slab[T]) At(place uint32) *T {
	return &(*s.chunks.Load())[place/chunkSize][place%chunkSize]
}

// Take returns a place with a zero value. Places begin with 1.
func (s *Slab[T]) Take() uint32 { return s.TakeFrom(&s.all, 0, 1) }

// TakeFrom is Take for one of several classes: place%classes is the remainder.
// All places of a slab are taken in this way or none.
func (s *Slab[T]) TakeFrom(c *Class, remainder, classes uint32) uint32 {
	place := c.take(remainder, classes)
	var chunks []*[chunkSize]T
	if known := s.chunks.Load(); known != nil {
		chunks = *known
	}
	for int(place/chunkSize) >= len(chunks) {
		// Readers have the old slice; an append within its capacity is beyond
		// what they see.
		more := append(chunks, new([chunkSize]T))
		s.chunks.Store(&more)
		chunks = more
		s.taken = append(s.taken, make([]uint64, chunkSize/bitsPerWord)...)
	}
	word, bit := takenBit(place)
	s.taken[word] |= bit
	return place
}

const bitsPerWord = 64

func takenBit(place uint32) (word int, bit uint64) {
	return int(place / bitsPerWord), 1 << (place % bitsPerWord)
}

// Taken reports whether a place was taken and not given back since.
func (s *Slab[T]) Taken(place uint32) bool {
	word, bit := takenBit(place)
	return word < len(s.taken) && s.taken[word]&bit != 0
}

// Len is how many places are taken.
func (s *Slab[T]) Len() (n int) {
	for _, word := range s.taken {
		n += bits.OnesCount64(word)
	}
	return n
}

// Give gives a place back. Nobody may look at it any more. A place that is free
// stays as it is: given back twice, it would be taken by two, who then share it.
func (s *Slab[T]) Give(place uint32) { s.GiveTo(&s.all, place) }

// GiveTo is Give for a place of a class.
func (s *Slab[T]) GiveTo(c *Class, place uint32) {
	if !s.Taken(place) {
		return
	}
	word, bit := takenBit(place)
	s.taken[word] &^= bit
	var zero T
	*s.At(place) = zero
	c.free = append(c.free, place)
}

// Reaches reports whether there is a place with this number, taken or not.
func (s *Slab[T]) Reaches(place uint32) bool {
	chunks := s.chunks.Load()
	return chunks != nil && int(place/chunkSize) < len(*chunks)
}
