// Package compact keeps many small values in memory without pointers. The garbage
// collector looks into everything that holds a pointer; with a million sessions in
// maps of pointers that costs every request more than the gateway does
// (docs/performance.md). Here it finds one object in a thousand values, and
// nothing in it to look at. A lookup touches as little memory as it can.
package compact

import "sync/atomic"

// chunkSize is how many values a Slab takes from the heap at once.
const chunkSize = 1024

// Slab keeps values of one size at numbered places. T must not hold pointers.
// Places are found without a lock; everything else needs one. The zero value is
// an empty slab.
type Slab[T any] struct {
	chunks atomic.Pointer[[]*[chunkSize]T]
	free   []uint32 // places given back
	next   uint32   // the last place that was taken; 0 is no place
}

// At returns the value at a place that was taken. The pointer stays good until
// the place is given back.
func (s *Slab[T]) At(place uint32) *T {
	return &(*s.chunks.Load())[place/chunkSize][place%chunkSize]
}

// Take returns a place with a zero value. Places begin with 1.
func (s *Slab[T]) Take() uint32 {
	if n := len(s.free); n > 0 {
		place := s.free[n-1]
		s.free = s.free[:n-1]
		return place
	}
	s.next++
	var chunks []*[chunkSize]T
	if known := s.chunks.Load(); known != nil {
		chunks = *known
	}
	if int(s.next/chunkSize) >= len(chunks) {
		// Readers have the old slice; an append within its capacity is beyond
		// what they see.
		chunks = append(chunks, new([chunkSize]T))
		s.chunks.Store(&chunks)
	}
	return s.next
}

// Give gives a place back. Nobody may look at it any more.
func (s *Slab[T]) Give(place uint32) {
	var zero T
	*s.At(place) = zero
	s.free = append(s.free, place)
}
