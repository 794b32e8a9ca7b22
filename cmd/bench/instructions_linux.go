package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// counter counts one event in a process, its children and all of their threads, in
// user space only, which is what the kernel grants to everybody.
type counter struct{ files []int }

// instructions is the event that a processor counts, if it is allowed to.
var instructions = event{unix.PERF_TYPE_HARDWARE, unix.PERF_COUNT_HW_INSTRUCTIONS}

type event struct {
	kind   uint32
	config uint64
}

// errNoCounters: there is nothing to count with.
var errNoCounters = errors.New("no hardware counters here, as on most virtual machines")

// count begins to count; threads that are made later are counted too.
func count(pid int, of event) (*counter, error) {
	c := new(counter)
	for _, process := range append([]int{pid}, children(pid)...) {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", process))
		if err != nil {
			return nil, fmt.Errorf("finding threads: %w", err)
		}
		for _, task := range tasks {
			thread, err := strconv.Atoi(filepath.Base(task))
			if err != nil {
				continue
			}
			file, err := openCounter(thread, of)
			if errors.Is(err, unix.ESRCH) {
				continue // the thread has just ended
			}
			if err != nil {
				c.close()
				return nil, err
			}
			c.files = append(c.files, file)
		}
	}
	if len(c.files) == 0 {
		return nil, fmt.Errorf("counting: process %d has no threads", pid)
	}
	return c, nil
}

func openCounter(thread int, of event) (int, error) {
	attributes := unix.PerfEventAttr{
		Type: of.kind, Config: of.config,
		Size:        uint32(unsafe.Sizeof(unix.PerfEventAttr{})),
		Bits:        unix.PerfBitInherit | unix.PerfBitExcludeKernel | unix.PerfBitExcludeHv,
		Read_format: unix.PERF_FORMAT_TOTAL_TIME_ENABLED | unix.PERF_FORMAT_TOTAL_TIME_RUNNING,
	}
	file, err := unix.PerfEventOpen(&attributes, thread, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
	switch {
	case err == nil:
		return file, nil
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENOSYS):
		return 0, errNoCounters
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		setting, _ := os.ReadFile("/proc/sys/kernel/perf_event_paranoid")
		return 0, fmt.Errorf("counters may not be read here (kernel.perf_event_paranoid is %s; 2 or less allows it, unless a container forbids it)", bytes.TrimSpace(setting))
	default:
		return 0, fmt.Errorf("opening counter: %w", err)
	}
}

// read is what was counted so far.
func (c *counter) read() (float64, error) {
	var total float64
	for _, file := range c.files {
		var buf [24]byte
		n, err := unix.Read(file, buf[:])
		if err != nil {
			return 0, fmt.Errorf("reading counter: %w", err)
		}
		counted, err := parseCount(buf[:n])
		if err != nil {
			return 0, err
		}
		total += counted
	}
	return total, nil
}

func (c *counter) close() {
	for _, file := range c.files {
		_ = unix.Close(file)
	}
}

// parseCount reads a count and for how long it was enabled and running: a processor
// has few counters, and whoever shares one is counted for a part of the time.
func parseCount(data []byte) (float64, error) {
	if len(data) != 24 {
		return 0, fmt.Errorf("reading counter: %d bytes instead of 24", len(data))
	}
	value := binary.NativeEndian.Uint64(data)
	enabled, running := binary.NativeEndian.Uint64(data[8:]), binary.NativeEndian.Uint64(data[16:])
	switch {
	case running > enabled || running == 0 && value > 0:
		return 0, fmt.Errorf("reading counter: counting for %s of %s", time.Duration(running), time.Duration(enabled)) //nolint:gosec // only printed
	case running == 0:
		return 0, nil // a thread that slept all the time
	}
	return float64(value) * (float64(enabled) / float64(running)), nil
}
