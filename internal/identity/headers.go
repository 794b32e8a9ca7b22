package identity

import (
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
)

// Default names of the identity headers. Documents write X-OpenID; Go's
// canonical spelling of the same header is X-Openid.
const (
	DefaultOpenID  = "X-Openid"
	DefaultUnionID = "X-Unionid"
	DefaultAppID   = "X-Appid"
	DefaultUserID  = "X-Wechat-User-Id"
)

// Names says under which header each field of a [User] reaches the app, in any
// case. An empty name leaves the field out.
type Names struct {
	OpenID    string
	UnionID   string
	AppID     string
	SessionID string
	UserID    string
}

// DefaultNames are the headers of the preset `default`.
func DefaultNames() Names {
	return Names{OpenID: DefaultOpenID, UnionID: DefaultUnionID, AppID: DefaultAppID, UserID: DefaultUserID}
}

// ErrHeaderName is returned for a header name that cannot carry an identity.
var ErrHeaderName = errors.New("not usable as an identity header")

// alwaysProtected are the identity headers of every preset. A client's copy of
// any of them is removed whichever preset a site uses, so that switching the
// preset, or running one app behind two sites, opens nothing.
var (
	alwaysProtected = []string{
		DefaultOpenID, DefaultUnionID, DefaultAppID,
		"X-Original-Forwarded-For",
		// What the gateway itself gives a meaning to: names of users, of its own
		// verdicts, of calls in a user's name. An app that passes headers on must
		// not let anybody act for others.
		"X-WeChat-User-ID", "X-WeChat-OpenID", "X-WeChat-Signature", "X-WeChat-Event", "X-WeChat-Expires-In", VerdictHeader,
	}
	// Cloud Hosting ("容器内变量信息") and WeChat Gateway name theirs X-WX-…
	alwaysProtectedPrefixes = []string{"x-wx-", "x-cloudbase-"}
)

// siblings are headers that apps are known to trust although any client can
// send them. They pass only from a peer in Caddy's trusted_proxies.
// (oauth2-proxy CVE-2026-40575, Traefik CVE-2026-35051, authentik
// CVE-2024-47070, httpoxy CVE-2016-5385.)
var (
	siblings = []string{
		"Forwarded", "X-Real-IP",
		"X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups",
		"X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Uri",
		"X-Forwarded-Method", "X-Forwarded-Server", "X-Forwarded-Ssl",
		"X-Original-URL", "X-Original-Method", "X-Original-Host", "X-Rewrite-URL",
		"Remote-User", "Remote-Groups", "Remote-Email", "Remote-Name",
		"X-Remote-User", "X-User-ID", "X-WebAuth-User", "Proxy",
	}
	siblingPrefixes = []string{"x-auth-request-"}
)

// rewritten are headers that Caddy's reverse_proxy sets itself, but only under
// their exact name: other spellings of them are stripped like siblings.
var rewritten = []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"}

// Guard removes and sets the identity headers of one site. It is immutable.
type Guard struct {
	names    Names
	stripped *nameSet
}

// NewGuard returns a guard that sets the headers in names and protects them,
// those of every preset, and assertion (the headers of assertions). It
// returns [ErrHeaderName] for a name that is no header name, has a meaning of its
// own in HTTP, or is an alias of another one in names or assertion.
func NewGuard(names Names, assertion ...string) (*Guard, error) {
	type use struct{ setting, name string }
	seen := make(map[string]use)
	canonical := func(setting, name string) (string, error) {
		if name == "" {
			return "", nil
		}
		if err := CheckHeaderName(name); err != nil {
			return "", fmt.Errorf("%s: %w", setting, err)
		}
		if other, taken := seen[Fold(name)]; taken {
			return "", fmt.Errorf("%s: header %q: %w: it is the same header as that of %s, %q, to many servers; choose another name for one of them",
				setting, name, ErrHeaderName, other.setting, other.name)
		}
		seen[Fold(name)] = use{setting, name}
		return textproto.CanonicalMIMEHeaderKey(name), nil
	}
	var err error
	for _, field := range []struct {
		setting string
		name    *string
	}{
		{"header openid", &names.OpenID},
		{"header unionid", &names.UnionID},
		{"header appid", &names.AppID},
		{"header session_id", &names.SessionID},
		{"header user_id", &names.UserID},
	} {
		if *field.name, err = canonical(field.setting, *field.name); err != nil {
			return nil, err
		}
	}
	stripped := newNameSet()
	stripped.add(protected, alwaysProtected...)
	stripped.addPrefixes(protected, alwaysProtectedPrefixes...)
	stripped.add(protected, names.OpenID, names.UnionID, names.AppID, names.SessionID, names.UserID)
	for _, name := range assertion {
		if _, err := canonical("assertion", name); err != nil {
			return nil, err
		}
		stripped.add(protected, name)
	}
	stripped.add(sibling, siblings...)
	stripped.addPrefixes(sibling, siblingPrefixes...)
	stripped.add(respelled, rewritten...)
	return &Guard{names: names, stripped: stripped}, nil
}

