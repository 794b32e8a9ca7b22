package identity

import (
	"net/http"
	"reflect"
	"testing"
)

func TestStripAnswerLeavesNoAlias(t *testing.T) {
	for name, tc := range map[string]struct{ header, want http.Header }{
		"nothing to do":     {http.Header{"Content-Type": {"text/plain"}, "Trailer": {"X-Sum, X-Time"}}, http.Header{"Content-Type": {"text/plain"}, "Trailer": {"X-Sum, X-Time"}}},
		"header":            {http.Header{"X-Wechat-Gateway": {"login_required"}, "X-Other": {"1"}}, http.Header{"X-Other": {"1"}}},
		"other spellings":   {http.Header{"x_wechat_gateway": {"a"}, "X.WeChat~Gateway": {"b"}, "X-WECHAT-GATEWAY": {"c"}}, http.Header{}},
		"unannounced":       {http.Header{"Trailer:X-Wechat-Gateway": {"a"}, "Trailer:x_wechat_gateway": {"b"}, "Trailer:X-Sum": {"1"}}, http.Header{"Trailer:X-Sum": {"1"}}},
		"announced":         {http.Header{"Trailer": {"X-Sum, x_wechat_gateway", "X-WeChat-Gateway"}}, http.Header{"Trailer": {"X-Sum"}}},
		"announced alone":   {http.Header{"Trailer": {"X-WeChat-Gateway"}}, http.Header{}},
		"another, as long":  {http.Header{"X-Wechat-Gatewax": {"1"}}, http.Header{"X-Wechat-Gatewax": {"1"}}},
		"a longer name":     {http.Header{"X-Wechat-Gateway-2": {"1"}}, http.Header{"X-Wechat-Gateway-2": {"1"}}},
		"nothing in a list": {http.Header{"Trailer": {""}}, http.Header{"Trailer": {""}}},
	} {
		t.Run(name, func(t *testing.T) {
			if StripAnswer(tc.header); !reflect.DeepEqual(tc.header, tc.want) {
				t.Errorf("got %v, want %v", tc.header, tc.want)
			}
		})
	}
}

// More names add to those that are never an app's, in headers and trailers.
func TestReservedNamesLeaveNoAlias(t *testing.T) {
	h := http.Header{
		"Authorization": {"Bearer a"}, "AUTHORIZATION": {"b"}, "x_wechat.expires-in": {"1"}, "X-Wechat-Gateway": {"c"}, "Proxy-Authorization": {"d"},
		"Trailer:Authorization": {"e"}, "Trailer:x_wechat_expires_in": {"2"}, "Trailer": {"Authorization, X-Sum"},
	}
	NewReserved("Authorization", "X-WeChat-Expires-In").Strip(h)
	if want := (http.Header{"Proxy-Authorization": {"d"}, "Trailer": {"X-Sum"}}); !reflect.DeepEqual(h, want) {
		t.Errorf("got %v, want %v", h, want)
	}
}

func BenchmarkStripAnswer(b *testing.B) {
	h := http.Header{
		"Content-Type": {"application/json"}, "Content-Length": {"200"}, "Date": {"today"}, "Via": {"1.1 Caddy"},
		"Cache-Control": {"private"}, "Vary": {"Authorization"},
	}
	b.ReportAllocs()
	for b.Loop() {
		StripAnswer(h)
	}
}
