package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// storeError counts a failure of the store and keeps its cause for the log. If it
// is the client who has left, nothing is wrong with the store.
func (g *Gateway) storeError(ctx context.Context, appID string, err error) error {
	if leftErr := clientLeft(ctx); leftErr != nil {
		return leftErr
	}
	g.Observer.StoreFailed(appID)
	return unavailable(err)
}

// unavailable wraps the error of a store that cannot tell, which is never taken for
// one that says no.
func unavailable(err error) error {
	return retryAfter(fmt.Errorf("%w: %w", ErrStoreUnavailable, err), time.Second)
}

// clientLeft is the error of a context whose client has left. A deadline is no such error:
// the client still waits, and is told that the store was too slow.
func clientLeft(ctx context.Context) error {
	if err := ctx.Err(); errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