// reservedNames have a meaning of their own in HTTP or carry credentials; an
// identity header of that name would break the request it is set on.
var reservedNames = func() *nameSet {
	s := newNameSet()
	s.add(protected,
		"Host", "Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Content-Length",
		"Content-Type", "Content-Encoding", "Trailer", "Upgrade", "Expect", "Date", "Via", "Range",
		"Authorization", "Cookie", "Set-Cookie", "Origin", "Early-Data",
		"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded", "Proxy")
	s.addPrefixes(protected, "sec-", "proxy-")
	return s
}()

// CheckHeaderName returns [ErrHeaderName], with the reason, if name cannot be the
// name of an identity header.
func CheckHeaderName(name string) error {
	if !validHeaderName(name) {
		return fmt.Errorf("header %q: %w: a name is 3 to 64 of A-Z, a-z, 0-9 and -, and begins with a letter", name, ErrHeaderName)
	}
	if reservedNames.kindOf(name) != other || strings.EqualFold(name, "TE") {
		return fmt.Errorf("header %q: %w: HTTP gives it another meaning", name, ErrHeaderName)
	}
	return nil
}

func validHeaderName(name string) bool {
	if len(name) < minNameLength || len(name) > maxNameLength {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if isAlphanumeric(c) && (i > 0 || c > '9') || c == '-' && i > 0 {
			continue
		}
		return false
	}
	return true
}

// Strip removes from h, in place, every alias of every protected header, and
// unless the peer is a trusted proxy every header that apps trust by habit.
// It comes before any decision, because error routes see the same map. Whether
// the peer is trusted is only asked if there is such a header.
func (g *Guard) Strip(h http.Header, trustedPeer func() bool) {
	for name := range h {
		k := g.stripped.kindOf(name)
		if k == other || k == respelled && slices.Contains(rewritten, name) || k != protected && trustedPeer() {
			continue
		}
		delete(h, name) // Header.Del would canonicalize the name and miss it
	}
}

// Removes reports whether Strip removes a header of that name, whoever sends it.
func (g *Guard) Removes(name string) bool { return g.stripped.kindOf(name) == protected }

// Inject sets the headers of u on a header map that Strip has been through.
// What u lacks stays absent: never an empty value.
func (g *Guard) Inject(h http.Header, u User) {
	// One array for all values. It is the request's own, because handlers
	// further down may rewrite a header value in place.
	values := make([]string, 0, 5)
	set := func(name, value string) {
		if name == "" || value == "" {
			return
		}
		values = append(values, value)
		n := len(values)
		h[name] = values[n-1 : n : n]
	}
	set(g.names.OpenID, u.OpenID)
	set(g.names.UnionID, u.UnionID)
	set(g.names.AppID, u.AppID)
	set(g.names.SessionID, u.SessionID)
	set(g.names.UserID, u.UserID)
}

// injectBeside sets only the headers that go with every preset: the session, and the
// application's own name for the user.
func (g *Guard) injectBeside(h http.Header, u User) {
	if g.names.SessionID != "" && u.SessionID != "" {
		h[g.names.SessionID] = []string{u.SessionID}
	}
	if g.names.UserID != "" && u.UserID != "" {
		h[g.names.UserID] = []string{u.UserID}
	}
}

// hasToken reports whether the comma-separated list value has token in it.
func hasToken(values []string, token string) bool {
	for _, value := range values {
		for item := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.Trim(item, " \t"), token) {
				return true
			}
		}
	}
	return false
}
