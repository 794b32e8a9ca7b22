// Package compact keeps many small values in memory without pointers. The garbage
// collector scans everything that holds a pointer; with a million sessions in
// maps of pointers that costs every request more than the gateway does
// (docs/performance.md). Here it finds one object in a thousand values, and
// nothing in it to look at. A lookup touches as little memory as it can.
package compact

import (
	"cmp"
	"math/bits"
	"sync/atomic"
)

// chunkSize is how many values a [Slab] takes from the heap at once.
const chunkSize = 1024

// Slab keeps values of one size at numbered slots. T must not hold pointers.
// Slots are found without a lock; everything else needs one. The zero value is
// an empty slab.
type Slab[T any] struct {
	chunks atomic.Pointer[[]*[chunkSize]T]
	taken  []uint64 // a bit for each slot, so that none is given back twice
	all    Class
}

// Class is a share of the slots of a [Slab]: those with one remainder, so that a
// slot number tells its class. The zero value has given out none.
type Class struct {
	free []uint32 // slots given back
	next uint32
}

func (c *Class) take(remainder, classes uint32) uint32 {
	if n := len(c.free); n > 0 {
		slot := c.free[n-1]
		c.free = c.free[:n-1]
		return slot
	}
	if c.next == 0 { // 0 is no slot
		c.next = cmp.Or(remainder, classes)
	}
	slot := c.next
	c.next += classes
	return slot
}

// At returns the value at a slot that was taken. The pointer stays good until
// the slot is given back.
func (s *Slab[T]) At(slot uint32) *T {
	return &(*s.chunks.Load())[slot/chunkSize][slot%chunkSize]
}

// Take returns a slot with a zero value. Slots begin with 1.
func (s *Slab[T]) Take() uint32 { return s.TakeFrom(&s.all, 0, 1) }

// TakeFrom is Take for one of several classes: slot%classes is the remainder.
// All slots of a slab are taken in this way or none.
func (s *Slab[T]) TakeFrom(c *Class, remainder, classes uint32) uint32 {
	slot := c.take(remainder, classes)
	var chunks []*[chunkSize]T
	if current := s.chunks.Load(); current != nil {
		chunks = *current
	}
	for int(slot/chunkSize) >= len(chunks) {
		// Readers have the old slice; an append within its capacity is beyond
		// what they see.
		grown := append(chunks, new([chunkSize]T))
		s.chunks.Store(&grown)
		chunks = grown
		s.taken = append(s.taken, make([]uint64, chunkSize/bitsPerWord)...)
	}
	word, bit := takenBit(slot)
	s.taken[word] |= bit
	return slot
}

const bitsPerWord = 64

func takenBit(slot uint32) (word int, bit uint64) {
	return int(slot / bitsPerWord), 1 << (slot % bitsPerWord)
}

// Taken reports whether a slot was taken and not given back since.
func (s *Slab[T]) Taken(slot uint32) bool {
	word, bit := takenBit(slot)
	return word < len(s.taken) && s.taken[word]&bit != 0
}

// Len is how many slots are taken.
func (s *Slab[T]) Len() (n int) {
	for _, word := range s.taken {
		n += bits.OnesCount64(word)
	}
	return n
}

// Give gives a slot back. Its value must not be read any more. A slot that is free
// stays as it is: given back twice, it would be taken twice.
func (s *Slab[T]) Give(slot uint32) { s.GiveTo(&s.all, slot) }

// GiveTo is Give for a slot of a class.
func (s *Slab[T]) GiveTo(c *Class, slot uint32) {
	if !s.Taken(slot) {
		return
	}
	word, bit := takenBit(slot)
	s.taken[word] &^= bit
	var zero T
	*s.At(slot) = zero
	c.free = append(c.free, slot)
}

// Reaches reports whether there is a slot with this number, taken or not.
func (s *Slab[T]) Reaches(slot uint32) bool {
	chunks := s.chunks.Load()
	return chunks != nil && int(slot/chunkSize) < len(*chunks)
}
