package auth

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// errCut is the error of writing an answer after its session has ended.
var errCut = errors.New("the session of this answer has ended")

// serve passes the request on and watches the answer: what is still open when the
// session ends or the token expires is cut. Then a client that has seen a part of the
// answer sees that the rest is missing; one that has seen nothing is refused.
func (p *passage) serve(r *http.Request, next caddyhttp.Handler) error {
	before := r.Context()
	ctx, cancel := context.WithCancel(before)
	defer cancel()
	p.cancel, p.reads = cancel, r.ContentLength != 0
	// In place: placeholders and outer handlers hold this request, not a copy.
	*r = *r.WithContext(ctx)
	p.handler.gateway.Watch(&p.stream, &p.pass, p)
	defer func() { _ = p.stream.Done() }()
	err := next.ServeHTTP(p, r)
	cut := p.stream.Done()
	*r = *r.WithContext(before) // error routes go on with it
	switch {
	case cut == nil:
		return p.finish(err)
	case p.upgraded:
		return nil // both connections are closed
	case p.started.Load():
		panic(http.ErrAbortHandler) // else the answer would look complete
	}
	if p.late {
		clear(p.Header())
	}
	p.strip(p.Header())
	if r.ProtoMajor == 1 {
		p.Header().Set("Connection", "close")
	}
	p.handler.refuse(p.ResponseWriter, cut, p.pass.User)
	return nil
}

// Cut implements gateway.Cutter. reverse_proxy closes both ends when the request's
// context ends. Deadlines wake up whoever reads an upload or writes to a slow client
// without looking at the context; over HTTP/2 they reset the stream.
func (p *passage) Cut() {
	p.ended.Store(true)
	p.cancel()
	control := http.NewResponseController(innermost(p.ResponseWriter))
	past := time.Unix(1, 0)
	started := p.started.Load()
	if started {
		_ = control.SetWriteDeadline(past)
	}
	if started || p.reads {
		_ = control.SetReadDeadline(past)
	}
}

// innermost is the writer of the server's own. The ones around it keep books on
// deadlines, and are not safe to call during a write.
func innermost(w http.ResponseWriter) http.ResponseWriter {
	for {
		wrapper, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return w
		}
		w = wrapper.Unwrap()
	}
}

// writes reports whether the answer may go on, and that it has begun.
func (p *passage) writes() bool {
	if p.ended.Load() {
		p.late = true
		return false
	}
	if !p.started.Load() {
		p.started.Store(true)
	}
	return true
}

// WriteHeader implements [http.ResponseWriter].
func (p *passage) WriteHeader(status int) {
	switch {
	case p.ended.Load():
		p.late = true
		return
	case status == http.StatusSwitchingProtocols:
		p.upgraded = true
		p.started.Store(true)
	case status >= http.StatusOK:
		p.started.Store(true)
	}
	p.responseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (p *passage) Write(b []byte) (int, error) {
	if !p.writes() {
		return 0, errCut
	}
	return p.responseWriter.Write(b)
}

// maxUnwatched is how much of a download goes out between two checks.
const maxUnwatched = 4 << 20

// ReadFrom keeps sendfile and splice working, a piece at a time.
func (p *passage) ReadFrom(r io.Reader) (sent int64, err error) {
	piece := io.LimitedReader{R: r}
	whole, limited := r.(*io.LimitedReader)
	if limited {
		piece.R = whole.R // the system copies from a file, or from one such reader around it
	}
	for {
		piece.N = maxUnwatched
		if limited {
			piece.N = min(piece.N, whole.N)
		}
		if !p.writes() {
			return sent, errCut
		}
		asked := piece.N
		n, err := p.responseWriter.ReadFrom(&piece)
		sent += n
		if limited {
			whole.N -= n
		}
		if err != nil || n < asked || limited && whole.N <= 0 {
			return sent, err
		}
	}
}

// FlushError implements the flushing of [http.ResponseController], which sends
// the header.
func (p *passage) FlushError() error {
	if !p.writes() {
		return errCut
	}
	return p.responseWriter.FlushError()
}
