package redis

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestLazyTimeoutEndsLikeAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := withLazyTimeout(t.Context(), time.Second)
		defer l.end()
		start := time.Now()
		if deadline, ok := l.Deadline(); !ok || !deadline.Equal(start.Add(time.Second)) || l.Err() != nil {
			t.Errorf("deadline %s, %v", deadline, l.Err())
		}
		<-l.Done()
		if time.Since(start) != time.Second || !errors.Is(l.Err(), context.DeadlineExceeded) {
			t.Errorf("ended after %s: %v", time.Since(start), l.Err())
		}
	})
	synctest.Test(t, func(t *testing.T) {
		parent, cancel := context.WithCancel(t.Context())
		l := withLazyTimeout(parent, time.Hour)
		defer l.end()
		done := l.Done()
		cancel()
		<-done
		if !errors.Is(l.Err(), context.Canceled) {
			t.Errorf("after its parent: %v", l.Err())
		}
	})
	synctest.Test(t, func(t *testing.T) {
		parent, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		l := withLazyTimeout(parent, time.Hour)
		if deadline, _ := l.Deadline(); time.Until(deadline) != time.Second {
			t.Errorf("its parent ends earlier, and it at %s", deadline)
		}
		l.end()
		l.end()
		<-l.Done() // asked for the first time now
	})
	synctest.Test(t, func(t *testing.T) {
		l := withLazyTimeout(t.Context(), time.Hour)
		below, cancel := context.WithCancel(l)
		defer cancel()
		l.end()
		<-below.Done()
	})
}
