package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// cpuSupported says whether this system can be measured.
func cpuSupported() error { return nil }

// cpuTime is the CPU that a process, its threads and its children have used so
// far, user and system, in the nanoseconds of the scheduler.
func cpuTime(pid int) (time.Duration, error) {
	const allThreads = 2          // CPUCLOCK_SCHED in the kernel's posix-timers.h
	clock := ^pid<<3 | allThreads // what clock_getcpuclockid returns
	var used unix.Timespec
	if err := unix.ClockGettime(int32(clock), &used); err != nil { //nolint:gosec // process ids are below 2^22
		return 0, fmt.Errorf("reading CPU time of process %d: %w", pid, err)
	}
	total := time.Duration(used.Nano())
	for _, child := range children(pid) {
		used, err := cpuTime(child)
		if err != nil {
			return 0, err
		}
		total += used
	}
	return total, nil
}

// children are the processes whose parent this is, such as nginx's workers.
func children(pid int) []int {
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil
	}
	var found []int
	for _, file := range all {
		text, err := os.ReadFile(file) //nolint:gosec // below /proc
		if err != nil {
			continue // it has just ended
		}
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if len(fields) < 2 || fields[1] != strconv.Itoa(pid) {
			continue
		}
		if child, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
			found = append(found, child)
		}
	}
	return found
}

// residentBytes is how much memory of the process is in RAM.
func residentBytes(pid int) (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("reading memory: %w", err)
	}
	return parseStatus(string(text), "VmRSS:")
}

// peakBytes is the most that residentBytes has ever been.
func peakBytes(pid int) (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("reading memory: %w", err)
	}
	return parseStatus(string(text), "VmHWM:")
}

func parseStatus(text, field string) (int, error) {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, field); ok {
			var kilobytes int
			if _, err := fmt.Sscanf(rest, "%d kB", &kilobytes); err != nil {
				return 0, fmt.Errorf("reading memory: %w", err)
			}
			return kilobytes << 10, nil
		}
	}
	return 0, errors.New("reading memory: status has no " + field)
}

// maxSockets is how many a proxy can hold with two files for each.
func maxSockets() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 400
	}
	return int(min(limit.Max, 1<<20))/2 - 200
}
