package identity

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

var cloudUser = User{AppID: "wx1234567890abcdef", OpenID: "oAAAAAAAAAAAAAAAAAAAAAAAAAAA", UnionID: "uAAAAAAAAAAAAAAAAAAAAAAAAAAA"}

func TestCloudHostingHeaders(t *testing.T) {
	own := map[string]string{
		"X-Wx-Openid": cloudUser.OpenID, "X-Wx-Unionid": cloudUser.UnionID, "X-Wx-Appid": cloudUser.AppID,
		"X-Wx-Source": "wx_client", "X-Original-Forwarded-For": "192.0.2.1",
	}
	with := func(changes map[string]string) map[string]string {
		all := maps.Clone(own)
		for name, value := range changes {
			if all[name] = value; value == "" {
				delete(all, name)
			}
		}
		return all
	}
	shared := with(map[string]string{
		"X-Wx-Openid": "", "X-Wx-Unionid": "", "X-Wx-Appid": "wxfedcba0987654321",
		"X-Wx-From-Openid": cloudUser.OpenID, "X-Wx-From-Unionid": cloudUser.UnionID, "X-Wx-From-Appid": cloudUser.AppID,
	})
	for name, tc := range map[string]struct {
		preset CloudHosting
		asks   map[string]string
		want   map[string]string
	}{
		"own":                 {CloudHosting{}, nil, own},
		"environment":         {CloudHosting{EnvID: "prod-1", Region: "ap-shanghai", Service: "main"}, nil, with(map[string]string{"X-Wx-Env": "prod-1", "X-Wx-Region": "ap-shanghai", "X-Wx-Service": "main"})},
		"owner of resources":  {CloudHosting{Owner: cloudUser.AppID}, nil, own},
		"shared resources":    {CloudHosting{Owner: "wxfedcba0987654321"}, nil, shared},
		"excluded":            {CloudHosting{}, map[string]string{"X-Wx-Exclude-Credentials": "openid , UnionID,cloudbase-access-token"}, with(map[string]string{"X-Wx-Openid": "", "X-Wx-Unionid": ""})},
		"excluded, shared":    {CloudHosting{Owner: "wxfedcba0987654321"}, map[string]string{"X-Wx-Exclude-Credentials": "from-openid,openid"}, func() map[string]string { m := maps.Clone(shared); delete(m, "X-Wx-From-Openid"); return m }()},
		"excluded in two":     {CloudHosting{}, map[string]string{"X-Wx-Exclude-Credentials": "openid\nunionid"}, with(map[string]string{"X-Wx-Openid": "", "X-Wx-Unionid": ""})},
		"nothing is excluded": {CloudHosting{}, map[string]string{"X-Wx-Exclude-Credentials": "source,appid,,openid2"}, own},
		"developer tools":     {CloudHosting{}, map[string]string{"Referer": "https://servicewechat.com/wx1234567890abcdef/devtools/page-frame.html"}, with(map[string]string{"X-Wx-Source": "wx_devtools"})},
		"released version":    {CloudHosting{}, map[string]string{"Referer": "https://servicewechat.com/wx1234567890abcdef/42/page-frame.html"}, own},
		"source of its own":   {CloudHosting{Source: "wx_http"}, map[string]string{"Referer": "https://servicewechat.com/wx1/devtools/page-frame.html"}, with(map[string]string{"X-Wx-Source": "wx_http"})},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.preset.Source == "" {
				tc.preset.Source = DefaultSource
			}
			guard, err := NewGuard(DefaultNames())
			if err != nil {
				t.Fatal(err)
			}
			h := http.Header{"X-Wx-Source": {"wx_client"}, "X_wx_openid": {"forged"}, "X-Wx-From-Openid": {"forged"}, "X-Cloudbase-Access-Token": {"forged"}}
			for name, value := range tc.asks {
				h[name] = strings.Split(value, "\n") // a line of the header each
			}
			asked := tc.preset.Read(h)
			guard.Strip(h, anybody)
			delete(h, "Referer")
			if len(h) != 0 {
				t.Errorf("left of the client: %v", h)
			}
			tc.preset.Inject(h, guard, cloudUser, asked, "192.0.2.1")
			got := make(map[string]string)
			for name, values := range h {
				if len(values) != 1 {
					t.Errorf("%s has %d values", name, len(values))
				}
				got[name] = values[0]
			}
			if !maps.Equal(got, tc.want) {
				t.Errorf("got %v\nwant %v", got, tc.want)
			}
		})
	}
}

// The service is for matchers of this hop; a proxy removes what Connection names.
func TestServiceStaysOnThisHop(t *testing.T) {
	for name, tc := range map[string]struct {
		header     http.Header
		service    string
		connection []string
	}{
		"named":            {http.Header{"X-Wx-Service": {"orders"}}, "orders", []string{"X-Wx-Service"}},
		"with keep-alive":  {http.Header{"X-Wx-Service": {"orders"}, "Connection": {"keep-alive"}}, "orders", []string{"keep-alive, X-Wx-Service"}},
		"none":             {http.Header{}, "", nil},
		"two":              {http.Header{"X-Wx-Service": {"orders", "admin"}}, "", nil},
		"not a name":       {http.Header{"X-Wx-Service": {"orders, Connection"}}, "", nil},
		"another spelling": {http.Header{"X_wx_service": {"orders"}}, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			guard, err := NewGuard(DefaultNames())
			if err != nil {
				t.Fatal(err)
			}
			var preset CloudHosting
			r := &http.Request{Method: http.MethodGet, ProtoMajor: 1, Header: tc.header}
			asked := preset.Read(r.Header)
			guard.Strip(r.Header, nobody)
			CleanHop(r)
			preset.Keep(r.Header, asked)
			if got := r.Header.Get("X-Wx-Service"); got != tc.service {
				t.Errorf("service %q, want %q", got, tc.service)
			}
			if !slices.Equal(r.Header["Connection"], tc.connection) {
				t.Errorf("Connection %q, want %q", r.Header["Connection"], tc.connection)
			}
		})
	}
}

// BenchmarkPresets compares what the presets cost.
func BenchmarkPresets(b *testing.B) {
	guard, err := NewGuard(DefaultNames())
	if err != nil {
		b.Fatal(err)
	}
	preset := CloudHosting{Source: DefaultSource, EnvID: "prod-1"}
	client := http.Header{
		"Host": {"example.com"}, "User-Agent": {"Mozilla/5.0"}, "Accept": {"*/*"}, "Content-Type": {"application/json"},
		"Referer": {"https://servicewechat.com/wx1234567890abcdef/42/page-frame.html"},
	}
	b.Run("default", func(b *testing.B) {
		b.ReportAllocs()
		h := make(http.Header, 16)
		for b.Loop() {
			maps.Copy(h, client)
			guard.Strip(h, nobody)
			guard.Inject(h, cloudUser)
		}
	})
	b.Run("cloud_hosting", func(b *testing.B) {
		b.ReportAllocs()
		h := make(http.Header, 16)
		for b.Loop() {
			maps.Copy(h, client)
			asked := preset.Read(h)
			guard.Strip(h, nobody)
			preset.Inject(h, guard, cloudUser, asked, "192.0.2.1")
		}
	})
}
