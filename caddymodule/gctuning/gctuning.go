package gctuning

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	runtimemetrics "runtime/metrics"
	"sync"

	"github.com/caddy-wechat/gateway/caddymodule/wechatapp"
)

// The garbage collector of Go runs, by default, whenever the heap has doubled. A
// proxy's heap is small and its garbage comes fast, so it would run many times a
// second. Letting garbage grow to a fixed size instead saves a tenth of all CPU
// (docs/performance.md). The size has bounds: a part of the machine's memory and
// of the memory limit, and never more than maxGarbage; a heap that is larger than
// that is collected as by default.
//
// GOGC in the environment switches all of this off, and a memory limit, whether
// from GOMEMLIMIT or from the container's limit as Caddy sets it, is kept by the
// collector whatever the percentage is.
const (
	minGCPercent = 100
	maxGCPercent = 1600
	maxGarbage   = 128 << 20
	// Garbage may have this part of the machine's memory, and of a memory limit.
	partOfMemory = 16
	partOfLimit  = 4
)

func init() {
	wechatapp.WhileRunning(func() (end func()) { return tuneCollector().stop })
}

// collector keeps the percentage fitting to what is alive.
type collector struct {
	before  int
	garbage uint64

	mu      sync.Mutex
	stopped bool
}

// tuneCollector begins to tune, unless the environment says how to collect. The
// result may be nil.
func tuneCollector() *collector {
	if os.Getenv("GOGC") != "" {
		return nil
	}
	c := &collector{garbage: garbageFor(physicalMemory(), debug.SetMemoryLimit(-1))}
	c.before = debug.SetGCPercent(gcPercent(c.garbage, liveHeap()))
	c.watch()
	return c
}

// garbageFor is how much garbage there may be; 0 bytes of memory are unknown ones.
func garbageFor(memory uint64, limit int64) uint64 {
	garbage := uint64(maxGarbage)
	if memory > 0 {
		garbage = min(garbage, memory/partOfMemory)
	}
	return min(garbage, uint64(max(limit, 0))/partOfLimit)
}

// physicalMemory is the machine's memory in bytes, 0 if it cannot be found out.
func physicalMemory() uint64 {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	var kilobytes uint64
	if _, err := fmt.Sscanf(string(text), "MemTotal: %d kB", &kilobytes); err != nil {
		return 0
	}
	return kilobytes << 10
}

// watch looks again after every collection.
func (c *collector) watch() {
	type sentinel struct{ _ [16]byte }
	runtime.AddCleanup(new(sentinel), func(c *collector) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if !c.stopped {
			debug.SetGCPercent(gcPercent(c.garbage, liveHeap()))
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
func gcPercent(garbage, live uint64) int {
	percent := garbage * 100 / max(live, 1)
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
