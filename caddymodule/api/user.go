package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

	"github.com/caddy-wechat/gateway/caddymodule/internal/answer"
	"github.com/caddy-wechat/gateway/internal/relay"
	"github.com/caddy-wechat/gateway/internal/strictjson"
	"github.com/caddy-wechat/gateway/internal/urlpath"
)

// Calls that need a user's session_key, made for apps: the key itself
// stays here.
const (
	ownPrefix     = "/gateway"
	decryptPath   = ownPrefix + "/decrypt"
	signaturePath = ownPrefix + "/signature"

	maxUserBody = 64 << 10
	// maxSignedData is the longest message that is signed.
	maxSignedData = 4096
)

var (
	errUserBody   = errors.New("malformed body of a call about a user")
	errSignedData = errors.New("data is empty or too long")
	errTwoAppIDs  = errors.New("appid and from_appid differ")
)

// ownCall returns what answers a path of the gateway's own, nil for any other path. A
// misspelt one is not WeChat's either: what was meant for the gateway goes no further.
func (a *API) ownCall(u *url.URL) func(http.ResponseWriter, *http.Request, *relay.Call) error {
	switch {
	case u.Path == decryptPath:
		return a.decrypt
	case u.Path == signaturePath:
		return a.sign
	case urlpath.Below(u.EscapedPath(), ownPrefix):
		return noSuchCall
	}
	return nil
}

func noSuchCall(http.ResponseWriter, *http.Request, *relay.Call) error { return answer.ErrNotFound }

// decrypt answers with what WeChat encrypted for a user.
func (a *API) decrypt(w http.ResponseWriter, r *http.Request, call *relay.Call) error {
	members, err := a.readUserCall(w, r, call, "openid", "encrypted_data", "iv")
	if err != nil {
		return err
	}
	data, err := a.app.Gateway().Decrypt(r.Context(), call.AppID, members["openid"], members["encrypted_data"], members["iv"])
	if err != nil {
		return err
	}
	answer.WriteJSON(w, http.StatusOK, map[string]json.RawMessage{"data": data})
	return nil
}

// sign answers with the user's signature of a text.
func (a *API) sign(w http.ResponseWriter, r *http.Request, call *relay.Call) error {
	members, err := a.readUserCall(w, r, call, "openid", "data")
	if err != nil {
		return err
	}
	// The signature of the empty text is that of checksession and resetusersessionkey.
	if data := members["data"]; data == "" || len(data) > maxSignedData {
		return errSignedData
	}
	signature, err := a.app.Gateway().SignFor(r.Context(), call.AppID, members["openid"], []byte(members["data"]))
	if err != nil {
		return err
	}
	answer.WriteJSON(w, http.StatusOK, map[string]string{"signature": signature})
	return nil
}

// readUserCall reads the members of a body, all of them strings and none but these and
// `appid`, and finds the account.
func (a *API) readUserCall(w http.ResponseWriter, r *http.Request, call *relay.Call, names ...string) (map[string]string, error) {
	call.Path = r.URL.Path
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return nil, answer.ErrMethodNotAllowed
	}
	if !strictjson.Declared(r.Header) {
		return nil, answer.ErrMediaType
	}
	body, giveBack, err := a.proxy.ReadShort(w, r, maxUserBody)
	defer giveBack()
	if err != nil {
		return nil, err
	}
	raw, err := strictjson.Object(body, 1)
	if err != nil {
		return nil, errUserBody
	}
	members := make(map[string]string, len(raw))
	for _, name := range append(names, "appid") {
		text, present := raw[name]
		value, ok := strictjson.String(text)
		if present && !ok || !present && name != "appid" {
			return nil, errUserBody
		}
		members[name] = value
		delete(raw, name)
	}
	if len(raw) > 0 {
		return nil, errUserBody
	}
	call.AppID, err = a.accountOf(r.URL.Query(), members["appid"])
	return members, err
}

// accountOf is the account that a call is about.
func (a *API) accountOf(query url.Values, appID string) (string, error) {
	from := query["from_appid"]
	switch {
	case len(from) > 1, len(from) == 1 && appID != "" && from[0] != appID:
		return a.proxy.Default, errTwoAppIDs
	case appID == "" && len(from) == 1:
		appID = from[0]
	case appID == "":
		return a.proxy.Default, nil
	}
	if a.proxy.Owners[appID] == nil {
		return a.proxy.Default, relay.ErrUnknownApp
	}
	return appID, nil
}
