package wechat

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/provider/transport"
	"github.com/caddy-wechat/gateway/internal/secret"
)

const (
	// MaxCodeBytes is how large the picture of a code may be, several times what
	// WeChat makes of the smallest width.
	MaxCodeBytes = 128 << 10
	// codeWidth is the smallest that WeChat draws, in pixels.
	codeWidth   = 280
	releaseCode = "release"
)

// MiniProgramCode draws a code ("获取不限制的小程序码 getUnlimitedQRCode",
// wxa/getwxacodeunlimit), a PNG or JPEG. accessToken is the account's. Only a released
// page is looked for: others need not be there yet. The errors are those of
// Code2Session, and one that [RefusesToken] about accessToken.
func (c *Client) MiniProgramCode(ctx context.Context, accessToken secret.String, code provider.Code) ([]byte, error) {
	form, err := json.Marshal(map[string]any{
		"scene": code.Scene, "page": code.Page, "env_version": code.Version, "check_path": code.Version == releaseCode, "width": codeWidth,
	})
	if err != nil {
		panic(err) // strings, numbers and booleans always encode
	}
	body, err := c.Ask(ctx, transport.Call{
		Method: http.MethodPost, Path: "/wxa/getwxacodeunlimit", Body: form, Query: url.Values{"access_token": {accessToken.Reveal()}},
		Hidden: []string{accessToken.Reveal(), code.Scene}, MaxAnswer: MaxCodeBytes,
	})
	if err != nil {
		return nil, err
	}
	if PictureType(body) != "" {
		return body, nil
	}
	if _, err := parseAnswer(body); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("%w: it is no picture", provider.ErrBadAnswer)
}

// PictureType is the media type of a picture as MiniProgramCode returns it; empty for
// anything else.
func PictureType(data []byte) string {
	switch {
	case bytes.HasPrefix(data, []byte("\xff\xd8\xff")):
		return "image/jpeg"
	case bytes.HasPrefix(data, []byte("\x89PNG\r\n\x1a\n")):
		return "image/png"
	}
	return ""
}
