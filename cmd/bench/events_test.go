package main

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

// Events that come before the slice, or after it, are not of it.
func TestOnlyEventsOfTheSliceAreCounted(t *testing.T) {
	read, write := io.Pipe()
	begin, end := make(chan struct{}), make(chan struct{})
	type result struct {
		n   int
		err error
	}
	done := make(chan result)
	go func() {
		n, err := countEvents(read, begin, end)
		done <- result{n, err}
	}()
	send := func(n int) {
		for range n {
			if _, err := io.WriteString(write, oneEvent); err != nil {
				t.Fatal(err)
			}
		}
	}
	// A byte of the next event is taken once the event before has been counted.
	send(3)
	_, _ = io.WriteString(write, oneEvent[:1])
	close(begin)
	_, _ = io.WriteString(write, oneEvent[1:])
	send(4)
	_, _ = io.WriteString(write, oneEvent[:1])
	close(end)
	_, _ = io.WriteString(write, oneEvent[1:])
	if got := <-done; got.n != 5 || got.err != nil {
		t.Errorf("counted %d, %v; want 5", got.n, got.err)
	}
	if _, err := countEvents(bytes.NewBufferString(strings.Replace(oneEvent, "word", "sword", 1)), nil, nil); !errors.Is(err, errBody) {
		t.Errorf("another event: %v", err)
	}
	if _, err := countEvents(strings.NewReader(oneEvent), nil, nil); !errors.Is(err, io.EOF) {
		t.Errorf("a stream that ends: %v", err)
	}
}
