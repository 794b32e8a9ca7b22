package redis

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/session"
	"github.com/caddy-wechat/gateway/internal/session/redis/redistest"
	"github.com/caddy-wechat/gateway/internal/session/sessiontest"
)

// The records were written by an earlier version, with the keys of these tests;
// nodes of both versions run side by side during an upgrade.
func TestRecordsOfBeforeAreRead(t *testing.T) {
	data, err := os.ReadFile("testdata/records.json")
	if err != nil {
		t.Fatal(err)
	}
	var records map[string][]byte
	if err := json.Unmarshal(data, &records); err != nil {
		t.Fatal(err)
	}
	server := redistest.Start(t)
	for name, value := range records {
		server.Do("SET", name, string(value))
	}
	s := connect(t, options(server.Addr))
	ref := session.Ref{AppID: "wx1234567890abcdef", OpenID: "oAAAAAAAAAAAAAAAAAAAAAAAAAAA", SessionID: "AAAAAAAAAAAAAAAAAAAAAA"}
	got, err := s.Get(t.Context(), sessiontest.Query(ref))
	if err != nil || got.UnionID != "uAAAAAAAAAAAAAAAAAAAAAAAAAAA" || !got.Ends.Equal(time.Date(2100, time.January, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("%+v, %v", got, err)
	}
	if keys, err := s.SessionKeys(t.Context(), ref.AppID, ref.OpenID); err != nil || keys.Newest.Reveal() != "MDEyMzQ1Njc4OWFiY2RlZg==" {
		t.Errorf("session key: %v", err)
	}
	if value, err := s.LoadShared(t.Context(), "access_token "+ref.AppID); err != nil || string(value) != `{"v":"the token"}` {
		t.Errorf("shared value %q, %v", value, err)
	}
	if err := s.Delete(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	wantGet(t, s, ref, session.ErrNotFound)
}
