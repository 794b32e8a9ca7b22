package operate

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/doctor"
	"github.com/caddy-wechat/gateway/internal/keyring"
)

func TestDoctorOnKeys(t *testing.T) {
	now := time.Now()
	const rotation = 30 * 24 * time.Hour
	key := func(age time.Duration) keyring.KeyInfo {
		return keyring.KeyInfo{ID: "0123456789abcdef", Made: now.Add(-age), Signs: now.Add(-age), Signing: true}
	}
	announced := keyring.KeyInfo{ID: "fedcba9876543210", Made: now, Signs: now.Add(time.Minute)}
	for name, tc := range map[string]struct {
		keys   []keyring.KeyInfo
		err    error
		status doctor.Status
		texts  []string
	}{
		"young":     {[]keyring.KeyInfo{key(time.Hour)}, nil, doctor.OK, []string{"1 key ", "0123456789abcdef signs", "1h0m0s"}},
		"announced": {[]keyring.KeyInfo{announced, key(rotation)}, nil, doctor.OK, []string{"2 keys", "0123456789abcdef signs", "30 days"}},
		"old":       {[]keyring.KeyInfo{key(2*rotation + time.Hour)}, nil, doctor.Warn, []string{"60 days", "key_rotation is 30 days"}},
		"none":      {nil, fmt.Errorf("keys: %w", fs.ErrNotExist), doctor.Warn, []string{"first start"}},
		"damaged":   {nil, fmt.Errorf("keys: %w", keyring.ErrDamaged), doctor.Fail, []string{"damaged", "backup"}},
	} {
		findings := describeKeys(tc.keys, tc.err, rotation, now)
		if len(findings) != 1 || findings[0].Check != checkKeys || findings[0].Status != tc.status {
			t.Errorf("%s: %+v", name, findings)
			continue
		}
		for _, text := range tc.texts {
			if f := findings[0]; !strings.Contains(f.Message.String()+" "+f.Action.String(), text) {
				t.Errorf("%s: %q is not in %+v", name, text, f)
			}
		}
	}
}
