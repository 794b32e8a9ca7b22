package wechat

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/strictjson"
)

const maxAnswerDepth = 16

// byteOrderMark is what some relays and mocks put in front of JSON.
var byteOrderMark = []byte("\xef\xbb\xbf")

// answer is the members of an answer of WeChat that are there: null is absent.
type answer map[string]json.RawMessage

// parseAnswer reads an answer, whatever its content type says: WeChat sends JSON
// as text/plain, too. An errcode other than 0 is an [APIError].
func parseAnswer(body []byte) (answer, error) {
	members, err := readAnswer(body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", provider.ErrBadAnswer, err)
	}
	return members, members.errcode()
}

func readAnswer(body []byte) (answer, error) {
	members, err := strictjson.Object(bytes.TrimPrefix(body, byteOrderMark), maxAnswerDepth)
	if err != nil {
		return nil, err
	}
	for name, raw := range members {
		if string(raw) == "null" {
			delete(members, name)
		}
	}
	return members, nil
}

// text returns a member that is a string.
func (a answer) text(name string) (value string, ok bool) { return strictjson.String(a[name]) }

// number returns a member that is an integer, or a string that spells one: WeChat's
// documentation has `"errcode":"40029"` in a sample.
func (a answer) number(name string) (value int64, ok bool) {
	raw := a[name]
	if text, isString := strictjson.String(raw); isString {
		raw = json.RawMessage(text)
	}
	return strictjson.Int(raw)
}

// errcode returns the error of an answer that has one.
func (a answer) errcode() error {
	if _, present := a["errcode"]; !present {
		return nil
	}
	code, ok := a.number("errcode")
	switch {
	case !ok || int64(int32(code)) != code: //nolint:gosec // that is the question
		return fmt.Errorf("%w: errcode is malformed", provider.ErrBadAnswer)
	case code == 0:
		return nil
	}
	errmsg, _ := a.text("errmsg")
	return newAPIError(int(code), errmsg)
}

// identifiers returns openid, which must be there, and unionid, which may be.
func (a answer) identifiers() (openID, unionID string, err error) {
	openID, ok := a.text("openid")
	if !ok || !identity.ValidID(openID) {
		return "", "", fmt.Errorf("%w: openid is missing or malformed", provider.ErrBadAnswer)
	}
	if _, present := a["unionid"]; present {
		if unionID, ok = a.text("unionid"); !ok || unionID != "" && !identity.ValidID(unionID) {
			return "", "", fmt.Errorf("%w: unionid is malformed", provider.ErrBadAnswer)
		}
	}
	return openID, unionID, nil
}
