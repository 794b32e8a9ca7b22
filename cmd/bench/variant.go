package main

// variant is one way to send requests to one proxy.
type variant struct {
	name   string
	proxy  *process
	nodes  []*process // more proxies: connections go to each in turn, CPU is added up
	beside *process   // its CPU is counted and also reported apart: the verifier
	front  front
	base   string  // the variant that is 1.00
	bound  float64 // of design, 0: none
	calls  []call
	fresh  []string // if set, every request has another token of these sessions
	check  call     // asks the upstream what it sees
	sees   string   // and what that must be
	turn   source   // of calls
	warm   bool     // every call has been sent
}

// front is what clients speak to a proxy.
type front int

const (
	plain front = iota
	https       // HTTP/1.1 over TLS
	http2       // over TLS, too
)
