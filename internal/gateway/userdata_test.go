package gateway

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// Whoever keeps on trying gets the 60 a minute that refill, and not a whole new
// allowance whenever the table would forget the user.
func TestF7DecryptionLimitOutlastsWhoeverKeepsTrying(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		allowed := 0
		const tried = 10 * time.Minute
		for end := time.Now().Add(tried); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
			if _, err := w.Decrypt(t.Context(), appA, openID, "", ""); !errors.Is(err, ErrRateLimited) {
				allowed++
			}
		}
		if most := decryptsPerMinute * (1 + int(tried/time.Minute)); allowed > most || allowed < most-1 {
			t.Errorf("%d tries in %s, want %d", allowed, tried, most)
		}
	})
}
