package token

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/strictjson"
)

// After a restart every token is new to the gateway.
func TestVerifyAllocatesLittle(t *testing.T) {
	ring := mustRing(t, secretA, secretB)
	text := mustMint(t, ring, claims)
	var err error
	if n := testing.AllocsPerRun(100, func() { _, err = Verify(ring, text, now, maxLifetime) }); n > 20 || err != nil {
		t.Errorf("%v allocations, %v", n, err)
	}
}

// FuzzSignedTextsAreReadAsByEncodingJSON signs any two texts and compares with a
// reader that stands on encoding/json: neither takes a token that the other refuses,
// but for escapes, which Mint never writes, and both read the same claims.
func FuzzSignedTextsAreReadAsByEncodingJSON(f *testing.F) {
	ring := mustRing(f, secretA)
	good := `{"alg":"HS256","kid":"` + ring.Signer().ID() + `","typ":"wxgw+jwt"}`
	const payload = `{"iss":"caddy-wechat","aud":"wx1234567890abcdef","sub":"oAAAAAAAAAAAAAAAAAAAAAAAAAAA","sid":"AAAAAAAAAAAAAAAAAAAAAA","iat":1795435200,"exp":1795442400}`
	f.Add(good, payload)
	f.Add(strings.Replace(good, "wxgw", "wxgw-browser", 1), ` { "exp" : 1795442400,"iat":1795435200,"uid":"uAAAAAAAAAAA",`+payload[1:])
	f.Add(good, strings.Replace(payload, "1795442400", "1.7e9", 1))
	f.Add(good, strings.Replace(payload, "oA", `o\u0041`, 1))
	f.Add(strings.Replace(good, "{", `{"crit":[],`, 1), payload)
	f.Fuzz(func(t *testing.T, header, payload string) {
		text := sign(secretA, header, payload)
		if len(text) > maxBytes {
			return
		}
		got, err := Verify(ring, text, now, maxLifetime)
		want, ok := readByEncodingJSON([]byte(header), []byte(payload))
		ok = ok && want.KeyID == ring.Signer().ID() && want.Expires.Sub(want.IssuedAt) <= maxLifetime &&
			!want.IssuedAt.After(now.Add(Leeway)) && !now.After(want.Expires.Add(Leeway))
		switch {
		case err == nil && (!ok || got != want):
			t.Fatalf("%s %s: read as %+v, by encoding/json as %+v, %v", header, payload, got, want, ok)
		case err != nil && ok && !strings.Contains(header+payload, `\`):
			t.Fatalf("%s %s: %v, but encoding/json reads %+v", header, payload, err, want)
		}
	})
}

func readByEncodingJSON(header, payload []byte) (Claims, bool) {
	var c Claims
	good := true
	str := func(members map[string]json.RawMessage, name string) string {
		value, ok := strictjson.String(members[name])
		good = good && ok && value != ""
		return value
	}
	at := func(members map[string]json.RawMessage, name string) time.Time {
		value, ok := int64(0), false
		if len(members[name]) > 0 {
			value, ok = strictjson.Int(members[name])
		}
		good = good && ok && value > 0 && value < maxUnixSeconds
		return time.Unix(value, 0)
	}
	head, err := strictjson.Object(header, 1)
	if err != nil || len(head) != 3 {
		return c, false
	}
	typ := str(head, "typ")
	c.KeyID, c.Browser = str(head, "kid"), typ == BrowserType
	good = good && str(head, "alg") == "HS256" && (c.Browser || typ == Type)
	body, err := strictjson.Object(payload, 1)
	if err != nil {
		return c, false
	}
	expected := 6
	if _, present := body["uid"]; present {
		expected++
		c.User.UnionID = str(body, "uid")
		good = good && identity.ValidID(c.User.UnionID)
	}
	c.User.AppID, c.User.OpenID, c.User.SessionID = str(body, "aud"), str(body, "sub"), str(body, "sid")
	c.IssuedAt, c.Expires = at(body, "iat"), at(body, "exp")
	return c, good && len(body) == expected && str(body, "iss") == Issuer && c.Expires.After(c.IssuedAt) &&
		identity.ValidID(c.User.OpenID) && identity.ValidID(c.User.SessionID)
}
