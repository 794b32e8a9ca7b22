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
		l := withLazyTimeout(time.Second)
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
		l := withLazyTimeout(time.Hour)
		l.end()
		l.end()
		<-l.Done() // asked for the first time now
	})
	synctest.Test(t, func(t *testing.T) {
		l := withLazyTimeout(time.Hour)
		below, cancel := context.WithCancel(l)
		defer cancel()
		l.end()
		<-below.Done()
	})
}
