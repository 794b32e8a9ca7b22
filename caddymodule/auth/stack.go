package auth

import "runtime"

// A request over HTTP/2 or HTTP/3 has a goroutine of its own, whose stack begins with
// 2 KiB. Until reverse_proxy has its answer it has grown to 32 KiB, in steps that each
// copy what is there, frame by frame. growStack takes the last of them at once, while
// there is little to copy; over HTTP/1 a connection keeps its stack.
//
//go:noinline
func growStack() {
	var room [16 << 10]byte
	runtime.KeepAlive(&room)
}
