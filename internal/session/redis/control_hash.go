package redis

import "time"

// What operators decide for all nodes at once stands in one small hash: a field
// per app with its generation, which ends the sessions of older generations, and
// a field per signing key that does not count any more. Every node reads it a few
// times a second, so that a check of a session costs no round trip for it.

const (
	generationField = "g:"
	droppedField    = "k:"
	// followInterval is how often the hash is read, staleAfter when what was read
	// does not count any more and a check asks itself: nodes follow each other
	// within a second.
	followInterval = 300 * time.Millisecond
	staleAfter     = 900 * time.Millisecond
)

// control is the hash as it was read.
type control struct {
	read        time.Time
	generations map[string]int64 // by AppID's name
	dropped     []string
}
