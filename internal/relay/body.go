package relay

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"time"
)

// maxRepeatable is the largest body with a Content-Length that is kept for a
// second try.
const maxRepeatable = 64 << 10

// content is the body of a request.
type content struct {
	stream io.Reader
	kept   [][]byte // of a body that can be sent again
	length int64
}

func (c content) repeatable() bool { return c.stream == nil }

func (c content) reader() io.Reader {
	if c.stream != nil {
		return c.stream
	}
	readers := make([]io.Reader, len(c.kept))
	for i, piece := range c.kept {
		readers[i] = bytes.NewReader(piece)
	}
	return io.MultiReader(readers...)
}

// readBody keeps a short body, one whose length is not known, and one that is signed.
// Another long one is passed on while it comes.
func (p *Proxy) readBody(w http.ResponseWriter, r *http.Request, l *loan, signed bool) (content, error) {
	if r.Body == nil || r.ContentLength == 0 {
		return content{}, nil
	}
	d := deadline{http.NewResponseController(w)}
	if signed && r.ContentLength > MaxSigned {
		return content{}, ErrSignedTooLarge
	}
	if !signed && r.ContentLength > maxRepeatable {
		return content{stream: &steady{r.Body, d, p.BodyTime}, length: r.ContentLength}, nil
	}
	d.set(p.BodyTime)
	c, err := l.readWhole(r)
	switch {
	case err == nil && signed && c.length > MaxSigned:
		return content{}, ErrSignedTooLarge
	case err == nil:
		d.clear()
		return c, nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = ErrSlowBody
	case !errors.Is(err, ErrBusy) && !errors.Is(err, ErrTooLarge):
		err = ErrBody
	}
	// The server would wait for the rest before it sends the answer.
	d.set(0)
	if r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close")
	}
	return content{}, err
}

// ReadShort reads a body of at most most bytes, which may be pieceSize, within BodyTime.
// The caller calls giveBack when the body is not needed any more. Errors are those of
// Serve about bodies.
func (p *Proxy) ReadShort(w http.ResponseWriter, r *http.Request, most int64) (body []byte, giveBack func(), err error) {
	l := &loan{from: p.Buffers}
	d := deadline{http.NewResponseController(w)}
	switch {
	case r.ContentLength > most:
		err = ErrTooLarge
	case !l.takeSmall(most):
		err = ErrBusy
	default:
		d.set(p.BodyTime)
		body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	}
	if err == nil {
		d.clear()
		return body, l.giveBack, nil
	}
	l.giveBack()
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		err = ErrTooLarge
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = ErrSlowBody
	case !errors.Is(err, ErrBusy) && !errors.Is(err, ErrTooLarge):
		err = ErrBody
	}
	d.set(0) // as in readBody
	if r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close")
	}
	return nil, func() {}, err
}

func (l *loan) readWhole(r *http.Request) (c content, err error) {
	if r.ContentLength < 0 {
		c.kept, c.length, err = l.readAll(r.Body)
		return c, err
	}
	take := l.takeSmall
	if r.ContentLength > maxRepeatable {
		take = l.takeLarge
	}
	if !take(r.ContentLength) {
		return content{}, ErrBusy
	}
	body := make([]byte, r.ContentLength)
	if _, err := io.ReadFull(r.Body, body); err != nil {
		return content{}, err
	}
	// The server watches for a client that leaves only when it has seen the end.
	if _, err := r.Body.Read(make([]byte, 1)); err != nil && !errors.Is(err, io.EOF) {
		return content{}, err
	}
	return content{kept: [][]byte{body}, length: r.ContentLength}, nil
}

// deadline bounds the reads from a client.
type deadline struct{ control *http.ResponseController }

func (d deadline) set(after time.Duration) {
	_ = d.control.SetReadDeadline(time.Now().Add(after)) // what cannot do it has limits of its own
}

// clear ends the deadline, or it would later end the watch for clients that leave.
func (d deadline) clear() { _ = d.control.SetReadDeadline(time.Time{}) }

// steady is a body that does not pause for long.
type steady struct {
	body     io.Reader
	deadline deadline
	pause    time.Duration
}

func (s *steady) Read(p []byte) (int, error) {
	s.deadline.set(s.pause)
	n, err := s.body.Read(p)
	if err != nil {
		s.deadline.clear()
	}
	return n, err
}
