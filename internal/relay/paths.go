package relay

import (
	"net/url"
	"strings"

	"github.com/caddy-wechat/gateway/internal/urlpath"
)

// tokenPaths hand out credentials, or exchange login codes. An app that could
// call them would get the access_token, or end that of everybody
// ("接口调用凭据").
var tokenPaths = []string{
	"/cgi-bin/token", "/cgi-bin/stable_token", "/cgi-bin/component/*",
	"/sns/oauth2/*", "/sns/jscode2session", "/sns/component/*",
}

// internalPaths are Cloud Hosting's own and exist nowhere else ("微信支付",
// "对象存储").
var internalPaths = []string{"/_/pay/*", "/_/cos/*"}

// wellKnown are paths that metrics name when there is no allow-list.
var wellKnown = []string{
	"/wxa/getwxacodeunlimit", "/wxa/getwxacode", "/cgi-bin/wxaapp/createwxaqrcode",
	"/wxa/business/getuserphonenumber", "/wxa/msg_sec_check", "/wxa/img_sec_check", "/wxa/media_check_async",
	"/wxa/generatescheme", "/wxa/generate_urllink", "/wxa/genwxashortlink",
	"/cgi-bin/message/custom/send", "/cgi-bin/message/subscribe/send", "/cgi-bin/message/custom/typing",
	"/cgi-bin/media/upload", "/cgi-bin/media/get", "/cgi-bin/openapi/quota/get",
	"/wxa/getuserriskrank", "/wxa/checksession",
}

// OtherPath is the label of paths that are none of an allow-list or well known.
const OtherPath = "other"

// Paths says which paths apps may call.
type Paths struct {
	patterns []urlpath.Pattern // none: all but tokenPaths
}

// NewPaths returns the paths that match one of the patterns, in exactly this
// spelling: paths, and /prefix/* for all below one but what hands out
// credentials. Without patterns all but those are allowed.
func NewPaths(patterns []string) (Paths, error) {
	var p Paths
	for _, text := range patterns {
		pattern, err := urlpath.ParsePattern(text)
		if err != nil {
			return p, err
		}
		p.patterns = append(p.patterns, pattern)
	}
	return p, nil
}

// verdict of a path.
type verdict int

const (
	allowed verdict = iota
	denied
	unsupported
)

// judge says whether a path may be called, and its label in metrics.
func (p Paths) judge(u *url.URL) (verdict, string) {
	path := u.EscapedPath()
	if !urlpath.Canonical(path) { // what some server reads as another path
		return denied, OtherPath
	}
	folded := urlpath.Fold(path)
	if covers(internalPaths, folded) >= 0 {
		return unsupported, OtherPath
	}
	handsOut := covers(tokenPaths, folded) >= 0
	if p.patterns == nil {
		if handsOut {
			return denied, OtherPath
		}
		if i := covers(wellKnown, folded); i >= 0 {
			return allowed, wellKnown[i]
		}
		return allowed, OtherPath
	}
	for _, pattern := range p.patterns {
		if pattern.Match(path) && (!handsOut || pattern.String() == path) {
			return allowed, pattern.String()
		}
	}
	return denied, OtherPath
}

// covers returns the first pattern that covers the folded path, or -1.
func covers(patterns []string, path string) int {
	for i, pattern := range patterns {
		base, below := strings.CutSuffix(pattern, "/*")
		if path == base && !below || below && strings.HasPrefix(path, base+"/") {
			return i
		}
	}
	return -1
}

// withToken returns a raw query with the token in place of whatever credential
// was in it, and which app the caller wants to be. The order of the rest stays:
// some of WeChat's examples are signed as they stand.
func withToken(raw, token string) string {
	var kept []string
	for pair := range strings.SplitSeq(raw, "&") {
		if pair != "" && !isForGateway(pair) {
			kept = append(kept, pair)
		}
	}
	return strings.Join(append(kept, "access_token="+url.QueryEscape(token)), "&")
}

// isForGateway reports whether a parameter is for the gateway and not for WeChat.
func isForGateway(pair string) bool {
	name, _, _ := strings.Cut(pair, "=")
	name, err := url.QueryUnescape(name)
	if err != nil {
		return true // WeChat would not understand it either
	}
	switch strings.ToLower(name) {
	case "access_token", "cloudbase_access_token", "from_appid":
		return true
	}
	return false
}

// fromAppID returns the app that the caller wants to be, "" for none, and whether
// that is clear.
func fromAppID(raw string) (appID string, ok bool) {
	query, err := url.ParseQuery(raw)
	if err != nil || len(query["from_appid"]) > 1 {
		return "", false
	}
	return query.Get("from_appid"), true
}
