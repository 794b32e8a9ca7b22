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
)

// cpuSupported says whether this system can be measured.
func cpuSupported() error { return nil }

// cpuTime is the CPU that a process, its threads and its children have used so
// far, user and system, in the scheduler's nanoseconds.
func cpuTime(pid int) (time.Duration, error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil || len(tasks) == 0 {
		return 0, fmt.Errorf("reading CPU time: process %d has no threads", pid)
	}
	var total time.Duration
	precise := true
	for _, task := range tasks {
		text, err := os.ReadFile(task + "/schedstat") //nolint:gosec // below /proc
		if errors.Is(err, os.ErrNotExist) {
			precise = false
			break
		}
		if err != nil {
			continue // the thread has just ended
		}
		used, err := parseSchedstat(string(text))
		if err != nil {
			return 0, err
		}
		total += used
	}
	if !precise || total == 0 { // a kernel without scheduler statistics
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0, fmt.Errorf("reading CPU time: %w", err)
		}
		if total, err = parseStat(string(text)); err != nil {
			return 0, err
		}
	}
	for _, child := range children(pid) {
		used, err := cpuTime(child)
		if err != nil {
			return 0, err
		}
		total += used
	}
	return total, nil
}

// parseSchedstat reads the first of the three numbers: nanoseconds on a CPU.
func parseSchedstat(text string) (time.Duration, error) {
	fields := strings.Fields(text)
	if len(fields) != 3 {
		return 0, errors.New("reading CPU time: schedstat is not three numbers")
	}
	ns, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("reading CPU time: %w", err)
	}
	return time.Duration(ns), nil
}

// tick is the unit of /proc/PID/stat, which is this on all of Go's ports.
const tick = 10 * time.Millisecond

// parseStat adds up utime and stime, the 14th and 15th field. The 2nd one, the
// name, can hold blanks and brackets.
func parseStat(text string) (time.Duration, error) {
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 13 {
		return 0, errors.New("reading CPU time: stat is too short")
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return 0, fmt.Errorf("reading CPU time: %w", err)
	}
	return time.Duration(user+system) * tick, nil
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
