package simulator

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/caddy-wechat/gateway/internal/loopback"
)

// The pages of open.weixin.qq.com that browsers are sent to.
const (
	consentPath = "/connect/oauth2/authorize" // official accounts, inside WeChat
	qrPath      = "/connect/qrconnect"        // websites, anywhere else
	confirmPath = "/connect/confirm"          // where the forms of both go
)

var hostPattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,252}[a-z0-9])?$`)

// IsHost reports whether text is a host name as consoles list it.
func IsHost(text string) bool { return hostPattern.MatchString(text) }

// IsPage reports whether a path is that of a page which does nothing before a user
// presses a button, so that other sites may link to it.
func IsPage(path string) bool { return path == "/" || path == consentPath || path == qrPath }

const (
	scopeBase     = "snsapi_base"
	scopeUserInfo = "snsapi_userinfo"
)

// connectError is what WeChat shows in place of the page. 0 means no error.
type connectError struct {
	number int
	text   string
}

func (e *connectError) Error() string {
	if e.number == 0 {
		return e.text
	}
	return fmt.Sprintf("%d: %s", e.number, e.text)
}

// connection is a login that a browser is sent to WeChat with.
type connection struct {
	website             bool
	appID, scope, state string
	back                *url.URL
	path, query         string // as they came
}

var (
	statePattern = regexp.MustCompile(`^[a-zA-Z0-9]{1,128}$`)
	// order is that of the parameters, which WeChat matches with a regular expression.
	order = []string{"appid", "redirect_uri", "response_type", "scope", "state"}
	// extras may follow the state.
	extras = map[bool][]string{false: {"forcePopup", "connect_redirect"}, true: {"lang"}}
)

// parseConnection checks a link as WeChat does ("网页授权", "网站应用微信登录").
func (s *Site) parseConnection(path, query string) (*connection, error) {
	c := &connection{website: path == qrPath, path: path, query: query}
	if path != consentPath && path != qrPath {
		return nil, &connectError{0, "no page of open.weixin.qq.com: " + consentPath + " and " + qrPath + " are"}
	}
	var names []string
	values := make(map[string]string)
	for pair := range strings.SplitSeq(query, "&") {
		name, raw, _ := strings.Cut(pair, "=")
		value, err := url.QueryUnescape(raw)
		if err != nil {
			return nil, &connectError{0, "a parameter is not percent-encoded"}
		}
		names, values[name] = append(names, name), value
	}
	for _, missing := range []struct {
		name   string
		number int
	}{{"scope", 10010}, {"redirect_uri", 10011}, {"appid", 10012}, {"state", 10013}} {
		if values[missing.name] == "" {
			return nil, &connectError{missing.number, missing.name + " is empty"}
		}
	}
	if len(names) < len(order) || !slices.Equal(names[:len(order)], order) {
		return nil, &connectError{0, "the parameters must be " + strings.Join(order, ", ") + ", in this order, redirect_uri percent-encoded; WeChat on computers shows an empty page"}
	}
	for _, extra := range names[len(order):] {
		if !slices.Contains(extras[c.website], extra) {
			return nil, &connectError{0, "a parameter after state that WeChat does not know"}
		}
	}
	c.appID, c.scope, c.state = values["appid"], values["scope"], values["state"]
	_, listed := s.Apps[c.appID]
	switch {
	case len(s.Apps) > 0 && !listed, len(s.Apps) == 0 && !IsAppID(c.appID):
		return nil, &connectError{0, "no account has this AppID"}
	case c.website != (c.scope == "snsapi_login"), !c.website && c.scope != scopeBase && c.scope != scopeUserInfo:
		return nil, &connectError{10005, "no such scope, or the account is of another kind"}
	case values["response_type"] != "code":
		return nil, &connectError{0, "response_type must be code"}
	case !statePattern.MatchString(c.state):
		return nil, &connectError{0, "state must be 1 to 128 of a-z, A-Z, 0-9"}
	}
	back, err := url.Parse(values["redirect_uri"])
	if err != nil || back.Scheme != "http" && back.Scheme != "https" || back.User != nil || !s.mayReturnTo(c.appID, back) {
		return nil, &connectError{10003, "the host of redirect_uri is not the one registered for the account"}
	}
	c.back = back
	return c, nil
}

// mayReturnTo reports whether a host is one that the account's console would list:
// the whole name, without a port. This machine is always fine if none is listed.
func (s *Site) mayReturnTo(appID string, back *url.URL) bool {
	host := strings.ToLower(back.Hostname())
	domains := s.Domains[appID]
	if loopback.Host(host) {
		return len(domains) == 0 || slices.Contains(domains, host)
	}
	return back.Port() == "" && slices.Contains(domains, host)
}

// callback is where the browser goes from WeChat. No code: the user refused.
func (c *connection) callback(code, state string) string {
	to := *c.back
	query := to.RawQuery
	for _, pair := range [][2]string{{"code", code}, {"state", state}} {
		if pair[1] == "" {
			continue
		}
		if query != "" {
			query += "&"
		}
		query += pair[0] + "=" + url.QueryEscape(pair[1])
	}
	to.RawQuery = query
	return to.String()
}
