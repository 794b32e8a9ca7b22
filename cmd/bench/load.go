package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// call is a request as it goes over the wire and the status that it must get.
type call struct {
	raw    []byte
	status int
}

// source hands out calls, false when there are no more. It is safe for
// concurrent use.
type source func() (call, bool)

// inTurn repeats calls, one after the other, for ever.
func inTurn(calls []call) source {
	var next atomic.Uint64
	return func() (call, bool) { return calls[(next.Add(1)-1)%uint64(len(calls))], true }
}

// limit makes a run end. Both fields count if both are set.
type limit struct {
	duration time.Duration
	requests int
	body     []byte // expected in every answer, unless nil
}

// maxPerRequest is how long a request may take on a machine that does other things,
// on average.
const maxPerRequest = 10 * time.Millisecond

type loadResult struct {
	requests  int
	elapsed   time.Duration
	latencies []time.Duration // sorted
}

// sender is one client. Its answers are good until the next one.
type sender interface {
	do(c call, body []byte) error
	answered() []byte
	deadline(at time.Time)
	close()
}

// client is a set of keep-alive connections.
type client struct{ conns []sender }

func dial(ctx context.Context, addr string, n int) (*client, error) {
	c := new(client)
	for range n {
		conn, err := dialPlain(ctx, addr)
		if err != nil {
			c.close()
			return nil, fmt.Errorf("connecting: %w", err)
		}
		c.conns = append(c.conns, conn)
	}
	return c, nil
}

func dialPlain(ctx context.Context, addr string) (sender, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return newConnection(conn), nil
}

func (c *client) close() {
	for _, conn := range c.conns {
		conn.close()
	}
}

// run sends calls over all connections, one at a time on each, until the limit.
func (c *client) run(ctx context.Context, next source, end limit) (loadResult, error) {
	defer context.AfterFunc(ctx, c.close)()
	var (
		wg    sync.WaitGroup
		sent  atomic.Int64
		start = time.Now()
		all   = make([][]time.Duration, len(c.conns))
		errs  = make([]error, len(c.conns))
	)
	for i, conn := range c.conns {
		conn.deadline(start.Add(end.duration + time.Duration(end.requests)*maxPerRequest + 30*time.Second))
		wg.Go(func() {
			for {
				now := time.Now()
				if end.duration > 0 && now.Sub(start) >= end.duration || end.requests > 0 && sent.Add(1) > int64(end.requests) {
					return
				}
				call, ok := next()
				if !ok {
					return
				}
				if errs[i] = conn.do(call, end.body); errs[i] != nil {
					return
				}
				all[i] = append(all[i], time.Since(now))
			}
		})
	}
	wg.Wait()
	result := loadResult{elapsed: time.Since(start), latencies: slices.Concat(all...)}
	result.requests = len(result.latencies)
	slices.Sort(result.latencies)
	return result, errors.Join(ctx.Err(), firstError(errs))
}

func firstError(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// connection speaks as much HTTP/1.1 as the servers here do; what is not
// understood is an error, never a guess.
type connection struct {
	conn   net.Conn
	reader *bufio.Reader
	body   []byte
}

func newConnection(conn net.Conn) *connection {
	return &connection{conn: conn, reader: bufio.NewReaderSize(conn, 8<<10)}
}

func (c *connection) answered() []byte      { return c.body }
func (c *connection) deadline(at time.Time) { _ = c.conn.SetDeadline(at) } // a closed one fails when used
func (c *connection) close()                { _ = c.conn.Close() }

var (
	errAnswer = errors.New("answer not understood")
	errStatus = errors.New("unexpected status")
	errBody   = errors.New("unexpected body")
)

func (c *connection) do(call call, body []byte) error {
	if _, err := c.conn.Write(call.raw); err != nil {
		return fmt.Errorf("sending request: %w", err)
	}
	status, err := c.answer()
	if err != nil {
		return err
	}
	if status != call.status {
		return fmt.Errorf("%w: %d, want %d", errStatus, status, call.status)
	}
	if body != nil && !bytes.Equal(c.body, body) {
		return fmt.Errorf("%w: %d bytes", errBody, len(c.body))
	}
	return nil
}

// answer reads one answer, its body into c.body.
func (c *connection) answer() (status int, err error) {
	line, err := c.reader.ReadSlice('\n')
	if err != nil {
		return 0, fmt.Errorf("reading status: %w", err)
	}
	if len(line) < 14 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return 0, errAnswer
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, errAnswer
	}
	length := -1
	for {
		line, err := c.reader.ReadSlice('\n')
		if err != nil {
			return 0, fmt.Errorf("reading header: %w", err)
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		if bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil || length < 0 || length > 1<<20 {
				return 0, errAnswer
			}
		}
	}
	switch {
	case length < 0 && status == 204:
		length = 0
	case length < 0:
		return 0, fmt.Errorf("%w: no Content-Length", errAnswer)
	}
	c.body = slices.Grow(c.body[:0], length)[:length]
	for read := 0; read < length; {
		n, err := c.reader.Read(c.body[read:])
		if err != nil {
			return 0, fmt.Errorf("reading body: %w", err)
		}
		read += n
	}
	return status, nil
}

// once hands out every call one time.
func once(calls []call) source {
	var next atomic.Uint64
	return func() (call, bool) {
		i := next.Add(1) - 1
		if i >= uint64(len(calls)) {
			return call{}, false
		}
		return calls[i], true
	}
}
