package caddymodule

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	runtimemetrics "runtime/metrics"
	"sync"
)

// The garbage collector of Go runs, by default, whenever the heap has doubled. A
// proxy's heap is small and its garbage comes fast, so it would run many times a
// second. Waiting until the heap is five times as large saves a tenth of all CPU
// (docs/performance.md). With more live data that would be much memory, so the
// extra garbage has a bound: what it would be by default, or maxGarbage.
//
// GOGC in the environment switches all of this off, and a memory limit, whether
// from GOMEMLIMIT or from the container's limit as Caddy sets it, is kept by the
// collector whatever the percentage is.
const (
	minGCPercent = 100
	maxGCPercent = 400
	maxGarbage   = 256 << 20
)

// collector keeps the percentage fitting to what is alive.
type collector struct {
	before int

	mu      sync.Mutex
	stopped bool
}

// tuneCollector begins to tune, unless the environment says how to collect. The
// result may be nil.
func tuneCollector() *collector {
	if os.Getenv("GOGC") != "" {
		return nil
	}
	c := &collector{before: debug.SetGCPercent(maxGCPercent)}
	c.watch()
	return c
}

// watch looks again after every collection.
func (c *collector) watch() {
	type sentinel struct{ _ [16]byte }
	runtime.AddCleanup(new(sentinel), func(c *collector) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if !c.stopped {
			debug.SetGCPercent(gcPercent(liveHeap()))
			c.watch()
		}
	}, c)
}

// stop restores what was set before.
func (c *collector) stop() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.stopped {
		c.stopped = true
		debug.SetGCPercent(c.before)
	}
}

// gcPercent is the percentage for a live heap.
func gcPercent(live uint64) int {
	percent := maxGarbage * 100 / max(live, 1)
	return int(min(max(percent, minGCPercent), maxGCPercent))
}

// liveHeap is what the last collection left.
func liveHeap() uint64 {
	sample := []runtimemetrics.Sample{{Name: "/gc/heap/live:bytes"}}
	runtimemetrics.Read(sample)
	if sample[0].Value.Kind() != runtimemetrics.KindUint64 {
		return math.MaxUint64 // a Go without that figure: as by default
	}
	return sample[0].Value.Uint64()
}
