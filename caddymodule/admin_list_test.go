package caddymodule_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
	"github.com/caddy-wechat/gateway/internal/session/redis/redistest"
)

type listedPage struct {
	Users []struct {
		UserHash string `json:"user_hash"`
		Sessions []struct {
			ID string `json:"session_id"`
		}
	}
	After *string
}

// Who is logged in: pages of all users by the name that logs have, and one of them by
// that name, from either store.
func TestOperatorPagesThroughSessions(t *testing.T) {
	for name, global := range map[string]func(t *testing.T) string{
		"memory": func(*testing.T) string { return "" },
		"redis": func(t *testing.T) string {
			server := redistest.Start(t)
			t.Setenv("WECHAT_TEST_REDIS", redistest.Password)
			return redisGlobal(server, "")
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, withAdmin, withGlobal(global(t)))
			list := func(members string) (page listedPage) {
				t.Helper()
				g.must(http.MethodPost, "/wechat/sessions/list", strings.Replace(wholeA, "}", members+"}", 1), &page)
				return page
			}
			if page := list(""); len(page.Users) != 0 || page.After != nil {
				t.Errorf("nobody: %+v", page)
			}
			const users = 7
			var want []string
			for n := range users {
				openID := fmt.Sprintf("o%027d", n)
				for range 1 + n%2 {
					g.login(wechattest.User{OpenID: openID})
				}
				var one struct {
					UserHash string `json:"user_hash"`
				}
				g.must(http.MethodPost, "/wechat/sessions/list", fmt.Sprintf(`{"appid":%q,"openid":%q}`, testApp, openID), &one)
				want = append(want, one.UserHash)
			}
			slices.Sort(want)
			// The next page begins after what the answer says, or after the last user in it.
			for _, byHash := range []bool{false, true} {
				for _, limit := range []int{1, 3, 7, 1000} {
					var got []string
					after := ""
					for range 20 {
						page := list(fmt.Sprintf(`,"limit":%d,"after":%q`, limit, after))
						if len(page.Users) > limit {
							t.Errorf("%d users on a page of %d", len(page.Users), limit)
						}
						for _, one := range page.Users {
							got = append(got, one.UserHash)
							if len(one.Sessions) == 0 || one.Sessions[0].ID == "" {
								t.Errorf("no session: %+v", one)
							}
						}
						if page.After == nil {
							break
						}
						if after = *page.After; byHash && len(page.Users) > 0 {
							after = page.Users[len(page.Users)-1].UserHash
						}
					}
					slices.Sort(got)
					if !slices.Equal(got, want) {
						t.Errorf("pages of %d, by hash %t: %q, want %q", limit, byHash, got, want)
					}
				}
			}
			for _, hash := range want {
				var one listed
				g.must(http.MethodPost, "/wechat/sessions/list", strings.Replace(wholeA, "}", `,"user_hash":"`+hash+`"}`, 1), &one)
				if len(one.Sessions) == 0 {
					t.Errorf("by hash: %+v", one)
				}
			}
			if _, body := g.operate(http.MethodPost, "/wechat/sessions/list", wholeA); strings.Contains(body, "o0000") {
				t.Errorf("the list shows openids: %s", body)
			}
			for _, members := range []string{
				`,"limit":0`, `,"limit":1001`, `,"limit":-1`, `,"limit":"5"`, `,"limit":1.5`, `,"limit":null`, `,"limit":9223372036854775808`,
				`,"limit":1000000000000000000`, `,"limit":1e18`, `,"limit":1e400`, `,"after":1000000000000000000`, `,"user_hash":1e18`,
				`,"after":"nowhere"`, `,"after":7`, `,"after":"0123456789abcdef"`, `,"user_hash":"x"`, `,"user_hash":""`,
				`,"user_hash":"0123456789abcdef","limit":5`, `,"openid":"` + openIDA + `","user_hash":"0123456789abcdef"`,
			} {
				if status, body := g.operate(http.MethodPost, "/wechat/sessions/list", strings.Replace(wholeA, "}", members+"}", 1)); status != http.StatusBadRequest {
					t.Errorf("%s: %d %s", members, status, body)
				}
			}
			var nobody listed
			g.must(http.MethodPost, "/wechat/sessions/list", strings.Replace(wholeA, "}", `,"user_hash":"0123456789abcdef"}`, 1), &nobody)
			if len(nobody.Sessions) != 0 {
				t.Errorf("of nobody: %+v", nobody)
			}
		})
	}
}

// A record in Redis that cannot be read may be that of somebody who is logged in: the
// answer says that there is one.
func TestOperatorIsToldOfUnreadableRecords(t *testing.T) {
	server := redistest.Start(t)
	t.Setenv("WECHAT_TEST_REDIS", redistest.Password)
	g := newGateway(t, withAdmin, withGlobal(redisGlobal(server, "")))
	const nobody = `"user_hash":"0123456789abcdef"`
	list := func(members, want string) {
		t.Helper()
		status, body := g.operate(http.MethodPost, "/wechat/sessions/list", strings.Replace(wholeA, "}", members+"}", 1))
		if got := strings.Contains(body, `"unreadable"`); status != http.StatusOK || got != (want != "") || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s, want %s", members, status, body, want)
		}
	}
	g.login(userA)
	before := strings.Fields(server.Do("KEYS", "*u:{*"))
	g.login(wechattest.User{OpenID: "oBBBBBBBBBBBBBBBBBBBBBBBBBBB"})
	list("", "")
	list(","+nobody, "")
	for _, key := range before {
		if strings.Contains(key, "u:{") {
			server.Do("SET", key, "damaged")
		}
	}
	list("", `"unreadable":1`)
	list(","+nobody, `"unreadable":1`)
	var one struct {
		UserHash string `json:"user_hash"`
	}
	g.must(http.MethodPost, "/wechat/sessions/list", `{"appid":"`+testApp+`","openid":"oBBBBBBBBBBBBBBBBBBBBBBBBBBB"}`, &one)
	list(`,"user_hash":"`+one.UserHash+`"`, "")
}
