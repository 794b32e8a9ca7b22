package auth

import (
	"runtime"
	"testing"
)

// deep is a chain of calls as deep as those to the answer of reverse_proxy.
//
//go:noinline
func deep(frames int) int {
	var frame [56]*int // 448 bytes with pointers, which are adjusted one by one
	frame[frames] = &frames
	if frames == 0 {
		return 0
	}
	n := deep(frames - 1)
	runtime.KeepAlive(&frame)
	return n + *frame[frames]
}

// BenchmarkStackOfAStream is what a request over HTTP/2 pays for its stack, in a
// goroutine of its own that has gone some calls deep when it comes to the gateway.
func BenchmarkStackOfAStream(b *testing.B) {
	for name, grow := range map[string]func(){"in steps": func() {}, "at once": growStack} {
		b.Run(name, func(b *testing.B) {
			done := make(chan int)
			for b.Loop() {
				go func() {
					var before [4 << 10]byte // what is on it by then
					grow()
					done <- deep(30)
					runtime.KeepAlive(&before)
				}()
				<-done
			}
		})
	}
}
