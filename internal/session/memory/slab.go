package memory

import "sync/atomic"

// chunkSize is how many values a slab takes from the heap at once.
const chunkSize = 1024

// slab keeps values of one size at numbered places. Values that hold no pointer
// make it one object in a thousand for the garbage collector, which need not
// look into it. Places are found without a lock; everything else needs one.
type slab[T any] struct {
	chunks atomic.Pointer[[]*[chunkSize]T]
	free   []uint32 // places given back
	next   uint32   // the first place that was never taken; 0 is no place
}

// at returns the value at a place that was taken. The pointer stays good until
// the place is given back.
func (s *slab[T]) at(place uint32) *T {
	return &(*s.chunks.Load())[place/chunkSize][place%chunkSize]
}

// take returns a place with a zero value.
func (s *slab[T]) take() uint32 {
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

// give gives a place back. Nobody may look at it any more.
func (s *slab[T]) give(place uint32) {
	var zero T
	*s.at(place) = zero
	s.free = append(s.free, place)
}
