package identity

import (
	"net/http"
	"strings"
)

// Headers of WeChat Cloud Hosting ("容器内变量信息"; under resource sharing
// "资源复用"). Go's canonical spelling; documents write X-WX-OPENID.
const (
	wxOpenID      = "X-Wx-Openid"
	wxUnionID     = "X-Wx-Unionid"
	wxAppID       = "X-Wx-Appid"
	wxFromOpenID  = "X-Wx-From-Openid"
	wxFromUnionID = "X-Wx-From-Unionid"
	wxFromAppID   = "X-Wx-From-Appid"
	wxSource      = "X-Wx-Source"
	wxEnv         = "X-Wx-Env"
	wxService     = "X-Wx-Service"
	wxRegion      = "X-Wx-Region"
	wxExclude     = "X-Wx-Exclude-Credentials"
	wxClientIP    = "X-Original-Forwarded-For"

	// DefaultSource is the X-WX-SOURCE of requests of a Mini Program.
	DefaultSource  = "wx_client"
	devtoolsSource = "wx_devtools"

	maxServiceLength = 64
	maxExcludeLength = 256
)

// CloudHosting sets the headers that apps written for Cloud Hosting read, in
// place of the default ones. It is immutable.
type CloudHosting struct {
	// EnvID is the X-WX-ENV, empty for none: what the app has as CBR_ENV_ID.
	EnvID string
	// Source is the X-WX-SOURCE. Requests of the developer tools have
	// `wx_devtools` in its place if it is DefaultSource.
	Source string
	// Owner is the AppID that owns the resources, if other apps share them. Users
	// of other apps reach the app in X-WX-FROM-… then. Empty: no sharing.
	Owner string
	// Service and Region are X-WX-SERVICE and X-WX-REGION, empty for none.
	Service, Region string
}

// Names reports whether the family has the header name, in any spelling.
func (*CloudHosting) Names(name string) bool { return cloudHostingNames.kindOf(name) == protected }

var cloudHostingNames = func() *nameSet {
	s := newNameSet()
	s.add(protected, wxClientIP)
	s.addPrefixes(protected, "x-wx-")
	return s
}()

// Asked is what a client asks of Cloud Hosting in headers of its own, which are
// no identity and never reach the app.
type Asked struct {
	service  string
	excluded uint8
	devtools bool
}

// What X-WX-EXCLUDE-CREDENTIALS can name. The tokens of cloudbase are never sent.
const (
	noOpenID = 1 << iota
	noUnionID
	noFromOpenID
	noFromUnionID
	noFromAppID
)

var exclusions = map[string]uint8{
	"openid": noOpenID, "unionid": noUnionID,
	"from-openid": noFromOpenID, "from-unionid": noFromUnionID, "from-appid": noFromAppID,
}

// Read implements [Preset].
func (c *CloudHosting) Read(h http.Header) (a Asked) {
	if v := h[wxService]; len(v) == 1 && len(v[0]) <= maxServiceLength && isServiceName(v[0]) {
		a.service = v[0]
	}
	if list := strings.Join(h[wxExclude], ","); len(list) <= maxExcludeLength { // several lines are one list
		for name := range strings.SplitSeq(list, ",") {
			a.excluded |= exclusions[strings.ToLower(strings.Trim(name, " \t"))]
		}
	}
	// Mini Programs cannot set the Referer; what it says here is worth nothing
	// to anybody who can ("网络", 使用说明).
	if v := h["Referer"]; len(v) == 1 {
		if rest, found := strings.CutPrefix(v[0], "https://servicewechat.com/"); found {
			_, version, _ := strings.Cut(rest, "/")
			a.devtools = strings.HasPrefix(version, "devtools/")
		}
	}
	return a
}

func isServiceName(name string) bool {
	for i := range len(name) {
		if !isIDByte(name[i]) {
			return false
		}
	}
	return name != ""
}

// NeedsClient implements [Preset].
func (c *CloudHosting) NeedsClient() bool { return true }

// Keep implements [Preset]. It puts the service that the client named back, for
// matchers further down, as a header of this hop (RFC 9110 section 7.6.1): no proxy
// passes it on.
func (c *CloudHosting) Keep(h http.Header, a Asked) {
	if a.service == "" || c.Service != "" {
		return
	}
	h[wxService] = []string{a.service}
	connection := wxService
	if v := h["Connection"]; len(v) == 1 {
		connection = v[0] + ", " + wxService
	}
	h["Connection"] = []string{connection}
}

// Inject implements [Preset].
func (c *CloudHosting) Inject(h http.Header, g *Guard, u User, a Asked, clientIP string) {
	// As in Guard.Inject, one array that is the request's own.
	values := make([]string, 0, 8)
	set := func(name, value string, excluded uint8) {
		if value == "" || a.excluded&excluded != 0 {
			return
		}
		values = append(values, value)
		n := len(values)
		h[name] = values[n-1 : n : n]
	}
	if c.Owner == "" || c.Owner == u.AppID {
		set(wxOpenID, u.OpenID, noOpenID)
		set(wxUnionID, u.UnionID, noUnionID)
		set(wxAppID, u.AppID, 0)
	} else {
		set(wxAppID, c.Owner, 0)
		set(wxFromOpenID, u.OpenID, noFromOpenID)
		set(wxFromUnionID, u.UnionID, noFromUnionID)
		set(wxFromAppID, u.AppID, noFromAppID)
	}
	source := c.Source
	if a.devtools && source == DefaultSource {
		source = devtoolsSource
	}
	set(wxSource, source, 0)
	set(wxEnv, c.EnvID, 0)
	set(wxRegion, c.Region, 0)
	set(wxClientIP, clientIP, 0)
	if c.Service != "" {
		h[wxService] = []string{c.Service}
	}
	g.injectBeside(h, u)
}
