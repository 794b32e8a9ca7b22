package loginhook

import (
	"context"
	"strings"
)

// Probe sends what no application may believe: an empty object, and a signature that
// the secret has not made. It returns the status of the answer; an application that
// checks signatures says 401 or 403. The error is [ErrTimeout] or [ErrBadAnswer].
func (h *Hook) Probe(ctx context.Context) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	req, err := h.newRequest(ctx, []byte("{}"), "t=0,v1="+strings.Repeat("0", 64))
	if err != nil {
		return 0, err
	}
	resp, err := h.client.RoundTrip(req)
	if err != nil {
		return 0, transportError(ctx, err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode, nil
}
