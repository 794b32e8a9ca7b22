package request

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/caddy-wechat/gateway/caddymodule/internal/answer"
)

const bodyTime = 5 * time.Second

// ReadBody reads a small body within bodyTime, whatever the server's own
// limits are.
func ReadBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, answer.ErrBodyTooLarge
	}
	control := http.NewResponseController(w)
	limited := control.SetReadDeadline(time.Now().Add(bodyTime)) == nil
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if limited {
		// Or the deadline would later end the watch for clients that leave.
		_ = control.SetReadDeadline(time.Time{})
	}
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, answer.ErrBodyTooLarge
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, answer.ErrSlowBody
	}
	if err != nil {
		return nil, answer.ErrBody
	}
	return data, nil
}
