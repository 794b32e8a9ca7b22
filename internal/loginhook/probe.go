package loginhook

import (
	"context"
	"fmt"
	"net/http"
	"strings"
)

// Probe sends what no application may believe: an empty object, and a signature that
// the secret has not made. It returns the status of the answer; an application that
// checks signatures says 401 or 403. The error is [ErrTimeout] or [ErrBadAnswer].
func (h *Hook) Probe(ctx context.Context) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, strings.NewReader("{}"))
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrBadAnswer, withoutURL(err))
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "caddy-wechat")
	req.Header[SignatureHeader] = []string{"t=0,v1=" + strings.Repeat("0", 64)}
	resp, err := h.client.Do(req)
	if err != nil {
		return 0, transportError(ctx, err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode, nil
}
