//go:build !linux

package main

import (
	"errors"
	"time"
)

var errUnsupported = errors.New("the CPU time of other processes is only read on Linux; run this in a Linux container or machine")

func cpuSupported() error { return errUnsupported }

func cpuTime(int) (time.Duration, error) { return 0, errUnsupported }

func residentBytes(int) (int, error) { return 0, errUnsupported }

func peakBytes(int) (int, error) { return 0, errUnsupported }

func maxSockets() int { return 0 }

type event struct{}

type counter struct{}

var instructions event

func count(int, event) (*counter, error) { return nil, errUnsupported }

func (*counter) read() (float64, error) { return 0, errUnsupported }

func (*counter) close() {}
