package relay

import (
	"errors"
	"io"
	"sync/atomic"
)

const (
	// MaxBuffered is the largest body without Content-Length.
	MaxBuffered = 16 << 20
	// pieceSize is the unit in which bodies are kept.
	pieceSize = 64 << 10
	// maxSmall and maxLarge are what the buffers of a process may hold together:
	// those of bodies and answers up to a piece, and those of longer bodies. So
	// uploads that never end leave room for ordinary calls.
	maxSmall = 32 << 20
	maxLarge = 2 * MaxBuffered
)

// Buffers is the memory for the bodies and answers of all calls of a process.
type Buffers struct{ small, large atomic.Int64 }

// NewBuffers returns [Buffers] of which nothing is in use.
func NewBuffers() *Buffers {
	b := new(Buffers)
	b.small.Store(maxSmall)
	b.large.Store(maxLarge)
	return b
}

// loan is what one call uses of the buffers.
type loan struct {
	from         *Buffers
	small, large int64
}

// take takes n bytes if there are as many left.
func take(left *atomic.Int64, n int64) bool {
	if left.Add(-n) >= 0 {
		return true
	}
	left.Add(n)
	return false
}

func (l *loan) takeSmall(n int64) bool {
	if !take(&l.from.small, n) {
		return false
	}
	l.small += n
	return true
}

func (l *loan) takeLarge(n int64) bool {
	if !take(&l.from.large, n) {
		return false
	}
	l.large += n
	return true
}

func (l *loan) giveBack() {
	l.from.small.Add(l.small)
	l.from.large.Add(l.large)
	l.small, l.large = 0, 0
}

// readAll reads a body of unknown length. What it returns is never used again:
// a connection may still be sending it after the call.
func (l *loan) readAll(body io.Reader) (kept [][]byte, length int64, err error) {
	for have := l.takeSmall(pieceSize); ; have = l.takeLarge(pieceSize) {
		if !have {
			return nil, 0, ErrBusy
		}
		piece := make([]byte, pieceSize)
		n, err := fill(body, piece)
		if n > 0 {
			kept, length = append(kept, piece[:n]), length+int64(n)
		}
		switch {
		case errors.Is(err, io.EOF):
			return kept, length, nil
		case err != nil:
			return nil, 0, err
		case length >= MaxBuffered:
			if n, err := io.ReadFull(body, make([]byte, 1)); n == 0 && errors.Is(err, io.EOF) {
				return kept, length, nil
			}
			return nil, 0, ErrTooLarge
		}
	}
}

// fill reads until p is full. Unlike [io.ReadFull] it tells the end of a body from
// a body that was cut off.
func fill(r io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var read int
		read, err = r.Read(p[n:])
		n += read
	}
	if n == len(p) {
		return n, nil
	}
	return n, err
}
