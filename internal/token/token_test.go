package token

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/key"
)

var (
	secretA = []byte("\x01\x22\x53\x84\xa5\xc6\xe7\x08\x19\x2a\x3b\x4c\x5d\x6e\x7f\x80\x91\xa2\xb3\xc4\xd5\xe6\xf7\x18\x29\x3a\x4b\x5c\x6d\x7e\x8f\x90")
	secretB = bytes.Repeat([]byte("\xf0\x0d\xca\xfe\x12\x34\x56\x78\x9a\xbc\xde\xf1\x23\x45\x67\x89"), 2)
	now     = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	user    = identity.User{
		AppID: "wx1234567890abcdef", OpenID: "oAAAAAAAAAAAAAAAAAAAAAAAAAAA", UnionID: "uAAAAAAAAAAAAAAAAAAAAAAAAAAA",
		SessionID: "AAAAAAAAAAAAAAAAAAAAAA",
	}
	claims = Claims{User: user, IssuedAt: now, Expires: now.Add(2 * time.Hour)}
)

const maxLifetime = 2 * time.Hour

func mustKey(t testing.TB, secret []byte) key.Key {
	t.Helper()
	key, err := key.New(secret)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func mustRing(t testing.TB, secrets ...[]byte) *key.Set {
	t.Helper()
	var keys []key.Key
	for _, secret := range secrets {
		keys = append(keys, mustKey(t, secret))
	}
	ring, err := key.NewSet(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func mustMint(t testing.TB, ring *key.Set, c Claims) string {
	t.Helper()
	text, err := Mint(ring, c)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestVerifyReturnsWhatMintSigned(t *testing.T) {
	for name, c := range map[string]Claims{
		"with unionid":    claims,
		"of a browser":    {User: user, IssuedAt: now, Expires: now.Add(2 * time.Hour), Browser: true},
		"without unionid": {User: identity.User{AppID: user.AppID, OpenID: user.OpenID, SessionID: user.SessionID}, IssuedAt: now, Expires: now.Add(time.Second)},
	} {
		ring := mustRing(t, secretA)
		got, err := Verify(ring, mustMint(t, ring, c), now, maxLifetime)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		c.KeyID = ring.Signer().ID()
		if got.User != c.User || !got.IssuedAt.Equal(c.IssuedAt) || !got.Expires.Equal(c.Expires) || got.KeyID != c.KeyID ||
			got.Browser != c.Browser {
			t.Errorf("%s: got %+v, want %+v", name, got, c)
		}
	}
}

func TestExpiryHasLeewayAndNoMore(t *testing.T) {
	ring := mustRing(t, secretA)
	text := mustMint(t, ring, claims)
	for after, want := range map[time.Duration]error{
		-claims.Expires.Sub(now) - Leeway - time.Second: ErrInvalid, // issued in the future
		0: nil, Leeway: nil, Leeway + time.Second: ErrExpired, time.Hour: ErrExpired,
	} {
		got, err := Verify(ring, text, claims.Expires.Add(after), maxLifetime)
		if !errors.Is(err, want) {
			t.Errorf("%s after its end: %v, want %v", after, err, want)
		}
		if errors.Is(want, ErrExpired) && got.User != user {
			t.Errorf("an expired token of ours has lost its claims: %+v", got)
		}
	}
}

// sign makes a token out of any two JSON texts, with a key the ring trusts: the
// attacker who found the key must still get the form right, and so does every
// other program that was given the key.
func sign(secret []byte, header, payload string) string {
	signed := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func TestOnlyTokensAsMintedAreAccepted(t *testing.T) {
	ring := mustRing(t, secretA, secretB)
	kid := ring.Signer().ID()
	header := `{"alg":"HS256","kid":"` + kid + `","typ":"wxgw+jwt"}`
	payload := `{"iss":"caddy-wechat","aud":"wx1234567890abcdef","sub":"oAAAAAAAAAAAAAAAAAAAAAAAAAAA","sid":"AAAAAAAAAAAAAAAAAAAAAA","iat":1795435200,"exp":1795442400}`
	now := time.Unix(1795435200, 0)
	if _, err := Verify(ring, sign(secretA, header, payload), now, maxLifetime); err != nil {
		t.Fatalf("the control is refused: %v", err)
	}
	swap := func(text, old, replacement string) string {
		t.Helper()
		if !strings.Contains(text, old) {
			t.Fatalf("%q is not in %q", old, text)
		}
		return strings.Replace(text, old, replacement, 1)
	}
	good := sign(secretA, header, payload)
	last := good[len(good)-1]
	respelled := good[:len(good)-1] + string(base64Neighbour(last))
	for name, text := range map[string]string{
		"J1 alg none":            sign(secretA, swap(header, "HS256", "none"), payload),
		"J1 alg none unsigned":   good[:strings.LastIndex(good, ".")+1],
		"J1 other HMAC":          sign(secretA, swap(header, "HS256", "HS512"), payload),
		"J1 alg in lower case":   sign(secretA, swap(header, "HS256", "hs256"), payload),
		"J2 unknown kid":         sign(secretA, swap(header, kid, "0000000000000000"), payload),
		"J2 kid as path":         sign(secretA, swap(header, kid, "../../dev/null"), payload),
		"J2 no kid":              sign(secretA, `{"alg":"HS256","typ":"wxgw+jwt"}`, payload),
		"J2 jku":                 sign(secretA, swap(header, "{", `{"jku":"https://evil",`), payload),
		"J2 jwk":                 sign(secretA, swap(header, "{", `{"jwk":{},`), payload),
		"J2 x5u":                 sign(secretA, swap(header, "{", `{"x5u":"x",`), payload),
		"J3 crit":                sign(secretA, swap(header, "{", `{"crit":["exp"],`), payload),
		"J3 b64":                 sign(secretA, swap(header, "{", `{"b64":false,`), payload),
		"J3 typ JWT":             sign(secretA, swap(header, "wxgw+jwt", "JWT"), payload),
		"J3 typ in upper case":   sign(secretA, swap(header, "wxgw+jwt", "WXGW-browser+jwt"), payload),
		"J3 typ of neither":      sign(secretA, swap(header, "wxgw+jwt", "wxgw-browser"), payload),
		"J3 no typ":              sign(secretA, `{"alg":"HS256","kid":"`+kid+`"}`, payload),
		"J3 cty":                 sign(secretA, swap(header, "{", `{"cty":"JWT",`), payload),
		"J3 duplicate alg":       sign(secretA, swap(header, "{", `{"alg":"none",`), payload),
		"J3 header is a list":    sign(secretA, `["HS256"]`, payload),
		"J4 no exp":              sign(secretA, header, swap(payload, `,"exp":1795442400`, "")),
		"J4 exp zero":            sign(secretA, header, swap(payload, `"exp":1795442400`, `"exp":0`)),
		"J4 exp as string":       sign(secretA, header, swap(payload, `"exp":1795442400`, `"exp":"1795442400"`)),
		"J4 exp as fraction":     sign(secretA, header, swap(payload, `"exp":1795442400`, `"exp":1795442400.5`)),
		"J4 exp with exponent":   sign(secretA, header, swap(payload, `"exp":1795442400`, `"exp":1.8e9`)),
		"J4 exp far away":        sign(secretA, header, swap(payload, `"exp":1795442400`, `"exp":1895442400`)),
		"J4 exp overflows":       sign(secretA, header, swap(payload, `"exp":1795442400`, `"exp":9223372036854775807`)),
		"J4 exp before iat":      sign(secretA, header, swap(payload, `"exp":1795442400`, `"exp":1795435199`)),
		"J4 no iat":              sign(secretA, header, swap(payload, `"iat":1795435200,`, "")),
		"J4 iat in the future":   sign(secretA, header, swap(payload, `"iat":1795435200`, `"iat":1795435300`)),
		"J5 aud as list":         sign(secretA, header, swap(payload, `"wx1234567890abcdef"`, `["wx1234567890abcdef"]`)),
		"J5 other issuer":        sign(secretA, header, swap(payload, "caddy-wechat", "caddy-wechat2")),
		"J8 duplicate sub":       sign(secretA, header, swap(payload, "{", `{"sub":"oBBBBBBBBBBBBBBBBBBBBBBBBBBB",`)),
		"J8 case variant of sub": sign(secretA, header, swap(payload, "{", `{"SUB":"oBBBBBBBBBBBBBBBBBBBBBBBBBBB",`)),
		"J8 unknown claim":       sign(secretA, header, swap(payload, "{", `{"admin":true,`)),
		"J9 respelled signature": respelled,
		"J9 line break":          good[:20] + "\n" + good[20:],
		"J9 padded":              good + "=",
		"J18 empty sub":          sign(secretA, header, swap(payload, "oAAAAAAAAAAAAAAAAAAAAAAAAAAA", "")),
		"J18 braces in sub":      sign(secretA, header, swap(payload, "oAAAAAAAAAAAAAAAAAAAAAAAAAAA", "{env.WECHAT_SECRET}")),
		"J18 sub as number":      sign(secretA, header, swap(payload, `"oAAAAAAAAAAAAAAAAAAAAAAAAAAA"`, "7")),
		"J18 empty sid":          sign(secretA, header, swap(payload, `"AAAAAAAAAAAAAAAAAAAAAA"`, `""`)),
		"J18 empty uid":          sign(secretA, header, swap(payload, "{", `{"uid":"",`)),
		"J18 payload null":       sign(secretA, header, "null"),
		"J18 payload empty":      sign(secretA, header, "{}"),
		"J6 other key":           sign(secretB, header, payload),
		"four parts":             good + ".x",
		"two parts":              good[:strings.LastIndex(good, ".")],
		"trailing data":          sign(secretA, header, payload+"{}"),
	} {
		if got, err := Verify(ring, text, now, maxLifetime); !errors.Is(err, ErrInvalid) || got != (Claims{}) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}

// base64Neighbour is another character that a lax decoder reads as the same
// two low bits of a 32-byte signature's end.
func base64Neighbour(c byte) byte {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return alphabet[strings.IndexByte(alphabet, c)^1]
}

// J7: the size is looked at before anything is decoded.
func TestHugeTokensAreNotPlausible(t *testing.T) {
	if Plausible(strings.Repeat("a", 4<<10) + ".b.c") {
		t.Error("more than 4 KiB are plausible")
	}
	plausible, longDots := true, strings.Repeat(".", 100)
	if n := testing.AllocsPerRun(10, func() { plausible = Plausible(longDots) }); n > 0 {
		t.Errorf("%v allocations, plausible %v", n, plausible)
	}
}

func TestRemovingAKeyRefusesItsTokens(t *testing.T) {
	old := mustMint(t, mustRing(t, secretA), claims)
	both := mustRing(t, secretB, secretA)
	if _, err := Verify(both, old, now, maxLifetime); err != nil {
		t.Errorf("J12: with both keys: %v", err)
	}
	if _, err := Verify(mustRing(t, secretB), old, now, maxLifetime); !errors.Is(err, ErrInvalid) {
		t.Errorf("J12: without its key: %v", err)
	}
	if got := both.IDs(); len(got) != 2 || got[0] != both.Signer().ID() || !both.Has(got[1]) || both.Last().ID() != got[1] {
		t.Errorf("IDs() = %v", got)
	}
}

// The token was minted by an earlier version; it is good until its end.
func TestTokenOfBeforeIsAccepted(t *testing.T) {
	text, err := os.ReadFile("testdata/token.txt")
	if err != nil {
		t.Fatal(err)
	}
	got, err := Verify(mustRing(t, secretA), strings.TrimSpace(string(text)), now, maxLifetime)
	if err != nil || got.User != user || !got.IssuedAt.Equal(claims.IssuedAt) || !got.Expires.Equal(claims.Expires) || got.Browser {
		t.Errorf("%+v, %v", got, err)
	}
	if again := mustMint(t, mustRing(t, secretA), claims); again != strings.TrimSpace(string(text)) {
		t.Errorf("minted today: %s", again)
	}
}

func TestMintedJSONHasUniqueMembers(t *testing.T) {
	parts := strings.Split(mustMint(t, mustRing(t, secretA), claims), ".")
	for _, part := range parts[:2] {
		data, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil {
			t.Fatal(err)
		}
		var members map[string]any
		if err := json.Unmarshal(data, &members); err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(string(data), `":`); got != len(members) {
			t.Errorf("%s has %d members, %d distinct", data, got, len(members))
		}
	}
}

// Whatever is accepted is, byte for byte, something that was minted.
func FuzzAcceptedTokensAreMinted(f *testing.F) {
	ring := mustRing(f, secretA)
	minted := mustMint(f, ring, claims)
	f.Add(minted)
	f.Add(minted[:len(minted)-1] + "A")
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := Verify(ring, text, now, maxLifetime); err == nil && text != minted {
			t.Fatalf("accepted %q", text)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	ring := mustRing(b, secretA)
	text := mustMint(b, ring, claims)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Verify(ring, text, now, maxLifetime); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMint(b *testing.B) {
	ring := mustRing(b, secretA)
	b.ReportAllocs()
	for b.Loop() {
		mustMint(b, ring, claims)
	}
}
