package browser

import (
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"github.com/caddy-wechat/gateway/internal/loopback"
)

// Origin is where the browser believes to be: the scheme and the host that it
// sees in its address bar.
type Origin struct {
	// Scheme is http or https.
	Scheme string
	// Host name in lower case, with the port unless it is the scheme's own.
	Host string
}

// String is the origin as browsers write it.
func (o Origin) String() string { return o.Scheme + "://" + o.Host }

// Secure reports whether cookies of the origin are.
func (o Origin) Secure() bool { return o.Scheme == "https" }

// Scheme is the scheme that a client uses: that of the connection, or what a
// trusted proxy in front says last.
func Scheme(r *http.Request, fromTrustedProxy bool) string {
	if fromTrustedProxy {
		switch strings.ToLower(last(r.Header["X-Forwarded-Proto"])) {
		case "http", "ws":
			return "http"
		case "https", "wss":
			return "https"
		}
	}
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

// OriginOf returns the origin of a request. It is false for a Host, or a
// forwarded one, that is not a host name or address with an optional port: who
// sends such a one shall not get it back in an address.
func OriginOf(r *http.Request, fromTrustedProxy bool) (Origin, bool) {
	host := r.Host
	if fromTrustedProxy {
		if forwarded := last(r.Header["X-Forwarded-Host"]); forwarded != "" {
			host = forwarded
		}
	}
	return ParseOrigin(Scheme(r, fromTrustedProxy), host)
}

// ParseOrigin normalizes a scheme of http or https and a host.
func ParseOrigin(scheme, host string) (Origin, bool) {
	host = strings.ToLower(host)
	name, port, ok := splitHost(host)
	if !ok {
		return Origin{}, false
	}
	if port == "" || scheme == "https" && port == "443" || scheme == "http" && port == "80" {
		return Origin{scheme, name}, true
	}
	return Origin{scheme, name + ":" + port}, true
}

// last is the value that the nearest proxy wrote.
func last(values []string) string {
	if len(values) == 0 {
		return ""
	}
	value := values[len(values)-1]
	return strings.Trim(value[strings.LastIndexByte(value, ',')+1:], " \t")
}

// splitHost cuts a host in lower case into name and port, and reports whether
// both are fit for an address.
func splitHost(host string) (name, port string, ok bool) {
	if strings.HasPrefix(host, "[") {
		end := strings.IndexByte(host, ']')
		if end < 0 {
			return "", "", false
		}
		addr, err := netip.ParseAddr(host[1:end])
		if err != nil || !addr.Is6() || addr.Zone() != "" {
			return "", "", false
		}
		name, port = host[:end+1], host[end+1:]
	} else {
		name = host
		if i := strings.IndexByte(host, ':'); i >= 0 {
			name, port = host[:i], host[i:]
		}
		if !isHostName(name) {
			return "", "", false
		}
	}
	if port == "" {
		return name, "", true
	}
	port = strings.TrimPrefix(port, ":")
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 || port[0] == '0' || port[0] == '+' {
		return "", "", false
	}
	return name, port, true
}

const (
	maxHostName  = 253
	maxHostLabel = 63
)

// isHostName accepts names and IPv4 addresses. Underscores are in the names of
// containers.
func isHostName(name string) bool {
	if len(name) > maxHostName {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		if label == "" || len(label) > maxHostLabel || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			switch c := label[i]; {
			case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
			default:
				return false
			}
		}
	}
	return true
}

// Refused says why WeChat will not send browsers back to the origin, or is empty:
// it takes host names over https and nothing else, but for a machine that somebody
// develops on.
func (o Origin) Refused() string {
	name, port, _ := splitHost(o.Host)
	if loopback.Host(strings.Trim(name, "[]")) {
		return ""
	}
	_, err := netip.ParseAddr(strings.Trim(name, "[]"))
	switch {
	case err == nil:
		return "its host is an IP address"
	case port != "":
		return "it has a port"
	case o.Scheme != "https":
		return "it is http"
	}
	return ""
}
