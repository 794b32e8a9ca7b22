package simulator

import (
	"encoding/json"
	"net/http"
	"net/url"

	"rsc.io/qr"
)

// codePath draws Mini Program codes ("获取不限制的小程序码 getUnlimitedQRCode"). What the
// simulator draws is a QR code of an address of the playground that says the same.
const codePath = "/wxa/getwxacodeunlimit"

const (
	maxScene = 32
	// Widths that WeChat draws, in pixels.
	minCodeWidth, maxCodeWidth, usualCodeWidth = 280, 1280, 430
)

// versions of a Mini Program.
var versions = map[string]bool{"": true, "release": true, "trial": true, "develop": true}

// code answers with a picture, as WeChat does, or with JSON that has an errcode.
func (s *Site) code(w http.ResponseWriter, r *http.Request) {
	var picture []byte
	s.apiOr(w, r, http.MethodPost, func(r *http.Request) (map[string]any, int) {
		var errcode int
		picture, errcode = s.drawCode(r)
		return nil, errcode
	}, func() {
		w.Header().Set("Content-Type", "image/png")
		_, _ = w.Write(picture) // a client that left is no error of ours
	})
}

func (s *Site) drawCode(r *http.Request) ([]byte, int) {
	appID, live := s.Server.tokens.appOf(r.URL.Query().Get("access_token"))
	if !live {
		return nil, 40001
	}
	var form struct {
		Scene      string `json:"scene"`
		Page       string `json:"page"`
		CheckPath  *bool  `json:"check_path"`
		EnvVersion string `json:"env_version"`
		Width      int    `json:"width"`
		// Colours that a QR code of the simulator does not have.
		AutoColor bool            `json:"auto_color"`
		LineColor json.RawMessage `json:"line_color"`
		IsHyaline bool            `json:"is_hyaline"`
	}
	if decode(r, &form) != nil {
		return nil, 47001
	}
	if form.Width == 0 {
		form.Width = usualCodeWidth
	}
	switch {
	case !validScene(form.Scene):
		return nil, 40169
	case len(form.Page) > 0 && form.Page[0] == '/':
		return nil, 41030
	case form.Width < minCodeWidth || form.Width > maxCodeWidth || !versions[form.EnvVersion]:
		return nil, 40097
	}
	address := url.URL{
		Scheme: "http", Host: r.Host, Path: "/",
		RawQuery: url.Values{"appid": {appID}, "page": {form.Page}, "scene": {form.Scene}}.Encode(),
	}
	code, err := qr.Encode(address.String(), qr.M)
	if err != nil {
		return nil, 40097
	}
	s.Server.drew(Drawn{AppID: appID, Page: form.Page, Scene: form.Scene})
	code.Scale = form.Width / (code.Size + 8) // and its white margin
	return code.PNG(), 0
}

// validScene accepts what WeChat does: 1 to 32 digits, letters and some marks.
func validScene(scene string) bool {
	if scene == "" || len(scene) > maxScene {
		return false
	}
	for _, c := range []byte(scene) {
		switch {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
		case c == '!', c >= '#' && c <= '/', c == ':', c == ';', c == '=', c == '?', c == '@', c == '_', c == '~':
		default:
			return false
		}
	}
	return true
}
