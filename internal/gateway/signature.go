package gateway

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"time"

	"github.com/caddy-wechat/gateway/internal/bounded"
	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/ticket"
	"github.com/caddy-wechat/gateway/internal/urlpath"
)

// SignatureParameter is the last parameter in the query of a signed URL.
const SignatureParameter = "wechat_sig"

// Bounds of signed URLs.
const (
	MinSignedLifetime     = 10 * time.Second
	MaxSignedLifetime     = time.Hour
	DefaultSignedLifetime = 5 * time.Minute
	// MaxSignedPaths is how many are signed in one call.
	MaxSignedPaths = 50

	maxSignedPath = 2048
	maxSignature  = 200
)

// signedPlace binds a signature to all of an address but the scheme.
func signedPlace(host, target string) ticket.Place {
	sum := sha256.Sum256([]byte(target))
	return ticket.Place{Host: host, Name: string(sum[:])}
}

// signatureData has the end, and the ids with a zero byte between them.
func signatureData(user identity.User, end time.Time) []byte {
	data := binary.BigEndian.AppendUint32(nil, uint32(end.Unix()/60)) //nolint:gosec // good for 8,000 years
	return append(data, user.AppID+"\x00"+user.OpenID+"\x00"+user.SessionID...)
}

func parseSignature(data []byte) (user identity.User, end time.Time, ok bool) {
	if len(data) < 4 {
		return user, end, false
	}
	ids := strings.Split(string(data[4:]), "\x00")
	if len(ids) != 3 {
		return user, end, false
	}
	user = identity.User{AppID: ids[0], OpenID: ids[1], SessionID: ids[2]}
	return user, time.Unix(int64(binary.BigEndian.Uint32(data))*60, 0), true
}

// seenSignature is a signature that opened at its address.
type seenSignature struct {
	user  identity.User
	end   time.Time
	keyID string
}

// maxSeenSignatures bounds those that are remembered, to about 20 MiB. Forged ones never
// are.
const maxSeenSignatures = 1 << 15

func newSeenSignatures() *bounded.Table[seenSignature] {
	return bounded.New[seenSignature](maxSeenSignatures, MaxSignedLifetime+time.Minute)
}

// cutSignature takes the last parameter off an address.
func cutSignature(path, query string) (target, signature string, ok bool) {
	const parameter = SignatureParameter + "="
	if rest, only := strings.CutPrefix(query, parameter); only {
		return path, rest, true
	}
	i := strings.LastIndex(query, "&"+parameter)
	if i < 0 {
		return "", "", false
	}
	return path + "?" + query[:i], query[i+1+len(parameter):], true
}

// HasSignature reports whether a query has a signature, in whatever spelling.
func HasSignature(query string) bool {
	for pair := range strings.SplitSeq(query, "&") {
		if IsSignature(pair) {
			return true
		}
	}
	return false
}

// IsSignature reports whether a pair of a query is a signature.
func IsSignature(pair string) bool {
	name, _, _ := strings.Cut(pair, "=")
	if name == SignatureParameter {
		return true
	}
	return strings.IndexByte(name, '%') >= 0 && urlpath.Unescape(name) == SignatureParameter
}
