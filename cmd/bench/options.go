package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"time"
)

// errBound says that -check found a bound broken.
var errBound = errors.New("a bound is broken beyond the noise")

type options struct {
	gateway, stock   string
	rounds           int
	duration         time.Duration
	connections      int
	sessions         int
	quick            bool
	check, json      bool
	scale, login     bool
	collectors       bool
	webSockets       bool
	redisCosts       bool
	restarts         bool
	severalNodes     bool
	model            bool
	sockets          int
	figures, profile string
	binaries         string
	redraw           string
	out              io.Writer
}

func (o *options) valid() error {
	if o.quick {
		o.rounds, o.duration, o.sessions = 1, 200*time.Millisecond, min(o.sessions, 50)
		o.sockets = min(o.sockets, 200)
	}
	switch {
	case flag.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", flag.Arg(0))
	case o.rounds < 1 || o.rounds > 1000, o.duration < 10*time.Millisecond, o.duration > time.Minute:
		return errors.New("-rounds must be 1 to 1000 and -duration 10ms to 1m")
	case o.connections < 1 || o.connections > 1000, o.sessions < 1 || o.sessions > 100_000:
		return errors.New("-connections must be 1 to 1000 and -sessions 1 to 100000")
	case o.sockets < 1 || o.sockets > 100_000:
		return errors.New("-sockets must be 1 to 100000")
	case o.quick && o.check:
		return errors.New("-quick measures too little to -check")
	}
	return nil
}
